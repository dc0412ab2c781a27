//! What strangers may have so many of: the listener's connections, and whatever is counted by
//! address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// One of the listener's connections, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slot {
    pub(super) fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < max).then_some(now + 1))
            .ok()
            .map(|_| Self(count.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many things of one kind each address has.
pub(super) type PerAddress = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One of the things that an address may have so many of, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    ip: IpAddr,
    all: PerAddress,
}

impl Share {
    pub(super) fn take(all: &PerAddress, ip: IpAddr, max: usize) -> Option<Self> {
        let mut counts = all.lock();
        let count = counts.entry(ip).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Self { ip, all: all.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}
