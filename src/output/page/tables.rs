//! The tables of the page, for the templates.

use super::aggregates::{Aggregates, GroupCounts, Number};
use super::page_input::{FileNow, PageInput, PageManifest, PageRun, duration};
use super::times::{between, moment};
use crate::model::{CallCounts, Counts, ExitStatus, FileCheck, FileState, Run, Status, StatusGroup, error_hint};
use crate::output::text::{clean, counted, format_duration, rate, thousands};
use std::time::Duration;

/// Maximum number of groups that are listed.
const MOST_GROUPS: usize = 20;

pub struct StatusRow {
    pub status: Status,
    pub meaning: String,
    pub rows: Number,
    pub percent: String,
}

/// Every status, including those without rows.
pub fn statuses(counts: &Counts) -> Vec<StatusRow> {
    let row = |(status, rows): (Status, u64)| StatusRow {
        status,
        meaning: sentence(status.meaning()),
        rows: Number(rows),
        percent: percent(rows, counts.ended()),
    };
    counts.iter().map(row).collect()
}

/// Capitalizes the text, adds a full stop and removes backticks. Empty if the text is empty.
fn sentence(meaning: &str) -> String {
    if meaning.is_empty() {
        return String::new();
    }
    let meaning = meaning.replace('`', "");
    let mut letters = meaning.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share, to one decimal")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.1} %", part as f64 / whole as f64 * 100.0) }
}

/// A workspace or an error with its rows.
pub struct GroupRow {
    /// As in the results; empty for rows without a name and for the combined remainder.
    pub name: String,
    /// Shown if the name is empty.
    pub instead: String,
    pub is_others: bool,
    pub rows: Number,
    pub by_group: [Number; StatusGroup::ALL.len()],
    pub bar: Vec<BarPart>,
    pub what_to_do: String,
    pub statuses: String,
}

/// A part of a bar: its class, its start and its width in per cent.
pub type BarPart = (&'static str, String, String);

/// The largest groups, then the remainder combined. `none` labels rows without a name, `many` the remainder; `about` returns the
/// advice for a name.
pub fn groups(groups: &GroupCounts, none: &str, many: &str, about: impl Fn(&str, &Counts) -> String) -> Vec<GroupRow> {
    let (shown, others) = groups.top(MOST_GROUPS);
    let longest = shown.iter().map(|(_, counts)| counts.ended()).chain([others.counts.ended()]).max().unwrap_or(0);
    let named = shown.into_iter().map(|(name, counts)| {
        let instead = if name.is_empty() { none.to_owned() } else { String::new() };
        group(clean(name).into_owned(), instead, counts, longest, about(name, counts))
    });
    let mut rows: Vec<_> = named.collect();
    if others.counts.ended() > 0 {
        let least = if others.uncounted { "more than " } else { "" };
        let instead = format!("{least}{} other {many}", thousands(others.groups));
        rows.push(GroupRow {
            is_others: true,
            ..group(String::new(), instead, &others.counts, longest, String::new())
        });
    }
    rows
}

fn group(name: String, instead: String, counts: &Counts, longest: u64, what_to_do: String) -> GroupRow {
    let with_rows = counts.iter().filter(|(_, rows)| *rows > 0);
    let statuses: Vec<_> = with_rows.map(|(status, rows)| format!("{} {}", thousands(rows), status.as_str())).collect();
    GroupRow {
        name,
        instead,
        is_others: false,
        rows: Number(counts.ended()),
        by_group: StatusGroup::ALL.map(|group| Number(group.of(counts))),
        bar: bar(counts, longest),
        what_to_do,
        statuses: statuses.join(", "),
    }
}

/// The whole bar represents `of` rows.
#[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
pub fn bar(counts: &Counts, of: u64) -> Vec<BarPart> {
    let mut x = 0.0;
    let groups = StatusGroup::ALL.into_iter().map(|group| (group, group.of(counts))).filter(|(_, rows)| *rows > 0);
    let part = |(group, rows): (StatusGroup, u64)| {
        let width = rows as f64 / of.max(1) as f64 * 100.0;
        let part = (group.class(), format!("{x:.2}"), format!("{width:.2}"));
        x += width;
        part
    };
    groups.map(part).collect()
}

/// One of several runs.
pub struct RunRow {
    pub run_id: String,
    pub started: String,
    pub took: String,
    pub rows: Number,
    pub calls: String,
    pub rate_limited: String,
    pub exit: String,
}

/// The runs with the rows that ended in each.
pub fn runs(input: &PageInput<'_>, aggregates: &Aggregates) -> Vec<RunRow> {
    let rows = aggregates.timeline.runs().iter().map(|bars| bars.iter().flat_map(|(_, rows)| rows).sum());
    input.runs.iter().zip(rows).map(|(run, rows)| run_row(run, rows)).collect()
}

fn run_row(run: &PageRun<'_>, rows: u64) -> RunRow {
    let counted = |words: fn(CallCounts) -> String| run.record.map(|run| words(run.counts.calls)).unwrap_or_default();
    RunRow {
        run_id: clean(run.run_id).into_owned(),
        started: moment(run.started),
        took: run.ended.map(|ended| format_duration(between(run.started, ended))).unwrap_or_default(),
        rows: Number(rows),
        calls: counted(by_method),
        rate_limited: counted(|counts| thousands(counts.rate_limited)),
        exit: exit(run.exit_code).unwrap_or_default(),
    }
}

fn by_method(counts: CallCounts) -> String {
    match counts.bulk_calls {
        0 => thousands(counts.calls),
        bulk => format!("{} ({} bulk)", thousands(counts.calls), thousands(bulk)),
    }
}

/// An exit code with its meaning; `None` if it isn't one of ours.
fn exit(code: Option<u8>) -> Option<String> {
    let known = ExitStatus::TABLE.into_iter().find(|(_, number, _)| Some(*number) == code);
    known.map(|(_, number, meaning)| format!("{number}: {meaning}"))
}

/// Labels and values that describe the runs; labels without a value are omitted.
pub fn facts(input: &PageInput<'_>) -> Vec<(&'static str, String)> {
    let (first, last) = (input.runs.first(), input.runs.last());
    let record = last.and_then(|run| run.record);
    let input_record = input.manifest.as_ref().map(|manifest| manifest.input);
    let at_work = input.runs.iter().filter_map(|run| Some(between(run.started, run.ended?))).sum::<Duration>();
    let records = || input.runs.iter().filter_map(|run| run.record);
    let paused = records().map(|run| duration(run.counts.paused_seconds)).sum::<Duration>();
    let mut calls = CallCounts::default();
    records().for_each(|run| calls.add(run.counts.calls));
    let learnt = record.and_then(|run| run.pacing.learnt_per_minute);
    let answers = [
        ("Input", input_record.map(|input| format!("{}, {}", input.path, counted(input.rows, "row", "rows")))),
        ("API host", record.map(|run| run.api_host.clone())),
        ("Machine", record.map(|run| format!("{}, process {}", run.host, run.pid))),
        ("Started (UTC)", first.map(|run| moment(run.started))),
        ("Ended (UTC)", last.and_then(|run| run.ended).map(moment)),
        ("Run time", (!at_work.is_zero()).then(|| format_duration(at_work))),
        ("Calls", record.map(|_| by_method(calls))),
        ("Listing (--bulk)", record.and_then(|run| Some(run.bulk.as_ref()?.path.clone()))),
        ("Paused for the rate limit", (!paused.is_zero()).then(|| format_duration(paused))),
        ("Rate (--rate)", record.map(rate_setting)),
        ("Rate limit found", learnt.map(|found| format!("{}/min", rate(found)))),
        ("Exit code", last.and_then(|run| exit(run.exit_code))),
        ("Run", last.filter(|_| input.runs.len() == 1).map(|run| run.run_id.to_owned())),
    ];
    let given = answers.into_iter().filter_map(|(question, answer)| Some((question, clean(&answer?).into_owned())));
    given.filter(|(_, answer)| !answer.is_empty()).collect()
}

fn rate_setting(run: &Run) -> String {
    let most = run.max_rate.map(|most| format!(", at most {}/min", rate(most)));
    format!("{}{}", run.rate, most.unwrap_or_default())
}

/// The counts of the last `verify`.
pub struct VerifiedRows {
    pub at: String,
    pub file: String,
    pub is_older: bool,
    pub rows: [(&'static str, &'static str, Number); 5],
    pub new_sessions: Option<String>,
}

pub fn verified(input: &PageInput<'_>) -> Option<VerifiedRows> {
    let (found, is_older) = input.manifest.as_ref()?.verified()?;
    let rows = [
        ("gone", "Gone; the user has no other session", found.gone),
        ("user_back", "Gone; the user signed in again", found.user_back),
        ("still_there", "Still active, protected sessions included", found.still_there),
        ("unproven", "Not verified: the session may be one that couldn’t be listed", found.unproven),
        ("not_asked", "Not checked: the row has no session id", found.not_asked),
    ];
    Some(VerifiedRows {
        at: moment(found.at),
        file: clean(&found.file).into_owned(),
        is_older,
        rows: rows.map(|(name, label, rows)| (name, label, Number(rows))),
        new_sessions: (found.new_sessions > 0).then(|| counted(found.new_sessions, "new session", "new sessions")),
    })
}

/// A file compared with its record in the manifest.
pub struct HashRow {
    pub what: &'static str,
    pub file: String,
    /// SHA-256 and length of the file now.
    pub now: Option<(String, String)>,
    /// SHA-256 and length in the manifest, if they differ or the file is missing.
    pub recorded: Option<(String, String)>,
    pub check: &'static str,
    pub meaning: String,
}

/// The results and the input against the manifest.
pub fn hashes(input: &PageInput<'_>) -> Vec<HashRow> {
    let Some(manifest) = &input.manifest else {
        let why = "there is no manifest to compare with";
        return vec![hash_row("Results", &input.results.now.path, Some(&input.results.now), None, why)];
    };
    let name = clean(manifest.path.rsplit('/').next().unwrap_or_default());
    let results = manifest.recorded_results();
    let unrecorded =
        format!("{name} has no results.sha256, because the last run is still going on or ended unexpectedly");
    let record =
        |member: &str, when: &str| format!("{member}.sha256 and {member}.bytes in {name}, recorded when {when}");
    let of_results = if results.is_some() { record("results", "the last run ended") } else { unrecorded };
    let of_input = (&*manifest.input.sha256, Some(manifest.input.bytes));
    let input_now = manifest.input_now.as_ref();
    let input_path = input_now.map_or(&manifest.input.path, |now| &now.path);
    let mut rows = vec![
        hash_row("Results", &input.results.now.path, Some(&input.results.now), results, &of_results),
        hash_row("Input", input_path, input_now, Some(of_input), &record("input", "the input was read")),
    ];
    rows.extend(manifest.files.iter().map(|file| file_row(file, &name)));
    rows.push(manifest_row(manifest));
    rows
}

/// One of the other files that the manifest called `name` has the digest of.
fn file_row(FileCheck { role, path, state }: &FileCheck, name: &str) -> HashRow {
    let (what, check, found) = (role.title(), state.word(), "the SHA-256 and length in");
    let meaning = match state {
        FileState::AsRecorded => format!("{what} have {found} subjects of {name}."),
        FileState::Differs(how) => format!("{what} don’t have {found} subjects of {name}: {}.", clean(how)),
        FileState::Missing => format!("This file doesn’t exist; {name} has its SHA-256 and length in subjects."),
        FileState::NotSealed => format!("{name} doesn’t have its SHA-256."),
    };
    HashRow { what, file: clean(&path.to_string_lossy()).into_owned(), now: None, recorded: None, check, meaning }
}

/// The manifest itself can only be compared with a digest from another place.
fn manifest_row(manifest: &PageManifest<'_>) -> HashRow {
    let (check, meaning) = match manifest.is_as_given {
        Some(true) => ("matches", "its SHA-256 is the one given with --manifest-sha256."),
        Some(false) => ("differs", "its SHA-256 isn’t the one given with --manifest-sha256."),
        None => {
            ("not compared", "compare it with the SHA-256 printed by the last run or verify. This report changes it.")
        }
    };
    let now = manifest.sha256.map(|sha256| (clean(sha256).into_owned(), String::new()));
    let file = clean(&manifest.path).into_owned();
    HashRow { what: "Manifest", file, now, recorded: None, check, meaning: meaning.into() }
}

/// `record` says what was recorded, or why nothing was.
fn hash_row(
    what: &'static str,
    file: &str,
    now: Option<&FileNow>,
    recorded: Option<(&str, Option<u64>)>,
    record: &str,
) -> HashRow {
    let (word, meaning) = match (now, recorded) {
        (_, None) => ("not recorded", format!("Not compared: {record}.")),
        (Some(now), Some(recorded)) if now.is(recorded) => {
            ("matches", format!("SHA-256 and length of this file are equal to {record}."))
        }
        (Some(_), Some(_)) => ("differs", format!("SHA-256 or length of this file differs from {record}.")),
        (None, Some(_)) if file == "-" => ("not compared", format!("The input was standard input; see {record}.")),
        (None, Some(_)) => ("not compared", format!("This file doesn’t exist or can’t be read; see {record}.")),
    };
    let shown = |sha256: &str, bytes: Option<u64>| {
        let length = bytes.map(|bytes| counted(bytes, "byte", "bytes")).unwrap_or_default();
        (clean(sha256).into_owned(), length)
    };
    let recorded = recorded.filter(|recorded| now.is_none_or(|now| !now.is(*recorded)));
    HashRow {
        what,
        file: clean(file).into_owned(),
        now: now.map(|now| shown(&now.sha256, Some(now.bytes))),
        recorded: recorded.map(|(sha256, bytes)| shown(sha256, bytes)),
        check: word,
        meaning,
    }
}

/// The hint for an error, for the most severe status among its rows.
pub fn remedy(error: &str, counts: &Counts) -> String {
    let of_group = |group: StatusGroup| counts.iter().find(|(status, rows)| *rows > 0 && status.group() == group);
    let status = StatusGroup::ALL.into_iter().rev().find_map(of_group).map_or(Status::Failed, |(status, _)| status);
    sentence(error_hint(status, error))
}
