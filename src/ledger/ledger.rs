//! What a run writes while it goes on, as one unit: the results, the journal, and the manifest.

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
    BucketKind, Event, Fields, FileRole, IdColumns, InputRecord, Run, RunCounts, Snapshot, Stamp, TokenOwner,
};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The records of a run and what a later run needs to continue it.
#[derive(Debug)]
pub struct Ledger {
    results: ResultsWriter,
    journal: Journal,
    recorded: Recorded,
    columns: IdColumns,
    manifest: Manifest,
    files: RunFiles,
    saved_at: Stamp,
    until_next_save: Duration,
}

/// A run that is about to begin.
#[derive(Debug)]
pub struct NewRun {
    pub tool_version: &'static str,
    pub run: Run,
    pub started: Stamp,
    pub input: InputRecord,
    pub header: Fields,
    /// Where the ids stand among them.
    pub columns: IdColumns,
    /// Distinct users among the rows to send.
    pub users: u64,
    pub protections: Protections,
}

/// The steps of [`Ledger::begin`], [`Ledger::finish`] and [`FinishedLedger::publish`], in their order. A process can die after each of them.
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

/// How a run ended, for the files.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Whether a fault of this program ended it: which rows may be gone isn't known then.
    pub is_fault: bool,
    /// Rows that were sent, and whose answers are unclear or in no record.
    pub in_doubt: &'a [u64],
    pub ended_at: Stamp,
    pub stop_reason: Option<String>,
    /// Whether the input couldn't be read to its end: then its rows can't be copied either, and that isn't an error of the
    /// output.
    pub is_input_lost: bool,
    pub counts: RunCounts,
    pub bucket: Option<BucketKind>,
    pub learnt_per_minute: Option<f64>,
    /// Whether rows with the status `not_found` remain.
    pub strict: bool,
}

/// The files of a run that has ended.
#[derive(Debug)]
pub struct FinishedLedger {
    pub recorded: Recorded,
    pub manifest: Manifest,
    /// Rows in the remaining file; `None` if it couldn't be written.
    pub remaining: Option<u64>,
    /// Why the rows of an input that couldn't be read to its end weren't copied.
    pub not_copied: Option<io::Error>,
    pub errors: Errors,
    files: RunFiles,
    held: Held,
}

/// What keeps another run off the output until the last file is written.
#[derive(Debug)]
enum Held {
    /// The journal of a complete run, to be removed.
    Journal(Journal),
    Lock(Option<Lock>),
}

/// What the manifest is to vouch for besides the ledger's own files.
#[derive(Debug, Default)]
pub struct Reports<'a> {
    /// The events, as far as they are written.
    pub events: Option<&'a Path>,
    /// Where the summary will be, and what comes before its last member, which is the manifest's digest.
    pub summary: Option<(&'a Path, &'a str)>,
}

impl FinishedLedger {
    /// Saves the manifest for the last time, with the digests of all files. Returns its own.
    ///
    /// # Errors
    /// If a file can't be read or the manifest not written. The one that [`Ledger::finish`] left stays then.
    pub fn publish(&mut self, reports: &Reports<'_>, passed: &mut dyn FnMut(Step)) -> io::Result<String> {
        let (manifest, path) = (&mut self.manifest, &self.files.manifest);
        if let Some(events) = reports.events {
            manifest.set_subject(FileRole::Events, evidence::subject(FileRole::Events, events, path)?);
        }
        if let Some((summary, text)) = reports.summary {
            manifest.set_subject(FileRole::Summary, evidence::subject_to_be(FileRole::Summary, summary, path, text));
        }
        manifest.save_counted(&self.recorded, path)?;
        passed(Step::ManifestPublished);
        Ok(manifest.sha256.clone().unwrap_or_default())
    }

    /// Lets other runs at the output. The journal is only needed if rows are in doubt.
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

/// What could not be written at the end.
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
    /// Creates what is written, the manifest last: it vouches for the results and for the list of what was sent, so both are
    /// this run's by then. If a run dies before that, results without a record are begun again. Also returns the path of an
    /// earlier run's remaining file that was changed since, and stays.
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
        // Archived with the rest, or else to be removed below.
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

    /// Keeps what happened. The records come first, then the lines of what is sent next: what can't be recorded must not be
    /// sent.
    ///
    /// # Errors
    /// If something couldn't be kept. Then no call of these events may be made.
    pub fn record(&mut self, events: &[Event], now: Stamp) -> Result<(), Unwritable> {
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

    /// A resumption goes by the manifest, so what it must protect is there before anything is sent with the fresh token.
    fn keep_owner(&mut self, owner: &TokenOwner, is_spared: bool) -> Result<(), Unwritable> {
        if let Some(run) = self.manifest.current() {
            run.later_identities.push(owner.into());
        }
        if let (true, Some(protections)) = (is_spared, &mut self.manifest.protections) {
            protections.own_users.insert(owner.id.clone());
        }
        self.manifest.save_counted(&self.recorded, &self.files.manifest).map(drop).map_err(|error| unwritable(&error))
    }

    /// Appends the records of the rows that ended, and counts those that are kept.
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

    /// Lists the rows that are about to be sent for the first time.
    fn list_sent(&mut self, events: &[Event]) -> io::Result<()> {
        let mut lines = events.iter().filter_map(Event::first_sent).peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        self.results.check()?;
        self.journal.mark_sent(lines)
    }

    /// Notes what the manifest has of the pacing.
    fn note(&mut self, event: &Event, now: Stamp) {
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

    /// Saves the manifest if that is due. Only for whoever looks at it: what a resumption needs was written at the start.
    pub fn save_if_due(&mut self, snapshot: &Snapshot, now: Stamp) {
        let since = u64::try_from(now.as_millis() - self.saved_at.as_millis()).unwrap_or_default();
        if Duration::from_millis(since) < self.until_next_save {
            return;
        }
        self.saved_at = now;
        if let Some(run) = self.manifest.current() {
            run.counts = RunCounts { calls: snapshot.calls, rate_limited: snapshot.rate_limited, ..run.counts };
        }
        if let Ok(bytes) = self.manifest.save_counted(&self.recorded, &self.files.manifest) {
            self.until_next_save = manifest::between_saves(bytes);
        }
    }

    /// Finishes the files: the results, the remaining rows, the manifest, the journal. An error of one doesn't keep the others
    /// from being finished. `copy_rows` copies the input's rows that are to be kept; `exit_code` is given the errors so far.
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
        // Results that were lost or changed by another program are not vouched for.
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
        // Its end cannot make the results any worse.
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

/// Takes the digests of the ledger's own files into the manifest. Those of the reports follow when they are written.
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

/// Begins the list of what is sent, then saves the manifest; returns its length. A list that is older than the manifest would be
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

/// A run that can't begin leaves nothing that the next one would be refused for. The manifest goes first, and may be there
/// although saving it failed, if only its folder couldn't be synced: without the list beside it, any row may have been sent.
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
