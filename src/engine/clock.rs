//! The only place that reads the time.

use crate::model::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A moment on two clocks: the monotonic one for pacing, the wall clock for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since the start of the [`Clock`]. In tests, tokio's paused clock controls it.
    pub at: Duration,
    pub wall: Timestamp,
}

/// The clock of a run. All copies count from the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Starts at `past` instead of zero, so that earlier moments can be expressed too.
    #[must_use]
    pub fn start_at(past: Duration) -> Self {
        let Self { epoch } = Self::start();
        Self { epoch: epoch.checked_sub(past).unwrap_or(epoch) }
    }

    #[must_use]
    pub fn now(&self) -> Now {
        Now { at: self.elapsed(), wall: wall() }
    }

    /// Monotonic time since [`Clock::start`].
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Returns immediately if `at` has passed.
    pub async fn sleep_until(&self, at: Duration) {
        tokio::time::sleep_until(self.epoch + at).await;
    }
}

/// The wall clock; a time before 1970 becomes 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
