//! The port `WrappedKeys` by `keys.sqlite`: keys are read, made and destroyed (crypto-shredding),
//! and what is destroyed is read back.

use protocol::ids::TenantId;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params_from_iter};

use super::{KeyFile, file_error, raise};
use crate::keys::KeysError;
use crate::keys::cipher::{bucket_bytes, subject_bytes, subject_parts};
use crate::keys::port::{Stored, WrappedKeys};
use crate::privacy::seal::{Bucket, Subject};

/// Where a key lies: its row, and what it is bound to.
struct Place {
    table: &'static str,
    columns: &'static [&'static str],
    values: Vec<Value>,
    bound: Vec<u8>,
}

impl Place {
    fn of_bucket(bucket: &Bucket) -> Self {
        let Bucket { tenant, site, class, day } = bucket;
        let site = site.as_ref().map_or_else(Vec::new, |site| site.as_bytes().to_vec());
        let (class, day) = (i64::from(class.code()), i64::from(day.0));
        Self {
            table: "bucket_keys",
            columns: &["tenant", "site", "class", "day"],
            values: vec![tenant.as_bytes().to_vec().into(), site.into(), class.into(), day.into()],
            bound: bucket_bytes(bucket),
        }
    }

    fn of_subject(tenant: TenantId, subject: Subject) -> Self {
        let (kind, id) = subject_parts(&subject);
        let (tenant_bytes, kind) = (tenant.as_bytes().to_vec(), i64::from(kind));
        Self {
            table: "subject_keys",
            columns: &["tenant", "kind", "subject"],
            values: vec![tenant_bytes.into(), kind.into(), id.to_vec().into()],
            bound: subject_bytes(tenant, subject),
        }
    }

    /// A question about its row.
    fn select(&self, what: &str) -> String {
        let names = self.columns.iter().zip(1..);
        let row: Vec<String> = names.map(|(name, at)| format!("{name} = ?{at}")).collect();
        format!("SELECT {what} FROM {} WHERE {}", self.table, row.join(" AND "))
    }

    /// What puts its row there; the key comes behind the values.
    fn insert(&self) -> String {
        let places: Vec<String> = (1..=self.columns.len() + 1).map(|at| format!("?{at}")).collect();
        let (columns, places) = (self.columns.join(", "), places.join(", "));
        format!("INSERT INTO {} ({columns}, wrapped) VALUES ({places})", self.table)
    }

    fn with(&self, wrapped: Value) -> impl Iterator<Item = Value> {
        self.values.iter().cloned().chain([wrapped])
    }
}

impl KeyFile {
    fn read(&self, place: &Place, act: &'static str) -> Result<Stored, KeysError> {
        let wrapped: Option<Option<Vec<u8>>> = self
            .connection
            .prepare_cached(&place.select("wrapped"))
            .and_then(|mut statement| {
                statement.query_row(params_from_iter(&place.values), |row| row.get(0)).optional()
            })
            .map_err(file_error(act))?;
        self.stored(&place.bound, wrapped)
    }

    fn destroy(&mut self, places: &[Place], act: &'static str) -> Result<u64, KeysError> {
        let act = || file_error(act);
        let in_file = self.in_file;
        let transaction = self.connection.transaction().map_err(act())?;
        for place in places {
            let sql = format!("{} ON CONFLICT DO UPDATE SET wrapped = NULL", place.insert());
            let values = params_from_iter(place.with(Value::Null));
            transaction.execute(&sql, values).map_err(act())?;
        }
        let generation = raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.leave_nothing()?;
        for place in places {
            let is_there = place.select("count(*) <> 1 OR total(wrapped IS NOT NULL) > 0");
            self.read_back(&is_there, params_from_iter(&place.values))?;
        }
        Ok(generation)
    }
}

impl WrappedKeys for KeyFile {
    fn generation(&self) -> Result<u64, KeysError> {
        self.connection
            .query_row("SELECT generation FROM meta", [], |row| row.get(0))
            .map_err(file_error("read the generation"))
    }

    fn bucket(&self, bucket: &Bucket) -> Result<Stored, KeysError> {
        self.read(&Place::of_bucket(bucket), "read a bucket's key")
    }

    fn subject(&self, tenant: TenantId, subject: Subject) -> Result<Stored, KeysError> {
        self.read(&Place::of_subject(tenant, subject), "read a subject's key")
    }

    fn make(
        &mut self,
        buckets: &[Bucket],
        subjects: &[(TenantId, Subject)],
    ) -> Result<u64, KeysError> {
        let of_subjects =
            subjects.iter().map(|(tenant, subject)| Place::of_subject(*tenant, *subject));
        let places = buckets.iter().map(Place::of_bucket).chain(of_subjects);
        let fresh = |place: Place| self.fresh(&place.bound).map(|wrapped| (place, wrapped));
        let rows = places.map(fresh).collect::<Result<Vec<_>, _>>()?;
        let act = || file_error("make keys");
        let in_file = self.in_file;
        let transaction = self.connection.transaction().map_err(act())?;
        for (place, wrapped) in rows {
            let values = params_from_iter(place.with(wrapped.into()));
            transaction
                .prepare_cached(&place.insert())
                .and_then(|mut statement| statement.execute(values))
                .map_err(act())?;
        }
        let generation = raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.is_in_place()?;
        Ok(generation)
    }

    fn destroy_buckets(&mut self, buckets: &[Bucket]) -> Result<u64, KeysError> {
        let places: Vec<Place> = buckets.iter().map(Place::of_bucket).collect();
        self.destroy(&places, "destroy buckets' keys")
    }

    fn destroy_subject(&mut self, tenant: TenantId, subject: Subject) -> Result<u64, KeysError> {
        self.destroy(&[Place::of_subject(tenant, subject)], "destroy a subject's key")
    }
}
