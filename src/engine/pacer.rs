//! How many calls a minute a bucket takes: an estimate that follows the answers.
//!
//! # The model
//!
//! A bucket accepts some number of calls a minute, `L`, and nobody says what it is, how it is counted, or whether it stays.
//! Three things can be known from outside:
//!
//! * A call that is refused after a minute of steady sending says that `L` is what was accepted in that minute, for a
//!   fixed window, a sliding log and an empty token bucket alike. This is the only fall that is exact ([`Pacer::measure`]).
//! * A call that is refused soon after a pause says that `L` is less than the pace, and not how much less. Between two such
//!   refusals the bucket was empty twice, so what it took between them, over the time between them, is `L` again once
//!   there is enough of it ([`Series`]); until then the estimate falls by steps that grow.
//! * A call refused in the opening burst tells of the burst and nothing of the rate: the tier's promise stands.
//!
//! And a refusal is never free: it costs one 429 and the part of its pause in which the pace would have sent ([`Costs`]).
//! So the pace opens with the tier's minute in one burst, climbs by half every [`STEP`] for as long as it was never
//! refused, and from the first refusal on only probes, as seldom as its costs ask for.
//!
//! Pure: the time goes in with every call, there is no chance in it, and the same answers give the same decisions.

use super::trail::{MINUTE, Trail};
use std::time::Duration;

/// Held below what was measured, for the jitter of the network: at 20 a minute the 21st call leaves 600 ms after the
/// 60 s are over. It costs 1 % of the time; with none, every second call at a sliding log's edge would be a 429.
const MARGIN: f64 = 0.99;

/// Between two rises. A third of the minute: the trailing count lags the pace, and a slower climb costs more than the
/// one 429 at its end (120 a minute is reached from 20 in five steps, under two minutes).
const STEP: Duration = Duration::from_secs(20);

/// One rise while no limit is known.
const CLIMB: f64 = 1.5;

/// The rises of a probe, one [`STEP`] each: small first, for the limit is most likely where it was, then as fast as a climb.
const PROBE: [f64; 4] = [1.05, 1.10, 1.25, CLIMB];

/// The falls of a series of refusals, one each, while nothing better is known.
const FALL: [f64; 5] = [0.9, 0.8, 0.7, 0.6, 0.5];

/// A probe is not worth more 429s than one in so many calls: pacing.md allows 1 in 100, all told.
const CALLS_FOR_A_REFUSAL: f64 = 130.0;

/// Nor more of the run than this in pauses: pacing.md allows 3 %, and the opening has its share of them.
const PAUSED_SHARE: f64 = 0.025;

/// No probe before the pace has been steady for so long.
const SHORTEST_WAIT: Duration = MINUTE;

/// The estimate never falls below: a bucket that takes less than a call a minute is an outage.
const LEAST: f64 = 1.0;

/// An answer was accepted this often before a series' own rate is believed.
const ENOUGH: u64 = 10;

/// What the pacer is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// One call after another until the tier's minute is used up.
    Opening { left: u32 },
    /// Never refused: faster every step.
    Climbing { next: Duration },
    /// At the estimate, until a probe is due.
    Holding { probe_at: Duration },
    /// Above `base`, which is known to be good, to see whether the limit moved.
    Probing { base: f64, rises: usize, next: Duration },
    /// At what a probe saw accepted: a stored burst would have looked the same, so the next refusal goes back to `base`.
    Trying { base: f64, until: Duration },
}

/// Refusals that follow one another too fast for a minute's measure.
#[derive(Debug, Clone, Copy)]
struct Series {
    since: Duration,
    accepted: u64,
    falls: usize,
}

/// What probing has cost.
#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    /// 429s since the last probe began.
    refusals: u32,
    /// Time lost since the last probe began.
    lost: Duration,
    /// Time lost in the run.
    lost_in_all: Duration,
    /// Time that the last refusal lost: what the next is expected to lose.
    lost_last: Duration,
    /// 429s in the run.
    refusals_in_all: u32,
    /// Calls accepted in the run.
    accepted_in_all: u64,
}

/// The estimate of one bucket's limit.
#[derive(Debug, Clone)]
pub struct Pacer {
    start: f64,
    most: f64,
    estimate: f64,
    phase: Phase,
    accepted: Trail,
    steady_since: Duration,
    last_refusal: Option<Duration>,
    refused_at_pace: bool,
    series: Option<Series>,
    costs: Costs,
    rows_left: u64,
}

impl Pacer {
    /// Starts at `start` calls a minute and never goes above `most`; both above zero.
    #[must_use]
    pub fn new(start: f64, most: f64, now: Duration) -> Self {
        let start = start.clamp(LEAST, most.max(LEAST));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls, at least 1")]
        let left = start as u32;
        Self {
            start,
            most: most.max(start),
            estimate: start,
            phase: Phase::Opening { left },
            accepted: Trail::default(),
            steady_since: now,
            last_refusal: None,
            refused_at_pace: false,
            series: None,
            costs: Costs::default(),
            rows_left: 0,
        }
    }

    /// Calls a minute that the bucket is believed to take.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Whether calls go one after another, each at the answer of the last, with no spacing.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. })
    }

    /// A call leaves.
    pub fn on_sent(&mut self, now: Duration) {
        if let Phase::Opening { left } = self.phase {
            self.phase = match left - 1 {
                0 => Phase::Climbing { next: now },
                left => Phase::Opening { left },
            };
        }
    }

    /// A call sent at `sent_at` was answered, and not with a limit.
    pub fn on_accepted(&mut self, sent_at: Duration) {
        self.accepted.push(sent_at);
        self.costs.accepted_in_all += 1;
        if let Some(series) = &mut self.series {
            series.accepted += 1;
        }
    }

    /// Time passes, and `rows_left` rows still want this bucket: a rise may be due.
    pub fn on_time(&mut self, now: Duration, rows_left: u64) {
        self.rows_left = rows_left;
        match self.phase {
            Phase::Climbing { next } if now >= next => {
                self.phase = Phase::Climbing { next: now + STEP };
                self.rise(CLIMB, now);
            }
            Phase::Holding { probe_at } if now >= probe_at => self.probe(now),
            Phase::Probing { base, rises, next } if now >= next => {
                let factor = PROBE[rises.min(PROBE.len() - 1)];
                self.phase = Phase::Probing { base, rises: rises + 1, next: now + STEP };
                self.rise(factor, now);
            }
            Phase::Trying { until, .. } if now >= until => self.hold(now),
            Phase::Opening { .. }
            | Phase::Climbing { .. }
            | Phase::Holding { .. }
            | Phase::Probing { .. }
            | Phase::Trying { .. } => {}
        }
    }

    /// A call sent at `sent_at` was refused at `now`; the bucket is closed for `pause`.
    pub fn on_refused(&mut self, sent_at: Duration, now: Duration, pause: Duration) {
        let same_slip = self.last_refusal.is_some_and(|last| sent_at <= last);
        let steady_for = now.saturating_sub(self.steady_since);
        self.steady_since = self.steady_since.max(now + pause);
        self.costs.refusals += 1;
        self.costs.refusals_in_all += 1;
        if same_slip {
            return;
        }
        self.last_refusal = Some(now);
        let before = self.phase;
        self.estimate = self.fallen(now, steady_for).clamp(LEAST, self.most);
        self.count_loss(now, pause);
        self.refused_at_pace |= !matches!(before, Phase::Opening { .. });
        match before {
            Phase::Probing { base, .. } if self.estimate > base => {
                self.phase = Phase::Trying { base, until: now + pause + MINUTE };
            }
            Phase::Opening { .. }
            | Phase::Climbing { .. }
            | Phase::Holding { .. }
            | Phase::Probing { .. }
            | Phase::Trying { .. } => self.hold(now + pause),
        }
    }

    /// The estimate after a refusal.
    fn fallen(&mut self, now: Duration, steady_for: Duration) -> f64 {
        let accepted = self.accepted_in_a_minute(now).min(self.estimate);
        match self.phase {
            Phase::Opening { .. } => self.start * MARGIN,
            Phase::Climbing { .. } => accepted.max(self.start) * MARGIN,
            Phase::Probing { base, .. } => (accepted * MARGIN).max(base),
            Phase::Trying { base, .. } => base,
            Phase::Holding { .. } => self.measure(now, steady_for, accepted),
        }
    }

    /// What the bucket takes, by the best evidence there is.
    fn measure(&mut self, now: Duration, steady_for: Duration, accepted: f64) -> f64 {
        if steady_for >= MINUTE {
            self.series = Some(Series { since: now, accepted: 0, falls: 0 });
            return accepted * MARGIN;
        }
        let series = self.series.get_or_insert(Series { since: now, accepted: 0, falls: 0 });
        let fall = FALL[series.falls.min(FALL.len() - 1)];
        series.falls += 1;
        let lasted = now.saturating_sub(series.since);
        if series.accepted >= ENOUGH || lasted >= MINUTE {
            #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
            let rate = series.accepted as f64 / lasted.as_secs_f64() * MINUTE.as_secs_f64();
            return rate.clamp(self.estimate * FALL[FALL.len() - 1], self.estimate * MARGIN);
        }
        self.estimate * fall
    }

    /// Raises the pace, where it was really used: what was not sent proves nothing.
    fn rise(&mut self, factor: f64, now: Duration) {
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
        let rises = if self.refused_at_pace { 0 } else { PROBE.len() - 1 };
        self.phase = Phase::Probing { base: self.estimate, rises, next: now };
        self.on_time(now, self.rows_left);
    }

    /// Stays at the estimate until the next probe is due: the dearer the last one was, the later.
    fn hold(&mut self, from: Duration) {
        let calls = f64::from(self.costs.refusals) * CALLS_FOR_A_REFUSAL;
        let for_refusals = if self.refused_at_pace { MINUTE.mul_f64(calls / self.estimate) } else { Duration::ZERO };
        let for_pauses = self.costs.lost.div_f64(PAUSED_SHARE);
        let for_pauses = if self.refused_at_pace { for_pauses } else { Duration::ZERO };
        self.phase = Phase::Holding { probe_at: from + SHORTEST_WAIT.max(for_refusals).max(for_pauses) };
    }

    /// Whether one more refusal, as dear as the last, keeps the run inside its shares.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    fn can_afford_a_refusal(&self, now: Duration) -> bool {
        let rest = MINUTE.mul_f64(self.rows_left as f64 / self.estimate);
        let lost = self.costs.lost_in_all + self.costs.lost_last;
        let calls = (self.costs.accepted_in_all + self.rows_left) as f64;
        let refusals = f64::from(self.costs.refusals_in_all + 1);
        lost <= (now + rest).mul_f64(PAUSED_SHARE) && refusals <= (calls / CALLS_FOR_A_REFUSAL).max(2.0)
    }

    /// Counts the part of a pause in which the new estimate would have sent.
    fn count_loss(&mut self, now: Duration, pause: Duration) {
        let own = self.accepted.room_for_one(now, whole(self.estimate)).unwrap_or(now);
        let spaced = self.accepted.last().map_or(now, |last| last + MINUTE.div_f64(self.estimate));
        let lost = (now + pause).saturating_sub(own.max(spaced).max(now));
        self.costs.lost += lost;
        self.costs.lost_in_all += lost;
        self.costs.lost_last = lost;
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    fn accepted_in_a_minute(&mut self, now: Duration) -> f64 {
        self.accepted.count(now) as f64
    }
}

/// The calls that an estimate allows in one minute: whole ones, and a margin below 20 still means 20 in 60.6 s.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate is at least 1")]
pub fn whole(estimate: f64) -> usize {
    estimate.ceil() as usize
}
