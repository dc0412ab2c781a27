//! Every task and thread has a name, an owner and an end.

use std::future::Future;
use std::sync::LazyLock;

use protocol::ids::TenantId;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

/// Starts a task; the caller keeps the handle and ends it, or the task ends with its input.
#[expect(clippy::disallowed_methods, reason = "the one door to new tasks")]
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

/// What waits for [`blocking`].
struct Blocking {
    /// One piece of work of a tenant at a time, by a share of their ids: nobody else waits behind a tenant's many.
    turns: [Mutex<()>; TURNS],
    /// The machine's other cores serve.
    threads: Semaphore,
}

const TURNS: usize = 256;

static BLOCKING: LazyLock<Blocking> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = Semaphore::new((cores / 2).max(1));
    Blocking { turns: std::array::from_fn(|_| Mutex::default()), threads }
});

/// Does a tenant's work that takes long on a thread beside those that serve. Begun, it runs to its end. `None` if it
/// panicked.
pub async fn blocking<T: Send + 'static>(
    tenant: TenantId,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    // The last byte of a UUIDv7 is random.
    let [.., share] = *tenant.as_bytes();
    #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
    let turn = BLOCKING.turns[usize::from(share) % TURNS].lock().await;
    let thread = BLOCKING.threads.acquire().await.ok()?;
    let done = tokio::task::spawn_blocking(move || {
        // Held to the work's end, also where nobody waits for it any more.
        let _held = (turn, thread);
        work()
    });
    done.await.ok()
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
            blocking(tenant(1), move || {
                waits.recv().unwrap();
                thread::current().id()
            }),
        );
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
        assert_ne!(work.await.unwrap(), Some(serving));
        assert_eq!(blocking(tenant(1), || panic!("a fault of the work")).await, None::<()>);
    }

    /// The many of one tenant wait for each other, and never take a thread from another's.
    #[tokio::test]
    async fn a_tenant_has_one_piece_of_work_under_way() {
        let (begun, began) = sync_channel(2);
        let (go_on, waits) = sync_channel::<()>(1);
        let first = begun.clone();
        let first = spawn(
            "test",
            blocking(tenant(2), move || {
                first.send(1).unwrap();
                waits.recv().unwrap();
            }),
        );
        while began.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let second = spawn("test", blocking(tenant(2), move || begun.send(2).unwrap()));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(began.try_recv().is_err(), "the second has not begun");
        go_on.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Some(()));
        assert_eq!(second.await.unwrap(), Some(()));
        assert_eq!(began.recv(), Ok(2));
    }
}
