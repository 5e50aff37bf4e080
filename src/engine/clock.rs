//! The one place that reads time.

use crate::model::Stamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A moment on both clocks: what pacing reckons with, and what goes into the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the clock was made; monotonic, and moved by tokio's paused clock in tests.
    pub at: Duration,
    /// The wall clock.
    pub wall: Stamp,
}

/// Reads the time for a run. Cheap to copy; every copy counts from the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts counting.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Starts counting at `past`, so that what was before has a time too.
    #[must_use]
    pub fn start_at(past: Duration) -> Self {
        let Self { epoch } = Self::start();
        Self { epoch: epoch.checked_sub(past).unwrap_or(epoch) }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { at: self.elapsed(), wall: wall() }
    }

    /// Monotonic time since [`Clock::start`].
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Sleeps until `at` on this clock; comes back at once where that has passed.
    pub async fn sleep_until(&self, at: Duration) {
        tokio::time::sleep_until(self.epoch + at).await;
    }
}

/// The wall clock now; before 1970 it is 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
