//! Ctrl-C and SIGTERM: once, a run ends early and keeps what was measured; twice, it ends where it
//! stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::report::outcome::Ended;

/// Nothing was measured, or nobody wanted to wait for it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub(crate) struct Interrupted(pub(crate) &'static str);

/// Why the phases of a run ended before their time.
#[derive(Debug, Clone)]
pub(crate) enum Early {
    Interrupted,
    /// A threshold that is broken beyond repair, in words.
    Broken(String),
}

/// That they did.
#[derive(Debug, Clone)]
pub(crate) struct EndedEarly {
    pub(crate) why: Early,
    /// From the beginning of the first phase.
    pub(crate) second: f64,
}

impl EndedEarly {
    pub(crate) fn ended(&self) -> Ended {
        match self.why {
            Early::Interrupted => Ended::Interrupted,
            Early::Broken(_) => Ended::Aborted,
        }
    }

    /// What went wrong by it, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { why: Early::Broken(words), second } = self else { return None };
        Some(format!("the run was ended {second:.0} s after its phases began: {words}"))
    }

    /// Why the run is not judged, in words.
    pub(crate) fn void(&self) -> Option<String> {
        let Self { why: Early::Interrupted, second } = self else { return None };
        Some(format!(
            "interrupted {second:.0} s after the phases began: what was measured until then is here, and not judged"
        ))
    }
}

/// What the run knows of the signals.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
    /// Whether there is something to keep.
    measures: Arc<AtomicBool>,
}

/// What waits for them.
#[derive(Debug)]
pub(crate) struct SignalListener {
    ask: watch::Sender<bool>,
    measures: Arc<AtomicBool>,
}

/// Both ends.
pub(crate) fn stop() -> (Stop, SignalListener) {
    let (ask, asked) = watch::channel(false);
    let measures = Arc::new(AtomicBool::new(false));
    (Stop { asked, measures: Arc::clone(&measures) }, SignalListener { ask, measures })
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

impl SignalListener {
    /// Waits for signals until one ends the run where it stands.
    pub(crate) async fn listen(self) -> Interrupted {
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
