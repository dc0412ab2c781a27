//! One run from its beginning to its end: the server, the people, the phases, and what all of it
//! comes to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::{Clock, Micros};
use crate::judge::figure::{Figure, Figures, Measure};
use crate::judge::guard::Guard;
use crate::judge::histogram::Tally;
use crate::judge::ledger::Ledger;
use crate::judge::verdict;
use crate::people::world::Plan;
use crate::report::outcome::{Ended, Machine, Outcome, PhaseOutcome, SCHEMA, Trial};
use crate::report::screen::{Live, Screen};
use crate::run::cost::{self, Snapshot, Snapshots, Spent, Watch, snapshots};
use crate::run::observe::{Metrics, UsageSource};
use crate::run::pool::{WorkerPool, Workers};
use crate::run::rest::Rest;
use crate::run::scenario::{Loop, Phase, Scenario};
use crate::run::scene::{Scene, Server, hidden, made};
use crate::run::search::{self, BoundedBy, Tried};
use crate::run::series::Series;
use crate::run::setup::{self, Staff};
use crate::run::stop::{Early, EndedEarly, Stop};
use crate::run::throwaway;
use crate::run::worker::{Order, WorkerReport};
use crate::tasks;

/// From the order to run until the run begins, for all workers to have heard it.
const HEADWAY: Duration = Duration::from_millis(300);
const HIGHEST_RATE: Figure = Figure::Measured(Measure::HighestRate);

/// What is wanted of a run.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) scenario: Scenario,
    pub(crate) server: Server,
    pub(crate) workers: Workers,
    /// The command line that said so, for the result.
    pub(crate) command: Vec<String>,
    /// Whether any broken threshold ends the run, and not only those that say so.
    pub(crate) abort: bool,
}

/// The server was there, and then it was not.
#[derive(Debug, thiserror::Error)]
#[error("the server was gone before anything was measured")]
pub(crate) struct ServerGone;

/// Looks at the server's own times that a run has: enough for a plot, and too few to cost the
/// server anything.
const LOOKS: f64 = 60.0;

/// Runs it.
///
/// # Errors
/// If there is no run: the server, the people or the workers failed.
pub(crate) async fn conduct(wanted: Wanted, screen: &mut Screen, stop: Stop) -> Result<Outcome> {
    let scenario = wanted.scenario;
    let guard = Guard::new(&scenario, wanted.abort && scenario.pacing != Loop::Search);
    let scene = Scene::of(wanted.server, &scenario).await?;
    let mut pool = WorkerPool::gather(&wanted.workers, screen).await?;
    let notes = std::mem::take(&mut pool.notes);
    let count = wanted.workers.count();
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
    let series = Arc::new(Mutex::new(Series::new(pool.pids(), pool.len())));
    let mut conductor = Conductor {
        clock,
        pool,
        scenario,
        screen,
        series,
        usage: scene.usage.clone(),
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
    conductor.pool.dismiss().await;
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

struct Conductor<'a> {
    clock: Clock,
    pool: WorkerPool,
    scenario: Scenario,
    screen: &'a mut Screen,
    series: Arc<Mutex<Series>>,
    usage: UsageSource,
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
    /// That they did.
    ended: Option<EndedEarly>,
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
    snapshots: Vec<Snapshot>,
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
        self.pool.order(|index| Order::Plan(Box::new(Plan { index, ..plan.clone() }))).await?;
        let before = self.usage.look().await?;
        self.seen = true;
        let connections = self.bring_people().await?;
        let there = self.usage.look().await?;
        let measured = match self.scenario.pacing {
            Loop::Closed | Loop::Open => self.phases().await?,
            Loop::Search => self.search().await?,
        };
        let Measured { mut figures, phases, trials, tally, bounded_by } = measured;
        self.screen.say("everyone goes");
        let End { first, whole, ledger } = self.finish().await?;
        if self.gone.is_none()
            && let Err(error) = self.usage.look().await
        {
            self.gone = Some(format!("the server was gone when everyone had gone: {error:#}"));
        }
        let (found, examples) = ledger.judge();
        verdict::found(&found, &mut figures);
        verdict::whole(&whole, self.scenario.pacing, &mut figures);
        cost::coming(&first, &before, &there, connections, &mut figures);
        let (server, notes) = cost::moved(metrics, Metrics::of(admin).await);
        let judged = verdict::judge(&figures, self.scenario.bounds());
        // A server that died has died, however late the generator was.
        let void = verdict::void(&figures, &judged, bounded_by);
        let interrupted = self.ended.as_ref().and_then(EndedEarly::void);
        let void = interrupted.or(void).filter(|_| self.gone.is_none());
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
            workers: u32::try_from(self.pool.len()).unwrap_or(u32::MAX),
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
        let aborted = self.ended.as_ref().and_then(EndedEarly::fault);
        let faults = self.gone.take().into_iter().chain(ledger.unjudged());
        faults.chain(none_kept).chain(aborted).collect()
    }

    fn how_it_ended(&self) -> Ended {
        match &self.ended {
            _ if self.gone.is_some() => Ended::ServerGone,
            Some(early) => early.ended(),
            None => Ended::Whole,
        }
    }

    /// The phases end here, in all workers.
    async fn end_early(&mut self, why: Early) -> Result<()> {
        let (at, begin) = (self.clock.now(), self.begin);
        self.ended = Some(EndedEarly { why, second: at.since(begin).as_secs_f64() });
        self.cut.send_replace(Some(at));
        self.pool.order(|_| Order::Cut { at }).await
    }

    /// Everyone finds their place; gives how many connections that makes.
    async fn bring_people(&mut self) -> Result<u64> {
        self.phase = String::from("people come");
        self.screen.say("agents sit down");
        self.pool.order(|_| Order::Sit).await?;
        self.done().await?;
        self.screen.say("people come");
        self.pool.order(|_| Order::Enter).await?;
        let (_, room) = self.done().await?;
        self.pool.order(|_| Order::Attend(room)).await?;
        Ok(self.done().await?.0)
    }

    /// Until each worker has carried out its order: connections, and a room to watch.
    async fn done(&mut self) -> Result<(u64, Option<protocol::ids::ConversationId>)> {
        let (mut all, mut room, mut left) = (0, None, self.pool.len());
        while left > 0 {
            let WorkerReport::Done { connections, first_room } = self.hear().await? else {
                return out_of_turn();
            };
            all += connections;
            room = room.or(first_room);
            left -= 1;
        }
        Ok((all, room))
    }

    /// The next report that is not a second's.
    async fn hear(&mut self) -> Result<WorkerReport> {
        loop {
            let goes_on = self.runs && self.ended.is_none();
            let (worker, report) = tokio::select! {
                said = self.pool.hear() => said?,
                () = self.stop.asked(), if goes_on => {
                    self.screen.say(
                        "interrupted: what was measured is kept; once more, and nothing is",
                    );
                    self.end_early(Early::Interrupted).await?;
                    continue;
                }
            };
            let WorkerReport::Second { at, tally, connections } = report else { return Ok(report) };
            // A look that fails leaves a gap in the plots.
            let server = self.usage.look().await.ok();
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
        self.pool.order(|_| Order::Run { phases: phases.to_vec(), begin }).await?;
        let snapshots = tasks::spawn(
            "snapshots",
            snapshots(
                Watch {
                    clock: self.clock,
                    usage: self.usage.clone(),
                    admin: self.admin.clone(),
                    pids: self.pool.pids(),
                },
                begin,
                phases.to_vec(),
                self.cut.subscribe(),
            ),
        );
        let mut tallies = vec![Tally::default(); phases.len()];
        for _ in 0..self.pool.len() {
            let WorkerReport::Drained = self.hear().await? else { return out_of_turn() };
        }
        // All that was due is over: there is nothing left to end early.
        self.runs = false;
        self.pool.order(|_| Order::Settle).await?;
        let mut left = self.pool.len();
        while left > 0 {
            let WorkerReport::Ran { phases } = self.hear().await? else { return out_of_turn() };
            for (sum, tally) in tallies.iter_mut().zip(&phases) {
                sum.add(tally);
            }
            left -= 1;
        }
        let seen = snapshots.await.context("the server was not watched to the end")?;
        let Snapshots { taken: snapshots, gone } = seen?;
        self.gone = self.gone.take().or(gone);
        Ok(Ran { tallies, snapshots })
    }

    async fn phases(&mut self) -> Result<Measured> {
        self.phase = String::from("running");
        self.screen.run(&self.scenario);
        let phases = self.scenario.phases.clone();
        let Ran { tallies, snapshots } = self.run(&phases).await?;
        let (mut outcomes, mut all, mut begin_s) = (Vec::new(), Tally::default(), 0.0);
        let mut spent = Spent::nothing();
        let mut reached = Vec::new();
        for ((phase, tally), borders) in phases.iter().zip(&tallies).zip(snapshots.windows(2)) {
            let part = Spent::between(borders);
            // The one in which the run was ended is as long as it was.
            let seconds = if self.ended.is_some() && outcomes.len() + 2 == snapshots.len() {
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
        cost::memory(&self.series.lock().points, &snapshots, &mut figures);
        if let Some(growth) = cost::growth_mb(&self.series.lock().points, &reached) {
            figures.set(Figure::Measured(Measure::ServerResidentGrowthMb), growth);
        }
        Ok(Measured { figures, phases: outcomes, tally: all, ..Measured::default() })
    }

    async fn search(&mut self) -> Result<Measured> {
        self.screen.run(&self.scenario);
        let mut search = search::Search::new(&self.scenario.search);
        let mut measured = Measured::default();
        while let Some(rate) = search.next() {
            self.phase = format!("{rate:.0} messages/s");
            let phase = Phase { rate, seconds: self.scenario.search.seconds, ..Phase::default() };
            let Ran { tallies, snapshots } = self.run(&[phase]).await?;
            if self.ended.is_some() {
                // Half a try is none.
                break;
            }
            let tally = tallies.into_iter().next().unwrap_or_default();
            let spent = Spent::between(&snapshots);
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
                cost::memory(&self.series.lock().points, &snapshots, &mut figures);
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
        self.pool.order(|_| Order::Finish).await?;
        let mut end = End::default();
        for _ in 0..self.pool.len() {
            let WorkerReport::Result { before, whole, ledger } = self.hear().await? else {
                return out_of_turn();
            };
            end.first.add(&before);
            end.whole.add(&whole);
            end.ledger.merge(*ledger);
        }
        Ok(end)
    }
}

fn out_of_turn<T>() -> Result<T> {
    bail!("a worker spoke out of turn")
}
