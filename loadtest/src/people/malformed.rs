//! A client that breaks the rules: of the upgrade, of WebSocket, of the protocol over it, and of
//! the time that a greeting may take. A server must answer it or close its connection, and go on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::limits::FRAME_BYTES_MAX;
use tokio::task::JoinHandle;

use crate::clock::micros;
use crate::judge::figure::Count;
use crate::people::caller::{CallError, Caller, Who, decoded, encoded, hello};
use crate::people::socket::{Incoming, Socket, SocketError};
use crate::people::world::{Stage, World};
use crate::tasks;

/// Time in which a server must have said or done something. A server of livehelp gives a greeting
/// 10 s (`hello_timeout_ms`).
const PATIENCE: Duration = Duration::from_secs(15);

/// Time from one byte to the next of who greets slowly: a greeting has more than a hundred.
const DRIP: Duration = Duration::from_millis(250);

/// One rule and how it is broken.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// WebSocket as it should be, with a message that is no frame.
    Message { greeted: bool, message: Message },
    /// Bytes that are no frame of WebSocket: the connection must end.
    Breach { greeted: bool, breach: Breach },
    /// An upgrade with these lines in place of key and version: it must be refused with 4xx.
    Upgrade(&'static str),
    /// A greeting that takes longer than it may: the connection must end.
    Slow(Slow),
}

#[derive(Debug, Clone, Copy)]
enum Message {
    Junk,
    /// JSON, where MessagePack was agreed on.
    Text,
    /// Arrays in arrays.
    Deep,
    /// A frame without its last byte.
    Short,
    /// More bytes than a message may have.
    Large,
}

#[derive(Debug, Clone, Copy)]
enum Breach {
    /// A client's frame has a mask.
    Unmasked,
    /// Bits of extensions that were not agreed on.
    Reserved,
    /// A kind of frame that there is not.
    Opcode,
    /// The head of a frame of 2^40 bytes.
    Length,
    /// Fragments of one message, more than any message may have.
    Endless,
}

#[derive(Debug, Clone, Copy)]
enum Slow {
    Silent,
    /// The first half of a frame.
    Cut,
    /// A right greeting, byte by byte.
    Drip,
}

const fn before(message: Message) -> Attack {
    Attack::Message { greeted: false, message }
}

const fn after(message: Message) -> Attack {
    Attack::Message { greeted: true, message }
}

const fn breach(greeted: bool, breach: Breach) -> Attack {
    Attack::Breach { greeted, breach }
}

/// What a server sees at once, each by its name in a report.
static QUICK: [(&str, Attack); 19] = [
    ("junk for a greeting", before(Message::Junk)),
    ("text for a greeting", before(Message::Text)),
    ("deep arrays for a greeting", before(Message::Deep)),
    ("junk", after(Message::Junk)),
    ("a message without its end", after(Message::Short)),
    ("a message that is too large", after(Message::Large)),
    ("an unmasked frame for a greeting", breach(false, Breach::Unmasked)),
    ("reserved bits in a greeting", breach(false, Breach::Reserved)),
    ("an unknown opcode for a greeting", breach(false, Breach::Opcode)),
    ("the head of a huge frame for a greeting", breach(false, Breach::Length)),
    ("endless fragments for a greeting", breach(false, Breach::Endless)),
    ("an unmasked frame", breach(true, Breach::Unmasked)),
    ("reserved bits", breach(true, Breach::Reserved)),
    ("an unknown opcode", breach(true, Breach::Opcode)),
    ("the head of a huge frame", breach(true, Breach::Length)),
    ("endless fragments", breach(true, Breach::Endless)),
    ("an upgrade without a key", Attack::Upgrade("Sec-WebSocket-Version: 13\r\n")),
    (
        "an upgrade with a key that is none",
        Attack::Upgrade("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: junk\r\n"),
    ),
    (
        "an upgrade to a version that is none",
        Attack::Upgrade(
            "Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: bGl2ZWhlbHAtbG9hZC1oYQ==\r\n",
        ),
    ),
];

/// What a server sees only once its time is over.
static SLOW: [(&str, Attack); 3] = [
    ("a greeting that never comes", Attack::Slow(Slow::Silent)),
    ("a greeting that breaks off", Attack::Slow(Slow::Cut)),
    ("a greeting byte by byte", Attack::Slow(Slow::Drip)),
];

/// Connections of one hostile client at a time: what is quick one after the other, and beside it
/// each that is slow.
pub(crate) const LINES: u32 = 4;

/// Begins with the run, one hostile connection after another; so does each of the slow ones beside.
pub(crate) fn malformed(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let slow = SLOW.iter().map(std::slice::from_ref);
    let each = std::iter::once(QUICK.as_slice()).chain(slow);
    let mut chance = world.chance(world.speaker());
    let mut begin = |attacks| keep_on(Arc::clone(world), attacks, chance.fork());
    each.map(|attacks| tasks::spawn("malformed", begin(attacks))).collect()
}

/// One attack after the other, in their order, from any of them on.
async fn keep_on(
    world: Arc<World>,
    attacks: &'static [(&'static str, Attack)],
    mut chance: fastrand::Rng,
) {
    let mut stage = world.stage.subscribe();
    // The world outlives everyone in it.
    let _there = stage.wait_for(|stage| *stage >= Stage::Running).await.is_ok();
    let every = micros(Duration::from_millis(world.scenario().habits.malformed_ms));
    let first = chance.usize(0..attacks.len());
    for (name, attack) in attacks.iter().cycle().skip(first) {
        let junk: Vec<u8> = (0..chance.usize(1..600)).map(|_| chance.u8(..)).collect();
        if Box::pin(turned_away(&world, *attack, junk, PATIENCE)).await {
            world.count(Count::Repelled);
        } else {
            world.count(Count::Unrepelled);
            world.ledger.lock().example(format!("{name} was not turned away"));
        }
        let pause = Duration::from_micros(chance.u64(every / 2..=every * 3 / 2));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _over = stage.wait_for(|stage| *stage > Stage::Running) => return,
        }
    }
}

/// Whether the server answered or closed in time.
async fn turned_away(world: &World, attack: Attack, junk: Vec<u8>, patience: Duration) -> bool {
    if let Attack::Upgrade(lines) = attack {
        let target = world.target(None);
        let knocked = tokio::time::timeout(patience, Socket::knock(&target, lines));
        let refused = |status: Option<u16>| status.is_none_or(|it| (400..500).contains(&it));
        return knocked.await.is_ok_and(|answer| answer.is_ok_and(refused));
    }
    let Ok(mut socket) = Box::pin(socket(world, attack)).await else { return false };
    tokio::time::timeout(patience, provoke(world, &mut socket, attack, junk)).await.is_ok()
}

/// A connection to break the rules on.
async fn socket(world: &World, attack: Attack) -> Result<Socket, CallError> {
    let (Attack::Message { greeted: true, .. } | Attack::Breach { greeted: true, .. }) = attack
    else {
        return Ok(Socket::connect(&world.target(None)).await?);
    };
    let mut who = Who::Visitor { token: None };
    let caller = Caller::greet(world, &mut who, None, world.clock.now()).await?;
    Ok(caller.into_socket(world))
}

/// Breaks the rule. Ends once the server has said or done what it must: an error is the
/// connection's end, which always will do.
async fn provoke(
    world: &World,
    socket: &mut Socket,
    attack: Attack,
    junk: Vec<u8>,
) -> Result<(), SocketError> {
    match attack {
        Attack::Message { greeted, message } => {
            match message {
                Message::Text => socket.send_text(String::from("[\"hello\"]")).await?,
                Message::Junk => socket.send(Bytes::from(junk)).await?,
                Message::Deep => socket.send(Bytes::from(vec![0x91; 1_000])).await?,
                Message::Short => socket.send(short()).await?,
                Message::Large => socket.send(Bytes::from(vec![0xc4; 40_000])).await?,
            }
            if greeted { refused(socket).await } else { socket.next().await.map(drop) }
        }
        Attack::Breach { breach, .. } => {
            socket.send_raw(&bytes_of(breach)).await?;
            ended(socket).await
        }
        Attack::Slow(Slow::Cut) => {
            socket.send_raw(frame(0x82, &[0; 100]).split_at(50).0).await?;
            ended(socket).await
        }
        Attack::Slow(Slow::Drip) => drip(world, socket).await,
        // An upgrade has no connection.
        Attack::Slow(Slow::Silent) | Attack::Upgrade(_) => ended(socket).await,
    }
}

/// One byte short.
fn short() -> Bytes {
    let whole = encoded(&ClientFrame::Ping { request: RequestId(70_000) });
    whole.slice(..whole.len().saturating_sub(1))
}

/// Until a `reject` or the connection's end.
async fn refused(socket: &mut Socket) -> Result<(), SocketError> {
    loop {
        let Incoming::Binary(bytes) = socket.next().await? else { continue };
        if let Some(ServerFrame::Reject { .. }) = decoded(&bytes) {
            return Ok(());
        }
    }
}

/// Until the connection's end, which is an error.
async fn ended(socket: &mut Socket) -> Result<(), SocketError> {
    loop {
        socket.next().await?;
    }
}

async fn drip(world: &World, socket: &mut Socket) -> Result<(), SocketError> {
    let greeting = encoded(&hello(world, RequestId(1), &Who::Visitor { token: None }, None));
    for byte in frame(0x82, &greeting) {
        socket.send_raw(&[byte]).await?;
        if let Ok(came) = tokio::time::timeout(DRIP, socket.next()).await {
            came?;
        }
    }
    ended(socket).await
}

fn bytes_of(breach: Breach) -> Vec<u8> {
    let payload = [0; 100];
    match breach {
        Breach::Unmasked => [&[0x82, 100], &payload[..]].concat(),
        Breach::Reserved => frame(0xf2, &payload),
        Breach::Opcode => frame(0x83, &payload),
        Breach::Length => {
            let mut head = vec![0x82, MASKED | 127];
            head.extend((1_u64 << 40).to_be_bytes());
            head.extend(MASK);
            head
        }
        Breach::Endless => {
            let one = frame(0x00, &payload);
            let many = one.iter().copied().cycle().take(one.len() * 2 * FRAME_BYTES_MAX / 100);
            frame(0x02, &payload).into_iter().chain(many).collect()
        }
    }
}

/// Set in a frame's second byte where a mask follows.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x1d, 0x2e, 0x3f, 0x40];

/// A client's frame (RFC 6455, 5.2) with this first byte; its payload is at most 65,535 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..=125), _) => bytes.push(MASKED | len),
        (_, len) => {
            bytes.push(MASKED | 126);
            bytes.extend(len.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::people::world::tests::world;

    /// What it says to each upgrade.
    const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: ACCEPT\r\nsec-websocket-protocol: PROTOCOL\r\n\r\n";

    /// A server that takes each upgrade, and then everything without a word, or whose connections
    /// end at the first byte.
    async fn server(deaf: bool) -> Arc<World> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world("");
        let mut plan = world.plan.clone();
        plan.address = listener.local_addr().unwrap();
        let world = World::new(plan).unwrap();
        let protocol = world.target(None).subprotocol.unwrap();
        tasks::spawn("server", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tasks::spawn("connection", serve(stream, protocol, deaf));
            }
        });
        world
    }

    async fn serve(mut stream: TcpStream, protocol: &'static str, deaf: bool) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(
            crate::people::socket::KEY.as_bytes(),
        );
        let answer = UPGRADED.replace("ACCEPT", &accept).replace("PROTOCOL", protocol);
        stream.write_all(answer.as_bytes()).await.unwrap();
        while stream.read_u8().await.is_ok() && deaf {}
    }

    /// A server that has greeted nobody has none who breaks rules after it.
    fn ungreeted() -> impl Iterator<Item = (&'static str, Attack)> {
        QUICK.iter().chain(&SLOW).copied().filter(|(_, attack)| {
            !matches!(
                attack,
                Attack::Message { greeted: true, .. } | Attack::Breach { greeted: true, .. }
            )
        })
    }

    #[tokio::test]
    async fn a_server_that_takes_everything_turns_nobody_away() {
        let world = server(true).await;
        for (name, attack) in ungreeted() {
            let patience = Duration::from_millis(100);
            assert!(!turned_away(&world, attack, vec![1; 10], patience).await, "{name}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_turned_away_and_an_upgrade_that_is_taken_is_not() {
        let world = server(false).await;
        for (name, attack) in ungreeted() {
            // Who says nothing gives this server no byte to end at.
            if matches!(attack, Attack::Slow(Slow::Silent)) {
                continue;
            }
            let away = turned_away(&world, attack, vec![1; 10], PATIENCE).await;
            assert_eq!(away, !matches!(attack, Attack::Upgrade(_)), "{name}");
        }
    }

    #[test]
    fn a_frame_is_what_the_rfc_says_and_each_breach_breaks_its_rule() {
        // RFC 6455, 5.7, with this mask.
        let hello = frame(0x81, b"Hello");
        assert_eq!(hello, [0x81, 0x85, 0x1d, 0x2e, 0x3f, 0x40, 0x55, 0x4b, 0x53, 0x2c, 0x72]);
        assert_eq!(frame(0x82, &[0; 300])[1..4], [0xfe, 1, 44]);
        assert_eq!(bytes_of(Breach::Unmasked)[..2], [0x82, 100]);
        assert_eq!(bytes_of(Breach::Reserved)[..2], [0xf2, 0xe4]);
        assert_eq!(bytes_of(Breach::Opcode)[..2], [0x83, 0xe4]);
        assert_eq!(bytes_of(Breach::Length)[..5], [0x82, 0xff, 0, 0, 1]);
        assert_eq!(bytes_of(Breach::Endless)[106..108], [0x00, 0xe4]);
        let longest = bytes_of(Breach::Endless).len();
        assert!((FRAME_BYTES_MAX * 2..FRAME_BYTES_MAX * 3).contains(&longest), "{longest}");
    }
}
