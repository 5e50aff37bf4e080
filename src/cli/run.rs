//! The flags of `run`: one struct per heading of the help.

use super::values;
use crate::model::{
    BucketPolicy, Delimiter, IdColumn, Identify, InputSource, MaxFailures, Priority, QuotaChoice, Rate, RateChoice,
    SessionKind,
};
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
    /// CSV file of sessions, or - for standard input
    ///
    /// Plain, gzip or zstd, detected from the content. Comma, semicolon or tab, detected from the header.
    #[arg(value_name = "INPUT", help_heading = None::<&str>, value_parser = values::input_source())]
    pub source: InputSource,
    /// Column separator [default: detected from the header]
    ///
    /// `comma`, `semicolon`, `tab`, `pipe`, or the character itself.
    #[arg(long, value_name = "CHAR", value_parser = values::delimiter, hide_short_help = true)]
    pub delimiter: Option<Delimiter>,
    /// Read an id from the column with this header, e.g. session_id=Session; repeatable
    ///
    /// NAME is session_id, user_id, team_id or email (only `resolve` reads that one). HEADER may be a dotted name such as
    /// context.session_id. By default, columns are matched by these names; case, spaces, dashes and underscores are ignored. In the
    /// environment variable, separate entries with newlines.
    #[arg(long, value_name = "NAME=HEADER", value_delimiter = '\n', value_parser = values::column, hide_short_help = true)]
    pub column: Vec<(IdColumn, String)>,
    /// Refuse an input that is larger than this after decompression
    ///
    /// In bytes, or with KiB, MiB or GiB. A large input that is compressed, or that can only be read once, is copied next to the
    /// results or to $TMPDIR; free space is checked first.
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "8GiB", hide_short_help = true)]
    pub max_input_size: u64,
    /// Which id to send along with session_id
    ///
    /// Slack identifies a session by its user or, in the older form, by its workspace. Only one of the two ids is sent. If the
    /// first rows all fail with `invalid_arguments`, try the other form.
    #[arg(long, value_name = "ID", value_enum, default_value_t = Identify::Auto, hide_short_help = true)]
    pub identify_by: Identify,
    /// End the users all of whose sessions in this listing are in the input with resetBulk, everyone else session by session
    ///
    /// The same sessions end, with one call for up to 1,000 users instead of one call per session. LISTING is a listing that `list -o`
    /// has finished: of the whole organization, of --users, or the --others half of the listing whose -o is the input. Rows without
    /// user_id get their user from it. Protected users, users with a protected session and the token's own user are never ended this
    /// way. The status of these rows is `requested`, and `verify` proves the outcome; if Slack refuses a user, the rows are sent one by
    /// one. Sessions that began after the listing end too: see --max-listing-age.
    #[arg(long, value_name = "LISTING", value_parser = values::file(), hide_short_help = true)]
    pub bulk: Option<PathBuf>,
    /// Refuse a --bulk listing that is older than this
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "1h", hide_short_help = true)]
    pub max_listing_age: Duration,
    /// End every session of the listed users on all devices, listed or not
    ///
    /// Uses admin.users.session.resetBulk with up to 1,000 users per call. It is asynchronous: the status is `requested`, and
    /// `verify` proves the outcome. The input needs user_id. session_id is only used by --protect: a protected session protects its
    /// user. All rows of a user get the same result; none is a duplicate. Needs a second confirmation, see --confirm-users.
    #[arg(long, hide_short_help = true)]
    pub whole_users: bool,
    /// With --whole-users: end only the web or only the mobile sessions
    ///
    /// A listing doesn't say of which kind a session is, so `verify` can't prove that the kind is gone while others exist.
    #[arg(long, value_name = "KIND", value_enum, hide_short_help = true)]
    pub only: Option<SessionKind>,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Output")]
#[group(skip)]
pub struct OutputArgs {
    /// Results file [default: next to the input, sessions.results.csv]
    ///
    /// One record per processed row: the input's columns, then the result. An existing file is refused unless --resume is given.
    /// Required when reading standard input. A rehearsal writes to sessions.rehearsal.csv and replaces it each time.
    #[arg(short, long, value_name = "FILE", value_parser = values::file())]
    pub output: Option<PathBuf>,
    /// Continue the run whose results are in the output
    ///
    /// The input must be the same, or the same with rows appended. Rows that already have a record, including failed ones, aren't
    /// sent again; to retry them, run the remaining file.
    #[arg(long)]
    pub resume: bool,
    /// Resume if there is something to resume, otherwise start: for timers
    ///
    /// Lets a timer use the same command line every night. An interrupted run is continued. If every row is done, nothing is sent
    /// except rows that were appended. If the input is a different one, the previous run's files are renamed to include its run id, and
    /// a new run starts; rows that the previous run never finished are reported even with -q.
    #[arg(long)]
    pub resume_or_start: bool,
    /// File for rows that still need to be processed [default: next to the output, .remaining.csv]
    ///
    /// Written at the end, in the input's format, so that it can be used as input: rows that are failed, unknown, invalid or not
    /// reached, and with --strict rows that are not found. Never contains protected rows. Not written if nothing remains. A file that
    /// belongs to something else is refused before the first row. While a resumed run is in progress, its previous remaining file is removed.
    #[arg(long, value_name = "FILE", value_parser = values::file(), hide_short_help = true)]
    pub remaining: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Pace")]
#[group(skip)]
pub struct PaceArgs {
    /// Call rate: N/s, N/min, N/h, auto or unlimited
    ///
    /// `auto` finds the real limit: it sends faster until Slack answers 429, then keeps to its estimate. `unlimited` is only for
    /// rehearsals and servers on the loopback address. Retry-After is always honored.
    #[arg(long, value_name = "RATE", value_parser = values::rate, default_value = "auto")]
    pub rate: RateChoice,
    /// Limit that `--rate auto` expects at the start [default: 20/min]
    ///
    /// The manifest of a run records the rate it learned, and `plan` suggests it for the next run.
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>, hide_short_help = true)]
    pub start_rate: Option<Rate>,
    /// Highest total rate that `--rate auto` tries [default: 300/min]
    ///
    /// Slack guarantees 20 calls a minute and doesn't document how many more it accepts.
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>, hide_short_help = true)]
    pub max_rate: Option<Rate>,
    /// Which rows share a rate limit
    ///
    /// Slack doesn't document whether an organization's token has one limit or one per workspace. `auto` assumes one, and tests for
    /// the other at the first 429.
    #[arg(long, value_name = "BUCKET", value_enum, default_value_t = BucketPolicy::Auto, hide_short_help = true)]
    pub bucket: BucketPolicy,
    /// Maximum concurrent calls, 1 to 256 [default: from rate and latency]
    ///
    /// More workers don't make a run faster than its rate.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), hide_short_help = true)]
    pub workers: Option<u16>,
}

/// The part of "Pace" that every command has which calls Slack.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Pace")]
#[group(skip)]
pub struct CallArgs {
    /// Retries after a transient error, 0 to 100
    ///
    /// Rate-limited calls don't count as attempts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100), default_value_t = 5, hide_short_help = true)]
    pub retries: u32,
    /// Timeout of one call, including connecting
    ///
    /// A call that timed out may still have ended its session. It counts as an attempt, and the row is sent again. A run that is
    /// asked to stop waits this long for calls in flight.
    #[arg(long, value_name = "TIME", value_parser = values::timeout, default_value = "30s", hide_short_help = true)]
    pub timeout: Duration,
    /// Stop if Slack asks for a longer pause than this; the run can be resumed
    ///
    /// The run prints when to resume. It also stops if Slack is unreachable for this long.
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "15m", hide_short_help = true)]
    pub max_retry_after: Duration,
    /// Where runs share the state of the rate limit
    ///
    /// Slack counts calls per method and organization, whichever process makes them. Runs that share the state divide the limit
    /// by their remaining rows, and a pause that Slack asks for applies to all of them, also after a process has ended. `auto`
    /// keeps it in $STATE_DIRECTORY/limits, else $XDG_STATE_HOME/slack-revoke/limits, else ~/.local/state/slack-revoke/limits: for
    /// runs on one machine. redis://HOST[:PORT][/DATABASE], or rediss:// with TLS, keeps it on a Redis or Valkey server: for runs on
    /// several. A password comes from SLACK_REVOKE_QUOTA_PASSWORD or from the URL in SLACK_REVOKE_QUOTA, never from the command line.
    /// `none` shares nothing. If the state can't be used, the run says so and paces on its own. Not used with --rate unlimited or in
    /// a rehearsal.
    #[arg(long, value_name = "STORE", value_parser = values::quota, default_value = "auto", hide_short_help = true)]
    pub quota: QuotaChoice,
    /// Who gets a shared limit first
    ///
    /// While a run with `incident` has rows left, all other runs together get one call a minute.
    #[arg(long, value_name = "PRIORITY", value_enum, default_value_t = Priority::Normal, hide_short_help = true)]
    pub priority: Priority,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Safety")]
#[group(skip)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag as it was typed")]
pub struct SafetyArgs {
    /// Check everything and send nothing: same as `plan`
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Don't ask for confirmation
    ///
    /// Without it, the terminal is asked once after the plan is shown. If there is no terminal, the run is refused.
    #[arg(short, long)]
    pub yes: bool,
    /// Confirm that --whole-users, or --bulk, ends exactly N users as a whole
    ///
    /// With --bulk it is optional. With --whole-users, if it isn't given, the number has to be typed on the terminal; without a terminal the run is refused, even with --yes, unless
    /// --plan-id is given. N is the number of users that `plan` prints with the same flags. Any other number is refused.
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub confirm_users: Option<u64>,
    /// Send nothing unless this run is the plan with this id
    ///
    /// `plan` prints the id: a digest of the input, the protections, what is ended (sessions or whole users), the listing of
    /// --bulk, the API host and, if it has a token, the organization. If anything of it differs, the run ends with exit code 2 and
    /// says what. With --yes nothing else needs a confirmation, not even --whole-users. Recorded in the manifest.
    #[arg(long, value_name = "ID", value_parser = values::sha256, hide_short_help = true)]
    pub plan_id: Option<String>,
    /// Who approved the plan, recorded in the manifest with --plan-id
    #[arg(long, value_name = "TEXT", value_parser = values::text, hide_short_help = true)]
    pub approved_by: Option<String>,
    /// Refuse to run without --plan-id; rehearsals need none
    ///
    /// For machines on which every run is approved: set SLACK_REVOKE_REQUIRE_PLAN_ID=1.
    #[arg(long, hide_short_help = true)]
    pub require_plan_id: bool,
    /// Run everything against a built-in stand-in for Slack; nothing is revoked
    ///
    /// The stand-in limits calls to Tier 2 as Slack does, over real HTTP on the loopback address. No token is needed and no
    /// question is asked.
    #[arg(long)]
    pub rehearse: bool,
    /// Stop after N failed rows, or N%; the run can be resumed
    ///
    /// Counts rows that are failed or unknown; with --strict also rows that are not found. A percentage applies once 50 rows have
    /// been answered. `1` stops at the first failed row, `100%` only if every row fails.
    #[arg(long, value_name = "N", value_parser = values::max_failures, default_value = "20%", hide_short_help = true)]
    pub max_failures: MaxFailures,
    /// Stop sending after this long; the run can be resumed [default: none]
    ///
    /// For example 90m, 6h or `1h 30m`. Calls in flight are finished, and the exit code is 3.
    #[arg(long, value_name = "TIME", value_parser = values::deadline, hide_short_help = true)]
    pub deadline: Option<Duration>,
    /// When every row has ended, verify as `verify --wait TIME` does, and end one by one what calls for whole users left active
    ///
    /// Needs the scope admin.users:read. Sessions of the input that are still active after TIME are ended one by one, and verified
    /// again for up to TIME. The results keep `requested`; the verified file next to them has the proof, and the answers to the
    /// calls for single sessions. Exit code 1 if anything isn't verified as gone. A stopped run verifies once it is continued.
    #[arg(long, value_name = "TIME", value_parser = values::duration, hide_short_help = true)]
    pub then_verify: Option<Duration>,
    /// File of user ids, e-mail addresses and session ids that must never be revoked [default: none]
    ///
    /// One per line; # starts a comment. A user's rows are recognized by their user_id column; see --allow-unowned if rows have
    /// none. Addresses are looked up before the question (scope admin.users:read); if one isn't that of exactly one user, nothing is
    /// sent.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub protect: Option<PathBuf>,
    /// Send rows without a user although --protect lists users
    ///
    /// Such a row may belong to a protected user. Without this flag, the run is refused if --yes is given; otherwise the question
    /// mentions it. `resolve` adds the users, and the listing of --bulk has them.
    #[arg(long, hide_short_help = true)]
    pub allow_unowned: bool,
    /// Don't protect the sessions of the token's own user
    ///
    /// By default, rows whose user_id is the token's own user get the status `protected`. Rows without user_id can't be checked,
    /// unless --bulk lists them.
    #[arg(long, hide_short_help = true)]
    pub allow_self: bool,
    /// Don't wait for the first row's answer before sending others
    ///
    /// By default the first row is sent alone, so that a wrong token or wrong ids show up after a single call.
    #[arg(long, hide_short_help = true)]
    pub no_canary: bool,
    /// Count `not_found` as a failure
    ///
    /// A session that Slack doesn't know is gone, or its ids don't belong together. With this flag, such rows count toward
    /// --max-failures and exit code 1, and are in the remaining file. It is the default for sessions of `from-audit`, whose ids Slack
    /// may not know by these numbers.
    #[arg(long, hide_short_help = true)]
    pub strict: bool,
    /// Count `not_found` as gone, also for sessions of `from-audit`
    #[arg(long, conflicts_with = "strict", hide_short_help = true)]
    pub no_strict: bool,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Token")]
#[group(skip)]
pub struct TokenArgs {
    /// Read the token from this file [default: SLACK_TOKEN, then systemd credential slack-token]
    ///
    /// Refused if group or others can read it. Read again if the token expires during the run. If no token is found, the terminal is
    /// asked for one.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub token_file: Option<PathBuf>,
    /// Read the token from the output of this command
    ///
    /// Run by the shell, and run again if the token expires during the run.
    #[arg(long, value_name = "CMD", value_parser = values::text, hide_short_help = true)]
    pub token_command: Option<String>,
    /// Base URL of Slack's API [default: https://slack.com/api/]
    ///
    /// HTTPS only, except on the loopback address. GovSlack is https://slack-gov.com/api/.
    #[arg(long, value_name = "URL", value_parser = values::text, hide_short_help = true)]
    pub api_url: Option<String>,
    /// Allow sending the token to this non-Slack host; repeatable
    ///
    /// Needed if --api-url is a gateway of your own. Slack, GovSlack and the loopback address are always allowed.
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = values::host, hide_short_help = true)]
    pub allow_host: Vec<String>,
}

/// What every command has that leaves a manifest.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Reporting")]
#[group(skip)]
pub struct SealArgs {
    /// Run this command on the final manifest and keep its output, a signature or a timestamp, next to it
    ///
    /// Run by the shell, however the run ended, with SLACK_REVOKE_MANIFEST and SLACK_REVOKE_MANIFEST_SHA256, before --on-finish. Its
    /// standard output becomes OUTPUT.manifest.json.SHA256.seal. Limits and exit code as for --on-finish: a failure is logged, and
    /// nothing is sealed.
    #[arg(long, value_name = "CMD", value_parser = values::text, hide_short_help = true)]
    pub seal_command: Option<String>,
}

/// The heading "Reporting" continues [`super::GlobalArgs`].
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Reporting")]
#[group(skip)]
pub struct ReportArgs {
    /// Append events to this file as they happen, one JSON object per line
    ///
    /// Every call, the end of every row, every pause, and the end of the run.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub events: Option<PathBuf>,
    /// Write the totals to this file at the end, as JSON
    ///
    /// Includes the exit code, the files, and the command that continues the run.
    #[arg(long, value_name = "FILE", value_parser = values::file(), hide_short_help = true)]
    pub summary_json: Option<PathBuf>,
    /// Write Prometheus metrics to this file at the end, for node_exporter
    ///
    /// Replaced atomically. Includes the time of the last success, for alerting on a job that stopped running.
    #[arg(long, value_name = "FILE", value_parser = values::file(), hide_short_help = true)]
    pub metrics_file: Option<PathBuf>,
    /// Run this command after the run has ended and its files are written
    ///
    /// Run by the shell, however the run ended, with SLACK_REVOKE_EXIT_CODE, SLACK_REVOKE_STATUS (complete, rows_failed, stopped, denied,
    /// unavailable, unwritable, fault, interrupted, terminated), SLACK_REVOKE_MODE (run, rehearsal), SLACK_REVOKE_RUN_ID,
    /// SLACK_REVOKE_RESULTS, SLACK_REVOKE_MANIFEST, SLACK_REVOKE_MANIFEST_SHA256 and SLACK_REVOKE_SUMMARY (the file of --summary-json, else OUTPUT.summary.json). SLACK_TOKEN and systemd's
    /// credentials are removed from its environment. Its output goes to standard error. It is killed after a minute. A hook failure is
    /// logged and doesn't change the exit code. The hook isn't run if the run was refused before it began, or after a second signal.
    #[arg(long, value_name = "CMD", value_parser = values::text, hide_short_help = true)]
    pub on_finish: Option<String>,
    #[command(flatten)]
    pub seal: SealArgs,
    /// Reason for the run, recorded in the manifest
    ///
    /// A ticket, for example: --reason INC-1234.
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub reason: Option<String>,
}
