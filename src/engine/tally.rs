//! Totals of a run: rows by status, calls, and the rows without a record whose session may be gone.

use super::policy::Policy;
use crate::model::{CallCounts, Counts, Event, MaxFailures, Outcome, Row, Status, StopReason};
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CallTotals {
    pub counts: CallCounts,
    /// Time during which rows waited for a pause. Overlapping pauses of several buckets count once.
    pub paused: Duration,
    /// When the first call was sent.
    pub began: Option<Duration>,
}

#[derive(Debug)]
pub struct RunTally {
    rows: u64,
    strict: bool,
    max_failures: MaxFailures,
    /// Rows that ended in earlier runs with the same results file; `counts` includes them.
    earlier: Counts,
    counts: Counts,
    pub calls: CallTotals,
    paused_until: Duration,
    /// Lines of rows that haven't ended, and whose session an attempt of this run may have ended.
    in_doubt: BTreeSet<u64>,
}

impl RunTally {
    pub fn new(policy: &Policy) -> Self {
        Self {
            rows: policy.rows,
            strict: policy.strict,
            max_failures: policy.max_failures,
            earlier: policy.earlier,
            counts: policy.earlier,
            calls: CallTotals::default(),
            paused_until: Duration::ZERO,
            in_doubt: BTreeSet::new(),
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether every row of the input has ended, assuming that `more` rows have.
    pub fn is_complete_with(&self, more: u64) -> bool {
        self.counts.ended() + more >= self.rows
    }

    /// Counts a row that ended. Returns its event, and a stop reason if there are too many failures now.
    pub fn end(&mut self, row: Box<Row>, outcome: Outcome) -> (Event, Option<StopReason>) {
        let status = outcome.status;
        self.counts.add(status);
        self.in_doubt.remove(&row.line);
        let was_sent = !is_unsent(status);
        let stop = if was_sent && !self.is_complete_with(0) { self.too_many_failures() } else { None };
        (Event::Ended { row, outcome }, stop)
    }

    fn too_many_failures(&self) -> Option<StopReason> {
        let failed = self.counts.failures(self.strict) - self.earlier.failures(self.strict);
        if failed == 0 {
            return None;
        }
        let of = ended_by_answer(&self.counts) - ended_by_answer(&self.earlier);
        self.max_failures.reached(failed, of).then_some(StopReason::MaxFailures { failed, of })
    }

    /// Notes that an attempt may have ended the sessions of these lines.
    pub fn doubt(&mut self, lines: impl Iterator<Item = u64>) {
        self.in_doubt.extend(lines);
    }

    pub fn in_doubt(&self) -> impl Iterator<Item = u64> {
        self.in_doubt.iter().copied()
    }

    pub fn pause(&mut self, now: Duration, pause: Duration) {
        let until = now + pause;
        self.calls.paused += until.saturating_sub(self.paused_until.max(now));
        self.paused_until = self.paused_until.max(until);
    }

    /// The totals, with only the past part of a pause.
    pub fn calls(&self, now: Duration) -> CallTotals {
        let to_come = self.paused_until.saturating_sub(now);
        CallTotals { paused: self.calls.paused.saturating_sub(to_come), ..self.calls }
    }
}

/// Whether rows with this status were never sent.
fn is_unsent(status: Status) -> bool {
    matches!(status, Status::Invalid | Status::Duplicate | Status::Protected)
}

fn ended_by_answer(counts: &Counts) -> u64 {
    counts.iter().filter(|(status, _)| !is_unsent(*status)).map(|(_, rows)| rows).sum()
}
