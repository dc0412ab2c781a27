//! Who issues cards: how their numbers begin, and how long they are (ISO/IEC 7812).

/// The shortest and the longest card number.
pub(super) const LENGTHS: std::ops::RangeInclusive<usize> = 12..=19;

/// First and last prefix, of as many digits each, and the lengths.
const ISSUERS: &[(u32, u32, &[usize])] = &[
    // Visa; those of 13 are old.
    (4, 4, &[13, 16, 19]),
    // Switch, as long as Maestro's.
    (4903, 4903, &[16, 18, 19]),
    (4905, 4905, &[16, 18, 19]),
    (4911, 4911, &[16, 18, 19]),
    (4936, 4936, &[16, 18, 19]),
    (633_110, 633_110, &[16, 18, 19]),
    // Mastercard.
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    // American Express.
    (34, 34, &[15]),
    (37, 37, &[15]),
    // Diners Club.
    (300, 305, &[14, 16, 19]),
    (3095, 3095, &[14, 16, 19]),
    (36, 36, &[14, 16, 19]),
    (38, 39, &[14, 16, 19]),
    // JCB.
    (3528, 3589, &[16, 17, 18, 19]),
    (1800, 1800, &[15]),
    (2131, 2131, &[15]),
    // Discover.
    (6011, 6011, &[16, 17, 18, 19]),
    (644, 649, &[16, 17, 18, 19]),
    (65, 65, &[16, 17, 18, 19]),
    // UnionPay.
    (62, 62, &[16, 17, 18, 19]),
    (81, 81, &[16, 17, 18, 19]),
    (9558, 9558, &[16, 19]),
    // Mir and its neighbours.
    (2200, 2205, &[16, 17, 18, 19]),
    // Maestro in the lengths that only it has, Verve, InterPayment, Bancontact, UkrCard.
    (5018, 5018, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (5020, 5020, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (5038, 5038, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (5893, 5893, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (6304, 6304, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (506, 506, &[16, 18, 19]),
    (6333, 6334, &[16, 18, 19]),
    (507_865, 507_964, &[16, 18, 19]),
    (636, 636, &[16, 17, 18, 19]),
    (67, 67, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (6040, 6042, &[16, 17, 18, 19]),
    // Maestro, RuPay, Elo, Hipercard, Troy, and the national ones of 16.
    (50, 50, &[16, 19]),
    (56, 58, &[16, 17, 18, 19]),
    (59, 59, &[16, 19]),
    (6, 6, &[16]),
    (82, 82, &[16]),
    (8600, 8600, &[16]),
    (9112, 9112, &[16]),
    (9792, 9792, &[16]),
    (9860, 9860, &[16]),
    // ArCa, Napas, Prostir, GPN, BC, mada, T-Union.
    (9051, 9051, &[16]),
    (9704, 9704, &[16, 19]),
    (9804, 9804, &[16, 19]),
    (1946, 1946, &[16]),
    (94, 94, &[16]),
    (968_201, 968_211, &[16]),
    (31, 31, &[19]),
];

/// Digits of the longest prefix.
const PREFIX_MAX: usize = 6;

/// Whether somebody issues cards that begin so and are so long.
pub(super) fn is_issued(values: &[u8]) -> bool {
    if matches!(values, [0 | 7, ..] | []) {
        return false;
    }
    let (mut prefixes, mut prefix) = ([0; PREFIX_MAX], 0);
    for (nth, value) in prefixes.iter_mut().zip(values) {
        prefix = prefix * 10 + u32::from(*value);
        *nth = prefix;
    }
    let begins = |(from, to, lengths): &(u32, u32, &[usize])| {
        let digits = usize::try_from(from.ilog10()).unwrap_or(usize::MAX);
        let of_as_many = prefixes.get(digits);
        of_as_many.is_some_and(|prefix| (*from..=*to).contains(prefix))
            && lengths.contains(&values.len())
    };
    ISSUERS.iter().any(begins)
}

/// The check of GS1, on articles and parcels: every second digit from the right three times.
pub(super) fn gs1(values: &[u8]) -> bool {
    let sum: u32 = (0_u32..)
        .zip(values.iter().rev())
        .map(|(index, value)| u32::from(*value) * (1 + 2 * (index % 2)))
        .sum();
    sum.is_multiple_of(10)
}
