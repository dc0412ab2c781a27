//! What systemd hears of the server's life: ready, reloading, stopping, and that it still turns
//! (sd_notify(3)).
//!
//! Lives here: the datagrams. Not here: when something is said (`run`), what the unit asks for
//! (`config`). Without a socket to say it to, nothing is said; what cannot be said is no reason to
//! stop.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::monotonic_usec;
use crate::config::Surroundings;

/// How much longer than it should take an end may take before systemd kills.
const STOP_SPARE: Duration = Duration::from_secs(60);

/// The other end of the conversation.
#[derive(Debug, Clone, Default)]
pub struct Systemd(Option<Arc<Line>>);

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    to: SocketAddr,
    watchdog: Option<Duration>,
}

impl Systemd {
    /// What the environment names. Nobody, where it names nobody or somebody who cannot be reached.
    pub fn of(surroundings: &Surroundings) -> Self {
        let Some(name) = &surroundings.notify_socket else { return Self(None) };
        let name = name.as_bytes();
        let to = match name.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
        };
        let line = to.and_then(|to| {
            let socket = UnixDatagram::unbound()?;
            // Whoever does not read must not hold up the server.
            socket.set_nonblocking(true)?;
            Ok(Line { socket, to, watchdog: surroundings.watchdog })
        });
        match line {
            Ok(line) => Self(Some(Arc::new(line))),
            Err(error) => {
                tracing::warn!(%error, "what NOTIFY_SOCKET names cannot be used: systemd hears nothing");
                Self(None)
            }
        }
    }

    /// Whatever it does now, for people who ask for its status. One line, and nothing secret.
    pub fn status(&self, words: &str) {
        self.say(&format!("STATUS={}", one_line(words)));
    }

    /// It serves.
    pub fn ready(&self, words: &str) {
        self.say(&format!("READY=1\nSTATUS={}", one_line(words)));
    }

    /// It reads its settings again; [`Self::ready`] says that it is done, whatever came of it.
    pub fn reloading(&self) {
        let usec = monotonic_usec();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS=Reading the settings again"));
    }

    /// It ends, which takes so long at most.
    pub fn stopping(&self, takes: Duration) {
        let usec = takes.saturating_add(STOP_SPARE).as_micros();
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={usec}\nSTATUS=Draining"));
    }

    /// Says that it turns for as long as it does, twice in the time after which it is taken for
    /// dead. Only where the unit asks for it (`WatchdogSec=`). Ends with whoever drops it.
    pub async fn watch(self) {
        let Some(silence) = self.0.as_ref().and_then(|line| line.watchdog) else {
            return std::future::pending().await;
        };
        let mut tick = tokio::time::interval(silence / 2);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.say("WATCHDOG=1");
        }
    }

    fn say(&self, words: &str) {
        let Some(line) = &self.0 else { return };
        if let Err(error) = line.socket.send_to_addr(words.as_bytes(), &line.to) {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

/// A line end would begin another assignment.
fn one_line(words: &str) -> String {
    words.replace(['\n', '\r'], "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let read = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..read].to_vec()).unwrap()
    }

    fn to(socket: &str, watchdog: Option<Duration>) -> Systemd {
        Systemd::of(&Surroundings { notify_socket: Some(socket.into()), watchdog })
    }

    #[test]
    fn what_is_said_is_heard_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("livehelp-test-{}", std::process::id());
        let at_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, named) in [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&at_name).unwrap(), format!("@{name}")),
        ] {
            let systemd = to(&named, None);
            systemd.ready("Serves\nREADY=0");
            assert_eq!(heard(&socket), "READY=1\nSTATUS=Serves; READY=0");
            systemd.reloading();
            let words = heard(&socket);
            let usec = words.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
            assert!(
                words.starts_with("RELOADING=1\n") && usec.unwrap().parse::<u64>().unwrap() > 0
            );
            systemd.stopping(Duration::from_secs(1));
            assert!(heard(&socket).contains("EXTEND_TIMEOUT_USEC=61000000"));
        }
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_where_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let named = path.to_str().unwrap();
        let feeding = to(named, Some(Duration::from_millis(10))).watch();
        let twice = async {
            for _ in 0..2 {
                socket.set_nonblocking(true).unwrap();
                let mut bytes = [0; 64];
                while socket.recv(&mut bytes).is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                assert!(bytes.starts_with(b"WATCHDOG=1"));
            }
        };
        tokio::select! {
            () = feeding => unreachable!("it never ends by itself"),
            () = twice => {}
        }
    }

    #[test]
    fn whoever_cannot_be_reached_is_told_nothing_and_stops_nothing() {
        to("/nowhere/at/all", None).ready("Serves");
        to(&"x".repeat(300), None).ready("Serves");
        Systemd::default().ready("Serves");
    }
}
