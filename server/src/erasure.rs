//! Erasure: what is kept of a person goes, everywhere, and it is looked that it did. There is no other
//! way to erase anybody.
//!
//! Lives here: the order of the steps, and what goes on after a crash. Not here: keys (`keys`), rows
//! (`store`), screens and memory (`hub/forget`), who may ask (`api/privacy_requests`). The key's
//! destruction ends it: whatever copy of the rows is left is noise. What comes after it cleans up.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use protocol::ids::{ConversationId, NodeId, SuppressionId, TenantId, VisitorId};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::reject::Reject;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::keys::uuid_v7;
use crate::metrics::Metrics;
use crate::privacy::audit::{Act, Action, Actor, ChainId, ObjectKind};
use crate::privacy::certificate::Signer;
use crate::privacy::request::{RequestKind, RequestState};
use crate::privacy::seal::{Bucket, Lock, RecordKind, SealError, Sealer, Subject};
use crate::privacy::suppression::{Identifier, IdentifierKind, SuppressionBasis};
use crate::store::{
    Change, ConversationFilter, Page, RequestRow, Store, StoreError, SuppressionRow,
};
use crate::tasks::IdLocks;

mod certificate;

/// How long an erasure that failed waits until it is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Conversations, and messages of one, that are read at once.
const PAGE: u16 = 500;

/// Why an erasure has not come to its end; it goes on by itself.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The store.
    #[error("the store failed in an erasure")]
    Store(#[from] StoreError),
    /// The keys.
    #[error("the key store failed in an erasure")]
    Keys(#[from] SealError),
    /// A conversation could not be ended.
    #[error("a conversation could not be ended: {0}")]
    Conversation(&'static str),
    /// What is said of it is not so.
    #[error("there is no certificate: {0}")]
    Certificate(&'static str),
    /// Something can still be read.
    #[error("something of a person can still be read after their erasure: {0}")]
    StillThere(&'static str),
}

impl From<Reject> for EraseError {
    fn from(reject: Reject) -> Self {
        Self::Conversation(reject.code.word())
    }
}

/// What shows people, or holds something of them, on this node.
#[async_trait]
pub trait Screens: Send + Sync + std::fmt::Debug {
    /// Ends what is open of a visitor's.
    ///
    /// # Errors
    /// If it could not be written.
    async fn end_conversations(&self, tenant: TenantId, visitor: VisitorId) -> Result<(), Reject>;
    /// Lets go of a person in memory, clears every screen of these conversations, and closes the
    /// person's own connections.
    fn forget(&self, tenant: TenantId, subject: Subject, conversations: &[ConversationId]);
}

/// What is kept of persons, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// People.
    pub persons: u64,
    pub conversations: u64,
    pub messages: u64,
}

/// What an erasure came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Before it.
    pub found: Counts,
    /// When the keys were destroyed, Unix ms.
    pub destroyed_at: u64,
}

/// Carries out erasures.
pub struct Erasures {
    store: Arc<dyn Store>,
    sealer: Arc<dyn Sealer>,
    screens: Arc<dyn Screens>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    signer: Arc<dyn Signer + Send + Sync>,
    /// This process, as certificates name it.
    node: NodeId,
    /// One at a time for each request.
    id_locks: IdLocks,
}

impl std::fmt::Debug for Erasures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erasures").finish_non_exhaustive()
    }
}

impl Erasures {
    /// Nothing is carried out before it is asked for, or found by [`Erasures::run`].
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Arc<dyn Sealer>,
        screens: Arc<dyn Screens>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        signer: Arc<dyn Signer + Send + Sync>,
    ) -> Self {
        let (node, id_locks) = (certificate::new_node(clock.now()), IdLocks::default());
        Self { store, sealer, screens, clock, metrics, signer, node, id_locks }
    }

    /// Goes on with what was begun, at the start and whenever one failed, until the shutdown begins.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.go_on().await {
                tracing::error!(%error, "an erasure was not finished; it goes on by itself");
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
        }
    }

    async fn go_on(&self) -> Result<(), EraseError> {
        for row in self.store.privacy_requests_in(RequestState::Working).await? {
            self.carry_out(row).await?;
        }
        Ok(())
    }

    /// What is kept of these persons, for whoever decides.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn found(
        &self,
        tenant: TenantId,
        subjects: &[Subject],
    ) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        for subject in subjects {
            let Subject::Visitor(visitor) = subject else {
                counts.persons += u64::from(self.is_named(tenant, *subject).await?);
                continue;
            };
            counts.persons += u64::from(self.store.visitor(tenant, *visitor).await?.is_some());
            for conversation in self.conversations(tenant, *visitor).await? {
                counts.conversations += 1;
                counts.messages += self.messages(tenant, conversation).await?;
            }
        }
        Ok(counts)
    }

    /// An erasure begins: from here on it runs to its end, whatever happens.
    ///
    /// # Errors
    /// If it cannot be written; then it has not begun.
    pub async fn begin(&self, row: RequestRow, act: Act) -> Result<RequestRow, StoreError> {
        let found = self.found(row.tenant, &row.subjects.0).await?;
        let begun = Outcome { found, destroyed_at: 0 };
        let now = self.clock.now();
        let mut row = row.become_at(RequestState::Working, now);
        row.outcome = written(&begun);
        let mut changes = vec![Change::update(row.clone(), &["state", "outcome"])];
        let identifiers = self.identifiers(&row).await?;
        changes.extend(self.suppressed(&row, identifiers).await?);
        changes.push(Change::audit(act));
        self.store.change(changes).await?;
        self.metrics.audit_entries_total.inc();
        Ok(row)
    }

    /// By what they could come back: their addresses, and the one by which they were named.
    async fn identifiers(&self, row: &RequestRow) -> Result<Vec<Identifier>, StoreError> {
        let email = |text: &str| Identifier::of(IdentifierKind::Email, text);
        let mut all: Vec<_> = email(&row.words.expose().identifier).into_iter().collect();
        for subject in &row.subjects.0 {
            let theirs = match subject {
                Subject::Visitor(visitor) => {
                    let visitor = self.store.visitor(row.tenant, *visitor).await?;
                    visitor.and_then(|visitor| visitor.email)
                }
                Subject::Agent(agent) => {
                    self.store.agent(row.tenant, *agent).await?.map(|agent| agent.email)
                }
            };
            all.extend(theirs.and_then(|text| email(text.expose())));
        }
        Ok(all)
    }

    /// Entries that keep them from being taken in again (SUPP-01); those that there are stay.
    async fn suppressed(
        &self,
        row: &RequestRow,
        identifiers: Vec<Identifier>,
    ) -> Result<Vec<Change>, StoreError> {
        let (now, request) = (self.clock.now(), Some(row.privacy_request));
        let (mut changes, mut known) = (Vec::new(), HashSet::new());
        for identifier in identifiers {
            let is_new = known.insert(identifier.hashed().into_exposed());
            if is_new && self.store.suppression(row.tenant, &identifier).await?.is_none() {
                let id = SuppressionId::from_uuid(uuid_v7(now));
                let basis = SuppressionBasis::Erasure;
                let row = SuppressionRow::new(id, row.tenant, &identifier, basis, request, now);
                changes.push(Change::create(row));
            }
        }
        Ok(changes)
    }

    /// Erases whom a request is about that was begun. Comes back when all of it is gone, or with
    /// what is in the way; then it goes on by itself.
    ///
    /// # Errors
    /// As in [`EraseError`]. What was destroyed stays destroyed.
    pub async fn carry_out(&self, row: RequestRow) -> Result<RequestRow, EraseError> {
        let _id_lock = self.id_locks.of(row.privacy_request.as_bytes()).await;
        let now = self.store.privacy_request(row.tenant, row.privacy_request).await?;
        let row = now.ok_or(StoreError::NotFound)?;
        if row.state != RequestState::Working || row.kind != RequestKind::Erase {
            return Ok(row);
        }
        for subject in &row.subjects.0 {
            self.erase_person(row.tenant, *subject).await?;
        }
        // What was said in the request itself names them as well.
        let (tenant, words) = (row.tenant, row.words_of());
        self.destroy(tenant, words).await?;
        self.clear(tenant, words).await?;
        let now = self.clock.now();
        let outcome = Outcome { destroyed_at: now.0, ..read(&row.outcome) };
        let mut row = row.become_at(RequestState::Done, now);
        row.outcome = written(&outcome);
        row.words = Personal::default();
        row.certificate = self.certify(&row, now).await?;
        let columns = &["state", "outcome", "certificate", "ended_at", "ends_at"];
        let changes = vec![Change::update(row.clone(), columns), Change::audit(erased(&row, now))];
        self.store.change(changes).await?;
        self.metrics.audit_entries_total.inc();
        tracing::info!(tenant_id = %row.tenant, request_id = %row.privacy_request, "an erasure is done");
        Ok(row)
    }

    /// The steps for one person. Each may be done again.
    async fn erase_person(&self, tenant: TenantId, subject: Subject) -> Result<(), EraseError> {
        let conversations = match subject {
            Subject::Visitor(visitor) => {
                self.screens.end_conversations(tenant, visitor).await?;
                self.conversations(tenant, visitor).await?
            }
            Subject::Agent(_) => Vec::new(),
        };
        // Off the screens before anything else.
        self.screens.forget(tenant, subject, &conversations);
        self.destroy(tenant, subject).await?;
        // And what was read between: from here on nothing of theirs can be.
        self.screens.forget(tenant, subject, &conversations);
        self.clear(tenant, subject).await?;
        self.look(tenant, subject, &conversations).await
    }

    async fn destroy(&self, tenant: TenantId, subject: Subject) -> Result<(), SealError> {
        let sealer = Arc::clone(&self.sealer);
        let destroyed =
            tokio::task::spawn_blocking(move || sealer.destroy_subject(tenant, subject)).await;
        destroyed.unwrap_or(Err(SealError::Unavailable))
    }

    /// Behind the destruction of a key.
    async fn clear(&self, tenant: TenantId, subject: Subject) -> Result<(), StoreError> {
        match self.store.forget(tenant, subject).await {
            Ok(()) | Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether anything of theirs can still be opened or found.
    async fn look(
        &self,
        tenant: TenantId,
        subject: Subject,
        conversations: &[ConversationId],
    ) -> Result<(), EraseError> {
        let probe = Lock {
            bucket: Bucket {
                tenant,
                site: None,
                class: protocol::retention::RetentionClass::UserAccount,
                day: self.clock.now().day(),
            },
            subject,
            kind: RecordKind::Account,
        };
        let sealer = Arc::clone(&self.sealer);
        let opened = tokio::task::spawn_blocking(move || sealer.unseal(&probe, &[], &[])).await;
        match opened.unwrap_or(Err(SealError::Unavailable)) {
            Err(SealError::Destroyed) => {}
            Err(SealError::Unavailable) => return Err(SealError::Unavailable.into()),
            Ok(_) | Err(SealError::Tampered) => return Err(EraseError::StillThere("their key")),
        }
        if self.is_named(tenant, subject).await? {
            return Err(EraseError::StillThere("who they are"));
        }
        for conversation in conversations {
            if self.messages(tenant, *conversation).await? > 0 {
                return Err(EraseError::StillThere("what they said"));
            }
        }
        Ok(())
    }

    /// Whether somebody is known here by name or address.
    async fn is_named(&self, tenant: TenantId, subject: Subject) -> Result<bool, StoreError> {
        Ok(match subject {
            Subject::Visitor(visitor) => {
                let row = self.store.visitor(tenant, visitor).await?;
                row.is_some_and(|row| row.name.is_some() || row.email.is_some())
            }
            Subject::Agent(agent) => {
                let row = self.store.agent(tenant, agent).await?;
                row.is_some_and(|row| !row.name.expose().is_empty())
            }
        })
    }

    async fn conversations(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let filter = ConversationFilter { visitor: Some(visitor), ..ConversationFilter::default() };
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = Page { limit: PAGE, after };
            let rows = self.store.conversations(tenant, &filter, page).await?;
            after = rows.last().map(|row| row.conversation);
            let full = rows.len() >= usize::from(PAGE);
            all.extend(rows.into_iter().map(|row| row.conversation));
            if !full {
                return Ok(all);
            }
        }
    }

    async fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<u64, StoreError> {
        let (mut count, mut before) = (0, None);
        loop {
            let page = self.store.messages(tenant, conversation, Seq(0), before, PAGE).await?;
            count += u64::try_from(page.len()).unwrap_or(u64::MAX);
            before = page.first().map(|first| first.seq());
            if page.len() < usize::from(PAGE) {
                return Ok(count);
            }
        }
    }
}

/// That they are erased, for the audit.
fn erased(row: &RequestRow, now: UnixMillis) -> Act {
    let chain = ChainId::of(row.tenant);
    let act = Act::new(chain, now, Actor::PROGRAM, Action::SubjectErased)
        .on(ObjectKind::Request, *row.privacy_request.as_bytes());
    row.subjects.0.iter().fold(act, |act, subject| match subject {
        Subject::Visitor(visitor) => act.on(ObjectKind::Visitor, *visitor.as_bytes()),
        Subject::Agent(agent) => act.on(ObjectKind::Agent, *agent.as_bytes()),
    })
}

fn written(outcome: &Outcome) -> String {
    // Numbers alone: nothing that JSON has no words for.
    serde_json::to_string(outcome).unwrap_or_default()
}

/// What a request's row says of it; nothing where there is nothing yet.
pub fn read(outcome: &str) -> Outcome {
    serde_json::from_str(outcome).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use protocol::ids::PrivacyRequestId;

    use super::*;
    use crate::clock::ManualClock;
    use crate::keys::is_signed;
    use crate::privacy::certificate::{Bytes, SignedCertificate, Worth};
    use crate::store::conformance::{NOW, World};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Records as _, RequestWords, Transcript as _, Write};

    /// Screens of which one call fails.
    #[derive(Debug, Default)]
    struct Told {
        fails: AtomicUsize,
        forgot: AtomicUsize,
    }

    #[async_trait]
    impl Screens for Told {
        async fn end_conversations(&self, _: TenantId, _: VisitorId) -> Result<(), Reject> {
            match self.fails.load(Ordering::Relaxed) {
                0 => Ok(()),
                left => {
                    self.fails.store(left - 1, Ordering::Relaxed);
                    let code = protocol::reject::RejectCode::Overload;
                    Err(Reject::new(code, "it cannot be written"))
                }
            }
        }

        fn forget(&self, _: TenantId, _: Subject, _: &[ConversationId]) {
            self.forgot.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn what_was_begun_goes_on_after_a_fault_and_ends_once() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock.clone());
        let world = World::new(1);
        let World { tenant, visitor, .. } = world;
        store.write(vec![Write::Visitor(Box::new(world.visitor_row()))]).await.unwrap();
        let screens = Arc::new(Told::default());
        screens.fails.store(1, Ordering::Relaxed);
        let signer = Arc::new(keys.signer());
        let by = signer.public_key();
        let erasures = Erasures::new(
            store.clone(),
            keys,
            screens.clone(),
            clock.clone(),
            Metrics::new(),
            signer,
        );
        let id = PrivacyRequestId::from_bytes([5; 16]);
        let words = RequestWords { identifier: "ada@example.test".into(), ..Default::default() };
        let subjects = vec![Subject::Visitor(visitor)];
        let row =
            RequestRow::new((id, tenant), RequestKind::Erase, subjects, (NOW, NOW.day()), words)
                .become_at(RequestState::Verified, NOW);
        store.change(vec![Change::create(row.clone())]).await.unwrap();
        let begun = Act::new(ChainId::of(tenant), NOW, Actor::PROGRAM, Action::RequestChanged);
        let row = erasures.begin(row, begun).await.unwrap();
        assert!(matches!(erasures.carry_out(row).await, Err(EraseError::Conversation(_))));
        assert!(store.visitor(tenant, visitor).await.unwrap().unwrap().name.is_some());
        // As after a restart: nobody asks again.
        erasures.go_on().await.unwrap();
        let done = store.privacy_request(tenant, id).await.unwrap().unwrap();
        assert_eq!((done.state, done.ended_at()), (RequestState::Done, Some(NOW)));
        assert_eq!(done.words.expose(), &RequestWords::default());
        assert_eq!(read(&done.outcome).found.persons, 1);
        let signed = SignedCertificate::parse(&done.certificate).unwrap();
        assert_eq!(signed.worth(Some(&Bytes(by)), &is_signed), Worth::Signed);
        let left = store.visitor(tenant, visitor).await.unwrap();
        assert!(left.is_none_or(|row| row.name.is_none() && row.email.is_none()));
        let forgot = screens.forgot.load(Ordering::Relaxed);
        erasures.go_on().await.unwrap();
        let again = erasures.carry_out(done.clone()).await.unwrap();
        assert_eq!((again, screens.forgot.load(Ordering::Relaxed)), (done, forgot));
    }
}
