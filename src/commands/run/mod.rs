//! `run`: builds the edges, runs the engine between them, and leaves the results.

pub(in crate::commands) mod address;
mod conclusion;
mod earlier;
mod on_finish;
mod outputs;
mod places;
mod policy;
mod prepared;
mod question;
mod recorder;
mod remote;

use crate::commands::age;
pub use crate::commands::plan::{self, Form};
use crate::engine::clock::{Clock, wall};
use crate::engine::{self, RunEnd};
use crate::error::{RunError, Trouble};
use crate::exit::ExitStatus;
use crate::report::{Console, Screen};
use crate::settings::{Mode, Settings};
use crate::shutdown::Shutdown;
use conclusion::Conclusion;
pub(in crate::commands) use policy::{calls_for, pace as pace_of};
pub(in crate::commands) use prepared::{Prepared, acquire};
use recorder::Recorder;
pub(in crate::commands) use remote::Remote;
use std::ffi::OsString;

/// Runs, rehearses or plans, as the settings say. `argv` is the command line as it was typed, for the command that
/// continues the run.
///
/// # Errors
/// What stops a run before its first call. What stops it later is an exit status.
pub fn run(settings: &Settings, argv: &[OsString], console: &Console, form: Form) -> Result<ExitStatus, RunError> {
    let mut prepared = Prepared::open(settings)?;
    question::check_users(settings, &prepared)?;
    if settings.mode == Mode::Plan {
        return plan::show(settings, &prepared, form);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Internal(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(async {
        let remote = Remote::connect(settings, &prepared).await?;
        prepared.protect_own_users(settings, remote.user())?;
        plan::announce(settings, &prepared, &remote, console);
        age::warn(settings, &prepared.start);
        question::ask(settings, &prepared)?;
        carry_out(settings, argv, console, prepared, remote).await
    })
}

async fn carry_out(
    settings: &Settings,
    argv: &[OsString],
    console: &Console,
    prepared: Prepared,
    remote: Remote,
) -> Result<ExitStatus, RunError> {
    let mut shutdown =
        Shutdown::listen().map_err(|error| RunError::Internal(format!("signals cannot be listened for: {error}")))?;
    let started = wall();
    let policy = policy::of(settings, &prepared, started);
    let maybe_sent = prepared.maybe_sent();
    let mut source = prepared
        .content
        .source(maybe_sent)
        .map_err(|error| RunError::Input(Trouble::new(error.to_string(), "continue with --resume")))?;
    let screen = Screen::start(console);
    let (mut recorder, facts) = Recorder::begin(settings, prepared, &remote, screen, started)?;
    let clock = Clock::start();
    let end: RunEnd = engine::run(policy, remote.client(), &mut source, &mut recorder, &mut shutdown, clock).await;
    drop(source);
    let is_cut_off = end.aborted && end.fault.is_none();
    let concluded = Conclusion { settings, argv, console, facts, remote: &remote, started, end }.conclude(recorder);
    if let Some(command) = settings.report.on_finish.as_ref().filter(|_| !is_cut_off) {
        on_finish::run(command, &on_finish::variables(settings.mode, &concluded), shutdown).await;
    }
    Ok(concluded.exit)
}
