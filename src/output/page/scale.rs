//! Round numbers for axes, and times as people say them. Pure.

use crate::model::Stamp;

/// Round numbers from 0 up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    step: u64,
    count: u64,
}

impl Ticks {
    /// The numbers, 0 first.
    pub fn values(self) -> impl Iterator<Item = u64> {
        (0..=self.count).map(move |index| index.saturating_mul(self.step))
    }

    /// The last one: the top of the axis.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the end of an axis")]
    pub fn top(self) -> f64 {
        self.count.saturating_mul(self.step) as f64
    }
}

/// Two to five steps of 1, 2 or 5 times a power of ten that reach `most`.
#[must_use]
pub fn nice(most: u64) -> Ticks {
    let most = most.max(1);
    let mut power = 1_u64;
    loop {
        for digit in [1, 2, 5] {
            let step = power.saturating_mul(digit);
            if most.div_ceil(step) <= 4 || step == u64::MAX {
                return Ticks { step, count: most.div_ceil(step) };
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Steps of a time axis, in milliseconds.
const STEPS: [i64; 17] = [
    1_000,
    2_000,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    7_200_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
];

/// At most six labels have room.
const MOST_LABELS: i64 = 6;

/// The step of a time axis of this length, both in milliseconds.
#[must_use]
pub fn time_step(length: i64) -> i64 {
    let fits = |step: &i64| length / step <= MOST_LABELS;
    STEPS.into_iter().find(fits).unwrap_or_else(|| (length / MOST_LABELS).max(1))
}

/// The time of day in UTC: `18:42`, or `18:42:01`.
#[must_use]
pub fn clock(at: Stamp, seconds: bool) -> String {
    let text = at.rfc3339_seconds();
    let time = text.rsplit_once('T').map_or("", |(_, time)| time);
    time.chars().take(if seconds { 8 } else { 5 }).collect()
}

/// A moment for people: `2026-11-23 18:42:01`, in UTC.
#[must_use]
pub fn moment(at: Stamp) -> String {
    at.rfc3339_seconds().trim_end_matches('Z').replacen('T', " ", 1)
}

/// From one moment to another, the day said once where it is the same: `2026-11-23 18:42:01 to 18:50:00`.
#[must_use]
pub fn stretch(from: Stamp, to: Stamp) -> String {
    let (from_text, to_text) = (moment(from), moment(to));
    let day = |text: &str| text.split(' ').next().map(str::to_owned);
    let to_text = if day(&from_text) == day(&to_text) { clock(to, true) } else { to_text };
    format!("{from_text} to {to_text}")
}

/// A width of [`super::bars::Bars`] in words: `10 s`, `30 min`, `2 h`, `4 d`.
#[must_use]
pub fn width_words(millis: i64) -> String {
    match millis {
        ..60_000 => format!("{} s", millis / 1_000),
        60_000..3_600_000 => format!("{} min", millis / 60_000),
        3_600_000..86_400_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round_and_reach_the_top() {
        for (most, want) in [
            (0, &[0, 1][..]),
            (1, &[0, 1]),
            (3, &[0, 1, 2, 3]),
            (7, &[0, 2, 4, 6, 8]),
            (20, &[0, 5, 10, 15, 20]),
            (21, &[0, 10, 20, 30]),
            (999, &[0, 500, 1000]),
        ] {
            assert_eq!(nice(most).values().collect::<Vec<_>>(), want, "{most}");
        }
        assert!(nice(u64::MAX).values().count() <= 6);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let at = Stamp::from_millis(1_795_459_321_000);
        assert_eq!((clock(at, true), clock(at, false)), ("18:42:01".into(), "18:42".into()));
        let (soon, late) = (Stamp::from_millis(1_795_459_921_000), Stamp::from_millis(1_795_545_721_000));
        assert_eq!(stretch(at, soon), "2026-11-23 18:42:01 to 18:52:01");
        assert_eq!(stretch(at, late), "2026-11-23 18:42:01 to 2026-11-24 18:42:01");
        for (millis, want) in
            [(1_000, "1 s"), (2_000, "2 s"), (600_000, "10 min"), (7_200_000, "2 h"), (172_800_000, "2 d")]
        {
            assert_eq!(width_words(millis), want);
        }
        for (length, want) in [(1_000, 1_000), (60_000, 10_000), (86_400_000, 21_600_000), (i64::MAX, i64::MAX / 6)] {
            assert_eq!(time_step(length), want);
        }
    }
}
