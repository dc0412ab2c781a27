use super::*;

const ROOM: ConversationId = ConversationId::from_bytes([1; 16]);

fn text(number: u32) -> String {
    Stamp { run: 1, sender: 5, number, ..Stamp::default() }.text(100)
}

fn judged(hearing: &Recipient, used: u32, refused: Vec<u32>, unacked: Vec<u32>) -> Findings {
    let mut ledger = Ledger::default();
    ledger.said(SentTally { conversation: ROOM, sender: 5, used, refused, unacked });
    ledger.heard(hearing.tally(ROOM, Some(6), true));
    ledger.judge().0
}

fn hearing(numbers: &[u32]) -> Recipient {
    let mut hearing = Recipient::new(1);
    for (number, seq) in numbers.iter().zip(1..) {
        hearing.take(&text(*number), seq, Way::Pushed);
    }
    hearing
}

#[test]
fn what_came_once_and_in_order_is_right() {
    let found = judged(&hearing(&[0, 1, 2]), 3, vec![], vec![]);
    assert_eq!(found, Findings { received: 3, ..Findings::default() });
}

#[test]
fn what_was_acked_and_did_not_come_is_lost() {
    assert_eq!(judged(&hearing(&[0, 2]), 5, vec![], vec![]).lost, 3);
    assert_eq!(judged(&hearing(&[]), 5, vec![], vec![]).lost, 5);
    let found = judged(&hearing(&[0, 2]), 5, vec![1], vec![4]);
    assert_eq!((found.lost, found.unacked), (1, 1));
}

#[test]
fn what_comes_twice_or_late_is_counted() {
    assert_eq!(judged(&hearing(&[0, 1, 1, 2]), 3, vec![], vec![]).duplicate, 1);
    let found = judged(&hearing(&[0, 2, 1]), 3, vec![], vec![]);
    assert_eq!((found.reordered, found.lost, found.duplicate), (1, 0, 0));
}

#[test]
fn a_number_that_goes_back_is_out_of_order() {
    let mut hearing = hearing(&[0, 1]);
    hearing.take(&text(2), 1, Way::Pushed);
    assert_eq!(hearing.found.reordered, 1);
}

#[test]
fn a_changed_text_is_corrupt_and_so_is_a_stranger() {
    let mut hearing = hearing(&[0]);
    hearing.take(&text(1).replace('l', "m"), 2, Way::Pushed);
    hearing.take(&Stamp { run: 2, ..Stamp::default() }.text(80), 3, Way::Pushed);
    assert_eq!(hearing.found.corrupt, 2);
}

#[test]
fn a_page_after_a_resume_may_fill_holes_and_a_reset_may_repeat() {
    let mut hearing = hearing(&[0, 3]);
    hearing.take(&text(1), 5, Way::Resumed);
    hearing.take(&text(1), 5, Way::Replaced);
    hearing.take(&text(2), 6, Way::Replaced);
    let found = judged(&hearing, 4, vec![], vec![]);
    let right = Findings { received: 4, resumed: 2, ..Findings::default() };
    assert_eq!(found, right);
}

#[test]
fn numbers_rise_within_a_page_though_another_page_may_be_earlier() {
    let mut hearing = Recipient::new(1);
    hearing.page([7, 8, 30]);
    hearing.page([1, 2]);
    assert_eq!(hearing.found.reordered, 0);
    hearing.page([9, 5, 5, 10]);
    assert_eq!(hearing.found.reordered, 2);
}

#[test]
fn what_was_taken_back_comes_again() {
    let mut hearing = hearing(&[0, 1]);
    hearing.void(2);
    assert_eq!(judged(&hearing, 2, vec![], vec![]).lost, 1);
    hearing.take(&text(1), 4, Way::Pushed);
    let right = Findings { received: 2, voided: 1, ..Findings::default() };
    assert_eq!(judged(&hearing, 2, vec![], vec![]), right);
}

fn said(conversation: ConversationId) -> SentTally {
    SentTally { conversation, sender: 5, used: 2, refused: vec![], unacked: vec![] }
}

#[test]
fn who_is_heard_where_they_do_not_speak_was_misdelivered_whoever_hands_in_first() {
    let other = ConversationId::from_bytes([2; 16]);
    let mut ledger = Ledger::default();
    ledger.heard(hearing(&[0, 1]).tally(other, None, false));
    // Nobody has said yet that they speak elsewhere.
    ledger.settle(&BTreeSet::from([other]));
    assert_eq!(ledger.judge().0.misdelivered, 0);
    ledger.said(said(ROOM));
    ledger.heard(hearing(&[0, 1]).tally(ROOM, None, true));
    assert_eq!(ledger.judge().0.misdelivered, 2);
    ledger.settle(&BTreeSet::from([ROOM]));
    // It is their own, though what they said is settled.
    ledger.heard(hearing(&[0]).tally(ROOM, None, false));
    assert_eq!(ledger.judge().0.misdelivered, 2);
}

#[test]
fn what_is_settled_is_judged_once() {
    let mut ledger = Ledger::default();
    ledger.said(said(ROOM));
    ledger.heard(hearing(&[0]).tally(ROOM, None, true));
    let before = ledger.judge().0;
    ledger.settle(&BTreeSet::from([ROOM]));
    assert!(ledger.said.is_empty() && ledger.heard.is_empty());
    assert_eq!(ledger.judge().0, before);
    assert_eq!(before.lost, 1);
}
