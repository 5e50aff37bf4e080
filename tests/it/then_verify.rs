//! `run --then-verify`: the run ends with proof, and ends one by one what a slow queue left active.

use crate::harness::{Program, TOKEN, Workdir, config, start, until};
use rustix::process::Signal;
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{BucketCounts, Latency, Method, RepeatedReply, ScriptedReply, Server, Session};
use slack_revoke::stand_in::{StandInConfig, StandInToken, TokenEnd};
use std::time::Duration;

/// More calls than any of these runs makes.
const NEVER: u64 = 1_000_000;

/// Two sessions each of the users `U0` to `U{users - 1}`.
fn owned(users: u64) -> Vec<Session> {
    (0..users * 2).map(|row| Session::new(1_000 + row, "T1", &format!("U{}", row / 2))).collect()
}

fn standing(users: u64, adjust: impl FnOnce(&mut StandInConfig)) -> (Workdir, Server) {
    let mut config = config(owned(users));
    adjust(&mut config);
    let work = Workdir::new();
    let rows: Vec<_> = (0..users * 2).map(|row| format!("U{},T1,{}", row / 2, 1_000 + row)).collect();
    work.write("in.csv", format!("user_id,team_id,session_id\n{}\n", rows.join("\n")));
    (work, start(config))
}

fn singly(work: &Workdir, server: &Server) -> Program {
    work.run(server, "in.csv").args(["--rate", "unlimited", "--then-verify", "1s"])
}

fn whole(work: &Workdir, server: &Server, users: u64) -> Program {
    singly(work, server).args(["--whole-users", "--confirm-users", &users.to_string()])
}

fn single_calls(server: &Server) -> u64 {
    server.stats().of(Method::Invalidate).calls
}

#[test]
fn a_run_ends_with_proof_that_its_sessions_are_gone() {
    let (work, server) = standing(3, |_| {});
    singly(&work, &server).args(["--events", "ev.jsonl", "--summary-json", "s.json"]).exits(0);
    let verified = work.results("in.results.verified.csv");
    assert!(verified.records.len() == 6 && verified.records.iter().all(|row| row.get("verified") == "gone"));
    assert!(!verified.header.iter().any(|name| name == "single_call"));
    let manifest = work.json("in.results.csv.manifest.json");
    assert_eq!(
        (&manifest["verified"]["gone"], &manifest["verified"]["single_calls"]),
        (&6.into(), &serde_json::Value::Null)
    );
    work.program(["report", "--check", "in.results.csv", "--events", "ev.jsonl"]).exits(0);
    work.program(["report", "in.results.csv"]).exits(0);
    assert!(work.read("in.results.report.html").contains("6 of 6 verified gone"));
}

#[test]
fn what_a_slow_queue_leaves_active_is_ended_one_by_one() {
    let (work, server) = standing(4, |config| config.bulk.done_after = NEVER);
    let said = whole(&work, &server, 4).exits(0).stderr();
    assert!(said.contains("8 sessions are still active") && !said.contains("doesn't say when they are done"), "{said}");
    assert!(server.live_sessions().is_empty());
    assert_eq!(single_calls(&server), 8);
    assert_eq!(work.results("in.results.csv").count("requested"), 8, "one record a row, as it was requested");
    let verified = work.results("in.results.verified.csv");
    assert!(verified.records.iter().all(|row| (row.get("verified"), row.get("single_call")) == ("gone", "revoked")));
    let manifest = work.json("in.results.csv.manifest.json");
    assert_eq!(manifest["verified"]["single_calls"], serde_json::json!({"revoked": 8}));
    assert_eq!(manifest["runs"][0]["counts"]["calls"], 10);
    work.program(["report", "--check", "in.results.csv"]).exits(0);
}

/// The calls are: two for users, two listings, and those for single sessions. The first user's job is done by the second
/// listing, that of the others isn't.
#[test]
fn only_what_is_still_active_is_ended_one_by_one() {
    let (work, server) = standing(3, |config| config.bulk.done_after = 3);
    whole(&work, &server, 3).exits(0);
    assert_eq!((server.stats().of(Method::List).calls, single_calls(&server)), (3, 4));
    let verified = work.results("in.results.verified.csv");
    let singles: Vec<_> = verified.records.iter().map(|row| row.get("single_call")).collect();
    assert_eq!(singles, ["", "", "already_revoked", "already_revoked", "already_revoked", "already_revoked"]);
    assert!(verified.records.iter().all(|row| row.get("verified") == "gone"));
}

#[test]
fn what_stays_active_is_exit_1_and_never_said_to_be_gone() {
    let refused = ScriptedReply::Refused(ErrorCode::UserNotFound);
    let (work, server) = standing(2, |config| {
        config.bulk.done_after = NEVER;
        config.script.by_session.insert(1_003, RepeatedReply::always(refused));
    });
    let said = whole(&work, &server, 2).exits(1).stderr();
    assert!(said.contains("can't be verified as gone"), "{said}");
    let verified = work.results("in.results.verified.csv");
    assert_eq!((verified.line(5).get("verified"), verified.line(5).get("single_call")), ("still_there", "unknown"));
    assert_eq!(work.json("in.results.csv.manifest.json")["runs"][0]["exit_code"], 1);

    let (work, server) = standing(2, |_| {});
    let mut running = singly(&work, &server).start();
    // A listing that is still being made would show the session again.
    let listed = |counts: BucketCounts| counts.calls > 0 && counts.in_flight == 0;
    until(&mut running, || listed(server.stats().of(Method::List)));
    server.set_alive([Session::new(1_000, "T1", "U0")]);
    assert_eq!(running.wait().code(), Some(0), "the first listing had shown that it was gone");
}

#[test]
fn a_run_that_dies_during_its_verification_is_verified_when_it_is_resumed() {
    let slow = |config: &mut StandInConfig| {
        config.bulk.done_after = NEVER;
        config.latency = Latency::Fixed(Duration::from_millis(20));
    };
    for dies_after in [0, 3] {
        let (work, server) = standing(4, slow);
        let mut running = whole(&work, &server, 4).args(["-j", "1"]).start();
        until(&mut running, || server.stats().of(Method::List).calls > 0 && single_calls(&server) >= dies_after);
        running.kill();
        let said = work.program(["report", "--check", "in.results.csv"]).exits(1).stdout();
        assert!(said.contains("results"), "{said}");
        whole(&work, &server, 4).args(["--resume"]).exits(0);
        assert!(server.live_sessions().is_empty());
        assert_eq!(work.results("in.results.csv").statuses().len(), 8);
        let verified = work.results("in.results.verified.csv");
        assert!(verified.records.len() == 8 && verified.records.iter().all(|row| row.get("verified") == "gone"));
        work.program(["report", "--check", "in.results.csv"]).exits(0);
    }
}

#[test]
fn a_signal_during_the_verification_leaves_complete_results() {
    let (work, server) = standing(2, |config| config.bulk.done_after = NEVER);
    let mut running = work
        .run(&server, "in.csv")
        .args(["--whole-users", "--confirm-users", "2", "--rate", "unlimited", "--then-verify", "1h"])
        .args(["--on-finish", "echo $SLACK_REVOKE_STATUS > told"])
        .start();
    until(&mut running, || server.stats().of(Method::List).calls > 0);
    running.signal(Signal::INT);
    let finished = running.wait();
    let said = finished.stderr();
    assert_eq!(finished.code(), Some(130), "{said}");
    assert!(said.contains("every row has its record") && said.contains("slack-revoke verify"), "{said}");
    assert_eq!((work.results("in.results.csv").count("requested"), single_calls(&server)), (4, 0));
    assert_eq!(work.read("told"), "interrupted\n");
    let manifest = work.json("in.results.csv.manifest.json");
    assert_eq!((&manifest["runs"][0]["exit_code"], &manifest["complete"]), (&130.into(), &true.into()));
    work.program(["report", "--check", "in.results.csv"]).exits(0);
    whole(&work, &server, 2).args(["--resume"]).exits(0);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn a_token_that_dies_before_the_single_calls_is_exit_4() {
    let (work, server) = standing(2, |config| {
        config.bulk.done_after = NEVER;
        config.tokens = vec![StandInToken { ends: Some((2, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    });
    whole(&work, &server, 2).exits(4);
    assert_eq!(work.results("in.results.csv").count("requested"), 4);
}

#[test]
fn only_one_kind_of_sessions_is_never_ended_one_by_one() {
    let (work, server) = standing(2, |config| config.bulk.done_after = NEVER);
    whole(&work, &server, 2).args(["--only", "web"]).exits(1);
    assert_eq!(single_calls(&server), 0);
    let verified = work.results("in.results.verified.csv");
    assert!(verified.records.iter().all(|row| row.get("verified") == "unproven"));
}

#[test]
fn a_stopped_run_is_not_verified() {
    let refused = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::TokenRevoked));
    let (work, server) = standing(2, |config| drop(config.script.by_session.insert(1_001, refused)));
    singly(&work, &server).exits(4);
    assert!(!work.exists("in.results.verified.csv"));
    assert_eq!(server.stats().of(Method::List).calls, 0);
}

#[test]
fn what_would_fail_at_the_end_is_refused_at_the_start() {
    let (work, server) = standing(2, |config| {
        config.tokens = vec![StandInToken { scopes: "admin.users:write".into(), ..StandInToken::named(TOKEN) }];
    });
    let said = singly(&work, &server).exits(4).stderr();
    assert!(said.contains("admin.users:read") && said.contains("nothing was sent"), "{said}");
    assert_eq!((single_calls(&server), work.exists("in.results.csv")), (0, false));

    let (work, server) = standing(2, |_| {});
    work.write("in.results.verified.csv", "mine\n");
    singly(&work, &server).exits(2);
    assert_eq!((single_calls(&server), work.read("in.results.verified.csv")), (0, "mine\n".to_owned()));
}

#[test]
fn a_rehearsal_verifies_too() {
    let (work, _server) = standing(2, |_| {});
    let rehearse = ["run", "--rehearse", "in.csv", "--rate", "unlimited", "--then-verify", "10s"];
    work.program(rehearse).exits(0);
    assert!(work.results("in.rehearsal.verified.csv").records.iter().all(|row| row.get("verified") == "gone"));
    work.program(rehearse).args(["--whole-users", "--confirm-users", "2"]).exits(0);
    assert!(work.results("in.rehearsal.verified.csv").records.iter().all(|row| row.get("verified") == "gone"));
}

#[test]
fn a_queue_that_never_ends_costs_bulk_no_proof() {
    let (work, server) = standing(3, |config| config.bulk.done_after = NEVER);
    let list = ["list", "-o", "all.csv", "--rate", "unlimited", "--api-url", &server.url()];
    work.program(list).token(TOKEN).exits(0);
    // One session of the last user stays.
    let rows: Vec<_> = (1_000..1_005).map(|session| format!("T1,{session}")).collect();
    work.write("in.csv", format!("team_id,session_id\n{}\n", rows.join("\n")));
    singly(&work, &server).args(["--bulk", "all.csv"]).exits(0);
    assert_eq!((server.live_sessions(), single_calls(&server)), (vec![1_005], 5));
    let listing = &work.json("in.results.csv.manifest.json")["runs"][0]["bulk"];
    assert_eq!(listing["sha256"], work.json("all.csv.listing.json")["output"]["sha256"]);
    let verified = work.results("in.results.verified.csv");
    assert!(verified.records.iter().all(|row| row.get("verified") == "gone"));
    assert_eq!(verified.records.iter().filter(|row| row.get("single_call") == "revoked").count(), 4);
}

/// With `--whole-users`, a session on no row may have existed before the run. With `--bulk`, the listing shows that it hasn't.
#[test]
fn a_session_on_no_row_is_new_only_if_every_user_was_listed() {
    for (is_bulk, verdict) in [(true, "user_back"), (false, "unproven")] {
        let (work, server) = standing(2, |_| ());
        let list = ["list", "-o", "all.csv", "--rate", "unlimited", "--api-url", &server.url()];
        work.program(list).token(TOKEN).exits(0);
        let run = || work.run(&server, "in.csv").args(["--rate", "unlimited"]);
        if is_bulk { run().args(["--bulk", "all.csv"]) } else { run().args(["--whole-users", "--confirm-users", "2"]) }
            .exits(0);
        server.set_alive([Session::new(7, "T1", "U0")]);
        let is_proved = i32::from(!is_bulk);
        let verify = ["verify", "in.results.csv", "--rate", "unlimited", "--api-url", &server.url()];
        work.program(verify).token(TOKEN).exits(is_proved);
        run().args(["--bulk", "all.csv", "--resume", "--then-verify", "1s"]).exits(is_proved);
        let verified = work.results("in.results.verified.csv");
        let verdicts: Vec<_> = verified.records.iter().map(|row| row.get("verified")).collect();
        assert_eq!(verdicts, [verdict, verdict, "gone", "gone"], "{is_bulk}");
    }
}

#[test]
fn nothing_is_ended_one_by_one_after_the_deadline() {
    let (work, server) = standing(2, |config| config.bulk.done_after = NEVER);
    let said = whole(&work, &server, 2).args(["--deadline", "2s", "--then-verify", "3s"]).exits(3).stderr();
    assert!(said.contains("deadline"), "{said}");
    assert_eq!((work.results("in.results.csv").count("requested"), single_calls(&server)), (4, 0));
    whole(&work, &server, 2).args(["--resume"]).exits(0);
    assert!(server.live_sessions().is_empty());
}
