//! The paths of a run.

use super::outputs;
use crate::cli::{Mode, Settings};
use crate::error::RunError;
use crate::ledger::paths::{self, RunFiles};
use crate::model::InputSource;
use std::path::PathBuf;

/// The output's files, unchecked.
pub(super) fn named(settings: &Settings) -> Option<RunFiles> {
    let mut files = RunFiles::beside(output(settings)?);
    if let Some(remaining) = &settings.output.remaining {
        files.remaining.clone_from(remaining);
    }
    Some(files)
}

fn output(settings: &Settings) -> Option<PathBuf> {
    match (&settings.output.output, &settings.input.source, settings.mode) {
        (Some(output), _, _) => Some(output.clone()),
        (None, InputSource::File(input), Mode::Rehearsal) => Some(paths::rehearsal_beside(input)),
        (None, InputSource::File(input), Mode::Run | Mode::Plan) => Some(paths::results_beside(input)),
        (None, InputSource::Stdin | InputSource::Stream(_), _) => None,
    }
}

/// The output's files, with symbolic links resolved, so that all paths of one file have the same lock.
pub(super) fn of(settings: &Settings) -> Result<Option<RunFiles>, RunError> {
    let Some(output) = output(settings) else { return Ok(None) };
    let output = paths::resolve(&output)
        .map_err(|error| RunError::unwritable(error.to_string(), "name a file in a folder that exists"))?;
    let mut files = RunFiles::beside(output);
    let remaining = settings.output.remaining.as_ref().unwrap_or(&files.remaining);
    files.remaining = paths::resolve(remaining).map_err(|error| {
        RunError::unwritable(error.to_string(), "nothing was sent; name another file with --remaining")
    })?;
    outputs::check_collisions(settings, &files)?;
    outputs::check_foreign(settings, &files)?;
    if settings.mode != Mode::Plan {
        outputs::check_writable(settings, &files)?;
    }
    Ok(Some(files))
}
