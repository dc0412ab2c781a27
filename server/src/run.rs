//! The assembly: opens what is kept, wires the layers, serves until told to stop, and drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::{ApiState, admin_router, public_router};
use crate::bus::memory::MemoryBus;
use crate::clock::{Clock, SystemClock};
use crate::config::{Bus as BusSetting, Config};
use crate::gateway::{Gateway, GatewayConfig};
use crate::http::admin::{Check, Health};
use crate::http::tls::{Tls, TlsError};
use crate::http::{Limits, NoSockets, admin, assets, demo, serve};
use crate::hub::{Hub, HubConfig};
use crate::keys::{KeyStore, KeysError};
use crate::live::LiveHub;
use crate::metrics::Metrics;
use crate::privacy::seal::Sealer;
use crate::routing::RoutingConfig;
use crate::store::sqlite::{OpenError, SqliteConfig, SqliteStore};
use crate::store::{Page, Store};
use crate::sweep::Sweeper;
use crate::tasks;

/// How often the certificate's files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);

/// The sockets that were bound before anything was opened: a taken port costs nothing.
#[derive(Debug)]
pub struct Listeners {
    /// Widget, console, REST, sockets.
    pub public: TcpListener,
    /// Metrics, health, the operator.
    pub admin: TcpListener,
    /// The demo shop, where it is served.
    pub demo: Option<TcpListener>,
}

/// Why the server did not start. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The data.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What was under way could not be read.
    #[error("the conversations that were under way cannot be read from {}", .0.display())]
    Restore(PathBuf),
    /// The system.
    #[error("the address of a listener cannot be read")]
    Listener(#[source] std::io::Error),
    /// A bus that this build has no implementation for.
    #[error("the setting `bus` names a Redis, which this build cannot use yet; set it to `memory`")]
    Bus,
}

/// The store and the keys, opened together.
#[derive(Debug)]
pub struct Opened {
    pub store: Arc<SqliteStore>,
    pub keys: Arc<KeyStore>,
}

/// Opens keys and data; makes both where there is neither.
///
/// # Errors
/// If either is damaged, missing, in use, or not the other's.
pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, RunError> {
    let generation = SqliteStore::generation(&config.data)?;
    let keys = Arc::new(KeyStore::open(&config.keys, &config.data, generation)?);
    let sealer: Arc<dyn Sealer> = Arc::<KeyStore>::clone(&keys);
    let settings = SqliteConfig {
        queue_len: config.store_queue_max,
        patience: Duration::from_millis(config.store_patience_ms),
        ..SqliteConfig::default()
    };
    let store = Arc::new(SqliteStore::open(&config.data, sealer, &settings, clock)?);
    Ok(Opened { store, keys })
}

/// Serves until `shutdown` turns true, then drains and closes. `ready` hears once all is open.
///
/// # Errors
/// If it cannot start; nothing was changed then.
#[expect(
    clippy::too_many_lines,
    reason = "the one place that sees everything, read from top to bottom"
)]
pub async fn run(
    config: Config,
    listeners: Listeners,
    mut shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&Listeners) + Send,
) -> Result<(), RunError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if config.bus != BusSetting::Memory {
        return Err(RunError::Bus);
    }
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(Arc::new(Tls::load(cert, key)?)),
        _ => None,
    };
    let Opened { store: sqlite, keys } = open(&config, Arc::clone(&clock))?;
    let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&sqlite);
    let metrics = Metrics::new();
    let hub =
        Hub::new(Arc::clone(&store), Arc::new(MemoryBus), Arc::clone(&clock), hub_config(&config));
    hub.start().await.map_err(|_| RunError::Restore(config.data.clone()))?;
    let address = listeners.public.local_addr().map_err(RunError::Listener)?;
    let public_url = public_url(&config, address);
    let gateway = Gateway::new(
        Arc::clone(&hub),
        Arc::clone(&store),
        Arc::clone(&clock),
        gateway_config(&config, &public_url),
    );
    let secure_cookies = public_url.starts_with("https:");
    let api = ApiState::new(
        Arc::clone(&store),
        Arc::new(LiveHub(Arc::clone(&hub))),
        Arc::clone(&clock),
        &public_url,
        secure_cookies,
    );
    // Two stages: first no more newcomers and a calm farewell, then what runs by itself.
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    ready(&listeners);
    let Listeners { public, admin: admin_listener, demo: demo_listener } = listeners;
    let limits = Limits::of(&config);
    let health = Health::new(Arc::clone(&metrics), checks(&store));
    let mut serving = vec![
        tasks::spawn(
            "public listener",
            serve(
                public,
                tls.clone(),
                assets::routes().merge(public_router(api.clone())),
                Arc::clone(&gateway),
                limits.clone(),
                Arc::clone(&metrics),
                stopped.clone(),
            ),
        ),
        tasks::spawn(
            "admin listener",
            serve(
                admin_listener,
                None,
                admin::routes(&health).merge(admin_router(api)),
                Arc::new(NoSockets),
                limits.clone(),
                Arc::clone(&metrics),
                ended.clone(),
            ),
        ),
    ];
    if let Some(demo) = demo_listener {
        let shop = demo::routes(&public_url, &demo_site_key(&*store).await);
        let nobody = Arc::new(NoSockets);
        let metrics = Arc::clone(&metrics);
        let served = serve(demo, None, shop, nobody, limits, metrics, stopped.clone());
        serving.push(tasks::spawn("demo listener", served));
    }
    let mut keeping = vec![
        tasks::spawn("upkeep", Arc::clone(&hub).upkeep(ended.clone())),
        tasks::spawn("heartbeats", Arc::clone(&gateway).heartbeat(ended.clone())),
        tasks::spawn(
            "sweep",
            Sweeper::new(Arc::clone(&store), keys, Arc::clone(&clock))
                .run(Duration::from_millis(config.sweep_ms), ended.clone()),
        ),
    ];
    if let Some(tls) = tls {
        keeping.push(tasks::spawn("certificate", tls.watch(CERTIFICATE_LOOK, ended.clone())));
    }
    admin::watch_lag(Arc::clone(&metrics), ended.clone());
    health.set_started();
    tracing::info!(%address, "livehelp serves");
    if shutdown.wait_for(|down| *down).await.is_err() {
        tracing::warn!("whoever could stop the server is gone: it stops");
    }
    tracing::info!("draining");
    health.set_draining();
    tokio::time::sleep(Duration::from_millis(config.drain_grace_ms)).await;
    stop.send_replace(true);
    gateway.drain(config.drain_ms).await;
    end.send_replace(true);
    for task in serving.into_iter().chain(keeping) {
        if task.await.is_err() {
            tracing::error!("a task ended by a fault");
        }
    }
    store.close().await;
    tracing::info!("livehelp has stopped");
    Ok(())
}

/// What must hold for /readyz.
fn checks(store: &Arc<dyn Store>) -> Vec<Check> {
    let store = Arc::clone(store);
    vec![("store", Box::new(move || store.healthy()))]
}

/// The site that the demo shop embeds: the first one there is.
async fn demo_site_key(store: &dyn Store) -> String {
    let tenants = store.tenants(Page { limit: 1, after: None }).await.unwrap_or_default();
    let Some(tenant) = tenants.first() else { return String::new() };
    let sites = store.sites(tenant.tenant, Page { limit: 1, after: None }).await;
    sites.unwrap_or_default().first().map_or(String::new(), |site| site.site_key.to_string())
}

/// Where browsers reach the public listener.
fn public_url(config: &Config, address: SocketAddr) -> String {
    config.public_url.clone().unwrap_or_else(|| {
        let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    })
}

fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        routing: RoutingConfig {
            offer_ms: config.offer_ms,
            grace_ms: config.agent_grace_ms,
            ..RoutingConfig::default()
        },
        visitor_grace_ms: VISITOR_GRACE_MS,
        conversations_per_visitor_max: config.conversations_per_visitor_max,
    }
}

/// How long a visitor whose line broke counts as there: a reload or a tunnel.
const VISITOR_GRACE_MS: u64 = 20_000;

fn gateway_config(config: &Config, public_url: &str) -> GatewayConfig {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    GatewayConfig {
        heartbeat_visitor_ms: config.heartbeat_visitor_ms,
        heartbeat_agent_ms: config.heartbeat_agent_ms,
        pong_ms: config.pong_ms,
        hello_timeout_ms: config.hello_timeout_ms,
        outbox_bytes_max: config.outbox_bytes_max,
        outbox_frames_max: config.outbox_frames_max,
        messages_per_minute: small(config.messages_per_minute),
        agent_messages_per_minute: small(config.agent_messages_per_minute),
        messages_burst: small(config.messages_burst),
        frames_per_second: small(config.frames_per_second),
        frames_burst: small(config.frames_burst),
        connections_max: config.connections_max,
        public_url: public_url.to_owned(),
    }
}
