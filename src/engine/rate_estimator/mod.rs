//! How many calls a minute a bucket takes: an estimate that follows the answers.
//!
//! # The model
//!
//! A bucket accepts some number of calls a minute, `L`, and nobody says what it is, how it is counted, or whether it stays.
//! What can be known from outside, at a refusal:
//!
//! * After a minute of steady sending, `L` is what was accepted in that minute, for a sliding log and an empty token
//!   bucket alike, and at most that for a fixed window, where a minute reaches over a border.
//! * Soon after a pause, it depends on the new pause. A short one is for the next token: `L` is what was taken since the
//!   last pause, over the time, once there is enough of it; until then the estimate falls by a fifth. A long one is a
//!   window's, or one that the server always names, and then what the last minute accepted is the better guess.
//! * In the initial burst, nothing of the rate: the tier's promise stands, and the store is known to be small.
//! * After a climb or a probe, what was accepted may have come out of a store, and what was kept up for a whole step may
//!   be more than a lagging count shows. So the better of the two is tried ([`Phase::Verifying`]) where it is worth another
//!   refusal; `base` is what no store can have paid for, and what it goes back to.
//!
//! And a refusal is never free: it costs one 429 and the part of its pause in which the pace would have sent ([`Costs`]).
//! So the pace opens with the tier's minute in one burst, climbs for as long as it was never refused, and from the first
//! refusal on only probes, as seldom as its costs ask for: no sooner than the share of 429s allows, nor than the share of
//! paused time does, and not at all where the run is too short to gain by it. Below the tier it looks twice as often.
//!
//! # What it reaches
//!
//! Against the servers of `tests/sim`, 5,000 rows: limits of 20 x1.00 to x1.03 with 0.1 to 0.9 % of 429s, of 33 to 120
//! x1.00 to x1.13 with up to 0.8 %, limits that change x1.02 to x1.09 with up to 1.5 %. [`constants`] has the constants.
//!
//! Pure: the time goes in with every call, there is no chance in it, and the same answers give the same decisions.

mod constants;
#[cfg(test)]
mod tests;

use super::call_window::{CallWindow, MINUTE};
use constants::{
    ACROSS_A_BORDER, AFFORDABLE_SHARE, CALLS_BELOW_THE_TIER, CALLS_FOR_A_REFUSAL, CAREFUL_CLIMB, CLIMB, DEAR,
    DEEPEST_FALL, FALL, LARGEST_STORE, LEAST, LONG_PAUSE, MANY, MARGIN, MARGIN_STEP, PAUSED_SHARE, PROBE,
    SHORTEST_WAIT, SLIGHTLY_HIGHER, STEP, STORE, TOKENS, WHOLE_SECONDS, WIDEST_MARGIN,
};
use std::time::Duration;

/// What the estimator is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// One call after another until the tier's minute is used up.
    Burst { left: u32 },
    /// Never refused at a pace: faster every step. `survived` was kept up for a whole step.
    Climbing { next: Duration, survived: f64 },
    /// At the estimate, until a probe is due.
    Holding { probe_at: Duration },
    /// Above `base`, which is known to be good, to see whether the limit moved.
    Probing { base: f64, rises: usize, next: Duration, survived: f64 },
    /// At what a climb or a probe saw accepted, which a stored burst may have paid for; `base` is good without one.
    Verifying { base: f64, until: Duration, refused: u32 },
}

/// What probing has cost.
#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    /// 429s since the last probe began.
    refusals: u32,
    /// Time lost since the last probe began.
    lost: Duration,
    /// Time lost in the run to climbs and probes: the refusal in the initial burst and a limit that fell are not counted.
    lost_in_all: Duration,
    /// What the next refusal is expected to lose.
    expected: Duration,
}

/// The evidence at a refusal.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    /// Calls accepted in the last minute.
    in_a_minute: f64,
    /// Calls a minute accepted since the last pause ended.
    since_the_pause: Option<f64>,
    /// Calls a minute that were accepted since the pace was raised, a store put aside.
    established: f64,
    /// Whether no pause disturbed the last minute.
    steady: bool,
    /// Whether the pause that it earned is longer than a token takes.
    long_pause: bool,
}

/// The estimate of one bucket's limit.
#[derive(Debug, Clone)]
pub struct RateEstimator {
    start: f64,
    most: f64,
    least: f64,
    estimate: f64,
    margin: f64,
    phase: Phase,
    accepted: CallWindow,
    steady_since: Duration,
    accepted_since: u32,
    raised_at: Duration,
    accepted_raised: u32,
    stored: Option<f64>,
    held_since: Duration,
    held_for: Duration,
    tried: bool,
    was_refused: bool,
    costs: Costs,
    rows_left: u64,
}

impl RateEstimator {
    /// Starts at `start` calls a minute and never goes above `most`; both above zero.
    pub fn new(start: f64, most: f64, now: Duration) -> Self {
        let start = start.min(most);
        Self {
            start,
            most,
            least: LEAST.min(start),
            estimate: start,
            margin: MARGIN,
            phase: Phase::Burst { left: calls(start).max(1) },
            accepted: CallWindow::default(),
            steady_since: now,
            accepted_since: 0,
            raised_at: now,
            accepted_raised: 0,
            stored: None,
            held_since: now,
            held_for: Duration::ZERO,
            tried: false,
            was_refused: false,
            costs: Costs::default(),
            rows_left: 0,
        }
    }

    /// Makes the initial burst this many times as long, if the rows may belong to that many workspaces with a limit each.
    pub fn widen_burst(&mut self, times: u32) {
        if let Phase::Burst { left } = self.phase {
            self.estimate = (self.start * f64::from(times)).clamp(self.start, self.most);
            self.phase = Phase::Burst { left: calls(self.estimate).max(left) };
        }
    }

    /// Continues the initial burst, which was never refused, up to this many times the promise.
    pub fn extend_burst(&mut self, times: u32, now: Duration) {
        if let (Phase::Climbing { .. }, false) = (self.phase, self.was_refused) {
            let had = self.accepted_in_a_minute(now);
            self.estimate = (self.start * f64::from(times)).clamp(self.estimate, self.most);
            if self.estimate - had >= 1.0 {
                self.phase = Phase::Burst { left: calls(self.estimate - had) };
            }
        }
    }

    /// Ends the initial burst before its calls are used up. The estimate is what was accepted.
    pub fn end_burst(&mut self, now: Duration) {
        if let Phase::Burst { .. } = self.phase {
            self.estimate = self.accepted_in_a_minute(now).clamp(self.start, self.most);
            self.phase = Phase::Climbing { next: now, survived: self.start };
        }
    }

    /// Calls a minute that the bucket is believed to take.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Whether calls go one after another, each at the answer of the last, with no spacing.
    pub fn is_in_burst(&self) -> bool {
        matches!(self.phase, Phase::Burst { .. })
    }

    /// A call leaves.
    pub fn on_sent(&mut self, now: Duration) {
        if let Phase::Burst { left } = self.phase {
            self.phase = match left.saturating_sub(1) {
                0 => Phase::Climbing { next: now, survived: self.start },
                left => Phase::Burst { left },
            };
        }
    }

    /// A call sent at `sent_at` was answered, and not with a limit.
    pub fn on_accepted(&mut self, sent_at: Duration) {
        self.accepted.push(sent_at);
        self.accepted_since += u32::from(sent_at >= self.steady_since);
        self.accepted_raised += u32::from(sent_at >= self.raised_at);
    }

    /// Takes over a call that was accepted before this bucket was known to be one.
    pub fn remember(&mut self, sent_at: Duration) {
        self.on_sent(sent_at);
        self.on_accepted(sent_at);
        self.estimate = self.accepted_in_a_minute(sent_at).clamp(self.estimate, self.most);
    }

    /// Time passes, and `rows_left` rows still want this bucket: a rise may be due.
    pub fn on_time(&mut self, now: Duration, rows_left: u64) {
        self.rows_left = rows_left;
        match self.phase {
            Phase::Climbing { next, .. } if now >= next => {
                self.phase = Phase::Climbing { next: now + STEP, survived: self.estimate };
                let dear = self.costs.expected > DEAR;
                self.increase(if dear { CAREFUL_CLIMB } else { CLIMB }, now);
            }
            Phase::Holding { probe_at } if now >= probe_at => self.probe(now),
            Phase::Probing { base, rises, next, .. } if now >= next => {
                let factor = PROBE[rises.min(PROBE.len() - 1)];
                self.phase = Phase::Probing { base, rises: rises + 1, next: now + STEP, survived: self.estimate };
                self.increase(factor, now);
            }
            Phase::Verifying { until, .. } if now >= until => self.hold(now),
            Phase::Burst { .. }
            | Phase::Climbing { .. }
            | Phase::Holding { .. }
            | Phase::Probing { .. }
            | Phase::Verifying { .. } => {}
        }
    }

    /// A call was refused at `now`, and the bucket is closed for `pause`. It is new unless the call left before the refusal
    /// that was known last.
    pub fn on_refused(&mut self, is_new: bool, now: Duration, pause: Duration) {
        let open_again = now + pause;
        if !is_new {
            self.costs.refusals += 1;
            self.steady_since = self.steady_since.max(open_again);
            return;
        }
        let evidence = self.evidence(now, pause);
        self.held_for = now.saturating_sub(self.held_since);
        self.was_refused = true;
        self.steady_since = self.steady_since.max(open_again);
        self.accepted_since = 0;
        let pace = self.estimate.min(evidence.in_a_minute.max(self.start));
        self.count_loss(now, pause, pace);
        self.decrease(evidence, open_again);
        self.estimate = self.estimate.clamp(self.least, self.most);
    }

    /// The bucket is closed until `open_again` for a reason that says nothing of its limit.
    pub fn on_pause(&mut self, open_again: Duration) {
        self.steady_since = self.steady_since.max(open_again);
        self.accepted_since = 0;
    }

    fn evidence(&mut self, now: Duration, pause: Duration) -> Evidence {
        let undisturbed = now.saturating_sub(self.steady_since);
        let long_enough = (undisturbed >= STEP && self.accepted_since >= 5) || self.accepted_since >= MANY;
        let interval = MINUTE.as_secs_f64() / self.estimate;
        let raised_for = now.saturating_sub(self.raised_at).max(MINUTE);
        Evidence {
            in_a_minute: self.accepted_in_a_minute(now).min(self.estimate),
            since_the_pause: long_enough
                .then(|| f64::from(self.accepted_since) * MINUTE.as_secs_f64() / undisturbed.as_secs_f64()),
            established: (f64::from(self.accepted_raised) - self.stored.unwrap_or(LARGEST_STORE)).max(0.0)
                * MINUTE.as_secs_f64()
                / raised_for.as_secs_f64(),
            steady: undisturbed >= MINUTE,
            long_pause: pause.as_secs_f64() > 1.0 + LONG_PAUSE * interval,
        }
    }

    /// The estimate and the phase after a refusal.
    fn decrease(&mut self, evidence: Evidence, open_again: Duration) {
        let accepted = evidence.in_a_minute * self.margin;
        let promise = self.start * self.margin;
        match self.phase {
            Phase::Burst { .. } => {
                self.stored = Some(evidence.in_a_minute);
                self.estimate = accepted.max(promise);
                self.after_the_burst(open_again);
            }
            Phase::Climbing { survived, .. } => {
                let stored = if evidence.long_pause { self.stored.unwrap_or(0.0) } else { 0.0 };
                let base = (accepted - stored).max(promise);
                self.verify_or_hold(base, survived * self.margin, 0, open_again);
            }
            Phase::Probing { base, survived, .. } => {
                let base = base.max(evidence.established);
                // At the border of two windows a minute has more than the limit; then the pause is long.
                let certainly = if evidence.long_pause { ACROSS_A_BORDER } else { SLIGHTLY_HIGHER };
                let seen_more = accepted > base * certainly;
                self.verify_or_hold(base, if seen_more { accepted.max(survived) } else { base }, 0, open_again);
            }
            Phase::Verifying { base, refused, .. } => {
                let base = base.max(evidence.established).min(self.estimate * 0.95);
                let below = self.estimate * 0.95;
                let higher = match (evidence, refused) {
                    (Evidence { steady: true, .. }, _) | (_, 0) => accepted,
                    (Evidence { long_pause: false, since_the_pause: Some(rate), .. }, 1) => rate * self.margin,
                    (Evidence { .. }, _) => base,
                };
                self.verify_or_hold(base, higher.min(below), refused + 1, open_again);
            }
            Phase::Holding { .. } => {
                self.estimate = self.measured(evidence).clamp(self.least, self.most);
                if !std::mem::take(&mut self.tried) || self.held_for >= 2 * MINUTE {
                    self.costs.refusals = 1;
                    self.costs.lost = Duration::ZERO;
                }
                self.hold(open_again);
            }
        }
    }

    /// A refusal in the initial burst shows nothing about the rate: it climbs on if the run can afford one more refusal.
    fn after_the_burst(&mut self, open_again: Duration) {
        self.phase = if self.can_afford_a_refusal(open_again) {
            Phase::Climbing { next: open_again + STEP, survived: self.estimate }
        } else {
            Phase::Holding { probe_at: open_again + SHORTEST_WAIT }
        };
    }

    /// Stays above `base` at `higher`, where that is a difference, and worth more than another refusal.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    fn verify_or_hold(&mut self, base: f64, higher: f64, refused: u32, open_again: Duration) {
        let base = base.clamp(self.least, self.most);
        let rest = MINUTE.mul_f64(self.rows_left as f64 / base);
        let gain = rest.mul_f64(1.0 - (base / higher).min(1.0));
        self.estimate = base;
        let worth_it = gain > self.costs.expected * 40 || self.can_afford_a_refusal(open_again);
        if higher > (base * SLIGHTLY_HIGHER).max(base + STORE) && worth_it {
            self.estimate = higher;
            self.tried = true;
            self.phase = Phase::Verifying { base, until: open_again + MINUTE, refused };
        } else {
            self.hold(open_again);
        }
    }

    /// What the bucket takes, by the best evidence there is.
    fn measured(&mut self, evidence: Evidence) -> f64 {
        let promise = self.start * self.margin;
        if evidence.steady {
            if evidence.in_a_minute >= self.estimate * self.margin {
                self.margin = (self.margin - MARGIN_STEP).max(WIDEST_MARGIN);
            }
            let measured = evidence.in_a_minute * self.margin;
            return if (promise..promise + TOKENS).contains(&measured) { promise } else { measured };
        }
        let measured = match evidence {
            Evidence { long_pause: true, in_a_minute, .. } => in_a_minute * self.margin,
            Evidence { since_the_pause: Some(rate), .. } => rate * self.margin,
            Evidence { .. } => self.estimate * FALL,
        };
        let floor = if self.estimate > promise * 1.01 { promise } else { self.least };
        measured.clamp(self.estimate * DEEPEST_FALL, self.estimate * 0.95).max(floor)
    }

    /// Raises the pace, where it was really used: what was not sent proves nothing.
    fn increase(&mut self, factor: f64, now: Duration) {
        let used = self.accepted_in_a_minute(now) >= 0.7 * self.estimate.min(self.start);
        if used {
            self.estimate = (self.estimate * factor).min(self.most);
        }
    }

    /// Looks for a higher limit, if that can be afforded.
    fn probe(&mut self, now: Duration) {
        if self.estimate >= self.most || !self.can_afford_a_refusal(now) {
            self.phase = Phase::Holding { probe_at: now + SHORTEST_WAIT };
            return;
        }
        self.costs.refusals = 0;
        self.costs.lost = Duration::ZERO;
        self.phase = Phase::Probing { base: self.estimate, rises: 0, next: now, survived: self.estimate };
        self.raised_at = now;
        self.accepted_raised = 0;
        self.on_time(now, self.rows_left);
    }

    /// Stays at the estimate until the next probe is due: the dearer the last one was, the later.
    fn hold(&mut self, from: Duration) {
        let below = self.estimate < self.start * WIDEST_MARGIN;
        let each = if below { CALLS_BELOW_THE_TIER } else { CALLS_FOR_A_REFUSAL };
        let for_refusals = MINUTE.mul_f64(f64::from(self.costs.refusals) * each / self.estimate);
        let for_pauses = self.costs.lost.div_f64(PAUSED_SHARE);
        self.held_since = from;
        self.phase = Phase::Holding { probe_at: from + SHORTEST_WAIT.max(for_refusals).max(for_pauses) };
    }

    /// Whether one more refusal, as dear as the last, keeps the run inside its shares.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    fn can_afford_a_refusal(&self, now: Duration) -> bool {
        let rest = MINUTE.mul_f64(self.rows_left as f64 / self.estimate);
        self.costs.lost_in_all + self.costs.expected <= (now + rest).mul_f64(AFFORDABLE_SHARE)
    }

    /// Counts the part of a pause in which a bearable `pace` would have sent.
    fn count_loss(&mut self, now: Duration, pause: Duration, pace: f64) {
        let own = self.accepted.room_for_one(now, whole(pace)).unwrap_or(now);
        let spaced = self.accepted.last().map_or(now, |last| last + MINUTE.div_f64(pace));
        let lost = (now + pause).saturating_sub(own.max(spaced).max(now));
        self.costs.refusals += 1;
        self.costs.lost += lost;
        if !matches!(self.phase, Phase::Burst { .. } | Phase::Holding { .. }) {
            self.costs.lost_in_all += lost;
        }
        let a_windows = now + pause <= own + WHOLE_SECONDS;
        let in_full = pause.saturating_sub(MINUTE.div_f64(pace));
        self.costs.expected = if a_windows { lost } else { lost.max(in_full) };
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    fn accepted_in_a_minute(&mut self, now: Duration) -> f64 {
        self.accepted.count(now) as f64
    }
}

/// The whole calls in a rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls")]
fn calls(per_minute: f64) -> u32 {
    per_minute as u32
}

/// The calls that an estimate allows in one minute: whole ones, and a margin below 20 still means 20 in 60.6 s.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate is above zero")]
pub fn whole(estimate: f64) -> usize {
    estimate.ceil() as usize
}
