//! The tables of the page, row by row, as the templates take them.

use super::aggregates::{Aggregates, GroupCounts, Number};
use super::chart::{moment, stretch};
use super::page_input::{HashCheck, PageInput, PageRun, duration};
use crate::exit::ExitStatus;
use crate::model::{Counts, ErrorCode, Run, Stamp, Status, StatusGroup};
use crate::output::text::{clean, counted, format_duration, rate, thousands};
use std::time::Duration;

/// Groups that are shown one by one.
const MOST_GROUPS: usize = 20;

pub struct StatusRow {
    pub status: Status,
    pub meaning: String,
    pub rows: Number,
    pub percent: String,
}

/// Every status, those without rows too: a zero is an answer.
pub fn statuses(counts: &Counts) -> Vec<StatusRow> {
    let row = |(status, rows): (Status, u64)| StatusRow {
        status,
        meaning: sentence(status.meaning()),
        rows: Number(rows),
        percent: percent(rows, counts.ended()),
    };
    counts.iter().map(row).collect()
}

/// With a capital and a full stop; the page has no code in its texts.
fn sentence(meaning: &str) -> String {
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
    /// As it is written in the results; empty for those that name none, and for the others together.
    pub name: String,
    /// What is shown instead of an empty name.
    pub instead: String,
    pub is_others: bool,
    pub rows: Number,
    pub by_group: [Number; StatusGroup::ALL.len()],
    pub bar: Vec<BarPart>,
    pub what_to_do: &'static str,
    pub statuses: String,
}

/// A part of a bar: its class, its start and its width in per cent.
pub type BarPart = (&'static str, String, String);

/// The largest groups, and the others together; `about` says what to do about a name, `none` and `many` name what has
/// no name of its own.
pub fn groups(groups: &GroupCounts, none: &str, many: &str, about: impl Fn(&str) -> &'static str) -> Vec<GroupRow> {
    let (shown, others) = groups.top(MOST_GROUPS);
    let longest = shown.iter().map(|(_, counts)| counts.ended()).chain([others.counts.ended()]).max().unwrap_or(0);
    let named = shown.into_iter().map(|(name, counts)| {
        let instead = if name.is_empty() { none.to_owned() } else { String::new() };
        group(clean(name).into_owned(), instead, counts, longest, about(name))
    });
    let mut rows: Vec<_> = named.collect();
    if others.counts.ended() > 0 {
        let least = if others.uncounted { "more than " } else { "" };
        let instead = format!("{least}{} other {many}", thousands(others.groups));
        rows.push(GroupRow { is_others: true, ..group(String::new(), instead, &others.counts, longest, "") });
    }
    rows
}

fn group(name: String, instead: String, counts: &Counts, longest: u64, what_to_do: &'static str) -> GroupRow {
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

/// The whole bar stands for `of` rows.
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
    let counted = |number: fn(&Run) -> u64| run.record.map(number).map(thousands).unwrap_or_default();
    RunRow {
        run_id: clean(run.run_id).into_owned(),
        started: moment(run.started),
        took: run.ended.map(|ended| format_duration(between(run.started, ended))).unwrap_or_default(),
        rows: Number(rows),
        calls: counted(|run| run.counts.calls),
        rate_limited: counted(|run| run.counts.rate_limited),
        exit: exit(run.exit_code).unwrap_or_default(),
    }
}

/// From one moment to a later one.
fn between(from: Stamp, to: Stamp) -> Duration {
    Duration::from_millis(u64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(0))
}

/// An exit code and its meaning; `None` for a number that no run ends with.
fn exit(code: Option<u8>) -> Option<String> {
    let known = ExitStatus::TABLE.into_iter().find(|(_, number, _)| Some(*number) == code);
    known.map(|(_, number, meaning)| format!("{number}: {meaning}"))
}

/// What was asked, by whom, when, and how it ended: questions with their answers, those without one left out.
pub fn facts(input: &PageInput<'_>, aggregates: &Aggregates) -> Vec<(&'static str, String)> {
    let (first, last) = (input.runs.first(), input.runs.last());
    let record = last.and_then(|run| run.record);
    let asked = input.manifest.as_ref().map(|manifest| manifest.input);
    let window = aggregates.window.map(|(from, to)| stretch(from, to));
    let at_work = input.runs.iter().filter_map(|run| Some(between(run.started, run.ended?))).sum::<Duration>();
    let records = input.runs.iter().filter_map(|run| run.record);
    let paused = records.map(|run| duration(run.counts.paused_seconds)).sum::<Duration>();
    let learnt = record.and_then(|run| run.pacing.learnt_per_minute);
    let answers = [
        ("Reason given", record.and_then(|run| run.reason.clone())),
        ("Asked for by", record.and_then(actor)),
        ("Organisation", record.and_then(organisation)),
        ("Input", asked.map(|input| format!("{}, {} rows", input.path, thousands(input.rows)))),
        ("Sent to", record.map(|run| run.api_host.clone())),
        ("From machine", record.map(|run| format!("{}, process {}", run.host, run.pid))),
        ("Began (UTC)", first.map(|run| moment(run.started))),
        ("Ended (UTC)", last.and_then(|run| run.ended).map(moment)),
        ("First call to last record (UTC)", window),
        ("Time at work", (!at_work.is_zero()).then(|| format_duration(at_work))),
        ("Paused for Slack’s limit", (!paused.is_zero()).then(|| format_duration(paused))),
        ("Rate asked for", record.map(rate_asked_for)),
        ("Limit found", learnt.map(|found| format!("{} calls a minute", rate(found)))),
        ("Exit code", last.and_then(|run| exit(run.exit_code))),
        ("Run", last.filter(|_| input.runs.len() == 1).map(|run| run.run_id.to_owned())),
    ];
    let given = answers.into_iter().filter_map(|(question, answer)| Some((question, clean(&answer?).into_owned())));
    given.filter(|(_, answer)| !answer.is_empty()).collect()
}

/// A name with its id, or the id alone.
fn named(id: &str, name: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}

fn actor(run: &Run) -> Option<String> {
    run.identity.as_ref().map(|who| named(&who.user_id, &who.user))
}

fn organisation(run: &Run) -> Option<String> {
    let who = run.identity.as_ref()?;
    let id = who.enterprise_id.as_deref().unwrap_or(&who.team_id);
    Some(format!("{}, {}", named(id, &who.team), who.url))
}

fn rate_asked_for(run: &Run) -> String {
    let most = run.max_rate.map(|most| format!(", at most {} calls a minute", rate(most)));
    format!("{}{}", run.rate, most.unwrap_or_default())
}

/// What `verify` found, line by line.
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
        ("gone", "gone, and the user has no other session", found.gone),
        ("user_back", "gone, and the user is back with new sessions", found.user_back),
        ("still_there", "still there", found.still_there),
        ("unproven", "not proved gone", found.unproven),
        ("not_asked", "no session named in the row", found.not_asked),
    ];
    Some(VerifiedRows {
        at: moment(found.at),
        file: clean(&found.file).into_owned(),
        is_older,
        rows: rows.map(|(name, label, rows)| (name, label, Number(rows))),
        new_sessions: (found.new_sessions > 0).then(|| counted(found.new_sessions, "new session", "new sessions")),
    })
}

/// A hash, and what it is compared with.
pub struct HashRow {
    pub what: &'static str,
    pub sha256: String,
    pub check: &'static str,
    pub meaning: &'static str,
}

/// The hashes of the input and of the results.
pub fn hashes(input: &PageInput<'_>) -> Vec<HashRow> {
    let mut rows = vec![hash_row("Results, now", &input.results.sha256, input.results_check())];
    if let Some(manifest) = &input.manifest {
        let recorded = manifest.results.sha256.as_ref().filter(|recorded| **recorded != input.results.sha256);
        rows.extend(recorded.map(|hash| hash_row("Results, at the end of the run", hash, HashCheck::Differs)));
        rows.push(hash_row("Input, as it was read", &manifest.input.sha256, manifest.input_now));
    }
    rows
}

fn hash_row(what: &'static str, sha256: &str, check: HashCheck) -> HashRow {
    let (check, meaning) = match check {
        HashCheck::Matches => ("matches", "the same now as recorded in the manifest"),
        HashCheck::Differs => ("differs", "the file now and the manifest differ"),
        HashCheck::NotRecorded => ("not recorded", "no manifest has a hash to compare with"),
        HashCheck::Absent => ("not compared", "the file is not there any more"),
    };
    HashRow { what, sha256: clean(sha256).into_owned(), check, meaning }
}

/// The hint of Slack's code; empty for a transport error, and for codes that aren't trouble.
pub fn hint_of(name: &str) -> &'static str {
    match ErrorCode::from(name) {
        ErrorCode::Other(_) | ErrorCode::SessionNotFound | ErrorCode::SessionExpired => "",
        code => code.hint(),
    }
}
