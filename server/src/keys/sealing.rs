//! The port `Sealer` by these keys: made when they are first needed, kept in memory, destroyed in
//! both places.

use std::sync::atomic::Ordering;

use protocol::ids::TenantId;
use protocol::time::Day;

use super::port::{Stored, WrappedKeys as _};
use super::{Held, KeyStore, KeysError, Secret, cipher};
use crate::privacy::seal::{Bucket, Lock, SealError, Sealer, Subject, TransitSealer};

impl Held {
    /// The key, `None` if it was never made.
    pub(super) fn bucket(&mut self, bucket: &Bucket) -> Result<Option<Secret>, SealError> {
        if let Some(key) = self.buckets.get(bucket) {
            return Ok(Some(key));
        }
        match self.file.bucket(bucket).map_err(failed)? {
            Stored::Key(key) => {
                self.buckets.insert(*bucket, key.clone());
                Ok(Some(key))
            }
            Stored::Destroyed => Err(SealError::Destroyed),
            Stored::None => Ok(None),
        }
    }

    pub(super) fn subject(
        &mut self,
        tenant: TenantId,
        subject: Subject,
    ) -> Result<Option<Secret>, SealError> {
        if let Some(key) = self.subjects.get(&(tenant, subject)) {
            return Ok(Some(key));
        }
        match self.file.subject(tenant, subject).map_err(failed)? {
            Stored::Key(key) => {
                self.subjects.insert((tenant, subject), key.clone());
                Ok(Some(key))
            }
            Stored::Destroyed => Err(SealError::Destroyed),
            Stored::None => Ok(None),
        }
    }
}

impl Sealer for KeyStore {
    fn is_in_place(&self) -> bool {
        self.in_place.load(Ordering::Acquire)
    }

    fn prepare(&self, locks: &[Lock]) -> Result<(), SealError> {
        let mut held = self.file.lock();
        // Each is its own affair: the others are made all the same.
        let mut unfit = None;
        let mut buckets = Vec::new();
        let mut subjects = Vec::new();
        for lock in locks {
            match held.bucket(&lock.bucket) {
                Ok(Some(_)) => {}
                Ok(None) => buckets.push(lock.bucket),
                Err(error @ (SealError::Destroyed | SealError::Tampered)) => unfit = Some(error),
                Err(error) => return Err(self.unusable(error)),
            }
            match held.subject(lock.bucket.tenant, lock.subject) {
                Ok(Some(_)) => {}
                Ok(None) => subjects.push((lock.bucket.tenant, lock.subject)),
                Err(error @ (SealError::Destroyed | SealError::Tampered)) => unfit = Some(error),
                Err(error) => return Err(self.unusable(error)),
            }
        }
        if !buckets.is_empty() || !subjects.is_empty() {
            buckets.sort_unstable();
            buckets.dedup();
            subjects.sort_unstable();
            subjects.dedup();
            let made = held.file.make(&buckets, &subjects).map_err(failed);
            let generation = made.map_err(|error| self.unusable(error))?;
            self.generation.store(generation, Ordering::Release);
        }
        unfit.map_or(Ok(()), Err)
    }

    fn seal(&self, lock: &Lock, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.value_key(lock)?.seal(associated, plain)
    }

    fn unseal(&self, lock: &Lock, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.value_key(lock)?.unseal(associated, sealed)
    }

    fn find_hash(&self, tenant: TenantId, field: &str, value: &str) -> Result<[u8; 32], SealError> {
        Ok(cipher::find_hash(&self.find_root, tenant, field, value))
    }

    fn sum(&self, bytes: &[u8]) -> [u8; 32] {
        cipher::sha256(bytes)
    }

    fn destroy_buckets(&self, buckets: &[Bucket]) -> Result<(), SealError> {
        let mut held = self.file.lock();
        let outcome = held.file.destroy_buckets(buckets);
        for bucket in buckets {
            held.buckets.remove(bucket);
        }
        let gone: std::collections::HashSet<&Bucket> = buckets.iter().collect();
        self.values.lock().retain(|lock| !gone.contains(&lock.bucket));
        self.generation.store(outcome.map_err(failed)?, Ordering::Release);
        Ok(())
    }

    fn destroy_subject(&self, tenant: TenantId, subject: Subject) -> Result<(), SealError> {
        let mut held = self.file.lock();
        let outcome = held.file.destroy_subject(tenant, subject);
        held.subjects.remove(&(tenant, subject));
        self.values.lock().retain(|lock| lock.subject != subject || lock.bucket.tenant != tenant);
        self.generation.store(outcome.map_err(failed)?, Ordering::Release);
        Ok(())
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl TransitSealer for KeyStore {
    fn seal_in_transit(
        &self,
        day: Day,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.transit_key(day).seal(associated, plain)
    }

    fn unseal_in_transit(
        &self,
        day: Day,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.transit_key(day).unseal(associated, sealed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn failed(error: KeysError) -> SealError {
    tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "the key store failed");
    if matches!(error, KeysError::Damaged { .. }) {
        SealError::Tampered
    } else {
        SealError::Unavailable
    }
}
