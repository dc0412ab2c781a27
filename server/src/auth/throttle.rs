//! A count of what an address does in a window, where a window's number is a promise: never more in
//! any hour. What comes in bursts and has a pace has its rate limit in `limit`.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::personal::Personal;

use crate::network::network;
use crate::recent::Recent;

/// Addresses that are remembered for certain; twice as many at most.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    times: u64,
}

/// So many times in a while for each address; held in memory only, and by a clock that nobody sets.
#[derive(Debug)]
pub struct AddressLimit {
    times_max: u64,
    window: Duration,
    addresses: Mutex<Recent<Personal<IpAddr>, Window>>,
}

impl AddressLimit {
    /// Nobody came yet.
    pub fn new(times_max: u64, window_ms: u64) -> Self {
        let window = Duration::from_millis(window_ms);
        Self { times_max, window, addresses: Mutex::new(Recent::new(REMEMBERED_MAX)) }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// With the time to wait, if there were too many.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = Personal::new(network(address));
        let mut addresses = self.addresses.lock();
        match addresses.get_mut(&address) {
            Some(window) => {
                let passed = now.saturating_duration_since(window.since);
                if passed >= self.window {
                    *window = Window { since: now, times: 0 };
                } else if window.times >= self.times_max {
                    return Err(self.window - passed);
                }
                window.times += 1;
            }
            None => addresses.insert(address, Window { since: now, times: 1 }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_do_a_thing_so_often_in_a_while() {
        let limit = AddressLimit::new(2, 1_000);
        let now = SystemClock.instant();
        let after = |ms| now + Duration::from_millis(ms);
        assert_eq!(limit.take(ip("192.0.2.1"), now), Ok(()));
        assert_eq!(limit.take(ip("::ffff:192.0.2.1"), after(400)), Ok(()));
        assert_eq!(limit.take(ip("192.0.2.1"), after(500)), Err(Duration::from_millis(500)));
        assert_eq!(limit.take(ip("192.0.2.2"), after(500)), Ok(()));
        assert_eq!(limit.take(ip("192.0.2.1"), after(1_000)), Ok(()));
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            let taken = limit.take(ip(host), now).is_ok();
            assert_eq!(taken, host != "2001:db8::3", "one network");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = AddressLimit::new(2, 1_000_000);
        let now = SystemClock.instant();
        for n in 0..u32::try_from(3 * REMEMBERED_MAX).unwrap() {
            limit.take(IpAddr::V4(std::net::Ipv4Addr::from_bits(n)), now).unwrap();
        }
        assert!(limit.addresses.lock().len() <= 2 * REMEMBERED_MAX);
    }
}
