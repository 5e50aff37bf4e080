//! The ways of counting calls that are considered, and what each says of one more call.

use super::calls::Calls;
use crate::engine::call_window::MINUTE;

/// Phases of the minute in which fixed windows may begin. With 12 the simulated runs are no faster.
const PHASES: usize = 6;

/// Token buckets with another store: what the calls before the first refusal suggest, and three usual ones. Without these a first
/// refusal that is unrelated to load would fix the store for good.
pub(super) const STORES: usize = 4;
pub(super) const USUAL_STORES: [f64; STORES - 1] = [1.0, 5.0, 15.0];

/// Windows: any 60 s, the phases, and a minute that begins with the first call after the last one.
pub(super) const WINDOWS: usize = 1 + PHASES + 1;

/// Ways of counting: the windows, then the token buckets.
pub(super) const KINDS: usize = WINDOWS + STORES;

/// Prior probability of counting any 60 s, of fixed windows, and of token buckets.
const SLIDING: f64 = 0.35;
const FIXED: f64 = 0.1;
const FROM_FIRST: f64 = 0.05;
const BUCKETS: f64 = 0.5;

/// The prior probability of each way of counting.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn priors() -> [f64; KINDS] {
    let mut priors = [BUCKETS / STORES as f64; KINDS];
    priors[0] = SLIDING;
    priors[1..=PHASES].fill(FIXED / PHASES as f64);
    priors[1 + PHASES] = FROM_FIRST;
    priors
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
    /// The calls accepted in the minute before.
    within: Vec<f64>,
}

impl Moment {
    pub fn new(sent: f64, unanswered: f64, opened: f64, calls: &Calls) -> Self {
        let (minute, jitter) = (MINUTE.as_secs_f64(), calls.jitter() + 0.02);
        let since = |early: f64, late: f64| (calls.count(late, sent), calls.count(early, sent) + unanswered);
        let mut counted = [since(sent - minute - jitter, sent - minute + jitter); WINDOWS];
        for (phase, counted) in counted[1..=PHASES].iter_mut().enumerate() {
            let border = phase_begins(phase) + ((sent - phase_begins(phase)) / minute).floor() * minute;
            let into = sent - border;
            *counted = if into < half_phase() {
                (0.0, calls.count(border - minute - half_phase(), sent) + unanswered)
            } else if into > minute - half_phase() {
                (0.0, calls.count(border - half_phase(), sent) + unanswered)
            } else {
                since(border - half_phase(), border + half_phase())
            };
        }
        counted[1 + PHASES] = since(opened - jitter, opened - f64::EPSILON);
        Self { sent, unanswered, jitter, opened, counted, within: calls.since(sent - minute) }
    }

    /// The probability that one more call is over a limit between `limit` and `limit + width`.
    pub fn share_over(&self, kind: usize, limit: f64, width: f64, tokens: &[f64; STORES]) -> f64 {
        if let Some(store) = kind.checked_sub(WINDOWS) {
            let unsure = 0.02 + self.jitter * limit / MINUTE.as_secs_f64() + self.unanswered / 2.0;
            return ((1.0 - tokens[store] + self.unanswered / 2.0) / (2.0 * unsure)).clamp(0.0, 1.0);
        }
        let (least, most) = self.counted[kind];
        ((most + 1.0 - limit) / (most - least + width)).clamp(0.0, 1.0)
    }

    /// The probability density of a stated pause that ends with the next free place, if the server states true pauses:
    /// whole seconds, rounded up. Zero for any other pause.
    pub fn share_due(&self, kind: usize, limit: f64, tokens: &[f64; STORES], stated: f64) -> f64 {
        let slack = self.jitter + if (1..=PHASES).contains(&kind) { half_phase() } else { 0.0 };
        let is_due =
            self.due(kind, limit, tokens).is_some_and(|due| (due - 0.5 - slack..=due + 1.2 + slack).contains(&stated));
        if is_due { 1.0 / (1.0 + 2.0 * (slack - self.jitter)) } else { 0.0 }
    }

    /// Seconds until a free place is expected, or `None` if there is one now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit is a small number of calls")]
    fn due(&self, kind: usize, limit: f64, tokens: &[f64; STORES]) -> Option<f64> {
        let minute = MINUTE.as_secs_f64();
        match kind {
            0 => {
                let leaves = self.within.len().checked_sub((limit as usize).max(1))?;
                Some(self.within[leaves] + minute - self.sent)
            }
            phase if phase <= PHASES => Some((phase_begins(phase - 1) - self.sent).rem_euclid(minute)),
            kind if kind < WINDOWS => Some(self.opened + minute - self.sent),
            store => Some((1.0 - tokens[store - WINDOWS]).clamp(0.0, 1.0) * minute / limit),
        }
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
