//! Where a run reads and writes.

use super::outputs;
use super::prepared::unwritable;
use crate::error::RunError;
use crate::settings::{InputSource, Mode, Settings};
use crate::store::paths::{self, RunFiles};

/// The output's files, with symbolic links resolved, so that two names of one file share a lock.
pub(super) fn of(settings: &Settings) -> Result<Option<RunFiles>, RunError> {
    let output = match (&settings.output.output, &settings.input.source, settings.mode) {
        (Some(output), _, _) => output.clone(),
        (None, InputSource::File(input), Mode::Rehearsal) => paths::rehearsal_beside(input),
        (None, InputSource::File(input), Mode::Run | Mode::Plan) => paths::results_beside(input),
        (None, InputSource::Stdin, _) => return Ok(None),
    };
    let output = paths::resolve(&output).map_err(|error| unwritable(&error, "name a file in a folder that exists"))?;
    let mut files = RunFiles::beside(output);
    let remaining = settings.output.remaining.as_ref().unwrap_or(&files.remaining);
    files.remaining = paths::resolve(remaining)
        .map_err(|error| unwritable(&error, "nothing was sent; name another file with --remaining"))?;
    outputs::check_collisions(settings, &files)?;
    outputs::check_foreign(settings, &files)?;
    if settings.mode != Mode::Plan {
        outputs::check_writable(settings, &files)?;
    }
    Ok(Some(files))
}
