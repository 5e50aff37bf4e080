//! Slack as it may behave: sessions that live or don't, limits, tokens that expire, outages, storms and lost answers.

use super::super::*;
use super::input::Input;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a call asks for, in the names of the input.
#[derive(Debug, Clone)]
pub struct Asked {
    pub session: Option<u64>,
    /// The workspace that the call names.
    pub team: Option<String>,
    pub users: Vec<String>,
}

/// How calls for a session, or for a user as a whole, always go.
#[derive(Debug, Clone, PartialEq)]
pub enum Mood {
    Fine,
    Always(Answer),
}

/// From when to when.
type Span = (Duration, Duration);

#[derive(Debug)]
pub struct Slack {
    alive: HashSet<u64>,
    expired: HashSet<u64>,
    team_of: HashMap<u64, String>,
    moods: HashMap<String, Mood>,
    refusing: HashMap<String, &'static str>,
    /// Refuses everybody.
    refuses_all: Option<&'static str>,
    outages: Vec<(Span, Answer)>,
    /// What answers in an outage ask for.
    outage_pause: Option<Duration>,
    storms: Vec<(Span, Option<Duration>)>,
    lost_share: f64,
    per_minute: usize,
    limits_are_per_team: bool,
    hides_pauses: bool,
    taken: BTreeMap<Option<String>, Vec<Duration>>,
    lifetime: Option<Duration>,
    born: Vec<Duration>,
    revoked_at: Option<Duration>,
    pub latency: (u64, u64),
    /// Of ten calls, so many wait for a connection.
    pub connects_slowly: u8,
}

/// What Slack did with a call.
#[derive(Debug)]
pub struct Taken {
    pub answer: Answer,
    /// For so long no other call is wanted, though this is no limit.
    pub wait: Option<Duration>,
    /// The sessions end only after the client has given up.
    pub ends_late: bool,
}

/// Who gets this answer can't have been logged out, whatever came before.
pub const PRIMARY_OWNER: &str = "cannot_invalidate_primary_owner";

const SECOND: Duration = Duration::from_secs(1);

fn span(dice: &mut fastrand::Rng, within: u64, longest: u64) -> Span {
    let from = dice.u64(..within);
    (Duration::from_secs(from), Duration::from_secs(from + dice.u64(1..longest)))
}

/// No answer that says anything, of any kind.
fn nothing_clear(dice: &mut fastrand::Rng) -> Answer {
    match dice.u8(..9) {
        0 => Answer::Fault(Fault::Timeout),
        1 => Answer::Fault(Fault::Connection),
        2 => Answer::Fault(Fault::BadResponse),
        3 => Answer::Fault(Fault::NotConnected),
        4 => Answer::Fault(Fault::Http(500)),
        5 => Answer::Refused("internal_error".into()),
        6 => Answer::Refused("session_invalidation_failed".into()),
        _ => Answer::Fault(Fault::Http(503)),
    }
}

/// Whether a call with this answer may have ended its sessions. Written down here once more, from slack.md.
pub fn is_in_doubt(answer: &Answer) -> bool {
    match answer {
        Answer::Fault(fault) => *fault != Fault::NotConnected,
        Answer::Refused(code) => matches!(code.as_str(), "internal_error" | "session_invalidation_failed"),
        Answer::Ok | Answer::RateLimited { .. } => false,
    }
}

/// Whether it says nothing about the row.
pub fn is_no_answer(answer: &Answer) -> bool {
    let is_expiry = *answer == Answer::Refused(ErrorCode::TokenExpired);
    is_in_doubt(answer) || is_expiry || matches!(answer, Answer::RateLimited { .. } | Answer::Fault(_))
}

impl Slack {
    pub fn draw(input: &Input, dice: &mut fastrand::Rng) -> Self {
        let seldom = |dice: &mut fastrand::Rng, one_in: u8| dice.u8(..one_in) == 0;
        let (ended, spoiled) = (dice.u8(..4), if seldom(dice, 2) { dice.u8(1..12) } else { 0 });
        let mut slack = Self {
            alive: HashSet::new(),
            expired: HashSet::new(),
            team_of: HashMap::new(),
            moods: HashMap::new(),
            refusing: HashMap::new(),
            refuses_all: seldom(dice, 20)
                .then(|| ["access_denied", "invalid_arguments", "heard_of_never"][dice.usize(..3)]),
            outages: Vec::new(),
            outage_pause: seldom(dice, 4).then(|| Duration::from_secs(dice.u64(1..30))),
            storms: Vec::new(),
            lost_share: if seldom(dice, 2) { dice.f64() * 0.3 } else { 0.0 },
            per_minute: if seldom(dice, 2) { dice.usize(5..60) } else { usize::MAX },
            limits_are_per_team: dice.bool(),
            hides_pauses: seldom(dice, 6),
            taken: BTreeMap::new(),
            lifetime: seldom(dice, 3).then(|| Duration::from_secs(dice.u64(30..900))),
            born: vec![Duration::ZERO],
            revoked_at: seldom(dice, 20).then(|| Duration::from_secs(dice.u64(1..300))),
            connects_slowly: if seldom(dice, 3) { 9 } else { 2 },
            latency: if seldom(dice, 3) { (100, 20_000) } else { (10, 900) },
        };
        for line in &input.lines {
            let team = line.team.clone().unwrap_or_else(|| "T9".into());
            slack.team_of.insert(line.session, team);
            match dice.u8(..8) {
                _ if line.twin.is_some_and(|twin| twin < line.number) => {}
                roll if roll >= ended => drop(slack.alive.insert(line.session)),
                0 => drop(slack.expired.insert(line.session)),
                _ => {}
            }
            let whom = if input.whole_users { line.user.clone() } else { Some(line.session.to_string()) };
            if let Some(whom) = whom.filter(|_| dice.u8(..20) < spoiled) {
                let mood = slack.moods.entry(whom).or_insert(Mood::Fine);
                *mood = Mood::Always(match dice.u8(..6) {
                    0 | 1 => nothing_clear(dice),
                    2 => Answer::Refused("user_not_found".into()),
                    3 => Answer::Refused("access_denied".into()),
                    4 => Answer::Refused(PRIMARY_OWNER.into()),
                    _ => Answer::Refused("heard_of_never".into()),
                });
            }
        }
        if seldom(dice, 5) {
            let codes = ["no_permission", "team_access_not_granted", "org_login_required"];
            for team in ["T0", "T1", "T2", "T3"].into_iter().take(dice.usize(1..4)) {
                slack.refusing.insert(team.into(), codes[dice.usize(..3)]);
            }
        }
        for _ in 0..dice.usize(..3) {
            let longest = if seldom(dice, 4) { 2_000 } else { 90 };
            slack.outages.push((span(dice, 120, longest), nothing_clear(dice)));
        }
        let storms = if slack.refusing.is_empty() { 3 } else { 9 };
        for _ in 0..dice.usize(..storms) {
            let pause = [None, Some(SECOND), Some(7 * SECOND), Some(61 * SECOND), Some(1000 * SECOND)];
            let kinds = if seldom(dice, 8) { pause.len() } else { pause.len() - 1 };
            slack.storms.push((span(dice, 200, 60), pause[dice.usize(..kinds)]));
        }
        slack
    }

    /// All trouble is over, and whoever was refused is not any more. What fails at Slack for a session's own sake still does.
    pub fn heal(&mut self) {
        self.refusing.clear();
        self.refuses_all = None;
        self.outages.clear();
        self.storms.clear();
        (self.lost_share, self.lifetime, self.revoked_at) = (0.0, None, None);
        let stays = |answer: &Answer| matches!(answer, Answer::Refused(code) if is_in_doubt(answer) || code.as_str() == "user_not_found");
        self.moods.retain(|_, mood| matches!(mood, Mood::Always(answer) if stays(answer)));
    }

    /// The clock of another run begins: what was under way goes on from there.
    pub fn begin(&mut self) {
        self.taken.clear();
        self.born = vec![Duration::ZERO];
    }

    pub fn is_trouble_short(&self) -> bool {
        let lasts = |(from, until): &Span| until.saturating_sub(*from);
        let total: Duration = self.outages.iter().map(|(span, _)| lasts(span)).sum();
        let is_spoiled = self.moods.values().any(|mood| *mood != Mood::Fine);
        let may_pass = |answer: &Answer| match answer {
            Answer::Fault(Fault::Http(_) | Fault::Timeout | Fault::Connection) => true,
            Answer::Fault(_) | Answer::Refused(_) | Answer::Ok | Answer::RateLimited { .. } => false,
        };
        self.outages.len() < 2
            && total < 90 * SECOND
            && self.lost_share <= 0.0
            && !is_spoiled
            && self.outages.iter().all(|(_, it)| may_pass(it))
    }

    pub fn refuses_any(&self) -> bool {
        !self.refusing.is_empty()
    }

    pub fn is_alive(&self, session: u64) -> bool {
        self.alive.contains(&session)
    }

    fn is_expired(&self, token: usize, now: Duration) -> bool {
        self.lifetime.is_some_and(|lifetime| self.born[token] + lifetime <= now)
    }

    /// The token is read again: another one, for the calls from now on, if the last has expired.
    pub fn renew(&mut self, now: Duration) -> bool {
        let is_due = self.is_expired(self.token(), now);
        if is_due {
            self.born.push(now);
        }
        is_due
    }

    /// The token that a call carries which is made now.
    pub fn token(&self) -> usize {
        self.born.len() - 1
    }

    pub fn end_sessions(&mut self, asked: &Asked) {
        if let Some(session) = asked.session {
            self.alive.remove(&session);
        }
    }

    pub fn take(&mut self, asked: &Asked, token: usize, now: Duration, dice: &mut fastrand::Rng) -> Taken {
        let answer = self.answer(asked, token, now, dice);
        let has_head = matches!(answer, Answer::Fault(Fault::Http(_)));
        let wait = self.outage_pause.filter(|_| has_head && is_in_doubt(&answer));
        let may_end = is_in_doubt(&answer) && !matches!(self.mood_of(asked), Some(Mood::Always(_)));
        let ends = may_end && dice.u8(..3) == 0;
        if ends && dice.bool() {
            self.end_sessions(asked);
            return Taken { answer, wait, ends_late: false };
        }
        Taken { answer, wait, ends_late: ends }
    }

    fn answer(&mut self, asked: &Asked, token: usize, now: Duration, dice: &mut fastrand::Rng) -> Answer {
        let within = |(from, until): Span| from <= now && now < until;
        if let Some((_, answer)) = self.outages.iter().find(|(span, _)| within(*span)) {
            return answer.clone();
        }
        if let Some((_, retry_after)) = self.storms.iter().find(|(span, _)| within(*span)) {
            return Answer::RateLimited { retry_after: *retry_after };
        }
        if let Some(wait) = self.limit(asked, now) {
            return Answer::RateLimited { retry_after: (!self.hides_pauses).then_some(wait) };
        }
        if self.revoked_at.is_some_and(|at| at <= now) {
            return Answer::Refused(ErrorCode::TokenRevoked);
        }
        if self.is_expired(token, now) {
            return Answer::Refused(ErrorCode::TokenExpired);
        }
        if dice.f64() < self.lost_share {
            return nothing_clear(dice);
        }
        match self.refuses_all {
            Some(code) => Answer::Refused(code.into()),
            None => self.truth(asked, dice),
        }
    }

    /// How long to wait, if the minute is used up.
    fn limit(&mut self, asked: &Asked, now: Duration) -> Option<Duration> {
        let bucket = asked.team.clone().filter(|_| self.limits_are_per_team);
        let taken = self.taken.entry(bucket).or_default();
        taken.retain(|at| *at + 60 * SECOND > now);
        if taken.len() < self.per_minute {
            taken.push(now);
            return None;
        }
        let wait = (taken[0] + 60 * SECOND).saturating_sub(now);
        Some(Duration::from_secs(wait.as_secs() + 1))
    }

    fn mood_of(&self, asked: &Asked) -> Option<&Mood> {
        let session = asked.session.map(|session| session.to_string());
        session.iter().chain(&asked.users).find_map(|whom| self.moods.get(whom))
    }

    fn truth(&mut self, asked: &Asked, dice: &mut fastrand::Rng) -> Answer {
        let team = asked.team.clone().or_else(|| self.team_of.get(&asked.session?).cloned());
        if let Some(code) = team.and_then(|team| self.refusing.get(&team)) {
            return Answer::Refused((*code).into());
        }
        if let Some(Mood::Always(answer)) = self.mood_of(asked) {
            let is_partial = asked.users.len() > 1 && dice.bool() && !is_no_answer(answer);
            return if is_partial { Answer::Refused("failed_for_some_users".into()) } else { answer.clone() };
        }
        let Some(session) = asked.session else { return Answer::Ok };
        if self.expired.remove(&session) {
            return Answer::Refused(ErrorCode::SessionExpired);
        }
        if self.alive.remove(&session) { Answer::Ok } else { Answer::Refused(ErrorCode::SessionNotFound) }
    }
}
