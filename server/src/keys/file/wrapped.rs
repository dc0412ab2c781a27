//! The port `WrappedKeys` by `keys.sqlite`: keys are read, made and destroyed, and what is
//! destroyed is read back.

use protocol::ids::TenantId;
use rusqlite::{OptionalExtension as _, params};

use super::{KeyFile, file_error, raise};
use crate::keys::KeysError;
use crate::keys::cipher::{bucket_bytes, subject_bytes, subject_parts};
use crate::keys::port::{Stored, WrappedKeys};
use crate::privacy::seal::{Bucket, Subject};

impl WrappedKeys for KeyFile {
    fn generation(&self) -> Result<u64, KeysError> {
        self.connection
            .query_row("SELECT generation FROM meta", [], |row| row.get(0))
            .map_err(file_error("read the generation"))
    }

    fn bucket(&self, bucket: &Bucket) -> Result<Stored, KeysError> {
        let wrapped: Option<Option<Vec<u8>>> = self
            .connection
            .prepare_cached(
                "SELECT wrapped FROM bucket_keys
                 WHERE tenant = ?1 AND site = ?2 AND class = ?3 AND day = ?4",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![
                            bucket.tenant.as_bytes(),
                            site_bytes(bucket),
                            bucket.class.code(),
                            bucket.day.0
                        ],
                        |row| row.get(0),
                    )
                    .optional()
            })
            .map_err(file_error("read a bucket's key"))?;
        self.stored(&bucket_bytes(bucket), wrapped)
    }

    fn subject(&self, tenant: TenantId, subject: Subject) -> Result<Stored, KeysError> {
        let (kind, id) = subject_parts(&subject);
        let wrapped: Option<Option<Vec<u8>>> = self
            .connection
            .prepare_cached(
                "SELECT wrapped FROM subject_keys WHERE tenant = ?1 AND kind = ?2 AND subject = ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![tenant.as_bytes(), kind, id], |row| row.get(0))
                    .optional()
            })
            .map_err(file_error("read a subject's key"))?;
        self.stored(&subject_bytes(tenant, subject), wrapped)
    }

    fn make(
        &mut self,
        buckets: &[Bucket],
        subjects: &[(TenantId, Subject)],
    ) -> Result<u64, KeysError> {
        let mut bucket_rows = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            bucket_rows.push((bucket, self.fresh(&bucket_bytes(bucket))?));
        }
        let mut subject_rows = Vec::with_capacity(subjects.len());
        for (tenant, subject) in subjects {
            subject_rows.push((tenant, subject, self.fresh(&subject_bytes(*tenant, *subject))?));
        }
        let act = || file_error("make keys");
        let in_file = self.in_file;
        let transaction = self.connection.transaction().map_err(act())?;
        for (bucket, wrapped) in bucket_rows {
            transaction
                .prepare_cached(
                    "INSERT INTO bucket_keys (tenant, site, class, day, wrapped)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        bucket.tenant.as_bytes(),
                        site_bytes(bucket),
                        bucket.class.code(),
                        bucket.day.0,
                        wrapped
                    ])
                })
                .map_err(act())?;
        }
        for (tenant, subject, wrapped) in subject_rows {
            let (kind, id) = subject_parts(subject);
            transaction
                .prepare_cached(
                    "INSERT INTO subject_keys (tenant, kind, subject, wrapped)
                     VALUES (?1, ?2, ?3, ?4)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![tenant.as_bytes(), kind, id, wrapped])
                })
                .map_err(act())?;
        }
        let generation = raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.is_in_place()?;
        Ok(generation)
    }

    fn destroy_buckets(&mut self, buckets: &[Bucket]) -> Result<u64, KeysError> {
        let act = || file_error("destroy buckets' keys");
        let in_file = self.in_file;
        let transaction = self.connection.transaction().map_err(act())?;
        for bucket in buckets {
            transaction
                .execute(
                    "INSERT INTO bucket_keys (tenant, site, class, day, wrapped)
                     VALUES (?1, ?2, ?3, ?4, NULL)
                     ON CONFLICT DO UPDATE SET wrapped = NULL",
                    params![
                        bucket.tenant.as_bytes(),
                        site_bytes(bucket),
                        bucket.class.code(),
                        bucket.day.0
                    ],
                )
                .map_err(act())?;
        }
        let generation = raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.leave_nothing()?;
        for bucket in buckets {
            self.read_back(
                "SELECT count(*) <> 1 OR total(wrapped IS NOT NULL) > 0 FROM bucket_keys
                 WHERE tenant = ?1 AND site = ?2 AND class = ?3 AND day = ?4",
                &[
                    bucket.tenant.as_bytes(),
                    &site_bytes(bucket),
                    &bucket.class.code(),
                    &bucket.day.0,
                ],
            )?;
        }
        Ok(generation)
    }

    fn destroy_subject(&mut self, tenant: TenantId, subject: Subject) -> Result<u64, KeysError> {
        let act = || file_error("destroy a subject's key");
        let in_file = self.in_file;
        let (kind, id) = subject_parts(&subject);
        let transaction = self.connection.transaction().map_err(act())?;
        transaction
            .execute(
                "INSERT INTO subject_keys (tenant, kind, subject, wrapped) VALUES (?1, ?2, ?3, NULL)
                 ON CONFLICT DO UPDATE SET wrapped = NULL",
                params![tenant.as_bytes(), kind, id],
            )
            .map_err(act())?;
        let generation = raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.leave_nothing()?;
        self.read_back(
            "SELECT count(*) <> 1 OR total(wrapped IS NOT NULL) > 0 FROM subject_keys
             WHERE tenant = ?1 AND kind = ?2 AND subject = ?3",
            &[tenant.as_bytes(), &kind, id],
        )?;
        Ok(generation)
    }
}

fn site_bytes(bucket: &Bucket) -> &[u8] {
    bucket.site.as_ref().map_or(&[], |site| site.as_bytes().as_slice())
}
