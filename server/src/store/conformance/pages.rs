//! What is read of a conversation: pages, rooms, the newest words.

use std::sync::Arc;

use protocol::message::{Author, Seq};
use protocol::personal::Personal;
use protocol::time::Day;

use super::{MessageKind, NOW, World, scatter};
use crate::privacy::envelope::{Content, Envelope, Parts, Sequenced};
use crate::privacy::gate::Reader;
use crate::store::{MessagePage, ReceiptRow, Sight, Store, Write};

/// Which kind of message stands at a sequence number of the conversation that pages are read of:
/// runs long and short, and some sequence numbers without a message.
pub(crate) fn kind_at(seq: u64) -> Option<MessageKind> {
    match seq {
        1..=20 => Some(MessageKind::Words),
        21..=120 => Some(MessageKind::Note),
        121..=123 => Some(MessageKind::Words),
        124..=190 => Some(MessageKind::System),
        191..=400 if seq.is_multiple_of(7) => None,
        191..=400 => Some(
            [MessageKind::Words, MessageKind::Note, MessageKind::System]
                [usize::try_from(scatter(seq) % 3).unwrap()],
        ),
        401..=470 => Some(MessageKind::Note),
        _ => None,
    }
}

/// The last sequence number of it.
const PAGED_TO: u64 = 470;

/// Lines up to here came long before the others.
const OLD_TO: u64 = 30;

fn old_day() -> Day {
    Day(NOW.day().0 - 500)
}

/// A day on which only those can no longer be read.
fn later_day() -> Day {
    Day(NOW.day().0 + 700)
}

/// All that a sight sees of it, in order.
fn all_of(sight: Sight) -> Vec<Seq> {
    let (Sight::Shown(_, day) | Sight::Words(day) | Sight::Said(day)) = sight;
    let sees = |seq: &u64| {
        let alive = day != later_day() || *seq > OLD_TO;
        let kind = kind_at(*seq);
        let kind_shown = kind.is_some_and(|kind| match sight {
            Sight::Shown(Reader::Agents, _) => true,
            Sight::Shown(Reader::Visitor, _) => kind != MessageKind::Note,
            Sight::Words(_) => kind == MessageKind::Words,
            Sight::Said(_) => kind != MessageKind::System,
        });
        alive && kind_shown
    };
    (1..=PAGED_TO).filter(sees).map(Seq).collect()
}

/// Pages in every sight and range say what a walk over all lines says.
pub(crate) async fn paged_well(store: &dyn Store, world: &World) {
    let World { tenant, conversation, .. } = *world;
    for day in [NOW.day(), later_day()] {
        for sight in [
            Sight::Shown(Reader::Agents, day),
            Sight::Shown(Reader::Visitor, day),
            Sight::Words(day),
            Sight::Said(day),
        ] {
            let all = all_of(sight);
            for before in
                [None, Some(1), Some(2), Some(40), Some(120), Some(180), Some(300), Some(471)]
            {
                for after in [0, 1, 25, 118, 125, 460, 900] {
                    for limit in [1, 3, 50] {
                        let (after, before) = (Seq(after), before.map(Seq));
                        let of = (tenant, conversation);
                        let page = store.page(of.0, of.1, sight, (after, before), limit).await;
                        let page = page.unwrap();
                        let within: Vec<_> = all
                            .iter()
                            .copied()
                            .filter(|seq| *seq > after && before.is_none_or(|before| *seq < before))
                            .collect();
                        let from = within.len().saturating_sub(usize::from(limit));
                        let seqs: Vec<_> = page.messages.iter().map(|row| row.seq()).collect();
                        let asked = format!("{sight:?} {after:?} {before:?} {limit}");
                        assert_eq!(seqs, within[from..], "{asked}");
                        assert_eq!(page.more, from > 0, "whether there are earlier ones: {asked}");
                    }
                }
            }
        }
    }
    let stranger = World::new(21).tenant;
    let sight = Sight::Shown(Reader::Agents, NOW.day());
    let page = store.page(stranger, conversation, sight, (Seq(0), None), 9).await.unwrap();
    assert_eq!(page, MessagePage::default());
}

/// Writes the conversation that pages are read of.
pub(crate) async fn write_kinds(store: &dyn Store, world: &World) {
    for seq in 1..=PAGED_TO {
        let Some(kind) = kind_at(seq) else { continue };
        let day = if seq <= OLD_TO { old_day() } else { NOW.day() };
        store.write(vec![Write::Message(world.message_of_kind(seq, kind, day))]).await.unwrap();
    }
}

pub(super) async fn pages_are_of_what_their_reader_may_see(store: &dyn Store) {
    let world = World::new(62);
    world.settle(store).await;
    write_kinds(store, &world).await;
    paged_well(store, &world).await;
}

pub(super) async fn a_room_knows_what_is_below_its_tail(store: &dyn Store) {
    let world = World::new(63);
    world.settle(store).await;
    let World { tenant, conversation, .. } = world;
    let room = async || store.room(tenant, conversation, 8).await.unwrap().unwrap();
    let (old, today) = (Some(old_day()), Some(NOW.day()));
    let mut seq = 0;
    let mut write = async |kind, times, day| {
        for _ in 0..times {
            seq += 1;
            store.write(vec![Write::Message(world.message_of_kind(seq, kind, day))]).await.unwrap();
        }
    };
    write(MessageKind::Words, 3, old_day()).await;
    let empty = room().await;
    assert_eq!(
        (empty.below.for_visitors, empty.below.for_agents),
        (None, None),
        "all is in the tail"
    );
    assert_eq!(empty.words.map(|words| words.seq()), Some(Seq(3)));
    write(MessageKind::System, 12, NOW.day()).await;
    let after_system = room().await;
    assert_eq!(
        after_system.words.map(|words| words.seq()),
        Some(Seq(3)),
        "behind twelve event messages"
    );
    assert_eq!((after_system.below.for_visitors, after_system.below.for_agents), (today, today));
    write(MessageKind::Note, 60, NOW.day()).await;
    let after_notes = room().await;
    assert_eq!(after_notes.words.map(|words| words.seq()), Some(Seq(3)));
    assert_eq!((after_notes.below.for_visitors, after_notes.below.for_agents), (today, today));
    let other = world.with_visitor(2);
    other.begin(store).await;
    store
        .write(vec![Write::Message(other.message_of_kind(1, MessageKind::Words, old_day()))])
        .await
        .unwrap();
    for seq in 2..=20 {
        store
            .write(vec![Write::Message(other.message_of_kind(seq, MessageKind::Note, NOW.day()))])
            .await
            .unwrap();
    }
    let below = store.room(tenant, other.conversation, 8).await.unwrap().unwrap().below;
    assert_eq!((below.for_visitors, below.for_agents), (old, today));
}

pub(super) async fn lists_show_what_is_newest(store: &dyn Store) {
    let worlds = [0, 2, 3, 4].map(|m| World::new(66).with_visitor(m));
    let tenant = worlds[0].tenant;
    worlds[0].settle(store).await;
    for world in &worlds[1..] {
        world.begin(store).await;
    }
    let [talk, long, old, silent] = worlds;
    let write = async |message| store.write(vec![Write::Message(message)]).await.unwrap();
    let reply = |world: &World, seq| {
        let content = Content::Text(Personal::new(format!("reply {seq}")));
        let parts = world.parts([seq; 16], content, NOW.day());
        let parts = Parts { author: Author::Agent(world.agent), ..parts };
        Arc::new(Envelope::restore(parts).sequence(Seq(u64::from(seq))))
    };
    write(talk.message_of_kind(1, MessageKind::Words, NOW.day())).await;
    write(reply(&talk, 2)).await;
    write(talk.message_of_kind(3, MessageKind::Note, NOW.day())).await;
    write(talk.message_of_kind(4, MessageKind::System, NOW.day())).await;
    let mark = ReceiptRow {
        tenant,
        conversation: talk.conversation,
        author: Author::Visitor,
        delivered: Seq(2),
        seen: Seq(1),
    };
    store.write(vec![Write::Receipt(mark)]).await.unwrap();
    // Replies alone, in which nobody looks for the visitor; and words behind many notes.
    write(long.message_of_kind(1, MessageKind::Words, NOW.day())).await;
    for seq in 2..=60 {
        write(reply(&long, seq)).await;
    }
    write(old.message_of_kind(1, MessageKind::Words, NOW.day())).await;
    for seq in 2..=60 {
        write(old.message_of_kind(seq, MessageKind::Note, NOW.day())).await;
    }
    let asked: Vec<_> = worlds.iter().map(|world| world.conversation).collect();
    let unknown = World::new(66).with_visitor(9).conversation;
    let rows = store.newest(tenant, &[asked.as_slice(), &[unknown]].concat()).await.unwrap();
    let seq =
        |sequenced: &Option<Arc<Sequenced>>| sequenced.as_ref().map(|sequenced| sequenced.seq().0);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.conversation, row.seq_last.0, seq(&row.words), seq(&row.asked)))
        .collect();
    let expected = [
        (talk.conversation, 4, Some(2), Some(1)),
        (long.conversation, 60, Some(60), None),
        (old.conversation, 60, Some(1), Some(1)),
        (silent.conversation, 0, None, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(rows[0].words, Some(reply(&talk, 2)));
    assert_eq!((rows[0].receipts.as_slice(), rows[0].site), ([mark].as_slice(), talk.site));
    // It is what a room would begin with.
    for row in &rows {
        let room = store.room(tenant, row.conversation, 50).await.unwrap().unwrap();
        let (seq_last, words) = (room.seq_last, room.words);
        assert_eq!((row.seq_last, &row.words, &row.receipts), (seq_last, &words, &room.receipts));
    }
    let foreign = store.newest(World::new(99).tenant, &asked).await.unwrap();
    assert_eq!(foreign, [], "another's are not there");
}

pub(super) async fn an_id_is_found_wherever_it_stands(store: &dyn Store) {
    let world = World::new(64);
    world.settle(store).await;
    let World { tenant, conversation, .. } = world;
    for seq in 1..=600 {
        store
            .write(vec![Write::Message(world.message_of_kind(seq, MessageKind::Words, NOW.day()))])
            .await
            .unwrap();
    }
    for seq in [1, 2, 255, 256, 257, 258, 400, 600] {
        let id = world.message_of_kind(seq, MessageKind::Words, NOW.day()).envelope().message();
        for after in [0, 1, seq - 1, seq, 255, 256, 257, 599, 600, 1_000] {
            let found = store.message(tenant, conversation, id, Seq(after)).await.unwrap();
            let expected = (seq > after).then_some(Seq(seq));
            assert_eq!(found.map(|found| found.seq()), expected, "{seq} above {after}");
        }
    }
}
