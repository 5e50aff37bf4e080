//! What a command line means in its environment, or why it is refused. The types alone; [`super::resolve`] makes them.

use super::run::{CallArgs, InputArgs, OutputArgs, PaceArgs, ReportArgs, SafetyArgs};
use crate::model::{Approval, ColumnNames, OutputStyle, Rate, RateChoice, TokenSource};

/// What a run, a plan or a rehearsal goes by: the flags as they were typed, and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub mode: Mode,
    pub input: InputArgs,
    /// The headers that `--column` names.
    pub columns: ColumnNames,
    pub output: OutputArgs,
    /// What is done about the results of an earlier run.
    pub existing: Existing,
    pub pace: PaceArgs,
    pub safety: SafetyArgs,
    /// Whether to ask before the first row is sent.
    pub confirmation: Confirmation,
    /// Whether to ask for the number of users as well.
    pub users_confirmation: UsersConfirmation,
    /// The plan that this must be.
    pub approval: Option<Approval>,
    pub remote: RemoteSettings,
    pub report: ReportArgs,
    pub console: OutputStyle,
}

/// How any command calls Slack.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteSettings {
    /// Whether the stand-in is called instead of Slack.
    pub rehearse: bool,
    pub rate: RateChoice,
    pub calls: CallArgs,
    /// Slack's API as it was typed; a rehearsal calls the stand-in instead.
    pub api_url: String,
    /// Hosts besides Slack's that may be given the token; in lower case.
    pub allow_hosts: Vec<String>,
    /// `None` for a rehearsal, and if there is no token. A plan does without; a run ends with exit code 4.
    pub token: Option<TokenSource>,
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

/// What is done about the results of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They are refused; a rehearsal replaces its own.
    Refuse,
    /// `--resume`: the run goes on.
    Resume,
    /// `--resume-or-start`: the run goes on, or they are archived and a new one begins.
    ResumeOrStart,
}

/// Whether to ask before the first row is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Nothing leaves the machine.
    NotNeeded,
    /// `--yes`.
    Given,
    Ask(Terminal),
}

/// Whether to ask for the number of users before whole users are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsersConfirmation {
    /// Sessions are sent, the plan was approved, or nothing leaves the machine.
    NotNeeded,
    /// `--confirm-users`: this many must be in the input.
    Given(u64),
    Ask(Terminal),
}

/// Where an answer is typed; the question goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    StandardInput,
    /// `/dev/tty`, because standard input holds the rows.
    Controlling,
}

/// Why a command line was refused. Nothing was read or sent; exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("plan and --rehearse exclude each other; leave out --rehearse, or use run --rehearse")]
    PlanAndRehearsal,
    #[error(
        "{flag} can't be used with --rehearse, which needs no token and no approval, doesn't call Slack and always starts over"
    )]
    NotInRehearsal { flag: &'static str },
    #[error("--token-file and --token-command exclude each other; give the one that has the token")]
    TwoTokens,
    #[error(
        "--resume and --resume-or-start exclude each other; --resume-or-start includes resuming, so leave out --resume"
    )]
    ResumeTwice,
    #[error(
        "--rate unlimited is only for rehearsals and an --api-url on the loopback address; use --rate auto, which finds the limit, or \
         a rate such as 20/min"
    )]
    UnlimitedAbroad,
    #[error("{flag} only applies to --rate auto; leave out {flag} or --rate")]
    OnlyWithAuto { flag: &'static str },
    #[error("--start-rate {start} is above --max-rate {max}; lower one or raise the other")]
    StartAboveMax { start: Rate, max: Rate },
    /// Standard input has no name that the results could be named after.
    #[error(
        "input from standard input or another stream needs a name for the results: add -o FILE, for example -o results.csv"
    )]
    NoOutputForStdin,
    #[error(
        "there is no terminal to ask for confirmation: add --yes to run without asking, or use plan to check first"
    )]
    NobodyToAsk,
    #[error("--whole-users and --identify-by team exclude each other; leave out one")]
    WholeUsersByTeam,
    #[error(
        "--whole-users and --bulk exclude each other: --bulk ends only users all of whose listed sessions are in the input; leave out one"
    )]
    WholeUsersInBulk,
    #[error("--only only applies to --whole-users; leave it out, or add --whole-users")]
    OnlyWithWholeUsers,
    #[error("--confirm-users only applies to whole users: leave it out, or add --whole-users or --bulk LISTING")]
    NoUsersToConfirm,
    #[error(
        "--whole-users needs a second confirmation, and there is no terminal to ask: add --confirm-users N, with the number of \
         users that plan --whole-users prints"
    )]
    NobodyToConfirmUsers,
    #[error(
        "--require-plan-id is given, or SLACK_REVOKE_REQUIRE_PLAN_ID set, and this run has no --plan-id: have the id approved that plan \
         prints, and add --plan-id ID"
    )]
    PlanIdRequired,
    #[error("--approved-by needs --plan-id: add the id of the plan that was approved, or leave it out")]
    ApprovalOfNothing,
    #[error("--column names two headers for {column}; leave out one")]
    ColumnTwice { column: &'static str },
    #[error("{0}; correct or unset it")]
    LogFilter(String),
    #[error("--quiet and --verbose exclude each other; leave out one")]
    QuietAndVerbose,
}
