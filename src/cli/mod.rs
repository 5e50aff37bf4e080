//! The command line and its environment, read and checked in one pass that gives [`Settings`]. The only clap.
#![expect(clippy::doc_markdown, reason = "the doc comments of flags are the help that people read in a terminal")]

pub mod help_text;
mod mistakes;
mod other_commands;
mod precedence;
mod resolve;
mod run;
mod settings;
#[cfg(test)]
mod tests;
mod value_enums;
mod values;
mod variables;

pub use other_commands::{
    AuditFilterArgs, DoctorArgs, FilterArgs, FromAuditArgs, ListArgs, PageArgs, RateArgs, RemoteArgs, ResolveArgs,
    VerifyArgs,
};
pub use resolve::{Environment, columns};
pub use run::{CallArgs, InputArgs, OutputArgs, PaceArgs, ReportArgs, RunArgs, SafetyArgs, SealArgs, TokenArgs};
pub use settings::{Confirmation, Existing, Mode, RemoteSettings, Settings, Terminal, UsageError, UsersConfirmation};
pub use value_enums::{Color, Progress, Shell};
pub use variables::{QUOTA_PASSWORD, variable_of};

use crate::model::{ExitStatus, LogFormat};
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use std::ffi::OsString;
use std::io::{self, Write as _};

/// Wider than this, lines of help are hard to read.
const HELP_WIDTH: usize = 100;

/// Revoke Slack Enterprise Grid sessions in bulk: a CSV of sessions in, one result per row out
///
/// Revokes each session through admin.users.session.invalidate as fast as Slack's rate limit allows, and records the result of
/// every row. A run can be interrupted at any point and continued with --resume; it ends with exactly one record per row.
///
/// Needs a user token (xoxp-…) with the user scope admin.users:write, read from --token-file, --token-command, SLACK_TOKEN or
/// systemd credential slack-token; never from the command line.
#[derive(Debug, Parser)]
#[command(name = "slack-revoke", version, max_term_width = HELP_WIDTH, arg_required_else_help = true,
    disable_help_subcommand = true)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Revoke every session in the input and write one result per row
    ///
    /// The input has a header line. Columns are matched by name, in any order: session_id, and user_id and/or team_id, also
    /// written as User ID or userId (see --column for other names). All other columns are copied to the results. Gzip and zstd
    /// are recognized.
    ///
    /// Nothing is revoked until the whole input has been read and checked, the plan has been shown, and it has been confirmed.
    Run(Box<RunArgs>),
    /// Check an input, and show what `run` would do and how long it would take; send nothing
    ///
    /// Same as `run --dry-run`. Accepts every flag of `run`; flags that only affect sending aren't listed here. Prints the plan id for
    /// `run --plan-id`; if there is a token, asks auth.test for its organization, which the id includes then.
    Plan(Box<PlanArgs>),
    /// Check the token, its scopes and the network
    ///
    /// Calls auth.test and nothing else. Prints one line per check: ✓ passed, ! warning, ✗ failed.
    Doctor(Box<DoctorArgs>),
    /// List the organization's sessions as CSV, ready to use as input of `run`
    ///
    /// Calls admin.users.session.list page by page; needs the user scope admin.users:read. The columns are user_id, team_id,
    /// session_id, then the device that signed in (created_…) and the device last seen (recent_…).
    ///
    /// A session must match every kind of filter given. If a filter is repeated, one of its values must match.
    List(Box<ListArgs>),
    /// Convert Slack audit log entries to a list of sessions; no network
    ///
    /// Reads entries as Slack's API returns them, exported from the admin page, or nested in the records of a SIEM, and writes each
    /// session once, ready to use as input of `run`: its user, workspace, the latest action, time, address, user agent and entry, and
    /// when it was seen first and last.
    ///
    /// Entries that don't show a session of their actor are left out and counted by reason: those made by apps, actions on other
    /// users, user_channel_join, those without a session id, and ids that aren't Slack's.
    ///
    /// An entry must match every kind of filter given. If a filter is repeated, one of its values must match.
    FromAudit(Box<FromAuditArgs>),
    /// Add user_id to rows that only have team_id and session_id, or an e-mail address
    ///
    /// Looks the owners of sessions up with admin.users.session.list, and the users of a column email with admin.users.list, among
    /// active and deactivated accounts; needs the user scope admin.users:read. Every row is written, in the input's order. A row
    /// whose session isn't listed, or whose address isn't that of exactly one user, keeps an empty user_id and is counted.
    Resolve(Box<ResolveArgs>),
    /// List the sessions again and verify for every record of a run that its session is gone
    ///
    /// The verdict is in the column verified: gone; still_there; user_back if the session is gone but its user has sessions that
    /// aren't in the results (new_sessions, new_ips); unproven if Slack listed sessions that can't be read, so that absence proves
    /// nothing. The column is empty if the record has no session.
    ///
    /// Exits with 1 if a session that is revoked or already revoked isn't verified as gone.
    Verify(Box<VerifyArgs>),
    /// Create an HTML report of a run: the outcome, what needs attention, and the evidence
    ///
    /// The page is self-contained and runs no scripts; it can be mailed, archived and printed. It is created from the results, the
    /// manifest next to them and, if given, the events. Nothing is sent and no token is needed. The run may still be in progress.
    ///
    /// The page names people and their sessions, so only its owner can read the file.
    Report(Box<PageArgs>),
    /// Print shell completions
    ///
    /// Completes commands, flags and their values. The examples show where each shell expects the script.
    Completions(CompletionsArgs),
    /// Print the manual page of the program or of a command, in roff
    ///
    /// Each command has its own page, such as slack-revoke-run(1).
    Man(ManArgs),
    /// Print help for a command or a topic
    ///
    /// Topics: environment, exit-codes.
    Help(HelpArgs),
}

/// What `plan` takes: all that `run` takes, and `--json`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct PlanArgs {
    /// The run that is planned.
    #[command(flatten)]
    pub run: RunArgs,
    /// Print the plan as JSON on standard output
    #[arg(long, help_heading = "Reporting")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell to print completions for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Command to print the page of [default: the program itself]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

#[derive(Debug, Args)]
pub struct HelpArgs {
    /// Command or topic [default: the program itself]
    #[arg(value_name = "COMMAND|TOPIC")]
    pub topic: Option<String>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reporting")]
#[group(skip)]
pub struct GlobalArgs {
    /// How to show progress on standard error
    ///
    /// `auto` shows a bar on a terminal, and a plain line about every 10s otherwise.
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t = Progress::Auto, hide_short_help = true)]
    pub progress: Progress,
    /// When to use color
    ///
    /// `auto` uses color on a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_short_help = true)]
    pub color: Color,
    /// Print nothing if everything succeeds
    ///
    /// For timers that mail their output. Errors, failed rows, and warnings about weakened protection or evidence are still
    /// printed.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log the result of each row; -vv also each call and retry
    ///
    /// SLACK_REVOKE_LOG is a finer filter, for example SLACK_REVOKE_LOG=debug.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Format of log lines on standard error
    ///
    /// Errors before the command starts, such as wrong usage, are always plain text.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, hide_short_help = true)]
    pub log_format: LogFormat,
}

/// The flags of `run` that `plan` accepts but doesn't need, so its help leaves them out.
const ONLY_TO_SEND: [&str; 16] = [
    "dry_run",
    "yes",
    "approved_by",
    "require_plan_id",
    "rehearse",
    "max_failures",
    "no_canary",
    "retries",
    "max_retry_after",
    "priority",
    "events",
    "summary_json",
    "metrics_file",
    "on_finish",
    "seal_command",
    "reason",
];

/// Commands that only print: their help leaves out the flags of progress and logs.
const PRINTING: [&str; 3] = ["completions", "help", "man"];

/// The whole command line, as clap knows it: for parsing, for completions and for the manual.
#[must_use]
pub fn command() -> clap::Command {
    let command = variables::add_to(Cli::command()).args_override_self(true);
    // clap keeps names for as long as the program runs; the command is built once or twice in that time.
    let names: Vec<&'static str> = command
        .get_subcommands()
        .filter(|known| known.get_name() != "help")
        .map(|known| &*known.get_name().to_owned().leak())
        .collect();
    let global: Vec<clap::Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let program = help_text::of_program();
    command
        .mut_subcommands(|known| match known.get_name() {
            "plan" => known.mut_args(|arg| {
                let unlisted = ONLY_TO_SEND.contains(&arg.get_id().as_str());
                if unlisted { arg.hide(true) } else { arg }
            }),
            "man" => known.mut_arg("command", |arg| arg.value_parser(PossibleValuesParser::new(names.clone()))),
            "help" => known.mut_arg("topic", |arg| {
                let topics = names.iter().copied().chain(help_text::TOPICS);
                arg.value_parser(PossibleValuesParser::new(topics)).hide_possible_values(true)
            }),
            _ => known,
        })
        .mut_subcommands(|known| {
            let prints = PRINTING.contains(&known.get_name());
            if prints { known.args(global.iter().map(|arg| arg.clone().hide(true))) } else { known }
        })
        .mut_subcommands(|known| match help_text::of_command(known.get_name()) {
            Some(guide) => known.after_help(guide.short()).after_long_help(guide.long()),
            None => known,
        })
        .mut_args(for_completion)
        .mut_subcommands(|known| known.mut_args(for_completion))
        .after_help(program.short())
        .after_long_help(program.long())
}

/// Completes files as files, and nothing else.
fn for_completion(arg: clap::Arg) -> clap::Arg {
    let names = arg.get_value_names().unwrap_or_default();
    let is_file = names.iter().any(|name| matches!(name.as_str(), "FILE" | "INPUT" | "RESULTS"));
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append if is_file => arg.value_hint(ValueHint::FilePath),
        ArgAction::Set | ArgAction::Append => arg.value_hint(ValueHint::Other),
        _ => arg,
    }
}

/// Reads a command line, program name first, and the `SLACK_REVOKE_` variables. Flags override variables.
///
/// # Errors
/// If it or a variable's name can't be understood, and if help or the version was asked for: [`answer`] shows either.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let mut command = command();
    if mistakes::is_token_typed(&argv) {
        return Err(command.error(ErrorKind::UnknownArgument, mistakes::TYPED_TOKEN));
    }
    if mistakes::is_login_typed(&argv) {
        return Err(command.error(ErrorKind::UnknownArgument, mistakes::TYPED_LOGIN));
    }
    let argv = mistakes::help_as_flag(argv);
    let first = matches_of(&mut command, &argv);
    let overridden = overridden(&first, &argv);
    let matches = if overridden.is_empty() {
        first?
    } else {
        command = precedence::without_variables(self::command(), &overridden);
        matches_of(&mut command, &argv)?
    };
    if let Some(misspelled) = variables::first_misspelled(&command, std::env::vars_os()) {
        return Err(command.error(ErrorKind::UnknownArgument, misspelled.refusal()));
    }
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    match &mut cli.command {
        Command::Plan(plan) => plan.run.safety.dry_run = true,
        Command::Help(HelpArgs { topic }) if topic.as_deref().is_none_or(|name| !help_text::TOPICS.contains(&name)) => {
            let of_command = topic.take().map(OsString::from);
            return parse(argv.into_iter().take(1).chain(of_command).chain(["--help".into()]));
        }
        _ => {}
    }
    Ok(cli)
}

/// The flags whose variables something typed excludes. If they were refused together, they are read again without that.
fn overridden(first: &Result<ArgMatches, clap::Error>, argv: &[OsString]) -> Vec<&'static str> {
    match first {
        Ok(matches) => precedence::overridden(matches),
        Err(error) if error.kind() == ErrorKind::ArgumentConflict => {
            let read = command().ignore_errors(true).try_get_matches_from(argv);
            read.map(|matches| precedence::overridden(&matches)).unwrap_or_default()
        }
        Err(_) => Vec::new(),
    }
}

fn matches_of(command: &mut clap::Command, argv: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let matches = command.try_get_matches_from_mut(argv);
    matches.map_err(|error| variables::name_in(mistakes::on_a_wrong_command(mistakes::without_store(error)), argv))
}

/// Shows what [`parse`] returned instead: help on standard output, an error on standard error.
///
/// # Errors
/// If the help can't be written. A reader that left early, as in `--help | head -1`, is no error.
pub fn answer(instead: &clap::Error) -> io::Result<ExitStatus> {
    let printed = instead.print().and_then(|()| io::stdout().flush());
    match printed {
        _ if instead.use_stderr() => Ok(ExitStatus::Usage),
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(ExitStatus::Success),
    }
}
