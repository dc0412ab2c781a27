//! The lengths of the groups that a number is written in, and what they say.

/// As on the card, or as its fours end.
pub(super) fn is_printed(lengths: &[usize]) -> bool {
    matches!(
        lengths,
        [4, 4, 4, 4]
            | [4, 4, 4, 4, 1..=3]
            | [4, 4, 4, 1..=3]
            | [4, 4, 4]
            | [4, 6, 5]
            | [4, 6, 4]
            | [4, 5, 6]
            | [4, 4, 5]
            | [4, 3, 3, 3]
            | [6, 13]
    )
}

/// Fours, one of which is in parts.
pub(super) fn is_split_once(lengths: &[usize]) -> bool {
    let (mut filled, mut split) = (0, 0);
    for length in lengths {
        let whole = filled == 0 && *length == 4;
        filled += length;
        if filled > 4 {
            return false;
        }
        if filled == 4 {
            split += usize::from(!whole);
            filled = 0;
        }
    }
    filled == 0 && split == 1
}

/// Fours, counted from the right, and others that a card of four lines up with.
pub(super) fn is_from_the_right(lengths: &[usize]) -> bool {
    matches!(lengths, [1..=3, 4, 4, 4] | [1..=3, 4, 4, 4, 4] | [4, 3, 3, 5] | [4, 2, 4, 5])
}

/// As a spreadsheet writes a large number.
pub(super) fn is_thousands(lengths: &[usize]) -> bool {
    match lengths {
        [1 | 2, rest @ ..] => rest.len() >= 4 && rest.iter().all(|length| *length == 3),
        _ => false,
    }
}

/// Groups in which another number is far likelier than a card, where nobody calls it one: a number
/// with a quantity or a price behind it, an order with its position, a parcel's.
pub(super) fn says_something_else(lengths: &[usize]) -> bool {
    !matches!(lengths, [16, _]) && matches!(lengths, [_, ..4] | [10, 6] | [9, 10] | [7, 9] | [9, 7])
}

/// A day of a life in eight digits, year first.
pub(super) fn is_full_date(values: &[u8]) -> bool {
    let number = |values: &[u8]| values.iter().fold(0, |n, value| n * 10 + u32::from(*value));
    match values {
        [year @ .., m1, m2, d1, d2] if year.len() == 4 => {
            matches!(number(year), 1935..=2029)
                && matches!(number(&[*m1, *m2]), 1..=12)
                && matches!(number(&[*d1, *d2]), 1..=31)
        }
        _ => false,
    }
}
