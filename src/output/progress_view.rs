//! The figures of a snapshot that the progress bar and the plain lines both show. Pure.

use super::text::{counted, format_duration, rate};
use crate::model::{BucketKind, Snapshot, Status, WaitReason};
use std::time::Duration;

/// Shorter waits for the rate are normal spacing between calls and aren't shown.
const UNREMARKABLE: Duration = Duration::from_secs(1);

/// A snapshot and its age, which is subtracted from waits and the time left.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressView {
    snapshot: Snapshot,
    age: Duration,
    is_rehearsal: bool,
}

/// What the run is waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WaitText {
    pub reason: String,
    /// What happens next, and in how long; `None` if unknown.
    pub next: Option<(&'static str, String)>,
}

impl ProgressView {
    /// `age`: how long ago the snapshot was taken.
    #[must_use]
    pub fn new(snapshot: Snapshot, age: Duration, is_rehearsal: bool) -> Self {
        Self { snapshot, age, is_rehearsal }
    }

    pub(super) fn is_rehearsal(&self) -> bool {
        self.is_rehearsal
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

    /// Percentage done, rounded down, so that only a finished run shows 100.
    pub(super) fn percent(&self) -> u64 {
        let percent = u128::from(self.done()) * 100 / u128::from(self.total().max(1));
        u64::try_from(percent).unwrap_or(100)
    }

    /// Calls a minute that the rate allows now; without a limit, those of the last minute.
    pub(super) fn pace(&self) -> Option<String> {
        let measured = Some(self.snapshot.recent_per_minute).filter(|calls| *calls > 0.0);
        let target = self.snapshot.per_minute.map(|target| format!("{}/min", rate(target)));
        target.or_else(|| Some(format!("{}/min measured", rate(measured?))))
    }

    /// Calls a minute that the rate allows now.
    pub(super) fn per_minute(&self) -> Option<f64> {
        self.snapshot.per_minute
    }

    /// Which rows share a limit, once known.
    pub(super) fn bucket(&self) -> Option<&'static str> {
        self.snapshot.bucket.map(bucket_words)
    }

    /// What the run is waiting for, unless it is sending.
    pub(super) fn wait(&self) -> Option<WaitText> {
        let alone = |reason: String| Some(WaitText { reason, next: None });
        if self.snapshot.stopping {
            return alone(match self.snapshot.in_flight {
                0 => "stopping".to_owned(),
                calls => format!("stopping: {} in flight", counted(u64::from(calls), "call", "calls")),
            });
        }
        let no_answer = "Slack isn't answering";
        let wait = self
            .snapshot
            .wait
            .filter(|(reason, wait)| !matches!(reason, WaitReason::Paced | WaitReason::Shared) || *wait > UNREMARKABLE);
        let left = wait.and_then(|(reason, wait)| Some((reason, wait.checked_sub(self.age)?)));
        let Some((reason, left)) = left.filter(|(_, left)| !left.is_zero()) else {
            return if self.snapshot.outage { alone(no_answer.to_owned()) } else { None };
        };
        let (reason, next) = match reason {
            WaitReason::RateLimited => ("rate limited", "next call in"),
            WaitReason::ServerBusy => ("Slack asked for a pause", "next call in"),
            WaitReason::Paced => ("paced", "next call in"),
            WaitReason::Shared => ("sharing the limit with other runs", "next call in"),
            WaitReason::AfterIncident => ("another run is an incident and goes first", "next call in"),
            WaitReason::Backoff => ("retrying", "next attempt in"),
            WaitReason::Outage => (no_answer, "next attempt in"),
        };
        Some(WaitText { reason: reason.to_owned(), next: Some((next, format_duration(left))) })
    }

    /// The time left; `None` if it is unknown, or the run is stopping or done.
    pub(super) fn eta(&self) -> Option<String> {
        let over = self.snapshot.stopping || self.done() >= self.total();
        let eta = self.snapshot.eta.filter(|_| !over)?;
        Some(format!("ETA {}", format_duration(eta.saturating_sub(self.age))))
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

    fn view(snapshot: Snapshot, age: u64) -> ProgressView {
        ProgressView::new(snapshot, Duration::from_secs(age), false)
    }

    #[test]
    fn the_numbers_add_up() {
        let view = view(snapshot([12, 3, 1, 2], 30), 0);
        assert_eq!(view.revoked() + view.gone() + view.failed() + view.not_sent(), view.done());
        assert_eq!((view.done(), view.total(), view.percent()), (18, 30, 60));
    }

    fn waits(reason: WaitReason, seconds: u64, age: u64) -> Option<String> {
        let wait = Some((reason, Duration::from_secs(seconds)));
        let text = view(Snapshot { wait, ..snapshot([1, 0, 0, 0], 30) }, age).wait()?;
        let (next, left) = text.next?;
        Some(format!("{}, {next} {left}", text.reason))
    }

    #[test]
    fn a_wait_counts_down_between_snapshots() {
        for (age, want) in [
            (0, Some("rate limited, next call in 14s")),
            (5, Some("rate limited, next call in 9s")),
            (14, None),
            (20, None),
        ] {
            assert_eq!(waits(WaitReason::RateLimited, 14, age).as_deref(), want);
        }
    }

    #[test]
    fn every_kind_of_wait_has_its_reason() {
        for (reason, want) in [
            (WaitReason::ServerBusy, "Slack asked for a pause, next call in 8s"),
            (WaitReason::Paced, "paced, next call in 8s"),
            (WaitReason::Backoff, "retrying, next attempt in 8s"),
            (WaitReason::Outage, "Slack isn't answering, next attempt in 8s"),
        ] {
            assert_eq!(waits(reason, 8, 0).as_deref(), Some(want));
        }
        assert_eq!((waits(WaitReason::Paced, 1, 0), waits(WaitReason::Paced, 3, 2).is_some()), (None, true));
        let probing = view(Snapshot { outage: true, ..snapshot([1, 0, 0, 0], 30) }, 0);
        assert_eq!(probing.wait(), Some(WaitText { reason: "Slack isn't answering".to_owned(), next: None }));
    }

    #[test]
    fn the_pace_is_the_target_or_what_was_measured() {
        let recent_per_minute = 1119.0;
        for (per_minute, want) in [(Some(60.0), "60/min"), (None, "1119/min measured")] {
            let snapshot = Snapshot { per_minute, recent_per_minute, ..snapshot([1, 0, 0, 0], 30) };
            assert_eq!(view(snapshot, 0).pace().as_deref(), Some(want));
        }
        assert_eq!(view(Snapshot::default(), 0).pace(), None);
    }

    #[test]
    fn the_eta_counts_down_to_zero() {
        let base = Snapshot { eta: Some(Duration::from_secs(125)), ..snapshot([1, 0, 0, 0], 30) };
        for (age, want) in [(0, "ETA 2m 5s"), (5, "ETA 2m"), (500, "ETA 0s")] {
            assert_eq!(view(base.clone(), age).eta().as_deref(), Some(want));
        }
        let stopping = Snapshot { stopping: true, ..base };
        assert_eq!(view(stopping, 0).eta(), None);
    }

    #[test]
    fn the_total_is_never_less_than_the_rows_done() {
        let over = view(snapshot([5, 0, 0, 0], 3), 0);
        assert_eq!((over.total(), over.percent()), (5, 100));
        assert_eq!(view(snapshot([0; 4], 0), 0).percent(), 0);
    }
}
