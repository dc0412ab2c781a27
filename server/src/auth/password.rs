//! Passwords: which are taken, how they are kept, how they are checked.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// Characters of a password, at least: length is what makes guessing dear.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// Characters of a password, at most: a bound on what is hashed.
pub const PASSWORD_CHARS_MAX: usize = 1_000;

/// KiB that one hash fills; with `PASSES`, the first choice of OWASP's cheat sheet for Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
const PASSES: u32 = 2;

/// Hashes at a time: each holds a core and `MEMORY_KIB`.
const AT_A_TIME: usize = 2;

/// Those that wait, and those that are hashed: who comes beyond them waits nowhere.
const SEATS: usize = 64;

/// How long a request waits for a permit before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Same parameters as ours, of no password: checked where there is no such account, so that both
/// answers take the same time.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bGl2ZWhlbHAtbm9ib2R5$\
                      QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE";

/// Why a password was not taken or not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short to be safe.
    #[error("a password has at least 12 characters")]
    TooShort,
    /// Longer than anything a person types.
    #[error("a password has at most 1000 characters")]
    TooLong,
    /// Too many are being checked; try again.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash function failed.
    #[error("hash a password")]
    Hash,
}

/// A password in the form that is hashed (RFC 8265, OpaqueString): one system sends an accented
/// letter composed and another in pieces, and a space beyond ASCII is a space.
fn prepared(password: &SecretString) -> SecretString {
    let text = password.expose_secret();
    if text.is_ascii() {
        return password.clone();
    }
    let spaced: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    SecretString::from(ComposingNormalizerBorrowed::new_nfc().normalize(&spaced).into_owned())
}

/// The forms of a password that may have been hashed: the prepared one, then what releases before
/// it hashed, which was what the keyboard sent.
fn forms(password: &SecretString) -> Vec<SecretString> {
    let mut forms = vec![prepared(password)];
    if !password.expose_secret().is_ascii() {
        let decomposed = DecomposingNormalizerBorrowed::new_nfd()
            .normalize(password.expose_secret())
            .into_owned();
        for former in [password.clone(), SecretString::from(decomposed)] {
            if forms.iter().all(|known| known.expose_secret() != former.expose_secret()) {
                forms.push(former);
            }
        }
    }
    forms
}

/// Whether this may be a password.
///
/// # Errors
/// If it is too short or too long.
pub fn password_rule(password: &SecretString) -> Result<(), PasswordError> {
    // What is far too long is not worth preparing: a character has four bytes, and a letter few
    // marks.
    if password.expose_secret().len() > 16 * PASSWORD_CHARS_MAX {
        return Err(PasswordError::TooLong);
    }
    let password = prepared(password);
    let chars = password.expose_secret().chars().take(PASSWORD_CHARS_MAX + 1).count();
    if chars > PASSWORD_CHARS_MAX {
        Err(PasswordError::TooLong)
    } else if chars < PASSWORD_CHARS_MIN {
        Err(PasswordError::TooShort)
    } else {
        Ok(())
    }
}

/// Hashes a password, in PHC form, on this thread: for the subcommands. Edges use [`Passwords`].
///
/// # Errors
/// If it breaks the rule, or the hash function fails.
pub fn hash_password(password: &SecretString) -> Result<Arc<str>, PasswordError> {
    password_rule(password)?;
    let hash = argon2()?
        .hash_password(prepared(password).expose_secret().as_bytes())
        .map_err(|_| PasswordError::Hash)?;
    Ok(Arc::from(hash.to_string()))
}

/// Hashes and checks away from the tasks that serve, a few at a time.
#[derive(Debug)]
pub struct Passwords {
    seats: Semaphore,
    permits: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { seats: Semaphore::new(SEATS), permits: Semaphore::new(AT_A_TIME) }
    }
}

impl Passwords {
    /// Hashes a new password.
    ///
    /// # Errors
    /// If it breaks the rule, or there is no permit for it in time.
    pub async fn hash(&self, password: SecretString) -> Result<Arc<str>, PasswordError> {
        password_rule(&password)?;
        self.in_turn(move || hash_password(&password)).await?
    }

    /// Whether it is the password of this account; for no account it takes as long and is never
    /// right.
    ///
    /// # Errors
    /// If there is no permit for it in time.
    pub async fn verify(
        &self,
        password: SecretString,
        kept: Option<Arc<str>>,
    ) -> Result<bool, PasswordError> {
        self.in_turn(move || {
            let hash = kept.as_deref().unwrap_or(NOBODY);
            let is = |text: &str| {
                PasswordHash::new(hash).is_ok_and(|parsed| {
                    argon2().is_ok_and(|a| a.verify_password(text.as_bytes(), &parsed).is_ok())
                })
            };
            // Nothing longer was ever accepted; hash something, for the time it takes.
            if password_rule(&password) == Err(PasswordError::TooLong) {
                let _time = is(NOBODY);
                return false;
            }
            forms(&password).iter().any(|form| is(form.expose_secret())) && kept.is_some()
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _seat = self.seats.try_acquire().map_err(|_| PasswordError::Busy)?;
        let permit = tokio::time::timeout(PATIENCE, self.permits.acquire())
            .await
            .map_err(|_| PasswordError::Busy)?
            .map_err(|_| PasswordError::Busy)?;
        let done = tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Hash);
        drop(permit);
        done
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
        let passwords = Passwords::default();
        let hash = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |text: &str, kept| passwords.verify(secret(text), kept);
        assert_eq!(verify("correct horse battery", Some(hash.clone())).await, Ok(true));
        assert_eq!(verify("correct horse batterz", Some(hash.clone())).await, Ok(false));
        assert_eq!(verify("", Some(hash)).await, Ok(false));
        assert_eq!(verify("correct horse battery", None).await, Ok(false));
        assert_eq!(verify(NOBODY, None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_letters_are_composed() {
        let passwords = Passwords::default();
        let (composed, decomposed) = ("gr\u{fc}ne \u{c5}pfel 12", "gru\u{308}ne A\u{30a}pfel 12");
        let hangul = (
            "\u{ac00}\u{b098}\u{b2e4} and twelve",
            "\u{1100}\u{1161}\u{1102}\u{1161}\u{1103}\u{1161} and twelve",
        );
        let spaces = ("\u{e9}t\u{e9} correct horse", "\u{e9}t\u{e9}\u{a0}correct\u{3000}horse");
        for (one, other) in [(composed, decomposed), hangul, spaces] {
            for (set, typed) in [(one, other), (other, one), (one, one), (other, other)] {
                let hash = passwords.hash(secret(set)).await.unwrap();
                assert_eq!(
                    passwords.verify(secret(typed), Some(hash)).await,
                    Ok(true),
                    "{typed:?}"
                );
            }
        }
        let hash = passwords.hash(secret(composed)).await.unwrap();
        assert_eq!(passwords.verify(secret("grune Apfel 12"), Some(hash)).await, Ok(false));
    }

    #[tokio::test]
    async fn a_password_that_an_earlier_release_hashed_as_typed_is_still_right() {
        let decomposed = "gru\u{308}ne A\u{30a}pfel 12";
        let hash = argon2().unwrap().hash_password(decomposed.as_bytes()).unwrap().to_string();
        let passwords = Passwords::default();
        let verify = |text: &str| passwords.verify(secret(text), Some(Arc::from(hash.as_str())));
        assert_eq!(verify(decomposed).await, Ok(true));
        assert_eq!(verify("gr\u{fc}ne \u{c5}pfel 12").await, Ok(true));
    }

    #[test]
    fn the_hash_of_nobody_costs_what_a_real_one_costs() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let real = hash_password(&secret("correct horse battery")).unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(nobody.params, real.params);
        assert_eq!(nobody.hash.unwrap().len(), real.hash.unwrap().len());
    }

    #[test]
    fn a_password_has_twelve_to_a_thousand_characters() {
        assert_eq!(password_rule(&secret("elevenchars")), Err(PasswordError::TooShort));
        assert_eq!(password_rule(&secret("twelve chars")), Ok(()));
        assert_eq!(password_rule(&secret(&"ä".repeat(1_000))), Ok(()));
        assert_eq!(password_rule(&secret(&"a".repeat(1_001))), Err(PasswordError::TooLong));
    }
}
