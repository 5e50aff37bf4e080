//! The calls of the last minute.

use std::collections::VecDeque;
use std::time::Duration;

/// Slack counts by the minute (slack.md, "Rate limits").
pub const MINUTE: Duration = Duration::from_mins(1);

/// The times of the calls, in order.
#[derive(Debug, Clone, Default)]
pub struct CallWindow(VecDeque<Duration>);

impl CallWindow {
    /// Fast if the calls arrive nearly in order.
    pub fn push(&mut self, at: Duration) {
        let place = self.0.iter().rposition(|&earlier| earlier <= at).map_or(0, |place| place + 1);
        self.0.insert(place, at);
    }

    /// Drops calls that are a minute old or more.
    pub fn forget(&mut self, now: Duration) {
        while self.0.front().is_some_and(|&at| at + MINUTE <= now) {
            self.0.pop_front();
        }
    }

    pub fn count(&mut self, now: Duration) -> usize {
        self.forget(now);
        self.0.len()
    }

    pub fn last(&self) -> Option<Duration> {
        self.0.back().copied()
    }

    /// When one more call will be within `most` calls a minute, or `None` if it is now.
    pub fn room_for_one(&mut self, now: Duration, most: usize) -> Option<Duration> {
        self.forget(now);
        let over = (self.0.len() + 1).checked_sub(most.max(1)).filter(|&over| over > 0)?;
        self.0.get(over - 1).map(|&at| at + MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn room_for_a_call_opens_when_the_oldest_leaves_the_window() {
        let mut window = CallWindow::default();
        for second in [1, 2, 3] {
            window.push(at(second));
        }
        assert_eq!(window.room_for_one(at(10), 4), None);
        assert_eq!(window.room_for_one(at(10), 3), Some(at(61)));
        assert_eq!(window.room_for_one(at(10), 2), Some(at(62)));
        assert_eq!(window.count(at(61)), 2);
        assert_eq!(window.room_for_one(at(61), 3), None);
    }

    #[test]
    fn a_late_call_is_inserted_in_order() {
        let mut window = CallWindow::default();
        for second in [5, 9, 7] {
            window.push(at(second));
        }
        assert_eq!(window.count(at(65)), 2);
        assert_eq!(window.last(), Some(at(9)));
    }
}
