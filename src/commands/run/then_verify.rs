//! `--then-verify`: verifies what a run has ended, and ends one by one the sessions that a call for whole users left alive.

use super::recorder::{OpenFiles, RunFacts};
use super::remote::Remote;
use crate::cli::Settings;
use crate::commands::listing::{ListError, Lister};
use crate::commands::quota::RunQuota;
use crate::commands::verify::{Verification, VerifyOutcome, concerned};
use crate::engine::clock::{Clock, wall};
use crate::engine::policy::Policy;
use crate::engine::ports::{Control as _, Observer, Unwritable};
use crate::engine::{self, RunEnd};
use crate::error::RunError;
use crate::input::InputError;
use crate::ledger::verified;
use crate::model::{Counts, Event, ExitStatus, PossiblySent, Snapshot, Status, StopReason};
use crate::output::{Console, Screen, counted, quoted};
use crate::signals::Shutdown;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::slice;
use std::time::Duration;

pub struct ThenVerify<'a> {
    pub settings: &'a Settings,
    pub console: &'a Console,
    pub remote: &'a Remote,
    pub facts: &'a RunFacts,
    pub policy: Policy,
    pub clock: Clock,
    /// When the run began, on this clock.
    pub began: Duration,
}

/// What the verification found.
pub struct EndVerification {
    /// The verified file.
    pub file: PathBuf,
    /// `None` if the verification didn't get to its end.
    pub outcome: Option<VerifyOutcome>,
    exit: ExitStatus,
}

impl EndVerification {
    /// The exit status of a run whose rows ended with `run`.
    #[must_use]
    pub fn exit_status(&self, run: ExitStatus) -> ExitStatus {
        if self.exit == ExitStatus::Success { run } else { self.exit }
    }

    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.exit == ExitStatus::Success
    }
}

impl ThenVerify<'_> {
    /// Verifies for up to `wait`, ends what is left one by one, and verifies that for up to `wait`. `end` is the run's so
    /// far; calls for single sessions are added to it. Errors are printed.
    pub async fn verify(
        self,
        wait: Duration,
        open: &mut OpenFiles,
        signals: &mut Shutdown,
        end: &mut RunEnd,
    ) -> EndVerification {
        let file = verified::beside(&self.facts.files.results);
        let mut singles = BTreeMap::new();
        let found = self.check(wait, &mut singles, open, signals, end).await;
        let (outcome, exit) = match found {
            Ok(Ok(outcome)) => {
                outcome.tell(&file, self.console);
                let exit = if outcome.is_proved() { ExitStatus::Success } else { ExitStatus::RowsFailed };
                (Some(outcome), exit)
            }
            Ok(Err(halt)) => {
                if let ListError::Stop(StopReason::Interrupted | StopReason::Terminated) = halt {
                    // The listing has its own listener. For the run this was the first signal, so hooks still run.
                    signals.next().await;
                }
                (None, halt.end(Some(&self.next())))
            }
            Err(error) => {
                tracing::error!("{}; {}", error.what(), self.next());
                (None, error.exit_status())
            }
        };
        EndVerification { file, outcome, exit }
    }

    fn next(&self) -> String {
        let rehearse = if self.settings.remote.rehearse { " --rehearse" } else { "" };
        let results = quoted(self.facts.files.results.as_os_str());
        format!(
            "every row has its record, but it isn't verified that they are gone: slack-revoke verify {results}{rehearse}"
        )
    }

    async fn check(
        &self,
        wait: Duration,
        singles: &mut BTreeMap<u64, Status>,
        open: &mut OpenFiles,
        signals: &mut Shutdown,
        end: &mut RunEnd,
    ) -> Result<Result<VerifyOutcome, ListError>, RunError> {
        let (results, verified) = (&*self.facts.files.results, &*verified::beside(&self.facts.files.results));
        let names = &self.settings.columns;
        let concerned = concerned(results, names)?;
        let manifest = open.ledger.manifest();
        let (is_compared, only) = (manifest.ended_listed_users(), manifest.only());
        let console = self.console;
        let check = Verification { results, verified, names, concerned, is_compared, only, console };
        let mut lister = Lister::with(self.remote.api().client().clone(), &self.settings.remote)?;
        let has_bulk = end.counts.of(Status::Requested) > 0;
        let mut found = check.until_gone(&mut lister, wait, has_bulk.then_some(&*singles)).await;
        if let Ok(Ok(outcome)) = &found
            && !outcome.alive.is_empty()
        {
            self.end_singly(&outcome.alive, singles, open, signals, end).await?;
            if end.stop.is_none() && end.fault.is_none() && !end.aborted {
                found = check.until_gone(&mut lister, wait, Some(&*singles)).await;
            }
        }
        lister.close().await;
        found
    }

    /// Ends the sessions of these rows one by one.
    async fn end_singly(
        &self,
        lines: &BTreeSet<u64>,
        singles: &mut BTreeMap<u64, Status>,
        open: &mut OpenFiles,
        signals: &mut Shutdown,
        end: &mut RunEnd,
    ) -> Result<(), RunError> {
        let rows = counted(lines.len() as u64, "session is", "sessions are");
        self.console.note(&format!("{rows} still active after the calls for whole users; ending them one by one"));
        let unreadable = |error: InputError| RunError::input_changed(error.to_string(), self.next());
        let (content, survey) = self.facts.content.one_by_one(lines).map_err(unreadable)?;
        // The call for whole users may have ended them by now.
        let mut source = content.source(PossiblySent::All).map_err(unreadable)?;
        let policy = Policy {
            workspaces: survey.addressed.into_iter().collect(),
            rows: lines.len() as u64,
            to_send: survey.sendable,
            bulk_users: 0,
            earlier: Counts::default(),
            deadline: self.policy.deadline.map(|deadline| (self.began + deadline).saturating_sub(self.clock.elapsed())),
            ..self.policy.clone()
        };
        // Under another id than the run's, so that the run's last calls count.
        let id = format!("{}-singles", self.facts.run_id);
        let mut quota = RunQuota::open(&self.settings.remote, &self.remote.limit(), self.clock, &id);
        let screen = Screen::start(self.console, self.settings.remote.rehearse);
        let mut observer = SinglesObserver { open, screen, singles, last: Snapshot::default() };
        let ended =
            engine::run(policy, self.remote.api(), &mut quota, &mut source, &mut observer, signals, self.clock).await;
        observer.screen.finish(&observer.last);
        end.calls.counts.add(ended.calls.counts);
        end.calls.paused += ended.calls.paused;
        end.aborted |= ended.aborted;
        end.stop = ended.stop;
        end.fault = ended.fault;
        Ok(())
    }
}

/// Keeps the answers of single calls; the rows have their records already.
struct SinglesObserver<'a> {
    open: &'a mut OpenFiles,
    screen: Screen,
    singles: &'a mut BTreeMap<u64, Status>,
    last: Snapshot,
}

impl Observer for SinglesObserver<'_> {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let now = wall();
        for event in events {
            match event {
                Event::Ended { row, outcome } => drop(self.singles.insert(row.line, outcome.status)),
                Event::Sending { .. } => {}
                other => self.open.ledger.record(slice::from_ref(other), now)?,
            }
            if let Some(log) = &mut self.open.events {
                log.event(now, event);
            }
            self.screen.event(event);
        }
        Ok(())
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) {
        self.screen.snapshot(snapshot);
        self.last = snapshot.clone();
    }
}
