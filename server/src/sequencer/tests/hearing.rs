//! What is heard of a node's own numbers, and what was missed.

use std::time::{Duration, Instant};

use super::super::hearing::{LOOKED_FOR, LOOKS_EVERY};
use super::*;

fn key(number: u64) -> Key {
    (CONVERSATION, id(number))
}

#[test]
fn the_notice_takes_what_waits_for_it_once() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 7);
    assert_eq!(hearing.own(&sequenced(1, 1, 1)), OwnNotice::Awaited(7));
    assert_eq!(hearing.own(&sequenced(1, 1, 1)), OwnNotice::Unawaited);
    assert_eq!(hearing.own(&sequenced(2, 2, 2)), OwnNotice::Unawaited, "nobody asked for it");
}

#[test]
fn a_number_that_is_not_heard_of_is_taken_without_its_notice() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 7);
    let wait = hearing.answered(key(1), true);
    assert!(!wait.is_zero());
    assert_eq!(hearing.unheard(key(1), wait), Some(7));
    assert_eq!(hearing.unheard(key(1), wait), None, "it is taken once");
}

#[test]
fn while_nothing_is_heard_nobody_waits_until_something_is() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 1);
    let wait = hearing.answered(key(1), true);
    hearing.unheard(key(1), wait);
    hearing.ask(key(2), 2);
    assert_eq!(hearing.answered(key(2), true), Duration::ZERO, "it is deaf");
    assert_eq!(hearing.unheard(key(2), Duration::ZERO), Some(2));
    assert_eq!(hearing.own(&sequenced(2, 2, 2)), OwnNotice::Unawaited);
    hearing.ask(key(3), 3);
    assert!(!hearing.answered(key(3), true).is_zero(), "it hears again");
}

#[test]
fn the_number_of_a_question_that_failed_is_not_taken_for_the_next_ones() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 1);
    let wait = hearing.answered(key(1), false);
    assert_eq!(wait, Duration::ZERO, "a question that failed has no notice to wait for");
    assert_eq!(hearing.unheard(key(1), wait), Some(1));
    hearing.ask(key(1), 2);
    assert_eq!(hearing.own(&sequenced(1, 1, 1)), OwnNotice::Stale);
    let wait = hearing.answered(key(1), true);
    assert_eq!(wait, Duration::ZERO, "which notice is whose is not known");
    assert_eq!(hearing.unheard(key(1), wait), Some(2));
    hearing.ask(key(1), 3);
    assert_eq!(hearing.own(&sequenced(1, 2, 1)), OwnNotice::Stale, "it is of the one before");
}

#[test]
fn a_number_that_was_taken_without_its_notice_is_not_taken_again_when_that_comes() {
    let mut hearing: Hearing<u8> = Hearing::default();
    hearing.ask(key(1), 1);
    let wait = hearing.answered(key(1), true);
    assert_eq!(hearing.unheard(key(1), wait), Some(1));
    // It was another's by then.
    hearing.ask(key(1), 2);
    assert_eq!(hearing.own(&sequenced(1, 1, 1)), OwnNotice::Stale);
    assert_eq!(hearing.answered(key(1), true), Duration::ZERO);
    assert_eq!(hearing.unheard(key(1), Duration::ZERO), Some(2));
    assert_eq!(hearing.own(&sequenced(1, 2, 1)), OwnNotice::Unawaited);
}

const GAP: Gap = Gap { after: Seq(3), until: Some(Seq(5)) };

#[expect(clippy::disallowed_methods, reason = "any moment: only what passes is looked at")]
fn start() -> Instant {
    Instant::now()
}

fn look(hearing: &mut Hearing<u8>, now: Instant) -> Option<Missed> {
    let mut all = hearing.take_missed(now);
    assert!(all.len() <= 1);
    all.pop()
}

#[test]
fn what_was_missed_is_looked_for_until_it_is_whole() {
    let mut hearing: Hearing<u8> = Hearing::default();
    let now = start();
    hearing.missed(TENANT, CONVERSATION, GAP, now);
    let first = look(&mut hearing, now).unwrap();
    assert_eq!((first.tenant, first.conversation, first.gap), (TENANT, CONVERSATION, GAP));
    assert_eq!(look(&mut hearing, now), None, "it is being looked for");
    assert_eq!(hearing.looked(first, [Seq(4)], now), None);
    assert_eq!(look(&mut hearing, now), None, "not so soon again");
    let later = now + LOOKS_EVERY;
    let again = look(&mut hearing, later).unwrap();
    assert_eq!(
        again.gap,
        Gap { after: Seq(4), until: Some(Seq(5)) },
        "what is there is not read again"
    );
    assert_eq!(hearing.looked(again, [Seq(5)], later), None);
    assert_eq!(look(&mut hearing, later + LOOKED_FOR), None, "both are there");
}

#[test]
fn what_is_not_there_is_void_once_it_was_looked_for_long_enough() {
    let mut hearing: Hearing<u8> = Hearing::default();
    let (mut now, end) = (start(), start() + LOOKED_FOR);
    hearing.missed(TENANT, CONVERSATION, GAP, now);
    let mut looks = 0;
    let void = loop {
        if let Some(missed) = look(&mut hearing, now) {
            looks += 1;
            if let Some(void) = hearing.looked(missed, [Seq(5)], now) {
                break void;
            }
        }
        now += LOOKS_EVERY;
    };
    assert_eq!(void, GAP);
    assert!(now + LOOKS_EVERY >= end && (3..9).contains(&looks), "{looks}");
}

/// Whatever joins a look that is to come is waited for as long as anything.
#[test]
fn a_look_has_all_that_was_missed_before_it() {
    let mut hearing: Hearing<u8> = Hearing::default();
    let now = start();
    hearing.missed(TENANT, CONVERSATION, Gap::of(Seq(9)), now);
    let later = now + LOOKED_FOR;
    hearing.missed(TENANT, CONVERSATION, Gap::of(Seq(4)), later);
    let missed = look(&mut hearing, later).unwrap();
    assert_eq!(missed.gap, Gap { after: Seq(3), until: Some(Seq(9)) });
    assert_eq!(hearing.looked(missed, [], later), None);
    hearing.missed(TENANT, CONVERSATION, Gap::of(Seq(12)), later);
    hearing.missed(TENANT, CONVERSATION, Gap { after: Seq(10), until: None }, later);
    let missed = look(&mut hearing, later).unwrap();
    assert_eq!(missed.gap, Gap { after: Seq(10), until: None }, "and all that follows");
}
