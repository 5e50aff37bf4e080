//! A row on its way through the engine, and the record that it becomes.

use super::clock::Now;
use super::retry;
use crate::domain::{Outcome, Rejection, Reply, Row, Stamp, Status, Target, TeamId};

/// A row that has not ended, with what it has been through in this run.
#[derive(Debug)]
pub struct Pending {
    /// The row; its target is sound.
    row: Box<Row>,
    /// Calls answered with anything but a limit.
    attempts: u32,
    /// Attempts that count against `--retries`: those in an outage do not.
    tries: u32,
    /// 429s met.
    rate_limited: u32,
    /// When the first call left.
    first_sent_at: Option<Stamp>,
    /// Whether an attempt, of this run or of one cut off, may have taken effect.
    may_be_gone: bool,
}

impl Pending {
    /// A row that is to be sent; back it comes where it must not be.
    pub fn new(row: Row) -> Result<Self, Row> {
        if row.target.is_err() {
            return Err(row);
        }
        let may_be_gone = row.may_have_been_sent;
        Ok(Self { row: Box::new(row), attempts: 0, tries: 0, rate_limited: 0, first_sent_at: None, may_be_gone })
    }

    /// The row's line in the input.
    pub fn line(&self) -> u64 {
        self.row.line
    }

    /// Whom the row names.
    pub fn target(&self) -> &Target {
        match &self.row.target {
            Ok(target) => target,
            Err(rejection) => unreachable!("a rejected row is never pending: {rejection}"),
        }
    }

    /// The workspace that the request names.
    pub fn addressed_team(&self) -> Option<&TeamId> {
        self.target().addressed_team()
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

    /// It met a limit, which is no attempt.
    pub fn limited(&mut self) {
        self.rate_limited += 1;
    }

    /// It was answered. `counts` is false where the attempt is not held against the row.
    pub fn attempted(&mut self, ambiguous: bool, counts: bool) {
        self.attempts += 1;
        self.tries += u32::from(counts);
        self.may_be_gone |= ambiguous;
    }

    /// Whether an attempt may have taken effect.
    pub fn may_be_gone(&self) -> bool {
        self.may_be_gone
    }

    /// The row's record, as the deciding answer has it.
    pub fn end(self, status: Status, reply: Reply, now: Now) -> (Box<Row>, Outcome) {
        let outcome = Outcome {
            status,
            error: retry::error_name(&reply),
            detail: reply.detail,
            http_status: reply.http_status,
            attempts: self.attempts,
            rate_limited: self.rate_limited,
            first_sent_at: self.first_sent_at,
            finished_at: now.wall,
            request_id: reply.request_id,
        };
        (self.row, outcome)
    }
}

/// The record of a row that is never sent.
pub fn unsent(row: &Row, now: Now) -> Option<Outcome> {
    let rejection = row.target.as_ref().err()?;
    let status = match rejection {
        Rejection::Duplicate { .. } => Status::Duplicate,
        Rejection::ProtectedUser | Rejection::ProtectedSession | Rejection::OwnSession => Status::Protected,
        Rejection::Columns { .. } | Rejection::Id { .. } | Rejection::NoOwner { .. } => Status::Invalid,
    };
    Some(Outcome {
        status,
        error: Some(rejection.rule().into()),
        detail: rejection.to_string().into(),
        http_status: None,
        attempts: 0,
        rate_limited: 0,
        first_sent_at: None,
        finished_at: now.wall,
        request_id: None,
    })
}
