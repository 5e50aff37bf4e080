//! Formats times and periods for the page.

use crate::model::{Timestamp, format_duration};
use std::time::Duration;

/// The time of day in UTC: `18:42`, or `18:42:01`.
pub(super) fn clock(at: Timestamp, seconds: bool) -> String {
    let text = at.rfc3339_seconds();
    let time = text.rsplit_once('T').map_or("", |(_, time)| time);
    time.chars().take(if seconds { 8 } else { 5 }).collect()
}

/// The time of day in UTC with milliseconds: `18:42:01.250`.
pub(super) fn precise_clock(at: Timestamp) -> String {
    precise_moment(at).rsplit_once(' ').map_or_else(String::new, |(_, time)| time.to_owned())
}

/// `2026-11-23 18:42:01.250`, in UTC.
pub(super) fn precise_moment(at: Timestamp) -> String {
    at.rfc3339().trim_end_matches('Z').replacen('T', " ", 1)
}

/// Milliseconds as seconds, without trailing zeros: `0`, `0.5`, `1`.
pub(super) fn seconds(millis: i64) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// From one moment to a later one.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(0))
}

/// `2026-11-23 18:42:01`, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    at.rfc3339_seconds().trim_end_matches('Z').replacen('T', " ", 1)
}

/// A period, with the date only once if both are on the same day: `2026-11-23 18:42:01 to 18:50:00`.
pub(super) fn stretch(from: Timestamp, to: Timestamp) -> String {
    let (from_text, to_text) = (moment(from), moment(to));
    let day = |text: &str| text.split(' ').next().map(str::to_owned);
    let to_text = if day(&from_text) == day(&to_text) { clock(to, true) } else { to_text };
    format!("{from_text} to {to_text}")
}

/// A width of [`Bars`]: `100ms`, or a duration.
pub(super) fn width_words(millis: i64) -> String {
    match u64::try_from(millis).unwrap_or(0) {
        short @ ..1_000 => format!("{short}ms"),
        whole => format_duration(Duration::from_millis(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_widths_are_readable() {
        let at = Timestamp::from_millis(1_795_459_321_000);
        assert_eq!((clock(at, true), clock(at, false)), ("18:42:01".into(), "18:42".into()));
        let (soon, late) = (Timestamp::from_millis(1_795_459_921_000), Timestamp::from_millis(1_795_545_721_000));
        assert_eq!(stretch(at, soon), "2026-11-23 18:42:01 to 18:52:01");
        assert_eq!(stretch(at, late), "2026-11-23 18:42:01 to 2026-11-24 18:42:01");
        for (millis, want) in [(100, "100ms"), (2_000, "2"), (600_000, "10"), (7_200_000, "2"), (172_800_000, "2")] {
            assert!(width_words(millis).starts_with(want), "{millis}");
        }
        assert_eq!([0, 500, 1_000, 1_250].map(seconds), ["0", "0.5", "1", "1.25"]);
    }
}
