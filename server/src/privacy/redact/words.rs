//! The words beside a number, which say what it is where its form alone does not.

/// What people call a card, in the languages of the front ends and some more.
const CARD: [&str; 19] = [
    "card",
    "visa",
    "kart",
    "carte",
    "tarjeta",
    "carta",
    "kaart",
    "kort",
    "cart\u{e3}o",
    "credit",
    "kredit",
    "debit",
    "amex",
    "maestro",
    "\u{43a}\u{430}\u{440}\u{442}",
    "\u{30ab}\u{30fc}\u{30c9}",
    "\u{5361}",
    "\u{ce74}\u{b4dc}",
    "\u{628}\u{637}\u{627}\u{642}",
];

/// How words begin that announce another number.
const OTHER: [&str; 26] = [
    "imei", "iccid", "isbn", "issn", "gtin", "siret", "siren", "sscc", "telef", "phone", "mobil",
    "handy", "whatsapp", "order", "bestell", "auftrag", "rechnung", "invoice", "kunden",
    "commande", "pedido", "parcel", "paket", "sendung", "tracking", "serial",
];

/// And those that are too short to be looked for as beginnings.
const OTHER_WHOLE: [&str; 12] =
    ["tel", "fon", "fax", "eid", "sim", "ean", "upc", "puk", "pin", "gsm", "ord", "sn"];

/// Names of technical numbers, which may be as long as a card's.
const TECHNICAL: [&str; 12] = [
    "imei", "imeisv", "meid", "iccid", "eid", "siret", "siren", "isbn", "issn", "gtin", "ean",
    "sscc",
];

/// Bytes before a number in which a word counts that calls it a card.
const CARD_BYTES: usize = 60;

/// Bytes before a number in which a word counts that calls it something else, and nothing but the
/// number stands behind it.
const OTHER_BYTES: usize = 32;

/// The text before a place, at most so many bytes of it.
fn before(text: &str, at: usize, bytes: usize) -> &str {
    let from = (at.saturating_sub(bytes)..=at).find(|at| text.is_char_boundary(*at));
    from.and_then(|from| text.get(from..at)).unwrap_or_default()
}

/// Whether what begins here is called a card.
pub(super) fn is_called_card(text: &str, at: usize) -> bool {
    let before = before(text, at, CARD_BYTES).to_lowercase();
    CARD.iter().any(|word| before.contains(word))
}

/// Whether what begins here is called an account.
pub(super) fn is_called_account(text: &str, at: usize) -> bool {
    let before = before(text, at, OTHER_BYTES).as_bytes();
    // Asked of every number behind a short word: nothing is copied for it, and most letters begin
    // none.
    before.iter().enumerate().any(|(at, byte)| {
        accounts(*byte).iter().any(|word| {
            let there = before.get(at..at + word.len());
            there.is_some_and(|there| there.eq_ignore_ascii_case(word.as_bytes()))
        })
    })
}

/// What people call an account, by the letter.
fn accounts(letter: u8) -> &'static [&'static str] {
    match letter.to_ascii_lowercase() {
        b'a' => &["account"],
        b'c' => &["compte", "cuenta"],
        b'i' => &["iban"],
        b'k' => &["konto"],
        _ => &[],
    }
}

/// Whether what begins here is called something else: an order, a telephone.
pub(super) fn is_called_otherwise(text: &str, at: usize) -> bool {
    let before = before(text, at, OTHER_BYTES);
    let behind_digits = before.rsplit(char::is_numeric).next().unwrap_or_default().to_lowercase();
    let mut words = behind_digits.split(|char: char| !char.is_alphabetic());
    words.any(|word| {
        OTHER_WHOLE.contains(&word) || OTHER.iter().any(|other| word.starts_with(other))
    }) && !is_called_card(text, at)
}

/// Whether the name of a technical number stands directly before, with a number of its own at most:
/// `IMEI 2: …`.
pub(super) fn is_technical(text: &str, at: usize) -> bool {
    let before =
        before(text, at, OTHER_BYTES).trim_end_matches(|char: char| !char.is_alphanumeric());
    let name = |before: &str| {
        let word = before.rsplit(|char: char| !char.is_alphabetic()).next().unwrap_or_default();
        TECHNICAL.iter().any(|name| word.eq_ignore_ascii_case(name))
    };
    let unnumbered = before.strip_suffix(['1', '2', '3']).map(str::trim_end);
    name(before) || unnumbered.is_some_and(name)
}

/// Whether what begins here goes on a word with a hyphen, as the parts of an order's number do.
pub(super) fn goes_on_word(text: &str, at: usize) -> bool {
    let word = before(text, at, 2).strip_suffix('-');
    word.is_some_and(|word| word.ends_with(|char: char| char.is_ascii_alphabetic()))
        && !is_called_card(text, at)
}
