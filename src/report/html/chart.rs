//! The chart of one run: rows in bars, pauses as shades, the estimate as a line on a scale of its own. Pure geometry.
//!
//! It is inline SVG that stretches with the page; what must not stretch, the labels, stands around it as HTML. Colours
//! are classes, so that the page's style sheet can give them for light, dark and paper.

use super::bars::Bars;
use super::ends::End;
use super::facts::Run;
use super::scale::{Ticks, clock, nice, time_step, width_words};
use super::spans::Spans;
use crate::domain::Stamp;
use crate::report::text::{rate, thousands, utc};

/// The drawing's own units. Whole per mille are fine enough, and short.
const WIDE: f64 = 1_000.0;
const HIGH: f64 = 240.0;

/// A stretch of time of no length would have no axis.
const SHORTEST: i64 = 1_000;

/// The chart of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// How wide a bar is, in words.
    pub bar: String,
    /// From when to when it shows.
    pub from: String,
    /// See `from`.
    pub to: String,
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
    /// All bars, all of the run, and never nothing.
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
        from: utc(Stamp::from_millis(frame.from)),
        to: utc(Stamp::from_millis(frame.to)),
        rows: drawn.iter().map(|bar| bar.rows).sum(),
        bars: drawn,
        pauses: shades(|run| &run.pauses, "paused by Slack"),
        outages: shades(|run| &run.outages, "no answer from Slack"),
        estimate: run.and_then(|run| estimate(frame, run)),
        rows_axis: upwards(&rows_ticks),
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
    Bar { at: utc(at), clock: clock(at, true), by_end, rows: by_end.iter().sum(), parts }
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
    let steps: Vec<_> = run.estimates.iter().filter(|(_, rate)| rate.is_finite() && *rate >= 0.0).collect();
    let ((first, _), (_, last)) = (steps.first()?, steps.last()?);
    let (least, most) =
        steps.iter().fold((f64::MAX, 0.0_f64), |(least, most), (_, rate)| (least.min(*rate), most.max(*rate)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite and not negative; the scale only needs to be no lower"
    )]
    let ticks = nice(most.ceil() as u64);
    let y = |rate: f64| short(HIGH - rate / ticks.top() * HIGH);
    let mut path = format!("M{} ", short(frame.x(first.as_millis())));
    for (index, (at, rate)) in steps.iter().enumerate() {
        let x = short(frame.x(at.as_millis()));
        path.push_str(&if index == 0 { y(*rate) } else { format!("H{x}V{}", y(*rate)) });
    }
    path.push_str(&format!("H{}", short(WIDE)));
    let range = if least < most { format!("{} to {}", rate(least), rate(most)) } else { rate(most) };
    Some(Line { path, axis: upwards(&ticks), range, last: rate(*last) })
}

fn upwards(ticks: &Ticks) -> Vec<Tick> {
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
        let label = if is_day { utc(stamp).chars().take(10).collect() } else { clock(stamp, step < 60_000) };
        Tick { place: short(place), label, y: String::new(), is_minor: index % 2 == 1 }
    };
    moments.enumerate().map(tick).collect()
}

/// One decimal is fine enough for a drawing, and short.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
