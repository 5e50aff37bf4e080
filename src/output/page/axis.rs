//! The axes of a chart. Pure geometry.

use super::page_input::PageRun;
use super::timeline::Bars;
use super::times::{clock, moment, precise_clock, seconds};
use crate::model::Timestamp;
use crate::output::text::thousands;

/// In units of the drawing, chosen so that integers are precise enough.
pub(super) const WIDE: f64 = 1_000.0;
pub(super) const HIGH: f64 = 240.0;

/// Minimum length in milliseconds.
const SHORTEST: i64 = 1_000;

/// A label on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// In percent, from the left or the bottom.
    pub place: String,
    pub label: String,
    /// From the top, for the grid line.
    pub y: String,
    /// Whether a narrow page omits it.
    pub is_minor: bool,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    pub from: i64,
    pub to: i64,
}

impl TimeAxis {
    /// Covers all bars and the whole run.
    pub fn of(run: Option<&PageRun<'_>>, bars: &Bars) -> Option<Self> {
        let run = run.map(|run| (run.started, run.ended.unwrap_or(run.started)));
        let both = [run, bars.extent()];
        let from = both.iter().flatten().map(|(from, _)| from.as_millis()).min()?;
        let to = both.iter().flatten().map(|(_, to)| to.as_millis()).max()?;
        Some(Self { from, to: to.max(from.saturating_add(SHORTEST)) })
    }

    /// 0 at the left, [`WIDE`] at the right; clamped.
    #[expect(clippy::cast_precision_loss, reason = "a share of the chart's width")]
    pub fn x(self, at: i64) -> f64 {
        let part = at.saturating_sub(self.from) as f64 / self.to.saturating_sub(self.from).max(1) as f64;
        (part * WIDE).clamp(0.0, WIDE)
    }

    fn step(self) -> i64 {
        time_step(self.to.saturating_sub(self.from))
    }

    /// Whether labels show the elapsed time, because times of day with fractions of a second are hard to read.
    fn is_elapsed(self) -> bool {
        self.step() < 1_000
    }

    pub fn note(self) -> String {
        if self.is_elapsed() {
            format!("time since {} UTC", precise_clock(Timestamp::from_millis(self.from)))
        } else {
            "times in UTC".to_owned()
        }
    }

    pub fn ticks(self) -> Vec<Tick> {
        let step = self.step();
        let is_elapsed = self.is_elapsed();
        let first = self.from.div_euclid(step).saturating_add(1).saturating_mul(step);
        let first = if is_elapsed { self.from } else { first };
        let moments = std::iter::successors(Some(first), |at| at.checked_add(step)).take_while(|at| *at <= self.to);
        let tick = |(index, at): (usize, i64)| {
            let (place, timestamp) = (self.x(at) / WIDE * 100.0, Timestamp::from_millis(at));
            let label = match step {
                _ if is_elapsed => format!("{}s", seconds(at.saturating_sub(self.from))),
                86_400_000.. => moment(timestamp).chars().take(10).collect(),
                _ => clock(timestamp, step < 60_000),
            };
            Tick { place: short(place), label, y: String::new(), is_minor: index % 2 == 1 }
        };
        moments.enumerate().map(tick).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows, as a height")]
pub(super) fn height(rows: u64, top: f64) -> f64 {
    rows as f64 / top * HIGH
}

pub(super) fn upwards(ticks: &[u64]) -> Vec<Tick> {
    let tick = |value: &u64| {
        let part = height(*value, top(ticks)) / HIGH;
        Tick { place: short(part * 100.0), label: thousands(*value), y: short(HIGH - part * HIGH), is_minor: false }
    };
    ticks.iter().map(tick).collect()
}

/// With one decimal.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[expect(clippy::cast_precision_loss, reason = "the end of an axis")]
pub(super) fn top(ticks: &[u64]) -> f64 {
    ticks.last().copied().unwrap_or(1) as f64
}

/// From 0 to at least `most`, in at most four steps of 1, 2 or 5 times a power of ten.
pub(super) fn nice(most: u64) -> Vec<u64> {
    let most = most.max(1);
    let mut power = 1_u64;
    loop {
        for digit in [1, 2, 5] {
            let step = power.saturating_mul(digit);
            if most.div_ceil(step) <= 4 || step == u64::MAX {
                return (0..=most.div_ceil(step)).map(|count| count.saturating_mul(step)).collect();
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Steps of a time axis, in milliseconds.
const STEPS: [i64; 20] = [
    100,
    200,
    500,
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

const MOST_LABELS: i64 = 6;

/// Both in milliseconds.
fn time_step(length: i64) -> i64 {
    let fits = |step: &i64| length / step <= MOST_LABELS;
    STEPS.into_iter().find(fits).unwrap_or_else(|| (length / MOST_LABELS).max(1))
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
            assert_eq!(nice(most), want, "{most}");
        }
        assert!(nice(u64::MAX).len() <= 6);
    }

    #[test]
    fn a_time_axis_has_round_steps() {
        for (length, want) in [(1_000, 200), (60_000, 10_000), (86_400_000, 21_600_000), (i64::MAX, i64::MAX / 6)] {
            assert_eq!(time_step(length), want);
        }
    }
}
