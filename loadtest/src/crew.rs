//! The workers of a run, in this process or in their own, and what they say, in one stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::distant;
use crate::tasks;
use crate::worker::{self, LETTERS_MAX, Order, Word};

/// Time for a worker's process to call.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Crew {
    orders: Vec<mpsc::Sender<Order>>,
    words: mpsc::Receiver<(usize, Word)>,
    children: Vec<Child>,
}

impl Crew {
    /// One worker in a thread of this process, or several in processes of their own.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(crate) async fn muster(count: u32) -> Result<Self> {
        // Full: a worker waits until its word is heard.
        let (tell, words) = mpsc::channel(LETTERS_MAX);
        let mut crew = Self { orders: Vec::new(), words, children: Vec::new() };
        if count <= 1 {
            crew.orders.push(thread(tell)?);
            return Ok(crew);
        }
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let listener = listener.context("cannot listen for workers")?;
        let address = listener.local_addr().context("cannot listen for workers")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let secret = format!("{:032x}", fastrand::u128(..));
        for index in 0..usize::try_from(count).unwrap_or(1) {
            let child = Command::new(&program)
                .args(["worker", "--controller", &address.to_string()])
                .env(distant::SECRET, &secret)
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .context("cannot start a worker")?;
            crew.children.push(child);
            let called = tokio::time::timeout(PATIENCE, distant::accept(&listener, &secret)).await;
            let stream = called.context("a worker did not call in time")??;
            // Full: the controller waits until the worker reads.
            let (orders, ordered) = mpsc::channel(LETTERS_MAX);
            tasks::spawn("distant worker", distant::relay(stream, ordered, tell.clone(), index));
            crew.orders.push(orders);
        }
        Ok(crew)
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
    pub(crate) async fn hear(&mut self) -> Result<(usize, Word)> {
        match self.words.recv().await.context("the workers are gone")? {
            (_, Word::Failed { words }) => bail!("{words}"),
            said => Ok(said),
        }
    }

    /// Waits for the workers' processes, once they have nothing left to do.
    pub(crate) async fn dismiss(mut self) {
        self.orders.clear();
        for child in &mut self.children {
            // Whoever does not go is ended when he is dropped.
            let _ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        }
    }
}

/// A worker in a thread of its own, so that a screen or a report never delays it.
fn thread(tell: mpsc::Sender<(usize, Word)>) -> Result<mpsc::Sender<Order>> {
    let (orders, ordered) = mpsc::channel(LETTERS_MAX);
    let (said, mut saying) = mpsc::channel(LETTERS_MAX);
    tasks::thread("worker", move || {
        if let Ok(runtime) = runtime() {
            runtime.block_on(worker::work(ordered, said));
        }
    })
    .context("cannot start a worker")?;
    tasks::spawn("worker's words", async move {
        while let Some(word) = saying.recv().await {
            if tell.send((0, word)).await.is_err() {
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
