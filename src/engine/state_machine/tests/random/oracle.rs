//! What must be true of a history, from what was answered and from what Slack did; nothing of the product's own judgement.

use super::super::*;
use super::input::{Input, Line};
use super::slack::{Asked, PRIMARY_OWNER, Slack, is_in_doubt, is_no_answer};
use crate::model::Outcome;
use std::collections::{BTreeMap, HashMap};

/// A 429 that names no pause asks for this long.
const UNSTATED: Duration = Duration::from_secs(30);

/// What a row has been through.
#[expect(clippy::struct_excessive_bools, reason = "facts that say nothing of each other")]
#[derive(Debug, Default, Clone)]
struct Past {
    record: Option<Status>,
    /// A call in any run may have taken effect, and nothing clear came.
    in_doubt: bool,
    /// A call for several users was taken for some of them.
    in_part: bool,
    // Of this run:
    sent: bool,
    answered: u32,
    limited: u32,
    ok: bool,
    last: Option<Answer>,
}

/// What a run was told.
#[derive(Debug, Default, Clone, Copy)]
struct Rules {
    retries: u32,
    /// Whether it has the patience for an outage of a minute and a half.
    is_patient: bool,
    canary: bool,
}

#[derive(Debug)]
pub struct Oracle<'a> {
    input: &'a Input,
    pasts: BTreeMap<u64, Past>,
    pauses: Vec<(Option<String>, Duration)>,
    kind: Option<BucketKind>,
    /// The call that was let past a pause to tell the buckets apart.
    probe: Option<CallId>,
    rules: Rules,
    /// Whether nothing but short outages keeps calls from their answers.
    is_trouble_short: bool,
    was_answered: bool,
    suspended: Vec<String>,
    users: HashMap<String, Vec<(u32, Status)>>,
    pub transient_answers: u64,
    /// Fresh tokens since the last answer that says anything.
    pub unproven_tokens: u32,
    pub longest_pause: Duration,
}

impl<'a> Oracle<'a> {
    pub fn new(input: &'a Input, slack: &Slack) -> Self {
        let pasts = input.lines.iter().map(|line| (line.number, Past::default())).collect();
        Self {
            input,
            pasts,
            pauses: Vec::new(),
            kind: None,
            probe: None,
            rules: Rules::default(),
            is_trouble_short: slack.is_trouble_short(),
            was_answered: false,
            suspended: Vec::new(),
            users: HashMap::new(),
            transient_answers: 0,
            unproven_tokens: 0,
            longest_pause: Duration::ZERO,
        }
    }

    pub fn begin(&mut self, policy: &Policy) {
        self.kind = match policy.bucket {
            BucketPolicy::Team => Some(BucketKind::Team),
            BucketPolicy::Auto if policy.workspaces.len() > 1 => None,
            BucketPolicy::Auto | BucketPolicy::Org => Some(BucketKind::Org),
        };
        let is_patient = policy.retries > 0 && policy.max_retry_after > Duration::from_mins(2);
        self.rules = Rules { retries: policy.retries, is_patient, canary: policy.canary };
        self.was_answered = false;
        (self.probe, self.transient_answers, self.longest_pause) = (None, 0, Duration::ZERO);
        self.unproven_tokens = 0;
        self.pauses.clear();
        self.suspended.clear();
        self.users.clear();
        for past in self.pasts.values_mut() {
            *past = Past { record: past.record, in_doubt: past.in_doubt, ..Past::default() };
        }
    }

    /// The run is over; a crash leaves open what became of everything that was sent.
    pub fn close(&mut self, crashed: bool) {
        for past in self.pasts.values_mut().filter(|past| past.record.is_none()) {
            past.in_doubt |= past.in_part || (crashed && past.sent);
        }
    }

    pub fn has_ended(&self, line: u64) -> bool {
        self.pasts[&line].record.is_some()
    }

    pub fn have_all_ended(&self) -> bool {
        self.pasts.values().all(|past| past.record.is_some())
    }

    pub fn records(&self) -> impl Iterator<Item = (u64, Status)> {
        self.pasts.iter().filter_map(|(line, past)| Some((*line, past.record?)))
    }

    /// What the journal and the results tell the next run.
    pub fn may_be_gone(&self, line: u64) -> bool {
        self.pasts[&line].in_doubt || self.is_gone_elsewhere(line)
    }

    /// Whether the session's other row shows that it may be gone.
    fn is_gone_elsewhere(&self, line: u64) -> bool {
        let twin = self.input.line(line).twin.map(|twin| &self.pasts[&twin]);
        let is_gone = |past: &Past| {
            let ended = matches!(past.record, Some(Status::Revoked | Status::AlreadyRevoked | Status::Unknown));
            past.in_doubt || past.ok || ended
        };
        twin.is_some_and(is_gone)
    }

    /// Whether a call for another row of this user may have taken effect.
    fn is_users_in_doubt(&self, row: &Line) -> bool {
        self.input.lines.iter().any(|other| other.user == row.user && self.pasts[&other.number].in_doubt)
    }

    pub fn kind_known(&mut self, kind: BucketKind) {
        (self.kind, self.probe) = (Some(kind), None);
    }

    /// The breaker tripped, which is right only if no session was ended.
    pub fn tripped(&self) {
        let is_success = |status| matches!(status, Status::Revoked | Status::Requested);
        assert!(!self.records().any(|(_, status)| is_success(status)), "the breaker tripped after a success");
    }

    pub fn suspended(&mut self, team: &str) {
        self.suspended.push(team.into());
    }

    pub fn sending(&mut self, lines: &[u64], asked: &Asked, in_flight: usize) {
        assert!(self.was_answered || !self.rules.canary || in_flight == 0, "a second call before the first answer");
        for line in lines {
            let team = self.input.line(*line).team.as_deref().filter(|_| asked.session.is_some());
            assert!(!self.suspended.iter().any(|it| Some(it.as_str()) == team), "line {line} of a suspended workspace");
            let past = self.pasts.get_mut(line).unwrap();
            assert_eq!(past.record, None, "line {line} is sent after its record");
            past.sent = true;
        }
    }

    /// The first byte of a call leaves.
    pub fn started(&mut self, id: CallId, asked: &Asked, now: Duration) {
        self.pauses.retain(|(_, until)| *until > now);
        let is_of_its_own = |(team, _): &(Option<String>, Duration)| *team == asked.team;
        let is_inside = match self.kind {
            Some(BucketKind::Org) => !self.pauses.is_empty(),
            Some(BucketKind::Team) => self.pauses.iter().any(is_of_its_own),
            None if self.pauses.is_empty() => false,
            None => {
                let is_probe = asked.team.is_some() && !self.pauses.iter().any(is_of_its_own) && self.probe.is_none();
                self.probe = if is_probe { Some(id) } else { self.probe };
                !is_probe
            }
        };
        assert!(!is_inside, "a call inside a pause at {now:?}: {asked:?}, {:?}", self.pauses);
    }

    /// The answer is at the client, and not yet known to the state machine.
    pub fn received(&mut self, asked: &Asked, answer: &Answer, wait: Option<Duration>, now: Duration) {
        let limit = match answer {
            Answer::RateLimited { retry_after } => Some(retry_after.unwrap_or(UNSTATED)),
            Answer::Ok | Answer::Refused(_) | Answer::Fault(_) => None,
        };
        if let Some(pause) = limit.or(wait) {
            self.longest_pause = self.longest_pause.max(pause);
            self.pauses.push((asked.team.clone(), now + pause));
        }
    }

    pub fn over(&mut self, id: CallId) {
        self.probe = self.probe.filter(|probe| *probe != id);
    }

    pub fn delivered(&mut self, id: CallId, lines: &[u64], asked: &Asked, answer: &Answer) {
        self.over(id);
        self.was_answered |= !is_no_answer(answer);
        self.transient_answers += u64::from(is_no_answer(answer));
        if !is_no_answer(answer) {
            self.unproven_tokens = 0;
        }
        for line in lines {
            let past = self.pasts.get_mut(line).unwrap();
            if let Answer::RateLimited { .. } = answer {
                past.limited += 1;
                continue;
            }
            past.answered += 1;
            past.in_doubt |= is_in_doubt(answer);
            past.ok |= *answer == Answer::Ok;
            past.in_part |= asked.users.len() > 1 && *answer == Answer::Refused("failed_for_some_users".into());
            past.last = Some(answer.clone());
        }
    }

    pub fn ended(&mut self, line: u64, outcome: &Outcome, slack: &Slack) {
        let (row, whole) = (self.input.line(line), self.input.whole_users);
        let elsewhere = self.is_gone_elsewhere(line) || (whole && self.is_users_in_doubt(row));
        let past = self.pasts.get_mut(&line).unwrap();
        assert_eq!(past.record.replace(outcome.status), None, "line {line} ended twice");
        let past = past.clone();
        if row.is_rejected {
            assert_eq!((outcome.status, outcome.attempts, past.sent), (Status::Protected, 0, false));
            return;
        }
        let told = format!("line {line}: {outcome:?}; {past:?}; elsewhere {elsewhere}");
        if whole {
            let ends = self.users.entry(row.user.clone().unwrap()).or_default();
            if past.answered == 0 {
                let is_told =
                    |(attempts, status): &(u32, Status)| *attempts == outcome.attempts && *status == outcome.status;
                assert!(ends.iter().any(is_told) || outcome.status == Status::Unknown, "{told}");
                return;
            }
            ends.push((outcome.attempts, outcome.status));
        }
        assert_eq!((outcome.attempts, outcome.rate_limited), (past.answered, past.limited), "{told}");
        let not_found = past.last == Some(Answer::Refused(ErrorCode::SessionNotFound));
        let expired = past.last == Some(Answer::Refused(ErrorCode::SessionExpired));
        let was_refused = past.last.as_ref().is_some_and(|last| !is_no_answer(last)) && !past.ok && !not_found;
        let rules_it_out = past.last == Some(Answer::Refused(PRIMARY_OWNER.into()));
        let is_spent = past.answered > self.rules.retries;
        let in_doubt = past.in_doubt || elsewhere;
        let is_true = match outcome.status {
            Status::Revoked => past.ok && !whole && !slack.is_alive(row.session),
            Status::Requested => past.ok && whole,
            Status::AlreadyRevoked => (expired || (not_found && in_doubt)) && !slack.is_alive(row.session),
            Status::NotFound => not_found && !in_doubt && !slack.is_alive(row.session),
            Status::Failed => (!past.in_doubt || rules_it_out) && (was_refused || (is_spent && !past.in_part)),
            Status::Unknown => (in_doubt || past.in_part) && (was_refused || is_spent),
            Status::Invalid | Status::Duplicate | Status::Protected => false,
        };
        assert!(is_true, "{told}");
        let is_used_up = !was_refused && matches!(outcome.status, Status::Failed | Status::Unknown);
        assert!(!(is_used_up && self.is_trouble_short && self.rules.is_patient), "used up by an outage: {told}");
    }

    /// Two rows of one session: what ended it for the one is known of the other.
    pub fn check_twins(&self) {
        for line in &self.input.lines {
            let Some(twin) = line.twin else { continue };
            let records = (self.pasts[&line.number].record, self.pasts[&twin].record);
            assert_ne!(records, (Some(Status::Revoked), Some(Status::NotFound)), "lines {} and {twin}", line.number);
        }
    }
}
