//! The first rows of a server: an Organization, a site, its admin, the operator's key.
//!
//! Lives here: what `livehelp init` makes. Not here: folders and keys (`opened` makes those), later
//! Organizations (the admin listener). Called by the command line, on a stopped server's folders.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, SiteId, SiteKey, TenantId};
use protocol::personal::Personal;
use protocol::visible;
use secrecy::SecretString;

use crate::auth::{EmailError, PasswordError, hash_password, normal_email};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Store as StoreSetting};
use crate::keys::{random_bytes, uuid_v7};
use crate::opened::{self, Opened, OpeningError};
use crate::operator_key::{
    OPERATOR_KEY_FILE, OperatorKeyError, holds_one_of, key_made, new_operator_key_in,
};
use crate::origin::{OriginError, parse_origin};
use crate::privacy::audit::{Act, Action, Actor, ChainId, ObjectKind};
use crate::privacy::policy::{Plan, SiteTimeline};
use crate::store::{
    AgentRow, Change, FieldRule, SiteRow, SiteSettings, Store, StoreError, TenantRow, sqlite,
};

/// How long whoever has the folders is waited for, as another `init` beside this one, and how often
/// it is looked.
const IN_USE_WAIT: Duration = Duration::from_secs(10);
const IN_USE_LOOK: Duration = Duration::from_millis(50);

/// Characters of a name, as over REST.
const NAME_CHARS_MAX: usize = 200;

/// What a new server begins with.
#[derive(Debug)]
pub struct NewServer {
    /// Name of the Organization.
    pub organization: String,
    /// Name of its first site.
    pub site: String,
    /// Origins that may embed the widget.
    pub origins: Vec<String>,
    /// Name of the first admin.
    pub admin_name: Personal<String>,
    /// Their e-mail address.
    pub admin_email: Personal<String>,
    /// Their password.
    pub admin_password: SecretString,
}

/// Why nothing was made. No value of a person is in it.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Folders, keys or data.
    #[error(transparent)]
    Open(#[from] OpeningError),
    /// An origin.
    #[error("--origin {given:?} cannot be used")]
    Origin { given: String, source: OriginError },
    /// The address.
    #[error("--admin-email is not an e-mail address")]
    Email(#[source] EmailError),
    /// The password.
    #[error("the password in --admin-password-file cannot be used")]
    Password(#[source] PasswordError),
    /// A name.
    #[error("--{flag} is empty or longer than {NAME_CHARS_MAX} characters")]
    Name { flag: &'static str },
    /// The store.
    #[error("the data folder did not take it")]
    Store(#[from] StoreError),
    /// The operator's key.
    #[error(transparent)]
    OperatorKey(#[from] OperatorKeyError),
    /// There is nothing that would keep it.
    #[error(
        "`store` = memory keeps nothing, so nothing can be made beforehand: start `livehelp serve`, and set it up over the admin listener with the operator-key that it puts into the keys folder"
    )]
    Memory,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    tenant: TenantId,
    site: SiteId,
    site_key: SiteKey,
    embed_tag: String,
    agent: AgentId,
    operator_key_file: PathBuf,
}

impl Made {
    /// One line of JSON.
    pub fn json(&self) -> String {
        serde_json::json!({
            "tenant_id": self.tenant.to_string(),
            "site_id": self.site.to_string(),
            "site_key": self.site_key.to_string(),
            "embed_tag": self.embed_tag,
            "agent_id": self.agent.to_string(),
            "operator_key_file": self.operator_key_file,
        })
        .to_string()
    }
}

/// Opens the folders, makes the first rows, closes.
///
/// # Errors
/// If anything given cannot be used, or the folders are another server's or in use.
pub async fn init(config: &Config, new: &NewServer) -> Result<Made, InitError> {
    if config.store == StoreSetting::Memory {
        return Err(InitError::Memory);
    }
    // Judged before anything is made.
    let first = FirstRows::of(new, config.agent_capacity, &SystemClock)?;
    let opened = opened::open_new(config, Arc::new(SystemClock))?;
    let made = first.keep(&*opened.store, config).await;
    close(opened).await;
    made
}

/// The same where there is no server yet, however many do it at once; where there is one, what it
/// has.
///
/// # Errors
/// As [`init`]; whoever has the folders is waited for, but not for long.
pub async fn init_if_absent(
    config: &Config,
    new: &NewServer,
) -> Result<Result<Made, There>, InitError> {
    let since = SystemClock.instant();
    let waits = || SystemClock.instant().saturating_duration_since(since) < IN_USE_WAIT;
    loop {
        if let Some(there) = there(config)? {
            return Ok(Err(there));
        }
        let first = FirstRows::of(new, config.agent_capacity, &SystemClock)?;
        match opened::open_new(config, Arc::new(SystemClock)) {
            Err(error) if error.is_in_use() && waits() => {
                tokio::time::sleep(IN_USE_LOOK).await;
            }
            Err(error) => return Err(error.into()),
            Ok(opened) => {
                // Another may have made it since it was looked for.
                let keys = opened.store.keys(None).await;
                let made = match keys {
                    Ok(keys) if keys.is_empty() => Some(first.keep(&*opened.store, config).await),
                    Ok(_) => None,
                    Err(error) => Some(Err(error.into())),
                };
                close(opened).await;
                if let Some(made) = made {
                    return Ok(Ok(made?));
                }
            }
        }
    }
}

async fn close(opened: Opened) {
    opened.store.close().await;
    opened.keys.close();
}

/// What a server has that was made before.
#[derive(Debug)]
pub struct There {
    tenants: u64,
    sites: u64,
    agents: u64,
    operator_key_file: PathBuf,
}

impl There {
    /// One line of JSON.
    pub fn json(&self) -> String {
        serde_json::json!({
            "made": false,
            "tenants": self.tenants,
            "sites": self.sites,
            "agents": self.agents,
            "operator_key_file": self.operator_key_file,
        })
        .to_string()
    }
}

/// What is there already, where a whole `init` was done before; it may be in use. Nothing is made
/// or changed.
///
/// # Errors
/// If the folders are not what a start would take.
pub fn there(config: &Config) -> Result<Option<There>, InitError> {
    if config.store == StoreSetting::Memory {
        return Err(InitError::Memory);
    }
    opened::look(config)?;
    let found = sqlite::count(&config.data).map_err(OpeningError::from)?;
    // The operator's key is the last thing that is made.
    Ok(found.filter(|found| found.operator_keys > 0).map(|found| There {
        tenants: found.tenants,
        sites: found.sites,
        agents: found.agents,
        operator_key_file: config.keys.join(OPERATOR_KEY_FILE),
    }))
}

/// The rows, judged and ready.
struct FirstRows {
    tenant: TenantRow,
    site: SiteRow,
    agent: AgentRow,
}

impl FirstRows {
    fn of(new: &NewServer, capacity: u16, clock: &dyn Clock) -> Result<Self, InitError> {
        let now = clock.now();
        let tenant = TenantId::from_uuid(uuid_v7(now));
        let email = normal_email(new.admin_email.expose()).map_err(InitError::Email)?;
        let origins = new
            .origins
            .iter()
            .map(|given| {
                parse_origin(given)
                    .map_err(|source| InitError::Origin { given: given.clone(), source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let form = ["name", "email"].map(|field| (field.to_owned(), FieldRule::Optional));
        Ok(Self {
            tenant: TenantRow {
                tenant,
                name: name("tenant-name", &new.organization)?,
                privacy_contact: email.clone(),
                created_at: now,
            },
            site: SiteRow {
                site: SiteId::from_uuid(uuid_v7(now)),
                tenant,
                site_key: SiteKey::from_random(random_bytes()),
                name: name("site-name", &new.site)?,
                timeline: SiteTimeline::new(now, Plan::Free),
                settings: SiteSettings {
                    origins,
                    form: BTreeMap::from(form),
                    ..SiteSettings::default()
                },
                created_at: now,
            },
            agent: AgentRow {
                agent: AgentId::from_uuid(uuid_v7(now)),
                tenant,
                name: Personal::new(name("admin-name", new.admin_name.expose())?),
                email,
                role: Role::Admin,
                active: true,
                capacity,
                availability: Availability::Offline,
                password_hash: hash_password(&new.admin_password).map_err(InitError::Password)?,
                created_at: now,
            },
        })
    }

    async fn keep(self, store: &dyn Store, config: &Config) -> Result<Made, InitError> {
        let at = self.tenant.created_at;
        let operator_key_file = config.keys.join(OPERATOR_KEY_FILE);
        let own = config.public_origin(config.listen);
        let origin = own.as_str();
        let key = &self.site.site_key;
        let made = Made {
            tenant: self.tenant.tenant,
            site: self.site.site,
            site_key: key.clone(),
            embed_tag: format!(
                r#"<script async src="{origin}/widget/loader.js" data-site-key="{key}"></script>"#
            ),
            agent: self.agent.agent,
            operator_key_file: operator_key_file.clone(),
        };
        let begun = |chain, action, kind, id| {
            Change::audit(Act::new(chain, at, Actor::PROGRAM, action).on(kind, id))
        };
        let (tenant, site, agent) = (self.tenant.tenant, self.site.site, self.agent.agent);
        let chain = ChainId::of(tenant);
        let tenant = *tenant.as_bytes();
        let mut rows = vec![
            begun(ChainId::OPERATOR, Action::TenantCreated, ObjectKind::Tenant, tenant),
            begun(chain, Action::SiteCreated, ObjectKind::Site, *site.as_bytes()),
            begun(chain, Action::AgentCreated, ObjectKind::Agent, *agent.as_bytes()),
            Change::create(self.tenant),
            Change::create(self.site),
            Change::create(self.agent),
        ];
        // A second Organization on the same server is run by the same operator. A file whose key
        // this server does not know was left by data that is gone: it opens nothing, and a new one
        // takes its place. The file first, then all rows in one batch: whatever a kill leaves is
        // made anew.
        if !holds_one_of(&operator_key_file, &store.keys(None).await?)? {
            rows.extend(key_made(new_operator_key_in(operator_key_file, at)?, at));
        }
        store.change(rows).await?;
        Ok(made)
    }
}

fn name(flag: &'static str, text: &str) -> Result<String, InitError> {
    let kept = visible::name(text);
    if kept.is_empty() || kept.chars().count() > NAME_CHARS_MAX {
        return Err(InitError::Name { flag });
    }
    Ok(kept.into_owned())
}
