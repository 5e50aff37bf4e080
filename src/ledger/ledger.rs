//! Everything that a run records, as one unit: results, journal and manifest.

use super::evidence::{self, named};
use super::journal::{Journal, Lock};
use super::manifest::{self, Manifest, Protections};
use super::paths::RunFiles;
use super::preflight::Output;
use super::remaining::{self, Keep};
use super::results::{self, CreateError, ResultsWriter};
use super::resume::{NewRunReason, Start};
use super::scan::Recorded;
use super::seal_files;
use crate::engine::ports::Unwritable;
use crate::files::Fingerprint;
use crate::model::{
    BucketKind, Event, Fields, FileRole, IdColumns, InputRecord, Run, RunCounts, Snapshot, Timestamp, TokenOwner,
};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug)]
pub struct Ledger {
    results: ResultsWriter,
    journal: Journal,
    recorded: Recorded,
    columns: IdColumns,
    manifest: Manifest,
    files: RunFiles,
    saved_at: Timestamp,
    until_next_save: Duration,
}

#[derive(Debug)]
pub struct NewRun {
    pub tool_version: &'static str,
    pub run: Run,
    pub started: Timestamp,
    pub input: InputRecord,
    pub header: Fields,
    pub columns: IdColumns,
    /// Number of distinct users of the rows to send.
    pub users: u64,
    pub protections: Protections,
}

/// The steps of [`Ledger::begin`], [`Ledger::finish`] and [`FinishedLedger::publish`], in order. Crash tests kill the
/// process after each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    EarlierRunArchived,
    ResultsBegun,
    JournalBegun,
    ManifestSaved,
    ResultsFinished,
    RemainingWritten,
    ManifestSealed,
    ManifestPublished,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Whether an internal error ended it. It isn't known then which sessions may be gone.
    pub is_fault: bool,
    /// Rows that were sent, and whose answer is unclear or not recorded.
    pub in_doubt: &'a [u64],
    pub ended_at: Timestamp,
    pub stop_reason: Option<String>,
    /// Whether the input couldn't be read completely. Its rows can't be copied then, which isn't an error of the
    /// output.
    pub is_input_lost: bool,
    pub counts: RunCounts,
    pub bucket: Option<BucketKind>,
    pub learnt_per_minute: Option<f64>,
    /// Whether `not_found` rows remain.
    pub strict: bool,
}

#[derive(Debug)]
pub struct FinishedLedger {
    pub recorded: Recorded,
    pub manifest: Manifest,
    /// Number of rows in the remaining file; `None` if it couldn't be written.
    pub remaining: Option<u64>,
    /// Why the rows of an unreadable input weren't copied.
    pub not_copied: Option<io::Error>,
    pub errors: Errors,
    files: RunFiles,
    held: Held,
}

/// The lock on the output, kept until the last file is written.
#[derive(Debug)]
enum Held {
    /// The journal of a complete run, to be removed.
    Journal(Journal),
    Lock(Option<Lock>),
}

/// Files for the manifest besides the ledger's own.
#[derive(Debug, Default)]
pub struct Reports<'a> {
    /// The events written so far.
    pub events: Option<&'a Path>,
    /// The path of the summary, and its text before the last member, which is the manifest's digest.
    pub summary: Option<(&'a Path, &'a str)>,
    /// The verified file.
    pub verified: Option<&'a Path>,
}

impl FinishedLedger {
    /// Saves the manifest with the digests of all files. Returns its own digest.
    ///
    /// # Errors
    /// If a file can't be read or the manifest can't be written. The manifest of [`Ledger::finish`] stays then.
    pub fn publish(&mut self, reports: &Reports<'_>, passed: &mut dyn FnMut(Step)) -> io::Result<String> {
        let (manifest, path) = (&mut self.manifest, &self.files.manifest);
        if let Some(events) = reports.events {
            manifest.set_subject(FileRole::Events, evidence::subject(FileRole::Events, events, path)?);
        }
        if let Some((summary, text)) = reports.summary {
            manifest.set_subject(FileRole::Summary, evidence::subject_to_be(FileRole::Summary, summary, path, text));
        }
        if let Some(verified) = reports.verified {
            manifest.set_subject(FileRole::Verified, evidence::subject(FileRole::Verified, verified, path)?);
        }
        manifest.save_counted(&self.recorded, path)?;
        passed(Step::ManifestPublished);
        Ok(manifest.sha256.clone().unwrap_or_default())
    }

    /// Unlocks the output. Removes the journal if no row is in doubt.
    ///
    /// # Errors
    /// If the journal of a complete run can't be removed.
    pub fn close(self) -> io::Result<()> {
        match self.held {
            Held::Journal(journal) => journal.remove(),
            Held::Lock(lock) => {
                drop(lock);
                Ok(())
            }
        }
    }
}

/// Errors at the end of a run.
#[derive(Debug, Default)]
pub struct Errors(Vec<String>);

impl Errors {
    fn note<T>(&mut self, written: io::Result<T>) -> Option<T> {
        written.map_err(|error| self.0.push(error.to_string())).ok()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Ledger {
    /// Creates the files, the manifest last, so that results and journal belong to this run once it exists. If a run
    /// dies before that, results without records are started again. Also returns the path of an earlier run's
    /// remaining file that was changed and is kept.
    ///
    /// `passed` is called after each step.
    ///
    /// # Errors
    /// If a file can't be created, or another run holds the results.
    pub fn begin(
        files: RunFiles,
        lock: Lock,
        output: Output,
        new: NewRun,
        passed: &mut dyn FnMut(Step),
    ) -> Result<(Self, Option<PathBuf>), CreateError> {
        let Output { manifest, mut recorded, found, start, aside, remaining, .. } = output;
        if let Some(aside) = &aside {
            aside.make_room(&files, &lock)?;
            passed(Step::EarlierRunArchived);
        }
        let results = ResultsWriter::start(&files.results, &new.header, &start, found)?;
        passed(Step::ResultsBegun);
        if start == Start::Fresh(NewRunReason::ReplacesRehearsal) {
            seal_files::remove(&files.manifest)?;
        }
        let NewRun { tool_version, run, started, input, columns, users, protections, .. } = new;
        let mut manifest = manifest.unwrap_or_else(|| Manifest::new(tool_version, input.clone(), &files.results));
        manifest.begin(tool_version, run, input, &recorded);
        manifest.protections = Some(protections);
        // If it wasn't archived, it is removed below.
        manifest.remaining = remaining.filter(|_| aside.is_none());
        manifest.keep_beginnings(match &start {
            Start::Fresh(_) => 0,
            Start::Continue { valid_len, .. } => *valid_len,
        });
        let (journal, bytes) = match begin_journal_and_manifest(lock, &start, &mut manifest, &recorded, &files, passed)
        {
            Ok(begun) => begun,
            Err(error) => {
                discard_if_fresh(&start, &files, || results.discard());
                return Err(error.into());
            }
        };
        passed(Step::ManifestSaved);
        let changed = manifest.remaining.as_ref().map(|known| remaining::remove_stale(&files, known)).transpose()?;
        recorded.expect_users(users);
        let ledger = Self {
            results,
            journal,
            recorded,
            columns,
            manifest,
            files,
            saved_at: started,
            until_next_save: manifest::between_saves(bytes),
        };
        Ok((ledger, changed.flatten()))
    }

    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Records events: first the results, then the rows that are about to be sent.
    ///
    /// # Errors
    /// If something couldn't be recorded. No call of these events may be made then.
    pub fn record(&mut self, events: &[Event], now: Timestamp) -> Result<(), Unwritable> {
        let kept = self.keep(events);
        for event in events {
            self.note(event, now);
        }
        kept
    }

    fn keep(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        for event in events {
            if let Event::OtherOwner { owner, is_spared } = event {
                self.keep_owner(owner, *is_spared)?;
            }
        }
        self.append_records(events)?;
        self.list_sent(events).map_err(|error| unwritable(&error))
    }

    /// A resumed run needs this protection, so it is saved before anything is sent with the fresh token.
    fn keep_owner(&mut self, owner: &TokenOwner, is_spared: bool) -> Result<(), Unwritable> {
        if let Some(run) = self.manifest.current() {
            run.later_identities.push(owner.into());
        }
        if let (true, Some(protections)) = (is_spared, &mut self.manifest.protections) {
            protections.own_users.insert(owner.id.clone());
        }
        self.manifest.save_counted(&self.recorded, &self.files.manifest).map(drop).map_err(|error| unwritable(&error))
    }

    /// Appends the records of ended rows, and counts those that were written.
    fn append_records(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let ended = || events.iter().filter_map(Event::ended);
        if ended().next().is_none() {
            return Ok(());
        }
        let appended = self.results.append(ended());
        let kept = appended.as_ref().map_or_else(|refused| refused.added, |()| events.len());
        for (row, outcome) in ended().take(kept) {
            self.recorded.add(row, self.columns, outcome);
        }
        appended.map_err(|refused| Unwritable {
            why: refused.error.to_string().into(),
            unrecorded: ended().skip(kept).map(|(row, _)| row.line).collect(),
        })
    }

    /// Lists rows that are sent for the first time.
    fn list_sent(&mut self, events: &[Event]) -> io::Result<()> {
        let mut lines = events.iter().filter_map(Event::first_sent).peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        self.results.check()?;
        self.journal.mark_sent(lines)
    }

    /// Updates the pacing in the manifest.
    fn note(&mut self, event: &Event, now: Timestamp) {
        let Some(run) = self.manifest.current() else { return };
        match event {
            Event::Estimate { team, per_minute } => run.pacing.note_estimate(now, team.as_ref(), *per_minute),
            Event::RateLimited { team, pause, stated, .. } => {
                run.pacing.note_rate_limit(now, team.as_ref(), *pause, *stated);
            }
            Event::BucketKnown(kind) => run.pacing.bucket = Some(*kind),
            Event::PausedByOthers { team, pause } => run.pacing.note_others_pause(now, team.as_ref(), *pause),
            Event::Shared { team, runs, is_incident, per_minute } => {
                run.pacing.note_share(now, team.as_ref(), *runs, *is_incident, *per_minute);
            }
            Event::Parked { .. }
            | Event::OneByOne { .. }
            | Event::NotShared(_)
            | Event::Sending { .. }
            | Event::Ended { .. }
            | Event::Retrying { .. }
            | Event::OutageBegan { .. }
            | Event::OutageEnded
            | Event::TokenRefreshed
            | Event::OtherOwner { .. }
            | Event::Warning(_)
            | Event::Stopping(_) => {}
        }
    }

    /// Saves the manifest if it is due. Only for observers: what a resumed run needs was saved at the start.
    pub fn save_if_due(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let since = u64::try_from(now.as_millis() - self.saved_at.as_millis()).unwrap_or_default();
        if Duration::from_millis(since) < self.until_next_save {
            return;
        }
        self.saved_at = now;
        if let Some(run) = self.manifest.current() {
            run.counts.calls = snapshot.calls;
        }
        if let Ok(bytes) = self.manifest.save_counted(&self.recorded, &self.files.manifest) {
            self.until_next_save = manifest::between_saves(bytes);
        }
    }

    /// Finishes results, remaining file, manifest and journal. An error in one doesn't prevent the others.
    /// `copy_rows` copies the remaining rows of the input; `exit_code` gets the errors so far.
    ///
    /// `passed` is called after each step.
    pub fn finish(
        self,
        ending: Ending<'_>,
        copy_rows: impl FnOnce(Keep<'_>, &mut dyn Write) -> io::Result<u64>,
        exit_code: impl FnOnce(&Errors) -> u8,
        passed: &mut dyn FnMut(Step),
    ) -> FinishedLedger {
        let Self { results, journal, recorded, mut manifest, files, .. } = self;
        let mut errors = Errors::default();
        let are_kept = errors.note(results.finish()).is_some();
        passed(Step::ResultsFinished);
        let written = remaining::write(copy_rows, &recorded, ending.strict, &mut manifest, &files);
        let (remaining, not_copied) = match written {
            Err(error) if ending.is_input_lost => (None, Some(error)),
            written => (errors.note(written), None),
        };
        passed(Step::RemainingWritten);
        manifest.complete = recorded.done().len() >= manifest.input.rows && !ending.is_fault;
        // No digest for results that were lost or changed by another program.
        let print = are_kept.then(|| errors.note(results::fingerprint(&files.results))).flatten();
        seal(&mut manifest, print, &files);
        let exit_code = exit_code(&errors);
        if let Some(run) = manifest.current() {
            run.ended_at = Some(ending.ended_at);
            run.exit_code = Some(exit_code);
            run.stop_reason = ending.stop_reason;
            run.counts = ending.counts;
            run.pacing.bucket = ending.bucket;
            run.pacing.learnt_per_minute = ending.learnt_per_minute;
        }
        errors.note(manifest.save_counted(&recorded, &files.manifest));
        passed(Step::ManifestSealed);
        // The results are already complete.
        let held = if manifest.complete && errors.is_empty() {
            Held::Journal(journal)
        } else if ending.is_fault {
            errors.note(journal.finish());
            Held::Lock(None)
        } else {
            Held::Lock(errors.note(journal.settle(recorded.done(), ending.in_doubt)))
        };
        FinishedLedger { recorded, manifest, remaining, not_copied, errors, files, held }
    }
}

/// Adds the digests of the ledger's own files to the manifest. Those of the reports follow when they are written.
fn seal(manifest: &mut Manifest, results: Option<Fingerprint>, files: &RunFiles) {
    if let Some(print) = &results {
        (manifest.results.sha256, manifest.results.bytes) = (Some(print.sha256.clone()), Some(print.bytes));
    }
    let remaining = manifest.remaining.as_ref().map(|remaining| {
        (
            Path::new(&remaining.path).to_owned(),
            Fingerprint { sha256: remaining.sha256.clone(), bytes: remaining.bytes },
        )
    });
    for (role, file) in [
        (FileRole::Results, results.map(|print| (files.results.clone(), print))),
        (FileRole::Remaining, remaining),
        (FileRole::Events, None),
        (FileRole::Summary, None),
    ] {
        manifest.set_subject(role, file.map(|(path, print)| named(role, &path, &files.manifest, print)));
    }
}

fn unwritable(error: &io::Error) -> Unwritable {
    Unwritable { why: error.to_string().into(), unrecorded: Vec::new() }
}

/// Starts the journal, then saves the manifest and returns its length. In the other order, an older list could be
/// taken for this run's.
fn begin_journal_and_manifest(
    lock: Lock,
    start: &Start,
    manifest: &mut Manifest,
    recorded: &Recorded,
    files: &RunFiles,
    passed: &mut dyn FnMut(Step),
) -> io::Result<(Journal, u64)> {
    let journal = match start {
        Start::Fresh(_) => lock.begin(),
        Start::Continue { maybe_sent, .. } => lock.resume(maybe_sent),
    }?;
    passed(Step::JournalBegun);
    match manifest.save_counted(recorded, &files.manifest) {
        Ok(bytes) => Ok((journal, bytes)),
        Err(error) => {
            discard_if_fresh(start, files, || journal.remove());
            Err(error)
        }
    }
}

/// Removes what would make the next run fail. The manifest is removed first; it may exist even if saving failed, if
/// only the sync of its directory failed. Without the journal, any row would count as sent.
fn discard_if_fresh(start: &Start, files: &RunFiles, discard: impl FnOnce() -> io::Result<()>) {
    let is_gone = || match std::fs::remove_file(&files.manifest) {
        Ok(()) => true,
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory),
    };
    match start {
        Start::Fresh(_) if is_gone() => drop(discard()),
        Start::Fresh(_) | Start::Continue { .. } => {}
    }
}
