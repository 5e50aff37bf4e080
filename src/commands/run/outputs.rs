//! The files of a run, for the checks of [`crate::commands::outputs`].

use crate::cli::Settings;
use crate::commands::outputs::{self, Named};
use crate::error::RunError;
use crate::files::atomic::remove_leftovers;
use crate::ledger::paths::{self, RunFiles};
use crate::ledger::verified;
use crate::model::InputSource;
use crate::output::{EventLog, metrics, summary_json};
use std::io;
use std::path::{Path, PathBuf};

/// Refuses two paths of the same file.
///
/// # Errors
/// If a file would be overwritten.
pub(super) fn check_collisions(settings: &Settings, files: &RunFiles) -> Result<(), RunError> {
    let others = [paths::report_beside(&files.results), verified::beside(&files.results)];
    outputs::check_collisions(&all(settings, files, &others))
}

/// Whether the metrics file is neither another file of the run nor another program's. It is the last one of [`all`].
pub(super) fn metrics_are_free(settings: &Settings, files: &RunFiles) -> bool {
    let beside = [paths::report_beside(&files.results), verified::beside(&files.results)];
    let all = all(settings, files, &beside);
    let Some((metrics, others)) = all.split_last() else { return false };
    let is_other = |other: &Named| paths::same_file(metrics.path, other.path).unwrap_or(true);
    metrics::is_at(metrics.path).unwrap_or(false) && !others.iter().any(is_other)
}

/// First files that are read, then those named after the results, then those with a flag.
fn all<'a>(settings: &'a Settings, files: &'a RunFiles, others: &'a [PathBuf; 2]) -> Vec<Named<'a>> {
    let report = &settings.report;
    let read = |name, path: Option<&'a Path>| path.map(|path| Named::kept(name, path));
    let beside = |name, path: &'a Path| Some(Named::written(name, "-o", path));
    let flagged = |flag, path: Option<&'a Path>| path.map(|path| Named::written(flag, flag, path));
    let input = match &settings.input.source {
        InputSource::File(path) | InputSource::Stream(path) => path,
        InputSource::Stdin => Path::new("/dev/stdin"),
    };
    let named = [
        read("the input", Some(input)),
        read("the token file", outputs::token_file(settings.remote.token.as_ref())),
        read("the --protect file", settings.safety.protect.as_deref()),
        beside("-o", &files.results),
        beside("the manifest", &files.manifest),
        beside("the journal", &files.journal),
        read("the page of `report`", Some(&others[0])),
        read("the answers of `verify`", Some(&others[1])),
        report.on_finish.as_ref().and_then(|_| beside("the summary for --on-finish", &files.summary)),
        flagged("--remaining", Some(&files.remaining)),
        flagged("--events", report.events.as_deref()),
        flagged("--summary-json", report.summary_json.as_deref()),
        flagged("--metrics-file", report.metrics_file.as_deref()),
    ];
    named.into_iter().flatten().collect()
}

/// Refuses a report file that exists and isn't an earlier report.
///
/// # Errors
/// If there is one, or it can't be read.
pub(super) fn check_foreign(settings: &Settings, files: &RunFiles) -> Result<(), RunError> {
    reports(settings, files, &verified::beside(&files.results))
        .into_iter()
        .try_for_each(|(flag, path, holds_ours)| outputs::check_foreign(flag, path, holds_ours))
}

/// Checks that each file can be written later.
///
/// # Errors
/// Exit code 7 if one can't.
pub(super) fn check_writable(settings: &Settings, files: &RunFiles) -> Result<(), RunError> {
    let verified = verified::beside(&files.results);
    let reports = reports(settings, files, &verified).into_iter().map(|(flag, path, _)| (flag, path));
    for (flag, path) in [("-o", &*files.results), ("--remaining", &files.remaining)].into_iter().chain(reports) {
        outputs::check_writable(flag, path)?;
        // Otherwise leftovers would stay until the file is written at the end.
        remove_leftovers(path);
    }
    remove_leftovers(&files.manifest);
    Ok(())
}

type HoldsOurs = fn(&Path) -> io::Result<bool>;

fn reports<'a>(
    settings: &'a Settings,
    files: &'a RunFiles,
    verified: &'a Path,
) -> Vec<(&'static str, &'a Path, HoldsOurs)> {
    let report = &settings.report;
    let for_command = report.on_finish.as_ref().filter(|_| report.summary_json.is_none()).map(|_| &*files.summary);
    let reports: [(_, _, HoldsOurs); 5] = [
        ("-o", settings.safety.then_verify.map(|_| verified), verified::is_at),
        ("--events", report.events.as_deref(), EventLog::is_at),
        ("--summary-json", report.summary_json.as_deref(), summary_json::is_at),
        ("--summary-json", for_command, summary_json::is_at),
        ("--metrics-file", report.metrics_file.as_deref(), metrics::is_at),
    ];
    reports.into_iter().filter_map(|(flag, path, holds)| Some((flag, path?, holds))).collect()
}
