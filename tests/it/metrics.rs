//! `--metrics-file`: what an alert can be made of, whatever became of the run.

use crate::harness::{Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::Server;
use std::fs::File;
use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 60 * 60;

fn value(work: &Workdir, series: &str) -> Option<f64> {
    let text = work.read("m.prom");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}

fn nightly(work: &Workdir, server: &Server) -> Program {
    work.run(server, "s.csv").args(["-q", "--resume-or-start", "--rate", "unlimited", "--metrics-file", "m.prom"])
}

#[track_caller]
fn becomes_days_old(work: &Workdir, days: u64) {
    let file = File::options().write(true).open(work.path("s.csv")).expect("a file");
    file.set_modified(SystemTime::UNIX_EPOCH + now() - Duration::from_secs(days * DAY)).expect("its time can be set");
}

fn now() -> Duration {
    let timestamp = slack_revoke::engine::clock::wall().as_millis();
    Duration::from_millis(timestamp.unsigned_abs())
}

/// Every night the same list, which nobody writes any more.
#[test]
fn an_old_input_is_reported_and_its_age_exported() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", rows(1_000, 3));
    assert_eq!(nightly(&work, &server).exits(0).stderr(), "", "a good night");
    assert!(value(&work, "slack_revoke_input_age_seconds").is_some_and(|age| age < 3_600.0));
    assert_eq!(nightly(&work, &server).exits(0).stderr(), "", "the list of this night has ended");

    becomes_days_old(&work, 3);
    let said = nightly(&work, &server).exits(0).stderr();
    assert!(said.contains("warning: the input is 3d old") && said.contains("every row of it has ended"), "{said}");
    let age = value(&work, "slack_revoke_input_age_seconds").expect("an age");
    assert!((3.0..3.1).contains(&(age / 86_400.0)), "{age}");

    let fresh = ["-q", "-o", "fresh.csv"];
    work.write("s.csv", rows(2_000, 1));
    becomes_days_old(&work, 2);
    let said = work.run(&server, "s.csv").args(fresh).exits(0).stderr();
    assert!(said.contains("warning: the input is 2d old"), "{said}");
}

#[test]
fn a_refused_run_exports_its_exit_code_and_keeps_the_last_success() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", rows(1_000, 3));
    work.program(["run", "s.csv", "--yes", "--metrics-file", "m.prom"]).token("xoxb-a-bot").exits(4);
    assert_eq!(value(&work, "slack_revoke_exit_code"), Some(4.0));
    assert_eq!(value(&work, "slack_revoke_last_success_timestamp_seconds"), Some(0.0), "from the first run on");
    nightly(&work, &server).exits(0);
    let success = value(&work, "slack_revoke_last_success_timestamp_seconds").expect("a success");
    assert!(success > 0.0);
    let dead = work.program(["run", "s.csv", "--yes", "-q", "-o", "o.csv", "--metrics-file", "m.prom"]).token(TOKEN);
    work.write("s.csv", "user_id,session_id\nU1,1000\n");
    dead.env("SLACK_REVOKE_RETRIES", "0").exits(5);
    assert_eq!(value(&work, "slack_revoke_exit_code"), Some(5.0));
    work.write("s.csv", "no header of ours\n");
    nightly(&work, &server).exits(2);
    assert_eq!(value(&work, "slack_revoke_exit_code"), Some(2.0));
    assert_eq!(value(&work, "slack_revoke_last_success_timestamp_seconds"), Some(success));
    let ran = value(&work, "slack_revoke_last_run_timestamp_seconds").expect("the attempt");
    assert!(ran > success, "{ran} {success}");
    assert_eq!(value(&work, "slack_revoke_input_rows"), None, "nothing is known of it");
}

/// Whatever refuses a run, on whatever disk: an alert on the exit code sees it.
#[test]
fn every_refusal_writes_metrics() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", rows(1_000, 3));
    for (flags, code) in [
        (&["s.csv"][..], 2),
        (&["s.csv", "--yes", "--whole-users", "--identify-by", "team"], 2),
        (&["s.csv", "--yes", "--protect", "missing"], 2),
        (&["s.csv", "--yes", "--api-url", "https://example.test/"], 2),
        (&["s.csv", "--yes", "-o", "missing/out.csv"], 7),
        (&["s.csv", "--yes", "-o", "/proc/out.csv"], 7),
        (&["s.csv", "--yes", "--remaining", "missing/r.csv"], 7),
        (&["s.csv", "--yes", "--events", "/proc/e.ndjson"], 7),
        (&["s.csv", "--yes", "--token-file", "missing"], 4),
    ] {
        let run = work.program(["run", "--metrics-file", "m.prom"]).args(flags.iter().copied());
        let said = run.token(TOKEN).env("SLACK_REVOKE_API_URL", &server.url()).exits(code).stderr();
        assert!(work.exists("m.prom"), "{flags:?}: {said}");
        assert_eq!(value(&work, "slack_revoke_exit_code"), Some(code.into()), "{flags:?}: {said}");
        std::fs::remove_file(work.path("m.prom")).expect("metrics");
    }
    work.write("m.prom", "somebody's\n");
    work.program(["run", "s.csv", "--metrics-file", "m.prom"]).exits(2);
    assert_eq!(work.read("m.prom"), "somebody's\n");
}

#[test]
fn a_refused_metrics_path_is_not_overwritten() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", rows(1_000, 3));
    work.write("notes.txt", "mine\n");
    for metrics in ["s.csv", "notes.txt", "s.results.csv", "s.results.csv.manifest.json", "missing/m.prom"] {
        let refused = work.run(&server, "s.csv").args(["--metrics-file", metrics]).finish();
        assert!(matches!(refused.code(), Some(2 | 7)), "{metrics}: {}", refused.stderr());
        assert_eq!(work.names(), ["notes.txt", "s.csv"], "{metrics}");
    }
    assert_eq!((work.read("s.csv"), work.read("notes.txt")), (rows(1_000, 3), "mine\n".into()));
    work.program(["plan", "s.csv", "--metrics-file", "m.prom", "--resume-or-start"]).exits(0);
    work.write("bad.csv", "");
    work.program(["plan", "bad.csv", "--metrics-file", "m.prom"]).exits(2);
    assert!(!work.exists("m.prom"), "a plan is no run");
}
