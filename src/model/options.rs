//! Settings of the command line that inner modules use.

use super::Rate;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

pub const API_URL: &str = "https://slack.com/api/";

/// Whether a host, without brackets, is in 127.0.0.0/8, `::1`, or `localhost`, which the client resolves to these
/// itself.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputSource {
    /// `-` or another path of standard input.
    Stdin,
    /// A FIFO, a device, or a path of an open descriptor, as from `<(…)`. It can be read once, and nothing can be
    /// written next to it.
    Stream(PathBuf),
    /// A regular file, or a path that doesn't exist.
    File(PathBuf),
}

impl fmt::Display for InputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Stream(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    pub const COMMA: Self = Self(b',');
    pub const SEMICOLON: Self = Self(b';');
    pub const TAB: Self = Self(b'\t');

    /// Accepts one ASCII punctuation mark, or a tab, also written as `tab` or `\t`.
    ///
    /// # Errors
    /// If it may be part of an id, is a quote, or is more than one character.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.as_bytes() {
            b"tab" | b"\\t" | b"\t" => Ok(Self::TAB),
            [b'"' | b'_'] => Err("a quote or an underscore cannot stand between columns"),
            &[byte] if byte.is_ascii_punctuation() => Ok(Self(byte)),
            _ => Err("a delimiter is one punctuation mark, such as , or ; or |, or tab"),
        }
    }

    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }
}

/// `--identify-by`: which id is sent with `session_id` (slack.md, "The call").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identify {
    /// By `user_id` if the row has one, otherwise by `team_id`.
    #[default]
    Auto,
    /// Only by `user_id`.
    User,
    /// Only by `team_id`.
    Team,
}

impl Identify {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::User => "user",
            Self::Team => "team",
        }
    }
}

/// `--rate`, with `--start-rate` and `--max-rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateChoice {
    /// The limit is found during the run. `start` is at most `max`.
    Auto {
        start: Rate,
        max: Rate,
    },
    Fixed(Rate),
    /// Only for loopback addresses.
    Unlimited,
}

/// `--bucket`: which rows share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketPolicy {
    /// Detect it (pacing.md, "Learn the buckets").
    Auto,
    Org,
    /// One bucket per workspace that requests name.
    Team,
}

/// `--quota`: where the shared state of the rate limits is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaChoice {
    /// In files on this machine.
    Auto,
    /// On a Redis server.
    Redis(StoreUrl),
    /// Not shared.
    None,
}

/// The URL of a Redis server. It may contain a password, so it is never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Box<str>);

impl StoreUrl {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(url.into())
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// `--priority`: who gets a shared limit first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    #[default]
    Normal,
    /// While such a run has rows left, all others together get one call a minute.
    Incident,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    Rows(u64),
    /// Share of the rows that were sent and have ended, 0 to 1; applies once 50 of them have ended.
    Share(f64),
}

/// Minimum number of ended rows for [`MaxFailures::Share`] (contract.md, `--max-failures`).
const ENOUGH_FOR_A_SHARE: u64 = 50;

impl MaxFailures {
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    pub fn reached(self, failed: u64, ended: u64) -> bool {
        match self {
            Self::Rows(most) => failed >= most.max(1),
            Self::Share(most) => failed > 0 && ended >= ENOUGH_FOR_A_SHARE && failed as f64 / ended as f64 >= most,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The variable `SLACK_TOKEN`.
    Env,
    /// `--token-file`
    File(PathBuf),
    /// `--token-command`, run by `sh -c`.
    Command(String),
    /// `$CREDENTIALS_DIRECTORY/slack-token`, from systemd.
    Credential(PathBuf),
    Prompt,
}

impl TokenSource {
    /// Whether an expired token can be read again without asking anybody.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        match self {
            Self::File(_) | Self::Command(_) => true,
            Self::Env | Self::Credential(_) | Self::Prompt => false,
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env => f.write_str("SLACK_TOKEN"),
            Self::File(path) => write!(f, "--token-file {}", path.display()),
            // The command may contain a secret.
            Self::Command(_) => f.write_str("--token-command"),
            Self::Credential(path) => write!(f, "the systemd credential {}", path.display()),
            Self::Prompt => f.write_str("the prompt"),
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({self})")
    }
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// `-q`, nothing, `-v`, `-vv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors and warnings: no progress, no notices, no totals.
    Quiet,
    #[default]
    Normal,
    /// Also a line for each row that ended.
    Rows,
    /// Also one for each call and each retry.
    Calls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenMode {
    Bar,
    /// A line about every 10 s.
    Plain,
    None,
}

/// The input compared with that of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputMatch {
    Same,
    /// The earlier content with lines appended.
    Appended,
    Other,
}

/// How standard error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputStyle {
    pub progress: ScreenMode,
    pub color: bool,
    pub verbosity: Verbosity,
    pub log_format: LogFormat,
}

/// Which sessions of whole users are ended, if not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    Web,
    Mobile,
}

impl SessionKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Mobile => "mobile",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_failures_is_a_count_or_a_share() {
        for (rule, failed, ended, reached) in [
            (MaxFailures::Rows(3), 2, 1000, false),
            (MaxFailures::Rows(3), 3, 3, true),
            (MaxFailures::Rows(0), 0, 3, false),
            (MaxFailures::Share(0.2), 49, 49, false),
            (MaxFailures::Share(0.2), 10, 50, true),
            (MaxFailures::Share(0.2), 9, 50, false),
            (MaxFailures::Share(0.0), 0, 50, false),
        ] {
            assert_eq!(rule.reached(failed, ended), reached, "{rule:?} {failed}/{ended}");
        }
    }
}
