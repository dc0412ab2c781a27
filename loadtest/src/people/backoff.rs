//! How long somebody waits before they come back after their connection broke: longer each time,
//! and never all at once.

use std::time::Duration;

use crate::people::caller::CallError;
use crate::people::world::{Stage, World};

/// Bounds of the wait: docs/wire.md.
const JITTER_FIRST_MS: u64 = 500;
const JITTER_LAST_MS: u64 = 30_000;

#[derive(Debug)]
pub(crate) struct Backoff {
    bound_ms: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { bound_ms: JITTER_FIRST_MS }
    }

    /// The next wait.
    pub(crate) fn wait(&mut self, chance: &mut fastrand::Rng) -> Duration {
        let wait = Duration::from_millis(chance.u64(0..=self.bound_ms));
        self.bound_ms = (self.bound_ms * 2).min(JITTER_LAST_MS);
        wait
    }
}

/// Waits before another try. False: there is none, as the server wants them to stay away or the run
/// is over.
pub(crate) async fn may_return(world: &World, error: &CallError, wait: Duration) -> bool {
    if error.stop() {
        return false;
    }
    let mut stage = world.stage.subscribe();
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        // The world outlives everyone in it.
        _over = stage.wait_for(|stage| *stage == Stage::Over) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_may_be_longer_up_to_a_bound() {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new();
        for bound_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert_eq!(backoff.bound_ms, bound_ms);
            assert!(backoff.wait(&mut chance) <= Duration::from_millis(bound_ms));
        }
    }
}
