#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it waits for")]

use proptest::prelude::*;
use protocol::conversation::ResumePoint;
use protocol::ids::{SiteId, VisitorId};
use protocol::message::{Author, Body, Visibility};
use protocol::personal::Text;
use protocol::time::UnixMillis;

use super::*;
use crate::channel::Channel;
use crate::privacy::envelope::Flags;
use crate::privacy::ingest::{IngestContext, NewMessage, ingest};
use crate::privacy::policy::{Plan, SiteTimeline};
use crate::privacy::redact::Redactor;

mod between;
mod hearing;
mod lane;

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const SITE: SiteId = SiteId::from_bytes([2; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([3; 16]);
const VISITOR: VisitorId = VisitorId::from_bytes([4; 16]);
const START: UnixMillis = UnixMillis(1_790_000_000_000);

fn id(number: u64) -> MessageId {
    let mut bytes = [0; 16];
    bytes[6] = 0x70;
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[8] = 0x80;
    MessageId::from_bytes(bytes)
}

/// What the visitor says at this many milliseconds after the start.
fn envelope(number: u64, seen_seq: Seq, after_ms: u64) -> Envelope {
    new_message(number, &format!("word {number}"), (seen_seq, after_ms))
}

/// The same id with words of its own.
fn with_words(number: u64, words: &str) -> Envelope {
    new_message(number, words, (Seq(0), number))
}

fn new_message(number: u64, words: &str, (seen_seq, after_ms): (Seq, u64)) -> Envelope {
    let timeline = SiteTimeline::new(UnixMillis(0), Plan::Team);
    let context = IngestContext {
        tenant: TENANT,
        site: SITE,
        subject: VISITOR,
        timeline: &timeline,
        redactor: &Redactor::default(),
        flags: Flags::default(),
        channel: Channel::Widget,
    };
    let new_message = NewMessage {
        conversation: CONVERSATION,
        message: id(number),
        seen_seq,
        body: Body::Text(Text::new(words)),
        visibility: Visibility::Everyone,
    };
    ingest(new_message, Author::Visitor, &context, START.plus_ms(after_ms)).unwrap()
}

fn sequenced(number: u64, seq: u64, after_ms: u64) -> Arc<Sequenced> {
    Arc::new(envelope(number, Seq(0), after_ms).sequence(Seq(seq)))
}

/// A sequencer as it is loaded from a store that has these.
fn loaded(stored: &[Arc<Sequenced>]) -> Sequencer {
    let seq_last = stored.last().map_or(Seq(0), |last| last.seq());
    let tail = stored.get(stored.len().saturating_sub(TAIL_MAX)..).unwrap_or_default().to_vec();
    Sequencer::new((TENANT, CONVERSATION), seq_last, tail, Default::default())
}

fn point(of: &Sequenced) -> ResumePoint {
    ResumePoint {
        conversation: CONVERSATION,
        seq: of.seq(),
        message: Some(of.envelope().message()),
        at: Some(of.envelope().at()),
    }
}

/// What a reader who may see everything is read of the store.
fn older(rows: &[Arc<Sequenced>], point: &ResumePoint, through: Seq) -> Older {
    let (before, following) = rows.iter().cloned().partition(|row| row.seq() <= point.seq);
    Older { before, following, whole: true, through }
}

fn after(resumed: &Resumed) -> Option<Vec<Seq>> {
    match resumed {
        Resumed::After(page) => Some(page.iter().map(|sequenced| sequenced.seq()).collect()),
        Resumed::Reset(_) | Resumed::LookInStore { .. } => None,
    }
}

fn is_reset(resumed: &Resumed) -> bool {
    matches!(resumed, Resumed::Reset(_))
}

#[test]
fn what_follows_the_last_message_is_all_that_follows_it() {
    let stored: Vec<_> = (1..=9).map(|n| sequenced(n, n, n)).collect();
    let room = loaded(&stored);
    assert_eq!(
        after(&room.resume(Some(&point(&stored[5])), None)),
        Some(vec![Seq(7), Seq(8), Seq(9)])
    );
    assert_eq!(after(&room.resume(Some(&point(&stored[8])), None)), Some(vec![]));
    let later = point(&sequenced(10, 10, 10));
    assert!(is_reset(&room.resume(Some(&later), None)), "never placed here");
}

#[test]
fn what_died_is_let_go_of_and_asked_of_the_store_like_what_was_long_ago() {
    const DAY_MS: u64 = 86_400_000;
    let stored: Vec<_> = (1..=4).map(|n| sequenced(n, n, n * DAY_MS)).collect();
    let mut room = loaded(&stored);
    room.append(sequenced(5, 5, 5 * DAY_MS));
    let dead_until = |n: usize| stored[n - 1].envelope().tag().ingest_day;
    room.forget_dead(|tag| tag.ingest_day <= dead_until(2));
    assert_eq!(after(&room.resume(None, None)), Some(vec![Seq(3), Seq(4), Seq(5)]));
    let dead = room.resume(Some(&point(&stored[1])), None);
    assert!(matches!(dead, Resumed::LookInStore { .. }));
    let nothing = older(&[], &point(&stored[1]), room.tail_after());
    assert!(is_reset(&room.resume(Some(&point(&stored[1])), Some(&nothing))));
    room.forget_dead(|_| true);
    assert_eq!(after(&room.resume(None, None)), Some(vec![Seq(5)]), "which is under way");
    room.stored(Seq(5));
    room.forget_dead(|_| true);
    assert_eq!((after(&room.resume(None, None)), room.seq_last()), (Some(vec![]), Seq(5)));
}

/// Three was void and four never stored; after a crash another message took three, and the very
/// same one took four again.
#[test]
fn a_number_that_is_given_again_to_the_same_message_is_another() {
    let (one, two, lost) = (sequenced(1, 1, 1), sequenced(2, 2, 2), sequenced(4, 4, 4));
    let room = loaded(&[one, two, sequenced(3, 3, 500), sequenced(4, 4, 501)]);
    assert!(is_reset(&room.resume(Some(&point(&lost)), None)));
}

#[test]
fn a_time_that_is_not_named_is_not_believed() {
    let stored = [sequenced(1, 1, 1), sequenced(2, 2, 2)];
    let timeless = ResumePoint { at: None, ..point(&stored[1]) };
    assert!(is_reset(&loaded(&stored).resume(Some(&timeless), None)));
}

/// The four forms of a point, as docs/wire.md has them.
#[test]
fn a_number_without_its_message_leads_nowhere_and_no_number_is_the_beginning() {
    let stored = [sequenced(1, 1, 1), sequenced(2, 2, 2)];
    let room = loaded(&stored);
    let whole = point(&stored[0]);
    assert_eq!(after(&room.resume(Some(&whole), None)), Some(vec![Seq(2)]));
    for at in [whole.at, None] {
        let nameless = ResumePoint { message: None, at, ..whole.clone() };
        assert!(is_reset(&room.resume(Some(&nameless), None)));
        let nothing = ResumePoint { seq: Seq(0), ..nameless };
        assert_eq!(after(&room.resume(Some(&nothing), None)), Some(vec![Seq(1), Seq(2)]));
    }
    assert!(is_reset(&room.resume(Some(&ResumePoint { seq: Seq(0), ..whole }), None)));
}

/// Someone was away when three became void: their screen still has it.
#[test]
fn a_void_below_the_last_message_is_a_reset() {
    let mut room = loaded(&[sequenced(1, 1, 1), sequenced(2, 2, 2)]);
    let (three, four) = (sequenced(3, 3, 3), sequenced(4, 4, 4));
    room.append(Arc::clone(&three));
    room.append(Arc::clone(&four));
    assert_eq!(after(&room.resume(Some(&point(&four)), None)), Some(vec![]));
    room.fail(Seq(3), id(3));
    room.stored(Seq(4));
    assert!(is_reset(&room.resume(Some(&point(&four)), None)), "while the room lives");
    let reloaded = loaded(&[sequenced(1, 1, 1), sequenced(2, 2, 2), Arc::clone(&four)]);
    assert!(is_reset(&reloaded.resume(Some(&point(&four)), None)), "and after");
    assert!(is_reset(&reloaded.resume(Some(&point(&three)), None)), "the void itself");
}

#[test]
fn a_void_that_nobody_can_still_show_is_no_reset() {
    let last = 3 + UNDER_WAY_MAX;
    let stored: Vec<_> =
        (1..=last).filter(|seq| *seq != 3).map(|seq| sequenced(seq, seq, seq)).collect();
    let room = loaded(&stored);
    let resumed = |seq: u64| room.resume(Some(&point(&sequenced(seq, seq, seq))), None);
    assert_eq!(after(&resumed(last)), Some(vec![]));
    assert!(is_reset(&resumed(last - 1)));
}

#[test]
fn a_void_beyond_memory_is_found_in_the_store() {
    let stored: Vec<_> = (1..=90).map(|n| sequenced(n, n, n)).collect();
    let room = loaded(&stored);
    let asked = point(&stored[40]);
    let below = Seq(41 - UNDER_WAY_MAX);
    let through = Seq(40);
    assert_eq!(room.resume(Some(&asked), None), Resumed::LookInStore { after: below, through });
    let rows: Vec<_> = stored.iter().filter(|p| p.seq() > below).cloned().collect();
    let read = older(&rows, &asked, through);
    assert_eq!(after(&room.resume(Some(&asked), Some(&read))).map(|all| all.len()), Some(49));
    let long = Older { whole: false, ..read.clone() };
    assert!(is_reset(&room.resume(Some(&asked), Some(&long))), "more than is sent at once");
    let stale = Older { through: Seq(39), ..read };
    assert!(matches!(room.resume(Some(&asked), Some(&stale)), Resumed::LookInStore { .. }));
    let holed: Vec<_> = rows.into_iter().filter(|p| p.seq() != Seq(30)).collect();
    assert!(is_reset(&room.resume(Some(&asked), Some(&older(&holed, &asked, through)))));
}

/// What becomes of a message that is just said.
fn submit(room: &mut Sequencer, envelope: Envelope) -> Command {
    room.handle(Input::Submitted(Submission::new(envelope, true)))
}

/// The number above which a new message gets its own.
fn floor(command: &Command) -> Option<Seq> {
    match command {
        Command::Sequence { floor, .. } => Some(*floor),
        _ => None,
    }
}

/// A message that is looked for in the store, and above what.
fn looked_for(command: Command) -> (Submission, Seq) {
    match command {
        Command::ReadStore { submission, after, .. } => (submission, after),
        other => panic!("it is not looked for: {other:?}"),
    }
}

#[test]
fn a_duplicate_is_looked_for_below_what_its_author_had_seen_before_a_crash() {
    let mut room = loaded(&(1..=90).map(|n| sequenced(n, n, n)).collect::<Vec<_>>());
    // Its author had seen forty; all above thirty was lost, and it was stored at thirty-five.
    let (submission, after) = looked_for(submit(&mut room, envelope(35, Seq(40), 35)));
    assert_eq!(after, Seq(40 - UNDER_WAY_MAX));
    assert!(after < Seq(35));
    let found = room.handle(Input::Found(submission.clone(), Some(sequenced(35, 35, 35))));
    assert!(matches!(found, Command::Ack(Acked { seq: Seq(35), .. })), "{found:?}");
    let other = Arc::new(envelope(36, Seq(40), 35).sequence(Seq(35)));
    let conflict = room.handle(Input::Found(submission.clone(), Some(other)));
    assert!(matches!(conflict, Command::Refuse(Refusal::Conflict)));
    assert_eq!(floor(&room.handle(Input::Found(submission, None))), Some(Seq(90)));
}

#[test]
fn a_search_of_the_store_is_old_once_memory_moved_on() {
    let mut room = loaded(&(1..=90).map(|n| sequenced(n, n, n)).collect::<Vec<_>>());
    let (submission, _) = looked_for(submit(&mut room, envelope(500, Seq(40), 500)));
    room.append(sequenced(91, 91, 91));
    room.stored(Seq(91));
    looked_for(room.handle(Input::Found(submission, None)));
}

#[test]
fn memory_keeps_what_a_search_is_to_join_however_much_is_said_meanwhile() {
    let mut room = loaded(&(1..=90).map(|n| sequenced(n, n, n)).collect::<Vec<_>>());
    room.hold();
    let (submission, _) = looked_for(submit(&mut room, envelope(500, Seq(40), 500)));
    let say = |room: &mut Sequencer, all: std::ops::RangeInclusive<u64>| {
        for seq in all {
            room.append(sequenced(seq, seq, seq));
            room.stored(Seq(seq));
        }
    };
    say(&mut room, 91..=190);
    assert_eq!(floor(&room.handle(Input::Found(submission, None))), Some(Seq(190)));
    say(&mut room, 191..=1_000);
    assert!(room.tail.len() <= TAIL_HELD_MAX, "nor without end");
    room.let_go();
    assert_eq!(room.tail.len(), TAIL_MAX);
}

#[test]
fn no_more_is_under_way_than_is_looked_back_for() {
    let mut room = loaded(&[sequenced(1, 1, 1)]);
    let mut seq = 1;
    let next = |seq| envelope(900, Seq(seq), 900);
    while let Some(floor) = floor(&submit(&mut room, next(seq))) {
        seq = floor.0 + 1;
        room.append(sequenced(seq, seq, seq));
    }
    assert_eq!(seq, 1 + UNDER_WAY_MAX);
    let waits = submit(&mut room, next(seq));
    assert!(matches!(waits, Command::WriteFloor { seq: at, .. } if at == Seq(seq)), "{waits:?}");
    room.stored(Seq(2));
    assert_eq!(floor(&submit(&mut room, next(seq))), Some(Seq(seq)));
}

#[test]
fn voids_count_until_the_store_knows_that_their_numbers_were_given() {
    let mut room = loaded(&[]);
    for seq in 1..=UNDER_WAY_MAX {
        room.append(sequenced(seq, seq, seq));
        room.handle(Input::Failed(sequenced(seq, seq, seq)));
    }
    let waits = submit(&mut room, envelope(900, Seq(0), 900));
    let Command::WriteFloor { submission, seq } = waits else { panic!("{waits:?}") };
    assert_eq!(seq, Seq(UNDER_WAY_MAX));
    assert_eq!(room.unlasting(), Some(Seq(UNDER_WAY_MAX)));
    assert!(!room.is_idle(), "a room that forgot them would give them again");
    let goes_on = room.handle(Input::Floored(submission, seq));
    assert_eq!(room.unlasting(), None);
    assert!(room.is_idle());
    assert_eq!(floor(&goes_on), Some(Seq(UNDER_WAY_MAX)));
}

/// Its number turned out to be another's: the bus is asked for the next one.
#[test]
fn a_room_stays_while_the_bus_is_asked_once_more() {
    let mut room = loaded(&[sequenced(1, 1, 1)]);
    let Command::Sequence { submission, .. } = submit(&mut room, envelope(2, Seq(1), 2)) else {
        panic!("it is new")
    };
    room.await_bus();
    room.handle(Input::Read(sequenced(3, 2, 3)));
    let own = Arc::new(submission.envelope().clone().sequence(Seq(2)));
    let again = room.handle(Input::Told(submission, own));
    let Command::Sequence { submission, floor } = again else { panic!("{again:?}") };
    assert_eq!(floor, Seq(2));
    assert!(!room.is_idle(), "the answer is awaited");
    room.handle(Input::BusAway(submission));
    assert!(room.is_idle());
}

/// Everything in order, whatever is stored, fails, or is said again.
#[derive(Debug, Clone)]
enum Step {
    Say(u64),
    Outcome { stored: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..120u64).prop_map(Step::Say),
        2 => any::<bool>().prop_map(|stored| Step::Outcome { stored }),
        3 => Just(Step::Outcome { stored: true }),
    ]
}

proptest! {
    #[test]
    fn a_message_that_is_there_is_never_new_and_numbers_only_grow(steps in prop::collection::vec(step(), 1..300)) {
        let mut room = loaded(&[]);
        let mut waiting: VecDeque<Arc<Sequenced>> = VecDeque::new();
        let mut there: Vec<Arc<Sequenced>> = Vec::new();
        let mut last = Seq(0);
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Say(number) => {
                    let envelope = envelope(number, Seq(0), u64::try_from(at).unwrap());
                    let known = there.iter().find(|p| p.envelope().message() == id(number)).cloned();
                    let mut command = submit(&mut room, envelope);
                    while let Command::ReadStore { submission, after, .. } = command {
                        let stored = known.clone().filter(|known| known.seq() > after);
                        command = room.handle(Input::Found(submission, stored));
                    }
                    match command {
                        Command::Sequence { submission, floor } => {
                            prop_assert!(known.is_none(), "{number} was there");
                            prop_assert!(floor >= last);
                            last = floor.next();
                            let published = room.handle(Input::Sequenced(submission, last));
                            let Command::Publish { sequenced, .. } = published else {
                                panic!("it has its number")
                            };
                            there.push(Arc::clone(&sequenced));
                            waiting.push_back(sequenced);
                        }
                        Command::Confirm(acked, message) => {
                            prop_assert_eq!(known.map(|known| known.seq()), Some(acked.seq));
                            prop_assert_eq!(message, id(number));
                        }
                        Command::Ack(acked) => {
                            prop_assert_eq!(known.map(|known| known.seq()), Some(acked.seq), "the store has it");
                        }
                        Command::WriteFloor { seq, .. } => {
                            prop_assert!(known.is_none());
                            prop_assert!(!waiting.is_empty() || room.unlasting().is_some());
                            if waiting.is_empty() {
                                room.lasts(seq);
                            }
                        }
                        other => prop_assert!(false, "on one node there is no {:?}", other),
                    }
                }
                Step::Outcome { stored } => {
                    let Some(sequenced) = waiting.pop_front() else { continue };
                    if stored {
                        let told = room.handle(Input::Stored(Arc::clone(&sequenced)));
                        prop_assert!(matches!(told, Command::Ack(_)));
                    } else {
                        let told = room.handle(Input::Failed(Arc::clone(&sequenced)));
                        let void = matches!(told, Command::Void { announce: true, .. });
                        prop_assert!(void);
                        there.retain(|known| known.seq() != sequenced.seq());
                    }
                }
            }
        }
    }
}
