//! Every file that a run writes: it is its own, it can be written before the first row, and no two of them are one.

use crate::harness::{Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::{Latency, Server, StandInConfig, StandInToken, TokenEnd};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

const REMAINING: &str = "s.results.remaining.csv";
const FOREIGN: &str = "name,account\njane,1\n";

/// Twenty rows; the token ends after ten.
fn stopping() -> (Workdir, Server) {
    stopping_after(Latency::None)
}

fn stopping_after(latency: Latency) -> (Workdir, Server) {
    let tokens = vec![StandInToken { ends: Some((10, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let server = start(StandInConfig { tokens, latency, ..config(sessions(1_000, 20)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 20));
    work.write("keep.txt", "U9\n");
    (work, server)
}

fn run(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.run(server, "s.csv").args(["--rate", "unlimited"]).args(flags.iter().copied())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// Runs and checks that nothing was sent and no file of the folder has changed or is new.
#[track_caller]
fn assert_refused(work: &Workdir, server: &Server, flags: &[&str], code: i32, why: &str) {
    let snapshot = || -> Vec<_> {
        let names = work.names().into_iter().filter(|name| !name.ends_with(".journal"));
        names.map(|name| (fs::read(work.path(&name)).unwrap_or_default(), name)).collect()
    };
    let before = (snapshot(), server.stats().revoked);
    let refused = run(work, server, flags).exits(code);
    assert!(refused.stderr().contains(why), "{flags:?}: {}", refused.stderr());
    assert_eq!(before, (snapshot(), server.stats().revoked), "{flags:?}");
}

#[test]
fn no_output_changes_a_foreign_file() {
    let (work, server) = stopping();
    work.write("payroll.csv", FOREIGN);
    symlink(work.path("payroll.csv"), work.path("link.csv")).unwrap();
    for name in ["payroll.csv", "./payroll.csv", "link.csv"] {
        for flag in ["--remaining", "--events", "--summary-json", "--metrics-file"] {
            assert_refused(&work, &server, &[flag, name], 2, flag);
            assert_refused(&work, &server, &[flag, name, "--resume-or-start"], 2, flag);
            work.program(["run", "s.csv", "--rehearse", flag, name]).exits(2);
        }
    }
    work.write(REMAINING, FOREIGN);
    assert_refused(&work, &server, &[], 2, REMAINING);
    work.write("empty.csv", "");
    assert_refused(&work, &server, &["--remaining", "empty.csv"], 2, "empty.csv");
    fs::remove_file(work.path(REMAINING)).unwrap();

    // Only the file that the run itself has written is replaced, and only if nobody has changed it since.
    run(&work, &server, &[]).exits(4);
    work.write("copy.csv", work.read("s.csv"));
    server.accept_token(TOKEN);
    assert_refused(&work, &server, &["--resume", "--remaining", "copy.csv"], 2, "--remaining");
    let ours = work.read(REMAINING);
    work.write(REMAINING, format!("{ours}T1,77\n"));
    assert_refused(&work, &server, &["--resume"], 2, REMAINING);
    work.write("t.csv", rows(2_000, 3));
    let other = ["-o", "s.results.csv", "--resume-or-start"];
    let refused = work.run(&server, "t.csv").args(other).exits(2);
    assert!(refused.stderr().contains(REMAINING), "{}", refused.stderr());
    work.write(REMAINING, ours);
    run(&work, &server, &["--resume"]).exits(0);
    assert!(!work.exists(REMAINING));
    assert_eq!(work.read("payroll.csv"), FOREIGN);
}

#[test]
fn outputs_of_earlier_runs_are_replaced_or_extended() {
    let (work, server) = stopping();
    let flags =
        ["--remaining", "r.csv", "--events", "e.ndjson", "--summary-json", "s.json", "--metrics-file", "m.prom"];
    for name in ["e.ndjson", "s.json", "m.prom"] {
        work.write(name, "");
    }
    run(&work, &server, &flags).exits(4);
    assert_eq!(work.read("r.csv"), rows(1_010, 10));
    server.accept_token(TOKEN);
    run(&work, &server, &flags).args(["--resume"]).exits(0);
    assert!(!work.exists("r.csv"));
    assert_eq!(work.read("e.ndjson").matches("\"type\":\"run_started\"").count(), 2);
    assert_eq!(work.json("s.json")["exit_code"], 0);
    // A remaining file that went elsewhere before is as stale as one of the same name.
    for _ in 0..2 {
        work.program(["run", "s.csv", "--rehearse", "--rate", "unlimited", "--events", "e.ndjson"]).exits(0);
    }
}

#[test]
fn a_remaining_file_under_an_earlier_name_is_removed() {
    let (work, server) = stopping();
    run(&work, &server, &["--remaining", "first.csv"]).exits(4);
    server.accept_token(TOKEN);
    run(&work, &server, &["--resume"]).exits(0);
    assert!(!work.exists("first.csv"), "its sessions are gone");
}

/// A killed run leaves no list of rows that are done since.
#[test]
fn a_killed_resumed_run_leaves_no_stale_remaining_file() {
    let (work, server) = stopping_after(Latency::Fixed(Duration::from_millis(20)));
    run(&work, &server, &[]).exits(4);
    assert_eq!(work.read(REMAINING), rows(1_010, 10));
    server.accept_token(TOKEN);
    let mut resumed = run(&work, &server, &["--resume", "-j", "1"]).start();
    crate::harness::until(&mut resumed, || server.stats().revoked >= 13);
    assert!(!work.exists(REMAINING), "stale while the run goes on");
    resumed.kill();
    assert!(!work.exists(REMAINING), "stale after the kill");
    run(&work, &server, &["--resume"]).exits(0);
}

#[test]
fn two_outputs_with_the_same_file_are_refused() {
    let (work, server) = stopping();
    let token = work.write("token", TOKEN);
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(work.path("d")).unwrap();
    symlink(work.path("d"), work.path("link")).unwrap();
    fs::hard_link(work.path("keep.txt"), work.path("hard.txt")).unwrap();
    let defaults = [
        REMAINING,
        "s.csv",
        "./s.csv",
        "s.results.csv",
        "s.results.csv.manifest.json",
        "s.results.csv.journal",
        "s.results.report.html",
        "s.results.verified.csv",
        "keep.txt",
        "hard.txt",
        "token",
    ];
    let inputs = ["--protect", "keep.txt", "--token-file", "token"];
    for flag in ["--remaining", "--events", "--summary-json", "--metrics-file"] {
        for name in defaults.into_iter().filter(|name| (flag, *name) != ("--remaining", REMAINING)) {
            let flags = [&inputs[..], &[flag, name]].concat();
            assert_refused(&work, &server, &flags, 2, flag);
        }
    }
    for (one, other) in [
        ("--events", "--summary-json"),
        ("--events", "--metrics-file"),
        ("--remaining", "--events"),
        ("--remaining", "--summary-json"),
        ("--summary-json", "--metrics-file"),
    ] {
        for (first, second) in [("x", "x"), ("x", "./x"), ("d/x", "link/x")] {
            assert_refused(&work, &server, &[one, first, other, second], 2, other);
        }
    }
    let summary = ["--on-finish", "true", "--events", "s.results.csv.summary.json"];
    assert_refused(&work, &server, &summary, 2, "--events");
    assert_refused(&work, &server, &["-o", "keep.txt", "--protect", "hard.txt"], 2, "-o");
}

#[test]
fn every_output_is_checked_before_the_first_row() {
    let (work, server) = stopping();
    fs::create_dir(work.path("folder")).unwrap();
    for flag in ["--remaining", "--events", "--summary-json", "--metrics-file"] {
        for path in ["missing/x", "folder", "/proc/x", "s.csv/x"] {
            let refused = run(&work, &server, &[flag, path, "-q"]).exits(7);
            assert!(refused.stderr().contains(flag), "{flag} {path}: {}", refused.stderr());
            assert_eq!(work.names(), ["folder", "keep.txt", "s.csv"], "{flag} {path}");
        }
    }
    assert_eq!(server.stats().revoked, 0);
}

#[test]
fn an_existing_events_file_becomes_private_and_a_metrics_file_keeps_its_mode() {
    let (work, server) = stopping();
    for name in ["e.ndjson", "s.json", "m.prom"] {
        let path = work.write(name, "");
        fs::set_permissions(path, fs::Permissions::from_mode(if name == "m.prom" { 0o640 } else { 0o644 })).unwrap();
    }
    run(&work, &server, &["--events", "e.ndjson", "--summary-json", "s.json", "--metrics-file", "m.prom"]).exits(4);
    assert_eq!(
        [mode(&work.path("e.ndjson")), mode(&work.path("s.json")), mode(&work.path("m.prom"))],
        [0o600, 0o600, 0o640]
    );
}

/// As a service with `UMask=0077` starts it; `node_exporter` is another user.
#[test]
fn a_new_metrics_file_is_world_readable_regardless_of_umask() {
    let (work, server) = stopping();
    let line = format!(
        "sh -c 'umask 0077; exec \"$0\" \"$@\"' slack-revoke run s.csv --yes --api-url {} --metrics-file m.prom",
        server.url()
    );
    work.shell(&line).token(TOKEN).exits(4);
    assert_eq!((mode(&work.path("m.prom")), mode(&work.path("s.results.csv"))), (0o644, 0o600));
}

/// Under `-q` too, and whatever the reason: the run itself is good.
#[test]
fn unwritable_reports_are_reported_with_the_cause() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 20))));
    work.write("s.csv", rows(1_000, 20));
    let made = std::process::Command::new("mkfifo").arg(work.path("pipe")).status().expect("mkfifo");
    assert!(made.success());
    for (flags, want) in [
        (["--events", "/dev/full"], "No space left on device"),
        (["--summary-json", "/dev/full"], "No space left on device"),
        (["--metrics-file", "/dev/full"], "No space left on device"),
        (["--summary-json", "pipe"], "no process is reading it"),
    ] {
        let program = work.run(&server, "s.csv").args(["--rate", "unlimited", "-q", "-o", "out.csv"]).args(flags);
        let finished = program.start().wait_at_most();
        assert_eq!(finished.code(), Some(0), "{flags:?}: {}", finished.stderr());
        assert!(finished.stderr().contains(want), "{flags:?}: {}", finished.stderr());
        fs::remove_file(work.path("out.csv")).unwrap();
        fs::remove_file(work.path("out.csv.manifest.json")).unwrap();
    }
}
