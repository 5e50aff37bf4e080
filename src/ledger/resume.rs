//! Decides whether a run may write to an output, and where it starts. Pure.

use crate::model::{InputMatch, PossiblySent};
use roaring::RoaringTreemap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeRequest {
    pub wants: OnExisting,
    pub rehearsal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// Refuse existing results; the default.
    Fresh,
    /// `--resume`.
    Resume,
    /// `--resume-or-start`: resume, or archive the results of another input.
    ResumeOrStart,
    /// Replace the results of a rehearsal.
    Replace,
}

/// The results compared with the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// The last run died before its end was recorded.
    Unsealed,
    Intact,
    Cut,
    Missing,
    Edited,
}

/// Earlier runs, from the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    pub rehearsal: bool,
    /// Whether every row has a record.
    pub complete: bool,
    /// Rows of their input.
    pub rows: u64,
    /// Highest number of records at the start of a run. The journal needn't list these rows.
    pub ended_before: u64,
    /// The current input compared with theirs.
    pub input: InputMatch,
    /// SHA-256 of their input.
    pub recorded_sha256: Box<str>,
    /// SHA-256 of the current input.
    pub given_sha256: Box<str>,
    /// The current results compared with theirs.
    pub seal: Seal,
}

impl Prior {
    #[must_use]
    pub fn is_of_other_input(&self) -> bool {
        self.input == InputMatch::Other
    }
}

/// Without `--resume`, only the existence matters, so the default is enough.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExistingResults {
    /// Length up to the end of the last whole record; 0 if the header is incomplete.
    pub valid_len: u64,
    /// The lines of the rows that have ended.
    pub done: RoaringTreemap,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    Fresh(NewRunReason),
    /// After the existing records.
    Continue {
        /// Length of the whole records.
        valid_len: u64,
        done: RoaringTreemap,
        /// Rows whose `session_not_found` means `already_revoked`.
        maybe_sent: PossiblySent,
    },
}

/// Why a run starts with the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewRunReason {
    /// No results exist, and `--resume` wasn't given.
    FirstRun,
    /// No results exist, although `--resume` was given.
    NothingToResume,
    /// An earlier run died before its first record.
    NothingWritten,
    ReplacesRehearsal,
    /// The results of another input are archived first.
    ArchivesOther,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Results exist, and `--resume` wasn't given.
    #[error("the results of an earlier run are there; continue them with --resume, or name another file with -o")]
    Exists,
    /// Without a manifest, the input of the results is unknown.
    #[error(
        "the results have no manifest next to them, so it isn't known which input they belong to; put OUTPUT.manifest.json \
         back, or name another file with -o"
    )]
    NoManifest,
    #[error(
        "the results belong to another input: the manifest has SHA-256 {recorded}, the input given has {given}; give the \
         first one, or name another file with -o"
    )]
    OtherInput {
        recorded: Box<str>,
        /// SHA-256 of the current input.
        given: Box<str>,
    },
    /// The results were changed.
    #[error(
        "the results were changed since the last run wrote them: their length or SHA-256 isn't that of the manifest; restore \
         them, or begin a new run of what is still to do with -o"
    )]
    Edited,
    /// The results of a complete run are missing.
    #[error(
        "every row has ended, and the results that say how are gone; put them back, or send every row again with -o and \
         another file"
    )]
    Missing,
    /// A real run must not continue a rehearsal.
    #[error("the results are a rehearsal's, in which nothing was revoked; name another file with -o")]
    IsRehearsal,
    /// A rehearsal must not change real results.
    #[error("the results are a real run's, and a rehearsal never touches those; name another file with -o")]
    IsReal,
}

/// Decides whether a run may start, and where.
///
/// `prior` is from the manifest, `found` from the results, `journal` from the journal; each is `None` if the file
/// doesn't exist.
///
/// # Errors
/// [`Refusal`], which includes what to do. Nothing may be written then.
pub fn decide(
    ask: ResumeRequest,
    prior: Option<Prior>,
    found: Option<ExistingResults>,
    journal: Option<PossiblySent>,
) -> Result<Start, Refusal> {
    match ask.wants {
        OnExisting::Fresh if prior.is_none() && found.is_none() => Ok(Start::Fresh(NewRunReason::FirstRun)),
        OnExisting::Fresh => Err(Refusal::Exists),
        OnExisting::Replace => replace(prior.as_ref(), found.as_ref()).map(Start::Fresh),
        OnExisting::Resume => resume(ask.rehearsal, prior, found, journal),
        OnExisting::ResumeOrStart => resume_or_start(ask.rehearsal, prior, found, journal),
    }
}

fn replace(prior: Option<&Prior>, found: Option<&ExistingResults>) -> Result<NewRunReason, Refusal> {
    match (prior, found) {
        (None, None) => Ok(NewRunReason::FirstRun),
        (Some(prior), _) if prior.rehearsal => Ok(NewRunReason::ReplacesRehearsal),
        (Some(_), _) => Err(Refusal::IsReal),
        (None, Some(found)) if found.done.is_empty() => Ok(NewRunReason::NothingWritten),
        (None, Some(_)) => Err(Refusal::NoManifest),
    }
}

fn resume(
    rehearsal: bool,
    prior: Option<Prior>,
    found: Option<ExistingResults>,
    journal: Option<PossiblySent>,
) -> Result<Start, Refusal> {
    let Some(prior) = prior else {
        return match found {
            None => Ok(Start::Fresh(NewRunReason::NothingToResume)),
            Some(found) if found.done.is_empty() => Ok(Start::Fresh(NewRunReason::NothingWritten)),
            Some(_) => Err(Refusal::NoManifest),
        };
    };
    match (prior.rehearsal, rehearsal) {
        (true, false) => return Err(Refusal::IsRehearsal),
        (false, true) => return Err(Refusal::IsReal),
        (true, true) | (false, false) => {}
    }
    if prior.is_of_other_input() {
        return Err(Refusal::OtherInput { recorded: prior.recorded_sha256, given: prior.given_sha256 });
    }
    match prior.seal {
        Seal::Edited => return Err(Refusal::Edited),
        Seal::Missing if prior.complete => return Err(Refusal::Missing),
        Seal::Missing | Seal::Cut | Seal::Intact | Seal::Unsealed => {}
    }
    let ExistingResults { valid_len, done } = found.unwrap_or_default();
    let maybe_sent = maybe_sent(&prior, done.len(), journal);
    Ok(Start::Continue { valid_len, done, maybe_sent })
}

/// As [`resume`], but starts a run if there is nothing to resume or the results belong to another input. Results of
/// an unknown input or of the other kind of run are still refused.
fn resume_or_start(
    rehearsal: bool,
    prior: Option<Prior>,
    found: Option<ExistingResults>,
    journal: Option<PossiblySent>,
) -> Result<Start, Refusal> {
    match resume(rehearsal, prior, found, journal) {
        Err(Refusal::OtherInput { .. }) => Ok(Start::Fresh(NewRunReason::ArchivesOther)),
        Ok(Start::Fresh(NewRunReason::NothingToResume)) => Ok(Start::Fresh(NewRunReason::FirstRun)),
        decided => decided,
    }
}

/// After a complete run, no row is in doubt if every row still has a record; otherwise records were cut off, and any
/// row may have been sent. A run that died has listed what it sent, unless the list is missing. A run after a
/// complete one starts a new list, so if fewer rows have records than at its start, any row may have been sent too.
fn maybe_sent(prior: &Prior, done: u64, journal: Option<PossiblySent>) -> PossiblySent {
    match (prior.complete, journal) {
        (true, _) if done >= prior.rows => PossiblySent::default(),
        (true, _) | (false, None) => PossiblySent::All,
        (false, Some(_)) if done < prior.ended_before => PossiblySent::All,
        (false, Some(listed)) => listed,
    }
}

#[cfg(test)]
mod tests;
