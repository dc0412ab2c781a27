//! Destroys what is due: first the keys, which ends it, then the rows, which cleans up.
//!
//! Lives here: the round, and the judgement of the clock by which it destroys.
//! Not here: what is due (`privacy::sweep`), keys (`keys`), rows (`store`). Started by `run`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::ids::{SiteId, TenantId};
use protocol::time::UnixMillis;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::privacy::policy::SiteTimeline;
use crate::privacy::seal::{SealError, Sealer};
use crate::privacy::sweep::{Trust, due, judge, judge_at_start};
use crate::store::{Store, StoreError};

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

/// Does the rounds.
#[derive(Debug)]
pub struct Sweeper<S> {
    store: Arc<dyn Store>,
    sealer: Arc<S>,
    clock: Arc<dyn Clock>,
    /// When the wall clock was last trusted, and what both clocks said.
    trusted: Option<(UnixMillis, Instant)>,
}

impl<S: Sealer + 'static> Sweeper<S> {
    /// Nothing was judged yet.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self { store, sealer, clock, trusted: None }
    }

    /// A round at once and then one each `every`, until the shutdown begins.
    pub async fn run(mut self, every: Duration, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
            match self.round().await {
                Ok(0) => {}
                Ok(destroyed) => tracing::info!(destroyed, "expired buckets are destroyed"),
                Err(error) => tracing::error!(%error, "a sweep was not finished; it begins anew"),
            }
        }
    }

    /// One round. Returns how many buckets were destroyed.
    ///
    /// # Errors
    /// If the store or the keys failed; what was destroyed stays so, the rest is for the next round.
    pub async fn round(&mut self) -> Result<usize, SweepError> {
        let Some(mark) = self.trusted_time().await? else { return Ok(0) };
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
            return Ok(0);
        }
        let sealer = Arc::clone(&self.sealer);
        let destroyed = due.len();
        let doomed = due.clone();
        let outcome = tokio::task::spawn_blocking(move || sealer.destroy_buckets(&doomed)).await;
        outcome.unwrap_or(Err(SealError::Unavailable))?;
        self.store.clean_up(&due).await?;
        Ok(destroyed)
    }

    /// The mark by which may be destroyed, raised as far as the clock is trusted; `None`: it is not.
    async fn trusted_time(&mut self) -> Result<Option<UnixMillis>, SweepError> {
        let mark = self.store.high_water().await?;
        let (wall, instant) = (self.clock.now(), self.clock.instant());
        let trust = match self.trusted {
            None => judge_at_start(Some(mark).filter(|mark| mark.0 > 0), wall),
            Some((at, since)) => {
                let passed = instant.saturating_duration_since(since).as_millis();
                judge(mark, at.plus_ms(u64::try_from(passed).unwrap_or(u64::MAX)), wall)
            }
        };
        match trust {
            Trust::Trusted(at) => {
                self.trusted = Some((wall, instant));
                self.store.raise_high_water(at).await?;
                Ok(Some(at))
            }
            Trust::Ahead => {
                tracing::error!(
                    "the wall clock ran ahead of what explains it: nothing is destroyed until it is right again"
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
