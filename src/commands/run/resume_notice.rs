//! Messages before a run about the previous run.

use super::Preflight;
use crate::input::{InputSummary, Protection};
use crate::ledger::archive::ArchivedRun;
use crate::ledger::manifest::Protections;
use crate::ledger::resume::{NewRunReason, Seal, Start};
use crate::model::{RESULT_COLUMNS, ResultColumn, UserId};
use crate::output::{self, counted, quoted};
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn show(prepared: &Preflight, allow_self: bool) {
    show_kept_protections(prepared, allow_self);
    warn_of_losses(prepared);
    warn_of_results_as_input(prepared);
    match (&prepared.output.start, &prepared.output.aside) {
        (Start::Fresh(NewRunReason::NothingToResume), _) => {
            let results = prepared.files.as_ref().map(|files| files.results.display().to_string()).unwrap_or_default();
            tracing::warn!(
                target: output::WEAKENED,
                "there is nothing to resume at {results}: the run begins with the first row, without the protections of an \
                 earlier one"
            );
        }
        (Start::Fresh(NewRunReason::ArchivesOther), Some(aside)) => show_archived(aside),
        (Start::Continue { done, .. }, _) if done.len() >= prepared.survey.rows => {
            tracing::info!("nothing to do: every row of this input has ended");
        }
        (
            Start::Fresh(
                NewRunReason::FirstRun
                | NewRunReason::NothingWritten
                | NewRunReason::ReplacesRehearsal
                | NewRunReason::ArchivesOther,
            )
            | Start::Continue { .. },
            _,
        ) => {}
    }
}

/// Warns that records were cut off, so that their rows are sent again.
fn warn_of_losses(prepared: &Preflight) {
    let (Start::Continue { .. }, Some(manifest), Some(files)) =
        (&prepared.output.start, &prepared.output.manifest, &prepared.files)
    else {
        return;
    };
    let ended: u64 = manifest.totals.by_status.iter().map(|(_, rows)| rows).sum();
    let lost = counted(ended.saturating_sub(prepared.output.recorded.done().len()), "record", "records");
    let results = files.results.display();
    match prepared.output.seal {
        Some(Seal::Cut) => tracing::warn!(
            target: output::WEAKENED,
            "the end of {results} was cut off since the last run, and with it {lost}: what they were of is sent again"
        ),
        Some(Seal::Missing) => tracing::warn!(
            target: output::WEAKENED,
            "{results} is gone, and with it {lost}: what they were of is sent again"
        ),
        Some(Seal::Unsealed | Seal::Intact | Seal::Edited) | None => {}
    }
}

/// Warns if results are used as input: ended and protected rows would be sent.
fn warn_of_results_as_input(prepared: &Preflight) {
    let header: Vec<_> = prepared.survey.header.iter().collect();
    if header.windows(RESULT_COLUMNS.len()).any(|columns| columns == ResultColumn::NAMES) {
        tracing::warn!(
            target: output::WEAKENED,
            "{} contains the results of a run: all of its rows would be sent again, even protected ones; to continue \
             that run, give its input and --resume; to retry rows, give its remaining file (.remaining.csv)",
            prepared.content.path()
        );
    }
}

/// A resumed run keeps its protections, regardless of the flags.
fn show_kept_protections(prepared: &Preflight, allow_self: bool) {
    let Start::Continue { .. } = &prepared.output.start else { return };
    let Some(kept) = &prepared.output.inherited else {
        tracing::warn!(target: output::WEAKENED, "the manifest of the run that is continued has no protections; give --protect again if it was given");
        return;
    };
    let parts = protected_parts(kept);
    if !parts.is_empty() {
        tracing::info!("as in the run that is continued, {} stay protected", output::listed(&parts));
    }
    let owners: Vec<_> = kept.own_users.iter().map(UserId::as_str).collect();
    if allow_self && !owners.is_empty() {
        tracing::warn!(
            target: output::WEAKENED,
            "--allow-self doesn't end the protection of {}, which the run that is continued began with; to send these rows, \
             start a new run with -o",
            owners.join(", ")
        );
    }
}

/// A `--protect` file that protects nobody may be the wrong file.
pub(super) fn warn_of_idle_protection(protect: Option<&Path>, protection: &Protection, survey: &InputSummary) {
    let Some(path) = protect.filter(|_| survey.guarded == 0 && survey.sendable > 0) else { return };
    let why = match protection.ids() {
        0 => "the file has no ids".to_owned(),
        1 => "its id isn't in any row".to_owned(),
        ids => format!("none of its {ids} ids is in any row"),
    };
    let path = path.display();
    tracing::warn!(
        target: output::WEAKENED,
        "--protect {path} protects nobody in this input, {why}: check that it is the right file"
    );
}

fn protected_parts(kept: &Protections) -> Vec<String> {
    let (users, sessions) = (kept.users.len() + kept.users_of_addresses.len(), kept.sessions.len());
    let named = [(users, "user id", "user ids"), (sessions, "session id", "session ids")];
    let named = named.into_iter().filter(|(ids, ..)| *ids > 0).map(|(ids, one, many)| counted(ids as u64, one, many));
    let owners = kept.own_users.iter().map(|user| format!("the token's own user {user}"));
    named.chain(owners).collect()
}

/// Unfinished rows are reported with `-q` too, because they are worth a mail.
fn show_archived(aside: &ArchivedRun) {
    let ArchivedRun { files, run_id, input, not_reached, .. } = aside;
    let results = files.results.display();
    if *not_reached == 0 {
        tracing::info!("run {run_id} was for another input and is archived: its results are now {results}");
        return;
    }
    let rows = counted(*not_reached, "row of it has", "rows of it have");
    let (input, output) = (quoted(OsStr::new(input)), quoted(files.results.as_os_str()));
    tracing::error!(
        "run {run_id} was for another input and didn't finish: {rows} no record. It is archived, and its results are now \
         {results}; to finish it, use its input: slack-revoke run {input} -o {output} --resume"
    );
}
