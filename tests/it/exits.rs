//! The exit codes of contract.md, one by one; what is wrong on a command line; and the variables.

use crate::harness::{TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    Latency, RepeatedReply, ReplyScript, ScriptedReply, Server, StandInConfig, StandInToken, TokenEnd,
};
use std::time::Duration;

fn slack(answer: Option<&str>) -> Server {
    let every = answer.map(|code| RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from(code))));
    start(StandInConfig {
        script: ReplyScript { every, ..ReplyScript::default() },
        log: 1_000,
        ..config(sessions(1_000, 100))
    })
}

/// `run in.csv` with 100 rows.
fn run(work: &Workdir, server: &Server, flags: &[&str], code: i32) -> String {
    work.write("in.csv", rows(1_000, 100));
    let program = work.run(server, "in.csv").args(["--rate", "unlimited", "-j", "1"]).args(flags.iter().copied());
    program.exits(code).stderr()
}

/// The way on that every stopped run names, carried out.
fn resume(work: &Workdir, server: &Server) {
    server.set_script(ReplyScript::default());
    work.run(server, "in.csv").args(["--rate", "unlimited", "--resume", "--max-failures", "100%"]).finish();
    assert_eq!(work.results("in.results.csv").statuses().len(), 100);
}

#[test]
fn failed_rows_are_exit_1_and_with_strict_missing_sessions_too() {
    for (answer, flags, code) in [
        (None, &[][..], 0),
        (Some("session_not_found"), &[], 0),
        (Some("session_not_found"), &["--strict", "--max-failures", "101"], 1),
        (Some("session_expired"), &["--strict"], 0),
        (Some("user_not_found"), &["--max-failures", "101"], 1),
    ] {
        let (work, server) = (Workdir::new(), slack(answer));
        run(&work, &server, flags, code);
        assert_eq!(work.results("in.results.csv").records.len(), 100, "{answer:?} {flags:?}");
        assert_eq!(work.exists("in.results.remaining.csv"), code == 1, "{answer:?} {flags:?}");
    }
}

#[test]
fn a_session_ended_by_its_other_id_is_not_reported_missing() {
    let listed = "user_id,team_id,session_id\nU1,,1000\n,T1,1000\n,T1,1001\nU1,T1,1001\n";
    for (input, flags, statuses, code) in [
        (listed, &["-j", "1"][..], ["revoked", "already_revoked", "revoked", "already_revoked"], 0),
        (listed, &["-j", "4", "--no-canary"], ["revoked", "already_revoked", "revoked", "already_revoked"], 0),
        // The ids contradict each other: whose session was meant, nobody knows.
        (
            "user_id,team_id,session_id\nU1,,1000\nU2,,1000\nU1,T2,1001\n,T1,1001\n",
            &["-j", "1"],
            ["revoked", "not_found", "revoked", "not_found"],
            1,
        ),
    ] {
        let (work, server) = (Workdir::new(), slack(None));
        work.write("in.csv", input);
        let program = work.run(&server, "in.csv").args(["--rate", "unlimited", "--strict"]);
        program.args(flags.iter().copied()).exits(code);
        let results = work.results("in.results.csv");
        let got: Vec<_> = (2..=5).map(|line| results.line(line).status().to_owned()).collect();
        if flags.contains(&"1") {
            assert_eq!(got, statuses, "{input}");
        } else {
            assert_eq!((results.count("revoked"), results.count("already_revoked")), (2, 2), "{got:?}");
        }
    }
}

#[test]
fn a_session_ended_by_its_other_id_in_an_earlier_run_is_not_reported_missing() {
    let tokens = vec![StandInToken { ends: Some((1, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let (work, server) = (Workdir::new(), start(StandInConfig { tokens, ..config(sessions(1_000, 10)) }));
    work.write("in.csv", "user_id,team_id,session_id\n,T1,1000\nU1,,1000\nU1,,1001\n");
    let run = || work.run(&server, "in.csv").args(["--rate", "unlimited", "--strict", "-j", "1", "--resume"]);
    run().exits(4);
    assert_eq!(work.results("in.results.csv").records.len(), 1);
    server.accept_token(TOKEN);
    run().exits(0);
    let results = work.results("in.results.csv");
    let got: Vec<_> = (2..=4).map(|line| results.line(line).status().to_owned()).collect();
    assert_eq!(got, ["revoked", "already_revoked", "revoked"]);
}

#[test]
fn max_failures_stops_the_run() {
    for (flags, recorded) in [
        (&["--max-failures", "3"][..], 3),
        (&["--max-failures", "1"], 1),
        (&[], 50),
        (&["--max-failures", "100%"], 50),
        (&["--strict", "--max-failures", "3"], 3),
    ] {
        let code = if flags.contains(&"--strict") { "session_not_found" } else { "user_not_found" };
        let (work, server) = (Workdir::new(), slack(Some(code)));
        let said = run(&work, &server, flags, 3);
        assert_eq!((server.calls().len(), work.results("in.results.csv").records.len()), (recorded, recorded));
        assert!(said.contains("--max-failures") && said.contains("--resume"), "{said}");
        assert_eq!(work.json("in.results.csv.manifest.json")["runs"][0]["exit_code"], 3);
        resume(&work, &server);
    }
}

#[test]
fn a_deadline_stops_the_run() {
    let (work, latency) = (Workdir::new(), Latency::Fixed(Duration::from_millis(20)));
    let server = start(StandInConfig { latency, ..config(sessions(1_000, 100)) });
    let said = run(&work, &server, &["--deadline", "200ms"], 3);
    let recorded = work.results("in.results.csv").records.len();
    assert!((1..100).contains(&recorded), "{recorded}");
    assert!(said.contains("--deadline") && said.contains("--resume"), "{said}");
    assert_eq!(work.read("in.results.remaining.csv").lines().count(), 101 - recorded, "the header, and what is left");
    resume(&work, &server);
}

#[test]
fn a_long_outage_is_exit_5() {
    let (work, server) = (Workdir::new(), slack(Some("service_unavailable")));
    let said = run(&work, &server, &["--max-retry-after", "10ms", "--retries", "9"], 5);
    assert_eq!(work.results("in.results.csv").records.len(), 0);
    assert!(said.contains("service_unavailable") && said.contains("--resume"), "{said}");
    resume(&work, &server);
}

#[test]
fn an_outage_during_the_run_stops_it_and_ends_no_row() {
    let away = || RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from("service_unavailable")));
    let script = ReplyScript { by_session: (1_001..1_100).map(|id| (id, away())).collect(), ..ReplyScript::default() };
    let (work, server) = (Workdir::new(), start(StandInConfig { script, ..config(sessions(1_000, 100)) }));
    run(&work, &server, &["--max-retry-after", "10ms"], 5);
    assert_eq!(work.results("in.results.csv").statuses().into_values().collect::<Vec<_>>(), ["revoked"]);
    assert_eq!(work.read("in.results.remaining.csv"), rows(1_001, 99));
    resume(&work, &server);
}

#[test]
fn another_run_on_the_same_output_is_exit_6() {
    let (work, latency) = (Workdir::new(), Latency::Fixed(Duration::from_millis(10)));
    let server = start(StandInConfig { latency, ..config(sessions(1_000, 100)) });
    work.write("in.csv", rows(1_000, 100));
    let mut first = work.run(&server, "in.csv").args(["--rate", "unlimited", "-j", "1"]).start();
    while server.stats().revoked == 0 && !first.is_over() {
        std::thread::yield_now();
    }
    for flags in [&[][..], &["--resume"], &["-o", "./in.results.csv"]] {
        let said = work.run(&server, "in.csv").args(flags.iter().copied()).exits(6).stderr();
        assert!(said.contains("in.results.csv"), "{said}");
    }
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(work.results("in.results.csv").count("revoked"), 100);
}

#[test]
fn uncreatable_results_are_exit_7() {
    let (work, server) = (Workdir::new(), slack(None));
    std::fs::create_dir(work.path("folder")).expect("a folder");
    for output in ["missing/out.csv", "folder", "/dev/full", "/proc/out.csv"] {
        let said = run(&work, &server, &["-o", output], 7);
        assert!(said.contains(output.trim_start_matches('/')), "{said}");
    }
    assert_eq!(server.stats().buckets.len(), 0, "nothing was sent");
}

#[test]
fn unwritable_events_are_exit_7_and_leave_no_files() {
    let (work, server) = (Workdir::new(), slack(None));
    let said = run(&work, &server, &["--events", "missing/events"], 7);
    assert!(said.contains("missing/events") && said.contains("--events"), "{said}");
    assert_eq!(server.stats().revoked, 0);
    run(&work, &server, &[], 0);
}

#[test]
fn an_input_or_output_is_never_overwritten_through_another_path() {
    for (flag, name) in [
        ("--remaining", "./in.csv"),
        ("--remaining", "in.results.csv"),
        ("--remaining", "link.csv"),
        ("--events", "in.results.csv"),
        ("--events", "in.results.csv.journal"),
        ("--events", "./keep.txt"),
        ("--summary-json", "in.results.csv"),
        ("--summary-json", "./in.csv"),
        ("--metrics-file", "in.results.csv.manifest.json"),
    ] {
        let (work, server) = (Workdir::new(), slack(None));
        work.write("keep.txt", "U9\n");
        std::os::unix::fs::symlink("in.csv", work.path("link.csv")).expect("a link");
        let said = run(&work, &server, &["--protect", "keep.txt", flag, name], 2);
        assert!(said.contains(flag) && said.contains("overwrite"), "{flag} {name}: {said}");
        assert_eq!((work.read("in.csv"), work.read("keep.txt")), (rows(1_000, 100), "U9\n".into()));
        assert_eq!((server.stats().buckets.len(), work.names().len()), (0, 3), "{flag} {name}: {:?}", work.names());
    }
}

#[test]
fn existing_results_are_refused_without_resume() {
    let (work, server) = (Workdir::new(), slack(None));
    work.write("in.results.csv", "precious");
    for flags in [&[][..], &["--resume"], &["-o", "in.results.csv"]] {
        run(&work, &server, flags, 2);
        assert_eq!(work.read("in.results.csv"), "precious");
    }
    assert_eq!(server.stats().revoked, 0);
}

#[test]
fn resume_without_results_starts_and_warns() {
    let (work, server) = (Workdir::new(), slack(None));
    let said = run(&work, &server, &["--resume"], 0);
    assert!(said.contains("nothing to resume"), "{said}");
    assert_eq!(work.results("in.results.csv").count("revoked"), 100);
}

#[test]
fn contradictory_flags_are_exit_2() {
    let (work, server) = (Workdir::new(), slack(None));
    work.write("in.csv", rows(1_000, 1));
    for (line, want) in [
        ("", "Usage"),
        ("run", "<INPUT>"),
        ("walk in.csv", "walk"),
        ("run in.csv --rat 3/s", "--rate"),
        ("run in.csv", "--yes"),
        ("run in.csv --yes --rate 0/min", "--rate"),
        ("run in.csv --yes --rate 20", "--rate"),
        ("run in.csv --yes --rate unlimited --api-url https://slack.com/api/", "loopback"),
        ("run in.csv --yes -j 0", "--workers"),
        ("run in.csv --yes -j 257", "--workers"),
        ("run in.csv --yes --max-failures 0", "--max-failures"),
        ("run in.csv --yes --max-failures 101%", "--max-failures"),
        ("run in.csv --yes --timeout 30", "30s"),
        ("run in.csv --yes --deadline 0s", "--deadline"),
        ("run in.csv --yes --identify-by email", "--identify-by"),
        ("run in.csv --yes --delimiter ab", "--delimiter"),
        ("run in.csv --yes --rate 20/min --max-rate 40/min", "--max-rate"),
        ("run in.csv --yes --start-rate 50/min --max-rate 40/min", "--start-rate"),
        ("run in.csv --yes --token-file a --token-command b", "--token-command"),
        ("run in.csv --rehearse --resume", "--resume"),
        ("run in.csv --rehearse --dry-run", "--rehearse"),
        ("run in.csv --yes --quiet --verbose", "--quiet"),
        ("run in.csv --yes --api-url http://slack.com/api/", "https"),
        ("run in.csv --yes --api-url https://example.com/api/", "--allow-host"),
        ("run in.csv --yes --api-url ftp://127.0.0.1/", "https"),
        ("run in.csv --yes --remaining in.csv", "--remaining"),
        ("run in.csv --yes --events in.results.csv -o in.results.csv", "--events"),
        ("run in.csv --yes --protect missing.txt", "--protect"),
        ("run in.csv --yes --protect in.csv", "--protect"),
    ] {
        let finished = work.program(line.split_whitespace()).token(TOKEN).finish();
        assert_eq!(finished.code(), Some(2), "{line}: {}", finished.stderr());
        assert!(finished.stderr().contains(want), "{line}: {}", finished.stderr());
        assert_eq!(finished.stdout(), "", "{line}");
        assert_eq!(work.names(), ["in.csv"], "{line}");
    }
    assert_eq!(server.stats().buckets.len(), 0);
}

#[test]
fn requested_output_is_exit_0_on_standard_output() {
    let work = Workdir::new();
    for (line, want) in [
        ("--version", env!("CARGO_PKG_VERSION")),
        ("--help", "help exit-codes"),
        ("help exit-codes", "  130  interrupted"),
        ("help environment", "SLACK_REVOKE_MAX_RETRY_AFTER"),
        ("plan -h", "--resume"),
        ("man", ".SH"),
        ("completions bash", "slack-revoke"),
    ] {
        let finished = work.program(line.split_whitespace()).exits(0);
        assert!(finished.stdout().contains(want), "{line}");
        assert_eq!(finished.stderr(), "", "{line}");
    }
}

#[test]
fn a_fixed_rate_is_kept_and_reported() {
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 61));
    for (rate, seconds) in [("1/s", 60), ("60/min", 60), ("3600/h", 60), ("20/min", 180)] {
        let plan = work.program(["plan", "in.csv", "--json", "--rate", rate]).exits(0).stdout();
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        assert_eq!(plan["estimated_seconds"], seconds, "{rate}");
    }
}

/// Too few files to be had for a runtime to start, for the next one to be opened, or for a library that panics then.
#[test]
fn a_panic_is_exit_70() {
    let (work, server) = (Workdir::new(), slack(None));
    work.write("in.csv", rows(1_000, 2));
    let mut faults = 0;
    for files in 5..=11 {
        let script = format!("ulimit -n {files} && exec \"$@\"");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_slack-revoke"), "run", "in.csv", "--yes"]);
        shell.args(["--api-url", &server.url()]).env("SLACK_TOKEN", TOKEN).current_dir(work.root());
        let ended = shell.output().expect("a shell");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code().is_some_and(|code| [2, 5, 7, 70].contains(&code)), "{files}: {said}");
        faults += usize::from(ended.status.code() == Some(70));
        assert!(!work.exists("in.results.csv") && server.stats().revoked == 0, "{files}: {said}");
    }
    assert!(faults > 0);
}
