//! Ctrl-C and SIGTERM: once, a run ends early and keeps what was measured; twice, it ends where it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Nothing was measured, or nobody wanted to wait for it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub(crate) struct Interrupted(pub(crate) &'static str);

/// What the run knows of the signals.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
    /// Whether there is something to keep.
    measures: Arc<AtomicBool>,
}

/// What hears them.
#[derive(Debug)]
pub(crate) struct Ears {
    ask: watch::Sender<bool>,
    measures: Arc<AtomicBool>,
}

/// Both ends.
pub(crate) fn stop() -> (Stop, Ears) {
    let (ask, asked) = watch::channel(false);
    let measures = Arc::new(AtomicBool::new(false));
    (Stop { asked, measures: Arc::clone(&measures) }, Ears { ask, measures })
}

impl Stop {
    /// From now on there is something to keep.
    pub(crate) fn measures(&self) {
        self.measures.store(true, Ordering::Relaxed);
    }

    /// Until somebody wants the run to end.
    pub(crate) async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            // Nobody listens for signals; the system's own answer to them holds.
            std::future::pending().await
        }
    }
}

impl Ears {
    /// Hears signals until one ends the run where it stands.
    pub(crate) async fn hear(self) -> Interrupted {
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            // The system's own answer to them then holds.
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !self.measures.load(Ordering::Relaxed) {
                return Interrupted("nothing was measured yet");
            }
            if self.ask.send_replace(true) {
                return Interrupted("twice, so that nothing of this run is kept");
            }
        }
    }
}
