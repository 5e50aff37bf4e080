//! `run`: connects input, Slack, ledger and output to the engine.

mod api;
mod approval;
mod bulk;
mod confirm;
mod finish;
mod introduction;
mod on_finish;
mod output_paths;
mod outputs;
mod plan;
mod policy;
mod preflight;
mod recorder;
mod refused;
mod remote;
mod resume_notice;
mod staleness;
mod then_verify;

use crate::cli::{Mode, Settings};
use crate::commands::listing::filter::ListedPeople;
use crate::commands::listing::{Directory, Lister};
use crate::commands::quota::{self, RunQuota};
use crate::commands::seal;
use crate::commands::waiting;
use crate::commands::waiting::SavedModes;
use crate::engine::clock::wall;
use crate::engine::{self, RunEnd};
use crate::error::RunError;
use crate::model::{ExitStatus, Verbosity};
use crate::output::{Console, EventLog, Screen, WEAKENED, counted};
use crate::signals::Shutdown;
use finish::Finish;
pub use plan::OutputFormat;
use preflight::Preflight;
use recorder::Recorder;
pub use refused::write_metrics_of_usage;
use remote::Remote;
use std::ffi::OsString;
use std::path::PathBuf;
use then_verify::ThenVerify;

/// Runs, rehearses or plans. `argv` is the typed command line, for the command that resumes the run.
///
/// # Errors
/// Errors before the first call. Later ones are exit statuses.
pub fn run(
    settings: &Settings,
    argv: &[OsString],
    console: &Console,
    format: OutputFormat,
) -> Result<ExitStatus, RunError> {
    if settings.mode == Mode::Rehearsal {
        introduce_rehearsal(argv, console);
    }
    let ended = waiting::block_on(async {
        let mut signals = waiting::signals()?;
        match waiting::unless_stopped(&mut signals, Box::pin(get_ready(settings, console, format))).await? {
            Ready::Planned(status) => Ok(status),
            Ready::ToSend(ready) => Box::pin(carry_out(settings, argv, console, *ready, signals)).await,
        }
    });
    ended.inspect_err(|error| refused::write_metrics(settings, error))
}

/// The first line of a rehearsal, so that it can't be confused with a run.
fn introduce_rehearsal(argv: &[OsString], console: &Console) {
    console.note("REHEARSAL: a stand-in answers instead of Slack; nothing is revoked");
    if argv.iter().all(|word| word != "--rehearse") {
        tracing::warn!(target: WEAKENED, "this is a rehearsal, because SLACK_REVOKE_REHEARSE is set");
    }
}

enum Ready {
    /// Only a plan was requested.
    Planned(ExitStatus),
    ToSend(Box<ToSend>),
}

struct ToSend {
    prepared: Preflight,
    remote: Remote,
    events: Option<EventLog>,
}

/// Blocking work is done on other threads, and locks and modes are kept here, so that a signal releases them.
async fn get_ready(settings: &Settings, console: &Console, format: OutputFormat) -> Result<Ready, RunError> {
    let _modes = SavedModes::save();
    let lists_all_invalid = format == OutputFormat::Json || settings.console.verbosity > Verbosity::Normal;
    let mut prepared = Preflight::open(settings, lists_all_invalid).await?;
    confirm::check_users(settings, &prepared)?;
    confirm::check_unowned(settings, &prepared)?;
    if settings.mode == Mode::Plan {
        warn_of_unknown_addresses(prepared.addresses().len() as u64);
        return plan::show(settings, &prepared, format).await.map(Ready::Planned);
    }
    let remote = Remote::connect(settings, &prepared).await?;
    let identity = match settings.mode {
        Mode::Run => {
            let plan = approval::plan(settings, &prepared, remote.host(), remote.organization())?;
            Some(approval::identity(&plan))
        }
        Mode::Plan | Mode::Rehearsal => None,
    };
    protect_addresses(settings, &mut prepared, &remote).await?;
    prepared.protect_own_users(settings, &remote)?;
    plan::announce(settings, &prepared, &remote, identity, console).await;
    staleness::warn(settings, &prepared.output.start, prepared.survey.rows);
    confirm::ask(settings, &prepared, &remote).await?;
    prepared.check_unchanged().await?;
    let events = open_events(settings.report.events.clone()).await?;
    Ok(Ready::ToSend(Box::new(ToSend { prepared, remote, events })))
}

/// Looks up the e-mail addresses of `--protect`, because an address that isn't resolved protects no row.
async fn protect_addresses(settings: &Settings, prepared: &mut Preflight, remote: &Remote) -> Result<(), RunError> {
    let addresses = prepared.addresses().clone();
    if addresses.is_empty() {
        return Ok(());
    }
    let mut lister = Lister::with(remote.api().client().clone(), &settings.remote)?;
    let directory = Directory::look_up(&mut lister, &ListedPeople::at(addresses.clone())).await;
    lister.close().await;
    let directory = directory.map_err(|error| error.into_error("nothing was sent"))?;
    prepared.protect_users(settings, directory.all_users("--protect", &addresses)?)
}

/// A plan doesn't look up addresses.
fn warn_of_unknown_addresses(addresses: u64) {
    if addresses > 0 {
        tracing::warn!(
            target: WEAKENED,
            "{} looked up by the run, not by a plan: rows of their users are counted as rows to send here",
            counted(addresses, "e-mail address of --protect is", "e-mail addresses of --protect are")
        );
    }
}

/// Opened before other files are created, so that a wrong path doesn't leave results that block the next run.
async fn open_events(path: Option<PathBuf>) -> Result<Option<EventLog>, RunError> {
    let Some(path) = path else { return Ok(None) };
    let opened = waiting::blocking(move || EventLog::create(&path).map_err(|error| (path, error))).await;
    opened.map(Some).map_err(|(path, error)| {
        let what = format!("can't write {}: {error}", path.display());
        RunError::unwritable(what, "nothing was sent; name another file with --events")
    })
}

async fn carry_out(
    settings: &Settings,
    argv: &[OsString],
    console: &Console,
    ready: ToSend,
    mut signals: Shutdown,
) -> Result<ExitStatus, RunError> {
    let ToSend { prepared, remote, events } = ready;
    let started = wall();
    let policy = policy::of(settings, &prepared, started);
    let maybe_sent = prepared.output.possibly_sent();
    let mut source = prepared
        .content
        .source(maybe_sent)
        .map_err(|error| RunError::input(error.to_string(), "continue with --resume"))?;
    let screen = Screen::start(console, settings.mode == Mode::Rehearsal);
    let (mut recorder, facts) = Recorder::begin(settings, prepared, &remote, events, screen, started)?;
    let clock = quota::clock();
    let began = clock.elapsed();
    let mut quota = RunQuota::open(&settings.remote, &remote.limit(), clock, &facts.run_id);
    let mut end: RunEnd =
        engine::run(policy.clone(), remote.api(), &mut quota, &mut source, &mut recorder, &mut signals, clock).await;
    drop(source);
    let mut open = recorder.finish();
    let verification = match settings.safety.then_verify.filter(|_| end.is_complete()) {
        Some(wait) => {
            let verify = ThenVerify { settings, console, remote: &remote, facts: &facts, policy, clock, began };
            Some(verify.verify(wait, &mut open, &mut signals, &mut end).await)
        }
        None => None,
    };
    let is_cut_off = end.aborted && end.fault.is_none();
    let finish = Finish { settings, argv, console, facts, remote: &remote, started, end, verification };
    let concluded = finish.finish(open);
    // After the results.
    remote.keep_rehearsal();
    if is_cut_off {
        return Ok(concluded.exit);
    }
    if let Some(command) = &settings.report.seal.seal_command {
        seal::seal(command, &concluded.manifest, concluded.manifest_sha256.as_deref(), &mut signals, console).await;
    }
    if let Some(command) = &settings.report.on_finish {
        on_finish::run(command, on_finish::variables(settings.mode, &concluded), &mut signals).await;
    }
    Ok(concluded.exit)
}
