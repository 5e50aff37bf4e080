//! Results are evidence of one input's rows: those of others, and those that somebody changed, are not taken for it.

use crate::harness::{Program, TOKEN, Workdir, accepted, config, rows, sessions, start, until};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    Limit, LimitKind, MethodLimits, RepeatedReply, ReplyScript, RetryAfter, ScriptedReply, Server, StandInConfig,
    StandInToken, TokenEnd, WindowStart,
};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

const RESULTS: &str = "s.results.csv";
const MANIFEST: &str = "s.results.csv.manifest.json";
const JOURNAL: &str = "s.results.csv.journal";

/// Ten rows, stopped after five.
fn stopped() -> (Workdir, Server) {
    let tokens = vec![StandInToken { ends: Some((5, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let server = start(StandInConfig { tokens, ..config(sessions(1_000, 10)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 10));
    work.run(&server, "s.csv").args(["--rate", "unlimited", "-j", "1"]).exits(4);
    server.accept_token(TOKEN);
    (work, server)
}

fn resume(work: &Workdir, server: &Server) -> Program {
    work.run(server, "s.csv").args(["--resume", "--rate", "unlimited"])
}

/// As after `kill -9`: the manifest doesn't know the content of the results.
fn forget_the_seal(work: &Workdir) {
    let mut manifest = work.json(MANIFEST);
    manifest["results"]["sha256"] = serde_json::Value::Null;
    manifest["results"]["bytes"] = serde_json::Value::Null;
    manifest["subjects"] = serde_json::json!([]);
    work.write(MANIFEST, manifest.to_string());
}

#[track_caller]
fn assert_refused(work: &Workdir, server: &Server, program: Program, why: &str) {
    let before = (work.read(RESULTS), work.read(MANIFEST), accepted(server));
    let refused = program.exits(2);
    assert!(refused.stderr().contains(why), "{}", refused.stderr());
    assert_eq!(before, (work.read(RESULTS), work.read(MANIFEST), accepted(server)));
}

/// What an earlier run sealed is compared although a run after it was killed, and so left no seal of its own.
#[test]
fn records_that_were_edited_before_a_killed_run_are_refused() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    work.write("s.csv", rows(1_000, 5));
    work.run(&server, "s.csv").args(["--rate", "unlimited"]).exits(0);
    work.write("s.csv", rows(1_000, 10));
    let mut running = work.run(&server, "s.csv").args(["--resume", "--rate", "1/h"]).start();
    until(&mut running, || accepted(&server) > 5);
    running.kill();
    let ours = work.read(RESULTS);
    let sealed = ours.lines().take(6).map(|line| line.len() + 1).sum::<usize>();
    for edited in
        [ours.replacen("3,revoked", "3,unknown", 1), ours.replacen("1003", "1004", 1), ours.replacen("T1", "T2", 1)]
    {
        work.write(RESULTS, &edited);
        for flag in ["--resume", "--resume-or-start"] {
            let program = work.run(&server, "s.csv").args([flag, "--rate", "unlimited"]);
            assert_refused(&work, &server, program, "the results were changed since");
        }
        assert_refused(&work, &server, work.program(["plan", "s.csv", "--resume"]), "the results were changed since");
    }
    // A cut is made up for, wherever it is.
    for cut in [sealed - 1, sealed / 2, 1, 0] {
        work.write(RESULTS, &ours[..cut]);
        work.program(["plan", "s.csv", "--resume"]).exits(0);
    }
    work.write(RESULTS, &ours[..sealed - 1]);
    let said = resume(&work, &server).args(["-q"]).exits(0).stderr();
    assert!(said.contains("was cut off since the last run"), "{said}");
    assert_eq!(work.results(RESULTS).statuses().len(), 10);
}

#[test]
fn records_without_a_row_in_the_input_are_refused() {
    for (from, to, line) in [
        // Another input's results, of the same columns.
        ("T1,1001,3,revoked", "T1,2001,3,revoked", 3),
        ("T1,1001,3,revoked", "T2,1001,3,revoked", 3),
        // Two lines changed places.
        ("T1,1001,3,revoked", "T1,1001,9,revoked", 9),
        ("T1,1001,3,revoked", "T1,1001,12,revoked", 12),
        ("T1,1001,3,revoked", "T1,1001,1,revoked", 1),
    ] {
        let (work, server) = stopped();
        forget_the_seal(&work);
        let edited = work.read(RESULTS).replace(from, to);
        work.write(RESULTS, &edited);
        assert!(edited.contains(to), "{edited}");
        assert_refused(&work, &server, resume(&work, &server), &format!("line {line}"));
        let planned = work.program(["plan", "s.csv", "--resume"]);
        assert_refused(&work, &server, planned, &format!("line {line}"));
    }
}

#[test]
fn results_created_by_others_during_preflight_are_refused() {
    let server = start(config(sessions(1_000, 3)));
    for resumes in [&["--resume"] as &[&str], &["--resume-or-start"], &[]] {
        let work = Workdir::new();
        work.write("other.csv", rows(2_000, 3));
        work.run(&server, "other.csv").args(["-o", "other.results.csv", "--rate", "unlimited"]).exits(0);
        let theirs = work.read("other.results.csv");
        work.write("s.csv", rows(1_000, 3));
        let command = format!("cp other.results.csv {RESULTS}; echo {TOKEN}");
        let run = work.program(["run", "s.csv", "--yes", "--rate", "unlimited", "--api-url", &server.url()]);
        run.args(["--token-command", &command]).args(resumes).exits(2);
        assert_eq!(work.read(RESULTS), theirs);
        assert!(!work.exists(MANIFEST) && !work.exists(JOURNAL), "{:?}", work.names());
        resume(&work, &server).exits(2);
    }
    assert_eq!(server.live_sessions().len(), 3);
}

#[test]
fn results_replaced_during_preflight_are_not_resumed() {
    let (work, server) = stopped();
    let (manifest, calls) = (work.read(MANIFEST), accepted(&server));
    let swap = format!("cp {RESULTS} copy; printf x >> copy; mv copy {RESULTS}; echo {TOKEN}");
    let run = work.program(["run", "s.csv", "--yes", "--rate", "unlimited", "--api-url", &server.url()]);
    let refused = run.args(["--resume", "--token-command", &swap]).exits(7);
    assert!(refused.stderr().contains("changed or replaced since it was read"), "{}", refused.stderr());
    assert_eq!((work.read(MANIFEST), accepted(&server)), (manifest, calls));
    assert!(work.read(RESULTS).ends_with('x'), "nothing was cut off");
}

#[test]
fn a_run_that_fails_to_start_does_not_block_the_next() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", rows(1_000, 3));
    let command = format!("mkdir {MANIFEST}; echo {TOKEN}");
    let run = work.program(["run", "s.csv", "--yes", "--rate", "unlimited", "--api-url", &server.url()]);
    run.args(["--token-command", &command]).exits(7);
    fs::remove_dir(work.path(MANIFEST)).expect("an empty folder");
    let names: Vec<_> = work.names().into_iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!((names, accepted(&server)), (vec!["s.csv".into()], 0));
    work.run(&server, "s.csv").args(["--rate", "unlimited"]).exits(0);
}

#[test]
fn results_edited_since_the_last_run_are_refused() {
    for finished in [false, true] {
        let (work, server) = stopped();
        if finished {
            resume(&work, &server).exits(0);
        }
        let ours = work.read(RESULTS);
        let (first, rest) = ours.split_once("revoked").expect("a record");
        for edited in [
            format!("{first}failed,{rest}"),
            format!("{first}unknown{rest}"),
            ours.replacen("T1,1001,3,revoked", "T1,1001,3,unknown", 1),
            ours.replacen("Z,", "Z,r", 1),
            format!("{ours}T1,1009,11,revoked,,,200,1,0,,2026-11-27T12:00:00.000Z,\n"),
            format!("{ours}torn"),
            ours.replacen('.', "", 1),
        ] {
            work.write(RESULTS, edited);
            for flag in ["--resume", "--resume-or-start"] {
                let program = work.run(&server, "s.csv").args([flag, "--rate", "unlimited"]);
                assert_refused(&work, &server, program, "");
            }
            assert_refused(&work, &server, work.program(["plan", "s.csv", "--resume"]), "");
        }
        work.write(RESULTS, ours);
        resume(&work, &server).exits(0);
    }
}

#[test]
fn rows_of_truncated_records_are_sent_again_with_a_warning() {
    let (work, server) = stopped();
    resume(&work, &server).exits(0);
    let ours = work.read(RESULTS);
    work.write(RESULTS, &ours[..ours.len() - 1]);
    let said = resume(&work, &server).args(["-q"]).exits(0).stderr();
    assert!(said.contains("was cut off") && said.contains("with it 1 record:"), "{said}");
    assert_eq!(work.results(RESULTS).statuses().len(), 10);
    assert_eq!(resume(&work, &server).args(["-q"]).exits(0).stderr(), "");
}

#[test]
fn missing_results_are_recreated_only_for_an_incomplete_run() {
    let (work, server) = stopped();
    fs::remove_file(work.path(RESULTS)).expect("results");
    let said = resume(&work, &server).args(["-q"]).exits(0).stderr();
    assert!(said.contains("is gone"), "{said}");
    fs::remove_file(work.path(RESULTS)).expect("results");
    let (manifest, calls) = (work.read(MANIFEST), accepted(&server));
    for flag in ["--resume", "--resume-or-start"] {
        let refused = work.run(&server, "s.csv").args([flag, "--rate", "unlimited"]).exits(2);
        assert!(refused.stderr().contains("put them back"), "{}", refused.stderr());
    }
    assert_eq!((work.read(MANIFEST), accepted(&server), work.exists(RESULTS)), (manifest, calls, false));
}

/// Of the ten sessions the last five are nobody's. The row that met the end of the run got a clear answer.
#[test]
fn a_clearly_refused_row_is_not_already_revoked_in_the_next_run() {
    let limit = LimitKind::FixedWindow { calls: 5, per: Duration::from_hours(1), starts: WindowStart::FirstCall };
    let limits = MethodLimits {
        invalidate: Limit { retry_after: RetryAfter::Fixed(3_600), ..Limit::of(limit) },
        ..MethodLimits::default()
    };
    let revoked = vec![StandInToken { ends: Some((5, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let refused = ReplyScript {
        by_session: [(1_005, RepeatedReply::always(ScriptedReply::Refused(ErrorCode::NoPermission)))].into(),
        ..ReplyScript::default()
    };
    for (trouble, code) in [
        (StandInConfig { limits, ..config(sessions(1_000, 5)) }, 3),
        (StandInConfig { tokens: revoked, ..config(sessions(1_000, 5)) }, 4),
        (StandInConfig { script: refused, ..config(sessions(1_000, 5)) }, 4),
    ] {
        let (work, server) = (Workdir::new(), start(trouble));
        work.write("s.csv", rows(1_000, 10));
        work.run(&server, "s.csv").args(["--rate", "unlimited", "-j", "1"]).exits(code);
        assert_eq!(work.results(RESULTS).count("revoked"), 5);
        let well = start(config(Vec::new()));
        resume(&work, &well).exits(0);
        assert_eq!(work.results(RESULTS).count("not_found"), 5, "{}", work.read(RESULTS));
    }
}

/// Lets something happen at a system call of a first run, by strace; false if that isn't there or may not trace.
fn struck_at(work: &Workdir, server: &Server, calls: &str, how: &str, when: u32) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "trace", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:{how}:when={when}")]);
    strace.args([env!("CARGO_BIN_EXE_slack-revoke"), "run", "s.csv", "--yes", "--rate", "unlimited"]);
    strace.args(["--api-url", &server.url()]).env("SLACK_TOKEN", TOKEN).current_dir(work.root());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() && work.exists("trace")
}

#[test]
fn a_run_that_dies_at_its_start_is_known_to_have_sent_nothing() {
    let mut before_the_first_call = 0;
    for calls in ["rename,renameat,renameat2", "fsync,fdatasync", "ftruncate"] {
        for (how, when) in
            ["signal=SIGKILL", "error=EIO"].into_iter().flat_map(|how| (1..=6).map(move |when| (how, when)))
        {
            let (work, server) = (Workdir::new(), start(config(sessions(9_000, 1))));
            work.write("s.csv", rows(1_000, 3));
            if !struck_at(&work, &server, calls, how, when) {
                println!("left out: no strace here");
                return;
            }
            if accepted(&server) > 0 {
                break;
            }
            before_the_first_call += 1;
            resume(&work, &server).exits(0);
            assert_eq!(work.results(RESULTS).count("not_found"), 3, "{calls} {how} {when}: {}", work.read(RESULTS));
        }
    }
    assert!(before_the_first_call > 5, "{before_the_first_call}");
}
