//! What is looked at every so often while the server runs, and shown as metrics: files, bus, keys;
//! and the limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;

use crate::bus::Bus;
use crate::config::Config;
use crate::folder::free_bytes;
use crate::keys::KeyStore;
use crate::metrics::{File, Folder, Limit, Metrics};
use crate::store::sqlite::{self, FileBytes, SqliteStore};

/// How often it is tried whether the keys can be used.
const KEYS_LOOK: Duration = Duration::from_secs(1);

/// How often it is asked whether the bus is there.
const BUS_LOOK: Duration = Duration::from_secs(1);

/// How often the size of the files is taken, and the room that is left for them.
const SIZE_LOOK: Duration = Duration::from_secs(5);

/// What lies on disk.
pub(super) struct Files {
    /// None: it keeps nothing there.
    pub(super) store: Option<Arc<SqliteStore>>,
    pub(super) data: PathBuf,
    pub(super) keys: PathBuf,
}

impl Files {
    /// Sets what they take and what is left for them; blocks for a moment.
    fn measure(&self, metrics: &Metrics) {
        metrics.count_descriptors();
        for (folder, path) in [(Folder::Data, &self.data), (Folder::Keys, &self.keys)] {
            match free_bytes(path) {
                Ok(bytes) => metrics.disk_free_bytes.of(folder).set(signed(bytes)),
                Err(error) => tracing::debug!(%error, "no file system says how much room is left"),
            }
        }
        let Some(store) = &self.store else { return };
        let FileBytes { database, log, journal, reserve } = store.bytes();
        for (file, bytes) in [
            (File::Database, database),
            (File::Log, log),
            (File::Journal, journal),
            (File::Reserve, reserve),
            (File::Keys, KeyStore::bytes(&self.keys)),
        ] {
            metrics.store_bytes.of(file).set(signed(bytes));
        }
        metrics.schema_version.set(i64::from(sqlite::version()));
    }
}

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Keeps the files in view.
pub(super) async fn watch_files(
    files: Files,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<bool>,
) {
    let files = Arc::new(files);
    let mut tick = tokio::time::interval(SIZE_LOOK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
        let (files, metrics) = (Arc::clone(&files), Arc::clone(&metrics));
        // A file system that is away may not answer for long; nobody who is served waits for it.
        let measured = tokio::task::spawn_blocking(move || files.measure(&metrics)).await;
        if measured.is_err() {
            tracing::error!("the files could not be measured");
        }
    }
}

/// Keeps in view whether the bus is there.
pub(super) async fn watch_bus(
    bus: Arc<dyn Bus>,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(BUS_LOOK);
    loop {
        tokio::select! {
            _ = tick.tick() => metrics.bus_up.set(i64::from(bus.healthy())),
            _ = ended.wait_for(|ended| *ended) => return,
        }
    }
}

/// Keeps in view whether the keys folder can be used; what no longer can is said once.
pub(super) async fn watch_keys(keys: Arc<KeyStore>, mut ended: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(KEYS_LOOK);
    let mut was_usable = true;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
        let probed = Arc::clone(&keys);
        let outcome = tokio::task::spawn_blocking(move || probed.probe()).await;
        let is_usable = matches!(outcome, Ok(Ok(())));
        if let (true, Ok(Err(error))) = (was_usable, outcome) {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the keys cannot be used");
        } else if is_usable && !was_usable {
            tracing::warn!("the keys can be used again");
        }
        was_usable = is_usable;
    }
}

/// Says which limits are in force.
pub(super) fn tell_limits(metrics: &Metrics, config: &Config) {
    let limit = |limit, max| metrics.limit.of(limit).set(max);
    limit(Limit::Connections, signed(config.connections_max));
    limit(Limit::ConnectionsPerAddress, signed(config.connections_per_ip_max));
    limit(Limit::HandshakesPerAddress, signed(config.handshakes_per_ip_max));
    let files = getrlimit(Resource::Nofile).current;
    limit(Limit::OpenFiles, files.map_or(i64::MAX, signed));
    limit(Limit::StoreQueue, signed(config.store_queue_max));
    limit(Limit::OutboxFrames, signed(config.outbox_frames_max));
    limit(Limit::OutboxBytes, signed(config.outbox_bytes_max));
    limit(Limit::BodyBytes, signed(config.body_bytes_max));
    limit(Limit::ConversationsPerVisitor, signed(config.conversations_per_visitor_max));
}
