//! One bucket: its limiter, the pause that it has asked for, and what its callers did. Pure; the time comes in.

use super::limiter::{LimitKind, Limiter};
use std::collections::VecDeque;
use std::time::Duration;

/// What a bucket counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls that came with a good token.
    pub calls: u64,
    /// Of them, those let through.
    pub accepted: u64,
    /// Of them, those answered `ratelimited`.
    pub limited: u64,
    /// Of them, those that came after a refusal was sent and before its stated `Retry-After` was over. What counts is
    /// what the header said, were it more or less than the truth; a refusal that states nothing asks for no pause.
    pub inside_pause: u64,
    /// The highest number of calls in any 60 s.
    pub most_in_a_minute: u64,
    /// Calls that are being answered just now.
    pub in_flight: u32,
    /// The highest number of calls that were being answered at once.
    pub most_in_flight: u32,
}

impl Counts {
    /// Both together; the peaks are the higher one's.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            accepted: self.accepted + other.accepted,
            limited: self.limited + other.limited,
            inside_pause: self.inside_pause + other.inside_pause,
            most_in_a_minute: self.most_in_a_minute.max(other.most_in_a_minute),
            in_flight: self.in_flight + other.in_flight,
            most_in_flight: self.most_in_flight.max(other.most_in_flight),
        }
    }
}

/// A limiter with its counts.
#[derive(Debug)]
pub(super) struct Bucket {
    limiter: Limiter,
    counts: Counts,
    paused_until: Duration,
    minute: Minute,
}

impl Bucket {
    pub(super) fn new(kind: LimitKind) -> Self {
        Self {
            limiter: Limiter::new(kind),
            counts: Counts::default(),
            paused_until: Duration::ZERO,
            minute: Minute::default(),
        }
    }

    /// A call comes in at `now`; `leave` ends it.
    ///
    /// # Errors
    /// The true time until a call will be accepted.
    pub(super) fn arrive(&mut self, now: Duration) -> Result<(), Duration> {
        self.counts.in_flight += 1;
        self.counts.calls += 1;
        self.counts.most_in_flight = self.counts.most_in_flight.max(self.counts.in_flight);
        self.counts.most_in_a_minute = self.counts.most_in_a_minute.max(self.minute.count(now));
        self.counts.inside_pause += u64::from(now < self.paused_until);
        let verdict = self.limiter.check(now);
        match verdict {
            Ok(()) => self.counts.accepted += 1,
            Err(_) => self.counts.limited += 1,
        }
        verdict
    }

    /// A refusal goes out at `now` and asks for a pause of `stated`.
    pub(super) fn pause(&mut self, now: Duration, stated: Duration) {
        self.paused_until = self.paused_until.max(now + stated);
    }

    /// A call's answer is ready, or its client has hung up.
    pub(super) fn leave(&mut self) {
        self.counts.in_flight -= 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

/// The calls of the last 60 s, those of one millisecond together: 40,000 a second would be millions of entries.
#[derive(Debug, Default)]
struct Minute {
    calls: VecDeque<(Duration, u64)>,
    total: u64,
}

impl Minute {
    /// Counts a call at `now`; gives the calls of the 60 s that end with it.
    fn count(&mut self, now: Duration) -> u64 {
        let now = Duration::from_millis(u64::try_from(now.as_millis()).expect("a server's life in milliseconds"));
        while let Some(&(at, calls)) = self.calls.front().filter(|(at, _)| *at + Duration::from_mins(1) <= now) {
            debug_assert!(at < now);
            self.calls.pop_front();
            self.total -= calls;
        }
        match self.calls.back_mut() {
            Some((at, calls)) if *at == now => *calls += 1,
            _ => self.calls.push_back((now, 1)),
        }
        self.total += 1;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_was_asked_for_counts_as_a_pause() {
        let kind = LimitKind::SlidingLog { calls: 1, per: seconds(60) };
        let mut bucket = Bucket::new(kind);
        assert_eq!(bucket.arrive(seconds(0)), Ok(()));
        // Refused, but nothing was asked for before this call came.
        assert_eq!(bucket.arrive(seconds(10)), Err(seconds(50)));
        bucket.pause(seconds(10), seconds(5));
        // A shorter pause that is told later does not end the longer one.
        bucket.pause(seconds(11), seconds(1));
        for (at, inside) in [(12, 1), (14, 2), (15, 2), (60, 2)] {
            let _ = bucket.arrive(seconds(at));
            assert_eq!(bucket.counts().inside_pause, inside, "at {at} s");
        }
        let counts = bucket.counts();
        assert_eq!((counts.calls, counts.accepted, counts.limited), (6, 2, 4));
    }

    #[test]
    fn the_busiest_minute_is_found_wherever_it_begins() {
        let mut bucket = Bucket::new(LimitKind::Unlimited);
        for at in [0, 30, 59, 60, 60, 61, 200] {
            bucket.arrive(seconds(at)).unwrap();
            bucket.leave();
        }
        // 30, 59, 60, 60, 61: the call at 0 is out of the span that ends at 60.
        assert_eq!(bucket.counts().most_in_a_minute, 5);
        assert_eq!(bucket.counts().most_in_flight, 1);
    }

    #[test]
    fn calls_in_flight_are_those_not_answered() {
        let mut bucket = Bucket::new(LimitKind::Unlimited);
        for _ in 0..3 {
            bucket.arrive(seconds(1)).unwrap();
        }
        bucket.leave();
        bucket.arrive(seconds(2)).unwrap();
        assert_eq!(bucket.counts().most_in_flight, 3);
    }
}
