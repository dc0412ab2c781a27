//! Rate limits: how often somebody may do something, at once and in the long run (a token bucket,
//! kept as GCRA).
//!
//! Lives here: the one limiter and its bounded memory. The arithmetic is `governor`'s. Not here:
//! who is limited in what (`rates`, `brake`), what a refusal looks like (the edges).

use std::hash::{BuildHasher as _, Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{KeyedStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use parking_lot::{Mutex, RwLock};

use crate::clock::Clock;
use crate::recent::Recent;

/// Shares of the keys, each under a lock of its own.
const SHARDS: usize = 16;

/// Keys of a share that are remembered for certain; twice as many at most.
const SHARD_HALF_LEN: usize = 4_096;

/// What one may do: so many at once, and so many in a window in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub burst: u64,
    pub times: u64,
    pub window_ms: u64,
}

impl Allowance {
    /// All of a window's may come at once.
    pub fn of_window(times: u64, window_ms: u64) -> Self {
        Self { burst: times, times, window_ms }
    }

    /// So many a minute.
    pub fn a_minute(times: u64, burst: u64) -> Self {
        Self { burst, times, window_ms: 60_000 }
    }

    /// Nanoseconds after which one more may be done.
    fn each_ns(self) -> u64 {
        (self.window_ms.saturating_mul(1_000_000) / self.times.max(1)).max(1)
    }

    fn quota(self) -> Quota {
        // The whole burst is a span of time, which must be one that can be counted.
        let burst = self.burst.min(u64::MAX / 4 / self.each_ns());
        let burst = u32::try_from(burst).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_nanos(self.each_ns()));
        quota.unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
    }
}

/// What is left of an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// At once, where nothing was done yet.
    pub quota: u32,
    /// At once, now.
    pub remaining: u32,
    /// Seconds in which all of the quota comes back.
    pub window_s: u64,
    /// Seconds until all of it is back.
    pub reset_s: u64,
}

/// It was too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Milliseconds until it may be done once more; at least one.
    pub ms: u64,
    pub left: Left,
}

/// The house's clock, as the limiter asks it.
#[derive(Debug, Clone)]
struct Moments {
    clock: Arc<dyn Clock>,
    /// From where a new limiter counts: what is remembered is counted from there.
    origin: Instant,
    asked: Arc<AtomicBool>,
}

impl Moments {
    fn since(origin: Instant, clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), origin, asked: Arc::default() }
    }
}

impl governor::clock::Clock for Moments {
    type Instant = Instant;

    fn now(&self) -> Instant {
        // A limiter takes what it hears first for its beginning.
        if self.asked.load(Ordering::Relaxed) || self.asked.swap(true, Ordering::Relaxed) {
            return self.clock.instant();
        }
        self.origin
    }
}

/// One limit for each key.
#[derive(Debug)]
pub struct Limit<K, S: StateStore<Key = K> = Buckets<K>> {
    inner: RwLock<Inner<K, S>>,
    buckets: S,
    clock: Arc<dyn Clock>,
}

/// What a reload replaces.
#[derive(Debug)]
struct Inner<K, S: StateStore<Key = K>> {
    limiter: RateLimiter<K, S, Moments, StateInformationMiddleware>,
    each_ns: u64,
    allowance: Allowance,
    /// What is remembered is counted from here.
    origin: Instant,
    /// How far that was moved back, all in all.
    moved: Duration,
}

/// As far as an origin is moved back: what governor counts in is full after six times as long.
const MOVED_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl<K: Hash + Eq + Clone, S: KeyedStateStore<K> + Clone + Default> Limit<K, S> {
    /// Nobody came yet.
    pub fn new(allowance: Allowance, clock: Arc<dyn Clock>) -> Self {
        let (buckets, origin) = (S::default(), (clock.instant(), Duration::ZERO));
        let inner = RwLock::new(Inner::new(allowance, &buckets, origin, &clock));
        Self { inner, buckets, clock }
    }

    /// Allows more or less from now on. Where that is another allowance, everyone starts with all
    /// of it: what was counted by the former one says nothing by this one.
    pub fn set(&self, allowance: Allowance) {
        let mut inner = self.inner.write();
        if inner.allowance == allowance {
            return;
        }
        // Nobody's bucket is full again later than a whole burst from now: counted from as much
        // earlier, all are.
        let burst_ns = inner.allowance.burst.saturating_mul(inner.each_ns);
        let moved = inner.moved.saturating_add(Duration::from_nanos(burst_ns));
        let by = moved.min(MOVED_MAX).saturating_sub(inner.moved);
        let origin = inner.origin.checked_sub(by).unwrap_or(inner.origin);
        let origin = (origin, moved.min(MOVED_MAX));
        *inner = Inner::new(allowance, &self.buckets, origin, &self.clock);
    }

    /// Counts one more.
    ///
    /// # Errors
    /// With the time to wait, if there were too many.
    pub fn take(&self, key: &K) -> Result<Left, Wait> {
        self.inner.read().take(key)
    }
}

impl<K: Hash + Eq + Clone, S: KeyedStateStore<K> + Clone> Inner<K, S> {
    fn new(
        allowance: Allowance,
        buckets: &S,
        (origin, moved): (Instant, Duration),
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let moments = Moments::since(origin, clock);
        let limiter = RateLimiter::new(allowance.quota(), buckets.clone(), moments);
        Self { limiter, each_ns: allowance.each_ns(), allowance, origin, moved }
    }

    fn take(&self, key: &K) -> Result<Left, Wait> {
        match self.limiter.check_key(key) {
            Ok(state) => {
                Ok(self.left(state.quota().burst_size(), state.remaining_burst_capacity()))
            }
            Err(refused) => {
                let now = governor::clock::Clock::now(self.limiter.clock());
                let wait = refused.wait_time_from(now).as_nanos().div_ceil(1_000_000);
                let ms = u64::try_from(wait).unwrap_or(u64::MAX).max(1);
                Err(Wait { ms, left: self.left(refused.quota().burst_size(), 0) })
            }
        }
    }

    fn left(&self, quota: NonZeroU32, remaining: u32) -> Left {
        let quota = quota.get();
        let remaining = remaining.min(quota);
        let seconds = |times: u32| {
            u64::from(times).saturating_mul(self.each_ns).div_ceil(1_000_000_000).max(1)
        };
        let gone = quota - remaining;
        let reset_s = if gone == 0 { 0 } else { seconds(gone) };
        Left { quota, remaining, window_s: seconds(quota), reset_s }
    }
}

impl<K: Hash + Eq + Clone> Limit<K> {
    /// What was counted last need not have been.
    pub fn give_back(&self, key: &K) {
        let each_ns = self.inner.read().each_ns;
        self.buckets.change(key, |at| at.saturating_sub(each_ns));
    }

    /// Starts anew.
    pub fn forget(&self, key: &K) {
        self.buckets.shard(key).lock().remove(key);
    }

    /// Forgets whoever has all of their allowance again.
    pub fn tidy(&self) {
        self.inner.read().limiter.retain_recent();
    }

    /// Keys that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.inner.read().limiter.len()
    }
}

/// When each key's bucket is full again, in nanoseconds since the limit was made: so many keys at
/// most, of which those that nobody asked for are forgotten first.
pub struct Buckets<K>(Arc<Shards<K>>);

struct Shards<K> {
    hasher: RandomState,
    all: [Mutex<Recent<K, u64>>; SHARDS],
}

impl<K> std::fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are addresses and accounts.
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}

impl<K> Clone for Buckets<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq + Clone> Default for Buckets<K> {
    fn default() -> Self {
        let all = std::array::from_fn(|_| Mutex::new(Recent::new(SHARD_HALF_LEN)));
        Self(Arc::new(Shards { hasher: RandomState::default(), all }))
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
    fn shard(&self, key: &K) -> &Mutex<Recent<K, u64>> {
        let share = usize::try_from(self.0.hasher.hash_one(key) >> 32).unwrap_or(0);
        &self.0.all[share % SHARDS]
    }

    fn change(&self, key: &K, change: impl FnOnce(u64) -> u64) {
        if let Some(at) = self.shard(key).lock().get_mut(key) {
            *at = change(*at);
        }
    }
}

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shard(key).lock();
        if let Some(at) = shard.get_mut(key) {
            let (answer, next) = judge(Some(Nanos::from(*at)))?;
            *at = next.as_u64();
            return Ok(answer);
        }
        let (answer, next) = judge(None)?;
        shard.insert(key.clone(), next.as_u64());
        Ok(answer)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Buckets<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.0.all {
            shard.lock().retain_values(|at| *at > drop_below.as_u64());
        }
    }

    fn len(&self) -> usize {
        self.0.all.iter().map(|shard| shard.lock().len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The state of a limit that is one connection's own, kept where the connection is.
#[derive(Debug, Clone, Default)]
pub struct Pace(Arc<AtomicU64>);

impl PartialEq for Pace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pace {}

impl Hash for Pace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// Keeps nothing itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paces;

impl StateStore for Paces {
    type Key = Pace;

    fn measure_and_replace<T, F, E>(&self, Pace(at): &Pace, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut before = at.load(Ordering::Relaxed);
        loop {
            let known = (before > 0).then(|| Nanos::from(before));
            let (answer, next) = judge(known)?;
            let next = next.as_u64();
            match at.compare_exchange_weak(before, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(answer),
                Err(now) => before = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::UnixMillis;

    use super::*;
    use crate::clock::ManualClock;

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(UnixMillis(1_700_000_000_000)))
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let clock = clock();
        let limit = Limit::<u8>::new(Allowance::a_minute(120, 3), clock.clone());
        for remaining in [2, 1, 0] {
            let left = limit.take(&1).unwrap();
            assert_eq!((left.quota, left.remaining, left.window_s), (3, remaining, 2));
        }
        let refused = limit.take(&1).unwrap_err();
        assert_eq!((refused.ms, refused.left.remaining), (500, 0));
        clock.advance_ms(499);
        assert_eq!(limit.take(&1).unwrap_err().ms, 1);
        clock.advance_ms(1);
        assert!(limit.take(&1).is_ok());
        assert!(limit.take(&2).is_ok(), "another's is another");
    }

    #[test]
    fn a_connection_has_a_pace_of_its_own() {
        let clock = clock();
        let limit = Limit::<Pace, Paces>::new(Allowance::a_minute(60, 2), clock.clone());
        let (one, other) = (Pace::default(), Pace::default());
        clock.advance_ms(1);
        assert!(limit.take(&one).is_ok() && limit.take(&one).is_ok());
        assert_eq!(limit.take(&one).unwrap_err().ms, 1_000);
        assert!(limit.take(&other).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_once_it_says_nothing() {
        let clock = clock();
        let limit = Limit::<u32>::new(Allowance::of_window(2, 1_000), clock.clone());
        for key in 1..400_000 {
            limit.take(&key).unwrap();
            limit.take(&0).err();
        }
        assert!(limit.len() <= 2 * SHARDS * SHARD_HALF_LEN, "{}", limit.len());
        assert!(limit.take(&0).is_err(), "who goes on asking is not forgotten");
        clock.advance_ms(10_000);
        limit.tidy();
        assert_eq!(limit.len(), 0);
    }

    #[test]
    fn what_is_given_back_was_not_counted() {
        let limit = Limit::<u8>::new(Allowance::of_window(2, 1_000), clock());
        for _ in 0..10 {
            limit.take(&1).unwrap();
            limit.give_back(&1);
        }
        limit.take(&1).unwrap();
        limit.take(&1).unwrap();
        limit.take(&1).unwrap_err();
        limit.forget(&1);
        limit.take(&1).unwrap();
    }

    #[test]
    fn another_allowance_begins_anew_and_the_same_one_goes_on() {
        let clock = clock();
        let slow = Allowance::a_minute(1, 2);
        let limit = Limit::<u8>::new(slow, clock.clone());
        let paces = Limit::<Pace, Paces>::new(slow, clock.clone());
        let one = Pace::default();
        let times = |most: usize| {
            let keyed = (0..most).filter(|_| limit.take(&1).is_ok()).count();
            assert_eq!((0..most).filter(|_| paces.take(&one).is_ok()).count(), keyed);
            keyed
        };
        clock.advance_ms(86_400_000);
        assert_eq!(times(5), 2);
        limit.set(slow);
        paces.set(slow);
        assert_eq!(times(5), 0, "nothing has changed");
        for (times_max, burst) in [(600, 4), (1, 1), (6_000, 3)] {
            limit.set(Allowance::a_minute(times_max, burst));
            paces.set(Allowance::a_minute(times_max, burst));
            assert_eq!(times(5), usize::try_from(burst).unwrap());
        }
        clock.advance_ms(10);
        assert_eq!(times(5), 1, "the rate is the last one's");
    }

    #[test]
    fn no_setting_is_more_than_can_be_counted() {
        for burst in [0, 1, u64::MAX] {
            for times in [0, 1, u64::MAX] {
                for window_ms in [0, 1, 86_400_000] {
                    let allowance = Allowance { burst, times, window_ms };
                    let limit = Limit::<u8>::new(allowance, clock());
                    assert!(limit.take(&1).is_ok(), "{allowance:?}");
                }
            }
        }
    }
}
