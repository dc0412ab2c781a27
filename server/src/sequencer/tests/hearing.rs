//! What is heard of a node's own numbers, and what was missed.

use std::time::Duration;

use super::*;

fn key(number: u64) -> Key {
    (CONVERSATION, id(number))
}

#[test]
fn the_notice_takes_what_waits_for_it_once() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 7);
    assert_eq!(hearing.own(&placed(1, 1, 1)), OwnNotice::Awaited(7));
    assert_eq!(hearing.own(&placed(1, 1, 1)), OwnNotice::Unawaited);
    assert_eq!(hearing.own(&placed(2, 2, 2)), OwnNotice::Unawaited, "nobody asked for it");
}

#[test]
fn a_number_that_is_not_heard_of_is_taken_without_its_notice() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 7);
    let wait = hearing.answered(key(1), true);
    assert!(!wait.is_zero());
    assert_eq!(hearing.unheard(key(1), wait, true), Some(7));
    assert_eq!(hearing.unheard(key(1), wait, true), None, "it is taken once");
}

#[test]
fn while_nothing_is_heard_nobody_waits_until_something_is() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 1);
    let wait = hearing.answered(key(1), true);
    hearing.unheard(key(1), wait, true);
    hearing.ask(key(2), 2);
    assert_eq!(hearing.answered(key(2), true), Duration::ZERO, "it is deaf");
    assert_eq!(hearing.unheard(key(2), Duration::ZERO, true), Some(2));
    assert_eq!(hearing.own(&placed(2, 2, 2)), OwnNotice::Unawaited);
    hearing.ask(key(3), 3);
    assert!(!hearing.answered(key(3), true).is_zero(), "it hears again");
}

#[test]
fn the_number_of_a_question_that_failed_is_not_taken_for_the_next_ones() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 1);
    let wait = hearing.answered(key(1), false);
    assert_eq!(wait, Duration::ZERO, "a question that failed has no notice to wait for");
    assert_eq!(hearing.unheard(key(1), wait, false), Some(1));
    hearing.ask(key(1), 2);
    assert_eq!(hearing.own(&placed(1, 1, 1)), OwnNotice::Stale);
    let wait = hearing.answered(key(1), true);
    assert_eq!(wait, Duration::ZERO, "which notice is whose is not known");
    assert_eq!(hearing.unheard(key(1), wait, true), Some(2));
    hearing.ask(key(1), 3);
    assert_eq!(hearing.own(&placed(1, 3, 1)), OwnNotice::Awaited(3), "the failure is past");
}

fn missed(hearing: &mut Hearing<u8>) -> Option<Missed> {
    let mut all = hearing.take_missed();
    assert!(all.len() <= 1);
    all.pop()
}

#[test]
fn what_was_missed_is_looked_for_until_it_is_whole_or_long_enough() {
    let mut hearing: Hearing<u8> = Hearing::default();
    let gap = Gap { after: Seq(3), until: Some(Seq(5)) };
    hearing.missed(TENANT, CONVERSATION, gap);
    let first = missed(&mut hearing).unwrap();
    assert_eq!((first.tenant, first.conversation, first.gap), (TENANT, CONVERSATION, gap));
    assert_eq!(missed(&mut hearing), None, "it is being looked for");
    hearing.looked(first, 1);
    let again = missed(&mut hearing).unwrap();
    hearing.looked(again, 2);
    assert_eq!(missed(&mut hearing), None, "both are there");

    hearing.missed(TENANT, CONVERSATION, gap);
    let mut looks = 0;
    while let Some(missed) = missed(&mut hearing) {
        looks += 1;
        hearing.looked(missed, 0);
    }
    assert!((2..100).contains(&looks), "a void is not looked for without end: {looks}");
}
