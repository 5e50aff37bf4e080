//! What a page is made from, beside its figures: what was known of the run, and what was found of its files.

use super::spans::{Spans, Steps};
use crate::model::{Counts, Stamp};
use std::time::Duration;

/// Everything that is told beside the figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// When the page is made.
    pub made_at: Stamp,
    /// The version of this program.
    pub tool_version: &'static str,
    /// The results, as they were found.
    pub results: ResultsFile,
    /// Whether a run was writing them.
    pub is_running: bool,
    /// The runs, the first one first: from the manifest, or else from the events.
    pub runs: Vec<Run>,
    /// What the manifest says; none where there is none.
    pub manifest: Option<ManifestFacts>,
    /// What was wrong with the events, each in a sentence.
    pub event_notes: Vec<String>,
}

/// The results, as they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsFile {
    /// As it was given.
    pub path: String,
    /// Of the file as it is now.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Whether its last record is not whole.
    pub is_torn: bool,
    /// Lines of the input that have more than one record.
    pub recorded_twice: u64,
    /// The rows that can be fed back, where the file is there.
    pub remaining: Option<String>,
}

/// What the manifest says of all runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestFacts {
    /// The version of the program that ran last.
    pub tool_version: String,
    /// The input, as it was given.
    pub input_path: String,
    /// Of the input when it was read.
    pub input_sha256: String,
    /// The input as it is now.
    pub input_now: Check,
    /// Rows of the input.
    pub input_rows: u64,
    /// Of the results at the end; none while they change.
    pub results_sha256: Option<String>,
    /// Rows by status, as they were counted then.
    pub counts: Vec<(&'static str, u64)>,
    /// What `verify` found.
    pub verified: Option<Verified>,
}

/// A file's content against a hash that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The same.
    Matches,
    /// Another.
    Differs,
    /// None was recorded.
    NotRecorded,
    /// The file is not there any more, or not to be read.
    Absent,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// When it began.
    pub started: Stamp,
    /// When it ended; none where it did not say so.
    pub ended: Option<Stamp>,
    /// What it ended with, and what that means.
    pub exit: Option<(u8, &'static str)>,
    /// Why it stopped before the end.
    pub stop_reason: Option<String>,
    /// Whether the calls went to the stand-in.
    pub is_rehearsal: bool,
    /// What only a manifest tells.
    pub told: Option<Told>,
    /// Calls a minute that the limit was taken for.
    pub estimates: Steps,
    /// When a 429 paused calls.
    pub pauses: Spans,
    /// When Slack did not answer; only events tell.
    pub outages: Spans,
    /// Whether not every estimate or pause was kept.
    pub is_history_cut: bool,
}

/// Who ran what, and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Whose token it was; none where it was not asked.
    pub actor: Option<String>,
    /// The organisation or workspace of the token.
    pub organisation: Option<String>,
    /// The machine, and the process on it.
    pub machine: String,
    /// The host that was called.
    pub api_host: String,
    /// `--rate`.
    pub rate: String,
    /// `--reason`.
    pub reason: Option<String>,
    /// Calls made.
    pub calls: u64,
    /// 429s met.
    pub rate_limited: u64,
    /// Time in which no call was allowed.
    pub paused: Duration,
    /// Calls a minute that one bucket was found to take.
    pub learnt_per_minute: Option<f64>,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// When.
    pub at: Stamp,
    /// The file with the answers.
    pub file: String,
    /// Whether a run ended after it.
    pub is_older_than_the_run: bool,
    /// Records whose session is gone, and whose user has no other.
    pub gone: u64,
    /// Records whose session is gone, and whose user has others.
    pub user_back: u64,
    /// Records whose session is listed.
    pub still_there: u64,
    /// Records of which nothing could be proved.
    pub unproven: u64,
    /// Records that name no session.
    pub not_asked: u64,
    /// Sessions recorded as gone that are not proved gone.
    pub revoked_but_not_gone: u64,
    /// Sessions of the users concerned that the results do not name.
    pub new_sessions: u64,
}

impl Facts {
    /// Rows of the input; none where no manifest tells.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.manifest.as_ref().map(|manifest| manifest.input_rows)
    }

    /// Rows of the input without a record; none where no manifest tells.
    #[must_use]
    pub fn not_reached(&self, counts: &Counts) -> Option<u64> {
        self.rows().map(|rows| rows.saturating_sub(counts.ended()))
    }

    /// Whether no call went to Slack.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.runs.iter().any(|run| run.is_rehearsal)
    }

    /// The content of the results against the hash in the manifest.
    #[must_use]
    pub fn results_check(&self) -> Check {
        match self.manifest.as_ref().and_then(|manifest| manifest.results_sha256.as_ref()) {
            None => Check::NotRecorded,
            Some(recorded) if *recorded == self.results.sha256 => Check::Matches,
            Some(_) => Check::Differs,
        }
    }
}
