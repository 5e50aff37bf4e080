//! What a gate knows of the other runs on its limit: its share, and whether its next call is recorded where they look.

use super::call_window::MINUTE;
use super::shared_limit::{AnsweredCall, LimitNews, OtherRuns};
use std::time::Duration;

/// How often the store hears of a run. A lease ends after three times that.
const RENEWAL: Duration = Duration::from_secs(4);

/// After a failure the store is left alone for so long.
const ALONE: Duration = Duration::from_secs(30);

/// How long the store's word for a call holds: it leaves in the same turn, or asks again.
const HOLDS: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct SharedPace {
    /// When the store recorded a call that hasn't left.
    recorded_at: Option<Duration>,
    /// To report.
    answers: Vec<AnsweredCall>,
    exchanged_at: Option<Duration>,
    alone_until: Duration,
    rate: Option<f64>,
    share: Option<f64>,
    others: OtherRuns,
    /// The place of the last call in the share's even spacing.
    place: Option<Duration>,
}

impl SharedPace {
    /// Whether a call may leave as far as the store is concerned.
    pub fn is_recorded(&self, now: Duration) -> bool {
        self.is_alone(now) || self.recorded_at.is_some_and(|at| at + HOLDS > now)
    }

    fn is_alone(&self, now: Duration) -> bool {
        now < self.alone_until
    }

    /// When the share has a place for the next call, or `None` if it has one now.
    pub fn no_place_before(&self, now: Duration) -> Option<Duration> {
        let due = self.place? + self.interval()?;
        (due > now && !self.is_alone(now)).then_some(due)
    }

    fn interval(&self) -> Option<Duration> {
        self.share.map(|share| MINUTE.div_f64(share.max(0.01)))
    }

    /// A call leaves. One that is late because another run's went first doesn't delay those after it.
    pub fn take(&mut self, now: Duration) {
        self.recorded_at = None;
        let place = self.place.zip(self.interval());
        let place = place.map(|(place, interval)| (place + interval).max(now.saturating_sub(interval)));
        self.place = Some(place.unwrap_or(now));
    }

    pub fn answered(&mut self, answer: AnsweredCall) {
        self.answers.push(answer);
    }

    /// Whether the store has to hear of this run now, whether or not it wants to call: it was refused, or its lease is due.
    pub fn is_due(&self, now: Duration) -> bool {
        self.answers.iter().any(|answer| answer.pause.is_some()) || self.due_at(now) <= now
    }

    /// When the store has to hear of this run next.
    pub fn due_at(&self, now: Duration) -> Duration {
        self.exchanged_at.map_or(now, |at| at + RENEWAL).max(self.alone_until)
    }

    pub fn take_answers(&mut self) -> Vec<AnsweredCall> {
        std::mem::take(&mut self.answers)
    }

    pub fn on_news(&mut self, news: &LimitNews, now: Duration) {
        self.exchanged_at = Some(now);
        self.recorded_at = news.may_call.then_some(now);
        (self.rate, self.share, self.others) = (news.rate, news.share, news.others);
    }

    /// The store can't be used: the run paces on its own for a while.
    pub fn on_failure(&mut self, now: Duration) {
        *self = Self { alone_until: now + ALONE, place: self.place, ..Self::default() };
    }

    /// Calls a minute of all runs together, if another run finds that out.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    pub fn share(&self) -> Option<f64> {
        self.share
    }

    pub fn others(&self) -> OtherRuns {
        self.others
    }
}
