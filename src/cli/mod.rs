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
mod values;
mod variables;

pub use other_commands::{DoctorArgs, FilterArgs, ListArgs, PageArgs, RateArgs, RemoteArgs, ResolveArgs, VerifyArgs};
pub use resolve::{Environment, columns};
pub use run::{CallArgs, InputArgs, OutputArgs, PaceArgs, ReportArgs, RunArgs, SafetyArgs, TokenArgs};
pub use settings::{
    Confirmation, ConsoleSettings, Existing, Mode, RemoteSettings, Settings, Terminal, UsageError, UsersConfirmation,
};
pub use values::{Color, Progress, Shell};
pub use variables::variable_of;

use crate::exit::ExitStatus;
use crate::model::LogFormat;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write as _};

/// Wider than this, lines of help are hard to read.
const HELP_WIDTH: usize = 100;

/// End sessions of a Slack Enterprise Grid organisation in bulk: a CSV in, one result per row out
///
/// Reads a CSV of sessions, revokes each of them through admin.users.session.invalidate as fast as Slack's rate limit
/// allows, and writes one record per row that says how it ended. A run that was stopped, by whatever, is continued with
/// --resume and ends with exactly one record per row.
///
/// The token is a user token (xoxp-…) with the user scope admin.users:write. It is read from --token-file or
/// --token-command, else from SLACK_TOKEN, else from systemd's credential slack-token; never from the command line.
#[derive(Debug, Parser)]
#[command(name = "slack-revoke", version, max_term_width = HELP_WIDTH, arg_required_else_help = true)]
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
    /// Revoke every session of the input, and write one result per row
    ///
    /// The input has a header line, then rows. Columns are found by name, in any order: session_id, and user_id and/or team_id,
    /// also written as User ID or userId (--column reads other names); every other column is carried through to the results.
    /// Gzip and zstd are recognised.
    ///
    /// No session is revoked before the whole input was read and checked, the plan was shown, and it was agreed to, by an
    /// answer or by --yes.
    Run(Box<RunArgs>),
    /// Read and check everything as `run` would, send nothing, and say what it would do and how long it would take
    ///
    /// The same as `run --dry-run`. Every flag of `run` is accepted, so that the one word can be changed for the other;
    /// those that only matter to sending are not listed.
    Plan(Box<PlanArgs>),
    /// Check whether the token, its scopes and the network are fit for a run
    ///
    /// Asks auth.test, and nothing else. A line a check: ✓ is good, ! is worth a look, ✗ will not do. Exits with 0 where no
    /// check failed, with 4 where the token or its scope will not do, and with 5 where Slack cannot be reached.
    Doctor(Box<DoctorArgs>),
    /// List the sessions of the organisation as CSV, ready to be the input of `run`
    ///
    /// Reads admin.users.session.list page by page, with the user scope admin.users:read. The columns are user_id, team_id,
    /// session_id, then those of the device that signed in (created_…) and of the device last seen (recent_…).
    ///
    /// A session is listed where it passes every kind of filter that is given; of a kind that is repeated, one has to fit.
    List(Box<ListArgs>),
    /// Add user_id to the rows that hold only team_id and session_id
    ///
    /// Finds the owners in admin.users.session.list, with the user scope admin.users:read. Every row is written, in the
    /// input's order; one whose session is not listed keeps an empty user_id, and is counted.
    Resolve(Box<ResolveArgs>),
    /// List the sessions again, and prove for every record of a run whether its session is gone
    ///
    /// Each record is answered in the column verified: gone; still_there; user_back, where the session is gone and its user
    /// has others that the results do not name (new_sessions, new_ips); unproven, where Slack listed sessions that cannot be
    /// read, so that nothing is proved gone. It is empty where the record names no session.
    ///
    /// Exits with 1 where a session that was revoked, or already revoked, is not proved gone.
    Verify(Box<VerifyArgs>),
    /// Make one HTML page of a run: how it ended, what needs a hand, and the evidence
    ///
    /// The page loads nothing and runs no script; it can be mailed, archived and printed. It is made from the results, the
    /// manifest beside them and, where given, the events. Nothing is sent, and no token is needed. A run may be going on.
    ///
    /// The page names people and their sessions: only its owner can read the file.
    Report(Box<PageArgs>),
    /// Print the completions of a shell
    ///
    /// Commands, flags and their values. Where the script goes is the shell's own matter: see the examples.
    Completions(CompletionsArgs),
    /// Print the manual page of the program, or of one of its commands, in roff
    ///
    /// The page of the program holds those of all commands. Those of single commands are for `man slack-revoke-run`, as
    /// packages have them.
    Man(ManArgs),
}

/// What `plan` takes: all that `run` takes, and `--json`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct PlanArgs {
    /// The run that is planned.
    #[command(flatten)]
    pub run: RunArgs,
    /// Print the plan as one JSON object on standard output
    #[arg(long, help_heading = "Reporting")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command that the page is about [default: all of them]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reporting")]
#[group(skip)]
pub struct GlobalArgs {
    /// How progress is shown on standard error
    ///
    /// `auto` is a bar with the time to come on a terminal, and a plain line about every 10 s elsewhere.
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// When colours are used
    ///
    /// `auto` is on a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Print nothing about a good run
    ///
    /// For timers that mail what is printed. Errors, failed rows, and every warning that a protection or the evidence is
    /// weaker than requested are still printed.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say how each row ends; -vv also each call and each retry
    ///
    /// SLACK_REVOKE_LOG is a finer filter, as in SLACK_REVOKE_LOG=debug.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How log lines on standard error are written
    ///
    /// An error before the command begins, such as wrong usage, is plain text in either.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// The flags of `run` that `plan` accepts but doesn't need, so its help leaves them out.
const ONLY_TO_SEND: [&str; 12] = [
    "dry_run",
    "yes",
    "rehearse",
    "max_failures",
    "no_canary",
    "retries",
    "max_retry_after",
    "events",
    "summary_json",
    "metrics_file",
    "on_finish",
    "reason",
];

/// Commands that only print: their help leaves out the flags of progress and logs.
const PRINTING: [&str; 2] = ["completions", "man"];

/// The whole command line, as clap knows it: for parsing, for completions and for the manual.
#[must_use]
pub fn command() -> clap::Command {
    let command = variables::add_to(Cli::command()).args_override_self(true);
    // clap keeps names for as long as the program runs; the command is built once or twice in that time.
    let names: Vec<&'static str> =
        command.get_subcommands().map(|known| &*known.get_name().to_owned().leak()).collect();
    let global: Vec<clap::Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let program = help_text::of_program();
    command
        .mut_subcommands(|known| match known.get_name() {
            "plan" => known.mut_args(|arg| {
                let unlisted = ONLY_TO_SEND.contains(&arg.get_id().as_str());
                if unlisted { arg.hide(true) } else { arg }
            }),
            "man" => known.mut_arg("command", |arg| arg.value_parser(PossibleValuesParser::new(names.clone()))),
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
        .after_help(program.short())
        .after_long_help(program.long())
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
    let argv = mistakes::without_help_of_help(argv);
    let mut matches = matches_of(&mut command, &argv)?;
    if let Some(misspelled) = variables::first_misspelled(&command, std::env::vars_os()) {
        return Err(command.error(ErrorKind::UnknownArgument, misspelled.refusal()));
    }
    let overridden = precedence::overridden(&matches);
    if !overridden.is_empty() {
        command = precedence::without_variables(self::command(), &overridden);
        matches = matches_of(&mut command, &argv)?;
    }
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if let Command::Plan(plan) = &mut cli.command {
        plan.run.safety.dry_run = true;
    }
    Ok(cli)
}

fn matches_of(command: &mut clap::Command, argv: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let matches = command.try_get_matches_from_mut(argv);
    matches.map_err(|error| variables::name_in(mistakes::on_a_wrong_command(error), argv))
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
