//! What exists at an output before a run, and where the run starts. Writes nothing.

use super::archive::ArchivedRun;
use super::manifest::{Manifest, ManifestError, Protections};
use super::paths::{self, RunFiles};
use super::remaining;
use super::resume::{self, ExistingResults, NewRunReason, OnExisting, Prior, Refusal, ResumeRequest, Seal, Start};
use super::scan::{self, EachRow, FoundResults, Recorded, Scan, ScanError, check_rows};
use super::seal;
use crate::model::{Carried, ColumnNames, Columns, Fields, IdColumns, InputMatch, PossiblySent, Remaining};
use roaring::RoaringTreemap;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct PreviousRun<'a> {
    /// `None` for the plan of a stream, which has no output.
    files: Option<&'a RunFiles>,
    ask: ResumeRequest,
    names: &'a ColumnNames,
    manifest: Option<Manifest>,
    scan: Option<Scan>,
    /// Results compared with the manifest; `None` without a manifest.
    seal: Option<Seal>,
}

/// Facts about the input that a resumed run needs.
pub struct InputFacts<'a> {
    pub header: &'a Fields,
    pub columns: IdColumns,
    pub sha256: &'a str,
    /// The input compared with that of the manifest.
    pub matches: InputMatch,
    /// The rows on the recorded lines.
    pub carried: Carried,
    pub each_row: EachRow<'a>,
}

/// An output that a run may write to, and where it starts.
#[derive(Debug)]
pub struct Output {
    /// `None` for a run that starts with the first row.
    pub manifest: Option<Manifest>,
    /// The ended rows of earlier runs.
    pub recorded: Recorded,
    /// The results as they were read. If they have changed when they are opened for writing, the run is refused.
    pub found: Option<FoundResults>,
    /// Results compared with the manifest of the resumed run.
    pub seal: Option<Seal>,
    pub start: Start,
    /// The run to archive first.
    pub aside: Option<ArchivedRun>,
    /// The remaining file of earlier runs.
    pub remaining: Option<Remaining>,
    /// The protections of the resumed run; `None` if its manifest has none.
    pub inherited: Option<Protections>,
}

#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The results can't be compared with the manifest.
    #[error(transparent)]
    Uncompared(io::Error),
    /// It can't be determined whether results exist.
    #[error(transparent)]
    Results(io::Error),
    #[error("{}: {refusal}", .results.display())]
    Refused { results: PathBuf, refusal: Refusal },
    /// Ids would be read from another column than in the resumed run.
    #[error("the run that is continued read {id} from the column {header:?}, and this one doesn't")]
    OtherIdColumn { id: String, header: String },
    /// It can't be determined whether the remaining file may be replaced.
    #[error(transparent)]
    Remaining(io::Error),
    #[error("--remaining {}: the file is there already, and it isn't what an earlier run on these results wrote", .0.display())]
    ForeignRemaining(PathBuf),
}

impl<'a> PreviousRun<'a> {
    /// Reads the manifest and, if the run may resume or replace them, the results.
    ///
    /// # Errors
    /// If one of them can't be read, or wasn't written by a run.
    pub fn read(
        files: Option<&'a RunFiles>,
        ask: ResumeRequest,
        names: &'a ColumnNames,
    ) -> Result<Self, PreflightError> {
        let mut this = Self { files, ask, names, manifest: None, scan: None, seal: None };
        let Some(files) = files else { return Ok(this) };
        this.manifest = match Manifest::load(&files.manifest) {
            Ok(mut manifest) => {
                // The records are counted again, and take precedence.
                manifest.per_user.clear();
                Some(manifest)
            }
            Err(ManifestError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let is_read = match ask.wants {
            OnExisting::Resume | OnExisting::ResumeOrStart => true,
            // Without a manifest, a rehearsal only replaces results without records.
            OnExisting::Replace => this.manifest.is_none(),
            OnExisting::Fresh => false,
        };
        if is_read {
            this.scan = this.scan_at(&files.results, None)?;
        }
        let seal = |manifest: &Manifest| seal::check(manifest, this.scan.as_ref(), &files.results);
        this.seal = this.manifest.as_ref().map(seal).transpose().map_err(PreflightError::Uncompared)?;
        Ok(this)
    }

    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    #[must_use]
    pub fn done(&self) -> RoaringTreemap {
        self.scan.as_ref().map(|scan| scan.recorded.done().clone()).unwrap_or_default()
    }

    /// Decides whether a run may start, and where. `journal` is the list of the journal.
    ///
    /// # Errors
    /// If it may not start.
    pub fn prepare(self, input: &InputFacts<'_>, journal: Option<PossiblySent>) -> Result<Output, PreflightError> {
        let start = self.decide(input, journal)?;
        self.check_continued(&start, input)?;
        let (remaining, aside) = (self.remaining()?, self.aside(&start)?);
        let (found, seal) = (self.scan.as_ref().map(|scan| scan.found.clone()), self.seal);
        let (manifest, recorded) = match &start {
            Start::Fresh(_) => (None, Recorded::default()),
            Start::Continue { .. } => (self.manifest, self.scan.map(|scan| scan.recorded).unwrap_or_default()),
        };
        let inherited = manifest.as_ref().and_then(|manifest| manifest.protections.clone());
        Ok(Output { manifest, recorded, found, seal, start, aside, remaining, inherited })
    }

    fn decide(&self, input: &InputFacts<'_>, journal: Option<PossiblySent>) -> Result<Start, PreflightError> {
        let Some(files) = self.files else { return Ok(Start::Fresh(NewRunReason::FirstRun)) };
        let wants = self.ask.wants;
        let prior = self.manifest.as_ref().zip(self.seal);
        let prior = prior.map(|(manifest, seal)| Prior::of(manifest, input.matches, input.sha256, seal));
        // Another input may have other columns; its results aren't changed. Neither are those of a run that died
        // before its manifest was written: they are started again or refused.
        let may_differ = match &prior {
            Some(prior) => wants == OnExisting::ResumeOrStart && prior.is_of_other_input(),
            None => self.scan.as_ref().is_some_and(|scan| scan.columns().is_some()),
        };
        let found = match &self.scan {
            Some(scan) => {
                if !may_differ && scan.columns() != Some(input.header) {
                    // Fails if the header isn't that of this input or its beginning.
                    self.scan_at(&files.results, Some(input.header))?;
                }
                Some(ExistingResults { valid_len: scan.valid_len, done: scan.recorded.done().clone() })
            }
            None => paths::is_there(&files.results)
                .map_err(PreflightError::Results)?
                .then(ExistingResults::default)
                .filter(|_| wants == OnExisting::Fresh),
        };
        resume::decide(self.ask, prior, found, journal)
            .map_err(|refusal| PreflightError::Refused { results: files.results.clone(), refusal })
    }

    /// Refuses results of other rows, because a manifest may be next to another input's results, and refuses to read
    /// ids from other columns than the resumed run.
    fn check_continued(&self, start: &Start, input: &InputFacts<'_>) -> Result<(), PreflightError> {
        let Start::Continue { .. } = start else { return Ok(()) };
        if let (Some(scan), Some(files)) = (&self.scan, self.files) {
            check_rows(scan, &files.results, input.carried, input.each_row)?;
        }
        let Some(manifest) = &self.manifest else { return Ok(()) };
        match manifest.input.columns.first_other(&Columns::of(input.columns, input.header)) {
            Some((id, header)) => Err(PreflightError::OtherIdColumn { id: id.into(), header: header.into() }),
            None => Ok(()),
        }
    }

    /// The run to archive if the output has another input's results.
    fn aside(&self, start: &Start) -> Result<Option<ArchivedRun>, PreflightError> {
        let (Start::Fresh(NewRunReason::ArchivesOther), Some(manifest), Some(files)) =
            (start, &self.manifest, self.files)
        else {
            return Ok(None);
        };
        let Some(mut aside) = ArchivedRun::of(manifest, &files.results) else { return Ok(None) };
        // If a run died while it archived the files, the results are already moved.
        let moved = if self.scan.is_none() { self.scan_at(&aside.files.results, None)? } else { None };
        let ended = self.scan.as_ref().or(moved.as_ref()).map_or(0, |scan| scan.recorded.done().len());
        aside.count_ended(manifest.input.rows, ended);
        Ok(Some(aside))
    }

    /// The remaining file of earlier runs.
    fn remaining(&self) -> Result<Option<Remaining>, PreflightError> {
        let Some(files) = self.files else { return Ok(None) };
        let known = self.manifest.as_ref().and_then(|manifest| manifest.remaining.clone());
        if remaining::is_free_or_ours(files, known.as_ref()).map_err(PreflightError::Remaining)? {
            Ok(known)
        } else {
            Err(PreflightError::ForeignRemaining(files.remaining.clone()))
        }
    }

    /// `None` if there are no results.
    fn scan_at(&self, path: &Path, columns: Option<&Fields>) -> Result<Option<Scan>, PreflightError> {
        match scan::scan(path, columns, self.names) {
            Ok(scan) => Ok(Some(scan)),
            Err(ScanError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Prior {
    /// `input` is the input with SHA-256 `given` compared with the manifest's, `seal` the results compared with the
    /// manifest.
    pub(super) fn of(manifest: &Manifest, input: InputMatch, given: &str, seal: Seal) -> Self {
        Self {
            rehearsal: manifest.is_rehearsal(),
            complete: manifest.complete,
            rows: manifest.input.rows,
            ended_before: manifest.runs.last().map_or(0, |run| run.recorded_before),
            input,
            recorded_sha256: manifest.input.sha256.as_str().into(),
            given_sha256: given.into(),
            seal,
        }
    }
}

impl Output {
    #[must_use]
    pub fn possibly_sent(&self) -> PossiblySent {
        match &self.start {
            Start::Fresh(_) => PossiblySent::default(),
            Start::Continue { maybe_sent, .. } => maybe_sent.clone().and(self.recorded.may_be_gone()),
        }
    }
}
