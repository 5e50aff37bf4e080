//! Other runs with the same limit: reports to them and news from them.

use super::{Action, StateMachine};
use crate::engine::clock::Now;
use crate::engine::ports::LimitNews;
use crate::model::{Event, StopReason};
use std::time::Duration;

impl StateMachine {
    /// Reports refusals, and that this run is alive. Returns when the next report is due.
    pub(super) fn report_due(&mut self) -> Option<Duration> {
        if !self.policy.shares_limit {
            return None;
        }
        let now = self.now.at;
        for index in 0..self.buckets.len() {
            self.report(index, false);
        }
        self.buckets.iter().filter_map(|bucket| bucket.gate.report_due(now)).filter(|at| *at > now).min()
    }

    pub(super) fn report(&mut self, bucket: usize, wants_call: bool) {
        if let Some(report) = self.buckets.report(bucket, self.now.at, wants_call) {
            self.actions.push(Action::Report { bucket, report });
        }
    }

    /// Handles the answer to a report. Without one, the run paces on its own.
    pub fn on_news(&mut self, bucket: usize, news: Result<LimitNews, Box<str>>, now: Now) {
        self.now = now;
        match news {
            Ok(news) => {
                self.note_others(bucket, &news);
                if let Some(pause) = self.buckets.on_news(bucket, &news, now.at) {
                    self.pause_like_others(bucket, pause);
                }
            }
            Err(why) => {
                self.buckets.on_no_news(now.at);
                if !std::mem::replace(&mut self.is_alone, true) {
                    self.emit(Event::NotShared(why));
                }
            }
        }
    }

    fn note_others(&mut self, bucket: usize, news: &LimitNews) {
        let Some(bucket) = self.buckets.iter().nth(bucket) else { return };
        let (before, now) = (bucket.gate.others(), news.others);
        if (before.runs, before.is_incident) != (now.runs, now.is_incident) {
            let team = bucket.team.clone();
            let (runs, is_incident, per_minute) = (now.runs, now.is_incident, news.share);
            self.emit(Event::Shared { team, runs, is_incident, per_minute });
        }
    }

    /// Applies a pause of another run.
    fn pause_like_others(&mut self, bucket: usize, pause: Duration) {
        self.tally.pause(self.now.at, pause);
        let team = self.buckets.iter().nth(bucket).and_then(|bucket| bucket.team.clone());
        self.emit(Event::PausedByOthers { team, pause });
        if pause > self.policy.max_retry_after {
            self.stop(StopReason::RetryAfter { pause });
        }
    }

    /// The last reports, which end this run's leases.
    pub fn take_leave(&mut self, now: Now) {
        self.now = now;
        for bucket in 0..self.buckets.len() {
            if let Some(mut report) = self.buckets.report(bucket, now.at, true) {
                (report.wants_call, report.rows_left) = (false, 0);
                self.actions.push(Action::Report { bucket, report });
            }
        }
    }
}
