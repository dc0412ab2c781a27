//! One run from its beginning to its end: the server, the people, the phases, and what all of it comes to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;

use crate::clock::{Clock, Micros};
use crate::crew::{Crew, Hands};
use crate::histogram::{Count, Tally};
use crate::ledger::Ledger;
use crate::number::{float, ratio};
use crate::observe::{Eye, Metrics, cpu_us_each};
use crate::outcome::{
    Machine, Made, Outcome, PhaseOutcome, Point, SCHEMA, Trial, without_password,
};
use crate::process::Usage;
use crate::rest::Rest;
use crate::scenario::{Loop, Phase, Scenario};
use crate::screen::{Live, Screen};
use crate::search::{self, BoundedBy, Tried};
use crate::series::Series;
use crate::setup::{self, Staff};
use crate::tasks;
use crate::throwaway::Throwaway;
use crate::trust;
use crate::verdict::{self, Figures};
use crate::worker::{Order, Word};
use crate::world::Plan;

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
    pub(crate) hands: Hands,
    /// The command line that said so, for the result.
    pub(crate) command: Vec<String>,
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
        phase: String::new(),
        gone: None,
    };
    let metrics = Metrics::of(&scene.admin).await;
    let made = made(&wanted.command, &scene, metrics.as_ref().ok());
    let outcome = Box::pin(conductor.carry_out(plan, &scene.admin, metrics)).await;
    conductor.crew.dismiss().await;
    let mut outcome = outcome?;
    outcome.notes.extend(notes);
    outcome.made = Some(made);
    outcome.scenario.server_flags = hidden(&outcome.scenario.server_flags);
    if let Some(throwaway) = scene.throwaway
        && let Err(error) = throwaway.stop().await
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
    /// Absent: it was gone.
    server: Option<Usage>,
    generator: Usage,
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
    phase: String,
    /// That the server was gone while the run went on, in words.
    gone: Option<String>,
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
        let connections = self.bring_people().await?;
        let there = self.eye.look().await?;
        let measured = match self.scenario.pacing {
            Loop::Closed | Loop::Open => self.phases().await?,
            Loop::Search => self.search().await?,
        };
        let Measured { mut figures, phases, trials, tally, bounded_by } = measured;
        self.screen.say("everyone goes");
        let End { first, whole, ledger } = self.finish().await?;
        let (found, examples) = ledger.judge();
        verdict::found(&found, &mut figures);
        verdict::whole(&whole, self.scenario.pacing, &mut figures);
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
        let (server, notes) = moved(metrics, Metrics::of(admin).await);
        let judged = verdict::judge(&figures, &self.scenario.thresholds);
        // A server that died has died, however late the generator was.
        let void = verdict::void(&figures, &judged, bounded_by).filter(|_| self.gone.is_none());
        let none_kept = self.scenario.pacing == Loop::Search
            && figures.get("highest_rate").is_none_or(|rate| *rate <= 0.0);
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
        self.gone.take().into_iter().chain(ledger.unjudged()).chain(none_kept).collect()
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
            let (worker, word) = self.crew.hear().await?;
            let Word::Second { at, tally, connections } = word else { return Ok(word) };
            // A look that fails leaves a gap in the plots.
            let server = self.eye.look().await.ok();
            let point = self.series.lock().second(worker, at, &tally, connections, server);
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
        if let Some(growth) = growth_mb(&self.series.lock().points, &phases) {
            figures.insert(String::from("server_resident_growth_mb"), growth);
        }
        Ok(Measured { figures, phases: outcomes, tally: all, ..Measured::default() })
    }

    fn memory(&self, marks: &[Mark], figures: &mut Figures) {
        let series = self.series.lock();
        let Some(end) = marks.last() else { return };
        let resident = end.server.map(|server| float(server.resident_bytes) / MB);
        if let Some(resident) = resident {
            figures.insert(String::from("server_resident_mb"), resident);
        }
        figures.insert(
            String::from("generator_resident_mb"),
            float(end.generator.resident_bytes) / MB,
        );
        let seen = series.points.iter().filter_map(|point| point.server_resident_mb);
        if let Some(most) = seen.chain(resident).reduce(f64::max) {
            figures.insert(String::from("server_resident_mb_max"), most);
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
        measured.figures.insert(String::from("highest_rate"), search.highest());
        measured.bounded_by = Some(search.bounded_by());
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

/// How the server's own counters moved. A look that failed leaves them out: half of a difference would be none.
fn moved(earlier: Result<Metrics>, later: Result<Metrics>) -> (Figures, Vec<String>) {
    match (earlier, later) {
        (Ok(earlier), Ok(later)) => (later.since(&earlier), Vec::new()),
        (earlier, later) => {
            let looks = [("beginning", earlier), ("end", later)];
            let notes = looks.into_iter().filter_map(|(when, look)| {
                let error = look.err()?;
                Some(format!("the server's /metrics could not be read at the {when}: {error:#}"))
            });
            (Figures::new(), notes.collect())
        }
    }
}

/// The server's growth over what was measured, from a tenth of it to its end: not while people come or all is drained.
fn growth_mb(points: &[Point], phases: &[Phase]) -> Option<f64> {
    let (mut spans, mut begin) = (Vec::new(), 0.0);
    for phase in phases {
        let end = begin + phase.seconds;
        if phase.measured() {
            spans.push(begin..end);
        }
        begin = end;
    }
    let measured = points.iter().filter(|point| spans.iter().any(|s| s.contains(&point.second)));
    let seen: Vec<f64> = measured.filter_map(|point| point.server_resident_mb).collect();
    Some(seen.last()? - seen.get(seen.len() / 10)?)
}

fn out_of_turn<T>() -> Result<T> {
    bail!("a worker spoke out of turn")
}

/// Looks at both at each border of the phases. A server that is gone ends no run: what was seen before is worth knowing.
async fn marks(
    clock: Clock,
    eye: Eye,
    pids: Vec<u32>,
    begin: Micros,
    phases: Vec<Phase>,
) -> Result<Seen> {
    let mut at = begin;
    let mut seen = Seen::default();
    let lengths = phases.iter().map(Phase::length);
    for length in std::iter::once(Duration::ZERO).chain(lengths) {
        at = at.plus(length);
        tokio::time::sleep_until(clock.instant(at)).await;
        let server = eye.look().await;
        if let Err(error) = &server {
            let seconds = float(clock.now().since(begin)) / 1e6;
            let words =
                || format!("the server was gone {seconds:.0} s after the phases began: {error:#}");
            seen.gone.get_or_insert_with(words);
        }
        let generator = Usage::of(&pids).context("cannot see a worker's process")?;
        seen.marks.push(Mark { at: clock.now(), server: server.ok(), generator });
    }
    Ok(seen)
}

/// What was used between two marks.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    seconds: f64,
    /// Absent: the server was gone at one of them.
    server: Option<f64>,
    generator: f64,
}

impl Spent {
    fn between(marks: &[Mark]) -> Self {
        let (Some(begin), Some(end)) = (marks.first(), marks.last()) else {
            return Self::default();
        };
        let server = begin.server.zip(end.server);
        Self {
            seconds: float(end.at.since(begin.at)) / 1e6,
            server: server.map(|(begin, end)| end.cpu_since(&begin).as_secs_f64()),
            generator: end.generator.cpu_since(&begin.generator).as_secs_f64(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.server = self.server.zip(other.server).map(|(one, other)| one + other);
        self.generator += other.generator;
    }

    fn figures(&self, tally: &Tally, figures: &mut Figures) {
        let sent = float(tally.of(Count::Sent));
        let came = float(tally.of(Count::Delivered));
        let mut set = |name: &str, value: f64| figures.insert(name.to_owned(), value);
        if let Some(server) = self.server {
            if sent > 0.0 {
                set("server_cpu_us_per_message", server * 1e6 / sent);
            }
            if came > 0.0 {
                set("server_cpu_us_per_delivery", server * 1e6 / came);
            }
            set("server_cpu_cores", ratio(server, self.seconds));
        }
        set("generator_cpu_cores", ratio(self.generator, self.seconds));
        set("measured_seconds", self.seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::PhaseKind;

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
