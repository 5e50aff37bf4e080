//! The end of a run: finishes the files, prints the totals, and determines the exit status.

use super::recorder::{OpenFiles, RunFacts};
use super::remote::Remote;
use super::staleness;
use super::then_verify::EndVerification;
use crate::cli::{Mode, Settings};
use crate::engine::RunEnd;
use crate::engine::clock::wall;
use crate::files::during;
use crate::input::CopyError;
use crate::ledger::ledger::{Ending, Errors, FinishedLedger, Ledger, Reports};
use crate::ledger::manifest::Manifest;
use crate::ledger::scan::Recorded;
use crate::model::{
    ErrorCode, ExitStatus, InputSource, RunCounts, Status, StopEntry, StopReason, TeamId, Timestamp, UserId, Verbosity,
    error_hint, whole_minutes,
};
use crate::output::{self, Console, EventLog, FailureGroup, Summary, SummaryFiles, metrics, summary, summary_json};
use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// Number of users with the most revocations in the summary.
const HEAVIEST: usize = 5;

/// Maximum number of lines named if rows couldn't be recorded.
const NAMED: usize = 20;

pub struct Finish<'a> {
    pub settings: &'a Settings,
    pub argv: &'a [OsString],
    pub console: &'a Console,
    /// Facts from the start of the run.
    pub facts: RunFacts,
    pub remote: &'a Remote,
    pub started: Timestamp,
    pub end: RunEnd,
    /// `None` without `--then-verify`, and if the run was stopped.
    pub verification: Option<EndVerification>,
}

#[derive(Debug)]
pub struct FinishedRun {
    pub exit: ExitStatus,
    pub run_id: String,
    pub results: PathBuf,
    /// The summary file, if one was written.
    pub summary: Option<PathBuf>,
    pub manifest: PathBuf,
    /// Its digest; `None` if it couldn't be saved.
    pub manifest_sha256: Option<String>,
}

impl Finish<'_> {
    /// Errors of writing are printed and result in exit code 7.
    pub fn finish(self, open: OpenFiles) -> FinishedRun {
        let OpenFiles { ledger, events, suspended } = open;
        let ended_at = wall();
        let mut ledger = self.finish_ledger(ledger, ended_at);
        if let Some(EndVerification { outcome: Some(outcome), file, .. }) = &self.verification {
            ledger.manifest.extra.insert("verified".into(), outcome.to_json(file, ended_at));
        }
        if let Some(error) = &ledger.not_copied {
            let path = self.facts.files.remaining.display();
            tracing::warn!(target: output::WEAKENED, "{path} is not written: {error}");
        }
        let exit = self.exit_status(&ledger.errors);
        let remains = ledger.remaining.is_some_and(|rows| rows > 0);
        let notes = suspension_notes(&suspended);
        let mut totals = self.totals(&mut ledger.manifest, &ledger.recorded, remains, notes);
        totals.manifest_sha256 = self.publish(&mut ledger, &totals, exit, events.as_ref());
        if let Some(events) = events {
            events.ended(wall(), &totals, exit.code());
        }
        self.tell(&totals, &ledger.errors, exit);
        let summary = self.write_reports(&totals, exit);
        let exit = close(ledger, exit);
        let Summary { run_id, files, manifest_sha256, .. } = totals;
        FinishedRun { exit, run_id, results: files.results, summary, manifest: files.manifest, manifest_sha256 }
    }

    /// Saves the manifest with the digests of events and summary. Returns its own digest; `None` if that fails.
    fn publish(
        &self,
        ledger: &mut FinishedLedger,
        totals: &Summary,
        exit: ExitStatus,
        events: Option<&EventLog>,
    ) -> Option<String> {
        let summary = self.summary_path().map(|path| (path, summary_json::before_digest(totals, exit.code())));
        let reports = Reports {
            events: self.settings.report.events.as_deref().filter(|_| events.is_some_and(EventLog::is_open)),
            summary: summary.as_ref().map(|(path, text)| (path.as_path(), text.as_str())),
            verified: self.verification.as_ref().map(|verification| &*verification.file),
        };
        let published = ledger.publish(&reports, &mut |_| ());
        let warn = |error: &io::Error| {
            tracing::warn!(target: output::WEAKENED, "the manifest doesn't have the digests of all files: {error}");
        };
        published.inspect_err(warn).ok()
    }

    /// The path of the summary, if it is needed.
    fn summary_path(&self) -> Option<&PathBuf> {
        let report = &self.settings.report;
        let for_command = report.on_finish.as_ref().map(|_| &self.facts.files.summary);
        report.summary_json.as_ref().or(for_command)
    }

    fn finish_ledger(&self, ledger: Ledger, ended_at: Timestamp) -> FinishedLedger {
        let RunFacts { content, files, .. } = &self.facts;
        let in_doubt: Vec<u64> = self.end.in_doubt.iter().chain(&self.end.unrecorded).copied().collect();
        let ending = Ending {
            is_fault: self.end.fault.is_some(),
            in_doubt: &in_doubt,
            ended_at,
            stop_reason: self.end.stop.as_ref().map(|reason| reason.entry().why.into_owned()),
            is_input_lost: matches!(self.end.stop, Some(StopReason::Unreadable(_) | StopReason::InputChanged(_))),
            counts: RunCounts { calls: self.end.calls.counts, paused_seconds: self.end.calls.paused.as_secs_f64() },
            bucket: self.end.bucket,
            learnt_per_minute: self.end.learnt,
            strict: self.facts.strict,
        };
        ledger.finish(
            ending,
            |keep, out| {
                content.copy_rows(keep, out).map_err(|error| match error {
                    CopyError::Input(error) => io::Error::other(error.to_string()),
                    CopyError::Output(error) => during("write", &files.remaining)(error),
                })
            },
            |errors| self.exit_status(errors).code(),
            &mut |_| (),
        )
    }

    /// Writes metrics and summary. Returns the path of the summary if it was written.
    fn write_reports(&self, totals: &Summary, exit: ExitStatus) -> Option<PathBuf> {
        let report = &self.settings.report;
        if let Some(path) = &report.metrics_file {
            let end = metrics::ExitInfo {
                at: wall(),
                exit_code: exit.code(),
                is_rehearsal: self.settings.mode == Mode::Rehearsal,
                input_age: staleness::of(self.settings),
            };
            warn_where(path, metrics::write(path, &end, Some(totals)));
        }
        let path = self.summary_path()?;
        warn_where(path, summary_json::write(path, totals, exit.code())).then(|| path.clone())
    }

    fn exit_status(&self, errors: &Errors) -> ExitStatus {
        if self.end.fault.is_some() {
            return ExitStatus::Internal;
        }
        // A record that couldn't be written takes precedence over the stop reason. Rows cut off by a second signal
        // don't count.
        let unkept = !self.end.aborted && !self.end.unrecorded.is_empty();
        if unkept || !errors.is_empty() {
            return ExitStatus::Unwritable;
        }
        if let Some(reason) = &self.end.stop {
            return reason.entry().exit;
        }
        let not_reached = self.facts.rows.saturating_sub(self.end.counts.ended());
        let rows = ExitStatus::of_end(&self.end.counts, not_reached, self.facts.strict, self.end.any_parked);
        self.verification.as_ref().map_or(rows, |verification| verification.exit_status(rows))
    }

    fn totals(&self, manifest: &mut Manifest, recorded: &Recorded, remains: bool, notes: Vec<String>) -> Summary {
        let files = &self.facts.files;
        let continues = !manifest.complete && self.settings.mode == Mode::Run;
        let revoked = recorded.tally().users().map(|(user, rows)| (user, rows.of(Status::Revoked)));
        Summary {
            is_rehearsal: self.settings.mode == Mode::Rehearsal,
            // Not the engine's counts, which include rows whose record couldn't be written.
            counts: *recorded.tally().counts(),
            total: self.facts.rows,
            calls: self.end.calls.counts,
            paused: self.end.calls.paused,
            elapsed: self.end.elapsed,
            per_minute: self.end.estimate,
            pacing: manifest.current().map(|run| run.pacing.clone()).unwrap_or_default(),
            stop: self.end.stop.clone(),
            advice: self.advice(),
            files: SummaryFiles {
                results: files.results.clone(),
                remaining: remains.then(|| files.remaining.clone()),
                manifest: files.manifest.clone(),
            },
            run_id: self.facts.run_id.clone(),
            window: (self.end.calls.counts.calls > 0).then(|| (self.started, wall())),
            actor: self.remote.identity().map(|who| format!("{} ({})", who.user_id, who.user)),
            approval: self.settings.approval.clone(),
            heaviest_users: heaviest(revoked),
            resume_command: continues.then(|| output::resume_command(self.argv)),
            failures: self.failures(recorded),
            retry_command: (remains && manifest.complete).then(|| self.retry_command()).flatten(),
            verify_command: self.verify_command(),
            notes,
            manifest_sha256: None,
        }
    }

    fn failures(&self, recorded: &Recorded) -> Vec<FailureGroup> {
        let group = |(status, error, rows): (Status, &str, u64)| FailureGroup {
            status,
            error: error.into(),
            rows,
            hint: error_hint(status, error).into(),
        };
        recorded.failures().most_first(self.facts.strict).into_iter().map(group).collect()
    }

    /// `None` for a rehearsal.
    fn retry_command(&self) -> Option<String> {
        let input = match &self.settings.input.source {
            InputSource::File(path) | InputSource::Stream(path) => path.as_os_str(),
            InputSource::Stdin => OsStr::new("-"),
        };
        let remaining = self.facts.files.remaining.as_os_str();
        (self.settings.mode == Mode::Run).then(|| output::retry_command(self.argv, input, remaining))
    }

    /// The command that verifies requested logouts; `None` for a rehearsal.
    fn verify_command(&self) -> Option<String> {
        let is_proved = self.verification.as_ref().is_some_and(EndVerification::is_proved);
        let has_to = self.settings.mode == Mode::Run && self.end.counts.of(Status::Requested) > 0 && !is_proved;
        let results = output::quoted(self.facts.files.results.as_os_str());
        has_to.then(|| format!("slack-revoke verify {results}"))
    }

    /// What to do after a stop; `None` after a signal.
    fn advice(&self) -> Option<String> {
        match self.end.stop.as_ref()? {
            StopReason::Interrupted | StopReason::Terminated => None,
            reason @ StopReason::RetryAfter { pause } => {
                let until = i64::try_from(whole_minutes(*pause).as_millis())
                    .ok()
                    .and_then(|pause| wall().as_millis().checked_add(pause));
                let until = until.map(|until| Timestamp::from_millis(until).rfc3339_seconds());
                Some(format!("{}, until {}", reason.entry().hint, until.unwrap_or_default()))
            }
            reason => Some(reason.entry().hint.into_owned()),
        }
    }

    fn tell(&self, totals: &Summary, errors: &Errors, exit: ExitStatus) {
        summary::show(self.console, totals);
        if self.settings.console.verbosity == Verbosity::Quiet {
            self.tell_the_end(totals, exit);
        }
        for error in errors.iter() {
            tracing::error!("{error}");
        }
        if !self.end.unrecorded.is_empty() {
            tracing::error!("{}", unrecorded(&self.end.unrecorded));
        }
        if let Some(fault) = &self.end.fault {
            tracing::error!("a fault of slack-revoke: {fault}");
        }
    }

    /// With `-q`, prints why a run failed, because an exit code isn't enough.
    fn tell_the_end(&self, totals: &Summary, exit: ExitStatus) {
        let command = totals.resume_command.as_ref();
        let next = command.map(|command| format!("; to continue: {command}")).unwrap_or_default();
        match &self.end.stop {
            Some(reason) => {
                let StopEntry { why, hint, .. } = reason.entry();
                tracing::warn!(target: output::WEAKENED, "stopped: {why}; {hint}{next}");
            }
            None if exit == ExitStatus::Success => {}
            None => tracing::error!("{}: see {}{next}", exit.meaning(), totals.files.results.display()),
        }
        for sentence in totals.notes.iter().cloned().chain(totals.failure_sentences()) {
            tracing::error!("{sentence}");
        }
        if let Some(command) = totals.retry_command.as_ref().filter(|_| exit != ExitStatus::Success) {
            tracing::error!("to run the remaining rows again: {command}");
        }
    }
}

/// The suspended workspaces and why.
fn suspension_notes(suspended: &[(TeamId, ErrorCode)]) -> Vec<String> {
    let note = |(team, code): &(TeamId, ErrorCode)| {
        format!("workspace {team} refuses with {code}, so the rest of its rows wasn't sent; {}", code.hint())
    };
    suspended.iter().map(note).collect()
}

/// Unlocks the output. An error here would block the next run, so it is an error of this one.
fn close(ledger: FinishedLedger, exit: ExitStatus) -> ExitStatus {
    match ledger.close() {
        Ok(()) => exit,
        Err(error) => {
            tracing::error!("{error}");
            ExitStatus::Unwritable
        }
    }
}

/// Warns about an error and returns whether there was none. Reports only repeat the results, so they don't change the
/// exit status.
fn warn_where(path: &Path, written: io::Result<()>) -> bool {
    let warn = |error| tracing::warn!(target: output::WEAKENED, "can't write {}: {error}", path.display());
    written.map_err(warn).is_ok()
}

/// The message about rows that were sent and not recorded.
fn unrecorded(lines: &[u64]) -> String {
    let named: Vec<_> = lines.iter().take(NAMED).map(u64::to_string).collect();
    let more = lines.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "sent and not recorded: {} (line {}{more}); --resume sends them again, and what is gone by then is already_revoked",
        output::counted(lines.len() as u64, "row", "rows"),
        named.join(", ")
    )
}

/// The users with the most rows.
fn heaviest<'a>(users: impl Iterator<Item = (&'a UserId, u64)>) -> Vec<(UserId, u64)> {
    let mut most: Vec<(&UserId, u64)> = Vec::with_capacity(HEAVIEST + 1);
    for (user, rows) in users.filter(|(_, rows)| *rows > 0) {
        let place = most.partition_point(|(other, theirs)| (Reverse(*theirs), *other) < (Reverse(rows), user));
        most.insert(place, (user, rows));
        most.truncate(HEAVIEST);
    }
    most.into_iter().map(|(user, rows)| (user.clone(), rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_users_are_those_of_a_sorted_list() {
        let users: Vec<UserId> = (0..40).map(|number| UserId::parse(&format!("U{number:02}")).unwrap()).collect();
        let rows: Vec<(&UserId, u64)> = users.iter().zip((0..40).map(|number| number * 7 % 9)).collect();
        let mut sorted = rows.clone();
        sorted.sort_by_key(|(user, rows)| (Reverse(*rows), *user));
        let want: Vec<_> = sorted[..HEAVIEST].iter().map(|(user, rows)| ((*user).clone(), *rows)).collect();
        assert_eq!(heaviest(rows.into_iter()), want);
        assert!(heaviest([(&users[0], 0)].into_iter()).is_empty());
    }
}
