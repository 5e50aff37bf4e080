//! The ways of counting calls that are considered, and what each says of one more call.

use super::calls::Calls;
use crate::engine::call_window::MINUTE;

/// Lengths of the sliding windows, in seconds.
const SLIDING_S: [f64; 5] = [60.0, 30.0, 10.0, 5.0, 2.0];

/// Phases of the minute in which fixed windows may begin. With 12 the simulated runs are no faster.
const PHASES: usize = 6;

/// Token buckets with another store: what the calls before the first refusal suggest, and three usual ones. Without these a first
/// refusal that is unrelated to load would fix the store for good.
pub(super) const STORES: usize = 4;
pub(super) const USUAL_STORES: [f64; STORES - 1] = [1.0, 5.0, 15.0];

/// The kinds of windows: sliding ones, fixed minutes by phase, and a minute that begins with the first call after the last one.
const FIRST_PHASE: usize = SLIDING_S.len();
const FROM_FIRST: usize = FIRST_PHASE + PHASES;
pub(super) const WINDOWS: usize = FROM_FIRST + 1;

/// Ways of counting: the windows, then the token buckets.
pub(super) const KINDS: usize = WINDOWS + STORES;

/// Prior probability of sliding minutes, shorter sliding windows, fixed minutes, minutes that begin with a call, and token buckets.
const ANY_MINUTE: f64 = 0.35;
const ANY_SHORTER: f64 = 0.05;
const FIXED: f64 = 0.1;
const SINCE_FIRST: f64 = 0.05;
const BUCKETS: f64 = 0.5;

/// The prior probability of each way of counting.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn priors() -> [f64; KINDS] {
    let mut priors = [BUCKETS / STORES as f64; KINDS];
    priors[..FIRST_PHASE].fill(ANY_SHORTER / (FIRST_PHASE - 1) as f64);
    priors[0] = ANY_MINUTE;
    priors[FIRST_PHASE..FROM_FIRST].fill(FIXED / PHASES as f64);
    priors[FROM_FIRST] = SINCE_FIRST;
    priors
}

/// Whether this way of counting can have this limit per minute: a shorter window takes a whole number of calls, and with few calls
/// it is a token bucket.
pub(super) fn can_count(kind: usize, limit: f64) -> bool {
    let calls = SLIDING_S.get(kind).filter(|_| kind > 0).map(|length| limit * length / MINUTE.as_secs_f64());
    let least = if length_s(kind) < 5.0 { 10.0 } else { 2.0 };
    calls.is_none_or(|calls| calls >= least && calls.fract() < 1e-9)
}

/// Seconds in which this way of counting counts calls; a minute for token buckets.
pub(super) fn length_s(kind: usize) -> f64 {
    SLIDING_S.get(kind).copied().unwrap_or(MINUTE.as_secs_f64())
}

/// Least and most calls that a window may have counted, given when answers came and how much latencies differ.
pub(super) type Counted = (f64, f64);

/// A call, as every window and token bucket sees it.
pub(super) struct Moment {
    pub sent: f64,
    /// Calls sent earlier whose answers are still to come.
    pub unanswered: f64,
    /// Seconds by which calls may have come closer together or further apart.
    pub jitter: f64,
    /// When the minute began that begins with a call.
    pub opened: f64,
    counted: [Counted; WINDOWS],
    /// The calls made before.
    before: Vec<f64>,
}

impl Moment {
    #[expect(clippy::cast_precision_loss, reason = "calls of two minutes")]
    pub fn new(sent: f64, opened: f64, calls: &Calls) -> Self {
        let (minute, jitter) = (MINUTE.as_secs_f64(), calls.jitter() + 0.02);
        let before = calls.before(sent);
        let after = |from: f64| (before.len() - before.partition_point(|at| *at <= from)) as f64;
        let since = |early: f64, late: f64| (after(late), after(early));
        let mut counted = [(0.0, 0.0); WINDOWS];
        for (length, counted) in SLIDING_S.iter().zip(&mut counted) {
            // A larger part of a short window would leave no way to tell whether it is used up.
            let jitter = jitter.min(calls.jitter() + 0.005 * length);
            *counted = since(sent - length - jitter, sent - length + jitter);
        }
        for (phase, counted) in counted[FIRST_PHASE..FROM_FIRST].iter_mut().enumerate() {
            let border = phase_begins(phase) + ((sent - phase_begins(phase)) / minute).floor() * minute;
            let into = sent - border;
            *counted = if into < half_phase() {
                (0.0, after(border - minute - half_phase()))
            } else if into > minute - half_phase() {
                (0.0, after(border - half_phase()))
            } else {
                since(border - half_phase(), border + half_phase())
            };
        }
        counted[FROM_FIRST] = since(opened - jitter, opened - f64::EPSILON);
        Self { sent, unanswered: calls.unanswered_before(sent), jitter, opened, counted, before }
    }

    /// The probability that one more call is over a limit between `limit` and `limit + width`.
    pub fn share_over(&self, kind: usize, limit: f64, width: f64, tokens: &[f64; STORES]) -> f64 {
        if let Some(store) = kind.checked_sub(WINDOWS) {
            let unsure = 0.02 + self.jitter * limit / MINUTE.as_secs_f64();
            return ((1.0 - tokens[store] + self.unanswered) / (2.0 * unsure)).clamp(0.0, 1.0);
        }
        let (least, most) = self.counted[kind];
        let share = SLIDING_S.get(kind).map_or(1.0, |length| length / MINUTE.as_secs_f64());
        let width = if share < 1.0 { 1.0 } else { width };
        ((most + 1.0 - limit * share) / (most - least + width)).clamp(0.0, 1.0)
    }

    /// The probability density of a stated pause that ends with the next free place, if the server states true pauses:
    /// whole seconds, rounded up. Zero for any other pause.
    pub fn share_due(&self, kind: usize, limit: f64, tokens: &[f64; STORES], stated: f64) -> f64 {
        let slack = self.jitter + if (FIRST_PHASE..FROM_FIRST).contains(&kind) { half_phase() } else { 0.0 };
        let is_due =
            self.due(kind, limit, tokens).is_some_and(|due| (due - 0.5 - slack..=due + 1.2 + slack).contains(&stated));
        if is_due { 1.0 / (1.0 + 2.0 * (slack - self.jitter)) } else { 0.0 }
    }

    /// Seconds until a free place is expected, or `None` if there is one now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit is a small number of calls")]
    fn due(&self, kind: usize, limit: f64, tokens: &[f64; STORES]) -> Option<f64> {
        let minute = MINUTE.as_secs_f64();
        if let Some(length) = SLIDING_S.get(kind) {
            let most = ((limit * length / minute) as usize).max(1);
            let first = self.before.partition_point(|at| *at <= self.sent - length);
            let leaves = self.before.len().checked_sub(most).filter(|leaves| *leaves >= first)?;
            return Some(self.before[leaves] + length - self.sent);
        }
        Some(match kind.checked_sub(WINDOWS) {
            Some(store) => (1.0 - tokens[store] + self.unanswered).max(0.0) * minute / limit,
            None if kind == FROM_FIRST => self.opened + minute - self.sent,
            None => (phase_begins(kind - FIRST_PHASE) - self.sent).rem_euclid(minute),
        })
    }
}

/// The middle of a phase, in seconds of the minute.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn phase_begins(phase: usize) -> f64 {
    (2 * phase + 1) as f64 * half_phase()
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn half_phase() -> f64 {
    MINUTE.as_secs_f64() / (2 * PHASES) as f64
}
