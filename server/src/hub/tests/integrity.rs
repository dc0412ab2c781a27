//! What was acked is looked for again: what is there counts as kept, what ended as nothing, and
//! what is lost pages.

use protocol::time::Day;

use super::*;
use crate::clock::ManualClock;
use crate::store::Retention as _;
use crate::store::Write;
use crate::store::conformance::NOW;

const MINUTE_MS: u64 = 60_000;

struct Audited {
    stand: Stand,
    clock: Arc<ManualClock>,
    world: World,
}

impl Audited {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let stand = Stand::at(RoutingConfig::default(), clock.clone(), None);
        let world = World::new(7);
        world.settle(&*stand.store).await;
        stand.hub.start().await.unwrap();
        stand.hub.integrity.audit_pass().await;
        Self { stand, clock, world }
    }

    /// Checked, missing.
    fn counts(&self) -> (u64, u64) {
        let metrics = &self.stand.hub.metrics;
        (metrics.integrity_checked_total.get(), metrics.integrity_missing_total.get())
    }

    async fn after(&self, minutes: u64) -> (u64, u64) {
        self.clock.advance_ms(minutes * MINUTE_MS);
        self.stand.hub.integrity.audit_pass().await;
        self.counts()
    }

    /// Says that this was acked. Whoever stores nothing of the kind lost it.
    fn acked(&self, sequenced: &crate::privacy::envelope::Sequenced) {
        let hub = &self.stand.hub;
        hub.integrity.acked(sequenced, || hub.times.instant());
    }

    async fn store(&self, sequenced: Arc<crate::privacy::envelope::Sequenced>) {
        self.stand.store.write(vec![Write::Message(sequenced)]).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acked_is_read_back_after_some_minutes_and_not_before() {
    let audited = Audited::new().await;
    let (hub, World { tenant, conversation, .. }) = (&audited.stand.hub, audited.world);
    // The line that says so is a message like any other.
    hub.conversations().close(tenant, Actor::Program, conversation).await.unwrap();
    assert_eq!(audited.stand.transcript(&audited.world).await.len(), 1);
    assert_eq!(audited.after(9).await, (0, 0));
    assert_eq!(hub.metrics.integrity_last_check_timestamp_seconds.get(), 0);
    assert_eq!(audited.after(1).await, (1, 0));
    let at = i64::try_from(audited.clock.now().0 / 1_000).unwrap();
    assert_eq!(hub.metrics.integrity_last_check_timestamp_seconds.get(), at);
    assert_eq!(audited.after(60).await, (1, 0), "once");
}

#[tokio::test]
async fn what_is_not_there_or_is_another_was_lost() {
    let audited = Audited::new().await;
    let world = audited.world;
    // Another of the day is there, so that the day's key is.
    audited.store(world.message(1, "kept")).await;
    audited.acked(&world.message(2, "never stored"));
    assert_eq!(audited.after(10).await, (1, 1));
    audited.acked(&world.message(1, "other words"));
    assert_eq!(audited.after(10).await, (2, 2));
    let elsewhere = world.message(1, "kept").envelope().clone().sequence(Seq(5));
    audited.acked(&elsewhere);
    assert_eq!(audited.after(10).await, (3, 3), "it has another number");
    audited.acked(&world.message(1, "kept"));
    assert_eq!(audited.after(10).await, (4, 3));
}

#[tokio::test]
async fn what_ended_in_between_was_not_lost() {
    let audited = Audited::new().await;
    let world = audited.world;
    let new_message = world.message(1, "soon destroyed");
    audited.store(Arc::clone(&new_message)).await;
    audited.acked(&new_message);
    let buckets = audited.stand.store.buckets().await.unwrap();
    audited.stand.keys.destroy_buckets(&buckets).unwrap();
    assert_eq!(audited.after(10).await, (0, 0), "the row is noise");
    audited.stand.store.clean_up(&buckets).await.unwrap();
    audited.acked(&new_message);
    assert_eq!(audited.after(10).await, (0, 0), "the row is gone");
}

#[tokio::test]
async fn what_an_erasure_took_was_not_lost() {
    let audited = Audited::new().await;
    let world = audited.world;
    audited.store(world.message(1, "of a person who was erased")).await;
    audited.acked(&world.message(2, "of a person who was erased"));
    let subject = Subject::Visitor(world.visitor);
    audited.stand.keys.destroy_subject(world.tenant, subject).unwrap();
    assert_eq!(audited.after(10).await, (0, 0));
}

#[tokio::test]
async fn what_may_be_destroyed_by_now_is_not_missed() {
    let audited = Audited::new().await;
    audited.store(audited.world.message(1, "kept")).await;
    audited.acked(&audited.world.message(2, "gone before anybody says so"));
    let years = 4 * 366 * 24 * 60;
    assert_eq!(audited.after(years).await, (0, 0));
}

#[tokio::test]
async fn what_cannot_be_read_is_asked_for_again_and_lost_where_others_can_be() {
    let audited = Audited::new().await;
    let world = audited.world;
    audited.store(world.message(1, "kept")).await;
    // Of a day for which there is no key, and none was destroyed: nothing can be said of it.
    let yesterday = Day(NOW.day().0 - 1);
    audited.acked(&world.message_on(2, "no key", yesterday));
    assert_eq!(audited.after(10).await, (0, 0));
    assert_eq!(audited.after(1).await, (0, 0), "the store may be away");
    audited.acked(&world.message(1, "kept"));
    assert_eq!(audited.after(10).await, (1, 0));
    assert_eq!(audited.after(1).await, (2, 1), "it is not: another was read");
}

#[tokio::test]
async fn what_is_remembered_has_a_bound_and_one_message_a_pass_is() {
    let audited = Audited::new().await;
    let new_message = audited.world.message(1, "kept");
    audited.store(Arc::clone(&new_message)).await;
    for _ in 0..10 {
        audited.acked(&new_message);
    }
    assert_eq!(audited.after(10).await, (1, 0), "the next ones of a pass are let pass");
    for _ in 0..3_000 {
        audited.stand.hub.integrity.audit_pass().await;
        audited.acked(&new_message);
    }
    audited.clock.advance_ms(10 * MINUTE_MS);
    for _ in 0..300 {
        audited.stand.hub.integrity.audit_pass().await;
    }
    assert_eq!(audited.counts(), (1 + 1_024, 0));
}
