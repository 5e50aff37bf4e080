//! How long a bucket is left alone after a refusal.

use super::call_window::MINUTE;
use std::time::Duration;

/// Factor by which the pause grows with each refusal that follows a pause with nothing accepted in between.
const GROWTH: u32 = 4;

/// Number of such refusals that show that the pauses were too short, and not that one refusal followed another by chance.
const TOO_SHORT: u32 = 2;

/// The pauses of one bucket.
#[derive(Debug, Default)]
pub struct Pauses {
    /// Refusals after a pause, with nothing accepted since the first one.
    repeats: u32,
    is_running: bool,
    /// Whether the last refusal followed a pause and isn't explained by the calls made.
    is_unexplained: bool,
    last: Duration,
    /// The pause that was long enough after the stated one was too short. Some servers start a penalty again with every call
    /// inside it, and keep doing so.
    needed: Duration,
}

impl Pauses {
    /// A call was accepted.
    pub fn accepted(&mut self) {
        // If even a minute was too short, nothing would have been accepted anyway: an outage says nothing about pauses.
        if self.repeats >= TOO_SHORT && self.is_unexplained {
            self.needed = self.needed.max(self.last);
        }
        (self.repeats, self.is_running) = (0, false);
    }

    /// A refusal that asks for a pause of `stated`. Returns the pause to keep. `is_explained`: whether the calls made before explain
    /// the refusal.
    pub fn refused(&mut self, stated: Duration, is_explained: bool) -> Duration {
        if self.is_running {
            self.repeats += 1;
            self.is_unexplained = !is_explained && self.last < MINUTE;
        }
        self.is_running = true;
        let factor = GROWTH.pow(self.repeats.min(3));
        let grown = if self.repeats == 0 { self.needed } else { stated.max(Duration::from_secs(1)) * factor };
        self.last = stated.max(grown.max(self.needed).min(MINUTE));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATED: Duration = Duration::from_secs(10);

    fn pauses(refusals: &[bool]) -> (Pauses, Vec<u64>) {
        let mut pauses = Pauses::default();
        let kept = refusals.iter().map(|is_explained| pauses.refused(STATED, *is_explained).as_secs()).collect();
        (pauses, kept)
    }

    #[test]
    fn a_pause_that_was_too_short_grows_and_the_one_needed_is_kept() {
        let (mut pauses, kept) = pauses(&[true, false, false]);
        assert_eq!(kept, [10, 40, 60]);
        pauses.accepted();
        assert_eq!(pauses.refused(STATED, true).as_secs(), 60);
        pauses.accepted();
        assert_eq!(pauses.refused(Duration::from_secs(1), true).as_secs(), 60);
    }

    #[test]
    fn an_outage_chance_and_a_full_window_need_no_longer_pause() {
        for refusals in [&[true, false, false, false, false][..], &[false, false], &[true, true, true, true]] {
            let (mut pauses, _) = pauses(refusals);
            pauses.accepted();
            assert_eq!(pauses.refused(STATED, true), STATED, "{refusals:?}");
        }
    }

    #[test]
    fn a_stated_pause_is_never_cut() {
        let hour = Duration::from_hours(1);
        assert_eq!(Pauses::default().refused(hour, true), hour);
    }
}
