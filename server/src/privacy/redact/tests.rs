//! What must be hidden, and what must not.

use std::borrow::Cow;

use proptest::prelude::*;

use super::iban::COUNTRIES;
use super::{BadPattern, PATTERN_BYTES_MAX, PATTERNS_MAX, PLACEHOLDER, Redactor};

fn redact(text: &str) -> String {
    Redactor::default().redact(text).into_owned()
}

#[test]
fn card_numbers_are_hidden_however_they_are_written() {
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111  1111 - 1111\u{a0}1111",
        "4111\u{2011}1111\u{2011}1111\u{2011}1111",
        "4111\u{200b}1111\u{200b}1111\u{200b}1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41111111 11111111",
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "４１１１１１１１１１１１１１１１",
        "𝟰𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭𝟭",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "3056 930902 5904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
        "4222222222222",
        "6304000000000000",
        "4000000000000000006",
    ] {
        assert_eq!(redact(card), PLACEHOLDER, "{card}");
        assert_eq!(
            redact(&format!("my card:{card}, thanks")),
            format!("my card:{PLACEHOLDER}, thanks")
        );
        assert_eq!(redact(&format!("CARD{card}x")), format!("CARD{PLACEHOLDER}x"));
    }
}

#[test]
fn what_stands_beside_a_card_number_stays() {
    assert_eq!(redact("4111 1111 1111 1111 12/27 123"), format!("{PLACEHOLDER} 12/27 123"));
    assert_eq!(redact("order 12 4111 1111 1111 1111"), format!("order 12 {PLACEHOLDER}"));
    assert_eq!(
        redact("4111111111111111 5555555555554444"),
        format!("{PLACEHOLDER} {PLACEHOLDER}"),
        "two of them"
    );
}

#[test]
fn account_numbers_are_hidden_however_they_are_written() {
    for iban in [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89 3704 0044 0532 0130 00",
        "GB29-NWBK-6016-1331-9268-19",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "ＤＥ８９３７０４００４４０５３２０１３０００",
    ] {
        assert_eq!(redact(iban), PLACEHOLDER, "{iban}");
        assert_eq!(redact(&format!("IBAN {iban}.")), format!("IBAN {PLACEHOLDER}."));
        assert_eq!(redact(&format!("IBAN{iban}")), format!("IBAN{PLACEHOLDER}"));
    }
    let mistyped = "GB29 NWBK 6016 1331 9268 18";
    assert_eq!(redact(mistyped), mistyped);
}

#[test]
fn ordinary_numbers_survive() {
    for text in [
        "",
        "Hello, is anybody there?",
        "Grüße aus Köln – schön! 你好 🎉",
        "order 1234567890",
        "order no. 100-2026-00042",
        "order 4111111111111112",
        "parcel 00340434161094042557",
        "call +49 170 1234567 or 0170 1234567",
        "+1 (555) 123-4567",
        "+14155552671000",
        "0800 123 4567 0800 765 4321",
        "at 2026-11-24 02:05:12.123",
        "20261124020512",
        "log 1700000000000 and 1700000000004",
        "1700000000000003 1700000000000000000",
        "0000 0000 0000 0000",
        "version 1.2.3.4, 10.0.0.1, 192.168.178.20:8080",
        "3.14159265358",
        "EUR 1.234.567,89",
        "customer DE123456789, tax 12/345/67890",
        "ISBN 978-3-16-148410-0 costs 12,50",
        "550e8400-e29b-41d4-a716-446655440001",
        "https://shop.example/p/48151623?x=42",
        "room 4, floor 2, bed 1, 6 nights, 2 adults, 1 child, 3 bags, 1 dog, 2 cars, 5 keys",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14",
    ] {
        assert!(matches!(Redactor::default().redact(text), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn a_sites_own_patterns_are_hidden_too() {
    let redactor =
        Redactor::new(&["(?i)customer-\\d{4}".to_owned(), "\\bsecret\\w*".to_owned()]).unwrap();
    assert_eq!(
        redactor.redact("Customer-1234 has a secretword and 4111111111111111"),
        format!("{PLACEHOLDER} has a {PLACEHOLDER} and {PLACEHOLDER}")
    );
    assert_eq!(redactor.redact("customer-12"), "customer-12");
    let overlapping = Redactor::new(&["abcd".to_owned(), "cdef".to_owned()]).unwrap();
    assert_eq!(overlapping.redact("xabcdefx"), format!("x{PLACEHOLDER}x"));
}

#[test]
fn patterns_are_bounded_and_the_error_says_which() {
    let bad = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        Redactor::new(&patterns).unwrap_err()
    };
    assert_eq!(bad(&["a"; PATTERNS_MAX + 1]), BadPattern::TooMany);
    assert_eq!(bad(&["a", &"b".repeat(PATTERN_BYTES_MAX + 1)]), BadPattern::TooLong { index: 1 });
    assert_eq!(bad(&["(", "a"]), BadPattern::Invalid { index: 0 });
    assert_eq!(bad(&["a", "a", "\\w{1000}{1000}"]), BadPattern::Invalid { index: 2 });
    assert_eq!(bad(&["x*"]), BadPattern::MatchesNothing { index: 0 });
    assert_eq!(bad(&[&"(".repeat(90)]), BadPattern::Invalid { index: 0 });
}

#[test]
fn a_half_typed_text_shows_no_long_number() {
    let peek = |text: &'static str| Redactor::default().redact_peek(text).into_owned();
    assert_eq!(peek("my card is 4111 111"), format!("my card is {PLACEHOLDER}"));
    assert_eq!(peek("DE89 3704 0044"), format!("DE{PLACEHOLDER}"));
    assert_eq!(peek("order 123456"), "order 123456");
    assert_eq!(peek("4111111111111111 ok"), format!("{PLACEHOLDER} ok"));
}

/// Digits with their check digit.
fn with_check_digit(mut digits: Vec<u8>) -> Vec<u8> {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match u32::from(*digit) * if index % 2 == 0 { 2 } else { 1 } {
            doubled if doubled > 9 => doubled - 9,
            same => same,
        })
        .sum();
    digits.push(u8::try_from((10 - sum % 10) % 10).unwrap());
    digits
}

/// An account number of a country, which is given with its length: the account, and the check
/// digits that suit it.
fn account((country, length): (&str, usize), account: &[u32]) -> String {
    let account: String =
        account.iter().take(length - 4).map(|sign| char::from_digit(*sign, 36).unwrap()).collect();
    let remainder = format!("{account}{country}00").chars().fold(0, |remainder, sign| {
        let value = sign.to_digit(36).unwrap();
        (remainder * if value > 9 { 100 } else { 10 } + value) % 97
    });
    format!("{country}{:02}{account}", 98 - remainder)
}

proptest! {
    #[test]
    fn every_account_number_that_a_bank_could_give_is_hidden(
        country in 0..COUNTRIES.len(),
        rest in proptest::collection::vec(0..36_u32, 34),
        group in 1..=8_usize,
        gap in prop_oneof![Just(" "), Just(" - "), Just("\u{2009}"), Just("")],
        before in "([a-z]{1,4} |[0-9]{1,3}, ){0,3}",
    ) {
        let signs: Vec<char> = account(COUNTRIES[country], &rest).chars().collect();
        let groups: Vec<String> = signs.chunks(group).map(|chunk| chunk.iter().collect()).collect();
        let text = format!("{before}{}. Thanks", groups.join(gap));
        prop_assert_eq!(redact(&text), format!("{before}{PLACEHOLDER}. Thanks"));
    }

    #[test]
    fn every_number_that_an_issuer_could_give_is_hidden(
        (prefix, length) in prop_oneof![
            Just((&[3_u8, 4][..], 15)),
            Just((&[3, 7][..], 15)),
            Just((&[3, 6][..], 14)),
            Just((&[4][..], 16)),
            Just((&[4][..], 19)),
            Just((&[5, 4][..], 16)),
            Just((&[6][..], 16)),
            Just((&[6, 2][..], 19)),
        ],
        rest in proptest::collection::vec(0..10_u8, 19),
        group in 1..=8_usize,
        gap in prop_oneof![Just(" "), Just("-"), Just("."), Just("\u{2009}"), Just("")],
        // Letters of which no word is made that announces another number.
        before in "[abcdgh ,:]{0,8}",
        after in "[a-z ,:]{0,8}",
    ) {
        let digits = prefix.iter().chain(&rest).take(length - 1).copied().collect();
        let digits = with_check_digit(digits);
        let groups: Vec<String> = digits
            .chunks(group)
            .map(|chunk| chunk.iter().map(ToString::to_string).collect())
            .collect();
        let text = format!("{before}{}{after}", groups.join(gap));
        prop_assert_eq!(redact(&text), format!("{before}{PLACEHOLDER}{after}"));
    }

    #[test]
    fn no_text_breaks_it_and_hiding_again_changes_nothing(text in "\\PC{0,200}|[0-9 .-]{0,80}") {
        let once = redact(&text);
        prop_assert_eq!(&redact(&once), &once);
        let peek = Redactor::default().redact_peek(&text).into_owned();
        let mut run = 0;
        for char in peek.chars() {
            run = if char.is_ascii_digit() { run + 1 } else { 0 };
            prop_assert!(run < 7);
        }
    }
}
