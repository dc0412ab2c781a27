//! The read gate: every door to a message asks it.

use std::hint::black_box;

use livehelp::privacy::gate::{Door, ReadGrant, Reader};
use protocol::message::Message;

use crate::meter::{Case, Meter};
use crate::world::{CONVERSATION, NOW, World};

/// Messages of a page of history.
const PAGE: u32 = 50;

/// Measures a message that came a moment ago, whose own end is compared with today; one that was
/// stored, about which the site's timeline decides; and a page of those.
pub fn measure(meter: &mut impl Meter) {
    meter.repeat(Case::new("live"), || {
        let sequenced = World::default().sequenced(CONVERSATION, 1);
        move || {
            let grant = ReadGrant::fan_out(Reader::Agents, NOW.day());
            black_box(black_box(&sequenced).shown(&grant).expect("it is alive"));
        }
    });
    meter.repeat(Case::new("stored"), || {
        let world = World::default();
        let sequenced = world.sequenced(CONVERSATION, 1);
        move || {
            let grant =
                ReadGrant::stored(Door::History, Reader::Visitor, NOW.day(), world.timeline());
            black_box(black_box(&sequenced).shown(&grant).expect("it is alive"));
        }
    });
    meter.repeat(Case::new("line-of-a-page-of-50").each(PAGE), || {
        let world = World::default();
        let numbers = 1..=u64::from(PAGE);
        let page: Vec<_> = numbers.map(|number| world.sequenced(CONVERSATION, number)).collect();
        move || {
            let grant =
                ReadGrant::stored(Door::History, Reader::Visitor, NOW.day(), world.timeline());
            let lines = black_box(&page).iter().filter_map(|sequenced| sequenced.shown(&grant));
            black_box(lines.collect::<Vec<Message<'_>>>());
        }
    });
}
