//! Digits as they stand: in groups, with gaps between them that one number may have.

use std::ops::Range;

use super::issuer::LENGTHS;
use super::may_begin_digit;
use super::sign::Sign;

/// Signs between two groups that are still read as near each other.
const CLOSE_MAX: u8 = 3;

/// Signs between two groups of a table.
const WIDE_MAX: u8 = 200;

/// Line ends between two groups: a blank line, and one more.
const LINES_MAX: u8 = 3;

/// How many other signs may stand there, as `", "` between the items of a list.
const SYMBOLS_MAX: u8 = 6;

/// Signs of a sum, where more than they stands between.
const SUM: [char; 2] = ['+', '='];

/// Room for what most runs have.
const RUN_VALUES: usize = 32;
const RUN_GROUPS: usize = 16;

/// Fewer single digits are no card.
const SINGLES_MIN: usize = 12;

/// Fewer numbers that rise from one count no list.
const COUNTERS_MIN: usize = 3;

/// Begin a line that somebody quotes, or an item of a list.
const BULLETS: [char; 3] = ['>', '*', '+'];

/// What markup begins with.
pub(super) const MARKUP_BEGINS: [char; 4] = ['&', '%', '<', '\\'];

/// How links and programs write what parts words and lines.
const ESCAPES: [(&str, char); 12] = [
    ("%20", ' '),
    ("%09", '\t'),
    ("%0D%0A", '\n'),
    ("%0A", '\n'),
    ("%2D", '-'),
    ("%C2%A0", ' '),
    ("\\r\\n", '\n'),
    ("\\n", '\n'),
    ("\\t", '\t'),
    ("\\u0020", ' '),
    ("\\u00a0", ' '),
    ("\\u2009", ' '),
];

/// Bytes of a tag, and of a sign that markup writes by its name.
const TAG_MAX: usize = 64;
const NAME_MAX: usize = 10;

/// Tags that end a line, and those that end a table's cell.
const LINE_TAGS: [&str; 6] = ["br", "p", "div", "li", "tr", "/tr"];
const CELL_TAGS: [&str; 4] = ["td", "th", "/td", "/th"];

/// Signs that part the items of a list.
const LISTING: [char; 6] = [',', ';', '&', '\u{3001}', '\u{FF0C}', '\u{FF1B}'];

/// Marks a gap with such a sign in it, and one with a line's end.
const LISTED: u32 = 1 << 30;
const LINED: u32 = 1 << 31;

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
    /// Other signs, or blank lines: which ones, whatever the spaces among them.
    Odd(u32),
}

impl Gap {
    /// The gap that one other sign makes, which is none of a list's.
    pub(super) const fn of(char: char) -> Self {
        Self::Odd(char as u32)
    }

    /// Whether it is a sign that parts no items of a list.
    pub(super) fn is_sign(self) -> bool {
        matches!(self, Self::Odd(odd) if odd & (LISTED | LINED) == 0)
    }

    /// Whether both are of one kind. Those of a few spaces, hyphens and dots are, whichever they
    /// are.
    pub(super) fn is_like(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Close(_), Self::Close(_)))
    }
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
    /// The sums of the values up to each place, of which those at even places count once, and those
    /// at odd ones. Where there are fewer than a card has there are none.
    sums: Vec<[u32; 2]>,
    pub(super) groups: Vec<Group>,
    /// A plus stands before the first digit, as before a phone number.
    pub(super) plus: bool,
}

impl Run {
    #[inline]
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

    /// The run without the numbers that count the items of a list: `1. 4111`, `2. 1111`. None where
    /// it has none.
    pub(super) fn without_counters(&self) -> Option<Self> {
        let (mut next, mut counters) = (1, Vec::new());
        for (nth, group) in self.groups.iter().enumerate() {
            let begins = matches!(group.gap, Gap::Begin | Gap::Line | Gap::Close(_));
            let ends = match self.groups.get(nth + 1).map(|next| next.gap) {
                Some(Gap::Close(only)) => only.is_none_or(|only| only == '.'),
                Some(gap) => gap == Gap::of('(') || gap == Gap::of(':'),
                None => false,
            };
            if begins && ends && group.len <= 2 && self.number(group) == next {
                next += 1;
                counters.push(nth);
            }
        }
        if counters.len() < COUNTERS_MIN {
            return None;
        }
        let (mut rest, mut gap, mut counters) =
            (Self::default(), None, counters.into_iter().peekable());
        for (nth, group) in self.groups.iter().enumerate() {
            if counters.next_if_eq(&nth).is_some() {
                gap = Some(group.gap);
                continue;
            }
            let first = rest.values.len();
            rest.values.extend(self.values.get(group.first..group.first + group.len)?);
            let gap = gap.take().unwrap_or(group.gap);
            rest.groups.push(Group { at: group.at.clone(), first, len: group.len, gap });
        }
        rest.add_up();
        Some(rest)
    }

    /// The groups, where single digits with a gap of one kind between them count as one group, and
    /// only another kind of gap parts them: `4 1 1 1 | 1 1 1 1`. None where too few stand so.
    pub(super) fn drawn_together(&self) -> Option<Vec<Group>> {
        let single = |nth: usize| self.groups.get(nth).is_some_and(|group| group.len == 1);
        if self.groups.iter().filter(|group| group.len == 1).count() < SINGLES_MIN {
            return None;
        }
        let mut drawn: Vec<Group> = Vec::new();
        let mut inner = None;
        for (nth, group) in self.groups.iter().enumerate() {
            let goes_on = nth > 0 && single(nth - 1) && single(nth);
            match (drawn.last_mut(), inner) {
                (Some(last), None) if goes_on => {
                    inner = Some(group.gap);
                    last.at.end = group.at.end;
                    last.len += 1;
                }
                (Some(last), Some(gap)) if goes_on && group.gap.is_like(gap) => {
                    last.at.end = group.at.end;
                    last.len += 1;
                }
                _ => {
                    if !goes_on {
                        inner = None;
                    }
                    drawn.push(group.clone());
                }
            }
        }
        Some(drawn)
    }

    /// The number that a group says.
    pub(super) fn number(&self, group: &Group) -> i64 {
        let values = self.values.get(group.first..group.first + group.len).unwrap_or_default();
        values.iter().fold(0_i64, |n, value| n.wrapping_mul(10).wrapping_add(i64::from(*value)))
    }

    /// Adds up what the values count for the check of a card's number: every second from the right
    /// is doubled, of which the digits are added up.
    fn add_up(&mut self) {
        self.sums.clear();
        self.sums.reserve(self.values.len());
        let (mut even, mut odd) = (0, 0);
        for (nth, value) in self.values.iter().enumerate() {
            let once = u32::from(*value);
            let twice = if once > 4 { 2 * once - 9 } else { 2 * once };
            let (at_even, at_odd) =
                if nth.is_multiple_of(2) { (once, twice) } else { (twice, once) };
            even += at_even;
            odd += at_odd;
            self.sums.push([even, odd]);
        }
    }

    /// Whether the values there have a card's check digit (ISO/IEC 7812).
    pub(super) fn luhn(&self, values: Range<usize>) -> bool {
        let sum = |end: usize| {
            let sums = end.checked_sub(1).and_then(|last| self.sums.get(last));
            let [even, odd] = sums.copied().unwrap_or_default();
            // The last one counts once, and every second from it.
            if values.end.is_multiple_of(2) { odd } else { even }
        };
        (sum(values.end) - sum(values.start)).is_multiple_of(10)
    }

    fn show(&mut self, show: &mut impl FnMut(&Self)) {
        if self.values.len() >= *LENGTHS.start() {
            self.add_up();
        }
        show(self);
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
    sum: bool,
    listed: bool,
    /// The other signs one after the other, all brackets as one; one alone is its own code.
    odd: u32,
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
            Sign::Symbol if self.lines > 0 && BULLETS.contains(&char) => {}
            Sign::Symbol => {
                let odd =
                    if matches!(char, '(' | ')' | '[' | ']' | '{' | '}') { '(' } else { char };
                self.odd =
                    self.odd.wrapping_mul(31).wrapping_add(u32::from(odd)) & !(LISTED | LINED);
                self.listed |= LISTING.contains(&odd);
                self.symbols += 1;
                self.sum |= SUM.contains(&odd);
            }
            Sign::Digit(_) | Sign::Letter(_) | Sign::Nothing | Sign::Mark | Sign::Other => {
                return false;
            }
        }
        self.seen <= WIDE_MAX
            && self.lines <= LINES_MAX
            && self.symbols <= SYMBOLS_MAX
            && !(self.sum && self.seen > 1)
    }

    fn gap(self) -> Option<Gap> {
        match self {
            Self { seen: 0, .. } => None,
            Self { lines: 1, symbols: 0, .. } => Some(Gap::Line),
            Self { lines: 1.., odd, .. } => Some(Gap::Odd(odd | LINED)),
            Self { listed: true, odd, .. } => Some(Gap::Odd(odd | LISTED)),
            Self { symbols: 1.., odd, .. } => Some(Gap::Odd(odd)),
            Self { seen, wide: false, only, .. } if seen <= CLOSE_MAX => Some(Gap::Close(only)),
            _ => Some(Gap::Wide),
        }
    }
}

/// What a text here writes in more than one sign: the one that it means, and how long it is.
pub(super) fn markup(rest: &str) -> Option<(char, usize)> {
    if rest.starts_with('<') {
        let length = rest.bytes().skip(1).take(TAG_MAX).position(|byte| byte == b'>')?;
        let tag = rest.get(1..=length)?;
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        let bare = name.strip_prefix('/').unwrap_or(name);
        bare.starts_with(|char: char| char.is_ascii_alphabetic()).then_some(())?;
        let name = name.trim_end_matches('/').to_ascii_lowercase();
        let means = if LINE_TAGS.contains(&name.as_str()) {
            '\n'
        } else if CELL_TAGS.contains(&name.as_str()) {
            '\t'
        } else {
            ' '
        };
        return Some((means, tag.len() + 2));
    }
    if rest.starts_with('&') {
        let bytes = rest.as_bytes().get(1..)?.iter().take(NAME_MAX + 1);
        let name = bytes.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'#').count();
        let ends = rest.as_bytes().get(name + 1) == Some(&b';');
        return (ends && name > 1).then_some((' ', name + 2));
    }
    let is = |code: &str| {
        let begins = rest.as_bytes().get(..code.len());
        begins.is_some_and(|begins| {
            begins == code.as_bytes()
                || (code.starts_with('%') && begins.eq_ignore_ascii_case(code.as_bytes()))
        })
    };
    ESCAPES.iter().find(|(code, _)| is(code)).map(|(code, char)| (*char, code.len()))
}

/// Where what markup or a link writes for a sign ends, if this digit is a part of it.
fn escape_around(text: &str, digit: usize) -> Option<usize> {
    let begins = match text.as_bytes().get(digit.checked_sub(1)?)? {
        b'%' => digit.checked_sub(1)?,
        b'#' | b'u' => digit.checked_sub(2)?,
        _ => return None,
    };
    markup(text.get(begins..)?).map(|(_, len)| begins + len).filter(|end| *end > digit)
}

/// The character that begins there. Nearly all are ASCII, and are not looked at further.
#[inline]
pub(super) fn char_at(text: &str, at: usize) -> Option<char> {
    match text.as_bytes().get(at)? {
        byte if byte.is_ascii() => Some(char::from(*byte)),
        _ => text.get(at..)?.chars().next(),
    }
}

/// Shows each run of a text, its digits in any dress, or in words of one sign.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever is none of these ends a run")]
pub(super) fn each_run(text: &str, read: impl Fn(char) -> Sign, mut show: impl FnMut(&Run)) {
    let mut run = Run {
        values: Vec::with_capacity(RUN_VALUES),
        groups: Vec::with_capacity(RUN_GROUPS),
        ..Run::default()
    };
    let mut between = Between::default();
    let mut at = 0;
    loop {
        if run.groups.is_empty() {
            let rest = text.as_bytes().get(at..).unwrap_or_default();
            let Some(skipped) = rest.iter().position(|byte| may_begin_digit(*byte)) else { break };
            at += skipped;
            if let Some(end) = escape_around(text, at) {
                at = end;
                continue;
            }
        }
        let Some(char) = char_at(text, at) else { break };
        let may_mean = MARKUP_BEGINS.contains(&char) && !run.groups.is_empty();
        let meant = if may_mean { text.get(at..).and_then(markup) } else { None };
        let (char, len) = meant.unwrap_or((char, char.len_utf8()));
        let next = at + len;
        match read(char) {
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
                run.show(&mut show);
                run.clear();
                between = Between::default();
            }
        }
        at = next;
    }
    run.show(&mut show);
}
