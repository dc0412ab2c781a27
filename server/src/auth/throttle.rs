//! Brakes that remember who came how often: on guessing passwords, for each account and each address, and
//! on whatever else an address may do so many times in a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use super::token::token_hash;
use crate::store::SecretHash;

/// Accounts, and addresses, that are remembered at a time; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 10_000;

/// How many attempts to sign in are borne.
#[derive(Debug, Clone, Copy)]
pub struct ThrottleConfig {
    /// On one account within a window.
    pub per_account_max: u64,
    /// From one address within a window; an office has one address.
    pub per_address_max: u64,
    /// Milliseconds for which attempts are counted together.
    pub window_ms: u64,
}

/// Counts attempts to sign in. Holds hashes of e-mail addresses only.
#[derive(Debug)]
pub struct Throttle {
    config: ThrottleConfig,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    accounts: HashMap<SecretHash, Window>,
    addresses: Addresses,
}

type Addresses = HashMap<Personal<IpAddr>, Window>;

#[derive(Debug, Clone, Copy)]
struct Window {
    since: UnixMillis,
    attempts: u64,
}

impl Throttle {
    /// Nobody came yet.
    pub fn new(config: ThrottleConfig) -> Self {
        Self { config, counts: Mutex::default() }
    }

    /// Counts an attempt before its password is looked at, so that many at once count as many.
    ///
    /// # Errors
    /// With the milliseconds to wait, if there were too many.
    pub fn attempt(
        &self,
        email: &Personal<String>,
        address: IpAddr,
        now: UnixMillis,
    ) -> Result<(), u64> {
        let mut counts = self.counts.lock();
        let account = token_hash(email.expose());
        let address = Personal::new(network(address));
        let ThrottleConfig { per_account_max, per_address_max, window_ms } = self.config;
        let of_account = waits(counts.accounts.get(&account), per_account_max, window_ms, now);
        let of_address = waits(counts.addresses.get(&address), per_address_max, window_ms, now);
        let wait = of_account.max(of_address);
        if wait > 0 {
            return Err(wait);
        }
        count(&mut counts.accounts, account, window_ms, now);
        count(&mut counts.addresses, address, window_ms, now);
        Ok(())
    }

    /// The password was right: the account starts anew, and the address gets its attempt back.
    pub fn succeeded(&self, email: &Personal<String>, address: IpAddr) {
        let mut counts = self.counts.lock();
        counts.accounts.remove(&token_hash(email.expose()));
        if let Some(window) = counts.addresses.get_mut(&Personal::new(network(address))) {
            window.attempts = window.attempts.saturating_sub(1);
        }
    }
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
fn network(address: IpAddr) -> IpAddr {
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

    const WINDOW_MS: u64 = 10 * 60 * 1000;
    const PER_ACCOUNT_MAX: u64 = 10;
    const PER_ADDRESS_MAX: u64 = 60;

    fn throttle() -> Throttle {
        Throttle::new(ThrottleConfig {
            per_account_max: PER_ACCOUNT_MAX,
            per_address_max: PER_ADDRESS_MAX,
            window_ms: WINDOW_MS,
        })
    }

    fn email(name: &str) -> Personal<String> {
        Personal::new(format!("{name}@example.test"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_bears_ten_wrong_passwords_in_ten_minutes() {
        let throttle = throttle();
        for n in 0..PER_ACCOUNT_MAX {
            let from = ip(&format!("192.0.2.{n}"));
            assert_eq!(throttle.attempt(&email("ada"), from, NOW), Ok(()));
        }
        let from = ip("192.0.2.99");
        assert_eq!(throttle.attempt(&email("ada"), from, NOW.plus_ms(1)), Err(WINDOW_MS - 1));
        assert_eq!(throttle.attempt(&email("bob"), from, NOW), Ok(()));
        assert_eq!(throttle.attempt(&email("ada"), from, NOW.plus_ms(WINDOW_MS)), Ok(()));
    }

    #[test]
    fn an_address_cannot_walk_through_all_accounts() {
        let throttle = throttle();
        for n in 0..PER_ADDRESS_MAX {
            let from = ip(&format!("2001:db8::{n:x}"));
            assert_eq!(throttle.attempt(&email(&format!("a{n}")), from, NOW), Ok(()));
        }
        assert!(throttle.attempt(&email("ada"), ip("2001:db8::ffff:1"), NOW).is_err());
        assert!(throttle.attempt(&email("ada"), ip("2001:db8:0:1::1"), NOW).is_ok());
    }

    #[test]
    fn the_right_password_wipes_the_slate() {
        let throttle = throttle();
        let from = ip("192.0.2.1");
        for _ in 0..5 * PER_ADDRESS_MAX {
            assert_eq!(throttle.attempt(&email("ada"), from, NOW), Ok(()));
            throttle.succeeded(&email("ada"), from);
        }
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
    fn what_is_remembered_is_bounded_and_unreadable() {
        let throttle = throttle();
        for n in 0..u32::try_from(REMEMBERED_MAX + 50).unwrap() {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            throttle.attempt(&email(&format!("a{n}")), from, NOW.plus_ms(u64::from(n))).unwrap();
        }
        let counts = throttle.counts.lock();
        assert_eq!(
            (counts.accounts.len(), counts.addresses.len()),
            (REMEMBERED_MAX, REMEMBERED_MAX)
        );
        let shown = format!("{:?}", counts.accounts.iter().next());
        assert!(!shown.contains("example.test"), "{shown}");
    }
}
