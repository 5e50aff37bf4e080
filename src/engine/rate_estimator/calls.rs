//! The calls of one bucket in the last two minutes: when they were sent, and how long their answers took.

use crate::engine::call_window::MINUTE;
use std::collections::VecDeque;
use std::time::Duration;

/// Seconds for which calls are remembered: two windows and a little.
const REMEMBERED: f64 = 130.0;

/// Weight of the newest latency in the running mean and deviation.
const NEWEST: f64 = 0.05;

/// What was sent and accepted. Moments are seconds since the start of the run.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    accepted: VecDeque<f64>,
    unanswered: Vec<f64>,
    latency: Option<f64>,
    deviation: f64,
}

impl Calls {
    pub fn sent(&mut self, now: Duration) {
        let now = now.as_secs_f64();
        self.unanswered.retain(|sent| sent + REMEMBERED > now);
        self.unanswered.push(now);
    }

    /// Learns the latency of a call.
    pub fn answered(&mut self, sent: f64, now: f64) {
        let took = now - sent;
        let mean = *self.latency.get_or_insert(took);
        self.deviation += NEWEST * ((took - mean).abs() - self.deviation);
        self.latency = Some(mean + NEWEST * (took - mean));
        #[expect(clippy::float_cmp, reason = "the same moment, not a computed one")]
        if let Some(place) = self.unanswered.iter().position(|at| *at == sent) {
            self.unanswered.remove(place);
        }
    }

    /// Counts an accepted call; returns the calls accepted in the minute that ends with it.
    pub fn accept(&mut self, sent: f64) -> f64 {
        while self.accepted.front().is_some_and(|at| at + REMEMBERED < sent) {
            self.accepted.pop_front();
        }
        let place = self.accepted.iter().rposition(|at| *at <= sent).map_or(0, |place| place + 1);
        self.accepted.insert(place, sent);
        self.count(sent - MINUTE.as_secs_f64(), sent)
    }

    /// Forgets the accepted calls, and gives them away.
    pub fn take_accepted(&mut self) -> VecDeque<f64> {
        std::mem::take(&mut self.accepted)
    }

    /// Accepted calls after `from`, up to `until`.
    #[expect(clippy::cast_precision_loss, reason = "calls of two minutes")]
    fn count(&self, from: f64, until: f64) -> f64 {
        let (first, last) =
            (self.accepted.partition_point(|at| *at <= from), self.accepted.partition_point(|at| *at <= until));
        last.saturating_sub(first) as f64
    }

    /// How many calls sent before `sent` are still unanswered.
    #[expect(clippy::cast_precision_loss, reason = "calls in flight")]
    pub fn unanswered_before(&self, sent: f64) -> f64 {
        self.unanswered.iter().filter(|at| **at < sent).count() as f64
    }

    /// The calls sent before `sent` that were accepted, or whose answers are still to come: most of those will be accepted.
    pub fn before(&self, sent: f64) -> Vec<f64> {
        let mut calls: Vec<f64> = self.unanswered.iter().copied().filter(|at| *at < sent).collect();
        calls.extend(self.accepted.iter().filter(|at| **at < sent));
        calls.sort_by(f64::total_cmp);
        calls
    }

    /// Seconds that a call takes, on average.
    pub fn latency(&self) -> f64 {
        self.latency.unwrap_or(0.0)
    }

    /// Seconds by which the server may have seen two calls closer together or further apart than they were sent.
    pub fn jitter(&self) -> f64 {
        2.0 * self.deviation
    }
}
