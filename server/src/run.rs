//! The assembly: opens what is kept, wires the layers, serves until told to stop, and drains.

pub(crate) mod reload;
mod parts;
mod watches;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::api::{ApiState, admin_router, public_router};
use crate::audit::Heads;
use crate::auth::{Devices, Rates};
use crate::bus::memory::MemoryBus;
use crate::bus::redis::{RedisBus, RedisConfig, StartError as BusStartError};
use crate::bus::{Bus, BusEvent};
use crate::clock::{Clock, SyncedClock};
use crate::config::{Bus as BusSetting, Config, DrainGrace, Live, Store as StoreSetting};
use crate::erasure::Erasures;
use crate::gateway::Gateway;
use crate::http::admin::{Check, Health};
use crate::http::tls::{Tls, TlsError};
use crate::http::{Limits, NoSockets, admin, assets, demo, serve, serve_as};
use crate::hub::{Hub, cork};
use crate::keys::KeyStore;
use crate::live::LiveHub;
use crate::metrics::{COMMIT, Listener, Metrics, VERSION};
use crate::opened::open_counted;
use crate::operator_key::{OPERATOR_KEY_FILE, OperatorKeyError, lend_operator_key};
use crate::privacy::seal::TransitSealer;
use crate::store::{Page, Store, StoreStats};
use crate::sweep::{ClockTrust, Sweeper};
use crate::systemd::Systemd;
use crate::tasks;

use parts::{api_config, gateway_config, hub_config, rates_config};
use reload::Changed;
use watches::{Files, tell_limits, watch_bus, watch_files, watch_keys};

pub use crate::opened::{Opened, OpeningError, backups, open};
pub use reload::Reloads;

/// How often the certificate's files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);

/// How long the end waits for acts that were begun; each ends sooner by bounds of its own.
const ACTS_WAIT: Duration = Duration::from_secs(30);

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
    /// The keys, or the data.
    #[error(transparent)]
    Open(#[from] OpeningError),
    /// The operator's key, where the store begins empty.
    #[error(transparent)]
    OperatorKey(#[from] OperatorKeyError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What was under way could not be read.
    #[error("the conversations that were under way cannot be read from {}", .0.display())]
    Restore(PathBuf),
    /// The system.
    #[error("the address of a listener cannot be read")]
    Listener(#[source] std::io::Error),
    /// The bus between nodes.
    #[error(transparent)]
    Bus(#[from] BusStartError),
}

/// Serves until `shutdown` ticks true, then drains and closes. `ready` hears once all is open.
///
/// # Errors
/// If it cannot start; nothing was changed then.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&Listeners) + Send,
) -> Result<(), RunError> {
    let clock = SyncedClock { sync_file: config.clock_sync_file.clone() };
    run_with(config, listeners, shutdown, ready, Arc::new(clock)).await
}

/// The same by another clock, so that years pass in a test.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    listeners: Listeners,
    shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&Listeners) + Send,
    clock: Arc<dyn Clock>,
) -> Result<(), RunError> {
    run_within(config, listeners, shutdown, ready, clock, Around::default()).await
}

/// What stands around a server that is a process of its own.
#[derive(Debug, Default)]
pub struct Around {
    /// Who asks for reloads.
    pub reloads: Option<Reloads>,
    /// Who hears of its life.
    pub systemd: Systemd,
}

/// The same for the program, which is told to reload and tells others how it is.
///
/// # Errors
/// As [`run`].
pub async fn run_around(
    config: Config,
    listeners: Listeners,
    shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&Listeners) + Send,
    around: Around,
) -> Result<(), RunError> {
    let clock = SyncedClock { sync_file: config.clock_sync_file.clone() };
    run_within(config, listeners, shutdown, ready, Arc::new(clock), around).await
}

#[expect(
    clippy::too_many_lines,
    reason = "the one place that sees everything, read from top to bottom"
)]
async fn run_within(
    config: Config,
    listeners: Listeners,
    mut shutdown: watch::Receiver<bool>,
    ready: impl FnOnce(&Listeners) + Send,
    clock: Arc<dyn Clock>,
    Around { reloads, systemd }: Around,
) -> Result<(), RunError> {
    systemd.status("Opening data and keys");
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(Arc::new(Tls::load(cert, key)?)),
        _ => None,
    };
    let metrics = Metrics::new();
    metrics.config_read(clock.now());
    if let Some(tls) = &tls {
        tls.tell(&metrics, clock.now());
    }
    tell_limits(&metrics, &config);
    let stats: Arc<dyn StoreStats> = Arc::<Metrics>::clone(&metrics);
    let opened = open_counted(&config, Arc::clone(&clock), stats)?;
    let backups = backups(&config, &opened, &clock, &metrics);
    let Opened { store, keys, on_disk } = opened;
    if config.store == StoreSetting::Memory {
        lend_operator_key(&*store, &config.keys, clock.now()).await?;
        tracing::warn!("`store` = memory: nothing is kept when this server ends");
    }
    // Two stages: first no more newcomers and a calm farewell, then what runs by itself.
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let (bus, heard) = connect_bus(&config, &keys, &clock, &metrics).await?;
    let hub = Hub::new(
        Arc::clone(&store),
        Arc::clone(&bus),
        Arc::clone(&clock),
        Arc::clone(&metrics),
        hub_config(&config),
    );
    let hearing = heard.map(|heard| {
        tasks::spawn(
            "what other nodes say",
            Arc::clone(hub.listener()).listen(heard, ended.clone()),
        )
    });
    hub.start().await.map_err(|_| RunError::Restore(config.data.clone()))?;
    let address = listeners.public.local_addr().map_err(RunError::Listener)?;
    let admin_address = listeners.admin.local_addr().map_err(RunError::Listener)?;
    let public_url = config.public_origin(address);
    let rates = Rates::new(&rates_config(&config), &clock);
    let gateway = Gateway::new(
        Arc::clone(&hub),
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&metrics),
        gateway_config(&config, &public_url, &rates),
    );
    let clock_trust = Arc::new(ClockTrust::default());
    let erasures = Arc::new(Erasures::new(
        Arc::clone(&store),
        Arc::<KeyStore>::clone(&keys),
        Arc::<Hub>::clone(&hub),
        Arc::clone(&clock),
        Arc::clone(&metrics),
        Arc::new(keys.signer()),
    ));
    let api = ApiState::new(
        Arc::clone(&store),
        Arc::new(LiveHub(Arc::clone(&hub))),
        Arc::clone(&clock),
        Arc::clone(&clock_trust),
        Arc::clone(&erasures),
        Arc::clone(&metrics),
        &api_config(&config, &public_url, &rates, Devices::new(Arc::<KeyStore>::clone(&keys))),
    )
    .with_backups(&backups);
    let acts = api.acts();
    let health = Health::new(Arc::clone(&metrics), checks(&store, &bus, &keys));
    // All is open: whoever comes from here on is served.
    health.set_started();
    ready(&listeners);
    let Listeners { public, admin: admin_listener, demo: demo_listener } = listeners;
    let limits = Live::from(Limits::of(&config));
    let admin_routes = admin::at_this_machine(
        admin::routes(&health).merge(admin_router(api.clone())),
        admin_listener.local_addr().ok(),
    );
    let mut serving = vec![
        tasks::spawn(
            "public listener",
            serve(
                public,
                tls.clone(),
                assets::routes().merge(public_router(api)),
                Arc::clone(&gateway),
                limits.clone(),
                Arc::clone(&metrics),
                stopped.clone(),
            ),
        ),
        tasks::spawn(
            "admin listener",
            serve_as(
                (Listener::Admin, admin_listener),
                None,
                admin_routes,
                Arc::new(NoSockets),
                limits.clone(),
                Arc::clone(&metrics),
                ended.clone(),
            ),
        ),
    ];
    if let Some(demo) = demo_listener {
        let shop = demo::routes(public_url.as_str(), &demo_site_key(&*store).await);
        let nobody = Arc::new(NoSockets);
        let metrics = Arc::clone(&metrics);
        let demo = (Listener::Demo, demo);
        let served = serve_as(demo, None, shop, nobody, limits.clone(), metrics, stopped.clone());
        serving.push(tasks::spawn("demo listener", served));
    }
    let mut keeping = vec![
        tasks::spawn("erasures", erasures.run(ended.clone())),
        tasks::spawn("upkeep", Arc::clone(&hub).upkeep(ended.clone())),
        tasks::spawn("integrity", Arc::clone(hub.integrity()).audit(ended.clone())),
        tasks::spawn("heartbeats", Arc::clone(&gateway).heartbeat(ended.clone())),
        tasks::spawn("rates", Arc::clone(&rates).tidied(ended.clone())),
        tasks::spawn(
            "sweep",
            Sweeper::new(
                Arc::clone(&store),
                Arc::clone(&keys),
                Arc::clone(&clock),
                clock_trust,
                Arc::clone(&metrics),
            )
            .run(Duration::from_millis(config.sweep_ms), ended.clone()),
        ),
    ];
    let (signer, heads_file) = (keys.signer(), config.audit_heads_file.clone());
    let heads = Heads::new(Arc::clone(&store), signer, Arc::clone(&clock), heads_file);
    keeping.push(tasks::spawn("audit heads", heads.run(ended.clone())));
    if config.store == StoreSetting::Memory {
        // Acks go out within the tick as well; those of a disk come together, from another thread.
        keeping.push(tasks::spawn("writes", cork::run(ended.clone())));
    }
    keeping.push(tasks::spawn("keys", watch_keys(Arc::clone(&keys), ended.clone())));
    keeping.push(tasks::spawn("bus health", watch_bus(bus, Arc::clone(&metrics), ended.clone())));
    let files = Files { store: on_disk, data: config.data.clone(), keys: config.keys.clone() };
    keeping.push(tasks::spawn("files", watch_files(files, Arc::clone(&metrics), ended.clone())));
    if let Some(tls) = tls.clone() {
        keeping.push(tasks::spawn(
            "certificate",
            tls.watch(CERTIFICATE_LOOK, Arc::clone(&metrics), ended.clone()),
        ));
    }
    let in_force = Live::from(config);
    let config = in_force.now();
    admin::watch_lag(Arc::clone(&metrics), ended.clone());
    tell_what_comes_next(&*store, &config).await;
    tracing::info!(
        %address,
        admin_address = %admin_address,
        version = VERSION,
        commit = COMMIT,
        store = config.store.word(),
        data = %config.data.display(),
        keys = %config.keys.display(),
        bus = config.bus.shown(),
        threads = tokio::runtime::Handle::current().metrics().num_workers(),
        connections_max = config.connections_max,
        body_bytes_max = config.body_bytes_max,
        outbox_bytes_max = config.outbox_bytes_max,
        "livehelp serves"
    );
    systemd.ready(&format!("Serves on {address}"));
    if let Some(reloads) = reloads {
        let changed = Changed {
            config: in_force.clone(),
            limits,
            rates,
            gateway: Arc::clone(&gateway),
            tls,
            public_url,
            metrics: Arc::clone(&metrics),
            clock,
            systemd: systemd.clone(),
        };
        let serving = reloads.serve(changed, shutdown.clone(), ended.clone());
        keeping.push(tasks::spawn("reloads", serving));
    }
    if shutdown.wait_for(|down| *down).await.is_err() {
        tracing::warn!("whoever could stop the server is gone: it stops");
    }
    let config = in_force.now();
    let grace = grace(&config);
    systemd.stopping(grace + Duration::from_millis(config.drain_ms));
    health.set_draining();
    tracing::info!("draining");
    tokio::time::sleep(grace).await;
    stop.send_replace(true);
    gateway.drain(config.drain_ms).await;
    systemd.status("Closing the store");
    end.send_replace(true);
    backups.stop().await;
    for task in serving.into_iter().chain(keeping).chain(hearing) {
        if task.await.is_err() {
            tracing::error!("a task ended by a fault");
        }
    }
    if tokio::time::timeout(ACTS_WAIT, acts.ended()).await.is_err() {
        tracing::error!("acts were still under way when the server ended");
    }
    store.close().await;
    keys.close();
    tracing::info!("livehelp has stopped");
    Ok(())
}

/// How long newcomers are still taken: for as long as others need to look elsewhere, where there is
/// an elsewhere.
fn grace(config: &Config) -> Duration {
    let waits = match config.drain_grace {
        DrainGrace::Nodes => config.bus != BusSetting::Memory,
        DrainGrace::Always => true,
        DrainGrace::Never => false,
    };
    Duration::from_millis(if waits { config.drain_grace_ms } else { 0 })
}

/// Whoever starts a server on empty folders is told how to get on.
async fn tell_what_comes_next(store: &dyn Store, config: &Config) {
    // What cannot be read is not empty.
    if !store.tenants(Page { limit: 1, after: None }).await.is_ok_and(|tenants| tenants.is_empty())
    {
        return;
    }
    let key = config.keys.join(OPERATOR_KEY_FILE);
    if key.exists() {
        tracing::warn!(
            path = %key.display(),
            "there is no Organization yet: make one with `livehelp operator tenants create`; the operator's key lies at this path"
        );
    } else {
        tracing::warn!(
            data = %config.data.display(),
            keys = %config.keys.display(),
            "there is no Organization yet: stop this server and make one with `livehelp init` and the same --data and --keys"
        );
    }
}

/// What must hold for /readyz.
fn checks(store: &Arc<dyn Store>, bus: &Arc<dyn Bus>, keys: &Arc<KeyStore>) -> Vec<Check> {
    let (store, bus, keys) = (Arc::clone(store), Arc::clone(bus), Arc::clone(keys));
    vec![
        ("store", Box::new(move || store.healthy())),
        ("bus", Box::new(move || bus.healthy())),
        ("keys", Box::new(move || keys.is_usable())),
    ]
}

/// The bus of the settings, and what is heard on it where there are other nodes.
async fn connect_bus(
    config: &Config,
    keys: &Arc<KeyStore>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Bus>, Option<mpsc::Receiver<BusEvent>>), BusStartError> {
    let BusSetting::Redis(url) = &config.bus else {
        return Ok((Arc::new(MemoryBus), None));
    };
    let settings =
        RedisConfig { url: url.clone(), allow_persistence: config.bus_allow_persistence };
    let sealer: Arc<dyn TransitSealer> = Arc::<KeyStore>::clone(keys);
    let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
    let (bus, heard) = RedisBus::connect_counted(&settings, sealer, clock, metrics).await?;
    Ok((Arc::new(bus), Some(heard)))
}

/// The site that the demo shop embeds: the first one there is.
async fn demo_site_key(store: &dyn Store) -> String {
    let tenants = store.tenants(Page { limit: 1, after: None }).await.unwrap_or_default();
    let Some(tenant) = tenants.first() else { return String::new() };
    let sites = store.sites(tenant.tenant, Page { limit: 1, after: None }).await;
    sites.unwrap_or_default().first().map_or(String::new(), |site| site.site_key.to_string())
}

#[cfg(test)]
mod tests;
