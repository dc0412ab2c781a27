//! One write for whatever comes together: what one read of a connection says, and what one tick of
//! the event loop does.
//!
//! What several frames of one read append to an outbox is written once, when the last of them was
//! heard ([`one_read`]), and so are the acks of what was stored together ([`one_batch`]): in a
//! large room a burst costs as many writes as a single message.
//!
//! Where one thread serves everyone, the first message of a tick is written at once. What further
//! ones append is written after all tasks that are ready now, and not within each: then the writes
//! of a tick follow each other closely, and a reader that was woken by the first is still awake for
//! the next. To wake it anew for each costs a quarter of a busy thread's time. Only around
//! [`corked`], and only on a thread where [`run`] runs.
//!
//! An ack that is there within the tick of its message, since nothing was to be synced, is written
//! after the deliveries of the tick: nobody's message waits for somebody's ack.
//!
//! Everywhere else a flush is a write. Lives here the list of what waits. Not here: what an outbox
//! has. Called by `speak`, and by the gateway around a read; started by the assembly.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;

use super::fanout::FrameSink;

thread_local! {
    /// Where [`run`] waits on this thread.
    static END_OF_TICK: RefCell<Option<Arc<Notify>>> = const { RefCell::new(None) };
    /// A message was written in this tick.
    static IN_TICK: Cell<bool> = const { Cell::new(false) };
    static CORKED: Cell<bool> = const { Cell::new(false) };
    /// Several frames of one read are being heard.
    static READS: Cell<bool> = const { Cell::new(false) };
    /// Emptied in each tick; has an entry for each delivery of it.
    static WAITING: RefCell<Vec<Arc<dyn FrameSink>>> = const { RefCell::new(Vec::new()) };
    /// Those with an ack, which are written after them.
    static ACKED: RefCell<Vec<Arc<dyn FrameSink>>> = const { RefCell::new(Vec::new()) };
}

/// Writes what waits at the end of each tick, until the shutdown begins. With several serving
/// threads there is no end of a tick: it does nothing.
pub(crate) async fn run(mut shutdown: Receiver<bool>) {
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return;
    }
    let end = Arc::new(Notify::new());
    END_OF_TICK.set(Some(Arc::clone(&end)));
    loop {
        tokio::select! {
            () = end.notified() => write_all(),
            _ = shutdown.wait_for(|ending| *ending) => break,
        }
    }
    END_OF_TICK.set(None);
    write_all();
}

/// What is flushed within `act` is written at the end of the tick, unless it is the first in it.
pub(super) fn corked<T>(act: impl FnOnce() -> T) -> T {
    let later = IN_TICK.get();
    CORKED.set(later);
    let done = act();
    CORKED.set(false);
    if !later {
        begin_tick();
    }
    done
}

/// Something was written in this tick. Whether it has an end, at which the rest is written.
fn begin_tick() -> bool {
    END_OF_TICK.with_borrow(|ended| {
        if let Some(ended) = ended
            && !IN_TICK.replace(true)
        {
            ended.notify_one();
        }
        ended.is_some()
    })
}

/// Runs the completions of what was stored together: what they append to one connection is written
/// once.
pub(crate) fn one_batch(tell: &mut dyn FnMut()) {
    one_read(tell);
}

/// Hears all frames of one read: what they append is written once, at its end or at the end of the
/// tick.
pub(crate) fn one_read<T>(hear: impl FnOnce() -> T) -> T {
    /// Nothing stays put off, not even where a frame's handling panics.
    struct Read {
        first: bool,
    }
    impl Drop for Read {
        fn drop(&mut self) {
            READS.set(false);
            if self.first {
                write_waiting();
            }
        }
    }
    // A later read of a tick waits for the tick's end.
    let first = !IN_TICK.get() || END_OF_TICK.with_borrow(Option::is_none);
    READS.set(true);
    let _read = Read { first };
    hear()
}

/// Whether several frames of one read are being heard: what they append is written together.
pub(super) fn in_read() -> bool {
    READS.get()
}

/// Writes what this connection's outbox has: now, or at the end of the read or tick.
pub(super) fn flush(sink: &Arc<dyn FrameSink>) {
    if CORKED.get() || READS.get() {
        WAITING.with_borrow_mut(|waiting| waiting.push(Arc::clone(sink)));
    } else {
        sink.flush();
    }
}

/// The same for an ack: now, or after what is delivered in the read or tick.
pub(super) fn flush_ack(sink: &Arc<dyn FrameSink>) {
    if READS.get() || begin_tick() {
        ACKED.with_borrow_mut(|acked| acked.push(Arc::clone(sink)));
    } else {
        sink.flush();
    }
}

fn write_all() {
    IN_TICK.set(false);
    write_waiting();
}

fn write_waiting() {
    for list in [&WAITING, &ACKED] {
        let mut waiting = list.take();
        waiting.drain(..).for_each(|sink| sink.flush());
        // Kept for its memory; nothing came meanwhile, for nobody else ran.
        list.with_borrow_mut(|empty| {
            if empty.is_empty() {
                *empty = waiting;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use protocol::ids::ConnectionId;
    use protocol::reject::CloseCode;
    use tokio::sync::watch;

    use super::*;
    use crate::hub::fanout::EncodedFrame;
    use crate::tasks;

    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl FrameSink for Counted {
        fn connection(&self) -> ConnectionId {
            ConnectionId::from_bytes([1; 16])
        }

        fn append(&self, _: &EncodedFrame<'_>) -> bool {
            true
        }

        fn append_ephemeral(&self, _: &EncodedFrame<'_>) {}

        fn flush(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn close(&self, _: CloseCode) {}
    }

    #[tokio::test]
    async fn what_one_read_says_is_written_once_at_its_end_or_at_that_of_the_tick() {
        let counted = Arc::new(Counted::default());
        let sink: Arc<dyn FrameSink> = Arc::clone(&counted) as _;
        let order = RefCell::new(Vec::new());
        let burst = |count: usize| {
            let before = counted.0.load(Ordering::SeqCst);
            one_read(|| {
                for _ in 0..count {
                    corked(|| flush(&sink));
                    assert_eq!(counted.0.load(Ordering::SeqCst), before, "within the read");
                }
                assert!(in_read());
            });
            order.borrow_mut().push(counted.0.load(Ordering::SeqCst) - before);
        };
        burst(3);
        assert_eq!(order.take(), [3], "several serving threads: at the end of the read");
        let (end, ended) = watch::channel(false);
        let running = tasks::spawn("writes", run(ended));
        tokio::task::yield_now().await;
        burst(2);
        burst(2);
        assert_eq!(order.take(), [2, 0], "the first read of a tick, and one after it");
        tokio::task::yield_now().await;
        assert_eq!(counted.0.load(Ordering::SeqCst), 7);
        let panics = std::panic::AssertUnwindSafe(|| {
            one_read(|| {
                flush(&sink);
                panic!("a frame's handling");
            })
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(!in_read() && counted.0.load(Ordering::SeqCst) == 8, "written all the same");
        end.send_replace(true);
        running.await.unwrap();
    }

    #[tokio::test]
    async fn the_first_of_a_tick_is_written_at_once_and_the_rest_at_its_end() {
        let counted = Arc::new(Counted::default());
        let sink: Arc<dyn FrameSink> = Arc::clone(&counted) as _;
        let writes = || counted.0.load(Ordering::SeqCst);
        corked(|| flush(&sink));
        corked(|| flush(&sink));
        assert_eq!(writes(), 2, "nobody would write later");
        let (end, ended) = watch::channel(false);
        let running = tasks::spawn("writes", run(ended));
        tokio::task::yield_now().await;
        for tick in 1..=3 {
            corked(|| flush(&sink));
            assert_eq!(writes(), 3 * tick, "the first of a tick");
            corked(|| flush(&sink));
            corked(|| flush(&sink));
            assert_eq!(writes(), 3 * tick, "those after it wait");
            flush(&sink);
            assert_eq!(writes(), 3 * tick + 1, "what is not corked does not");
            counted.0.fetch_sub(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            assert_eq!(writes(), 3 * tick + 2, "the end of the tick");
        }
        corked(|| flush(&sink));
        corked(|| flush(&sink));
        let before = writes();
        end.send_replace(true);
        running.await.unwrap();
        assert_eq!(writes(), before + 1, "the shutdown leaves nothing");
        corked(|| flush(&sink));
        assert_eq!(writes(), before + 2);
    }
}
