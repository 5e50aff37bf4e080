//! Whether a run may write where it was told to, and where it begins. Pure: the facts go in, the decision comes out.

use crate::model::{InputMatch, PossiblySent};
use roaring::RoaringTreemap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeRequest {
    pub wants: OnExisting,
    /// Whether the calls go to the stand-in.
    pub rehearsal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// Nothing: the default.
    Fresh,
    /// The results of an interrupted run: `--resume`.
    Resume,
    /// Anything of ours: it is continued, or archived if it belongs to another input: `--resume-or-start`.
    ResumeOrStart,
    /// The results of a rehearsal, to be replaced.
    Replace,
}

/// How results compare with what the manifest says of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// The last run died before it could say anything.
    Unsealed,
    Intact,
    Cut,
    Missing,
    Edited,
}

/// What the manifest says about the runs before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    /// Whether they were rehearsals.
    pub rehearsal: bool,
    /// Whether the last of them reached every row.
    pub complete: bool,
    /// Rows that the input had then.
    pub rows: u64,
    /// The most rows that were recorded when one of them began; the journal need not name them.
    pub ended_before: u64,
    /// How the input of now compares with the one of then.
    pub input: InputMatch,
    /// The SHA-256 of the input of then.
    pub recorded_sha256: Box<str>,
    /// The SHA-256 of the input of now.
    pub given_sha256: Box<str>,
    /// How the results of now compare with those of then.
    pub seal: Seal,
}

impl Prior {
    /// Whether the results belong to another input.
    #[must_use]
    pub fn is_of_other_input(&self) -> bool {
        self.input == InputMatch::Other
    }
}

/// What the results hold. Without `--resume` only its being there counts, and the default says enough.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExistingResults {
    /// Bytes up to the end of the last whole record; 0 where not even the header is whole.
    pub valid_len: u64,
    /// The lines of the rows that have ended.
    pub done: RoaringTreemap,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    Fresh(NewRunReason),
    /// After the records that are there.
    Continue {
        /// Bytes of the results that stay; what follows is torn.
        valid_len: u64,
        done: RoaringTreemap,
        /// The rows whose `session_not_found` now means `already_revoked`.
        maybe_sent: PossiblySent,
    },
}

/// Why a run begins with the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewRunReason {
    /// Nothing is there, and nothing was expected.
    FirstRun,
    /// `--resume` was asked for, and there is nothing to resume: worth a note.
    NothingToResume,
    /// An earlier run died before its first record, and perhaps before its manifest.
    NothingWritten,
    ReplacesRehearsal,
    /// What is there belongs to another input: it is archived, then the run begins.
    ArchivesOther,
}

/// Why a run may not write there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Without `--resume` nothing is written over.
    #[error("the results of an earlier run are there; continue them with --resume, or name another file with -o")]
    Exists,
    /// Results without a manifest could belong to any input.
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
        /// Of the input given.
        given: Box<str>,
    },
    /// Something in them is no longer what a run wrote.
    #[error(
        "the results were changed since the last run wrote them: their length or SHA-256 isn't that of the manifest; restore \
         them, or begin a new run of what is still to do with -o"
    )]
    Edited,
    /// A complete run without results.
    #[error(
        "every row has ended, and the results that say how are gone; put them back, or send every row again with -o and \
         another file"
    )]
    Missing,
    /// A real run must not take a rehearsal's word for what is revoked.
    #[error("the results are a rehearsal's, in which nothing was revoked; name another file with -o")]
    IsRehearsal,
    /// A rehearsal must not touch evidence.
    #[error("the results are a real run's, and a rehearsal never touches those; name another file with -o")]
    IsReal,
}

/// Decides whether a run may begin, and where.
///
/// `prior` is what a manifest says, `found` what the results hold, and `journal` what the journal lists: each none where
/// its file is not there.
///
/// # Errors
/// [`Refusal`], which says what to do instead. Nothing may be written then.
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

/// As [`resume`], but where that finds nothing or another input, a run begins. Results that nothing tells the input of, and
/// those of the other kind of run, are refused all the same: they may be anybody's.
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

/// A complete run has no row in flight: so either every row of then is still recorded, and none is in doubt, or records
/// were cut off since, and any may be one of theirs. A run that died has listed what it sent, unless the list is gone; but
/// a run on a complete one begins its list anew, so where fewer rows are recorded than it found, any may be in doubt too.
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
