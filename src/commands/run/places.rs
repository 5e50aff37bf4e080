//! Where a run reads and writes, and that none of these places is another one.

use super::prepared::unwritable;
use crate::error::{RunError, Trouble};
use crate::settings::{InputSource, Mode, Settings, TokenChoice};
use crate::store::paths::{self, RunFiles};
use std::path::PathBuf;

/// The output's files, with symbolic links resolved, so that two names of one file share a lock.
pub(super) fn of(settings: &Settings) -> Result<Option<RunFiles>, RunError> {
    let output = match (&settings.output.output, &settings.input.source, settings.mode) {
        (Some(output), _, _) => output.clone(),
        (None, InputSource::File(input), Mode::Rehearsal) => paths::rehearsal_beside(input),
        (None, InputSource::File(input), Mode::Run | Mode::Plan) => paths::results_beside(input),
        (None, InputSource::Stdin, _) => return Ok(None),
    };
    let output = paths::resolve(&output).map_err(|error| unwritable(&error, "name a file in a folder that exists"))?;
    if let InputSource::File(input) = &settings.input.source
        && paths::same_file(input, &output).unwrap_or(false)
    {
        let what = format!("{} is the input and cannot be the output too", output.display());
        return Err(RunError::Input(Trouble::new(what, "name another file with -o")));
    }
    let mut files = RunFiles::beside(output);
    if let Some(remaining) = &settings.output.remaining {
        files.remaining.clone_from(remaining);
    }
    check(settings, &files)?;
    Ok(Some(files))
}

/// What is written beside the results takes the place of nothing that the run reads or keeps, by whatever name. Settings
/// has compared what was typed; here links and names that follow from others are known.
fn check(settings: &Settings, files: &RunFiles) -> Result<(), RunError> {
    let report = &settings.report;
    let written = [
        ("--remaining", Some(&files.remaining)),
        ("--events", report.events.as_ref()),
        ("--summary-json", report.summary_json.as_ref()),
        ("--metrics-file", report.metrics_file.as_ref()),
    ];
    let input = match &settings.input.source {
        InputSource::File(path) => Some(path),
        InputSource::Stdin => None,
    };
    let token = match &settings.token {
        TokenChoice::File(path) => Some(path),
        TokenChoice::NotNeeded
        | TokenChoice::Command(_)
        | TokenChoice::Variable
        | TokenChoice::Credential(_)
        | TokenChoice::Ask(_)
        | TokenChoice::Absent => None,
    };
    let summary = (report.on_finish.is_some() && report.summary_json.is_none()).then_some(&files.summary);
    let kept = [
        ("the input", input),
        ("the token file", token),
        ("the --protect file", settings.safety.protect.as_ref()),
        ("the results", Some(&files.results)),
        ("the manifest", Some(&files.manifest)),
        ("the journal", Some(&files.journal)),
        ("the summary for --on-finish", summary),
    ];
    for (flag, path) in written.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
        let is_same =
            |kept: &&(&str, Option<&PathBuf>)| kept.1.is_some_and(|kept| paths::same_file(path, kept).unwrap_or(false));
        if let Some((kept, _)) = kept.iter().find(is_same) {
            let what = format!("{flag} would overwrite {kept}: {}", path.display());
            return Err(RunError::Input(Trouble::new(what, format!("name another file with {flag}"))));
        }
    }
    Ok(())
}
