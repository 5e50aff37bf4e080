//! The servers' limits, written from their descriptions: what a call at a moment is answered, and when to come back.
//!
//! Moments are microseconds since the start of the run.

use serde::Deserialize;
use std::collections::VecDeque;

/// A second in the unit of all moments here.
pub const SECOND: u64 = 1_000_000;

/// How calls are counted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// So many in each window; the first window has `phase_s` behind it when the run starts.
    Fixed {
        #[serde(default)]
        phase_s: f64,
    },
    /// So many in a window that the first call after the last window starts.
    FromFirst,
    /// So many in any window.
    Sliding,
    /// A token every window/limit, and at most `burst` in store.
    Bucket { burst: f64 },
}

/// The limit over time: from that second on, so many calls a window.
pub type Limits = Vec<(f64, f64)>;

/// One limit, with what has been used of it.
#[derive(Debug, Clone)]
pub struct Limiter {
    kind: Kind,
    window: u64,
    limits: Limits,
    log: VecDeque<u64>,
    window_end: u64,
    used: f64,
    tokens: f64,
    filled_at: u64,
}

impl Limiter {
    pub fn new(kind: Kind, window_s: f64, limits: &Limits) -> Self {
        let tokens = if let Kind::Bucket { burst } = kind { burst } else { 0.0 };
        Self {
            kind,
            window: micros(window_s),
            limits: limits.clone(),
            log: VecDeque::new(),
            window_end: 0,
            used: 0.0,
            tokens,
            filled_at: 0,
        }
    }

    /// The limit at a moment.
    fn limit(&self, at: u64) -> f64 {
        let before = |(from, _): &&(f64, f64)| micros(*from) <= at;
        self.limits.iter().rev().find(before).map_or(0.0, |(_, limit)| *limit)
    }

    /// The next moment after `at` at which the limit changes.
    pub fn next_change(&self, at: u64) -> Option<u64> {
        self.limits.iter().map(|(from, _)| micros(*from)).find(|&from| from > at)
    }

    /// A call arrives: taken, or how long until one would be, as far as the present limit tells.
    pub fn arrive(&mut self, at: u64) -> Result<(), u64> {
        match self.kind {
            Kind::Fixed { phase_s } => self.in_window(at, at + self.window - (at + micros(phase_s)) % self.window),
            Kind::FromFirst if at < self.window_end => self.in_window(at, self.window_end),
            Kind::FromFirst => self.in_window(at, at + self.window),
            Kind::Sliding => self.in_log(at),
            Kind::Bucket { burst } => self.of_bucket(at, burst),
        }
    }

    fn in_window(&mut self, at: u64, end: u64) -> Result<(), u64> {
        if self.window_end != end {
            self.window_end = end;
            self.used = 0.0;
        }
        if self.used + 1.0 > self.limit(at) {
            return Err(end - at);
        }
        self.used += 1.0;
        Ok(())
    }

    fn in_log(&mut self, at: u64) -> Result<(), u64> {
        while self.log.front().is_some_and(|&first| first + self.window <= at) {
            self.log.pop_front();
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit is a small number")]
        let limit = self.limit(at) as usize;
        if self.log.len() < limit {
            self.log.push_back(at);
            return Ok(());
        }
        let leaves = self.log.get(self.log.len() - limit.max(1)).copied().unwrap_or(at);
        Err(leaves + self.window - at)
    }

    #[expect(clippy::cast_precision_loss, reason = "moments of a run")]
    fn of_bucket(&mut self, at: u64, burst: f64) -> Result<(), u64> {
        while self.filled_at < at {
            let until = self.next_change(self.filled_at).map_or(at, |change| change.min(at));
            let gained = (until - self.filled_at) as f64 * self.limit(self.filled_at) / self.window as f64;
            self.tokens = (self.tokens + gained).min(burst);
            self.filled_at = until;
        }
        if self.tokens >= 1.0 - 1e-9 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(micros((1.0 - self.tokens) * self.window as f64 / self.limit(at) / 1e6) + 1)
    }
}

/// Seconds in the unit of all moments here.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "moments of a run")]
pub fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}
