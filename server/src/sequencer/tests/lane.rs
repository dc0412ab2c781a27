//! The rules of a lane.

use std::time::{Duration, Instant};

use protocol::ids::ConnectionId;

use super::*;

const ONE: Option<ConnectionId> = Some(ConnectionId::from_bytes([1; 16]));
const OTHER: Option<ConnectionId> = Some(ConnectionId::from_bytes([2; 16]));

type Lane = Lanes<(), u64>;

fn epoch() -> Instant {
    crate::clock::Clock::instant(&crate::clock::SystemClock)
}

/// A message of the visitor joins; it is told by its number.
fn join(
    lanes: &mut Lane,
    number: u64,
    from: Option<ConnectionId>,
    now: Instant,
) -> Result<Joined, Refusal> {
    let submission = Submission::new(envelope(number, Seq(0), number), true);
    lanes.join(submission, (), (from, number), false, now)
}

fn acked(seq: u64) -> Acked {
    Acked { seq: Seq(seq), at: START, expires: None }
}

fn settle(lanes: &mut Lane, outcome: Outcome<Refusal>, now: Instant) -> Settled<u64, Refusal> {
    assert!(lanes.first(CONVERSATION).is_some(), "something waits");
    lanes.settle(CONVERSATION, outcome, now)
}

fn refuse(lanes: &mut Lane, refusal: Refusal, now: Instant) -> Vec<u64> {
    let outcome = Outcome::Refused { refusal, retryable: refusal.retryable() };
    match settle(lanes, outcome, now) {
        Settled::Done { senders, end: Err(Ended::Refused(told)), void: None } => {
            assert_eq!(told, refusal);
            senders
        }
        other => panic!("it is not refused: {other:?}"),
    }
}

fn ack(lanes: &mut Lane, seq: u64, now: Instant) -> Vec<u64> {
    match settle(lanes, Outcome::Acked(acked(seq)), now) {
        Settled::Done { senders, end: Ok(told), void: None } => {
            assert_eq!(told, acked(seq));
            senders
        }
        other => panic!("it is not acked: {other:?}"),
    }
}

#[test]
fn the_first_is_run_and_the_others_wait_in_their_order() {
    let (mut lanes, now) = (Lane::default(), epoch());
    assert_eq!(join(&mut lanes, 1, ONE, now), Ok(Joined::First));
    assert_eq!(join(&mut lanes, 2, OTHER, now), Ok(Joined::Waits));
    let next = |lanes: &mut Lane| {
        lanes.first(CONVERSATION).map(|(submission, ())| submission.envelope().message())
    };
    assert_eq!(next(&mut lanes), Some(id(1)));
    assert_eq!(ack(&mut lanes, 1, now), [1]);
    assert_eq!(next(&mut lanes), Some(id(2)));
    assert_eq!(ack(&mut lanes, 2, now), [2]);
    assert_eq!(next(&mut lanes), None);
    assert_eq!(join(&mut lanes, 3, ONE, now), Ok(Joined::First), "whoever joins next runs it");
}

#[test]
fn the_same_message_is_answered_with_the_one_that_waits_and_another_content_is_refused() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    let copy = |number: u64| Submission::new(envelope(number, Seq(0), 9), true);
    assert_eq!(lanes.join(copy(1), (), (OTHER, 11), false, now), Ok(Joined::Waits));
    let other = Submission::new(with_words(1, "something else"), true);
    assert_eq!(lanes.join(other, (), (OTHER, 12), false, now), Err(Refusal::Conflict));
    assert_eq!(lanes.join(copy(1), (), (OTHER, 13), true, now), Ok(Joined::Waits));
    assert_eq!(ack(&mut lanes, 1, now), [1, 11]);
    assert_eq!(ack(&mut lanes, 1, now), [13], "one that stands alone has its own turn");
}

#[test]
fn what_stands_behind_a_message_that_is_refused_for_a_while_is_refused_with_it() {
    let (mut lanes, now) = (Lane::default(), epoch());
    for number in 1..=3 {
        join(&mut lanes, number, ONE, now).unwrap();
    }
    assert_eq!(refuse(&mut lanes, Refusal::BusAway, now), [1, 2, 3]);
    assert_eq!(join(&mut lanes, 4, ONE, now), Err(Refusal::Owes), "the first has to come again");
    assert!(join(&mut lanes, 5, OTHER, now).is_ok(), "another connection owes nothing");
    assert_eq!(ack(&mut lanes, 1, now), [5]);
    assert!(join(&mut lanes, 1, ONE, now).is_ok());
    assert!(join(&mut lanes, 2, ONE, now).is_ok());
    assert_eq!(ack(&mut lanes, 2, now), [1]);
}

/// What was owed came by another connection of its author, and what was refused because of it did
/// not.
#[test]
fn what_was_refused_for_another_that_came_elsewhere_comes_before_anything_later() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    assert_eq!(refuse(&mut lanes, Refusal::BusAway, now), [1]);
    assert_eq!(join(&mut lanes, 2, ONE, now), Err(Refusal::Owes));
    join(&mut lanes, 1, OTHER, now).unwrap();
    assert_eq!(ack(&mut lanes, 1, now), [1]);
    assert_eq!(join(&mut lanes, 3, ONE, now), Err(Refusal::Owes), "two has to come first");
    assert!(join(&mut lanes, 2, ONE, now).is_ok());
    assert!(join(&mut lanes, 3, ONE, now).is_ok());
}

#[test]
fn what_is_refused_for_good_takes_nothing_with_it() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    join(&mut lanes, 2, ONE, now).unwrap();
    assert_eq!(refuse(&mut lanes, Refusal::NotAllowed, now), [1]);
    assert!(join(&mut lanes, 3, ONE, now).is_ok(), "nothing is owed");
    assert_eq!(ack(&mut lanes, 1, now), [2]);
}

#[test]
fn who_never_sends_it_again_is_heard_after_a_while() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    refuse(&mut lanes, Refusal::Unstored, now);
    let soon = now + Duration::from_secs(9);
    lanes.forget_owed(soon);
    assert_eq!(join(&mut lanes, 2, ONE, soon), Err(Refusal::Owes));
    let later = now + Duration::from_secs(11);
    lanes.forget_owed(later);
    assert!(join(&mut lanes, 2, ONE, later).is_ok());
}

#[test]
fn an_ack_on_one_connection_pays_what_another_owes() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    refuse(&mut lanes, Refusal::BusAway, now);
    join(&mut lanes, 1, OTHER, now).unwrap();
    ack(&mut lanes, 1, now);
    assert!(join(&mut lanes, 2, ONE, now).is_ok());
}

#[test]
fn a_full_lane_takes_nothing_and_what_it_did_not_take_is_owed() {
    let (mut lanes, now) = (Lane::default(), epoch());
    let mut taken = 0;
    while join(&mut lanes, taken, ONE, now).is_ok() {
        taken += 1;
    }
    assert_eq!(join(&mut lanes, taken, OTHER, now), Err(Refusal::LaneFull));
    assert!(taken >= 64, "a lane takes a burst");
    assert_eq!(ack(&mut lanes, 1, now), [0]);
    assert_eq!(join(&mut lanes, taken + 1, ONE, now), Err(Refusal::Owes), "out of its order");
    assert!(join(&mut lanes, taken, ONE, now).is_ok());
}

#[test]
fn whose_numbers_are_always_anothers_is_told_so_and_leaves_the_screens() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    join(&mut lanes, 2, ONE, now).unwrap();
    for seq in 1..u64::from(ATTEMPTS_MAX) {
        let again = settle(&mut lanes, Outcome::Renumber(sequenced(1, seq, 1)), now);
        assert!(matches!(again, Settled::Again), "{again:?}");
    }
    let last = sequenced(1, 99, 1);
    let ended = settle(&mut lanes, Outcome::Renumber(Arc::clone(&last)), now);
    let Settled::Done { senders, end: Err(Ended::Overtaken), void } = ended else {
        panic!("it is told: {ended:?}")
    };
    assert_eq!((senders, void), (vec![1, 2], Some(last)));
}

#[test]
fn what_lost_its_number_and_is_refused_leaves_the_screens() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    let shown = sequenced(1, 5, 1);
    settle(&mut lanes, Outcome::Renumber(Arc::clone(&shown)), now);
    let outcome = Outcome::Refused { refusal: Refusal::BusAway, retryable: true };
    let ended = settle(&mut lanes, outcome, now);
    assert!(
        matches!(&ended, Settled::Done { void: Some(void), .. } if *void == shown),
        "{ended:?}"
    );
}

#[test]
fn everyone_in_an_abandoned_lane_is_answered() {
    let (mut lanes, now) = (Lane::default(), epoch());
    join(&mut lanes, 1, ONE, now).unwrap();
    join(&mut lanes, 2, OTHER, now).unwrap();
    assert_eq!(lanes.abandon(CONVERSATION), [1, 2]);
    assert!(lanes.abandon(CONVERSATION).is_empty());
    assert_eq!(join(&mut lanes, 3, ONE, now), Ok(Joined::First));
}
