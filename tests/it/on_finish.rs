//! `--on-finish`: run after every end of a run that began, with the files written, and never to the run's harm.

use crate::harness::{Program, TOKEN, Workdir, config, in_flight, rows, sessions, start, until};
use rustix::process::Signal;
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{Latency, RepeatedReply, ReplyScript, ScriptedReply, Server, StandInConfig};
use std::time::Duration;

/// Notes what it was told and what it finds, whole.
const NOTE: &str =
    r#"{ env; echo "rows=$(wc -l < "$SLACK_REVOKE_RESULTS")"; cat "$SLACK_REVOKE_SUMMARY"; } > n; mv n noted"#;

fn slack(answer: Option<&str>) -> Server {
    let every = answer.map(|code| RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from(code))));
    start(StandInConfig { script: ReplyScript { every, ..ReplyScript::default() }, ..config(sessions(1_000, 100)) })
}

fn run(work: &Workdir, server: &Server) -> Program {
    work.write("in.csv", rows(1_000, 100));
    work.run(server, "in.csv").args(["--rate", "unlimited", "-j", "1", "--retries", "0", "--on-finish", NOTE])
}

/// What the command noted under a name.
fn noted(work: &Workdir, name: &str) -> Option<String> {
    let noted = work.read("noted");
    noted.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

fn told(work: &Workdir) -> (String, String) {
    let get = |name| noted(work, name).unwrap_or_else(|| panic!("{name} is missing: {}", work.read("noted")));
    (get("SLACK_REVOKE_EXIT_CODE"), get("SLACK_REVOKE_STATUS"))
}

#[test]
fn the_hook_runs_after_every_end() {
    for (answer, flags, code, status) in [
        (None, &[][..], 0, "complete"),
        (Some("user_not_found"), &["--max-failures", "101"], 1, "rows_failed"),
        (Some("user_not_found"), &["--max-failures", "3"], 3, "stopped"),
        (Some("missing_scope"), &[], 4, "denied"),
        (Some("service_unavailable"), &[], 5, "unavailable"),
    ] {
        let (work, server) = (Workdir::new(), slack(answer));
        run(&work, &server).args(flags.iter().copied()).exits(code);
        assert_eq!(told(&work), (code.to_string(), status.to_owned()));
        let manifest = work.json("in.results.csv.manifest.json");
        assert_eq!(noted(&work, "SLACK_REVOKE_RUN_ID").as_deref(), manifest["runs"][0]["run_id"].as_str());
        let lines = work.read("in.results.csv").lines().count();
        assert_eq!(noted(&work, "rows"), Some(lines.to_string()), "after the last record");
        let summary: serde_json::Value = serde_json::from_str(
            work.read("noted").split_once("\n{\n").map(|(_, rest)| format!("{{{rest}")).as_deref().expect("a summary"),
        )
        .expect("JSON");
        assert_eq!((&summary["exit_code"], &summary), (&code.into(), &work.json("in.results.csv.summary.json")));
    }
}

#[test]
fn the_hook_gets_the_requested_summary() {
    let (work, server) = (Workdir::new(), slack(None));
    run(&work, &server).args(["--summary-json", "totals.json"]).exits(0);
    let path = work.root().canonicalize().expect("a folder").join("totals.json");
    let told = noted(&work, "SLACK_REVOKE_SUMMARY").expect("a summary");
    assert_eq!(std::path::Path::new(&told).canonicalize().expect("a file"), path);
    assert!(!work.exists("in.results.csv.summary.json"));
    let said = run(&work, &server).args(["-o", "x.csv", "--events", "x.csv.summary.json"]).exits(2).stderr();
    assert!(said.contains("the summary for --on-finish"), "{said}");
}

#[test]
fn the_hook_gets_no_token_and_does_not_recurse() {
    let (work, server) = (Workdir::new(), slack(None));
    let credentials = work.path("credentials");
    std::fs::create_dir(&credentials).expect("a folder");
    std::fs::write(credentials.join("slack-token"), TOKEN).expect("a credential");
    let program = work.program(["run", "in.csv", "--yes", "--api-url", &server.url(), "--rate", "unlimited"]);
    work.write("in.csv", rows(1_000, 3));
    let program = program.env("CREDENTIALS_DIRECTORY", &credentials.to_string_lossy()).token(TOKEN);
    program.env("SLACK_REVOKE_ON_FINISH", NOTE).exits(0);
    let noted = work.read("noted");
    for name in ["SLACK_TOKEN=", "CREDENTIALS_DIRECTORY=", "SLACK_REVOKE_ON_FINISH=", TOKEN] {
        assert!(!noted.contains(name), "{name}: {noted}");
    }
    assert_eq!(told(&work), ("0".into(), "complete".into()));
}

#[test]
fn a_hook_failure_is_reported_and_changes_no_exit_code() {
    let (work, server) = (Workdir::new(), slack(None));
    work.write("in.csv", rows(1_000, 2));
    let finished = work.run(&server, "in.csv").args(["-q", "--on-finish", "echo printed; exit 9"]).exits(0);
    let said = finished.stderr();
    assert!(said.contains("--on-finish failed (exit status: 9)") && said.contains("printed\n"), "{said}");
    assert_eq!(
        (finished.stdout().as_str(), &work.json("in.results.csv.manifest.json")["runs"][0]["exit_code"]),
        ("", &0.into())
    );
}

#[test]
fn the_hook_runs_after_rehearsals_but_not_after_plans_or_refusals() {
    let (work, server) = (Workdir::new(), slack(None));
    work.write("in.csv", rows(1_000, 2));
    let flags = ["--on-finish", NOTE];
    work.program(["plan", "in.csv"]).args(flags).exits(0);
    work.run(&server, "missing.csv").args(flags).exits(2);
    work.run(&server, "in.csv").token("xoxp-another").args(flags).exits(4);
    work.run(&server, "in.csv").args(["-o", "nowhere/out.csv"]).args(flags).exits(7);
    assert!(!work.exists("noted"));
    work.program(["run", "in.csv", "--rehearse"]).args(flags).exits(0);
    assert_eq!(noted(&work, "SLACK_REVOKE_MODE").as_deref(), Some("rehearsal"));
}

#[test]
fn the_hook_runs_after_the_first_signal_but_not_after_the_second() {
    for (signals, ran) in [(1, true), (2, false)] {
        let server = start(StandInConfig {
            latency: Latency::Fixed(Duration::from_millis(400)),
            ..config(sessions(1_000, 100))
        });
        let work = Workdir::new();
        let mut running = run(&work, &server).args(["--events", "events"]).start();
        until(&mut running, || in_flight(&server) > 0);
        running.signal(Signal::TERM);
        if signals == 2 {
            until(&mut running, || work.read("events").contains(r#""type":"stopping""#));
            running.signal(Signal::TERM);
        }
        assert_eq!(running.wait().code(), Some(143));
        assert_eq!(work.exists("noted"), ran, "{signals} signals");
        if ran {
            assert_eq!(told(&work), ("143".into(), "terminated".into()));
        }
    }
}

#[test]
fn a_signal_ends_a_hanging_hook() {
    let (work, server) = (Workdir::new(), slack(None));
    work.write("in.csv", rows(1_000, 2));
    let mut running = work.run(&server, "in.csv").args(["--on-finish", "touch began; sleep 1000"]).start();
    until(&mut running, || work.exists("began"));
    running.signal(Signal::INT);
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "the run was complete: {}", finished.stderr());
    assert!(finished.stderr().contains("was killed by a signal"), "{}", finished.stderr());
}
