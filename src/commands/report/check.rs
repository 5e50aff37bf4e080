//! `report --check`: whether the files of a run are as they were recorded. Reads only, and only files.

use super::files::ReportFiles;
use super::refused;
use crate::commands::console::print;
use crate::error::RunError;
use crate::ledger::evidence::{self, GivenDigest};
use crate::ledger::manifest::{Manifest, ManifestError};
use crate::ledger::scan::scan;
use crate::ledger::seal_files;
use crate::model::{Change, ExitStatus, FileCheck, FileState};
use crate::output::{clean, counted};
use std::fmt::Write as _;

/// What was found, a line each.
#[derive(Default)]
struct Findings {
    text: String,
    checks: u64,
    wrong: u64,
}

impl Findings {
    fn note(&mut self, what: &str, line: &str) {
        let _ = writeln!(self.text, "{what:<10} {}", clean(line));
    }

    fn add(&mut self, what: &str, line: &str, is_right: bool) {
        self.note(what, line);
        self.checks += 1;
        self.wrong += u64::from(!is_right);
    }
}

/// # Errors
/// If neither results nor a manifest are there, or the findings can't be printed.
pub(super) fn check(files: &ReportFiles, given: Option<&str>) -> Result<ExitStatus, RunError> {
    let mut findings = Findings::default();
    match Manifest::load(&files.run.manifest) {
        Ok(manifest) => {
            check_files(&mut findings, &manifest, files);
            check_records(&mut findings, &manifest, files);
            check_end(&mut findings, &manifest, files)?;
            check_manifest(&mut findings, &manifest, files, given);
            check_seals(&mut findings, &manifest, files)?;
        }
        Err(ManifestError::Missing(_)) if !files.run.results.is_file() => {
            return Err(refused(format!("{} doesn't exist", files.given.display()), "give the results of a run"));
        }
        Err(error) => findings.add("manifest", &error.to_string(), false),
    }
    print(|out| out.write_all(findings.text.as_bytes()))?;
    if findings.wrong == 0 {
        return Ok(ExitStatus::Success);
    }
    tracing::error!(
        "{} of {} found something else than was recorded",
        findings.wrong,
        counted(findings.checks, "check", "checks")
    );
    Ok(ExitStatus::RowsFailed)
}

fn check_files(findings: &mut Findings, manifest: &Manifest, files: &ReportFiles) {
    for FileCheck { role, path, state } in evidence::check(manifest, &files.run.results, files.events.as_deref()) {
        let found = match &state {
            FileState::AsRecorded => "as recorded".to_owned(),
            FileState::Missing => "missing".to_owned(),
            FileState::Differs(how) => format!("differs: {how}"),
            FileState::NotSealed => "its content isn't recorded".to_owned(),
        };
        findings.add(
            role.as_str(),
            &format!("{}: {found}", files.short(&path).display()),
            state == FileState::AsRecorded,
        );
    }
}

/// Counts the records again.
fn check_records(findings: &mut Findings, manifest: &Manifest, files: &ReportFiles) {
    let scan = match scan(&files.run.results, None, &manifest.input.columns.names()) {
        Ok(scan) => scan,
        Err(error) => return findings.add("totals", &format!("can't be counted: {error}"), false),
    };
    let wrong = evidence::recount(manifest, &scan.recorded);
    if wrong.is_empty() {
        let records = counted(scan.recorded.tally().counts().ended(), "record", "records");
        findings.add("totals", &format!("{records}: as recorded"), true);
    }
    for difference in wrong {
        findings.add("totals", &difference, false);
    }
}

/// A run without an end has nothing that an edit of its last records would contradict.
fn check_end(findings: &mut Findings, manifest: &Manifest, files: &ReportFiles) -> Result<(), RunError> {
    let Some(run) = manifest.runs.last().filter(|run| run.ended_at.is_none()) else { return Ok(()) };
    let what = if files.is_held(Some(manifest))? {
        format!("{} is still going on: check again when it has ended", run.run_id)
    } else {
        format!(
            "{} has no end, so its last records aren't sealed: it was killed; --resume continues and seals it",
            run.run_id
        )
    };
    findings.add("run", &what, false);
    Ok(())
}

/// The manifest's own digest, and how it came about.
fn check_manifest(findings: &mut Findings, manifest: &Manifest, files: &ReportFiles, given: Option<&str>) {
    let sha256 = manifest.sha256.as_deref().unwrap_or_default();
    let own = format!("{}: SHA-256 {sha256}", files.short(&files.run.manifest).display());
    match given.map(|given| evidence::given(manifest, given)) {
        None => findings
            .note("manifest", &format!("{own}, not compared: give the one that you have with --manifest-sha256")),
        Some(GivenDigest::Same) => findings.add("manifest", &format!("{own}, as given"), true),
        Some(GivenDigest::Earlier(change)) => {
            let what = format!(
                "differs: the digest given is that of an earlier state, which {} replaced; now {sha256}",
                named(change)
            );
            findings.add("manifest", &format!("{}: {what}", files.short(&files.run.manifest).display()), false);
        }
        Some(GivenDigest::Unknown) => {
            findings.add("manifest", &format!("differs: {own}, and the digest given isn't in its history"), false);
        }
    }
    for change in &manifest.history {
        let before = change.previous_sha256.as_deref().unwrap_or("no manifest");
        findings.note("history", &format!("{}, before it {before}", named(change)));
    }
    if manifest.history_left_out > 0 {
        findings.note("history", &format!("{} not listed", counted(manifest.history_left_out, "step is", "steps are")));
    }
}

/// Of which manifests there are seals. What they are only the command can say that made them.
fn check_seals(findings: &mut Findings, manifest: &Manifest, files: &ReportFiles) -> Result<(), RunError> {
    let seals =
        seal_files::beside(&files.run.manifest).map_err(|error| refused(error.to_string(), "nothing was changed"))?;
    for (sha256, path) in &seals {
        let path = files.short(path).display();
        match evidence::given(manifest, sha256) {
            GivenDigest::Same => findings.note("seal", &format!("{path}: of the manifest as it is; not verified here")),
            GivenDigest::Earlier(change) => {
                findings.note("seal", &format!("{path}: of the manifest before {}; not verified here", named(change)));
            }
            GivenDigest::Unknown if manifest.history_left_out > 0 => {
                findings.note("seal", &format!("{path}: of a manifest that isn't listed any more; not verified here"));
            }
            GivenDigest::Unknown => {
                findings.add("seal", &format!("{path}: of a manifest that isn't in the history of this one"), false);
            }
        }
    }
    if seals.iter().all(|(sha256, _)| evidence::given(manifest, sha256) != GivenDigest::Same) {
        findings.note("seal", "none of the manifest as it is");
    }
    Ok(())
}

fn named(change: &Change) -> String {
    let run = change.run_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    format!("{} at {}{run}", change.step.as_str(), change.at.rfc3339())
}
