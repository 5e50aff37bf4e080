//! Slack in trouble: limits, faults, a token that ends, a server that goes away. What is reported is what is so.

use crate::harness::{Program, Results, TOKEN, Workdir, accepted, config, rows, sessions, start, until};
use slack_revoke::stand_in::{
    Effect, FaultRates, InjectedFault, Limit, LimitKind, LimitScope, Method, MethodLimits, RetryAfter, Server, Session,
    SessionStore, StandInConfig, StandInToken, TokenEnd, WindowStart,
};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::time::Duration;

const RESULTS: &str = "s.results.csv";
const REMAINING: &str = "s.results.remaining.csv";

/// The session of a row, which [`rows`] puts on line 2 where it is the first.
fn session_of(first: u64, line: u64) -> u64 {
    first + line - 2
}

#[test]
fn a_pause_applies_to_every_call_and_loses_no_row() {
    let window = LimitKind::FixedWindow { calls: 40, per: Duration::from_secs(2), starts: WindowStart::FirstCall };
    let invalidate = Limit { retry_after: RetryAfter::Fixed(2), ..Limit::of(window) };
    let limits = MethodLimits { invalidate, ..MethodLimits::default() };
    let server = start(StandInConfig { limits, ..config(sessions(1_000, 400)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 400));
    work.run(&server, "s.csv").args(["--rate", "unlimited"]).exits(0);
    assert_eq!(work.results(RESULTS).count("revoked"), 400);
    assert!(server.live_sessions().is_empty());
    let counts = server.stats().of(Method::Invalidate);
    assert!(counts.limited >= 9, "ten windows are nine refusals at least: {counts:?}");
    assert_eq!((counts.inside_pause, server.stats().repeats), (0, 0), "{counts:?}");
}

/// With one limit for all, a row of another workspace is inside its pause too: only the one that tests whether it is.
#[test]
fn a_pause_applies_to_every_workspace_of_the_bucket() {
    let window = LimitKind::FixedWindow { calls: 15, per: Duration::from_secs(1), starts: WindowStart::FirstCall };
    for (scope, bucket, tests) in [
        (LimitScope::Team, "team", 0),
        (LimitScope::Team, "auto", 0),
        (LimitScope::Token, "org", 0),
        (LimitScope::Token, "auto", 1),
    ] {
        let invalidate = Limit { retry_after: RetryAfter::Fixed(1), scope, ..Limit::of(window) };
        let all = (1_000..1_060).map(|id| Session::new(id, if id % 2 == 0 { "T1" } else { "T2" }, "U1")).collect();
        let server =
            start(StandInConfig { limits: MethodLimits { invalidate, ..MethodLimits::default() }, ..config(all) });
        let work = Workdir::new();
        let rows = (1_000..1_060).map(|id| format!("T{},{id}\n", if id % 2 == 0 { 1 } else { 2 }));
        work.write("s.csv", "team_id,session_id\n".to_owned() + &rows.collect::<String>());
        work.run(&server, "s.csv").args(["--rate", "1000/s", "-j", "1", "--bucket", bucket]).exits(0);
        assert_eq!(work.results(RESULTS).count("revoked"), 60);
        let counts = server.stats().of(Method::Invalidate);
        assert!(counts.limited > 0 && counts.inside_pause <= tests, "{scope:?} {bucket}: {counts:?}");
    }
}

/// Two of a hundred calls meet each of these. No session meets four in a row: its backoffs would be most of the test.
fn every_fault(sessions: Range<u64>) -> FaultRates {
    let bearable = |faults: &FaultRates| sessions.clone().all(|id| (0..4).any(|call| faults.draw(id, call).is_none()));
    (0..1_000).map(seeded_with_every_fault).find(bearable).expect("one of a hundred seeds")
}

fn seeded_with_every_fault(seed: u64) -> FaultRates {
    let slow = InjectedFault::Slow(Duration::from_millis(900));
    let kinds = [
        (InjectedFault::InternalError, Effect::None),
        (InjectedFault::Unavailable, Effect::Done),
        (InjectedFault::Reset, Effect::None),
        (InjectedFault::Reset, Effect::Done),
        (InjectedFault::Torn, Effect::Done),
        (InjectedFault::Garbage, Effect::None),
        (InjectedFault::ProxyPage, Effect::None),
        (slow, Effect::None),
        (slow, Effect::Done),
        (InjectedFault::FatalError, Effect::None),
        (InjectedFault::FatalError, Effect::Done),
    ];
    kinds.into_iter().fold(FaultRates::seeded(seed), |faults, (fault, effect)| faults.with(fault, effect, 20))
}

/// Nobody is told that a session lives which is gone, nor that one is gone which lives.
#[track_caller]
fn assert_honest(results: &Results, server: &Server, first: u64, rows: u64) {
    let living: BTreeSet<u64> = server.live_sessions().into_iter().collect();
    let statuses = results.statuses();
    assert_eq!(statuses.len() as u64, rows);
    for (line, status) in &statuses {
        let lives = living.contains(&session_of(first, *line));
        let honest = match status.as_str() {
            "revoked" | "already_revoked" => !lives,
            "failed" => lives,
            "unknown" => true,
            _ => false,
        };
        assert!(honest, "line {line} is {status}, and its session lives: {lives}");
    }
}

#[test]
fn with_all_faults_combined_every_row_has_one_correct_record() {
    let server = start(StandInConfig { faults: every_fault(1_000..3_000), ..config(sessions(1_000, 2_000)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 2_000));
    let flags = ["--rate", "unlimited", "-j", "16", "--timeout", "600ms"];
    let finished = work.run(&server, "s.csv").args(flags).finish();
    let results = work.results(RESULTS);
    assert_honest(&results, &server, 1_000, 2_000);
    assert!(results.count("already_revoked") > 100, "ten of a hundred calls took effect unseen");
    assert!(results.count("unknown") < 20 && results.count("failed") == 0);
    let all_gone = results.count("unknown") == 0;
    assert_eq!(finished.code(), Some(i32::from(!all_gone)), "{}", finished.stderr());
}

/// Trouble for four of ten calls, but for the first row's: a run that is never answered ends there.
fn hard_times() -> FaultRates {
    let seeded = |seed| {
        FaultRates::seeded(seed).with(InjectedFault::FatalError, Effect::Done, 200).with(
            InjectedFault::Reset,
            Effect::None,
            200,
        )
    };
    (0..1_000).map(seeded).find(|faults| faults.draw(1_000, 0).is_none()).expect("six of ten seeds")
}

#[test]
fn a_row_without_attempts_left_is_unknown_and_remains() {
    let server = start(StandInConfig { faults: hard_times(), ..config(sessions(1_000, 100)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 100));
    let flags = ["--rate", "unlimited", "-j", "4", "--retries", "0", "--max-failures", "100%"];
    work.run(&server, "s.csv").args(flags).exits(1);
    let results = work.results(RESULTS);
    assert_honest(&results, &server, 1_000, 100);
    let unknown = results.count("unknown");
    assert!(unknown > 10, "{unknown}");
    assert_eq!(work.read(REMAINING).lines().count() - 1, unknown);
    // What lives is among what remains, so that feeding it back finds it.
    let remaining = work.read(REMAINING);
    assert!(server.live_sessions().iter().all(|session| remaining.contains(&format!("T1,{session}\n"))));
}

#[test]
fn a_revoked_token_stops_the_run_and_another_one_completes_it() {
    let tokens = vec![StandInToken { ends: Some((100, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let server = start(StandInConfig { tokens, ..config(sessions(1_000, 10_000)) });
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 10_000));
    let stopped = work.run(&server, "s.csv").args(["--rate", "unlimited", "-j", "16"]).exits(4);
    assert!(stopped.stderr().contains("token_revoked"), "{}", stopped.stderr());
    let (stats, results) = (server.stats(), work.results(RESULTS));
    assert!((1..=16).contains(&stats.unauthorized), "{} calls with a dead token", stats.unauthorized);
    assert_eq!((results.statuses().len(), results.count("revoked")), (100, 100));

    let lines: BTreeSet<u64> = results.statuses().into_keys().collect();
    let without: Vec<_> = (2..10_002).filter(|line| !lines.contains(line)).collect();
    let remaining = work.read(REMAINING);
    let fed_back: Vec<_> = remaining.lines().skip(1).collect();
    let wanted: Vec<_> = without.iter().map(|line| format!("T1,{}", session_of(1_000, *line))).collect();
    assert_eq!(fed_back, wanted);

    server.accept_token("xoxp-another");
    let resume = work.run(&server, "s.csv").token("xoxp-another").args(["--rate", "unlimited", "--resume"]);
    resume.exits(0);
    assert_eq!(work.results(RESULTS).count("revoked"), 10_000);
    assert!(server.live_sessions().is_empty() && server.stats().repeats == 0 && !work.exists(REMAINING));
}

/// A run to where nobody listens.
fn to_nobody(work: &Workdir, input: &str) -> Program {
    // A port that was free a moment ago may be the stand-in's of another test by now; this one is nobody's.
    let url = "http://127.0.0.1:1/api/";
    work.program(["run", input, "--yes", "--api-url", url, "--rate", "unlimited", "--retries", "1"]).token(TOKEN)
}

#[test]
fn a_run_without_a_connection_ends_no_row() {
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 5));
    to_nobody(&work, "s.csv").exits(5);
    assert_eq!(work.read(REMAINING), rows(1_000, 5), "no session is gone");
    let server = start(config(sessions(1_000, 5)));
    work.run(&server, "s.csv").args(["--rate", "unlimited", "--resume"]).exits(0);
    assert_eq!(work.results(RESULTS).count("revoked"), 5);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn no_row_with_a_user_is_sent_before_the_token_is_identified() {
    let work = Workdir::new();
    work.write("u.csv", "user_id,session_id\nU1,1000\n");
    to_nobody(&work, "u.csv").exits(5);
    assert!(!work.exists("u.results.csv"));
}

#[test]
fn a_server_restart_loses_no_row() {
    let store = || SessionStore::listed(sessions(1_000, 2_000));
    let first = start(StandInConfig { store: store(), ..config(Vec::new()) });
    let port = first.address().port();
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 2_000));
    let flags = ["--rate", "unlimited", "-j", "4", "--events", "events"];
    let mut running = work.run(&first, "s.csv").args(flags).start();
    until(&mut running, || accepted(&first) >= 300);
    drop(first);
    until(&mut running, || fs::read_to_string(work.path("events")).is_ok_and(|text| text.contains("outage_began")));
    let second = start(StandInConfig { port, store: store(), ..config(Vec::new()) });
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let results = work.results(RESULTS);
    assert_eq!((results.statuses().len(), results.count("revoked")), (2_000, 2_000));
    // The second one knows all of the sessions: a row is sent to it unless the first had answered.
    assert!(accepted(&second) <= 2_000 - 300 + 4, "{} calls for what was left", accepted(&second));
    assert!(results.records.iter().any(|record| record.get("attempts") != "1"), "rows were in flight when it went");
}
