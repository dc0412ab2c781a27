//! What this process has of the machine, by the names and words that all clients of Prometheus
//! share.
//!
//! Lives here: reading `/proc`, as cheaply as a scrape of a full server needs it. Not here: what
//! the server counts itself (`metrics`).

use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, getrlimit};

/// Where each open descriptor has an entry.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Ticks of a second in `/proc`, on every Linux that Rust supports.
const TICKS: f64 = 100.0;

/// How many descriptors are open. Linux says it since 6.2; before, each entry has to be looked at,
/// which takes some ten milliseconds where ten thousand people are connected: too long for a
/// scrape.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    /// As they were last counted; 0 before that, and where Linux says it.
    counted: AtomicU64,
}

impl Descriptors {
    /// Counts them where Linux does not say how many there are; blocks.
    pub(super) fn count(&self) {
        if said().is_none() {
            let count = fs::read_dir(DESCRIPTORS).map_or(0, Iterator::count);
            self.counted.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        if let Some(said) = said() {
            return said;
        }
        if self.counted.load(Ordering::Relaxed) == 0 {
            self.count();
        }
        self.counted.load(Ordering::Relaxed)
    }
}

/// As Linux says it.
fn said() -> Option<u64> {
    fs::metadata(DESCRIPTORS).ok().map(|found| found.len()).filter(|count| *count > 0)
}

/// Writes all of it. What cannot be read is left out.
pub(super) fn write(text: &mut String, descriptors: &Descriptors) {
    let (stat, status) = (read("stat"), read("status"));
    let stat = Stat::of(&stat);
    let kib = |name| of_status(&status, name).map(|kib| kib * 1_024.0);
    let began = stat.began_ticks.zip(*BOOTED).map(|(ticks, at)| at + (ticks / TICKS).floor());
    let most = getrlimit(Resource::Nofile).current;
    for (name, kind, help, value) in [
        ("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", {
            stat.cpu_ticks.map(|ticks| (ticks / TICKS).to_string())
        }),
        ("open_fds", "gauge", "Number of open file descriptors.", {
            Some(descriptors.now().to_string())
        }),
        ("max_fds", "gauge", "Maximum number of open file descriptors.", {
            most.map(|most| most.to_string())
        }),
        ("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", {
            kib("VmSize").map(|bytes| bytes.to_string())
        }),
        ("resident_memory_bytes", "gauge", "Resident memory size in bytes.", {
            kib("VmRSS").map(|bytes| bytes.to_string())
        }),
        (
            "start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            { began.map(|at| at.to_string()) },
        ),
        ("threads", "gauge", "Number of OS threads in the process.", {
            of_status(&status, "Threads").map(|count| count.to_string())
        }),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(
                "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}\n"
            ));
        }
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

/// Of `/proc/self/stat`, by the numbers of its fields in proc(5).
struct Stat {
    /// 14 and 15: user and system time.
    cpu_ticks: Option<f64>,
    /// 22: since the machine began.
    began_ticks: Option<f64>,
}

impl Stat {
    fn of(stat: &str) -> Self {
        // The program's name, in brackets, may have spaces.
        let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
        let field = |number: usize| fields.split(' ').nth(number - 3)?.parse::<f64>().ok();
        Self {
            cpu_ticks: field(14).zip(field(15)).map(|(user, system)| user + system),
            began_ticks: field(22),
        }
    }
}

/// A number out of `/proc/self/status`.
fn of_status(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value?.split_whitespace().next()?.parse().ok()
}

/// When the machine began, in Unix seconds.
static BOOTED: LazyLock<Option<f64>> = LazyLock::new(|| {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
});

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    #[test]
    fn what_is_told_is_what_the_machine_says() {
        let descriptors = Descriptors::default();
        let told = || {
            let mut text = String::new();
            write(&mut text, &descriptors);
            text
        };
        let before = told();
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        descriptors.count();
        let text = told();
        let more = value(&text, "open_fds") - value(&before, "open_fds");
        assert!(more >= 30.0, "{more} of {}", held.len());
        assert_eq!(value(&text, "max_fds"), getrlimit(Resource::Nofile).current.unwrap() as f64);
        assert!(value(&text, "threads") >= 2.0);
        let (all, resident) =
            (value(&text, "virtual_memory_bytes"), value(&text, "resident_memory_bytes"));
        assert!(1e6 < resident && resident < all, "{resident} of {all}");
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let age = BOOTED.unwrap() + uptime - value(&text, "start_time_seconds");
        assert!((-2.0..3_600.0).contains(&age), "{age}");
    }

    #[test]
    fn a_line_of_the_kernel_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 4200 1000 25 1";
        let Stat { cpu_ticks, began_ticks } = Stat::of(stat);
        assert_eq!((cpu_ticks, began_ticks), (Some(300.0), Some(4_200.0)));
        assert_eq!(Stat::of("").cpu_ticks, None);
        assert_eq!(of_status("VmSize:\t 12 kB\nVmRSS:\t    34 kB\n", "VmRSS"), Some(34.0));
        assert_eq!(of_status("VmSize:\t 12 kB\n", "VmRSS"), None);
    }
}
