//! `--resume`: what is continued, what is refused, and what the totals say of it.

use crate::harness::{Finished, Program, TOKEN, Workdir, config, in_flight, rows, sessions, start, totals, until};
use flate2::{Compression, write::GzEncoder};
use rustix::process::Signal;
use slack_revoke::stand_in::{Latency, Server, Session, StandInConfig, StandInToken, TokenEnd};
use std::fs;
use std::io::Write as _;
use std::time::Duration;

const RESULTS: &str = "s.results.csv";
const REMAINING: &str = "s.results.remaining.csv";
const MANIFEST: &str = "s.results.csv.manifest.json";

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

fn resume(work: &Workdir, server: &Server, input: &str) -> Program {
    work.run(server, input).args(["-o", RESULTS, "--resume", "--rate", "unlimited"])
}

/// Twenty rows, stopped by the end of the token when ten were revoked.
fn stopped() -> (Workdir, Server) {
    let tokens = vec![StandInToken { ends: Some((10, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let server = start(StandInConfig { tokens, ..config(sessions(1_000, 20)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 20));
    let stopped = work.run(&server, "s.csv").args(["--rate", "unlimited"]).exits(4);
    let want = [("revoked", 10), ("failed", 0), ("not reached", 10)];
    assert_eq!(totals(&stopped.stderr()), want.into());
    assert_eq!(work.results(RESULTS).count("revoked"), 10);
    server.accept_token(TOKEN);
    (work, server)
}

/// Runs, and sees to it that nothing was sent and no file of the run was touched.
#[track_caller]
fn assert_refused(work: &Workdir, server: &Server, program: Program, why: &str) {
    let snapshot = || -> Vec<_> {
        let names = fs::read_dir(work.root()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = names.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
        // A journal names the last process that looked at it.
        files.retain(|(path, _)| !path.ends_with("s.results.csv.journal"));
        files.sort();
        files
    };
    let before = (snapshot(), server.stats());
    let refused = program.exits(2);
    assert!(refused.stderr().contains(why), "{}", refused.stderr());
    assert_eq!(before.0, snapshot());
    assert_eq!(before.1.revoked, server.stats().revoked);
}

#[test]
fn a_stopped_run_is_resumed_and_its_remaining_file_removed() {
    let (work, server) = stopped();
    assert_eq!(work.read(REMAINING), rows(1_010, 10));
    let finished = resume(&work, &server, "s.csv").exits(0);
    let want = [("revoked", 20), ("failed", 0)];
    assert_eq!(totals(&finished.stderr()), want.into());
    assert_eq!(work.results(RESULTS).statuses().len(), 20);
    assert!(server.live_sessions().is_empty());
    assert!(!work.exists(REMAINING), "nothing remains");
    assert!(!work.exists("s.results.csv.journal"));
    let manifest = work.json(MANIFEST);
    assert_eq!((&manifest["complete"], &manifest["input"]["rows"]), (&true.into(), &20.into()));
    assert_eq!(manifest["runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_remaining_file_is_usable_as_input() {
    let (work, server) = stopped();
    work.run(&server, REMAINING).args(["--rate", "unlimited"]).exits(0);
    assert_eq!(work.results("s.results.remaining.results.csv").count("revoked"), 10);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn the_same_content_is_resumed_in_any_compression_and_with_appended_rows() {
    for grown in [0, 5] {
        for packed in [false, true] {
            let (work, server) = stopped();
            server.set_alive(sessions(1_020, grown));
            let content = rows(1_000, 20 + grown).into_bytes();
            work.write("other", if packed { gz(&content) } else { content });
            resume(&work, &server, "other").exits(0);
            let results = work.results(RESULTS);
            let rows = 20 + usize::try_from(grown).unwrap();
            assert_eq!((results.statuses().len(), results.count("revoked")), (rows, rows));
            assert!(server.live_sessions().is_empty());
        }
    }
}

#[test]
fn rows_appended_to_a_finished_input_were_not_sent_before() {
    let (work, server) = stopped();
    resume(&work, &server, "s.csv").exits(0);
    server.set_alive(sessions(1_020, 1));
    work.write("s.csv", rows(1_000, 22));
    resume(&work, &server, "s.csv").exits(0);
    let results = work.results(RESULTS);
    assert_eq!((results.count("revoked"), results.line(23).status()), (21, "not_found"));
    assert_eq!(server.stats().repeats, 0);
    let again = resume(&work, &server, "s.csv").exits(0);
    assert_eq!(work.results(RESULTS), results, "a finished run is left as it is: {}", again.stderr());
}

#[test]
fn an_existing_output_or_that_of_another_input_is_refused() {
    let (work, server) = stopped();
    assert_refused(&work, &server, work.run(&server, "s.csv"), "--resume");
    for (name, other) in [
        ("changed.csv", rows(1_000, 20).replace("1019", "1029")),
        ("shorter.csv", rows(1_000, 19)),
        ("other.csv", rows(2_000, 20)),
        ("columns.csv", rows(1_000, 20).replace("team_id", "user_id")),
    ] {
        work.write(name, other);
        assert_refused(&work, &server, resume(&work, &server, name), RESULTS);
    }
    let rehearsal = work.program(["run", "s.csv", "--rehearse", "-o", RESULTS]);
    assert_refused(&work, &server, rehearsal, "real run's");
}

#[test]
fn results_without_a_manifest_are_refused() {
    let (work, server) = stopped();
    fs::remove_file(work.path(MANIFEST)).unwrap();
    assert_refused(&work, &server, resume(&work, &server, "s.csv"), "manifest");

    for content in ["name,age\nAda,36\n", "team_id,session_id\nT1,1000\n", "free text"] {
        let (work, server) = stopped();
        work.write(RESULTS, content);
        assert_refused(&work, &server, resume(&work, &server, "s.csv"), "a results file of slack-revoke");
    }

    let (work, server) = stopped();
    let results = work.read(RESULTS);
    let last = results.lines().last().unwrap().to_owned();
    work.write(RESULTS, format!("{results}{last}\n"));
    assert_refused(&work, &server, resume(&work, &server, "s.csv"), "has a record already");
    work.write(RESULTS, results.replacen("revoked", "rewoked", 1));
    assert_refused(&work, &server, resume(&work, &server, "s.csv"), "`status`");
}

#[test]
fn resume_without_results_is_a_first_run() {
    for empty in [false, true] {
        let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
        work.write("s.csv", rows(1_000, 10));
        if empty {
            work.write(RESULTS, "");
        }
        resume(&work, &server, "s.csv").exits(0);
        assert_eq!(work.results(RESULTS).count("revoked"), 10);
    }
}

#[test]
fn deleted_results_are_recreated_and_sent_rows_are_not_called_not_found() {
    let (work, server) = stopped();
    fs::remove_file(work.path(RESULTS)).unwrap();
    resume(&work, &server, "s.csv").exits(0);
    let results = work.results(RESULTS);
    assert_eq!((results.count("already_revoked"), results.count("revoked")), (10, 10));
}

/// Stops while calls are in flight; gives what it said.
fn interrupt(program: Program, server: &Server) -> Finished {
    let mut running = program.start();
    until(&mut running, || in_flight(server) == 4);
    running.signal(Signal::INT);
    running.wait()
}

#[test]
fn the_totals_of_all_runs_on_one_output_add_up_to_the_input() {
    let few = (1_000..1_150).map(|id| Session::new(id, "T1", "U1")).collect();
    let server = start(StandInConfig { latency: Latency::Fixed(Duration::from_millis(50)), ..config(few) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 200));
    let total = |ended: u64| {
        let summary = work.json("sum.json");
        let rows = summary["rows"].as_object().expect("an object");
        assert_eq!(rows.values().filter_map(serde_json::Value::as_u64).sum::<u64>(), ended);
        assert_eq!((&summary["total"], &summary["not_reached"]), (&200.into(), &(200 - ended).into()));
        let manifest = work.json(MANIFEST);
        assert_eq!(manifest["complete"], ended == 200);
    };
    for _ in 0..3 {
        let flags = ["--rate", "1000/s", "-j", "4", "--summary-json", "sum.json", "--resume"];
        let stopped = interrupt(work.run(&server, "s.csv").args(flags), &server);
        assert_eq!(stopped.code(), Some(130), "{}", stopped.stderr());
        total(work.results(RESULTS).records.len() as u64);
    }
    resume(&work, &server, "s.csv").args(["--summary-json", "sum.json"]).exits(0);
    total(200);
    let results = work.results(RESULTS);
    assert_eq!((results.count("revoked"), results.count("not_found")), (150, 50), "none was sent and lost");
    assert_eq!(server.stats().repeats, 0);
}
