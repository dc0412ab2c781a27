//! A message's turn in its room: is it new, its sequence number, and the word that it is stored.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

use livehelp::hub::LiveRoom;
use livehelp::privacy::envelope::Envelope;
use livehelp::privacy::gate::Below;
use livehelp::room::Room;
use livehelp::sequencer::{Command, Input, Submission, TAIL_MAX};
use protocol::message::Seq;

use crate::meter::{Case, Meter};
use crate::world::{CONVERSATION, SITE, TENANT, VISITOR, World};

/// Measures a new message in a room whose tail is full: the oldest leaves for it.
pub fn measure(meter: &mut impl Meter) {
    meter.consume(Case::new("message-in-full-tail"), || {
        let (world, mut room) = (World::default(), full_room());
        let number = Rc::new(Cell::new(room.sequencer().seq_last().0));
        let next = move || {
            number.set(number.get() + 1);
            world.envelope(CONVERSATION, number.get())
        };
        (next, move |envelope| say(&mut room, envelope))
    });
}

/// A room with a page of messages.
pub(crate) fn full_room() -> LiveRoom {
    let world = World::default();
    let last = u64::try_from(TAIL_MAX).expect("a small number");
    let tail = (1..=last).map(|number| world.sequenced(CONVERSATION, number)).collect();
    Room::new(
        (TENANT, SITE, CONVERSATION, VISITOR),
        Seq(last),
        tail,
        (Below::default(), None),
        Vec::new(),
    )
}

fn say(room: &mut LiveRoom, envelope: Envelope) {
    let submission = Submission::new(black_box(envelope), true);
    let sequencer = room.sequencer_mut();
    let command = sequencer.handle(Input::Submitted(submission));
    let Command::Sequence { submission, floor } = command else { unreachable!("it is new") };
    let command = sequencer.handle(Input::Sequenced(submission, floor.next()));
    let Command::Publish { sequenced, .. } = command else { unreachable!("it has its number") };
    black_box(sequencer.handle(Input::Stored(sequenced)));
}
