//! Both errors of redaction, held against a budget: cards and accounts in every form that people
//! write them in, of which none may stay, and everyday numbers, of which one in a hundred may be
//! hidden.
//!
//! All of it is made from seeds, so that each run sees the same numbers.

use super::{PLACEHOLDER, Redactor};

/// Numbers of each kind.
const EACH: usize = 800;

/// Chance from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn from(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn like_one(&mut self, of: &[&str]) -> String {
        let pattern = self.one(of);
        self.like(pattern)
    }

    /// As the pattern says: `#` is a digit, `*` one from 1, `h` a hexadecimal digit, `@` a letter.
    fn like(&mut self, pattern: &str) -> String {
        let mut sign = |char| match char {
            '#' => char::from_digit(u32::try_from(self.below(10)).unwrap(), 10).unwrap(),
            '*' => char::from_digit(u32::try_from(self.from(1, 9)).unwrap(), 10).unwrap(),
            'h' => char::from_digit(u32::try_from(self.below(16)).unwrap(), 16).unwrap(),
            '@' => char::from(b'A' + u8::try_from(self.below(26)).unwrap()),
            other => other,
        };
        pattern.chars().map(&mut sign).collect()
    }
}

/// The digits with the last one changed so that every second from the right counts `weight` times
/// and the sum of what they count is a multiple of ten: 2 for Luhn, 3 for GS1.
fn checked(digits: &str, weight: u32) -> String {
    let sum: u32 = (0_u32..)
        .zip(digits.chars().rev().skip(1))
        .map(|(nth, digit)| {
            let value = digit.to_digit(10).unwrap() * if nth % 2 == 0 { weight } else { 1 };
            if weight == 2 && value > 9 { value - 9 } else { value }
        })
        .sum();
    format!("{}{}", digits.split_at(digits.len() - 1).0, (10 - sum % 10) % 10)
}

/// Issuers: a prefix, a length, and the groups that are printed on the card.
const CARDS: &[(&str, usize, &[usize])] = &[
    ("4", 16, &[4, 4, 4, 4]),
    ("4", 19, &[4, 4, 4, 4, 3]),
    ("51", 16, &[4, 4, 4, 4]),
    ("55", 16, &[4, 4, 4, 4]),
    ("2221", 16, &[4, 4, 4, 4]),
    ("2720", 16, &[4, 4, 4, 4]),
    ("2204", 16, &[4, 4, 4, 4]),
    ("34", 15, &[4, 6, 5]),
    ("37", 15, &[4, 6, 5]),
    ("300", 14, &[4, 6, 4]),
    ("305", 14, &[4, 6, 4]),
    ("36", 14, &[4, 6, 4]),
    ("38", 14, &[4, 6, 4]),
    ("3528", 16, &[4, 4, 4, 4]),
    ("3589", 16, &[4, 4, 4, 4]),
    ("6011", 16, &[4, 4, 4, 4]),
    ("644", 16, &[4, 4, 4, 4]),
    ("65", 16, &[4, 4, 4, 4]),
    ("62", 16, &[4, 4, 4, 4]),
    ("62", 19, &[6, 13]),
    ("62", 19, &[4, 4, 4, 4, 3]),
    ("6304", 16, &[4, 4, 4, 4]),
    ("6759", 18, &[4, 4, 4, 4, 2]),
    ("6761", 19, &[4, 4, 4, 4, 3]),
    ("5018", 12, &[4, 4, 4]),
    ("5018", 13, &[4, 4, 5]),
    ("5020", 16, &[4, 4, 4, 4]),
    ("58", 16, &[4, 4, 4, 4]),
    ("60", 16, &[4, 4, 4, 4]),
    ("81", 16, &[4, 4, 4, 4]),
    ("9792", 16, &[4, 4, 4, 4]),
    ("62", 17, &[4, 4, 4, 4, 1]),
    ("62", 18, &[4, 4, 4, 4, 2]),
    ("67", 12, &[4, 4, 4]),
    ("67", 13, &[4, 4, 5]),
    ("67", 17, &[4, 4, 4, 4, 1]),
    ("57", 18, &[4, 4, 4, 4, 2]),
    ("507865", 18, &[4, 4, 4, 4, 2]),
    ("4903", 18, &[4, 4, 4, 4, 2]),
    ("6334", 19, &[4, 4, 4, 4, 3]),
    ("9704", 16, &[4, 4, 4, 4]),
    ("9704", 19, &[4, 4, 4, 4, 3]),
    ("9051", 16, &[4, 4, 4, 4]),
    ("9804", 16, &[4, 4, 4, 4]),
    ("1946", 16, &[4, 4, 4, 4]),
    ("94", 16, &[4, 4, 4, 4]),
    ("968201", 16, &[4, 4, 4, 4]),
    ("31", 19, &[4, 4, 4, 4, 3]),
];

fn card(chance: &mut Chance, prefix: &str, length: usize) -> String {
    let rest = chance.like(&"#".repeat(length - prefix.len()));
    checked(&format!("{prefix}{rest}"), 2)
}

fn grouped(digits: &str, lengths: &[usize], gap: &str) -> String {
    let mut rest = digits;
    let mut groups = Vec::new();
    for length in lengths {
        let (group, behind) = rest.split_at((*length).min(rest.len()));
        groups.push(group);
        rest = behind;
    }
    groups.push(rest);
    groups.retain(|group| !group.is_empty());
    groups.join(gap)
}

/// What people put between the groups.
const GAPS: &[&str] = &[
    " ",
    "-",
    ".",
    "_",
    "  ",
    "    ",
    "          ",
    "\t",
    " - ",
    "\u{a0}",
    "\u{2009}",
    "\u{202f}",
    "\u{3000}",
    "\u{2013}",
    "\u{2014}",
    "\u{b7}",
    "\u{2022}",
    "\n",
    "\r\n",
    " \n ",
    "-\n",
    "\u{2028}",
    "|",
    " | ",
    "\t|\t",
    "/",
    ",",
    "'",
    "*",
    ":",
    "+",
    "=",
    "\u{200b}",
    "\u{200b} ",
    "\u{ad}",
    "\u{2060}",
    "\u{200e}",
    "\u{2066}",
    "\u{fe0f}",
    " / ",
    " : ",
    " ~ ",
    ") (",
    "** **",
    "\n> ",
    ", ",
    "; ",
    ",\n",
    "\",\"",
    "', '",
    "\n\n",
    "\r\n\r\n",
    "\n* ",
    "\n- ",
    "&nbsp;",
    "&#160;",
    "%20",
    "%2D",
    "<br>",
    "</td><td>",
    "\\n",
    "\u{3001}",
    "\u{2026}",
    "][",
    "~~ ~~",
    " -> ",
    " || ",
    "\u{1F449}",
    "\u{fffd}",
    "\u{fdd0}",
    "\u{e000}",
];

/// Writes a digit in other signs.
type Dress = fn(u32) -> String;

/// The same digits in other signs.
const DRESSES: &[(&str, Dress)] = &[
    ("arabic", |n| char::from_u32(0x660 + n).unwrap().into()),
    ("persian", |n| char::from_u32(0x6F0 + n).unwrap().into()),
    ("devanagari", |n| char::from_u32(0x966 + n).unwrap().into()),
    ("full width", |n| char::from_u32(0xFF10 + n).unwrap().into()),
    ("bold", |n| char::from_u32(0x1D7CE + n).unwrap().into()),
    ("monospace", |n| char::from_u32(0x1D7F6 + n).unwrap().into()),
    ("segmented", |n| char::from_u32(0x1FBF0 + n).unwrap().into()),
    ("Unicode 15, Kawi", |n| char::from_u32(0x11F50 + n).unwrap().into()),
    ("Unicode 15, Nag Mundari", |n| char::from_u32(0x1E4F0 + n).unwrap().into()),
    ("Unicode 16, outlined", |n| char::from_u32(0x1CCF0 + n).unwrap().into()),
    ("Unicode 16, Garay", |n| char::from_u32(0x10D40 + n).unwrap().into()),
    ("Unicode 16, Myanmar", |n| char::from_u32(0x116DA + n).unwrap().into()),
    ("Unicode 16, Ol Onal", |n| char::from_u32(0x1E5F1 + n).unwrap().into()),
    ("keycaps", |n| format!("{n}\u{FE0F}\u{20E3}")),
    ("struck through", |n| format!("{n}\u{336}")),
    ("underlined", |n| format!("{n}\u{332}")),
    ("with an accent each", |n| format!("{n}\u{301}")),
    ("joined by what is not seen", |n| format!("{n}\u{200D}")),
    ("turned round and back", |n| format!("\u{202D}{n}\u{202C}")),
    ("isolated", |n| format!("\u{2068}{n}\u{2069}")),
    ("in rings", |n| {
        if n == 0 { "\u{24EA}".into() } else { char::from_u32(0x245F + n).unwrap().into() }
    }),
    ("with a vowel each", |n| format!("{n}\u{903}")),
    ("with a sign of nobody's each", |n| format!("{n}\u{e000}")),
    ("below the line", |n| char::from_u32(0x2080 + n).unwrap().into()),
];

fn dressed(text: &str, dress: fn(u32) -> String) -> String {
    let sign = |char: char| char.to_digit(10).map_or_else(|| char.to_string(), dress);
    text.chars().map(sign).collect()
}

/// Groups that people write a number of this length in, whoever issued it.
fn groups_of(length: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![vec![]];
    match length {
        14 => all.extend([vec![4, 4, 4, 2], vec![2, 4, 4, 4], vec![7, 7], vec![4, 10]]),
        15 => all.extend([
            vec![4, 4, 4, 3],
            vec![3, 4, 4, 4],
            vec![5, 5, 5],
            vec![4, 5, 6],
            vec![4, 11],
        ]),
        16 => all.extend([
            vec![8, 8],
            vec![4, 12],
            vec![12, 4],
            vec![4, 8, 4],
            vec![4, 4, 8],
            vec![6, 10],
            vec![6, 6, 4],
            vec![4, 4, 4, 2, 2],
            vec![2, 2, 4, 4, 4],
            vec![4, 4, 4, 3, 1],
        ]),
        19 => all.extend([vec![4, 4, 4, 7], vec![8, 8, 3], vec![10, 9], vec![16, 3]]),
        _ => {}
    }
    if matches!(length, 14 | 15 | 16 | 19) {
        all.extend((1..=8).map(|size| vec![size; length.div_ceil(size)]));
    }
    all
}

#[derive(Default)]
struct Missed(Vec<String>);

impl Missed {
    /// Between words, and on lines of its own.
    fn hides(&mut self, form: &str, number: &str) {
        for (before, after) in
            [("", ""), ("my card is ", ", thanks"), ("Card:", "."), ("x\n", "\ny")]
        {
            self.hides_between(form, before, number, after);
        }
    }

    fn hides_between(&mut self, form: &str, before: &str, number: &str, after: &str) {
        let shown = Redactor::default().redact(&format!("{before}{number}{after}")).into_owned();
        if shown != format!("{before}{PLACEHOLDER}{after}") {
            self.0.push(format!("{form}: {before}{number}{after} -> {shown}"));
        }
    }

    fn none(self) {
        let shown: Vec<_> =
            self.0.iter().take(40).map(|miss| miss.escape_debug().to_string()).collect();
        assert!(self.0.is_empty(), "{} stay:\n{}", self.0.len(), shown.join("\n"));
    }
}

#[test]
fn no_card_stays_however_it_is_written() {
    let mut chance = Chance(1);
    let mut missed = Missed::default();
    for (prefix, length, printed) in CARDS {
        for nth in 0..2 {
            let card = card(&mut chance, prefix, *length);
            for gap in GAPS {
                let written = grouped(&card, printed, gap);
                missed.hides("as printed", &written);
                missed.hides_between("beside numbers", "order 12, ", &written, ", 12/27 123");
            }
            for groups in groups_of(*length) {
                for gap in [" ", "-", ".", " - ", "\u{a0}"] {
                    missed.hides("in groups", &grouped(&card, &groups, gap));
                }
            }
            for (name, dress) in DRESSES.iter().filter(|_| nth == 0) {
                for gap in ["", " ", "-"] {
                    missed.hides(name, &dressed(&grouped(&card, printed, gap), *dress));
                }
            }
        }
    }
    missed.none();
}

/// Issuers of sixteen digits in fours, as most are.
const SIXTEEN: &[&str] = &["4", "51", "2300", "6011", "62", "65"];

fn sixteen(chance: &mut Chance) -> String {
    let prefix = chance.one(SIXTEEN);
    card(chance, prefix, 16)
}

fn in_fours(card: &str, gap: &str) -> String {
    grouped(card, &[4; 5], gap)
}

/// What may stand directly before and behind a card in one piece.
const BESIDE: &[(&str, &str)] = &[
    ("7333,", ",12/24,927"),
    ("12/21,", ""),
    ("1.", ""),
    ("1. ", "\nsecond"),
    ("49,", ""),
    ("49.", ",00"),
    ("a;", ";123"),
    ("{\"pan\":\"", "\",\"exp\":\"1227\"}"),
    ("<pan>", "</pan>"),
    ("cc-", "-aa"),
    ("Visa", "EUR"),
    ("1225 ", ""),
    ("", " 1225"),
    ("", "|12|27|123"),
    ("", ":12/27:123"),
    ("0170 1234567 ", ""),
    ("https://x.example/cart,", ""),
    ("https://x.example/cart;", ""),
    ("https://x.cn/a\u{3002}", ""),
    ("https://x.cn/a\u{ff0c}", ""),
    ("(https://x.example/cart)", ""),
    ("[cart](https://x.example/cart)", ""),
    ("'https://x.example/cart'", ""),
    ("https://x.example/cart|", ""),
    ("Meine Karte.Nummer/", ""),
    ("https://x.example/pay?cc=", ""),
    ("https://x.example/pay?ccn=", "&x=1"),
    ("https://x.example/pay?number=", ""),
    ("https://x.example/pay?a=1&cardNumber=", ""),
    ("https://x.example/pay?card_no=", ""),
    ("https://x.example/pay?kreditkartennummer=", ""),
    ("https://x.example/pay?pan=", ""),
    ("https://x.example/pay?n=", "&cvc=123"),
    ("https://x.example/pay?text=my+card+is+", ""),
    ("https://x.example/card/", ""),
    ("x.example/karte/", "/pay"),
];

#[test]
fn no_card_stays_whatever_stands_beside_it() {
    let mut chance = Chance(4);
    let mut missed = Missed::default();
    for (before, after) in BESIDE {
        for _ in 0..100 {
            missed.hides_between("in one piece", before, &sixteen(&mut chance), after);
        }
    }
    for _ in 0..100 {
        let amex = card(&mut chance, "37", 15);
        missed.hides_between("behind a plus", "+", &amex, "");
        let eights = grouped(&sixteen(&mut chance), &[8, 8], " ");
        for (before, after) in [("", " 1225"), ("", " 2031"), ("31480 ", ""), ("2 ", " 12/27")] {
            missed.hides_between("eights", before, &eights, after);
        }
        for groups in [&[4, 12][..], &[6, 10]] {
            let written = grouped(&sixteen(&mut chance), groups, " ");
            missed.hides_between("two groups", "", &written, " 1225");
        }
        let pairs = grouped(&sixteen(&mut chance), &[2; 8], " ");
        missed.hides_between("pairs", "", &pairs, " 12 28");
        for groups in [&[5, 5, 5][..], &[3, 4, 4, 4], &[4, 4, 4, 3], &[4, 6, 5]] {
            let written = grouped(&card(&mut chance, "34", 15), groups, " ");
            let shown = Redactor::default().redact(&format!("{written} 1225")).into_owned();
            // With the date another number may be valid by chance.
            if ![format!("{PLACEHOLDER} 1225"), PLACEHOLDER.to_owned()].contains(&shown) {
                missed.0.push(format!("fifteen: {written} -> {shown}"));
            }
        }
        let airline = card(&mut chance, "1", 15);
        missed.hides_between("an airline's", "card ", &airline, "");
    }
    missed.none();
}

/// Cards in fours among others and what is said with them: `A`, `B` and `C` are cards.
const TOGETHER: &[&str] = &[
    "A B",
    "A B C",
    "A\nB\nC",
    "2024 A B",
    "A B 4321",
    "A 1220 B 0126",
    "A 1225 4321",
    "A 1225 123",
    "1225 A",
    "0034 A",
    "0089 A",
    "9205 A",
    "9405 A",
    "A, B",
    "49,90 A",
    "0170 1234567 A",
    "12 A 12 27",
];

#[test]
fn no_card_stays_among_others() {
    let mut chance = Chance(5);
    let mut stay = Vec::new();
    for pattern in TOGETHER {
        for gap in [" ", "-", "\t", "\n", ".", "\u{a0}"] {
            // What else stands on the line is a column's only where all of it is one.
            if gap == "\n" && (pattern.contains(['\n', ',', '9', '7']) || *pattern == "0034 A") {
                continue;
            }
            for _ in 0..40 {
                let cards = [(); 3].map(|()| sixteen(&mut chance));
                let mut text = pattern.replace(' ', if gap == "\n" { "\n" } else { " " });
                for (name, card) in ["A", "B", "C"].iter().zip(&cards) {
                    text = text.replace(name, &in_fours(card, gap));
                }
                let shown = Redactor::default().redact(&text).into_owned();
                let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
                let said = pattern.chars().filter(char::is_ascii_digit).count();
                if digits.len() > said {
                    stay.push(format!("{} -> {}", text.escape_debug(), shown.escape_debug()));
                }
            }
        }
    }
    let shown: Vec<_> = stay.iter().take(20).cloned().collect();
    assert!(stay.is_empty(), "{} stay:\n{}", stay.len(), shown.join("\n"));
}

#[test]
fn no_card_stays_digit_by_digit_or_counted() {
    let mut chance = Chance(6);
    let mut missed = Missed::default();
    for _ in 0..40 {
        let card = sixteen(&mut chance);
        let by = |gap| grouped(&card, &[1; 16], gap);
        for gap in [" ", ",", ", ", "/", "\n", "\t", "    ", " | ", "-", "*", "\n\n", "><", " > "] {
            missed.hides("digit by digit", &by(gap));
        }
        for outer in ["     ", " | ", "\n", "\t", ", ", " / ", "   ", "\n\n"] {
            let fours: Vec<_> =
                in_fours(&card, " ").split(' ').map(|four| grouped(four, &[1; 4], " ")).collect();
            missed.hides("digit by digit in fours", &fours.join(outer));
        }
        missed.hides("pairs", &grouped(&card, &[2; 8], "\t"));
        for gap in ["\t", "/", "    ", " / ", "|", ":", "*"] {
            missed.hides("eights", &grouped(&card, &[8, 8], gap));
        }
        for gap in [".", ",", " ", "'", "\u{2009}"] {
            missed.hides("as a number", &grouped(&card, &[1, 3, 3, 3, 3, 3], gap));
        }
        let fours: Vec<_> = (0..4).map(|nth| card.split_at(nth * 4).1.split_at(4).0).collect();
        let [a, b, c, d] = fours[..] else { panic!("four fours") };
        for written in [
            format!("{a}/{b} {c}/{d}"),
            format!("{a}-{b} {c}-{d}"),
            format!("{a}.{b},{c}.{d}"),
            format!("{a}) {b} {c} {d}"),
            format!(
                "{a} {}\n{} {}\n{} {d}",
                b.split_at(2).0,
                b.split_at(2).1,
                c.split_at(2).0,
                c.split_at(2).1
            ),
        ] {
            missed.hides("mixed", &written);
        }
        missed.hides("over three lines", &grouped(&card, &[6, 6, 4], "\n"));
        for dot in [". ", ") ", ": "] {
            let counted = format!("{a}\n2{dot}{b}\n3{dot}{c}\n4{dot}{d}");
            missed.hides_between("counted", &format!("1{dot}"), &counted, "");
        }
        let reversed: String = card.chars().rev().collect();
        let fours: String = in_fours(&card, " ").chars().rev().collect();
        for reversed in [reversed, fours] {
            let shown =
                Redactor::default().redact(&format!("\u{202e}{reversed}\u{202c}")).into_owned();
            if shown != PLACEHOLDER {
                missed.0.push(format!("turned: {reversed} -> {shown}"));
            }
        }
        for signs in ["〇一二三四五六七八九", "〇〡〢〣〤〥〦〧〨〩"] {
            let sign = |digit: char| {
                signs.chars().nth(usize::try_from(digit.to_digit(10).unwrap()).unwrap()).unwrap()
            };
            missed.hides("Chinese", &card.chars().map(sign).collect::<String>());
        }
        let written = |prefix, length, groups: &[usize], chance: &mut Chance| {
            grouped(&self::card(chance, prefix, length), groups, " ")
        };
        missed.hides("sixes", &written("62", 18, &[6, 6, 6], &mut chance));
        missed.hides("threes", &written("62", 18, &[3; 6], &mut chance));
    }
    missed.none();
}

#[test]
fn a_line_may_end_anywhere_in_a_card() {
    let mut chance = Chance(2);
    let mut missed = Missed::default();
    for (prefix, length, printed) in CARDS {
        let card = card(&mut chance, prefix, *length);
        for written in [card.clone(), grouped(&card, printed, " "), grouped(&card, printed, "-")] {
            for at in 1..written.len() {
                for end in ["\n", "\r\n", "\n  "] {
                    let (first, second) = written.split_at(at);
                    missed.hides("over two lines", &format!("{first}{end}{second}"));
                }
            }
        }
    }
    missed.none();
}

/// A card behind digits with which its beginning makes another valid number.
#[test]
fn the_rest_of_a_card_does_not_stay_behind_a_match_by_chance() {
    let mut chance = Chance(3);
    let mut found = 0;
    while found < 200 {
        let card = card(&mut chance, "4", 16);
        let before = chance.like("5#1#");
        let first = format!("{before}{}", card.split_at(12).0);
        if checked(&first, 2) != first {
            continue;
        }
        found += 1;
        let text = format!("{before} {}", grouped(&card, &[4, 4, 4, 4], " "));
        let hidden = Redactor::default().redact(&text).into_owned();
        assert!(!hidden.contains(card.split_at(12).1), "{text}: {hidden}");
    }
}

const ACCOUNTS: &[&str] = &[
    "DE89370400440532013000",
    "GB29NWBK60161331926819",
    "FR1420041010050500013M02606",
    "NO9386011117947",
    "NL91ABNA0417164300",
    "MT84MALT011000012345MTLCAST001S",
];

#[test]
fn no_account_stays_to_a_word_or_in_other_letters() {
    let mut missed = Missed::default();
    for iban in ACCOUNTS {
        let (head, rest) = iban.split_at(4);
        missed.hides_between(
            "in brackets",
            "(",
            &format!("{head}) {}", grouped(rest, &[4; 8], " ")),
            "",
        );
        missed.hides_between("to a word", "Konto", &grouped(iban, &[4; 9], " "), "");
        missed.hides_between("to a word", "Konto", iban, "BIC");
        for capital in [0x1D400, 0x1D434, 0x1D5A0, 0x24B6, 0xFF21, 0x1F130] {
            let letter = |sign: char| match sign {
                'A'..='Z' => char::from_u32(capital + u32::from(sign) - u32::from('A')).unwrap(),
                _ => sign,
            };
            missed.hides("in other letters", &iban.chars().map(letter).collect::<String>());
        }
        let alike = |sign: char| match sign {
            'A' => '\u{410}',
            'B' => '\u{412}',
            'T' => '\u{422}',
            'M' => '\u{39c}',
            'N' => '\u{39d}',
            _ => sign,
        };
        missed.hides("in letters that look alike", &iban.chars().map(alike).collect::<String>());
    }
    missed.none();
}

#[test]
fn no_account_stays_however_it_is_written() {
    let mut missed = Missed::default();
    for iban in ACCOUNTS {
        for gap in GAPS.iter().filter(|gap| !matches!(**gap, "+" | "=")) {
            missed.hides("in fours", &grouped(iban, &[4; 9], gap));
        }
        for (before, after) in [
            ("(", ")"),
            ("> ", ""),
            ("**", "**"),
            ("https://x.example/a,", ""),
            ("https://x.cn/a\u{ff0c}", ""),
            ("https://x.example/p?iban=", ""),
            ("https://x.example/p?to=", "&amount=3"),
            ("meine.Bank/", ""),
            ("BIC/", ""),
        ] {
            missed.hides_between("beside", before, iban, after);
        }
        for at in 1..iban.len() {
            for end in ["\n", "\r\n", "\n  "] {
                let (first, second) = iban.split_at(at);
                let letters_only = first.len() < 2;
                if !letters_only {
                    missed.hides("over two lines", &format!("{first}{end}{second}"));
                }
            }
        }
        for (name, dress) in DRESSES {
            missed.hides(name, &dressed(iban, *dress));
            missed.hides(name, &dressed(&grouped(iban, &[4; 9], " "), *dress));
        }
    }
    for written in [
        "DE89 37040044 0532013000",
        "DE 89 37040044 0532013000",
        "FR14 20041 01005 0500013M026 06",
        "MT84 MALT 01100 0012345MTLCAST001S",
        "QA58 DOHB 00001234567890ABCDEFG",
    ] {
        missed.hides("as banks part it", written);
    }
    missed.none();
}

/// Everyday numbers: a name, and one of them.
type Kind = (&'static str, fn(&mut Chance) -> String);

fn date(chance: &mut Chance) -> (u64, u64, u64) {
    (chance.from(1950, 2030), chance.from(1, 12), chance.from(1, 28))
}

fn moment(chance: &mut Chance) -> (u64, u64, u64) {
    (chance.below(24), chance.below(60), chance.below(60))
}

fn phone(chance: &mut Chance) -> String {
    let form = chance.one(&[
        "0170 #######",
        "030 ########",
        "+49 170 #######",
        "0049 170 #######",
        "06 ## ## ## ##",
        "+33 6 ## ## ## ##",
        "0# ## ## ## ##",
        "(###) ###-####",
        "###-###-####",
        "###.###.####",
        "+1 ### ### ####",
        "07### ######",
        "+44 7### ######",
        "020 #### ####",
        "6## ## ## ##",
        "6## ### ###",
        "+34 6## ### ###",
        "3## #######",
        "079 ### ## ##",
        "+41 79 ### ## ##",
        "0664 #######",
        "04## ### ###",
        "9#### #####",
        "+91 9#### #####",
        "13# #### ####",
        "+86 13# #### ####",
        "090-####-####",
        "(##) 9####-####",
        "070-### ## ##",
        "06-########",
        "6## ### ###",
        "1##########",
        "06########",
        "4915########",
        "447#########",
        "5511#########",
    ]);
    chance.like(form)
}

const KINDS: &[Kind] = &[
    ("IMEI", |c| {
        checked(
            &format!("{}{}", c.one(&["35", "86", "01", "99", "91"]), c.like("#############")),
            2,
        )
    }),
    ("IMEI as printed", |c| {
        let imei =
            checked(&format!("{}{}", c.one(&["35", "86", "01"]), c.like("#############")), 2);
        grouped(&imei, &[2, 6, 6, 1], c.one(&["-", " "]))
    }),
    ("two IMEI", |c| {
        let mut imei = || checked(&format!("35{}", c.like("#############")), 2);
        format!("{} {}", imei(), imei())
    }),
    ("ICCID of 19", |c| checked(&format!("89{}", c.like("#################")), 2)),
    ("ICCID of 20", |c| checked(&format!("89{}", c.like("##################")), 2)),
    ("ICCID in fours", |c| {
        let digits = c.one(&["#################", "##################"]);
        grouped(&checked(&format!("89{}", c.like(digits)), 2), &[4; 5], " ")
    }),
    ("phone", phone),
    ("French phones side by side", |c| c.like("0# ## ## ## ## 0# ## ## ## ##")),
    ("French phones by a slash", |c| c.like("0# ## ## ## ## / 0# ## ## ## ##")),
    ("phones side by side", |c| format!("{} {}", phone(c), phone(c))),
    ("phones on lines", |c| format!("{}\n{}\n{}", phone(c), phone(c), phone(c))),
    ("phones with a comma", |c| format!("{}, {}", phone(c), phone(c))),
    ("time in two pieces", |c| {
        let ((y, m, d), (h, min, s)) = (date(c), moment(c));
        format!("{y}{m:02}{d:02}{}{h:02}{min:02}{s:02}", c.one(&["_", "-", " ", "T"]))
    }),
    ("picture's name", |c| {
        let ((y, m, d), (h, min, s)) = (date(c), moment(c));
        format!(
            "{}_{y}{m:02}{d:02}_{h:02}{min:02}{s:02}{}.jpg",
            c.one(&["IMG", "PXL", "VID"]),
            c.like("###")
        )
    }),
    ("time in one piece", |c| {
        let ((y, m, d), (h, min, s)) = (date(c), moment(c));
        format!("{y}{m:02}{d:02}{h:02}{min:02}{s:02}{}", c.like_one(&["", "###"]))
    }),
    ("time", |c| {
        let ((y, m, d), (h, min, s)) = (date(c), moment(c));
        format!("{y}-{m:02}-{d:02} {h:02}:{min:02}:{s:02}.{}", c.like("######"))
    }),
    ("milliseconds, microseconds, nanoseconds", |c| {
        c.like_one(&["17###########", "16###########", "17##############", "17#################"])
    }),
    ("two dates", |c| {
        let mut one = || {
            let (y, m, d) = date(c);
            format!("{d:02}.{m:02}.{y}")
        };
        format!("{} - {}", one(), one())
    }),
    ("two dates with hyphens", |c| {
        let mut one = || {
            let (y, m, d) = date(c);
            format!("{y}-{m:02}-{d:02}")
        };
        format!("{} {}", one(), one())
    }),
    ("dates in one piece", |c| {
        let mut one = || {
            let (y, m, d) = date(c);
            format!("{y}{m:02}{d:02}")
        };
        format!("{} {} {}", one(), one(), one())
    }),
    ("years", |c| {
        let from = c.from(1950, 2020);
        let step = c.from(1, 5);
        let years: Vec<_> = (0..c.from(3, 12)).map(|nth| (from + nth * step).to_string()).collect();
        years.join(c.one(&[" ", ", ", "\n", "\t", "-", "/"]))
    }),
    ("years in any order", |c| {
        let years: Vec<_> = (0..c.from(3, 10)).map(|_| c.from(1950, 2030).to_string()).collect();
        years.join(c.one(&[" ", ", ", "\n", "\t"]))
    }),
    ("sizes", |c| {
        let from = c.from(10, 44);
        let step = c.from(1, 2);
        let sizes: Vec<_> = (0..c.from(3, 14)).map(|nth| (from + nth * step).to_string()).collect();
        sizes.join(c.one(&[" ", "-", ", ", "\n", "\t", "/", ","]))
    }),
    ("prices", |c| {
        let from = c.from(100, 800) * 10;
        let step = c.from(1, 10) * 10;
        let sizes: Vec<_> = (0..c.from(3, 10)).map(|nth| (from + nth * step).to_string()).collect();
        sizes.join(c.one(&[" ", ", ", "\n", "\t", " / "]))
    }),
    ("amounts", |c| {
        c.like_one(&[
            "*.###,##",
            "** ###,##",
            "*,###,###.##",
            "*### ###",
            "#,###########",
            "0.################",
        ])
    }),
    ("order", |c| {
        c.like_one(&[
            "##########",
            "############",
            "*#########",
            "100-20##-#####",
            "30#-#######-#######",
            "GPA.33##-####-####-#####",
            "##-#####-#####",
            "ORD-########-####",
        ])
    }),
    ("parcel", |c| match c.below(6) {
        0 => c.like("0034043#############"),
        1 => grouped(&checked(&format!("00340434{}", c.like("############")), 3), &[4; 5], " "),
        2 => grouped(&checked(&format!("94{}", c.like("####################")), 3), &[4; 6], " "),
        3 => c.like("1Z###@@##########"),
        4 => c.like("@@#########DE"),
        _ => c.like_one(&["0#############", "1#############", "############", "9632############"]),
    }),
    ("EAN", |c| checked(&c.like("#############"), 3)),
    ("EAN of Germany and China", |c| {
        checked(
            &c.like_one(&["40###########", "69###########", "50###########", "59###########"]),
            3,
        )
    }),
    ("EAN as printed", |c| grouped(&checked(&c.like("#############"), 3), &[1, 6, 6], " ")),
    ("ISBN", |c| grouped(&checked(&c.like("978##########"), 3), &[3, 1, 2, 6, 1], "-")),
    ("GTIN-14", |c| checked(&c.like("##############"), 3)),
    ("UUID", |c| c.like("hhhhhhhh-hhhh-4hhh-ahhh-hhhhhhhhhhhh")),
    ("UUID with capitals", |c| c.like("hhhhhhhh-hhhh-4hhh-ahhh-hhhhhhhhhhhh").to_uppercase()),
    ("UUIDs", |c| {
        c.like("hhhhhhhh-hhhh-4hhh-ahhh-hhhhhhhhhhhh hhhhhhhh-hhhh-7hhh-bhhh-hhhhhhhhhhhh")
    }),
    ("commit", |c| c.like("hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh")),
    ("SHA-256", |c| c.like("hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh")),
    ("object id", |c| c.like("hhhhhhhhhhhhhhhhhhhhhhhh")),
    ("bytes", |c| c.like("hh hh hh hh hh hh hh hh hh hh hh hh hh hh hh hh")),
    ("link with an id", |c| {
        format!(
            "https://shop.example/{}",
            c.like_one(&[
                "p/################",
                "item/###############",
                "x?id=################&v=4",
                "a-b-c-##############.html",
                "v/4###############",
                "de12/####-####-####-####"
            ])
        )
    }),
    ("link with letters", |c| {
        format!("https://shop.example/p/{}", c.like("@@##@#@@##############@#@"))
    }),
    ("link to a map", |c| format!("https://maps.example/@{},17z", c.like("48.#######,2.#######"))),
    ("coordinates", |c| {
        c.like_one(&[
            "4#.######, 2.######",
            "-33.#######,151.#######",
            "4#.############## 11.##############",
            "52.##### 13.#####",
        ])
    }),
    ("address of a machine", |c| {
        format!(
            "{}.{}.{}.{}:{}",
            c.below(256),
            c.below(256),
            c.below(256),
            c.below(256),
            c.below(65536)
        )
    }),
    ("serial number", |c| {
        c.like_one(&["@@##@#######", "SN: @@############", "@####-#####-####", "###-###-###-###"])
    }),
    ("VIN", |c| c.like("WVWZZZ1JZ@@######")),
    ("zip codes", |c| {
        let codes: Vec<_> = (0..c.from(2, 6)).map(|_| c.like("#####")).collect();
        codes.join(c.one(&[", ", "\n", " "]))
    }),
    ("id of a post", |c| c.like("1##################")),
    ("account in the old way", |c| c.like("BLZ ### ### ## Konto ##########")),
    ("EID in fours", |c| grouped(&c.like("89049032########################"), &[4; 8], " ")),
    ("ICCID in fours and what is said with it", |c| {
        let digits = c.one(&["#################", "##################"]);
        let chip =
            grouped(&checked(&format!("89{}", c.like(digits)), 2), &[4; 5], c.one(&[" ", "-"]));
        format!("{chip}{}", c.like_one(&["", " ####", " ########", ", PIN ####"]))
    }),
    ("ICCID on lines", |c| {
        grouped(&checked(&format!("89{}", c.like("##################")), 2), &[4; 5], "\n")
    }),
    ("IMEI with a quantity", |c| {
        format!("{} {}", checked(&format!("35{}", c.like("#############")), 2), c.like("*"))
    }),
    ("IMEI by name", |c| {
        let imei = checked(&c.like_one(&["34#############", "37#############"]), 2);
        let name = c.one(&["IMEI ", "IMEI: ", "imei 1: ", "IMEI2 = "]);
        format!("{name}{imei}")
    }),
    ("EAN with a quantity or a price", |c| {
        let start = c.one(&["40", "54", "60", "76", "36", "38", "62"]);
        let ean = checked(&format!("{start}{}", c.like("###########")), 3);
        format!("{ean} {}", c.like_one(&["*", "*#", "*##", "*,##"]))
    }),
    ("link with a name that is no card's", |c| {
        let name = c.one(&["wildcard", "account_id", "discard", "cardId", "id", "ref", "product"]);
        format!("https://shop.example/p?{name}={}", c.like("4###############"))
    }),
    ("path", |c| {
        let path = c.one(&["/orders/", "./img/", "../a/b/", "~/docs/", "/v1/users/7/orders/"]);
        format!("{path}{}", c.like("4###############"))
    }),
    ("file", |c| {
        c.like_one(&[
            "scan_4###############.pdf",
            "4###############.jpg",
            "IMG-5###############-a.PNG",
        ])
    }),
    ("address of mail", |c| {
        let name = c.like_one(&["4###############", "a.6###############", "5###############-b"]);
        format!("{name}\u{40}{}", c.one(&["mail.example", "x.example.org"]))
    }),
    ("link in brackets", |c| {
        c.like_one(&[
            "[here](https://shop.example/p/4###############)",
            "(see x.example/p/4###############)",
        ])
    }),
    ("SSCC with spaces", |c| {
        grouped(&checked(&c.like("#40###############"), 3), &[1, 7, 9, 1], " ")
    }),
    ("parcel with a wrong check", |c| grouped(&c.like("94####################"), &[4; 6], " ")),
    ("order and position", |c| c.like("*######### ######")),
    ("order of two parts", |c| c.like("ORD-########-########")),
    ("order and telephone", |c| {
        c.like("order ######## ########").replacen(
            "order",
            c.one(&["order", "Bestellung", "Tel.", "phone:"]),
            1,
        )
    }),
    ("bank and account", |c| c.like("######### ##########")),
    ("coordinates of many places", |c| c.like("*#.############# 1##.##")),
    ("fractions", |c| {
        let all: Vec<_> = (0..3)
            .map(|_| c.like_one(&["*#.##############", "*#.###############", "*.################"]))
            .collect();
        all.join(c.one(&[" ", ","]))
    }),
    ("table of four digits", |c| {
        let gap = c.one(&["\t", " "]);
        let rows: Vec<_> = (0..c.from(3, 5))
            .map(|_| {
                let row: Vec<_> = (0..4).map(|_| c.like("*###")).collect();
                row.join(gap)
            })
            .collect();
        rows.join("\n")
    }),
    ("long list of four digits", |c| {
        let all: Vec<_> = (0..c.from(6, 14)).map(|_| c.like("*###")).collect();
        all.join(c.one(&[" ", ", ", "\n", "\t", ",", " / "]))
    }),
    ("prices in any order", |c| {
        let all: Vec<_> = (0..c.from(3, 8)).map(|_| (c.from(100, 999) * 10).to_string()).collect();
        all.join(c.one(&[", ", "\n", "\t", " / "]))
    }),
    ("IPv6 of digits", |c| c.like("*###:*###:*###:*###:*###:*###:*###:*###")),
    ("ISSN", |c| {
        let all: Vec<_> =
            (0..3).map(|_| c.like_one(&["0###-####", "1###-####", "2###-####"])).collect();
        all.join(" ")
    }),
    ("clock times", |c| {
        let all: Vec<_> = (0..c.from(3, 8))
            .map(|_| {
                let (h, min, _) = moment(c);
                format!("{h:02}{min:02}")
            })
            .collect();
        all.join(" ")
    }),
    ("results", |c| {
        let all: Vec<_> = (0..8).map(|_| c.like("*:#")).collect();
        all.join(" ")
    }),
    ("sizes in any order", |c| {
        let from = c.from(30, 40);
        let all: Vec<_> = (0..8).map(|_| (from + c.below(12)).to_string()).collect();
        all.join(" ")
    }),
    ("citizen of China", |c| {
        let (y, m, d) = date(c);
        format!("{}{y}{m:02}{d:02}{}", c.like_one(&["62####", "64####", "65####"]), c.like("####"))
    }),
    ("telephone of Germany without its plus", |c| c.like("4930#########")),
    ("SIRET by name", |c| format!("SIRET {}", checked(&c.like("3#############"), 2))),
    ("numbers in a sentence", |c| c.like("from ## to ##, room ###, # nights, *## EUR, at ##:##")),
];

#[test]
fn everyday_numbers_stay() {
    let mut over = Vec::new();
    for (nth, (name, make)) in KINDS.iter().enumerate() {
        let mut chance = Chance(1_000 + nth as u64);
        let mut hidden = Vec::new();
        for _ in 0..EACH {
            let number = make(&mut chance);
            for text in [number.clone(), format!("it is {number}, thanks")] {
                let shown = Redactor::default().redact(&text).into_owned();
                if shown != text {
                    hidden.push(format!("{text} -> {shown}"));
                }
            }
        }
        if hidden.len() * 100 > EACH * 2 {
            let percent = hidden.len() * 100 / (EACH * 2);
            let shown: Vec<_> =
                hidden.iter().take(6).map(|text| text.escape_debug().to_string()).collect();
            over.push(format!("{name}: {percent} %\n  {}", shown.join("\n  ")));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
