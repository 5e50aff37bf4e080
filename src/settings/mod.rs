//! What was typed, and where, made into what the run does. Pure: everything ambient is in [`Environment`].

mod address;
mod environment;
mod remote;
mod report;
mod rules;
#[cfg(test)]
mod tests;
mod usage;

pub use crate::cli::{BucketChoice, InputSource, LogFormat, MaxFailures};
pub use environment::Environment;
pub use remote::RemoteSettings;
pub use report::{Console, ProgressStyle, ReportSettings, Verbosity};
pub use rules::columns;
pub use usage::UsageError;

use crate::cli::{GlobalArgs, IdentifyChoice, RunArgs};
use crate::model::{ColumnNames, IdentifyBy, Rate};
use std::path::PathBuf;
use std::time::Duration;

/// Slack's API, where nothing else is said.
pub const API_URL: &str = "https://slack.com/api/";

/// Everything that a run, a plan or a rehearsal goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which of the three it is.
    pub mode: Mode,
    /// What is read.
    pub input: InputSettings,
    /// What is written.
    pub output: OutputSettings,
    /// How fast.
    pub pace: PaceSettings,
    /// When not to send, and when to stop.
    pub safety: SafetySettings,
    /// One call.
    pub calls: CallSettings,
    /// Whose token.
    pub token: TokenChoice,
    /// What is told, and how.
    pub report: ReportSettings,
}

/// What is done with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are sent to Slack.
    Run,
    /// They are counted, and nothing is sent.
    Plan,
    /// They are sent to the stand-in inside the program.
    Rehearsal,
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// The file, or standard input.
    pub source: InputSource,
    /// The byte between columns; none: told from the header.
    pub delimiter: Option<u8>,
    /// The most bytes of the input, once unpacked.
    pub most_bytes: u64,
    /// The headers of another system for the ids.
    pub columns: ColumnNames,
    /// The id that goes beside the session's; none: the user's where the row has it, else the workspace's.
    pub identify_by: Option<IdentifyBy>,
    /// Whether whole users are asked for in the place of sessions.
    pub whole_users: bool,
}

/// What is written. Names that are not given follow from the input's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSettings {
    /// The results; given wherever the input is standard input and something is sent.
    pub output: Option<PathBuf>,
    /// What is done about results that are there.
    pub existing: Existing,
    /// The rows whose sessions are not known to be gone.
    pub remaining: Option<PathBuf>,
}

/// What is done about the results of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They are refused; a rehearsal replaces its own.
    Refuse,
    /// `--resume`: the run goes on.
    Resume,
    /// `--resume-or-start`: the run goes on, or a new one begins and they are put aside.
    ResumeOrStart,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceSettings {
    /// The rate of a bucket.
    pub rate: RateChoice,
    /// Which rows share one.
    pub bucket: BucketChoice,
    /// Calls in flight, 1 to 256; none: sized from the rate and the latency.
    pub workers: Option<u16>,
}

/// The rate of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateChoice {
    /// Found on the way. `start` is never above `max`.
    Auto {
        /// Where it begins.
        start: Rate,
        /// The most that is tried.
        max: Rate,
    },
    /// This one.
    Fixed(Rate),
    /// None of its own; only on the loopback address.
    Unlimited,
}

/// When not to send, and when to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SafetySettings {
    /// The failed rows that stop the run.
    pub max_failures: MaxFailures,
    /// From the first call to the last.
    pub deadline: Option<Duration>,
    /// The longest pause that is waited for.
    pub max_retry_after: Duration,
    /// Whether the first row goes alone.
    pub canary: bool,
    /// Whether `not_found` is a failure.
    pub strict: bool,
    /// The file of ids that must never be revoked.
    pub protect: Option<PathBuf>,
    /// Whether rows without a user may be sent although users are protected.
    pub allow_unowned: bool,
    /// Whether sessions of the token's own user may be sent.
    pub allow_self: bool,
    /// Whether somebody is asked before the first row is sent.
    pub confirmation: Confirmation,
    /// Whether the number of users is asked for besides.
    pub users_confirmation: UsersConfirmation,
}

/// Whether the number of users is asked for before whole users are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsersConfirmation {
    /// Sessions are sent, or nothing leaves the machine.
    NotNeeded,
    /// `--confirm-users`: so many have to be in the input.
    Given(u64),
    /// There is somebody to ask.
    Ask(Terminal),
}

/// Whether somebody is asked before the first row is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Nothing leaves the machine.
    NotNeeded,
    /// `--yes`.
    Given,
    /// There is somebody to ask.
    Ask(Terminal),
}

/// Where an answer is typed; the question goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Standard input.
    StandardInput,
    /// `/dev/tty`, for standard input holds the rows.
    Controlling,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSettings {
    /// Attempts after the first on transient answers.
    pub retries: u32,
    /// The longest that one call takes, connecting included.
    pub timeout: Duration,
    /// Slack's API as it was typed; the stand-in's own where it is a rehearsal.
    pub api_url: String,
    /// Hosts besides Slack's that may be given the token; in lower case.
    pub allow_hosts: Vec<String>,
}

/// Where the token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChoice {
    /// A rehearsal has none.
    NotNeeded,
    /// `--token-file`.
    File(PathBuf),
    /// `--token-command`.
    Command(String),
    /// `SLACK_TOKEN`.
    Variable,
    /// systemd's credential `slack-token`: its file.
    Credential(PathBuf),
    /// Somebody is asked for it, without echo.
    Ask(Terminal),
    /// There is none. A plan does without; a run ends with exit code 4.
    Absent,
}

impl Settings {
    /// What a command line means in this environment.
    ///
    /// # Errors
    /// Where flags exclude each other, or something is missing that only the user can say. Nothing has been touched then.
    pub fn resolve(typed: RunArgs, global: &GlobalArgs, environment: &Environment) -> Result<Self, UsageError> {
        let mode = rules::mode(&typed)?;
        rules::check(mode, &typed)?;
        let terminal = environment.terminal_beside(&typed.input.source);
        let confirmation = rules::confirmation(mode, typed.safety.yes, terminal)?;
        let users_confirmation = rules::users_confirmation(mode, &typed, terminal)?;
        let console = Console::resolve(global, environment)?;
        let token = rules::token(mode, &typed.token, environment, terminal);
        let RunArgs { input, output, pace, call, safety, token: address, report } = typed;
        Ok(Self {
            mode,
            input: InputSettings {
                source: input.source,
                delimiter: input.delimiter,
                most_bytes: input.max_input_size,
                columns: rules::columns(&input.column)?,
                identify_by: identify_by(input.identify_by),
                whole_users: input.whole_users,
            },
            output: OutputSettings {
                existing: rules::existing(&output)?,
                output: output.output,
                remaining: output.remaining,
            },
            pace: PaceSettings { rate: rules::rate(&pace)?, bucket: pace.bucket, workers: pace.workers },
            safety: SafetySettings {
                max_failures: safety.max_failures,
                deadline: safety.deadline,
                max_retry_after: call.max_retry_after,
                canary: !safety.no_canary,
                strict: safety.strict,
                protect: safety.protect,
                allow_unowned: safety.allow_unowned,
                allow_self: safety.allow_self,
                confirmation,
                users_confirmation,
            },
            calls: CallSettings {
                retries: call.retries,
                timeout: call.timeout,
                api_url: address.api_url.unwrap_or_else(|| API_URL.into()),
                allow_hosts: address.allow_host,
            },
            token,
            report: ReportSettings::new(report, console),
        })
    }
}

fn identify_by(choice: IdentifyChoice) -> Option<IdentifyBy> {
    match choice {
        IdentifyChoice::Auto => None,
        IdentifyChoice::User => Some(IdentifyBy::User),
        IdentifyChoice::Team => Some(IdentifyBy::Team),
    }
}
