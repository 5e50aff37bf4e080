//! The calls that drew on one limit, and what each hypothesis makes of them.

use crate::engine::call_window::MINUTE;
use std::collections::VecDeque;
use std::time::Duration;

/// What token buckets may store.
pub(super) const STORES: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 25.0, 45.0];

/// Phases of the minute in which fixed ones may begin.
pub(super) const PHASES: usize = 6;

/// Lengths of the sliding windows, in seconds.
const SLIDING_S: [f64; 3] = [60.0, 10.0, 2.0];
pub(super) const SLIDING_KINDS: usize = SLIDING_S.len();

/// Windows: the sliding ones, and a fixed minute of each phase.
pub(super) const WINDOWS: usize = SLIDING_KINDS + PHASES;

/// Clocks and latencies differ by so many seconds.
const JITTER: f64 = 0.1;

/// Half of the time in which a fixed minute of one phase may begin, in seconds.
const HALF_PHASE: f64 = 5.0;
const _: () = assert!(2 * PHASES * 5 == 60);

/// After so many seconds without a call a limit is as if it had never been used.
const IDLE: f64 = 130.0;

/// A fixed minute may have begun a minute and a phase ago.
const KEPT: Duration = Duration::from_secs(70);

/// The latest calls, and the tokens of every hypothesis.
#[derive(Debug)]
pub(super) struct Load {
    /// When each was sent and answered; refused ones are taken out.
    calls: VecDeque<(Duration, Option<Duration>)>,
    tokens: Vec<f64>,
    filled_at: f64,
}

/// What was seen of a limit before a call.
pub(super) struct SeenCalls {
    sent: f64,
    /// Least and most calls that each window may have counted.
    windows: [(f64, f64); WINDOWS],
    /// Calls sent before this one was answered, and not answered when it was sent: accepted, and still to be answered.
    overlapping: f64,
    pending: f64,
    /// Seconds since each call, latest first, and whether it was answered before this one was sent.
    ages: Vec<(f64, bool)>,
    since_filled: f64,
}

/// When a limit has room again: in so many seconds, more or less so many.
pub(super) type Due = Option<(f64, f64)>;

impl SeenCalls {
    /// The probability that a window is used up for a limit between `limit` and `limit + width`, and when it isn't.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit is a number of calls")]
    pub fn window(&self, kind: usize, limit: f64, width: f64) -> (f64, Due) {
        let (least, most) = self.windows[kind];
        let length = SLIDING_S.get(kind).copied().unwrap_or(MINUTE.as_secs_f64());
        let share = length / MINUTE.as_secs_f64();
        let (limit, width) = (limit * share, width * share);
        let over = ((most + 1.0 - limit) / (most - least + width)).clamp(0.0, 1.0);
        let Some(phase) = kind.checked_sub(SLIDING_KINDS) else {
            let leaves = self.ages.get((limit as usize).saturating_sub(1));
            return (over, leaves.map(|(age, _)| (length - age, 0.0)));
        };
        (over, Some(((begins(phase) - self.sent).rem_euclid(MINUTE.as_secs_f64()), HALF_PHASE)))
    }

    /// Calls since so many seconds: known to have come before this one, and all.
    fn count(&mut self) {
        let minute = MINUTE.as_secs_f64();
        let known = |since: f64| self.ages.iter().filter(|(age, is_known)| *is_known && *age < since).count();
        let all = |since: f64| self.ages.iter().filter(|(age, _)| *age < since).count();
        #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
        let counts = |late: f64, early: f64| (known(late) as f64, all(early) as f64);
        let mut windows = [(0.0, 0.0); WINDOWS];
        for (length, window) in SLIDING_S.iter().zip(&mut windows) {
            *window = counts(length - JITTER, length + JITTER);
        }
        for (phase, window) in windows[SLIDING_KINDS..].iter_mut().enumerate() {
            let into = (self.sent - begins(phase)).rem_euclid(minute);
            *window = if into < HALF_PHASE {
                counts(0.0, into + minute + HALF_PHASE)
            } else if into > minute - HALF_PHASE {
                counts(0.0, into + HALF_PHASE)
            } else {
                counts(into - HALF_PHASE, into + HALF_PHASE)
            };
        }
        self.windows = windows;
    }
}

/// The middle of a phase, in seconds of the minute.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn begins(phase: usize) -> f64 {
    (2 * phase + 1) as f64 * HALF_PHASE
}

impl Load {
    pub fn new(limits: usize) -> Self {
        Self { calls: VecDeque::new(), tokens: STORES.repeat(limits), filled_at: 0.0 }
    }

    pub fn sent(&mut self, now: Duration) {
        while self.calls.front().is_some_and(|(at, _)| *at + KEPT <= now) {
            self.calls.pop_front();
        }
        self.calls.push_back((now, None));
    }

    pub fn take_back(&mut self, sent_at: Duration) {
        if let Some(place) = self.place(sent_at) {
            self.calls.remove(place);
        }
    }

    pub fn answered(&mut self, sent_at: Duration, now: Duration, is_refused: bool) {
        if is_refused {
            return self.take_back(sent_at);
        }
        if let Some(place) = self.place(sent_at) {
            self.calls[place].1 = Some(now);
        }
        self.tokens.iter_mut().for_each(|tokens| *tokens = (*tokens - 1.0).max(0.0));
    }

    fn place(&self, sent_at: Duration) -> Option<usize> {
        self.calls.iter().rposition(|(at, answered)| *at == sent_at && answered.is_none())
    }

    pub fn moments(&self) -> impl Iterator<Item = Duration> {
        self.calls.iter().map(|(at, _)| *at)
    }

    pub fn is_idle(&self, now: f64) -> bool {
        self.calls.back().is_none_or(|(at, _)| at.as_secs_f64() + IDLE < now)
    }

    /// Token buckets fill.
    pub fn advance(&mut self, now: f64, limits: &[(f64, f64)]) {
        let passed = (now - self.filled_at).max(0.0) / MINUTE.as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        for ((limit, _), tokens) in limits.iter().zip(self.tokens.chunks_mut(STORES.len())) {
            for (tokens, store) in tokens.iter_mut().zip(STORES) {
                *tokens = (*tokens + passed * limit).min(store);
            }
        }
    }

    pub fn seen(&self, sent: f64) -> SeenCalls {
        let mut seen = SeenCalls {
            sent,
            windows: [(0.0, 0.0); WINDOWS],
            overlapping: 0.0,
            pending: 0.0,
            ages: Vec::with_capacity(self.calls.len()),
            since_filled: (sent - self.filled_at).max(0.0),
        };
        let mut itself = true;
        for (other, answered) in self.calls.iter().rev() {
            let age = sent - other.as_secs_f64();
            if answered.is_none() && age.abs() < 1e-9 && std::mem::take(&mut itself) {
                continue;
            }
            let is_known = answered.is_some_and(|at| at.as_secs_f64() <= sent);
            seen.overlapping += f64::from(answered.is_some() && !is_known);
            seen.pending += f64::from(answered.is_none());
            seen.ages.push((age, is_known));
        }
        seen.count();
        seen
    }

    /// The probability that a token bucket is empty, and in how many seconds it has a token.
    pub fn bucket(&self, place: usize, limit: f64, seen: &SeenCalls) -> (f64, Due) {
        let unsure = 0.05 + limit * JITTER / MINUTE.as_secs_f64();
        let store = STORES[place % STORES.len()];
        let tokens = (self.tokens[place] + seen.since_filled * limit / MINUTE.as_secs_f64()).min(store);
        let (least, most) = (tokens - seen.pending - unsure, tokens + seen.overlapping + unsure);
        let over = ((1.0 - least) / (most - least)).clamp(0.0, 1.0);
        (over, Some(((1.0 - tokens).clamp(0.0, 1.0) * MINUTE.as_secs_f64() / limit, 0.0)))
    }
}
