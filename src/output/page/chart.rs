//! The chart of one run: rows as bars, waits as shaded bands, the estimate as a line with its own scale. Pure
//! geometry.
//!
//! Inline SVG that stretches with the page. The labels, which must not stretch, are HTML. Colors are classes, which
//! the style sheet defines for light, dark and print.

use super::axis::{HIGH, Tick, TimeAxis, WIDE, height, nice, short, top, upwards};
use super::page_input::PageRun;
use super::timeline::{Bars, ByGroup, Spans};
use super::times::{between, clock, moment, precise_clock, precise_moment, stretch, width_words};
use crate::model::{StatusGroup, Timestamp};
use crate::output::text::{format_duration, rate};

/// Positions and lengths are texts in units of the drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The run's number, from 1.
    pub number: usize,
    /// Width of a bar as text.
    pub bar: String,
    /// The period as text.
    pub stretch: String,
    /// Rows that ended during the run.
    pub rows: u64,
    pub bars: Vec<ChartBar>,
    /// Times without calls, by cause.
    pub waits: Vec<Waits>,
    pub estimate: Option<EstimateLine>,
    /// Rows per bar, from the bottom.
    pub rows_axis: Vec<Tick>,
    pub time_axis: Vec<Tick>,
    /// Explains the labels of the time axis.
    pub time_note: String,
    /// Whether some estimates or pauses weren't kept.
    pub is_history_cut: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChartBar {
    pub at: String,
    /// As time of day.
    pub clock: String,
    pub by_group: ByGroup,
    pub rows: u64,
    /// From the bottom: class, x, y, width and height.
    pub parts: Vec<(&'static str, [String; 4])>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Waits {
    /// The class in the page's style sheet.
    pub class: &'static str,
    pub cause: &'static str,
    pub bands: Vec<WaitBand>,
}

/// A wait, clipped at the end of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitBand {
    pub x: String,
    pub width: String,
    pub from: String,
    pub to: String,
    pub took: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EstimateLine {
    pub path: String,
    /// Calls a minute, from the bottom.
    pub axis: Vec<Tick>,
    /// Minimum and maximum as text.
    pub range: String,
    /// The last value as text.
    pub last: String,
}

/// `None` if there is neither a run nor a row.
#[must_use]
pub fn draw(number: usize, run: Option<&PageRun<'_>>, bars: &Bars) -> Option<Chart> {
    let axis = TimeAxis::of(run, bars)?;
    let most = bars.iter().map(|(_, rows)| rows.iter().sum::<u64>()).max().unwrap_or(0);
    let ticks = nice(most);
    let drawn: Vec<_> = bars.iter().map(|(at, rows)| bar(axis, at, bars.width(), rows, top(&ticks))).collect();
    let causes = run.map(|run| {
        let pauses = Waits { class: "pause", cause: "rate limited by Slack", bands: bands(axis, &run.pauses) };
        let outages = Waits { class: "outage", cause: "no answer from Slack", bands: bands(axis, &run.outages) };
        [pauses, outages]
    });
    Some(Chart {
        number,
        bar: width_words(bars.width()),
        stretch: stretch(Timestamp::from_millis(axis.from), Timestamp::from_millis(axis.to)),
        rows: drawn.iter().map(|bar| bar.rows).sum(),
        bars: drawn,
        waits: causes.into_iter().flatten().filter(|waits| !waits.bands.is_empty()).collect(),
        estimate: run.and_then(|run| estimate(axis, run)),
        rows_axis: upwards(&ticks),
        time_axis: axis.ticks(),
        time_note: axis.note(),
        is_history_cut: run.is_some_and(|run| run.is_history_cut),
    })
}

fn bar(axis: TimeAxis, at: Timestamp, width: i64, by_group: ByGroup, top: f64) -> ChartBar {
    let is_short = width < 1_000;
    let (left, right) = (axis.x(at.as_millis()), axis.x(at.as_millis().saturating_add(width)));
    // A gap, if the bar is wide enough.
    let gap = ((right - left) * 0.15).min(2.0);
    let width = (right - left - gap).max(0.6);
    let (mut parts, mut below) = (Vec::new(), 0.0);
    for (group, rows) in StatusGroup::ALL.into_iter().zip(by_group).filter(|(_, rows)| *rows > 0) {
        let height = height(rows, top);
        below += height;
        parts.push((group.class(), [left, HIGH - below, width, height].map(short)));
    }
    let (at, clock) = if is_short { (precise_moment(at), precise_clock(at)) } else { (moment(at), clock(at, true)) };
    ChartBar { at, clock, by_group, rows: by_group.iter().sum(), parts }
}

fn bands(axis: TimeAxis, spans: &Spans) -> Vec<WaitBand> {
    let seen = spans.iter().filter(|(from, to)| from.as_millis() < axis.to && to.as_millis() > axis.from);
    let band = |(from, to): (Timestamp, Timestamp)| {
        let to = Timestamp::from_millis(to.as_millis().min(axis.to));
        let (left, right) = (axis.x(from.as_millis()), axis.x(to.as_millis()));
        let (x, width) = (short(left), short((right - left).max(1.0)));
        WaitBand {
            x,
            width,
            from: precise_moment(from),
            to: precise_moment(to),
            took: format_duration(between(from, to)),
        }
    };
    seen.map(band).collect()
}

/// A step line: each estimate is valid until the next.
fn estimate(axis: TimeAxis, run: &PageRun<'_>) -> Option<EstimateLine> {
    let changes: Vec<_> = run.estimates.iter().filter(|(_, rate)| rate.is_finite() && *rate >= 0.0).collect();
    let (_, last) = changes.last()?;
    let lowest = changes.iter().map(|(_, rate)| *rate).fold(f64::MAX, f64::min);
    let highest = changes.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative")]
    let ticks = nice(highest.ceil() as u64);
    let point = |(index, (at, rate)): (usize, &(Timestamp, f64))| {
        let (x, y) = (short(axis.x(at.as_millis())), short(HIGH - rate / top(&ticks) * HIGH));
        if index == 0 { format!("M{x} {y}") } else { format!("H{x}V{y}") }
    };
    let path = changes.iter().enumerate().map(point).chain([format!("H{WIDE}")]).collect();
    let range = if lowest < highest { format!("{} to {}", rate(lowest), rate(highest)) } else { rate(highest) };
    Some(EstimateLine { path, axis: upwards(&ticks), range, last: rate(*last) })
}

#[cfg(test)]
mod tests {
    use super::super::timeline::Steps;
    use super::*;
    use std::time::Duration;

    fn run(started: i64, ended: i64) -> PageRun<'static> {
        PageRun {
            run_id: "one",
            started: Timestamp::from_millis(started),
            ended: Some(Timestamp::from_millis(ended)),
            exit_code: None,
            record: None,
            estimates: Steps::default(),
            pauses: Spans::default(),
            outages: Spans::default(),
            is_history_cut: false,
        }
    }

    fn number(text: &str) -> f64 {
        text.parse().unwrap()
    }

    #[test]
    fn bars_are_stacked_and_fit_the_axis() {
        let mut bars = Bars::default();
        for (second, end, rows) in
            [(0, StatusGroup::Gone, 3), (0, StatusGroup::ActionNeeded, 4), (50, StatusGroup::Skipped, 2)]
        {
            (0..rows).for_each(|_| bars.add(Timestamp::from_millis(second * 1_000), end));
        }
        let chart = draw(1, Some(&run(0, 100_000)), &bars).unwrap();
        assert_eq!((chart.rows, chart.bars.len(), chart.bars[0].rows), (9, 2, 7));
        let tops: Vec<_> = chart.rows_axis.iter().map(|tick| (&*tick.label, &*tick.y)).collect();
        assert_eq!((tops[0], tops[4]), (("0", "240"), ("8", "0")));
        let [gone, trouble] = &chart.bars[0].parts[..] else { panic!("{chart:?}") };
        assert_eq!((gone.0, &*gone.1[1], &*gone.1[3]), ("gone", "150", "90"));
        assert_eq!((trouble.0, &*trouble.1[1], &*trouble.1[3]), ("trouble", "30", "120"));
        let [x, y, _, height] = &chart.bars[1].parts[0].1;
        assert_eq!((&**x, number(y) + number(height)), ("500", HIGH));
    }

    #[test]
    fn pauses_and_the_estimate_are_drawn_at_their_time() {
        let mut run = run(0, 100_000);
        run.pauses.add(Timestamp::from_millis(20_000), Duration::from_secs(30));
        run.pauses.add(Timestamp::from_millis(90_000), Duration::from_hours(1));
        run.estimates.push(Timestamp::from_millis(10_000), 20.0);
        run.estimates.push(Timestamp::from_millis(60_000), 10.0);
        run.estimates.push(Timestamp::from_millis(70_000), f64::NAN);
        let chart = draw(1, Some(&run), &Bars::default()).unwrap();
        let [waits] = &chart.waits[..] else { panic!("{chart:?}") };
        let bands: Vec<_> = waits.bands.iter().map(|band| (&*band.x, &*band.width, band.took.clone())).collect();
        let [first, last] = [30, 10].map(|seconds| format_duration(Duration::from_secs(seconds)));
        assert_eq!(bands, [("200", "300", first), ("900", "100", last)], "cut off at the end of the run");
        assert_eq!((waits.class, waits.cause), ("pause", "rate limited by Slack"));
        let estimate = chart.estimate.unwrap();
        assert_eq!(estimate.path, "M100 0H600V120H1000");
        assert_eq!((&*estimate.range, &*estimate.last), ("10 to 20", "10"));
    }

    #[test]
    fn the_time_axis_has_one_to_seven_labels() {
        assert_eq!(draw(1, None, &Bars::default()), None);
        for length in [0, 900, 12_000, 61_000, 3_600_000, 86_400_000, 40 * 86_400_000, 20_000 * 86_400_000] {
            let chart = draw(1, Some(&run(1_700_000_000_000, 1_700_000_000_000 + length)), &Bars::default()).unwrap();
            let places: Vec<_> = chart.time_axis.iter().map(|tick| number(&tick.place)).collect();
            assert!((1..=7).contains(&places.len()), "{length}: {places:?}");
            assert!(places.is_sorted() && places.iter().all(|place| (0.0..=100.0).contains(place)));
        }
    }

    #[test]
    fn a_run_of_two_seconds_has_bars_and_ticks_of_parts_of_a_second() {
        let start = 1_795_459_321_210;
        let mut bars = Bars::default();
        (0..20).for_each(|row| bars.add(Timestamp::from_millis(start + row * 100), StatusGroup::Gone));
        let chart = draw(1, Some(&run(start, start + 2_000)), &bars).unwrap();
        let ticks: Vec<_> = chart.time_axis.iter().map(|tick| &*tick.label).collect();
        assert_eq!(ticks, ["0s", "0.5s", "1s", "1.5s", "2s"]);
        assert_eq!((chart.bars.len(), &*chart.bar), (20, "100ms"));
        assert_eq!(&*chart.time_note, "time since 18:42:01.200 UTC");
        assert_eq!((&*chart.bars[1].at, &*chart.bars[1].clock), ("2026-11-23 18:42:01.300", "18:42:01.300"));
        let longer = draw(1, Some(&run(start, start + 12_000)), &bars).unwrap();
        assert_eq!((&*longer.time_axis[0].label, &*longer.time_note), ("18:42:02", "times in UTC"));
    }
}
