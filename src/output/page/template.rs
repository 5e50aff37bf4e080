//! The page, put together.

use super::chart::{Chart, draw};
use super::ends::End;
use super::facts::Facts;
use super::figures::Figures;
use super::scale::moment;
use super::story::{Story, tell};
use super::tables::{
    Fact, GroupRow, HashRow, Number, RunRow, Share, StatusRow, TroubleRow, facts, groups, hashes, hint_of, runs,
    shares, statuses,
};
use crate::model::Status;
use crate::output::text::{clean, counted};
use askama::Template;

/// Runs that are drawn, the last ones.
const MOST_CHARTS: usize = 8;

/// How every page begins: by this a file is known to be one.
const BEGINNING: &str = "<!doctype html>\n<!-- slack-revoke report -->";

/// Whether a file that begins with these bytes is a page of ours, and may be replaced by another.
#[must_use]
pub fn is_page(beginning: &[u8]) -> bool {
    beginning.starts_with(BEGINNING.as_bytes())
}

/// A key figure.
struct Tile {
    name: &'static str,
    label: &'static str,
    value: Number,
    class: &'static str,
}

/// What `verify` found, line by line.
struct VerifiedView {
    at: String,
    file: String,
    is_older: bool,
    rows: Vec<(&'static str, &'static str, Number)>,
    new_sessions: Option<String>,
}

/// The chart of one run, with its place among the others.
struct Panel {
    number: usize,
    of: usize,
    chart: Chart,
    is_history_cut: bool,
}

#[derive(Template)]
#[template(path = "page.html", config = "src/output/page/askama.toml")]
struct Page {
    beginning: &'static str,
    tool_version: &'static str,
    /// The version that ran last, where it is another one.
    run_version: Option<String>,
    has_manifest: bool,
    title: String,
    made_at: String,
    results_path: String,
    remaining: Option<String>,
    story: Story,
    is_rehearsal: bool,
    tiles: Vec<Tile>,
    told: Vec<Fact>,
    runs: Vec<RunRow>,
    ended: Number,
    not_reached: Option<Number>,
    all_shares: Vec<Share>,
    statuses: Vec<StatusRow>,
    panels: Vec<Panel>,
    not_drawn: usize,
    workspaces: Vec<GroupRow>,
    errors: Vec<GroupRow>,
    trouble: Vec<TroubleRow>,
    all_trouble: Number,
    more_trouble: Number,
    verified: Option<VerifiedView>,
    hashes: Vec<HashRow>,
    legend: [(&'static str, &'static str); End::ALL.len()],
}

/// The text of the page.
///
/// # Errors
/// Where the template fails, which it never does: it writes to memory.
pub fn page(facts: &Facts, figures: &Figures) -> Result<String, askama::Error> {
    Page::new(facts, figures).render()
}

impl Page {
    fn new(facts: &Facts, figures: &Figures) -> Self {
        let counts = &figures.counts;
        let (panels, not_drawn) = panels(facts, figures);
        let name = facts.results.path.rsplit('/').next().unwrap_or_default();
        let by_end = End::ALL.map(|end| end.of(counts));
        Self {
            beginning: BEGINNING,
            tool_version: facts.tool_version,
            run_version: run_version(facts),
            has_manifest: facts.manifest.is_some(),
            title: clean(name).into_owned(),
            made_at: moment(facts.made_at),
            results_path: clean(&facts.results.path).into_owned(),
            remaining: facts.results.remaining.as_deref().map(|path| clean(path).into_owned()),
            story: tell(facts, counts),
            is_rehearsal: facts.is_rehearsal(),
            tiles: tiles(facts, figures),
            told: self::facts(facts, figures),
            runs: if facts.runs.len() > 1 { runs(facts, figures) } else { Vec::new() },
            ended: Number(counts.ended()),
            not_reached: facts.not_reached(counts).map(Number),
            all_shares: shares(by_end, facts.rows().unwrap_or(0).max(counts.ended())),
            statuses: statuses(counts),
            panels,
            not_drawn,
            workspaces: groups(&figures.workspaces, "no workspace named", "workspaces", |_| ""),
            errors: groups(&figures.errors, "", "errors", hint_of),
            trouble: figures.trouble.iter().map(TroubleRow::new).collect(),
            all_trouble: Number(End::Trouble.of(counts)),
            more_trouble: Number(figures.more_trouble()),
            verified: verified(facts),
            hashes: hashes(facts),
            legend: End::ALL.map(|end| (end.class(), end.legend())),
        }
    }
}

fn run_version(facts: &Facts) -> Option<String> {
    let version = &facts.manifest.as_ref()?.tool_version;
    (version != facts.tool_version).then(|| clean(version).into_owned())
}

fn tiles(facts: &Facts, figures: &Figures) -> Vec<Tile> {
    let counts = &figures.counts;
    let tile = |name, label, value, class| Tile { name, label, value: Number(value), class };
    let trouble = End::Trouble.of(counts);
    let rows = match facts.rows() {
        Some(rows) => tile("rows", "rows asked for", rows, ""),
        None => tile("rows", "rows recorded", counts.ended(), ""),
    };
    let mut tiles = vec![
        rows,
        tile("revoked", "sessions revoked", counts.of(Status::Revoked), "gone"),
        tile("requested", "asked for", counts.of(Status::Requested), "asked"),
        tile("already_revoked", "gone already", counts.of(Status::AlreadyRevoked), "gone"),
        tile("trouble", "need a hand", trouble, if trouble > 0 { "trouble" } else { "" }),
    ];
    tiles.retain(|tile| tile.name != "requested" || tile.value.0 > 0);
    if let Some(not_reached) = facts.not_reached(counts) {
        tiles.push(tile("not_reached", "not reached", not_reached, if not_reached > 0 { "trouble" } else { "" }));
    }
    tiles.push(tile("rate_limited", "times slowed by Slack (429)", figures.rate_limited, ""));
    tiles
}

/// The last runs in which there is something to see, and how many others have rows that are not drawn.
fn panels(facts: &Facts, figures: &Figures) -> (Vec<Panel>, usize) {
    let of = facts.runs.len();
    let all = figures.timeline.runs().iter().enumerate().filter_map(|(index, bars)| {
        let run = facts.runs.get(index);
        let chart = draw(run, bars).filter(|chart| chart.rows > 0 || !chart.pauses.is_empty())?;
        Some(Panel { number: index + 1, of, chart, is_history_cut: run.is_some_and(|run| run.is_history_cut) })
    });
    let mut all: Vec<_> = all.collect();
    let not_drawn = all.len().saturating_sub(MOST_CHARTS);
    (all.split_off(not_drawn), not_drawn)
}

fn verified(facts: &Facts) -> Option<VerifiedView> {
    let found = facts.manifest.as_ref()?.verified.as_ref()?;
    let rows = [
        ("gone", "gone, and the user has no other session", found.gone),
        ("user_back", "gone, and the user is back with new sessions", found.user_back),
        ("still_there", "still there", found.still_there),
        ("unproven", "not proved gone", found.unproven),
        ("not_asked", "no session named in the row", found.not_asked),
    ];
    Some(VerifiedView {
        at: moment(found.at),
        file: clean(&found.file).into_owned(),
        is_older: found.is_older_than_the_run,
        rows: rows.map(|(name, label, rows)| (name, label, Number(rows))).into(),
        new_sessions: (found.new_sessions > 0).then(|| counted(found.new_sessions, "new session", "new sessions")),
    })
}
