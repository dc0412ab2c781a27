//! One run from its beginning to its end: the server, the people, the phases, and what all of it comes to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;

use crate::clock::{Clock, Micros};
use crate::crew::Crew;
use crate::histogram::{Count, Tally};
use crate::ledger::Ledger;
use crate::number::{float, ratio};
use crate::observe::{Eye, Metrics, cpu_us_each};
use crate::outcome::{Machine, Outcome, PhaseOutcome, Point, SCHEMA, Trial};
use crate::process::Usage;
use crate::rest::Rest;
use crate::scenario::{Loop, Phase, Scenario};
use crate::screen::{Live, Screen};
use crate::search;
use crate::series::Series;
use crate::setup::{self, Staff};
use crate::tasks;
use crate::throwaway::Throwaway;
use crate::trust;
use crate::verdict::{self, Figures};
use crate::worker::{Order, Word};
use crate::world::Plan;

/// Sockets of one process: it may hold 20,000 descriptors at most on many systems.
const SOCKETS_MAX: u64 = 19_000;
/// From the order to run until the run begins, for all workers to have heard it.
const HEADWAY: Duration = Duration::from_millis(300);
const MB: f64 = 1_048_576.0;

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// It runs already.
    There {
        public: SocketAddr,
        admin: SocketAddr,
        tls_ca: Option<PathBuf>,
        operator_key: String,
        pids: Vec<u32>,
    },
    /// It is started for this run.
    Started { program: PathBuf, flags: Vec<String> },
}

/// What is wanted of a run.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) scenario: Scenario,
    pub(crate) server: Server,
    /// Processes that generate the load; absent: as many as the sockets need.
    pub(crate) workers: Option<u32>,
}

/// The server as the run sees it.
struct Scene {
    public: Rest,
    admin: Rest,
    tls_ca: Option<PathBuf>,
    operator_key: String,
    eye: Eye,
    throwaway: Option<Throwaway>,
}

/// Runs it.
///
/// # Errors
/// If there is no run: the server, the people or the workers failed.
pub(crate) async fn conduct(wanted: Wanted, screen: &mut Screen) -> Result<Outcome> {
    let scenario = wanted.scenario;
    let scene = Scene::of(wanted.server, &scenario).await?;
    let count = wanted.workers.unwrap_or_else(|| {
        u32::try_from(scenario.sockets().div_ceil(SOCKETS_MAX)).unwrap_or(1).max(1)
    });
    let run = fastrand::u32(..);
    screen.say("making an Organization, its site and its agents");
    let staff = Staff::of(&scenario.mix);
    let grounds = setup::furnish(&scene.public, &scene.admin, &scene.operator_key, run, staff)
        .await
        .context("the run's Organization could not be made")?;
    let crew = Crew::muster(count).await?;
    let plan = Plan {
        run,
        grounds,
        address: scene.public.address,
        tls_ca: scene.tls_ca.clone(),
        origin: scene.public.origin.clone(),
        index: 0,
        of: count,
        scenario: scenario.clone(),
    };
    let clock = Clock::start();
    let series = Arc::new(Mutex::new(Series::new(crew.pids())));
    let mut conductor = Conductor {
        clock,
        crew,
        scenario,
        screen,
        series,
        eye: scene.eye.clone(),
        phase: String::new(),
    };
    let metrics = Metrics::of(&scene.admin).await.unwrap_or_default();
    let outcome = Box::pin(conductor.carry_out(plan, &scene.admin, metrics)).await;
    conductor.crew.dismiss().await;
    let outcome = outcome?;
    if let Some(throwaway) = scene.throwaway {
        throwaway.stop().await?;
    }
    Ok(outcome)
}

impl Scene {
    async fn of(server: Server, scenario: &Scenario) -> Result<Self> {
        match server {
            Server::There { public, admin, tls_ca, operator_key, pids } => {
                let tls = tls_ca.as_deref().map(trust::only).transpose()?;
                let scheme = if tls.is_some() { "https" } else { "http" };
                let origin = format!("{scheme}://{public}");
                let public = Rest { address: public, tls, origin: origin.clone() };
                let admin = Rest { address: admin, tls: None, origin };
                let eye =
                    if pids.is_empty() { Eye::Metrics(admin.clone()) } else { Eye::Pids(pids) };
                Ok(Self { public, admin, tls_ca, operator_key, eye, throwaway: None })
            }
            Server::Started { program, flags } => {
                let flags: Vec<String> =
                    scenario.server_flags.iter().chain(&flags).cloned().collect();
                let started = Throwaway::start(&program, &flags).await?;
                let origin = format!("http://{}", started.public);
                let rest = |address| Rest { address, tls: None, origin: origin.clone() };
                Ok(Self {
                    public: rest(started.public),
                    admin: rest(started.admin),
                    tls_ca: None,
                    operator_key: started.operator_key.clone(),
                    eye: Eye::Pids(vec![started.pid]),
                    throwaway: Some(started),
                })
            }
        }
    }
}

/// The server's and the generator's usage at a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Micros,
    server: Usage,
    generator: Usage,
}

struct Conductor<'a> {
    clock: Clock,
    crew: Crew,
    scenario: Scenario,
    screen: &'a mut Screen,
    series: Arc<Mutex<Series>>,
    eye: Eye,
    phase: String,
}

/// What the phases of one order to run came to.
struct Ran {
    tallies: Vec<Tally>,
    /// One more than there are phases: their borders.
    marks: Vec<Mark>,
}

impl Conductor<'_> {
    async fn carry_out(&mut self, plan: Plan, admin: &Rest, metrics: Metrics) -> Result<Outcome> {
        let run = plan.run;
        let begun = self.clock.now();
        self.crew.order(|index| Order::Plan(Box::new(Plan { index, ..plan.clone() }))).await?;
        let before = self.eye.look().await?;
        let connections = self.bring_people().await?;
        let there = self.eye.look().await?;
        let (mut figures, phases, trials, tally) = match self.scenario.pacing {
            Loop::Closed | Loop::Open => self.phases().await?,
            Loop::Search => self.search().await?,
        };
        self.screen.say("everyone goes");
        let (first, ledger) = self.finish().await?;
        let (found, examples) = ledger.judge();
        verdict::found(&found, &mut figures);
        let opened = first.of(Count::Connects).max(1);
        let growth = float(there.resident_bytes) - float(before.resident_bytes);
        figures.insert(String::from("connections"), float(connections));
        figures
            .insert(String::from("server_bytes_per_connection"), ratio(growth, float(connections)));
        figures.insert(
            String::from("server_cpu_us_per_connect"),
            cpu_us_each(&there, &before, opened),
        );
        if !figures.contains_key("connect_p50_ms") {
            let coming = verdict::figures(&first, 1.0);
            figures.extend(
                coming
                    .into_iter()
                    .filter(|(name, _)| name.starts_with("connect_") && name.ends_with("_ms")),
            );
        }
        let later = Metrics::of(admin).await.unwrap_or_default();
        let judged = verdict::judge(&figures, &self.scenario.thresholds);
        let void = verdict::is_void(&figures).then(|| {
            let lag = figures.get("send_lag_p99_ms").copied().unwrap_or(0.0);
            format!("the generator sent {lag:.1} ms late at the 99th percentile; more than {} ms is no measurement", verdict::LAG_MS_MAX)
        });
        let series = self.series.lock().points.clone();
        Ok(Outcome {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: format!("{run:08x}"),
            begun_unix_ms: begun.0 / 1_000,
            machine: Machine::here(),
            workers: u32::try_from(self.crew.len()).unwrap_or(u32::MAX),
            scenario: self.scenario.clone(),
            verdict: verdict::sum_up(&judged, void.is_some()),
            void,
            thresholds: judged,
            figures,
            phases,
            trials,
            series,
            times: tally.times,
            examples,
            server: later.since(&metrics),
        })
    }

    /// Everyone finds his place; gives how many connections that makes.
    async fn bring_people(&mut self) -> Result<u64> {
        self.phase = String::from("people come");
        self.screen.say("agents sit down");
        self.crew.order(|_| Order::Sit).await?;
        self.done().await?;
        self.screen.say("people come");
        self.crew.order(|_| Order::Enter).await?;
        let (_, room) = self.done().await?;
        self.crew.order(|_| Order::Attend(room)).await?;
        Ok(self.done().await?.0)
    }

    /// Until each worker has carried out its order: connections, and a room to watch.
    async fn done(&mut self) -> Result<(u64, Option<protocol::ids::ConversationId>)> {
        let (mut all, mut room, mut left) = (0, None, self.crew.len());
        while left > 0 {
            let Word::Done { connections, first_room } = self.hear().await? else {
                return out_of_turn();
            };
            all += connections;
            room = room.or(first_room);
            left -= 1;
        }
        Ok((all, room))
    }

    /// The next word that is not a second's.
    async fn hear(&mut self) -> Result<Word> {
        loop {
            let (worker, word) = self.crew.hear().await?;
            let Word::Second { at, tally, connections } = word else { return Ok(word) };
            let second = Mark {
                at,
                server: self.eye.look().await.unwrap_or_default(),
                generator: Usage::default(),
            };
            let point =
                self.series.lock().second(worker, second.at, &tally, connections, second.server);
            if let Some(point) = point {
                self.screen.show(&Live {
                    phase: &self.phase,
                    point: &point,
                    series: &self.series.lock().points,
                });
            }
        }
    }

    /// Runs some phases on end.
    async fn run(&mut self, phases: &[Phase]) -> Result<Ran> {
        let begin = self.clock.now().plus(HEADWAY);
        self.series.lock().begin(begin);
        self.crew.order(|_| Order::Run { phases: phases.to_vec(), begin }).await?;
        let marks = tasks::spawn(
            "marks",
            marks(self.clock, self.eye.clone(), self.crew.pids(), begin, phases.to_vec()),
        );
        let mut tallies = vec![Tally::default(); phases.len()];
        for _ in 0..self.crew.len() {
            let Word::Drained = self.hear().await? else { return out_of_turn() };
        }
        self.crew.order(|_| Order::Settle).await?;
        let mut left = self.crew.len();
        while left > 0 {
            let Word::Ran { phases } = self.hear().await? else { return out_of_turn() };
            for (sum, tally) in tallies.iter_mut().zip(&phases) {
                sum.add(tally);
            }
            left -= 1;
        }
        let marks = marks.await.context("the server was not watched to the end")??;
        Ok(Ran { tallies, marks })
    }

    async fn phases(&mut self) -> Result<(Figures, Vec<PhaseOutcome>, Vec<Trial>, Tally)> {
        self.phase = String::from("running");
        self.screen.run(&self.scenario);
        let phases = self.scenario.phases.clone();
        let Ran { tallies, marks } = self.run(&phases).await?;
        let (mut outcomes, mut all, mut begin_s) = (Vec::new(), Tally::default(), 0.0);
        let mut spent = Spent::default();
        for ((phase, tally), borders) in phases.iter().zip(&tallies).zip(marks.windows(2)) {
            let part = Spent::between(borders);
            let mut figures = verdict::figures(tally, phase.seconds);
            part.figures(tally, &mut figures);
            if phase.measured() {
                all.add(tally);
                spent.add(&part);
            }
            let kind = format!("{:?}", phase.kind).to_lowercase();
            outcomes.push(PhaseOutcome {
                name: phase.name.clone().unwrap_or_else(|| kind.clone()),
                kind,
                begin_s,
                seconds: phase.seconds,
                measured: phase.measured(),
                figures,
            });
            begin_s += phase.seconds;
        }
        let mut figures = verdict::figures(&all, spent.seconds);
        spent.figures(&all, &mut figures);
        self.memory(&marks, &mut figures);
        Ok((figures, outcomes, Vec::new(), all))
    }

    fn memory(&self, marks: &[Mark], figures: &mut Figures) {
        let series = self.series.lock();
        let Some(end) = marks.last() else { return };
        let resident = float(end.server.resident_bytes) / MB;
        figures.insert(String::from("server_resident_mb"), resident);
        figures.insert(
            String::from("generator_resident_mb"),
            float(end.generator.resident_bytes) / MB,
        );
        let most =
            series.points.iter().map(|point| point.server_resident_mb).fold(resident, f64::max);
        figures.insert(String::from("server_resident_mb_max"), most);
        let running: Vec<&Point> =
            series.points.iter().filter(|point| point.second >= 0.0).collect();
        if let Some(early) = running.get(running.len() / 10) {
            figures.insert(
                String::from("server_resident_growth_mb"),
                resident - early.server_resident_mb,
            );
        }
    }

    async fn search(&mut self) -> Result<(Figures, Vec<PhaseOutcome>, Vec<Trial>, Tally)> {
        self.screen.run(&self.scenario);
        let mut search = search::Search::new(&self.scenario.search);
        let (mut trials, mut best) = (Vec::new(), None);
        while let Some(rate) = search.next() {
            self.phase = format!("{rate:.0} messages/s");
            let phase = Phase { rate, seconds: self.scenario.search.seconds, ..Phase::default() };
            let Ran { tallies, marks } = self.run(&[phase]).await?;
            let tally = tallies.into_iter().next().unwrap_or_default();
            let spent = Spent::between(&marks);
            let mut figures = verdict::figures(&tally, spent.seconds);
            spent.figures(&tally, &mut figures);
            let void = verdict::is_void(&figures);
            let kept = !void && search::keeps(&figures, &self.scenario.search);
            search.tried(rate, kept);
            self.screen.say(&format!(
                "{rate:.0} messages/s: {}",
                if void {
                    "the generator is at its end"
                } else if kept {
                    "kept"
                } else {
                    "not kept"
                }
            ));
            trials.push(Trial { rate, kept, void, figures: figures.clone() });
            if kept {
                self.memory(&marks, &mut figures);
                best = Some((figures, tally));
            }
        }
        // Of no rate that kept the aim, the lowest that was tried is shown.
        let lowest = trials.first().map(|trial| trial.figures.clone()).unwrap_or_default();
        let (mut figures, tally) = best.unwrap_or((lowest, Tally::default()));
        figures.insert(String::from("highest_rate"), search.highest());
        Ok((figures, Vec::new(), trials, tally))
    }

    async fn finish(&mut self) -> Result<(Tally, Ledger)> {
        self.crew.order(|_| Order::Finish).await?;
        let (mut first, mut ledger, mut left) =
            (Tally::default(), Ledger::default(), self.crew.len());
        while left > 0 {
            let Word::Result { before, ledger: part } = self.hear().await? else {
                return out_of_turn();
            };
            first.add(&before);
            ledger.merge(*part);
            left -= 1;
        }
        Ok((first, ledger))
    }
}

fn out_of_turn<T>() -> Result<T> {
    bail!("a worker spoke out of turn")
}

/// Looks at both at each border of the phases.
async fn marks(
    clock: Clock,
    eye: Eye,
    pids: Vec<u32>,
    begin: Micros,
    phases: Vec<Phase>,
) -> Result<Vec<Mark>> {
    let mut at = begin;
    let mut marks = Vec::new();
    let lengths = phases.iter().map(Phase::length);
    for length in std::iter::once(Duration::ZERO).chain(lengths) {
        at = at.plus(length);
        tokio::time::sleep_until(clock.instant(at)).await;
        let server = eye.look().await?;
        let generator = Usage::of(&pids).context("cannot see a worker's process")?;
        marks.push(Mark { at: clock.now(), server, generator });
    }
    Ok(marks)
}

/// What was used between two marks.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    seconds: f64,
    server: f64,
    generator: f64,
}

impl Spent {
    fn between(marks: &[Mark]) -> Self {
        let (Some(begin), Some(end)) = (marks.first(), marks.last()) else {
            return Self::default();
        };
        Self {
            seconds: float(end.at.since(begin.at)) / 1e6,
            server: end.server.cpu_since(&begin.server).as_secs_f64(),
            generator: end.generator.cpu_since(&begin.generator).as_secs_f64(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.server += other.server;
        self.generator += other.generator;
    }

    fn figures(&self, tally: &Tally, figures: &mut Figures) {
        let sent = float(tally.of(Count::Sent));
        let came = float(tally.of(Count::Delivered));
        let mut set = |name: &str, value: f64| figures.insert(name.to_owned(), value);
        if sent > 0.0 {
            set("server_cpu_us_per_message", self.server * 1e6 / sent);
        }
        if came > 0.0 {
            set("server_cpu_us_per_delivery", self.server * 1e6 / came);
        }
        set("server_cpu_cores", ratio(self.server, self.seconds));
        set("generator_cpu_cores", ratio(self.generator, self.seconds));
        set("measured_seconds", self.seconds);
    }
}
