//! The order of data and keys, by a copy that is stopped in its middle; old artefacts; and what a
//! file says of itself.

use protocol::retention::RetentionClass;

use super::*;
use crate::clock::ManualClock;
use crate::privacy::seal::{Bucket, Sealer as _};
use crate::store::conformance::{NOW, World};
use crate::store::sqlite::{Pace, Rest};
use crate::store::{Retention as _, Store as _, Transcript as _, Write};

/// Does something once, in the middle of a copy.
struct InTheMiddle<F>(Option<F>);

impl<F: FnOnce() + Send + 'static> Pace for InTheMiddle<F> {
    fn copied(&mut self, _: u64, _: u64) -> bool {
        if let Some(act) = self.0.take() {
            act();
        }
        true
    }

    fn rest(&self) -> Rest {
        Box::new(|| false)
    }
}

struct Scene {
    folder: tempfile::TempDir,
    source: Source,
    worlds: Vec<World>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), Arc::clone(&clock));
        let path = |name: &str| folder.path().join(name);
        keys.bind(&path("data"), store.id()).unwrap();
        let worlds = vec![World::new(1), World::new(2)];
        for world in &worlds {
            world.settle(&*store).await;
            for seq in 1..=40 {
                let text = format!("message {seq} {}", "long ".repeat(100));
                store.write(vec![Write::Message(world.message(seq, &text))]).await.unwrap();
            }
        }
        let source = Source {
            store,
            keys,
            clock,
            metrics: Metrics::new(),
            data_folder: path("data"),
            keys_folder: path("keys"),
        };
        std::fs::create_dir(path("to")).unwrap();
        Self { folder, source, worlds }
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("to")
    }

    fn wish(&self) -> Wish {
        let keys_days = KEYS_DAYS;
        Wish { to: self.to(), keys_to: None, rate_mib: 10_000, keep: None, keys_days }
    }

    fn transcript_bucket(&self, nth: usize) -> Bucket {
        let world = &self.worlds[nth];
        let class = RetentionClass::Transcript;
        Bucket { tenant: world.tenant, site: Some(world.site), class, day: NOW.day() }
    }

    /// A backup in whose middle something happens.
    async fn backed_up(&self, act: impl FnOnce() + Send + 'static) -> Made {
        let target = self.source.target(&self.wish()).unwrap();
        let data = target.begin(Kind::Data).unwrap();
        let keys = target.begin(Kind::Keys).unwrap();
        let copied = self.source.store.copy(data.path.clone(), InTheMiddle(Some(act))).await;
        let (pace, progress) = (Pacer::free(), Progress::default());
        self.source.finish(data, keys, &copied.unwrap(), NOW, pace, &progress).unwrap()
    }
}

/// The wrapped bytes of a bucket's key, as they lie in keys.sqlite.
fn wrapped(keys: &Path, bucket: &Bucket) -> Vec<u8> {
    let connection = crate::read_only::open(&keys.join("keys.sqlite")).unwrap();
    let sql = "SELECT wrapped FROM bucket_keys WHERE tenant = ?1 AND class = ?2";
    let values = (bucket.tenant.as_bytes().as_slice(), bucket.class.code());
    connection.query_row(sql, values, |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_destroyed_while_the_data_is_copied_is_not_in_the_artefact() {
    let scene = Scene::new().await;
    let bucket = scene.transcript_bucket(0);
    let key = wrapped(&scene.source.keys_folder, &bucket);
    let (keys, store) = (Arc::clone(&scene.source.keys), Arc::clone(&scene.source.store));
    let runtime = tokio::runtime::Handle::current();
    let newcomer = World::new(3);
    let made = scene
        .backed_up(move || {
            keys.destroy_buckets(&[bucket]).unwrap();
            runtime.block_on(async {
                // A sweep goes on as always and nobody waits for the copy: neither it nor those who
                // write.
                store.clean_up(&[bucket]).await.unwrap();
                assert!(!store.buckets().await.unwrap().contains(&bucket), "it is off the list");
                newcomer.settle(&*store).await;
                let message = newcomer.message(1, "later");
                store.write(vec![Write::Message(message)]).await.unwrap();
            });
        })
        .await;
    let bytes = std::fs::read(&made.keys).unwrap();
    assert!(!bytes.windows(key.len()).any(|window| window == key), "the key is nowhere in it");
    assert_eq!(made.rows.messages, 80, "the rows are: they are noise");
    assert_eq!(made.rows.conversations, 2, "and nothing that came later");
    // What waited for the copy's end is done: the file's own list has it no more.
    let data = crate::read_only::open(&scene.source.data_folder.join("livehelp.sqlite")).unwrap();
    let sql = "SELECT count(*) FROM buckets WHERE tenant = ?1 AND class = ?2";
    let values = (bucket.tenant.as_bytes().as_slice(), bucket.class.code());
    let listed: u64 = data.query_row(sql, values, |row| row.get(0)).unwrap();
    assert_eq!(listed, 0);
    assert!(!scene.source.store.buckets().await.unwrap().contains(&bucket));

    // Put back: the others' words are there, the destroyed ones are not.
    let into = tempfile::tempdir().unwrap();
    let (data, keys) = (into.path().join("data"), into.path().join("keys"));
    restore(&[scene.to()], [&data, &keys], false, NOW).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let (restored, _keys) = SqliteStore::open_for_test_at(into.path(), clock);
    for (world, count) in scene.worlds.iter().zip([0, 40]) {
        let (tenant, conversation) = (world.tenant, world.conversation);
        let zero = protocol::message::Seq(0);
        let found = restored.messages(tenant, conversation, zero, None, 100).await.unwrap();
        assert_eq!(found.len(), count);
    }
    restored.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_while_the_data_is_copied_takes_nothing_from_it() {
    let scene = Scene::new().await;
    let (store, runtime) = (Arc::clone(&scene.source.store), tokio::runtime::Handle::current());
    let newcomer = World::new(3);
    let made = scene.backed_up(move || runtime.block_on(newcomer.settle(&*store))).await;
    let of = |path: &Path| Artefact::open(path).unwrap().manifest;
    assert!(of(&made.keys).generation > of(&made.data).generation);
    let verdicts = verify(&gather(&[scene.to()]).unwrap());
    assert!(verdicts.iter().all(|verdict| verdict.fault.is_none()), "{verdicts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_artefacts_of_this_data_go_and_keys_go_by_their_age_but_never_the_newest() {
    let scene = Scene::new().await;
    let write = |kind: Kind, store: StoreId, days_ago: u64| {
        let at = UnixMillis(NOW.0 - days_ago * 86_400_000);
        let path = scene.to();
        let target = Target::open(&path, &path, [Path::new("/nowhere"); 2], at).unwrap();
        let unfinished = target.begin(kind).unwrap();
        let mut manifest = Manifest::new(kind, store, 1, at);
        let parts: &[&str] = match kind {
            Kind::Data => &["livehelp.sqlite"],
            Kind::Keys => &["keys.sqlite", "master.key"],
        };
        for (nth, part) in parts.iter().enumerate() {
            unfinished.file.write_all_at(b"x", nth as u64).unwrap();
            let (file, path) = (&unfinished.file, &unfinished.path);
            add_part(file, path, &mut manifest, part, &mut Pacer::free()).unwrap();
        }
        finish(&unfinished.file, &unfinished.path, &manifest).unwrap();
        unfinished.name().unwrap()
    };
    let own = [1; 16];
    let days = [0, 10, 20, 40, 50];
    let data: Vec<_> = days.iter().map(|days| write(Kind::Data, own, *days)).collect();
    let keys: Vec<_> = days.iter().map(|days| write(Kind::Keys, own, *days)).collect();
    let foreign = write(Kind::Keys, [2; 16], 90);
    let damaged = scene.to().join("livehelp-20200101T000000Z.data");
    std::fs::write(&damaged, "something else").unwrap();
    let to = scene.to();
    let go = |keep, days, now| {
        target::let_go([&to, &to], &artefact::hex(&own), keep, days, now).unwrap()
    };
    assert_eq!(go(4, 30, NOW).len(), 1 + 2, "one of data, two of keys");
    let there = |paths: &[PathBuf]| paths.iter().map(|path| path.exists()).collect::<Vec<_>>();
    assert_eq!(there(&data), [true, true, true, true, false]);
    assert_eq!(there(&keys), [true, true, true, false, false]);
    go(10, 1, NOW.plus_ms(100 * 86_400_000));
    assert_eq!(there(&keys), [true, false, false, false, false], "the newest stays");
    assert!(foreign.exists() && damaged.exists(), "another's, and what cannot be read");
    go(1, 30, NOW);
    assert_eq!(there(&data), [true, false, false, false, false]);
}
