//! Every task and thread has a name, an owner and an end.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, LazyLock};

use protocol::ids::TenantId;
use tokio::sync::{Mutex, MutexGuard, Semaphore};
use tokio::task::JoinHandle;

/// Starts a task; the caller keeps the handle and ends it, or the task ends with its input.
#[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracing::trace!(name, "task starts");
    tokio::spawn(future)
}

/// Starts a thread for work that blocks.
///
/// # Errors
/// If the system has no thread to give.
pub fn thread<F>(name: &'static str, work: F) -> std::io::Result<std::thread::JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Id locks: one act at a time with each of many things, by a share of their ids.
#[derive(Debug)]
pub(crate) struct IdLocks([Mutex<()>; SHARES]);

/// More than acts that are under way together.
const SHARES: usize = 256;

impl Default for IdLocks {
    fn default() -> Self {
        Self([const { Mutex::const_new(()) }; SHARES])
    }
}

impl IdLocks {
    /// Waits until nobody else is at an act with this thing.
    pub(crate) async fn of(&self, id: &[u8; 16]) -> MutexGuard<'_, ()> {
        // The last byte of a UUIDv7 is random.
        let [.., share] = *id;
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
        self.0[usize::from(share) % SHARES].lock().await
    }
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// As much of this tenant's waits as may.
    #[error("too much of this Organization's work waits")]
    Busy,
    /// It panicked.
    #[error("the work failed")]
    Failed,
}

/// One piece of work of a tenant at a time: nobody else waits behind a tenant's many.
static QUEUES: LazyLock<parking_lot::Mutex<HashMap<TenantId, TenantQueue>>> =
    LazyLock::new(parking_lot::Mutex::default);

/// The machine's other cores serve.
static THREADS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Semaphore::new((cores / 2).max(1))
});

/// What of one tenant's is under way or waits.
#[derive(Debug, Default)]
struct TenantQueue {
    lock: Arc<Mutex<()>>,
    pieces: usize,
}

/// A piece of work in a tenant's queue.
struct Queued(TenantId);

impl Queued {
    fn enter(tenant: TenantId, most: usize) -> Option<(Self, Arc<Mutex<()>>)> {
        let mut queues = QUEUES.lock();
        let queue = queues.entry(tenant).or_default();
        if queue.pieces >= most {
            return None;
        }
        queue.pieces += 1;
        Some((Self(tenant), Arc::clone(&queue.lock)))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut queues = QUEUES.lock();
        let Some(queue) = queues.get_mut(&self.0) else { return };
        queue.pieces -= 1;
        if queue.pieces == 0 {
            queues.remove(&self.0);
        }
    }
}

/// Does a tenant's work that takes long on a thread beside those that serve; `most` of it is under
/// way or waits. Begun, it runs to its end.
///
/// # Errors
/// If the queue is full, or the work panicked.
pub async fn blocking<T: Send + 'static>(
    tenant: TenantId,
    most: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    let (queued, lock) = Queued::enter(tenant, most).ok_or(Undone::Busy)?;
    let lock = lock.lock_owned().await;
    let thread = THREADS.acquire().await.map_err(|_| Undone::Failed)?;
    let done = tokio::task::spawn_blocking(move || {
        // Held to the work's end, also where nobody waits for it any more; what is queued last, as
        // the lock is the queue's.
        let _held = (thread, lock, queued);
        work()
    });
    done.await.map_err(|_| Undone::Failed)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use super::*;

    fn tenant(share: u8) -> TenantId {
        let mut id = [0; 16];
        id[15] = share;
        TenantId::from_bytes(id)
    }

    /// On one serving thread: it goes on while the work stands still.
    #[tokio::test]
    async fn what_takes_long_is_done_beside_the_serving_thread() {
        let (go_on, waits) = sync_channel::<()>(1);
        let serving = thread::current().id();
        let work = spawn(
            "test",
            blocking(tenant(1), 9, move || {
                waits.recv().unwrap();
                thread::current().id()
            }),
        );
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
        assert_ne!(work.await.unwrap(), Ok(serving));
        let fault = blocking(tenant(1), 9, || panic!("a fault of the work")).await;
        assert_eq!(fault, Err::<(), _>(Undone::Failed));
    }

    /// The many of one tenant wait for each other, and never take a thread from another's.
    #[tokio::test]
    async fn a_tenant_has_one_piece_of_work_under_way() {
        let (begun, began) = sync_channel(2);
        let (go_on, waits) = sync_channel::<()>(1);
        let first = begun.clone();
        let first = spawn(
            "test",
            blocking(tenant(2), 2, move || {
                first.send(1).unwrap();
                waits.recv().unwrap();
            }),
        );
        while began.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let second = spawn("test", blocking(tenant(2), 2, move || begun.send(2).unwrap()));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(began.try_recv().is_err(), "the second has not begun");
        assert_eq!(blocking(tenant(2), 2, || ()).await, Err(Undone::Busy));
        go_on.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
        assert!(!QUEUES.lock().contains_key(&tenant(2)), "and is forgotten");
        assert_eq!(began.recv(), Ok(2));
    }
}
