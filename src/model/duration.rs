//! Durations as text.

use std::time::Duration;

const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];

/// The two largest units: `24s`, `1m 11s`, `2h 5m`, `1d`. Rounded up, because a wait of 0.2 s isn't over yet.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[first];
    match UNITS.get(first + 1).map(|(smaller, unit)| (seconds % size / smaller, unit)) {
        Some((count, smaller_unit)) if count > 0 => format!("{}{unit} {count}{smaller_unit}", seconds / size),
        Some(_) | None => format!("{}{unit}", seconds / size),
    }
}

/// Rounds up to whole minutes, so that a displayed `2h 5m` is never too early.
#[must_use]
pub fn whole_minutes(duration: Duration) -> Duration {
    Duration::from_secs((duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).div_ceil(60) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_has_two_units() {
        for (millis, want) in [
            (0, "0s"),
            (1, "1s"),
            (200, "1s"),
            (14_000, "14s"),
            (60_000, "1m"),
            (71_000, "1m 11s"),
            (125_000, "2m 5s"),
            (3_599_001, "1h"),
            (3_601_000, "1h"),
            (5_399_001, "1h 30m"),
            (30_000_000, "8h 20m"),
            (86_399_000, "23h 59m"),
            (183_600_000, "2d 3h"),
            (262_799_000, "3d"),
        ] {
            assert_eq!(format_duration(Duration::from_millis(millis)), want, "{millis}");
        }
    }

    #[test]
    fn a_pause_in_minutes_is_never_too_short() {
        for (millis, want) in [(0, "0s"), (1, "1m"), (60_000, "1m"), (3_600_001, "1h 1m"), (5_399_001, "1h 30m")] {
            assert_eq!(format_duration(whole_minutes(Duration::from_millis(millis))), want, "{millis}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_can_be_written(seconds: u64, nanos in 0..1_000_000_000_u32) {
            prop_assert!(!format_duration(Duration::new(seconds, nanos)).is_empty());
        }
    }
}
