//! What a store did, for whoever counts.
//!
//! Lives here: the port and the node's metrics behind it. Not here: when something is counted (the
//! implementations of the store). Handed to a store when it is opened.

use std::time::Duration;

use crate::metrics::{Metrics, StoreOp, WriteOp};

/// One batch that was synced.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Messages in it.
    pub messages: usize,
    /// All of it, sync included.
    pub took: Duration,
    /// Making and syncing the keys that it needed.
    pub keys: Duration,
    /// The step that syncs.
    pub sync: Duration,
}

/// Whoever counts what the store does. Called on its threads; must not block.
pub trait StoreStats: Send + Sync + std::fmt::Debug {
    /// A batch is on disk.
    fn committed(&self, batch: &Committed);
    /// A checkpoint: a slice of the journal was moved into the database.
    fn checkpointed(&self, took: Duration);
    /// A WAL checkpoint: the log's pages were moved into the file.
    fn wal_checkpointed(&self, took: Duration);
    /// Something was not done.
    fn failed(&self, op: StoreOp);
    /// A question was answered.
    fn read(&self, took: Duration);
    /// What was due is removed.
    fn swept(&self, took: Duration);
    /// So many wait for the writer.
    fn waiting(&self, jobs: usize);
}

/// Nobody counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStats;

impl StoreStats for NoStats {
    fn committed(&self, _: &Committed) {}

    fn checkpointed(&self, _: Duration) {}

    fn wal_checkpointed(&self, _: Duration) {}

    fn failed(&self, _: StoreOp) {}

    fn read(&self, _: Duration) {}

    fn swept(&self, _: Duration) {}

    fn waiting(&self, _: usize) {}
}

impl StoreStats for Metrics {
    fn committed(&self, batch: &Committed) {
        self.store_write_duration_seconds.of(WriteOp::Commit).observe(batch.took);
        self.store_write_duration_seconds.of(WriteOp::Keys).observe(batch.keys);
        self.store_fsync_duration_seconds.observe(batch.sync);
        if batch.messages > 0 {
            self.store_batch_messages.observe(batch.messages);
        }
    }

    fn checkpointed(&self, took: Duration) {
        self.store_write_duration_seconds.of(WriteOp::Carry).observe(took);
    }

    fn wal_checkpointed(&self, took: Duration) {
        self.store_write_duration_seconds.of(WriteOp::Checkpoint).observe(took);
    }

    fn failed(&self, op: StoreOp) {
        self.store_errors_total.of(op).inc();
    }

    fn read(&self, took: Duration) {
        self.store_read_duration_seconds.observe(took);
    }

    fn swept(&self, took: Duration) {
        self.store_write_duration_seconds.of(WriteOp::Sweep).observe(took);
    }

    fn waiting(&self, jobs: usize) {
        self.store_queue_writes.set(i64::try_from(jobs).unwrap_or(i64::MAX));
    }
}
