//! How fast a connection and a person may be: a bucket of tokens that fills with time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// One token in the parts that a rate of one a minute gains in a millisecond.
const TOKEN: u64 = 60_000;

/// A bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    per_minute: u32,
    burst: u32,
    parts: u64,
    filled_ms: u64,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(per_minute: u32, burst: u32, now_ms: u64) -> Self {
        Self { per_minute, burst, parts: u64::from(burst) * TOKEN, filled_ms: now_ms }
    }

    /// Takes a token; `Err`: milliseconds until there is one.
    pub(super) fn take(&mut self, now_ms: u64) -> Result<(), u32> {
        let passed = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let gained = passed.saturating_mul(u64::from(self.per_minute));
        self.parts = self.parts.saturating_add(gained).min(u64::from(self.burst) * TOKEN);
        if self.parts >= TOKEN {
            self.parts -= TOKEN;
            return Ok(());
        }
        let missing = TOKEN - self.parts;
        Err(u32::try_from(missing.div_ceil(u64::from(self.per_minute.max(1)))).unwrap_or(u32::MAX))
    }
}

/// One person's bucket, shared by all his connections: ten windows may say no more than one.
pub(super) type Shared = Arc<Mutex<Rate>>;

/// The buckets of everyone who is connected.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<[u8; 16], Shared>>);

impl Rates {
    /// The bucket of the visitor or agent with this id; a full one if he has none.
    pub(super) fn join(&self, person: [u8; 16], full: Rate) -> Shared {
        let mut all = self.0.lock();
        Arc::clone(all.entry(person).or_insert_with(|| Arc::new(Mutex::new(full))))
    }

    /// A connection of his is over. Whoever leaves with an empty bucket and comes back has waited as long
    /// as the new connection took, which has its own bound.
    pub(super) fn leave(&self, person: [u8; 16], own: Shared) {
        let mut all = self.0.lock();
        drop(own);
        if all.get(&person).is_some_and(|left| Arc::strong_count(left) == 1) {
            all.remove(&person);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_of_a_person_share_one_bucket() {
        let rates = Rates::default();
        let full = Rate::new(60, 1, 0);
        let (one, other) = (rates.join([1; 16], full), rates.join([1; 16], full));
        assert_eq!(one.lock().take(0), Ok(()));
        assert!(other.lock().take(0).is_err());
        assert_eq!(rates.join([2; 16], full).lock().take(0), Ok(()), "another's is another");
        rates.leave([1; 16], one);
        assert!(other.lock().take(0).is_err(), "one window is still open");
        rates.leave([1; 16], other);
        assert!(!rates.0.lock().contains_key(&[1; 16]), "nothing is kept of who left");
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut rate = Rate::new(120, 3, 0);
        for _ in 0..3 {
            assert_eq!(rate.take(0), Ok(()));
        }
        assert_eq!(rate.take(0), Err(500));
        assert_eq!(rate.take(499), Err(1));
        assert_eq!(rate.take(500), Ok(()));
    }
}
