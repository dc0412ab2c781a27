//! The floor: one thread, one epoll, rooms by the path of the address, and nothing else.
//!
//! What a relay costs at least on this kernel, and with `--store` what one costs that tells the sender "kept" only when it is on
//! disk. It checks nothing, has no time-outs and no bounds: a bound for others, not a server.
//!
//!     floor [--ack | --store FILE]
#![expect(clippy::print_stdout, reason = "the line that says where it listens")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use peers::framing::{BINARY, CLOSE, PING, PONG, TEXT, head_end, next_frame, push_frame};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
/// How much of a message an ack repeats, so that the sender knows which one is meant.
const ACK_BYTES: usize = 8;

enum Mode {
    Plain,
    Ack,
    Store(File),
}

struct Line {
    stream: TcpStream,
    room: Option<usize>,
    partial: Vec<u8>,
    out: Vec<u8>,
}

struct Floor {
    poll: Poll,
    mode: Mode,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    names: HashMap<String, usize>,
    rooms: Vec<Vec<usize>>,
    /// What the next append writes, and who hears of it afterwards.
    log: Vec<u8>,
    unacked: Vec<(usize, Vec<u8>)>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mode = match words.as_slice() {
        [] => Mode::Plain,
        ["--ack"] => Mode::Ack,
        ["--store", path] => {
            let file = File::options().create(true).append(true).open(path);
            Mode::Store(file.with_context(|| format!("open {path}"))?)
        }
        other => bail!("unknown: {}; there are --ack and --store FILE", other.join(" ")),
    };
    let mut listener =
        TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("listen")?;
    println!("{{\"ready\":true,\"public\":\"http://{}\"}}", listener.local_addr()?);
    let poll = Poll::new().context("ask the kernel for a poll")?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        mode,
        lines: Vec::new(),
        free: Vec::new(),
        names: HashMap::new(),
        rooms: Vec::new(),
        log: Vec::new(),
        unacked: Vec::new(),
    };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener)?;
                continue;
            }
            let line = event.token().0;
            if event.is_writable() {
                floor.write(line, &[]);
            }
            if event.is_readable() {
                floor.read(line, &mut buffer);
            }
        }
        floor.keep()?;
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            };
            stream.set_nodelay(true)?;
            let line = self.free.pop().unwrap_or(self.lines.len());
            let both = Interest::READABLE.add(Interest::WRITABLE);
            self.poll.registry().register(&mut stream, Token(line), both)?;
            let fresh = Some(Line { stream, room: None, partial: Vec::new(), out: Vec::new() });
            match self.lines.get_mut(line) {
                Some(place) => *place = fresh,
                None => self.lines.push(fresh),
            }
        }
    }

    fn read(&mut self, line: usize, buffer: &mut [u8]) {
        loop {
            let Some(at) = self.lines.get_mut(line).and_then(Option::as_mut) else { return };
            let read = match at.stream.read(buffer) {
                Ok(0) => return self.end(line),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.end(line),
            };
            if at.partial.is_empty() {
                let fresh = buffer.get_mut(..read).unwrap_or_default();
                let used = self.hear(line, fresh);
                let rest = fresh.get(used..).unwrap_or_default();
                if let Some(at) = self.lines.get_mut(line).and_then(Option::as_mut) {
                    at.partial.extend_from_slice(rest);
                }
            } else {
                let mut whole = std::mem::take(&mut at.partial);
                whole.extend_from_slice(buffer.get(..read).unwrap_or_default());
                let used = self.hear(line, &mut whole);
                whole.drain(..used);
                if let Some(at) = self.lines.get_mut(line).and_then(Option::as_mut) {
                    at.partial = whole;
                }
            }
            // A short read emptied the socket, epoll(7): the next byte is a new event.
            if read < buffer.len() {
                return;
            }
        }
    }

    /// All frames of one read go on as one write a member. Gives how many bytes were used up.
    fn hear(&mut self, line: usize, bytes: &mut [u8]) -> usize {
        let Some(at) = self.lines.get(line).and_then(Option::as_ref) else { return bytes.len() };
        let Some(room) = at.room else {
            let Some(end) = head_end(bytes) else { return 0 };
            self.upgrade(line, bytes.get(..end).unwrap_or_default());
            return end;
        };
        let (mut used, mut relayed, mut acks) = (0, Vec::new(), Vec::new());
        while let Some(frame) = next_frame(bytes, used) {
            used = frame.payload.end;
            let payload = bytes.get(frame.payload).unwrap_or_default();
            match frame.opcode {
                TEXT | BINARY => {
                    push_frame(frame.opcode, payload, None, &mut relayed);
                    if !matches!(self.mode, Mode::Plain) {
                        let name = payload.get(..ACK_BYTES).unwrap_or(payload);
                        push_frame(BINARY, name, None, &mut acks);
                    }
                    if matches!(self.mode, Mode::Store(_)) {
                        self.log.extend_from_slice(&(payload.len() as u64).to_le_bytes());
                        self.log.extend_from_slice(payload);
                    }
                }
                PING => push_frame(PONG, payload, None, &mut acks),
                CLOSE => {
                    self.end(line);
                    return bytes.len();
                }
                _ => {}
            }
        }
        if !relayed.is_empty() {
            let members = self.rooms.get_mut(room).map(std::mem::take).unwrap_or_default();
            for member in members.iter().filter(|member| **member != line) {
                self.write(*member, &relayed);
            }
            if let Some(place) = self.rooms.get_mut(room) {
                *place = members;
            }
        }
        if !acks.is_empty() {
            if matches!(self.mode, Mode::Store(_)) {
                self.unacked.push((line, acks));
            } else {
                self.write(line, &acks);
            }
        }
        used
    }

    fn upgrade(&mut self, line: usize, head: &[u8]) {
        let head = String::from_utf8_lossy(head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let key = head.lines().find_map(|header| {
            let (name, value) = header.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
        });
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.unwrap_or_default().as_bytes())
        );
        let next = self.rooms.len();
        let room = *self.names.entry(path).or_insert(next);
        if room == next {
            self.rooms.push(Vec::new());
        }
        if let Some(members) = self.rooms.get_mut(room) {
            members.push(line);
        }
        if let Some(at) = self.lines.get_mut(line).and_then(Option::as_mut) {
            at.room = Some(room);
        }
        self.write(line, answer.as_bytes());
    }

    /// Writes what waits and then these.
    fn write(&mut self, line: usize, bytes: &[u8]) {
        let Some(at) = self.lines.get_mut(line).and_then(Option::as_mut) else { return };
        while !at.out.is_empty() {
            match at.stream.write(&at.out) {
                Ok(written) => drop(at.out.drain(..written)),
                Err(_) => break,
            }
        }
        let mut written = 0;
        if at.out.is_empty() && !bytes.is_empty() {
            // A broken line is found when it is read.
            written = at.stream.write(bytes).unwrap_or(0);
        }
        at.out.extend_from_slice(bytes.get(written..).unwrap_or_default());
    }

    /// One append and one sync for everything that this turn read, and only then the acks.
    fn keep(&mut self) -> Result<()> {
        if let Mode::Store(file) = &mut self.mode
            && !self.log.is_empty()
        {
            file.write_all(&self.log).context("append")?;
            file.sync_data().context("sync")?;
            self.log.clear();
        }
        for (line, acks) in std::mem::take(&mut self.unacked) {
            self.write(line, &acks);
        }
        Ok(())
    }

    fn end(&mut self, line: usize) {
        let Some(mut at) = self.lines.get_mut(line).and_then(Option::take) else { return };
        // Closing the socket would do it as well.
        let _gone = self.poll.registry().deregister(&mut at.stream);
        if let Some(members) = at.room.and_then(|room| self.rooms.get_mut(room)) {
            members.retain(|member| *member != line);
        }
        self.unacked.retain(|(sender, _)| *sender != line);
        self.free.push(line);
    }
}
