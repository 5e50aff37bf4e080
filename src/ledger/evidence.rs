//! Digests that reveal later changes: recorded at the end of each step, compared by `report`.
//!
//! The manifest has the digests of the other files. The last line of the events and the last member of the summary
//! have the digest of the manifest. So the manifest's digests of these two cover the bytes before that, and the rest
//! must be exactly what a run writes.

use super::manifest::Manifest;
use super::paths::{RunFiles, report_beside};
use super::scan::Recorded;
use super::verified;
use crate::files::atomic::open_regular;
use crate::files::{Fingerprint, during, fingerprint, fingerprint_of, sha256_hex};
use crate::model::{
    Change, ChangedBy, Digest, FIRST_RUNS, FileCheck, FileRole, FileState, Status, StatusRows, StatusTotals, Subject,
    Timestamp,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Larger than a `run_ended` line or the end of a summary.
const MOST_BEHIND: u64 = 64 * 1024;

/// The current state of a file, for the manifest at `manifest`. `None` if it is missing or not a regular file.
///
/// # Errors
/// If it can't be read.
pub fn subject(role: FileRole, path: &Path, manifest: &Path) -> io::Result<Option<Subject>> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(named(role, path, manifest, fingerprint(path)?))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(during("look at", path)(error)),
    }
}

/// A file that will be written with `text`.
#[must_use]
pub fn subject_to_be(role: FileRole, path: &Path, manifest: &Path, text: &str) -> Option<Subject> {
    let is_special = fs::metadata(path).is_ok_and(|found| !found.is_file());
    let print = Fingerprint { sha256: sha256_hex(text.as_bytes()), bytes: text.len() as u64 };
    (!is_special).then(|| named(role, path, manifest, print))
}

/// Adds a step that wrote `file`, and replaces the manifest at `path`.
///
/// # Errors
/// If the file can't be read or the manifest can't be written.
pub fn save_step(
    manifest: &mut Manifest,
    (step, at): (ChangedBy, Timestamp),
    (role, file): (FileRole, &Path),
    path: &Path,
) -> io::Result<()> {
    manifest.set_subject(role, subject(role, file, path)?);
    manifest.changed_by(step, at, None);
    manifest.save(path)
}

pub(super) fn named(role: FileRole, path: &Path, manifest: &Path, print: Fingerprint) -> Subject {
    let real = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let folder = manifest.parent().and_then(|folder| folder.canonicalize().ok());
    let beside = folder.and_then(|folder| real.strip_prefix(folder).ok().map(Path::to_path_buf));
    let name = beside.unwrap_or(real).to_string_lossy().into_owned();
    Subject { role, name, digest: Digest { sha256: print.sha256 }, bytes: print.bytes }
}

/// A digest from elsewhere, compared with the manifest and its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenDigest<'a> {
    Same,
    /// The manifest before this step.
    Earlier(&'a Change),
    Unknown,
}

/// Compares `given` with the manifest and its history.
#[must_use]
pub fn given<'a>(manifest: &'a Manifest, given: &str) -> GivenDigest<'a> {
    let is_given = |digest: &Option<String>| digest.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(given));
    if is_given(&manifest.sha256) {
        return GivenDigest::Same;
    }
    let replaced = manifest.history.iter().find(|change| is_given(&change.previous_sha256));
    replaced.map_or(GivenDigest::Unknown, GivenDigest::Earlier)
}

/// Compares the files of the manifest. `results` and `events` are their current paths. Files that are named after the
/// results are looked for next to them, so that renamed and archived results can be checked.
#[must_use]
pub fn check(manifest: &Manifest, results: &Path, events: Option<&Path>) -> Vec<FileCheck> {
    let mut checks = Vec::new();
    if manifest.subjects.iter().all(|subject| subject.role != FileRole::Results) {
        let state = if results.is_file() { FileState::NotSealed } else { FileState::Missing };
        checks.push(FileCheck { role: FileRole::Results, path: results.to_owned(), state });
    }
    checks.extend(manifest.subjects.iter().map(|subject| {
        let path = match (subject.role, events) {
            (FileRole::Events, Some(events)) => events.to_owned(),
            (role, _) => place(role, &subject.name, Path::new(&manifest.results.path), results),
        };
        let state = compare(subject, &path, manifest).unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => FileState::Missing,
            _ => FileState::Differs(error.to_string()),
        });
        FileCheck { role: subject.role, path, state }
    }));
    checks
}

/// The path of a file that is named after the results and may have been renamed with them.
fn place(role: FileRole, name: &str, recorded: &Path, results: &Path) -> PathBuf {
    let usual = |results: &Path| match role {
        FileRole::Results => Some(results.to_owned()),
        FileRole::Remaining => Some(RunFiles::beside(results.to_owned()).remaining),
        FileRole::Summary => Some(RunFiles::beside(results.to_owned()).summary),
        FileRole::Verified => Some(verified::beside(results)),
        FileRole::Report => Some(report_beside(results)),
        FileRole::Events => None,
    };
    let is_usual = usual(recorded).is_some_and(|usual| usual.file_name() == Path::new(name).file_name());
    let is_beside = Path::new(name).components().count() == 1;
    match usual(results) {
        Some(usual) if is_beside && is_usual => usual,
        Some(_) | None => results.with_file_name("").join(name),
    }
}

fn compare(subject: &Subject, path: &Path, manifest: &Manifest) -> io::Result<FileState> {
    let mut file = open_regular(path)?;
    let read = during("read", path);
    let print = fingerprint_of(&mut file.by_ref().take(subject.bytes)).map_err(read)?;
    if print.bytes < subject.bytes {
        let what = format!("it has {} bytes, and {} are recorded", print.bytes, subject.bytes);
        return Ok(FileState::Differs(what));
    }
    if print.sha256 != subject.digest.sha256 {
        let what = format!(
            "the SHA-256 of its {} recorded bytes is {}, and {} is recorded",
            subject.bytes, print.sha256, subject.digest.sha256
        );
        return Ok(FileState::Differs(what));
    }
    let mut behind = Vec::new();
    file.take(MOST_BEHIND).read_to_end(&mut behind).map_err(read)?;
    Ok(match is_fitting_end(subject.role, &behind, manifest) {
        Ok(()) => FileState::AsRecorded,
        Err(why) => FileState::Differs(why),
    })
}

/// Fails if the bytes after the recorded ones aren't what a run writes there.
fn is_fitting_end(role: FileRole, behind: &[u8], manifest: &Manifest) -> Result<(), String> {
    let has_end = manifest.runs.last().is_some_and(|run| run.ended_at.is_some());
    match role {
        // A run appends to these until its end.
        FileRole::Results | FileRole::Events if !has_end => Ok(()),
        FileRole::Events => end_of_events(behind, manifest),
        FileRole::Summary => end_of_summary(behind, manifest),
        FileRole::Results | FileRole::Remaining | FileRole::Verified | FileRole::Report if behind.is_empty() => Ok(()),
        FileRole::Results | FileRole::Remaining | FileRole::Verified | FileRole::Report => {
            Err("there is more in it than the recorded bytes".into())
        }
    }
}

/// The members of an event that are compared.
#[derive(Deserialize)]
struct TailLine {
    #[serde(rename = "type")]
    kind: String,
    run_id: Option<String>,
    manifest_sha256: Option<String>,
}

fn end_of_events(behind: &[u8], manifest: &Manifest) -> Result<(), String> {
    let mut lines =
        behind.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice::<TailLine>(line).ok());
    let last_run = manifest.runs.last().map(|run| run.run_id.as_str());
    let Some(Some(ended)) = lines.next() else { return Err("its last line, run_ended, is missing".into()) };
    if ended.kind != "run_ended" || ended.run_id.as_deref() != last_run {
        return Err("the recorded lines aren't followed by the run_ended of the last run".into());
    }
    names_sealed(ended.manifest_sha256.as_deref(), "run_ended", manifest)?;
    // Runs with other results may use the same file.
    match lines.next() {
        None => Ok(()),
        Some(Some(next)) if next.kind == "run_started" && next.run_id.as_deref() != last_run => Ok(()),
        Some(_) => Err("lines were added after the run_ended of the last run".into()),
    }
}

fn end_of_summary(behind: &[u8], manifest: &Manifest) -> Result<(), String> {
    let text = str::from_utf8(behind).unwrap_or_default();
    let digest = text.strip_prefix(",\n  \"manifest_sha256\": \"").and_then(|rest| rest.strip_suffix("\"\n}\n"));
    match digest {
        Some(digest) => names_sealed(Some(digest), "manifest_sha256", manifest),
        None => Err("it doesn't end with manifest_sha256".into()),
    }
}

/// Fails if the digest in another file isn't that of the manifest that the run left.
fn names_sealed(found: Option<&str>, member: &str, manifest: &Manifest) -> Result<(), String> {
    let Some(found) = found else { return Err(format!("{member} names no manifest")) };
    match left_by_last_run(manifest) {
        Left::This(sealed) if sealed == found => Ok(()),
        Left::This(sealed) => {
            Err(format!("{member} names a manifest with SHA-256 {found}, and the one that the run left has {sealed}"))
        }
        Left::AnEarlier if given(manifest, found) == GivenDigest::Unknown => {
            Err(format!("{member} names a manifest with SHA-256 {found}, which isn't in the history of this one"))
        }
        Left::AnEarlier | Left::Forgotten => Ok(()),
    }
}

/// The manifest that the last run left.
enum Left<'a> {
    /// Its digest.
    This(&'a str),
    /// The last run has left none, so the files are those of an earlier run.
    AnEarlier,
    /// The history no longer has the step after the run.
    Forgotten,
}

fn left_by_last_run(manifest: &Manifest) -> Left<'_> {
    if manifest.runs.last().is_none_or(|run| run.ended_at.is_none()) {
        return Left::AnEarlier;
    }
    let next = manifest.history.iter().rposition(|change| change.step.is_run()).map_or(0, |run| run + 1);
    let is_cut = manifest.history_left_out > 0 && next <= FIRST_RUNS;
    let after = manifest.history.get(next).map(|change| &change.previous_sha256);
    match after.unwrap_or(&manifest.sha256) {
        Some(sealed) if !is_cut => Left::This(sealed),
        Some(_) | None => Left::Forgotten,
    }
}

/// The differences between the totals of the manifest and of the records. Those of a run without an end may be lower,
/// because the manifest is older than the last records.
#[must_use]
pub fn recount(manifest: &Manifest, recorded: &Recorded) -> Vec<String> {
    let (tally, has_end) = (recorded.tally(), manifest.results.sha256.is_some());
    let found = StatusTotals::of(tally.counts(), manifest.input.rows);
    let mut wrong = differences("", &found.by_status, &manifest.totals.by_status, has_end);
    if !has_end {
        return wrong;
    }
    let teams = tally.teams().iter().map(|(team, rows)| (team.as_str(), StatusRows::some(rows)));
    wrong.extend(differences_between("workspace", teams, &manifest.per_workspace));
    if !manifest.users_left_out && !tally.users_left_out() {
        let users = tally.users().map(|(user, rows)| (user.as_str(), StatusRows::some(&rows)));
        wrong.extend(differences_between("user", users, &manifest.per_user));
    }
    wrong
}

fn differences_between<'a>(
    kind: &str,
    found: impl Iterator<Item = (&'a str, StatusRows)>,
    known: &BTreeMap<String, StatusRows>,
) -> Vec<String> {
    let (none, found): (_, BTreeMap<&str, StatusRows>) = (StatusRows::default(), found.collect());
    let names: BTreeSet<&str> = found.keys().copied().chain(known.keys().map(String::as_str)).collect();
    let of = |name| (found.get(name).unwrap_or(&none), known.get(name).unwrap_or(&none));
    let wrong = names.into_iter().map(|name| (name, of(name))).filter(|(_, (found, known))| found != known);
    wrong.flat_map(|(name, (found, known))| differences(&format!(" of {kind} {name}"), found, known, true)).collect()
}

fn differences(whose: &str, found: &StatusRows, known: &StatusRows, is_final: bool) -> Vec<String> {
    let statuses = Status::ALL.into_iter();
    let is_wrong = |found: u64, known: u64| if is_final { found != known } else { found < known };
    let wrong = statuses.filter(|status| is_wrong(found.of(*status), known.of(*status)));
    wrong
        .map(|status| {
            let (found, known) = (found.of(status), known.of(status));
            format!("{found} records{whose} are {}, and {known} are recorded", status.as_str())
        })
        .collect()
}
