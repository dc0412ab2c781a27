//! Many client sockets on one thread: it has to cost less than any server that it drives.
//!
//! Lives here: connecting, the upgrade, TLS, frames in and out, one timer. Not here: what the frames mean (`dialect`).

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use socket2::{Domain, Socket, Type};

use crate::framing::{CLOSE, MASK, PING, PONG, head_end, next_frame, push_frame};

/// What one read asks for, and what one poll looks at.
const READ_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
/// A slow reader's buffer, and what one of its packets carries.
const NARROW_BYTES: usize = 4 * 1024;
const NARROW_SEGMENT_BYTES: u32 = 536;
const TIMER: Token = Token(usize::MAX);

/// The upgrade of one connection.
#[derive(Debug, Clone, Default)]
pub struct Upgrade {
    /// From `/`.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Room for little: on loopback a slow reader would otherwise have megabytes of the kernel before its server noticed.
    pub narrow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Upgrading,
    Open,
    Ended,
}

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    stage: Stage,
    /// A slow reader: what comes stays in the kernel.
    deaf: bool,
    /// Bytes of a frame that is not whole yet.
    partial: Vec<u8>,
    /// Bytes that the socket did not take.
    out: Vec<u8>,
}

/// Who hears what comes.
pub trait Handler {
    /// A line is open.
    ///
    /// # Errors
    /// Ends the run.
    fn upgraded(&mut self, net: &mut Net, line: usize) -> Result<()>;
    /// A message came.
    ///
    /// # Errors
    /// Ends the run.
    fn heard(&mut self, net: &mut Net, line: usize, payload: &[u8]) -> Result<()>;
    /// A line ended.
    ///
    /// # Errors
    /// Ends the run.
    fn ended(&mut self, net: &mut Net, line: usize) -> Result<()>;
    /// The timer ran out so many times.
    ///
    /// # Errors
    /// Ends the run.
    fn ticked(&mut self, net: &mut Net, times: u64) -> Result<()>;
}

/// All lines to one server.
#[derive(Debug)]
pub struct Net {
    poll: Poll,
    events: Option<Events>,
    lines: Vec<Line>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    timer: Option<OwnedFd>,
    address: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Net {
    /// No line yet.
    ///
    /// # Errors
    /// If the kernel gives no poll.
    pub fn new(address: SocketAddr, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("ask the kernel for a poll")?,
            events: Some(Events::with_capacity(EVENTS_MAX)),
            lines: Vec::new(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            timer: None,
            address,
            tls,
        })
    }

    /// Connects and asks for the upgrade; [`Handler::upgraded`] hears when it is done.
    ///
    /// # Errors
    /// If there is no connection.
    pub fn connect(&mut self, upgrade: &Upgrade) -> Result<usize> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if upgrade.narrow {
            // Before it connects: the sender's buffer follows from these.
            socket.set_recv_buffer_size(NARROW_BYTES)?;
            socket.set_tcp_mss(NARROW_SEGMENT_BYTES)?;
        }
        socket
            .connect(&self.address.into())
            .with_context(|| format!("connect to {}", self.address))?;
        let stream = std::net::TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let line = self.lines.len();
        let both = Interest::READABLE.add(Interest::WRITABLE);
        self.poll.registry().register(&mut stream, Token(line), both).context("poll a line")?;
        let tls = match &self.tls {
            Some(config) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        let (stage, partial, out) = (Stage::Upgrading, Vec::new(), Vec::new());
        self.lines.push(Line { stream, tls, stage, deaf: false, partial, out });
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            upgrade.path, self.address
        );
        for (name, value) in &upgrade.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(line, head.as_bytes())?;
        Ok(line)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// If the line is broken.
    pub fn send(&mut self, line: usize, opcode: u8, payload: &[u8]) -> Result<()> {
        self.send_together(line, opcode, std::iter::once(payload))
    }

    /// Sends messages in one write.
    ///
    /// # Errors
    /// If the line is broken.
    pub fn send_together<'p>(
        &mut self,
        line: usize,
        opcode: u8,
        payloads: impl Iterator<Item = &'p [u8]>,
    ) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        for payload in payloads {
            push_frame(opcode, payload, Some(MASK), &mut scratch);
        }
        let written = self.write(line, &scratch);
        self.scratch = scratch;
        written
    }

    fn write(&mut self, line: usize, bytes: &[u8]) -> Result<()> {
        let at = self.lines.get_mut(line).context("no such line")?;
        if at.stage == Stage::Ended {
            bail!("a line that had ended was written to");
        }
        if let Some(tls) = &mut at.tls {
            tls.writer().write_all(bytes).context("encrypt")?;
            return write_tls(&mut at.stream, tls).context("write to a line");
        }
        let mut written = 0;
        if at.out.is_empty() {
            written = match at.stream.write(bytes) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error).context("write to a line"),
            };
        }
        at.out.extend_from_slice(bytes.get(written..).unwrap_or_default());
        Ok(())
    }

    /// Stops to read a line.
    pub fn set_deaf(&mut self, line: usize) {
        if let Some(line) = self.lines.get_mut(line) {
            line.deaf = true;
        }
    }

    /// Reads a line again, and first what came meanwhile.
    ///
    /// # Errors
    /// If the handler fails.
    pub fn hear_again(&mut self, line: usize, handler: &mut dyn Handler) -> Result<()> {
        if let Some(line) = self.lines.get_mut(line) {
            line.deaf = false;
        }
        self.read(line, true, handler)
    }

    /// Starts the timer; `None` stops it.
    ///
    /// # Errors
    /// If the kernel has none to give.
    pub fn set_timer(&mut self, every: Option<Duration>) -> Result<()> {
        if self.timer.is_none() {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("make a timer")?;
            let raw = timer.as_raw_fd();
            self.poll.registry().register(&mut SourceFd(&raw), TIMER, Interest::READABLE)?;
            self.timer = Some(timer);
        }
        let every = every.unwrap_or(Duration::ZERO);
        let spec = Timespec {
            tv_sec: i64::try_from(every.as_secs()).unwrap_or(0),
            tv_nsec: every.subsec_nanos().into(),
        };
        if let Some(timer) = &self.timer {
            let both = Itimerspec { it_interval: spec, it_value: spec };
            timerfd_settime(timer, TimerfdTimerFlags::empty(), &both).context("set a timer")?;
        }
        Ok(())
    }

    /// Waits for something and hands it to `handler`.
    ///
    /// # Errors
    /// If the poll fails or the ears do.
    pub fn poll(&mut self, wait: Duration, handler: &mut dyn Handler) -> Result<()> {
        let mut events = self.events.take().context("a poll inside a poll")?;
        let polled = match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled.context("poll"),
        };
        let mut heard = polled;
        for event in &events {
            if heard.is_err() {
                break;
            }
            heard = self.on_event(event, handler);
        }
        self.events = Some(events);
        heard
    }

    fn on_event(&mut self, event: &Event, handler: &mut dyn Handler) -> Result<()> {
        if event.token() == TIMER {
            let mut times = [0; 8];
            if let Some(timer) = &self.timer
                && rustix::io::read(timer, &mut times).is_ok()
            {
                return handler.ticked(self, u64::from_ne_bytes(times));
            }
            return Ok(());
        }
        let line = event.token().0;
        if event.is_writable() {
            self.flush(line)?;
        }
        if event.is_readable() { self.read(line, event.is_read_closed(), handler) } else { Ok(()) }
    }

    fn flush(&mut self, line: usize) -> Result<()> {
        let Some(at) = self.lines.get_mut(line) else { return Ok(()) };
        if let Some(tls) = &mut at.tls {
            return write_tls(&mut at.stream, tls).context("write to a line");
        }
        while !at.out.is_empty() {
            match at.stream.write(&at.out) {
                Ok(written) => drop(at.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Reading the line finds out the same, and says so to the ears.
                Err(_) => at.out.clear(),
            }
        }
        Ok(())
    }

    /// What there is; `to_end`: the end may stand behind it already, and is no event of its own then.
    fn read(&mut self, line: usize, to_end: bool, handler: &mut dyn Handler) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut outcome = Ok(());
        while let Some(at) = self.lines.get_mut(line).filter(|at| !at.deaf) {
            if at.stage == Stage::Ended {
                break;
            }
            let (read, more) = match take(at, &mut buffer) {
                Ok(Some(read)) => read,
                Ok(None) => break,
                Err(_) => (0, false),
            };
            if read == 0 && !more {
                at.stage = Stage::Ended;
                outcome = handler.ended(self, line);
                break;
            }
            outcome = self.hear(line, buffer.get_mut(..read).unwrap_or_default(), handler);
            if outcome.is_err() || !(more || to_end) {
                break;
            }
        }
        self.buffer = buffer;
        outcome
    }

    /// Frames out of what was read, behind what was left from before.
    fn hear(&mut self, line: usize, fresh: &mut [u8], handler: &mut dyn Handler) -> Result<()> {
        let Some(at) = self.lines.get_mut(line) else { return Ok(()) };
        if at.partial.is_empty() {
            let used = self.frames(line, fresh, handler)?;
            if let Some(at) = self.lines.get_mut(line) {
                at.partial.extend_from_slice(fresh.get(used..).unwrap_or_default());
            }
            return Ok(());
        }
        let mut whole = std::mem::take(&mut at.partial);
        whole.extend_from_slice(fresh);
        let used = self.frames(line, &mut whole, handler)?;
        whole.drain(..used);
        if let Some(at) = self.lines.get_mut(line) {
            at.partial = whole;
        }
        Ok(())
    }

    fn frames(
        &mut self,
        line: usize,
        bytes: &mut [u8],
        handler: &mut dyn Handler,
    ) -> Result<usize> {
        let mut at = 0;
        let stage = self.lines.get(line).map(|line| line.stage);
        if stage == Some(Stage::Upgrading) {
            let Some(end) = head_end(bytes) else { return Ok(0) };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
                bail!("the upgrade was refused: {}", head.lines().next().unwrap_or_default());
            }
            if let Some(line) = self.lines.get_mut(line) {
                line.stage = Stage::Open;
            }
            handler.upgraded(self, line)?;
            at = end;
        }
        while let Some(frame) = next_frame(bytes, at) {
            at = frame.payload.end;
            let payload = bytes.get(frame.payload).unwrap_or_default();
            match frame.opcode {
                PING => self.send(line, PONG, payload)?,
                PONG => {}
                CLOSE => {
                    if let Some(line) = self.lines.get_mut(line) {
                        line.stage = Stage::Ended;
                    }
                    handler.ended(self, line)?;
                    return Ok(at);
                }
                _ => handler.heard(self, line, payload)?,
            }
        }
        Ok(at)
    }
}

/// One read: how many bytes, and whether there may be more. `None`: nothing there.
fn take(line: &mut Line, buffer: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
    let Some(tls) = &mut line.tls else {
        return match line.stream.read(buffer) {
            Ok(0) => Ok(Some((0, false))),
            // A short read emptied the socket, epoll(7): the next byte is a new event.
            Ok(read) => Ok(Some((read, read == buffer.len()))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        };
    };
    loop {
        match tls.reader().read(buffer) {
            Ok(0) => return Ok(Some((0, false))),
            Ok(read) => return Ok(Some((read, true))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match tls.read_tls(&mut line.stream) {
            Ok(0) => return Ok(Some((0, false))),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        tls.process_new_packets().map_err(io::Error::other)?;
        write_tls(&mut line.stream, tls)?;
    }
}

fn write_tls(stream: &mut TcpStream, tls: &mut ClientConnection) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(stream) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
