//! Distinguishes rows that always fail from an outage of Slack.
//!
//! Only the first failure of a row is evidence. A row that fails again shows nothing new, and adjacent rows often belong to
//! the same user, so several of them may fail for a reason of their own.

use crate::engine::retry::backoff;
use crate::model::{Answer, Fault, Reply};
use std::time::Duration;

/// An outage is declared if this many rows fail for the first time with no clear answer between them. If 16 % of the calls
/// fail at random, that happens about once in 10,000 calls, and costs one backoff.
const DECLARED_AT: usize = 5;

/// The failing calls since the last clear answer. During a declared outage, calls are sent one at a time, each for another
/// row, with a growing backoff between them, and don't count as attempts.
#[derive(Debug, Default)]
pub struct Outage {
    evidence: usize,
    since: Option<Duration>,
    /// When the first of these calls was sent.
    first_sent_at: Duration,
    declared: bool,
    probes: u32,
    hold_until: Duration,
    slack_answered: bool,
    may_pass: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageChange {
    /// No outage is known, or the answer says nothing about it.
    None,
    Began,
    Continues,
    /// A clear answer ended it.
    Ended,
}

impl Outage {
    /// Handles a transient answer. `is_news`: whether the row hadn't failed before.
    pub fn transient(
        &mut self,
        reply: &Reply,
        is_news: bool,
        sent_at: Duration,
        now: Duration,
        seed: u64,
    ) -> OutageChange {
        if self.since.is_none() {
            (self.since, self.first_sent_at) = (Some(now), sent_at);
        }
        self.evidence += usize::from(is_news);
        self.slack_answered |= matches!(reply.answer, Answer::Refused(_));
        self.may_pass |= may_pass(&reply.answer);
        if self.evidence < DECLARED_AT {
            return OutageChange::None;
        }
        if now >= self.hold_until {
            self.probes += 1;
            self.hold_until = now + backoff(self.probes, seed);
        }
        if std::mem::replace(&mut self.declared, true) { OutageChange::Continues } else { OutageChange::Began }
    }

    /// Whether a clear answer to a call sent at `sent_at` shows that the outage is over. An answer to a call that was sent before
    /// it doesn't.
    pub fn is_ended_by(&self, sent_at: Duration) -> bool {
        self.since.is_none() || sent_at >= self.first_sent_at
    }

    /// Handles a clear answer. Returns whether it ended a declared outage.
    pub fn clear(&mut self) -> bool {
        std::mem::take(self).declared
    }

    pub fn is_declared(&self) -> bool {
        self.declared
    }

    /// Whether the last answer was transient.
    pub fn is_suspected(&self) -> bool {
        self.since.is_some()
    }

    /// No call may be made before this time.
    pub fn hold_until(&self) -> Duration {
        self.hold_until
    }

    /// Time since the first of the failing calls was answered.
    pub fn lasts(&self, now: Duration) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Failing calls since the outage was declared, each after its backoff.
    pub fn probes(&self) -> u32 {
        self.probes
    }

    /// Whether a row failed for the first time.
    pub fn has_evidence(&self) -> bool {
        self.evidence > 0
    }

    /// Whether Slack itself answered, with error codes that are transient.
    pub fn slack_answered(&self) -> bool {
        self.slack_answered
    }

    /// Whether waiting can help. It rarely does if no connection can be made, or if something other than Slack answers.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

fn may_pass(answer: &Answer) -> bool {
    match answer {
        Answer::Fault(Fault::NotConnected | Fault::BadResponse) => false,
        Answer::Fault(Fault::Http(status)) => *status >= 500 || *status == 408,
        Answer::Fault(Fault::Connection | Fault::Timeout)
        | Answer::Ok
        | Answer::Refused(_)
        | Answer::RateLimited { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(outage: &mut Outage, is_news: bool, second: u64) -> OutageChange {
        let at = Duration::from_secs(second);
        outage.transient(&Reply::bare(Answer::Fault(Fault::Timeout)), is_news, at, at, 1)
    }

    #[test]
    fn rows_that_failed_before_are_no_evidence() {
        let mut outage = Outage::default();
        assert!((0..50).all(|second| failed(&mut outage, false, second) == OutageChange::None));
        assert!(!outage.has_evidence() && outage.hold_until() == Duration::ZERO);
    }

    #[test]
    fn five_other_rows_without_an_answer_are_an_outage_and_an_answer_ends_it() {
        let mut outage = Outage::default();
        let turns: Vec<_> = (1..=6).map(|second| failed(&mut outage, true, second)).collect();
        assert_eq!(
            turns,
            [[OutageChange::None; 4].as_slice(), &[OutageChange::Began, OutageChange::Continues]].concat()
        );
        assert_eq!(outage.lasts(Duration::from_secs(11)), Duration::from_secs(10));
        assert!(outage.clear());
        assert!(!outage.is_declared() && !outage.clear());
        assert_eq!(failed(&mut outage, true, 20), OutageChange::None);
    }

    #[test]
    fn a_late_answer_does_not_end_an_outage() {
        let mut outage = Outage::default();
        assert!(outage.is_ended_by(Duration::ZERO));
        failed(&mut outage, true, 5);
        failed(&mut outage, true, 7);
        assert_eq!([4, 5, 6].map(|second| outage.is_ended_by(Duration::from_secs(second))), [false, true, true]);
    }

    #[test]
    fn only_some_errors_are_worth_waiting_for() {
        for (fault, passes) in [
            (Fault::NotConnected, false),
            (Fault::BadResponse, false),
            (Fault::Http(404), false),
            (Fault::Http(407), false),
            (Fault::Http(503), true),
            (Fault::Http(408), true),
            (Fault::Timeout, true),
            (Fault::Connection, true),
        ] {
            assert_eq!(may_pass(&Answer::Fault(fault)), passes, "{fault:?}");
        }
    }
}
