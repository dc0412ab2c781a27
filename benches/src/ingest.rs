//! What is done to every message before anything else sees it: bounds, redaction, the tag.

use std::hint::black_box;

use livehelp::privacy::ingest::ingest;
use protocol::message::Author;

use crate::meter::{Case, Meter};
use crate::world::{CARD, NOW, NUMBERS, WORDS, World, new_message};

/// Measures a message of a hundred bytes: without a digit, with numbers that are kept, with a card
/// that is hidden, and at a site with four patterns of its own.
pub fn measure(meter: &mut impl Meter) {
    of(meter, "words", World::default, WORDS);
    of(meter, "numbers", World::default, NUMBERS);
    of(meter, "card", World::default, CARD);
    of(meter, "numbers-and-patterns", World::with_patterns, NUMBERS);
}

fn of(meter: &mut impl Meter, case: &'static str, world: fn() -> World, text: &'static str) {
    meter.repeat(Case::new(case), || {
        let world = world();
        move || {
            let new_message = new_message(7, black_box(text));
            black_box(
                ingest(new_message, Author::Visitor, &world.context(), NOW)
                    .expect("it may be said"),
            );
        }
    });
}
