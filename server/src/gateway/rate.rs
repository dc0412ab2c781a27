//! How fast one connection may be: a bucket of tokens that fills with time.

/// One token in the parts that a rate of one a minute gains in a millisecond.
const TOKEN: u64 = 60_000;

/// A bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    per_minute: u32,
    parts_max: u64,
    parts: u64,
    filled_ms: u64,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(per_minute: u32, burst: u32, now_ms: u64) -> Self {
        let parts_max = u64::from(burst) * TOKEN;
        Self { per_minute, parts_max, parts: parts_max, filled_ms: now_ms }
    }

    /// Takes a token; `Err`: milliseconds until there is one.
    pub(super) fn take(&mut self, now_ms: u64) -> Result<(), u32> {
        let passed = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let gained = passed.saturating_mul(u64::from(self.per_minute));
        self.parts = self.parts.saturating_add(gained).min(self.parts_max);
        if self.parts >= TOKEN {
            self.parts -= TOKEN;
            return Ok(());
        }
        let missing = TOKEN - self.parts;
        Err(u32::try_from(missing.div_ceil(u64::from(self.per_minute.max(1)))).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
