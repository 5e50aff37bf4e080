//! Events and the plain line of progress as tracing events: one way for text and for JSON.

use super::messages::sentence;
use super::progress_view::{ProgressView, WaitText, bucket_words};
use super::style::NOTICE;
use super::text::clean;
use crate::model::{Event, Outcome, Row};
use std::time::Duration;
use tracing::{debug, info, trace, warn};

/// Emits one event. If its level is off, nothing is formatted and it costs next to nothing: rows end, and calls
/// are sent, some 30,000 times a second without a limit.
pub fn emit(event: &Event) {
    let text = || sentence(event);
    match event {
        Event::Sending { line, call } => trace!(target: NOTICE, line, call, "{}", text()),
        Event::Ended { row, outcome } => emit_row_ended(row, outcome, text),
        Event::Retrying { line, attempt, error, wait } => {
            trace!(target: NOTICE, line, attempt, error = &*clean(error), wait_ms = millis(*wait), "{}", text());
        }
        Event::RateLimited { line, team, pause, stated } => {
            let team = team.as_ref().map(tracing::field::display);
            info!(target: NOTICE, line, team, pause_ms = millis(*pause), stated_ms = stated.map(millis), "{}", text());
        }
        Event::BucketKnown(kind) => info!(target: NOTICE, bucket = bucket_words(*kind), "{}", text()),
        Event::Estimate { team, per_minute } => {
            let team = team.as_ref().map(tracing::field::display);
            trace!(target: NOTICE, team, per_minute, "{}", text());
        }
        Event::Parked { team, code } => {
            warn!(target: NOTICE, %team, code = &*clean(code.as_str()), "{}", text());
        }
        Event::OutageBegan { error } => warn!(target: NOTICE, error = &*clean(error), "{}", text()),
        Event::OutageEnded | Event::TokenRefreshed => info!(target: NOTICE, "{}", text()),
        Event::OtherOwner { owner, is_spared } => {
            warn!(target: NOTICE, user_id = owner.id.as_str(), protected = is_spared, "{}", text());
        }
        Event::Warning(warning) => warn!(target: NOTICE, warning = &*clean(warning), "{}", text()),
        Event::Stopping(reason) => warn!(target: NOTICE, reason = reason.entry().word, "{}", text()),
    }
}

fn emit_row_ended(row: &Row, outcome: &Outcome, text: impl Fn() -> String) {
    debug!(
        target: NOTICE,
        line = row.line,
        status = outcome.status.as_str(),
        error = outcome.error.as_deref().map(clean).as_deref(),
        http_status = outcome.http_status,
        attempts = outcome.attempts,
        request_id = outcome.request_id.as_deref().map(clean).as_deref(),
        "{}",
        text()
    );
}

/// For a field: whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `120/1000 done · revoked 110 · gone 8 · failed 2 · 20/min · ETA 44m`, and what the run is waiting for.
#[must_use]
pub fn progress(view: &ProgressView) -> String {
    let mut parts = vec![
        format!("{}/{} done", view.done(), view.total()),
        format!("revoked {}", view.revoked()),
        format!("gone {}", view.gone()),
        format!("failed {}", view.failed()),
    ];
    if view.is_rehearsal() {
        parts.insert(0, "REHEARSAL".to_owned());
    }
    if view.requested() > 0 {
        parts.push(format!("requested {}", view.requested()));
    }
    if view.not_sent() > 0 {
        parts.push(format!("not sent {}", view.not_sent()));
    }
    let wait = view.wait().map(|WaitText { reason, next }| match next {
        Some((next, left)) => format!("{reason}, {next} {left}"),
        None => reason,
    });
    parts.extend([view.pace(), wait, view.eta()].into_iter().flatten());
    parts.join(" · ")
}

pub(super) fn emit_progress(view: &ProgressView) {
    info!(
        target: NOTICE,
        rehearsal = view.is_rehearsal(),
        done = view.done(),
        total = view.total(),
        revoked = view.revoked(),
        requested = view.requested(),
        gone = view.gone(),
        failed = view.failed(),
        per_minute = view.per_minute(),
        "{}",
        progress(view)
    );
}

/// Reports lines that were left out, if there are any.
pub(super) fn emit_left_out(lines: u64) {
    if lines > 0 {
        warn!(target: NOTICE, lines, "{lines} lines were left out here: the terminal was slower than the run");
    }
}

#[cfg(test)]
mod tests {
    use super::super::console::Console;
    use super::super::console::tests::{Page, style};
    use super::super::logs::{dispatch, targets};
    use super::super::messages::tests::every_event;
    use super::super::progress_view::tests::snapshot;
    use super::*;
    use crate::model::{LogFormat, ScreenMode, Snapshot, Verbosity, WaitReason};

    /// What `emit` shows of every event.
    fn told(mode: ScreenMode, verbosity: Verbosity, format: LogFormat) -> Vec<String> {
        let page = Page::default();
        let console = Console::on(Box::new(page.clone()), style(mode, verbosity, format));
        let targets = targets(console.style(), None).unwrap();
        tracing::dispatcher::with_default(&dispatch(&console, targets), || every_event().iter().for_each(emit));
        page.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn verbosity_decides_what_is_shown() {
        for (mode, verbosity, want) in [
            (ScreenMode::None, Verbosity::Quiet, 0),
            (ScreenMode::Bar, Verbosity::Normal, 5),
            (ScreenMode::Plain, Verbosity::Normal, 9),
            (ScreenMode::Bar, Verbosity::Rows, 10),
            (ScreenMode::Plain, Verbosity::Calls, 13),
        ] {
            let lines = told(mode, verbosity, LogFormat::Text);
            assert_eq!(lines.len(), want, "{mode:?} {verbosity:?}: {lines:#?}");
            assert!(lines.iter().all(|line| line.starts_with("slack-revoke: ") && clean(line) == *line));
        }
    }

    #[test]
    fn json_says_the_same_with_fields_and_nothing_hostile_in_them() {
        let lines = told(ScreenMode::Plain, Verbosity::Calls, LogFormat::Json);
        assert_eq!(lines.len(), every_event().len());
        for (line, event) in lines.iter().zip(every_event()) {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["message"], sentence(&event));
            let texts = object.as_object().unwrap().values().filter_map(|value| value.as_str());
            texts.for_each(|text| assert_eq!(clean(text), text, "{line}"));
        }
    }

    #[test]
    fn the_progress_line_shows_counts_rate_wait_and_eta() {
        let state = Snapshot { eta: Some(Duration::from_mins(44)), ..snapshot([110, 8, 2, 0], 1000) };
        let line = |state: Snapshot, is_rehearsal| progress(&ProgressView::new(state, Duration::ZERO, is_rehearsal));
        let want = "120/1000 done · revoked 110 · gone 8 · failed 2 · 20/min · ETA 44m";
        assert_eq!(line(state.clone(), false), want);
        assert_eq!(line(state.clone(), true), format!("REHEARSAL · {want}"));
        let pause = Some((WaitReason::Paced, Duration::from_secs(3)));
        let waiting = line(Snapshot { wait: pause, ..state.clone() }, false);
        assert!(waiting.ends_with("20/min · paced, next call in 3s · ETA 44m"), "{waiting}");
        let stopping = Snapshot { stopping: true, in_flight: 1, ..state };
        assert!(line(stopping, false).ends_with("20/min · stopping: 1 call in flight"));
    }
}
