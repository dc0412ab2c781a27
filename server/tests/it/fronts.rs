//! The server behind nginx, HAProxy and Caddy, each with the file that is shipped for it in
//! `deploy/`: what is changed of a file for a test is its addresses, ports and paths alone.
//!
//! The programs are those on the machine; `cargo xtask test` installs Debian's.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::codec::Encoding;
use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, ClientRole, RequestId, ServerFrame, WatchTopic};
use protocol::ids::{ConversationId, MessageId};
use protocol::limits::List;
use protocol::message::{Body, Seq};
use protocol::personal::{Personal, Text};
use protocol::time::UnixMillis;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::client::{Client, new_message};
use crate::http;
use crate::metrics::Scrape;
use crate::process::{Process, change};
use crate::server::{COOKIES, SHOP, furnish};

/// The name in the shipped files.
const HOST: &str = "chat.example.com";

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Between two looks at something that another program does in its own time, and how many there
/// are.
const LOOK: Duration = Duration::from_millis(25);
const LOOKS: u32 = 1_200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nginx,
    Haproxy,
    Caddy,
}

/// A certificate for [`HOST`] that nobody but the test vouches for.
struct Certificate {
    der: CertificateDer<'static>,
    chain: String,
    key: String,
}

impl Certificate {
    fn issue() -> Self {
        let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        Self {
            der: made.cert.der().clone(),
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

/// A running front that ends with the test.
struct Front {
    kind: Kind,
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    first: Certificate,
    renewed: Certificate,
}

/// Free now; whoever takes it meanwhile makes the test fail, not pass.
fn free_port() -> u16 {
    TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port()
}

/// A shipped file with other addresses and paths. Each has to be there: what a test does not find
/// it has not tested.
fn adapted(file: &str, edits: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    edits.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "deploy/{file} does not have {from:?}");
        text.replace(from, to)
    })
}

/// Debian keeps some off the search path of those who are not root.
fn program(name: &str) -> Command {
    let off_path = Path::new("/usr/sbin").join(name);
    Command::new(if off_path.exists() { off_path } else { PathBuf::from(name) })
}

/// Caddy, told by its environment to keep sockets through a reload or not.
fn caddy(keeps_sockets: bool) -> Command {
    let mut command = program("caddy");
    command.env_remove("CADDY_KEEPS_SOCKETS");
    if keeps_sockets {
        command.env("CADDY_KEEPS_SOCKETS", "stream_close_delay 24h");
    }
    command
}

/// Since 2.7 sockets may outlive a reload.
fn caddy_keeps_sockets() -> bool {
    let said = program("caddy").arg("version").output().expect("caddy is installed");
    let said = String::from_utf8(said.stdout).unwrap();
    let numbers = said.trim().trim_start_matches('v').split(['.', ' ']);
    let numbers: Vec<u32> = numbers.map_while(|number| number.parse().ok()).collect();
    assert!(numbers.len() >= 2, "{said}");
    numbers >= vec![2, 7]
}

impl Kind {
    fn keeps_sockets(self) -> bool {
        self != Self::Caddy || caddy_keeps_sockets()
    }

    /// Writes what the program reads, and gives the command that runs it in the foreground.
    fn prepare(self, folder: &Path, port: u16, server: SocketAddr) -> Command {
        let place = Place { folder, port, server };
        let (mut command, text) = match self {
            Self::Nginx => place.nginx(),
            Self::Haproxy => place.haproxy(),
            Self::Caddy => place.caddy(self.keeps_sockets()),
        };
        std::fs::write(folder.join("front"), text).unwrap();
        command.env("HOME", folder).current_dir(folder);
        command
    }
}

/// Where a front has its files, where it listens, and what it stands before.
struct Place<'a> {
    folder: &'a Path,
    port: u16,
    server: SocketAddr,
}

impl Place<'_> {
    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn upstream(&self) -> (&'static str, String) {
        ("127.0.0.1:8080", self.server.to_string())
    }

    fn nginx(&self) -> (Command, String) {
        let port = self.port;
        let site = adapted(
            "nginx/livehelp.conf",
            &[
                self.upstream(),
                ("listen 80;", format!("listen 127.0.0.1:{};", free_port())),
                ("    listen [::]:80;\n", String::new()),
                ("listen 443 ssl http2;", format!("listen 127.0.0.1:{port} ssl http2;")),
                ("    listen [::]:443 ssl http2;\n", String::new()),
                ("/etc/letsencrypt/live/chat.example.com/fullchain.pem", self.at("chain.pem")),
                ("/etc/letsencrypt/live/chat.example.com/privkey.pem", self.at("key.pem")),
                ("/var/log/nginx/livehelp.log", self.at("site.log")),
            ],
        );
        // What Debian's nginx.conf has around a site.
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", self.at(what)))
            .concat();
        let pid = self.at("nginx.pid");
        let text = format!(
            "{user}daemon off;\nworker_processes 2;\npid {pid};\nevents {{}}\nhttp {{\n{places}{site}}}\n"
        );
        let mut command = program("nginx");
        command.args(["-e", &self.at("error.log"), "-c", &self.at("front")]);
        (command, text)
    }

    fn haproxy(&self) -> (Command, String) {
        let text = adapted(
            "haproxy/haproxy.cfg",
            &[
                self.upstream(),
                ("bind :::80 v4v6", format!("bind 127.0.0.1:{}", free_port())),
                ("bind :::443 v4v6", format!("bind 127.0.0.1:{}", self.port)),
                ("/etc/haproxy/certs/chat.example.com.pem", self.at("both.pem")),
                ("    chroot /var/lib/haproxy\n", String::new()),
                ("    user haproxy\n    group haproxy\n", String::new()),
                ("    log /dev/log local0 notice\n", String::new()),
                // Else it asks for more open files than a test may have.
                ("maxconn 50000", "maxconn 100".to_owned()),
            ],
        );
        let mut command = program("haproxy");
        command.args(["-W", "-f", &self.at("front")]);
        (command, text)
    }

    fn caddy(&self, keeps_sockets: bool) -> (Command, String) {
        let (chain, key) = (self.at("chain.pem"), self.at("key.pem"));
        let site =
            format!("https://{HOST}:{} {{\n\tbind 127.0.0.1\n\ttls {chain} {key}", self.port);
        let edits = vec![self.upstream(), ("chat.example.com {", site)];
        let admin = format!("127.0.0.1:{}", free_port());
        std::fs::write(self.folder.join("admin"), &admin).unwrap();
        let global = format!("{{\n\tadmin {admin}\n\tauto_https disable_redirects\n}}\n");
        let mut command = caddy(keeps_sockets);
        command.args(["run", "--adapter", "caddyfile", "--config", &self.at("front")]);
        (command, global + &adapted("caddy/Caddyfile", &edits))
    }
}

impl Front {
    async fn start(kind: Kind, server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let (first, renewed) = (Certificate::issue(), Certificate::issue());
        put(folder.path(), &first);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = kind
            .prepare(folder.path(), port, server)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} is installed: {error}"));
        let address = SocketAddr::from((LOOPBACK, port));
        let mut front = Self { kind, child, folder, address, first, renewed };
        for _ in 0..LOOKS {
            if front.line(LOOPBACK).await.is_ok() {
                return front;
            }
            if let Some(status) = front.child.try_wait().unwrap() {
                panic!("{kind:?} ended with {status}: {}", front.log());
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{kind:?} is not there: {}", front.log());
    }

    fn log(&self) -> String {
        ["log", "error.log", "site.log"]
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// TLS from this address of the loopback.
    async fn line(&self, from: Ipv4Addr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in [&self.first, &self.renewed] {
            roots.add(certificate.der.clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddrV4::new(from, 0).into())?;
        let stream = socket.connect(self.address).await?;
        let name = ServerName::try_from(HOST).unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A socket through it, or the status with which it was refused.
    async fn socket(&self, from: Ipv4Addr, headers: &[(&str, &str)]) -> Result<Client, u16> {
        let Ok(line) = self.line(from).await else { return Err(0) };
        Client::connect_on(Box::new(line), HOST, Encoding::Msgpack, headers).await
    }

    /// Reloads it as its unit does, for the reason that there mostly is: another certificate. Back
    /// when it is in use.
    async fn reload(&self) {
        put(self.folder.path(), &self.renewed);
        let signal = match self.kind {
            Kind::Nginx => Some("-HUP"),
            Kind::Haproxy => Some("-USR2"),
            Kind::Caddy => None,
        };
        match signal {
            Some(signal) => send(signal, &self.child),
            None => {
                let admin = std::fs::read_to_string(self.folder.path().join("admin")).unwrap();
                let told = caddy(self.kind.keeps_sockets())
                    .args(["reload", "--force", "--adapter", "caddyfile", "--config"])
                    .arg(self.folder.path().join("front"))
                    .args(["--address", &admin])
                    .output()
                    .unwrap();
                assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
            }
        }
        for _ in 0..LOOKS {
            if let Ok(line) = self.line(LOOPBACK).await {
                let shown = line.get_ref().1.peer_certificates().unwrap();
                if shown[0] == self.renewed.der {
                    return;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{:?} is not reloaded: {}", self.kind, self.log());
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its workers end with it if it is asked, and would be left behind if it were killed.
        send("-TERM", &self.child);
        let _status = self.child.wait();
    }
}

fn send(signal: &str, child: &Child) {
    // It may have ended already.
    let _status = Command::new("kill").args([signal, &child.id().to_string()]).status();
}

fn put(folder: &Path, certificate: &Certificate) {
    let Certificate { chain, key, .. } = certificate;
    for (name, text) in [
        ("chain.pem", chain.clone()),
        ("key.pem", key.clone()),
        ("both.pem", format!("{chain}{key}")),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The server as the heads of the shipped files want it.
fn serve(folder: &Path, address: Option<SocketAddr>, more: &[&str]) -> Process {
    Process::start_as(folder, |command| {
        if let Some(address) = address {
            change(command, "--listen", Path::new(&address.to_string()));
            command.stdout(Stdio::piped()).stderr(Stdio::null());
        }
        command.args(["--public-url", &format!("https://{HOST}")]).args(more);
    })
}

const TRUST: [&str; 2] = ["--trusted-proxies", "127.0.0.1"];

async fn visitor(front: &Front) -> Client {
    let server_key = crate::process::site_key();
    let mut client = front.socket(LOOPBACK, &[("origin", SHOP)]).await.unwrap();
    client.greet_as_visitor(server_key, None, vec![]).await;
    client
}

/// A window of an agent, if it comes so far.
async fn agent(front: &Front) -> Option<Client> {
    let origin = format!("https://{HOST}");
    let cookie = format!("__Host-livehelp_session={}", COOKIES[0]);
    let headers = [("origin", origin.as_str()), ("cookie", cookie.as_str())];
    let mut client = front.socket(LOOPBACK, &headers).await.ok()?;
    client.greet_as_agent().await;
    client.find(|f| matches!(f, ServerFrame::Welcome { .. }).then_some(())).await.ok()?;
    Some(client)
}

/// An agent who takes what is offered, with a visitor's conversation.
async fn chat(front: &Front) -> (Client, Client, ConversationId) {
    let mut agent = agent(front).await.unwrap();
    agent.board().await;
    agent.available().await;
    let mut visitor = visitor(front).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    (visitor, agent, conversation)
}

async fn sockets_outlive_a_reload(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path()).await;
    let server = serve(folder.path(), None, &TRUST);
    let front = Front::start(kind, server.address).await;
    let (mut visitor, mut agent, conversation) = chat(&front).await;
    visitor.say(conversation, "before").await;
    agent.heard("before").await;
    front.reload().await;
    if kind.keeps_sockets() {
        visitor.say(conversation, "after").await;
        agent.heard("after").await;
        agent.say(conversation, "still here").await;
        visitor.heard("still here").await;
    } else {
        // Cut, as its file says; who comes back has all.
        visitor.closed().await;
        let token = visitor.token.take();
        let mut back = front.socket(LOOPBACK, &[("origin", SHOP)]).await.unwrap();
        back.greet_as_visitor(server.site_key.clone(), token, vec![]).await;
        let (_, page) = back.history(RequestId(0)).await;
        assert!(page.iter().any(|message| is(&message.body, "before")));
    }
    // Who comes after the reload is served as well.
    let mut late = self::visitor(&front).await;
    late.open().await;
    drop(front);
    assert_eq!(server.stop(), Some(0));
}

fn is(body: &Body<'_>, text: &str) -> bool {
    matches!(body, Body::Text(said) if said.expose() == text)
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_outlive_a_reload_of_nginx() {
    sockets_outlive_a_reload(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_outlive_a_reload_of_haproxy() {
    sockets_outlive_a_reload(Kind::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_outlive_a_reload_of_caddy_or_come_back_where_it_is_old() {
    sockets_outlive_a_reload(Kind::Caddy).await;
}

/// What a browser may claim of where it comes from.
const FORGERIES: [&[(&str, &str)]; 5] = [
    &[("x-forwarded-for", "203.0.113.7")],
    &[("x-forwarded-for", "203.0.113.8, 198.51.100.1"), ("x-forwarded-for", "203.0.113.9")],
    &[("forwarded", "for=203.0.113.10;proto=https")],
    &[("x-real-ip", "203.0.113.11"), ("x-forwarded-for", "127.0.0.1")],
    &[("x-forwarded-for", "203.0.113.12"), ("connection", "Upgrade, X-Forwarded-For")],
];

async fn a_claimed_address_does_not_count(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path()).await;
    let two = ["--connections-per-ip-max", "2"];
    let server = serve(folder.path(), None, &[TRUST, two].concat());
    let front = Front::start(kind, server.address).await;
    let shop = ("origin", SHOP);
    let (here, there) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let _first = front.socket(here, &[shop]).await.unwrap();
    let _second = front.socket(here, &[&[shop], FORGERIES[0]].concat()).await.unwrap();
    for forgery in FORGERIES {
        let third = front.socket(here, &[&[shop], forgery].concat()).await;
        assert_eq!(third.err(), Some(429), "{forgery:?}");
    }
    // The front's own address does not count either: somebody else is let in.
    let _other = front.socket(there, &[shop]).await.unwrap();
    let scrape = Scrape::of(server.admin).await;
    for reason in ["untrusted_peer", "unreadable"] {
        let series = format!("forwarded_not_believed_total{{reason=\"{reason}\"}}");
        assert_eq!(scrape.value(&series), 0.0);
    }
    // Past the front, nobody's word counts, and it is told.
    let address = server.address;
    assert_eq!(server.stop(), Some(0));
    let elsewhere = ["--trusted-proxies", "192.0.2.1"];
    let server = serve(folder.path(), Some(address), &elsewhere);
    http::get(server.address, "/", FORGERIES[0]).await;
    let scrape = Scrape::of(server.admin).await;
    let series = "forwarded_not_believed_total{reason=\"untrusted_peer\"}";
    assert_eq!(scrape.value(series), 1.0);
    // One who is vouched for themselves, as a colleague on a trusted network: what they claim would
    // be believed if the front handed it on beside their own address.
    assert_eq!(server.stop(), Some(0));
    let network = ["--trusted-proxies", "127.0.0.0/8"];
    let server = serve(folder.path(), Some(address), &[network, two].concat());
    let mut held = Vec::new();
    for forgery in &FORGERIES[..2] {
        held.push(front.socket(here, &[&[shop], *forgery].concat()).await.unwrap());
    }
    for forgery in FORGERIES {
        let third = front.socket(here, &[&[shop], forgery].concat()).await;
        assert_eq!(third.err(), Some(429), "{forgery:?}");
    }
    drop((front, held));
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_address_does_not_count_behind_nginx() {
    a_claimed_address_does_not_count(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_address_does_not_count_behind_haproxy() {
    a_claimed_address_does_not_count(Kind::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_address_does_not_count_behind_caddy() {
    a_claimed_address_does_not_count(Kind::Caddy).await;
}

/// What an author keeps of their conversation.
struct Author {
    front: Arc<Front>,
    conversation: ConversationId,
    token: Option<String>,
    last: Option<ResumePoint>,
    line: Option<Client>,
    comebacks: usize,
}

impl Author {
    /// Says it until it is acked, as the same message however often.
    async fn say(&mut self, text: &str) {
        let message = new_message();
        loop {
            let mut line = match self.line.take() {
                Some(line) => line,
                None => self.come_back().await,
            };
            let request = line.next_request();
            let frame = ClientFrame::Send {
                request,
                conversation: self.conversation,
                message,
                seen_seq: self.last.as_ref().map_or(Seq(0), |point| point.seq),
                body: Body::Text(Text::new(text.to_owned())),
                visibility: None,
            };
            if !line.try_tell(&frame).await {
                continue;
            }
            let acked = line
                .find(|frame| match frame {
                    ServerFrame::Ack { request: r, seq: Some(seq), at, .. } if *r == request => {
                        Some(Some((*seq, *at)))
                    }
                    // Worth another try: the server leaves.
                    ServerFrame::Reject { request: r, .. } if *r == request => Some(None),
                    _ => None,
                })
                .await;
            match acked {
                Ok(Some((seq, at))) => {
                    self.last = Some(point(self.conversation, seq, message, at));
                    self.line = Some(line);
                    return;
                }
                Ok(None) => self.line = Some(line),
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn come_back(&mut self) -> Client {
        for _ in 0..LOOKS {
            if let Ok(mut line) = self.front.socket(LOOPBACK, &[("origin", SHOP)]).await {
                let hello = ClientFrame::Hello {
                    request: line.next_request(),
                    role: ClientRole::Visitor,
                    client: String::from("test/1"),
                    locale: String::from("en"),
                    resume: List::new(self.last.clone()),
                    site: Some(crate::process::site_key()),
                    token: self.token.clone().map(Personal::new),
                    signals: None,
                };
                let welcomed = line.try_tell(&hello).await
                    && line
                        .find(|f| match f {
                            // Nothing is missing: only what they said themselves was there to be
                            // missed.
                            ServerFrame::History { reset, .. } => {
                                assert!(!reset);
                                Some(())
                            }
                            _ => None,
                        })
                        .await
                        .is_ok();
                if welcomed {
                    self.comebacks += 1;
                    return line;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("the server is not back behind {:?}: {}", self.front.kind, self.front.log());
    }
}

fn point(
    conversation: ConversationId,
    seq: Seq,
    message: MessageId,
    at: Option<UnixMillis>,
) -> ResumePoint {
    ResumePoint { conversation, seq, message: Some(message), at }
}

/// The last that an author says.
const END: &str = "that was all";

/// An agent in a room who hears it to its end, coming back as often as they must.
struct Recipient {
    front: Arc<Front>,
    conversation: ConversationId,
    line: Option<Client>,
    last: Option<ResumePoint>,
    heard: Vec<String>,
}

impl Recipient {
    /// What was heard, in that order.
    async fn hear(mut self) -> Vec<String> {
        for _ in 0..LOOKS {
            let mut line = match self.line.take() {
                Some(line) => line,
                None => match self.come_back().await {
                    Some(line) => line,
                    None => {
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                },
            };
            while self.heard.last().is_none_or(|text| text != END) {
                let said = line.find(|frame| match frame {
                    ServerFrame::Message { seq, message, at, body, .. } => {
                        Some((*seq, *message, *at, body.clone()))
                    }
                    _ => None,
                });
                match said.await {
                    Ok((seq, message, at, body)) => self.take(seq, message, at, &body),
                    Err(_) => break,
                }
            }
            if self.heard.last().is_some_and(|text| text == END) {
                return self.heard;
            }
        }
        panic!("the end is not heard behind {:?}: {}", self.front.kind, self.front.log());
    }

    fn take(&mut self, seq: Seq, message: MessageId, at: UnixMillis, body: &Body<'_>) {
        self.last = Some(point(self.conversation, seq, message, Some(at)));
        if let Body::Text(text) = body {
            self.heard.push(text.expose().to_owned());
        }
    }

    async fn come_back(&mut self) -> Option<Client> {
        let mut line = agent(&self.front).await?;
        let request = line.next_request();
        let watch = ClientFrame::Watch {
            request,
            topic: WatchTopic::Conversation,
            conversation: Some(self.conversation),
            resume: self.last.clone(),
            after: None,
        };
        if !line.try_tell(&watch).await {
            return None;
        }
        let page = line.find(|frame| match frame {
            ServerFrame::History { request: r, reset, messages, .. } if *r == request => {
                Some((*reset, messages.clone()))
            }
            _ => None,
        });
        let (reset, messages) = page.await.ok()?;
        assert!(!reset, "it goes on where it was");
        for message in messages.iter() {
            self.take(message.seq, message.message, message.at, &message.body);
        }
        Some(line)
    }
}

async fn a_restart_is_a_resume(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path()).await;
    let server = serve(folder.path(), None, &TRUST);
    let address = server.address;
    let front = Arc::new(Front::start(kind, address).await);
    let (mut visitor, mut agent, conversation) = chat(&front).await;
    let (message, request) = (new_message(), visitor.next_request());
    visitor.send(request, conversation, message, "0").await;
    let (seq, at) = visitor.acked_at(request).await;
    agent.heard("0").await;
    let last = Some(point(conversation, seq.unwrap(), message, at));
    let recipient = Recipient {
        front: Arc::clone(&front),
        conversation,
        line: Some(agent),
        last: last.clone(),
        heard: vec![String::from("0")],
    };
    let hearing = livehelp::tasks::spawn("hearer", recipient.hear());
    let token = visitor.token.clone();
    let mut author = Author {
        front: Arc::clone(&front),
        conversation,
        token,
        last,
        line: Some(visitor),
        comebacks: 0,
    };
    let restarted = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&restarted);
    let saying = livehelp::tasks::spawn("author", async move {
        let mut said = vec![String::from("0")];
        while !over.load(Ordering::Relaxed) || author.comebacks == 0 {
            let text = said.len().to_string();
            author.say(&text).await;
            said.push(text);
            tokio::time::sleep(LOOK).await;
        }
        author.say(END).await;
        said.push(END.to_owned());
        said
    });
    let data = folder.path().to_owned();
    let again = tokio::task::spawn_blocking(move || {
        assert_eq!(server.stop(), Some(0));
        serve(&data, Some(address), &TRUST)
    });
    let server = again.await.unwrap();
    restarted.store(true, Ordering::Relaxed);
    let said = saying.await.unwrap();
    let heard = hearing.await.unwrap();
    assert_eq!(heard, said, "nothing lost, nothing twice, in order");
    let scrape = Scrape::of(server.admin).await;
    let resumed = |result| scrape.value(&format!("resumes_total{{result=\"{result}\"}}"));
    assert!(resumed("recovered") >= 1.0);
    assert_eq!(resumed("reset"), 0.0);
    drop(front);
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_nginx_is_a_resume() {
    a_restart_is_a_resume(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_haproxy_is_a_resume() {
    a_restart_is_a_resume(Kind::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_caddy_is_a_resume() {
    a_restart_is_a_resume(Kind::Caddy).await;
}

/// As whoever copies it would have it, in whatever Caddy is here.
#[test]
fn the_caddyfile_loads_as_it_is_shipped() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/caddy/Caddyfile");
    for keeps_sockets in [false, caddy_keeps_sockets()] {
        let words = ["adapt", "--adapter", "caddyfile", "--config"];
        let read = caddy(keeps_sockets).args(words).arg(&file).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        let kept = String::from_utf8_lossy(&read.stdout).contains("stream_close_delay");
        assert_eq!(kept, keeps_sockets);
    }
}

/// With one node, a front that looks whether it is ready makes an outage of every drain.
#[test]
fn no_shipped_front_asks_whether_the_one_node_is_ready() {
    for (file, comment, looks) in [
        ("nginx/livehelp.conf", "#", "health_check"),
        ("haproxy/haproxy.cfg", "#", " check"),
        ("caddy/Caddyfile", "#", "health_"),
    ] {
        let text = adapted(file, &[]);
        let lines = text.lines().filter_map(|line| line.split(comment).next());
        for line in lines {
            for word in ["readyz", looks] {
                assert!(!line.contains(word), "deploy/{file}: {line}");
            }
        }
        assert!(text.contains("/readyz"), "deploy/{file} says why");
    }
}
