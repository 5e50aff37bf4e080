//! What a run leaves behind and says: events, totals, metrics, the manifest, and standard error.

use crate::harness::{Canned, Finished, TOKEN, Workdir, config, rows, sessions, start, totals};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{RepeatedReply, ReplyScript, ScriptedReply, Session, StandInConfig};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

/// Two workspaces, two users, one row of most kinds.
const INPUT: &str = "team_id,session_id,user_id\nT1,1000,U1\nT1,1001,U1\nT2,1002,U2\nT2,1003,\nT1,1000,U1\nT1,x,U1\n";

/// Runs `INPUT`: one row revoked by user, one not found, one failed, one revoked by team, a duplicate, an invalid one.
fn run(work: &Workdir, flags: &[&str]) -> Finished {
    let failing = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::CannotInvalidatePrimaryOwner));
    let script = ReplyScript { by_session: [(1_002, failing)].into(), ..ReplyScript::default() };
    let sessions = [(1_000, "T1", "U1"), (1_002, "T2", "U2"), (1_003, "T2", "U3")];
    let sessions = sessions.map(|(id, team, user)| Session::new(id, team, user)).to_vec();
    let server = start(StandInConfig { script, ..config(sessions) });
    work.write("in.csv", INPUT);
    work.run(&server, "in.csv").args(["--rate", "unlimited"]).args(flags.iter().copied()).exits(1)
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

fn sum(totals: &Value) -> u64 {
    totals.as_object().expect("an object").values().filter_map(Value::as_u64).sum()
}

fn sha256(work: &Workdir, name: &str) -> String {
    let digest = Sha256::digest(std::fs::read(work.path(name)).expect("a file"));
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

#[test]
fn events_contain_every_row() {
    let work = Workdir::new();
    run(&work, &["--events", "events.ndjson"]);
    let events = lines(&work.read("events.ndjson"));
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert!(events.iter().all(|event| event["v"] == 1 && event["at"].as_str().is_some_and(|at| at.ends_with('Z'))));
    assert_eq!((&events[0]["type"], &events[0]["rows"]), (&"run_started".into(), &6.into()));
    let last = events.last().expect("events");
    assert_eq!((&last["type"], &last["exit_code"], sum(&last["rows"])), (&"run_ended".into(), &1.into(), 6));
    assert_eq!((of("sending").len(), of("row_ended").len()), (4, 6));
    let results = work.results("in.results.csv");
    for (event, record) in of("row_ended").into_iter().zip(&results.records) {
        assert_eq!(event["line"], record.line(), "in the order of the results");
        for column in ["status", "error", "detail", "finished_at", "first_sent_at", "request_id"] {
            assert_eq!(event[column].as_str().unwrap_or_default(), record.get(column), "{column} of {event}");
        }
        assert_eq!(event["attempts"].to_string(), record.get("attempts"));
    }
}

#[test]
fn summary_and_metrics_contain_the_totals() {
    let work = Workdir::new();
    run(&work, &["--summary-json", "summary.json", "--metrics-file", "slack.prom"]);
    let summary = work.json("summary.json");
    assert_eq!((&summary["exit_code"], &summary["total"], sum(&summary["rows"])), (&1.into(), &6.into(), 6));
    assert_eq!((&summary["not_reached"], &summary["calls"], &summary["stop"]), (&0.into(), &4.into(), &Value::Null));
    let metrics = work.read("slack.prom");
    for (status, rows) in summary["rows"].as_object().expect("an object") {
        let series = format!("slack_revoke_rows{{status=\"{status}\"}} {rows}\n");
        assert!(metrics.contains(&series), "{series}{metrics}");
    }
    assert!(metrics.contains("slack_revoke_exit_code 1\n") && metrics.contains("slack_revoke_calls 4\n"), "{metrics}");
}

/// Prometheus alerts on `time() - slack_revoke_last_success_timestamp_seconds`: a night that fails must not hide the last that
/// did not, and a night with nothing to do is a success.
#[test]
fn failed_runs_keep_the_time_of_the_last_success() {
    const SUCCESS: &str = "slack_revoke_last_success_timestamp_seconds";
    let value = |work: &Workdir, name: &str| -> Option<String> {
        let metrics = work.read("slack.prom");
        metrics.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(' ')?.to_owned()))
    };
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 4))));
    let night = |code| {
        let flags = ["--resume-or-start", "--metrics-file", "slack.prom", "--rate", "unlimited", "--max-failures", "1"];
        work.run(&server, "in.csv").args(flags).exits(code);
    };
    work.write("in.csv", rows(1_000, 2));
    night(0);
    let first = value(&work, SUCCESS).expect("a success");
    assert_eq!(value(&work, "slack_revoke_last_run_timestamp_seconds"), Some(first.clone()));
    let every = Some(RepeatedReply::always(ScriptedReply::Refused(ErrorCode::UserNotFound)));
    server.set_script(ReplyScript { every, ..ReplyScript::default() });
    work.write("in.csv", rows(1_002, 2));
    night(3);
    assert_eq!(value(&work, SUCCESS), Some(first.clone()));
    assert_ne!(value(&work, "slack_revoke_last_run_timestamp_seconds"), Some(first.clone()));
    assert_eq!(value(&work, "slack_revoke_rows_not_reached").as_deref(), Some("1"));
    work.write("in.csv", "");
    night(2);
    assert_eq!(value(&work, SUCCESS), Some(first.clone()), "a refused run is no success");
    assert_eq!(value(&work, "slack_revoke_exit_code").as_deref(), Some("2"));
    server.set_script(ReplyScript::default());
    work.write("in.csv", rows(1_000, 1));
    night(0);
    let last = value(&work, SUCCESS);
    assert!(last.as_ref().is_some_and(|success| *success > first));
    // A drill is no night.
    work.program(["run", "--rehearse", "in.csv", "--metrics-file", "slack.prom"]).exits(0);
    assert_eq!(value(&work, SUCCESS), last);
    assert_ne!(value(&work, "slack_revoke_last_run_timestamp_seconds"), last);
}

#[test]
fn the_manifest_contains_the_run() {
    let work = Workdir::new();
    let said = run(&work, &["--reason", "laptop stolen"]).stderr();
    let manifest = work.json("in.results.csv.manifest.json");
    assert_eq!(manifest["input"]["sha256"], sha256(&work, "in.csv"));
    assert_eq!(manifest["results"]["sha256"], sha256(&work, "in.results.csv"));
    assert_eq!((&manifest["input"]["rows"], &manifest["complete"]), (&6.into(), &true.into()));
    assert_eq!((&manifest["tool_version"], sum(&manifest["totals"])), (&env!("CARGO_PKG_VERSION").into(), 6));
    let results = work.results("in.results.csv");
    for status in ["revoked", "not_found", "failed", "invalid", "duplicate"] {
        assert_eq!(manifest["totals"][status], results.count(status), "{status}");
    }
    for (group, column) in [("per_workspace", "team_id"), ("per_user", "user_id")] {
        for (name, totals) in manifest[group].as_object().expect("an object") {
            let rows = results.records.iter().filter(|record| record.get(column) == name);
            assert_eq!(sum(totals), rows.count() as u64, "{group} {name}");
        }
        assert_eq!(manifest[group].as_object().map(serde_json::Map::len), Some(2), "{group}");
    }
    let run = &manifest["runs"][0];
    assert_eq!((&run["exit_code"], &run["reason"]), (&1.into(), &"laptop stolen".into()));
    assert_eq!((&run["identity"]["user_id"], &run["api_host"]), (&"W0STANDIN".into(), &"127.0.0.1".into()));
    assert_eq!((&run["rate"], &run["counts"]["calls"]), (&"unlimited".into(), &4.into()));
    assert!(run["host"].as_str().is_some_and(|host| !host.is_empty()));
    assert!(said.contains(run["run_id"].as_str().expect("an id")), "the alert is matched by it: {said}");
    let sent: Vec<_> =
        results.records.iter().map(|record| record.get("first_sent_at")).filter(|at| !at.is_empty()).collect();
    assert!(sent.iter().all(|at| manifest["window"]["from"].as_str() <= Some(at)), "{}", manifest["window"]);
}

#[test]
fn a_run_ends_with_totals_and_files() {
    let work = Workdir::new();
    let said = run(&work, &[]).stderr();
    let want = [("revoked", 2), ("not_found", 1), ("failed", 1), ("invalid", 1), ("duplicate", 1)];
    assert_eq!(totals(&said), want.into(), "{said}");
    for file in ["in.results.csv", "in.results.remaining.csv", "in.results.csv.manifest.json"] {
        assert!(said.lines().rev().take(7).any(|line| line.ends_with(file)), "{file}: {said}");
    }
    assert!(!said.contains("--resume"), "nothing to continue: {said}");
}

#[test]
fn files_are_only_readable_by_their_owner() {
    let work = Workdir::new();
    run(&work, &["--events", "events", "--summary-json", "summary", "--metrics-file", "metrics"]);
    for name in work.names() {
        let mode = std::fs::metadata(work.path(&name)).expect("a file").permissions().mode() & 0o777;
        match name.as_str() {
            // The test's own, and the one for another user's node_exporter: numbers alone.
            "in.csv" | "metrics" => {}
            _ => assert_eq!(mode, 0o600, "{name}"),
        }
    }
    assert_eq!(work.names().len(), 7, "{:?}", work.names());
}

#[test]
fn quiet_prints_only_errors() {
    let work = Workdir::new();
    let finished = run(&work, &["--quiet"]);
    // One row failed and one is invalid: a timer's mail says so, and how to run them again.
    let said = finished.stderr();
    assert_eq!((said.lines().count(), finished.stdout().as_str()), (4, ""), "{said}");
    assert!(said.contains("some rows are failed") && said.contains("in.results.csv"), "{said}");
    let server = start(config(sessions(1_000, 1)));
    work.write("good.csv", rows(1_000, 1));
    assert_eq!(work.run(&server, "good.csv").args(["-q"]).exits(0).stderr(), "");
    work.write("bad.csv", "");
    let said = work.program(["run", "bad.csv", "--yes", "-q"]).token(TOKEN).exits(2).stderr();
    assert!(said.starts_with("error: bad.csv"), "{said}");
}

#[test]
fn every_line_of_json_logs_is_json() {
    for flags in [&["--log-format", "json"][..], &["--log-format", "json", "-vv"]] {
        let work = Workdir::new();
        let said = lines(&run(&work, flags).stderr());
        assert!(said.iter().all(|line| line["level"].is_string() && line["message"].is_string()), "{said:?}");
        assert!(!said.is_empty());
    }
    let work = Workdir::new();
    for (line, code) in [("run missing.csv --yes --log-format json", 2), ("run in.csv --log-format json", 2)] {
        let finished = work.program(line.split_whitespace()).token(TOKEN).exits(code);
        assert!(!lines(&finished.stderr()).is_empty(), "{line}: {}", finished.stderr());
    }
}

#[test]
fn no_control_character_reaches_the_terminal_or_a_detail() {
    const EVIL: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}";
    let evil = |name: &str| format!("{name}{EVIL}");
    let answer = serde_json::json!({
        "ok": false, "error": evil("odd"), "warning": evil("careful"), "user_id": evil("U1"), "user": evil("name"),
        "response_metadata": {"messages": [evil("words")]},
    });
    let (work, slack) = (Workdir::new(), Canned::json(&answer.to_string()));
    let header = format!("team_id,session_id,{EVIL}\n");
    work.write("in.csv", format!("{header}T1{EVIL},1000,x\nT1,{EVIL},x\nT1,1001,{EVIL}\nT1,1002,y\n"));
    let flags = ["--rate", "unlimited", "-vv", "--color", "never", "--events", "events", "--reason", "none"];
    let program = work.program(["run", "in.csv", "--yes", "--api-url", &slack.url()]).args(flags).token(TOKEN);
    let said = program.exits(1).stderr();
    let plan = work.program(["plan", "in.csv", "--resume"]).exits(1).stdout();
    let bad = work.write("bad.csv", format!("{header}\n").replace("session_id", EVIL));
    let refused = work.program(["plan".into(), bad.into_os_string()]).exits(2).stderr();
    let details =
        work.results("in.results.csv").records.iter().map(|record| record.get("detail").to_owned()).collect::<String>();
    for text in [said, plan, refused, details, work.read("events")] {
        let found = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(found, None, "{}", text.escape_debug());
    }
    assert_eq!(work.results("in.results.csv").line(4).get(EVIL), EVIL, "but a column goes through unchanged");
}

#[test]
fn progress_and_color_flags_are_respected() {
    let server = start(config(sessions(1_000, 40)));
    for (count, (flags, coloured)) in (0..).zip([
        (&[][..], false),
        (&["--color", "always"], true),
        (&["--color", "always", "--progress", "none"], true),
    ]) {
        let work = Workdir::new();
        work.write("in.csv", rows(1_000 + 10 * count, 10));
        let said = work.run(&server, "in.csv").args(flags.iter().copied()).exits(0).stderr();
        assert_eq!(said.contains('\u{1b}'), coloured, "{flags:?}: {said}");
    }
}
