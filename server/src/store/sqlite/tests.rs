mod declared;
mod slow;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::ids::{InvitationId, KeyId, SessionId, TenantId};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::Day;
use rusqlite::StatementStatus;

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::keys::{KeyStore, KeysError};
use crate::privacy::seal::{Bucket, Lock, SealError, Subject};
use crate::store::conformance::{self, NOW, World};
use crate::store::{
    AnswerRow, Change, ConversationFilter, ConversationRow, DraftRow, InvitationRow, KeyRow, Page,
    Records as _, Retention as _, SessionRow, Store as _, Transcript as _, VisitorRow, Write,
};

impl SqliteStore {
    /// A store in `folder`, its keys beside it.
    pub(crate) fn open_for_test_at(
        folder: &Path,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Self>, Arc<KeyStore>) {
        let data = folder.join("data");
        let generation = identity(&data).unwrap().map(|found| found.generation);
        let keys = Arc::new(KeyStore::open(&folder.join("keys"), &data, generation).unwrap());
        let sealer: Arc<dyn Sealer> = Arc::clone(&keys) as _;
        let store = Self::open(&data, sealer, &SqliteConfig::default(), clock).unwrap();
        (Arc::new(store), keys)
    }
}

#[test]
fn no_question_is_prepared_anew_for_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = SqliteStore::open_for_test_at(folder.path(), Arc::new(SystemClock));
    drop(store);
    let data = folder.path().join("data");
    let connections = [
        file::connect_to_memory().unwrap(),
        file::connect_writer(&data).unwrap(),
        file::connect_reader(&data).unwrap(),
    ];
    for connection in connections {
        for sql in [
            "SELECT id FROM conversations WHERE tenant = ?1 AND conversation = ?2 ORDER BY id",
            "SELECT id FROM visitors WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        ] {
            let mut statement = connection.prepare(sql).unwrap();
            for value in 0..3 {
                for place in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(place, value).unwrap();
                }
                while statement.raw_query().next().unwrap().is_some() {}
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
        }
    }
}

thread_local! {
    static COUNTING: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

/// Counts the steps of SQLite's machine on every connection that is opened by this thread while it
/// lives: what a question costs, whatever the machine.
#[derive(Debug)]
pub(crate) struct Steps(Arc<AtomicU64>);

impl Steps {
    pub(crate) fn count() -> Self {
        let steps = Arc::new(AtomicU64::new(0));
        COUNTING.replace(Some(Arc::clone(&steps)));
        Self(steps)
    }

    /// Those since the last call.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        COUNTING.replace(None);
    }
}

/// The connection, counted if anybody counts.
pub(super) fn counted(mut connection: Connection) -> Connection {
    if let Some(steps) = COUNTING.with_borrow(Clone::clone) {
        let step = move || {
            steps.fetch_add(1, Ordering::SeqCst);
            false
        };
        connection.progress_handler(1, Some(step)).unwrap();
    }
    connection
}

#[tokio::test]
async fn it_keeps_every_promise_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock);
    conformance::all(&*store, &*keys).await;
    store.close().await;
}

fn manual() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(NOW))
}

fn sealer(keys: &Arc<KeyStore>) -> Arc<dyn Sealer> {
    Arc::clone(keys) as _
}

fn open_at(data: &Path, keys: &Arc<KeyStore>) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(data, sealer(keys), &SqliteConfig::default(), manual())
}

/// The bytes of every file below a folder.
fn every_byte(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(every_byte(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

fn assert_nowhere(folder: &Path, needle: &[u8], what: &str) {
    for (path, bytes) in every_byte(folder) {
        let there = bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!there, "{what} lies open in {}", path.display());
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one row of each kind: a flat list reads best whole")]
async fn no_file_holds_plain_text_of_a_personal_column() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    let canary = |column: &str| Personal::new(format!("canary-{column}-7f3a91"));
    let mut tenant = world.tenant_row();
    tenant.privacy_contact = canary("contact");
    store.change(vec![Change::create(tenant)]).await.unwrap();
    store.change(vec![Change::create(world.site_row())]).await.unwrap();
    let mut agent = world.agent_row();
    agent.name = canary("agent-name");
    agent.email = canary("agent-email");
    store.change(vec![Change::create(agent)]).await.unwrap();
    let session = SessionRow {
        session: SessionId::from_bytes([1; 16]),
        agent: world.agent,
        tenant: world.tenant,
        secret: world.secret(3),
        client: canary("client"),
        created_at: NOW,
        expires_at: NOW,
    };
    store.change(vec![Change::create(session)]).await.unwrap();
    let invitation = InvitationRow {
        invitation: InvitationId::from_bytes([1; 16]),
        tenant: world.tenant,
        email: canary("invited"),
        role: protocol::conversation::Role::Agent,
        secret: world.secret(4),
        created_at: NOW,
        expires_at: NOW,
    };
    store.change(vec![Change::create(invitation)]).await.unwrap();
    for (tenant, id) in [(Some(world.tenant), 1), (None, 2)] {
        let key = KeyRow {
            key: KeyId::from_bytes([id; 16]),
            tenant,
            name: canary("key-name").into_exposed(),
            scopes: Vec::new(),
            secret: world.secret(4 + id),
            created_at: NOW,
        };
        store.change(vec![Change::create(key)]).await.unwrap();
    }
    let answer = canary("answer").into_exposed().into_bytes();
    let key = canary("idempotency-key").into_exposed();
    let (tenant, request) = (world.tenant, [0; 32]);
    let answer = AnswerRow { tenant, key, request, answer, at: NOW };
    store.change(vec![Change::create(answer)]).await.unwrap();
    let mut visitor = world.visitor_row();
    visitor.name = Some(canary("name"));
    visitor.email = Some(canary("email"));
    let mut header = world.conversation_row();
    header.form = vec![("order".to_owned(), canary("form"))];
    header.page_url = Some(canary("url"));
    header.page_title = Some(canary("title"));
    let draft = DraftRow {
        tenant: world.tenant,
        site: world.site,
        conversation: world.conversation,
        visitor: world.visitor,
        agent: world.agent,
        text: canary("draft"),
        day: NOW.day(),
    };
    store
        .write(vec![
            Write::Visitor(Box::new(visitor)),
            Write::Conversation(Box::new(header)),
            Write::Draft(Box::new(draft)),
            Write::Message(world.message(1, "canary-body-7f3a91")),
        ])
        .await
        .unwrap();
    assert_nowhere(folder.path(), b"7f3a91", "a personal value");
    assert!(
        every_byte(folder.path()).iter().any(|(path, bytes)| {
            path.ends_with("livehelp.sqlite-wal") && bytes.windows(4).any(|four| four == b"Shop")
        }),
        "the search finds what is not sealed, in the log"
    );
    store.close().await;
    assert_nowhere(folder.path(), b"7f3a91", "a personal value");
}

#[tokio::test]
async fn what_died_while_it_waited_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let (store, _keys) = SqliteStore::open_for_test_at(folder.path(), Arc::clone(&clock) as _);
    let world = World::new(1);
    world.settle(&*store).await;
    let long_ago = world.message_on(1, "old", Day(0));
    let dead = long_ago.envelope().tag().expires.is_some_and(|day| day <= NOW.day());
    store.write(vec![Write::Message(long_ago)]).await.unwrap();
    let stored = store.room(world.tenant, world.conversation, 9).await.unwrap().unwrap();
    assert_eq!(stored.seq_last, Seq(u64::from(!dead)), "its plan has 36 months, it is older");
    store.close().await;
}

#[tokio::test]
async fn a_second_server_is_told_who_has_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let data = folder.path().join("data");
    let refused = open_at(&data, &keys);
    assert!(
        matches!(&refused, Err(OpenError::InUse { pid, .. }) if *pid == std::process::id()),
        "{refused:?}"
    );
    store.close().await;
    let again = open_at(&data, &keys).unwrap();
    again.close().await;
}

#[tokio::test]
async fn wrong_and_older_keys_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (data, kept) = (folder.path().join("data"), folder.path().join("keys"));
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    store.close().await;
    drop((store, keys));
    let backup = folder.path().join("backup");
    copy_folder(&kept, &backup);

    let generation = identity(&data).unwrap().map(|found| found.generation);
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    world.with_visitor(2).begin(&*store).await;
    store.close().await;
    drop((store, keys));
    let newer = identity(&data).unwrap().map(|found| found.generation);
    assert!(newer > generation);

    let refused = KeyStore::open(&backup, &data, newer);
    assert!(matches!(refused, Err(KeysError::OlderThanData { .. })), "{refused:?}");
    let old = Arc::new(KeyStore::open(&backup, &data, None).unwrap());
    let refused = open_at(&data, &old);
    assert!(matches!(refused, Err(OpenError::KeysOlder { .. })), "{refused:?}");
    let foreign = Arc::new(KeyStore::create(&folder.path().join("foreign"), &data).unwrap());
    let refused = open_at(&data, &foreign);
    assert!(matches!(refused, Err(OpenError::WrongKeys(_))), "{refused:?}");
    fs::remove_dir_all(&kept).unwrap();
    let refused = KeyStore::open(&kept, &data, newer);
    assert!(matches!(refused, Err(KeysError::Missing(_))), "{refused:?}");
    assert!(!kept.exists(), "nothing was made in its place");
}

fn copy_folder(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    store.close().await;
    let path = file::database_path(&data);
    let whole = fs::read(&path).unwrap();
    let pages = [("its head", 0..100), ("a page", 4096 * 3..4096 * 4)];
    for (what, range) in pages {
        let mut damaged = whole.clone();
        damaged[range].fill(0xa5);
        fs::write(&path, &damaged).unwrap();
        let refused = open_at(&data, &keys);
        assert!(matches!(refused, Err(OpenError::Corrupt { .. })), "{what}: {refused:?}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "it is left as it was");
    }
    fs::write(&path, &whole).unwrap();
    let store = open_at(&data, &keys).unwrap();
    assert!(store.tenant(world.tenant).await.unwrap().is_some());
    store.close().await;

    fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE shopping (id INTEGER); PRAGMA user_version = 3;").unwrap();
    drop(other);
    let refused = open_at(&data, &keys);
    assert!(matches!(refused, Err(OpenError::NotOurs(_))), "{refused:?}");
    let ours = Connection::open(&path).unwrap();
    ours.execute_batch("PRAGMA application_id = 0x6c766870; PRAGMA user_version = 999;").unwrap();
    drop(ours);
    let refused = open_at(&data, &keys);
    assert!(matches!(refused, Err(OpenError::Newer { found: 999, .. })), "{refused:?}");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one version after the other")]
async fn a_file_of_the_first_version_is_brought_on_and_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    world.begin(&*store).await;
    store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    let key = KeyRow {
        key: KeyId::from_bytes([1; 16]),
        tenant: Some(world.tenant),
        name: "Ada's robot".to_owned(),
        scopes: vec!["read".to_owned()],
        secret: world.secret(9),
        created_at: NOW,
    };
    store.change(vec![Change::create(key.clone())]).await.unwrap();
    store.write(vec![Write::Message(world.message(1, "from before"))]).await.unwrap();
    let World { tenant, site, visitor, agent, conversation, .. } = world;
    let text = Personal::new("half a".to_owned());
    let draft = DraftRow { tenant, site, conversation, visitor, agent, text, day: NOW.day() };
    store.write(vec![Write::Draft(Box::new(draft.clone()))]).await.unwrap();
    store.close().await;
    drop((store, keys));
    let old = Connection::open(file::database_path(&folder.path().join("data"))).unwrap();
    old.execute_batch(
        "DROP TABLE message_runs;
         DROP INDEX messages_by_id;
         DROP INDEX conversations_in_state;
         DROP INDEX conversations_of_site;
         DROP INDEX conversations_of_agent;
         DROP INDEX conversations_of_agent_at_site;
         DROP INDEX conversations_of_visitor;
         DROP INDEX conversations_of_visitor_with_agent;
         DROP INDEX agents_of_tenant;
         DROP INDEX tags_of_tenant;
         DROP INDEX sessions_by_end;
         DROP INDEX invitations_by_end;
         CREATE INDEX conversations_of_visitor ON conversations (visitor);
         ALTER TABLE conversations DROP COLUMN notice;
         ALTER TABLE agents DROP COLUMN password;
         ALTER TABLE meta DROP COLUMN destroyed_by;
         ALTER TABLE meta DROP COLUMN journal_epoch;
         ALTER TABLE meta DROP COLUMN store_id;
         ALTER TABLE meta DROP COLUMN commits;
         ALTER TABLE meta DROP COLUMN in_file;
         ALTER TABLE meta DROP COLUMN journal_batches;
         ALTER TABLE meta DROP COLUMN journal_rows;
         ALTER TABLE meta DROP COLUMN journal_sum;
         ALTER TABLE meta DROP COLUMN journal_need;
         ALTER TABLE api_keys DROP COLUMN label;
         ALTER TABLE api_keys DROP COLUMN bucket;
         UPDATE api_keys SET name = 'Ada''s robot';
         UPDATE meta SET high_water = 5;
         DROP TABLE clock_acts;
         DROP TABLE password_resets;
         UPDATE agents SET password_hash = 'of before';
         UPDATE visitors SET locale = 'my name is Ada';
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    fs::remove_file(journal::path(&folder.path().join("data"))).unwrap();
    let (store, _keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let row = store.conversation(world.tenant, world.conversation).await.unwrap().unwrap();
    let former = world.conversation_row();
    assert_eq!(row, ConversationRow { notice: None, ..former.clone() });
    let all = ConversationFilter::default();
    let page = Page { limit: 9, after: None };
    assert_eq!(store.conversations(tenant, &all, page).await.unwrap(), [row]);
    assert_eq!(store.drafts(tenant, agent).await.unwrap(), [draft]);
    let known = store.visitor_by_secret(tenant, site, world.visitor_row().secret).await.unwrap();
    assert_eq!(known.unwrap().visitor, visitor);
    let agent = store.agent(world.tenant, world.agent).await.unwrap().unwrap();
    assert_eq!((&*agent.password_hash, agent.active), ("of before", true));
    let visitor = store.visitor(world.tenant, world.visitor).await.unwrap().unwrap();
    assert_eq!(visitor, VisitorRow { locale: String::new(), ..world.visitor_row() });
    let file = Connection::open(file::database_path(&folder.path().join("data"))).unwrap();
    let open: String = file
        .query_row("SELECT group_concat(password_hash) FROM agents", [], |row| row.get(0))
        .unwrap();
    let destroyed_by: u64 =
        file.query_row("SELECT destroyed_by FROM meta", [], |row| row.get(0)).unwrap();
    assert_eq!((open.as_str(), destroyed_by), ("", 5));
    let open: String =
        file.query_row("SELECT group_concat(name) FROM api_keys", [], |row| row.get(0)).unwrap();
    assert_eq!((open.as_str(), store.keys(Some(world.tenant)).await.unwrap()), ("", vec![key]));
    drop(file);
    let room = store.room(world.tenant, world.conversation, 10).await.unwrap().unwrap();
    assert_eq!(room.tail, [world.message(1, "from before")]);
    store.close().await;
}

/// Messages that only the journal has are read like all others, whatever of them is asked for, and
/// the database gets them when it is due, before anything else is written, and at the end.
#[tokio::test]
async fn what_is_only_in_the_journal_is_read_like_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clock = Arc::new(ManualClock::new(NOW));
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), Arc::clone(&clock) as _);
    let world = World::new(1);
    let World { tenant, conversation, .. } = world;
    world.settle(&*store).await;
    let say = async |seqs: std::ops::RangeInclusive<u64>| {
        for seq in seqs {
            store.write(vec![Write::Message(world.message(seq, "words"))]).await.unwrap();
        }
    };
    let in_journal = || only_in_journal(&data);
    say(1..=3).await;
    assert_eq!(in_journal(), 3);
    let seqs = |read: Vec<Arc<crate::privacy::envelope::Sequenced>>| {
        read.iter().map(|sequenced| sequenced.seq().0).collect::<Vec<_>>()
    };
    let read = async |after, before: Option<u64>, limit| {
        seqs(
            store.messages(tenant, conversation, Seq(after), before.map(Seq), limit).await.unwrap(),
        )
    };
    for _in_journal_then_in_database in 0..2 {
        assert_eq!(read(0, None, 9).await, [1, 2, 3]);
        assert_eq!(read(0, None, 2).await, [2, 3]);
        assert_eq!(read(0, Some(3), 9).await, [1, 2]);
        assert_eq!(read(0, Some(2), 9).await, [1]);
        assert_eq!(read(2, None, 9).await, [3]);
        let room = store.room(tenant, conversation, 2).await.unwrap().unwrap();
        assert_eq!((room.seq_last, seqs(room.tail)), (Seq(3), vec![2, 3]));
        let third = world.message(3, "words");
        let id = third.envelope().message();
        let found = store.message(tenant, conversation, id, Seq(2)).await.unwrap();
        assert_eq!(found.as_ref(), Some(&third));
        assert_eq!(store.message(tenant, conversation, id, Seq(3)).await.unwrap(), None);
        assert_eq!(
            store.messages(World::new(2).tenant, conversation, Seq(0), None, 9).await,
            Ok(vec![])
        );
        store.raise_high_water(NOW).await.unwrap();
        assert_eq!(in_journal(), 0);
    }
    // A sequence number that the journal gave is taken, before and after it is checkpointed.
    say(4..=4).await;
    let other = world.message_of(4, 99);
    let taken = Err(StoreError::SeqTaken { seq_last: Seq(4) });
    assert_eq!(store.write(vec![Write::Message(Arc::clone(&other))]).await, taken);
    assert_eq!(store.write(vec![Write::Message(other)]).await, taken);
    say(5..=5).await;
    assert_eq!(in_journal(), 1);
    keys.destroy_subject(tenant, Subject::Visitor(world.visitor)).unwrap();
    assert_eq!(read(0, None, 9).await, [0; 0], "a destroyed key takes what waits, too");
    store.close().await;
    assert_eq!(in_journal(), 0, "closing makes a checkpoint");
}

#[test]
fn a_reader_that_was_asked_nothing_yet_keeps_the_log_when_the_writer_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let writer = file::connect_writer(folder.path()).unwrap();
    writer.execute_batch("CREATE TABLE words (word)").unwrap();
    let _reader = file::connect_reader(folder.path()).unwrap();
    drop(writer);
    assert!(file::wal_path(folder.path()).exists());
}

/// Rows that the journal has and the database has not.
fn only_in_journal(data: &Path) -> usize {
    let file = Connection::open(file::database_path(data)).unwrap();
    let known = file::meta(&file).unwrap().unwrap().known;
    journal::find(data, &known, None).unwrap().unwrap().rows().count()
}

/// The disk fails when the rows are in the transaction already: they are rolled back with it, and
/// checkpointed anew.
#[tokio::test]
async fn a_checkpoint_in_a_transaction_that_failed_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (store, _keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    let World { tenant, conversation, .. } = world;
    world.settle(&*store).await;
    for seq in 1..=3 {
        store.write(vec![Write::Message(world.message(seq, "words"))]).await.unwrap();
    }
    let fault = || Fault::Journal(std::io::Error::other("planted"));
    assert!(store.act(move |_| Err(fault())).await.is_err());
    assert!(!store.healthy());
    let all: Vec<_> = (1..=3).map(|seq| world.message(seq, "words")).collect();
    let read = async || store.messages(tenant, conversation, Seq(0), None, 9).await.unwrap();
    assert_eq!(read().await, all, "reading goes on");
    store.raise_high_water(NOW).await.unwrap();
    assert!(store.healthy());
    assert_eq!(only_in_journal(&data), 0);
    assert_eq!(read().await, all, "from the database now");
    store.write(vec![Write::Message(world.message(4, "words"))]).await.unwrap();
    store.close().await;
    let file = Connection::open(file::database_path(&data)).unwrap();
    let stored: u64 =
        file.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn the_journal_is_checkpointed_in_time_and_while_more_comes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), Arc::new(SystemClock));
    let world = World::new(1);
    world.settle(&*store).await;
    let text = "x".repeat(600);
    let mut acked = Vec::new();
    // More than both halves hold, by jobs of their own, so that slices fall between them.
    for seq in 1..=20_000 {
        let slot = store.reserve().await.unwrap();
        let (told, outcome) = oneshot::channel();
        let write = vec![Write::Message(world.message(seq, &text))];
        slot.write(write, Box::new(move |outcome| told.send(outcome).unwrap()));
        acked.push(outcome);
    }
    for outcome in acked {
        outcome.await.unwrap().unwrap();
    }
    let World { tenant, conversation, .. } = world;
    let all = store.messages(tenant, conversation, Seq(0), None, u16::MAX).await.unwrap();
    assert_eq!(all.len(), 20_000);
    tokio::time::timeout(Duration::from_secs(60), async {
        while only_in_journal(&data) > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("what nobody adds to is checkpointed in time");
    let all_in_file = |file: &Connection| -> (u64, u64) {
        file.query_row(
            "SELECT count(*), sum(m.id BETWEEN b.message_first AND b.message_end)
             FROM messages m JOIN buckets b ON b.id = m.bucket",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap()
    };
    let file = Connection::open(file::database_path(&data)).unwrap();
    assert_eq!(all_in_file(&file), (20_000, 20_000), "within the ranges of their buckets");
    drop(file);
    keys.destroy_buckets(&store.buckets().await.unwrap()).unwrap();
    store.clean_up(&store.buckets().await.unwrap()).await.unwrap();
    let journal = fs::read(journal::path(&data)).unwrap();
    assert!(
        journal[4096..].iter().all(|byte| *byte == 0),
        "clean-up leaves nothing in the journal"
    );
    store.close().await;
}

/// Whoever saves the one file that has the database's name learns what is missing.
#[tokio::test]
async fn the_file_itself_says_that_there_is_a_journal_though_it_is_read_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let path = file::database_path(&data);
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    store.close().await;
    let alone = |name: &str| {
        let other = folder.path().join(name);
        fs::create_dir(&other).unwrap();
        fs::copy(&path, file::database_path(&other)).unwrap();
        look(&other)
    };
    let looked = alone("closed");
    assert!(matches!(looked, Ok(Inspection::Data(_))), "{looked:?}");
    // From before it was opened: what is noted then cannot come into the file.
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM meta").unwrap();
    let store = open_at(&data, &keys).unwrap();
    reader.execute_batch("COMMIT").unwrap();
    store.write(Vec::new()).await.unwrap();
    // The completions of a batch run before the log is carried.
    store.write(Vec::new()).await.unwrap();
    let looked = alone("read");
    assert!(matches!(looked, Err(OpenError::Journal { .. })), "{looked:?}");
    store.close().await;
    drop(store);
    let store = open_at(&data, &keys).unwrap();
    let looked = alone("opened");
    assert!(matches!(looked, Err(OpenError::Journal { .. })), "{looked:?}");
    store.close().await;
}

#[tokio::test]
async fn a_journal_that_does_not_follow_on_the_database_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    for seq in 1..=2 {
        store.write(vec![Write::Message(world.message(seq, "words"))]).await.unwrap();
    }
    store.raise_high_water(NOW).await.unwrap();
    store.write(vec![Write::Message(world.message(3, "words"))]).await.unwrap();
    let journal = fs::read(journal::path(&data)).unwrap();
    store.close().await;
    fs::write(journal::path(&data), journal).unwrap();
    open_at(&data, &keys).unwrap().close().await;
    let older = Connection::open(file::database_path(&data)).unwrap();
    older.execute("UPDATE meta SET journal_epoch = journal_epoch - 2", []).unwrap();
    drop(older);
    let looked = look(&data);
    assert!(matches!(looked, Err(OpenError::JournalApart { .. })), "{looked:?}");
    let refused = open_at(&data, &keys);
    assert!(matches!(refused, Err(OpenError::JournalApart { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_full_queue_slows_the_sender_and_then_refuses_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let keys = Arc::new(KeyStore::open(&folder.path().join("keys"), &data, None).unwrap());
    let config = SqliteConfig {
        queue_len: 2,
        patience: Duration::from_millis(20),
        ..SqliteConfig::default()
    };
    let store = SqliteStore::open(&data, sealer(&keys), &config, manual()).unwrap();
    let first = store.try_reserve().unwrap();
    let second = store.reserve().await.unwrap();
    assert!(matches!(store.try_reserve(), Err(StoreError::Full)));
    assert!(matches!(store.reserve().await, Err(StoreError::Full)));
    drop(first);
    let third = store.reserve().await.unwrap();
    drop((second, third));
    World::new(1).settle(&store).await;
    let late = store.reserve().await.unwrap();
    store.close().await;
    assert!(store.try_reserve().is_err());
    let (told, outcome) = oneshot::channel();
    late.write(Vec::new(), Box::new(move |outcome| told.send(outcome).unwrap()));
    assert!(matches!(outcome.await, Ok(Err(StoreError::Unavailable { .. }))));
    assert!(!store.healthy());
}

/// Keys of which one person's cannot be had.
#[derive(Debug)]
struct OneFails {
    keys: Arc<KeyStore>,
    subject: Subject,
}

impl Sealer for OneFails {
    fn prepare(&self, locks: &[Lock]) -> Result<(), SealError> {
        match locks.iter().any(|lock| lock.subject == self.subject) {
            true => Err(SealError::Unavailable),
            false => self.keys.prepare(locks),
        }
    }

    fn seal(&self, lock: &Lock, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        match lock.subject == self.subject {
            true => Err(SealError::Unavailable),
            false => self.keys.seal(lock, associated, plain),
        }
    }

    fn unseal(&self, lock: &Lock, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.keys.unseal(lock, associated, sealed)
    }

    fn find_hash(&self, tenant: TenantId, field: &str, value: &str) -> Result<[u8; 32], SealError> {
        self.keys.find_hash(tenant, field, value)
    }

    fn sum(&self, bytes: &[u8]) -> [u8; 32] {
        self.keys.sum(bytes)
    }

    fn destroy_buckets(&self, buckets: &[Bucket]) -> Result<(), SealError> {
        self.keys.destroy_buckets(buckets)
    }

    fn destroy_subject(&self, tenant: TenantId, subject: Subject) -> Result<(), SealError> {
        self.keys.destroy_subject(tenant, subject)
    }

    fn generation(&self) -> u64 {
        self.keys.generation()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_had_fails_its_own_message_and_no_other_of_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    let other = world.with_visitor(2);
    other.begin(&*store).await;
    store.close().await;
    let data = folder.path().join("data");
    let sealer = Arc::new(OneFails { keys, subject: Subject::Visitor(other.visitor) });
    let store = SqliteStore::open(&data, sealer, &SqliteConfig::default(), manual()).unwrap();
    let store = Arc::new(store);
    // The writer stands still until all of them wait, so that they are one batch.
    let (begun, has_begun) = sync_channel(1);
    let (go, gone) = sync_channel::<()>(1);
    let held = Arc::clone(&store);
    let still = tasks::spawn("held", async move {
        let still = move |_: &mut Transaction<'_>| {
            begun.send(()).unwrap();
            gone.recv().unwrap();
            Ok(())
        };
        held.act(still).await
    });
    tokio::task::block_in_place(|| has_begun.recv().unwrap());
    let mut outcomes = Vec::new();
    for message in [world.message(1, "one"), other.message(1, "two"), world.message(2, "three")] {
        let slot = store.reserve().await.unwrap();
        let (told, outcome) = oneshot::channel();
        slot.write(
            vec![Write::Message(message)],
            Box::new(move |outcome| told.send(outcome).unwrap()),
        );
        outcomes.push(outcome);
    }
    go.send(()).unwrap();
    still.await.unwrap().unwrap();
    let mut stored = Vec::new();
    for outcome in outcomes {
        stored.push(outcome.await.unwrap().is_ok());
    }
    assert_eq!(stored, [true, false, true]);
    assert!(store.healthy());
    store.close().await;
}

#[tokio::test]
async fn what_waits_for_the_writer_is_counted_until_it_is_done() {
    #[derive(Debug, Default)]
    struct Counted(Mutex<Vec<usize>>);
    impl StoreStats for Counted {
        fn committed(&self, _: &crate::store::Committed) {}
        fn checkpointed(&self, _: Duration) {}
        fn wal_checkpointed(&self, _: Duration) {}
        fn failed(&self, _: StoreOp) {}
        fn read(&self, _: Duration) {}
        fn swept(&self, _: Duration) {}
        fn waiting(&self, jobs: usize) {
            self.0.lock().push(jobs);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let keys = Arc::new(KeyStore::open(&folder.path().join("keys"), &data, None).unwrap());
    let counted = Arc::new(Counted::default());
    let config = SqliteConfig { stats: Arc::clone(&counted) as _, ..SqliteConfig::default() };
    let store = SqliteStore::open(&data, sealer(&keys), &config, manual()).unwrap();
    World::new(1).settle(&store).await;
    store.close().await;
    let counted = counted.0.lock();
    assert_eq!((counted.iter().max(), counted.last()), (Some(&1), Some(&0)), "{counted:?}");
}

#[tokio::test]
async fn a_busy_writer_waits_for_neighbours_as_long_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let keys = Arc::new(KeyStore::open(&folder.path().join("keys"), &data, None).unwrap());
    let linger = Duration::from_millis(150);
    let config = SqliteConfig { linger, ..SqliteConfig::default() };
    let clock = Arc::new(ManualClock::new(NOW));
    let store = SqliteStore::open(&data, sealer(&keys), &config, Arc::clone(&clock) as _).unwrap();
    let world = World::new(1);
    world.settle(&store).await;
    // By the store's clock all of these come at one moment: it is busy.
    let many =
        (1..=200).map(|seq| store.write(vec![Write::Message(world.message(seq, "so many"))]));
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    clock.advance_ms(100);
    store.write(vec![Write::Message(world.message(201, "counted"))]).await.unwrap();
    let before = SystemClock.instant();
    store.write(vec![Write::Message(world.message(202, "alone"))]).await.unwrap();
    assert!(SystemClock.instant().saturating_duration_since(before) >= linger);
    store.close().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_clean_up_leaves_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    let day = NOW.day();
    let text = "x".repeat(300);
    for chunk in 0..10 {
        let writes: Vec<_> = (1..=500)
            .map(|n| Write::Message(world.message_on(chunk * 500 + n, &text, day)))
            .collect();
        store.write(writes).await.unwrap();
    }
    store.close().await;
    drop((store, keys));
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let World { tenant, conversation, site, .. } = world;
    let read = store.messages(tenant, conversation, Seq(4_999), None, 9).await.unwrap();
    assert_eq!(read, [world.message_on(5_000, &text, day)]);

    let mut closed = world.conversation_row();
    closed.version = 2;
    closed.state = protocol::conversation::ConversationState::Closed;
    store.write(vec![Write::Conversation(Box::new(closed))]).await.unwrap();
    let due: Vec<Bucket> = store.buckets().await.unwrap();
    assert!(due.contains(&Bucket {
        tenant,
        site: Some(site),
        class: RetentionClass::Transcript,
        day
    }));
    keys.destroy_buckets(&due).unwrap();
    store.clean_up(&due).await.unwrap();
    assert_eq!(store.buckets().await.unwrap(), []);
    assert_eq!(store.conversation(tenant, conversation).await.unwrap(), None);
    assert_eq!(store.visitor(tenant, world.visitor).await.unwrap(), None);
    let wal = fs::metadata(file::wal_path(&folder.path().join("data"))).unwrap().len();
    assert!(wal < 64 * 1024, "the log was emptied before the last few rows: {wal}");
    keys.destroy_subject(tenant, Subject::Visitor(world.visitor)).unwrap();
    store.close().await;
}

#[tokio::test]
async fn pages_are_the_same_in_the_journal_in_the_file_and_after_a_migration() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(1);
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    world.settle(&*store).await;
    conformance::write_kinds(&*store, &world).await;
    store.close().await;
    drop((store, keys));
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    conformance::paged_well(&*store, &world).await;
    store.close().await;
    drop((store, keys));
    // As a file of before has it: nothing but the messages.
    let path = file::database_path(&folder.path().join("data"));
    let old = Connection::open(&path).unwrap();
    let runs = |file: &Connection| -> Vec<(i64, i64, i64, i64)> {
        let sql = "SELECT conversation, run, last, first FROM message_runs ORDER BY 1, 2, 3";
        let mut statement = file.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    let noted = runs(&old);
    let migration = include_str!("../migrations/0005_bounded_reads.sql");
    let until_indexes = migration.split("-- Up to this place").next().unwrap();
    old.execute_batch("DROP TABLE message_runs").unwrap();
    old.execute_batch(until_indexes).unwrap();
    assert_eq!(runs(&old), noted, "the migration finds the runs that the writer notes");
    drop(old);
    let (store, _keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    conformance::paged_well(&*store, &world).await;
    store.close().await;
}
