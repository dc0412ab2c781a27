//! Every task and thread has a name, an owner and an end.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task; the caller keeps the handle, or the task ends with the run's stage.
#[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
pub(crate) fn spawn<F>(_name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Starts a thread.
///
/// # Errors
/// If the system has no thread to give.
pub(crate) fn thread<T, F>(
    name: &'static str,
    work: F,
) -> std::io::Result<std::thread::JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}
