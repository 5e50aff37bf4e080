//! What a Slack is like for the length of one run.

use crate::dice::Dice;
use slack_revoke::model::{Answer, ErrorCode, Fault};
use std::time::Duration;

/// What a call will be answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Say {
    /// What there is to be said of the session.
    Service,
    /// 429.
    Limited(Option<Duration>),
    /// A limit that only the body names.
    LimitedInBody(&'static str),
    /// Nothing that means anything.
    Fault(Fault),
    /// A code of the transient class.
    Transient(&'static str),
    /// A code that fails the row.
    Row(&'static str),
    /// A code that fails the row, or the run.
    Suspect(&'static str),
    /// A code of the workspace class.
    Workspace(&'static str),
    /// A code of the run class.
    Run(&'static str),
}

const TRANSIENT: &[&str] = &[
    "service_unavailable",
    "internal_error",
    "fatal_error",
    "request_timeout",
    "session_invalidation_failed",
    "user_session_reset_failed",
];
const FAULTS: &[Fault] = &[
    Fault::NotConnected,
    Fault::Connection,
    Fault::Connection,
    Fault::Timeout,
    Fault::Http(500),
    Fault::Http(503),
    Fault::Http(408),
    Fault::BadResponse,
];
const ROW: &[&str] = &[
    "user_not_found",
    "cannot_invalidate_primary_owner",
    "cannot_reset_bot",
    "cannot_reset_primary_owner",
    "session_reset_not_allowed",
    "failed_for_some_users",
];
const SUSPECT: &[&str] = &["invalid_arguments", "admin_unauthorized", "access_denied", "never_seen_before"];
const WORKSPACE: &[&str] =
    &["org_login_required", "team_added_to_org", "ekm_access_denied", "no_permission", "team_access_not_granted"];

/// What an answer means for its row, by slack.md and not by the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Revoked,
    Expired,
    NotFound,
    Limited,
    /// The session may be gone.
    Ambiguous,
    /// No connection was made.
    NotSent,
    Row,
    Suspect,
    Workspace,
    TokenExpired,
    Run,
}

impl Meaning {
    pub fn of(answer: &Answer) -> Self {
        let code = match answer {
            Answer::Ok => return Self::Revoked,
            Answer::RateLimited { .. } => return Self::Limited,
            Answer::Fault(Fault::NotConnected) => return Self::NotSent,
            Answer::Fault(_) => return Self::Ambiguous,
            Answer::Refused(code) => code.as_str(),
        };
        match code {
            "session_expired" => Self::Expired,
            "session_not_found" => Self::NotFound,
            "ratelimited" | "rate_limited" => Self::Limited,
            "token_expired" => Self::TokenExpired,
            code if TRANSIENT.contains(&code) => Self::Ambiguous,
            code if ROW.contains(&code) => Self::Row,
            code if SUSPECT.contains(&code) => Self::Suspect,
            code if WORKSPACE.contains(&code) => Self::Workspace,
            code if run_codes().contains(&code) => Self::Run,
            code => panic!("{code} is an answer of no kind"),
        }
    }
}

/// Whether the answer says that no call can end the session.
pub fn says_it_lives(answer: &Answer) -> bool {
    let codes = [
        "cannot_invalidate_primary_owner",
        "cannot_reset_primary_owner",
        "session_reset_not_allowed",
        "cannot_reset_bot",
    ];
    matches!(answer, Answer::Refused(code) if codes.contains(&code.as_str()))
}

/// The run class is every listed code that no other line of slack.md's table has.
fn run_codes() -> Vec<&'static str> {
    let others = ["session_expired", "session_not_found", "ratelimited", "rate_limited", "token_expired"];
    let listing = ["no_active_sessions", "invalid_cursor", "team_not_found", "missing_team", "missing_user"];
    let known = [TRANSIENT, ROW, SUSPECT, WORKSPACE, &others, &listing].concat();
    ErrorCode::LISTED.iter().map(|(text, _)| *text).filter(|text| !known.contains(text)).collect()
}

/// Shares of the answers.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    limited: f64,
    transient: f64,
    row: f64,
    suspect: f64,
    workspace: f64,
    run: f64,
    /// Workspaces that refuse for good.
    pub refusing: Vec<(String, &'static str)>,
    /// The one suspect code that all say.
    uniform: Option<&'static str>,
    /// Nothing but trouble from call to call.
    outage: Option<(u64, u64)>,
    /// The call from which the token has expired.
    pub token_dies: Option<u64>,
    slowest: u64,
    longest_pause: u64,
}

impl Weather {
    /// All is well.
    pub fn calm() -> Self {
        Self { slowest: 800, longest_pause: 1, ..Self::default() }
    }

    pub fn any(dice: &mut Dice) -> Self {
        let mut some = |share: f64, most: f64| if dice.chance(share) { most * dice.share() } else { 0.0 };
        let (limited, transient) = (some(0.5, 0.5), some(0.5, 0.6));
        let (row, suspect, workspace, run) = (some(0.3, 0.3), some(0.3, 0.4), some(0.15, 0.2), some(0.15, 0.15));
        let uniform = dice.chance(0.06).then(|| dice.pick(SUSPECT));
        let refusing = if dice.chance(0.15) {
            let mut teams = vec![(format!("T{}", dice.between(1, 3)), dice.pick(WORKSPACE))];
            if dice.chance(0.4) {
                teams.push((format!("T{}", dice.between(1, 3)), dice.pick(WORKSPACE)));
            }
            teams
        } else {
            Vec::new()
        };
        let outage = dice.chance(0.12).then(|| {
            let from = dice.between(0, 12) as u64;
            (from, from + dice.between(3, 60) as u64)
        });
        let token_dies = dice.chance(0.12).then(|| dice.between(0, 15) as u64);
        let slowest = dice.pick(&[0, 50, 400, 3_000, 29_000]);
        let longest_pause = dice.pick(&[1, 5, 60, 120, 3_600]);
        Self {
            limited,
            transient,
            row,
            suspect,
            workspace,
            run,
            refusing,
            uniform,
            outage,
            token_dies,
            slowest,
            longest_pause,
        }
    }

    /// The answer to the call of this number, of a row that is sent under this identifier.
    pub fn say(&self, dice: &mut Dice, call: u64, identifier: &str) -> Say {
        if self.outage.is_some_and(|(from, to)| (from..to).contains(&call)) {
            return Self::trouble(dice);
        }
        if dice.chance(self.limited) {
            return self.limit(dice);
        }
        if dice.chance(self.transient) {
            return Self::trouble(dice);
        }
        if let Some((_, code)) = self.refusing.iter().find(|(team, _)| team == identifier) {
            return Say::Workspace(code);
        }
        if let Some(code) = self.uniform {
            return Say::Suspect(code);
        }
        if dice.chance(self.row) {
            return Say::Row(dice.pick(ROW));
        }
        if dice.chance(self.suspect) {
            return Say::Suspect(dice.pick(SUSPECT));
        }
        if dice.chance(self.workspace * 0.5) {
            return Say::Workspace(dice.pick(WORKSPACE));
        }
        if dice.chance(self.run * 0.5) {
            return Say::Run(dice.pick(&run_codes()));
        }
        Say::Service
    }

    fn limit(&self, dice: &mut Dice) -> Say {
        let seconds = dice.millis(self.longest_pause * 1000).as_secs().max(1);
        match dice.between(0, 9) {
            0 => Say::Limited(None),
            1 => Say::LimitedInBody(dice.pick(&["ratelimited", "rate_limited"])),
            // An HTTP date less now.
            2 => Say::Limited(Some(Duration::from_millis(seconds * 1000 - 137))),
            _ => Say::Limited(Some(Duration::from_secs(seconds))),
        }
    }

    fn trouble(dice: &mut Dice) -> Say {
        if dice.chance(0.6) { Say::Fault(dice.pick(FAULTS)) } else { Say::Transient(dice.pick(TRANSIENT)) }
    }

    /// There, and back.
    pub fn latency(&self, dice: &mut Dice) -> (Duration, Duration) {
        (dice.millis(self.slowest), dice.millis(self.slowest))
    }
}
