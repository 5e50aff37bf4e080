//! The page as a whole, from given facts.

use super::aggregates::tests::outcome;
use super::*;
use crate::model::{
    CallCounts, Counts, Extra, Identity, InputRecord, Outcome, Pacing, Results, Run, RunCounts, Status, StatusRows,
    StatusTotals, Timestamp, Verified,
};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const HOSTILE: &str =
    "</td></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{202e}\u{1b}[2J\u{7}";

fn run(run_id: &str, started: i64, ended: Option<i64>) -> Run {
    Run {
        run_id: run_id.into(),
        started_at: Timestamp::from_millis(started),
        ended_at: ended.map(Timestamp::from_millis),
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
        only: None,
        bulk: None,
        reason: Some("INC-1".into()),
        approval: None,
        rehearsal: false,
        identity: Some(Identity { user_id: "W1".into(), user: "admin".into(), ..Identity::default() }),
        later_identities: Vec::new(),
        checks: Vec::new(),
        recorded_before: 0,
        counts: RunCounts { calls: CallCounts { calls: 3, ..CallCounts::default() }, ..RunCounts::default() },
        pacing: Pacing::default(),
        extra: Extra::new(),
    }
}

/// Owns the data that a `PageInput` borrows.
struct Known {
    has_manifest: bool,
    tool_version: String,
    runs: Vec<Run>,
    input: InputRecord,
    recorded: Results,
    totals: StatusTotals,
    verified: Option<Verified>,
    found: FoundFile,
    input_now: Option<FileNow>,
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
            input: InputRecord {
                path: "s.csv".into(),
                sha256: "cd".repeat(32),
                bytes: 99,
                rows,
                ..InputRecord::default()
            },
            recorded: Results { sha256: Some(sha256.clone()), bytes: Some(1_234), ..Results::default() },
            totals: StatusTotals::of(counts, rows),
            verified: None,
            found: FoundFile {
                now: FileNow { path: "x/s.results.csv".into(), sha256, bytes: 1_234 },
                is_torn: false,
                recorded_twice: 0,
                remaining: None,
            },
            input_now: None,
            is_running: false,
            event_notes: Vec::new(),
        }
    }

    fn input(&self) -> PageInput<'_> {
        let manifest = PageManifest {
            files: Vec::new(),
            sha256: None,
            is_as_given: None,
            path: "x/s.results.csv.manifest.json".into(),
            tool_version: &self.tool_version,
            runs: &self.runs,
            input: &self.input,
            input_now: self.input_now.clone(),
            results: &self.recorded,
            totals: &self.totals,
            verified: self.verified.clone(),
        };
        PageInput {
            made_at: Timestamp::from_millis(9_000_000),
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

/// A verification at this time.
fn verified(at: i64, revoked_but_not_gone: u64, requested_but_not_gone: Option<u64>) -> Verified {
    Verified {
        at: Timestamp::from_millis(at),
        file: "s.verified.csv".into(),
        gone: 1,
        user_back: 2,
        still_there: 3,
        unproven: 0,
        not_asked: 0,
        revoked_but_not_gone,
        requested_but_not_gone,
        new_sessions: 9,
    }
}

#[track_caller]
fn assert_has(page: &str, want: &str) {
    assert!(page.contains(want), "{want} is missing in\n{}", page.split("</style>").last().unwrap_or_default());
}

const GONE: (Status, Option<&str>) = (Status::Revoked, None);
const FAILED: (Status, Option<&str>) = (Status::Failed, Some("user_not_found"));
const KEPT: (Status, Option<&str>) = (Status::Protected, Some("protected_user"));
const TWICE: (Status, Option<&str>) = (Status::Duplicate, Some("duplicate_session"));
const EXPIRED: (Status, Option<&str>) = (Status::AlreadyRevoked, Some("session_expired"));
const ASKED: (Status, Option<&str>) = (Status::Requested, None);
const ABSENT: (Status, Option<&str>) = (Status::NotFound, Some("session_not_found"));

type Case = (&'static [(Status, Option<&'static str>)], u64, fn(&mut Known), &'static str, &'static str);

#[test]
fn the_headline_states_the_outcome() {
    let cases: [Case; 20] = [
        (&[GONE, GONE], 2, |_| {}, "good", "2 of 2 revoked; not verified yet: run verify"),
        (&[GONE], 1, |_| {}, "good", "1 of 1 revoked; not verified yet: run verify"),
        (&[GONE, ABSENT, GONE], 3, |_| {}, "good", "2 of 3 revoked, 1 not found; not verified yet: run verify"),
        (&[GONE, FAILED], 2, |_| {}, "attention", "1 of 2 revoked, 1 needs attention; not verified yet: run verify"),
        (&[GONE, FAILED], 3, |_| {}, "attention", "Stopped early: 2 of 3 rows processed"),
        (&[GONE], 3, |known| known.runs[0].ended_at = None, "attention", "Ended unexpectedly: 1 of 3 rows processed"),
        (&[GONE], 3, |known| known.is_running = true, "open", "Still running: 1 of 3 rows processed"),
        (
            &[GONE],
            3,
            |known| known.has_manifest = false,
            "open",
            "1 row recorded; the manifest is missing, so there may be more",
        ),
        (&[], 3, |_| {}, "attention", "Stopped early: 0 of 3 rows processed"),
        (&[], 0, |known| known.runs.clear(), "good", "No session to revoke"),
        (&[KEPT, KEPT], 2, |_| {}, "good", "No session to revoke, 2 kept intentionally"),
        (
            &[GONE, GONE, KEPT, TWICE],
            4,
            |known| known.verified = Some(verified(1_070_000, 0, None)),
            "good",
            "2 of 2 verified gone, 1 kept intentionally",
        ),
        (
            &[GONE, GONE, FAILED, FAILED],
            4,
            |known| known.verified = Some(verified(1_070_000, 1, None)),
            "attention",
            "1 of 4 verified gone, 1 not verified as gone, 2 need attention",
        ),
        (
            &[GONE],
            1,
            |known| known.verified = Some(verified(1_050_000, 0, None)),
            "good",
            "1 of 1 revoked; changed since it was verified: run verify again",
        ),
        (&[EXPIRED, GONE], 2, |_| {}, "good", "2 of 2 revoked or already gone; not verified yet: run verify"),
        (&[EXPIRED], 1, |_| {}, "good", "1 of 1 already gone; not verified yet: run verify"),
        (&[ASKED, ASKED], 2, |_| {}, "open", "2 of 2 requested; not verified yet: run verify"),
        (
            &[ASKED, ASKED],
            2,
            |known| known.verified = Some(verified(1_070_000, 0, Some(1))),
            "attention",
            "1 of 2 verified gone, 1 not verified as gone",
        ),
        (
            &[GONE],
            1,
            |known| known.runs[0].rehearsal = true,
            "good",
            "Rehearsal: 1 of 1 revoked; not verified yet: run verify --rehearse",
        ),
        (&[GONE], 1, |known| known.found.now.bytes = 7, "attention", "1 of 1 revoked; not verified yet: run verify"),
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
        (|known| known.has_manifest = false, "There is no manifest next to the results"),
        (|known| known.found.now.sha256 = "00".repeat(32), "The results changed after the run"),
        (|known| known.found.is_torn = true, "The last record of the results is incomplete"),
        (|known| known.found.recorded_twice = 2, "2 rows have more than one record"),
        (
            |known| known.totals.by_status = StatusRows::from_iter([(Status::Revoked, 7)]),
            "The records don’t add up to the totals",
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
    let page = page_of(&[GONE], 1, |known| known.verified = Some(verified(1_050_000, 3, None)));
    for want in [
        "data-verified=\"still_there\" data-count=\"3\"",
        "3 sessions recorded as revoked can’t be verified as gone",
        "A later run changed these results",
        "have 9 new sessions.",
    ] {
        assert_has(&page, want);
    }
    assert!(!page.contains("Not verified yet"));
    assert_has(&page_of(&[GONE], 1, |_| {}), "Not verified yet");
}

#[test]
fn the_header_names_incident_organization_actor_and_time() {
    let page = page_of(&[GONE, GONE], 2, |known| {
        let identity = Identity {
            user_id: "W1".into(),
            user: "ir-oncall".into(),
            enterprise_id: Some("E0ACME".into()),
            team: "Acme".into(),
            url: "acme.example".into(),
            ..Identity::default()
        };
        known.runs[0].identity = Some(identity);
    });
    for (name, value) in [
        ("Incident", "INC-1"),
        ("Organization", "Acme (E0ACME), acme.example"),
        ("Actor", "ir-oncall (W1)"),
        ("Time window (UTC)", "1970-01-01 00:16:40 to 00:16:41"),
    ] {
        assert_has(&page, &format!("<dt>{name}</dt><dd>{value}</dd>"));
    }
    let of_two_runs = page_of(&[GONE], 1, |known| {
        known.runs.push(Run { reason: Some("INC-2".into()), ..run("two", 1_030_000, Some(1_060_000)) });
    });
    assert_has(&of_two_runs, "<dd>INC-1; INC-2</dd>");
    assert_has(&of_two_runs, "<dt>Actor</dt><dd>admin (W1)</dd>");
    assert_has(&page_of(&[GONE], 1, |known| known.runs[0].reason = None), "<dd>no --reason given</dd>");
    assert_has(&page_of(&[GONE], 1, |known| known.runs[0].identity = None), "<dt>Actor</dt><dd>not recorded</dd>");
}

#[test]
fn protected_rows_are_listed_with_their_reason() {
    let page = page_of(&[GONE, KEPT, FAILED, KEPT], 4, |_| {});
    for want in
        ["data-kept=\"2\"", "data-kept-line=\"3\"", "data-kept-line=\"5\"", "protected_user", "Kept intentionally"]
    {
        assert_has(&page, want);
    }
    assert!(!page_of(&[GONE], 1, |_| {}).contains("data-kept"));
    let many = [KEPT; 201];
    assert_has(&page_of(&many, 201, |_| {}), "And 1 more with the status");
}

#[test]
fn every_error_has_a_remedy() {
    let rows = [
        FAILED,
        ABSENT,
        KEPT,
        TWICE,
        EXPIRED,
        (Status::Unknown, Some("timeout")),
        (Status::Unknown, Some("http_503")),
        (Status::Failed, Some("brand_new")),
        (Status::Invalid, Some("bad_team_id")),
    ];
    let page = page_of(&rows, 9, |_| {});
    let remedies: Vec<_> =
        page.split("<td class=\"remedy\">").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(remedies.len(), rows.len());
    assert!(remedies.iter().all(|remedy| remedy.contains(": ") && remedy.ends_with('.')), "{remedies:?}");
    assert_has(&page, "Kept intentionally: nothing to do.");
}

#[test]
fn waits_are_bands_with_a_legend_and_a_table() {
    let page = page_of(&[GONE, GONE], 2, |known| {
        known.runs[0].pacing.note_rate_limit(Timestamp::from_millis(1_010_000), None, Duration::from_secs(30), None);
    });
    for want in [
        "<rect class=\"pause\"",
        "</i>waiting: rate limited by Slack</li>",
        "data-wait=\"pause\"><th scope=\"row\" class=\"time\">1970-01-01 00:16:50.000</th><td class=\"time\">1970-01-01 00:17:20.000",
    ] {
        assert_has(&page, want);
    }
    assert!(!page_of(&[GONE], 1, |_| {}).contains("waiting:"));
}

#[test]
fn the_evidence_says_what_was_compared_with_what() {
    let input = |sha256: &str| Some(FileNow { path: "s.csv".into(), sha256: sha256.repeat(32), bytes: 99 });
    let page = page_of(&[GONE], 1, |known| known.input_now = input("cd"));
    let manifest = "in s.results.csv.manifest.json, recorded when";
    for want in [
        &format!("of this file are equal to results.sha256 and results.bytes {manifest} the last run ended."),
        &format!("of this file are equal to input.sha256 and input.bytes {manifest} the input was read."),
        "Results: <span class=\"path\">x/s.results.csv</span>",
        "</span> 1,234 bytes",
    ] {
        assert_has(&page, want);
    }
    assert!(!page.contains("recorded: <span"));
    let page = page_of(&[GONE], 1, |known| known.input_now = input("ee"));
    for want in
        ["data-check=\"differs\"", "SHA-256 or length of this file differs from input.sha256", "recorded: <span"]
    {
        assert_has(&page, want);
    }
    assert_has(
        &page_of(&[GONE], 1, |known| known.input.path = "-".into()),
        "The input was standard input; see input.sha256",
    );
    let alone = page_of(&[GONE], 1, |known| known.has_manifest = false);
    assert_has(&alone, "Not compared: there is no manifest to compare with.");
    assert_has(&page_of(&[GONE], 1, |known| known.recorded.sha256 = None), "has no results.sha256");
}

#[test]
fn foreign_text_is_never_markup() {
    let hostile = || HOSTILE.to_owned();
    let runs = vec![run(HOSTILE, 1_000_000, None), run("two", 1_030_000, None)];
    let mut known = Known::new(9, &Counts::default(), runs);
    known.found.now.path = hostile();
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.html");
    for (text, is_ours) in [(&*page, true), ("<!doctype html>\n<html>", false), ("", true), ("session_id,line", false)]
    {
        assert!(is_at(&path).unwrap() || path.exists(), "nothing is in the way");
        std::fs::write(&path, text).unwrap();
        assert_eq!(is_at(&path).unwrap(), is_ours, "{text}");
    }
    write(&path, &page).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(write(&folder.path().join("no/r.html"), "").unwrap_err().to_string().contains("r.html"));
    assert!(page.contains("</head>"));
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
