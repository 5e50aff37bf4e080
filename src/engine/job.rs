//! A row, or a batch of users, from its first call to its record.

use super::clock::Now;
use super::health::EndedRow;
use super::permit::CallHandle;
use super::ports::Request;
use super::retry;
use super::user_batch::{UserBatch, instead_of};
use crate::model::{Outcome, Rejection, Reply, Row, SessionTarget, Status, Target, TeamId, Timestamp, UserId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
enum JobRows {
    /// The session of a row.
    Session(Box<Row>),
    Users(Box<UserBatch>),
}

/// The rows of one call that haven't ended, with their attempts in this run. One row, except for whole users.
#[derive(Debug)]
pub struct Job {
    rows: JobRows,
    /// Calls that got another answer than a rate limit.
    attempts: u32,
    /// Attempts that count for `--retries`; those during an outage don't.
    tries: u32,
    /// 429s received.
    rate_limited: u32,
    /// When the first call was sent.
    first_sent_at: Option<Timestamp>,
    /// Whether an attempt of this run or of one that died may have taken effect.
    may_be_gone: bool,
    /// Whether a call for more users than these was accepted for some of them, which Slack didn't name.
    taken_in_part: bool,
    failure: Option<Box<LastFailure>>,
    /// Whether it failed outside an outage, failed again, and other rows were answered in between.
    is_own_trouble: bool,
}

/// A transient answer.
#[derive(Debug)]
struct LastFailure {
    reply: Reply,
    /// The number of clear answers before it. Failures with the same number had no clear answer between them.
    streak: u64,
    /// Attempts of this streak that count for `--retries`.
    tries: u32,
    /// All failures of this streak, which are more than `tries` if it was part of an outage.
    count: u32,
}

/// A call whose answer isn't processed yet.
#[derive(Debug)]
pub struct CallInFlight {
    pub job: Job,
    pub sent_at: Duration,
    pub handle: CallHandle,
}

impl Job {
    /// Returns the row itself if it must not be sent.
    pub fn new(row: Row) -> Result<Self, Row> {
        let may_be_gone = row.may_have_been_sent;
        match row.target {
            Err(_) => Err(row),
            Ok(Target::Session(_)) => Ok(Self::of(JobRows::Session(Box::new(row)), may_be_gone)),
            Ok(Target::User(_)) => Ok(Self::users(UserBatch::of(vec![row]))),
        }
    }

    /// A job for all rows of the batch.
    pub fn users(user_batch: UserBatch) -> Self {
        Self::of(JobRows::Users(Box::new(user_batch)), false)
    }

    fn of(rows: JobRows, may_be_gone: bool) -> Self {
        Self {
            rows,
            attempts: 0,
            tries: 0,
            rate_limited: 0,
            first_sent_at: None,
            may_be_gone,
            taken_in_part: false,
            failure: None,
            is_own_trouble: false,
        }
    }

    /// The line of the first row.
    pub fn line(&self) -> u64 {
        match &self.rows {
            JobRows::Session(row) => row.line,
            JobRows::Users(user_batch) => user_batch.rows().first().map_or(0, |row| row.line),
        }
    }

    pub fn lines(&self) -> impl Iterator<Item = u64> {
        let rows = match &self.rows {
            JobRows::Session(row) => std::slice::from_ref(&**row),
            JobRows::Users(user_batch) => user_batch.rows(),
        };
        rows.iter().map(|row| row.line)
    }

    /// Whether a row belongs to one of these users.
    pub fn is_of(&self, users: &HashSet<UserId>) -> bool {
        !users.is_empty()
            && match &self.rows {
                JobRows::Session(row) => row_is_of(row, users),
                JobRows::Users(user_batch) => user_batch.users().iter().any(|user| users.contains(user)),
            }
    }

    /// Ends the rows of these users, who own a fresh token. Returns the rest, which is still to be sent, and the
    /// ended rows.
    pub fn spare(mut self, users: &HashSet<UserId>, now: Now) -> (Option<Self>, Vec<EndedRow>) {
        let may_be_gone = self.may_be_gone();
        let outcome = match self.take_reply() {
            // An earlier call may have ended the session.
            Some(reply) if may_be_gone => self.outcome(Status::Unknown, reply, now),
            _ => self.rejected(&Rejection::OwnSession, now),
        };
        let (rest, spared) = match self.rows {
            JobRows::Session(row) => (Vec::new(), vec![*row]),
            JobRows::Users(user_batch) => user_batch.into_rows().into_iter().partition(|row| !row_is_of(row, users)),
        };
        let ended = spared.into_iter().map(|row| EndedRow { row: Box::new(row), outcome: outcome.clone() }).collect();
        if rest.is_empty() {
            return (None, ended);
        }
        (Some(Self { rows: JobRows::Users(Box::new(UserBatch::of(rest))), ..self }), ended)
    }

    fn rejected(&self, rejection: &Rejection, now: Now) -> Outcome {
        Outcome {
            attempts: self.attempts,
            rate_limited: self.rate_limited,
            first_sent_at: self.first_sent_at,
            ..rejected(rejection, now)
        }
    }

    pub fn request(&self) -> Request {
        match &self.rows {
            JobRows::Session(row) => Request::Session(target_of(row).clone()),
            JobRows::Users(user_batch) => Request::Users(Arc::clone(user_batch.users())),
        }
    }

    /// Whether it is a call for whole users.
    pub fn is_bulk(&self) -> bool {
        self.user_batch().is_some()
    }

    /// `None` for a session.
    pub fn user_batch(&self) -> Option<&UserBatch> {
        match &self.rows {
            JobRows::Session(_) => None,
            JobRows::Users(user_batch) => Some(user_batch),
        }
    }

    /// Whether the call is for several users, so that a failure may be caused by another one.
    pub fn is_for_many(&self) -> bool {
        self.user_batch().is_some_and(|user_batch| user_batch.users().len() > 1)
    }

    /// The workspace that the request names.
    pub fn addressed_team(&self) -> Option<&TeamId> {
        match &self.rows {
            JobRows::Session(row) => target_of(row).addressed_team(),
            JobRows::Users(_) => None,
        }
    }

    /// The workspace in the row's column; `None` for whole users, whose sessions may be anywhere.
    pub fn team(&self) -> Option<&TeamId> {
        match &self.rows {
            JobRows::Session(row) => target_of(row).team(),
            JobRows::Users(_) => None,
        }
    }

    /// Lines of other rows that identify the same session by the other id.
    pub fn also_on(&self) -> &[u64] {
        match &self.rows {
            JobRows::Session(row) => target_of(row).also_on(),
            JobRows::Users(_) => &[],
        }
    }

    /// The status if Slack answers `ok`.
    pub fn done(&self) -> Status {
        match &self.rows {
            JobRows::Session(_) => Status::Revoked,
            JobRows::Users(_) => Status::Requested,
        }
    }

    /// Splits the users into two jobs, or returns the job itself if it is for one user or a session. Each half starts
    /// with all its attempts. `taken_in_part`: whether Slack accepted the call for some of the users.
    pub fn split(self, taken_in_part: bool) -> Result<(Self, Self), Self> {
        let rows = match self.rows {
            JobRows::Session(row) => Err(JobRows::Session(row)),
            JobRows::Users(user_batch) => user_batch.split().map_err(|user_batch| JobRows::Users(Box::new(user_batch))),
        };
        let (first, second) = rows.map_err(|rows| Self { rows, ..self })?;
        let taken_in_part = self.taken_in_part || taken_in_part;
        let half = |user_batch| Self {
            rows: JobRows::Users(Box::new(user_batch)),
            tries: 0,
            taken_in_part,
            failure: None,
            ..self
        };
        Ok((half(first), half(second)))
    }

    /// Whether its rows can be sent by themselves instead of as whole users.
    pub fn can_fall_back(&self) -> bool {
        self.user_batch().is_some_and(|user_batch| user_batch.rows().iter().all(|row| instead_of(row).is_some()))
    }

    /// A job for each session of its rows, with the attempts so far.
    pub fn fall_back(self) -> Vec<Self> {
        let (may_be_gone, attempts, rate_limited) = (self.may_be_gone_untold(), self.attempts, self.rate_limited);
        let JobRows::Users(user_batch) = self.rows else { return vec![self] };
        let single = |row: Row| {
            let target = instead_of(&row).cloned().map(Target::Session).map_or(row.target, Ok);
            let rows = JobRows::Session(Box::new(Row { target, ..row }));
            let fresh = Self::of(rows, may_be_gone);
            Self { attempts, rate_limited, first_sent_at: self.first_sent_at, ..fresh }
        };
        user_batch.into_rows().into_iter().map(single).collect()
    }

    /// Calls so far, including limited ones.
    pub fn calls(&self) -> u32 {
        self.attempts + self.rate_limited
    }

    /// Attempts that count for `--retries`.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Notes that a call is sent.
    pub fn sent(&mut self, now: Now) {
        self.first_sent_at.get_or_insert(now.wall);
    }

    /// Notes that the call wasn't sent.
    pub fn not_sent(&mut self) {
        if self.calls() == 0 {
            self.first_sent_at = None;
        }
    }

    /// Notes a 429, which isn't an attempt.
    pub fn limited(&mut self) {
        self.rate_limited += 1;
    }

    /// Notes an answer.
    pub fn attempted(&mut self, ambiguous: bool) {
        self.attempts += 1;
        self.may_be_gone |= ambiguous;
    }

    /// Calls that got another answer than a rate limit.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Notes a transient answer. The attempt counts for `--retries` unless it is forgiven.
    pub fn failed(&mut self, reply: Reply, streak: u64) {
        let before = self.failure.take();
        // The parts of a call for many users are answered at different times, so an outage doesn't excuse them.
        let is_excused = |before: &LastFailure| before.tries < before.count && self.user_batch().is_none();
        self.is_own_trouble |= before.as_ref().is_some_and(|before| before.streak != streak && !is_excused(before));
        let of_streak = before.filter(|before| before.streak == streak);
        let (tries, count) = of_streak.map_or((0, 0), |before| (before.tries, before.count));
        self.tries += 1;
        self.failure = Some(Box::new(LastFailure { reply, streak, tries: tries + 1, count: count + 1 }));
    }

    /// Doesn't count the failures of this streak.
    pub fn forgive(&mut self, streak: u64) {
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.streak == streak) {
            self.tries -= std::mem::take(&mut failure.tries);
        }
    }

    /// Gives it all its attempts again.
    pub fn start_over(&mut self) {
        (self.tries, self.is_own_trouble) = (0, false);
        if let Some(failure) = &mut self.failure {
            failure.tries = 0;
        }
    }

    /// Failures in the streak of the last failure.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failure.as_ref().map_or(0, |failure| failure.count)
    }

    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether there was no clear answer since it failed.
    pub fn has_failed_in(&self, streak: u64) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.streak == streak)
    }

    /// See the field.
    pub fn is_own_trouble(&self) -> bool {
        self.is_own_trouble
    }

    pub fn last_reply(&self) -> Option<&Reply> {
        self.failure.as_ref().map(|failure| &failure.reply)
    }

    pub fn take_reply(&mut self) -> Option<Reply> {
        self.failure.take().map(|failure| failure.reply)
    }

    /// Whether an attempt may have taken effect.
    pub fn may_be_gone(&self) -> bool {
        let may_have_been_sent = |user_batch: &UserBatch| user_batch.rows().iter().any(|row| row.may_have_been_sent);
        self.may_be_gone || self.user_batch().is_some_and(may_have_been_sent)
    }

    /// As [`Self::may_be_gone`], for rows that end without a clear answer to a call for only these users.
    pub fn may_be_gone_untold(&self) -> bool {
        self.may_be_gone() || self.taken_in_part
    }

    /// The record of the rows, from the deciding answer.
    pub fn outcome(&self, status: Status, reply: Reply, now: Now) -> Outcome {
        Outcome {
            status,
            error: retry::error_name(&reply),
            detail: reply.detail,
            http_status: reply.http_status,
            attempts: self.attempts,
            rate_limited: self.rate_limited,
            first_sent_at: self.first_sent_at,
            finished_at: now.wall,
            request_id: reply.request_id,
        }
    }

    /// Calls `each` with every row and its record.
    pub fn end(self, status: Status, reply: Reply, now: Now, mut each: impl FnMut(Box<Row>, Outcome)) {
        let outcome = self.outcome(status, reply, now);
        match self.rows {
            JobRows::Session(row) => each(row, outcome),
            JobRows::Users(user_batch) => {
                user_batch.into_rows().into_iter().for_each(|row| each(Box::new(row), outcome.clone()));
            }
        }
    }
}

fn target_of(row: &Row) -> &SessionTarget {
    match &row.target {
        Ok(Target::Session(target)) => target,
        Ok(Target::User(_)) | Err(_) => unreachable!("a row that names no session is never job by itself"),
    }
}

/// The record of a row that isn't sent.
pub fn unsent(row: &Row, now: Now) -> Option<Outcome> {
    row.target.as_ref().err().map(|rejection| rejected(rejection, now))
}

fn row_is_of(row: &Row, users: &HashSet<UserId>) -> bool {
    row.target.as_ref().ok().and_then(Target::user).is_some_and(|user| users.contains(user))
}

fn rejected(rejection: &Rejection, now: Now) -> Outcome {
    Outcome {
        status: rejection.status(),
        error: Some(rejection.rule().into()),
        detail: rejection.to_string().into(),
        http_status: None,
        attempts: 0,
        rate_limited: 0,
        first_sent_at: None,
        finished_at: now.wall,
        request_id: None,
    }
}
