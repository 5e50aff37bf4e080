//! `report`: a run on one self-contained page of HTML.
//!
//! The page has no script and loads nothing, which a Content-Security-Policy in it enforces, so it can be mailed, archived and
//! printed. Everything that comes from the input, from Slack or from a file
//! is cleaned ([`clean`]) and then escaped by askama. The templates are in `templates/`.
//!
//! Pure but for the file: [`Aggregates`] counts the records, [`PageInput`] has everything else, [`page`] renders both.

mod aggregates;
mod axis;
mod chart;
mod events;
mod page_input;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
mod times;
mod verdict;

pub use aggregates::{Aggregates, RecordView};
pub use events::{Events, read as read_events};
pub use page_input::{FileNow, FoundFile, PageInput, PageManifest, PageRun, event_notes};

use super::files::{PRIVATE, begins_as, replace};
use super::text::clean;
use crate::files::during;
use crate::model::{Status, StatusGroup};
use aggregates::{Number, ShownRow};
use askama::Template;
use chart::{Chart, draw};
use std::io;
use std::path::Path;
use tables::{BarPart, GroupRow, HashRow, RunRow, StatusRow, VerifiedRows, remedy};
use times::moment;
use verdict::RunVerdict;

/// Only the last runs have a chart.
const MOST_CHARTS: usize = 8;

/// The start of every page, by which it is recognized.
const BEGINNING: &str = "<!doctype html>\n<!-- slack-revoke report -->";

/// Whether the file at `path` is a page, or could become one.
///
/// # Errors
/// If it can't be read.
pub fn is_at(path: &Path) -> io::Result<bool> {
    begins_as(path, BEGINNING)
}

/// Replaces the file at `path`, with mode 0600: it names users.
///
/// # Errors
/// If it can't be written.
pub fn write(path: &Path, page: &str) -> io::Result<()> {
    replace(path, page, PRIVATE).map_err(during("write", path))
}

struct Tile {
    name: &'static str,
    label: &'static str,
    value: Number,
    class: &'static str,
}

#[derive(Template)]
#[template(path = "page.html", config = "src/output/page/askama.toml")]
struct PageTemplate<'a> {
    beginning: &'static str,
    tool_version: &'a str,
    /// The version of the last run, if it is another one.
    run_version: Option<String>,
    has_manifest: bool,
    title: String,
    made_at: String,
    results_path: String,
    remaining: Option<String>,
    verdict: RunVerdict,
    is_rehearsal: bool,
    tiles: Vec<Tile>,
    facts: Vec<(&'static str, String)>,
    runs: Vec<RunRow>,
    run_count: usize,
    ended: Number,
    not_reached: Option<Number>,
    bar: Vec<BarPart>,
    statuses: Vec<StatusRow>,
    charts: Vec<Chart>,
    not_drawn: usize,
    workspaces: Vec<GroupRow>,
    errors: Vec<GroupRow>,
    problems: &'a [ShownRow],
    all_problems: Number,
    more_problems: Number,
    protected: &'a [ShownRow],
    all_protected: Number,
    more_protected: Number,
    verified: Option<VerifiedRows>,
    hashes: Vec<HashRow>,
    /// Class, text, and whether the group has rows.
    legend: [(&'static str, &'static str, bool); StatusGroup::ALL.len()],
}

/// # Errors
/// If the template fails, which can't happen because it writes to memory.
pub fn page(input: &PageInput<'_>, aggregates: &Aggregates) -> Result<String, askama::Error> {
    let counts = &aggregates.counts;
    let (charts, not_drawn) = charts(input, aggregates);
    let name = input.results.now.path.rsplit('/').next().unwrap_or_default();
    let several_runs = input.runs.len() > 1;
    let template = PageTemplate {
        beginning: BEGINNING,
        tool_version: input.tool_version,
        run_version: run_version(input),
        has_manifest: input.manifest.is_some(),
        title: clean(name).into_owned(),
        made_at: moment(input.made_at),
        results_path: clean(&input.results.now.path).into_owned(),
        remaining: input.results.remaining.as_deref().map(|path| clean(path).into_owned()),
        verdict: RunVerdict::of(input, counts, aggregates.window),
        is_rehearsal: input.is_rehearsal(),
        tiles: tiles(input, aggregates),
        facts: tables::facts(input),
        runs: if several_runs { tables::runs(input, aggregates) } else { Vec::new() },
        run_count: input.runs.len(),
        ended: Number(counts.ended()),
        not_reached: input.not_reached(counts).map(Number),
        bar: tables::bar(counts, input.rows().unwrap_or(0).max(counts.ended())),
        statuses: tables::statuses(counts),
        charts,
        not_drawn,
        workspaces: tables::groups(&aggregates.workspaces, "no workspace id", "workspaces", |_, _| String::new()),
        errors: tables::groups(&aggregates.errors, "", "errors", remedy),
        problems: &aggregates.problems,
        all_problems: Number(StatusGroup::ActionNeeded.of(counts)),
        more_problems: Number(aggregates.more_problems()),
        protected: &aggregates.protected,
        all_protected: Number(counts.of(Status::Protected)),
        more_protected: Number(aggregates.more_protected()),
        verified: tables::verified(input),
        hashes: tables::hashes(input),
        legend: StatusGroup::ALL.map(|group| (group.class(), group.legend(), group.of(counts) > 0)),
    };
    template.render()
}

fn run_version(input: &PageInput<'_>) -> Option<String> {
    let version = input.manifest.as_ref()?.tool_version;
    (version != input.tool_version).then(|| clean(version).into_owned())
}

fn tiles(input: &PageInput<'_>, aggregates: &Aggregates) -> Vec<Tile> {
    let counts = &aggregates.counts;
    let tile = |name, label, value, class| Tile { name, label, value: Number(value), class };
    let problems = StatusGroup::ActionNeeded.of(counts);
    let rows = match input.rows() {
        Some(rows) => tile("rows", "rows in the input", rows, ""),
        None => tile("rows", "rows recorded", counts.ended(), ""),
    };
    let mut tiles = vec![
        rows,
        tile("revoked", "sessions revoked", counts.of(Status::Revoked), "gone"),
        tile("requested", "logouts requested", counts.of(Status::Requested), "requested"),
        tile("already_revoked", "already gone", counts.of(Status::AlreadyRevoked), "gone"),
        tile("verified", "verified gone", verdict::verified_gone(input, counts).unwrap_or(0), "gone"),
        tile("protected", "kept intentionally", counts.of(Status::Protected), ""),
        tile("trouble", "need attention", problems, if problems > 0 { "trouble" } else { "" }),
    ];
    tiles.retain(|tile| !["requested", "verified", "protected"].contains(&tile.name) || tile.value.0 > 0);
    if let Some(not_reached) = input.not_reached(counts) {
        tiles.push(tile("not_reached", "not reached", not_reached, if not_reached > 0 { "trouble" } else { "" }));
    }
    tiles.push(tile("rate_limited", "rate-limit responses (429)", aggregates.rate_limited, ""));
    tiles
}

/// The charts of the last runs with rows or waits, and the number of earlier ones.
fn charts(input: &PageInput<'_>, aggregates: &Aggregates) -> (Vec<Chart>, usize) {
    let drawn = aggregates.timeline.runs().iter().enumerate();
    let drawn = drawn.filter_map(|(index, bars)| draw(index + 1, input.runs.get(index), bars));
    let mut all: Vec<_> = drawn.filter(|chart| chart.rows > 0 || !chart.waits.is_empty()).collect();
    let not_drawn = all.len().saturating_sub(MOST_CHARTS);
    (all.split_off(not_drawn), not_drawn)
}
