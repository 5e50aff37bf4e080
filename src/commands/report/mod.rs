//! `report`: a run on one page, from its results, its manifest and, if given, its events. Sends nothing.

mod check;
mod files;

use crate::cli::PageArgs;
use crate::commands::outputs::{acquire, unwritable};
use crate::commands::seal::seal_now;
use crate::commands::verify::unreadable;
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::ledger::evidence;
use crate::ledger::manifest::{Manifest, ManifestError};
use crate::ledger::paths::{is_there, remaining_beside};
use crate::ledger::results::fingerprint;
use crate::ledger::scan::{Records, ResultRecord, SeenLines, records};
use crate::model::{ChangedBy, ExitStatus, FileRole, IdColumns};
use crate::output::page::{self, Aggregates, Events, FileNow, FoundFile, PageInput, PageManifest, PageRun, RecordView};
use crate::output::{self, Console};
use files::ReportFiles;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// # Errors
/// If the results, the manifest or the events can't be used, or the page can't be written.
pub fn report(typed: PageArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let PageArgs { results, output, rehearse, events, check, manifest_sha256, seal } = typed;
    let files = ReportFiles::of(&results, output, events)?;
    if check {
        return check::check(&files, manifest_sha256.as_deref());
    }
    let records = records(&files.run.results).map_err(|error| unreadable(&error))?;
    let manifest = manifest_of(&files)?;
    if rehearse && !manifest.as_ref().is_some_and(Manifest::is_rehearsal) {
        let what = format!("{} aren't the results of a rehearsal", files.run.results.display());
        return Err(RunError::input(what, "leave out --rehearse"));
    }
    files.check(manifest.as_ref())?;
    let events = files.events.as_deref().map(events_of).transpose()?;
    let recorded = manifest.as_ref().map(|manifest| &*manifest.runs);
    let runs = PageRun::all(recorded, events.as_ref());
    let starts: Vec<_> = runs.iter().map(|run| run.started).collect();
    // Checked before the results are read, so a run that ends in between is shown as still running.
    let is_running = files.is_held(manifest.as_ref())?;
    let names = manifest.as_ref().map(|manifest| manifest.input.columns.names()).unwrap_or_default();
    let ids = records.id_columns(&names).map_err(|error| unreadable(&error))?;
    let (aggregates, found) = aggregated(records, ids, &files, Aggregates::new(&starts))?;
    let left_out = manifest.as_ref().map(|manifest| (&*manifest.runs, &manifest.runs_left_out));
    let input = PageInput {
        made_at: wall(),
        tool_version: env!("CARGO_PKG_VERSION"),
        results: found,
        is_running,
        runs,
        manifest: manifest.as_ref().map(|manifest| recorded_by(manifest, &files, manifest_sha256.as_deref())),
        event_notes: page::event_notes(events.as_ref(), left_out),
    };
    let text = page::page(&input, &aggregates)
        .map_err(|error| RunError::internal(format!("the report can't be generated: {error}")))?;
    page::write(&files.output, &text).map_err(|error| unwritable(&error))?;
    let recorded = manifest.filter(|_| !is_running).map(|manifest| record(&manifest, &files)).transpose();
    let sha256 = recorded.unwrap_or_else(|why| {
        tracing::warn!(target: output::WEAKENED, "the manifest doesn't have this report's digest: {why}");
        None
    });
    if let Some(sha256) = &sha256 {
        console.note(&output::manifest_line(&files.run.manifest, sha256));
    }
    seal_now(&seal, &files.run.manifest, sha256.as_deref(), console)?;
    console.note(&format!("written: {}", files.output.display()));
    Ok(ExitStatus::Success)
}

/// Adds the page to the manifest, which must be the one that it was made from; returns its new digest. Holds the lock for that
/// moment, so that no run begins in it.
fn record(read: &Manifest, files: &ReportFiles) -> Result<String, String> {
    let _lock = acquire(&files.run).map_err(|error| error.what().into_owned())?;
    let mut manifest = Manifest::load(&files.run.manifest).map_err(|error| error.to_string())?;
    if manifest.sha256 != read.sha256 {
        return Err("another command changed it meanwhile".into());
    }
    let (step, file) = ((ChangedBy::Report, wall()), (FileRole::Report, &*files.output));
    evidence::save_step(&mut manifest, step, file, &files.run.manifest).map_err(|error| error.to_string())?;
    Ok(manifest.sha256.unwrap_or_default())
}

fn recorded_by<'a>(manifest: &'a Manifest, files: &ReportFiles, given: Option<&str>) -> PageManifest<'a> {
    let checks = evidence::check(manifest, &files.run.results, files.events.as_deref()).into_iter();
    // The results have a row of their own, and the page is about to be replaced.
    let others = checks.filter(|file| !matches!(file.role, FileRole::Results | FileRole::Report));
    PageManifest {
        path: files.run.manifest.to_string_lossy().into_owned(),
        tool_version: &manifest.tool_version,
        runs: &manifest.runs,
        input: &manifest.input,
        input_now: files.input_now(&manifest.input),
        results: &manifest.results,
        totals: &manifest.totals,
        verified: manifest.verified(),
        files: others.collect(),
        sha256: manifest.sha256.as_deref(),
        is_as_given: given.map(|given| manifest.sha256.as_deref() == Some(given)),
    }
}

/// The manifest next to the results, or `None`, with a warning, if it is missing.
fn manifest_of(files: &ReportFiles) -> Result<Option<Manifest>, RunError> {
    match Manifest::load(&files.run.manifest) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(ManifestError::Missing(path)) => {
            tracing::warn!(
                target: output::WEAKENED,
                "{} is missing; the report only shows what is in the results",
                path.display()
            );
            Ok(None)
        }
        Err(error) => Err(refused(error.to_string(), "no report was written")),
    }
}

fn events_of(path: &Path) -> Result<Events, RunError> {
    let read = || page::read_events(BufReader::new(File::open(path)?));
    let next = "name the file that run --events wrote, or leave --events out";
    let events = read().map_err(|error: io::Error| refused(format!("can't read {}: {error}", path.display()), next))?;
    if events.lines == 0 && events.unreadable > 0 {
        return Err(refused(format!("{} isn't an events file of slack-revoke", path.display()), next));
    }
    Ok(events)
}

/// Reads the results once for the aggregates, and once for their hash.
fn aggregated(
    mut records: Records,
    ids: IdColumns,
    files: &ReportFiles,
    mut aggregates: Aggregates,
) -> Result<(Aggregates, FoundFile), RunError> {
    let (mut lines, mut recorded_twice) = (SeenLines::default(), 0);
    for record in &mut records {
        let record = record.map_err(|error| unreadable(&error))?;
        if lines.note(record.line) {
            aggregates.add(view(&record, ids));
        } else {
            recorded_twice += 1;
        }
    }
    let failed = |error: io::Error| refused(error.to_string(), "no report was written");
    let is_torn = records.is_torn().map_err(failed)?;
    let print = fingerprint(&files.run.results).map_err(failed)?;
    let remains = is_there(&files.run.remaining).map_err(failed)?;
    let found = FoundFile {
        now: FileNow { path: files.given.to_string_lossy().into_owned(), sha256: print.sha256, bytes: print.bytes },
        is_torn,
        recorded_twice,
        remaining: remains.then(|| remaining_beside(&files.given).to_string_lossy().into_owned()),
    };
    Ok((aggregates, found))
}

fn view(record: &ResultRecord, ids: IdColumns) -> RecordView<'_> {
    let field = |column: Option<usize>| column.and_then(|column| record.fields.get(column)).unwrap_or_default();
    let [session, team, user] = [ids.session, ids.team, ids.user].map(field);
    RecordView { line: record.line, session, team, user, outcome: &record.outcome }
}

fn refused(what: String, next: &str) -> RunError {
    RunError::input(what, next)
}
