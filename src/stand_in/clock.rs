//! The stand-in's own time: it plays another machine, and takes none from the client's clock.

use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Spans since the server's start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    started_at: SystemTime,
}

impl Clock {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the server is the other side of the wire; this is its one clock")]
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), started_at: SystemTime::now() }
    }

    /// The time since the start; never runs backwards.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The date at `time` after the start, for `Retry-After` dates.
    pub(super) fn date(&self, time: Duration) -> SystemTime {
        self.started_at + time
    }
}
