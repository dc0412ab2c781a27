//! What is set up and who may act: Organizations, sites, agents, sessions, invitations, API keys, tags,
//! and the kept answers to repeated requests. One lock for all of it; no message passes here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use protocol::conversation::Availability;
use protocol::ids::{AgentId, InvitationId, KeyId, SessionId, SiteId, SiteKey, TagId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use super::Shared;
use super::table::{Record, Table, Taken};
use super::transcript::Sealed;
use crate::metrics::StoreOp;
use crate::privacy::seal::{Bucket, Lock, SealError};
use crate::privacy::sweep::ANSWER_MS;
use crate::store::{
    ANSWERED, AgentRow, AnswerRow, InvitationRow, KeyRow, Page, PasswordResetRow, Record as Change,
    SecretHash, SessionRow, SiteRow, StoreError, TagRow, TenantRow, sealed,
};

/// Old answers that each new one sweeps away.
const ANSWERS_SWEPT: usize = 64;

/// A row; its personal columns stand sealed beside it.
#[derive(Debug, Clone)]
pub(super) struct Kept<R, S> {
    row: R,
    sealed: S,
}

/// An agent's sealed columns; none of them once the agent is forgotten.
#[derive(Debug, Clone)]
pub(super) struct AgentSealed {
    name: Option<Sealed>,
    email: Option<Sealed>,
    password: Option<Sealed>,
    found_by: FoundBy,
}

/// By what an account is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FoundBy {
    Email([u8; 32]),
    /// They are forgotten: nobody finds them, and their address is free.
    Nothing(AgentId),
}

pub(super) type KeptTenant = Kept<TenantRow, Sealed>;
pub(super) type KeptAgent = Kept<AgentRow, AgentSealed>;
pub(super) type KeptSession = Kept<SessionRow, Sealed>;
pub(super) type KeptInvitation = Kept<InvitationRow, Sealed>;

macro_rules! records {
    ($( $row:ty { $id:ty = $own_id:expr, $owner:ty = $own_owner:expr, $unique:ty = $own_unique:expr } )+) => { $(
        impl Record for $row {
            type Id = $id;
            type Owner = $owner;
            type Unique = $unique;

            fn id(&self) -> $id {
                let of: fn(&Self) -> $id = $own_id;
                of(self)
            }

            fn owner(&self) -> $owner {
                let of: fn(&Self) -> $owner = $own_owner;
                of(self)
            }

            fn unique(&self) -> $unique {
                let of: fn(&Self) -> $unique = $own_unique;
                of(self)
            }
        }
    )+ };
}

records! {
    KeptTenant {
        TenantId = |kept| kept.row.tenant,
        () = |_| (),
        TenantId = |kept| kept.row.tenant
    }
    SiteRow {
        SiteId = |row| row.site,
        TenantId = |row| row.tenant,
        SiteKey = |row| row.site_key.clone()
    }
    KeptAgent {
        AgentId = |kept| kept.row.agent,
        TenantId = |kept| kept.row.tenant,
        (TenantId, FoundBy) = |kept| (kept.row.tenant, kept.sealed.found_by)
    }
    KeptSession {
        SessionId = |kept| kept.row.session,
        (TenantId, AgentId) = |kept| (kept.row.tenant, kept.row.agent),
        SecretHash = |kept| kept.row.secret
    }
    KeptInvitation {
        InvitationId = |kept| kept.row.invitation,
        TenantId = |kept| kept.row.tenant,
        SecretHash = |kept| kept.row.secret
    }
    KeyRow {
        KeyId = |row| row.key,
        Option<TenantId> = |row| row.tenant,
        SecretHash = |row| row.secret
    }
    TagRow {
        TagId = |row| row.tag,
        TenantId = |row| row.tenant,
        (TenantId, String) = |row| (row.tenant, row.name.clone())
    }
}

/// Hash of a request, and the answer to it.
type RequestAndAnswer = ([u8; 32], Vec<u8>);
pub(super) type AnswerKey = (TenantId, [u8; 32]);

#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// Hash of the request, then the answer: the hash of a short text would tell the text.
    sealed: Sealed,
    at: UnixMillis,
}

/// A record whose personal parts are sealed.
pub(super) enum SealedRecord {
    Tenant(KeptTenant),
    Site(SiteRow),
    SiteChange(SiteRow),
    Agent(KeptAgent),
    AgentChange(KeptAgent),
    Password { tenant: TenantId, agent: AgentId, password: Sealed },
    Session(KeptSession),
    SessionEnd { tenant: TenantId, agent: AgentId, session: SessionId },
    Invitation(KeptInvitation),
    InvitationEnd { tenant: TenantId, invitation: InvitationId },
    PasswordReset(PasswordResetRow),
    PasswordResetEnd { tenant: TenantId, agent: AgentId, secret: SecretHash },
    Key(KeyRow),
    Tag(TagRow),
    TagChange(TagRow),
    Answer(AnswerKey, Answer),
}

/// Takes one record of a batch back.
pub(super) type Undo = Box<dyn FnOnce(&mut Accounts)>;

#[derive(Default)]
pub(super) struct Accounts {
    tenants: Table<KeptTenant>,
    pub(super) sites: Table<SiteRow>,
    agents: Table<KeptAgent>,
    sessions: Table<KeptSession>,
    invitations: Table<KeptInvitation>,
    /// One for each agent at most.
    password_resets: HashMap<AgentId, PasswordResetRow>,
    keys: Table<KeyRow>,
    tags: Table<TagRow>,
    answers: HashMap<AnswerKey, Answer>,
    answers_by_age: BTreeSet<(UnixMillis, AnswerKey)>,
}

fn agent_lock(row: &AgentRow) -> Lock {
    sealed::account_lock(row.tenant, row.agent, row.created_at.day())
}

fn session_lock(row: &SessionRow) -> Lock {
    sealed::account_lock(row.tenant, row.agent, row.created_at.day())
}

fn invitation_lock(row: &InvitationRow) -> Lock {
    sealed::own_lock(row.tenant, row.invitation.as_bytes(), row.created_at.day())
}

fn tenant_lock(row: &TenantRow) -> Lock {
    sealed::own_lock(row.tenant, row.tenant.as_bytes(), row.created_at.day())
}

impl Accounts {
    /// Removes what was sealed in buckets that pass. An Organization stays without its contact.
    pub(super) fn clean_up(&mut self, due: impl Fn(&Bucket) -> bool) {
        self.agents.remove_all(|kept| due(&agent_lock(&kept.row).bucket));
        self.sessions.remove_all(|kept| due(&session_lock(&kept.row).bucket));
        self.invitations.remove_all(|kept| due(&invitation_lock(&kept.row).bucket));
        let goes = |tenant, at: UnixMillis| due(&sealed::answer_lock(tenant, at.day()).bucket);
        self.answers.retain(|(tenant, _), kept| !goes(*tenant, kept.at));
        self.answers_by_age.retain(|(at, (tenant, _))| !goes(*tenant, *at));
    }

    /// Forgets the oldest answers that were kept until this moment, at most so many.
    fn forget_answers(&mut self, until: UnixMillis, len_max: usize) {
        for _ in 0..len_max {
            let oldest = self.answers_by_age.first().copied();
            let Some((at, key)) = oldest.filter(|(at, _)| *at <= until) else { return };
            self.answers_by_age.remove(&(at, key));
            self.answers.remove(&key);
        }
    }

    /// One record of a batch. What it returns takes it back.
    #[expect(clippy::too_many_lines, reason = "one arm a kind: a flat list reads best whole")]
    pub(super) fn carry_out(
        &mut self,
        record: SealedRecord,
        now: UnixMillis,
    ) -> Result<Undo, StoreError> {
        Ok(match record {
            SealedRecord::Tenant(kept) => {
                let tenant = kept.row.tenant;
                self.tenants.insert(kept).map_err(exists("tenant"))?;
                Box::new(move |all| drop(all.tenants.remove_if(tenant, |_| true)))
            }
            SealedRecord::Site(row) => {
                let site = row.site;
                self.sites.insert(row).map_err(exists("site"))?;
                Box::new(move |all| drop(all.sites.remove_if(site, |_| true)))
            }
            SealedRecord::SiteChange(mut row) => {
                let before = self.sites.get(row.site).ok_or(StoreError::NotFound)?.clone();
                row.site_key = before.site_key.clone();
                row.created_at = before.created_at;
                found(self.sites.replace(row).map_err(exists("site"))?)?;
                Box::new(move |all| drop(all.sites.replace(before)))
            }
            SealedRecord::Agent(kept) => {
                let agent = kept.row.agent;
                self.agents.insert(kept).map_err(exists("email"))?;
                Box::new(move |all| drop(all.agents.remove_if(agent, |_| true)))
            }
            SealedRecord::AgentChange(Kept { row, sealed }) => {
                self.amend_agent(row.tenant, row.agent, |kept| {
                    let AgentRow { role, active, capacity, .. } = row;
                    (kept.row.role, kept.row.active, kept.row.capacity) = (role, active, capacity);
                    (kept.sealed.name, kept.sealed.email) = (sealed.name, sealed.email);
                    kept.sealed.found_by = sealed.found_by;
                })?
            }
            SealedRecord::Password { tenant, agent, password } => {
                let undo =
                    self.amend_agent(tenant, agent, |kept| kept.sealed.password = Some(password))?;
                let link = self.put_password_reset(agent, None);
                Box::new(move |all| {
                    all.put_password_reset(agent, link);
                    undo(all);
                })
            }
            SealedRecord::Session(kept) => {
                let session = kept.row.session;
                self.sessions.insert(kept).map_err(exists("session"))?;
                Box::new(move |all| drop(all.sessions.remove_if(session, |_| true)))
            }
            SealedRecord::SessionEnd { tenant, agent, session } => {
                let own = |kept: &KeptSession| kept.row.tenant == tenant && kept.row.agent == agent;
                let ended = self.sessions.remove_if(session, own);
                Box::new(move |all| {
                    let _put_back = ended.map(|kept| all.sessions.insert(kept));
                })
            }
            SealedRecord::Invitation(kept) => {
                let invitation = kept.row.invitation;
                self.invitations.insert(kept).map_err(exists("invitation"))?;
                Box::new(move |all| drop(all.invitations.remove_if(invitation, |_| true)))
            }
            SealedRecord::InvitationEnd { tenant, invitation } => {
                let own = |kept: &KeptInvitation| kept.row.tenant == tenant;
                let ended = self.invitations.remove_if(invitation, own);
                let ended = ended.ok_or(StoreError::NotFound)?;
                Box::new(move |all| drop(all.invitations.insert(ended)))
            }
            SealedRecord::PasswordReset(row) => {
                let before = self.put_password_reset(row.agent, Some(row));
                Box::new(move |all| {
                    all.put_password_reset(row.agent, before);
                })
            }
            SealedRecord::PasswordResetEnd { tenant, agent, secret } => {
                let link = self.password_resets.get(&agent).copied();
                let link = link.filter(|row| row.tenant == tenant && row.secret == secret);
                let link = link.ok_or(StoreError::NotFound)?;
                self.put_password_reset(agent, None);
                Box::new(move |all| {
                    all.put_password_reset(agent, Some(link));
                })
            }
            SealedRecord::Key(row) => {
                let key = row.key;
                self.keys.insert(row).map_err(exists("key"))?;
                Box::new(move |all| drop(all.keys.remove_if(key, |_| true)))
            }
            SealedRecord::Tag(row) => {
                let tag = row.tag;
                self.tags.insert(row).map_err(exists("name"))?;
                Box::new(move |all| drop(all.tags.remove_if(tag, |_| true)))
            }
            SealedRecord::TagChange(row) => {
                let known = self.tags.get(row.tag).filter(|known| known.tenant == row.tenant);
                let before = known.ok_or(StoreError::NotFound)?.clone();
                self.tags.replace(row).map_err(exists("name"))?;
                Box::new(move |all| drop(all.tags.replace(before)))
            }
            SealedRecord::Answer(key, answer) => self.answer(key, answer, now)?,
        })
    }

    /// Keeps the answer to a create, in the place of one that is over.
    fn answer(
        &mut self,
        key: AnswerKey,
        answer: Answer,
        now: UnixMillis,
    ) -> Result<Undo, StoreError> {
        let before = self.answers.get(&key).cloned();
        if before.as_ref().is_some_and(|before| now.ms_since(before.at) < ANSWER_MS) {
            return Err(StoreError::Exists { what: ANSWERED });
        }
        self.forget_answers(UnixMillis(answer.at.0.saturating_sub(ANSWER_MS)), ANSWERS_SWEPT);
        self.put_answer(key, Some(answer));
        Ok(Box::new(move |all| all.put_answer(key, before)))
    }

    fn put_answer(&mut self, key: AnswerKey, answer: Option<Answer>) {
        if let Some(before) = self.answers.remove(&key) {
            self.answers_by_age.remove(&(before.at, key));
        }
        if let Some(answer) = answer {
            self.answers_by_age.insert((answer.at, key));
            self.answers.insert(key, answer);
        }
    }

    /// An agent's link, in place of the former one, which it returns.
    fn put_password_reset(
        &mut self,
        agent: AgentId,
        link: Option<PasswordResetRow>,
    ) -> Option<PasswordResetRow> {
        match link {
            Some(link) => self.password_resets.insert(agent, link),
            None => self.password_resets.remove(&agent),
        }
    }

    fn agent_of(&self, tenant: TenantId, agent: AgentId) -> Option<&KeptAgent> {
        self.agents.get(agent).filter(|kept| kept.row.tenant == tenant)
    }

    /// Changes what is known of an agent who is not forgotten: what was sealed for them before that
    /// must not come after it.
    fn amend_agent(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        amend: impl FnOnce(&mut KeptAgent),
    ) -> Result<Undo, StoreError> {
        let known = self.agent_of(tenant, agent);
        let known = known.filter(|kept| matches!(kept.sealed.found_by, FoundBy::Email(_)));
        let before = known.ok_or(StoreError::NotFound)?.clone();
        let mut kept = before.clone();
        amend(&mut kept);
        found(self.agents.replace(kept).map_err(exists("email"))?)?;
        Ok(Box::new(move |all| drop(all.agents.replace(before))))
    }
}

fn found(there: bool) -> Result<(), StoreError> {
    if there { Ok(()) } else { Err(StoreError::NotFound) }
}

fn exists(what: &'static str) -> impl Fn(Taken) -> StoreError {
    move |Taken| StoreError::Exists { what }
}

impl Shared {
    /// A value that must be there, sealed under a key that is made if need be.
    fn seal_one(&self, lock: &Lock, bound: &[u8], plain: &[u8]) -> Result<Sealed, StoreError> {
        let failed = |error| self.keys_failed(error, StoreOp::Keys, "write a row");
        match self.sealer.prepare(&[*lock]) {
            Ok(()) => {}
            Err(SealError::Destroyed) => return Err(StoreError::NotFound),
            Err(error) => return Err(failed(error)),
        }
        let sealed = self.sealer.seal(lock, bound, plain).map_err(failed)?;
        self.buckets.lock().insert(lock.bucket);
        Ok(sealed)
    }

    pub(super) fn seal_record(&self, record: Change) -> Result<SealedRecord, StoreError> {
        Ok(match record {
            Change::Tenant(mut row) => {
                let contact = std::mem::take(&mut row.privacy_contact);
                let bound =
                    sealed::bound("tenants.privacy_contact", row.tenant, row.tenant.as_bytes());
                let contact = contact.expose().as_bytes();
                let sealed = self.seal_one(&tenant_lock(&row), &bound, contact)?;
                SealedRecord::Tenant(Kept { row, sealed })
            }
            Change::Site(row) => SealedRecord::Site(row),
            Change::SiteChange(row) => SealedRecord::SiteChange(row),
            Change::Agent(row) => {
                let password = self.seal_password(&row, &row.password_hash)?;
                let mut kept = self.seal_agent(row)?;
                kept.sealed.password = Some(password);
                SealedRecord::Agent(kept)
            }
            Change::AgentChange(row) => SealedRecord::AgentChange(self.seal_agent(row)?),
            Change::Password { tenant, agent, password_hash } => {
                let known = self.accounts.lock().agent_of(tenant, agent).map(|k| k.row.clone());
                let known = known.ok_or(StoreError::NotFound)?;
                let password = self.seal_password(&known, &password_hash)?;
                SealedRecord::Password { tenant, agent, password }
            }
            Change::Session(mut row) => {
                let client = std::mem::take(&mut row.client);
                let bound = sealed::bound("sessions.client", row.tenant, row.session.as_bytes());
                let client = client.expose().as_bytes();
                let sealed = self.seal_one(&session_lock(&row), &bound, client)?;
                SealedRecord::Session(Kept { row, sealed })
            }
            Change::SessionEnd { tenant, agent, session } => {
                SealedRecord::SessionEnd { tenant, agent, session }
            }
            Change::Invitation(mut row) => {
                let email = std::mem::take(&mut row.email);
                let id = row.invitation.as_bytes();
                let bound = sealed::bound("invitations.email", row.tenant, id);
                let email = email.expose().as_bytes();
                let sealed = self.seal_one(&invitation_lock(&row), &bound, email)?;
                SealedRecord::Invitation(Kept { row, sealed })
            }
            Change::InvitationEnd { tenant, invitation } => {
                SealedRecord::InvitationEnd { tenant, invitation }
            }
            Change::PasswordReset(row) => SealedRecord::PasswordReset(row),
            Change::PasswordResetEnd { tenant, agent, secret } => {
                SealedRecord::PasswordResetEnd { tenant, agent, secret }
            }
            Change::Key(row) => SealedRecord::Key(row),
            Change::Tag(row) => SealedRecord::Tag(row),
            Change::TagChange(row) => SealedRecord::TagChange(row),
            Change::Answer(AnswerRow { tenant, key, request, answer, at }) => {
                let hash = sealed::answer_hash(&*self.sealer, tenant, &key)
                    .map_err(|error| self.keys_failed(error, StoreOp::Keys, "keep an answer"))?;
                let bound = sealed::answer_bound(tenant, &hash);
                let plain = [&request[..], &answer].concat();
                let lock = sealed::answer_lock(tenant, at.day());
                let sealed = self.seal_one(&lock, &bound, &plain)?;
                SealedRecord::Answer((tenant, hash), Answer { sealed, at })
            }
        })
    }

    pub(super) fn tenant(&self, tenant: TenantId) -> Result<Option<TenantRow>, StoreError> {
        let kept = self.accounts.lock().tenants.get(tenant).cloned();
        kept.map(|kept| self.tenant_row(kept)).transpose()
    }

    pub(super) fn tenants(&self, page: Page<TenantId>) -> Result<Vec<TenantRow>, StoreError> {
        let kept: Vec<_> = self.accounts.lock().tenants.page((), page).cloned().collect();
        kept.into_iter().map(|kept| self.tenant_row(kept)).collect()
    }

    fn tenant_row(&self, kept: KeptTenant) -> Result<TenantRow, StoreError> {
        let Kept { mut row, sealed } = kept;
        let bound = sealed::bound("tenants.privacy_contact", row.tenant, row.tenant.as_bytes());
        row.privacy_contact =
            self.text(&tenant_lock(&row), &bound, Some(&sealed))?.unwrap_or_default();
        Ok(row)
    }

    pub(super) fn site(&self, site: SiteId) -> Option<SiteRow> {
        self.accounts.lock().sites.get(site).cloned()
    }

    pub(super) fn site_by_key(&self, key: &SiteKey) -> Option<SiteRow> {
        self.accounts.lock().sites.by_unique(key).cloned()
    }

    pub(super) fn sites(&self, tenant: TenantId, page: Page<SiteId>) -> Vec<SiteRow> {
        self.accounts.lock().sites.page(tenant, page).cloned().collect()
    }

    pub(super) fn agent_availability(
        &self,
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Result<(), StoreError> {
        let mut accounts = self.accounts.lock();
        accounts
            .agent_of(tenant, agent)
            .filter(|kept| kept.row.active)
            .ok_or(StoreError::NotFound)?;
        let amended = accounts.amend_agent(tenant, agent, |kept| {
            kept.row.availability = availability;
            kept.row.capacity = capacity.unwrap_or(kept.row.capacity);
        });
        amended.map(drop)
    }

    /// Their id stays, for transcripts name it.
    pub(super) fn agent_forget(&self, tenant: TenantId, agent: AgentId) -> Result<(), StoreError> {
        let mut accounts = self.accounts.lock();
        let mut kept = accounts.agent_of(tenant, agent).ok_or(StoreError::NotFound)?.clone();
        kept.row.active = false;
        let found_by = FoundBy::Nothing(agent);
        kept.sealed = AgentSealed { name: None, email: None, password: None, found_by };
        accounts.sessions.remove_all(|kept| kept.row.tenant == tenant && kept.row.agent == agent);
        accounts.password_resets.remove(&agent);
        found(accounts.agents.replace(kept).map_err(exists("email"))?)
    }

    fn seal_agent(&self, mut row: AgentRow) -> Result<KeptAgent, StoreError> {
        let lock = agent_lock(&row);
        let seal = |column, text: &Personal<String>| {
            let bound = sealed::bound(column, row.tenant, row.agent.as_bytes());
            self.seal_one(&lock, &bound, text.expose().as_bytes()).map(Some)
        };
        let name = seal("agents.name", &row.name)?;
        let email = seal("agents.email", &row.email)?;
        let email_hash = sealed::email_hash(&*self.sealer, &row.email)
            .map_err(|error| self.keys_failed(error, StoreOp::Keys, "write a row"))?;
        (row.name, row.email) = (Personal::default(), Personal::default());
        row.password_hash = Arc::default();
        let found_by = FoundBy::Email(email_hash);
        Ok(Kept { row, sealed: AgentSealed { name, email, password: None, found_by } })
    }

    fn seal_password(&self, row: &AgentRow, hash: &str) -> Result<Sealed, StoreError> {
        let bound = sealed::bound("agents.password", row.tenant, row.agent.as_bytes());
        self.seal_one(&agent_lock(row), &bound, hash.as_bytes())
    }

    pub(super) fn agent(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Option<AgentRow>, StoreError> {
        let kept = self.accounts.lock().agent_of(tenant, agent).cloned();
        kept.map(|kept| self.agent_row(kept)).transpose()
    }

    pub(super) fn agents_by_email(
        &self,
        email: &Personal<String>,
    ) -> Result<Vec<AgentRow>, StoreError> {
        let hash = self.unsealed(sealed::email_hash(&*self.sealer, email))?;
        let of = |kept: &&KeptAgent| kept.sealed.found_by == FoundBy::Email(hash);
        // Looks at every account; who signs in waits for their password's hash much longer.
        let mut kept: Vec<_> = self.accounts.lock().agents.all().filter(of).cloned().collect();
        kept.sort_unstable_by_key(|kept| (kept.row.created_at, kept.row.agent));
        let rows = kept.into_iter().map(|kept| self.agent_row(kept));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        // One whose key is destroyed is not found by address, though the row is not cleared yet.
        rows.retain(|row| !row.email.expose().is_empty());
        Ok(rows)
    }

    pub(super) fn agents(
        &self,
        tenant: TenantId,
        page: Page<AgentId>,
    ) -> Result<Vec<AgentRow>, StoreError> {
        let kept: Vec<_> = self.accounts.lock().agents.page(tenant, page).cloned().collect();
        kept.into_iter().map(|kept| self.agent_row(kept)).collect()
    }

    /// An erased agent is one without a name, an address and a way to sign in: transcripts and pages
    /// still count them.
    fn agent_row(&self, kept: KeptAgent) -> Result<AgentRow, StoreError> {
        let Kept { mut row, sealed } = kept;
        let lock = agent_lock(&row);
        let text = |column: &str, sealed: Option<&[u8]>| {
            let bound = sealed::bound(column, row.tenant, row.agent.as_bytes());
            self.text(&lock, &bound, sealed)
        };
        let Some(name) = text("agents.name", sealed.name.as_deref())? else {
            row.active = false;
            return Ok(row);
        };
        let email = text("agents.email", sealed.email.as_deref())?;
        let password = text("agents.password", sealed.password.as_deref())?;
        (row.name, row.email) = (name, email.unwrap_or_default());
        row.password_hash = Arc::from(password.unwrap_or_default().into_exposed());
        Ok(row)
    }

    pub(super) fn session_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<SessionRow>, StoreError> {
        let kept = self.accounts.lock().sessions.by_unique(&secret).cloned();
        kept.map_or(Ok(None), |kept| self.session_row(kept))
    }

    pub(super) fn sessions(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let kept: Vec<_> = self.accounts.lock().sessions.of((tenant, agent)).cloned().collect();
        kept.into_iter().filter_map(|kept| self.session_row(kept).transpose()).collect()
    }

    fn session_row(&self, kept: KeptSession) -> Result<Option<SessionRow>, StoreError> {
        let Kept { mut row, sealed } = kept;
        let bound = sealed::bound("sessions.client", row.tenant, row.session.as_bytes());
        let client = self.text(&session_lock(&row), &bound, Some(&sealed))?;
        Ok(client.map(|client| {
            row.client = client;
            row
        }))
    }

    pub(super) fn session_delete(
        &self,
        tenant: TenantId,
        agent: AgentId,
        session: SessionId,
    ) -> Result<(), StoreError> {
        let own = |kept: &KeptSession| kept.row.tenant == tenant && kept.row.agent == agent;
        found(self.accounts.lock().sessions.remove_if(session, own).is_some())
    }

    pub(super) fn invitation_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<InvitationRow>, StoreError> {
        let kept = self.accounts.lock().invitations.by_unique(&secret).cloned();
        kept.map_or(Ok(None), |kept| self.invitation_row(kept))
    }

    pub(super) fn invitations(&self, tenant: TenantId) -> Result<Vec<InvitationRow>, StoreError> {
        let kept: Vec<_> = self.accounts.lock().invitations.of(tenant).cloned().collect();
        kept.into_iter().filter_map(|kept| self.invitation_row(kept).transpose()).collect()
    }

    fn invitation_row(&self, kept: KeptInvitation) -> Result<Option<InvitationRow>, StoreError> {
        let Kept { mut row, sealed } = kept;
        let bound = sealed::bound("invitations.email", row.tenant, row.invitation.as_bytes());
        let email = self.text(&invitation_lock(&row), &bound, Some(&sealed))?;
        Ok(email.map(|email| {
            row.email = email;
            row
        }))
    }

    /// Links are few: each is looked at.
    pub(super) fn password_reset_by_secret(&self, secret: SecretHash) -> Option<PasswordResetRow> {
        let accounts = self.accounts.lock();
        accounts.password_resets.values().find(|row| row.secret == secret).copied()
    }

    pub(super) fn delete_ended(&self, at: UnixMillis) {
        let mut accounts = self.accounts.lock();
        accounts.sessions.remove_all(|kept| kept.row.expires_at <= at);
        accounts.invitations.remove_all(|kept| kept.row.expires_at <= at);
        accounts.password_resets.retain(|_, row| row.expires_at > at);
    }

    pub(super) fn key_by_secret(&self, secret: SecretHash) -> Option<KeyRow> {
        self.accounts.lock().keys.by_unique(&secret).cloned()
    }

    pub(super) fn keys(&self, tenant: Option<TenantId>) -> Vec<KeyRow> {
        self.accounts.lock().keys.of(tenant).cloned().collect()
    }

    pub(super) fn key_delete(
        &self,
        tenant: Option<TenantId>,
        key: KeyId,
    ) -> Result<(), StoreError> {
        found(self.accounts.lock().keys.remove_if(key, |row| row.tenant == tenant).is_some())
    }

    pub(super) fn tags(&self, tenant: TenantId) -> Vec<TagRow> {
        self.accounts.lock().tags.of(tenant).cloned().collect()
    }

    pub(super) fn tag_delete(&self, tenant: TenantId, tag: TagId) -> Result<(), StoreError> {
        found(self.accounts.lock().tags.remove_if(tag, |row| row.tenant == tenant).is_some())
    }

    pub(super) fn idempotent_answer(
        &self,
        tenant: TenantId,
        key: &str,
    ) -> Result<Option<RequestAndAnswer>, StoreError> {
        let hash = self.unsealed(sealed::answer_hash(&*self.sealer, tenant, key))?;
        let kept = self.accounts.lock().answers.get(&(tenant, hash)).cloned();
        let Some(Answer { sealed, at }) = kept else { return Ok(None) };
        if self.clock.now().ms_since(at) >= ANSWER_MS {
            return Ok(None);
        }
        let bound = sealed::answer_bound(tenant, &hash);
        let lock = sealed::answer_lock(tenant, at.day());
        let kept = self.sealer.unseal(&lock, &bound, &sealed);
        let Some(kept) = self.unsealed(sealed::unless_destroyed(kept))? else { return Ok(None) };
        let parts = kept.split_first_chunk().ok_or(SealError::Tampered);
        let (request, answer) = self.unsealed(parts)?;
        Ok(Some((*request, answer.to_vec())))
    }

    pub(super) fn idempotent_forget(&self, until: UnixMillis) {
        self.accounts.lock().forget_answers(until, usize::MAX);
    }
}
