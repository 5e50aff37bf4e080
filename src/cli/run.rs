//! The flags of `run`: one struct per heading of the help.

use super::values;
use crate::model::{BucketPolicy, Delimiter, IdColumn, Identify, InputSource, MaxFailures, Rate, RateChoice};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Args)]
#[group(skip)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub pace: PaceArgs,
    #[command(flatten)]
    pub call: CallArgs,
    #[command(flatten)]
    pub safety: SafetyArgs,
    #[command(flatten)]
    pub token: TokenArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Input")]
#[group(skip)]
pub struct InputArgs {
    /// A CSV of sessions, or - for standard input
    ///
    /// Plain, gzip or zstd, told by the first bytes. Comma, semicolon or tab, told from the header.
    #[arg(value_name = "INPUT", help_heading = None::<&str>, value_parser = values::input_source())]
    pub source: InputSource,
    /// The character between columns [default: told from the header]
    ///
    /// `comma`, `semicolon`, `tab`, `pipe`, or the character itself.
    #[arg(long, value_name = "CHAR", value_parser = values::delimiter)]
    pub delimiter: Option<Delimiter>,
    /// Read an id from the column of this header, as in `session_id=Session`; may be repeated
    ///
    /// NAME is session_id, user_id or team_id. Without it, columns are found by these names, whatever their case, spaces, dashes
    /// and underscores. The variable has one of them a line.
    #[arg(long, value_name = "NAME=HEADER", value_delimiter = '\n', value_parser = values::column)]
    pub column: Vec<(IdColumn, String)>,
    /// Refuse an input that is larger than this once it is unpacked
    ///
    /// In bytes, or with KiB, MiB or GiB. A large input that is packed, or can be read only once, is copied: beside the
    /// results, or to $TMPDIR. How much is free there is looked at too.
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "8GiB")]
    pub max_input_size: u64,
    /// Which id goes beside the session's
    ///
    /// Slack takes a session by its owner or, in the older form, by its workspace. Only one of the two ids is sent. Where
    /// the first rows all end in `invalid_arguments`, the other form is worth a try.
    #[arg(long, value_name = "ID", value_enum, default_value_t = Identify::Auto)]
    pub identify_by: Identify,
    /// End every session of the users named, listed or not, on all devices
    ///
    /// Asks Slack's admin.users.session.resetBulk for up to 1,000 users in one call. It is asynchronous: the status is
    /// `requested`, and `verify` proves what became of it. The input needs user_id; session_id is not looked at, but for
    /// --protect: a protected session protects its user. No row is a duplicate: all rows of a user end alike. A second
    /// confirmation is asked for, see --confirm-users.
    #[arg(long)]
    pub whole_users: bool,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Output")]
#[group(skip)]
pub struct OutputArgs {
    /// Where the results go [default: beside the input, sessions.results.csv]
    ///
    /// One record per row that has ended: the input's columns, then how it ended. An existing file is refused unless
    /// --resume is given. Required with standard input. The results of a rehearsal go to sessions.rehearsal.csv, and are
    /// replaced each time.
    #[arg(short, long, value_name = "FILE", value_parser = values::file())]
    pub output: Option<PathBuf>,
    /// Continue the run whose results are in the output
    ///
    /// The input has to be the same, or the same with rows added at the end. Rows that have a record are not sent again,
    /// failed ones too: feed the remaining file to a new run for these.
    #[arg(long)]
    pub resume: bool,
    /// Continue what is in the output, begin where nothing is, and put results of another input aside: for timers
    ///
    /// The same command line serves every night. A run that was cut off is continued. Where every row has ended, nothing is
    /// sent, or only the rows that were added. Where the input is another one, the files of the earlier run are kept under
    /// names with its run id, and a new run begins; rows that the earlier one never ended are warned of, also under -q.
    #[arg(long)]
    pub resume_or_start: bool,
    /// File for rows that still need to be processed [default: beside the output, .remaining.csv]
    ///
    /// Written at the end, in the input's own shape, so that it can be used as input: rows that are failed, unknown, invalid
    /// or not reached; with --strict also those not found. Never protected rows. Not written if nothing remains. A file that
    /// isn't this run's is refused before the first row, and a resumed run removes its own until it has ended.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub remaining: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Pace")]
#[group(skip)]
pub struct PaceArgs {
    /// How fast: N/s, N/min, N/h, auto or unlimited
    ///
    /// `auto` starts at Slack's Tier 2 and finds the real limit. `unlimited` is for a rehearsal, or a server on the
    /// loopback address. Whatever the rate, a Retry-After is always waited for.
    #[arg(long, value_name = "RATE", value_parser = values::rate, default_value = "auto")]
    pub rate: RateChoice,
    /// Where `--rate auto` begins [default: 20/min]
    ///
    /// What a run learnt of the limit is in its manifest, and `plan` offers it to the next one.
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>)]
    pub start_rate: Option<Rate>,
    /// The most that `--rate auto` tries in total [default: 300/min]
    ///
    /// Slack promises 20 calls a minute and does not say how many more it takes.
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>)]
    pub max_rate: Option<Rate>,
    /// Which rows share a limit
    ///
    /// Slack does not say whether an organisation's token has one limit, or one for each workspace. `auto` takes it for one,
    /// and tests the other at the first 429.
    #[arg(long, value_name = "BUCKET", value_enum, default_value_t = BucketPolicy::Auto)]
    pub bucket: BucketPolicy,
    /// Calls in flight, 1 to 256 [default: from the rate and the latency, at most 16]
    ///
    /// More of them do not make a run faster than its rate.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
}

/// The part of "Pace" that every command has which calls Slack.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Pace")]
#[group(skip)]
pub struct CallArgs {
    /// Attempts after the first where the answer is transient, 0 to 100
    ///
    /// Being rate limited is no attempt.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100), default_value_t = 5)]
    pub retries: u32,
    /// How long one call may take, connecting included
    ///
    /// A call that got no answer may have ended its session: it counts as an attempt, and the row is sent again. A run that is
    /// asked to stop waits for its calls as long as this.
    #[arg(long, value_name = "TIME", value_parser = values::timeout, default_value = "30s")]
    pub timeout: Duration,
    /// A longer pause than this ends the run, to be resumed
    ///
    /// The run says when to come back. Slack out of reach for as long ends it too.
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "15m")]
    pub max_retry_after: Duration,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Safety")]
#[group(skip)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag as it was typed")]
pub struct SafetyArgs {
    /// Send nothing: the same as `plan`
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Send without asking
    ///
    /// Without it, a terminal is asked once, after the plan. Where there is no terminal, the run is refused.
    #[arg(short, long)]
    pub yes: bool,
    /// Confirm that --whole-users logs out exactly N users
    ///
    /// Where it is not given, a terminal is asked to type the number; without a terminal the run is refused, --yes or not.
    /// N is the number of users in the input that `plan --whole-users` tells, and another number is refused.
    #[arg(long, value_name = "N")]
    pub confirm_users: Option<u64>,
    /// Do the whole run against a stand-in for Slack, inside the program
    ///
    /// It limits calls to Tier 2 as Slack does, is spoken to over real HTTP on the loopback address, needs no token, and
    /// asks nothing. Nothing is revoked.
    #[arg(long)]
    pub rehearse: bool,
    /// Stop, to be resumed, at this many failed rows: N or N%
    ///
    /// Rows that are failed or unknown count; with --strict those not found too. A share counts once 50 rows have ended
    /// by an answer. `1` stops at the first failed row, `100%` only where every row fails.
    #[arg(long, value_name = "N", value_parser = values::max_failures, default_value = "20%")]
    pub max_failures: MaxFailures,
    /// Stop sending after this long, to be resumed [default: none]
    ///
    /// As in 90m, 6h or `1h 30m`. Calls in flight are finished, and the exit code is 3.
    #[arg(long, value_name = "TIME", value_parser = values::deadline)]
    pub deadline: Option<Duration>,
    /// User ids and session ids that must never be revoked [default: none]
    ///
    /// One a line; # begins a comment. A user's rows are known by their user_id column: see --allow-unowned if rows have none.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub protect: Option<PathBuf>,
    /// Send rows that name no user although --protect lists users
    ///
    /// Whether such a row belongs to a protected user can't be known. Without this, the run is refused if --yes is given, and the
    /// question says it otherwise. `resolve` adds the users.
    #[arg(long)]
    pub allow_unowned: bool,
    /// Do not protect the sessions of the token's own user
    ///
    /// Without it, rows whose user_id is the token's own user are `protected`. Rows without a user_id cannot be told apart.
    #[arg(long)]
    pub allow_self: bool,
    /// Do not wait for the first row's answer before sending others
    ///
    /// The first row goes alone, so that a wrong token or a wrong form of ids shows after one call.
    #[arg(long)]
    pub no_canary: bool,
    /// Count `not_found` as a failure
    ///
    /// A session that Slack does not know is gone, or its two ids do not belong together. With this, such rows count for
    /// --max-failures and exit code 1, and are in the remaining file.
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Token")]
#[group(skip)]
pub struct TokenArgs {
    /// Read the token from this file [default: SLACK_TOKEN, then systemd's credential slack-token]
    ///
    /// Refused where group or others can read it. Read again where the token expires during the run. Where there is no
    /// token anywhere, a terminal is asked for one.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub token_file: Option<PathBuf>,
    /// Read the token from the output of this command
    ///
    /// Run by the shell; run again where the token expires during the run.
    #[arg(long, value_name = "CMD", value_parser = values::text)]
    pub token_command: Option<String>,
    /// Where Slack's API is [default: https://slack.com/api/]
    ///
    /// https only, except on the loopback address. GovSlack is https://slack-gov.com/api/.
    #[arg(long, value_name = "URL", value_parser = values::text)]
    pub api_url: Option<String>,
    /// Let the token go to this host, which is not Slack's; may be repeated
    ///
    /// For an --api-url that is a gateway of your own. Slack, GovSlack and the loopback address need none.
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = values::host)]
    pub allow_host: Vec<String>,
}

/// The heading "Reporting" continues [`super::GlobalArgs`].
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Reporting")]
#[group(skip)]
pub struct ReportArgs {
    /// Add every event to this file as it happens, one JSON object a line
    ///
    /// Each call, each row's end, each pause, and the end of the run.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub events: Option<PathBuf>,
    /// Write the totals to this file at the end, as JSON
    ///
    /// With the exit code, the files, and the command that continues the run.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub summary_json: Option<PathBuf>,
    /// Write Prometheus metrics to this file at the end, for node_exporter; replaced atomically
    ///
    /// With the time of the last success, for an alert about a job that no longer runs.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub metrics_file: Option<PathBuf>,
    /// Run this command once the run has ended and its files are written, however it ended
    ///
    /// Run by the shell, with SLACK_REVOKE_EXIT_CODE, SLACK_REVOKE_STATUS (complete, rows_failed, stopped, denied,
    /// unavailable, unwritable, fault, interrupted, terminated), SLACK_REVOKE_MODE (run, rehearsal), SLACK_REVOKE_RUN_ID,
    /// SLACK_REVOKE_RESULTS and SLACK_REVOKE_SUMMARY: the file of --summary-json, else OUTPUT.summary.json. Neither SLACK_TOKEN
    /// nor systemd's credentials are there. What it prints goes to standard error. It has a minute, then it is killed, and
    /// whatever becomes of it, the exit code stays the run's. It is not run where the run was refused before it began, and
    /// not after a second signal.
    #[arg(long, value_name = "CMD", value_parser = values::text)]
    pub on_finish: Option<String>,
    /// Why the run is made; goes into the manifest
    ///
    /// A ticket, as in --reason INC-1234.
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub reason: Option<String>,
}
