//! Every task and thread has a name, an owner and an end.

use std::future::Future;

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
