//! Data and keys, opened together: by a server that starts, and by the commands for a stopped one.
//!
//! Lives here: the order in which the two are locked, judged and opened. Not here: what is in them
//! (`store`, `keys`), a new server's first rows (`init`), serving (`run`).

use std::sync::Arc;
use std::time::Duration;

use crate::backup::Backups;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Store as StoreSetting};
use crate::hub::cork;
use crate::keys::{KeyStore, KeysError};
use crate::metrics::Metrics;
use crate::privacy::seal::Sealer;
use crate::store::memory::{MemoryConfig, MemoryStore};
use crate::store::sqlite::{
    self, Inspection as Seen, OpenError, Repaired, SqliteConfig, SqliteStore,
};
use crate::store::{NoStats, Store, StoreStats};

/// Why data and keys were not opened. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The data.
    #[error(transparent)]
    Data(#[from] OpenError),
}

impl OpeningError {
    /// Whether another process has one of the folders.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Keys(KeysError::InUse { .. }) | Self::Data(OpenError::InUse { .. }))
    }
}

/// The store and the keys, opened together.
#[derive(Debug)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub keys: Arc<KeyStore>,
    /// The same store, where it has files whose size can be taken.
    pub(crate) on_disk: Option<Arc<SqliteStore>>,
}

/// Opens keys and data; makes both where there is neither. A store in memory begins empty, under
/// keys that nobody has.
///
/// # Errors
/// If either is damaged, missing, in use, or not the other's.
pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, OpeningError> {
    open_counted(config, clock, Arc::new(NoStats))
}

/// The same for a new server, where the keys may be left of data that is gone.
///
/// # Errors
/// As [`open`], and if the data that the keys are for still lies where it was.
pub fn open_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, OpeningError> {
    {
        let _lock = sqlite::lock(&config.data)?;
        if sqlite::identity(&config.data)?.is_none() {
            let keys = KeyStore::open(&config.keys, &config.data, None)?;
            keys.unbind(&config.keys, &config.data)?;
            keys.close();
        }
    }
    open(config, clock)
}

/// Opens what can be read of damaged data and keys, and saves it; says what that was. Without
/// `accept_loss` it only says what there is to do.
///
/// # Errors
/// If nothing can be saved this way: a file must be put back.
pub fn repair(config: &Config, accept_loss: bool) -> Result<Repaired, OpeningError> {
    let lock = sqlite::lock(&config.data)?;
    let identity = sqlite::identity(&config.data)?;
    let generation = identity.map(|found| found.generation);
    let keys = KeyStore::open_to_repair(&config.keys, &config.data, generation)?;
    let lost_keys = keys.give_up_unreadable(accept_loss)?;
    let mut repaired = sqlite::repair(&config.data, &keys, SystemClock.now(), accept_loss)?;
    repaired.lost_keys = lost_keys;
    if accept_loss && let Some(id) = repaired.id {
        keys.bind(&config.data, id)?;
    }
    keys.close();
    drop(lock);
    Ok(repaired)
}

/// What a look at the folders found.
#[derive(Debug)]
pub enum Inspection {
    /// No data yet.
    Empty,
    /// A running server's: neither data nor keys were looked into.
    InUse { pid: u32 },
    /// Data and keys that a start would take; it would first bring the data from one version to
    /// another where these differ.
    Good { version: u32, known: u32 },
}

/// Looks at keys and data as a start would judge them, without making, changing or keeping
/// anything.
///
/// # Errors
/// As [`open`].
pub fn look(config: &Config) -> Result<Inspection, OpeningError> {
    Ok(match sqlite::look(&config.data)? {
        Seen::InUse { pid } => Inspection::InUse { pid },
        Seen::Empty => {
            if let Some(keys) = KeyStore::look(&config.keys, &config.data, None)? {
                keys.check_data(&config.keys, &config.data, None)?;
            }
            Inspection::Empty
        }
        Seen::Data(data) => {
            if let Some(keys) = KeyStore::look(&config.keys, &config.data, data.generation())? {
                keys.check()?;
                keys.check_data(&config.keys, &config.data, Some(data.id()))?;
                data.check_keys(&keys)?;
                data.check_rows(&keys)?;
            }
            Inspection::Good { version: data.version, known: data.known }
        }
    })
}

/// Backups of what is open.
pub fn backups(
    config: &Config,
    opened: &Opened,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Arc<Backups> {
    let Some(store) = &opened.on_disk else { return Arc::default() };
    Arc::new(Backups::new(
        Arc::clone(store),
        Arc::clone(&opened.keys),
        Arc::clone(clock),
        Arc::clone(metrics),
        [config.data.clone(), config.keys.clone()],
    ))
}

/// The same, whose writes are counted.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_counted(
    config: &Config,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
) -> Result<Opened, OpeningError> {
    match config.store {
        StoreSetting::Sqlite => open_sqlite(config, clock, stats),
        StoreSetting::Memory => open_memory(config, clock, stats),
    }
}

fn open_memory(
    config: &Config,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
) -> Result<Opened, OpeningError> {
    // The operator's key lies there.
    let keys = Arc::new(KeyStore::in_memory_beside(&config.keys)?);
    let sealer: Arc<dyn Sealer> = Arc::<KeyStore>::clone(&keys);
    let settings = MemoryConfig {
        queue_len: config.store_queue_max,
        patience: Duration::from_millis(config.store_patience_ms),
        stats,
    };
    let store = Arc::new(MemoryStore::new(sealer, &settings, clock));
    Ok(Opened { store, keys, on_disk: None })
}

fn open_sqlite(
    config: &Config,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
) -> Result<Opened, OpeningError> {
    // Before the keys: of two first starts at once only one may make them.
    let lock = sqlite::lock(&config.data)?;
    let identity = sqlite::identity(&config.data)?;
    let generation = identity.map(|identity| identity.generation);
    let keys = Arc::new(KeyStore::open(&config.keys, &config.data, generation)?);
    keys.check_data(&config.keys, &config.data, identity.map(|identity| identity.id))?;
    let sealer: Arc<dyn Sealer> = Arc::<KeyStore>::clone(&keys);
    let settings = SqliteConfig {
        queue_len: config.store_queue_max,
        patience: Duration::from_millis(config.store_patience_ms),
        linger: Duration::from_millis(config.store_linger_ms),
        tell_together: cork::one_batch,
        stats,
        ..SqliteConfig::default()
    };
    let store = Arc::new(SqliteStore::open_locked(&config.data, lock, sealer, &settings, clock)?);
    if let Err(error) = keys.bind(&config.data, store.id()) {
        // A disk without room is no reason not to read.
        tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the keys do not name their data yet");
    }
    Ok(Opened { store: Arc::<SqliteStore>::clone(&store), keys, on_disk: Some(store) })
}
