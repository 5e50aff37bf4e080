//! Keeps what happens, then shows it: results first, screen after.

use super::Prepared;
use super::prepared::run_id;
use super::remote::Remote;
use crate::cli::{Mode, Settings};
use crate::engine::clock::wall;
use crate::engine::ports::{Observer, Unwritable};
use crate::error::RunError;
use crate::input::{Content, Survey};
use crate::ledger::journal::{Journal, Lock};
use crate::ledger::manifest::{self, Manifest, Run, RunCounts};
use crate::ledger::paths::RunFiles;
use crate::ledger::remaining;
use crate::ledger::results::{CreateError, ResultsWriter};
use crate::ledger::resume::Start;
use crate::ledger::scan::Recorded;
use crate::model::{ErrorCode, Event, IdColumns, RateChoice, Snapshot, Stamp, TeamId, TokenOwner};
use crate::output::{self, EventLog, Screen};
use std::io;
use std::time::Duration;

/// Workspaces that are named at the end.
const MOST_SUSPENDED: usize = 10;

/// Everything that is written while a run goes on.
pub struct Recorder {
    results: ResultsWriter,
    journal: Journal,
    recorded: Recorded,
    columns: IdColumns,
    manifest: Manifest,
    manifest_saved: Stamp,
    until_next_save: Duration,
    events: Option<EventLog>,
    screen: Screen,
    files: RunFiles,
    last: Snapshot,
    suspended: Vec<(TeamId, ErrorCode)>,
}

/// What stays the same while the recorder changes.
pub struct Facts {
    /// This run's id.
    pub run_id: String,
    /// The input, for `--remaining`.
    pub content: Content,
    /// Rows of the input.
    pub rows: u64,
    /// Where everything is.
    pub files: RunFiles,
}

/// What the recorder leaves.
pub struct Kept {
    /// The results; none is finished yet.
    pub results: ResultsWriter,
    /// The lines that were sent.
    pub journal: Journal,
    /// The rows that have ended.
    pub recorded: Recorded,
    /// The manifest as it stands.
    pub manifest: Manifest,
    /// The log of events.
    pub events: Option<EventLog>,
    /// The first few workspaces that refused, and how.
    pub suspended: Vec<(TeamId, ErrorCode)>,
}

impl Recorder {
    /// Creates what is written, the manifest last: it vouches for the results and for the list of what was sent, so both are this
    /// run's by then. Where a run dies before it, results without a record are begun again.
    ///
    /// # Errors
    /// Where a file cannot be made.
    pub fn begin(
        settings: &Settings,
        prepared: Prepared,
        remote: &Remote,
        mut events: Option<EventLog>,
        screen: Screen,
        started: Stamp,
    ) -> Result<(Self, Facts), RunError> {
        let protections = prepared.protections();
        let Prepared { content, survey, files, lock, manifest, mut recorded, seen, start, aside, remaining, .. } =
            prepared;
        let (Some(files), Some(lock)) = (files, lock) else {
            return Err(RunError::internal("a run without an output was begun"));
        };
        let failed = |error: io::Error| {
            RunError::unwritable(error.to_string(), "nothing was sent; make room or name another file with -o")
        };
        if let Some(aside) = &aside {
            aside.make_room(&files, &lock).map_err(failed)?;
        }
        let results =
            ResultsWriter::start(&files.results, &survey.header, &start, seen).map_err(|error| match error {
                CreateError::Exists(_) => RunError::input(error.to_string(), "nothing was sent"),
                CreateError::Held(_) => RunError::locked(error.to_string(), "nothing was sent"),
                CreateError::Io(error) => failed(error),
            })?;
        let run_id = run_id(started);
        let input = input_of(&content, &survey);
        let mut manifest =
            manifest.unwrap_or_else(|| Manifest::new(env!("CARGO_PKG_VERSION"), input.clone(), &files.results));
        manifest.begin(env!("CARGO_PKG_VERSION"), run_of(settings, remote, &run_id, started), input, &recorded);
        manifest.protections = Some(protections);
        // Archived with the rest, or else to be removed below.
        manifest.remaining = remaining.filter(|_| aside.is_none());
        let vouched = begin_list_and_manifest(lock, &start, &mut manifest, &recorded, &files);
        let (journal, bytes, results) = match vouched {
            Ok((journal, bytes)) => (journal, bytes, results),
            Err(error) => {
                discard_if_fresh(&start, &files, || results.discard());
                return Err(failed(error));
            }
        };
        if let Some(known) = &manifest.remaining
            && let Some(changed) = remaining::remove_stale(&files, known).map_err(failed)?
        {
            let changed = changed.display();
            tracing::warn!(target: output::WEAKENED, "{changed} was changed since an earlier run wrote it; its rows may be done soon");
        }
        if let Some(events) = &mut events {
            events.started(started, &run_id, survey.rows);
        }
        recorded.expect_users(survey.users);
        let columns = survey.columns;
        let facts = Facts { run_id, content, rows: survey.rows, files: files.clone() };
        let recorder = Self {
            results,
            journal,
            recorded,
            columns,
            manifest,
            manifest_saved: started,
            until_next_save: manifest::between_saves(bytes),
            events,
            screen,
            files,
            last: Snapshot::default(),
            suspended: Vec::new(),
        };
        Ok((recorder, facts))
    }

    /// Takes the screen away and gives what has to be finished.
    pub fn finish(self) -> Kept {
        let Self { results, journal, recorded, manifest, events, screen, last, suspended, .. } = self;
        screen.finish(&last);
        Kept { results, journal, recorded, manifest, events, suspended }
    }

    /// The records first, then the lines of what is sent next: what cannot be recorded must not be sent.
    fn keep(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        for event in events {
            if let Event::OtherOwner { owner, is_spared } = event {
                self.keep_owner(owner, *is_spared)?;
            }
        }
        self.record(events)?;
        self.list(events).map_err(|error| Unwritable { why: error.to_string().into(), unrecorded: Vec::new() })
    }

    /// A resumption goes by the manifest, so what it must protect is there before anything is sent with the fresh token.
    fn keep_owner(&mut self, owner: &TokenOwner, is_spared: bool) -> Result<(), Unwritable> {
        if let Some(run) = self.manifest.current() {
            run.later_identities.push(owner.into());
        }
        if let (true, Some(protections)) = (is_spared, &mut self.manifest.protections) {
            protections.add_own_user(owner.id.clone());
        }
        let saved = self.manifest.save_counted(&self.recorded, &self.files.manifest);
        saved.map(drop).map_err(|error| Unwritable { why: error.to_string().into(), unrecorded: Vec::new() })
    }

    /// Keeps the records of the rows that ended, and counts those that are kept.
    fn record(&mut self, events: &[Event]) -> Result<(), Unwritable> {
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
    fn list(&mut self, events: &[Event]) -> io::Result<()> {
        let mut lines = events.iter().filter_map(Event::first_sent).peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        self.results.check()?;
        self.journal.mark_sent(lines)
    }

    /// What the manifest keeps of the way.
    fn note(&mut self, event: &Event, now: Stamp) {
        let Some(run) = self.manifest.current() else { return };
        match event {
            Event::Estimate { team, per_minute } => run.note_estimate(now, team.as_ref(), *per_minute),
            Event::RateLimited { team, pause, stated, .. } => {
                run.note_rate_limit(now, team.as_ref(), *pause, *stated);
            }
            Event::Parked { team, code } if self.suspended.len() < MOST_SUSPENDED => {
                self.suspended.push((team.clone(), code.clone()));
            }
            Event::BucketKnown(kind) => run.bucket = Some((*kind).into()),
            Event::Parked { .. }
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
}

impl Observer for Recorder {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let kept = self.keep(events);
        let now = wall();
        // Where something was not kept, none of the calls is made.
        let happened = |event: &&Event| kept.is_ok() || !matches!(event, Event::Sending { .. });
        for event in events.iter().filter(happened) {
            self.note(event, now);
            if let Some(log) = &mut self.events {
                // The results are the evidence; a log that cannot be written does not stop the run.
                log.event(now, event);
            }
            self.screen.event(event);
        }
        kept
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) {
        self.screen.snapshot(snapshot);
        self.last = snapshot.clone();
        let now = wall();
        let since = u64::try_from(now.as_millis() - self.manifest_saved.as_millis()).unwrap_or_default();
        if Duration::from_millis(since) >= self.until_next_save {
            self.manifest_saved = now;
            if let Some(run) = self.manifest.current() {
                run.counts = RunCounts { calls: snapshot.calls, rate_limited: snapshot.rate_limited, ..run.counts };
            }
            // Only for whoever looks in: what a resumption needs was written at the start.
            if let Ok(bytes) = self.manifest.save_counted(&self.recorded, &self.files.manifest) {
                self.until_next_save = manifest::between_saves(bytes);
            }
        }
    }
}

/// Begins the list of what is sent, then saves the manifest; gives its length. A list that is older than the manifest would be
/// taken for this run's.
fn begin_list_and_manifest(
    lock: Lock,
    start: &Start,
    manifest: &mut Manifest,
    recorded: &Recorded,
    files: &RunFiles,
) -> io::Result<(Journal, u64)> {
    let journal = match start {
        Start::Fresh(_) => lock.begin(),
        Start::Continue { maybe_sent, .. } => lock.resume(maybe_sent),
    }?;
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

fn input_of(content: &Content, survey: &Survey) -> manifest::Input {
    manifest::Input {
        path: content.path().to_string(),
        sha256: survey.identity.sha256.clone(),
        bytes: survey.identity.bytes,
        content_sha256: survey.identity.content_sha256.clone(),
        content_bytes: survey.identity.content_bytes,
        rows: survey.rows,
        columns: manifest::Columns::of(survey.columns, &survey.header),
        extra: manifest::Extra::new(),
    }
}

fn run_of(settings: &Settings, remote: &Remote, run_id: &str, started: Stamp) -> Run {
    let (rate, max_rate) = match settings.pace.rate {
        RateChoice::Auto { max, .. } => ("auto".into(), Some(max.per_minute())),
        RateChoice::Fixed(rate) => (rate.to_string(), None),
        RateChoice::Unlimited => ("unlimited".into(), None),
    };
    Run {
        run_id: run_id.into(),
        started_at: manifest::At(started),
        ended_at: None,
        host: host(),
        pid: std::process::id(),
        exit_code: None,
        stop_reason: None,
        api_host: remote.host().into(),
        rate,
        max_rate,
        workers: settings.pace.workers.map(u32::from),
        identify_by: settings.input.identify_by.as_str().into(),
        whole_users: settings.input.whole_users,
        reason: settings.report.reason.clone(),
        rehearsal: settings.mode == Mode::Rehearsal,
        identity: remote.identity(),
        later_identities: Vec::new(),
        checks: remote.checks().to_manifest(),
        recorded_before: 0,
        counts: RunCounts::default(),
        bucket: None,
        learnt_per_minute: None,
        estimate_history: manifest::History::default(),
        rate_limits: manifest::History::default(),
        extra: manifest::Extra::new(),
    }
}

/// The machine's name, for the evidence; empty where the system does not tell.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
