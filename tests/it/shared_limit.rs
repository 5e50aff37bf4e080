//! One limit, several processes: one after another, and at the same time.

use crate::harness::{Running, TOKEN, Workdir, accepted, config, report_skipped, rows, sessions, start, until};
use rustix::process::Signal;
use serde_json::Value;
use slack_revoke::stand_in::{Limit, LimitKind, Method, MethodLimits, Server, StandInConfig, WindowStart};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server with one limit for the sessions `1000..1000 + count`.
pub fn limited(kind: LimitKind, count: u64) -> Server {
    let limits = MethodLimits { invalidate: Limit::of(kind), list: Limit::of(kind), ..MethodLimits::default() };
    start(StandInConfig { limits, ..config(sessions(1_000, count)) })
}

pub fn once_a_minute() -> LimitKind {
    LimitKind::FixedWindow { calls: 1, per: Duration::from_mins(1), starts: WindowStart::FirstCall }
}

pub fn calls(server: &Server) -> u64 {
    server.stats().of(Method::Invalidate).calls
}

pub fn events(work: &Workdir, file: &str, kind: &str) -> Vec<Value> {
    let text = work.read(file);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|event| event["type"] == kind).collect()
}

#[test]
fn a_pause_outlives_the_run_and_no_later_run_calls_before_its_end() {
    let server = limited(once_a_minute(), 3);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 3));
    work.write("other.csv", rows(1_001, 1));
    let impatient = ["--max-retry-after", "500ms"];
    work.run(&server, "in.csv").args(impatient).exits(3);
    let so_far = calls(&server);
    for _ in 0..2 {
        let said = work.run(&server, "in.csv").args(impatient).args(["--resume", "--events", "e"]).exits(3).stderr();
        assert!(said.contains("closed for") && said.contains("before you continue, until 20"), "{said}");
    }
    assert_eq!(events(&work, "e", "paused_by_others").len(), 2);
    assert_eq!(
        work.json("in.results.csv.manifest.json")["runs"][1]["pauses_of_others"]["entries"][0]["team"],
        Value::Null
    );
    work.run(&server, "other.csv").args(impatient).exits(3);
    assert_eq!(calls(&server), so_far, "the pause is for all runs on the limit");
    let said = work.program(["plan", "in.csv", "-o", "new.csv", "--api-url", &server.url()]).exits(0).stdout();
    assert!(said.contains("limit       admin.users.session.invalidate: closed for"), "{said}");
    // Without the store each process has to find out by itself.
    work.run(&server, "other.csv").args(impatient).args(["--resume", "--quota", "none"]).exits(3);
    assert_eq!(calls(&server), so_far + 1);
}

/// A run is killed or interrupted inside a pause, and resumed at once.
#[track_caller]
pub fn die_in_a_pause(store: &[&str]) {
    for signal in [Signal::KILL, Signal::INT] {
        let per = Duration::from_secs(3);
        let server = limited(LimitKind::FixedWindow { calls: 5, per, starts: WindowStart::FirstCall }, 12);
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 12));
        let flags = [&["--rate", "600/min", "--events", "e"], store].concat();
        let mut first = work.run(&server, "in.csv").args(flags.iter().copied()).start();
        until(&mut first, || work.exists("e") && work.read("e").contains("rate_limited"));
        first.signal(signal);
        first.wait();
        work.run(&server, "in.csv").args(flags).args(["--resume"]).exits(0);
        let seen = server.stats().of(Method::Invalidate);
        assert_eq!(seen.inside_pause, 0, "{signal:?}");
        let results = work.results("in.results.csv");
        assert_eq!(results.count("revoked") + results.count("already_revoked"), 12);
    }
}

#[test]
fn a_run_that_dies_in_a_pause_is_resumed_after_it() {
    die_in_a_pause(&[]);
}

/// 120 rows in several runs on one limit of 40 calls per 2 s.
#[track_caller]
pub fn run_together(runs: u64, store: &[&str]) {
    let rows_each = 120 / runs;
    let server = limited(LimitKind::SlidingLog { calls: 40, per: Duration::from_secs(2) }, 120);
    let work = Workdir::new();
    let started: Vec<Running> = (0..runs)
        .map(|run| {
            let input = format!("{run}.csv");
            work.write(&input, rows(1_000 + run * rows_each, rows_each));
            let flags = ["--start-rate", "1200/min", "--max-rate", "6000/min", "--events", &format!("{run}.e")];
            work.run(&server, &input).args(flags).args(store.iter().copied()).start()
        })
        .collect();
    for run in started {
        let finished = run.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    }
    let seen = server.stats().of(Method::Invalidate);
    println!("{runs} runs: {seen:?}");
    assert!(seen.limited <= 6, "{runs} runs: {seen:?}");
    let shares: usize = (0..runs).map(|run| events(&work, &format!("{run}.e"), "shared").len()).sum();
    assert!(shares > 0, "they know of each other");
    assert_eq!(seen.calls - seen.limited, 120);
}

#[test]
fn concurrent_runs_divide_the_limit_and_share_pauses() {
    for runs in [2, 4] {
        run_together(runs, &[]);
    }
}

#[test]
fn listings_respect_the_pause() {
    let server = limited(once_a_minute(), 3);
    let work = Workdir::new();
    let list = || work.program(["list", "--api-url", &server.url(), "--max-retry-after", "500ms"]).token(TOKEN);
    list().exits(0);
    list().exits(3);
    let so_far = server.stats().of(Method::List).calls;
    list().exits(3);
    assert_eq!((server.stats().of(Method::List).calls, so_far), (2, 2));
    work.write("in.csv", rows(1_000, 1));
    work.run(&server, "in.csv").exits(0);
    let said = work.program(["doctor", "--api-url", &server.url()]).token(TOKEN).exits(0).stdout();
    assert!(said.contains("! limit        admin.users.session.list: closed for"), "{said}");
}

#[test]
fn a_store_that_cannot_be_used_is_reported_once_and_stops_nothing() {
    let kind = LimitKind::SlidingLog { calls: 6, per: Duration::from_millis(900) };
    for (trouble, variable) in [("isn't shared", "a-file"), ("aren't set", "")] {
        let server = limited(kind, 12);
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 12));
        work.write("a-file", "");
        let place = work.path(variable);
        let place = if variable.is_empty() { "relative".into() } else { place.to_string_lossy().into_owned() };
        let run = work.run(&server, "in.csv").env("XDG_STATE_HOME", &place).env("HOME", "relative");
        let said = run.args(["--rate", "600/min"]).exits(0).stderr();
        assert_eq!(said.matches("the rate limit isn't shared").count(), 1, "{said}");
        assert!(said.contains(trouble), "{said}");
        assert_eq!(work.results("in.results.csv").count("revoked"), 12);
        assert_eq!(server.stats().of(Method::Invalidate).inside_pause, 0);
    }
}

/// Two runs on a limit of 1,200 calls a minute; one is killed. The other one learns that it has the limit to itself.
#[track_caller]
pub fn kill_one_of_two(store: &[&str]) {
    let server = limited(LimitKind::SlidingLog { calls: 40, per: Duration::from_secs(2) }, 2_000);
    let work = Workdir::new();
    let begin = |name: &str, first| {
        work.write(&format!("{name}.csv"), rows(first, 1_000));
        let flags = ["--start-rate", "1200/min", "--max-rate", "6000/min", "--events", &format!("{name}.e")];
        work.run(&server, &format!("{name}.csv")).args(flags).args(store.iter().copied()).start()
    };
    let (mut one, mut other) = (begin("one", 1_000), begin("other", 2_000));
    // The last rate of the other one that an event names.
    let rate = || -> Option<f64> {
        let events = work.exists("other.e").then(|| work.read("other.e"))?;
        events.rsplit_once(r#""per_minute":"#)?.1.split(['}', ',']).next()?.parse().ok()
    };
    // Both know the limit, and half of it is the other one's.
    until(&mut one, || rate().is_some_and(|rate| rate < 650.0));
    one.kill();
    until(&mut other, || work.read("other.e").contains(r#""other_runs":0"#));
    until(&mut other, || rate().is_some_and(|rate| rate > 1_100.0));
    other.signal(Signal::INT);
    let finished = other.wait();
    assert_eq!(finished.code(), Some(130), "{}", finished.stderr());
}

#[test]
fn a_run_that_is_killed_gives_its_share_back() {
    kill_one_of_two(&[]);
}

/// What is done to the state of a run of 40 rows when half of them are sent. Returns what the run said.
fn disturbed(disturb: impl FnOnce(&Workdir)) -> String {
    let server = limited(LimitKind::SlidingLog { calls: 6, per: Duration::from_millis(900) }, 40);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 40));
    let mut running = work.run(&server, "in.csv").args(["--rate", "600/min"]).start();
    until(&mut running, || accepted(&server) >= 15);
    disturb(&work);
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    assert_eq!(work.results("in.results.csv").count("revoked"), 40);
    assert_eq!(server.stats().of(Method::Invalidate).inside_pause, 0);
    finished.stderr()
}

fn the_file(work: &Workdir) -> PathBuf {
    let mut files = fs::read_dir(work.state()).unwrap().map(|entry| entry.unwrap().path());
    files.next().expect("a file")
}

#[test]
fn a_state_that_is_deleted_is_reported_once_and_begins_anew() {
    let said = disturbed(|work| fs::remove_dir_all(work.state()).unwrap());
    assert_eq!(said.matches("the shared state of the rate limit was deleted").count(), 1, "{said}");
}

/// A run whose state is on a file system of its own, mounted with `options` and prepared by `script`. `None` if mounting isn't
/// allowed here.
fn run_on(options: &str, script: &str) -> Option<String> {
    let server = limited(LimitKind::SlidingLog { calls: 6, per: Duration::from_millis(900) }, 12);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 12));
    fs::create_dir_all(work.state()).unwrap();
    let script = format!("mount -t tmpfs -o {options} none \"$LIMITS\" && {script} exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_slack-revoke")]);
    command.args(["run", "in.csv", "--yes", "--api-url", &server.url(), "--rate", "600/min"]).current_dir(work.root());
    command.env("SLACK_TOKEN", TOKEN).env("LIMITS", work.state()).env("XDG_STATE_HOME", work.state().join("../.."));
    let output = command.stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(0) && !work.exists("in.results.csv") {
        report_skipped(&said);
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(work.results("in.results.csv").count("revoked"), 12);
    assert_eq!(server.stats().of(Method::Invalidate).inside_pause, 0);
    Some(said)
}

#[test]
fn a_full_disk_is_reported_once() {
    let Some(said) = run_on("size=4k", "head -c 4096 /dev/zero > \"$LIMITS/full\" &&") else { return };
    assert_eq!(said.matches("the rate limit isn't shared").count(), 1, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
fn a_read_only_directory_is_reported_once() {
    let Some(said) = run_on("ro", "") else { return };
    assert_eq!(said.matches("the rate limit isn't shared").count(), 1, "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_corrupt_state_is_reported_and_reset() {
    let server = limited(once_a_minute(), 2);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 1));
    work.run(&server, "in.csv").exits(0);
    let file = the_file(&work);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(work.state()).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(file, "\0\0\0 not a state").unwrap();
    work.write("two.csv", rows(1_001, 1));
    let said = work.run(&server, "two.csv").args(["--max-retry-after", "500ms"]).exits(3).stderr();
    assert_eq!(said.matches("it begins anew").count(), 1, "{said}");
}

#[test]
fn rehearsals_and_runs_without_a_limit_share_nothing() {
    let server = start(config(sessions(1_000, 2)));
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 2));
    work.program(["run", "in.csv", "--rehearse"]).exits(0);
    work.run(&server, "in.csv").args(["--rate", "unlimited"]).exits(0);
    assert!(!work.state().exists());
}
