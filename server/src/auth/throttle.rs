//! A count of what an address does in a window, where a window's number is a promise: never more in any hour. What comes
//! in bursts and has a pace is limited in `limit`.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use protocol::personal::Personal;
use protocol::time::UnixMillis;

/// Addresses that are remembered at a time; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 10_000;

type Addresses = HashMap<Personal<IpAddr>, Window>;

#[derive(Debug, Clone, Copy)]
struct Window {
    since: UnixMillis,
    attempts: u64,
}

/// So many times in a while for each address; held in memory only.
#[derive(Debug)]
pub struct AddressLimit {
    times_max: u64,
    window_ms: u64,
    addresses: Mutex<Addresses>,
}

impl AddressLimit {
    /// Nobody came yet.
    pub fn new(times_max: u64, window_ms: u64) -> Self {
        Self { times_max, window_ms, addresses: Mutex::default() }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// With the milliseconds to wait, if there were too many.
    pub fn take(&self, address: IpAddr, now: UnixMillis) -> Result<(), u64> {
        let address = Personal::new(network(address));
        let mut addresses = self.addresses.lock();
        let wait = waits(addresses.get(&address), self.times_max, self.window_ms, now);
        if wait > 0 {
            return Err(wait);
        }
        count(&mut addresses, address, self.window_ms, now);
        Ok(())
    }
}

fn waits(window: Option<&Window>, attempts_max: u64, window_ms: u64, now: UnixMillis) -> u64 {
    match window {
        Some(window) if window.attempts >= attempts_max => {
            window_ms.saturating_sub(now.ms_since(window.since))
        }
        _ => 0,
    }
}

fn count<K: Hash + Eq + Copy>(
    windows: &mut HashMap<K, Window>,
    key: K,
    window_ms: u64,
    now: UnixMillis,
) {
    if windows.len() >= REMEMBERED_MAX && !windows.contains_key(&key) {
        windows.retain(|_, window| now.ms_since(window.since) < window_ms);
        let oldest = windows.iter().min_by_key(|(_, window)| window.since).map(|(key, _)| *key);
        if let Some(oldest) = oldest.filter(|_| windows.len() >= REMEMBERED_MAX) {
            windows.remove(&oldest);
        }
    }
    let window = windows.entry(key).or_insert(Window { since: now, attempts: 0 });
    if now.ms_since(window.since) >= window_ms {
        *window = Window { since: now, attempts: 0 };
    }
    window.attempts += 1;
}

/// Whoever has one IPv6 address has the 2^64 beside it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_do_a_thing_so_often_in_a_while() {
        let limit = AddressLimit::new(2, 1_000);
        assert_eq!(limit.take(ip("192.0.2.1"), NOW), Ok(()));
        assert_eq!(limit.take(ip("192.0.2.1"), NOW.plus_ms(400)), Ok(()));
        assert_eq!(limit.take(ip("192.0.2.1"), NOW.plus_ms(500)), Err(500));
        assert_eq!(limit.take(ip("192.0.2.2"), NOW.plus_ms(500)), Ok(()));
        assert_eq!(limit.take(ip("192.0.2.1"), NOW.plus_ms(1_000)), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = AddressLimit::new(2, 1_000_000);
        for n in 0..u32::try_from(REMEMBERED_MAX + 50).unwrap() {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            limit.take(from, NOW.plus_ms(u64::from(n))).unwrap();
        }
        assert_eq!(limit.addresses.lock().len(), REMEMBERED_MAX);
    }
}
