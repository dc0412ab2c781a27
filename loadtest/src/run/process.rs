//! What processes on this machine cost, read from `/proc`: CPU and resident memory; and how many
//! files this one may have open.
//!
//! Lives here: reading and subtracting. Not here: starting and stopping them.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

/// The kernel counts CPU in ticks of 10 ms (`USER_HZ`, 100 on every Linux that Rust supports).
const TICK: Duration = Duration::from_millis(10);

/// Lets this process, and those that it starts, have as many open files as the system allows: a
/// session often begins with 1,024, and each socket is one. Stays as it is where that is refused.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Who then needs more is told so by the call that fails.
    let _stays = setrlimit(Resource::Nofile, limit);
}

/// One look at one or more processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time since the start, of all their threads.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl Usage {
    /// Looks at these processes and adds them up.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn of(pids: &[u32]) -> io::Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            sum.cpu += cpu(*pid)?;
            sum.resident_bytes += resident_bytes(*pid)?;
        }
        Ok(sum)
    }

    /// CPU spent since an earlier look.
    pub fn cpu_since(&self, earlier: &Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} has another form than expected"))
}

/// Fields 14 and 15 of `/proc/PID/stat`, proc(5); the name in parentheses may hold blanks.
fn cpu(pid: u32) -> io::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path)?;
    let (_, fields) = stat.rsplit_once(") ").ok_or_else(|| malformed(&path))?;
    let ticks: Vec<u32> =
        fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok(TICK * (user + system)),
        _ => Err(malformed(&path)),
    }
}

/// `VmRSS` of `/proc/PID/status`, which the kernel gives in KiB.
fn resident_bytes(pid: u32) -> io::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| malformed(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_cpu() {
        let pid = std::process::id();
        let before = Usage::of(&[pid]).unwrap();
        assert!(before.resident_bytes > 100 * 1024, "{before:?}");
        let mut spun = 0_u64;
        let mut after = before;
        while after.cpu_since(&before) < TICK * 2 {
            for _ in 0..1_000_000 {
                spun = std::hint::black_box(spun.wrapping_mul(31).wrapping_add(7));
            }
            after = Usage::of(&[pid]).unwrap();
        }
        assert!(after.cpu > before.cpu);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(Usage::of(&[u32::MAX]).is_err());
    }
}
