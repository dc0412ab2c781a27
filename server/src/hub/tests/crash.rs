//! What a crash or a failed write leaves behind, step by step.

use super::*;
use crate::sequencer::TAIL_MAX;

async fn stand() -> (Stand, World) {
    let (stand, world) = (Stand::new(), World::new(1));
    world.settle(&*stand.store).await;
    (stand, world)
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waited)
        .await
        .expect("it comes to that");
}

/// Says so many things and hears that they are stored.
async fn say(stand: &Stand, person: &mut Person, times: usize) {
    let (speaker, sink, watched) = person.connect(&stand.hub).await;
    for _ in 0..times {
        let pending = person.write();
        person.send(&stand.hub, &speaker, pending).await;
        until(|| {
            person.receive_all(&sink);
            person.asked.is_empty()
        })
        .await;
    }
    stand.hub.attendance().leave(&speaker, &watched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_that_was_said_while_someone_was_away_is_off_their_screen_when_they_are_back() {
    let (stand, world) = stand().await;
    let (mut author, mut reader) = (Person::visitor(&world), Person::visitor(&world));
    say(&stand, &mut author, 2).await;
    let (speaker, sink, _) = author.connect(&stand.hub).await;
    let (reading, window, watched) = reader.connect(&stand.hub).await;
    let before = stand.keys.batches.load(Ordering::SeqCst);
    stand.keys.shut.store(true, Ordering::SeqCst);
    stand.keys.next.store(true, Ordering::SeqCst);
    let lost = author.write();
    author.send(&stand.hub, &speaker, lost).await;
    // The batch with the first alone stands still; the second is sequenced while its outcome is
    // open.
    until(|| stand.keys.batches.load(Ordering::SeqCst) > before).await;
    let kept = author.write();
    author.send(&stand.hub, &speaker, kept).await;
    reader.receive_all(&window);
    stand.hub.attendance().leave(&reading, &watched);
    assert_eq!(reader.view.len(), 4, "both were shown");
    stand.keys.shut.store(false, Ordering::SeqCst);
    until(|| {
        author.receive_all(&sink);
        author.asked.is_empty()
    })
    .await;
    let stored: Vec<_> = stand.transcript(&world).await.iter().map(|item| item.message).collect();
    assert!(!stored.contains(&lost.message) && stored.contains(&kept.message), "one of the two");
    reader.settle(&stand.hub).await;
    reader.check(&stand.transcript(&world).await);
    author.settle(&stand.hub).await;
    author.check(&stand.transcript(&world).await);
    stand.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_from_before_a_crash_is_acked_with_its_number_long_after() {
    let (stand, world) = stand().await;
    let (mut author, mut other) = (Person::visitor(&world), Person::visitor(&world));
    say(&stand, &mut other, 4).await;
    let (speaker, sink, watched) = author.connect(&stand.hub).await;
    author.receive_all(&sink);
    // Its author had seen thirty sequence numbers, of which a crash took all but four.
    let pending = Pending { seen: Seq(30), ..author.write() };
    author.outbox = [pending].into();
    author.send(&stand.hub, &speaker, pending).await;
    until(|| {
        author.receive_all(&sink);
        author.asked.is_empty()
    })
    .await;
    let first = author.acked.clone();
    stand.hub.attendance().leave(&speaker, &watched);
    say(&stand, &mut other, TAIL_MAX + 10).await;
    author.outbox = [pending].into();
    author.settle(&stand.hub).await;
    assert_eq!(author.acked, [first.clone(), first].concat());
    author.check(&stand.transcript(&world).await);
    stand.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_under_way_waits_and_is_not_refused() {
    let (stand, world) = stand().await;
    let mut author = Person::visitor(&world);
    let (speaker, sink, watched) = author.connect(&stand.hub).await;
    for _ in 0..200 {
        let pending = author.write();
        author.send(&stand.hub, &speaker, pending).await;
        author.receive_all(&sink);
    }
    until(|| {
        author.receive_all(&sink);
        author.asked.is_empty()
    })
    .await;
    stand.hub.attendance().leave(&speaker, &watched);
    assert_eq!(author.acked.len(), 200);
    assert!(author.acked.windows(2).all(|pair| pair[0].1 < pair[1].1), "in the order of saying");
    stand.store.close().await;
}
