//! The page as a whole, from facts that are laid down.

use super::aggregates::tests::outcome;
use super::*;
use crate::model::{
    Counts, Extra, Identity, InputRecord, Outcome, Pacing, Results, Run, RunCounts, Stamp, Status, StatusRows,
    StatusTotals, Verified,
};

const HOSTILE: &str =
    "</td></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{202e}\u{1b}[2J\u{7}";

fn run(run_id: &str, started: i64, ended: Option<i64>) -> Run {
    Run {
        run_id: run_id.into(),
        started_at: Stamp::from_millis(started),
        ended_at: ended.map(Stamp::from_millis),
        host: "host".into(),
        pid: 7,
        exit_code: Some(0),
        stop_reason: None,
        api_host: "slack.com".into(),
        rate: "auto".into(),
        max_rate: None,
        workers: None,
        identify_by: "auto".into(),
        whole_users: false,
        reason: Some("INC-1".into()),
        rehearsal: false,
        identity: Some(Identity { user_id: "W1".into(), user: "admin".into(), ..Identity::default() }),
        later_identities: Vec::new(),
        checks: Vec::new(),
        recorded_before: 0,
        counts: RunCounts { calls: 3, ..RunCounts::default() },
        pacing: Pacing::default(),
        extra: Extra::new(),
    }
}

/// What a page is made from, with what it borrows.
struct Known {
    has_manifest: bool,
    tool_version: String,
    runs: Vec<Run>,
    input: InputRecord,
    recorded: Results,
    totals: StatusTotals,
    verified: Option<Verified>,
    found: FoundFile,
    is_running: bool,
    event_notes: Vec<String>,
}

impl Known {
    fn new(rows: u64, counts: &Counts, runs: Vec<Run>) -> Self {
        let sha256 = "ab".repeat(32);
        Self {
            has_manifest: true,
            tool_version: "1.2.3".into(),
            runs,
            input: InputRecord { path: "s.csv".into(), sha256: "cd".repeat(32), rows, ..InputRecord::default() },
            recorded: Results { sha256: Some(sha256.clone()), ..Results::default() },
            totals: StatusTotals::of(counts, rows),
            verified: None,
            found: FoundFile {
                path: "x/s.results.csv".into(),
                sha256,
                is_torn: false,
                recorded_twice: 0,
                remaining: None,
            },
            is_running: false,
            event_notes: Vec::new(),
        }
    }

    fn input(&self) -> PageInput<'_> {
        let manifest = PageManifest {
            tool_version: &self.tool_version,
            runs: &self.runs,
            input: &self.input,
            input_now: HashCheck::Absent,
            results: &self.recorded,
            totals: &self.totals,
            verified: self.verified.clone(),
        };
        PageInput {
            made_at: Stamp::from_millis(9_000_000),
            tool_version: "1.2.3",
            results: self.found.clone(),
            is_running: self.is_running,
            runs: PageRun::all(Some(&self.runs), None),
            manifest: self.has_manifest.then_some(manifest),
            event_notes: self.event_notes.clone(),
        }
    }

    fn aggregates(&self, rows: &[(Status, Option<&str>)]) -> Aggregates {
        let starts: Vec<_> = self.runs.iter().map(|run| run.started_at).collect();
        let mut aggregates = Aggregates::new(&starts);
        for (line, (status, error)) in (2..).zip(rows) {
            let outcome = outcome(*status, *error, 1_000_000 + i64::try_from(line).unwrap() * 500);
            aggregates.add(RecordView { line, session: "1", team: "T1", user: "U1", outcome: &outcome });
        }
        aggregates
    }
}

/// The page of rows that ended like this, after a change to what is known.
fn page_of(rows: &[(Status, Option<&str>)], of: u64, change: impl FnOnce(&mut Known)) -> String {
    let mut counts = Counts::default();
    for (status, _) in rows {
        counts.add(*status);
    }
    let mut known = Known::new(of, &counts, vec![run("one", 1_000_000, Some(1_060_000))]);
    change(&mut known);
    page(&known.input(), &known.aggregates(rows)).unwrap()
}

#[track_caller]
fn assert_has(page: &str, want: &str) {
    assert!(page.contains(want), "{want} is missing in\n{}", page.split("</style>").last().unwrap_or_default());
}

const GONE: (Status, Option<&str>) = (Status::Revoked, None);
const FAILED: (Status, Option<&str>) = (Status::Failed, Some("user_not_found"));
const ABSENT: (Status, Option<&str>) = (Status::NotFound, Some("session_not_found"));

type Case = (&'static [(Status, Option<&'static str>)], u64, fn(&mut Known), &'static str, &'static str);

#[test]
fn the_headline_states_the_outcome() {
    let cases: [Case; 10] = [
        (&[GONE, GONE], 2, |_| {}, "good", "Finished: all 2 sessions are gone"),
        (&[GONE], 1, |_| {}, "good", "Finished: the one session is gone"),
        (&[GONE, ABSENT, GONE], 3, |_| {}, "good", "Finished: every one of 3 rows is settled"),
        (&[GONE, FAILED], 2, |_| {}, "attention", "Finished, and 1 of 2 rows needs a hand"),
        (&[GONE, FAILED], 3, |_| {}, "attention", "Stopped before its end: 2 of 3 rows have ended"),
        (&[GONE], 3, |known| known.runs[0].ended_at = None, "attention", "Cut off: 1 of 3 rows have ended"),
        (&[GONE], 3, |known| known.is_running = true, "open", "Still running: 1 of 3 rows have ended"),
        (
            &[GONE],
            3,
            |known| known.has_manifest = false,
            "open",
            "1 row is recorded; whether these are all is not known",
        ),
        (&[], 3, |_| {}, "attention", "Stopped before its end: 0 of 3 rows have ended"),
        (&[], 0, |known| known.runs.clear(), "good", "Finished: all 0 sessions are gone"),
    ];
    for (rows, of, change, mood, headline) in cases {
        let page = page_of(rows, of, change);
        assert_has(&page, &format!("<h1>{headline}</h1>"));
        assert_has(&page, &format!("data-mood=\"{mood}\""));
    }
}

#[test]
fn notes_are_shown_only_if_they_apply() {
    type Noted = (fn(&mut Known), &'static str);
    let cases: [Noted; 8] = [
        (|known| known.is_running = true, "A run was still writing these results at 1970-01-01 02:30:00 UTC"),
        (|known| known.has_manifest = false, "There is no manifest beside the results"),
        (|known| known.found.sha256 = "00".repeat(32), "The results are not what the run wrote"),
        (|known| known.found.is_torn = true, "The last record of the results is torn"),
        (|known| known.found.recorded_twice = 2, "2 rows have more than one record"),
        (
            |known| known.totals.by_status = StatusRows::from_iter([(Status::Revoked, 7)]),
            "The records do not add up to the totals",
        ),
        (|known| known.event_notes = vec!["3 lines are no events".into()], "<li>3 lines are no events</li>"),
        (|known| known.runs[0].stop_reason = Some("interrupted".into()), "The last run stopped: interrupted."),
    ];
    let plain = page_of(&[GONE, GONE], 2, |_| {});
    for (change, want) in cases {
        assert!(!plain.contains(want), "{want} is said of a good run");
        assert_has(&page_of(&[GONE, GONE], 2, change), want);
    }
    assert_has(&page_of(&[GONE, ABSENT, ABSENT], 3, |_| {}), "2 of 3 rows were not found");
    assert_has(&page_of(&[GONE], 1, |known| known.runs[0].rehearsal = true), "data-rehearsal=\"true\"");
}

#[test]
fn the_figures_are_in_the_page() {
    let page = page_of(&[GONE, GONE, ABSENT, FAILED, FAILED], 7, |_| {});
    for want in [
        r#"data-status="revoked" data-count="2""#,
        r#"data-status="invalid" data-count="0""#,
        r#"data-not-reached="2""#,
        r#"data-ended="5""#,
        r#"data-figure="trouble" data-count="2""#,
        r#"data-workspace="T1" data-count="5""#,
        r#"data-error="user_not_found" data-count="2""#,
        r#"data-line="5" data-row-status="failed""#,
        r#"data-check="matches""#,
        r#"data-check="not compared""#,
        "list the sessions again",
    ] {
        assert_has(&page, want);
    }
    let rows = page.split("data-rows=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(rows.sum::<u64>(), 5, "every row is in a bar");
}

#[test]
fn the_page_shows_what_verify_found() {
    let verified = Verified {
        at: Stamp::from_millis(1_050_000),
        file: "s.verified.csv".into(),
        gone: 1,
        user_back: 2,
        still_there: 3,
        unproven: 0,
        not_asked: 0,
        revoked_but_not_gone: 3,
        new_sessions: 9,
    };
    let page = page_of(&[GONE], 1, |known| known.verified = Some(verified));
    for want in [
        "data-verified=\"still_there\" data-count=\"3\"",
        "3 sessions recorded as revoked could not be shown to be gone",
        "A run has written these results since then",
        "have 9 new sessions.",
    ] {
        assert_has(&page, want);
    }
    assert!(!page.contains("Not verified"));
}

#[test]
fn foreign_text_is_never_markup() {
    let hostile = || HOSTILE.to_owned();
    let runs = vec![run(HOSTILE, 1_000_000, None), run("two", 1_030_000, None)];
    let mut known = Known::new(9, &Counts::default(), runs);
    known.found.path = hostile();
    known.found.remaining = Some(hostile());
    known.event_notes = vec![hostile()];
    (known.tool_version, known.input.path, known.input.sha256) = (hostile(), hostile(), hostile());
    let run = &mut known.runs[1];
    run.stop_reason = Some(hostile());
    run.identity = Some(Identity { user: hostile(), team: hostile(), url: hostile(), ..Identity::default() });
    (run.reason, run.host, run.api_host, run.rate) = (Some(hostile()), hostile(), hostile(), hostile());
    let mut aggregates = known.aggregates(&[]);
    let failed = Outcome {
        detail: HOSTILE.into(),
        request_id: Some(HOSTILE.into()),
        ..outcome(Status::Failed, Some(HOSTILE), 1_001_000)
    };
    aggregates.add(RecordView { line: 2, session: HOSTILE, team: HOSTILE, user: HOSTILE, outcome: &failed });
    let page = page(&known.input(), &aggregates).unwrap();
    assert!(page.matches("alert(1)").count() >= 10, "the texts are on the page");
    for markup in ["<script", "<img", "</style></", "onerror=alert(2)>", "\u{202e}", "\u{1b}", "\u{7}"] {
        assert!(!page.contains(markup), "{}", markup.escape_debug());
    }
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn a_page_is_recognised_by_its_beginning_and_loads_nothing() {
    let page = page_of(&[GONE], 1, |_| {});
    assert!(is_page(page.as_bytes()) && page.find("</head>").is_some());
    assert!(!is_page(b"<!doctype html>\n<html>") && !is_page(b"") && !is_page(b"session_id,line,status"));
    assert_has(&page, "default-src 'none'");
    for outside in ["http://", "https://", "<script", "url(", "@import", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn only_the_last_runs_are_drawn() {
    let runs: Vec<_> =
        (0..20).map(|run_at| run(&format!("run-{run_at}"), run_at * 100_000, Some(run_at * 100_000 + 5_000))).collect();
    let known = Known::new(20, &Counts::default(), runs);
    let mut aggregates = known.aggregates(&[]);
    for (line, run) in (2..).zip(&known.runs) {
        let ended = outcome(Status::Revoked, None, run.started_at.as_millis() + 2_000);
        aggregates.add(RecordView { line, session: "1", team: "T1", user: "U1", outcome: &ended });
    }
    let page = page(&known.input(), &aggregates).unwrap();
    assert_eq!(page.matches("data-panel=").count(), 8);
    assert_has(&page, "12 earlier runs are not drawn");
    assert_has(&page, "data-panel=\"20\"");
    assert_eq!(page.matches("data-run=").count(), 20);
}
