//! One worker: takes orders from the controller, brings its part of the people, and hands in what
//! they recorded.
//!
//! The same orders go to a worker in this process, through a channel, and to one in a process of
//! its own, through a line of JSON over TCP (`distant.rs`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use protocol::ids::ConversationId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::{Micros, micros};
use crate::judge::figure::{Count, Timing};
use crate::judge::histogram::Tally;
use crate::judge::ledger::Ledger;
use crate::people::world::{Due, Plan, Stage, World};
use crate::people::{agent, bot, idle, malformed, rooms, slow, visit};
use crate::run::rest::Rest;
use crate::run::scenario::Phase;
use crate::run::{pace, trust};
use crate::tasks;

/// Orders or reports on their way. Full: whoever speaks waits.
pub(crate) const LETTERS_MAX: usize = 64;
/// People who find their places at the same time.
const COMING_MAX: usize = 64;
/// Visitors who are due at the same moment. Full: they are counted as unsent.
const VISITS_MAX: usize = 10_000;
/// How often the generator looks at its own lag.
const PROBE: Duration = Duration::from_millis(20);
/// Time for people to go at the end.
const GOING: Duration = Duration::from_secs(10);

/// What the controller orders.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Who this worker is.
    Plan(Box<Plan>),
    /// Agents sit down.
    Sit,
    /// Rooms and idle visitors come.
    Enter,
    /// Those come who watch this room.
    Attend(Option<ConversationId>),
    /// Phases begin at this moment.
    Run { phases: Vec<Phase>, begin: Micros },
    /// The phases end at this moment, before their time.
    Cut { at: Micros },
    /// All was answered in all workers: hear what is still on its way.
    Settle,
    /// All go.
    Finish,
}

/// What a worker reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerReport {
    /// The order before is carried out.
    Done { connections: u64, first_room: Option<ConversationId> },
    /// What the last second was.
    Second { at: Micros, tally: Tally, connections: u64 },
    /// The phases are over, and all that was sent was answered, or will not be.
    Drained,
    /// What each phase was.
    Ran { phases: Vec<Tally> },
    /// What came before the phases, what was counted from the beginning to the end, and all that
    /// was said and heard.
    Result { before: Tally, whole: Tally, ledger: Box<Ledger> },
    /// It cannot go on.
    Failed { words: String },
}

/// Carries out orders until the last.
///
/// # Errors
/// If it cannot go on; the controller is told, too.
pub(crate) async fn work(
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<WorkerReport>,
) -> Result<()> {
    let worked = Box::pin(obey(&mut orders, &reports)).await;
    if let Err(error) = &worked {
        // The controller may be gone; then there is nobody to say it to.
        let _gone = reports.send(WorkerReport::Failed { words: format!("{error:#}") }).await;
    }
    worked
}

async fn obey(
    orders: &mut mpsc::Receiver<Order>,
    reports: &mpsc::Sender<WorkerReport>,
) -> Result<()> {
    let Some(Order::Plan(plan)) = orders.recv().await else { bail!("the first order is no plan") };
    let world = World::new(*plan)?;
    let worker = Worker { world, people: Vec::new(), reports: reports.clone() };
    let second = tasks::spawn("second", seconds(Arc::clone(&worker.world), reports.clone()));
    let probe = tasks::spawn("probe", probe(Arc::clone(&worker.world)));
    let worked = Box::pin(worker.obey(orders, &second)).await;
    // They would go on speaking for a worker that is no more.
    second.abort();
    probe.abort();
    worked
}

struct Worker {
    world: Arc<World>,
    people: Vec<JoinHandle<()>>,
    reports: mpsc::Sender<WorkerReport>,
}

impl Worker {
    async fn obey(
        mut self,
        orders: &mut mpsc::Receiver<Order>,
        second: &JoinHandle<()>,
    ) -> Result<()> {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Plan(_) => bail!("a second plan"),
                Order::Sit => self.sit().await?,
                Order::Enter => self.enter().await?,
                Order::Attend(room) => self.attend(room).await?,
                Order::Run { phases, begin } => self.run(&phases, begin, orders).await?,
                // They were over when it came.
                Order::Cut { .. } => {}
                Order::Settle => self.settle().await?,
                Order::Finish => {
                    second.abort();
                    return self.finish().await;
                }
            }
        }
        bail!("the controller is gone")
    }

    async fn report(&self, report: WorkerReport) -> Result<()> {
        self.reports.send(report).await.context("the controller is gone")
    }

    async fn done(&self) -> Result<()> {
        let first_room = self.world.rooms.lock().first().copied();
        self.report(WorkerReport::Done { connections: self.world.connections(), first_room }).await
    }

    async fn sit(&mut self) -> Result<()> {
        // All agents are in one process: what nobody may have twice can be seen there.
        if self.world.plan.index == 0 {
            let accounts = self.world.plan.grounds.agents.clone();
            let world = Arc::clone(&self.world);
            let sitting = accounts.into_iter().map(|account| {
                let world = Arc::clone(&world);
                async move {
                    let agent =
                        tokio::time::timeout(agent::PATIENCE, agent::sit(world, account)).await;
                    Ok(vec![agent.context("an agent was not ready in time")??])
                }
            });
            self.come(sitting).await?;
        }
        self.done().await
    }

    async fn enter(&mut self) -> Result<()> {
        let (plan, mix) = (&self.world.plan, &self.world.plan.scenario.mix);
        let (all, cut, idle) =
            (plan.share(mix.rooms), plan.share(mix.reconnectors), plan.share_of_idle());
        let entering =
            (0..all + cut).map(|number| rooms::room(Arc::clone(&self.world), number >= all));
        let entering: Vec<_> = entering.collect();
        self.come(entering).await?;
        let coming: Vec<_> = (0..idle).map(|_| idle::idle(Arc::clone(&self.world))).collect();
        self.come(coming).await?;
        self.done().await
    }

    async fn attend(&mut self, room: Option<ConversationId>) -> Result<()> {
        let mix = self.world.scenario().mix.clone();
        let plan = &self.world.plan;
        let (watchers, slow) = (plan.share(mix.watchers), plan.share(mix.slow_readers));
        let (malformed, bots) = (plan.share(mix.malformed), plan.share(mix.bots));
        if let Some(room) = room {
            let number = |number: u32| usize::try_from(number).unwrap_or(0);
            let watching =
                (0..watchers).map(|n| rooms::watcher(Arc::clone(&self.world), number(n), room));
            let watching: Vec<_> = watching.collect();
            self.come(watching).await?;
            let reading =
                (0..slow).map(|n| slow::slow_reader(Arc::clone(&self.world), number(n), room));
            let reading: Vec<_> = reading.collect();
            self.come(reading).await?;
        }
        for _ in 0..malformed {
            self.people.extend(malformed::malformed(&self.world));
        }
        for number in 0..usize::try_from(bots).unwrap_or(0) {
            let plan = &self.world.plan;
            let rest = Rest {
                address: plan.address,
                tls: plan.tls_ca.as_deref().map(trust::only).transpose()?,
                origin: plan.origin.clone(),
            };
            self.people.push(bot::bot(Arc::clone(&self.world), rest, number, room));
        }
        self.done().await
    }

    /// Brings people to their places, some at a time.
    async fn come<F>(&mut self, people: impl IntoIterator<Item = F>) -> Result<()>
    where
        F: Future<Output = Result<Vec<JoinHandle<()>>>> + Send + 'static,
    {
        let mut coming = JoinSet::new();
        let mut people = people.into_iter();
        loop {
            while coming.len() < COMING_MAX {
                let Some(person) = people.next() else { break };
                coming.spawn(person);
            }
            match coming.join_next().await {
                None => return Ok(()),
                Some(came) => self.people.extend(came.context("someone's task broke off")??),
            }
        }
    }

    async fn run(
        &mut self,
        phases: &[Phase],
        begin: Micros,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<()> {
        let mut end = begin;
        let ends = phases.iter().map(|phase| {
            end = end.plus(phase.length());
            end
        });
        let ends = ends.collect();
        self.world.recorder.lock().phases(begin, ends);
        // Full: a visitor who is due is counted as unsent by the pacer.
        let (tell, mut told) = mpsc::channel::<Due>(VISITS_MAX);
        let world = Arc::clone(&self.world);
        let arriving = tasks::spawn("arrivals", async move {
            while let Some(due) = told.recv().await {
                tasks::spawn("visit", visit::visit(Arc::clone(&world), due));
            }
        });
        let plan = &self.world.plan;
        let schedule = pace::Schedule::new(&plan.scenario, phases, plan.index, plan.of);
        tokio::time::sleep_until(self.world.clock.instant(begin)).await;
        self.world.stage.send_replace(Stage::Running);
        let pacer =
            pace::start(&self.world, schedule, begin, tell).context("cannot start the pacer")?;
        tokio::select! {
            () = tokio::time::sleep_until(self.world.clock.instant(end)) => {}
            order = orders.recv() => {
                let Order::Cut { at } = order.context("the controller is gone")? else {
                    bail!("an order in the middle of the phases");
                };
                self.world.cut(at);
            }
        }
        self.world.stage.send_replace(Stage::Draining);
        // It ends with its schedule, whose last moment is over.
        let _ended = tokio::task::spawn_blocking(move || pacer.join().is_ok()).await;
        self.wait(World::drained).await;
        arriving.abort();
        self.report(WorkerReport::Drained).await
    }

    async fn settle(&mut self) -> Result<()> {
        self.world.unsettle();
        self.world.stage.send_replace(Stage::Settling);
        self.wait(World::all_settled).await;
        let phases = self.world.recorder.lock().take_phases();
        self.report(WorkerReport::Ran { phases }).await
    }

    /// Waits until something holds, or long enough.
    async fn wait(&self, holds: fn(&World) -> bool) {
        let end = self.world.clock.now().0 + micros(self.world.scenario().drain());
        while !holds(&self.world) && self.world.clock.now().0 < end {
            tokio::time::sleep(PROBE).await;
        }
    }

    async fn finish(self) -> Result<()> {
        self.world.stage.send_replace(Stage::Over);
        let going = async {
            for person in self.people {
                // Whose task broke off handed nothing in, and is named for it.
                let _ended = person.await;
            }
            // Visits are not among them.
            while self.world.connections() > 0 {
                tokio::time::sleep(PROBE).await;
            }
        };
        let _in_time = tokio::time::timeout(GOING, going).await;
        for _ in 0..self.world.queued() {
            self.world.count(Count::Unsent);
        }
        self.world.ledger.lock().absent(self.world.absent());
        let (before, whole) = {
            let mut recorder = self.world.recorder.lock();
            (recorder.take_before(), recorder.take_whole())
        };
        let ledger = Box::new(std::mem::take(&mut *self.world.ledger.lock()));
        let report = WorkerReport::Result { before, whole, ledger };
        self.reports.send(report).await.context("the controller is gone")
    }
}

async fn seconds(world: Arc<World>, reports: mpsc::Sender<WorkerReport>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let tally = world.recorder.lock().take_second();
        let report =
            WorkerReport::Second { at: world.clock.now(), tally, connections: world.connections() };
        if reports.send(report).await.is_err() {
            return;
        }
    }
}

/// Looks how late timers fire: what the generator's own work costs everything that it times.
async fn probe(world: Arc<World>) {
    loop {
        let due = world.clock.now().plus(PROBE);
        tokio::time::sleep_until(world.clock.instant(due)).await;
        world.record(Timing::LoopLag, due, world.clock.now().since(due));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::world::tests::world;

    #[tokio::test(start_paused = true)]
    async fn who_hands_nothing_in_is_named_and_what_was_due_at_them_is_unsent() {
        let world = world("");
        let (tell, _told) = mpsc::channel(2);
        tell.try_send(Due { at: world.clock.now() }).unwrap();
        world.speakers.lock().push(tell);
        world.owes("visitors");
        world.owes("visitors");
        world.owes("bots");
        world.handed_in("visitors");
        world.handed_in("bots");
        let (reports, mut said) = mpsc::channel(1);
        let people = vec![tasks::spawn("visitor", std::future::pending())];
        Worker { world, people, reports }.finish().await.unwrap();
        let Some(WorkerReport::Result { whole, ledger, .. }) = said.recv().await else { panic!() };
        assert_eq!(whole.of(Count::Unsent), 1);
        let words = ledger.unjudged().unwrap();
        assert!(words.contains("1 of the visitors") && !words.contains("bots"), "{words}");
    }
}
