//! The relays do what they are compared for: a message crosses, an ack comes, and not before the append.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use peers::framing::{BINARY, MASK, head_end, next_frame, push_frame};
use peers::peer::place::Place;
use peers::peer::{Peer, Start};
use peers::stamp;
use peers::tls::Certificate;
use peers::work::{self, CPU_DELIVERY, CPU_MESSAGE, Span};
use testkit::Process;

struct Relay(Process);

impl Relay {
    fn start(program: &str, words: &[&str]) -> Self {
        // Where it lies is of no matter: whatever says something there has failed.
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("relays.log");
        Self(Process::spawn(Command::new(program).args(words), &log).unwrap())
    }

    fn join(&self, room: &str) -> Client {
        let mut stream = TcpStream::connect(self.0.ready.public).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(
            stream,
            "GET /{room} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut client = Client { stream, came: Vec::new() };
        while head_end(&client.came).is_none() {
            client.read();
        }
        assert!(client.came.starts_with(b"HTTP/1.1 101"));
        // The key and its answer of RFC 6455, 1.3.
        let head = String::from_utf8_lossy(&client.came).to_ascii_lowercase();
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        client.came.drain(..head_end(&client.came).unwrap());
        client
    }
}

struct Client {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Client {
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the relay hung up");
        self.came.extend_from_slice(&buffer[..read]);
    }

    fn say(&mut self, stamp: u32) {
        let mut bytes = Vec::new();
        push_frame(BINARY, &stamp::message(stamp), Some(MASK), &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    fn hear(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = next_frame(&mut self.came, 0) {
                let payload = self.came[frame.payload.clone()].to_vec();
                self.came.drain(..frame.payload.end);
                return payload;
            }
            self.read();
        }
    }
}

fn a_message_crosses(relay: &Relay) -> (Client, Client) {
    let (mut one, mut other) = (relay.join("a"), relay.join("a"));
    let mut elsewhere = relay.join("b");
    elsewhere.say(1);
    // A member may be in a moment after their handshake.
    std::thread::park_timeout(Duration::from_millis(100));
    one.say(7);
    assert_eq!(stamp::read(&other.hear()), Some(7));
    (one, other)
}

#[test]
fn a_message_crosses_the_floor_and_the_plain_relay() {
    for program in [env!("CARGO_BIN_EXE_floor"), env!("CARGO_BIN_EXE_relay")] {
        a_message_crosses(&Relay::start(program, &[]));
    }
}

#[test]
fn the_acking_floor_names_the_message() {
    let relay = Relay::start(env!("CARGO_BIN_EXE_floor"), &["--ack"]);
    let (mut one, _other) = a_message_crosses(&relay);
    assert_eq!(one.hear(), stamp::message(7)[..8]);
}

#[test]
fn the_durable_floor_acks_what_is_in_its_file() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("durable-floor");
    let _absent = fs::remove_file(&path);
    let relay = Relay::start(env!("CARGO_BIN_EXE_floor"), &["--store", path.to_str().unwrap()]);
    let (mut one, mut other) = a_message_crosses(&relay);
    for stamp in 8..40 {
        one.say(stamp);
    }
    for stamp in 7..40 {
        assert_eq!(one.hear(), stamp::message(stamp)[..8]);
        let file = fs::read(&path).unwrap();
        let kept = |wanted: &[u8]| file.windows(wanted.len()).any(|window| window == wanted);
        assert!(kept(&stamp::message(stamp)), "acked before it was appended");
    }
    assert_eq!(stamp::read(&other.hear()), Some(8));
}

/// Where `cargo xtask peers` unpacks it, beside this test's own folder.
fn place(ejabberd: Option<PathBuf>) -> Place {
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ejabberd");
    fs::create_dir_all(&work).unwrap();
    Place {
        binaries: PathBuf::from(env!("CARGO_BIN_EXE_floor")).parent().unwrap().to_path_buf(),
        livehelp: PathBuf::new(),
        js: PathBuf::new(),
        nats: None,
        mosquitto: None,
        ejabberd,
        certificate: Certificate::make(&work).unwrap(),
        work,
    }
}

#[test]
fn an_ejabberd_that_is_not_here_is_not_started() {
    let place = place(None);
    assert!(!place.has(Peer::Ejabberd));
    assert!(place.versions()["ejabberd"].is_null());
}

/// Nothing is lost between two, nor in a room of many, or the work would say so.
#[test]
fn a_message_crosses_ejabberd_where_it_is() {
    let script =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../peers-ejabberd/usr/sbin/ejabberdctl");
    if !script.is_file() {
        // Past the harness, which keeps what a test that passes prints.
        let said = "ejabberd is not here (`cargo xtask peers` unpacks it): its test did nothing\n";
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    let place = place(Some(script));
    let start = Start { place: &place, peer: Peer::Ejabberd, tls: false };
    let span = Span { warm: Duration::from_millis(100), window: Duration::from_millis(300) };
    let two = work::closed(&start.rooms(20).unwrap(), 20, span).unwrap();
    assert!(two[CPU_MESSAGE] > 0.0, "{two:?}");
    let many = work::fan_out(&start.rooms(1).unwrap(), 20, 1, span).unwrap();
    assert!(many[CPU_DELIVERY] > 0.0, "{many:?}");
}
