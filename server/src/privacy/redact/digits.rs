//! Digits as they stand: in groups, with gaps between them that one number may have.

use std::ops::Range;

use super::sign::{Sign, sign};

/// Signs between two groups that are still read as near each other.
const CLOSE_MAX: u8 = 3;

/// Signs between two groups of a table.
const WIDE_MAX: u8 = 64;

/// How often one other sign may stand there, as `**` does.
const SYMBOLS_MAX: u8 = 4;

/// Signs that part the items of a list or a sum where more than they stands between.
const LISTING: [char; 4] = [',', ';', '+', '='];

/// Begins a line that somebody quotes.
const QUOTED: char = '>';

/// What stands before a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// It is the first.
    Begin,
    /// A few spaces, hyphens and dots; which one, where it is only one.
    Close(Option<char>),
    /// A line's end.
    Line,
    /// A table's column, or many spaces.
    Wide,
    /// One other sign, which may be doubled.
    Odd(char),
}

/// Digits with nothing between them.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Where it stands in the text.
    pub(super) at: Range<usize>,
    /// Where its values begin in the run.
    pub(super) first: usize,
    pub(super) len: usize,
    pub(super) gap: Gap,
}

/// Groups with no more than gaps between them.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) values: Vec<u8>,
    pub(super) groups: Vec<Group>,
    /// A plus stands before the first digit, as before a phone number.
    pub(super) plus: bool,
}

impl Run {
    fn push(&mut self, value: u8, at: Range<usize>, gap: Option<Gap>) {
        let first = self.values.len();
        self.values.push(value);
        match (self.groups.last_mut(), gap) {
            (Some(group), None) => {
                group.at.end = at.end;
                group.len += 1;
            }
            (None, gap) => {
                self.groups.push(Group { at, first, len: 1, gap: gap.unwrap_or(Gap::Begin) });
            }
            (Some(_), Some(gap)) => self.groups.push(Group { at, first, len: 1, gap }),
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.groups.clear();
    }
}

/// What was seen since the last digit.
#[derive(Debug, Default, Clone, Copy)]
struct Between {
    seen: u8,
    wide: bool,
    lines: u8,
    returned: bool,
    symbols: u8,
    /// The one other sign, all brackets as one.
    odd: Option<char>,
    only: Option<char>,
}

impl Between {
    /// Takes in one more; whether a number can still go on behind it.
    fn goes_on(&mut self, char: char, sign: Sign) -> bool {
        self.seen = self.seen.saturating_add(1);
        self.only = (self.seen == 1).then_some(char);
        match sign {
            Sign::Space | Sign::Dash => {}
            Sign::Column => self.wide = true,
            Sign::Line => {
                // A return and a feed are one line's end.
                if !(self.returned && char == '\n') {
                    self.lines += 1;
                }
                self.returned = char == '\r';
            }
            Sign::Symbol => {
                let odd =
                    if matches!(char, '(' | ')' | '[' | ']' | '{' | '}') { '(' } else { char };
                let first = self.odd.replace(odd);
                if first.is_some_and(|first| first != odd) || (self.lines > 0 && odd != QUOTED) {
                    return false;
                }
                self.symbols = self.symbols.saturating_add(1);
            }
            Sign::Digit(_) | Sign::Letter(_) | Sign::Nothing | Sign::Mark | Sign::Other => {
                return false;
            }
        }
        let listed = self.odd.is_some_and(|odd| LISTING.contains(&odd)) && self.seen > 1;
        let line_behind = sign == Sign::Line && self.symbols > 0;
        self.seen <= WIDE_MAX
            && self.lines <= 1
            && self.symbols <= SYMBOLS_MAX
            && !listed
            && !line_behind
    }

    fn gap(self) -> Option<Gap> {
        match self {
            Self { seen: 0, .. } => None,
            Self { lines: 1.., .. } => Some(Gap::Line),
            Self { odd: Some(odd), .. } => Some(Gap::Odd(odd)),
            Self { seen, wide: false, only, .. } if seen <= CLOSE_MAX => Some(Gap::Close(only)),
            _ => Some(Gap::Wide),
        }
    }
}

/// Shows each run of a text.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever is none of these ends a run")]
pub(super) fn each_run(text: &str, mut show: impl FnMut(&Run)) {
    let mut run = Run::default();
    let mut between = Between::default();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if run.groups.is_empty() {
            let may_begin = |byte: u8| byte.is_ascii_digit() | !byte.is_ascii();
            let Some(skipped) = rest.bytes().position(may_begin) else { break };
            at += skipped;
        }
        let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let next = at + char.len_utf8();
        match sign(char) {
            Sign::Digit(value) => {
                if run.groups.is_empty() {
                    run.plus =
                        text.get(..at).is_some_and(|before| before.ends_with(['+', '\u{FF0B}']));
                }
                run.push(value, at..next, between.gap());
                between = Between::default();
            }
            Sign::Nothing | Sign::Mark => {}
            sign if run.groups.is_empty() || between.goes_on(char, sign) => {}
            _ => {
                show(&run);
                run.clear();
                between = Between::default();
            }
        }
        at = next;
    }
    show(&run);
}
