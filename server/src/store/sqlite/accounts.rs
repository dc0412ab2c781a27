//! What is set up and who may act: Organizations, sites, agents, sessions, invitations, API keys, tags,
//! and the kept answers to repeated requests.

use std::sync::Arc;

use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, InvitationId, KeyId, SessionId, SiteId, SiteKey, TagId, TenantId};
use protocol::personal::Personal;
use protocol::time::{Day, UnixMillis};
use rusqlite::{OptionalExtension as _, Row, params};

use super::desk::Desk;
use super::fault::Fault;
use super::read::Reader;
use super::sealed;
use crate::privacy::seal::{Lock, SealError};
use crate::privacy::sweep::{ANSWER_MS, may_confirm, may_lower};
use crate::store::{
    ANSWERED, AgentRow, AnswerRow, ClockAct, InvitationRow, KeyRow, Page, PasswordResetRow, Record,
    SecretHash, SessionRow, SiteRow, StoreError, TagRow, TenantRow,
};

/// Old answers that each new one sweeps away.
const ANSWERS_SWEPT: u16 = 64;
/// Sessions, and invitations, that one transaction deletes, so that no message waits long behind it.
const ENDED_AT_ONCE: usize = 500;
/// Hash of a request and the answer to it.
type Answer = ([u8; 32], Vec<u8>);

/// The sealed columns of an agent.
struct SealedAgent {
    bucket: i64,
    name: Vec<u8>,
    email: Vec<u8>,
    email_hash: [u8; 32],
    password: Vec<u8>,
}

impl Desk<'_> {
    /// A value that must be there, sealed under a key that is made if need be.
    fn seal_one(
        &mut self,
        lock: &Lock,
        bound: &[u8],
        plain: &[u8],
    ) -> Result<(Vec<u8>, i64), Fault> {
        match self.sealer.prepare(&[*lock]) {
            Ok(()) => {}
            Err(SealError::Destroyed) => return Err(StoreError::NotFound.into()),
            Err(error) => return Err(Fault::Keys(error)),
        }
        let sealed = self.sealer.seal(lock, bound, plain).map_err(Fault::Keys)?;
        Ok((sealed, self.bucket_id(lock)?))
    }

    pub(super) fn record(&mut self, record: &Record) -> Result<(), Fault> {
        match record {
            Record::Tenant(row) => self.tenant_create(row),
            Record::Site(row) => self.site_create(row),
            Record::SiteChange(row) => self.site_update(row),
            Record::Agent(row) => self.agent_create(row),
            Record::AgentChange(row) => self.agent_update(row),
            Record::Password { tenant, agent, password_hash } => {
                self.agent_password(*tenant, *agent, password_hash)
            }
            Record::Session(row) => self.session_create(row),
            Record::SessionEnd { tenant, agent, session } => {
                self.session_end(*tenant, *agent, *session).map(drop)
            }
            Record::Invitation(row) => self.invitation_create(row),
            Record::InvitationEnd { tenant, invitation } => {
                self.invitation_delete(*tenant, *invitation)
            }
            Record::PasswordReset(row) => self.password_reset_create(row),
            Record::PasswordResetEnd { tenant, agent, secret } => {
                self.password_reset_end(*tenant, *agent, *secret)
            }
            Record::Key(row) => self.key_create(row),
            Record::Tag(row) => self.tag_create(row),
            Record::TagChange(row) => self.tag_update(row),
            Record::Answer(row) => self.answer(row),
        }
    }

    fn tenant_create(&mut self, row: &TenantRow) -> Result<(), Fault> {
        let id = row.tenant.as_bytes();
        let lock = sealed::own_lock(row.tenant, id, row.created_at.day());
        let bound = sealed::bound("tenants.privacy_contact", row.tenant, id);
        let (contact, _) = self.seal_one(&lock, &bound, row.privacy_contact.expose().as_bytes())?;
        self.execute(
            "INSERT INTO tenants (tenant, name, privacy_contact, created_at) VALUES (?1, ?2, ?3, ?4)",
            params![id, row.name, contact, row.created_at.0],
        )
        .map_err(|fault| fault.exists("tenant"))?;
        Ok(())
    }

    fn site_create(&mut self, row: &SiteRow) -> Result<(), Fault> {
        let (timeline, settings) = site_texts(row)?;
        self.execute(
            "INSERT INTO sites (site, tenant, site_key, name, timeline, settings, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                row.site.as_bytes(),
                row.tenant.as_bytes(),
                row.site_key.as_str(),
                row.name,
                timeline,
                settings,
                row.created_at.0
            ],
        )
        .map_err(|fault| fault.exists("site"))?;
        Ok(())
    }

    fn site_update(&mut self, row: &SiteRow) -> Result<(), Fault> {
        let (timeline, settings) = site_texts(row)?;
        let changed = self.execute(
            "UPDATE sites SET name = ?3, timeline = ?4, settings = ?5 WHERE site = ?1 AND tenant = ?2",
            params![row.site.as_bytes(), row.tenant.as_bytes(), row.name, timeline, settings],
        )?;
        found(changed)
    }

    fn agent_create(&mut self, row: &AgentRow) -> Result<(), Fault> {
        let sealed = self.seal_agent(row)?;
        self.execute(
            "INSERT INTO agents (agent, tenant, bucket, name, email, email_hash, role, active, capacity,
                 availability, password, password_hash, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', ?12)",
            params![
                row.agent.as_bytes(),
                row.tenant.as_bytes(),
                sealed.bucket,
                sealed.name,
                sealed.email,
                sealed.email_hash,
                row.role.code(),
                row.active,
                row.capacity,
                row.availability.code(),
                sealed.password,
                row.created_at.0
            ],
        )
        .map_err(|fault| fault.exists("email"))?;
        Ok(())
    }

    fn agent_update(&mut self, row: &AgentRow) -> Result<(), Fault> {
        let sealed = self.seal_agent(row)?;
        let changed = self
            .execute(
                "UPDATE agents SET bucket = ?3, name = ?4, email = ?5, email_hash = ?6, role = ?7,
                     active = ?8, capacity = ?9
                 WHERE agent = ?1 AND tenant = ?2",
                params![
                    row.agent.as_bytes(),
                    row.tenant.as_bytes(),
                    sealed.bucket,
                    sealed.name,
                    sealed.email,
                    sealed.email_hash,
                    row.role.code(),
                    row.active,
                    row.capacity
                ],
            )
            .map_err(|fault| fault.exists("email"))?;
        found(changed)
    }

    pub(super) fn agent_availability(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Result<(), Fault> {
        found(self.execute(
            "UPDATE agents SET availability = ?3, capacity = coalesce(?4, capacity)
             WHERE agent = ?1 AND tenant = ?2 AND active",
            params![agent.as_bytes(), tenant.as_bytes(), availability.code(), capacity],
        )?)
    }

    fn agent_password(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        password_hash: &str,
    ) -> Result<(), Fault> {
        let created_at: Option<u64> = self
            .connection
            .prepare_cached("SELECT created_at FROM agents WHERE agent = ?1 AND tenant = ?2")?
            .query_row(params![agent.as_bytes(), tenant.as_bytes()], |row| row.get(0))
            .optional()?;
        let created_at = UnixMillis(created_at.ok_or(StoreError::NotFound)?);
        let password = self.seal_password(tenant, agent, created_at, password_hash)?;
        self.execute(
            "DELETE FROM password_resets WHERE agent = ?1 AND tenant = ?2",
            params![agent.as_bytes(), tenant.as_bytes()],
        )?;
        found(self.execute(
            "UPDATE agents SET password = ?3, password_hash = '' WHERE agent = ?1 AND tenant = ?2",
            params![agent.as_bytes(), tenant.as_bytes(), password],
        )?)
    }

    fn seal_password(
        &self,
        tenant: TenantId,
        agent: AgentId,
        created_at: UnixMillis,
        hash: &str,
    ) -> Result<Vec<u8>, Fault> {
        let lock = sealed::account_lock(tenant, agent, created_at.day());
        let bound = sealed::bound("agents.password", tenant, agent.as_bytes());
        sealed::unless_destroyed(self.sealer.seal(&lock, &bound, hash.as_bytes()))?
            .ok_or_else(|| StoreError::NotFound.into())
    }

    fn seal_agent(&mut self, row: &AgentRow) -> Result<SealedAgent, Fault> {
        let lock = sealed::account_lock(row.tenant, row.agent, row.created_at.day());
        let bound = |column| sealed::bound(column, row.tenant, row.agent.as_bytes());
        let (name, bucket) =
            self.seal_one(&lock, &bound("agents.name"), row.name.expose().as_bytes())?;
        let (email, _) =
            self.seal_one(&lock, &bound("agents.email"), row.email.expose().as_bytes())?;
        let (password, _) =
            self.seal_one(&lock, &bound("agents.password"), row.password_hash.as_bytes())?;
        let email_hash = sealed::email_hash(self.sealer, &row.email)?;
        Ok(SealedAgent { bucket, name, email, email_hash, password })
    }

    /// Behind the destruction of an agent's key: what it sealed goes, and the hash by which their
    /// address could be looked for. Their id stays, for transcripts name it.
    pub(super) fn agent_forget(&mut self, tenant: TenantId, agent: AgentId) -> Result<(), Fault> {
        let of = params![agent.as_bytes(), tenant.as_bytes()];
        // Each has another in the place of the hash, and no hash is so short.
        found(self.execute(
            "UPDATE agents SET name = x'', email = x'', email_hash = agent, password = NULL,
                 password_hash = '', active = 0 WHERE agent = ?1 AND tenant = ?2",
            of,
        )?)?;
        self.execute("DELETE FROM sessions WHERE agent = ?1 AND tenant = ?2", of)?;
        self.execute("DELETE FROM password_resets WHERE agent = ?1 AND tenant = ?2", of)?;
        Ok(())
    }

    /// Seals the passwords' hashes of a file of an earlier version.
    pub(super) fn seal_passwords(&mut self) -> Result<(), Fault> {
        let sql =
            "SELECT agent, tenant, created_at, password_hash FROM agents WHERE password_hash <> ''";
        let rows: Vec<([u8; 16], [u8; 16], u64, String)> = self
            .connection
            .prepare(sql)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        for (agent, tenant, created_at, hash) in rows {
            let (agent, tenant) = (AgentId::from_bytes(agent), TenantId::from_bytes(tenant));
            let lock = sealed::account_lock(tenant, agent, UnixMillis(created_at).day());
            let bound = sealed::bound("agents.password", tenant, agent.as_bytes());
            let sealed =
                sealed::unless_destroyed(self.sealer.seal(&lock, &bound, hash.as_bytes()))?;
            self.execute(
                "UPDATE agents SET password = ?2, password_hash = '' WHERE agent = ?1",
                params![agent.as_bytes(), sealed],
            )?;
        }
        Ok(())
    }

    /// Seals the names of API keys that an earlier version had in the open.
    pub(super) fn seal_key_names(&mut self) -> Result<(), Fault> {
        let sql = format!("{KEY} WHERE name <> ''");
        let rows: Vec<KeyRow> = self
            .connection
            .prepare(&sql)?
            .query_map([], open_key_row)?
            .collect::<Result<_, _>>()?;
        for row in rows {
            let (lock, bound) = (sealed::key_lock(&row), sealed::key_bound(&row));
            let (label, bucket) = self.seal_one(&lock, &bound, row.name.as_bytes())?;
            self.execute(
                "UPDATE api_keys SET label = ?2, bucket = ?3, name = '' WHERE api_key = ?1",
                params![row.key.as_bytes(), label, bucket],
            )?;
        }
        Ok(())
    }

    fn session_create(&mut self, row: &SessionRow) -> Result<(), Fault> {
        let lock = sealed::account_lock(row.tenant, row.agent, row.created_at.day());
        let bound = sealed::bound("sessions.client", row.tenant, row.session.as_bytes());
        let (client, bucket) = self.seal_one(&lock, &bound, row.client.expose().as_bytes())?;
        self.execute(
            "INSERT INTO sessions (session, agent, tenant, bucket, secret, client, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.session.as_bytes(),
                row.agent.as_bytes(),
                row.tenant.as_bytes(),
                bucket,
                row.secret.0,
                client,
                row.created_at.0,
                row.expires_at.0
            ],
        )
        .map_err(|fault| fault.exists("session"))?;
        Ok(())
    }

    pub(super) fn session_delete(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        session: SessionId,
    ) -> Result<(), Fault> {
        found(self.session_end(tenant, agent, session)?)
    }

    fn session_end(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        session: SessionId,
    ) -> Result<usize, Fault> {
        self.execute(
            "DELETE FROM sessions WHERE session = ?1 AND agent = ?2 AND tenant = ?3",
            params![session.as_bytes(), agent.as_bytes(), tenant.as_bytes()],
        )
    }

    fn invitation_create(&mut self, row: &InvitationRow) -> Result<(), Fault> {
        let id = row.invitation.as_bytes();
        let lock = sealed::own_lock(row.tenant, id, row.created_at.day());
        let bound = sealed::bound("invitations.email", row.tenant, id);
        let (email, bucket) = self.seal_one(&lock, &bound, row.email.expose().as_bytes())?;
        self.execute(
            "INSERT INTO invitations (invitation, tenant, bucket, email, role, secret, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                row.tenant.as_bytes(),
                bucket,
                email,
                row.role.code(),
                row.secret.0,
                row.created_at.0,
                row.expires_at.0
            ],
        )
        .map_err(|fault| fault.exists("invitation"))?;
        Ok(())
    }

    fn invitation_delete(
        &mut self,
        tenant: TenantId,
        invitation: InvitationId,
    ) -> Result<(), Fault> {
        found(self.execute(
            "DELETE FROM invitations WHERE invitation = ?1 AND tenant = ?2",
            params![invitation.as_bytes(), tenant.as_bytes()],
        )?)
    }

    fn password_reset_create(&mut self, row: &PasswordResetRow) -> Result<(), Fault> {
        self.execute(
            "INSERT OR REPLACE INTO password_resets (agent, tenant, secret, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row.agent.as_bytes(),
                row.tenant.as_bytes(),
                row.secret.0,
                row.created_at.0,
                row.expires_at.0
            ],
        )?;
        Ok(())
    }

    fn password_reset_end(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        secret: SecretHash,
    ) -> Result<(), Fault> {
        found(self.execute(
            "DELETE FROM password_resets WHERE agent = ?1 AND tenant = ?2 AND secret = ?3",
            params![agent.as_bytes(), tenant.as_bytes(), secret.0],
        )?)
    }

    /// Some of the sessions, invitations and password links that are over; whether there may be more.
    pub(super) fn delete_ended(&mut self, at: UnixMillis) -> Result<bool, Fault> {
        let mut more = false;
        for table in ["sessions", "invitations", "password_resets"] {
            let sql = format!(
                "DELETE FROM {table} WHERE id IN
                     (SELECT id FROM {table} WHERE expires_at <= ?1 LIMIT ?2)"
            );
            let deleted = self.execute(&sql, params![at.0, ENDED_AT_ONCE])?;
            more |= deleted == ENDED_AT_ONCE;
        }
        Ok(more)
    }

    fn key_create(&mut self, row: &KeyRow) -> Result<(), Fault> {
        let (lock, bound) = (sealed::key_lock(row), sealed::key_bound(row));
        let (label, bucket) = self.seal_one(&lock, &bound, row.name.as_bytes())?;
        self.execute(
            "INSERT INTO api_keys (api_key, tenant, name, label, bucket, scopes, secret, created_at)
             VALUES (?1, ?2, '', ?3, ?4, ?5, ?6, ?7)",
            params![
                row.key.as_bytes(),
                tenant_bytes(row.tenant.as_ref()),
                label,
                bucket,
                row.scopes.join("\n"),
                row.secret.0,
                row.created_at.0
            ],
        )
        .map_err(|fault| fault.exists("key"))?;
        Ok(())
    }

    pub(super) fn key_delete(&mut self, tenant: Option<TenantId>, key: KeyId) -> Result<(), Fault> {
        found(self.execute(
            "DELETE FROM api_keys WHERE api_key = ?1 AND tenant = ?2",
            params![key.as_bytes(), tenant_bytes(tenant.as_ref())],
        )?)
    }

    fn tag_create(&mut self, row: &TagRow) -> Result<(), Fault> {
        self.execute(
            "INSERT INTO tags (tag, tenant, name) VALUES (?1, ?2, ?3)",
            params![row.tag.as_bytes(), row.tenant.as_bytes(), row.name],
        )
        .map_err(|fault| fault.exists("name"))?;
        Ok(())
    }

    fn tag_update(&mut self, row: &TagRow) -> Result<(), Fault> {
        let changed = self.execute(
            "UPDATE tags SET name = ?3 WHERE tag = ?1 AND tenant = ?2",
            params![row.tag.as_bytes(), row.tenant.as_bytes(), row.name],
        );
        found(changed.map_err(|fault| fault.exists("name"))?)
    }

    pub(super) fn tag_delete(&mut self, tenant: TenantId, tag: TagId) -> Result<(), Fault> {
        found(self.execute(
            "DELETE FROM tags WHERE tag = ?1 AND tenant = ?2",
            params![tag.as_bytes(), tenant.as_bytes()],
        )?)
    }

    /// Keeps the answer to a create, in the place of one that is over.
    fn answer(&mut self, row: &AnswerRow) -> Result<(), Fault> {
        let AnswerRow { tenant, key, request, answer, at } = row;
        let (connection, sealer, now) = (self.connection, self.sealer, self.now);
        let kept = Reader { connection, sealer, now, waiting: &[] };
        if kept.idempotent_answer(*tenant, key)?.is_some() {
            return Err(StoreError::Exists { what: ANSWERED }.into());
        }
        let hash = sealed::answer_hash(self.sealer, *tenant, key)?;
        self.answers_forget(UnixMillis(at.0.saturating_sub(ANSWER_MS)))?;
        let lock = sealed::answer_lock(*tenant, at.day());
        let plain = [&request[..], answer].concat();
        let (sealed, bucket) =
            self.seal_one(&lock, &sealed::answer_bound(*tenant, &hash), &plain)?;
        self.execute(
            "INSERT INTO idempotent_answers (tenant, key_hash, bucket, answer, at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (tenant, key_hash) DO UPDATE SET
                 bucket = excluded.bucket, answer = excluded.answer, at = excluded.at",
            params![tenant.as_bytes(), hash, bucket, sealed, at.0],
        )?;
        Ok(())
    }

    /// The operator's word on the clock, if it may count.
    pub(super) fn clock_act(&mut self, act: ClockAct) -> Result<bool, Fault> {
        let sql = "SELECT high_water, destroyed_by FROM meta";
        let (mark, destroyed_by) = self
            .connection
            .query_row(sql, [], |row| Ok((UnixMillis(row.get(0)?), UnixMillis(row.get(1)?))))?;
        let allowed = if act.lower {
            may_lower(mark, act.wall, destroyed_by)
        } else {
            may_confirm(mark, act.wall)
        };
        if !allowed {
            return Ok(false);
        }
        if act.lower {
            self.execute("UPDATE meta SET high_water = ?1", [act.wall.0])?;
        }
        self.execute(
            "INSERT INTO clock_acts (at, api_key, act, mark_before) VALUES (?1, ?2, ?3, ?4)",
            params![act.wall.0, act.key.as_bytes(), 1 + u8::from(act.lower), mark.0],
        )?;
        Ok(true)
    }

    /// Deletes some of the answers that were kept until this moment. Returns whether there may be more.
    pub(super) fn answers_forget(&mut self, until: UnixMillis) -> Result<bool, Fault> {
        let gone = self.execute(
            "DELETE FROM idempotent_answers WHERE id IN
                 (SELECT id FROM idempotent_answers WHERE at <= ?1 ORDER BY at LIMIT ?2)",
            params![until.0, ANSWERS_SWEPT],
        )?;
        Ok(gone >= usize::from(ANSWERS_SWEPT))
    }
}

fn found(changed: usize) -> Result<(), Fault> {
    if changed == 0 { Err(StoreError::NotFound.into()) } else { Ok(()) }
}

fn tenant_bytes(tenant: Option<&TenantId>) -> &[u8] {
    tenant.map_or(&[], |tenant| tenant.as_bytes().as_slice())
}

fn site_texts(row: &SiteRow) -> Result<(String, String), Fault> {
    let timeline = serde_json::to_string(&row.timeline).map_err(|_| Fault::Row("timeline"))?;
    let settings = serde_json::to_string(&row.settings).map_err(|_| Fault::Row("settings"))?;
    Ok((timeline, settings))
}

const TENANT: &str = "SELECT tenant, name, privacy_contact, created_at FROM tenants";
const SITE: &str = "SELECT site, tenant, site_key, name, timeline, settings, created_at FROM sites";
const AGENT: &str = "SELECT agent, tenant, name, email, role, active, capacity, availability,
    password, created_at FROM agents";
const SESSION: &str =
    "SELECT session, agent, tenant, secret, client, created_at, expires_at FROM sessions";
const INVITATION: &str =
    "SELECT invitation, tenant, email, role, secret, created_at, expires_at FROM invitations";
const KEY: &str = "SELECT api_key, tenant, name, scopes, secret, created_at, label FROM api_keys";

impl Reader<'_> {
    /// Every row of a question that can still be read.
    fn all<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl Fn(&Self, &Row<'_>) -> Result<Option<T>, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.extend(read(self, row)?);
        }
        Ok(found)
    }

    pub(super) fn tenant(&self, tenant: TenantId) -> Result<Option<TenantRow>, Fault> {
        let sql = format!("{TENANT} WHERE tenant = ?1");
        Ok(self.all(&sql, [tenant.as_bytes()], Self::tenant_row)?.pop())
    }

    pub(super) fn tenants(&self, page: Page<TenantId>) -> Result<Vec<TenantRow>, Fault> {
        let sql = format!(
            "{TENANT} WHERE id > coalesce((SELECT id FROM tenants WHERE tenant = ?1), 0)
             ORDER BY id LIMIT ?2"
        );
        let after = page.after.map(|tenant| *tenant.as_bytes());
        self.all(&sql, params![after, page.limit], Self::tenant_row)
    }

    fn tenant_row(&self, row: &Row<'_>) -> Result<Option<TenantRow>, Fault> {
        let tenant = TenantId::from_bytes(row.get(0)?);
        let created_at = UnixMillis(row.get(3)?);
        let lock = sealed::own_lock(tenant, tenant.as_bytes(), created_at.day());
        let bound = sealed::bound("tenants.privacy_contact", tenant, tenant.as_bytes());
        let privacy_contact = self.text(&lock, &bound, row, 2)?.unwrap_or_default();
        Ok(Some(TenantRow { tenant, name: row.get(1)?, privacy_contact, created_at }))
    }

    pub(super) fn site(&self, tenant: TenantId, site: SiteId) -> Result<Option<SiteRow>, Fault> {
        let sql = format!("{SITE} WHERE site = ?1 AND tenant = ?2");
        Ok(self.all(&sql, params![site.as_bytes(), tenant.as_bytes()], site_row)?.pop())
    }

    pub(super) fn site_of_any_tenant(&self, site: SiteId) -> Result<Option<SiteRow>, Fault> {
        let sql = format!("{SITE} WHERE site = ?1");
        Ok(self.all(&sql, [site.as_bytes()], site_row)?.pop())
    }

    pub(super) fn site_by_key(&self, key: &SiteKey) -> Result<Option<SiteRow>, Fault> {
        let sql = format!("{SITE} WHERE site_key = ?1");
        Ok(self.all(&sql, [key.as_str()], site_row)?.pop())
    }

    pub(super) fn sites(
        &self,
        tenant: TenantId,
        page: Page<SiteId>,
    ) -> Result<Vec<SiteRow>, Fault> {
        let sql = format!(
            "{SITE} WHERE tenant = ?1 AND id > coalesce(
                 (SELECT id FROM sites WHERE site = ?2 AND tenant = ?1), 0)
             ORDER BY id LIMIT ?3"
        );
        let after = page.after.map(|site| *site.as_bytes());
        self.all(&sql, params![tenant.as_bytes(), after, page.limit], site_row)
    }

    pub(super) fn agent(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Option<AgentRow>, Fault> {
        let sql = format!("{AGENT} WHERE agent = ?1 AND tenant = ?2");
        let values = params![agent.as_bytes(), tenant.as_bytes()];
        Ok(self.all(&sql, values, Self::agent_row)?.pop())
    }

    pub(super) fn agents_by_email(&self, email: &Personal<String>) -> Result<Vec<AgentRow>, Fault> {
        let hash = sealed::email_hash(self.sealer, email)?;
        let mut rows = self.all(
            &format!("{AGENT} WHERE email_hash = ?1 ORDER BY id"),
            [hash],
            Self::agent_row,
        )?;
        // One whose key is destroyed is not found by address, though the row is not cleared yet.
        rows.retain(|row| !row.email.expose().is_empty());
        Ok(rows)
    }

    pub(super) fn agents(
        &self,
        tenant: TenantId,
        page: Page<AgentId>,
    ) -> Result<Vec<AgentRow>, Fault> {
        let sql = format!(
            "{AGENT} WHERE tenant = ?1 AND id > coalesce(
                 (SELECT id FROM agents WHERE agent = ?2 AND tenant = ?1), 0)
             ORDER BY id LIMIT ?3"
        );
        let after = page.after.map(|agent| *agent.as_bytes());
        self.all(&sql, params![tenant.as_bytes(), after, page.limit], Self::agent_row)
    }

    /// An erased agent is one without a name, an address and a way to sign in: transcripts and pages
    /// still count them.
    fn agent_row(&self, row: &Row<'_>) -> Result<Option<AgentRow>, Fault> {
        let agent = AgentId::from_bytes(row.get(0)?);
        let tenant = TenantId::from_bytes(row.get(1)?);
        let created_at = UnixMillis(row.get(9)?);
        let lock = sealed::account_lock(tenant, agent, created_at.day());
        let text = |column: &str, index: usize| {
            self.text(&lock, &sealed::bound(column, tenant, agent.as_bytes()), row, index)
        };
        // Their key is destroyed, or the clean-up has been here.
        let erased = row.get_ref(2)?.as_bytes().is_ok_and(<[u8]>::is_empty);
        let name = if erased { None } else { text("agents.name", 2)? };
        let (email, password) = match name {
            Some(_) => (text("agents.email", 3)?, text("agents.password", 8)?),
            None => (None, None),
        };
        let active = name.is_some() && row.get(5)?;
        Ok(Some(AgentRow {
            agent,
            tenant,
            name: name.unwrap_or_default(),
            email: email.unwrap_or_default(),
            role: Role::from_code(row.get(4)?).ok_or(Fault::Row("role"))?,
            active,
            capacity: row.get(6)?,
            availability: Availability::from_code(row.get(7)?).ok_or(Fault::Row("availability"))?,
            password_hash: Arc::from(password.unwrap_or_default().into_exposed()),
            created_at,
        }))
    }

    pub(super) fn session_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<SessionRow>, Fault> {
        Ok(self.all(&format!("{SESSION} WHERE secret = ?1"), [secret.0], Self::session_row)?.pop())
    }

    pub(super) fn sessions(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Vec<SessionRow>, Fault> {
        let sql = format!("{SESSION} WHERE agent = ?1 AND tenant = ?2 ORDER BY id");
        self.all(&sql, params![agent.as_bytes(), tenant.as_bytes()], Self::session_row)
    }

    fn session_row(&self, row: &Row<'_>) -> Result<Option<SessionRow>, Fault> {
        let session = SessionId::from_bytes(row.get(0)?);
        let agent = AgentId::from_bytes(row.get(1)?);
        let tenant = TenantId::from_bytes(row.get(2)?);
        let created_at = UnixMillis(row.get(5)?);
        let lock = sealed::account_lock(tenant, agent, created_at.day());
        let bound = sealed::bound("sessions.client", tenant, session.as_bytes());
        let Some(client) = self.text(&lock, &bound, row, 4)? else { return Ok(None) };
        Ok(Some(SessionRow {
            session,
            agent,
            tenant,
            secret: SecretHash(row.get(3)?),
            client,
            created_at,
            expires_at: UnixMillis(row.get(6)?),
        }))
    }

    pub(super) fn invitation_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<InvitationRow>, Fault> {
        let sql = format!("{INVITATION} WHERE secret = ?1");
        Ok(self.all(&sql, [secret.0], Self::invitation_row)?.pop())
    }

    pub(super) fn invitations(&self, tenant: TenantId) -> Result<Vec<InvitationRow>, Fault> {
        let sql = format!("{INVITATION} WHERE tenant = ?1 ORDER BY id");
        self.all(&sql, [tenant.as_bytes()], Self::invitation_row)
    }

    pub(super) fn password_reset_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<PasswordResetRow>, Fault> {
        let sql = "SELECT tenant, agent, secret, created_at, expires_at FROM password_resets
                   WHERE secret = ?1";
        let found = self.all(sql, [secret.0], |_, row| {
            Ok(Some(PasswordResetRow {
                tenant: TenantId::from_bytes(row.get(0)?),
                agent: AgentId::from_bytes(row.get(1)?),
                secret: SecretHash(row.get(2)?),
                created_at: UnixMillis(row.get(3)?),
                expires_at: UnixMillis(row.get(4)?),
            }))
        });
        Ok(found?.pop())
    }

    fn invitation_row(&self, row: &Row<'_>) -> Result<Option<InvitationRow>, Fault> {
        let invitation = InvitationId::from_bytes(row.get(0)?);
        let tenant = TenantId::from_bytes(row.get(1)?);
        let created_at = UnixMillis(row.get(5)?);
        let lock = sealed::own_lock(tenant, invitation.as_bytes(), created_at.day());
        let bound = sealed::bound("invitations.email", tenant, invitation.as_bytes());
        let Some(email) = self.text(&lock, &bound, row, 2)? else { return Ok(None) };
        Ok(Some(InvitationRow {
            invitation,
            tenant,
            email,
            role: Role::from_code(row.get(3)?).ok_or(Fault::Row("role"))?,
            secret: SecretHash(row.get(4)?),
            created_at,
            expires_at: UnixMillis(row.get(6)?),
        }))
    }

    pub(super) fn key_by_secret(&self, secret: SecretHash) -> Result<Option<KeyRow>, Fault> {
        Ok(self.all(&format!("{KEY} WHERE secret = ?1"), [secret.0], key_row)?.pop())
    }

    pub(super) fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<KeyRow>, Fault> {
        let sql = format!("{KEY} WHERE tenant = ?1 ORDER BY id");
        self.all(&sql, [tenant_bytes(tenant.as_ref())], key_row)
    }

    pub(super) fn tags(&self, tenant: TenantId) -> Result<Vec<TagRow>, Fault> {
        let sql = "SELECT tag, name FROM tags WHERE tenant = ?1 ORDER BY id";
        self.all(sql, [tenant.as_bytes()], |_, row| {
            let tag = TagId::from_bytes(row.get(0)?);
            Ok(Some(TagRow { tag, tenant, name: row.get(1)? }))
        })
    }

    pub(super) fn idempotent_answer(
        &self,
        tenant: TenantId,
        key: &str,
    ) -> Result<Option<Answer>, Fault> {
        let hash = sealed::answer_hash(self.sealer, tenant, key)?;
        let kept: Option<(Vec<u8>, u64)> = self
            .connection
            .prepare_cached(
                "SELECT answer, at FROM idempotent_answers WHERE tenant = ?1 AND key_hash = ?2",
            )?
            .query_row(params![tenant.as_bytes(), hash], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((sealed, at)) = kept else { return Ok(None) };
        let day: Day = UnixMillis(at).day();
        if self.now.ms_since(UnixMillis(at)) >= ANSWER_MS {
            return Ok(None);
        }
        let lock = sealed::answer_lock(tenant, day);
        let kept = self.sealer.unseal(&lock, &sealed::answer_bound(tenant, &hash), &sealed);
        let Some(kept) = sealed::unless_destroyed(kept)? else { return Ok(None) };
        let (request, answer) = kept.split_first_chunk().ok_or(Fault::Row("answer"))?;
        Ok(Some((*request, answer.to_vec())))
    }
}

fn site_row(_: &Reader<'_>, row: &Row<'_>) -> Result<Option<SiteRow>, Fault> {
    let timeline: String = row.get(4)?;
    let settings: String = row.get(5)?;
    let site_key: String = row.get(2)?;
    Ok(Some(SiteRow {
        site: SiteId::from_bytes(row.get(0)?),
        tenant: TenantId::from_bytes(row.get(1)?),
        site_key: SiteKey::parse(&site_key).map_err(|_| Fault::Row("site key"))?,
        name: row.get(3)?,
        timeline: serde_json::from_str(&timeline).map_err(|_| Fault::Row("timeline"))?,
        settings: serde_json::from_str(&settings).map_err(|_| Fault::Row("settings"))?,
        created_at: UnixMillis(row.get(6)?),
    }))
}

fn key_row(reader: &Reader<'_>, row: &Row<'_>) -> Result<Option<KeyRow>, Fault> {
    let mut key = open_key_row(row)?;
    let label: Option<Vec<u8>> = row.get(6)?;
    let (lock, bound) = (sealed::key_lock(&key), sealed::key_bound(&key));
    let name = sealed::unseal_text(reader.sealer, &lock, &bound, label.as_deref())?;
    key.name = name.map(Personal::into_exposed).unwrap_or_default();
    Ok(Some(key))
}

/// All but the sealed name.
fn open_key_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    let tenant: Vec<u8> = row.get(1)?;
    let scopes: String = row.get(3)?;
    Ok(KeyRow {
        key: KeyId::from_bytes(row.get(0)?),
        tenant: <[u8; 16]>::try_from(tenant).ok().map(TenantId::from_bytes),
        name: row.get(2)?,
        scopes: scopes.split('\n').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        secret: SecretHash(row.get(4)?),
        created_at: UnixMillis(row.get(5)?),
    })
}
