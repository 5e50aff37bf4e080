//! The chart of one run: rows in bars, waits as shaded bands, the estimate as a line on a scale of its own. Pure geometry.
//!
//! It is inline SVG that stretches with the page; the labels, which must not stretch, are HTML around it. Colours
//! are classes, so that the page's style sheet can give them for light, dark and paper.

use super::page_input::PageRun;
use super::timeline::{Bars, ByGroup, Spans};
use crate::model::{Stamp, StatusGroup};
use crate::output::text::{format_duration, rate, thousands};
use std::time::Duration;

/// The drawing's own units. Whole per mille are fine enough, and short.
const WIDE: f64 = 1_000.0;
const HIGH: f64 = 240.0;

/// The shortest axis, in milliseconds.
const SHORTEST: i64 = 1_000;

/// The chart of one run. Places and lengths are texts in the drawing's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The run's number, from 1.
    pub number: usize,
    /// How wide a bar is, in words.
    pub bar: String,
    /// Which time it covers.
    pub stretch: String,
    /// Rows that ended in it.
    pub rows: u64,
    pub bars: Vec<ChartBar>,
    /// When nothing was sent, by cause; causes without a wait are left out.
    pub waits: Vec<Waits>,
    pub estimate: Option<EstimateLine>,
    /// Rows a bar, from the ground up.
    pub rows_axis: Vec<Tick>,
    pub time_axis: Vec<Tick>,
    /// What the labels of the time axis mean.
    pub time_note: String,
    /// Whether there were more estimates or pauses than were kept.
    pub is_history_cut: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChartBar {
    pub at: String,
    /// The same as a time of day.
    pub clock: String,
    pub by_group: ByGroup,
    pub rows: u64,
    /// From the ground up: class, then x, y, width and height.
    pub parts: Vec<(&'static str, [String; 4])>,
}

/// The waits for one cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Waits {
    /// The class in the page's style sheet.
    pub class: &'static str,
    pub cause: &'static str,
    pub bands: Vec<WaitBand>,
}

/// One wait, cut off at the end of the run.
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
    /// Calls a minute, from the ground up.
    pub axis: Vec<Tick>,
    /// The least and the most, in words.
    pub range: String,
    /// The last one, in words.
    pub last: String,
}

/// A label on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// In per cent, from the left or from the ground.
    pub place: String,
    pub label: String,
    /// From the top, for the line across.
    pub y: String,
    /// Whether a narrow page leaves it out.
    pub is_minor: bool,
}

/// The time that is shown, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct TimeAxis {
    from: i64,
    to: i64,
}

impl TimeAxis {
    /// All bars, and all of the run.
    fn of(run: Option<&PageRun<'_>>, bars: &Bars) -> Option<Self> {
        let run = run.map(|run| (run.started, run.ended.unwrap_or(run.started)));
        let both = [run, bars.extent()];
        let from = both.iter().flatten().map(|(from, _)| from.as_millis()).min()?;
        let to = both.iter().flatten().map(|(_, to)| to.as_millis()).max()?;
        Some(Self { from, to: to.max(from.saturating_add(SHORTEST)) })
    }

    /// 0 at the left, [`WIDE`] at the right; what is beyond is cut off.
    #[expect(clippy::cast_precision_loss, reason = "a share of the chart's width")]
    fn x(self, at: i64) -> f64 {
        let part = at.saturating_sub(self.from) as f64 / self.to.saturating_sub(self.from).max(1) as f64;
        (part * WIDE).clamp(0.0, WIDE)
    }

    fn step(self) -> i64 {
        time_step(self.to.saturating_sub(self.from))
    }

    /// Whether labels count from the start: fractions of a second on the clock would be long and hard to read.
    fn is_elapsed(self) -> bool {
        self.step() < 1_000
    }

    fn note(self) -> String {
        if self.is_elapsed() {
            format!("time since {} UTC", precise_clock(Stamp::from_millis(self.from)))
        } else {
            "times in UTC".to_owned()
        }
    }

    fn ticks(self) -> Vec<Tick> {
        let step = self.step();
        let is_elapsed = self.is_elapsed();
        let first = self.from.div_euclid(step).saturating_add(1).saturating_mul(step);
        let first = if is_elapsed { self.from } else { first };
        let moments = std::iter::successors(Some(first), |at| at.checked_add(step)).take_while(|at| *at <= self.to);
        let tick = |(index, at): (usize, i64)| {
            let (place, stamp) = (self.x(at) / WIDE * 100.0, Stamp::from_millis(at));
            let label = match step {
                _ if is_elapsed => format!("{}s", seconds(at.saturating_sub(self.from))),
                86_400_000.. => moment(stamp).chars().take(10).collect(),
                _ => clock(stamp, step < 60_000),
            };
            Tick { place: short(place), label, y: String::new(), is_minor: index % 2 == 1 }
        };
        moments.enumerate().map(tick).collect()
    }
}

/// Draws one run; `None` if there is neither a run nor a row.
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
        stretch: stretch(Stamp::from_millis(axis.from), Stamp::from_millis(axis.to)),
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

fn bar(axis: TimeAxis, at: Stamp, width: i64, by_group: ByGroup, top: f64) -> ChartBar {
    let is_short = width < 1_000;
    let (left, right) = (axis.x(at.as_millis()), axis.x(at.as_millis().saturating_add(width)));
    // A gap if there is room for one.
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

#[expect(clippy::cast_precision_loss, reason = "a count of rows, as a height")]
fn height(rows: u64, top: f64) -> f64 {
    rows as f64 / top * HIGH
}

fn bands(axis: TimeAxis, spans: &Spans) -> Vec<WaitBand> {
    let seen = spans.iter().filter(|(from, to)| from.as_millis() < axis.to && to.as_millis() > axis.from);
    let band = |(from, to): (Stamp, Stamp)| {
        let to = Stamp::from_millis(to.as_millis().min(axis.to));
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

/// Steps: the estimate holds until the next one.
fn estimate(axis: TimeAxis, run: &PageRun<'_>) -> Option<EstimateLine> {
    let changes: Vec<_> = run.estimates.iter().filter(|(_, rate)| rate.is_finite() && *rate >= 0.0).collect();
    let (_, last) = changes.last()?;
    let lowest = changes.iter().map(|(_, rate)| *rate).fold(f64::MAX, f64::min);
    let highest = changes.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative")]
    let ticks = nice(highest.ceil() as u64);
    let point = |(index, (at, rate)): (usize, &(Stamp, f64))| {
        let (x, y) = (short(axis.x(at.as_millis())), short(HIGH - rate / top(&ticks) * HIGH));
        if index == 0 { format!("M{x} {y}") } else { format!("H{x}V{y}") }
    };
    let path = changes.iter().enumerate().map(point).chain([format!("H{WIDE}")]).collect();
    let range = if lowest < highest { format!("{} to {}", rate(lowest), rate(highest)) } else { rate(highest) };
    Some(EstimateLine { path, axis: upwards(&ticks), range, last: rate(*last) })
}

fn upwards(ticks: &[u64]) -> Vec<Tick> {
    let tick = |value: &u64| {
        let part = height(*value, top(ticks)) / HIGH;
        Tick { place: short(part * 100.0), label: thousands(*value), y: short(HIGH - part * HIGH), is_minor: false }
    };
    ticks.iter().map(tick).collect()
}

/// One decimal is fine enough for a drawing, and short.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[expect(clippy::cast_precision_loss, reason = "the end of an axis")]
fn top(ticks: &[u64]) -> f64 {
    ticks.last().copied().unwrap_or(1) as f64
}

/// From 0 up to `most` or beyond, in at most four steps of 1, 2 or 5 times a power of ten.
fn nice(most: u64) -> Vec<u64> {
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

/// At most six labels have room.
const MOST_LABELS: i64 = 6;

/// The step of a time axis of this length, both in milliseconds.
fn time_step(length: i64) -> i64 {
    let fits = |step: &i64| length / step <= MOST_LABELS;
    STEPS.into_iter().find(fits).unwrap_or_else(|| (length / MOST_LABELS).max(1))
}

/// The time of day in UTC: `18:42`, or `18:42:01`.
fn clock(at: Stamp, seconds: bool) -> String {
    let text = at.rfc3339_seconds();
    let time = text.rsplit_once('T').map_or("", |(_, time)| time);
    time.chars().take(if seconds { 8 } else { 5 }).collect()
}

/// The time of day in UTC with milliseconds: `18:42:01.250`.
fn precise_clock(at: Stamp) -> String {
    precise_moment(at).rsplit_once(' ').map_or_else(String::new, |(_, time)| time.to_owned())
}

/// `2026-11-23 18:42:01.250`, in UTC.
fn precise_moment(at: Stamp) -> String {
    at.rfc3339().trim_end_matches('Z').replacen('T', " ", 1)
}

/// Milliseconds as seconds, without zeros at the end: `0`, `0.5`, `1`.
fn seconds(millis: i64) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// From one moment to a later one.
#[must_use]
pub fn between(from: Stamp, to: Stamp) -> Duration {
    Duration::from_millis(u64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(0))
}

/// `2026-11-23 18:42:01`, in UTC.
#[must_use]
pub fn moment(at: Stamp) -> String {
    at.rfc3339_seconds().trim_end_matches('Z').replacen('T', " ", 1)
}

/// From one moment to another, with the day only once if it is the same: `2026-11-23 18:42:01 to 18:50:00`.
#[must_use]
pub fn stretch(from: Stamp, to: Stamp) -> String {
    let (from_text, to_text) = (moment(from), moment(to));
    let day = |text: &str| text.split(' ').next().map(str::to_owned);
    let to_text = if day(&from_text) == day(&to_text) { clock(to, true) } else { to_text };
    format!("{from_text} to {to_text}")
}

/// A width of [`Bars`]: `100 ms`, or a duration.
fn width_words(millis: i64) -> String {
    match u64::try_from(millis).unwrap_or(0) {
        short @ ..1_000 => format!("{short} ms"),
        whole => format_duration(Duration::from_millis(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::timeline::Steps;
    use super::*;

    fn run(started: i64, ended: i64) -> PageRun<'static> {
        PageRun {
            run_id: "one",
            started: Stamp::from_millis(started),
            ended: Some(Stamp::from_millis(ended)),
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
            (0..rows).for_each(|_| bars.add(Stamp::from_millis(second * 1_000), end));
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
        run.pauses.add(Stamp::from_millis(20_000), Duration::from_secs(30));
        run.pauses.add(Stamp::from_millis(90_000), Duration::from_hours(1));
        run.estimates.push(Stamp::from_millis(10_000), 20.0);
        run.estimates.push(Stamp::from_millis(60_000), 10.0);
        run.estimates.push(Stamp::from_millis(70_000), f64::NAN);
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
        (0..20).for_each(|row| bars.add(Stamp::from_millis(start + row * 100), StatusGroup::Gone));
        let chart = draw(1, Some(&run(start, start + 2_000)), &bars).unwrap();
        let ticks: Vec<_> = chart.time_axis.iter().map(|tick| &*tick.label).collect();
        assert_eq!(ticks, ["0s", "0.5s", "1s", "1.5s", "2s"]);
        assert_eq!((chart.bars.len(), &*chart.bar), (20, "100 ms"));
        assert_eq!(&*chart.time_note, "time since 18:42:01.200 UTC");
        assert_eq!((&*chart.bars[1].at, &*chart.bars[1].clock), ("2026-11-23 18:42:01.300", "18:42:01.300"));
        let longer = draw(1, Some(&run(start, start + 12_000)), &bars).unwrap();
        assert_eq!((&*longer.time_axis[0].label, &*longer.time_note), ("18:42:02", "times in UTC"));
    }

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
    fn times_and_widths_are_readable() {
        let at = Stamp::from_millis(1_795_459_321_000);
        assert_eq!((clock(at, true), clock(at, false)), ("18:42:01".into(), "18:42".into()));
        let (soon, late) = (Stamp::from_millis(1_795_459_921_000), Stamp::from_millis(1_795_545_721_000));
        assert_eq!(stretch(at, soon), "2026-11-23 18:42:01 to 18:52:01");
        assert_eq!(stretch(at, late), "2026-11-23 18:42:01 to 2026-11-24 18:42:01");
        for (millis, want) in [(100, "100 ms"), (2_000, "2"), (600_000, "10"), (7_200_000, "2"), (172_800_000, "2")] {
            assert!(width_words(millis).starts_with(want), "{millis}");
        }
        assert_eq!([0, 500, 1_000, 1_250].map(seconds), ["0", "0.5", "1", "1.25"]);
        for (length, want) in [(1_000, 200), (60_000, 10_000), (86_400_000, 21_600_000), (i64::MAX, i64::MAX / 6)] {
            assert_eq!(time_step(length), want);
        }
    }
}
