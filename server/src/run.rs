//! The assembly: opens what is kept, wires the layers, serves until told to stop, and drains.

pub(crate) mod reload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::api::{ApiConfig, ApiState, admin_router, public_router};
use crate::auth::{Allowance, BrakeConfig, Devices, Rates, RatesConfig};
use crate::backup::Backups;
use crate::bus::memory::MemoryBus;
use crate::bus::redis::{RedisBus, RedisConfig, StartError as BusStartError};
use crate::bus::{Bus, Heard};
use crate::clock::{Clock, SyncedClock, SystemClock};
use crate::config::{Bus as BusSetting, Config, DrainGrace, Live, Store as StoreSetting};
use crate::folder::free_bytes;
use crate::gateway::{Gateway, GatewayConfig};
use crate::http::admin::{Check, Health};
use crate::http::tls::{Tls, TlsError};
use crate::http::{Limits, NoSockets, admin, assets, demo, serve, serve_as};
use crate::hub::{Hub, HubConfig, cork};
use crate::init::{OPERATOR_KEY_FILE, OperatorKeyError, lend_operator_key};
use crate::keys::{KeyStore, KeysError};
use crate::live::LiveHub;
use crate::metrics::{COMMIT, File, Folder, Limit, Listener, Metrics, VERSION};
use crate::origin::PublicUrl;
use crate::privacy::seal::{Sealer, TransitSealer};
use crate::routing::RoutingConfig;
use crate::store::memory::{MemoryConfig, MemoryStore};
use crate::store::sqlite::{
    FileBytes, Looked as Seen, OpenError, Repaired, SqliteConfig, SqliteStore,
};
use crate::store::{NoStats, Page, Store, StoreStats};
use crate::sweep::{ClockTrust, Sweeper};
use crate::systemd::Systemd;
use crate::tasks;

use reload::Changed;
pub use reload::Reloads;

/// How often the certificate's files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);

/// How long the end waits for acts that were begun; each ends sooner by bounds of its own.
const ACTS_WAIT: Duration = Duration::from_secs(30);

/// How often it is tried whether the keys can be used.
const KEYS_LOOK: Duration = Duration::from_secs(1);

/// How often it is asked whether the bus is there.
const BUS_LOOK: Duration = Duration::from_secs(1);

/// How often the size of the files is taken, and the room that is left for them.
const SIZE_LOOK: Duration = Duration::from_secs(5);

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

impl RunError {
    /// Whether another process has one of the folders.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Keys(KeysError::InUse { .. }) | Self::Data(OpenError::InUse { .. }))
    }
}

/// The store and the keys, opened together.
#[derive(Debug)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub keys: Arc<KeyStore>,
    /// The same store, where it has files whose size can be taken.
    on_disk: Option<Arc<SqliteStore>>,
}

/// Opens keys and data; makes both where there is neither. A store in memory begins empty, under keys that
/// nobody has.
///
/// # Errors
/// If either is damaged, missing, in use, or not the other's.
pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, RunError> {
    open_counted(config, clock, Arc::new(NoStats))
}

/// The same for a new server, where the keys may be left of data that is gone.
///
/// # Errors
/// As [`open`], and if the data that the keys are for still lies where it was.
pub fn open_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, RunError> {
    {
        let _lock = SqliteStore::lock(&config.data)?;
        if SqliteStore::identity(&config.data)?.is_none() {
            let keys = KeyStore::open(&config.keys, &config.data, None)?;
            keys.unbind(&config.keys, &config.data)?;
            keys.close();
        }
    }
    open(config, clock)
}

/// Opens what can be read of damaged data and keys, and saves it; says what that was. Without `accept_loss` it only says
/// what there is to do.
///
/// # Errors
/// If nothing can be saved this way: a file must be put back.
pub fn repair(config: &Config, accept_loss: bool) -> Result<Repaired, RunError> {
    let lock = SqliteStore::lock(&config.data)?;
    let identity = SqliteStore::identity(&config.data)?;
    let generation = identity.map(|found| found.generation);
    let keys = KeyStore::open_to_repair(&config.keys, &config.data, generation)?;
    let lost_keys = keys.give_up_unreadable(accept_loss)?;
    let mut repaired = SqliteStore::repair(&config.data, &keys, SystemClock.now(), accept_loss)?;
    repaired.lost_keys = lost_keys;
    if accept_loss && let Some(id) = repaired.id {
        keys.bind(&config.data, id)?;
    }
    keys.close();
    drop(lock);
    Ok(repaired)
}

/// What a look at the folders found.
#[derive(Debug)]
pub enum Looked {
    /// No data yet.
    Empty,
    /// A running server's: neither data nor keys were looked into.
    InUse { pid: u32 },
    /// Data and keys that a start would take; it would first bring the data from one version to another
    /// where these differ.
    Good { version: u32, known: u32 },
}

/// Looks at keys and data as a start would judge them, without making, changing or keeping anything.
///
/// # Errors
/// As [`open`].
pub fn look(config: &Config) -> Result<Looked, RunError> {
    Ok(match SqliteStore::look(&config.data)? {
        Seen::InUse { pid } => Looked::InUse { pid },
        Seen::Empty => {
            if let Some(keys) = KeyStore::look(&config.keys, &config.data, None)? {
                keys.check_data(&config.keys, &config.data, None)?;
            }
            Looked::Empty
        }
        Seen::Data(data) => {
            if let Some(keys) = KeyStore::look(&config.keys, &config.data, data.generation())? {
                keys.check()?;
                keys.check_data(&config.keys, &config.data, Some(data.id()))?;
                data.check_keys(&keys)?;
                data.check_rows(&keys)?;
            }
            Looked::Good { version: data.version, known: data.known }
        }
    })
}

/// Backups of what is open.
pub fn backups(
    config: &Config,
    opened: &Opened,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Arc<Backups> {
    let Some(store) = &opened.on_disk else { return Arc::default() };
    Arc::new(Backups::new(
        Arc::clone(store),
        Arc::clone(&opened.keys),
        Arc::clone(clock),
        Arc::clone(metrics),
        [config.data.clone(), config.keys.clone()],
    ))
}

fn open_counted(
    config: &Config,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
) -> Result<Opened, RunError> {
    match config.store {
        StoreSetting::Sqlite => open_sqlite(config, clock, stats),
        StoreSetting::Memory => open_memory(config, clock, stats),
    }
}

fn open_memory(
    config: &Config,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
) -> Result<Opened, RunError> {
    // The operator's key lies there.
    let keys = Arc::new(KeyStore::in_memory_beside(&config.keys)?);
    let sealer: Arc<dyn Sealer> = Arc::<KeyStore>::clone(&keys);
    let settings = MemoryConfig {
        queue_len: config.store_queue_max,
        patience: Duration::from_millis(config.store_patience_ms),
        stats,
    };
    let store = Arc::new(MemoryStore::new(sealer, &settings, clock));
    Ok(Opened { store, keys, on_disk: None })
}

fn open_sqlite(
    config: &Config,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
) -> Result<Opened, RunError> {
    // Before the keys: of two first starts at once only one may make them.
    let lock = SqliteStore::lock(&config.data)?;
    let identity = SqliteStore::identity(&config.data)?;
    let generation = identity.map(|identity| identity.generation);
    let keys = Arc::new(KeyStore::open(&config.keys, &config.data, generation)?);
    keys.check_data(&config.keys, &config.data, identity.map(|identity| identity.id))?;
    let sealer: Arc<dyn Sealer> = Arc::<KeyStore>::clone(&keys);
    let settings = SqliteConfig {
        queue_len: config.store_queue_max,
        patience: Duration::from_millis(config.store_patience_ms),
        linger: Duration::from_millis(config.store_linger_ms),
        tell_together: cork::one_batch,
        stats,
        ..SqliteConfig::default()
    };
    let store = Arc::new(SqliteStore::open_locked(&config.data, lock, sealer, &settings, clock)?);
    if let Err(error) = keys.bind(&config.data, store.id()) {
        // A disk without room is no reason not to read.
        tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the keys do not name their data yet");
    }
    Ok(Opened { store: Arc::<SqliteStore>::clone(&store), keys, on_disk: Some(store) })
}

/// Serves until `shutdown` turns true, then drains and closes. `ready` hears once all is open.
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
    let api = ApiState::new(
        Arc::clone(&store),
        Arc::new(LiveHub(Arc::clone(&hub))),
        Arc::clone(&clock),
        Arc::clone(&clock_trust),
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
    if config.store == StoreSetting::Memory {
        // Acks go out within the turn as well; those of a disk come together, from another thread.
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

/// How long newcomers are still taken: for as long as others need to look elsewhere, where there is an elsewhere.
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

/// What lies on disk.
struct Files {
    /// None: it keeps nothing there.
    store: Option<Arc<SqliteStore>>,
    data: PathBuf,
    keys: PathBuf,
}

impl Files {
    /// Sets what they take and what is left for them; blocks for a moment.
    fn measure(&self, metrics: &Metrics) {
        metrics.count_descriptors();
        for (folder, path) in [(Folder::Data, &self.data), (Folder::Keys, &self.keys)] {
            match free_bytes(path) {
                Ok(bytes) => metrics.disk_free_bytes.of(folder).set(signed(bytes)),
                Err(error) => tracing::debug!(%error, "no file system says how much room is left"),
            }
        }
        let Some(store) = &self.store else { return };
        let FileBytes { database, log, journal, reserve } = store.bytes();
        for (file, bytes) in [
            (File::Database, database),
            (File::Log, log),
            (File::Journal, journal),
            (File::Reserve, reserve),
            (File::Keys, KeyStore::bytes(&self.keys)),
        ] {
            metrics.store_bytes.of(file).set(signed(bytes));
        }
        metrics.schema_version.set(i64::from(SqliteStore::version()));
    }
}

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Keeps the files in view.
async fn watch_files(files: Files, metrics: Arc<Metrics>, mut ended: watch::Receiver<bool>) {
    let files = Arc::new(files);
    let mut tick = tokio::time::interval(SIZE_LOOK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
        let (files, metrics) = (Arc::clone(&files), Arc::clone(&metrics));
        // A file system that is away may not answer for long; nobody who is served waits for it.
        let measured = tokio::task::spawn_blocking(move || files.measure(&metrics)).await;
        if measured.is_err() {
            tracing::error!("the files could not be measured");
        }
    }
}

/// Keeps in view whether the bus is there.
async fn watch_bus(bus: Arc<dyn Bus>, metrics: Arc<Metrics>, mut ended: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(BUS_LOOK);
    loop {
        tokio::select! {
            _ = tick.tick() => metrics.bus_up.set(i64::from(bus.healthy())),
            _ = ended.wait_for(|ended| *ended) => return,
        }
    }
}

/// Says which limits are in force.
fn tell_limits(metrics: &Metrics, config: &Config) {
    let limit = |limit, max| metrics.limit.of(limit).set(max);
    limit(Limit::Connections, signed(config.connections_max));
    limit(Limit::ConnectionsPerAddress, signed(config.connections_per_ip_max));
    limit(Limit::HandshakesPerAddress, signed(config.handshakes_per_ip_max));
    let files = getrlimit(Resource::Nofile).current;
    limit(Limit::OpenFiles, files.map_or(i64::MAX, signed));
    limit(Limit::StoreQueue, signed(config.store_queue_max));
    limit(Limit::OutboxFrames, signed(config.outbox_frames_max));
    limit(Limit::OutboxBytes, signed(config.outbox_bytes_max));
    limit(Limit::BodyBytes, signed(config.body_bytes_max));
    limit(Limit::ConversationsPerVisitor, signed(config.conversations_per_visitor_max));
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

/// Keeps in view whether the keys folder can be used; what no longer can is said once.
async fn watch_keys(keys: Arc<KeyStore>, mut ended: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(KEYS_LOOK);
    let mut was_usable = true;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
        let probed = Arc::clone(&keys);
        let outcome = tokio::task::spawn_blocking(move || probed.probe()).await;
        let is_usable = matches!(outcome, Ok(Ok(())));
        if let (true, Ok(Err(error))) = (was_usable, outcome) {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the keys cannot be used");
        } else if is_usable && !was_usable {
            tracing::warn!("the keys can be used again");
        }
        was_usable = is_usable;
    }
}

/// The bus of the settings, and what is heard on it where there are other nodes.
async fn connect_bus(
    config: &Config,
    keys: &Arc<KeyStore>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Bus>, Option<mpsc::Receiver<Heard>>), BusStartError> {
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

fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        routing: RoutingConfig {
            offer_ms: config.offer_ms,
            grace_ms: config.agent_grace_ms,
            ..RoutingConfig::default()
        },
        visitor_grace_ms: VISITOR_GRACE_MS,
        conversations_per_visitor_max: config.conversations_per_visitor_max,
        conversations_per_ip_hour_max: config.conversations_per_ip_hour_max,
        abandoned_ms: (config.abandoned_hours > 0).then(|| config.abandoned_hours * HOUR_MS),
    }
}

/// How long a visitor whose line broke counts as there: a reload or a tunnel.
const VISITOR_GRACE_MS: u64 = 20_000;

const HOUR_MS: u64 = 60 * 60 * 1000;

const DAY_MS: u64 = 24 * HOUR_MS;

fn rates_config(config: &Config) -> RatesConfig {
    let messages = |times| Allowance::a_minute(times, config.messages_burst);
    let frames =
        Allowance { burst: config.frames_burst, times: config.frames_per_second, window_ms: 1_000 };
    RatesConfig {
        visitor_messages: messages(config.messages_per_minute),
        agent_messages: messages(config.agent_messages_per_minute),
        frames,
        // A person has a few windows, which all come back at once after a break.
        questions: Allowance { burst: 3 * frames.burst, times: 3 * frames.times, ..frames },
        agents: Allowance::a_minute(config.requests_per_minute, config.requests_burst),
        keys: Allowance::a_minute(config.key_requests_per_minute, config.key_requests_burst),
        addresses: Allowance::a_minute(
            config.address_requests_per_minute,
            config.address_requests_burst,
        ),
        logins: BrakeConfig {
            per_account_max: config.logins_per_account_max,
            strangers_max: config.logins_per_account_strangers_max,
            per_address_max: config.logins_per_ip_max,
            window_ms: config.login_window_ms,
        },
    }
}

fn api_config(
    config: &Config,
    public_url: &PublicUrl,
    rates: &Arc<Rates>,
    devices: Devices,
) -> ApiConfig {
    ApiConfig {
        public_url: public_url.clone(),
        session_ms: config.session_days * DAY_MS,
        agent_capacity: config.agent_capacity,
        rates: Arc::clone(rates),
        devices,
    }
}

fn gateway_config(config: &Config, public_url: &PublicUrl, rates: &Arc<Rates>) -> GatewayConfig {
    GatewayConfig {
        heartbeat_visitor_ms: config.heartbeat_visitor_ms,
        heartbeat_agent_ms: config.heartbeat_agent_ms,
        pong_ms: config.pong_ms,
        visitor_token_ms: config.visitor_token_days * DAY_MS,
        hello_timeout_ms: config.hello_timeout_ms,
        outbox_bytes_max: config.outbox_bytes_max,
        outbox_frames_max: config.outbox_frames_max,
        rates: Arc::clone(rates),
        connections_max: config.connections_max,
        public_url: public_url.clone(),
    }
}

#[cfg(test)]
mod tests;
