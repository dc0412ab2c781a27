//! Open files: each connection is one, and the system bounds how many a process may have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What is open beside the connections: the database's files with those of its readers, the keys',
/// listeners.
const OTHERS: u64 = 256;

/// Has the system let this process have as many open files as it would, and gives how many
/// connections it can take then: at most `wanted`. Without a file left, it could neither answer
/// those who are turned away nor read its own data.
pub(super) fn connections(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    // What a session begins with is often 1,024, for programs of another time; each may raise it to
    // the second bound.
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files stays");
            limit = getrlimit(Resource::Nofile);
        }
    }
    let connections = beside(limit.current, wanted);
    // A little less than was asked for is nothing to be woken for.
    if limit.current.is_some_and(|files| usize::try_from(files).is_ok_and(|files| files < wanted)) {
        tracing::warn!(
            setting = "connections_max",
            limit = limit.current,
            count = connections,
            "the system lets this process have too few open files (ulimit -n, LimitNOFILE): it takes fewer connections"
        );
    }
    connections
}

/// How many connections so many open files are enough for; `None` is no bound.
fn beside(files: Option<u64>, wanted: usize) -> usize {
    let Some(files) = files else { return wanted };
    let left = usize::try_from(files.saturating_sub(OTHERS)).unwrap_or(usize::MAX);
    left.clamp(1, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(beside(None, 20_000), 20_000);
        assert_eq!(beside(Some(1 << 20), 20_000), 20_000);
        assert_eq!(beside(Some(20_000), 20_000), 19_744);
        assert_eq!(beside(Some(100), 20_000), 1, "it can be asked why");
    }
}
