//! The names of values in links: which of them are cards or accounts.

/// What is a card or an account, alone or with what follows.
const CARD: [&str; 28] = [
    "card",
    "carte",
    "carta",
    "tarjeta",
    "karte",
    "karten",
    "kreditkarte",
    "kreditkarten",
    "creditcard",
    "debitcard",
    "bankcard",
    "cartao",
    "kaart",
    "kort",
    "kortti",
    "cc",
    "ccn",
    "kk",
    "pan",
    "primaryaccountnumber",
    "visa",
    "mastercard",
    "amex",
    "iban",
    "konto",
    "konten",
    "account",
    "acct",
];

/// What a number is called.
const NUMBER: [&str; 9] = ["number", "no", "num", "nr", "nummer", "numero", "numer", "zahl", "nbr"];

/// Names of a number of something else.
const REFERENCE: [&str; 11] =
    ["id", "ids", "uid", "uuid", "ref", "type", "key", "token", "hash", "name", "product"];

/// What is asked for beside a card's number.
const CHECK: [&str; 14] = [
    "cvc",
    "cvv",
    "cvc2",
    "cvv2",
    "csc",
    "cvn",
    "exp",
    "expiry",
    "expiration",
    "expmonth",
    "expdate",
    "ccexp",
    "cardexp",
    "validthru",
];

/// The words of a name: `card_number`, `cardNumber` and `card-number` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for char in name.chars() {
        if !char.is_alphanumeric() || (small && char.is_uppercase()) {
            words.push(String::new());
        }
        small = char.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| char.is_alphanumeric()) {
            word.extend(char.to_lowercase());
        }
    }
    words
}

/// Whether a value of this name is the number of a card or of an account.
pub(super) fn names_card(name: &str) -> bool {
    let words = words(name);
    let is_card = |word: &str| CARD.contains(&word);
    let card = |word: &String| {
        let mut cut = NUMBER.iter().filter_map(|number| word.strip_suffix(number));
        is_card(word) || cut.any(is_card)
    };
    let number = words.len() == 1 && words.iter().any(|word| NUMBER.contains(&word.as_str()));
    (number || words.iter().any(card))
        && !words.iter().any(|word| REFERENCE.contains(&word.as_str()))
}

/// Whether a value of this name is what is asked for beside a card's number.
pub(super) fn names_check(name: &str) -> bool {
    let joined = words(name).concat();
    CHECK.contains(&joined.as_str())
}
