//! Rate and latency of the calls.

use super::call_window::MINUTE;
use std::collections::VecDeque;
use std::time::Duration;

/// Weight of the newest latency in the running mean, so that about the last twenty calls count.
const NEWEST: f64 = 0.1;

/// Calls per second of the last minute, and the mean latency. Memory doesn't depend on the rate.
#[derive(Debug, Default)]
pub struct Throughput {
    seconds: VecDeque<(u64, u64)>,
    /// In seconds.
    latency: Option<f64>,
}

impl Throughput {
    /// Counts a call that ended now.
    pub fn ended(&mut self, now: Duration, latency: Duration) {
        let second = now.as_secs();
        match self.seconds.back_mut() {
            Some((last, calls)) if *last == second => *calls += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        let latency = latency.as_secs_f64();
        self.latency = Some(self.latency.map_or(latency, |mean| mean * (1.0 - NEWEST) + latency * NEWEST));
    }

    /// Calls a minute, over the last minute, or over the time since `began` if that is shorter.
    pub fn per_minute(&mut self, now: Duration, began: Duration) -> f64 {
        let oldest = now.as_secs().saturating_sub(MINUTE.as_secs());
        while self.seconds.front().is_some_and(|(second, _)| *second < oldest) {
            self.seconds.pop_front();
        }
        let calls: u64 = self.seconds.iter().map(|(_, calls)| calls).sum();
        let over = now.saturating_sub(began).clamp(Duration::from_secs(1), MINUTE);
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        let calls = calls as f64;
        calls * MINUTE.as_secs_f64() / over.as_secs_f64()
    }

    /// The mean latency in seconds; `None` before the first call has ended.
    pub fn latency(&self) -> Option<f64> {
        self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_minute() {
        let mut throughput = Throughput::default();
        for call in 0..40 {
            throughput.ended(Duration::from_secs(call * 3), Duration::from_millis(200));
        }
        let rate = throughput.per_minute(Duration::from_mins(2), Duration::ZERO);
        assert!((19.0..=21.0).contains(&rate), "{rate}");
        assert!((throughput.latency().unwrap() - 0.2).abs() < 1e-9);
        assert!(throughput.per_minute(Duration::from_mins(15), Duration::ZERO) < f64::EPSILON);
    }
}
