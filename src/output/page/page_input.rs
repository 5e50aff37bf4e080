//! The input of the page besides the totals: files, and runs from manifest and events.

use super::events::{Events, RunEvents};
use super::timeline::{Spans, Steps};
use crate::model::{
    Counts, FIRST_RUNS, FileCheck, InputRecord, LAST_RUNS, LeftOutRuns, Results, Run, StatusTotals, Timestamp, Verified,
};
use crate::output::text::{calls_words, counted};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct PageInput<'a> {
    pub made_at: Timestamp,
    pub tool_version: &'a str,
    pub results: FoundFile,
    /// Whether a run is writing the results.
    pub is_running: bool,
    /// From the manifest, or otherwise from the events; in order.
    pub runs: Vec<PageRun<'a>>,
    pub manifest: Option<PageManifest<'a>>,
    /// Problems with the events, one sentence each.
    pub event_notes: Vec<String>,
}

/// The results file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    pub now: FileNow,
    /// Whether its last record is incomplete.
    pub is_torn: bool,
    /// Lines of the input that have more than one record.
    pub recorded_twice: u64,
    /// The remaining file, if it exists.
    pub remaining: Option<String>,
}

/// The current state of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNow {
    /// As given.
    pub path: String,
    pub sha256: String,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PageManifest<'a> {
    pub path: String,
    /// Of the last run.
    pub tool_version: &'a str,
    /// In the order of the manifest.
    pub runs: &'a [Run],
    pub input: &'a InputRecord,
    /// `None` if the file doesn't exist or can't be read.
    pub input_now: Option<FileNow>,
    pub results: &'a Results,
    pub totals: &'a StatusTotals,
    pub verified: Option<Verified>,
    /// The checks of other files.
    pub files: Vec<FileCheck>,
    /// Its SHA-256 when it was read.
    pub sha256: Option<&'a str>,
    /// Whether this is the digest of `--manifest-sha256`; `None` if it wasn't given.
    pub is_as_given: Option<bool>,
}

impl FileNow {
    /// Whether it has this SHA-256 and, if one was recorded, this length.
    pub(super) fn is(&self, (sha256, bytes): (&str, Option<u64>)) -> bool {
        self.sha256 == sha256 && bytes.is_none_or(|bytes| bytes == self.bytes)
    }
}

impl PageManifest<'_> {
    /// SHA-256 and length of the results; `None` if the last run has no end.
    pub(super) fn recorded_results(&self) -> Option<(&str, Option<u64>)> {
        Some((self.results.sha256.as_deref()?, self.results.bytes))
    }

    /// The result of `verify`, and whether a run ended later or hasn't ended.
    pub(super) fn verified(&self) -> Option<(&Verified, bool)> {
        let found = self.verified.as_ref()?;
        Some((found, self.runs.last().is_some_and(|run| run.ended_at.is_none_or(|ended| ended > found.at))))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PageRun<'a> {
    pub run_id: &'a str,
    pub started: Timestamp,
    /// `None` if no end was recorded.
    pub ended: Option<Timestamp>,
    pub exit_code: Option<u8>,
    /// `None` if the run is only in the events.
    pub record: Option<&'a Run>,
    /// Estimated limit, in calls per minute.
    pub estimates: Steps,
    /// Periods without calls after a 429.
    pub pauses: Spans,
    /// Only in the events.
    pub outages: Spans,
    /// Whether the manifest doesn't have all estimates and pauses.
    pub is_history_cut: bool,
}

impl<'a> PageRun<'a> {
    /// In chronological order. If a run is in both, its chart is drawn from the events, which are complete.
    #[must_use]
    pub fn all(recorded: Option<&'a [Run]>, events: Option<&'a Events>) -> Vec<Self> {
        let logged = events.map_or(&[][..], |events| &events.runs);
        let mut runs: Vec<Self> = match recorded {
            Some(recorded) => recorded.iter().map(|run| Self::of_record(run, logged)).collect(),
            None => logged.iter().filter_map(|events| Some(Self::of_events(events, events.started?))).collect(),
        };
        // The clock may have been set back between two runs.
        runs.sort_by_key(|run| run.started);
        runs
    }

    fn of_record(run: &'a Run, logged: &'a [RunEvents]) -> Self {
        let (record, started, ended, exit_code) = (Some(run), run.started_at, run.ended_at, run.exit_code);
        if let Some(events) = logged.iter().find(|events| events.run_id == run.run_id) {
            return Self { ended, exit_code, record, ..Self::of_events(events, started) };
        }
        let (mut estimates, mut pauses) = (Steps::default(), Spans::default());
        let (history, limits) = (&run.pacing.estimate_history, &run.pacing.rate_limits);
        // Only estimates without a workspace: those of a single bucket, or sums over all.
        for estimate in history.entries.iter().filter(|estimate| estimate.team.is_none()) {
            estimates.push(estimate.at, estimate.per_minute);
        }
        for pause in &limits.entries {
            pauses.add(pause.at, duration(pause.pause_seconds));
        }
        let (outages, is_history_cut) = (Spans::default(), history.left_out + limits.left_out > 0);
        Self { run_id: &run.run_id, started, ended, exit_code, record, estimates, pauses, outages, is_history_cut }
    }

    fn of_events(events: &'a RunEvents, started: Timestamp) -> Self {
        Self {
            run_id: &events.run_id,
            started,
            ended: events.ended,
            exit_code: events.exit_code,
            record: None,
            estimates: events.estimates.clone(),
            pauses: events.pauses.clone(),
            outages: events.outages.clone(),
            is_history_cut: false,
        }
    }
}

/// Invalid numbers, as in an edited manifest, count as zero.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Problems with the events, and runs that the manifest no longer has, one sentence each. `recorded` are the runs of
/// the manifest and those that it left out.
#[must_use]
pub fn event_notes(events: Option<&Events>, recorded: Option<(&[Run], &LeftOutRuns)>) -> Vec<String> {
    let of_events = events.map(|events| notes_on(events, recorded)).unwrap_or_default();
    of_events.into_iter().chain(recorded.and_then(|(_, left_out)| left_out_note(left_out))).collect()
}

fn notes_on(events: &Events, recorded: Option<(&[Run], &LeftOutRuns)>) -> Vec<String> {
    let is_other = |run: &&RunEvents| {
        let is_known = |runs: &[Run]| runs.iter().any(|known| known.run_id == run.run_id);
        recorded.is_some_and(|(runs, left_out)| left_out.runs == 0 && !is_known(runs))
    };
    let others = events.runs.iter().filter(is_other).count() as u64;
    let first = events.first_unreadable.map(|line| format!(", the first one in line {line}")).unwrap_or_default();
    let unreadable = counted(events.unreadable, "line isn’t an event", "lines aren’t events");
    let belong = if others == 1 { "belongs" } else { "belong" };
    let notes = [
        (events.unreadable > 0, format!("The events file: {unreadable}{first}; left out here.")),
        (
            events.left_out > 0,
            format!("The events file lacks {} that couldn’t be written.", counted(events.left_out, "line", "lines")),
        ),
        (
            others > 0,
            format!("The events file: {} {belong} to other results; left out here.", counted(others, "run", "runs")),
        ),
    ];
    notes.into_iter().filter_map(|(applies, note)| applies.then_some(note)).collect()
}

fn left_out_note(left_out: &LeftOutRuns) -> Option<String> {
    (left_out.runs > 0).then(|| {
        format!(
            "The manifest keeps the first {FIRST_RUNS} and the last {LAST_RUNS} runs; {} between them, with {}, not shown here.",
            counted(left_out.runs, "run is", "runs are"),
            calls_words(left_out.counts.calls)
        )
    })
}

impl PageInput<'_> {
    /// Rows of the input; `None` without a manifest.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.manifest.as_ref().map(|manifest| manifest.input.rows)
    }

    /// Rows of the input without a record; `None` without a manifest.
    #[must_use]
    pub fn not_reached(&self, counts: &Counts) -> Option<u64> {
        self.rows().map(|rows| rows.saturating_sub(counts.ended()))
    }

    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.runs.iter().any(|run| run.record.is_some_and(|record| record.rehearsal))
    }

    /// Whether the results aren't those that the manifest recorded.
    pub(super) fn results_differ(&self) -> bool {
        let recorded = self.manifest.as_ref().and_then(PageManifest::recorded_results);
        recorded.is_some_and(|recorded| !self.results.now.is(recorded))
    }
}
