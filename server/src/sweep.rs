//! Destroys what is due: first the keys, which ends it, then the rows, which cleans up. Sessions
//! and invitations that are over go with it. To destroy the keys is crypto-shredding: whatever copy
//! of the rows is left is noise.
//!
//! Lives here: the round, and the judgement of the clock by which it destroys.
//! Not here: what is due (`privacy::sweep`), keys (`keys`), rows (`store`). Started by `run`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::ids::{SiteId, TenantId};
use protocol::time::UnixMillis;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::privacy::audit::{Act, Action, Actor, ChainId, Detail};
use crate::privacy::policy::SiteTimeline;
use crate::privacy::seal::{Bucket, SealError, Sealer};
use crate::privacy::sweep::{ANSWER_MS, Trust, due, judge, judge_at_start};
use crate::store::{Change, Store, StoreError};

/// Entries of the audit that are written at once.
const ENTRIES_AT_ONCE: usize = 500;

/// Why a round was not finished; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error("the store failed in the sweep")]
    Store(#[from] StoreError),
    /// The keys.
    #[error("the key store failed in the sweep")]
    Keys(#[from] SealError),
}

/// How the wall clock was judged last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Not yet.
    #[default]
    Unknown,
    /// It may be destroyed by it.
    Trusted,
    /// It ran ahead of what explains it.
    Ahead,
    /// It stepped back.
    Behind,
}

/// The judgement of the clock, and the operator's word on it.
#[derive(Debug, Default)]
pub struct ClockTrust {
    state: Mutex<TrustState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct TrustState {
    standing: Standing,
    /// What both clocks said when the operator confirmed the wall clock; taken by the next round.
    confirmed: Option<(UnixMillis, Instant)>,
}

impl ClockTrust {
    /// How the clock was judged last.
    pub fn standing(&self) -> Standing {
        self.state.lock().standing
    }

    /// The operator says that the wall clock is right: a round begins at once and goes by it.
    pub fn confirm(&self, wall: UnixMillis, instant: Instant) {
        let mut state = self.state.lock();
        state.confirmed = Some((wall, instant));
        state.standing = Standing::Trusted;
        drop(state);
        self.wake.notify_one();
    }

    fn judged(&self, standing: Standing) {
        self.state.lock().standing = standing;
    }

    fn take_confirmed(&self) -> Option<(UnixMillis, Instant)> {
        self.state.lock().confirmed.take()
    }
}

/// Does the rounds.
#[derive(Debug)]
pub struct Sweeper<S> {
    store: Arc<dyn Store>,
    sealer: Arc<S>,
    clock: Arc<dyn Clock>,
    trust: Arc<ClockTrust>,
    metrics: Arc<Metrics>,
    /// When the wall clock was last trusted, and what both clocks said.
    trusted: Option<(UnixMillis, Instant)>,
}

impl<S: Sealer + 'static> Sweeper<S> {
    /// Nothing was judged yet.
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Arc<S>,
        clock: Arc<dyn Clock>,
        trust: Arc<ClockTrust>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { store, sealer, clock, trust, metrics, trusted: None }
    }

    /// A round at once and then one each `every`, until the shutdown begins.
    pub async fn run(mut self, every: Duration, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.trust.wake.notified() => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
            match self.round().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "expired buckets are destroyed"),
                Err(error) => tracing::error!(%error, "a sweep was not finished; it begins anew"),
            }
        }
    }

    /// One round. Returns how many buckets were destroyed.
    ///
    /// # Errors
    /// If the store or the keys failed; what was destroyed stays so, the rest is for the next
    /// round.
    pub async fn round(&mut self) -> Result<usize, SweepError> {
        let Some(mark) = self.trusted_time().await? else { return Ok(0) };
        let destroyed = self.destroy(mark).await?;
        // A disk that takes nothing keeps them until it does; they open nothing meanwhile.
        if self.store.healthy() {
            self.store.delete_ended(mark).await?;
            let answered = UnixMillis(mark.0.saturating_sub(ANSWER_MS));
            self.store.idempotent_forget(answered).await?;
        }
        Ok(destroyed)
    }

    async fn destroy(&self, mark: UnixMillis) -> Result<usize, SweepError> {
        let buckets = self.store.buckets().await?;
        let mut timelines: HashMap<(TenantId, SiteId), SiteTimeline> = HashMap::new();
        for bucket in &buckets {
            let Some(site) = bucket.site else { continue };
            if !timelines.contains_key(&(bucket.tenant, site))
                && let Some(row) = self.store.site(bucket.tenant, site).await?
            {
                timelines.insert((bucket.tenant, site), row.timeline);
            }
        }
        let due = due(&buckets, |tenant, site| timelines.get(&(tenant, site)), mark.day());
        if due.is_empty() {
            self.metrics.swept(mark, 0);
            return Ok(0);
        }
        if !self.store.destroying(mark).await? {
            // The operator put the mark back meanwhile; the next round goes by that.
            return Ok(0);
        }
        self.audit(&due, Action::ShredIntended).await;
        let sealer = Arc::clone(&self.sealer);
        let destroyed = due.len();
        let doomed = due.clone();
        let outcome = tokio::task::spawn_blocking(move || sealer.destroy_buckets(&doomed)).await;
        outcome.unwrap_or(Err(SealError::Unavailable))?;
        self.audit(&due, Action::ShredDone).await;
        self.store.clean_up(&due).await?;
        self.metrics.swept(mark, destroyed);
        Ok(destroyed)
    }

    /// An entry for each Organization whose keys these are. What is over is destroyed whether or
    /// not the audit takes it: a full disk keeps nobody's words.
    async fn audit(&self, due: &[Bucket], action: Action) {
        let mut of: BTreeMap<TenantId, Vec<&Bucket>> = BTreeMap::new();
        for bucket in due {
            of.entry(bucket.tenant).or_default().push(bucket);
        }
        let act = |(tenant, buckets): (TenantId, Vec<&Bucket>)| {
            let days = buckets.iter().map(|bucket| bucket.day.0);
            let count = i64::try_from(buckets.len()).unwrap_or(i64::MAX);
            let act = Act::new(ChainId::of(tenant), self.clock.now(), Actor::PROGRAM, action)
                .with(Detail::Buckets, count)
                .with(Detail::FirstDay, days.clone().min().unwrap_or(0))
                .with(Detail::LastDay, days.max().unwrap_or(0));
            Change::audit(act)
        };
        let entries: Vec<_> = of.into_iter().map(act).collect();
        for some in entries.chunks(ENTRIES_AT_ONCE) {
            match self.store.change(some.to_vec()).await {
                Ok(()) => {
                    let count = u64::try_from(some.len()).unwrap_or(0);
                    self.metrics.audit_entries_total.add(count);
                }
                Err(error) => {
                    let (reason, count) = (action.word(), some.len());
                    tracing::error!(%error, reason, count, "the audit did not take what a sweep does");
                }
            }
        }
    }

    /// The mark by which may be destroyed, raised as far as the clock is trusted; `None`: it is
    /// not.
    async fn trusted_time(&mut self) -> Result<Option<UnixMillis>, SweepError> {
        let mark = self.store.high_water().await?;
        // The operator's word is where trust begins anew; the clock is judged from there.
        if let Some(confirmed) = self.trust.take_confirmed() {
            self.trusted = Some(confirmed);
        }
        let (wall, instant) = (self.clock.now(), self.clock.instant());
        let trust = match self.trusted {
            None => {
                let mark = Some(mark).filter(|mark| mark.0 > 0);
                judge_at_start(mark, wall, self.clock.synced())
            }
            Some((at, since)) => {
                let passed = instant.saturating_duration_since(since).as_millis();
                judge(mark, at.plus_ms(u64::try_from(passed).unwrap_or(u64::MAX)), wall)
            }
        };
        let trusted = matches!(trust, Trust::Trusted(_));
        self.trust.judged(match trust {
            Trust::Trusted(_) => Standing::Trusted,
            Trust::Ahead => Standing::Ahead,
            Trust::Behind => Standing::Behind,
        });
        self.metrics.sweep_clock_trusted.set(i64::from(trusted));
        match trust {
            Trust::Trusted(at) => {
                self.trusted = Some((wall, instant));
                self.store.raise_high_water(at).await?;
                Ok(Some(at))
            }
            Trust::Ahead => {
                tracing::error!(
                    "the wall clock ran ahead of what explains it: nothing is destroyed until it is right again, or confirmed with `livehelp operator clock confirm`"
                );
                Ok(None)
            }
            Trust::Behind => {
                tracing::warn!("the wall clock stepped back: nothing is destroyed by it");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::conversation::Role;
    use protocol::ids::{InvitationId, SessionId};
    use protocol::personal::Personal;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::conformance::{NOW, World};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Change, InvitationRow, Records as _, SessionRow};

    #[tokio::test]
    async fn a_round_takes_sessions_and_invitations_that_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock.clone());
        let world = World::new(1);
        let World { tenant, agent, .. } = world;
        let expires_at = NOW.plus_ms(60_000);
        let session = SessionRow {
            session: SessionId::from_bytes([1; 16]),
            agent,
            tenant,
            secret: world.secret(1),
            client: Personal::new(String::from("Firefox")),
            created_at: NOW,
            expires_at,
        };
        let invitation = InvitationRow {
            invitation: InvitationId::from_bytes([1; 16]),
            tenant,
            email: Personal::new(String::from("linus@example.test")),
            role: Role::Agent,
            secret: world.secret(2),
            created_at: NOW,
            expires_at,
        };
        store.change(vec![Change::create(session)]).await.unwrap();
        store.change(vec![Change::create(invitation)]).await.unwrap();
        let held: Arc<dyn Store> = store.clone();
        let by: Arc<dyn Clock> = clock.clone();
        let mut sweeper = Sweeper::new(held, keys, by, Arc::default(), Metrics::new());
        let left = async || {
            let sessions = store.sessions(tenant, agent).await.unwrap().len();
            (sessions, store.invitations(tenant).await.unwrap().len())
        };
        sweeper.round().await.unwrap();
        assert_eq!(left().await, (1, 1));
        clock.advance_ms(60_000);
        sweeper.round().await.unwrap();
        assert_eq!(left().await, (0, 0));
    }

    #[tokio::test]
    async fn what_is_destroyed_is_said_before_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock.clone());
        let world = World::new(1);
        world.settle(&*store).await;
        let (held, by): (Arc<dyn Store>, Arc<dyn Clock>) = (store.clone(), clock.clone());
        let trust = Arc::new(ClockTrust::default());
        let mut sweeper = Sweeper::new(held, keys, by, Arc::clone(&trust), Metrics::new());
        let chain = ChainId::of(world.tenant);
        assert_eq!(sweeper.round().await.unwrap(), 0);
        assert_eq!(store.audit(chain, None, 9).await.unwrap(), []);
        clock.advance_ms(5 * 365 * 86_400_000);
        trust.confirm(clock.now(), clock.instant());
        let destroyed = sweeper.round().await.unwrap();
        assert!(destroyed > 0);
        let entries = store.audit(chain, None, 9).await.unwrap();
        let actions: Vec<_> = entries.iter().map(|entry| entry.action).collect();
        assert_eq!(actions, [Action::ShredDone.code(), Action::ShredIntended.code()]);
        let count = (Detail::Buckets.code(), i64::try_from(destroyed).unwrap());
        assert!(entries.iter().all(|entry| entry.details.contains(&count)));
    }
}
