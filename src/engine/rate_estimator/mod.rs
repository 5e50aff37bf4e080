//! How many calls a minute a bucket takes, estimated from the answers.
//!
//! # What it believes
//!
//! A bucket accepts `L` calls a minute. Nobody outside Slack knows `L`, how the calls are counted, or whether it stays. So
//! the estimator keeps a probability for every pair of an `L` and a way of counting:
//!
//! * a window: any 60 s, or any shorter time; a minute that begins at a fixed moment (six phases), or with the first call after
//!   the last one;
//! * a token bucket that fills with `L` a minute and stores a few tokens, or one.
//!
//! Each hypothesis says of every call whether it is over the limit. An answer that contradicts it makes it unlikely, and an
//! answer that it foresaw makes it likely (Bayes' rule). Three more things are part of the model:
//!
//! * **Refusals unrelated to load.** A call below the limit is refused with a probability that is learned from refusals
//!   which no likely hypothesis explains. Refusals that follow one another with nothing accepted in between are one incident:
//!   a storm or a pause that was too short says almost nothing about `L`.
//! * **Change.** The longer ago something was seen, the less it says: probability flows back to the prior, at a rate that
//!   is itself learned from how often the likely `L` has changed.
//! * **`Retry-After`.** A pause that ends when the hypothesis expects the next free place speaks for it. Many servers state the
//!   same pause whatever happens, so it weighs little.
//!
//! # What it decides
//!
//! The rate with the least expected time for the rows that are left: every rate up to `L` is sustained, and any rate above
//! costs a refusal ([`REFUSAL`]) and its pause, after which `L` is known. Probes follow from that: they become worthwhile as
//! belief in a known limit fades, the sooner the more rows there are. Until the first refusal nothing is at stake but that
//! one refusal, and calls leave as fast as allowed.
//!
//! Pure: the time goes in with every call, there is no randomness, and the same answers give the same decisions.

mod calls;
mod counting;
mod hypotheses;
#[cfg(test)]
mod tests;

use super::call_window::MINUTE;
use calls::Calls;
use hypotheses::{Explained, Hypotheses, Observed};
use std::time::Duration;

/// Prior of refusals unrelated to load: one in a thousand calls, with the weight of fifty calls.
const UNRELATED: f64 = 0.05;
const CALLS: f64 = 50.0;

/// Factor by which the knowledge of them fades with each call.
const MEMORY: f64 = 0.998;

/// Probability that the call after a refusal is refused for the same reason, unrelated to load.
const SAME_INCIDENT: f64 = 0.5;

/// Minutes in which one change of the limit is expected before any was seen.
const UNCHANGED_MINUTES: f64 = 30.0;

/// The likely limit has changed if it moves by more than this (natural logarithm) and stays there for two minutes.
const CHANGED: f64 = 0.2;

/// Minutes for which a rate that was found is expected to be useful.
const HORIZON_MINUTES: f64 = 30.0;

/// Price of a refusal, in calls.
const REFUSAL: f64 = 13.0;

/// Shares of calls refused and of time lost to pauses at which a refusal costs twice as much.
const REFUSED_SHARE: f64 = 0.01;
const LOST_SHARE: f64 = 0.03;

/// Below this limit a refusal is no cheaper, in calls a minute: otherwise a starved bucket would hardly be probed.
const CHEAPEST: f64 = 5.0;

/// After a refusal the rate at most doubles what was accepted in a minute before, so that a store isn't taken for a rate.
const CLIMB: f64 = 2.0;

/// Share of a window that is left unused even if all calls take equally long: so many seconds of it, within these bounds.
const TIMERS: f64 = 0.024;
const UNUSED: (f64, f64) = (0.0005, 0.006);

/// Weight of the newest pause in the expected one.
const NEWEST_PAUSE: f64 = 0.7;

/// The estimate of one bucket's limit.
#[derive(Debug, Clone)]
pub struct RateEstimator {
    start: f64,
    most: f64,
    estimate: f64,
    calls: Calls,
    /// `None` until the first refusal: until then nothing has to be known, and most buckets never meet one.
    hypotheses: Option<Hypotheses>,
    accepted_since: u64,
    /// Whether nothing was accepted between the last refusal and the one before it.
    is_repeat: bool,
    /// The probability that the calls made before explain the last refusal.
    explained: f64,
    expected_pause: f64,
    /// Refusals after the first one and seconds lost to them, fading.
    refusals: f64,
    lost: f64,
    unrelated: f64,
    below_limit: f64,
    /// The most that was accepted in a minute, fading as the belief does.
    proven: f64,
    /// The limit that is more likely than all others together, and since when; and the last one that stayed.
    likely: Option<(f64, f64)>,
    settled: Option<f64>,
    changes: f64,
    is_windowed: bool,
    faded_at: f64,
    is_decided: bool,
    /// The estimate after the pause.
    next: f64,
    /// Rows that wanted this bucket last; the most until any did.
    rows_left: u64,
}

impl RateEstimator {
    /// An estimator that expects a limit of `start` calls a minute above all others, and never goes above `most`; both above zero.
    pub fn new(start: f64, most: f64) -> Self {
        Self {
            start: start.min(most),
            most,
            estimate: most,
            calls: Calls::default(),
            hypotheses: None,
            accepted_since: 0,
            is_repeat: false,
            explained: 0.0,
            expected_pause: 10.0,
            refusals: 0.0,
            lost: 0.0,
            unrelated: 0.0,
            below_limit: 0.0,
            proven: 0.0,
            likely: None,
            settled: None,
            changes: 0.0,
            is_windowed: false,
            faded_at: 0.0,
            is_decided: true,
            next: most,
            rows_left: u64::MAX,
        }
    }

    /// Another run learned this limit `age` ago: the older that is, the less it says. What was refused here says more.
    pub fn expect(&mut self, limit: f64, age: Duration, now: Duration) {
        if self.hypotheses.is_some() {
            return;
        }
        self.start = limit.min(self.most);
        let known = (-age.as_secs_f64() / MINUTE.as_secs_f64() / UNCHANGED_MINUTES).exp();
        if known < 0.5 {
            return;
        }
        self.begin(now.as_secs_f64());
        self.hypotheses.iter_mut().for_each(|hypotheses| hypotheses.expect(limit, known));
        (self.accepted_since, self.is_decided) = (self.accepted_since.max(1), false);
    }

    /// Calls a minute at which the bucket is used now.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Calls a minute at which the bucket will be used after a pause; the estimate if there is none. A run may end during a pause,
    /// and the next one begins with what it learned.
    pub fn next_estimate(&self) -> f64 {
        self.next
    }

    /// Calls a minute at which the last rows may leave, if so many more fit into the minute: windows of a minute don't mind how
    /// calls are spread, and a run needn't wait for the end of one.
    pub fn spread(&self, rows_left: u64, room: usize) -> f64 {
        if self.is_windowed && rows_left <= room as u64 { self.most } else { self.estimate }
    }

    /// Calls that may be in flight: as many as rate and latency require, once as many were accepted that a refusal of all of
    /// them would not be most of the calls.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of calls")]
    pub fn places(&self) -> u64 {
        match (self.hypotheses.is_some(), self.accepted_since) {
            (true, 0) => 1,
            (true, accepted) => 2 + accepted / 4 + (self.estimate * self.calls.latency() / MINUTE.as_secs_f64()) as u64,
            (false, accepted) => 1 + accepted / 3,
        }
    }

    pub fn on_sent(&mut self, now: Duration) {
        self.calls.sent(now);
    }

    /// A call sent at `sent_at` was answered at `now`, and not with a limit.
    pub fn on_accepted(&mut self, sent_at: Duration, now: Duration) {
        let sent = sent_at.as_secs_f64();
        self.calls.answered(sent, now.as_secs_f64());
        let is_repeat = self.accepted_since == 0;
        self.refusals *= MEMORY;
        self.accepted_since += 1;
        self.observe(sent, None, is_repeat);
        self.remember(sent_at);
    }

    /// Counts an accepted call, also one made before the buckets were split.
    pub fn remember(&mut self, sent_at: Duration) {
        self.proven = self.proven.max(self.calls.accept(sent_at.as_secs_f64()));
    }

    /// A call sent at `sent_at` was refused at `now`, with a stated `pause`. It is new unless the call left before the refusal that
    /// was known last. Returns whether the calls made before probably explain it.
    pub fn on_refused(&mut self, is_new: bool, sent_at: Duration, now: Duration, pause: Duration) -> bool {
        let (sent, now, pause) = (sent_at.as_secs_f64(), now.as_secs_f64(), pause.as_secs_f64());
        self.calls.answered(sent, now);
        if !is_new {
            return true;
        }
        let is_first = self.hypotheses.is_none();
        self.is_repeat = !is_first && self.accepted_since == 0;
        if is_first {
            self.begin(sent);
        }
        let unrelated = self.observe(sent, Some(pause), self.is_repeat);
        if !is_first && !self.is_repeat {
            self.refusals += 1.0;
        }
        self.accepted_since = 0;
        self.explained = 1.0 - unrelated;
        self.explained > 0.5
    }

    /// The bucket is closed for `pause` because of the last refusal. What follows in the same incident isn't the price of a probe.
    pub fn on_pause(&mut self, pause: Duration, now: Duration) {
        if !self.is_repeat {
            self.lost += self.explained * pause.as_secs_f64();
            self.expected_pause += NEWEST_PAUSE * (pause.as_secs_f64() - self.expected_pause);
        }
        self.next = self.best(now.as_secs_f64(), self.rows_left);
    }

    /// Time passes, and `rows_left` rows still want this bucket: decides on the rate.
    pub fn on_time(&mut self, now: Duration, rows_left: u64) {
        let now = now.as_secs_f64();
        self.rows_left = rows_left;
        // Belief fades slowly: between answers there is nothing to decide for a while.
        if self.hypotheses.is_some() && (!self.is_decided || now > self.faded_at + 5.0) {
            self.fade(now);
            self.decide(now, rows_left);
            self.is_decided = true;
        }
    }

    /// The prior, and what the calls before the first refusal say.
    fn begin(&mut self, now: f64) {
        let before = self.calls.before(now);
        self.hypotheses = Some(Hypotheses::new(self.start, self.most, &before, now));
        self.faded_at = before.first().copied().unwrap_or(now);
        for sent in self.calls.take_accepted() {
            self.observe(sent, None, false);
            self.remember(Duration::from_secs_f64(sent));
        }
    }

    /// Learns from an answer, once anything has to be known. Returns the probability that it is a refusal unrelated to load.
    fn observe(&mut self, sent: f64, pause: Option<f64>, is_repeat: bool) -> f64 {
        self.fade(sent);
        let Some(hypotheses) = &mut self.hypotheses else { return 0.0 };
        let unrelated = if is_repeat {
            SAME_INCIDENT
        } else {
            (UNRELATED + self.unrelated) / (UNRELATED + CALLS + self.below_limit)
        };
        let observed = Observed { sent, pause, unrelated };
        let Explained { unrelated, below_limit } = hypotheses.observe(&observed, &self.calls);
        if !is_repeat {
            self.unrelated = self.unrelated * MEMORY + unrelated;
            self.below_limit = self.below_limit * MEMORY + if pause.is_some() { unrelated } else { below_limit };
        }
        self.is_decided = false;
        unrelated
    }

    /// Belief flows back to the prior.
    fn fade(&mut self, now: f64) {
        let passed = (now - self.faded_at) / MINUTE.as_secs_f64();
        let Some(hypotheses) = self.hypotheses.as_mut().filter(|_| passed * 60.0 >= 1.0) else { return };
        self.faded_at = now;
        let changes = (1.0 + self.changes) / (UNCHANGED_MINUTES + now / MINUTE.as_secs_f64());
        let faded = 1.0 - (-passed * changes).exp();
        self.proven *= 1.0 - faded;
        hypotheses.fade(faded);
    }

    fn decide(&mut self, now: f64, rows_left: u64) {
        self.note_change(now);
        self.is_windowed = self.hypotheses.as_ref().is_some_and(|hypotheses| hypotheses.windowed() > 0.95);
        self.next = self.best(now, rows_left);
        self.estimate = self.next;
    }

    /// The rate with the least expected time for the rows that are left.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows and calls")]
    fn best(&self, now: f64, rows_left: u64) -> f64 {
        let Some(hypotheses) = &self.hypotheses else { return self.estimate };
        let rows = (rows_left as f64).min(HORIZON_MINUTES * self.estimate);
        let highest = (CLIMB * self.proven).max(self.start);
        let in_flight = self.calls.latency() / MINUTE.as_secs_f64();
        let most_in_flight = self.places().saturating_sub(1) as f64;
        let refused = self.refusals * (1.0 - MEMORY);
        let lost = self.lost / (HORIZON_MINUTES * MINUTE.as_secs_f64() + now);
        let dearer = 1.0 + refused / REFUSED_SHARE + lost / LOST_SHARE;
        let (mut below, mut time_below, mut refusals) = (0.0, 0.0, 0.0);
        let mut best = (f64::INFINITY, self.estimate);
        for (limit, probability) in hypotheses.limits().take_while(|(limit, _)| *limit <= highest) {
            let time = (1.0 - below) * rows / limit + time_below;
            // Whatever is in flight when a call is refused is refused with it.
            let refused = 1.0 + (in_flight * limit).min(most_in_flight);
            let cost = refusals * refused + below * self.expected_pause / MINUTE.as_secs_f64();
            if time + dearer * cost < best.0 {
                best = (time + dearer * cost, limit);
            }
            below += probability;
            time_below += probability * rows / limit;
            refusals += probability * REFUSAL / limit.max(CHEAPEST);
        }
        // Two calls a window apart may each take longer or shorter: so much of the window is not used.
        let window = hypotheses.window_s();
        let margin = (self.calls.jitter() / window).min(0.05);
        let margin = (margin * 1_000.0).round() / 1_000.0 + (TIMERS / window).clamp(UNUSED.0, UNUSED.1);
        (best.1 * (1.0 - margin)).min(self.most)
    }

    /// Counts how often the limit that is more likely than all others together has changed.
    fn note_change(&mut self, now: f64) {
        let mut limits = self.hypotheses.iter().flat_map(Hypotheses::limits);
        let Some((likely, _)) = limits.find(|(_, probability)| *probability > 0.5) else { return };
        let is_another = |limit: f64| (likely / limit).ln().abs() > CHANGED;
        match self.likely {
            Some((limit, since)) if !is_another(limit) => {
                if now - since > 2.0 * MINUTE.as_secs_f64() {
                    self.changes += f64::from(self.settled.is_some_and(is_another));
                    self.settled = Some(limit);
                }
            }
            _ => self.likely = Some((likely, now)),
        }
    }
}

/// The calls that an estimate allows in one minute: whole ones, and a margin below 20 still means 20 in 60.6 s.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate is above zero")]
pub fn whole(estimate: f64) -> usize {
    estimate.ceil() as usize
}
