//! The tables of the page, row by row, as the templates take them.

use super::ends::End;
use super::facts::{Check, Facts, Run};
use super::figures::{Figures, Trouble};
use super::groups::Groups;
use super::scale::{moment, stretch};
use crate::model::{Counts, ErrorCode, Stamp, Status};
use crate::output::text::{clean, human, rate, thousands};
use std::fmt;
use std::time::Duration;

/// Groups that are shown one by one.
const MOST_GROUPS: usize = 20;

/// A number: shown with separators, and as it is in a `data-` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&thousands(self.0))
    }
}

/// A status with its rows.
pub struct StatusRow {
    pub word: &'static str,
    pub label: &'static str,
    pub meaning: String,
    pub class: &'static str,
    pub rows: Number,
    pub percent: String,
}

/// Every status, those without rows too: a zero is an answer.
pub fn statuses(counts: &Counts) -> Vec<StatusRow> {
    let row = |(status, rows): (Status, u64)| StatusRow {
        word: status.as_str(),
        label: status.label(),
        meaning: sentence(status.meaning()),
        class: status.group().class(),
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

/// A part of a bar in a table, in per cent of the longest.
pub struct Share {
    pub class: &'static str,
    pub x: String,
    pub width: String,
}

/// A workspace or an error with its rows.
pub struct GroupRow {
    /// As it is written in the results; empty for those that name none, and for the others together.
    pub name: String,
    /// What is shown instead of an empty name.
    pub instead: String,
    pub is_others: bool,
    pub rows: Number,
    pub by_end: [Number; End::ALL.len()],
    pub shares: Vec<Share>,
    pub what_to_do: &'static str,
    pub statuses: String,
}

/// The largest groups, and the others together; `about` says what to do about a name, `none` and `others` name what has
/// no name of its own.
pub fn groups(groups: &Groups, none: &str, many: &str, about: impl Fn(&str) -> &'static str) -> Vec<GroupRow> {
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
    let by_end = End::ALL.map(|end| end.of(counts));
    let with_rows = counts.iter().filter(|(_, rows)| *rows > 0);
    let statuses: Vec<_> = with_rows.map(|(status, rows)| format!("{} {}", thousands(rows), status.as_str())).collect();
    GroupRow {
        name,
        instead,
        is_others: false,
        rows: Number(counts.ended()),
        by_end: by_end.map(Number),
        shares: shares(by_end, longest),
        what_to_do,
        statuses: statuses.join(", "),
    }
}

/// The parts of a bar; 100 is the whole of `of`.
#[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
pub fn shares(by_end: [u64; End::ALL.len()], of: u64) -> Vec<Share> {
    let mut x = 0.0;
    let parts = End::ALL.into_iter().zip(by_end).filter(|(_, rows)| *rows > 0);
    let share = |(end, rows): (End, u64)| {
        let width = rows as f64 / of.max(1) as f64 * 100.0;
        let share = Share { class: end.class(), x: format!("{x:.2}"), width: format!("{width:.2}") };
        x += width;
        share
    };
    parts.map(share).collect()
}

/// A row that needs a hand.
pub struct TroubleRow {
    pub line: Number,
    pub session: String,
    pub user: String,
    pub team: String,
    pub status: &'static str,
    pub label: &'static str,
    pub error: String,
    pub detail: String,
    pub attempts: u32,
    pub at: String,
    pub request_id: String,
}

impl TroubleRow {
    pub fn new(row: &Trouble) -> Self {
        let outcome = &row.outcome;
        let [session, user, team] = row.ids.each_ref().map(|id| clean(id).into_owned());
        let given = |text: &Option<Box<str>>| clean(text.as_deref().unwrap_or_default()).into_owned();
        Self {
            line: Number(row.line),
            session,
            user,
            team,
            status: outcome.status.as_str(),
            label: outcome.status.label(),
            error: given(&outcome.error),
            detail: clean(&outcome.detail).into_owned(),
            attempts: outcome.attempts,
            at: moment(outcome.finished_at),
            request_id: given(&outcome.request_id),
        }
    }
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
pub fn runs(facts: &Facts, figures: &Figures) -> Vec<RunRow> {
    let rows = figures.timeline.runs().iter().map(|bars| bars.iter().flat_map(|(_, rows)| rows).sum());
    facts.runs.iter().zip(rows).map(|(run, rows)| RunRow::new(run, rows)).collect()
}

impl RunRow {
    fn new(run: &Run, rows: u64) -> Self {
        let told =
            |number: fn(&super::facts::Told) -> u64| run.told.as_ref().map(number).map(thousands).unwrap_or_default();
        Self {
            run_id: clean(&run.run_id).into_owned(),
            started: moment(run.started),
            took: run.ended.map(|ended| human(between(run.started, ended))).unwrap_or_default(),
            rows: Number(rows),
            calls: told(|told| told.calls),
            rate_limited: told(|told| told.rate_limited),
            exit: run.exit.map(|(code, meaning)| format!("{code}: {meaning}")).unwrap_or_default(),
        }
    }
}

/// From one moment to a later one.
pub fn between(from: Stamp, to: Stamp) -> Duration {
    Duration::from_millis(u64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(0))
}

/// A question and its answer; those without one are left out.
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// What was asked, by whom, when, and how it ended.
pub fn facts(facts: &Facts, figures: &Figures) -> Vec<Fact> {
    let (first, last) = (facts.runs.first(), facts.runs.last());
    let told = last.and_then(|run| run.told.as_ref());
    let manifest = facts.manifest.as_ref();
    let window = figures.window.map(|(from, to)| stretch(from, to));
    let at_work = facts.runs.iter().filter_map(|run| Some(between(run.started, run.ended?))).sum::<Duration>();
    let paused = facts.runs.iter().filter_map(|run| run.told.as_ref()).map(|told| told.paused).sum::<Duration>();
    let answers = [
        ("Reason given", told.and_then(|told| told.reason.clone())),
        ("Asked for by", told.and_then(|told| told.actor.clone())),
        ("Organisation", told.and_then(|told| told.organisation.clone())),
        ("Input", manifest.map(|manifest| format!("{}, {} rows", manifest.input_path, thousands(manifest.input_rows)))),
        ("Sent to", told.map(|told| told.api_host.clone())),
        ("From machine", told.map(|told| told.machine.clone())),
        ("Began (UTC)", first.map(|run| moment(run.started))),
        ("Ended (UTC)", last.and_then(|run| run.ended).map(moment)),
        ("First call to last record (UTC)", window),
        ("Time at work", (!at_work.is_zero()).then(|| human(at_work))),
        ("Paused for Slack’s limit", (!paused.is_zero()).then(|| human(paused))),
        ("Rate asked for", told.map(|told| told.rate.clone())),
        (
            "Limit found",
            told.and_then(|told| told.learnt_per_minute).map(|found| format!("{} calls a minute", rate(found))),
        ),
        ("Exit code", last.and_then(|run| run.exit).map(|(code, meaning)| format!("{code}: {meaning}"))),
        ("Run", last.filter(|_| facts.runs.len() == 1).map(|run| run.run_id.clone())),
    ];
    let given = answers.into_iter().filter_map(|(name, value)| Some(Fact { name, value: clean(&value?).into_owned() }));
    given.filter(|fact| !fact.value.is_empty()).collect()
}

/// A hash, and what it is compared with.
pub struct HashRow {
    pub what: &'static str,
    pub sha256: String,
    pub check: &'static str,
    pub word: &'static str,
}

/// The hashes of the input and of the results.
pub fn hashes(facts: &Facts) -> Vec<HashRow> {
    let row = |what, sha256: &str, check| {
        let (check, word) = words(check);
        HashRow { what, sha256: clean(sha256).into_owned(), check, word }
    };
    let mut rows = vec![row("Results, now", &facts.results.sha256, facts.results_check())];
    if let Some(manifest) = &facts.manifest {
        if let Some(recorded) = manifest.results_sha256.as_ref().filter(|recorded| **recorded != facts.results.sha256) {
            rows.push(row("Results, at the end of the run", recorded, Check::Differs));
        }
        rows.push(row("Input, as it was read", &manifest.input_sha256, manifest.input_now));
    }
    rows
}

fn words(check: Check) -> (&'static str, &'static str) {
    match check {
        Check::Matches => ("matches", "the same now as recorded in the manifest"),
        Check::Differs => ("differs", "the file now and the manifest differ"),
        Check::NotRecorded => ("not recorded", "no manifest has a hash to compare with"),
        Check::Absent => ("not compared", "the file is not there any more"),
    }
}

/// The hint of Slack's code; empty for a transport error, and for codes that aren't trouble.
pub fn hint_of(name: &str) -> &'static str {
    match ErrorCode::from(name) {
        ErrorCode::Other(_) | ErrorCode::SessionNotFound | ErrorCode::SessionExpired => "",
        code => code.hint(),
    }
}
