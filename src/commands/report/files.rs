//! The files that `report` reads and writes. Only an earlier page is replaced.

use super::refused;
use crate::commands::outputs::{self, Named, unwritable};
use crate::error::RunError;
use crate::ledger::journal::Lock;
use crate::ledger::manifest::Manifest;
use crate::ledger::paths::{self, RunFiles};
use crate::ledger::results::fingerprint;
use crate::ledger::verified;
use crate::model::InputRecord;
use crate::output::page::{self, FileNow};
use std::path::{Path, PathBuf};

pub struct ReportFiles {
    /// The results, as they were given.
    pub given: PathBuf,
    pub run: RunFiles,
    pub events: Option<PathBuf>,
    pub output: PathBuf,
}

impl ReportFiles {
    pub fn of(given: &Path, output: Option<PathBuf>, events: Option<PathBuf>) -> Result<Self, RunError> {
        let real = paths::resolve(given).map_err(|error| refused(error.to_string(), "give the results of a run"))?;
        let output = output.unwrap_or_else(|| paths::report_beside(given));
        let output = paths::resolve(&output).map_err(|error| unwritable(&error))?;
        Ok(Self { given: given.to_owned(), run: RunFiles::beside(real), events, output })
    }

    /// Refuses an output that is one of the run's files under any name, or any other file that is not an earlier page.
    pub fn check(&self, manifest: Option<&Manifest>) -> Result<(), RunError> {
        let inputs = manifest.map(|manifest| outputs::inputs(&manifest.input, &self.run.results)).unwrap_or_default();
        let verified = verified::beside(&self.run.results);
        let kept = [
            ("the results", Some(&self.run.results)),
            ("the manifest", Some(&self.run.manifest)),
            ("the journal", Some(&self.run.journal)),
            ("the remaining rows", Some(&self.run.remaining)),
            ("the verified results", Some(&verified)),
            ("the events", self.events.as_ref()),
        ];
        let kept = kept.into_iter().chain(inputs.iter().map(|input| ("the input", Some(input))));
        let kept = kept.filter_map(|(name, path)| Some(Named::kept(name, path?)));
        let all: Vec<_> = kept.chain([Named::written("the report", "-o", &self.output)]).collect();
        outputs::check_collisions(&all)?;
        outputs::check_foreign("-o", &self.output, page::is_at)
    }

    /// A path without the folder of the results.
    pub fn short<'a>(&self, path: &'a Path) -> &'a Path {
        let folder = self.run.results.parent();
        folder.and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path)
    }

    /// Whether a run is writing the results. Only checked if the manifest doesn't say that the last run is over, so
    /// that a report never blocks a run that starts.
    pub fn is_held(&self, manifest: Option<&Manifest>) -> Result<bool, RunError> {
        let is_over = manifest.and_then(|manifest| manifest.runs.last()).is_some_and(|run| run.ended_at.is_some());
        if is_over {
            return Ok(false);
        }
        Lock::is_held(&self.run.journal).map_err(|error| refused(error.to_string(), "no report was written"))
    }

    /// The input as it is now: the file with the recorded content if one of its places has it, else the first file there.
    pub fn input_now(&self, input: &InputRecord) -> Option<FileNow> {
        let found = outputs::inputs(input, &self.run.results).into_iter().filter(|path| path.is_file());
        let now = |path: PathBuf| {
            let print = fingerprint(&path).ok()?;
            Some(FileNow { path: path.to_string_lossy().into_owned(), sha256: print.sha256, bytes: print.bytes })
        };
        let mut files: Vec<_> = found.filter_map(now).collect();
        files.sort_by_key(|file| file.sha256 != input.sha256);
        files.into_iter().next()
    }
}
