//! Blocking work (the user, a pipe, a command), signals during it, and terminal modes.

use crate::engine::ports::{Control, Signal};
use crate::error::RunError;
use crate::model::StopReason;
use crate::signals::Shutdown;
use crate::slack::token::kill_command;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use std::fs::File;
use std::os::fd::AsFd;
use std::panic::resume_unwind;

/// Runs a command's future on its own runtime. Blocked threads don't delay its end.
///
/// # Errors
/// Errors of the future, or if the runtime can't be started.
pub fn block_on<T>(future: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::internal(format!("the runtime can't be started: {error}")))?;
    let ended = runtime.block_on(future);
    runtime.shutdown_background();
    // A hanging command would keep standard error open.
    kill_command();
    ended
}

/// Handles signals from now on.
///
/// # Errors
/// If the handlers can't be installed.
pub fn signals() -> Result<Shutdown, RunError> {
    Shutdown::listen().map_err(|error| RunError::internal(format!("can't listen for signals: {error}")))
}

/// Runs work that may block forever on its own thread: opening a pipe, reading an answer, running a command.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

/// Waits for a future, which the first signal ends.
///
/// # Errors
/// Errors of the future, [`RunError::interrupted`] and [`RunError::terminated`].
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

/// The controlling terminal, even if standard input is something else.
const CONTROLLING: &str = "/dev/tty";

/// Discards input typed before the question. Only affects terminals.
pub fn discard_typed(terminal: impl AsFd) {
    // Fails if it isn't a terminal.
    let _ = tcflush(terminal, QueueSelector::IFlush);
}

pub fn controlling_terminal() -> std::io::Result<File> {
    File::open(CONTROLLING)
}

/// The modes of the controlling terminal, restored on drop, because a signal may arrive while echo is off.
#[derive(Debug)]
pub struct SavedModes(Option<(File, Termios)>);

impl SavedModes {
    pub fn save() -> Self {
        Self(controlling_terminal().ok().and_then(|terminal| tcgetattr(&terminal).ok().map(|modes| (terminal, modes))))
    }
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        if let Some((terminal, modes)) = &self.0 {
            // Fails if the terminal is gone.
            let _ = tcsetattr(terminal, OptionalActions::Now, modes);
        }
    }
}
