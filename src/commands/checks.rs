//! The checks that `doctor` prints and `run` records in its manifest. Pure.

use crate::commands::listing;
use crate::commands::token::Identified;
use crate::model::{CheckMark, Checked, LimitUse, RateChoice, TeamId, Timestamp};
use crate::output::{WEAKENED, clean, format_duration, limit_words, spaced};
use crate::slack::{AuthTest, Proxy, Token};
use std::fmt::Write as _;
use std::time::Duration;

/// The scope that a revocation needs (slack.md, "The call").
const WRITE: &str = "admin.users:write";

/// Maximum deviation of the clock. With a larger one, timestamps don't match other logs.
const MOST_APART: Duration = Duration::from_secs(30);

const CLOCK: &str = "clock";

/// The same on a terminal and in a file.
fn symbol(mark: CheckMark) -> char {
    match mark {
        CheckMark::Ok => '✓',
        CheckMark::Warning => '!',
        CheckMark::Failed => '✗',
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A stable word for programs.
    pub name: &'static str,
    pub mark: CheckMark,
    pub text: String,
    pub next: Option<String>,
}

impl Check {
    fn new(name: &'static str, mark: CheckMark, text: impl Into<String>) -> Self {
        Self { name, mark, text: text.into(), next: None }
    }

    pub fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, CheckMark::Ok, text)
    }

    pub fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, CheckMark::Warning, text)
    }

    pub fn failed(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, CheckMark::Failed, text)
    }

    pub fn advise(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    fn sentence(&self) -> String {
        let next = self.next.as_ref().map_or_else(String::new, |next| format!("; {next}"));
        format!("{}{next}", self.text)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    pub fn add(&mut self, check: Check) {
        self.0.push(check);
    }

    pub fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.0.extend(checks);
    }

    /// One line per check, with what to do.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for check in &self.0 {
            let line = check.sentence().replace('\n', " ");
            let _ = writeln!(text, "{} {:<12} {}", symbol(check.mark), check.name, clean(&line));
        }
        text
    }

    /// Warns about each check that isn't ok.
    pub fn warn(&self) {
        let not_good = self.0.iter().filter(|check| check.mark != CheckMark::Ok);
        for check in not_good {
            let (name, sentence) = (check.name, check.sentence());
            // Timestamps that don't match other logs are weaker evidence; the other checks say whether the run will work.
            if name == CLOCK {
                tracing::warn!(target: WEAKENED, "{name}: {sentence}");
            } else {
                tracing::warn!("{name}: {sentence}");
            }
        }
    }

    pub fn to_manifest(&self) -> Vec<Checked> {
        let kept = |check: &Check| Checked {
            name: check.name.into(),
            mark: check.mark,
            what: clean(&check.text).into_owned(),
        };
        self.0.iter().map(kept).collect()
    }

    pub fn to_json(&self, exit_code: u8) -> String {
        let check = |check: &Check| {
            serde_json::json!({
                "name": check.name,
                "mark": check.mark,
                "text": check.text,
                "next": check.next,
            })
        };
        let checks: Vec<_> = self.0.iter().map(check).collect();
        format!("{:#}\n", serde_json::json!({ "checks": checks, "exit_code": exit_code }))
    }
}

pub fn stand_in_token() -> Check {
    Check::ok("token", "the stand-in's own")
}

pub fn token(token: &Token) -> Check {
    Check::ok("token", format!("{}, from {}", token.kind(), token.source()))
}

pub fn proxy(proxy: Option<&Proxy>) -> Check {
    let way = proxy.map_or_else(|| "none: calls are sent directly".into(), |proxy| format!("through {proxy}"));
    Check::ok("proxy", way)
}

/// Slack answered, which it only does over a trusted connection.
pub fn connection(host: &str, is_https: bool) -> Check {
    let how = if is_https { "and its certificate is trusted (TLS)" } else { "not encrypted: it is this machine" };
    Check::ok("connection", format!("{host} answers, {how}"))
}

/// How long a run of `rows` rows takes at the given rate; for `auto`, at the rate it starts with.
pub fn takes(rows: u64, rate: RateChoice) -> Duration {
    let per_minute = match rate {
        RateChoice::Auto { start, .. } => start.per_minute(),
        RateChoice::Fixed(rate) => rate.per_minute(),
        RateChoice::Unlimited => return Duration::ZERO,
    };
    spaced(rows, per_minute).unwrap_or(Duration::MAX)
}

pub fn identity(auth: &AuthTest) -> Check {
    let name = auth.user.as_deref().unwrap_or("a user without a name");
    Check::ok("identity", format!("{name} ({})", auth.user_id))
}

/// The organization of the token: the admin methods exist on Enterprise Grid only.
pub fn organization(auth: &AuthTest) -> Check {
    let team = auth.team.as_deref().unwrap_or("without a name");
    let id = auth.team_id.as_ref().map_or("", TeamId::as_str);
    match (&auth.enterprise_id, auth.is_enterprise_install) {
        (None, _) => Check::warning("organization", format!("{team} ({id}) isn't an Enterprise Grid organization"))
            .advise("Slack's admin methods only exist for organizations"),
        (Some(org), Some(false)) => {
            let what = format!("{org}, but the app is installed on the workspace {team} ({id}) alone");
            Check::warning("organization", what).advise("install the app on the organization")
        }
        (Some(org), Some(true) | None) => Check::ok("organization", format!("{team} ({org})")),
    }
}

/// The scopes that all commands need.
pub fn scopes(auth: &AuthTest) -> Check {
    let read = listing::SCOPE;
    match (auth.has_scope(WRITE), auth.has_scope(read)) {
        (None, _) | (_, None) => Check::warning("scopes", "Slack did not name the token's scopes")
            .advise(format!("run needs {WRITE}; list, resolve and verify need {read}")),
        (Some(true), Some(true)) => {
            Check::ok("scopes", format!("{WRITE} for run, {read} for list, resolve and verify"))
        }
        (Some(true), Some(false)) => Check::warning(
            "scopes",
            format!("{WRITE} for run; {read} is missing, so list, resolve and verify will not work"),
        )
        .advise("add it to the app, then install it again"),
        (Some(false), read_is_there) => {
            let also = if read_is_there == Some(true) { String::new() } else { format!(", and {read} too") };
            Check::failed("scopes", format!("{WRITE} is missing{also}, so run will not work"))
                .advise("add the user scope to the app, then install it again")
        }
    }
}

/// The scope that a run needs.
pub fn scope_of_run(auth: &AuthTest) -> Check {
    match auth.has_scope(WRITE) {
        Some(true) => Check::ok("scopes", format!("{WRITE} for run")),
        None => Check::ok("scopes", format!("not named by Slack; run needs {WRITE}")),
        Some(false) => Check::failed("scopes", format!("{WRITE} is missing, so Slack will most likely refuse"))
            .advise("add the user scope to the app, then install it again"),
    }
}

/// Whether the token is valid for as long as the run takes, if an input is given.
pub fn expiry(expires_in: Option<Duration>, run: Option<Duration>, renewable: bool) -> Check {
    let takes = run.map_or_else(String::new, |run| format!("; the run takes about {}", format_duration(run)));
    let Some(left) = expires_in else {
        return Check::ok("expiry", format!("the token does not expire{takes}"));
    };
    let what = format!("the token expires in {}{takes}", format_duration(left));
    if run.is_none_or(|run| run < left) {
        return Check::ok("expiry", what);
    }
    if renewable {
        return Check::ok("expiry", format!("{what}, and a fresh one is read from the same source"));
    }
    Check::warning("expiry", what).advise(
        "use --token-file or --token-command, which are asked again, or continue with --resume and a fresh token",
    )
}

/// The checks about time, once `auth.test` has answered.
pub fn times(identified: &Identified, run: Option<Duration>, renewable: bool) -> [Check; 3] {
    let Identified { auth, asked_at, took } = identified;
    [expiry(auth.expires_in, run, renewable), clock(auth.server_date, *asked_at, *took), round_trip(*took)]
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    Duration::from_millis(one.as_millis().abs_diff(other.as_millis()))
}

/// Compares this machine's clock with the server's, which has whole seconds. The answer was made at an unknown time
/// during the call.
pub fn clock(server: Option<Timestamp>, asked_at: Timestamp, took: Duration) -> Check {
    let Some(server) = server else {
        return Check::warning(CLOCK, "the server didn't send its time");
    };
    let off = apart(server, asked_at).saturating_sub(took + Duration::from_secs(1));
    if off <= MOST_APART {
        return Check::ok(CLOCK, "this machine's clock agrees with the server's");
    }
    let way = if server > asked_at { "behind" } else { "ahead of" };
    Check::warning(CLOCK, format!("this machine's clock is {} {way} the server's", format_duration(off)))
        .advise("set it, or the timestamps in the results won't match other logs")
}

/// The users of a rate limit, when its pause ends, and the learned rate.
pub fn limit(limit: &LimitUse, now: Timestamp) -> Check {
    let words = limit_words(limit, now);
    match (&limit.closed_until, limit.runs.is_empty()) {
        (None, true) => Check::ok("limit", words),
        (None, false) => Check::warning("limit", words).advise("a run gets its share; --priority incident goes first"),
        (Some(_), _) => Check::warning("limit", words).advise("a run waits for the end of the pause"),
    }
}

pub fn round_trip(took: Duration) -> Check {
    Check::ok("round trip", format!("{} ms, connecting included", took.as_millis()))
}

#[cfg(test)]
mod tests;
