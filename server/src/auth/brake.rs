//! The brake on guessing passwords.
//!
//! Whoever guesses is slowed at their own address, and account by account; a stranger's guesses
//! never keep an agent out of a browser from which they signed in before (a device cookie, as OWASP
//! describes it). All strangers together have a bound for each account, too, so that guessing from
//! many addresses is bounded as well.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::ids::TenantId;
use protocol::personal::Personal;
use subtle::ConstantTimeEq as _;

use super::limit::{Allowance, Limit};
use super::token::token_hash;
use crate::clock::Clock;
use crate::keys::random_bytes;
use crate::network::network;
use crate::privacy::seal::{SealError, Sealer};
use crate::store::SecretHash;

/// How the cookies of a browser begin from which people signed in: each account has its own.
pub const DEVICE_COOKIE: &str = "livehelp_device";

/// Bytes of an account's hash that stand in that cookie's name.
const NAME_BYTES: usize = 4;

/// Hex digits of the random part of that cookie.
const NONCE_DIGITS: usize = 32;

/// How many wrong passwords are borne.
#[derive(Debug, Clone, Copy)]
pub struct BrakeConfig {
    /// On one account from one network, or from one known device, within a window.
    pub per_account_max: u64,
    /// On one account from all unknown devices together.
    pub strangers_max: u64,
    /// From one network; an office has one address.
    pub per_address_max: u64,
    /// Milliseconds for which attempts are counted together.
    pub window_ms: u64,
}

/// Who tries to prove a password.
#[derive(Debug, Clone)]
pub struct Trier<'a> {
    /// Whose password it would be.
    pub account: &'a Personal<String>,
    pub address: IpAddr,
    /// A device or session that this account is known by.
    pub known: Option<SecretHash>,
}

/// Counts attempts to prove a password. Holds hashes of e-mail addresses only.
#[derive(Debug)]
pub struct Brake {
    here: Limit<(SecretHash, Personal<IpAddr>)>,
    strangers: Limit<SecretHash>,
    addresses: Limit<Personal<IpAddr>>,
    known: Limit<(SecretHash, SecretHash)>,
}

impl Brake {
    /// Nobody came yet.
    pub fn new(config: BrakeConfig, clock: &Arc<dyn Clock>) -> Self {
        let of = |times| Allowance::of_window(times, config.window_ms);
        let clock = || Arc::clone(clock);
        Self {
            here: Limit::new(of(config.per_account_max), clock()),
            strangers: Limit::new(of(config.strangers_max), clock()),
            addresses: Limit::new(of(config.per_address_max), clock()),
            known: Limit::new(of(config.per_account_max), clock()),
        }
    }

    /// Bears more or fewer from now on.
    pub fn set(&self, config: BrakeConfig) {
        let of = |times| Allowance::of_window(times, config.window_ms);
        self.here.set(of(config.per_account_max));
        self.strangers.set(of(config.strangers_max));
        self.addresses.set(of(config.per_address_max));
        self.known.set(of(config.per_account_max));
    }

    /// Counts an attempt before its password is looked at, so that many at once count as many.
    ///
    /// # Errors
    /// With the milliseconds to wait, if there were too many.
    pub fn attempt(&self, trier: &Trier<'_>) -> Result<(), u64> {
        let account = token_hash(trier.account.expose());
        if let Some(known) = trier.known {
            return self.known.take(&(account, known)).map(drop).map_err(|wait| wait.ms);
        }
        let network = Personal::new(network(trier.address));
        let here = (account, network);
        self.addresses.take(&network).map_err(|wait| wait.ms)?;
        let of_account = self.here.take(&here).and_then(|_| {
            let all = self.strangers.take(&account);
            if all.is_err() {
                self.here.give_back(&here);
            }
            all
        });
        of_account.map(drop).map_err(|wait| {
            // What is not tried is not counted.
            self.addresses.give_back(&network);
            wait.ms
        })
    }

    /// The password was right: the account starts anew from there, and nobody else is counted less.
    pub fn succeeded(&self, trier: &Trier<'_>) {
        let account = token_hash(trier.account.expose());
        if let Some(known) = trier.known {
            return self.known.forget(&(account, known));
        }
        let network = Personal::new(network(trier.address));
        self.here.forget(&(account, network));
        self.strangers.give_back(&account);
        self.addresses.give_back(&network);
    }

    /// Forgets what says nothing any more.
    pub fn tidy(&self) {
        self.here.tidy();
        self.strangers.tidy();
        self.addresses.tidy();
        self.known.tidy();
    }
}

/// Browsers from which somebody signed in. A cookie says so, for one account; nothing is kept of
/// it.
#[derive(Debug, Clone)]
pub struct Devices(Arc<dyn Sealer>);

impl Devices {
    /// Under the server's own keys.
    pub fn new(sealer: Arc<dyn Sealer>) -> Self {
        Self(sealer)
    }

    /// Name and value of the cookie of a browser from which somebody signed in to this account.
    ///
    /// # Errors
    /// If the keys cannot be used.
    pub fn issue(&self, account: &Personal<String>) -> Result<(String, String), SealError> {
        let name = hex(self.mac(account, "name")?.get(..NAME_BYTES).unwrap_or_default());
        let nonce = hex(&random_bytes::<{ NONCE_DIGITS / 2 }>());
        let mac = hex(&self.mac(account, &nonce)?);
        Ok((format!("{DEVICE_COOKIE}_{name}"), format!("{nonce}.{mac}")))
    }

    /// What such a browser is counted by; `None` for any other cookie.
    pub fn known(&self, account: &Personal<String>, cookie: &str) -> Option<SecretHash> {
        let (nonce, given) = cookie.split_once('.').filter(|(n, _)| n.len() == NONCE_DIGITS)?;
        let mac = hex(&self.mac(account, nonce).ok()?);
        let same: bool = mac.as_bytes().ct_eq(given.as_bytes()).into();
        same.then(|| token_hash(nonce))
    }

    fn mac(&self, account: &Personal<String>, nonce: &str) -> Result<[u8; 32], SealError> {
        // No Organization's: one address may have accounts in several.
        let nobody = TenantId::from_bytes([0; 16]);
        let of = Personal::new(format!("{nonce} {}", account.expose()));
        self.0.find_hash(nobody, "devices", of.expose())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use protocol::time::UnixMillis;

    use super::*;
    use crate::clock::ManualClock;
    use crate::keys::KeyStore;

    const WINDOW_MS: u64 = 600_000;

    fn brake() -> (Brake, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(UnixMillis(1_700_000_000_000)));
        let config = BrakeConfig {
            per_account_max: 10,
            strangers_max: 40,
            per_address_max: 60,
            window_ms: WINDOW_MS,
        };
        let house: Arc<dyn Clock> = clock.clone();
        (Brake::new(config, &house), clock)
    }

    fn email(name: &str) -> Personal<String> {
        Personal::new(format!("{name}@example.test"))
    }

    fn from<'a>(account: &'a Personal<String>, address: &str) -> Trier<'a> {
        Trier { account, address: address.parse().unwrap(), known: None }
    }

    #[test]
    fn a_stranger_keeps_nobody_out_but_themselves() {
        let (brake, clock) = brake();
        let ada = email("ada");
        for _ in 0..10 {
            assert_eq!(brake.attempt(&from(&ada, "192.0.2.1")), Ok(()));
        }
        assert_eq!(brake.attempt(&from(&ada, "192.0.2.1")), Err(WINDOW_MS / 10));
        assert_eq!(brake.attempt(&from(&ada, "198.51.100.7")), Ok(()), "the agent, elsewhere");
        assert_eq!(brake.attempt(&from(&email("bob"), "192.0.2.1")), Ok(()));
        clock.advance_ms(WINDOW_MS);
        assert_eq!(brake.attempt(&from(&ada, "192.0.2.1")), Ok(()));
    }

    #[test]
    fn strangers_at_many_addresses_are_bounded_and_a_known_device_is_let_in() {
        let (brake, _) = brake();
        let ada = email("ada");
        let tried = (0..200).filter(|n| {
            let address = format!("192.0.2.{n}");
            brake.attempt(&from(&ada, &address)).is_ok()
        });
        assert_eq!(tried.count(), 40);
        let known = Some(token_hash("a device"));
        let device = Trier { known, ..from(&ada, "192.0.2.250") };
        for _ in 0..10 {
            assert_eq!(brake.attempt(&device), Ok(()));
        }
        assert!(brake.attempt(&device).is_err(), "whoever has the device guesses no faster");
        let other = Trier { known: Some(token_hash("another")), ..device.clone() };
        assert_eq!(brake.attempt(&other), Ok(()));
    }

    #[test]
    fn an_address_cannot_walk_through_all_accounts() {
        let (brake, _) = brake();
        for n in 0..60 {
            let account = email(&format!("a{n}"));
            assert_eq!(brake.attempt(&from(&account, &format!("2001:db8::{n:x}"))), Ok(()));
        }
        let ada = email("ada");
        assert!(brake.attempt(&from(&ada, "2001:db8::ffff:1")).is_err());
        assert!(brake.attempt(&from(&ada, "2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn the_right_password_wipes_the_slate() {
        let (brake, _) = brake();
        let ada = email("ada");
        for _ in 0..300 {
            let trier = from(&ada, "192.0.2.1");
            assert_eq!(brake.attempt(&trier), Ok(()));
            brake.succeeded(&trier);
        }
    }

    #[test]
    fn a_device_is_known_for_the_account_that_was_signed_in_to() {
        let devices = Devices::new(Arc::new(KeyStore::in_memory().unwrap()));
        let (ada, bob) = (email("ada"), email("bob"));
        let issue = |account| devices.issue(account).unwrap();
        let ((name, cookie), (again, second), (other, _)) = (issue(&ada), issue(&ada), issue(&bob));
        assert!(!cookie.contains("ada") && !name.contains("ada"));
        assert!(name == again && name != other, "each account has its own in a browser");
        let known = devices.known(&ada, &cookie).unwrap();
        assert_ne!(devices.known(&ada, &second), Some(known), "two devices are two");
        assert_eq!(devices.known(&bob, &cookie), None);
        let (nonce, mac) = cookie.split_once('.').unwrap();
        for forged in ["", ".", nonce, &format!("{nonce}."), &format!("{mac}.{mac}")] {
            assert_eq!(devices.known(&ada, forged), None, "{forged}");
        }
        let others = Devices::new(Arc::new(KeyStore::in_memory().unwrap()));
        assert_eq!(others.known(&ada, &cookie), None, "another server's");
    }
}
