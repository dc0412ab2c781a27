//! Several nodes: what another one says is in doubt until the store was read, and the store has the
//! last word.

use super::*;

/// A message of this node's own that has its number and is being stored.
fn own(room: &mut Sequencer, number: u64, seq: u64) -> Arc<Sequenced> {
    let Command::Sequence { submission, .. } = submit(room, envelope(number, Seq(0), number))
    else {
        panic!("it is new")
    };
    room.await_bus();
    let told = Arc::new(submission.envelope().clone().sequence(Seq(seq)));
    match room.handle(Input::Told(submission, told)) {
        Command::Publish { sequenced, .. } => sequenced,
        other => panic!("{other:?}"),
    }
}

/// Another node's.
fn heard(room: &mut Sequencer, number: u64, seq: u64) -> Command {
    room.handle(Input::SequencedElsewhere(sequenced(number, seq, number)))
}

fn shows(room: &Sequencer) -> Vec<(u64, MessageId)> {
    room.tail.iter().map(|sequenced| (sequenced.seq().0, sequenced.envelope().message())).collect()
}

fn is_void(command: &Command, number: u64) -> bool {
    matches!(command, Command::Void { sequenced, announce: false } if sequenced.envelope().message() == id(number))
}

const ALL: Gap = Gap { after: Seq(0), until: Some(Seq(100)) };

#[test]
fn what_another_node_shows_is_looked_for_in_the_store_with_what_was_missed_before_it() {
    let mut room = loaded(&[sequenced(1, 1, 1)]);
    let shown = heard(&mut room, 4, 4);
    let gap = Gap { after: Seq(1), until: Some(Seq(4)) };
    assert!(matches!(shown, Command::Show { gap: Some(seen), .. } if seen == gap), "{shown:?}");
    let late = heard(&mut room, 3, 3);
    assert!(matches!(late, Command::Fill(seen) if seen == Gap::of(Seq(3))), "{late:?}");
}

#[test]
fn what_the_store_does_not_have_in_time_leaves_the_screens_and_what_it_has_stays() {
    let mut room = loaded(&[sequenced(1, 1, 1)]);
    for number in 2..=4 {
        heard(&mut room, number, number);
    }
    room.handle(Input::Read(sequenced(3, 3, 3)));
    let until_two = Gap { until: Some(Seq(2)), ..ALL };
    assert!(is_void(&room.handle(Input::Unfound(until_two)), 2));
    assert!(matches!(room.handle(Input::Unfound(until_two)), Command::Nothing), "four is younger");
    assert!(is_void(&room.handle(Input::Unfound(ALL)), 4));
    assert!(matches!(room.handle(Input::Unfound(ALL)), Command::Nothing));
    assert_eq!(shows(&room), [(1, id(1)), (3, id(3))]);
    // Two nodes got one number for one message, and one of them could not store it.
    assert!(matches!(room.handle(Input::VoidedElsewhere(Seq(3), id(3))), Command::Nothing));
    assert_eq!(shows(&room), [(1, id(1)), (3, id(3))]);
}

/// Stored after all, it is told of once more.
#[test]
fn what_was_given_up_is_shown_when_it_is_stored_late() {
    let mut room = loaded(&[]);
    heard(&mut room, 1, 1);
    assert!(is_void(&room.handle(Input::Unfound(ALL)), 1));
    let looks = room.handle(Input::HeardStored(Seq(1)));
    assert!(matches!(looks, Command::Fill(gap) if gap == Gap::of(Seq(1))), "{looks:?}");
    let read = room.handle(Input::Read(sequenced(1, 1, 1)));
    assert!(matches!(read, Command::Show { gap: None, .. }), "{read:?}");
}

#[test]
fn what_is_in_doubt_stays_in_memory_however_much_follows() {
    let mut room = loaded(&[]);
    heard(&mut room, 1, 1);
    for number in 2..=90 {
        heard(&mut room, number, number);
        room.handle(Input::Read(sequenced(number, number, number)));
    }
    assert_eq!(room.tail.len(), 90);
    assert!(is_void(&room.handle(Input::Unfound(ALL)), 1));
    heard(&mut room, 91, 91);
    assert_eq!(room.tail.len(), TAIL_MAX);
    let old = room.handle(Input::Read(sequenced(5, 5, 5)));
    assert!(matches!(old, Command::Show { .. }), "whether it was ever shown is not known: {old:?}");
    assert_eq!(room.tail.len(), TAIL_MAX, "nor is it needed here");
}

/// The author came to two nodes, and both got a number for it.
#[test]
fn a_message_that_another_node_stored_first_is_acked_where_that_one_has_it() {
    let mut room = loaded(&[sequenced(1, 1, 1)]);
    let mine = own(&mut room, 7, 3);
    let settled = room.handle(Input::StoredBefore(mine, sequenced(7, 6, 7)));
    let Command::Settle { acked, sequenced: stored, gap } = settled else { panic!("{settled:?}") };
    assert_eq!((acked.seq, stored.seq()), (Seq(6), Seq(6)));
    assert_eq!(gap, Some(Gap { after: Seq(3), until: Some(Seq(5)) }));
    assert_eq!(shows(&room), [(1, id(1)), (6, id(7))]);
    assert!(room.is_idle());
    // What its author says next comes behind it.
    assert_eq!(floor(&submit(&mut room, envelope(8, Seq(0), 8))), Some(Seq(6)));
}

#[test]
fn a_message_that_moved_to_another_nodes_number_goes_back_where_this_nodes_was_stored() {
    let mut room = loaded(&[]);
    let mine = own(&mut room, 7, 1);
    assert!(matches!(heard(&mut room, 7, 2), Command::Show { .. }));
    assert_eq!(shows(&room), [(2, id(7))]);
    let settled = room.handle(Input::Stored(mine));
    assert!(matches!(settled, Command::Settle { acked: Acked { seq: Seq(1), .. }, .. }));
    assert_eq!(shows(&room), [(1, id(7))]);
    assert!(matches!(heard(&mut room, 7, 3), Command::Nothing), "the store has it for good");
    assert!(matches!(room.handle(Input::VoidedElsewhere(Seq(2), id(7))), Command::Nothing));
    assert_eq!(shows(&room), [(1, id(7))]);
}

/// Taken off at once, it would never be told void if its new number failed too.
#[test]
fn what_another_node_lost_stays_shown_until_it_has_its_new_number() {
    let mut room = loaded(&[]);
    heard(&mut room, 7, 1);
    let (submission, _) = looked_for(submit(&mut room, envelope(7, Seq(0), 7)));
    let asks = room.handle(Input::Found(submission, None));
    assert_eq!(floor(&asks), Some(Seq(1)));
    assert_eq!(shows(&room), [(1, id(7))]);
    assert!(is_void(&room.handle(Input::Unfound(ALL)), 7));
}

#[test]
fn what_another_node_stored_is_acked_and_shown_as_the_store_has_it() {
    let mut room = loaded(&[]);
    heard(&mut room, 7, 1);
    let (submission, _) = looked_for(submit(&mut room, envelope(7, Seq(0), 7)));
    let settled = room.handle(Input::Found(submission, Some(sequenced(7, 4, 7))));
    assert!(matches!(settled, Command::Settle { acked: Acked { seq: Seq(4), .. }, .. }));
    assert_eq!(shows(&room), [(4, id(7))]);
    assert_eq!(floor(&submit(&mut room, envelope(8, Seq(0), 8))), Some(Seq(4)));
}

#[test]
fn a_number_that_was_lost_takes_nothing_else_with_it() {
    let mut room = loaded(&[]);
    let mine = own(&mut room, 7, 1);
    heard(&mut room, 7, 2);
    // The one that has the number in the store.
    room.handle(Input::Read(sequenced(8, 1, 8)));
    let taken = room.handle(Input::NumberTaken(mine, Seq(1)));
    assert!(matches!(taken, Command::Renumber { .. }), "{taken:?}");
    assert_eq!(shows(&room), [(1, id(8)), (2, id(7))]);
}

#[test]
fn who_comes_from_another_node_gets_a_page_and_what_they_say_comes_behind_all_they_saw() {
    let mut room = loaded(&[sequenced(1, 1, 1), sequenced(2, 2, 2)]);
    let there = point(&sequenced(2, 2, 2));
    assert!(is_reset(&room.resume_anew(Some(&there))));
    assert_eq!(after(&room.resume_anew(None)), Some(vec![Seq(1), Seq(2)]));
    assert_eq!(room.is_behind(&there), None);
    let ahead = point(&sequenced(9, 9, 9));
    assert_eq!(room.is_behind(&ahead), Some(Gap { after: Seq(2), until: None }));
    room.handle(Input::Given(Seq(9)));
    assert_eq!(floor(&submit(&mut room, envelope(10, Seq(9), 10))), Some(Seq(9)));
}
