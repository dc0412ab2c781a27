//! A proxy between harness and server that knows WebSocket frames, and mishandles those in which something is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::codec::{Encoding, decode_server, encode_server};
use protocol::frame::ServerFrame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Each so many messages, one is mishandled.
const EACH: usize = 10;

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    Drop,
    Double,
    /// It and all behind it.
    Delay(Duration),
    /// It comes after the one behind it.
    Reorder,
    /// Each page of history is the other way round.
    ReversePage,
    /// A letter of its text becomes another.
    Corrupt,
    /// Each so many that come after one of another conversation, that one comes on this connection,
    /// too.
    Misdeliver,
    /// The frame is no frame any more.
    Garble,
    /// Once in the proxy's life, at the message of this number: every connection stands still for
    /// so long.
    Stall(usize, Duration),
    /// Once in the proxy's life, at the message of this number: every connection ends.
    Cut(usize),
    /// Connections that begin after the first message are opened, and nothing that the server says
    /// on them comes through.
    Silence,
    /// Each so many acks of messages, one never comes, but for those after so many.
    SwallowAck(usize),
    /// What one agent is offered is offered to the next one who is offered something, too.
    OfferTwice,
    /// Whoever is told their place in the queue is told a later one right after.
    GrowPlace,
    /// Once in the proxy's life, at the offer of this number: it comes late, as if it had been made late.
    OfferLate(usize),
    /// The server is told that agents take more than they say.
    Overburden,
}

pub struct Proxy {
    pub address: SocketAddr,
    listener: TcpListener,
}

impl Proxy {
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// Carries to and fro until the test ends.
    pub fn carry(self, to: SocketAddr, fault: Fault) {
        let ruin = Arc::new(Ruin {
            fault,
            messages: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            offer: std::sync::Mutex::new(None),
            last: std::sync::Mutex::new(None),
            still: tokio::sync::RwLock::new(()),
            cut: tokio::sync::Notify::new(),
        });
        livehelp::tasks::spawn("proxy", async move {
            for line in 0.. {
                let Ok((near, _)) = self.listener.accept().await else { return };
                let Ok(far) = TcpStream::connect(to).await else { continue };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                let ruin = Arc::clone(&ruin);
                livehelp::tasks::spawn("line", async move {
                    let cut = ruin.cut.notified();
                    let carried = async {
                        // Either end may go at any time.
                        let _ended = tokio::join!(
                            ruin.upstream(near_read, far_write),
                            ruin.downstream(far_read, near_write, line)
                        );
                    };
                    tokio::select! {
                        () = cut => {}
                        () = carried => {}
                    }
                });
            }
        });
    }
}

/// Kinds of frames: what the first field of a frame's array says.
const AVAILABILITY: u8 = 15;
const ACK: u8 = 65;
const MESSAGE: u8 = 66;
const QUEUE: u8 = 73;
const OFFER: u8 = 74;
const HISTORY: u8 = 81;

/// Where the field behind a frame's conversation is, from the beginning of its payload.
const BEHIND_CONVERSATION: usize = 20;

/// By how much an offer is late, and by how much it says so itself.
const LATE: Duration = Duration::from_secs(3);
const SAID_LATE_MS: u64 = 2_500;

struct Ruin {
    fault: Fault,
    messages: AtomicUsize,
    /// Frames of the other kind that is mishandled.
    others: AtomicUsize,
    /// The last offer, and on which line it came.
    offer: std::sync::Mutex<Option<(usize, Vec<u8>)>>,
    /// The last message.
    last: std::sync::Mutex<Option<Vec<u8>>>,
    /// Held for writing while everything stands still.
    still: tokio::sync::RwLock<()>,
    /// Connections wait for it beside what they carry.
    cut: tokio::sync::Notify,
}

impl Ruin {
    async fn downstream(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        line: usize,
    ) -> std::io::Result<()> {
        let (head, mut bytes) = pass_head(&mut from, &mut to).await?;
        if !head.starts_with(b"HTTP/1.1 101") {
            to.write_all(&bytes).await?;
            tokio::io::copy(&mut from, &mut to).await?;
            return to.shutdown().await;
        }
        if self.fault == Fault::Silence && self.messages.load(Ordering::SeqCst) > 0 {
            tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
            return to.shutdown().await;
        }
        let mut held = None;
        loop {
            while let Some(len) = frame_len(&bytes) {
                let frame: Vec<u8> = bytes.drain(..len).collect();
                self.frame(frame, &mut held, &mut to, line).await?;
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return to.shutdown().await;
            }
        }
    }

    async fn upstream(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> std::io::Result<()> {
        let (head, mut bytes) = pass_head(&mut from, &mut to).await?;
        if self.fault != Fault::Overburden || !head.starts_with(b"GET /v1/socket") {
            to.write_all(&bytes).await?;
            tokio::io::copy(&mut from, &mut to).await?;
            return to.shutdown().await;
        }
        loop {
            while let Some(len) = frame_len(&bytes) {
                let mut frame: Vec<u8> = bytes.drain(..len).collect();
                overburden(&mut frame);
                to.write_all(&frame).await?;
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return to.shutdown().await;
            }
        }
    }

    async fn frame(
        &self,
        mut frame: Vec<u8>,
        held: &mut Option<Vec<u8>>,
        to: &mut OwnedWriteHalf,
        line: usize,
    ) -> std::io::Result<()> {
        // A binary frame with an array that begins with `message`, and has a stamp.
        let stamp = frame.windows(2).position(|two| two == b"lh");
        let payload = if frame[1] < 126 { 2 } else { 4 };
        let kind = frame.get(payload + 1).filter(|_| frame[0] == 0x82).copied();
        let is_message = kind == Some(MESSAGE) && stamp.is_some();
        let number = if is_message { self.messages.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        let is_other = match self.fault {
            // The answer to anything but a message has two fields.
            Fault::SwallowAck(_) => kind == Some(ACK) && frame[payload] != 0x92,
            Fault::OfferLate(_) => kind == Some(OFFER),
            _ => false,
        };
        let other = if is_other { self.others.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        let chosen = is_message && number % EACH == 0;
        if let Fault::Stall(at, long) = self.fault {
            if number == at {
                let _still = self.still.write().await;
                tokio::time::sleep(long).await;
            }
            let _moving = self.still.read().await;
            return to.write_all(&frame).await;
        }
        if self.fault == Fault::Cut(number) {
            self.cut.notify_waiters();
        }
        if is_message && let Some(late) = held.take() {
            frame.extend(late);
        }
        match self.fault {
            Fault::Drop if chosen => return Ok(()),
            Fault::Reorder if chosen => {
                *held = Some(frame);
                return Ok(());
            }
            Fault::Double if chosen => frame.extend(frame.clone()),
            Fault::Delay(long) if chosen => tokio::time::sleep(long).await,
            Fault::Corrupt if chosen => {
                let letter = &mut frame[stamp.unwrap() + 60];
                *letter = if *letter == b'x' { b'y' } else { b'x' };
            }
            Fault::Garble if chosen => frame[payload..].fill(0xc1),
            Fault::SwallowAck(most) if (1..=most).contains(&other) && other % EACH == 0 => {
                return Ok(());
            }
            Fault::OfferTwice if kind == Some(OFFER) => {
                let last = self.offer.lock().unwrap().replace((line, frame.clone()));
                frame.extend(last.filter(|(other, _)| *other != line).unwrap_or_default().1);
            }
            Fault::GrowPlace if kind == Some(QUEUE) => {
                let mut later = frame.clone();
                later[payload + BEHIND_CONVERSATION] += 1;
                frame.extend(later);
            }
            Fault::Misdeliver if is_message => frame.extend(self.astray(&frame)),
            Fault::ReversePage if kind == Some(HISTORY) => reverse(&mut frame[payload..]),
            Fault::OfferLate(at) if other == at => {
                let deadline = payload + BEHIND_CONVERSATION + 1;
                let deadline = frame[deadline..].first_chunk_mut().unwrap();
                *deadline = (u64::from_be_bytes(*deadline) + SAID_LATE_MS).to_be_bytes();
                tokio::time::sleep(LATE).await;
            }
            _ => {}
        }
        to.write_all(&frame).await
    }

    /// The message before this one, if it is of another conversation and its turn has come; else nothing.
    fn astray(&self, frame: &[u8]) -> Vec<u8> {
        let last = self.last.lock().unwrap().replace(frame.to_vec());
        let other = last.filter(|last| conversation(last) != conversation(frame));
        let chosen = |_: &Vec<u8>| {
            let number = self.others.fetch_add(1, Ordering::SeqCst) + 1;
            number.is_multiple_of(EACH)
        };
        other.filter(chosen).unwrap_or_default()
    }
}

/// Passes on the head of a request or of an answer; gives it, and what came behind it.
async fn pass_head(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    let len = loop {
        if from.read_buf(&mut head).await? == 0 {
            break head.len();
        }
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    to.write_all(&head[..len]).await?;
    let behind = head.split_off(len);
    Ok((head, behind))
}

/// The conversation of a message.
fn conversation(frame: &[u8]) -> &[u8] {
    let payload = if frame[1] < 126 { 2 } else { 4 };
    &frame[payload + BEHIND_CONVERSATION - 16..payload + BEHIND_CONVERSATION]
}

/// A page of history, which is as long the other way round.
fn reverse(page: &mut [u8]) {
    let mut bytes = Vec::new();
    let mut frame = decode_server(Encoding::Msgpack, page).unwrap();
    if let ServerFrame::History { messages, .. } = &mut frame {
        messages.reverse();
    }
    encode_server(Encoding::Msgpack, &frame, &mut bytes).unwrap();
    page.copy_from_slice(&bytes);
}

/// A client's frame, which has a mask. An agent takes four conversations more than they say.
fn overburden(frame: &mut [u8]) {
    let payload = if frame[1] & 0x7f < 126 { 6 } else { 8 };
    let unmasked = |at: usize| frame.get(payload + at).map(|b| b ^ frame[payload - 4 + at]);
    if frame[0] == 0x82 && unmasked(1) == Some(AVAILABILITY) {
        // From 1 to 5, through any mask.
        *frame.last_mut().unwrap() ^= 1 ^ 5;
    }
}

/// The length of the first frame; a server's frames have no mask.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let mask = if bytes.get(1)? & 0x80 == 0 { 0 } else { 4 };
    let len = match *bytes.get(1)? & 0x7f {
        126 => 4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        127 => {
            10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap()
        }
        len => 2 + usize::from(len),
    };
    let len = len + mask;
    (bytes.len() >= len).then_some(len)
}
