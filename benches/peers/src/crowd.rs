//! Many members of one server: they come in, and then they work.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::now;
use crate::dialect::{Dialect, Heard, Member, Reply};
use crate::net::{Handler, Net};

/// How many may be on their way in at once: fewer than any server's bound on unfinished handshakes.
const COMING_MAX: usize = 48;
/// What a member may take to come in, and anything to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(100);

/// What is done once all are in.
pub trait Work {
    /// Something came.
    ///
    /// # Errors
    /// Ends the run.
    fn heard(&mut self, post: &mut Post<'_>, line: usize, heard: Heard) -> Result<()>;
    /// The timer ran out so many times.
    ///
    /// # Errors
    /// Ends the run.
    fn ticked(&mut self, _: &mut Post<'_>, _: u64) -> Result<()> {
        Ok(())
    }
}

/// What work may do.
#[expect(missing_debug_implementations, reason = "a borrowed view")]
pub struct Post<'a> {
    net: &'a mut Net,
    dialect: &'a mut dyn Dialect,
    scratch: &'a mut Vec<u8>,
}

impl Post<'_> {
    /// Sends the message with this number.
    ///
    /// # Errors
    /// If the line is broken.
    pub fn say(&mut self, line: usize, stamp: u32) -> Result<()> {
        self.scratch.clear();
        self.dialect.say(line, stamp, self.scratch);
        self.net.send(line, self.dialect.opcode(), self.scratch)
    }

    /// Sends so many messages with this number in one write.
    ///
    /// # Errors
    /// If the line is broken.
    pub fn say_together(&mut self, line: usize, stamp: u32, count: usize) -> Result<()> {
        self.scratch.clear();
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            self.dialect.say(line, stamp, self.scratch);
            ends.push(self.scratch.len());
        }
        let mut begin = 0;
        let payloads = ends.iter().map(|end| {
            let payload = self.scratch.get(begin..*end).unwrap_or_default();
            begin = *end;
            payload
        });
        self.net.send_together(line, self.dialect.opcode(), payloads)
    }
}

/// The members of one server.
pub struct Crowd {
    net: Net,
    dialect: Box<dyn Dialect>,
    scratch: Vec<u8>,
    ready: usize,
    lines: usize,
    ended: usize,
}

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crowd").field("lines", &self.lines).field("ready", &self.ready).finish()
    }
}

/// No work: what comes is read and answered, and that is all.
#[derive(Debug)]
pub struct Nothing;

impl Work for Nothing {
    fn heard(&mut self, _: &mut Post<'_>, _: usize, _: Heard) -> Result<()> {
        Ok(())
    }
}

/// Turns what comes on sockets into what work understands.
struct Listener<'a> {
    dialect: &'a mut dyn Dialect,
    scratch: &'a mut Vec<u8>,
    work: &'a mut dyn Work,
    reply: Reply,
    ready: usize,
    ended: usize,
}

impl Listener<'_> {
    fn answer(&mut self, net: &mut Net, line: usize) -> Result<()> {
        for words in self.reply.say.drain(..) {
            net.send(line, self.dialect.opcode(), &words)?;
        }
        Ok(())
    }
}

impl Handler for Listener<'_> {
    fn upgraded(&mut self, net: &mut Net, line: usize) -> Result<()> {
        if self.dialect.greet(line, &mut self.reply.say) {
            self.ready += 1;
        }
        self.answer(net, line)
    }

    fn heard(&mut self, net: &mut Net, line: usize, payload: &[u8]) -> Result<()> {
        self.dialect.hear(line, payload, &mut self.reply)?;
        self.answer(net, line)?;
        let mut heard = std::mem::take(&mut self.reply.heard);
        for one in heard.drain(..) {
            if one == Heard::Ready {
                self.ready += 1;
            }
            let mut post =
                Post { net: &mut *net, dialect: &mut *self.dialect, scratch: &mut *self.scratch };
            self.work.heard(&mut post, line, one)?;
        }
        self.reply.heard = heard;
        Ok(())
    }

    fn ended(&mut self, _: &mut Net, _: usize) -> Result<()> {
        self.ended += 1;
        Ok(())
    }

    fn ticked(&mut self, net: &mut Net, times: u64) -> Result<()> {
        let mut post = Post { net, dialect: &mut *self.dialect, scratch: &mut *self.scratch };
        self.work.ticked(&mut post, times)
    }
}

impl Crowd {
    /// Nobody yet.
    pub fn new(net: Net, dialect: Box<dyn Dialect>) -> Self {
        Self { net, dialect, scratch: Vec::new(), ready: 0, lines: 0, ended: 0 }
    }

    /// Whether each message is confirmed.
    pub fn acks(&self) -> bool {
        self.dialect.acks()
    }

    /// Lets these in and waits until the last of them is.
    ///
    /// # Errors
    /// If one is refused, or none comes in for a while.
    pub fn enter(&mut self, members: impl IntoIterator<Item = Member>) -> Result<()> {
        let mut coming = members.into_iter().peekable();
        let (mut before, mut since) = (self.ready, now());
        while coming.peek().is_some() || self.ready < self.lines {
            while self.lines - self.ready < COMING_MAX
                && let Some(member) = coming.next()
            {
                let upgrade = self.dialect.upgrade(member);
                let line = self.net.connect(&upgrade).context("let somebody in")?;
                self.lines += 1;
                debug_assert_eq!(line + 1, self.lines);
            }
            self.poll(WAIT, &mut Nothing)?;
            if self.ended > 0 {
                bail!("the server ended a line that was to come in");
            }
            if self.ready > before {
                (before, since) = (self.ready, now());
            } else if since.elapsed() > PATIENCE {
                bail!("{} of {} came in, and no more", self.ready, self.lines);
            }
        }
        Ok(())
    }

    /// Lets a poll pass.
    ///
    /// # Errors
    /// If the server breaks something off.
    pub fn poll(&mut self, wait: Duration, work: &mut dyn Work) -> Result<()> {
        self.with_handler(work, |net, handler| net.poll(wait, handler))
    }

    fn with_handler(
        &mut self,
        work: &mut dyn Work,
        act: impl FnOnce(&mut Net, &mut dyn Handler) -> Result<()>,
    ) -> Result<()> {
        let mut handler = Listener {
            dialect: &mut *self.dialect,
            scratch: &mut self.scratch,
            work,
            reply: Reply::default(),
            ready: 0,
            ended: 0,
        };
        act(&mut self.net, &mut handler)?;
        self.ready += handler.ready;
        self.ended += handler.ended;
        Ok(())
    }

    /// The first word of some work.
    ///
    /// # Errors
    /// If a line is broken.
    pub fn begin(&mut self, first: impl FnOnce(&mut Post<'_>) -> Result<()>) -> Result<()> {
        let mut post =
            Post { net: &mut self.net, dialect: &mut *self.dialect, scratch: &mut self.scratch };
        first(&mut post)
    }

    /// Starts or stops the timer.
    ///
    /// # Errors
    /// If the kernel has none.
    pub fn set_timer(&mut self, every: Option<Duration>) -> Result<()> {
        self.net.set_timer(every)
    }

    /// A slow reader from now on.
    pub fn set_deaf(&mut self, line: usize) {
        self.net.set_deaf(line);
    }

    /// They read again, and nothing comes of it.
    ///
    /// # Errors
    /// If what comes is not what it should be.
    pub fn hear_again(&mut self, line: usize) -> Result<()> {
        self.with_handler(&mut Nothing, |net, handler| net.hear_again(line, handler))
    }

    /// How many lines the server has ended.
    pub fn ended(&self) -> usize {
        self.ended
    }
}
