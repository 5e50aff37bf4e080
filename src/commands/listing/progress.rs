//! The count of a listing on standard error.

use crate::engine::clock::Clock;
use crate::output::{Console, ScreenMode, counted};
use std::time::Duration;

/// Tells how far a listing is, now and then.
pub struct Progress<'a> {
    console: &'a Console,
    clock: Clock,
    told_at: Duration,
}

impl<'a> Progress<'a> {
    /// Begins to count from now.
    #[must_use]
    pub fn new(console: &'a Console, clock: Clock) -> Self {
        Self { console, clock, told_at: clock.elapsed() }
    }

    /// Tells the count, where it was not told a moment ago: every other second where somebody looks on, every ten seconds
    /// elsewhere.
    pub fn tell(&mut self, pages: u64, seen: u64) {
        let every = match self.console.look().mode {
            ScreenMode::Bar => Duration::from_secs(2),
            ScreenMode::Plain => Duration::from_secs(10),
            ScreenMode::None => return,
        };
        let now = self.clock.elapsed();
        if now.saturating_sub(self.told_at) >= every {
            self.told_at = now;
            self.console.note(&count(pages, seen));
        }
    }
}

/// The count in words.
#[must_use]
pub fn count(pages: u64, seen: u64) -> String {
    let (pages, seen) = (counted(pages, "page", "pages"), counted(seen, "session", "sessions"));
    format!("{pages} read, {seen} seen")
}
