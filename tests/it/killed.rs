//! SIGKILL: what is on the disk then is all that the next run has.

use crate::harness::{Program, Running, Workdir, accepted, config, rows, sessions, start, until};
use slack_revoke::stand_in::{Latency, Server, StandInConfig};
use std::fs;
use std::time::Duration;

const WORKERS: u64 = 16;

/// Slow enough for fifteen calls to be in flight at 1000 a second, and for the end to be far when a kill is due.
const LATENCY: Latency = Latency::Fixed(Duration::from_millis(15));

fn resume(work: &Workdir, server: &Server) -> Program {
    let workers = WORKERS.to_string();
    work.run(server, "sessions.csv").args(["--resume", "--rate", "1000/s", "-j", &workers])
}

/// Kills it once the stand-in has let so many calls through, those of the runs before included.
#[track_caller]
fn kill_at(server: &Server, calls: u64, mut running: Running) {
    until(&mut running, || accepted(server) >= calls);
    running.kill();
}

#[test]
fn five_thousand_rows_have_one_record_each_after_ten_kills() {
    let server = start(StandInConfig { latency: LATENCY, ..config(sessions(1_000, 5_000)) });
    let work = Workdir::new();
    work.write("sessions.csv", rows(1_000, 5_000));
    let mut records = 0;
    for kill in 1..=10 {
        kill_at(&server, kill * 400, resume(&work, &server).start());
        let recorded = work.read("sessions.results.csv").lines().count() as u64;
        assert!(recorded > records, "run {kill} added nothing to {records}");
        // Whatever the server let through has its record, but for the calls in flight at each kill so far.
        assert!(recorded + kill * WORKERS >= accepted(&server), "{recorded} of {}", accepted(&server));
        records = recorded;
    }
    resume(&work, &server).exits(0);
    let results = work.results("sessions.results.csv");
    assert_eq!(results.statuses().len(), 5_000);
    assert_eq!(results.count("revoked") + results.count("already_revoked"), 5_000);
    assert!(server.live_sessions().is_empty());
    let stats = server.stats();
    assert_eq!((stats.revoked, accepted(&server)), (5_000, 5_000 + stats.repeats));
    assert!(stats.repeats <= 10 * WORKERS, "{} rows were sent twice, more than were in flight", stats.repeats);
    assert!(results.count("already_revoked") as u64 <= stats.repeats);
}

/// Fifty deaths at moments that a seed draws, and after each the bytes of that run which were not yet synced are lost in
/// part: cut off at any byte, as a file system may after a power loss. The journal is what the kernel still had.
#[test]
fn no_row_is_lost_after_fifty_kills_with_unsynced_data_dropped() {
    let server = start(StandInConfig { latency: LATENCY, ..config(sessions(1_000, 5_000)) });
    let work = Workdir::new();
    work.write("sessions.csv", rows(1_000, 5_000));
    let (mut dice, mut synced) = (fastrand::Rng::with_seed(4), 0);
    for _ in 0..50 {
        let more = dice.u64(1..150);
        kill_at(&server, accepted(&server) + more, resume(&work, &server).start());
        let results = fs::OpenOptions::new().write(true).open(work.path("sessions.results.csv")).expect("results");
        let written = results.metadata().expect("a file").len();
        synced = dice.u64(synced.min(written)..=written);
        results.set_len(synced).expect("cut");
    }
    resume(&work, &server).exits(0);
    let results = work.results("sessions.results.csv");
    assert_eq!(results.statuses().len(), 5_000);
    assert_eq!(results.count("revoked") + results.count("already_revoked"), 5_000);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn missing_session_counts_as_revoked_only_if_its_row_was_in_flight() {
    // The second half of the rows names nobody's sessions.
    let server = start(StandInConfig { latency: LATENCY, ..config(sessions(1_000, 600)) });
    let work = Workdir::new();
    work.write("sessions.csv", rows(1_000, 1_200));
    kill_at(&server, 300, resume(&work, &server).start());
    kill_at(&server, 800, resume(&work, &server).start());
    resume(&work, &server).exits(0);
    let results = work.results("sessions.results.csv");
    assert_eq!(results.statuses().len(), 1_200);
    assert!(server.live_sessions().is_empty());
    let of_nobody = results.records.iter().filter(|record| record.line() > 601);
    let called_gone = of_nobody.filter(|record| record.status() != "not_found").count() as u64;
    assert!(called_gone <= WORKERS, "{called_gone} were in flight at the kill");
    let lost = results.count("already_revoked") as u64;
    assert!(lost <= 2 * WORKERS, "{lost}");
    assert_eq!(results.count("revoked") as u64 + lost - called_gone, 600);
}
