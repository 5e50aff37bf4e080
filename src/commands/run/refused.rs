//! The metrics of a run that is refused: one that is refused every night must not look like one that has nothing to say.

use super::staleness;
use super::{output_paths, outputs};
use crate::cli::{Mode, RunArgs, Settings};
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::output::{self, metrics};
use std::path::Path;

/// Of a run whose settings are known. Not if the metrics are in the wrong place: they would be written over another file.
pub(super) fn write_metrics(settings: &Settings, error: &RunError) {
    let Some(path) = &settings.report.metrics_file else { return };
    let is_free = || output_paths::named(settings).is_some_and(|files| outputs::metrics_are_free(settings, &files));
    if settings.mode != Mode::Plan && is_free() {
        write(path, error, settings.mode == Mode::Rehearsal, Some(settings));
    }
}

/// Of a run whose command line can't be meant, such as one without a terminal that has lost its `--yes`.
pub fn write_metrics_of_usage(typed: &RunArgs) -> impl FnOnce(&RunError) + use<> {
    let path = typed.report.metrics_file.clone().filter(|_| !typed.safety.dry_run);
    let is_rehearsal = typed.safety.rehearse;
    move |error| {
        if let Some(path) = path.filter(|path| metrics::is_at(path).unwrap_or(false)) {
            write(&path, error, is_rehearsal, None);
        }
    }
}

fn write(path: &Path, error: &RunError, is_rehearsal: bool, settings: Option<&Settings>) {
    let (at, exit_code) = (wall(), error.exit_status().code());
    let end = metrics::ExitInfo { at, exit_code, is_rehearsal, input_age: settings.and_then(staleness::of) };
    if let Err(error) = metrics::write(path, &end, None) {
        tracing::warn!(target: output::WEAKENED, "can't write {}: {error}", path.display());
    }
}
