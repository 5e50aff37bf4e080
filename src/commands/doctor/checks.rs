//! The single checks, and how they are shown. Pure.

use super::apart;
use crate::commands::listing;
use crate::domain::{Stamp, TeamId, UserId};
use crate::report::{clean, human};
use crate::slack::AuthTest;
use std::fmt::Write as _;
use std::time::Duration;

/// The scope that a revocation needs (slack.md, "The call").
const WRITE: &str = "admin.users:write";

/// A clock that is off by more makes timestamps that no other log agrees with.
const MOST_APART: Duration = Duration::from_secs(30);

/// What a check found. The marks are the same on a terminal and in a file, so that either can be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Fit.
    Good,
    /// A run will work, and something is worth a look.
    Care,
    /// A run will not work.
    Bad,
}

impl Mark {
    fn symbol(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Care => '!',
            Self::Bad => '✗',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Care => "warning",
            Self::Bad => "failed",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word that stays.
    pub name: &'static str,
    /// What was found.
    pub mark: Mark,
    /// In words.
    pub text: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Check {
    /// A check with nothing to do about it.
    pub fn new(name: &'static str, mark: Mark, text: impl Into<String>) -> Self {
        Self { name, mark, text: text.into(), next: None }
    }

    /// Adds what to do.
    pub fn advise(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

/// All of them, in order.
#[derive(Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Adds one.
    pub fn add(&mut self, check: Check) {
        self.0.push(check);
    }

    /// A line a check; what to do stands in the same line.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for Check { name, mark, text: found, next } in &self.0 {
            let next = next.as_ref().map_or_else(String::new, |next| format!("; {next}"));
            let line = format!("{found}{next}").replace('\n', " ");
            let _ = writeln!(text, "{} {name:<12} {}", mark.symbol(), clean(&line));
        }
        text
    }

    /// One object, with the exit code.
    pub fn to_json(&self, exit_code: u8) -> String {
        let check = |check: &Check| {
            serde_json::json!({
                "name": check.name,
                "mark": check.mark.word(),
                "text": check.text,
                "next": check.next,
            })
        };
        let checks: Vec<_> = self.0.iter().map(check).collect();
        format!("{:#}\n", serde_json::json!({ "checks": checks, "exit_code": exit_code }))
    }
}

/// Who the token acts for.
pub fn identity(auth: &AuthTest) -> Check {
    let name = auth.user.as_deref().unwrap_or("a user without a name");
    match &auth.user_id {
        Some(id) => Check::new("identity", Mark::Good, format!("{name} ({})", UserId::as_str(id))),
        None => Check::new("identity", Mark::Care, format!("{name}, whose id Slack did not give"))
            .advise("rows of the token's own user cannot be spared"),
    }
}

/// Where the token is valid: the admin methods exist on Enterprise Grid alone.
pub fn organisation(auth: &AuthTest) -> Check {
    let team = auth.team.as_deref().unwrap_or("without a name");
    let id = auth.team_id.as_ref().map_or("", TeamId::as_str);
    match (&auth.enterprise_id, auth.is_enterprise_install) {
        (None, _) => {
            Check::new("organisation", Mark::Care, format!("{team} ({id}) is no Enterprise Grid organisation"))
                .advise("Slack has the admin methods for organisations alone")
        }
        (Some(org), Some(false)) => {
            let what = format!("{org}, but the app is installed on the workspace {team} ({id}) alone");
            Check::new("organisation", Mark::Care, what).advise("install the app on the organisation")
        }
        (Some(org), Some(true) | None) => Check::new("organisation", Mark::Good, format!("{team} ({org})")),
    }
}

/// What the commands need, against what the token has.
pub fn scopes(auth: &AuthTest) -> Check {
    let read = listing::SCOPE;
    match (auth.has_scope(WRITE), auth.has_scope(read)) {
        (None, _) | (_, None) => Check::new("scopes", Mark::Care, "Slack did not name the token's scopes")
            .advise(format!("run needs {WRITE}; list, resolve and verify need {read}")),
        (Some(true), Some(true)) => {
            Check::new("scopes", Mark::Good, format!("{WRITE} for run, {read} for list, resolve and verify"))
        }
        (Some(true), Some(false)) => Check::new(
            "scopes",
            Mark::Care,
            format!("{WRITE} for run; {read} is missing, so list, resolve and verify will not work"),
        )
        .advise("add it to the app, then install it again"),
        (Some(false), read_is_there) => {
            let also = if read_is_there == Some(true) { String::new() } else { format!(", and {read} too") };
            Check::new("scopes", Mark::Bad, format!("{WRITE} is missing{also}, so run will not work"))
                .advise("add the user scope to the app, then install it again")
        }
    }
}

/// Whether the token lasts, as long as a run of the input takes where one is given.
pub fn expiry(expires_in: Option<Duration>, run: Option<Duration>, renewable: bool) -> Check {
    let takes = run.map_or_else(String::new, |run| format!("; the run takes about {}", human(run)));
    let Some(left) = expires_in else {
        return Check::new("expiry", Mark::Good, format!("the token does not expire{takes}"));
    };
    let what = format!("the token expires in {}{takes}", human(left));
    if run.is_none_or(|run| run < left) {
        return Check::new("expiry", Mark::Good, what);
    }
    if renewable {
        return Check::new("expiry", Mark::Good, format!("{what}, and a fresh one is read from the same source"));
    }
    Check::new("expiry", Mark::Care, what).advise(
        "use --token-file or --token-command, which are asked again, or continue with --resume and a fresh token",
    )
}

/// This machine's clock against the server's, which has whole seconds. The answer was made some time within the call.
pub fn clock(server: Option<Stamp>, asked_at: Stamp, took: Duration) -> Check {
    let Some(server) = server else {
        return Check::new("clock", Mark::Care, "the server did not tell its time");
    };
    let off = apart(server, asked_at).saturating_sub(took + Duration::from_secs(1));
    if off <= MOST_APART {
        return Check::new("clock", Mark::Good, "this machine's clock agrees with the server's");
    }
    let way = if server > asked_at { "behind" } else { "ahead of" };
    Check::new("clock", Mark::Care, format!("this machine's clock is {} {way} the server's", human(off)))
        .advise("set it, or the timestamps of the results will fit no other log")
}

/// How long one call took.
pub fn round_trip(took: Duration) -> Check {
    Check::new("round trip", Mark::Good, format!("{} ms, connecting included", took.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(scopes: Option<&[&str]>) -> AuthTest {
        AuthTest {
            url: None,
            team: Some("Acme".into()),
            user: Some("ada".into()),
            team_id: TeamId::parse("T1").ok(),
            user_id: UserId::parse("W1").ok(),
            enterprise_id: TeamId::parse("E1").ok(),
            is_enterprise_install: Some(true),
            expires_in: None,
            scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).into()).collect()),
            server_date: None,
        }
    }

    #[test]
    fn scopes_decide_what_works() {
        for (held, mark) in [
            (Some(&[WRITE, listing::SCOPE][..]), Mark::Good),
            (Some(&[WRITE][..]), Mark::Care),
            (Some(&[listing::SCOPE][..]), Mark::Bad),
            (Some(&["admin"][..]), Mark::Bad),
            (None, Mark::Care),
        ] {
            assert_eq!(scopes(&auth(held)).mark, mark, "{held:?}");
        }
    }

    #[test]
    fn an_organisation_is_what_the_app_is_installed_on() {
        assert_eq!(organisation(&auth(None)).mark, Mark::Good);
        assert_eq!(organisation(&AuthTest { is_enterprise_install: Some(false), ..auth(None) }).mark, Mark::Care);
        assert_eq!(organisation(&AuthTest { enterprise_id: None, ..auth(None) }).mark, Mark::Care);
        assert_eq!(identity(&AuthTest { user_id: None, ..auth(None) }).mark, Mark::Care);
    }

    #[test]
    fn a_token_has_to_last_or_to_be_had_again() {
        let (hour, day) = (Some(Duration::from_hours(1)), Some(Duration::from_hours(24)));
        for (left, run, renewable, mark) in [
            (None, day, false, Mark::Good),
            (hour, None, false, Mark::Good),
            (day, hour, false, Mark::Good),
            (hour, day, false, Mark::Care),
            (hour, hour, false, Mark::Care),
            (hour, day, true, Mark::Good),
        ] {
            assert_eq!(expiry(left, run, renewable).mark, mark, "{left:?} {run:?} {renewable}");
        }
    }

    #[test]
    fn a_clock_may_be_half_a_minute_off() {
        let asked = Stamp::from_millis(1_000_000_500);
        let took = Duration::from_millis(200);
        for (server, mark) in [
            (1_000_000_000, Mark::Good),
            (1_000_031_000, Mark::Good),
            (1_000_032_000, Mark::Care),
            (999_969_500, Mark::Good),
            (999_969_000, Mark::Care),
        ] {
            assert_eq!(clock(Some(Stamp::from_millis(server)), asked, took).mark, mark, "{server}");
        }
        assert!(clock(Some(Stamp::from_millis(0)), asked, took).text.contains("ahead"));
        assert_eq!(clock(None, asked, took).mark, Mark::Care);
    }

    #[test]
    fn a_check_is_a_line() {
        let mut checks = Checks::default();
        checks.add(Check::new("token", Mark::Bad, "there is none\nat all").advise("set SLACK_TOKEN"));
        assert_eq!(checks.to_text(), "✗ token        there is none at all; set SLACK_TOKEN\n");
        let json: serde_json::Value = serde_json::from_str(&checks.to_json(4)).unwrap();
        assert_eq!((&json["exit_code"], &json["checks"][0]["mark"]), (&4.into(), &"failed".into()));
    }
}
