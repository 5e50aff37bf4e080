//! When the progress is shown again. Pure: the moments come in.

use crate::output::mode::ScreenMode;
use std::time::{Duration, Instant};

/// When to show the progress again.
#[derive(Debug)]
pub(super) struct Cadence {
    mode: ScreenMode,
    last: Option<Instant>,
    /// Whether there is something to show that was not shown yet.
    news: bool,
}

impl Cadence {
    /// The bar appears at once, the first line with its first pause: a short run needs none beside its totals.
    pub(super) fn new(mode: ScreenMode, now: Instant) -> Self {
        let last = match mode {
            ScreenMode::Bar => None,
            ScreenMode::Plain | ScreenMode::None => Some(now),
        };
        Self { mode, last, news: false }
    }

    /// A newer snapshot came. A bar shows each of them; a line is worth writing where rows have ended.
    pub(super) fn note(&mut self, rows_ended: bool) {
        self.news |= rows_ended || self.mode == ScreenMode::Bar;
    }

    pub(super) fn shown(&mut self, now: Instant) {
        (self.last, self.news) = (Some(now), false);
    }

    /// From one picture to the next. A bar without news still counts down; a line without news says that it lives.
    fn gap(&self, news: bool) -> Option<Duration> {
        match (self.mode, news) {
            (ScreenMode::Bar, true) => Some(Duration::from_millis(125)),
            (ScreenMode::Bar, false) => Some(Duration::from_secs(1)),
            (ScreenMode::Plain, true) => Some(Duration::from_secs(10)),
            (ScreenMode::Plain, false) => Some(Duration::from_mins(1)),
            (ScreenMode::None, _) => None,
        }
    }

    /// Until the next picture is due; zero where it is, none where there never is one.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.wait_with(self.news, now)
    }

    fn wait_with(&self, news: bool, now: Instant) -> Option<Duration> {
        let gap = self.gap(news)?;
        Some(self.last.map_or(Duration::ZERO, |last| gap.saturating_sub(now.saturating_duration_since(last))))
    }

    /// Whether a newer snapshot is worth waking for. A line that is not due yet is written from what lies there by then.
    pub(super) fn wants_news(&self, now: Instant) -> bool {
        match self.mode {
            ScreenMode::Bar => true,
            ScreenMode::Plain => self.wait_with(true, now) == Some(Duration::ZERO),
            ScreenMode::None => false,
        }
    }

    /// How long to sleep at most: until a picture is due, or would be if there were news by then; none for ever.
    pub(super) fn sleep(&self, now: Instant) -> Option<Duration> {
        if self.wants_news(now) { self.wait(now) } else { self.wait_with(true, now) }
    }
}
