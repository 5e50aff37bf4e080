//! Work that may wait for somebody, a pipe or a command, and signals that don't wait for it.

use crate::engine::ports::{Control, Signal};
use crate::error::RunError;
use crate::model::StopReason;
use crate::signals::Shutdown;
use crate::slack::token::kill_command;
use std::panic::resume_unwind;

/// Runs a command's future on a runtime of its own. Threads that still wait for something don't hold up its end.
///
/// # Errors
/// The future's, and if the runtime can't be started.
pub fn block_on<T>(future: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::internal(format!("the runtime cannot be started: {error}")))?;
    let ended = runtime.block_on(future);
    runtime.shutdown_background();
    // Left alone, it would hold standard error open for as long as it hangs.
    kill_command();
    ended
}

/// Handles signals from here on, instead of dying of them.
///
/// # Errors
/// If the system refuses it.
pub fn signals() -> Result<Shutdown, RunError> {
    Shutdown::listen().map_err(|error| RunError::internal(format!("signals cannot be listened for: {error}")))
}

/// Does on a thread of its own what may never return: opening a pipe, reading an answer, running a command.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

/// Waits for what comes before the first row; the first signal ends it.
///
/// # Errors
/// The future's, [`RunError::interrupted`] and [`RunError::terminated`].
pub async fn unless_stopped<T>(
    signals: &mut Shutdown,
    future: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    tokio::select! {
        biased;
        signal = signals.next() => Err(match signal {
            Signal::Drain(StopReason::Terminated) => RunError::terminated(),
            Signal::Drain(_) | Signal::Abort => RunError::interrupted(),
        }),
        done = future => done,
    }
}
