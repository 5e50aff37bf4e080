//! Detects that HTTP 503 is the answer of a rate limiter, as of nginx or Envoy, and not a fault.
//!
//! Slack answers 429, and a single 503 can be either. If many rows get a 503 at their first attempt, and others between them
//! are accepted, something limits the rate. In an outage no row is accepted, and rare faults need no lower rate. Retries
//! don't count, because a row may always fail.

use crate::engine::job::Job;
use crate::engine::retry::Class;
use crate::model::{Answer, Fault, Reply};

/// Minimum number of times that a row was accepted and the next one got a 503.
const TURNS: u32 = 5;

/// Minimum share of 503s among first attempts, and the weight of the newest one in that share.
const SHARE: f64 = 0.3;
const NEWEST: f64 = 1.0 / 32.0;

#[derive(Debug, Default)]
pub struct Overload {
    answers: f64,
    share: f64,
    turns: u32,
    was_accepted: bool,
    /// Never reset, because 503s become rare once the rate fits the limit.
    is_known: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultVerdict {
    /// Not caused by a limit, as far as is known.
    Fault,
    /// Caused by a limit, as earlier ones were. Those rows didn't fail for a reason of their own.
    NowLimit,
    /// Caused by a limit.
    Limit,
}

impl Overload {
    pub fn on(&mut self, job: &Job, reply: &Reply, class: Class) -> FaultVerdict {
        let is_503 = is_503(reply);
        if !is_503 && !class.is_decision() {
            return FaultVerdict::Fault;
        }
        let was_known = self.is_known;
        if !job.has_failed() {
            self.answers += 1.0;
            self.share += NEWEST.max(1.0 / self.answers) * (f64::from(is_503) - self.share);
            self.turns += u32::from(is_503 && self.was_accepted);
            self.was_accepted = !is_503;
            self.is_known |= self.turns >= TURNS && self.share >= SHARE;
        }
        match (is_503 && self.is_known, was_known) {
            (true, false) => FaultVerdict::NowLimit,
            (true, true) if !job.is_own_trouble() => FaultVerdict::Limit,
            (true, true) | (false, _) => FaultVerdict::Fault,
        }
    }
}

fn is_503(reply: &Reply) -> bool {
    matches!(reply.answer, Answer::Fault(Fault::Http(503)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::retry::classify;
    use crate::model::{Fields, Row, SessionId, Target, TeamId};
    use std::collections::HashMap;

    fn job(line: u64) -> Job {
        let target = Ok(Target::by_team(SessionId::from(line), TeamId::parse("T1").unwrap(), None));
        Job::new(Row { line, fields: Fields::default(), target, may_have_been_sent: false }).unwrap()
    }

    /// Answers to rows: `(line, true)` is a 503, anything else `ok`. Gives how many of them were a limit's.
    fn limits(answers: impl IntoIterator<Item = (u64, bool)>) -> usize {
        let (mut overload, mut jobs, mut streak) = (Overload::default(), HashMap::new(), 0);
        let mut is_limit = |(line, is_503): (u64, bool)| {
            let job = jobs.entry(line).or_insert_with(|| job(line));
            let reply = Reply::bare(if is_503 { Answer::Fault(Fault::Http(503)) } else { Answer::Ok });
            let verdict = overload.on(job, &reply, classify(&reply));
            if is_503 {
                job.failed(reply, streak);
            } else {
                streak += 1;
            }
            verdict != FaultVerdict::Fault
        };
        answers.into_iter().filter(|answer| is_limit(*answer)).count()
    }

    #[test]
    fn a_503_is_a_limits_answer_if_many_fresh_rows_get_it_between_accepted_ones() {
        let limiter = (0..60).map(|row| (row, row % 2 == 1));
        let outage = (0..60).map(|row| (row, row >= 10));
        let adjacent = (0..100).map(|row| if (20..60).contains(&row) { (20 + row % 7, true) } else { (row, false) });
        let retried = (0..200).map(|row| if row % 2 == 0 { (row, false) } else { (1 + row % 7, true) });
        let rare = (0..1_000).map(|row| (row, row % 6 == 0));
        assert!(limits(limiter) > 20);
        assert_eq!(limits(outage), 0, "nothing is accepted");
        assert_eq!(limits(adjacent), 0, "rows that always fail, one after another");
        assert_eq!(limits(retried), 0, "rows that always fail, between others");
        assert_eq!(limits(rare), 0, "one in six");
    }

    #[test]
    fn a_row_that_fails_for_a_reason_of_its_own_shows_no_limit() {
        let limiter = (0..60).map(|row| (row, row % 2 == 1));
        let poison = (0..10).flat_map(|call| [(999, true), (100 + call, false)]);
        let both = limits(limiter.clone().chain(poison));
        assert!(both <= limits(limiter) + 2, "{both}");
    }
}
