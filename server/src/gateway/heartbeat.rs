//! One wheel for all heartbeats: nobody has a timer of their own.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::reject::CloseCode;

use super::outbox::Outbox;
use super::websocket::EMPTY_PING;
use crate::hub::FrameSink;

/// How often the wheel advances.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// Slots of the wheel; a longer wait is looked at again after a round.
const SLOTS: usize = 128;

#[derive(Debug)]
struct Watch {
    outbox: Weak<Outbox>,
    interval_ms: u64,
}

#[derive(Debug)]
struct Wheel {
    slots: Vec<Vec<Watch>>,
    at: usize,
}

/// Everyone who may have fallen silent.
#[derive(Debug)]
pub(super) struct Heartbeats {
    wheel: Mutex<Wheel>,
    origin: OnceLock<Instant>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        Self { wheel: Mutex::new(Wheel { slots, at: 0 }), origin: OnceLock::new() }
    }
}

impl Heartbeats {
    /// Milliseconds of monotonic time, from the first call on.
    pub(super) fn ms(&self, now: Instant) -> u64 {
        let origin = *self.origin.get_or_init(|| now);
        // From 1: zero means never.
        u64::try_from(now.saturating_duration_since(origin).as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Looks after a connection from now on.
    pub(super) fn watch(&self, outbox: &Arc<Outbox>, interval_ms: u64) {
        let watch = Watch { outbox: Arc::downgrade(outbox), interval_ms };
        self.wheel.lock().put(watch, interval_ms);
    }

    /// Everyone who is watched.
    pub(super) fn all(&self) -> Vec<Arc<Outbox>> {
        let wheel = self.wheel.lock();
        wheel.slots.iter().flatten().filter_map(|watch| watch.outbox.upgrade()).collect()
    }

    /// Advances the wheel by one slot.
    pub(super) fn advance(&self, now: Instant, pong_ms: u64) {
        let now_ms = self.ms(now);
        let due = {
            let mut wheel = self.wheel.lock();
            wheel.at = (wheel.at + 1) % SLOTS;
            let at = wheel.at;
            wheel.slots.get_mut(at).map(std::mem::take).unwrap_or_default()
        };
        for watch in due {
            let Some(outbox) = watch.outbox.upgrade() else { continue };
            if outbox.is_over() {
                continue;
            }
            let silent_ms = now_ms.saturating_sub(outbox.heard_ms.load(Ordering::Relaxed));
            let next_ms = if silent_ms < watch.interval_ms {
                outbox.probed.store(false, Ordering::Relaxed);
                watch.interval_ms - silent_ms
            } else if !outbox.probed.swap(true, Ordering::Relaxed) {
                outbox.control(Bytes::from_static(EMPTY_PING));
                pong_ms
            } else {
                outbox.close(CloseCode::NoPong);
                continue;
            };
            self.wheel.lock().put(watch, next_ms);
        }
    }
}

impl Wheel {
    fn put(&mut self, watch: Watch, after_ms: u64) {
        let tick_ms = u64::try_from(TICK.as_millis()).unwrap_or(1);
        let ticks =
            usize::try_from(after_ms.div_ceil(tick_ms)).unwrap_or(SLOTS).clamp(1, SLOTS - 1);
        let slot = (self.at + ticks) % SLOTS;
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.push(watch);
        }
    }
}
