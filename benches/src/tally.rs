//! What is counted of one message for those who run the server, from its frame to its ack: every
//! addition to a metric, by the server's own functions, and every look at the clock for one alone.
//!
//! Not here: what is counted where something is unusual, as a slow reader or a refusal.

use std::hint::black_box;
use std::time::Duration;

use livehelp::clock::{Clock, SystemClock};
use livehelp::hub::fanout::deliver;
use livehelp::hub::tally;
use livehelp::metrics::Metrics;
use livehelp::store::{Committed, StoreStats};
use protocol::codec::Encoding;

use crate::fanout::{connection, crowd};
use crate::meter::{Case, Meter};
use crate::world::{CONVERSATION, NOW, World};

/// From the frame to the last write, as on a server that has much to do.
const DELIVERY: Duration = Duration::from_micros(900);
/// From the frame to the ack: a sync of a disk.
const ACK: Duration = Duration::from_millis(4);

/// Measures a message that goes to one and is stored alone, and one of 64 in a commit.
pub fn measure(meter: &mut impl Meter) {
    of(meter, Case::new("message-alone"));
    of(meter, Case::new("message-of-64").each(64));
}

fn of(meter: &mut impl Meter, case: Case) {
    meter.repeat(case, || {
        let metrics = Metrics::new();
        let clock: Box<dyn Clock> = Box::new(SystemClock);
        // The one who wrote it, and the one who hears it.
        let room = crowd(2, [Encoding::Msgpack; 2]);
        let sequenced = World::default().sequenced(CONVERSATION, room.sequencer().seq_last().0 + 1);
        let (_, to) = deliver(&room, &sequenced, Some(connection(0)), NOW.day());
        let messages = usize::try_from(case.each).expect("a small number");
        move || {
            let metrics = black_box::<&Metrics>(&metrics);
            for _ in 0..messages {
                black_box(clock.instant());
                tally::sequenced(metrics, sequenced.envelope(), black_box(to), black_box(DELIVERY));
            }
            metrics.waiting(black_box(messages));
            let (took, keys, sync) = black_box((ACK, Duration::ZERO, ACK));
            metrics.committed(&Committed { messages, took, keys, sync });
            for _ in 0..messages {
                black_box(clock.instant());
                tally::stored(metrics, black_box(ACK));
                black_box(clock.instant());
                tally::acked(metrics, black_box(ACK));
            }
            metrics.waiting(black_box(0));
        }
    });
}
