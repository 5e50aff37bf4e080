//! Possible limiters behind Slack's "20 or more a minute"; it isn't documented which one is used.
//!
//! Pure: the time since the server's start is passed in and must not decrease, and the wait is returned. A refusal
//! has no further effect here.

use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitKind {
    #[default]
    Unlimited,
    /// At most `calls` in each window of length `per`.
    FixedWindow { calls: u32, per: Duration, starts: WindowStart },
    /// At most `calls` in any period of length `per`.
    SlidingLog { calls: u32, per: Duration },
    /// Gains `calls` tokens per `per`, and keeps at most `burst`.
    TokenBucket {
        /// Tokens gained per `per`.
        calls: u32,
        /// The time to gain `calls` tokens.
        per: Duration,
        /// Maximum number of tokens; the bucket starts full.
        burst: u32,
    },
}

/// The start of the windows of a [`LimitKind::FixedWindow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowStart {
    /// At fixed times. The server started this far into a window.
    Aligned {
        /// Less than the length of the window.
        into: Duration,
    },
    /// With the first call after the last window.
    FirstCall,
}

/// The state of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limiter {
    kind: LimitKind,
    /// Calls in the window that began at `since`.
    used: u32,
    /// The start of the window; for a token bucket, the time at which it will be full.
    since: Duration,
    /// The times of accepted calls; only for a sliding log.
    log: VecDeque<Duration>,
}

impl Limiter {
    /// # Panics
    /// If it allows no call at all, or its period is zero.
    #[must_use]
    pub fn new(kind: LimitKind) -> Self {
        let possible = match kind {
            LimitKind::Unlimited => true,
            LimitKind::FixedWindow { calls, per, .. } | LimitKind::SlidingLog { calls, per } => {
                calls > 0 && !per.is_zero()
            }
            LimitKind::TokenBucket { calls, per, burst } => calls > 0 && burst > 0 && !per.is_zero(),
        };
        assert!(possible, "a limit needs calls and time: {kind:?}");
        Self { kind, used: 0, since: Duration::ZERO, log: VecDeque::new() }
    }

    /// Counts a call at `now`.
    ///
    /// # Errors
    /// The exact time from `now` until a call will be accepted.
    pub fn check(&mut self, now: Duration) -> Result<(), Duration> {
        match self.kind {
            LimitKind::Unlimited => Ok(()),
            LimitKind::FixedWindow { calls, per, starts } => self.check_window(now, calls, per, starts),
            LimitKind::SlidingLog { calls, per } => self.check_log(now, calls, per),
            LimitKind::TokenBucket { calls, per, burst } => self.check_tokens(now, per / calls, burst),
        }
    }

    fn check_window(&mut self, now: Duration, calls: u32, per: Duration, starts: WindowStart) -> Result<(), Duration> {
        let begin = match starts {
            WindowStart::Aligned { into } => now.saturating_sub(past_border(now + into, per)),
            WindowStart::FirstCall if self.used == 0 || now >= self.since + per => now,
            WindowStart::FirstCall => self.since,
        };
        if begin != self.since {
            (self.since, self.used) = (begin, 0);
        }
        if self.used < calls {
            self.used += 1;
            return Ok(());
        }
        Err(match starts {
            WindowStart::Aligned { into } => per.saturating_sub(past_border(now + into, per)),
            WindowStart::FirstCall => (begin + per).saturating_sub(now),
        })
    }

    fn check_log(&mut self, now: Duration, calls: u32, per: Duration) -> Result<(), Duration> {
        while self.log.front().is_some_and(|&first| first + per <= now) {
            self.log.pop_front();
        }
        match self.log.front() {
            Some(&first) if self.log.len() >= calls as usize => Err((first + per).saturating_sub(now)),
            _ => {
                self.log.push_back(now);
                Ok(())
            }
        }
    }

    /// GCRA: `since` is the time at which the bucket will be full, and each call adds the time to gain one token.
    fn check_tokens(&mut self, now: Duration, each: Duration, burst: u32) -> Result<(), Duration> {
        let full_at = self.since.max(now);
        let allowed_at = full_at.saturating_sub(each * (burst - 1));
        match allowed_at.checked_sub(now) {
            None | Some(Duration::ZERO) => {
                self.since = full_at + each;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }
}

/// The time since the last start of a window.
fn past_border(time: Duration, per: Duration) -> Duration {
    let nanos = time.as_nanos() % per.as_nanos();
    Duration::from_nanos(u64::try_from(nanos).expect("less than a window, and a window of 584 years is none"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketCounts {
    /// Calls with a valid token.
    pub calls: u64,
    /// Calls that were accepted.
    pub accepted: u64,
    /// Calls that were answered `ratelimited`.
    pub limited: u64,
    /// Calls that arrived after a refusal was sent and before its stated `Retry-After` was over, whether or not that
    /// was the true wait. A refusal without `Retry-After` asks for no pause.
    pub inside_pause: u64,
    /// The highest number of calls in any 60 s.
    pub most_in_a_minute: u64,
    /// Calls that aren't answered yet.
    pub in_flight: u32,
    /// The highest value of `in_flight`.
    pub most_in_flight: u32,
}

impl BucketCounts {
    /// The sum; for peaks, the maximum.
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

#[derive(Debug)]
pub(super) struct CallBucket {
    limiter: Limiter,
    counts: BucketCounts,
    paused_until: Duration,
    minute: Minute,
}

impl CallBucket {
    pub(super) fn new(kind: LimitKind) -> Self {
        Self {
            limiter: Limiter::new(kind),
            counts: BucketCounts::default(),
            paused_until: Duration::ZERO,
            minute: Minute::default(),
        }
    }

    /// Handles a call that arrives at `now`; `leave` ends it.
    ///
    /// # Errors
    /// The true wait.
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

    /// Notes that a refusal at `now` asks for a pause of `stated`.
    pub(super) fn pause(&mut self, now: Duration, stated: Duration) {
        self.paused_until = self.paused_until.max(now + stated);
    }

    /// Notes that a call was answered or its client disconnected.
    pub(super) fn leave(&mut self) {
        self.counts.in_flight -= 1;
    }

    pub(super) fn counts(&self) -> BucketCounts {
        self.counts
    }
}

/// The calls of the last 60 s, counted per millisecond, because 40,000 calls a second would be millions of entries.
#[derive(Debug, Default)]
struct Minute {
    calls: VecDeque<(Duration, u64)>,
    total: u64,
}

impl Minute {
    /// Counts a call at `now` and returns the number of calls in the 60 s before.
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
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Seconds to wait, or `None` if the call is accepted, at each of the given seconds.
    fn waits(kind: LimitKind, at: &[u64]) -> Vec<Option<u64>> {
        let mut limiter = Limiter::new(kind);
        at.iter().map(|&second| limiter.check(Duration::from_secs(second)).err().map(|wait| wait.as_secs())).collect()
    }

    #[test]
    fn each_kind_counts_in_its_own_way() {
        let window = |starts| LimitKind::FixedWindow { calls: 2, per: MINUTE, starts };
        let aligned = window(WindowStart::Aligned { into: Duration::ZERO });
        assert_eq!(waits(aligned, &[50, 58, 59, 60, 61, 62]), [None, None, Some(1), None, None, Some(58)]);
        let midway = window(WindowStart::Aligned { into: Duration::from_secs(45) });
        assert_eq!(waits(midway, &[0, 1, 2, 15, 16, 17, 75]), [None, None, Some(13), None, None, Some(58), None]);
        let first = window(WindowStart::FirstCall);
        assert_eq!(
            waits(first, &[50, 58, 59, 109, 110, 111, 112]),
            [None, None, Some(51), Some(1), None, None, Some(58)]
        );
        let log = LimitKind::SlidingLog { calls: 2, per: MINUTE };
        assert_eq!(waits(log, &[50, 58, 59, 110, 111, 118]), [None, None, Some(51), None, Some(7), None]);
        let bucket = LimitKind::TokenBucket { calls: 20, per: MINUTE, burst: 3 };
        assert_eq!(waits(bucket, &[0, 0, 0, 0, 3, 3, 60, 60, 60, 60])[3..6], [Some(3), None, Some(3)]);
        assert_eq!(waits(bucket, &[0, 0, 0, 60, 60, 60, 60])[3..], [None, None, None, Some(3)]);
        assert_eq!(waits(LimitKind::Unlimited, &[0; 50]), [None; 50]);
    }

    #[test]
    #[should_panic(expected = "a limit needs calls and time")]
    fn a_limit_of_nothing_is_refused() {
        let _ = Limiter::new(LimitKind::SlidingLog { calls: 0, per: MINUTE });
    }

    fn any_kind() -> impl Strategy<Value = LimitKind> {
        let (calls, per) = (1..30_u32, (1..90_000_u64).prop_map(Duration::from_millis));
        let starts = prop_oneof![
            Just(WindowStart::FirstCall),
            (0..90_000_u64).prop_map(|into| WindowStart::Aligned { into: Duration::from_millis(into) })
        ];
        prop_oneof![
            (calls.clone(), per.clone(), starts).prop_map(|(calls, per, starts)| LimitKind::FixedWindow {
                calls,
                per,
                starts
            }),
            (calls.clone(), per.clone()).prop_map(|(calls, per)| LimitKind::SlidingLog { calls, per }),
            (calls.clone(), per, calls).prop_map(|(calls, per, burst)| LimitKind::TokenBucket { calls, per, burst }),
        ]
    }

    /// The most calls that any span of `per` may hold.
    fn most(kind: LimitKind) -> (u32, Duration) {
        match kind {
            LimitKind::Unlimited => (u32::MAX, MINUTE),
            LimitKind::SlidingLog { calls, per } => (calls, per),
            LimitKind::FixedWindow { calls, per, .. } => (2 * calls, per),
            // One more than flows in: the flow is rounded down to whole nanoseconds a call.
            LimitKind::TokenBucket { calls, per, burst } => (calls + burst + 1, per),
        }
    }

    proptest! {
        #[test]
        fn a_refusal_names_the_first_moment_that_is_accepted(kind in any_kind(), gaps in prop::collection::vec(0..5_000_u64, 1..200)) {
            let (mut limiter, mut now) = (Limiter::new(kind), Duration::ZERO);
            for gap in gaps {
                now += Duration::from_millis(gap);
                let Err(wait) = limiter.check(now) else { continue };
                let instant = Duration::from_nanos(1);
                let almost = wait.checked_sub(instant).expect("a refusal has something to wait for");
                prop_assert_eq!(limiter.clone().check(now + almost), Err(instant));
                prop_assert_eq!(limiter.clone().check(now + wait), Ok(()));
            }
        }

        #[test]
        fn no_span_holds_more_than_the_limit(kind in any_kind(), gaps in prop::collection::vec(0..2_000_u64, 1..300)) {
            let (mut limiter, mut now, mut accepted) = (Limiter::new(kind), Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if limiter.check(now).is_ok() {
                    accepted.push(now);
                }
            }
            let (calls, per) = most(kind);
            for (index, &first) in accepted.iter().enumerate() {
                let within = accepted[index..].iter().take_while(|&&at| at < first + per).count();
                prop_assert!(within <= calls as usize, "{within} calls from {first:?}");
            }
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_was_asked_for_counts_as_a_pause() {
        let kind = LimitKind::SlidingLog { calls: 1, per: seconds(60) };
        let mut bucket = CallBucket::new(kind);
        assert_eq!(bucket.arrive(seconds(0)), Ok(()));
        // Refused, but nothing was asked for before this call came.
        assert_eq!(bucket.arrive(seconds(10)), Err(seconds(50)));
        bucket.pause(seconds(10), seconds(5));
        // A shorter pause that is stated later doesn't end the longer one.
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
        let mut bucket = CallBucket::new(LimitKind::Unlimited);
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
        let mut bucket = CallBucket::new(LimitKind::Unlimited);
        for _ in 0..3 {
            bucket.arrive(seconds(1)).unwrap();
        }
        bucket.leave();
        bucket.arrive(seconds(2)).unwrap();
        assert_eq!(bucket.counts().most_in_flight, 3);
    }
}
