//! The chart of one run: rows in bars, pauses as shades, the estimate as a line on a scale of its own. Pure geometry.
//!
//! It is inline SVG that stretches with the page; what must not stretch, the labels, stands around it as HTML. Colours
//! are classes, so that the page's style sheet can give them for light, dark and paper.

use super::bars::Bars;
use super::ends::End;
use super::facts::Run;
use super::scale::{Ticks, clock, moment, nice, stretch, time_step, width_words};
use super::spans::Spans;
use crate::model::Stamp;
use crate::output::text::{rate, thousands};

/// The drawing's own units. Whole per mille are fine enough, and short.
const WIDE: f64 = 1_000.0;
const HIGH: f64 = 240.0;

/// An axis is never shorter, in milliseconds: a few seconds are no time for bars to fill a page.
const SHORTEST: i64 = 12_000;

/// The chart of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// How wide a bar is, in words.
    pub bar: String,
    /// From when to when it shows.
    pub stretch: String,
    /// Rows that ended in it.
    pub rows: u64,
    /// Its bars, empty ones left out.
    pub bars: Vec<Bar>,
    /// When a 429 paused calls.
    pub pauses: Vec<Shade>,
    /// When Slack did not answer.
    pub outages: Vec<Shade>,
    /// The estimate, where there was one.
    pub estimate: Option<Line>,
    /// Rows a bar, from the ground up.
    pub rows_axis: Vec<Tick>,
    /// Times.
    pub time_axis: Vec<Tick>,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// When it begins.
    pub at: String,
    /// The same as a time of day.
    pub clock: String,
    /// Rows in the order of [`End::ALL`].
    pub by_end: [u64; End::ALL.len()],
    /// All rows.
    pub rows: u64,
    /// Its parts, from the ground up.
    pub parts: Vec<Part>,
}

/// A part of a bar, in the drawing's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The class that colours it.
    pub class: &'static str,
    /// From the left.
    pub x: String,
    /// From the top.
    pub y: String,
    /// Its width.
    pub width: String,
    /// Its height.
    pub height: String,
}

/// A shaded stretch, in the drawing's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Shade {
    /// From the left.
    pub x: String,
    /// Its width.
    pub width: String,
    /// In words.
    pub title: String,
}

/// The estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// An SVG path.
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
    /// What it says.
    pub label: String,
    /// In the drawing's units, from the top, for the line across.
    pub y: String,
    /// Whether a narrow page leaves it out.
    pub is_minor: bool,
}

/// The time that is shown, and where a moment of it is.
#[derive(Debug, Clone, Copy)]
struct Frame {
    from: i64,
    to: i64,
}

impl Frame {
    /// All bars, and all of the run.
    fn of(run: Option<&Run>, bars: &Bars) -> Option<Self> {
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
}

/// Draws one run; none where there is neither a run nor a row.
#[must_use]
pub fn draw(run: Option<&Run>, bars: &Bars) -> Option<Chart> {
    let frame = Frame::of(run, bars)?;
    let most = bars.iter().map(|(_, rows)| rows.iter().sum::<u64>()).max().unwrap_or(0);
    let rows_ticks = nice(most);
    let drawn: Vec<_> = bars.iter().map(|(at, rows)| bar(frame, at, bars.width(), rows, rows_ticks.top())).collect();
    let shades = |spans: fn(&Run) -> &Spans, what| run.map(|run| shades(frame, spans(run), what)).unwrap_or_default();
    Some(Chart {
        bar: width_words(bars.width()),
        stretch: stretch(Stamp::from_millis(frame.from), Stamp::from_millis(frame.to)),
        rows: drawn.iter().map(|bar| bar.rows).sum(),
        bars: drawn,
        pauses: shades(|run| &run.pauses, "paused for Slack’s limit"),
        outages: shades(|run| &run.outages, "no answer from Slack"),
        estimate: run.and_then(|run| estimate(frame, run)),
        rows_axis: upwards(rows_ticks),
        time_axis: times(frame),
    })
}

fn bar(frame: Frame, at: Stamp, width: i64, by_end: [u64; End::ALL.len()], top: f64) -> Bar {
    let (left, right) = (frame.x(at.as_millis()), frame.x(at.as_millis().saturating_add(width)));
    // A gap where there is room for one.
    let gap = ((right - left) * 0.15).min(2.0);
    let (mut parts, mut below) = (Vec::new(), 0.0);
    for (end, rows) in End::ALL.into_iter().zip(by_end).filter(|(_, rows)| *rows > 0) {
        let height = height(rows, top);
        below += height;
        parts.push(Part {
            class: end.class(),
            x: short(left),
            y: short(HIGH - below),
            width: short((right - left - gap).max(0.6)),
            height: short(height),
        });
    }
    Bar { at: moment(at), clock: clock(at, true), by_end, rows: by_end.iter().sum(), parts }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows, as a height")]
fn height(rows: u64, top: f64) -> f64 {
    rows as f64 / top * HIGH
}

fn shades(frame: Frame, spans: &Spans, what: &str) -> Vec<Shade> {
    let seen = spans.iter().filter(|(from, to)| from.as_millis() < frame.to && to.as_millis() > frame.from);
    let shade = |(from, to): (Stamp, Stamp)| {
        let (left, right) = (frame.x(from.as_millis()), frame.x(to.as_millis()));
        let title = format!("{what}, {} to {}", clock(from, true), clock(to, true));
        Shade { x: short(left), width: short((right - left).max(1.0)), title }
    };
    seen.map(shade).collect()
}

/// Steps: the estimate holds until the next one.
fn estimate(frame: Frame, run: &Run) -> Option<Line> {
    let changes: Vec<_> = run.estimates.iter().filter(|(_, rate)| rate.is_finite() && *rate >= 0.0).collect();
    let (_, last) = changes.last()?;
    let lowest = changes.iter().map(|(_, rate)| *rate).fold(f64::MAX, f64::min);
    let highest = changes.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative")]
    let ticks = nice(highest.ceil() as u64);
    let point = |(index, (at, rate)): (usize, &(Stamp, f64))| {
        let (x, y) = (short(frame.x(at.as_millis())), short(HIGH - rate / ticks.top() * HIGH));
        if index == 0 { format!("M{x} {y}") } else { format!("H{x}V{y}") }
    };
    let path = changes.iter().enumerate().map(point).chain([format!("H{WIDE}")]).collect();
    let range = if lowest < highest { format!("{} to {}", rate(lowest), rate(highest)) } else { rate(highest) };
    Some(Line { path, axis: upwards(ticks), range, last: rate(*last) })
}

fn upwards(ticks: Ticks) -> Vec<Tick> {
    let tick = |value: u64| {
        let part = height(value, ticks.top()) / HIGH;
        Tick { place: short(part * 100.0), label: thousands(value), y: short(HIGH - part * HIGH), is_minor: false }
    };
    ticks.values().map(tick).collect()
}

fn times(frame: Frame) -> Vec<Tick> {
    let step = time_step(frame.to.saturating_sub(frame.from));
    let first = frame.from.div_euclid(step).saturating_add(1).saturating_mul(step);
    let moments = std::iter::successors(Some(first), |at| at.checked_add(step)).take_while(|at| *at <= frame.to);
    let tick = |(index, at): (usize, i64)| {
        let (place, stamp) = (frame.x(at) / WIDE * 100.0, Stamp::from_millis(at));
        let is_day = step >= 86_400_000;
        let label = if is_day { moment(stamp).chars().take(10).collect() } else { clock(stamp, step < 60_000) };
        Tick { place: short(place), label, y: String::new(), is_minor: index % 2 == 1 }
    };
    moments.enumerate().map(tick).collect()
}

/// One decimal is fine enough for a drawing, and short.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::spans::Steps;
    use super::*;
    use std::time::Duration;

    fn run(started: i64, ended: i64) -> Run {
        Run {
            run_id: "one".into(),
            started: Stamp::from_millis(started),
            ended: Some(Stamp::from_millis(ended)),
            exit: None,
            stop_reason: None,
            is_rehearsal: false,
            told: None,
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
    fn bars_stand_on_the_ground_and_fit_below_the_top() {
        let mut bars = Bars::default();
        for (second, end, rows) in [(0, End::Gone, 3), (0, End::Trouble, 4), (50, End::Aside, 2)] {
            (0..rows).for_each(|_| bars.add(Stamp::from_millis(second * 1_000), end));
        }
        let chart = draw(Some(&run(0, 100_000)), &bars).unwrap();
        assert_eq!((chart.rows, chart.bars.len(), chart.bars[0].rows), (9, 2, 7));
        let tops: Vec<_> = chart.rows_axis.iter().map(|tick| (&*tick.label, &*tick.y)).collect();
        assert_eq!((tops[0], tops[4]), (("0", "240"), ("8", "0")));
        let [gone, trouble] = &chart.bars[0].parts[..] else { panic!("{chart:?}") };
        assert_eq!((gone.class, &*gone.y, &*gone.height), ("gone", "150", "90"));
        assert_eq!((trouble.class, &*trouble.y, &*trouble.height), ("trouble", "30", "120"));
        let half = &chart.bars[1].parts[0];
        assert_eq!((&*half.x, number(&half.y) + number(&half.height)), ("500", HIGH));
    }

    #[test]
    fn pauses_and_the_estimate_are_where_they_were() {
        let mut run = run(0, 100_000);
        run.pauses.add(Stamp::from_millis(20_000), Duration::from_secs(30));
        run.pauses.add(Stamp::from_millis(90_000), Duration::from_hours(1));
        run.estimates.push(Stamp::from_millis(10_000), 20.0);
        run.estimates.push(Stamp::from_millis(60_000), 10.0);
        run.estimates.push(Stamp::from_millis(70_000), f64::NAN);
        let chart = draw(Some(&run), &Bars::default()).unwrap();
        let shades: Vec<_> = chart.pauses.iter().map(|shade| (&*shade.x, &*shade.width)).collect();
        assert_eq!(shades, [("200", "300"), ("900", "100")], "cut off at the end of the run");
        let estimate = chart.estimate.unwrap();
        assert_eq!(estimate.path, "M100 0H600V120H1000");
        assert_eq!((&*estimate.range, &*estimate.last), ("10 to 20", "10"));
    }

    #[test]
    fn any_run_has_an_axis_of_some_labels() {
        assert_eq!(draw(None, &Bars::default()), None);
        for length in [0, 900, 12_000, 61_000, 3_600_000, 86_400_000, 40 * 86_400_000, 20_000 * 86_400_000] {
            let chart = draw(Some(&run(1_700_000_000_000, 1_700_000_000_000 + length)), &Bars::default()).unwrap();
            let places: Vec<_> = chart.time_axis.iter().map(|tick| number(&tick.place)).collect();
            assert!((1..=7).contains(&places.len()), "{length}: {places:?}");
            assert!(places.is_sorted() && places.iter().all(|place| (0.0..=100.0).contains(place)));
        }
    }
}
