//! The state of a gate whose limit is shared: its share, and whether the store has recorded its next call.

use super::call_window::MINUTE;
use super::shared_limit::{AnsweredCall, LimitNews, OtherRuns};
use std::time::Duration;

/// Interval of the reports. A lease expires after three times this.
const RENEWAL: Duration = Duration::from_secs(4);

/// After a failure the run paces on its own, and tries the store again after so long. No call waits for that.
const ALONE: Duration = Duration::from_secs(30);

/// How long the recording of a call is valid. Calls are sent in the same turn of the loop, or recorded again.
const HOLDS: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct SharedPace {
    /// When the store recorded a call that isn't sent yet.
    recorded_at: Option<Duration>,
    /// To report.
    answers: Vec<AnsweredCall>,
    exchanged_at: Option<Duration>,
    /// A report is under way.
    is_reporting: bool,
    /// When the store is tried again; `None` if it can be used, as far as is known.
    next_try: Option<Duration>,
    rate: Option<f64>,
    share: Option<f64>,
    others: OtherRuns,
    /// The slot of the last call in the spacing of the share.
    place: Option<Duration>,
}

impl SharedPace {
    /// Whether the store has recorded the next call, or isn't used.
    pub fn is_recorded(&self, now: Duration) -> bool {
        self.next_try.is_some() || self.recorded_at.is_some_and(|at| at + HOLDS > now)
    }

    /// When the share allows the next call, or `None` if it does now.
    pub fn no_place_before(&self, now: Duration) -> Option<Duration> {
        let due = self.place? + self.interval()?;
        (due > now).then_some(due)
    }

    fn interval(&self) -> Option<Duration> {
        self.share.map(|share| MINUTE.div_f64(share.max(0.01)))
    }

    /// Uses the slot of a call. A call that is late because of another run doesn't delay later ones.
    pub fn take(&mut self, now: Duration) {
        self.recorded_at = None;
        let place = self.place.zip(self.interval());
        let place = place.map(|(place, interval)| (place + interval).max(now.saturating_sub(interval)));
        self.place = Some(place.unwrap_or(now));
    }

    pub fn answered(&mut self, answer: AnsweredCall) {
        self.answers.push(answer);
    }

    /// Begins a report with the answers so far, if one is due: a call waits for it, the run was refused, or its lease has to be
    /// renewed. One at a time.
    pub fn begin_report(&mut self, now: Duration, wants_call: bool) -> Option<Vec<AnsweredCall>> {
        let was_refused = || self.answers.iter().any(|answer| answer.pause.is_some());
        let is_urgent = self.next_try.is_none() && (wants_call || was_refused());
        if self.is_reporting || !(is_urgent || self.due_at(now) <= now) {
            return None;
        }
        self.is_reporting = true;
        Some(std::mem::take(&mut self.answers))
    }

    /// When the next report is due.
    pub fn due_at(&self, now: Duration) -> Duration {
        self.next_try.or(self.exchanged_at.map(|at| at + RENEWAL)).unwrap_or(now)
    }

    pub fn on_news(&mut self, news: &LimitNews, now: Duration) {
        (self.exchanged_at, self.is_reporting, self.next_try) = (Some(now), false, None);
        self.recorded_at = news.may_call.then_some(now);
        (self.rate, self.share, self.others) = (news.rate, news.share, news.others);
    }

    /// The store can't be used: the run paces on its own.
    pub fn on_failure(&mut self, now: Duration) {
        *self = Self { next_try: Some(now + ALONE), place: self.place, ..Self::default() };
    }

    /// Total rate in calls a minute, if another run estimates it.
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
