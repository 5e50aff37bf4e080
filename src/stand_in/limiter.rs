//! The limiters that Slack may be using behind its "20 or more a minute": nobody outside knows which.
//!
//! Pure: the time comes in as the span since the server's start and must not run backwards, and the time to wait comes
//! out. A refusal costs the caller nothing here; what it costs is for [`super::bucket`] to say.

use std::collections::VecDeque;
use std::time::Duration;

/// How calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitKind {
    /// Every call is accepted.
    #[default]
    Unlimited,
    /// At most `calls` in each span of `per`; a new span begins with a full allowance.
    FixedWindow {
        /// Calls a window.
        calls: u32,
        /// A window's length.
        per: Duration,
        /// Where windows begin.
        starts: WindowStart,
    },
    /// At most `calls` in any span of `per`, wherever it begins.
    SlidingLog {
        /// Calls in a span.
        calls: u32,
        /// The span.
        per: Duration,
    },
    /// `calls` flow in over each `per`, one by one, and at most `burst` of them are kept.
    TokenBucket {
        /// Calls gained in each `per`.
        calls: u32,
        /// The time in which `calls` are gained.
        per: Duration,
        /// The most that a quiet time saves up; the bucket starts full.
        burst: u32,
    },
}

/// Where the windows of a [`LimitKind::FixedWindow`] begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowStart {
    /// By the clock, as the minutes of a watch: the server started this far into a window.
    Aligned {
        /// Less than the window's length.
        into: Duration,
    },
    /// With the first call after the last window's end.
    FirstCall,
}

/// One bucket's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limiter {
    kind: LimitKind,
    /// Calls in the window that began at `since`.
    used: u32,
    /// The window's begin; for a token bucket the time at which it would be full again.
    since: Duration,
    /// The times of the last accepted calls, for a sliding log alone.
    log: VecDeque<Duration>,
}

impl Limiter {
    /// A limiter that has seen no call.
    ///
    /// # Panics
    /// Where the kind allows no call at all, or its time is zero: such a limiter would name no time to come back.
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

    /// Counts one call at `now`.
    ///
    /// # Errors
    /// How long from `now` until a call will be accepted: exactly then, and not before.
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

    /// The bucket as a single point in time (GCRA): `since` is when it would be full, and each call moves that on by
    /// the time that one call takes to flow in.
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

/// How far `time` is past the last border of windows of length `per`.
fn past_border(time: Duration, per: Duration) -> Duration {
    let nanos = time.as_nanos() % per.as_nanos();
    Duration::from_nanos(u64::try_from(nanos).expect("less than a window, and a window of 584 years is none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Seconds to wait, or none where the call is accepted, at each of the given seconds.
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
}
