use std::net::Ipv4Addr;
use std::path::Path;

use axum::body::Body;
use axum::routing::{get, post};
use http::header;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::{BODY_SMALL_BYTES, LARGE_BODIES_MAX};
use super::*;
use crate::metrics::Metrics;

/// Echoes what it reads, in a task that waits as the gateway does. Asked to [`FILL`], it writes
/// until the socket takes no more and says goodbye.
struct Echo;

const FILL: &[u8] = b"fill";

/// So much at a time.
const FILLING: [u8; 10_000] = [7; 10_000];

impl SocketEdge for Echo {
    type Accepted = ();

    fn handshake(
        &self,
        head: &http::request::Parts,
        _: Peer,
    ) -> Result<(Response<()>, ()), Response<Bytes>> {
        if head.headers.contains_key("refuse") {
            let mut refusal = Response::new(Bytes::from_static(b"no"));
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            return Err(refusal);
        }
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::UPGRADE, "websocket")
            .header(header::CONNECTION, "upgrade");
        Ok((response.body(()).unwrap(), ()))
    }

    fn connected(&self, (): (), socket: Socket, early: Bytes) {
        tasks::spawn("echo", async move {
            write_all(&socket, &early).await.unwrap();
            let mut buf = [0; 16 * 1024];
            loop {
                match poll_fn(|cx| socket.poll_read(cx, &mut buf)).await {
                    Ok(0) => break,
                    Ok(read) if buf[..read] == *FILL => {
                        while socket.try_write(&FILLING).is_ok() {}
                        break;
                    }
                    Ok(read) => write_all(&socket, &buf[..read]).await.unwrap(),
                    Err(_) => return,
                }
            }
            poll_fn(|cx| socket.poll_shutdown(cx)).await;
        });
    }
}

async fn write_all(socket: &Socket, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                poll_fn(|cx| socket.poll_writable(cx)).await?
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

fn limits() -> Limits {
    Limits {
        connections_max: 64,
        handshakes_per_ip_max: 64,
        connections_per_ip_max: 64,
        header: Duration::from_secs(20),
        request: Duration::from_secs(20),
        header_bytes_max: 8_192,
        body_bytes_max: 1_000,
        trusted_proxies: Vec::new(),
    }
}

async fn start(limits: Limits, tls: Option<Arc<Tls>>) -> Running {
    let router = axum::Router::new()
        .route("/hello/{name}", get(|| async { "hello" }))
        .route(
            "/peer",
            get(|request: Request<Body>| async move {
                let peer = *request.extensions().get::<Peer>().unwrap();
                format!("{} {}", peer.ip, peer.secure)
            }),
        )
        .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/never", get(|| async { std::future::pending::<&str>().await }));
    let listener = bind("listen", (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Metrics::new();
    let (stop, stopped) = watch::channel(false);
    let serving = serve(listener, tls, router, Arc::new(Echo), limits, metrics.clone(), stopped);
    let serving = tasks::spawn("test server", serving);
    Running { address, metrics, stop, serving }
}

/// Everything that comes until the server closes.
async fn say(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is an end, too.
    let _ended = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

const CLOSE: &str = "Host: x\r\nConnection: close\r\n\r\n";
const UPGRADE: &str =
    "GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn requests_are_counted_by_their_route_and_answers_are_hardened() {
    let server = start(limits(), None).await;
    let answer = say(server.address, &format!("GET /hello/bob HTTP/1.1\r\n{CLOSE}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for line in [
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
    say(server.address, &format!("BREW /tea HTTP/1.1\r\n{CLOSE}")).await;
    let text = server.metrics.render();
    for line in [
        r#"livehelp_http_requests_total{code="200",listener="public",method="GET",route="/hello/{name}"} 1"#,
        r#"livehelp_http_requests_total{code="404",listener="public",method="other",route="unmatched"} 1"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("bob"));
}

#[tokio::test]
async fn a_socket_gives_what_came_early_and_then_everything_in_order() {
    let server = start(limits(), None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{UPGRADE}early").as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
    echoes(&mut stream, b"early").await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(UPGRADE.replace("\r\n\r\n", "\r\nRefuse: 1\r\n\r\n").as_bytes())
        .await
        .unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 403"));
}

/// Half a megabyte there and back, so that both directions fill up on the way.
async fn echoes(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    early: &[u8],
) {
    let sent: Vec<u8> = (0..500_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let ((), read) = tokio::join!(writing, reader.read_to_end(&mut back));
    read.unwrap();
    assert!(
        back.starts_with(early) && back[early.len()..] == sent[..],
        "{} bytes back",
        back.len()
    );
}

#[tokio::test]
async fn the_sockets_address_takes_nothing_but_upgrades() {
    let server = start(limits(), None).await;
    for request in [
        format!("GET /v1/socket HTTP/1.1\r\n{CLOSE}"),
        "GET /v1/socket HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_owned(),
        UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"),
    ] {
        let answer = say(server.address, &request).await;
        assert!(
            answer.starts_with("HTTP/1.1 426") || answer.starts_with("HTTP/1.0 426"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off() {
    let limits = Limits { header: Duration::from_millis(200), ..limits() };
    let server = start(limits, None).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHos").await.unwrap();
    let answers = (rest(&mut silent).await, rest(&mut slow).await);
    assert!(!answers.0.contains("200") && !answers.1.contains("200"), "{answers:?}");
    until(|| server.metrics.handshake_failures_total.of(HandshakeFailure::TooSlow).get() == 2)
        .await;
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it comes to hold");
}

/// Bodies are read before anybody has proved anything.
#[tokio::test]
async fn one_network_sends_so_many_large_bodies_at_a_time() {
    let limits = Limits {
        connections_max: 256,
        handshakes_per_ip_max: 256,
        body_bytes_max: 2 * BODY_SMALL_BYTES,
        ..limits()
    };
    let server = start(limits, None).await;
    let length = BODY_SMALL_BYTES + 1;
    let begun = format!("POST /body HTTP/1.1\r\nContent-Length: {length}\r\n{CLOSE}");
    let mut all = Vec::new();
    for _ in 0..LARGE_BODIES_MAX {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        all.push(stream);
    }
    let refused = async {
        loop {
            // Whoever came first is read first, but not sooner than its task runs.
            let mut one_more = TcpStream::connect(server.address).await.unwrap();
            one_more.write_all(begun.as_bytes()).await.unwrap();
            let answer =
                tokio::time::timeout(Duration::from_millis(200), rest(&mut one_more)).await;
            if let Ok(answer) = answer {
                return answer;
            }
            all.push(one_more);
        }
    };
    let refused = refused.await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after"), "{refused}");
    let small = format!("POST /body HTTP/1.1\r\nContent-Length: 1\r\n{CLOSE}a");
    let small = say(server.address, &small).await;
    assert!(small.ends_with('1'), "small ones are not counted");
    drop(all);
    let whole = format!("{begun}{}", "c".repeat(length));
    until_served(&server, &whole).await;
}

async fn until_served(server: &Running, request: &str) {
    while !say(server.address, request).await.starts_with("HTTP/1.1 200") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_oversized_head_and_an_oversized_body_are_refused() {
    let server = start(limits(), None).await;
    let long = "a".repeat(9_000);
    let answer = say(server.address, &format!("GET / HTTP/1.1\r\nLong: {long}\r\n{CLOSE}")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200).map(|n| format!("H{n}: v\r\n")).collect();
    let answer = say(server.address, &format!("GET / HTTP/1.1\r\n{many}{CLOSE}")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = say(server.address, "nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let failures = server.metrics.handshake_failures_total.of(HandshakeFailure::Http);
    until(|| failures.get() == 3).await;
    let announced = format!("POST /body HTTP/1.1\r\nContent-Length: 1001\r\n{CLOSE}");
    let answer = say(server.address, &announced).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_bytes_max"), "{answer}");
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 1_001, "b".repeat(1_001));
    let hidden = format!("POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{CLOSE}{chunk}");
    let answer = say(server.address, &hidden).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let good =
        format!("POST /body HTTP/1.1\r\nContent-Length: 1000\r\n{CLOSE}{}", "c".repeat(1_000));
    assert!(say(server.address, &good).await.ends_with("1000"));
}

/// Head and body of an answer, the latter as the head says its length.
async fn whole(stream: &mut TcpStream) -> (String, String) {
    let head = head(stream).await;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| *name == "content-length").unwrap().1;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Has this status, and is a problem under an id.
fn is_problem((head, body): &(String, String), status: u16, code: &str) {
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains("content-type: application/problem+json\r\n"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{body}");
    for field in ["type", "title", "detail"] {
        assert!(problem[field].is_string(), "{body}");
    }
    let id = problem["request_id"].as_str().unwrap();
    assert!(head.contains(&format!("x-request-id: {id}\r\n")), "{head}");
}

#[tokio::test]
async fn what_is_never_read_as_a_request_is_refused_as_a_problem_under_an_id() {
    let server = start(limits(), None).await;
    let fields: String = (0..200).map(|n| format!("H{n}: v\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\n{fields}\r\n");
    let good = String::from("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    for (text, status, code) in [
        ("nonsense\r\n\r\n", 400, "malformed-head"),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "malformed-head"),
        ("GET / HTTP/7.1\r\nHost: x\r\n\r\n", 400, "malformed-head"),
        (&many, 431, "head-too-large"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        is_problem(&whole(&mut stream).await, status, code);
        assert_eq!(rest(&mut stream).await, "", "nothing follows");
        // After an answer of ours on the same connection, apart from it and at once behind it.
        for apart in [true, false] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let (first, then) =
                if apart { (good.clone(), text) } else { (good.clone() + text, "") };
            stream.write_all(first.as_bytes()).await.unwrap();
            let (ours, body) = whole(&mut stream).await;
            assert!(ours.starts_with("HTTP/1.1 200 ") && body == "3", "{ours}{body}");
            stream.write_all(then.as_bytes()).await.unwrap();
            is_problem(&whole(&mut stream).await, status, code);
        }
    }
}

#[tokio::test]
async fn an_address_that_is_too_long_is_said_to_be() {
    let server = start(Limits { header_bytes_max: 200_000, ..limits() }, None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let text = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    stream.write_all(text.as_bytes()).await.unwrap();
    is_problem(&whole(&mut stream).await, 414, "address-too-long");
}

#[tokio::test]
async fn what_an_answer_quotes_is_never_taken_for_a_refusal() {
    let quoted = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let router = axum::Router::new().route("/", get(move || async move { quoted }));
    let listener = bind("listen", (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let serving = serve(listener, None, router, Arc::new(Echo), limits(), Metrics::new(), stopped);
    drop(tasks::spawn("test server", serving));
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (head, body) = whole(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body == quoted, "{head}{body}");
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let server = start(Limits { request: Duration::from_millis(100), ..limits() }, None).await;
    let answer = say(server.address, &format!("GET /never HTTP/1.1\r\n{CLOSE}")).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_ms"), "{answer}");
    // A body that trickles in is no different.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let trickle = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    stream.write_all(trickle.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn one_address_cannot_take_all_places_of_strangers() {
    let server = start(Limits { handshakes_per_ip_max: 2, ..limits() }, None).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let _second = TcpStream::connect(server.address).await.unwrap();
    let failures = server.metrics.handshake_failures_total.of(HandshakeFailure::PerAddress);
    let mut third = TcpStream::connect(server.address).await.unwrap();
    is_problem(&whole(&mut third).await, 503, "handshakes-per-ip-max");
    assert_eq!(failures.get(), 1);
    // Whoever says what they want is no stranger any more.
    first.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200"));
    let answer = say(server.address, &format!("GET /peer HTTP/1.1\r\n{CLOSE}")).await;
    assert!(answer.ends_with("127.0.0.1 false"), "{answer}");
}

#[tokio::test]
async fn the_places_of_a_listener_come_back_when_sockets_end() {
    let server = start(Limits { connections_max: 1, ..limits() }, None).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(UPGRADE.as_bytes()).await.unwrap();
    assert!(head(&mut socket).await.starts_with("HTTP/1.1 101"));
    let request = format!("GET /peer HTTP/1.1\r\n{CLOSE}");
    let told = rest(&mut TcpStream::connect(server.address).await.unwrap()).await;
    assert!(told.contains("connections-max"), "the socket holds the one place: {told}");
    socket.shutdown().await.unwrap();
    assert_eq!(rest(&mut socket).await, "");
    let answered =
        async { while !say(server.address, &request).await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap();
}

#[tokio::test]
async fn one_address_has_so_many_sockets_and_no_more() {
    let server = start(Limits { connections_per_ip_max: 1, ..limits() }, None).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(UPGRADE.as_bytes()).await.unwrap();
    assert!(head(&mut first).await.starts_with("HTTP/1.1 101"));
    let refused = say(server.address, UPGRADE).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("connections_per_ip_max"), "{refused}");
    first.shutdown().await.unwrap();
    assert_eq!(rest(&mut first).await, "");
    // Its place is free once it has ended.
    let again = async {
        loop {
            let mut again = TcpStream::connect(server.address).await.unwrap();
            again.write_all(UPGRADE.as_bytes()).await.unwrap();
            if head(&mut again).await.starts_with("HTTP/1.1 101") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed_about_the_browsers_address() {
    let forwarded = "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n";
    let request = format!("GET /peer HTTP/1.1\r\n{forwarded}{CLOSE}");
    let server = start(limits(), None).await;
    assert!(say(server.address, &request).await.ends_with("127.0.0.1 false"));
    let trusted_proxies = vec![Ipv4Addr::LOCALHOST.into(), "198.51.100.7".parse().unwrap()];
    let server = start(Limits { trusted_proxies, ..limits() }, None).await;
    assert!(say(server.address, &request).await.ends_with("203.0.113.9 true"));
    let forged = request.replace("203.0.113.9,", "203.0.113.9, junk,");
    assert!(say(server.address, &forged).await.ends_with("127.0.0.1 true"));
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_port_and_flag() {
    let server = start(limits(), None).await;
    let error = bind("admin_listen", server.address).await.unwrap_err().to_string();
    assert!(error.contains(&server.address.to_string()), "{error}");
    assert!(error.contains("--admin-listen"), "{error}");
}

#[tokio::test]
async fn a_stopped_listener_finishes_its_requests_and_leaves_sockets_alone() {
    let server = start(limits(), None).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(UPGRADE.as_bytes()).await.unwrap();
    assert!(head(&mut socket).await.starts_with("HTTP/1.1 101"));
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(head(&mut idle).await.starts_with("HTTP/1.1 200"));
    server.stop.send_replace(true);
    server.serving.await.unwrap();
    assert!(rest(&mut idle).await.ends_with("127.0.0.1 false"), "an idle connection is closed");
    assert!(TcpStream::connect(server.address).await.is_err());
    echoes(&mut socket, b"").await;
}

// TLS.

struct Issued {
    cert: CertificateDer<'static>,
    cert_pem: String,
    key_pem: String,
}

fn issue() -> Issued {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Issued {
        cert: made.cert.der().clone(),
        cert_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
    }
}

fn keep(folder: &Path, issued: &Issued) {
    std::fs::write(folder.join("cert.pem"), &issued.cert_pem).unwrap();
    std::fs::write(folder.join("key.pem"), &issued.key_pem).unwrap();
}

fn load(folder: &Path) -> Result<Arc<Tls>, TlsError> {
    Tls::load(&folder.join("cert.pem"), &folder.join("key.pem")).map(Arc::new)
}

async fn connect(
    address: SocketAddr,
    trusted: &Issued,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    connect_by(address, trusted, &rustls::version::TLS13).await
}

async fn connect_by(
    address: SocketAddr,
    trusted: &Issued,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.cert.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn a_socket_behind_tls_is_the_same_socket() {
    let folder = tempfile::tempdir().unwrap();
    let issued = issue();
    keep(folder.path(), &issued);
    let server = start(limits(), Some(load(folder.path()).unwrap())).await;
    let mut stream = connect(server.address, &issued).await.unwrap();
    stream.write_all(format!("{UPGRADE}early").as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
    echoes(&mut stream, b"early").await;
    let mut stream = connect(server.address, &issued).await.unwrap();
    stream.write_all(format!("GET /peer HTTP/1.1\r\n{CLOSE}").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.ends_with("127.0.0.1 true"));
}

#[tokio::test]
async fn last_words_behind_tls_arrive_whole_where_there_was_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let issued = issue();
    keep(folder.path(), &issued);
    let server = start(limits(), Some(load(folder.path()).unwrap())).await;
    let mut stream = connect(server.address, &issued).await.unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
    stream.write_all(FILL).await.unwrap();
    let mut came = Vec::new();
    // Fails where the session ends without its goodbye.
    stream.read_to_end(&mut came).await.unwrap();
    assert!(came.len() > FILLING.len() && came.len() % FILLING.len() == 0, "{}", came.len());
}

/// A way to the server that carries so few bytes at a time, both ways.
async fn narrow(server: SocketAddr, bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks::spawn("narrow", async move {
        let (here, _) = listener.accept().await.unwrap();
        let there = TcpStream::connect(server).await.unwrap();
        there.set_nodelay(true).unwrap();
        let ((mut here_in, mut here_out), (mut there_in, mut there_out)) =
            (here.into_split(), there.into_split());
        let carry =
            async |from: &mut (dyn tokio::io::AsyncRead + Send + Unpin),
                   to: &mut (dyn tokio::io::AsyncWrite + Send + Unpin)| {
                let mut piece = vec![0; bytes];
                while let Ok(read @ 1..) = from.read(&mut piece).await {
                    to.write_all(&piece[..read]).await.unwrap();
                }
            };
        tokio::join!(carry(&mut here_in, &mut there_out), carry(&mut there_in, &mut here_out));
    });
    address
}

#[tokio::test]
async fn a_tls_session_takes_records_in_pieces_and_new_keys() {
    let folder = tempfile::tempdir().unwrap();
    let issued = issue();
    keep(folder.path(), &issued);
    let server = start(limits(), Some(load(folder.path()).unwrap())).await;
    for (version, piece) in [
        (&rustls::version::TLS13, 11),
        (&rustls::version::TLS12, 11),
        (&rustls::version::TLS13, 100_000),
    ] {
        let address = narrow(server.address, piece).await;
        let mut stream = connect_by(address, &issued, version).await.unwrap();
        stream.write_all(UPGRADE.as_bytes()).await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
        if version.version == rustls::ProtocolVersion::TLSv1_3 {
            stream.get_mut().1.refresh_traffic_keys().unwrap();
        }
        let sent: Vec<u8> = (0u32..60_000).flat_map(u32::to_be_bytes).collect();
        let (mut from, mut to) = tokio::io::split(stream);
        let mut came = vec![0; sent.len()];
        let (wrote, read) = tokio::join!(
            async {
                to.write_all(&sent).await?;
                to.flush().await
            },
            from.read_exact(&mut came),
        );
        wrote.unwrap();
        read.unwrap();
        assert!(came == sent, "{version:?} in pieces of {piece}");
        let mut stream = from.unsplit(to);
        stream.shutdown().await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "a goodbye is answered by one");
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (issue(), issue());
    keep(folder.path(), &old);
    let tls = load(folder.path()).unwrap();
    let server = start(limits(), Some(tls.clone())).await;
    assert!(tls.reload().is_none(), "nothing changed");
    assert!(connect(server.address, &old).await.is_ok());
    // A key that is not the certificate's: what a half-finished renewal looks like.
    std::fs::write(folder.path().join("cert.pem"), format!("{}\n", new.cert_pem)).unwrap();
    assert!(matches!(tls.reload(), Some(Err(TlsError::Match { .. }))));
    assert!(tls.reload().is_none(), "one bad state is told once");
    assert!(connect(server.address, &old).await.is_ok(), "the former stays in use");
    std::fs::write(folder.path().join("key.pem"), format!("{}\n", new.key_pem)).unwrap();
    assert!(matches!(tls.reload(), Some(Ok(()))));
    assert!(connect(server.address, &new).await.is_ok());
    assert!(connect(server.address, &old).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_keeps_length_and_time_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (issue(), issue());
    let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let put = |issued: &Issued| {
        for (name, pem) in [("cert.pem", &issued.cert_pem), ("key.pem", &issued.key_pem)] {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{pem:\n<4096}")).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(at).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 4096);
        }
    };
    put(&old);
    let tls = load(folder.path()).unwrap();
    let server = start(limits(), Some(tls.clone())).await;
    assert!(connect(server.address, &old).await.is_ok());
    put(&new);
    assert!(matches!(tls.reload(), Some(Ok(()))));
    assert!(connect(server.address, &new).await.is_ok());
    put(&new);
    assert!(tls.reload().is_none(), "written again, and the same");
}

#[tokio::test]
async fn the_metrics_tell_of_a_reload_that_failed_and_of_the_next_that_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let issued = issue();
    keep(folder.path(), &issued);
    let (tls, metrics) = (load(folder.path()).unwrap(), Metrics::new());
    metrics.config_read(protocol::time::UnixMillis(1_000));
    let success = &metrics.config_last_reload_success;
    let at = &metrics.config_last_reload_success_timestamp_seconds;
    assert_eq!((success.get(), at.get()), (1, 1));
    let (stop, stopped) = watch::channel(false);
    let look = Duration::from_millis(5);
    let watching = tasks::spawn("watch", tls.clone().watch(look, Arc::clone(&metrics), stopped));
    std::fs::write(folder.path().join("cert.pem"), "nothing").unwrap();
    until(|| success.get() == 0).await;
    assert_eq!(at.get(), 1);
    keep(folder.path(), &issued);
    until(|| success.get() == 1 && at.get() > 1).await;
    // What the operator asked for and was refused is not mended by good files alone; when they end
    // is told all the same.
    let ends = "\nlivehelp_tls_certificate_expiry_timestamp_seconds ";
    tls.note_refused(true);
    success.set(0);
    metrics.certificate_ends(None);
    keep(folder.path(), &issue());
    until(|| metrics.render().contains(ends)).await;
    assert_eq!(success.get(), 0);
    stop.send_replace(true);
    watching.await.unwrap();
}

#[tokio::test]
async fn a_bad_tls_handshake_costs_nobody_else_anything() {
    let folder = tempfile::tempdir().unwrap();
    let issued = issue();
    keep(folder.path(), &issued);
    let limits = Limits { header: Duration::from_millis(300), ..limits() };
    let server = start(limits, Some(load(folder.path()).unwrap())).await;
    say(server.address, &format!("GET /peer HTTP/1.1\r\n{CLOSE}")).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    rest(&mut silent).await;
    let failures = &server.metrics.handshake_failures_total;
    until(|| failures.of(HandshakeFailure::Tls).get() == 1).await;
    until(|| failures.of(HandshakeFailure::TooSlow).get() == 1).await;
    assert!(connect(server.address, &issued).await.is_ok());
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let words = |folder: &Path| load(folder).unwrap_err().to_string();
    assert!(words(folder.path()).contains("tls_cert"));
    let issued = issue();
    keep(folder.path(), &issued);
    std::fs::write(folder.path().join("key.pem"), "nothing").unwrap();
    assert!(words(folder.path()).contains("tls_key"));
    std::fs::write(folder.path().join("cert.pem"), "nothing").unwrap();
    assert!(words(folder.path()).contains("holds no certificate"));
}
