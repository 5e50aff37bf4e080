//! The progress line as a tracing event, for text and JSON.

use super::progress_view::{ProgressView, WaitText};
use super::style::NOTICE;
use tracing::{info, warn};

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

/// Reports lines that were left out.
pub(super) fn emit_left_out(lines: u64) {
    if lines > 0 {
        warn!(target: NOTICE, lines, "{lines} lines were left out here: the terminal was slower than the run");
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress_view::tests::snapshot;
    use super::*;
    use crate::model::{Snapshot, WaitReason};
    use std::time::Duration;

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
