//! Many people at once on several threads, connections that break, slow consumers that do not keep
//! up, writes that fail: nothing is lost, doubled or out of order, and nobody waits for ever.

use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::tasks::spawn;

const CONVERSATIONS: u8 = 4;
/// How long they talk.
const TALK: Duration = Duration::from_secs(4);
/// A hang is a failure, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(18);

/// Chance of one's own, so that a run differs only by how the threads meet.
struct Dice(u64);

impl Dice {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(n)
    }
}

struct Tally {
    overflows: u64,
    cuts: u64,
}

async fn talk(
    hub: Arc<Hub>,
    mut person: Person,
    mut dice: Dice,
    stop: watch::Receiver<bool>,
) -> (Person, Tally) {
    let mut tally = Tally { overflows: 0, cuts: 0 };
    while !*stop.borrow() {
        let (speaker, sink, watched) = person.connect(&hub).await;
        for pending in person.outbox.clone() {
            person.send(&hub, &speaker, pending).await;
        }
        while !sink.is_over() && !*stop.borrow() {
            if person.outbox.len() < 40 {
                for _ in 0..if dice.one_in(8) { 12 } else { 1 } {
                    let pending = person.write();
                    person.send(&hub, &speaker, pending).await;
                }
            } else if person.asked.is_empty() {
                // Refused for now: once more, in order.
                break;
            }
            // Now and then someone reads nothing for a while, and their connection fills.
            if !dice.one_in(3) {
                person.receive_all(&sink);
            }
            if dice.one_in(60) {
                tally.cuts += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
        tally.overflows += u64::from(sink.is_over());
        // What is still on the connection may or may not arrive.
        if dice.one_in(2) {
            person.receive_all(&sink);
        }
        // The server may notice late that nobody is there.
        if dice.one_in(2) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        hub.attendance().leave(&speaker, &watched);
    }
    (person, tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_fails_nothing_is_lost_doubled_or_out_of_order() {
    let stand = Stand::new();
    let agent = World::new(1).agent;
    let (stop, stopped) = watch::channel(false);
    let mut worlds = Vec::new();
    let mut talks = Vec::new();
    World::new(1).settle(&*stand.store).await;
    for number in 0..CONVERSATIONS {
        let world = World::new(1).with_visitor(100 + number);
        world.begin(&*stand.store).await;
        let session = SessionId::from_uuid(Uuid::new_v4());
        let people = [
            Person::visitor(&world),
            Person::visitor(&world),
            Person::new(&world, Who::Agent { agent, session }),
        ];
        worlds.push(world);
        for person in people {
            let dice = Dice(u64::try_from(talks.len()).unwrap() + 77);
            let talk = talk(Arc::clone(&stand.hub), person, dice, stopped.clone());
            talks.push((usize::from(number), spawn("talk", talk)));
        }
    }
    let upkeep = spawn("upkeep", Arc::clone(&stand.hub).upkeep(stopped));
    stand.keys.one_in.store(9, Ordering::SeqCst);
    tokio::time::sleep(TALK).await;
    stop.send_replace(true);
    let whole = async {
        let (mut overflows, mut cuts, mut voids, mut resets, mut acked) = (0, 0, 0, 0, 0);
        let mut people = Vec::new();
        for (number, talk) in talks {
            let (person, tally) = talk.await.unwrap();
            overflows += tally.overflows;
            cuts += tally.cuts;
            people.push((number, person));
        }
        upkeep.await.unwrap();
        stand.keys.one_in.store(0, Ordering::SeqCst);
        for (_, person) in &mut people {
            person.settle(&stand.hub).await;
        }
        for (number, person) in &mut people {
            person.settle(&stand.hub).await;
            let transcript = stand.transcript(&worlds[*number]).await;
            let mut ids: Vec<_> = transcript.iter().map(|item| item.message).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), transcript.len(), "a message is there twice");
            person.check(&transcript);
            voids += person.voids;
            resets += person.resets;
            acked += person.acked.len();
        }
        let failed = stand.keys.failed.load(Ordering::SeqCst);
        println!(
            "{acked} acked, {failed} batches failed, {voids} voids heard, {resets} resets, {overflows} lines full, {cuts} cut"
        );
        assert!(failed > 0 && voids > 0 && resets > 0 && overflows > 0 && cuts > 0 && acked > 0);
    };
    tokio::time::timeout(PATIENCE - TALK, whole).await.expect("nobody waits for ever");
    stand.store.close().await;
}
