//! Couples the ledger, the event log and the screen: durable first, visible after.

use super::Preflight;
use super::preflight::run_id;
use super::remote::Remote;
use crate::cli::{Mode, Settings};
use crate::commands::quota;
use crate::engine::clock::wall;
use crate::engine::ports::{Observer, Unwritable};
use crate::error::RunError;
use crate::input::{Content, InputSummary};
use crate::ledger::ledger::{Ledger, NewRun};
use crate::ledger::paths::RunFiles;
use crate::ledger::results::CreateError;
use crate::model::{
    Columns, ErrorCode, Event, Extra, InputRecord, ListingUsed, Pacing, RateChoice, Run, RunCounts, Snapshot, TeamId,
    Timestamp,
};
use crate::output::{self, EventLog, Screen};

/// Workspaces that are named at the end.
const MOST_SUSPENDED: usize = 10;

/// Everything that is written and shown while a run goes on.
pub struct Recorder {
    ledger: Ledger,
    events: Option<EventLog>,
    screen: Screen,
    last: Snapshot,
    suspended: Vec<(TeamId, ErrorCode)>,
}

/// What stays the same while the recorder changes.
pub struct RunFacts {
    pub run_id: String,
    /// The input, for `--remaining`.
    pub content: Content,
    pub rows: u64,
    pub files: RunFiles,
    /// Whether rows that aren't found count as failures.
    pub strict: bool,
}

/// What the recorder leaves to be finished.
pub struct OpenFiles {
    pub ledger: Ledger,
    pub events: Option<EventLog>,
    /// The first few workspaces that refused, and how.
    pub suspended: Vec<(TeamId, ErrorCode)>,
}

impl Recorder {
    /// Begins the files of a run.
    ///
    /// # Errors
    /// If one can't be created.
    pub fn begin(
        settings: &Settings,
        prepared: Preflight,
        remote: &Remote,
        mut events: Option<EventLog>,
        screen: Screen,
        started: Timestamp,
    ) -> Result<(Self, RunFacts), RunError> {
        let (protections, strict) = (prepared.protections(), prepared.is_strict(settings));
        let Preflight { content, survey, files, lock, output, bulk, .. } = prepared;
        let (Some(files), Some(lock)) = (files, lock) else {
            return Err(RunError::internal("a run without an output was begun"));
        };
        let run_id = run_id(started);
        let new = NewRun {
            tool_version: env!("CARGO_PKG_VERSION"),
            run: run_of(settings, remote, bulk.map(|bulk| bulk.used()), &run_id, started),
            started,
            input: input_of(&content, &survey),
            header: survey.header,
            columns: survey.columns,
            users: survey.users,
            protections,
        };
        let begun = Ledger::begin(files.clone(), lock, output, new, &mut |_| ());
        let (ledger, changed) = begun.map_err(|error| match error {
            CreateError::Exists(_) => RunError::input(error.to_string(), "nothing was sent"),
            CreateError::Held(_) => RunError::locked(error.to_string(), "nothing was sent"),
            CreateError::Io(error) => {
                RunError::unwritable(error.to_string(), "nothing was sent; free space, or name another file with -o")
            }
        })?;
        if let Some(changed) = changed {
            let changed = changed.display();
            tracing::warn!(target: output::WEAKENED, "{changed} was changed since an earlier run wrote it; its rows may be done soon");
        }
        if let Some(events) = &mut events {
            events.started(started, &run_id, settings.mode == Mode::Rehearsal, survey.rows);
        }
        let facts = RunFacts { run_id, content, rows: survey.rows, files, strict };
        let recorder = Self { ledger, events, screen, last: Snapshot::default(), suspended: Vec::new() };
        Ok((recorder, facts))
    }

    /// Takes the screen away and gives what has to be finished.
    pub fn finish(self) -> OpenFiles {
        let Self { ledger, events, screen, last, suspended } = self;
        screen.finish(&last);
        OpenFiles { ledger, events, suspended }
    }
}

impl Observer for Recorder {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let now = wall();
        let kept = self.ledger.record(events, now);
        // Where something was not kept, none of the calls is made.
        let happened = |event: &&Event| kept.is_ok() || !matches!(event, Event::Sending { .. });
        for event in events.iter().filter(happened) {
            if let Event::Parked { team, code } = event
                && self.suspended.len() < MOST_SUSPENDED
            {
                self.suspended.push((team.clone(), code.clone()));
            }
            if let Some(log) = &mut self.events {
                // The results are the evidence; a log that can't be written does not stop the run.
                log.event(now, event);
            }
            self.screen.event(event);
        }
        kept
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) {
        self.screen.snapshot(snapshot);
        self.last = snapshot.clone();
        self.ledger.save_if_due(snapshot, wall());
    }
}

fn input_of(content: &Content, survey: &InputSummary) -> InputRecord {
    InputRecord {
        path: content.path().to_string(),
        sha256: survey.identity.sha256.clone(),
        bytes: survey.identity.bytes,
        content_sha256: survey.identity.content_sha256.clone(),
        content_bytes: survey.identity.content_bytes,
        rows: survey.rows,
        columns: Columns::of(survey.columns, &survey.header),
        extra: Extra::new(),
    }
}

fn run_of(settings: &Settings, remote: &Remote, bulk: Option<ListingUsed>, run_id: &str, started: Timestamp) -> Run {
    let (rate, max_rate) = match settings.pace.rate {
        RateChoice::Auto { max, .. } => ("auto".into(), Some(max.per_minute())),
        RateChoice::Fixed(rate) => (rate.to_string(), None),
        RateChoice::Unlimited => ("unlimited".into(), None),
    };
    Run {
        run_id: run_id.into(),
        started_at: started,
        ended_at: None,
        host: quota::host(),
        pid: std::process::id(),
        exit_code: None,
        stop_reason: None,
        api_host: remote.host().into(),
        rate,
        max_rate,
        workers: settings.pace.workers.map(u32::from),
        identify_by: settings.input.identify_by.as_str().into(),
        whole_users: settings.input.whole_users,
        only: settings.input.only,
        bulk,
        reason: settings.report.reason.clone(),
        approval: settings.approval.clone(),
        rehearsal: settings.mode == Mode::Rehearsal,
        identity: remote.identity(),
        later_identities: Vec::new(),
        checks: remote.checks().to_manifest(),
        recorded_before: 0,
        counts: RunCounts::default(),
        pacing: Pacing::default(),
        extra: Extra::new(),
    }
}
