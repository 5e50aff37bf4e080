//! The flags of `list`, `resolve`, `verify`, `report` and `doctor`.

use super::values;
use super::{CallArgs, TokenArgs};
use crate::model::{Delimiter, IdColumn, InputSource, Rate, RateChoice, TeamId, UserId};
use clap::Args;
use ipnet::IpNet;
use std::path::PathBuf;

/// How Slack is called by commands other than `run`.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct RemoteArgs {
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
    /// How fast: N/s, N/min, N/h, auto or unlimited
    ///
    /// `auto` starts at Slack's Tier 2 and finds the real limit. `unlimited` is for a server on the loopback address.
    /// Whatever the rate, a Retry-After is always waited for.
    #[arg(long, value_name = "RATE", value_parser = values::rate, default_value = "auto")]
    pub rate: RateChoice,
    /// Where `--rate auto` begins [default: 20/min]
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>)]
    pub start_rate: Option<Rate>,
    /// The most that `--rate auto` tries [default: 300/min]
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>)]
    pub max_rate: Option<Rate>,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ListArgs {
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Where the list goes [default: standard output]
    ///
    /// An existing file is refused unless --resume is given. FILE.listing.json beside it says when the listing began and
    /// finished, its filters, rows and hashes, and whether it is complete: run, plan, resolve and verify refuse a list that
    /// isn't finished, and know by it how old the list is.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Where the sessions go that the filters leave out
    ///
    /// The same columns. After the run, `verify --before FILE` tells by it which sessions of a user are new.
    #[arg(long, value_name = "FILE", value_parser = values::file(), requires = "output", help_heading = "Output")]
    pub others: Option<PathBuf>,
    /// Continue the listing in the output, where it was interrupted
    ///
    /// The filters have to be the same. Where nothing was begun yet, the listing begins.
    #[arg(long, requires = "output", help_heading = "Output")]
    pub resume: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
#[group(skip)]
pub struct FilterArgs {
    /// Only the sessions in this workspace of the user that --user names
    #[arg(long, value_name = "ID", value_parser = TeamId::parse, requires = "user")]
    pub team: Option<TeamId>,
    /// Only the sessions of this user in the workspace that --team names
    #[arg(long, value_name = "ID", value_parser = UserId::parse, requires = "team")]
    pub user: Option<UserId>,
    /// Only sessions that began at, or were last seen at, an address of this range; may be repeated
    ///
    /// IPv4 or IPv6: 192.0.2.7, 203.0.113.0/24, 2001:db8::/32. A session whose address can't be read is left out, and counted.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address_range)]
    pub ip: Vec<IpNet>,
    /// No session that began at, or was last seen at, an address of this range; may be repeated
    ///
    /// A session whose address can't be read may be in the range: it is left out, and counted.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address_range)]
    pub not_ip: Vec<IpNet>,
    /// Only sessions whose operating system has this in its name or version; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub os: Vec<String>,
    /// Only sessions whose Slack client has this in its version; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub client: Vec<String>,
    /// Only sessions whose hardware has this in its name; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub device: Vec<String>,
    /// Only sessions of the users in this file
    ///
    /// One user id a line, with # for comments.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub users: Option<PathBuf>,
    /// No session of the users in this file
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub exclude_user: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ResolveArgs {
    /// A CSV of sessions, or - for standard input
    #[arg(value_name = "INPUT", value_parser = values::input_source())]
    pub source: InputSource,
    /// The character between columns [default: told from the header]
    ///
    /// `comma`, `semicolon`, `tab`, `pipe`, or the character itself.
    #[arg(long, value_name = "CHAR", value_parser = values::delimiter, help_heading = "Input")]
    pub delimiter: Option<Delimiter>,
    /// Read an id from the column of this header, as in `session_id=Session`; may be repeated
    ///
    /// As in `run`.
    #[arg(long, value_name = "NAME=HEADER", value_delimiter = '\n', value_parser = values::column, help_heading = "Input")]
    pub column: Vec<(IdColumn, String)>,
    /// Where the rows go [default: standard output]
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
    /// The results of a run
    #[arg(value_name = "RESULTS", value_parser = values::file())]
    pub results: PathBuf,
    /// Where the answers go [default: beside the results, .verified.csv]
    ///
    /// The columns of the results, then verified, new_sessions and new_ips. Replaced each time.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// A listing from before the run: its sessions are not new; may be repeated
    ///
    /// Such as the one of `list --others`. Without it every session that the results do not name counts as new, also one
    /// that its user had all the time.
    #[arg(long, value_name = "FILE", value_parser = values::file())]
    pub before: Vec<PathBuf>,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct PageArgs {
    /// The results of a run
    #[arg(value_name = "RESULTS", value_parser = values::file())]
    pub results: PathBuf,
    /// Where the page goes [default: beside the results, .report.html]
    ///
    /// An earlier page is replaced; any other file that exists is refused.
    #[arg(short, long, value_name = "FILE", value_parser = values::file(), help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// The events of the run, as `run --events` wrote them
    ///
    /// The manifest has the first thousand pauses and estimates of each run; the events have all of them, and the outages.
    #[arg(long, value_name = "FILE", value_parser = values::file(), help_heading = "Input")]
    pub events: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct DoctorArgs {
    /// A CSV of sessions: does the token last as long as its run would take?
    #[arg(value_name = "INPUT", value_parser = values::file())]
    pub input: Option<PathBuf>,
    /// Print the checks as one JSON object on standard output
    #[arg(long, help_heading = "Reporting")]
    pub json: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}
