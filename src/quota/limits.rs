//! Implements the engine's port, and converts between the run's clock and the clock that all runs share.

use super::record::{BucketRecord, CallAnswer, Member, News, Report};
use crate::engine::ports::{AnsweredCall, LimitNews, LimitReport, OtherRuns, QuotaStore};
use crate::model::{TeamId, Timestamp};
use std::collections::HashMap;
use std::time::Duration;

pub trait Backend {
    /// Changes the record of `key` atomically. `change` gets the shared time, and is called again if another run was
    /// faster.
    ///
    /// # Errors
    /// Why the store can't be used.
    fn step<T>(
        &mut self,
        key: &str,
        change: impl Fn(&mut BucketRecord, Timestamp) -> T,
    ) -> impl Future<Output = Result<T, Box<str>>>;
}

/// The shared limits of a run.
#[derive(Debug)]
pub struct SharedLimits<B, C> {
    backend: B,
    /// The run's clock.
    elapsed: C,
    me: Member,
    /// The common part of the keys: host, organization and method.
    scope: String,
    /// The last known revision of each record.
    seen: HashMap<Option<TeamId>, u64>,
    was_lost: bool,
    /// Converts between the clocks, so that a call always has the same time.
    moment: Option<ClockPair>,
}

impl<B: Backend, C: Fn() -> Duration> SharedLimits<B, C> {
    /// `elapsed` reads the engine's clock.
    pub fn new(backend: B, elapsed: C, me: Member, scope: String) -> Self {
        Self { backend, elapsed, me, scope, seen: HashMap::new(), was_lost: false, moment: None }
    }
}

impl<B: Backend, C: Fn() -> Duration> QuotaStore for SharedLimits<B, C> {
    async fn exchange(&mut self, report: LimitReport) -> Result<LimitNews, Box<str>> {
        let seen = self.seen.get(&report.team).copied().unwrap_or(0);
        let key = report.team.as_ref().map_or_else(|| self.scope.clone(), |team| format!("{} {team}", self.scope));
        let (me, elapsed, before) = (&self.me, &self.elapsed, self.moment);
        let step = |record: &mut BucketRecord, now: Timestamp| {
            let moment = ClockPair { at: elapsed(), timestamp: now };
            let moment = before.filter(|before| before.agrees_with(moment)).unwrap_or(moment);
            (record.exchange(me, seen, &moment.report(&report), now), moment)
        };
        let (news, moment) = self.backend.step(&key, step).await?;
        if news.revision < seen && !std::mem::replace(&mut self.was_lost, true) {
            tracing::warn!(
                "the shared state of the rate limit was deleted; it begins anew, with what the live runs know"
            );
        }
        self.seen.insert(report.team, news.revision);
        self.moment = Some(moment);
        Ok(moment.news(&news, elapsed()))
    }
}

#[derive(Debug, Clone, Copy)]
struct ClockPair {
    at: Duration,
    timestamp: Timestamp,
}

/// Maximum drift between two exchanges, in milliseconds. A larger difference is a jump of the clock.
const APART: i64 = 50;

impl ClockPair {
    fn agrees_with(self, other: Self) -> bool {
        (self.timestamp_at(other.at).as_millis() - other.timestamp.as_millis()).abs() <= APART
    }

    /// Rounded up, so that no pause becomes shorter.
    fn timestamp_at(self, at: Duration) -> Timestamp {
        let millis = |duration: Duration| i64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.timestamp.as_millis() + millis(at) - millis(self.at))
    }

    fn at_of(self, timestamp: Timestamp) -> Duration {
        let since = timestamp.as_millis() - self.timestamp.as_millis();
        let apart = Duration::from_millis(since.unsigned_abs());
        if since < 0 { self.at.saturating_sub(apart) } else { self.at + apart }
    }

    fn report(self, report: &LimitReport) -> Report {
        let answer = |call: &AnsweredCall| {
            let pause = call.pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
            (self.timestamp_at(call.sent_at), CallAnswer { at: self.timestamp_at(call.at), pause })
        };
        Report {
            wants_call: report.wants_call,
            answers: report.answers.iter().map(answer).collect(),
            closed_until: self.timestamp_at(report.paused_until),
            rate: report.rate,
            rows_left: report.rows_left,
        }
    }

    fn news(self, news: &News, now: Duration) -> LimitNews {
        let answer = |(sent_at, answer): &(Timestamp, CallAnswer)| AnsweredCall {
            sent_at: self.at_of(*sent_at),
            at: self.at_of(answer.at),
            pause: answer.pause.map(Duration::from_millis),
        };
        LimitNews {
            may_call: news.may_call,
            paused_until: match news.closed_for {
                0 => Duration::ZERO,
                left => now + Duration::from_millis(left),
            },
            sent: news.sent.iter().map(|at| self.at_of(*at)).collect(),
            answers: news.answers.iter().map(answer).collect(),
            rate: news.rate,
            learned: news.learned.map(|learned| (learned.per_minute, now.saturating_sub(self.at_of(learned.at)))),
            share: news.share,
            others: OtherRuns { runs: news.others, rows: news.rows_of_others, is_incident: news.is_incident },
        }
    }
}
