//! The page as a whole, from facts that are laid down.

use super::figures::tests::outcome;
use super::*;
use crate::model::{Outcome, Stamp, Status};
use std::time::Duration;

const HOSTILE: &str =
    "</td></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{202e}\u{1b}[2J\u{7}";

fn run(run_id: &str, started: i64, ended: Option<i64>) -> Run {
    Run {
        run_id: run_id.into(),
        started: Stamp::from_millis(started),
        ended: ended.map(Stamp::from_millis),
        exit: Some((0, "every row's session is gone, or was not there")),
        stop_reason: None,
        is_rehearsal: false,
        told: Some(Told {
            actor: Some("admin (W1)".into()),
            organisation: None,
            machine: "host, process 7".into(),
            api_host: "slack.com".into(),
            rate: "auto".into(),
            reason: Some("INC-1".into()),
            calls: 3,
            rate_limited: 0,
            paused: Duration::ZERO,
            learnt_per_minute: None,
        }),
        estimates: Steps::default(),
        pauses: Spans::default(),
        outages: Spans::default(),
        is_history_cut: false,
    }
}

fn facts(rows: u64, counts: Vec<(&'static str, u64)>, runs: Vec<Run>) -> Facts {
    let sha256 = "ab".repeat(32);
    Facts {
        made_at: Stamp::from_millis(9_000_000),
        tool_version: "1.2.3",
        results: ResultsFile {
            path: "x/s.results.csv".into(),
            sha256: sha256.clone(),
            bytes: 7,
            is_torn: false,
            recorded_twice: 0,
            remaining: None,
        },
        is_running: false,
        runs,
        manifest: Some(ManifestFacts {
            tool_version: "1.2.3".into(),
            input_path: "s.csv".into(),
            input_sha256: "cd".repeat(32),
            input_now: Check::Absent,
            input_rows: rows,
            results_sha256: Some(sha256),
            counts,
            verified: None,
        }),
        event_notes: Vec::new(),
    }
}

fn figures(facts: &Facts, rows: &[(Status, Option<&str>)]) -> Figures {
    let starts: Vec<_> = facts.runs.iter().map(|run| run.started).collect();
    let mut figures = Figures::new(&starts);
    for (line, (status, error)) in (2..).zip(rows) {
        let outcome = outcome(*status, *error, 1_000_000 + i64::try_from(line).unwrap() * 500);
        figures.add(Seen { line, session: "1", team: "T1", user: "U1", outcome: &outcome });
    }
    figures
}

/// The figures of rows that ended so, their facts changed, and the page of both.
fn told(rows: &[(Status, Option<&str>)], of: u64, change: impl FnOnce(&mut Facts)) -> String {
    let mut counts = crate::model::Counts::default();
    for (status, _) in rows {
        counts.add(*status);
    }
    let counts = counts.iter().map(|(status, rows)| (status.as_str(), rows)).collect();
    let mut facts = facts(of, counts, vec![run("one", 1_000_000, Some(1_060_000))]);
    change(&mut facts);
    page(&facts, &figures(&facts, rows)).unwrap()
}

#[track_caller]
fn assert_has(page: &str, want: &str) {
    assert!(page.contains(want), "{want} is missing in\n{}", page.split("</style>").last().unwrap_or_default());
}

const GONE: (Status, Option<&str>) = (Status::Revoked, None);
const FAILED: (Status, Option<&str>) = (Status::Failed, Some("user_not_found"));
const ABSENT: (Status, Option<&str>) = (Status::NotFound, Some("session_not_found"));

type Case = (&'static [(Status, Option<&'static str>)], u64, fn(&mut Facts), &'static str, &'static str);

#[test]
fn the_headline_says_how_it_ended() {
    let cases: [Case; 10] = [
        (&[GONE, GONE], 2, |_| {}, "good", "Finished: all 2 sessions are gone"),
        (&[GONE], 1, |_| {}, "good", "Finished: the one session is gone"),
        (&[GONE, ABSENT, GONE], 3, |_| {}, "good", "Finished: every one of 3 rows is settled"),
        (&[GONE, FAILED], 2, |_| {}, "attention", "Finished, and 1 of 2 rows needs a hand"),
        (&[GONE, FAILED], 3, |_| {}, "attention", "Stopped before its end: 2 of 3 rows have ended"),
        (&[GONE], 3, |facts| facts.runs[0].ended = None, "attention", "Cut off: 1 of 3 rows have ended"),
        (&[GONE], 3, |facts| facts.is_running = true, "open", "Still running: 1 of 3 rows have ended"),
        (&[GONE], 3, |facts| facts.manifest = None, "open", "1 row is recorded; whether these are all is not known"),
        (&[], 3, |_| {}, "attention", "Stopped before its end: 0 of 3 rows have ended"),
        (&[], 0, |facts| facts.runs.clear(), "good", "Finished: all 0 sessions are gone"),
    ];
    for (rows, of, change, mood, headline) in cases {
        let page = told(rows, of, change);
        assert_has(&page, &format!("<h1>{headline}</h1>"));
        assert_has(&page, &format!("data-mood=\"{mood}\""));
    }
}

#[test]
fn what_must_not_be_overlooked_is_said() {
    type Noted = (fn(&mut Facts), &'static str);
    let cases: [Noted; 8] = [
        (|facts| facts.is_running = true, "A run was still writing these results at 1970-01-01 02:30:00 UTC"),
        (|facts| facts.manifest = None, "There is no manifest beside the results"),
        (|facts| facts.results.sha256 = "00".repeat(32), "The results are not what the run wrote"),
        (|facts| facts.results.is_torn = true, "The last record of the results is torn"),
        (|facts| facts.results.recorded_twice = 2, "2 rows have more than one record"),
        (|facts| facts.manifest.as_mut().unwrap().counts[0].1 = 7, "The records do not add up to the totals"),
        (|facts| facts.event_notes = vec!["3 lines are no events".into()], "<li>3 lines are no events</li>"),
        (|facts| facts.runs[0].stop_reason = Some("interrupted".into()), "The last run stopped: interrupted."),
    ];
    let plain = told(&[GONE, GONE], 2, |_| {});
    for (change, want) in cases {
        assert!(!plain.contains(want), "{want} is said of a good run");
        assert_has(&told(&[GONE, GONE], 2, change), want);
    }
    assert_has(&told(&[GONE, ABSENT, ABSENT], 3, |_| {}), "2 of 3 rows were not found");
    assert_has(&told(&[GONE], 1, |facts| facts.runs[0].is_rehearsal = true), "data-rehearsal=\"true\"");
}

#[test]
fn the_figures_are_in_the_page() {
    let page = told(&[GONE, GONE, ABSENT, FAILED, FAILED], 7, |_| {});
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
fn what_verify_found_is_told() {
    let verified = Verified {
        at: Stamp::from_millis(2_000_000),
        file: "s.verified.csv".into(),
        is_older_than_the_run: true,
        gone: 1,
        user_back: 2,
        still_there: 3,
        unproven: 0,
        not_asked: 0,
        revoked_but_not_gone: 3,
        new_sessions: 9,
    };
    let page = told(&[GONE], 1, |facts| facts.manifest.as_mut().unwrap().verified = Some(verified));
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
fn nothing_that_came_from_elsewhere_is_markup() {
    let hostile = || HOSTILE.to_owned();
    let mut facts = facts(9, Vec::new(), vec![run(HOSTILE, 1_000_000, None), run("two", 1_030_000, None)]);
    facts.results.path = hostile();
    facts.results.remaining = Some(hostile());
    facts.event_notes = vec![hostile()];
    let manifest = facts.manifest.as_mut().unwrap();
    (manifest.tool_version, manifest.input_path, manifest.input_sha256) = (hostile(), hostile(), hostile());
    let run = &mut facts.runs[1];
    run.stop_reason = Some(hostile());
    let told = run.told.as_mut().unwrap();
    (told.actor, told.organisation, told.reason) = (Some(hostile()), Some(hostile()), Some(hostile()));
    (told.machine, told.api_host, told.rate) = (hostile(), hostile(), hostile());
    let mut figures = figures(&facts, &[]);
    let failed = Outcome {
        detail: HOSTILE.into(),
        request_id: Some(HOSTILE.into()),
        ..outcome(Status::Failed, Some(HOSTILE), 1_001_000)
    };
    figures.add(Seen { line: 2, session: HOSTILE, team: HOSTILE, user: HOSTILE, outcome: &failed });
    let page = page(&facts, &figures).unwrap();
    assert!(page.matches("alert(1)").count() >= 10, "the texts are on the page");
    for markup in ["<script", "<img", "</style></", "onerror=alert(2)>", "\u{202e}", "\u{1b}", "\u{7}"] {
        assert!(!page.contains(markup), "{}", markup.escape_debug());
    }
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn a_page_is_known_by_its_beginning_and_asks_for_nothing() {
    let page = told(&[GONE], 1, |_| {});
    assert!(is_page(page.as_bytes()) && page.find("</head>").is_some());
    assert!(!is_page(b"<!doctype html>\n<html>") && !is_page(b"") && !is_page(b"session_id,line,status"));
    assert_has(&page, "default-src 'none'");
    for outside in ["http://", "https://", "<script", "url(", "@import", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn of_many_runs_the_last_are_drawn() {
    let runs: Vec<_> =
        (0..20).map(|run_at| run(&format!("run-{run_at}"), run_at * 100_000, Some(run_at * 100_000 + 5_000))).collect();
    let facts = facts(20, Vec::new(), runs);
    let starts: Vec<_> = facts.runs.iter().map(|run| run.started).collect();
    let mut figures = Figures::new(&starts);
    for (line, start) in (2..).zip(&starts) {
        let ended = outcome(Status::Revoked, None, start.as_millis() + 2_000);
        figures.add(Seen { line, session: "1", team: "T1", user: "U1", outcome: &ended });
    }
    let page = page(&facts, &figures).unwrap();
    assert_eq!(page.matches("data-panel=").count(), 8);
    assert_has(&page, "12 earlier runs are not drawn");
    assert_has(&page, "data-panel=\"20\"");
    assert_eq!(page.matches("data-run=").count(), 20);
}
