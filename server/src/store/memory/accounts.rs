//! What is set up and who may act: Organizations, sites, agents, sessions, invitations, API keys, tags,
//! and the kept answers to repeated requests. One lock for all of it; no message passes here.

use std::collections::hash_map::Entry;
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
    AgentRow, InvitationRow, KeyRow, Page, SecretHash, SessionRow, SiteRow, StoreError, TagRow,
    TenantRow, sealed,
};

/// Old answers that each new one sweeps away.
const ANSWERS_SWEPT: usize = 64;

/// A row; its personal columns stand sealed beside it.
#[derive(Debug, Clone)]
pub(super) struct Kept<R, S> {
    row: R,
    sealed: S,
}

/// An agent's sealed columns; none of them once he is forgotten.
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
    /// He is forgotten: nobody finds him, and his address is free.
    Nothing(AgentId),
}

type KeptTenant = Kept<TenantRow, Sealed>;
type KeptAgent = Kept<AgentRow, AgentSealed>;
type KeptSession = Kept<SessionRow, Sealed>;
type KeptInvitation = Kept<InvitationRow, Sealed>;

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
type AnswerKey = (TenantId, [u8; 32]);

#[derive(Debug, Clone)]
struct Answer {
    /// Hash of the request, then the answer: the hash of a short text would tell the text.
    sealed: Sealed,
    at: UnixMillis,
}

#[derive(Default)]
pub(super) struct Accounts {
    tenants: Table<KeptTenant>,
    pub(super) sites: Table<SiteRow>,
    agents: Table<KeptAgent>,
    sessions: Table<KeptSession>,
    invitations: Table<KeptInvitation>,
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

    fn agent_of(&self, tenant: TenantId, agent: AgentId) -> Option<&KeptAgent> {
        self.agents.get(agent).filter(|kept| kept.row.tenant == tenant)
    }

    /// Changes what is known of an agent who is not forgotten: what was sealed for him before that must not
    /// come after it.
    fn amend_agent(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        amend: impl FnOnce(&mut KeptAgent),
    ) -> Result<(), StoreError> {
        let known = self.agent_of(tenant, agent);
        let known = known.filter(|kept| matches!(kept.sealed.found_by, FoundBy::Email(_)));
        let mut kept = known.ok_or(StoreError::NotFound)?.clone();
        amend(&mut kept);
        found(self.agents.replace(kept).map_err(exists("email"))?)
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

    pub(super) fn tenant_create(&self, mut row: TenantRow) -> Result<(), StoreError> {
        let contact = std::mem::take(&mut row.privacy_contact);
        let bound = sealed::bound("tenants.privacy_contact", row.tenant, row.tenant.as_bytes());
        let sealed = self.seal_one(&tenant_lock(&row), &bound, contact.expose().as_bytes())?;
        self.accounts.lock().tenants.insert(Kept { row, sealed }).map_err(exists("tenant"))
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

    pub(super) fn site_create(&self, row: SiteRow) -> Result<(), StoreError> {
        self.accounts.lock().sites.insert(row).map_err(exists("site"))
    }

    pub(super) fn site_update(&self, mut row: SiteRow) -> Result<(), StoreError> {
        let mut accounts = self.accounts.lock();
        let known = accounts.sites.get(row.site).ok_or(StoreError::NotFound)?;
        row.site_key = known.site_key.clone();
        row.created_at = known.created_at;
        found(accounts.sites.replace(row).map_err(exists("site"))?)
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

    pub(super) fn agent_create(&self, row: AgentRow) -> Result<(), StoreError> {
        let password = self.seal_password(&row, &row.password_hash)?;
        let mut kept = self.seal_agent(row)?;
        kept.sealed.password = Some(password);
        self.accounts.lock().agents.insert(kept).map_err(exists("email"))
    }

    pub(super) fn agent_update(&self, row: AgentRow) -> Result<(), StoreError> {
        let Kept { row, sealed } = self.seal_agent(row)?;
        self.accounts.lock().amend_agent(row.tenant, row.agent, |kept| {
            let AgentRow { role, active, capacity, .. } = row;
            (kept.row.role, kept.row.active, kept.row.capacity) = (role, active, capacity);
            (kept.sealed.name, kept.sealed.email) = (sealed.name, sealed.email);
            kept.sealed.found_by = sealed.found_by;
        })
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
        accounts.amend_agent(tenant, agent, |kept| {
            kept.row.availability = availability;
            kept.row.capacity = capacity.unwrap_or(kept.row.capacity);
        })
    }

    pub(super) fn agent_password(
        &self,
        tenant: TenantId,
        agent: AgentId,
        password_hash: &str,
    ) -> Result<(), StoreError> {
        let known = self.accounts.lock().agent_of(tenant, agent).map(|kept| kept.row.clone());
        let known = known.ok_or(StoreError::NotFound)?;
        let password = self.seal_password(&known, password_hash)?;
        self.accounts.lock().amend_agent(tenant, agent, |kept| {
            kept.sealed.password = Some(password);
        })
    }

    /// His id stays, for transcripts name it.
    pub(super) fn agent_forget(&self, tenant: TenantId, agent: AgentId) -> Result<(), StoreError> {
        let mut accounts = self.accounts.lock();
        let mut kept = accounts.agent_of(tenant, agent).ok_or(StoreError::NotFound)?.clone();
        kept.row.active = false;
        let found_by = FoundBy::Nothing(agent);
        kept.sealed = AgentSealed { name: None, email: None, password: None, found_by };
        accounts.sessions.remove_all(|kept| kept.row.tenant == tenant && kept.row.agent == agent);
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
        // Looks at every account; who signs in waits for his password's hash much longer.
        let mut kept: Vec<_> = self.accounts.lock().agents.all().filter(of).cloned().collect();
        kept.sort_unstable_by_key(|kept| (kept.row.created_at, kept.row.agent));
        let rows = kept.into_iter().map(|kept| self.agent_row(kept));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        // One whose key is destroyed is not found by his address, though his row is not cleared yet.
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
    /// still count him.
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

    pub(super) fn session_create(&self, mut row: SessionRow) -> Result<(), StoreError> {
        let client = std::mem::take(&mut row.client);
        let bound = sealed::bound("sessions.client", row.tenant, row.session.as_bytes());
        let sealed = self.seal_one(&session_lock(&row), &bound, client.expose().as_bytes())?;
        self.accounts.lock().sessions.insert(Kept { row, sealed }).map_err(exists("session"))
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
        found(self.accounts.lock().sessions.remove_if(session, own))
    }

    pub(super) fn invitation_create(&self, mut row: InvitationRow) -> Result<(), StoreError> {
        let email = std::mem::take(&mut row.email);
        let bound = sealed::bound("invitations.email", row.tenant, row.invitation.as_bytes());
        let sealed = self.seal_one(&invitation_lock(&row), &bound, email.expose().as_bytes())?;
        self.accounts.lock().invitations.insert(Kept { row, sealed }).map_err(exists("invitation"))
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

    pub(super) fn invitation_delete(
        &self,
        tenant: TenantId,
        invitation: InvitationId,
    ) -> Result<(), StoreError> {
        let own = |kept: &KeptInvitation| kept.row.tenant == tenant;
        found(self.accounts.lock().invitations.remove_if(invitation, own))
    }

    pub(super) fn delete_ended(&self, at: UnixMillis) {
        let mut accounts = self.accounts.lock();
        accounts.sessions.remove_all(|kept| kept.row.expires_at <= at);
        accounts.invitations.remove_all(|kept| kept.row.expires_at <= at);
    }

    pub(super) fn key_create(&self, row: KeyRow) -> Result<(), StoreError> {
        self.accounts.lock().keys.insert(row).map_err(exists("key"))
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
        found(self.accounts.lock().keys.remove_if(key, |row| row.tenant == tenant))
    }

    pub(super) fn tag_create(&self, row: TagRow) -> Result<(), StoreError> {
        self.accounts.lock().tags.insert(row).map_err(exists("name"))
    }

    pub(super) fn tags(&self, tenant: TenantId) -> Vec<TagRow> {
        self.accounts.lock().tags.of(tenant).cloned().collect()
    }

    pub(super) fn tag_delete(&self, tenant: TenantId, tag: TagId) -> Result<(), StoreError> {
        found(self.accounts.lock().tags.remove_if(tag, |row| row.tenant == tenant))
    }

    /// The first answer stays; a second one for the same key is dropped.
    pub(super) fn idempotent_keep(
        &self,
        tenant: TenantId,
        key: &str,
        request: [u8; 32],
        answer: &[u8],
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let hash = sealed::answer_hash(&*self.sealer, tenant, key)
            .map_err(|error| self.keys_failed(error, StoreOp::Keys, "keep an answer"))?;
        let bound = sealed::answer_bound(tenant, &hash);
        let plain = [&request[..], answer].concat();
        let sealed = self.seal_one(&sealed::answer_lock(tenant, at.day()), &bound, &plain)?;
        let mut accounts = self.accounts.lock();
        accounts.forget_answers(UnixMillis(at.0.saturating_sub(ANSWER_MS)), ANSWERS_SWEPT);
        if let Entry::Vacant(free) = accounts.answers.entry((tenant, hash)) {
            free.insert(Answer { sealed, at });
            accounts.answers_by_age.insert((at, (tenant, hash)));
        }
        Ok(())
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
