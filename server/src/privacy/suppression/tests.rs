//! One form for the spellings of one person, and another for everybody else.

use proptest::prelude::*;

use super::*;

fn form(kind: IdentifierKind, text: &str) -> Option<String> {
    Identifier::of(kind, text).map(|of| of.form.into_exposed())
}

fn email(text: &str) -> Option<String> {
    form(IdentifierKind::Email, text)
}

fn phone(text: &str) -> Option<String> {
    form(IdentifierKind::Phone, text)
}

#[test]
fn an_address_has_one_form_however_it_is_spelled() {
    for same in [
        "ada.byron@example.test",
        " ADA.BYRON@EXAMPLE.TEST ",
        "adabyron@example.test",
        "a.d.a.b.y.r.o.n@example.test",
        "ada.byron+news@example.test",
        "ada.byron+a+b.c@example.test.",
        // Cyrillic а and о, Greek ο, full width, a digit.
        "\u{430}d\u{430}.byr\u{43e}n@example.test",
        "ada.byr\u{3bf}n@example.test",
        "\u{ff41}da.byron\u{ff20}example\u{3002}test",
        "\u{ff21}DA.BYRON\u{ff0b}x@example.test",
        "ada.byr0n@example.test",
        // Nothing that is seen.
        "a\u{200b}da.by\u{2060}ron@exam\u{ad}ple.test",
        "\u{202e}ada.byron@example.test\u{202c}",
        "\u{2066}ada.byron\u{2069}@example.test",
    ] {
        assert_eq!(email(same).as_deref(), Some("adabyron@example.test"), "{same:?}");
    }
    assert_eq!(email("lily@example.test"), email("1i1y@example.test"));
    assert_eq!(email("stra\u{df}e@example.test"), email("STRASSE@example.test"));
    assert_eq!(email("\u{3c3}\u{3c2}@example.test"), email("\u{3a3}\u{3a3}@example.test"));
}

#[test]
fn a_domain_is_as_idna_writes_it() {
    for same in [
        "x@m\u{fc}ller.example",
        "x@mu\u{308}ller.example",
        "x@M\u{dc}LLER.Example",
        "x@xn--mller-kva.example",
        "X@XN--MLLER-KVA.EXAMPLE.",
    ] {
        assert_eq!(email(same).as_deref(), Some("x@xn--mller-kva.example"), "{same:?}");
    }
    // Somebody else's domain, however it looks; nor do its dots and digits count for nothing.
    assert_ne!(email("x@ex\u{430}mple.test"), email("x@example.test"));
    assert_ne!(email("x@examp1e.test"), email("x@example.test"));
    assert_ne!(email("x@mail.example.test"), email("x@mailexample.test"));
}

#[test]
fn what_is_no_address_has_no_form() {
    for wrong in ["", "ada", "@example.test", "ada@", "ada@.", "a@b@example.test", "\u{200b}@x.y"] {
        assert_eq!(email(wrong), None, "{wrong:?}");
    }
    assert_eq!(email(&format!("{}@x.test", "a".repeat(IDENTIFIER_BYTES_MAX))), None);
    // What is nothing but tag and dots is somebody's name all the same.
    assert_eq!(email("+a@example.test").as_deref(), Some("+a@example.test"));
    assert!(email("..@example.test").is_some());
}

#[test]
fn a_minus_is_part_of_a_name() {
    assert_ne!(email("anna-maria@example.test"), email("anna@example.test"));
}

#[test]
fn a_phone_number_has_one_form() {
    for same in [
        "+49 30 123456",
        "0049 30 123456",
        "+49 (30) 12-34-56",
        "+49.30.123456",
        "+49 (0)30 123456",
        "tel:+4930123456",
        "+49 30 123456 ext. 7",
        "+49 30 123456x7",
        "+49 30 123456#7",
        "+49 30 123456;ext=7",
        "\u{ff0b}\u{ff14}\u{ff19} \u{ff13}\u{ff10} \u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}",
        " +49\u{a0}30\u{202f}123456\u{200e}",
    ] {
        assert_eq!(phone(same).as_deref(), Some("+4930123456"), "{same:?}");
    }
    assert_eq!(phone("(030) 123 456").as_deref(), Some("030123456"));
    for wrong in ["", "12", "none", "+", "00", "ext. 1234567"] {
        assert_eq!(phone(wrong), None, "{wrong:?}");
    }
}

#[test]
fn an_id_of_another_program_keeps_its_letters_and_a_username_its_look() {
    let id = |text| form(IdentifierKind::ExternalId, text);
    assert_eq!(id("CRM-1O"), id(" crm-1o\u{200b}"));
    assert_ne!(id("crm-10"), id("crm-1o"));
    let name = |text| form(IdentifierKind::Username, text);
    assert_eq!(name("Ada_10"), name("\u{430}d\u{430}_lo"));
    assert_ne!(name("ada.b"), name("adab"));
}

#[test]
fn kinds_are_told_apart_in_what_is_hashed() {
    let hashed = |kind, text| Identifier::of(kind, text).unwrap().hashed().into_exposed();
    let text = "x@y.test";
    let all: Vec<_> = [IdentifierKind::Email, IdentifierKind::ExternalId, IdentifierKind::Username]
        .map(|kind| hashed(kind, text))
        .into();
    assert_eq!(all, ["1 email x@y.test", "1 external_id x@y.test", "1 username x@y.test"]);
    let shown = format!("{:?}", Identifier::of(IdentifierKind::Email, text));
    assert!(!shown.contains("y.test"), "{shown}");
}

/// What an entry of before was hashed from must be found by the tables of today.
#[test]
fn forms_stay_what_they_were() {
    for (text, kept) in [
        ("M\u{e4}rz.K\u{f6}hler@example.test", "rn\u{e4}rzk\u{f6}hler@example.test"),
        ("\u{418}\u{432}\u{430}\u{43d}@example.test", "\u{1d0e}\u{299}a\u{29c}@example.test"),
        ("wil1iam@example.test", "williarn@example.test"),
    ] {
        assert_eq!(email(text).as_deref(), Some(kept), "{text:?}");
    }
}

/// A name without anything that the rules take out or fold.
const PLAIN: &str = "[a-hj-np-z2-9_][a-hj-np-z2-9_-]{0,12}";

/// Letters in another dress, which people do not tell apart.
fn dressed(char: char, dress: u8) -> String {
    let cyrillic = [
        ('a', '\u{430}'),
        ('e', '\u{435}'),
        ('p', '\u{440}'),
        ('c', '\u{441}'),
        ('x', '\u{445}'),
        ('y', '\u{443}'),
    ];
    match dress {
        0 => char.to_uppercase().collect(),
        1 => format!("{char}."),
        2 => format!("\u{200b}{char}\u{202e}"),
        3 => cyrillic
            .iter()
            .find(|(plain, _)| *plain == char)
            .map_or(char, |(_, other)| *other)
            .to_string(),
        4 if char.is_ascii_lowercase() => {
            char::from_u32(u32::from(char) + 0xfee0).unwrap_or(char).to_string()
        }
        _ => char.to_string(),
    }
}

proptest! {
    #[test]
    fn a_form_is_its_own_form(kind in 0usize..4, text in "\\PC{0,24}(@\\PC{1,8})?") {
        let kind = IdentifierKind::ALL[kind];
        if let Some(once) = form(kind, &text) {
            prop_assert_eq!(form(kind, &once), Some(once));
        }
    }

    #[test]
    fn dress_does_not_matter(
        name in PLAIN,
        dress in prop::collection::vec(0u8..8, 14),
        tag in "(\\+[a-z.+]{0,6})?",
    ) {
        let worn: String = name.chars().zip(&dress).map(|(char, dress)| dressed(char, *dress)).collect();
        prop_assert_eq!(
            email(&format!("{worn}{tag}@EXAMPLE.test")),
            email(&format!("{name}@example.test"))
        );
    }

    #[test]
    fn two_people_do_not_meet(one in PLAIN, other in PLAIN) {
        // `m` and `rn` are one by the skeleton.
        let plain = |name: &str| name.replace("rn", "m");
        prop_assume!(plain(&one) != plain(&other));
        prop_assert_ne!(email(&format!("{one}@example.test")), email(&format!("{other}@example.test")));
    }
}
