//! The bar: one line on a terminal, drawn again in place. The only indicatif.

use super::progress_view::{ProgressView, WaitText};
use super::style::Palette;
use crate::model::Tone;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// indicatif draws at most this often; the screen's own pace is slower, so that no draw of its is ever left out.
const MOST_DRAWS_A_SECOND: u8 = 30;

/// The bar on its terminal. Whatever goes wrong there is ignored: the run is worth more than its picture.
#[derive(Debug)]
pub(super) struct TerminalBar {
    bar: ProgressBar,
    palette: Palette,
}

impl TerminalBar {
    pub(super) fn stderr(palette: Palette) -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(MOST_DRAWS_A_SECOND), palette)
    }

    /// The whole line is the message: indicatif's templates have no fields that leave a narrow line by rank, and its bar would
    /// show neither the head at 0 rows nor the gap before the last of many.
    fn on(target: ProgressDrawTarget, palette: Palette) -> Self {
        let style = ProgressStyle::with_template("{msg}").expect("a template of one key");
        Self { bar: ProgressBar::with_draw_target(None, target).with_style(style), palette }
    }

    /// Draws the progress in `width` columns.
    pub(super) fn draw(&self, view: &ProgressView, width: usize) {
        self.bar.set_message(line(view, width, self.palette));
    }

    /// Hides the bar while `write` prints lines, then redraws it below them.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Removes the bar permanently.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A part of the line. If the line is too narrow, the parts with the highest rank are dropped first.
struct BarField {
    rank: u8,
    text: String,
    tone: Tone,
    /// Separator from the previous field.
    joint: &'static str,
}

/// A shorter bar shows no more than the percentage does.
const SHORTEST_BAR: usize = 8;
const LONGEST_BAR: usize = 30;
/// The bar is dropped after the figures that only a wide terminal shows.
const BAR_RANK: u8 = 9;
const REHEARSAL_RANK: u8 = 1;

/// The parts in their order on the line. The ranks say which of them a narrow terminal still shows.
fn parts(view: &ProgressView) -> Vec<BarField> {
    let part = |rank, text, tone, joint| BarField { rank, text, tone, joint };
    let count = |word: &str, rows: u64| format!("{word} {rows}");
    let bad = if view.failed() > 0 { Tone::Bad } else { Tone::Plain };
    let mut parts = Vec::new();
    if view.is_rehearsal() {
        parts.push(part(REHEARSAL_RANK, "REHEARSAL".to_owned(), Tone::Warning, ""));
    }
    parts.push(part(7, count("revoked", view.revoked()), Tone::Good, "  "));
    if view.requested() > 0 {
        parts.push(part(7, count("requested", view.requested()), Tone::Good, " · "));
    }
    parts.push(part(10, count("gone", view.gone()), Tone::Plain, " · "));
    parts.push(part(5, count("failed", view.failed()), bad, " · "));
    if view.not_sent() > 0 {
        parts.push(part(11, count("not sent", view.not_sent()), Tone::Plain, " · "));
    }
    parts.push(part(BAR_RANK, String::new(), Tone::Plain, "  "));
    parts.push(part(0, format!("{}/{}", view.done(), view.total()), Tone::Plain, "  "));
    parts.push(part(8, format!("{}%", view.percent()), Tone::Plain, " "));
    parts.extend(view.pace().map(|pace| part(4, pace, Tone::Plain, "  ")));
    parts.extend(view.bucket().map(|bucket| part(12, bucket.to_owned(), Tone::Plain, "  ")));
    if let Some(WaitText { reason, next }) = view.wait() {
        parts.push(part(2, reason, Tone::Warning, "  "));
        if let Some((next, left)) = next {
            parts.push(part(6, next.to_owned(), Tone::Warning, ", "));
            parts.push(part(2, left, Tone::Warning, " "));
        }
    }
    parts.extend(view.eta().map(|eta| part(3, eta, Tone::Plain, "  ")));
    parts
}

/// Columns of the parts side by side. Every character of ours takes one.
fn columns(parts: &[BarField]) -> usize {
    let width = |index: usize, part: &BarField| {
        let joint = if index == 0 { 0 } else { part.joint.chars().count() };
        let text = if part.rank == BAR_RANK { SHORTEST_BAR } else { part.text.chars().count() };
        joint + text
    };
    parts.iter().enumerate().map(|(index, part)| width(index, part)).sum()
}

/// `[=====>    ]`, `width` columns with its brackets.
fn gauge(view: &ProgressView, width: usize) -> String {
    let inside = width - 2;
    let done = u128::from(view.done()) * inside as u128 / u128::from(view.total().max(1));
    let done = usize::try_from(done).unwrap_or(inside).min(inside);
    let head = if done < inside { ">" } else { "" };
    format!("[{}{head}{}]", "=".repeat(done), " ".repeat(inside - done - head.len()))
}

/// The line, at most `width - 1` columns: some terminals wrap at the last one.
#[must_use]
pub fn line(view: &ProgressView, width: usize, palette: Palette) -> String {
    let room = width.saturating_sub(1);
    let mut parts = parts(view);
    while columns(&parts) > room && parts.len() > 1 {
        let widest_rank = parts.iter().map(|part| part.rank).max().unwrap_or_default();
        parts.retain(|part| part.rank != widest_rank);
    }
    let spare = room.saturating_sub(columns(&parts));
    if let Some(bar) = parts.iter_mut().find(|part| part.rank == BAR_RANK) {
        bar.text = gauge(view, (SHORTEST_BAR + spare).min(LONGEST_BAR));
    }
    if let [only] = parts.as_mut_slice() {
        only.text = only.text.chars().take(room).collect();
    }
    let painted = |(index, part): (usize, &BarField)| {
        let joint = match index.checked_sub(1).map(|before| parts[before].rank) {
            None => "",
            // The counts that were to come first may have left.
            Some(REHEARSAL_RANK) => "  ",
            Some(_) => part.joint,
        };
        format!("{joint}{}", palette.paint(part.tone, &part.text))
    };
    parts.iter().enumerate().map(painted).collect()
}

#[cfg(test)]
mod tests {
    use super::super::progress_view::tests::snapshot;
    use super::*;
    use crate::model::{BucketKind, Snapshot, WaitReason};
    use indicatif::InMemoryTerm;
    use proptest::prelude::*;
    use std::time::Duration;

    fn plain(snapshot: Snapshot, width: usize) -> String {
        line(&ProgressView::new(snapshot, Duration::ZERO, false), width, Palette::new(false))
    }

    fn busy() -> Snapshot {
        Snapshot {
            wait: Some((WaitReason::RateLimited, Duration::from_secs(14))),
            eta: Some(Duration::from_secs(125)),
            recent_per_minute: 480.0,
            ..snapshot([12, 3, 1, 0], 30)
        }
    }

    #[test]
    fn a_wide_terminal_shows_all() {
        assert_eq!(
            plain(busy(), 140),
            "revoked 12 · gone 3 · failed 1  [==============>             ]  16/30 53%  20/min  \
             rate limited, next call in 14s  ETA 2m 5s"
        );
        let known = Snapshot { bucket: Some(BucketKind::Team), ..snapshot([12, 3, 1, 2], 30) };
        assert!(plain(known, 160).contains("not sent 2  ["));
    }

    #[test]
    fn a_narrow_one_drops_the_less_important_parts() {
        for (width, want) in [
            (80, "revoked 12 · failed 1  16/30  20/min  rate limited, next call in 14s  ETA 2m 5s"),
            (60, "failed 1  16/30  20/min  rate limited 14s  ETA 2m 5s"),
            (44, "16/30  20/min  rate limited 14s  ETA 2m 5s"),
            (40, "16/30  rate limited 14s  ETA 2m 5s"),
            (24, "16/30  rate limited 14s"),
            (8, "16/30"),
            (4, "16/"),
            (0, ""),
        ] {
            assert_eq!(plain(busy(), width), want, "{width} columns");
        }
        let sending = Snapshot { wait: None, ..busy() };
        let want = "revoked 12 · gone 3 · failed 1  [========>      ]  16/30 53%  20/min  ETA 2m 5s";
        assert_eq!(plain(sending, 80), want);
    }

    #[test]
    fn a_rehearsal_says_so_at_every_usual_width() {
        for width in [40, 80, 120, 200] {
            let line = line(&ProgressView::new(busy(), Duration::ZERO, true), width, Palette::new(false));
            assert!(line.starts_with("REHEARSAL  ") && line.contains("16/30") && line.contains("14s"), "{line}");
        }
    }

    #[test]
    fn stops_and_outages_are_shown_at_usual_widths() {
        let stopping = Snapshot { stopping: true, in_flight: 3, ..busy() };
        assert!(plain(stopping.clone(), 80).contains("stopping: 3 calls in flight"));
        assert!(plain(stopping, 50).contains("stopping: 3 calls in flight"));
        let wait = Some((WaitReason::Outage, Duration::from_secs(8)));
        let outage = Snapshot { outage: true, wait, ..snapshot([1, 0, 0, 0], 30) };
        assert!(plain(outage.clone(), 80).contains("Slack isn't answering, next attempt in 8s"));
        assert!(plain(outage, 40).contains("Slack isn't answering 8s"));
    }

    #[test]
    fn the_gauge_is_full_only_at_the_end() {
        for (rows, want) in [(0, "[>       ]"), (15, "[====>   ]"), (29, "[=======>]"), (30, "[========]")] {
            assert_eq!(gauge(&ProgressView::new(snapshot([rows, 0, 0, 0], 30), Duration::ZERO, false), 10), want);
        }
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_its_terminal(
            rows in any::<[u16; 4]>(), total: u64, width in 0_usize..200, pause: Option<u32>, eta: Option<u64>,
            limit: Option<u32>, outage: bool, stopping: bool, in_flight: u32, known: bool, rehearsal: bool,
        ) {
            let state = Snapshot {
                wait: pause.map(|s| (WaitReason::RateLimited, Duration::from_secs(s.into()))),
                eta: eta.map(Duration::from_secs),
                per_minute: limit.map(f64::from),
                bucket: known.then_some(BucketKind::Team),
                outage, stopping, in_flight,
                ..snapshot(rows.map(|r| u64::from(r % 50)), total)
            };
            let view = ProgressView::new(state, Duration::ZERO, rehearsal);
            let plain = line(&view, width, Palette::new(false));
            prop_assert!(plain.chars().count() <= width.saturating_sub(1));
            let painted = line(&view, width, Palette::new(true));
            prop_assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
        }
    }

    #[test]
    fn lines_go_above_the_bar_and_the_end_removes_it() {
        let terminal = InMemoryTerm::new(6, 80);
        let bar = TerminalBar::on(ProgressDrawTarget::term_like(Box::new(terminal.clone())), Palette::new(false));
        bar.draw(&ProgressView::new(busy(), Duration::ZERO, false), 80);
        assert_eq!(terminal.contents(), plain(busy(), 80));
        bar.draw(&ProgressView::new(snapshot([30, 0, 0, 0], 30), Duration::ZERO, false), 80);
        assert!(terminal.contents().contains("30/30 100%") && terminal.contents().lines().count() == 1);
        bar.above(|| {
            use indicatif::TermLike;
            terminal.write_line("a notice").unwrap();
        });
        assert!(terminal.contents().starts_with("a notice\nrevoked 30"), "{}", terminal.contents());
        bar.clear();
        assert_eq!(terminal.contents().trim_end(), "a notice");
    }
}
