//! The store's writer: rows, sealing and the commit of a batch, on a real file; and the way on into
//! the database.
//!
//! A batch of a known size needs a writer that is held back while its messages are put into the
//! queue. [`Turnstile`] does that in the one place where the writer calls outside before it
//! commits: its statistics.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use livehelp::channel::Channel;
use livehelp::clock::{Clock, ManualClock};
use livehelp::keys::KeyStore;
use livehelp::metrics::StoreOp;
use livehelp::privacy::envelope::Sequenced;
use livehelp::privacy::seal::Sealer;
use livehelp::store::sqlite::{SqliteConfig, SqliteStore};
use livehelp::store::{
    Change, Committed, ConversationRow, SecretHash, SiteRow, SiteSettings, Store, StoreStats,
    TenantRow, VisitorRow, Write, WriteSlot,
};
use parking_lot::{Condvar, Mutex};
use protocol::conversation::ConversationState;
use protocol::ids::{ConversationId, SiteKey};
use protocol::personal::Personal;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::meter::{Case, Meter};
use crate::world::{NOW, SITE, TENANT, VISITOR, World};

/// Conversations that take turns, so that the rows of a batch lie apart as they do in a busy
/// server.
const CONVERSATIONS: u64 = 64;

/// How far a case follows its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Synced in the journal, where acks come from.
    Acked,
    /// In the database as well, with a transaction of its own for each batch.
    Checkpointed,
}

/// Measures messages that are committed alone, by 64 and by 512; each is acked once all are synced.
pub fn measure(meter: &mut impl Meter) {
    of(meter, Case::new("message-alone"), Until::Acked);
    of(meter, Case::new("message-of-64").each(64), Until::Acked);
    of(meter, Case::new("message-of-512").each(512), Until::Acked);
    of(meter, Case::new("message-of-512-into-the-database").each(512), Until::Checkpointed);
}

fn of(meter: &mut impl Meter, case: Case, until: Until) {
    meter.consume(case.in_writer(), || {
        let disk = Rc::new(Disk::new());
        let mut number = 0;
        let queue = Rc::clone(&disk);
        let prepare = move || {
            let first = number;
            number += u64::from(case.each);
            queue.queue(first..number)
        };
        let mut version = 1;
        let act = move |queued| {
            disk.commit(queued);
            if until == Until::Checkpointed {
                version += 1;
                disk.checkpoint(version);
            }
        };
        (prepare, act)
    });
}

/// Lets the writer pass, or holds it back before its next commit.
#[derive(Debug, Default)]
struct Turnstile {
    passage: Mutex<Passage>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Passage {
    shut: bool,
    /// The writer stands before it.
    held: bool,
    /// The writer has done all that there was.
    quiet: bool,
}

impl Turnstile {
    /// Shuts behind a writer that is done: so it is held before the next commit, never after the
    /// last.
    fn shut(&self) {
        let mut passage = self.passage.lock();
        self.changed.wait_while(&mut passage, |passage| !passage.quiet);
        passage.shut = true;
    }

    fn wait_until_held(&self) {
        let mut passage = self.passage.lock();
        self.changed.wait_while(&mut passage, |passage| !passage.held);
    }

    fn open(&self) {
        self.passage.lock().shut = false;
        self.changed.notify_all();
    }
}

impl StoreStats for Turnstile {
    fn committed(&self, _: &Committed) {}

    fn checkpointed(&self, _: Duration) {}

    fn wal_checkpointed(&self, _: Duration) {}

    fn failed(&self, op: StoreOp) {
        unreachable!("the store failed: {op:?}");
    }

    fn read(&self, _: Duration) {}

    fn swept(&self, _: Duration) {}

    // The port forbids to block here; that is for servers. What waits for the writer here wants it
    // held.
    fn waiting(&self, jobs: usize) {
        let mut passage = self.passage.lock();
        passage.held = passage.shut;
        passage.quiet = jobs == 0;
        self.changed.notify_all();
        self.changed.wait_while(&mut passage, |passage| passage.shut);
        passage.held = false;
    }
}

/// A store in a folder that goes with it, and conversations in it.
struct Disk {
    store: SqliteStore,
    turnstile: Arc<Turnstile>,
    world: World,
    runtime: Runtime,
    committed_tx: SyncSender<()>,
    committed: Receiver<()>,
    _folder: TempDir,
}

/// Messages in the writer's queue, all but the last, which is to set it going.
struct Queued {
    slot: Box<dyn WriteSlot>,
    last: Arc<Sequenced>,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let data = folder.path().join("data");
        let keys = KeyStore::open(&folder.path().join("keys"), &data, None).expect("keys are made");
        let turnstile = Arc::new(Turnstile::default());
        let config = SqliteConfig {
            // A clock that stands still sees no rate at which it would linger; and none is wanted.
            linger: Duration::ZERO,
            stats: Arc::clone(&turnstile) as _,
            ..SqliteConfig::default()
        };
        let sealer: Arc<dyn Sealer> = Arc::new(keys);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let store = SqliteStore::open(&data, sealer, &config, clock).expect("a store is made");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime is made");
        runtime.block_on(settle(&store));
        // Bounded: one batch is under way at a time.
        let (committed_tx, committed) = sync_channel(1);
        let world = World::default();
        Self { store, turnstile, world, runtime, committed_tx, committed, _folder: folder }
    }

    /// Puts the messages with these numbers into the queue of a writer that is held, but for the
    /// last.
    fn queue(&self, numbers: std::ops::Range<u64>) -> Queued {
        let mut messages: Vec<_> = numbers.map(|number| self.message(number)).collect();
        let last = messages.pop().expect("one at least");
        if !messages.is_empty() {
            self.turnstile.shut();
            // Something that the writer can be held with: a batch of nothing.
            self.slot().write(Vec::new(), Box::new(|_| {}));
            self.turnstile.wait_until_held();
        }
        for message in messages {
            self.slot().write(vec![Write::Message(message)], Box::new(stored));
        }
        Queued { slot: self.slot(), last }
    }

    /// Lets the writer go and waits until the last message is on disk.
    fn commit(&self, Queued { slot, last }: Queued) {
        let told = self.committed_tx.clone();
        slot.write(
            vec![Write::Message(black_box(last))],
            Box::new(move |outcome| {
                stored(outcome);
                told.send(()).expect("somebody waits");
            }),
        );
        self.turnstile.open();
        self.committed.recv().expect("its outcome is told");
    }

    /// Writes something that the journal does not take: everything that is in it goes into the
    /// database first.
    fn checkpoint(&self, version: u64) {
        let told = self.committed_tx.clone();
        let header = ConversationRow { version, ..header(0) };
        self.slot().write(
            vec![Write::Conversation(Box::new(header))],
            Box::new(move |outcome| {
                stored(outcome);
                told.send(()).expect("somebody waits");
            }),
        );
        self.committed.recv().expect("its outcome is told");
    }

    fn slot(&self) -> Box<dyn WriteSlot> {
        self.store.try_reserve().expect("the queue has a permit")
    }

    fn message(&self, number: u64) -> Arc<Sequenced> {
        self.world.sequenced(conversation(number % CONVERSATIONS), number / CONVERSATIONS + 1)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.close());
    }
}

fn stored(outcome: Result<(), livehelp::store::StoreError>) {
    outcome.expect("it is stored");
}

fn conversation(number: u64) -> ConversationId {
    ConversationId::from_bytes(u128::from(number + 1).to_be_bytes())
}

/// Organization, site, visitor, and all their conversations.
async fn settle(store: &dyn Store) {
    let tenant = TenantRow {
        tenant: TENANT,
        name: "Red Shoes".to_owned(),
        privacy_contact: Personal::new("privacy@shop.example".to_owned()),
        created_at: NOW,
    };
    store.change(vec![Change::create(tenant)]).await.expect("it is stored");
    let site = SiteRow {
        site: SITE,
        tenant: TENANT,
        site_key: SiteKey::from_random([2; 16]),
        name: "Shop".to_owned(),
        timeline: World::default().timeline().clone(),
        settings: SiteSettings::default(),
        created_at: NOW,
    };
    store.change(vec![Change::create(site)]).await.expect("it is stored");
    let visitor = VisitorRow {
        visitor: VISITOR,
        tenant: TENANT,
        site: SITE,
        name: None,
        email: None,
        locale: "en".to_owned(),
        contact_day: NOW.day(),
        secret: SecretHash([3; 32]),
        secret_before: None,
        secret_expires_at: NOW.plus_ms(1_000),
        created_at: NOW,
    };
    let headers = (0..CONVERSATIONS).map(|number| Write::Conversation(Box::new(header(number))));
    let writes = std::iter::once(Write::Visitor(Box::new(visitor))).chain(headers).collect();
    store.write(writes).await.expect("it is stored");
}

fn header(number: u64) -> ConversationRow {
    ConversationRow {
        conversation: conversation(number),
        tenant: TENANT,
        site: SITE,
        visitor: VISITOR,
        version: 1,
        state: ConversationState::Queued,
        assignee: None,
        channel: Channel::Widget,
        agents: Vec::new(),
        tags: Vec::new(),
        form: Vec::new(),
        notice: None,
        page_url: None,
        page_title: None,
        locale: "en".to_owned(),
        created_at: NOW,
        waiting_since: Some(NOW),
        closed_at: None,
    }
}
