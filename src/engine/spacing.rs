//! Even spacing of the calls of a bucket or of the run, with governor's GCRA. [`super::call_window`] limits the calls of any
//! minute; it also counts calls made before the spacing began.
//!
//! governor can't change a quota at run time, so a new rate needs a new limiter. Its burst is spent as of the last call;
//! otherwise every change would release a burst. Its clock is set to the `now` that is passed in, so that nothing here
//! reads the time.

use governor::clock::{Clock as _, FakeRelativeClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

/// Below this interval, two calls may leave together to make up for a timer that fired late. Above it, a late timer hardly
/// matters, and two calls together could exceed a bucket that accepts no burst.
const LATE_WAKE_MATTERS: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Spacing {
    limiter: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    interval: Duration,
}

impl Spacing {
    /// The first call may leave one interval after `last`, the previous call.
    pub fn after(last: Duration, interval: Duration) -> Self {
        let spacing = Self::from(last, interval);
        let burst = burst(interval);
        // A new limiter has its whole burst, so this can't fail.
        let spent = spacing.limiter.check_n(burst);
        debug_assert!(matches!(spent, Ok(Ok(()))), "a fresh limiter gives its burst");
        spacing
    }

    /// The first call may leave at `start`; below [`LATE_WAKE_MATTERS`], a second one with it.
    pub fn from(start: Duration, interval: Duration) -> Self {
        let clock = FakeRelativeClock::default();
        clock.advance(start);
        let interval = interval.max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).expect("an interval above zero").allow_burst(burst(interval));
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { limiter, clock, interval }
    }

    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Uses the slot of one call.
    ///
    /// # Errors
    /// The earliest time at which a call may leave.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let passed = Nanos::from(now).duration_since(self.clock.now());
        self.clock.advance(passed.into());
        self.limiter.check().map_err(|not_until| not_until.earliest_possible().into())
    }
}

fn burst(interval: Duration) -> NonZeroU32 {
    let calls = if interval < LATE_WAKE_MATTERS { 2 } else { 1 };
    NonZeroU32::new(calls).expect("one or two")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_replaced_limiter_lets_no_burst_out() {
        for interval in [Duration::from_millis(50), SECOND * 3] {
            let last = SECOND * 100;
            let mut spacing = Spacing::after(last, interval);
            assert_eq!(spacing.take(last), Err(last + interval));
            assert_eq!(spacing.take(last + interval), Ok(()));
        }
    }

    proptest! {
        /// Never before the moment it named, exactly at it.
        #[test]
        fn a_refusal_names_the_moment(interval_ms in 500_u64..10_000, steps in prop::collection::vec(0_u64..4_000, 1..60)) {
            let interval = Duration::from_millis(interval_ms);
            let mut spacing = Spacing::from(Duration::ZERO, interval);
            let (mut now, mut last) = (Duration::ZERO, None);
            for step in steps {
                now += Duration::from_millis(step);
                let sent = match spacing.take(now) {
                    Ok(()) => true,
                    Err(at) => {
                        prop_assert!(at > now);
                        prop_assert!(spacing.take(at.saturating_sub(Duration::from_nanos(1))).is_err());
                        now = at;
                        spacing.take(at).is_ok()
                    }
                };
                prop_assert!(sent);
                prop_assert!(last.is_none_or(|last| now.saturating_sub(last) >= interval));
                last = Some(now);
            }
        }
    }
}
