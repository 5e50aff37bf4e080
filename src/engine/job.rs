//! A row on its way through the engine, and the record that it becomes.

use super::clock::Now;
use super::health::EndedRow;
use super::permit::CallHandle;
use super::ports::Request;
use super::retry;
use super::user_batch::UserBatch;
use crate::model::{Outcome, Rejection, Reply, Row, SessionTarget, Stamp, Status, Target, TeamId, UserId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// What one call is for.
#[derive(Debug)]
enum JobRows {
    /// A session: the row, whose target it is.
    Session(Box<Row>),
    Users(Box<UserBatch>),
}

/// The rows of one call that have not ended, with their attempts in this run. It is one row, unless whole users are asked
/// for.
#[derive(Debug)]
pub struct Job {
    rows: JobRows,
    /// Calls answered with anything but a limit.
    attempts: u32,
    /// Attempts that count against `--retries`: those in an outage do not.
    tries: u32,
    /// 429s received.
    rate_limited: u32,
    /// When the first call left.
    first_sent_at: Option<Stamp>,
    /// Whether an attempt, of this run or of one cut off, may have taken effect.
    may_be_gone: bool,
    /// Whether a call for more users than these was accepted for some of them, and Slack did not say for whom.
    taken_in_part: bool,
    /// The last transient answer.
    failure: Option<Box<LastFailure>>,
    /// Whether other rows were answered after it had failed, not in an outage, and it failed again.
    is_own_trouble: bool,
}

/// A transient answer.
#[derive(Debug)]
struct LastFailure {
    reply: Reply,
    /// The clear answers of the run before it. Failures with the same number have no clear answer between them.
    streak: u64,
    /// Attempts of this streak that count against `--retries`.
    tries: u32,
    /// All failures of this streak: more than `tries` if it was part of an outage.
    count: u32,
}

/// A call whose answer has not been taken in.
#[derive(Debug)]
pub struct CallInFlight {
    pub job: Job,
    pub sent_at: Duration,
    pub handle: CallHandle,
}

impl Job {
    /// The job of a row, or the row itself if it must not be sent.
    pub fn new(row: Row) -> Result<Self, Row> {
        let may_be_gone = row.may_have_been_sent;
        match row.target {
            Err(_) => Err(row),
            Ok(Target::Session(_)) => Ok(Self::of(JobRows::Session(Box::new(row)), may_be_gone)),
            Ok(Target::User(_)) => Ok(Self::users(UserBatch::of(vec![row]))),
        }
    }

    /// One job for all rows of the batch.
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

    /// The line of the row, or of the first one.
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

    /// Whether a row is one of these users'.
    pub fn is_of(&self, users: &HashSet<UserId>) -> bool {
        !users.is_empty()
            && match &self.rows {
                JobRows::Session(row) => row_is_of(row, users),
                JobRows::Users(user_batch) => user_batch.users().iter().any(|user| users.contains(user)),
            }
    }

    /// Ends the rows of these users, who turned out to be the token's own. Gives what is left to be sent.
    pub fn spare(mut self, users: &HashSet<UserId>, now: Now) -> (Option<Self>, Vec<EndedRow>) {
        let may_be_gone = self.may_be_gone();
        let outcome = match self.take_reply() {
            // An earlier call may have ended the session: nobody knows that it was left alone.
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

    /// The call that it asks for.
    pub fn request(&self) -> Request {
        match &self.rows {
            JobRows::Session(row) => Request::Session(target_of(row).clone()),
            JobRows::Users(user_batch) => Request::Users(Arc::clone(user_batch.users())),
        }
    }

    /// `None` for a session.
    pub fn user_batch(&self) -> Option<&UserBatch> {
        match &self.rows {
            JobRows::Session(_) => None,
            JobRows::Users(user_batch) => Some(user_batch),
        }
    }

    /// Whether the call is for more than one user, so that a failure may be another user's.
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

    /// The workspace of the row's own column. A call for whole users ends sessions wherever they are, and has none.
    pub fn team(&self) -> Option<&TeamId> {
        match &self.rows {
            JobRows::Session(row) => target_of(row).team(),
            JobRows::Users(_) => None,
        }
    }

    /// The lines of the rows that name the same session by its other id.
    pub fn also_on(&self) -> &[u64] {
        match &self.rows {
            JobRows::Session(row) => target_of(row).also_on(),
            JobRows::Users(_) => &[],
        }
    }

    /// The status of its rows if Slack answers `ok`.
    pub fn done(&self) -> Status {
        match &self.rows {
            JobRows::Session(_) => Status::Revoked,
            JobRows::Users(_) => Status::Requested,
        }
    }

    /// Two jobs with half of the users each, or the job itself if it is for one user or for a session. Each half starts
    /// with all its attempts. `taken_in_part`: Slack accepted the call for some of the users.
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

    /// Calls made so far, limited ones included.
    pub fn calls(&self) -> u32 {
        self.attempts + self.rate_limited
    }

    /// Attempts used up of those that `--retries` allows.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// A call leaves.
    pub fn sent(&mut self, now: Now) {
        self.first_sent_at.get_or_insert(now.wall);
    }

    /// The call was not made after all.
    pub fn not_sent(&mut self) {
        if self.calls() == 0 {
            self.first_sent_at = None;
        }
    }

    /// A 429 is no attempt.
    pub fn limited(&mut self) {
        self.rate_limited += 1;
    }

    /// It was answered.
    pub fn attempted(&mut self, ambiguous: bool) {
        self.attempts += 1;
        self.may_be_gone |= ambiguous;
    }

    /// Calls answered with anything but a limit.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The answer was transient. The attempt counts against `--retries` unless it is forgiven.
    pub fn failed(&mut self, reply: Reply, streak: u64) {
        let before = self.failure.take();
        // Parts of a call for many users are answered at different times, so an outage is no excuse for a part.
        let is_excused = |before: &LastFailure| before.tries < before.count && self.user_batch().is_none();
        self.is_own_trouble |= before.as_ref().is_some_and(|before| before.streak != streak && !is_excused(before));
        let of_streak = before.filter(|before| before.streak == streak);
        let (tries, count) = of_streak.map_or((0, 0), |before| (before.tries, before.count));
        self.tries += 1;
        self.failure = Some(Box::new(LastFailure { reply, streak, tries: tries + 1, count: count + 1 }));
    }

    /// The failures of this streak were not the row's own.
    pub fn forgive(&mut self, streak: u64) {
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.streak == streak) {
            self.tries -= std::mem::take(&mut failure.tries);
        }
    }

    /// It has all its attempts again, and no failure so far was its own.
    pub fn start_over(&mut self) {
        (self.tries, self.is_own_trouble) = (0, false);
        if let Some(failure) = &mut self.failure {
            failure.tries = 0;
        }
    }

    /// Failures of the streak that the last failure belongs to.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failure.as_ref().map_or(0, |failure| failure.count)
    }

    /// Whether an answer was transient.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether there has been no clear answer since it failed.
    pub fn has_failed_in(&self, streak: u64) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.streak == streak)
    }

    /// Whether it failed before and after other rows were answered.
    pub fn is_own_trouble(&self) -> bool {
        self.is_own_trouble
    }

    /// The last transient answer.
    pub fn last_reply(&self) -> Option<&Reply> {
        self.failure.as_ref().map(|failure| &failure.reply)
    }

    /// Takes the last transient answer, for the row's record.
    pub fn take_reply(&mut self) -> Option<Reply> {
        self.failure.take().map(|failure| failure.reply)
    }

    /// Whether an attempt may have taken effect.
    pub fn may_be_gone(&self) -> bool {
        let may_have_been_sent = |user_batch: &UserBatch| user_batch.rows().iter().any(|row| row.may_have_been_sent);
        self.may_be_gone || self.user_batch().is_some_and(may_have_been_sent)
    }

    /// The same for rows that end without a clear answer to a call for these users alone.
    pub fn may_be_gone_untold(&self) -> bool {
        self.may_be_gone() || self.taken_in_part
    }

    /// The rows' record, from the deciding answer.
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

    /// Gives each row with its record.
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

/// The record of a row that is never sent.
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
