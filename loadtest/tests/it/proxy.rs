//! A proxy between harness and server that knows WebSocket frames, and mishandles those in which something is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    /// A letter of its text becomes another.
    Corrupt,
    /// The frame is no frame any more.
    Garble,
    /// Once in the proxy's life, at the message of this number: every line stands still for so long.
    Stall(usize, Duration),
    /// Once in the proxy's life, at the message of this number: every line ends.
    Cut(usize),
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
            still: tokio::sync::RwLock::new(()),
            cut: tokio::sync::Notify::new(),
        });
        livehelp::tasks::spawn("proxy", async move {
            loop {
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
                            upstream(near_read, far_write),
                            ruin.downstream(far_read, near_write)
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

async fn upstream(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Either end may go at any time.
    let _ended = tokio::io::copy(&mut from, &mut to).await;
}

struct Ruin {
    fault: Fault,
    messages: AtomicUsize,
    /// Held for writing while everything stands still.
    still: tokio::sync::RwLock<()>,
    /// Lines wait for it beside what they carry.
    cut: tokio::sync::Notify,
}

impl Ruin {
    async fn downstream(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let head_len = loop {
            if from.read_buf(&mut bytes).await? == 0 {
                return to.write_all(&bytes).await;
            }
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        to.write_all(&bytes[..head_len]).await?;
        let upgraded = bytes.starts_with(b"HTTP/1.1 101");
        bytes.drain(..head_len);
        if !upgraded {
            to.write_all(&bytes).await?;
            tokio::io::copy(&mut from, &mut to).await?;
            return to.shutdown().await;
        }
        let mut held = None;
        loop {
            while let Some(len) = frame_len(&bytes) {
                let frame: Vec<u8> = bytes.drain(..len).collect();
                self.frame(frame, &mut held, &mut to).await?;
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
    ) -> std::io::Result<()> {
        // A binary frame with an array that begins with 66, `message`, and has a stamp.
        let stamp = frame.windows(2).position(|two| two == b"lh");
        let payload = if frame[1] < 126 { 2 } else { 4 };
        let is_message = frame[0] == 0x82 && frame.get(payload + 1) == Some(&66) && stamp.is_some();
        let number = if is_message { self.messages.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
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
            _ => {}
        }
        to.write_all(&frame).await
    }
}

/// The length of the first frame; a server's frames have no mask.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let len = match *bytes.get(1)? {
        126 => 4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        127 => {
            10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap()
        }
        len => 2 + usize::from(len),
    };
    (bytes.len() >= len).then_some(len)
}
