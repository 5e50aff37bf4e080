//! `-q` prints nothing about a good run, and every warning that protection or evidence is weaker than requested.

use crate::harness::{Canned, Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::Server;
use std::fs;

/// Three sessions of one user, in rows that name it.
fn three() -> (Workdir, Server) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", "user_id,session_id\nU1,1000\nU1,1001\nU1,1002\n");
    (work, server)
}

/// What a program prints under `-q`; the same is in one JSON object under `--log-format json`.
#[track_caller]
fn warns(program: impl Fn() -> Program, code: i32, want: &str) {
    for format in [&[][..], &["--log-format", "json"]] {
        let said = program().args(["-q"]).args(format.iter().copied()).exits(code).stderr();
        assert!(said.lines().any(|line| line.contains(want)), "{want}: {said}");
    }
}

fn around(work: &Workdir, server: &Server, line: &[&str]) -> Program {
    let program = work.program(line.iter().copied()).token(TOKEN);
    program.env("SLACK_REVOKE_API_URL", &server.url()).env("SLACK_REVOKE_RATE", "unlimited")
}

#[test]
fn successful_commands_print_nothing_with_quiet() {
    let (work, server) = three();
    for line in [
        &["run", "s.csv", "--yes", "--events", "e.ndjson", "--summary-json", "s.json", "--metrics-file", "m.prom"][..],
        &["run", "s.csv", "--yes", "--resume"],
        &["verify", "s.results.csv"],
        &["list", "-o", "l.csv"],
        &["resolve", "s.csv", "-o", "r.csv"],
    ] {
        let finished = around(&work, &server, line).args(["-q"]).exits(0);
        assert_eq!((finished.stderr(), finished.stdout()), Default::default(), "{line:?}");
    }
    assert_eq!(work.program(["report", "s.results.csv", "-q"]).exits(0).stderr(), "");
}

/// Whoever mistypes `-o` gets another run: without the protections of the one that was meant.
#[test]
fn resume_without_results_warns_even_with_quiet() {
    let (work, server) = three();
    for output in ["a.csv", "b.csv"] {
        let resume = work.run(&server, "s.csv").args(["--resume", "-q", "-o", output]);
        let said = resume.exits(0).stderr();
        assert!(said.contains("warning: there is nothing to resume") && said.contains(output), "{said}");
    }
}

/// Timestamps are evidence.
#[test]
fn a_wrong_clock_warns_even_with_quiet() {
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 1));
    let slack = Canned::answer("200 OK\r\nDate: Wed, 01 Jan 2020 00:00:00 GMT", r#"{"ok":true,"user_id":"U1"}"#);
    let run = || {
        let _ = fs::remove_file(work.path("s.results.csv"));
        let _ = fs::remove_file(work.path("s.results.csv.manifest.json"));
        work.program(["run", "s.csv", "--yes", "--api-url", &slack.url()]).token(TOKEN)
    };
    warns(run, 0, "this machine's clock is ");
}

/// The totals of `verify` are kept nowhere else, and the page of `report` has no hashes.
#[test]
fn a_missing_manifest_is_reported_even_with_quiet() {
    let (work, server) = three();
    work.run(&server, "s.csv").exits(0);
    fs::remove_file(work.path("s.results.csv.manifest.json")).unwrap();
    warns(|| around(&work, &server, &["verify", "s.results.csv"]), 0, "s.results.csv.manifest.json is missing");
    warns(|| work.program(["report", "s.results.csv"]), 0, "s.results.csv.manifest.json is missing");
}

#[test]
fn protected_sessions_of_unknown_users_warn_even_with_quiet() {
    let (work, server) = three();
    work.write("keep.txt", "77\n");
    let line = ["run", "s.csv", "--yes", "--whole-users", "--confirm-users", "1", "--protect", "keep.txt"];
    let said = around(&work, &server, &line).args(["-q"]).exits(0).stderr();
    assert!(said.contains("their users are not known and not protected"), "{said}");
}

#[test]
fn an_unknown_token_owner_warns_even_with_quiet() {
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 1));
    let slack = Canned::json(r#"{"ok":true}"#);
    let run = work.program(["run", "s.csv", "--yes", "-q", "--api-url", &slack.url()]).token(TOKEN);
    let said = run.exits(0).stderr();
    assert!(said.contains("it isn't known whose token this is"), "{said}");
}
