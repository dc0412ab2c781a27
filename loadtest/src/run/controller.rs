//! One run from its beginning to its end: the server, the people, the phases, and what all of it comes to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use testkit::Throwaway;
use tokio::sync::watch;

use crate::clock::{Clock, Micros};
use crate::judge::figure::{Count, Figure, Figures, Measure, Stat, Timing};
use crate::judge::guard::{self, Guard};
use crate::judge::histogram::Tally;
use crate::judge::ledger::Ledger;
use crate::judge::verdict;
use crate::number::{float, ratio};
use crate::people::world::Plan;
use crate::report::outcome::{
    Ended, Machine, Made, Outcome, PhaseOutcome, Point, SCHEMA, Trial, without_password,
};
use crate::report::screen::{Live, Screen};
use crate::run::crew::{Crew, Hands};
use crate::run::observe::{Eye, Latency, Metrics, cpu_us_each};
use crate::run::process::Usage;
use crate::run::rest::Rest;
use crate::run::scenario::{Loop, Phase, Scenario};
use crate::run::search::{self, BoundedBy, Tried};
use crate::run::series::Series;
use crate::run::setup::{self, Staff};
use crate::run::stop::Stop;
use crate::run::throwaway;
use crate::run::trust;
use crate::run::worker::{Order, Word};
use crate::tasks;

/// From the order to run until the run begins, for all workers to have heard it.
const HEADWAY: Duration = Duration::from_millis(300);
const MB: f64 = 1_048_576.0;
const HIGHEST_RATE: Figure = Figure::Measured(Measure::HighestRate);

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
    pub(crate) hands: Hands,
    /// The command line that said so, for the result.
    pub(crate) command: Vec<String>,
    /// Whether any broken threshold ends the run, and not only those that say so.
    pub(crate) abort: bool,
}

/// The server was there, and then it was not.
#[derive(Debug, thiserror::Error)]
#[error("the server was gone before anything was measured")]
pub(crate) struct ServerGone;

/// Looks at the server's own times that a run has: enough for a plot, and too few to cost the server anything.
const LOOKS: f64 = 60.0;

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
pub(crate) async fn conduct(wanted: Wanted, screen: &mut Screen, stop: Stop) -> Result<Outcome> {
    let scenario = wanted.scenario;
    let guard = Guard::new(&scenario, wanted.abort && scenario.pacing != Loop::Search);
    let scene = Scene::of(wanted.server, &scenario).await?;
    let mut crew = Crew::muster(&wanted.hands, screen).await?;
    let notes = std::mem::take(&mut crew.notes);
    let count = wanted.hands.count();
    let run = fastrand::u32(..);
    screen.say("making an Organization, its site and its agents");
    let staff = Staff::of(&scenario.mix);
    let grounds = setup::furnish(&scene.public, &scene.admin, &scene.operator_key, run, staff)
        .await
        .context("the run's Organization could not be made")?;
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
    let series = Arc::new(Mutex::new(Series::new(crew.pids(), crew.len())));
    let mut conductor = Conductor {
        clock,
        crew,
        scenario,
        screen,
        series,
        eye: scene.eye.clone(),
        admin: scene.admin.clone(),
        looked: None,
        phase: String::new(),
        gone: None,
        guard,
        stop,
        cut: watch::Sender::new(None),
        ended: None,
        seen: false,
        begin: Micros::default(),
        runs: false,
    };
    let metrics = Metrics::of(&scene.admin).await;
    let made = made(&wanted.command, &scene, metrics.as_ref().ok());
    let outcome = Box::pin(conductor.carry_out(plan, &scene.admin, metrics)).await;
    conductor.crew.dismiss().await;
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) if conductor.seen && scene.is_gone().await => {
            return Err(error.context(ServerGone));
        }
        Err(error) => return Err(error),
    };
    outcome.notes.extend(notes);
    outcome.made = Some(made);
    outcome.scenario.server_flags = hidden(&outcome.scenario.server_flags);
    if let Some(throwaway) = scene.throwaway
        && let Err(error) = throwaway::stop(throwaway).await
    {
        // What was measured was measured; but a server that ends badly is no success.
        outcome.fail(format!("{error:#}"));
    }
    Ok(outcome)
}

fn made(command: &[String], scene: &Scene, metrics: Option<&Metrics>) -> Made {
    let build = |label| metrics.and_then(|metrics| metrics.build(label));
    Made {
        command: hidden(command),
        server_version: build("version"),
        server_commit: build("commit"),
        server_flags: scene.throwaway.as_ref().map(|started| hidden(&started.flags)),
    }
}

fn hidden(words: &[String]) -> Vec<String> {
    words.iter().map(|word| without_password(word)).collect()
}

impl Scene {
    /// Whether the server is not there any more.
    async fn is_gone(&self) -> bool {
        match &self.throwaway {
            Some(started) => throwaway::is_gone(started),
            None => self.eye.look().await.is_err(),
        }
    }

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
                let started = throwaway::start(program, flags).await?;
                let origin = format!("http://{}", started.public);
                let rest = |address| Rest { address, tls: None, origin: origin.clone() };
                Ok(Self {
                    public: rest(started.public),
                    admin: rest(started.admin),
                    tls_ca: None,
                    operator_key: started.operator_key.clone(),
                    eye: Eye::Pids(vec![started.pid()]),
                    throwaway: Some(started),
                })
            }
        }
    }
}

/// The server's and the generator's usage at a moment.
#[derive(Debug, Clone, Default)]
struct Mark {
    at: Micros,
    /// Absent: it was gone.
    server: Option<Usage>,
    generator: Usage,
    /// What the server says of itself; absent where it could not be asked.
    metrics: Option<Arc<Metrics>>,
}

/// Why the phases ended before their time.
#[derive(Debug, Clone)]
enum Early {
    Interrupted,
    /// A threshold that is broken beyond repair, in words.
    Broken(String),
}

/// What was seen at the borders of phases.
#[derive(Debug, Default)]
struct Seen {
    marks: Vec<Mark>,
    /// Since when there was no server to look at, in words.
    gone: Option<String>,
}

struct Conductor<'a> {
    clock: Clock,
    crew: Crew,
    scenario: Scenario,
    screen: &'a mut Screen,
    series: Arc<Mutex<Series>>,
    eye: Eye,
    admin: Rest,
    /// The last look at the server's own times: in which second, and what it said.
    looked: Option<(f64, Metrics)>,
    phase: String,
    /// That the server was gone while the run went on, in words.
    gone: Option<String>,
    guard: Guard,
    stop: Stop,
    /// When the phases end before their time.
    cut: watch::Sender<Option<Micros>>,
    /// Why they did, and in which second.
    ended: Option<(Early, f64)>,
    /// Whether the server was seen to be there.
    seen: bool,
    /// When the first phase begins.
    begin: Micros,
    /// Whether something is due.
    runs: bool,
}

/// What the phases of one order to run came to.
struct Ran {
    tallies: Vec<Tally>,
    /// One more than there are phases: their borders.
    marks: Vec<Mark>,
}

/// What all measured phases, or the tries of a search, came to.
#[derive(Debug, Default)]
struct Measured {
    figures: Figures,
    phases: Vec<PhaseOutcome>,
    trials: Vec<Trial>,
    tally: Tally,
    bounded_by: Option<BoundedBy>,
}

/// What the workers hand in when they go.
#[derive(Default)]
struct End {
    /// What came before the phases.
    first: Tally,
    /// Counts of the whole run.
    whole: Tally,
    ledger: Ledger,
}

impl Conductor<'_> {
    async fn carry_out(
        &mut self,
        plan: Plan,
        admin: &Rest,
        metrics: Result<Metrics>,
    ) -> Result<Outcome> {
        let run = plan.run;
        let begun = self.clock.now();
        self.crew.order(|index| Order::Plan(Box::new(Plan { index, ..plan.clone() }))).await?;
        let before = self.eye.look().await?;
        self.seen = true;
        let connections = self.bring_people().await?;
        let there = self.eye.look().await?;
        let measured = match self.scenario.pacing {
            Loop::Closed | Loop::Open => self.phases().await?,
            Loop::Search => self.search().await?,
        };
        let Measured { mut figures, phases, trials, tally, bounded_by } = measured;
        self.screen.say("everyone goes");
        let End { first, whole, ledger } = self.finish().await?;
        if self.gone.is_none()
            && let Err(error) = self.eye.look().await
        {
            self.gone = Some(format!("the server was gone when everyone had gone: {error:#}"));
        }
        let (found, examples) = ledger.judge();
        verdict::found(&found, &mut figures);
        verdict::whole(&whole, self.scenario.pacing, &mut figures);
        coming(&first, &before, &there, connections, &mut figures);
        let (server, notes) = moved(metrics, Metrics::of(admin).await);
        let judged = verdict::judge(&figures, self.scenario.bounds());
        // A server that died has died, however late the generator was.
        let void = verdict::void(&figures, &judged, bounded_by);
        let void = self.interrupted().or(void).filter(|_| self.gone.is_none());
        let none_kept = self.scenario.pacing == Loop::Search
            && self.ended.is_none()
            && figures.get(HIGHEST_RATE).is_none_or(|rate| rate <= 0.0);
        let series = self.series.lock().points.clone();
        let mut outcome = Outcome {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: format!("{run:08x}"),
            begun_unix_ms: begun.0 / 1_000,
            made: None,
            machine: Machine::here(),
            workers: u32::try_from(self.crew.len()).unwrap_or(u32::MAX),
            scenario: self.scenario.clone(),
            verdict: verdict::sum_up(&judged, void.is_some()),
            ended: self.how_it_ended(),
            void,
            thresholds: judged,
            figures,
            phases,
            trials,
            bounded_by,
            faults: Vec::new(),
            notes,
            series,
            times: tally.times,
            examples,
            server,
            comparison: None,
        };
        for fault in self.faults(&ledger, none_kept) {
            outcome.fail(fault);
        }
        Ok(outcome)
    }

    /// What went wrong that no threshold tells of.
    fn faults(&mut self, ledger: &Ledger, none_kept: bool) -> Vec<String> {
        let words = "no rate kept the aim; the figures are those of the lowest";
        let none_kept = none_kept.then(|| String::from(words));
        let aborted = match &self.ended {
            Some((Early::Broken(words), second)) => {
                Some(format!("the run was ended {second:.0} s after its phases began: {words}"))
            }
            Some((Early::Interrupted, _)) | None => None,
        };
        let faults = self.gone.take().into_iter().chain(ledger.unjudged());
        faults.chain(none_kept).chain(aborted).collect()
    }

    /// Why an interrupted run is not judged.
    fn interrupted(&self) -> Option<String> {
        let Some((Early::Interrupted, second)) = self.ended else { return None };
        Some(format!(
            "interrupted {second:.0} s after the phases began: what was measured until then is here, and not judged"
        ))
    }

    fn how_it_ended(&self) -> Ended {
        match &self.ended {
            _ if self.gone.is_some() => Ended::ServerGone,
            Some((Early::Interrupted, _)) => Ended::Interrupted,
            Some((Early::Broken(_), _)) => Ended::Aborted,
            None => Ended::Whole,
        }
    }

    /// The phases end here, in all workers.
    async fn end_early(&mut self, why: Early) -> Result<()> {
        let (at, begin) = (self.clock.now(), self.begin);
        self.ended = Some((why, float(at.since(begin)) / 1e6));
        self.cut.send_replace(Some(at));
        self.crew.order(|_| Order::Cut { at }).await
    }

    /// Everyone finds their place; gives how many connections that makes.
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
            let goes_on = self.runs && self.ended.is_none();
            let (worker, word) = tokio::select! {
                said = self.crew.hear() => said?,
                () = self.stop.asked(), if goes_on => {
                    self.screen.say(
                        "interrupted: what was measured is kept; once more, and nothing is",
                    );
                    self.end_early(Early::Interrupted).await?;
                    continue;
                }
            };
            let Word::Second { at, tally, connections } = word else { return Ok(word) };
            // A look that fails leaves a gap in the plots.
            let server = self.eye.look().await.ok();
            let second = self.series.lock().second(worker, at, &tally, connections, server);
            let Some((point, tally)) = second else { continue };
            self.look(point.second).await;
            self.screen.show(&Live {
                phase: &self.phase,
                point: &point,
                series: &self.series.lock().points,
            });
            let broken = self.guard.second(self.runs.then_some(point.second), &tally);
            if goes_on && let Some(words) = broken {
                self.screen.say(&format!("the run ends: {words}"));
                self.end_early(Early::Broken(words)).await?;
            }
        }
    }

    /// Asks the server for its own times, now and then.
    async fn look(&mut self, second: f64) {
        let every = (self.scenario.seconds() / LOOKS).max(1.0);
        // Whoever looks each second is late by some milliseconds, and early the next time.
        let waits = self.looked.as_ref().is_some_and(|(last, _)| second - last < every - 0.5);
        if !self.runs || waits {
            return;
        }
        // Not there for a moment: the next look is over the longer stretch.
        let Ok(metrics) = Metrics::of(&self.admin).await else { return };
        if let Some((last, earlier)) = self.looked.take() {
            self.series.lock().server_said(last, metrics.latency(&earlier).p99_ms());
        }
        self.looked = Some((second, metrics));
    }

    /// Runs some phases on end.
    async fn run(&mut self, phases: &[Phase]) -> Result<Ran> {
        let begin = self.clock.now().plus(HEADWAY);
        (self.begin, self.runs) = (begin, true);
        self.stop.measures();
        self.series.lock().begin(begin);
        self.crew.order(|_| Order::Run { phases: phases.to_vec(), begin }).await?;
        let marks = tasks::spawn(
            "marks",
            marks(
                Watch {
                    clock: self.clock,
                    eye: self.eye.clone(),
                    admin: self.admin.clone(),
                    pids: self.crew.pids(),
                },
                begin,
                phases.to_vec(),
                self.cut.subscribe(),
            ),
        );
        let mut tallies = vec![Tally::default(); phases.len()];
        for _ in 0..self.crew.len() {
            let Word::Drained = self.hear().await? else { return out_of_turn() };
        }
        // All that was due is over: there is nothing left to end early.
        self.runs = false;
        self.crew.order(|_| Order::Settle).await?;
        let mut left = self.crew.len();
        while left > 0 {
            let Word::Ran { phases } = self.hear().await? else { return out_of_turn() };
            for (sum, tally) in tallies.iter_mut().zip(&phases) {
                sum.add(tally);
            }
            left -= 1;
        }
        let seen = marks.await.context("the server was not watched to the end")?;
        let Seen { marks, gone } = seen?;
        self.gone = self.gone.take().or(gone);
        Ok(Ran { tallies, marks })
    }

    async fn phases(&mut self) -> Result<Measured> {
        self.phase = String::from("running");
        self.screen.run(&self.scenario);
        let phases = self.scenario.phases.clone();
        let Ran { tallies, marks } = self.run(&phases).await?;
        let (mut outcomes, mut all, mut begin_s) = (Vec::new(), Tally::default(), 0.0);
        let mut spent = Spent { server: Some(0.0), ..Spent::default() };
        let mut reached = Vec::new();
        for ((phase, tally), borders) in phases.iter().zip(&tallies).zip(marks.windows(2)) {
            let part = Spent::between(borders);
            // The one in which the run was ended is as long as it was.
            let seconds = if self.ended.is_some() && outcomes.len() + 2 == marks.len() {
                part.seconds
            } else {
                phase.seconds
            };
            let phase = Phase { seconds, ..phase.clone() };
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
            reached.push(phase);
        }
        let mut figures = verdict::figures(&all, spent.seconds);
        spent.figures(&all, &mut figures);
        self.memory(&marks, &mut figures);
        if let Some(growth) = growth_mb(&self.series.lock().points, &reached) {
            figures.set(Figure::Measured(Measure::ServerResidentGrowthMb), growth);
        }
        Ok(Measured { figures, phases: outcomes, tally: all, ..Measured::default() })
    }

    fn memory(&self, marks: &[Mark], figures: &mut Figures) {
        let series = self.series.lock();
        let Some(end) = marks.last() else { return };
        let resident = end.server.map(|server| float(server.resident_bytes) / MB);
        if let Some(resident) = resident {
            figures.set(Figure::Measured(Measure::ServerResidentMb), resident);
        }
        let generator = float(end.generator.resident_bytes) / MB;
        figures.set(Figure::Measured(Measure::GeneratorResidentMb), generator);
        let seen = series.points.iter().filter_map(|point| point.server_resident_mb);
        if let Some(most) = seen.chain(resident).reduce(f64::max) {
            figures.set(Figure::Measured(Measure::ServerResidentMbMax), most);
        }
    }

    async fn search(&mut self) -> Result<Measured> {
        self.screen.run(&self.scenario);
        let mut search = search::Search::new(&self.scenario.search);
        let mut measured = Measured::default();
        while let Some(rate) = search.next() {
            self.phase = format!("{rate:.0} messages/s");
            let phase = Phase { rate, seconds: self.scenario.search.seconds, ..Phase::default() };
            let Ran { tallies, marks } = self.run(&[phase]).await?;
            if self.ended.is_some() {
                // Half a try is none.
                break;
            }
            let tally = tallies.into_iter().next().unwrap_or_default();
            let spent = Spent::between(&marks);
            let mut figures = verdict::figures(&tally, spent.seconds);
            spent.figures(&tally, &mut figures);
            let tried = search::judge(&figures, &self.scenario.search);
            let kept = tried == Tried::Kept;
            // As long as none kept the aim the rates fall, and the lowest that was tried is shown.
            let shown = kept || search.highest() <= 0.0;
            search.tried(rate, tried);
            let trial = Trial { rate, kept, void: tried == Tried::Void, figures: figures.clone() };
            self.screen.say(&format!("{rate:.0} messages/s: {}", trial.words()));
            measured.trials.push(trial);
            if shown {
                self.memory(&marks, &mut figures);
                (measured.figures, measured.tally) = (figures, tally);
            }
            if self.gone.is_some() {
                break;
            }
        }
        measured.figures.set(HIGHEST_RATE, search.highest());
        // Of a search that was ended early nobody knows.
        measured.bounded_by = self.ended.is_none().then(|| search.bounded_by());
        Ok(measured)
    }

    async fn finish(&mut self) -> Result<End> {
        self.crew.order(|_| Order::Finish).await?;
        let mut end = End::default();
        for _ in 0..self.crew.len() {
            let Word::Result { before, whole, ledger } = self.hear().await? else {
                return out_of_turn();
            };
            end.first.add(&before);
            end.whole.add(&whole);
            end.ledger.merge(*ledger);
        }
        Ok(end)
    }
}

/// What it cost that so many came, and how long they took.
fn coming(first: &Tally, before: &Usage, there: &Usage, connections: u64, figures: &mut Figures) {
    let opened = first.of(Count::Connects).max(1);
    let growth = float(there.resident_bytes) - float(before.resident_bytes);
    let each = ratio(growth, float(connections));
    figures.set(Figure::Measured(Measure::Connections), float(connections));
    figures.set(Figure::Measured(Measure::ServerBytesPerConnection), each);
    let cpu_us = cpu_us_each(there, before, opened);
    figures.set(Figure::Measured(Measure::ServerCpuUsPerConnect), cpu_us);
    if let (Some(times), None) =
        (first.time(Timing::Connect), figures.get(Figure::Timed(Timing::Connect, Stat::P50)))
    {
        let of = |stat: Stat| (Figure::Timed(Timing::Connect, stat), stat.of(times));
        figures.extend(Stat::ALL.map(of));
    }
}

/// How the server's own counters moved. A look that failed leaves them out: half of a difference would be none.
fn moved(earlier: Result<Metrics>, later: Result<Metrics>) -> (BTreeMap<String, f64>, Vec<String>) {
    match (earlier, later) {
        (Ok(earlier), Ok(later)) => (later.since(&earlier), Vec::new()),
        (earlier, later) => {
            let looks = [("beginning", earlier), ("end", later)];
            let notes = looks.into_iter().filter_map(|(when, look)| {
                let error = look.err()?;
                Some(format!("the server's /metrics could not be read at the {when}: {error:#}"))
            });
            (BTreeMap::new(), notes.collect())
        }
    }
}

/// The server's growth over what was measured, from a tenth of it to its end: not while people come or all is drained.
fn growth_mb(points: &[Point], phases: &[Phase]) -> Option<f64> {
    let spans = guard::spans(phases);
    let inside = |at: f64| spans.iter().any(|(from, to)| (*from..*to).contains(&at));
    let measured = points.iter().filter(|point| inside(point.second));
    let seen: Vec<f64> = measured.filter_map(|point| point.server_resident_mb).collect();
    Some(seen.last()? - seen.get(seen.len() / 10)?)
}

fn out_of_turn<T>() -> Result<T> {
    bail!("a worker spoke out of turn")
}

/// What looks at the server and at the generator.
struct Watch {
    clock: Clock,
    eye: Eye,
    admin: Rest,
    pids: Vec<u32>,
}

/// Looks at both at each border of the phases, and where they are cut. A server that is gone ends no run: what was seen before
/// is worth knowing.
async fn marks(
    Watch { clock, eye, admin, pids }: Watch,
    begin: Micros,
    phases: Vec<Phase>,
    mut cut: watch::Receiver<Option<Micros>>,
) -> Result<Seen> {
    let mut at = begin;
    let mut seen = Seen::default();
    let lengths = phases.iter().map(Phase::length);
    for length in std::iter::once(Duration::ZERO).chain(lengths) {
        at = at.plus(length);
        let is_cut = tokio::select! {
            () = tokio::time::sleep_until(clock.instant(at)) => false,
            // The conductor outlives its marks.
            cut = cut.wait_for(Option::is_some) => cut.is_ok(),
        };
        let server = eye.look().await;
        if let Err(error) = &server {
            let seconds = float(clock.now().since(begin)) / 1e6;
            let words =
                || format!("the server was gone {seconds:.0} s after the phases began: {error:#}");
            seen.gone.get_or_insert_with(words);
        }
        let generator = Usage::of(&pids).context("cannot see a worker's process")?;
        let now = clock.now();
        let metrics = Metrics::of(&admin).await.ok().map(Arc::new);
        seen.marks.push(Mark { at: now, server: server.ok(), generator, metrics });
        if is_cut {
            break;
        }
    }
    Ok(seen)
}

/// What was used between two marks.
#[derive(Debug, Clone, Default)]
struct Spent {
    seconds: f64,
    /// Absent: the server was gone at one of them.
    server: Option<f64>,
    generator: f64,
    /// The server's own times; empty where it could not be asked.
    latency: Latency,
}

impl Spent {
    fn between(marks: &[Mark]) -> Self {
        let (Some(begin), Some(end)) = (marks.first(), marks.last()) else {
            return Self::default();
        };
        let server = begin.server.zip(end.server);
        let metrics = begin.metrics.as_ref().zip(end.metrics.as_ref());
        Self {
            latency: metrics.map(|(begin, end)| end.latency(begin)).unwrap_or_default(),
            seconds: float(end.at.since(begin.at)) / 1e6,
            server: server.map(|(begin, end)| end.cpu_since(&begin).as_secs_f64()),
            generator: end.generator.cpu_since(&begin.generator).as_secs_f64(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.server = self.server.zip(other.server).map(|(one, other)| one + other);
        self.generator += other.generator;
        self.latency.add(&other.latency);
    }

    fn figures(&self, tally: &Tally, figures: &mut Figures) {
        let sent = float(tally.of(Count::Sent));
        let came = float(tally.of(Count::Delivered));
        let mut set = |measure, value| figures.set(Figure::Measured(measure), value);
        if let Some(server) = self.server {
            if sent > 0.0 {
                set(Measure::ServerCpuUsPerMessage, server * 1e6 / sent);
            }
            if came > 0.0 {
                set(Measure::ServerCpuUsPerDelivery, server * 1e6 / came);
            }
            set(Measure::ServerCpuCores, ratio(server, self.seconds));
        }
        set(Measure::GeneratorCpuCores, ratio(self.generator, self.seconds));
        set(Measure::MeasuredSeconds, self.seconds);
        figures.extend(self.latency.figures());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario::PhaseKind;

    #[test]
    fn memory_grows_over_what_is_measured_and_not_over_ramp_or_drain() {
        let phase = |kind, seconds| Phase { kind, seconds, ..Phase::default() };
        let phases = [phase(PhaseKind::Ramp, 10.0), phase(PhaseKind::Soak, 20.0)];
        let point = |second: u32| Point {
            second: f64::from(second),
            server_resident_mb: match second {
                // The ramp fills it, the drain empties it.
                0..10 => Some(f64::from(second) * 100.0),
                15 => None,
                10..30 => Some(1_000.0 + f64::from(second)),
                _ => Some(5.0),
            },
            ..Point::default()
        };
        let points: Vec<Point> = (0..40).map(point).collect();
        assert_eq!(growth_mb(&points, &phases), Some(18.0));
        assert_eq!(growth_mb(&points[..5], &phases), None);
    }

    #[test]
    fn half_a_difference_is_none_and_is_told() {
        let failed = || Err(anyhow::anyhow!("no answer"));
        let (server, notes) = moved(failed(), Ok(Metrics::default()));
        assert!(server.is_empty());
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("at the beginning: no answer"), "{notes:?}");
        assert_eq!(moved(failed(), failed()).1.len(), 2);
        assert!(moved(Ok(Metrics::default()), Ok(Metrics::default())).1.is_empty());
    }
}
