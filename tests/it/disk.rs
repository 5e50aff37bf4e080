//! Results that cannot be kept: nothing more is sent, and what was sent without a record is named.

use crate::harness::{
    Finished, Program, TOKEN, Workdir, accepted, config, in_flight, rows, sessions, start, totals, until,
};
use rustix::process::Signal;
use slack_revoke::stand_in::{Latency, Server, StandInConfig};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const RESULTS: &str = "s.results.csv";
const ROWS: u64 = 400;

/// Slow enough for calls to be in flight together.
fn stand_in() -> Server {
    let latency = Latency::Fixed(Duration::from_millis(5));
    start(StandInConfig { latency, ..config(sessions(1_000, ROWS)) })
}

/// The lines behind `(line`, as the program names them.
fn named(stderr: &str) -> Vec<u64> {
    let Some((_, rest)) = stderr.split_once("sent and not recorded: ") else { return Vec::new() };
    let (_, list) = rest.split_once("(line ").expect("lines");
    let (list, _) = list.split_once(')').expect("an end");
    list.split(", ").map(|line| line.parse().expect("a line")).collect()
}

/// Every session that is gone has its record, or its line is named.
#[track_caller]
fn assert_nothing_is_hidden(work: &Workdir, server: &Server, output: &str, stderr: &str) {
    let recorded = work.results(output).count("revoked") as u64;
    let gone = server.stats().revoked;
    assert_eq!(gone, recorded + named(stderr).len() as u64, "{stderr}");
}

#[track_caller]
fn assert_completes(work: &Workdir, server: &Server, output: &str, unrecorded: usize) {
    work.run(server, "s.csv").args(["-o", output, "--resume", "--rate", "unlimited"]).exits(0);
    let results = work.results(output);
    assert_eq!(results.statuses().len() as u64, ROWS);
    assert_eq!(results.count("already_revoked"), unrecorded, "those that were sent and not recorded");
    assert_eq!(results.count("revoked") + unrecorded, usize::try_from(ROWS).unwrap());
    assert!(server.live_sessions().is_empty());
}

/// Runs with a limit on the size of each file that it writes, which is as good as a full disk and needs no rights.
fn limited(work: &Workdir, server: &Server, blocks: u32) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_slack-revoke"), "run", "s.csv", "--yes"]);
    shell.args(["--api-url", &server.url(), "--rate", "1000/s", "-j", "4"]).env("SLACK_TOKEN", TOKEN);
    shell.args(["--on-finish", "echo $SLACK_REVOKE_STATUS > told"]);
    shell.current_dir(work.root()).stdin(Stdio::null()).output().expect("a shell")
}

#[test]
fn a_full_disk_stops_the_run_and_loses_no_row() {
    let (work, server) = (Workdir::new(), stand_in());
    work.write("s.csv", rows(1_000, ROWS));
    // Sixteen blocks of 512 bytes, or of 1,024 in some shells: the results need forty of the larger.
    let output = limited(&work, &server, 16);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{text}");
    let lines = named(&text);
    assert!((1..=4).contains(&lines.len()), "{text}");
    let results = work.results(RESULTS);
    assert!(lines.iter().all(|line| !results.statuses().contains_key(line)), "{text}");
    assert!(text.contains("can't write") && text.contains("--resume"), "{text}");
    let (revoked, shown) = (results.count("revoked") as u64, totals(&text));
    assert_eq!(shown["revoked"], revoked, "a row without a record counts as not reached: {text}");
    assert_eq!(shown.values().sum::<u64>(), ROWS, "{text}");
    assert_eq!(work.read("told"), "unwritable\n");
    assert_nothing_is_hidden(&work, &server, RESULTS, &text);
    assert!(fs::read(work.path(RESULTS)).unwrap().ends_with(b"\n"), "no part of a record stays");
    assert_completes(&work, &server, RESULTS, lines.len());
}

/// A disk of a few pages, or none where it may not be mounted. Unmounted when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, options: &str) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    fn grow(&self) {
        let options = ["-o", "remount,size=4m"];
        assert!(Command::new("mount").args(options).arg(self.0).status().expect("mount").success());
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn the_run_ends_if_no_file_can_be_written() {
    let (work, server) = (Workdir::new(), stand_in());
    work.write("s.csv", rows(1_000, ROWS));
    fs::create_dir(work.path("disk")).unwrap();
    let path = work.path("disk");
    let Some(disk) = Disk::mount(&path, "size=32k") else {
        println!("left out: nothing may be mounted here");
        return;
    };
    let output = format!("disk/{RESULTS}");
    let program = work.run(&server, "s.csv").args(["-o", &output, "--rate", "1000/s", "-j", "4"]);
    let finished = program.finish();
    let text = finished.stderr();
    assert_eq!(finished.code(), Some(7), "{text}");
    assert_nothing_is_hidden(&work, &server, &output, &text);
    assert!(accepted(&server) > 10, "it began: {text}");
    disk.grow();
    assert_completes(&work, &server, &output, named(&text).len());
}

#[test]
fn an_unwritable_record_takes_precedence_over_a_signal() {
    let latency = Latency::Fixed(Duration::from_secs(1));
    let (work, server) = (Workdir::new(), start(StandInConfig { latency, ..config(sessions(1_000, 2)) }));
    let note = "x".repeat(200 * 1024);
    work.write("s.csv", format!("team_id,session_id,note\nT1,1000,{note}\nT1,1001,{note}\n"));
    let path = work.path("disk");
    fs::create_dir(&path).unwrap();
    let Some(_disk) = Disk::mount(&path, "size=100k") else {
        println!("left out: nothing may be mounted here");
        return;
    };
    let output = format!("disk/{RESULTS}");
    let flags = ["-o", &output, "--remaining", "remaining.csv", "--events", "events"];
    let mut running = work.run(&server, "s.csv").args(flags).start();
    until(&mut running, || in_flight(&server) == 1);
    running.signal(Signal::INT);
    until(&mut running, || work.read("events").contains(r#""type":"stopping""#));
    let finished = running.wait();
    assert_eq!(finished.code(), Some(7), "{}", finished.stderr());
    assert_eq!(named(&finished.stderr()), [2]);
}

#[test]
fn nothing_is_sent_if_results_cannot_be_created() {
    let (work, server) = (Workdir::new(), stand_in());
    work.write("s.csv", rows(1_000, 3));
    work.write("file", "");
    for output in ["missing/out.csv", "file/out.csv"] {
        let refused = work.run(&server, "s.csv").args(["-o", output]).exits(7);
        assert!(refused.stderr().contains("out.csv"), "{}", refused.stderr());
    }
    fs::create_dir(work.path("folder")).unwrap();
    let refused = work.run(&server, "s.csv").args(["-o", "folder"]).exits(7);
    assert!(refused.stderr().contains("not a regular file"), "{}", refused.stderr());
    assert_eq!(accepted(&server), 0);
}

/// Runs until the results are lost in this way, and to its end.
fn losing(work: &Workdir, server: &Server, lose: fn(&Path)) -> Finished {
    let program: Program = work.run(server, "s.csv").args(["--rate", "1000/s", "-j", "1"]);
    let mut running = program.start();
    until(&mut running, || accepted(server) > 20 && in_flight(server) > 0);
    lose(&work.path(RESULTS));
    running.wait()
}

#[test]
fn deleted_results_stop_the_run_and_are_restored_by_resume() {
    let delete: fn(&Path) = |path| fs::remove_file(path).unwrap();
    let truncate: fn(&Path) = |path| fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    for (lose, word) in [(delete, "was deleted"), (truncate, "was truncated")] {
        let latency = Latency::Fixed(Duration::from_millis(20));
        let (work, server) = (Workdir::new(), start(StandInConfig { latency, ..config(sessions(1_000, ROWS)) }));
        work.write("s.csv", rows(1_000, ROWS));
        let finished = losing(&work, &server, lose);
        let text = finished.stderr();
        assert_eq!(finished.code(), Some(7), "{text}");
        assert!(text.contains(word), "{text}");
        assert!(accepted(&server) < ROWS, "the run was stopped");
        let gone = usize::try_from(server.stats().revoked).unwrap();
        // Nothing is added to a file that has lost its beginning.
        assert!(!work.exists(RESULTS) || work.read(RESULTS).is_empty());
        assert_completes(&work, &server, RESULTS, gone);
    }
}

#[test]
fn results_changed_by_another_program_stop_the_run() {
    let add: fn(&Path) = |path| {
        use std::io::Write as _;
        fs::File::options().append(true).open(path).unwrap().write_all(b"T1,9,9,rev").unwrap();
    };
    let overwrite: fn(&Path) = |path| fs::write(path, "somebody's\n".repeat(5_000)).unwrap();
    for (change, code) in [(add, 0), (overwrite, 2)] {
        let latency = Latency::Fixed(Duration::from_millis(20));
        let (work, server) = (Workdir::new(), start(StandInConfig { latency, ..config(sessions(1_000, ROWS)) }));
        work.write("s.csv", rows(1_000, ROWS));
        let finished = losing(&work, &server, change);
        let text = finished.stderr();
        assert_eq!(finished.code(), Some(7), "{text}");
        assert!(text.contains("was added to by another program"), "{text}");
        assert!(accepted(&server) < ROWS && !named(&text).is_empty(), "{text}");
        let left = work.read(RESULTS);
        assert!(left.ends_with(",9,rev") || left.ends_with("somebody's\n"), "{left}");
        assert_eq!(work.json("s.results.csv.manifest.json")["results"]["sha256"], serde_json::Value::Null);
        // A partial line is a torn tail; what was overwritten is gone.
        work.run(&server, "s.csv").args(["--resume", "--rate", "unlimited"]).exits(code);
    }
}

/// What is only told to somebody does not stop a run when nobody takes it.
#[test]
fn a_closed_or_full_standard_error_does_not_stop_the_run() {
    for stderr in ["2>&-", "2>/dev/full", "2>&1 | true", ">&- 2>&-"] {
        let (work, server) = (Workdir::new(), stand_in());
        work.write("s.csv", rows(1_000, 50));
        let line = format!("exec \"$0\" run s.csv --yes --rate unlimited --api-url {} -vv {stderr}", server.url());
        let ended = Command::new("sh")
            .args(["-c", &line, env!("CARGO_BIN_EXE_slack-revoke")])
            .current_dir(work.root())
            .env("SLACK_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .status()
            .expect("a shell");
        assert_eq!(ended.code(), Some(0), "{stderr}");
        assert_eq!(work.results(RESULTS).count("revoked"), 50, "{stderr}");
    }
}
