//! Clean-up behind destroyed keys, step by step, so that what waits in the queue comes between.

use std::sync::Arc;
use std::time::Duration;

use super::SqliteStore;
use crate::metrics::StoreOp;
use crate::privacy::seal::Bucket;
use crate::store::Result;
use crate::store::sqlite::cleanup::Step;
use crate::store::sqlite::gaps::Walk;
use crate::store::sqlite::writer::Work;

/// Tries to empty the log while readers come and go.
pub(super) const EMPTY_LOG_TRIES: u32 = 20;

pub(super) const EMPTY_LOG_PAUSE: Duration = Duration::from_millis(50);

impl SqliteStore {
    pub(super) async fn clean_up_bucket(&self, bucket: Bucket) -> Result<Option<i64>> {
        let begun = self.ask(move |transaction| transaction.clean_up_begin(&bucket)).await?;
        let Some((id, first)) = begun else { return Ok(None) };
        let mut step = Step::From(first);
        while let Step::From(from) = step {
            step = self.ask(move |transaction| transaction.clean_up_messages(id, from)).await?;
        }
        self.act(move |transaction| transaction.clean_up_rest(id)).await?;
        Ok(Some(id))
    }

    pub(super) async fn clean_up_all(&self, buckets: &[Bucket]) -> Result<()> {
        let began = self.shared.clock.instant();
        let outcome = self.clean_up_each(buckets).await;
        match &outcome {
            Ok(()) => {
                let now = self.shared.clock.instant();
                self.shared.stats.swept(now.saturating_duration_since(began));
            }
            Err(_) => self.shared.stats.failed(StoreOp::Sweep),
        }
        outcome
    }

    pub(super) async fn clean_up_each(&self, buckets: &[Bucket]) -> Result<()> {
        let mut cleaned = Vec::new();
        for bucket in buckets {
            cleaned.extend(self.clean_up_bucket(*bucket).await?.map(|id| (*bucket, id)));
        }
        let Some(_log_lock) = self.shared.log.to_empty(&cleaned) else { return Ok(()) };
        self.leave_nothing(cleaned).await
    }

    /// Empties log and gaps of what was in rows that are gone, and ends the clean-up of these.
    pub(super) async fn leave_nothing(&self, cleaned: Vec<(Bucket, i64)>) -> Result<()> {
        self.again(|| Work::EmptyLog).await?;
        if !cleaned.is_empty() {
            self.clear_gaps().await?;
        }
        // Only now are they off the list: a crash before this line brings them back.
        for (_, id) in cleaned {
            self.act(move |transaction| transaction.clean_up_end(id)).await?;
        }
        Ok(())
    }

    /// Walks the file, slice by slice; what waits in the queue comes between two.
    pub(super) async fn clear_gaps(&self) -> Result<()> {
        let walk = Arc::new(Walk::new());
        while walk.at().is_some() {
            self.again(|| Work::ClearGaps(Arc::clone(&walk))).await?;
        }
        Ok(())
    }

    /// Tries what readers may be in the way of.
    pub(super) async fn again(&self, work: impl Fn() -> Work + Send) -> Result<()> {
        let mut outcome = Ok(());
        for _ in 0..EMPTY_LOG_TRIES {
            outcome = self.work(work()).await;
            if outcome.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(EMPTY_LOG_PAUSE).await;
        }
        outcome
    }
}
