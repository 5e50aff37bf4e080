//! The flags of `list`, `from-audit`, `resolve`, `verify`, `report` and `doctor`.

use super::values;
use super::{CallArgs, SealArgs, TokenArgs};
use crate::model::{Delimiter, IdColumn, InputSource, Person, Rate, RateChoice, TeamId, Timestamp, UserId};
use clap::Args;
use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

/// How Slack is called by commands other than `run`.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct RemoteArgs {
    /// Use the built-in stand-in for Slack; needs no token
    ///
    /// The rehearsals in one folder share an organization: what `run --rehearse` ended there, `list` and `verify` no longer find. It
    /// is kept in rehearsal-organization.csv; `list`, `resolve` and `doctor` create a sample organization if there is none.
    #[arg(long, help_heading = "Safety")]
    pub rehearse: bool,
    #[command(flatten)]
    pub rates: RateArgs,
    #[command(flatten)]
    pub call: CallArgs,
    #[command(flatten)]
    pub token: TokenArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pace")]
#[group(skip)]
pub struct RateArgs {
    /// Call rate: N/s, N/min, N/h, auto or unlimited
    ///
    /// `auto` finds the real limit: it sends faster until Slack answers 429, then keeps to its estimate. `unlimited` is only for
    /// servers on the loopback address. Retry-After is always honored.
    #[arg(long, value_name = "RATE", value_parser = values::rate, default_value = "auto")]
    pub rate: RateChoice,
    /// Limit that `--rate auto` expects at the start [default: 20/min]
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>, hide_short_help = true)]
    pub start_rate: Option<Rate>,
    /// Highest rate that `--rate auto` tries [default: 300/min]
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>, hide_short_help = true)]
    pub max_rate: Option<Rate>,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ListArgs {
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Output file [default: standard output]
    ///
    /// An existing file is refused unless --resume is given. FILE.listing.json next to it records when the listing began and
    /// finished, its filters, rows and hashes, and whether it is complete. run, plan, resolve and verify use it to refuse an
    /// unfinished list and to determine the list's age.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// File for the sessions that the filters exclude
    ///
    /// Has the same columns. After the run, `verify --before FILE` uses it to recognize new sessions.
    #[arg(long, value_name = "FILE", value_parser = values::file(), requires = "output", help_heading = "Output")]
    pub others: Option<PathBuf>,
    /// Continue an interrupted listing
    ///
    /// The filters must be the same. If nothing has been listed yet, the listing starts.
    #[arg(long, requires = "output", help_heading = "Output")]
    pub resume: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
#[group(skip)]
pub struct FilterArgs {
    /// Only sessions in this workspace; needs --user
    #[arg(long, value_name = "ID", value_parser = TeamId::parse, requires = "user")]
    pub team: Option<TeamId>,
    /// Only sessions of this user; needs --team
    #[arg(long, value_name = "ID", value_parser = UserId::parse, requires = "team")]
    pub user: Option<UserId>,
    /// Only sessions that began at or were last seen at an address in this range; repeatable
    ///
    /// IPv4 or IPv6: 192.0.2.7, 203.0.113.0/24, 2001:db8::/32. Sessions with an unreadable address are excluded and counted.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address_range)]
    pub ip: Vec<IpNet>,
    /// Exclude sessions that began at or were last seen at an address in this range; repeatable
    ///
    /// Sessions with an unreadable address may be in the range, so they are excluded and counted.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address_range, hide_short_help = true)]
    pub not_ip: Vec<IpNet>,
    /// Only sessions whose operating system name or version contains this; repeatable
    #[arg(long, value_name = "TEXT", value_parser = values::text, hide_short_help = true)]
    pub os: Vec<String>,
    /// Only sessions whose Slack client version contains this; repeatable
    #[arg(long, value_name = "TEXT", value_parser = values::text, hide_short_help = true)]
    pub client: Vec<String>,
    /// Only sessions whose hardware name contains this; repeatable
    #[arg(long, value_name = "TEXT", value_parser = values::text, hide_short_help = true)]
    pub device: Vec<String>,
    /// Only sessions of the users in this file
    ///
    /// One user id or e-mail address per line; # starts a comment. Addresses are looked up with admin.users.list, among active and
    /// deactivated accounts; if one isn't that of exactly one user, nothing is listed.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub users: Option<PathBuf>,
    /// Exclude sessions of the users in this file
    ///
    /// As for --users.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub exclude_user: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct FromAuditArgs {
    /// Files of audit log entries, or - for standard input
    ///
    /// JSON as Slack's API returns it, as an array, or one entry after another; CSV with a header; plain, gzip or zstd.
    #[arg(value_name = "FILE", required = true, value_parser = values::input_source())]
    pub sources: Vec<InputSource>,
    /// Where the entries are nested, e.g. event.original
    ///
    /// Names of members, separated by dots. A JSON text inside a string is read too. In a CSV, it begins with the header of the column
    /// that holds JSON.
    #[arg(long, value_name = "PATH", value_parser = values::text, help_heading = "Input")]
    pub path: Option<String>,
    /// Column separator of a CSV [default: detected from the header]
    #[arg(long, value_name = "CHAR", value_parser = values::delimiter, help_heading = "Input", hide_short_help = true)]
    pub delimiter: Option<Delimiter>,
    /// Read an id from the column with this header of a CSV, e.g. session_id=Session; repeatable
    ///
    /// NAME is session_id, user_id, team_id or email. By default, columns are found by their names and by what they hold.
    #[arg(long, value_name = "NAME=HEADER", value_delimiter = '\n', value_parser = values::column, help_heading = "Input", hide_short_help = true)]
    pub column: Vec<(IdColumn, String)>,
    #[command(flatten)]
    pub filters: AuditFilterArgs,
    /// Output file [default: standard output]
    ///
    /// An existing file is refused. Its last column, audit_entries, shows `run` where the sessions come from: it counts those
    /// that aren't found as failures, as with --strict.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// File for the users of entries without a session id
    ///
    /// One user id per line below a header: for `list --users` and for `run --whole-users`.
    #[arg(long, value_name = "FILE", value_parser = values::file(), help_heading = "Output", hide_short_help = true)]
    pub users_output: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
#[group(skip)]
pub struct AuditFilterArgs {
    /// Only entries from an address in this range; repeatable
    ///
    /// IPv4 or IPv6: 192.0.2.7, 203.0.113.0/24, 2001:db8::/32. Entries with an unreadable address are left out.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address_range)]
    pub ip: Vec<IpNet>,
    /// Exclude entries from an address in this range; repeatable
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address_range, hide_short_help = true)]
    pub not_ip: Vec<IpNet>,
    /// Only entries with this action, e.g. user_login; repeatable
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = values::text)]
    pub action: Vec<String>,
    /// Only entries from this moment on
    ///
    /// A day (2026-11-27, midnight UTC) or a time with its zone (2026-11-27T18:30:00Z).
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub since: Option<Timestamp>,
    /// Only entries before this moment
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub until: Option<Timestamp>,
    /// Only entries of this user, by id or e-mail address; repeatable
    #[arg(long, value_name = "USER", value_delimiter = ',', value_parser = Person::parse)]
    pub user: Vec<Person>,
    /// Only entries whose user agent contains this; repeatable
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub user_agent: Vec<String>,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ResolveArgs {
    /// CSV file of sessions, or - for standard input
    #[arg(value_name = "INPUT", value_parser = values::input_source())]
    pub source: InputSource,
    /// Column separator [default: detected from the header]
    ///
    /// `comma`, `semicolon`, `tab`, `pipe`, or the character itself.
    #[arg(long, value_name = "CHAR", value_parser = values::delimiter, help_heading = "Input", hide_short_help = true)]
    pub delimiter: Option<Delimiter>,
    /// Read an id from the column with this header, e.g. session_id=Session; repeatable
    ///
    /// Same as for `run`.
    #[arg(long, value_name = "NAME=HEADER", value_delimiter = '\n', value_parser = values::column, help_heading = "Input", hide_short_help = true)]
    pub column: Vec<(IdColumn, String)>,
    /// Compare every row with the sessions that Slack lists
    ///
    /// Adds the column listed: yes, no, or other_user if the session is another user's than the row's. Exits with 1 unless every row
    /// is listed. For sessions of `from-audit`, before anything is revoked.
    #[arg(long, help_heading = "Safety")]
    pub check: bool,
    /// Output file [default: standard output]
    ///
    /// An existing file is refused.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct VerifyArgs {
    /// Results file of a run
    #[arg(value_name = "RESULTS", value_parser = values::file())]
    pub results: PathBuf,
    /// Output file [default: next to the results, .verified.csv]
    ///
    /// The columns of the results, then verified, new_sessions and new_ips. Replaced each time.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Listing from before the run: its sessions don't count as new; repeatable
    ///
    /// For example the file of `list --others`. Without it, every session that isn't in the results counts as new, even one
    /// that existed before the run.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub before: Vec<PathBuf>,
    /// Check again and again until every revoked session is gone, at most for this long, e.g. 15m
    ///
    /// For `run --whole-users`, whose work Slack does later. Between two checks it waits 1s, then 2s, up to 30s. Exits with 0 once
    /// everything is gone, and with 1 if time is up. The output is replaced after each check.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub wait: Option<Duration>,
    #[command(flatten)]
    pub seal: SealArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct PageArgs {
    /// Results file of a run
    #[arg(value_name = "RESULTS", value_parser = values::file())]
    pub results: PathBuf,
    /// Output file [default: next to the results, .report.html]
    ///
    /// Replaces an earlier report. Any other existing file is refused.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Only accept the results of a rehearsal
    #[arg(long, help_heading = "Safety")]
    pub rehearse: bool,
    /// Events file written by `run --events`
    ///
    /// The manifest has the first thousand pauses and rate estimates of each run; the events file has all of them, and outages.
    #[arg(long, value_name = "FILE", value_parser = values::file(), help_heading = "Input")]
    pub events: Option<PathBuf>,
    /// Check that the files of the run are as recorded; write nothing
    ///
    /// Compares results, remaining rows, events, summary, verified results and report with their digests in the manifest, and counts
    /// the records again. Prints a line for each. Reads files only; --events says where the events are now. Exits with 1 if
    /// something differs or is missing, or the run has no end.
    #[arg(long, conflicts_with_all = ["output", "rehearse", "seal_command"], help_heading = "Safety")]
    pub check: bool,
    /// SHA-256 of the manifest, from the last step that printed it, to compare with
    ///
    /// Whoever can write the files can write the manifest too, so keep this digest elsewhere: a run, `verify` and `report` print it,
    /// and a run adds it to its events, its summary and the variables of --on-finish.
    #[arg(long, value_name = "HEX", value_parser = values::sha256, help_heading = "Safety")]
    pub manifest_sha256: Option<String>,
    #[command(flatten)]
    pub seal: SealArgs,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct DoctorArgs {
    /// CSV file of sessions: check whether the token outlives its run
    #[arg(value_name = "INPUT", value_parser = values::file())]
    pub input: Option<PathBuf>,
    /// Print the checks as JSON on standard output
    #[arg(long, help_heading = "Reporting")]
    pub json: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}
