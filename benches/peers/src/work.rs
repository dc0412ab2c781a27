//! The work itself: who says what when, and what is counted.
//!
//! Lives here: closed loop, open loop, one room of many, idling. Not here: servers (`peer`) and what is compared (`row`).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use furnish::World;
use loadtest::process::Usage;

use crate::clock::{now, pause};
use crate::crowd::{Crowd, Nothing, Post, Work};
use crate::dialect::{Heard, Member};
use crate::peer::{Running, Start};

/// What a run found, by the name of the figure.
pub type Figures = BTreeMap<&'static str, f64>;

/// Names of figures; their units stand last.
pub const CPU_MESSAGE: &str = "cpu_us_per_message";
pub const CPU_FIRST: &str = "cpu_us_per_first_message";
pub const CPU_DELIVERY: &str = "cpu_us_per_delivery";
pub const CPU_CONNECT: &str = "cpu_us_per_connection";
pub const MEMORY: &str = "bytes_per_connection";
pub const RATE: &str = "messages_per_second";
pub const DELIVERY_P50: &str = "delivery_p50_us";
pub const DELIVERY_P99: &str = "delivery_p99_us";
pub const ACK_P50: &str = "ack_p50_us";
pub const ACK_P99: &str = "ack_p99_us";
pub const LAG_P99: &str = "generator_lag_p99_us";
pub const CPU_FEW_LINES: &str = "cpu_us_per_message_few_connections";
pub const CPU_MANY_LINES: &str = "cpu_us_per_message_many_connections";
pub const CPU_FEW_ROOMS: &str = "cpu_us_per_message_few_rooms";
pub const CPU_MANY_ROOMS: &str = "cpu_us_per_message_many_rooms";
pub const P99_BESIDE_SLOW: &str = "delivery_p99_us_beside_slow_readers";
pub const BYTES_SLOW: &str = "bytes_per_slow_reader";
pub const START_MS: &str = "start_to_welcome_ms";
pub const BINARY_MB: &str = "binary_mb";
pub const BACK_S: &str = "all_back_s";

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub warm: Duration,
    pub window: Duration,
}

const WAIT: Duration = Duration::from_millis(20);
/// What may be under way when the window ends has so long to arrive.
const DRAIN: Duration = Duration::from_secs(20);
/// What a server does after its last answer, such as a checkpoint, belongs to its work.
const SETTLE: Duration = Duration::from_millis(100);

/// Two members for each room: lines 2n and 2n + 1.
pub fn pairs(rooms: usize) -> impl Iterator<Item = Member> {
    (0..2 * rooms).map(|number| Member::seated(number, number / 2, number % 2))
}

/// Members who are in no room.
pub fn alone(count: usize) -> impl Iterator<Item = Member> {
    (0..count).map(Member::alone)
}

/// One who speaks in room 0 and so many who listen.
pub fn audience(listeners: usize) -> impl Iterator<Item = Member> {
    (0..=listeners)
        .map(|number| Member::seated(number, 0, if number == 0 { 0 } else { number + 1 }))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn ratio(sum: f64, count: u64) -> f64 {
    sum / count.max(1) as f64
}

fn cpu_us(before: &Usage, after: &Usage) -> f64 {
    after.cpu_since(before).as_secs_f64() * 1e6
}

fn us(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// The value below which this share of them lies.
fn quantile(values: &mut [u32], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list, between its ends"
    )]
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    values.get(at).copied().map_or(f64::NAN, f64::from)
}

fn for_a_while(crowd: &mut Crowd, length: Duration, work: &mut dyn Work) -> Result<()> {
    let begin = now();
    while begin.elapsed() < length {
        crowd.poll(WAIT, work)?;
        if crowd.ended() > 0 {
            bail!("the server ended a line during its work");
        }
    }
    Ok(())
}

/// Each room has one message under way: who got it speaks next.
struct Closed {
    rooms: Vec<Pair>,
    acks: bool,
    going: bool,
    done: u64,
    under_way: usize,
    measuring: bool,
    trips: Vec<u32>,
}

#[derive(Clone)]
struct Pair {
    turn: usize,
    delivered: bool,
    acked: bool,
    sent: Instant,
}

impl Closed {
    fn new(rooms: usize, acks: bool) -> Self {
        let pair = Pair { turn: 0, delivered: false, acked: false, sent: now() };
        Self {
            rooms: vec![pair; rooms],
            acks,
            going: true,
            done: 0,
            under_way: rooms,
            measuring: false,
            trips: Vec::new(),
        }
    }

    /// Nobody says more; waits for what is under way.
    fn finish(&mut self, crowd: &mut Crowd) -> Result<()> {
        (self.measuring, self.going) = (false, false);
        let deadline = now() + DRAIN;
        while self.under_way > 0 {
            crowd.poll(WAIT, self)?;
            if now() > deadline {
                bail!("{} messages were lost", self.under_way);
            }
        }
        Ok(())
    }

    fn say(&mut self, post: &mut Post<'_>, room: usize) -> Result<()> {
        let Some(pair) = self.rooms.get_mut(room) else { return Ok(()) };
        (pair.delivered, pair.acked, pair.sent) = (false, !self.acks, now());
        post.say(2 * room + pair.turn, u32::try_from(room).unwrap_or_default())
    }
}

impl Work for Closed {
    fn heard(&mut self, post: &mut Post<'_>, line: usize, heard: Heard) -> Result<()> {
        let Some(pair) = self.rooms.get_mut(line / 2) else { return Ok(()) };
        match heard {
            Heard::Ready => return Ok(()),
            Heard::Delivered(stamp) => {
                if pair.turn == line % 2 || usize::try_from(stamp) != Ok(line / 2) || pair.delivered
                {
                    bail!("a message came to the wrong one, or twice");
                }
                pair.delivered = true;
                if self.measuring {
                    self.trips.push(us(pair.sent.elapsed()));
                }
            }
            Heard::Acked => pair.acked = true,
        }
        if !(pair.delivered && pair.acked) {
            return Ok(());
        }
        pair.turn = 1 - pair.turn;
        self.done += 1;
        if self.going {
            return self.say(post, line / 2);
        }
        self.under_way -= 1;
        Ok(())
    }
}

/// Rooms of two in closed loop.
///
/// # Errors
/// If a message is lost, or the server ends something.
pub fn closed(server: &Running, rooms: usize, span: Span) -> Result<Figures> {
    let mut crowd = server.crowd()?;
    crowd.enter(pairs(rooms))?;
    closed_with(server, &mut crowd, rooms, span)
}

/// The same with members who are in already.
///
/// # Errors
/// As [`closed`].
pub fn closed_with(
    server: &Running,
    crowd: &mut Crowd,
    rooms: usize,
    span: Span,
) -> Result<Figures> {
    let mut work = Closed::new(rooms, crowd.acks());
    crowd.begin(|post| (0..rooms).try_for_each(|room| work.say(post, room)))?;
    for_a_while(crowd, span.warm, &mut work)?;
    let (before, done, begin) = (server.usage()?, work.done, now());
    work.measuring = true;
    for_a_while(crowd, span.window, &mut work)?;
    let (length, in_window) = (begin.elapsed(), work.done - done);
    work.finish(crowd)?;
    pause(SETTLE);
    let cpu = cpu_us(&before, &server.usage()?);
    Ok(Figures::from([
        (CPU_MESSAGE, ratio(cpu, work.done - done)),
        (RATE, ratio(f64::from(u32::try_from(in_window)?), 1) / length.as_secs_f64()),
        (DELIVERY_P50, quantile(&mut work.trips, 0.5)),
        (DELIVERY_P99, quantile(&mut work.trips, 0.99)),
    ]))
}

/// Who speaks in open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speakers {
    /// The two of so many rooms by turns.
    Pairs(usize),
    /// Each of so many lines.
    Each(usize),
}

impl Speakers {
    fn lines(self) -> usize {
        match self {
            Self::Pairs(rooms) => 2 * rooms,
            Self::Each(lines) => lines,
        }
    }

    fn line(self, number: usize) -> usize {
        match self {
            Self::Pairs(rooms) => 2 * (number % rooms) + (number / rooms) % 2,
            Self::Each(lines) => number % lines,
        }
    }
}

/// Which messages leave when: each at its own moment, whatever the server does.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    per_second: u32,
    /// The first message that is measured, and where they end.
    first: u32,
    end: u32,
}

impl Schedule {
    fn of(per_second: u32, span: Span) -> Result<Self> {
        let count = |span: Duration| -> Result<u32> {
            Ok(u32::try_from(span.as_millis())?.saturating_mul(per_second) / 1000)
        };
        let first = count(span.warm)?;
        Ok(Self { per_second, first, end: first + count(span.window)? })
    }

    fn between(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }
}

/// A schedule that is followed; every latency counts from the intended time.
struct Open {
    speakers: Speakers,
    /// Lines from this one on only add to the crowd: what they hear is not counted.
    counted: usize,
    schedule: Schedule,
    begin: Instant,
    /// The next message.
    next: u32,
    acks: bool,
    /// What each line has not had confirmed.
    unacked: Vec<VecDeque<u32>>,
    delivered: u32,
    acked: u32,
    deliveries: Vec<u32>,
    confirmations: Vec<u32>,
    lags: Vec<u32>,
}

impl Open {
    fn new(speakers: Speakers, counted: usize, schedule: Schedule, acks: bool) -> Self {
        Self {
            speakers,
            counted,
            schedule,
            begin: now(),
            next: 0,
            acks,
            unacked: vec![VecDeque::new(); speakers.lines()],
            delivered: 0,
            acked: 0,
            deliveries: Vec::new(),
            confirmations: Vec::new(),
            lags: Vec::new(),
        }
    }

    /// Follows it to its end; the CPU in microseconds from the first message that is measured until all have come.
    fn run(mut self, server: &Running, crowd: &mut Crowd) -> Result<(f64, Self)> {
        let Schedule { first, end, .. } = self.schedule;
        let between = self.schedule.between();
        self.begin = now();
        crowd.set_timer(Some(between.max(Duration::from_micros(200))))?;
        for_a_while(crowd, between * first, &mut self)?;
        let before = server.usage()?;
        let deadline = now() + between * (end - first) + DRAIN;
        while self.delivered < end || (self.acks && self.acked < end) {
            crowd.poll(WAIT, &mut self)?;
            if now() > deadline {
                bail!("{} of {end} messages came", self.delivered);
            }
        }
        crowd.set_timer(None)?;
        pause(SETTLE);
        Ok((cpu_us(&before, &server.usage()?), self))
    }

    fn late(&self, stamp: u32) -> u32 {
        us(self.begin.elapsed().saturating_sub(self.schedule.between() * stamp))
    }
}

impl Work for Open {
    fn heard(&mut self, _: &mut Post<'_>, line: usize, heard: Heard) -> Result<()> {
        match heard {
            Heard::Ready => {}
            Heard::Delivered(_) if line >= self.counted => {}
            Heard::Delivered(stamp) => {
                self.delivered += 1;
                if stamp >= self.schedule.first {
                    self.deliveries.push(self.late(stamp));
                }
            }
            Heard::Acked => {
                self.acked += 1;
                let Some(stamp) = self.unacked.get_mut(line).and_then(VecDeque::pop_front) else {
                    bail!("an ack came for nothing");
                };
                if stamp >= self.schedule.first {
                    self.confirmations.push(self.late(stamp));
                }
            }
        }
        Ok(())
    }

    fn ticked(&mut self, post: &mut Post<'_>, _: u64) -> Result<()> {
        let Schedule { first, end, .. } = self.schedule;
        while self.next < end && self.begin.elapsed() >= self.schedule.between() * self.next {
            let line = self.speakers.line(usize::try_from(self.next)?);
            post.say(line, self.next)?;
            if self.acks
                && let Some(unacked) = self.unacked.get_mut(line)
            {
                unacked.push_back(self.next);
            }
            if self.next >= first {
                self.lags.push(self.late(self.next));
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// So many messages a second over rooms of two.
///
/// # Errors
/// If a message is lost, or the server ends something.
pub fn open(server: &Running, rooms: usize, per_second: u32, span: Span) -> Result<Figures> {
    let mut crowd = server.crowd()?;
    crowd.enter(pairs(rooms))?;
    open_with(server, &mut crowd, Speakers::Pairs(rooms), usize::MAX, per_second, span)
}

/// The same with members who are in already, of whom only the first are counted.
///
/// # Errors
/// As [`open`].
pub fn open_with(
    server: &Running,
    crowd: &mut Crowd,
    speakers: Speakers,
    counted: usize,
    per_second: u32,
    span: Span,
) -> Result<Figures> {
    let mut follow =
        |schedule| Open::new(speakers, counted, schedule, crowd.acks()).run(server, crowd);
    // Everybody's first words may cost what none of their others do, and are no part of the work.
    let lines = u32::try_from(speakers.lines())?;
    let (cpu_first, _) = follow(Schedule { per_second: 1_000, first: 0, end: lines })?;
    let schedule = Schedule::of(per_second, span)?;
    let (cpu, mut work) = follow(schedule)?;
    let mut figures = Figures::from([
        (CPU_FIRST, ratio(cpu_first, lines.into())),
        (CPU_MESSAGE, ratio(cpu, (schedule.end - schedule.first).into())),
        (DELIVERY_P50, quantile(&mut work.deliveries, 0.5)),
        (DELIVERY_P99, quantile(&mut work.deliveries, 0.99)),
        (LAG_P99, quantile(&mut work.lags, 0.99)),
    ]);
    if crowd.acks() {
        figures.insert(ACK_P50, quantile(&mut work.confirmations, 0.5));
        figures.insert(ACK_P99, quantile(&mut work.confirmations, 0.99));
    }
    Ok(figures)
}

/// One speaks, all others listen; the next messages follow when the last have come to everybody.
struct FanOut {
    listeners: usize,
    /// Messages in one write.
    burst: usize,
    missing: usize,
    unacked: usize,
    acks: bool,
    going: bool,
    deliveries: u64,
}

impl FanOut {
    fn say(&mut self, post: &mut Post<'_>) -> Result<()> {
        self.missing = self.listeners * self.burst;
        self.unacked = if self.acks { self.burst } else { 0 };
        post.say_together(0, 0, self.burst)
    }
}

impl Work for FanOut {
    fn heard(&mut self, post: &mut Post<'_>, _: usize, heard: Heard) -> Result<()> {
        match heard {
            Heard::Ready => return Ok(()),
            Heard::Delivered(_) => {
                self.deliveries += 1;
                self.missing = self.missing.saturating_sub(1);
            }
            Heard::Acked => self.unacked = self.unacked.saturating_sub(1),
        }
        if self.going && self.missing == 0 && self.unacked == 0 { self.say(post) } else { Ok(()) }
    }
}

/// One room of so many listeners, and so many messages in each write of who speaks.
///
/// # Errors
/// If a message is lost, or the server ends something.
pub fn fan_out(server: &Running, listeners: usize, burst: usize, span: Span) -> Result<Figures> {
    let mut crowd = server.crowd()?;
    crowd.enter(audience(listeners))?;
    let acks = crowd.acks();
    let mut work =
        FanOut { listeners, burst, missing: 0, unacked: 0, acks, going: true, deliveries: 0 };
    crowd.begin(|post| work.say(post))?;
    for_a_while(&mut crowd, span.warm, &mut work)?;
    let (before, done, begin) = (server.usage()?, work.deliveries, now());
    for_a_while(&mut crowd, span.window, &mut work)?;
    let (length, in_window) = (begin.elapsed(), work.deliveries - done);
    work.going = false;
    let deadline = now() + DRAIN;
    while work.missing > 0 || work.unacked > 0 {
        crowd.poll(WAIT, &mut work)?;
        if now() > deadline {
            bail!("{} deliveries were lost", work.missing);
        }
    }
    pause(SETTLE);
    let cpu = cpu_us(&before, &server.usage()?);
    Ok(Figures::from([
        (CPU_DELIVERY, ratio(cpu, work.deliveries - done)),
        ("deliveries_per_second", f64::from(u32::try_from(in_window)?) / length.as_secs_f64()),
    ]))
}

/// Members who come in and do nothing: what each costs to let in, and to have.
///
/// # Errors
/// If one is refused.
pub fn idle(server: &Running, count: usize) -> Result<Figures> {
    come_in(server, count, Member::alone)
}

/// Visitors who come in, open a conversation, and say nothing. livehelp only.
///
/// # Errors
/// If one is refused.
pub fn opened(server: &Running, count: usize) -> Result<Figures> {
    come_in(server, count, |number| Member { opens: true, ..Member::alone(number) })
}

fn come_in(server: &Running, count: usize, member: fn(usize) -> Member) -> Result<Figures> {
    /// The first ones pay for what is made once.
    const FIRST: usize = 50;
    let mut crowd = server.crowd()?;
    let mut members = (0..count + FIRST).map(member);
    crowd.enter(members.by_ref().take(FIRST))?;
    pause(SETTLE);
    let before = server.usage()?;
    crowd.enter(members)?;
    pause(5 * SETTLE);
    let after = server.usage()?;
    let count = u64::try_from(count)?;
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
    Ok(Figures::from([
        (MEMORY, ratio(f64::from(u32::try_from(grown)?), count)),
        (CPU_CONNECT, ratio(cpu_us(&before, &after), count)),
    ]))
}

/// The same rate over few and over many lines, and over few and over many rooms. livehelp only.
///
/// # Errors
/// If a message is lost, or the server ends something.
pub fn growth(
    start: Start<'_>,
    (few, lines, rooms): (usize, usize, usize),
    per_second: u32,
    span: Span,
) -> Result<Figures> {
    let mut figures = Figures::new();
    let names = [(CPU_FEW_LINES, few), (CPU_MANY_LINES, lines)];
    for (name, lines) in names {
        let idle = lines - few;
        let server = start.with(World { rooms: few / 2, alone: idle })?;
        let mut crowd = server.crowd()?;
        crowd.enter(pairs(few / 2))?;
        crowd.enter(alone(idle))?;
        let speakers = Speakers::Pairs(few / 2);
        let found = open_with(&server, &mut crowd, speakers, usize::MAX, per_second, span)?;
        figures.insert(name, found.get(CPU_MESSAGE).copied().unwrap_or(f64::NAN));
    }
    for (name, rooms) in [(CPU_FEW_ROOMS, few), (CPU_MANY_ROOMS, rooms)] {
        let server = start.rooms(rooms)?;
        let mut crowd = server.crowd()?;
        crowd.enter((0..rooms).map(|room| Member::seated(room, room, 0)))?;
        // One window of each agent hears all their rooms: two lines for each room would be more than a process may open.
        let agents = server.agents();
        crowd.enter((0..agents).map(|agent| Member {
            follows: rooms / agents,
            ..Member::seated(rooms + agent, agent, 1)
        }))?;
        let speakers = Speakers::Each(rooms);
        let found = open_with(&server, &mut crowd, speakers, usize::MAX, per_second, span)?;
        figures.insert(name, found.get(CPU_MESSAGE).copied().unwrap_or(f64::NAN));
    }
    Ok(figures)
}

/// Ten rooms, once without and once with many who listen there and read nothing, until each of these is cut off. livehelp only.
///
/// # Errors
/// If a message is lost among those who read, or one who does not is kept.
pub fn slow(start: Start<'_>, listeners: usize) -> Result<Figures> {
    const ROOMS: usize = 10;
    const PER_SECOND: u32 = 1_000;
    let span = Span {
        // At that rate: the kernel takes some 200 kB for a slow reader before their server notices.
        warm: Duration::from_secs(12),
        // Then their queue fills for half of the time, and they are cut off.
        window: Duration::from_secs(20),
    };
    let mut figures = Figures::new();
    for (name, listeners) in [(DELIVERY_P99, 0), (P99_BESIDE_SLOW, listeners)] {
        let server = start.rooms(ROOMS)?;
        let mut crowd = server.crowd()?;
        crowd.enter(pairs(ROOMS))?;
        let deaf = 2 * ROOMS..2 * ROOMS + listeners;
        crowd.enter(deaf.clone().map(|line| Member {
            narrow: true,
            ..Member::seated(line, line % ROOMS, line + 2 - 2 * ROOMS)
        }))?;
        deaf.clone().for_each(|line| crowd.set_deaf(line));
        let before = server.usage()?.resident_bytes;
        let speakers = Speakers::Pairs(ROOMS);
        let (found, most) = with_peak(&server, || {
            open_with(&server, &mut crowd, speakers, 2 * ROOMS, PER_SECOND, span)
        });
        figures.insert(name, found?.get(DELIVERY_P99).copied().unwrap_or(f64::NAN));
        if listeners > 0 {
            let grown = u32::try_from(most.saturating_sub(before))?;
            figures.insert(BYTES_SLOW, ratio(f64::from(grown), u64::try_from(listeners)?));
            cut_off(&mut crowd, deaf)?;
        }
    }
    Ok(figures)
}

/// What is done, and the most resident memory that the server had meanwhile.
fn with_peak<T>(server: &Running, work: impl FnOnce() -> T) -> (T, u64) {
    const EVERY: Duration = Duration::from_millis(50);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(server.usage().map_or(0, |usage| usage.resident_bytes));
                pause(EVERY);
            }
            most
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, peak.join().unwrap_or_default())
    })
}

/// That the server has ended these lines, which learn of it only now that they read.
fn cut_off(crowd: &mut Crowd, lines: Range<usize>) -> Result<()> {
    let count = lines.len();
    lines.into_iter().try_for_each(|line| crowd.hear_again(line))?;
    let deadline = now() + DRAIN;
    while crowd.ended() < count {
        crowd.poll(WAIT, &mut Nothing)?;
        if now() > deadline {
            bail!("{} of {count} slow readers were not cut off", count - crowd.ended());
        }
    }
    Ok(())
}

/// From nothing to the first `welcome` with so many messages stored, and the size of the binary. livehelp only.
///
/// # Errors
/// If the messages are not stored, or the server does not start again.
pub fn cold_start(server: &mut Running, rooms: usize, messages: u64) -> Result<Figures> {
    let mut stored = 0;
    while stored < messages {
        let mut crowd = server.crowd()?;
        crowd.enter(pairs(rooms))?;
        let span = Span { warm: Duration::ZERO, window: Duration::from_secs(5) };
        stored += closed_count(&mut crowd, rooms, span)?;
    }
    server.kill();
    let begin = now();
    server.again()?;
    let mut crowd = server.crowd()?;
    crowd.enter(pairs(1).take(1))?;
    let start_ms = begin.elapsed().as_secs_f64() * 1e3;
    Ok(Figures::from([(START_MS, start_ms), (BINARY_MB, server.binary_mb()?)]))
}

/// Closed loop for its messages only.
fn closed_count(crowd: &mut Crowd, rooms: usize, span: Span) -> Result<u64> {
    let mut work = Closed::new(rooms, crowd.acks());
    crowd.begin(|post| (0..rooms).try_for_each(|room| work.say(post, room)))?;
    for_a_while(crowd, span.warm + span.window, &mut work)?;
    work.finish(crowd)?;
    Ok(work.done)
}

/// Visitors with a conversation each lose their server, and come back to the next one. livehelp only.
///
/// # Errors
/// If one of them does not.
pub fn return_home(server: &mut Running, visitors: usize) -> Result<Figures> {
    let everybody = || (0..visitors).map(|room| Member::seated(room, room, 0));
    let mut crowd = server.crowd()?;
    crowd.enter(everybody())?;
    server.kill();
    drop(crowd);
    let begin = now();
    server.again()?;
    let before = server.usage()?;
    let mut crowd = server.crowd()?;
    crowd.enter(everybody())?;
    let seconds = begin.elapsed().as_secs_f64();
    let cpu = ratio(cpu_us(&before, &server.usage()?), u64::try_from(visitors)?);
    Ok(Figures::from([(BACK_S, seconds), (CPU_CONNECT, cpu)]))
}
