//! What a snapshot says to a reader: the few numbers that the bar and the lines share. Pure.

use super::text::{format_countdown, rate};
use crate::model::{BucketKind, Snapshot, Status};
use std::time::Duration;

/// A snapshot as it reads some time after it was taken: pauses and the time left have run down since.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressView {
    snapshot: Snapshot,
    age: Duration,
}

impl ProgressView {
    /// `age`: how long ago the snapshot was taken.
    #[must_use]
    pub fn new(snapshot: Snapshot, age: Duration) -> Self {
        Self { snapshot, age }
    }

    pub(super) fn done(&self) -> u64 {
        self.snapshot.counts.ended()
    }

    /// Rows of the input; never fewer than have ended, whatever was counted before the run.
    pub(super) fn total(&self) -> u64 {
        self.snapshot.total.max(self.done())
    }

    pub(super) fn revoked(&self) -> u64 {
        self.snapshot.counts.of(Status::Revoked)
    }

    /// Rows whose user Slack has queued to be logged out.
    pub(super) fn requested(&self) -> u64 {
        self.snapshot.counts.of(Status::Requested)
    }

    /// Sessions that were not there any more.
    pub(super) fn gone(&self) -> u64 {
        self.snapshot.counts.of(Status::AlreadyRevoked) + self.snapshot.counts.of(Status::NotFound)
    }

    /// Rows failed or with an unknown end.
    pub(super) fn failed(&self) -> u64 {
        self.snapshot.counts.failures(false)
    }

    /// Rows that are never sent, so that the numbers add up to those done.
    pub(super) fn not_sent(&self) -> u64 {
        self.done() - self.revoked() - self.requested() - self.gone() - self.failed()
    }

    /// In whole per cent, rounded down: 100 is said of a finished run alone.
    pub(super) fn percent(&self) -> u64 {
        let percent = u128::from(self.done()) * 100 / u128::from(self.total().max(1));
        u64::try_from(percent).unwrap_or(100)
    }

    /// Calls in the last minute.
    pub(super) fn pace(&self) -> String {
        format!("{}/min", rate(self.snapshot.recent_per_minute))
    }

    /// Calls a minute that the rate allows now; `None` without a limit.
    pub(super) fn limit(&self) -> Option<String> {
        self.snapshot.per_minute.map(|limit| format!("limit {}", rate(limit)))
    }

    /// Which rows share a limit, once known.
    pub(super) fn bucket(&self) -> Option<&'static str> {
        self.snapshot.bucket.map(bucket_words)
    }

    /// The pause that is left, of one that has not run out.
    pub(super) fn pause(&self) -> Option<String> {
        let left = self.snapshot.pause?.checked_sub(self.age).filter(|left| !left.is_zero())?;
        Some(format!("paused {}", format_countdown(left)))
    }

    /// The time left; `None` if it is unknown, or the run is stopping or done.
    pub(super) fn eta(&self) -> Option<String> {
        let over = self.snapshot.stopping || self.done() >= self.total();
        let eta = self.snapshot.eta.filter(|_| !over)?;
        Some(format!("ETA {}", format_countdown(eta.saturating_sub(self.age))))
    }

    /// What is out of the ordinary just now, besides a pause.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.snapshot.stopping {
            let calls = if self.snapshot.in_flight == 1 { "call" } else { "calls" };
            return Some(format!("stopping: {} {calls} in flight", self.snapshot.in_flight));
        }
        self.snapshot.outage.then(|| "Slack is not answering".to_owned())
    }
}

/// The kind of bucket in words.
pub(super) fn bucket_words(kind: BucketKind) -> &'static str {
    match kind {
        BucketKind::Org => "one limit for all",
        BucketKind::Team => "a limit per workspace",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Counts;

    /// A snapshot with these rows revoked, not found, failed and invalid.
    pub(in crate::output) fn snapshot(rows: [u64; 4], total: u64) -> Snapshot {
        let mut counts = Counts::default();
        let statuses = [Status::Revoked, Status::NotFound, Status::Failed, Status::Invalid];
        for (status, rows) in statuses.into_iter().zip(rows) {
            (0..rows).for_each(|_| counts.add(status));
        }
        Snapshot { counts, total, recent_per_minute: 20.0, per_minute: Some(20.0), ..Snapshot::default() }
    }

    #[test]
    fn the_numbers_add_up() {
        let view = ProgressView::new(snapshot([12, 3, 1, 2], 30), Duration::ZERO);
        assert_eq!(view.revoked() + view.gone() + view.failed() + view.not_sent(), view.done());
        assert_eq!((view.done(), view.total(), view.percent()), (18, 30, 60));
    }

    #[test]
    fn a_pause_counts_down_between_snapshots() {
        let paused = Snapshot { pause: Some(Duration::from_secs(14)), ..snapshot([1, 0, 0, 0], 30) };
        for (age, want) in [(0, Some("paused 14 s")), (5, Some("paused 9 s")), (14, None), (20, None)] {
            let view = ProgressView::new(paused.clone(), Duration::from_secs(age));
            assert_eq!(view.pause().as_deref(), want);
        }
    }

    #[test]
    fn the_eta_counts_down_to_zero() {
        let base = Snapshot { eta: Some(Duration::from_secs(125)), ..snapshot([1, 0, 0, 0], 30) };
        for (age, want) in [(0, "ETA 2 m 05 s"), (5, "ETA 2 m 00 s"), (500, "ETA 0 s")] {
            assert_eq!(ProgressView::new(base.clone(), Duration::from_secs(age)).eta().as_deref(), Some(want));
        }
        let stopping = Snapshot { stopping: true, ..base };
        assert_eq!(ProgressView::new(stopping, Duration::ZERO).eta(), None);
    }

    #[test]
    fn the_total_is_never_less_than_the_rows_done() {
        let view = ProgressView::new(snapshot([5, 0, 0, 0], 3), Duration::ZERO);
        assert_eq!((view.total(), view.percent()), (5, 100));
        assert_eq!(ProgressView::new(snapshot([0; 4], 0), Duration::ZERO).percent(), 0);
    }
}
