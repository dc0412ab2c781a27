//! The worker pool of a run, in this process or in processes of its own, and their reports, in one
//! stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::report::screen::Screen;
use crate::run::distant;
use crate::run::worker::{self, LETTERS_MAX, Order, WorkerReport};
use crate::tasks;

/// Time for a worker's process to call.
const PATIENCE: Duration = Duration::from_secs(20);

/// Clocks that differ by more are told of in the report.
const SKEW_US_TOLD: u64 = 2_000;

/// Who generates the load.
#[derive(Debug)]
pub(crate) enum Workers {
    /// So many processes that this one starts; of one, this one itself.
    Own(u32),
    Elsewhere(Elsewhere),
}

/// Workers that others start, and that call.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) listen: SocketAddr,
    pub(crate) count: u32,
    pub(crate) secret: String,
    /// How long until all must have called.
    pub(crate) wait: Duration,
}

impl Workers {
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Own(count) => *count,
            Self::Elsewhere(elsewhere) => elsewhere.count,
        }
    }
}

#[derive(Debug)]
pub(crate) struct WorkerPool {
    orders: Vec<mpsc::Sender<Order>>,
    reports: mpsc::Receiver<(usize, WorkerReport)>,
    children: Vec<Child>,
    /// What to know of them when reading the result.
    pub(crate) notes: Vec<String>,
}

impl WorkerPool {
    /// One worker in a thread of this process, or several in processes of their own, or on other
    /// hosts.
    ///
    /// # Errors
    /// If one cannot be started, or does not call in time.
    pub(crate) async fn gather(workers: &Workers, screen: &mut Screen) -> Result<Self> {
        // Full: a worker waits until its report is taken.
        let (tell, reports) = mpsc::channel(LETTERS_MAX);
        let (orders, children, notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut pool = Self { orders, reports, children, notes };
        match workers {
            Workers::Own(..=1) => pool.orders.push(thread(tell)?),
            Workers::Own(count) => pool.start(*count, &tell).await?,
            Workers::Elsewhere(elsewhere) => {
                let waiting = pool.wait(elsewhere, &tell, screen);
                let waited = tokio::time::timeout(elsewhere.wait, waiting).await;
                let there = crate::number::short(pool.orders.len());
                waited.with_context(|| {
                    format!(
                        "only {there} of {} workers called within {} s",
                        elsewhere.count,
                        elsewhere.wait.as_secs()
                    )
                })??;
            }
        }
        Ok(pool)
    }

    async fn start(
        &mut self,
        count: u32,
        tell: &mpsc::Sender<(usize, WorkerReport)>,
    ) -> Result<()> {
        let (listener, address) = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let secret = format!("{:032x}", fastrand::u128(..));
        for _ in 0..count {
            let child = Command::new(&program)
                .args(["worker", &address.to_string()])
                .env(distant::SECRET, &secret)
                .stdin(Stdio::null())
                // Ctrl-C goes to whoever is in the group of the terminal; what they measured is
                // wanted.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .context("cannot start a worker")?;
            self.children.push(child);
            let called = async {
                let (stream, _) = listener.accept().await.context("cannot take a call")?;
                distant::answer(stream, &secret).await
            };
            let called = tokio::time::timeout(PATIENCE, called).await;
            self.take(called.context("a worker did not call in time")??.stream, tell);
        }
        Ok(())
    }

    /// Waits for those who were started elsewhere. Who is turned away is told so, and does not end
    /// the waiting.
    async fn wait(
        &mut self,
        elsewhere: &Elsewhere,
        tell: &mpsc::Sender<(usize, WorkerReport)>,
        screen: &mut Screen,
    ) -> Result<()> {
        let (listener, address) = listen(elsewhere.listen).await?;
        screen.say(&format!("waiting for {} workers at {address}", elsewhere.count));
        for number in 1..=elsewhere.count {
            let called = loop {
                let (stream, from) = listener.accept().await.context("cannot take a call")?;
                match distant::answer(stream, &elsewhere.secret).await {
                    Ok(called) => break called,
                    Err(error) => screen.say(&format!("turned {from} away: {error:#}")),
                }
            };
            if called.skew_us > SKEW_US_TOLD {
                self.notes.push(format!(
                    "the clock of worker {number} and the controller's differ by up to {:.1} ms: times of messages between workers are off by as much",
                    crate::number::float(called.skew_us) / 1_000.0
                ));
            }
            self.take(called.stream, tell);
            screen.say(&format!("worker {number} of {} is there", elsewhere.count));
        }
        Ok(())
    }

    fn take(&mut self, stream: BufReader<TcpStream>, tell: &mpsc::Sender<(usize, WorkerReport)>) {
        // Full: the controller waits until the worker reads.
        let (orders, ordered) = mpsc::channel(LETTERS_MAX);
        let index = self.orders.len();
        tasks::spawn("distant worker", distant::relay(stream, ordered, tell.clone(), index));
        self.orders.push(orders);
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let children = self.children.iter().filter_map(Child::id);
        children.chain([std::process::id()]).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }

    /// Gives each worker an order.
    ///
    /// # Errors
    /// If one is gone.
    pub(crate) async fn order(&self, order: impl Fn(u32) -> Order) -> Result<()> {
        for (index, orders) in (0..).zip(&self.orders) {
            orders.send(order(index)).await.context("a worker is gone")?;
        }
        Ok(())
    }

    /// What the next worker says, and which it is.
    ///
    /// # Errors
    /// If one cannot go on, or all are gone.
    pub(crate) async fn hear(&mut self) -> Result<(usize, WorkerReport)> {
        match self.reports.recv().await.context("the workers are gone")? {
            (_, WorkerReport::Failed { words }) => bail!("{words}"),
            said => Ok(said),
        }
    }

    /// Waits for the workers' processes, once they have nothing left to do.
    pub(crate) async fn dismiss(mut self) {
        self.orders.clear();
        for child in &mut self.children {
            // A process that does not go is ended when it is dropped.
            let _ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        }
    }
}

async fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(at).await;
    let listener = listener.with_context(|| format!("cannot listen for workers at {at}"))?;
    let address = listener.local_addr().context("cannot listen for workers")?;
    Ok((listener, address))
}

/// A worker in a thread of its own, so that a screen or a report never delays it.
fn thread(tell: mpsc::Sender<(usize, WorkerReport)>) -> Result<mpsc::Sender<Order>> {
    let (orders, ordered) = mpsc::channel(LETTERS_MAX);
    let (said, mut saying) = mpsc::channel(LETTERS_MAX);
    tasks::thread("worker", move || {
        if let Ok(runtime) = runtime() {
            // It said so itself if it failed.
            drop(runtime.block_on(worker::work(ordered, said)));
        }
    })
    .context("cannot start a worker")?;
    tasks::spawn("worker's reports", async move {
        while let Some(report) = saying.recv().await {
            if tell.send((0, report)).await.is_err() {
                return;
            }
        }
    });
    Ok(orders)
}

/// One thread: whoever measures latency does not want to be moved between cores.
///
/// # Errors
/// If the system has no runtime to give.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start the runtime")
}
