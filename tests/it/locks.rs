//! One run per output at a time.

use crate::harness::{Program, Running, Workdir, accepted, config, in_flight, rows, sessions, start, until};
use slack_revoke::stand_in::{Latency, Server, StandInConfig};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const RESULTS: &str = "s.results.csv";
const ROWS: u64 = 60;

/// A folder with an input, and a stand-in whose answers take long enough for a second run to begin and end.
fn slow(count: u64) -> (Workdir, Server) {
    let latency = Latency::Fixed(Duration::from_millis(100));
    let (work, server) = (Workdir::new(), start(StandInConfig { latency, ..config(sessions(1_000, count)) }));
    work.write("s.csv", rows(1_000, count));
    (work, server)
}

fn paced(work: &Workdir, server: &Server) -> Program {
    work.run(server, "s.csv").args(["--rate", "1000/s", "-j", "2"])
}

/// For a run that nobody is to come upon.
fn hurried(work: &Workdir, server: &Server) -> Program {
    work.run(server, "s.csv").args(["--rate", "1000/s", "-j", "16"])
}

fn under_way(work: &Workdir, server: &Server) -> Running {
    let mut running = paced(work, server).start();
    until(&mut running, || in_flight(server) > 0);
    running
}

#[test]
fn a_second_run_is_refused_by_every_path_of_the_output() {
    let (work, server) = slow(ROWS);
    fs::create_dir(work.path("folder")).unwrap();
    symlink(work.path(RESULTS), work.path("alias.csv")).unwrap();
    symlink(work.root(), work.path("folder/back")).unwrap();
    work.write("other.csv", rows(5_000, 3));
    let first = under_way(&work, &server);
    let pid = format!("(process {})", first.id());
    for (input, output) in [
        ("s.csv", RESULTS),
        ("s.csv", "./s.results.csv"),
        ("s.csv", "alias.csv"),
        ("s.csv", "folder/back/s.results.csv"),
        ("other.csv", RESULTS),
    ] {
        for resume in [None, Some("--resume")] {
            let second = work.run(&server, input).args(["-o", output]).args(resume).exits(6);
            assert!(second.stderr().contains(&pid), "{output}: {}", second.stderr());
        }
    }
    assert!(accepted(&server) < ROWS, "the first run was still going on");
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(work.results(RESULTS).count("revoked") as u64, ROWS);
    assert_eq!((accepted(&server), server.stats().repeats), (ROWS, 0), "no second run sent anything");
    assert!(!work.exists("s.results.csv.journal"));
}

#[test]
fn a_second_run_through_a_hard_link_is_refused() {
    let (work, server) = slow(ROWS);
    let first = under_way(&work, &server);
    fs::hard_link(work.path(RESULTS), work.path("hard.csv")).unwrap();
    fs::copy(work.path("s.results.csv.manifest.json"), work.path("hard.csv.manifest.json")).unwrap();
    let manifest = work.read("hard.csv.manifest.json");
    let second = work.run(&server, "s.csv").args(["-o", "hard.csv", "--resume"]).exits(6);
    assert!(second.stderr().contains("another run"), "{}", second.stderr());
    assert_eq!(work.read("hard.csv.manifest.json"), manifest);
    assert!(accepted(&server) < ROWS, "the first run was still going on");
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(work.results(RESULTS).count("revoked") as u64, ROWS);
    assert_eq!((accepted(&server), server.stats().repeats), (ROWS, 0), "no second run sent anything");
}

#[test]
fn a_plan_and_a_run_with_another_output_are_allowed() {
    let (work, server) = slow(20);
    work.write("other.csv", rows(1_000, 3));
    let first = under_way(&work, &server);
    work.program(["plan", "s.csv", "--resume"]).exits(0);
    work.run(&server, "other.csv").exits(0);
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(work.results(RESULTS).statuses().len(), 20);
}

#[test]
fn a_dead_process_holds_no_lock() {
    let (work, server) = slow(ROWS);
    let mut running = under_way(&work, &server);
    until(&mut running, || accepted(&server) > 10);
    running.kill();
    assert!(work.exists("s.results.csv.journal"));
    work.run(&server, "s.csv").exits(2);
    hurried(&work, &server).args(["--resume"]).exits(0);
    assert_eq!(work.results(RESULTS).statuses().len() as u64, ROWS);
    assert!(server.live_sessions().is_empty() && !work.exists("s.results.csv.journal"));
}

#[test]
fn a_leftover_journal_does_not_affect_a_first_run() {
    let (work, server) = slow(ROWS);
    work.write("s.csv", rows(1_000, ROWS + 1));
    let mut running = under_way(&work, &server);
    until(&mut running, || accepted(&server) > 10);
    running.kill();
    for name in [RESULTS, "s.results.csv.manifest.json"] {
        fs::remove_file(work.path(name)).unwrap();
    }
    hurried(&work, &server).exits(0);
    let results = work.results(RESULTS);
    assert_eq!(results.statuses().len() as u64, ROWS + 1);
    assert_eq!(results.count("already_revoked"), 0, "results and manifest were thrown away, and with them the doubt");
}
