//! What is at an output before a run, and where the run begins in it. Writes nothing.

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

/// What earlier runs left at an output.
#[derive(Debug)]
pub struct PreviousRun<'a> {
    /// `None` for the plan of an input without a name: nothing can be there.
    files: Option<&'a RunFiles>,
    ask: ResumeRequest,
    names: &'a ColumnNames,
    manifest: Option<Manifest>,
    scan: Option<Scan>,
    /// How the two fit together; `None` without a manifest.
    seal: Option<Seal>,
}

/// What a run needs to know about its input to continue an earlier one.
pub struct InputFacts<'a> {
    pub header: &'a Fields,
    pub columns: IdColumns,
    pub sha256: &'a str,
    /// How it compares with the input in the manifest.
    pub matches: InputMatch,
    /// What stands on the lines that earlier runs recorded.
    pub carried: Carried,
    pub each_row: EachRow<'a>,
}

/// An output that a run may write to, and where it begins in it.
#[derive(Debug)]
pub struct Output {
    /// What earlier runs left in the manifest; `None` for a run that starts with the first row.
    pub manifest: Option<Manifest>,
    /// The rows that have ended in them.
    pub recorded: Recorded,
    /// The results as they were read: what is there when they are written to is the same, or the run is refused.
    pub found: Option<FoundResults>,
    /// Whether they are what the run that is continued left.
    pub seal: Option<Seal>,
    pub start: Start,
    /// The earlier run to be archived first.
    pub aside: Option<ArchivedRun>,
    /// The remaining file that earlier runs left.
    pub remaining: Option<Remaining>,
    /// The protections of the run that is continued; `None` if there is none or its manifest doesn't have them.
    pub inherited: Option<Protections>,
}

/// Why a run may not write to an output.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The results couldn't be read to compare them with the manifest.
    #[error(transparent)]
    Uncompared(io::Error),
    /// Whether there are results isn't known.
    #[error(transparent)]
    Results(io::Error),
    #[error("{}: {refusal}", .results.display())]
    Refused { results: PathBuf, refusal: Refusal },
    /// The rows of the run that is continued would become other ones.
    #[error("the run that is continued read {id} from the column {header:?}, and this one doesn't")]
    OtherIdColumn { id: String, header: String },
    /// Whether the remaining file can be replaced isn't known.
    #[error(transparent)]
    Remaining(io::Error),
    #[error("--remaining {}: the file is there already, and it isn't what an earlier run on these results wrote", .0.display())]
    ForeignRemaining(PathBuf),
}

impl<'a> PreviousRun<'a> {
    /// Reads the manifest and, if the run may continue or replace them, the results.
    ///
    /// # Errors
    /// If one of them can't be read, or isn't what a run writes.
    pub fn read(
        files: Option<&'a RunFiles>,
        ask: ResumeRequest,
        names: &'a ColumnNames,
    ) -> Result<Self, PreflightError> {
        let mut this = Self { files, ask, names, manifest: None, scan: None, seal: None };
        let Some(files) = files else { return Ok(this) };
        this.manifest = match Manifest::load(&files.manifest) {
            Ok(mut manifest) => {
                // The results are counted again, and they are right if the two differ.
                manifest.per_user.clear();
                Some(manifest)
            }
            Err(ManifestError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let is_read = match ask.wants {
            OnExisting::Resume | OnExisting::ResumeOrStart => true,
            // Without a manifest, a rehearsal replaces results only if they have no record.
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

    /// The lines of the rows that have ended.
    #[must_use]
    pub fn done(&self) -> RoaringTreemap {
        self.scan.as_ref().map(|scan| scan.recorded.done().clone()).unwrap_or_default()
    }

    /// Decides whether a run may begin, and where. `journal` is what the journal lists.
    ///
    /// # Errors
    /// If it may not.
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
        // Another input may have other columns; its results aren't written to. Nor are those that a run left which died
        // before its manifest: they are begun again, or refused.
        let may_differ = match &prior {
            Some(prior) => wants == OnExisting::ResumeOrStart && prior.is_of_other_input(),
            None => self.scan.as_ref().is_some_and(|scan| scan.columns().is_some()),
        };
        let found = match &self.scan {
            Some(scan) => {
                if !may_differ && scan.columns() != Some(input.header) {
                    // Fails if the header is another one, or isn't the beginning of this input's.
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

    /// Refuses results of other rows, since a manifest can come to lie beside another input's results, and to read the ids from
    /// other columns than the run that is continued did.
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

    /// The run that makes room if this one begins where another input's results are.
    fn aside(&self, start: &Start) -> Result<Option<ArchivedRun>, PreflightError> {
        let (Start::Fresh(NewRunReason::ArchivesOther), Some(manifest), Some(files)) =
            (start, &self.manifest, self.files)
        else {
            return Ok(None);
        };
        let Some(mut aside) = ArchivedRun::of(manifest, &files.results) else { return Ok(None) };
        // If a run died while it made room, the results are there already.
        let moved = if self.scan.is_none() { self.scan_at(&aside.files.results, None)? } else { None };
        let ended = self.scan.as_ref().or(moved.as_ref()).map_or(0, |scan| scan.recorded.done().len());
        aside.count_ended(manifest.input.rows, ended);
        Ok(Some(aside))
    }

    /// The remaining file that earlier runs left. Something else at its path isn't replaced.
    fn remaining(&self) -> Result<Option<Remaining>, PreflightError> {
        let Some(files) = self.files else { return Ok(None) };
        let known = self.manifest.as_ref().and_then(|manifest| manifest.remaining.clone());
        if remaining::is_free_or_ours(files, known.as_ref()).map_err(PreflightError::Remaining)? {
            Ok(known)
        } else {
            Err(PreflightError::ForeignRemaining(files.remaining.clone()))
        }
    }

    /// The results as far as they are whole; `None` if there are none.
    fn scan_at(&self, path: &Path, columns: Option<&Fields>) -> Result<Option<Scan>, PreflightError> {
        match scan::scan(path, columns, self.names) {
            Ok(scan) => Ok(Some(scan)),
            Err(ScanError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Prior {
    /// What a resumption goes by; `input` is how the input with SHA-256 `given` compares with the manifest's, and `seal` how
    /// the results do.
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
    /// The rows whose sessions an earlier run may have ended.
    #[must_use]
    pub fn possibly_sent(&self) -> PossiblySent {
        match &self.start {
            Start::Fresh(_) => PossiblySent::default(),
            Start::Continue { maybe_sent, .. } => maybe_sent.clone().and(self.recorded.may_be_gone()),
        }
    }
}
