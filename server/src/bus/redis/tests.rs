//! Against a real Redis, started for each test on a socket of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt as _;
use tempfile::TempDir;

use super::*;
use crate::bus::conformance::{self, Node, envelope};
use crate::clock::SystemClock;
use crate::keys::KeyStore;

/// What one node may do: the line of docs/operations.md.
const ACL: &str = "on >secret ~livehelp:* &livehelp:* -@all +fcall +function|load +get +set +publish \
                   +subscribe +unsubscribe +ping +config|get";

/// A Redis that keeps nothing, with a user for the nodes.
pub(crate) struct Redis {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    pub(crate) fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free now; whoever takes it meanwhile makes the test fail, not pass.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self::spawn(port, folder.path(), more);
        Self { server, port, folder }
    }

    fn spawn(port: u16, folder: &Path, more: &[&str]) -> Child {
        let settings = folder.join("redis.conf");
        let user = format!("user livehelp {ACL}\n");
        let keeps_nothing = "save \"\"\nappendonly no\nslowlog-max-len 0\n";
        let all = format!("port {port}\nbind 127.0.0.1\n{keeps_nothing}{user}{}\n", more.concat());
        std::fs::write(&settings, all).unwrap();
        let mut server = Command::new("redis-server")
            .arg(&settings)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let mut said = String::new();
        let mut lines = BufReader::new(server.stdout.take().unwrap());
        while !said.contains("Ready to accept connections") {
            let read = lines.read_line(&mut said).unwrap();
            assert!(read > 0, "the Redis does not start: {said}");
        }
        server
    }

    fn restart(&mut self) {
        self.stop();
        self.server = Self::spawn(self.port, self.folder.path(), &[]);
    }

    /// It stands still, with all its connections open, or goes on.
    pub(crate) fn pause(&self, paused: bool) {
        let signal = if paused { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.server.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig {
            url: format!("redis://livehelp:secret@127.0.0.1:{}/0", self.port),
            allow_persistence: false,
        }
    }

    async fn node(&self, keys: &Arc<KeyStore>) -> Node {
        let sealer: Arc<dyn TransitSealer> = Arc::<KeyStore>::clone(keys);
        let (bus, heard) =
            RedisBus::connect(&self.config(), sealer, Arc::new(SystemClock)).await.unwrap();
        Node { bus: Arc::new(bus), heard }
    }

    /// A user who may do all, as whoever runs the Redis.
    async fn operator(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/0", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended_already = self.server.kill();
        let _reaped_already = self.server.wait();
    }
}

fn keys() -> (TempDir, Arc<KeyStore>) {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(&folder.path().join("keys"), &folder.path().join("data"), None);
    (folder, Arc::new(keys.unwrap()))
}

async fn refusal(config: &RedisConfig) -> String {
    let (_folder, keys) = keys();
    match RedisBus::connect(config, keys, Arc::new(SystemClock)).await {
        Ok(_) => panic!("it must not start"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_keeps_the_promises_of_a_bus() {
    let redis = Redis::start(&[]);
    let (_folder, keys) = keys();
    conformance::every_promise(async || {
        let mut operator = redis.operator().await;
        redis::cmd("FLUSHALL").exec_async(&mut operator).await.unwrap();
        (redis.node(&keys).await, redis.node(&keys).await)
    })
    .await;
}

#[tokio::test]
async fn nothing_that_was_said_can_be_read_in_redis_or_stays_there() {
    let redis = Redis::start(&[]);
    let (_folder, keys) = keys();
    let node = redis.node(&keys).await;
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/0", redis.port)).unwrap();
    let mut watching = client.get_async_pubsub().await.unwrap();
    watching.psubscribe("*").await.unwrap();
    let said = envelope(1, "my secret canary");
    node.bus.sequence(&said, Seq(0)).await.unwrap();
    let passed = watching.on_message().next().await.unwrap();
    let bytes = passed.get_payload_bytes();
    assert!(bytes.starts_with(b"1 "));
    for canary in [b"canary".as_slice(), said.message().as_bytes(), said.tag().subject.as_bytes()] {
        assert!(!bytes.windows(canary.len()).any(|window| window == canary));
    }
    let mut operator = redis.operator().await;
    let there: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut operator).await.unwrap();
    assert_eq!(there, [counter(said.conversation())]);
    let lives: u64 = redis::cmd("PTTL").arg(&there).query_async(&mut operator).await.unwrap();
    assert!(lives > 0 && lives <= COUNTER_MS, "the counter expires");
    let value: String = redis::cmd("GET").arg(&there).query_async(&mut operator).await.unwrap();
    assert_eq!(value, "1");
}

#[tokio::test]
async fn what_other_servers_and_strangers_say_is_not_heard() {
    let redis = Redis::start(&[]);
    let (_folder, own_keys) = keys();
    let (_other_folder, other_keys) = keys();
    let mut node = redis.node(&own_keys).await;
    let stranger = redis.node(&other_keys).await;
    let conversation = envelope(0, "").conversation();
    node.bus.follow(conversation).await;
    stranger.bus.sequence(&envelope(1, "foreign keys"), Seq(0)).await.unwrap();
    let mut operator = redis.operator().await;
    for forged in ["", "0 ", "9 x", "1 0123456789abcdefab", "not a number"] {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel(conversation)).arg(forged);
        publish.exec_async(&mut operator).await.unwrap();
    }
    let seq = node.bus.sequence(&envelope(2, "own"), Seq(0)).await.unwrap();
    let (notice, own) = node.hears().await;
    assert_eq!(notice, Notice::Sequenced(Arc::new(envelope(2, "own").sequence(seq))));
    assert!(own);
}

#[tokio::test]
async fn a_payload_that_is_said_again_in_another_conversation_is_not_heard() {
    let redis = Redis::start(&[]);
    let (_folder, keys) = keys();
    let bus = redis.node(&keys).await;
    let wires = Wires { node: [1; NODE_BYTES], sealer: keys, clock: Arc::new(SystemClock) };
    let said = envelope(1, "x");
    let sealed = wires.sealed(said.conversation(), &payload::of_envelope(&said)).unwrap();
    let message = [b"4 ".as_slice(), &sealed].concat();
    assert!(wires.read(&channel(said.conversation()), &message).is_some());
    let elsewhere = ConversationId::from_bytes([99; 16]);
    assert_eq!(wires.read(&channel(elsewhere), &message), None);
    drop(bus);
}

#[tokio::test]
async fn a_redis_that_was_started_anew_goes_on_above_the_floor_and_nodes_are_told() {
    let mut redis = Redis::start(&[]);
    let (_folder, keys) = keys();
    let mut node = redis.node(&keys).await;
    node.bus.follow(envelope(0, "").conversation()).await;
    assert_eq!(node.bus.sequence(&envelope(1, "before"), Seq(0)).await, Ok(Seq(1)));
    node.hears().await;
    redis.stop();
    assert_eq!(node.bus.sequence(&envelope(2, "while away"), Seq(1)).await, Err(BusError));
    assert!(!node.bus.healthy());
    redis.restart();
    assert_eq!(node.heard.recv().await, Some(BusEvent::Missed));
    // The counter and the function are gone with the old one.
    let seq = loop {
        if let Ok(seq) = node.bus.sequence(&envelope(3, "after"), Seq(1)).await {
            break seq;
        }
    };
    assert_eq!(seq, Seq(2));
    let (notice, _) = node.hears().await;
    assert_eq!(notice, Notice::Sequenced(Arc::new(envelope(3, "after").sequence(seq))));
    assert!(node.bus.healthy());
}

/// Waits until something holds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never held");
}

#[tokio::test]
async fn what_a_bus_does_and_does_not_do_is_counted() {
    let mut redis = Redis::start(&[]);
    let (_folder, keys) = keys();
    let metrics = Metrics::new();
    let clock = Arc::new(SystemClock);
    let bus = RedisBus::connect_counted(&redis.config(), keys, clock, metrics.clone()).await;
    let (bus, _heard) = bus.unwrap();
    let errors = |op| metrics.bus_errors_total.of(op).get();
    let (places, lost) = (&metrics.bus_publish_duration_seconds, &metrics.bus_notices_lost_total);
    bus.sequence(&envelope(1, "there"), Seq(0)).await.unwrap();
    assert_eq!(places.count(), 1);
    let said = envelope(2, "away");
    let typing = Notice::Typing {
        tenant: said.tenant(),
        conversation: said.conversation(),
        author: said.author(),
        typing: true,
    };
    // Nobody has a turn in between in which one could leave.
    for _ in 0..=NOTICES_MAX {
        bus.announce(typing.clone());
    }
    assert_eq!(lost.get(), 1, "one more than wait");
    until(|| bus.notices.capacity() == NOTICES_MAX).await;
    assert_eq!([BusOp::Place, BusOp::Announce, BusOp::Listen].map(errors), [0, 0, 0]);
    redis.stop();
    until(|| errors(BusOp::Listen) > 0).await;
    bus.sequence(&said, Seq(1)).await.unwrap_err();
    assert_eq!((errors(BusOp::Place), places.count()), (1, 1), "a number that was not given");
    let before = lost.get();
    bus.announce(typing);
    until(|| errors(BusOp::Announce) > 0).await;
    assert!(lost.get() > before, "what did not leave is lost");
}

#[tokio::test]
async fn a_redis_that_would_keep_what_passes_is_refused_by_name() {
    for (setting, value) in [("save", "60 1"), ("appendonly", "yes"), ("slowlog-max-len", "128")] {
        let redis = Redis::start(&[setting, " ", value]);
        let told = refusal(&redis.config()).await;
        assert!(told.contains(&format!("`{setting} {value}`")), "{told}");
        let known = RedisConfig { allow_persistence: true, ..redis.config() };
        let (_folder, keys) = keys();
        RedisBus::connect(&known, keys, Arc::new(SystemClock)).await.unwrap();
    }
}

#[tokio::test]
async fn a_user_who_may_watch_is_refused() {
    let redis = Redis::start(&[]);
    let url = format!("redis://127.0.0.1:{}/0", redis.port);
    let told = refusal(&RedisConfig { url, allow_persistence: false }).await;
    assert!(told.contains("MONITOR"), "{told}");
}

#[tokio::test]
async fn plain_text_is_for_this_machine_only() {
    for url in ["redis://redis.example:6379/0", "redis://10.0.0.7/0"] {
        let config = RedisConfig { url: url.to_owned(), allow_persistence: true };
        let told = refusal(&config).await;
        assert!(told.contains("rediss://"), "{told}");
    }
}

#[tokio::test]
async fn nobody_there_and_a_wrong_password_are_told_without_the_password() {
    let mut redis = Redis::start(&[]);
    let url = format!("redis://livehelp:hunter2@127.0.0.1:{}/0", redis.port);
    let wrong = RedisConfig { url, allow_persistence: false };
    let told = refusal(&wrong).await;
    assert!(told.contains("cannot be reached") && !told.contains("hunter2"), "{told}");
    redis.stop();
    let told = refusal(&redis.config()).await;
    assert!(told.contains("cannot be reached"), "{told}");
}
