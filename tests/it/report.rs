//! `report`: the page of a run says what its results say.

use crate::harness::{Finished, TOKEN, Workdir, accepted, config, start, until};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use slack_revoke::model::{ErrorCode, Status};
use slack_revoke::stand_in::{
    Effect, InjectedFault, Limit, LimitKind, MethodLimits, RepeatedReply, ReplyScript, ScriptedReply, Server,
    StandInConfig,
};
use slack_revoke::stand_in::{Session, SessionStore};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

const HOSTILE: &str = "<script>alert(1)</script>\u{202e}";

/// The values of `data-NAME="…"` with the `data-count` behind them.
fn counts(page: &str, name: &str) -> BTreeMap<String, u64> {
    let value = |text: &str| {
        let escaped = text.split('"').next().unwrap_or_default();
        escaped.replace("&#60;", "<").replace("&#62;", ">")
    };
    let mark = format!(" data-{name}=\"");
    let pair = |rest: &str| {
        let count = rest.split('>').next().and_then(|tag| tag.split("data-count=\"").nth(1)).expect("a count");
        (value(rest), value(count).parse().expect("a number"))
    };
    page.split(&mark).skip(1).map(pair).collect()
}

/// The numbers of every `data-NAME="…"`.
fn numbers(page: &str, name: &str) -> Vec<u64> {
    let mark = format!(" data-{name}=\"");
    let number = |rest: &str| rest.split('"').next().and_then(|text| text.parse().ok()).expect("a number");
    page.split(&mark).skip(1).map(number).collect()
}

/// Asserts that the figures of the page are those of the results.
#[track_caller]
fn assert_page_matches(work: &Workdir, page: &str, results: &str) {
    let (page, results) = (work.read(page), work.results(results));
    let statuses = counts(&page, "status");
    assert_eq!(statuses.len(), Status::ALL.len());
    for (status, rows) in statuses {
        assert_eq!(rows, results.count(&status) as u64, "{status}");
    }
    let mut grouped: [BTreeMap<String, u64>; 2] = Default::default();
    for record in &results.records {
        *grouped[0].entry(record.get("team_id").to_owned()).or_default() += 1;
        if !record.get("error").is_empty() {
            *grouped[1].entry(record.get("error").to_owned()).or_default() += 1;
        }
    }
    assert_eq!([counts(&page, "workspace"), counts(&page, "error")], grouped);
    let rows = results.records.len() as u64;
    assert_eq!((numbers(&page, "ended"), numbers(&page, "rows").iter().sum::<u64>()), (vec![rows], rows));
    let is_trouble = |status: &str| ["failed", "unknown", "invalid"].contains(&status);
    let trouble = results.records.iter().filter(|record| is_trouble(record.status()));
    assert_eq!(numbers(&page, "line"), trouble.map(crate::harness::Record::line).collect::<Vec<_>>());
}

/// Two workspaces; sessions that are refused, that nobody answers for, and that are gone; a limit with short pauses.
fn troubled() -> Server {
    let refused = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from(HOSTILE)));
    let primary = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::CannotInvalidatePrimaryOwner));
    let silent = RepeatedReply::always(ScriptedReply::Fault(InjectedFault::Unavailable, Effect::None));
    let script =
        ReplyScript { by_session: [(5, refused), (9, primary), (14, silent)].into(), ..ReplyScript::default() };
    let kind = LimitKind::SlidingLog { calls: 25, per: Duration::from_millis(1_200) };
    let limits = MethodLimits { invalidate: Limit::of(kind), ..MethodLimits::default() };
    let sessions: Vec<_> = (0..40).map(|id| Session::new(id, &format!("T{}", id % 2), "U1")).collect();
    start(StandInConfig { script, limits, store: SessionStore::listed(sessions), ..config(Vec::new()) })
}

fn input() -> String {
    let mut text = format!("team_id,session_id,note\nT0,0,\"{HOSTILE}\"\n");
    (1..40).for_each(|id| writeln!(text, "T{},{id},x", id % 2).expect("a string takes everything"));
    text + &format!("T1,\"{HOSTILE}\",x\nT0,2,again\nT0,99,never was\n")
}

/// A run that is stopped and continued. Its results are `in.results.csv`, its events `events`.
fn stopped_and_continued(work: &Workdir) {
    let server = troubled();
    work.write("in.csv", input());
    let line = |work: &Workdir| {
        let flags = ["--rate", "unlimited", "-j", "4", "--retries", "1", "--max-failures", "100%"];
        work.run(&server, "in.csv").args(flags).args(["--events", "events", "--reason", HOSTILE])
    };
    let mut running = line(work).start();
    until(&mut running, || accepted(&server) >= 8);
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(130));
    line(work).args(["--resume"]).exits(1);
}

fn report(work: &Workdir, arguments: &[&str], code: i32) -> Finished {
    work.program(["report"]).args(arguments.iter().copied()).exits(code)
}

#[test]
fn the_page_matches_the_results() {
    let work = Workdir::new();
    stopped_and_continued(&work);
    let said = report(&work, &["in.results.csv", "--events", "events"], 0).stderr();
    assert!(said.ends_with("in.results.report.html\n"), "{said}");
    assert_page_matches(&work, "in.results.report.html", "in.results.csv");
    let page = work.read("in.results.report.html");
    let mode = fs::metadata(work.path("in.results.report.html")).expect("the page").permissions().mode() & 0o777;
    assert_eq!((mode, work.names().iter().any(|name| name.contains(".tmp"))), (0o600, false));
    let sha256 = Sha256::digest(fs::read(work.path("in.results.csv")).expect("results"));
    let sha256 = sha256.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert!(
        page.contains(&sha256) && page.matches("data-check=\"matches\"").count() == 4,
        "results, input, remaining rows and events"
    );
    let manifest = work.json("in.results.csv.manifest.json");
    for run in manifest["runs"].as_array().expect("runs") {
        assert!(page.contains(&format!("data-run=\"{}\"", run["run_id"].as_str().expect("an id"))));
    }
    let per_run = counts(&page, "run");
    assert_eq!((per_run.len(), per_run.values().sum::<u64>()), (2, 43));
    assert!(page.contains("class=\"pause\""), "a 429 paused the run");
    assert_eq!((counts(&page, "figure")["not_reached"], counts(&page, "figure")["rows"]), (0, 43));
    for hostile in ["<script", "\u{202e}"] {
        assert!(!page.contains(hostile), "{}", hostile.escape_debug());
    }
    assert!(page.contains("&#60;script&#62;alert(1)"), "but its text is shown");
}

#[test]
fn pauses_are_read_from_the_manifest_or_the_events() {
    let work = Workdir::new();
    stopped_and_continued(&work);
    report(&work, &["in.results.csv", "-o", "all.html", "--events", "events"], 0);
    report(&work, &["in.results.csv", "-o", "manifest.html"], 0);
    let of = |page: &str| work.read(page).matches("<rect class=\"pause\"").count();
    assert!(of("all.html") > 0 && of("manifest.html") > 0);

    fs::rename(work.path("in.results.csv.manifest.json"), work.path("gone")).expect("a rename");
    let said = report(&work, &["in.results.csv", "-o", "events.html", "--events", "events"], 0).stderr();
    assert!(said.contains("in.results.csv.manifest.json is missing"), "{said}");
    assert_eq!(of("events.html"), of("all.html"));
    report(&work, &["in.results.csv", "-o", "alone.html"], 0);
    let alone = work.read("alone.html");
    assert_eq!(of("alone.html"), 0);
    assert!(alone.contains("There is no manifest next to the results") && !alone.contains("data-not-reached"));
    for page in ["all.html", "manifest.html", "events.html", "alone.html"] {
        assert_page_matches(&work, page, "in.results.csv");
    }
}

#[test]
fn lines_that_are_not_events_are_counted() {
    let work = Workdir::new();
    stopped_and_continued(&work);
    let events = work.read("events");
    let lines = events.lines().count();
    let other = r#"{"v":1,"at":"2026-01-01T00:00:00.000Z","type":"run_started","run_id":"another","rows":1}"#;
    work.write("events", format!("{events}nonsense\n{{}}\n{other}\n{{\"v\":1,\"at\":\"2026-"));
    report(&work, &["in.results.csv", "--events", "events"], 0);
    let page = work.read("in.results.report.html");
    assert!(page.contains(&format!("2 lines aren’t events, the first one in line {}", lines + 1)));
    assert!(page.contains("1 run belongs to other results"));
    assert_eq!(counts(&page, "run").len(), 2);
    work.write("no-events", "a\nb\n");
    let said = report(&work, &["in.results.csv", "--events", "no-events"], 2).stderr();
    assert!(said.contains("no-events isn't an events file"), "{said}");
    report(&work, &["in.results.csv", "--events", "missing"], 2);
}

#[test]
fn truncated_changed_duplicate_and_empty_results_are_reported() {
    let work = Workdir::new();
    stopped_and_continued(&work);
    let whole = work.read("in.results.csv");
    let page = |content: &str| {
        work.write("in.results.csv", content);
        report(&work, &["in.results.csv"], 0);
        work.read("in.results.report.html")
    };
    let torn = page(&whole[..whole.len() - 9]);
    assert!(torn.contains("The last record of the results is incomplete"));
    assert_eq!((numbers(&torn, "ended"), numbers(&torn, "not-reached")), (vec![42], vec![1]));
    assert!(torn.contains("data-check=\"differs\"") && torn.contains("The results changed after the run"));

    let last = whole.lines().last().expect("a record");
    let doubled = page(&format!("{whole}{last}\n"));
    assert!(doubled.contains("1 row has more than one record"));
    assert_eq!(numbers(&doubled, "ended"), [43]);

    let header = page(&format!("{}\n", whole.lines().next().expect("a header")));
    assert_eq!((numbers(&header, "ended"), numbers(&header, "not-reached")), (vec![0], vec![43]));
    assert_page_matches(&work, "in.results.report.html", "in.results.csv");

    work.write("in.results.csv", whole.replacen(",failed,", ",fialed,", 1));
    let said = report(&work, &["in.results.csv"], 2).stderr();
    assert!(said.contains("in.results.csv, line") && said.contains("`status`"), "{said}");
}

#[test]
fn a_running_run_and_a_dead_one_are_distinguished() {
    let (work, server) =
        (Workdir::new(), start(config(vec![Session::new(1, "T1", "U1"), Session::new(2, "T1", "U1")])));
    work.write("in.csv", "team_id,session_id\nT1,1\nT1,2\n");
    let slow = ["run", "in.csv", "--yes", "--rate", "1/h", "--api-url", &server.url()];
    let running = work.program(slow).token(TOKEN).start();
    while !(work.exists("in.results.csv") && work.read("in.results.csv").contains("revoked")) {
        std::thread::yield_now();
    }
    report(&work, &["in.results.csv"], 0);
    let page = work.read("in.results.report.html");
    assert!(page.contains("<h1>Still running: 1 of 2 rows processed</h1>") && !page.contains("is incomplete"));
    running.kill();
    report(&work, &["in.results.csv"], 0);
    assert!(work.read("in.results.report.html").contains("<h1>Ended unexpectedly: 1 of 2 rows processed</h1>"));
    work.run(&server, "in.csv").args(["--resume"]).exits(0);
    report(&work, &["in.results.csv"], 0);
    assert!(work.read("in.results.report.html").contains("<h1>2 of 2 revoked; not verified yet: run verify</h1>"));
}

#[test]
fn only_an_earlier_report_is_replaced() {
    let work = Workdir::new();
    stopped_and_continued(&work);
    symlink("in.results.csv", work.path("soft")).expect("a link");
    fs::hard_link(work.path("in.csv"), work.path("hard")).expect("a link");
    work.write("letter.html", "<!doctype html>\n<p>Dear all");
    let names = work.names();
    let before: Vec<_> = names.iter().map(|name| fs::read(work.path(name)).expect("a file")).collect();
    let manifest = "in.results.csv.manifest.json";
    let remaining = "in.results.remaining.csv";
    for output in ["in.results.csv", "soft", "in.csv", "hard", manifest, "events", remaining, "letter.html"] {
        let said = report(&work, &["in.results.csv", "--events", "events", "-o", output], 2).stderr();
        assert!(said.contains("name another file with -o"), "{output}: {said}");
    }
    report(&work, &["in.results.csv", "-o", "no/such/folder"], 7);
    let after: Vec<_> = names.iter().map(|name| fs::read(work.path(name)).expect("a file")).collect();
    assert_eq!((work.names(), after == before), (names, true));
    work.write("empty.html", "");
    for output in ["empty.html", "empty.html", "new.html"] {
        report(&work, &["in.results.csv", "-o", output], 0);
        assert_page_matches(&work, output, "in.results.csv");
    }
    report(&work, &["soft"], 0);
    assert_page_matches(&work, "soft.report.html", "in.results.csv");
}

#[test]
fn other_files_are_refused_as_results() {
    let work = Workdir::new();
    work.write("in.csv", input());
    work.write("empty.csv", "");
    for wrong in ["in.csv", "empty.csv", "missing.csv", "."] {
        let said = report(&work, &[wrong], 2).stderr();
        assert!(said.starts_with("error: ") && said.lines().count() == 2, "{said}");
    }
    assert_eq!(work.names(), ["empty.csv", "in.csv"]);
    stopped_and_continued(&work);
    work.write("in.results.csv.manifest.json", "{}");
    let said = report(&work, &["in.results.csv"], 2).stderr();
    assert!(said.contains("format_version") && !work.exists("in.results.report.html"), "{said}");
}

#[test]
fn a_rehearsal_is_labelled_and_variables_work() {
    let work = Workdir::new();
    work.sample("sessions.csv");
    work.program(["run", "--rehearse", "sessions.csv"]).exits(0);
    let program = work.program(["report", "sessions.rehearsal.csv", "-q"]);
    let said = program.env("SLACK_REVOKE_REPORT_OUTPUT", "drill.html").exits(0).stderr();
    assert_eq!(said, "");
    assert_page_matches(&work, "drill.html", "sessions.rehearsal.csv");
    assert!(work.read("drill.html").contains("data-rehearsal=\"true\""));
}

#[test]
fn the_page_shows_the_verification() {
    let (work, server) = (Workdir::new(), start(config(vec![Session::new(1, "T1", "U1")])));
    work.write("in.csv", "team_id,session_id,user_id\nT1,1,U1\n");
    work.run(&server, "in.csv").exits(0);
    server.set_alive([Session::new(7, "T1", "U1")]);
    work.program(["verify", "in.results.csv", "--api-url", &server.url()]).token(TOKEN).exits(0);
    report(&work, &["in.results.csv"], 0);
    let page = work.read("in.results.report.html");
    assert_eq!(counts(&page, "verified")["user_back"], 1);
    assert!(page.contains("have 1 new session."), "users who signed in again are counted");
    assert!(page.contains("<h1>1 of 1 verified gone</h1>"));
}
