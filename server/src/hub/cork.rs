//! Writing at the end of a turn of the loop, where one thread serves everyone.
//!
//! The first message of a turn is written at once. What further ones append to outboxes is written after all tasks
//! that are ready now, and not within each: then the writes of a turn follow each other closely, and a reader
//! that was woken by the first is still awake for the next. To wake it anew for each costs a quarter of a busy
//! thread's time.
//!
//! Only around [`corked`], and only on a thread where [`run`] runs: everywhere else a flush is a write. Lives here
//! the list of what waits. Not here: what an outbox has. Called by `speak`; started by the assembly.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;

use super::Outlet;

thread_local! {
    /// Where [`run`] waits on this thread.
    static END_OF_TURN: RefCell<Option<Arc<Notify>>> = const { RefCell::new(None) };
    /// A message was written in this turn.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
    static CORKED: Cell<bool> = const { Cell::new(false) };
    /// Emptied in each turn; has an entry for each delivery of it.
    static WAITING: RefCell<Vec<Arc<dyn Outlet>>> = const { RefCell::new(Vec::new()) };
}

/// Writes what waits at the end of each turn, until the shutdown begins. With several serving threads there is
/// no end of a turn: it does nothing.
pub(crate) async fn run(mut shutdown: Receiver<bool>) {
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return;
    }
    let turned = Arc::new(Notify::new());
    END_OF_TURN.set(Some(Arc::clone(&turned)));
    loop {
        tokio::select! {
            () = turned.notified() => write_all(),
            _ = shutdown.wait_for(|ending| *ending) => break,
        }
    }
    END_OF_TURN.set(None);
    write_all();
}

/// What is flushed within `act` is written at the end of the turn, unless it is the first in it.
pub(super) fn corked<T>(act: impl FnOnce() -> T) -> T {
    let later = IN_TURN.get();
    CORKED.set(later);
    let done = act();
    CORKED.set(false);
    if !later {
        END_OF_TURN.with_borrow(|turned| {
            if let Some(turned) = turned {
                IN_TURN.set(true);
                turned.notify_one();
            }
        });
    }
    done
}

/// Writes what this connection's outbox has: now, or at the end of the turn.
pub(super) fn flush(outlet: &Arc<dyn Outlet>) {
    if CORKED.get() {
        WAITING.with_borrow_mut(|waiting| waiting.push(Arc::clone(outlet)));
    } else {
        outlet.flush();
    }
}

fn write_all() {
    IN_TURN.set(false);
    let mut waiting = WAITING.take();
    waiting.drain(..).for_each(|outlet| outlet.flush());
    // Kept for its memory; nothing came meanwhile, for nobody else ran.
    WAITING.with_borrow_mut(|empty| {
        if empty.is_empty() {
            *empty = waiting;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use protocol::ids::ConnectionId;
    use protocol::reject::CloseCode;
    use tokio::sync::watch;

    use super::*;
    use crate::hub::fanout::Fanned;
    use crate::tasks;

    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl Outlet for Counted {
        fn connection(&self) -> ConnectionId {
            ConnectionId::from_bytes([1; 16])
        }

        fn append(&self, _: &Fanned<'_>) -> bool {
            true
        }

        fn append_ephemeral(&self, _: &Fanned<'_>) {}

        fn flush(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn close(&self, _: CloseCode) {}
    }

    #[tokio::test]
    async fn the_first_of_a_turn_is_written_at_once_and_the_rest_at_its_end() {
        let counted = Arc::new(Counted::default());
        let outlet: Arc<dyn Outlet> = Arc::clone(&counted) as _;
        let writes = || counted.0.load(Ordering::SeqCst);
        corked(|| flush(&outlet));
        corked(|| flush(&outlet));
        assert_eq!(writes(), 2, "nobody would write later");
        let (end, ended) = watch::channel(false);
        let running = tasks::spawn("writes", run(ended));
        tokio::task::yield_now().await;
        for turn in 1..=3 {
            corked(|| flush(&outlet));
            assert_eq!(writes(), 3 * turn, "the first of a turn");
            corked(|| flush(&outlet));
            corked(|| flush(&outlet));
            assert_eq!(writes(), 3 * turn, "those after it wait");
            flush(&outlet);
            assert_eq!(writes(), 3 * turn + 1, "what is not corked does not");
            counted.0.fetch_sub(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            assert_eq!(writes(), 3 * turn + 2, "the end of the turn");
        }
        corked(|| flush(&outlet));
        corked(|| flush(&outlet));
        let before = writes();
        end.send_replace(true);
        running.await.unwrap();
        assert_eq!(writes(), before + 1, "the shutdown leaves nothing");
        corked(|| flush(&outlet));
        assert_eq!(writes(), before + 2);
    }
}
