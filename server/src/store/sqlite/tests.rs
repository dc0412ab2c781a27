use std::path::Path;

use super::*;
use crate::clock::ManualClock;
use crate::keys::KeyStore;
use crate::store::conformance;

impl SqliteStore {
    /// A store in `folder` with keys beside it and the machine's clock.
    pub(crate) fn open_for_test(folder: &Path) -> Arc<Self> {
        Self::open_for_test_at(folder, Arc::new(crate::clock::SystemClock)).0
    }

    /// The same with the test's own clock, and its keys.
    pub(crate) fn open_for_test_at(
        folder: &Path,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Self>, Arc<KeyStore>) {
        let data = folder.join("data");
        let generation = Self::generation(&data).unwrap();
        let keys = Arc::new(KeyStore::open(&folder.join("keys"), &data, generation).unwrap());
        let sealer: Arc<dyn Sealer> = Arc::clone(&keys) as _;
        let store = Self::open(&data, sealer, &SqliteConfig::default(), clock).unwrap();
        (Arc::new(store), keys)
    }
}

#[tokio::test]
async fn it_keeps_every_promise_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(conformance::NOW));
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock);
    conformance::all(&*store, &*keys).await;
    store.close().await;
}
