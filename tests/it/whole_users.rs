//! `run --whole-users`: up to a thousand users a call, one record a row, and a second confirmation.

use crate::harness::{Program, TOKEN, Workdir, config, start, until};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    BulkConfig, Effect, InjectedFault, Latency, Limit, LimitKind, Method, MethodLimits, RepeatedReply, ScriptedReply,
    Server, Session, StandInConfig, StandInReply,
};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

/// `user_id,session_id` for the users `U0` to `U{users - 1}`, `each` sessions of every user, one user after another.
fn input(users: u64, each: u64) -> String {
    let mut text = String::from("user_id,session_id\n");
    for row in 0..users * each {
        writeln!(text, "U{},{}", row / each, 1_000 + row).expect("a string takes everything");
    }
    text
}

/// A stand-in with these sessions.
fn standing(users: u64, each: u64, adjust: impl FnOnce(&mut StandInConfig)) -> Server {
    let sessions = (0..users * each).map(|row| Session::new(1_000 + row, "T1", &format!("U{}", row / each)));
    let mut config = StandInConfig { log: 99_999, ..config(sessions.collect()) };
    adjust(&mut config);
    start(config)
}

/// The run of `in.csv`, confirmed for so many users, as fast as it goes.
fn run(work: &Workdir, server: &Server, users: u64) -> Program {
    let confirmed = users.to_string();
    work.run(server, "in.csv").args(["--whole-users", "--confirm-users", &confirmed, "--rate", "unlimited"])
}

fn refusing(user: &str, code: ErrorCode) -> HashMap<String, RepeatedReply> {
    HashMap::from([(user.to_owned(), RepeatedReply::always(ScriptedReply::Refused(code)))])
}

/// The number of users in each call.
fn sizes(server: &Server) -> Vec<usize> {
    server.bulks().iter().map(|call| call.users.len()).collect()
}

fn in_flight(server: &Server) -> u32 {
    server.stats().of(Method::ResetBulk).in_flight
}

#[test]
fn users_are_ended_a_thousand_per_call_and_verified() {
    let (work, server) = (Workdir::new(), standing(2_500, 2, |config| config.bulk.done_after = 5));
    work.write("in.csv", input(2_500, 2));
    let said = run(&work, &server, 2_500).args(["--summary-json", "sum.json", "--strict"]).exits(0).stderr();
    assert_eq!(sizes(&server), [1, 1000, 1000, 499]);
    assert!(server.bulks().iter().all(|call| call.reply == StandInReply::Ok));
    assert_eq!(server.stats().of(Method::Invalidate).calls, 0);

    let results = work.results("in.results.csv");
    assert_eq!((results.statuses().len(), results.count("requested")), (5_000, 5_000));
    let first = results.line(2);
    assert_eq!((first.get("attempts"), first.get("http_status"), first.get("error")), ("1", "200", ""));
    assert_eq!(first.get("request_id"), results.line(3).get("request_id"), "one call, both rows of the user");
    assert_ne!(first.get("request_id"), results.line(4).get("request_id"));
    assert!(!work.exists("in.results.remaining.csv"), "nothing remains: verify is the proof");
    assert!(said.contains("slack-revoke verify ") && said.contains("has queued the logouts"), "{said}");
    let told = work.json("sum.json");
    assert_eq!((&told["rows"]["requested"], &told["calls"], &told["exit_code"]), (&5_000.into(), &4.into(), &0.into()));
    let manifest = work.json("in.results.csv.manifest.json");
    assert_eq!(manifest["runs"][0]["whole_users"], true);

    assert!(server.queued_users() > 0, "Slack has queued it, and not done it");
    let verify = ["verify", "in.results.csv", "--api-url", &server.url(), "--rate", "unlimited"];
    let early = work.program(verify).token(TOKEN).exits(1).stderr();
    assert!(early.contains("may still be working on them"), "{early}");
    assert!(work.results("in.results.verified.csv").records.iter().any(|row| row.get("verified") == "still_there"));
    work.program(verify).token(TOKEN).exits(0);
    assert!(work.results("in.results.verified.csv").records.iter().all(|row| row.get("verified") == "gone"));
    assert!(server.queued_users() == 0 && server.live_sessions().is_empty());
}

#[test]
fn only_the_bad_user_of_a_thousand_fails() {
    let bulk = BulkConfig { by_user: refusing("U321", ErrorCode::CannotResetPrimaryOwner), ..BulkConfig::default() };
    let (work, server) = (Workdir::new(), standing(1_001, 1, |config| config.bulk = bulk));
    work.write("in.csv", input(1_001, 1));
    run(&work, &server, 1_001).exits(1);
    let results = work.results("in.results.csv");
    assert_eq!((results.count("requested"), results.count("failed")), (1_000, 1));
    let bad = results.line(323);
    assert_eq!((bad.get("user_id"), bad.get("error")), ("U321", "cannot_reset_primary_owner"));
    assert_eq!(work.read("in.results.remaining.csv"), "user_id,session_id\nU321,1321\n");
    assert!(sizes(&server).len() <= 22, "{:?}", sizes(&server));
    assert_eq!(server.live_sessions(), [1_321]);
}

#[test]
fn a_429_pauses_and_does_not_count_as_an_attempt() {
    let limited = Limit::of(LimitKind::TokenBucket { calls: 2, per: Duration::from_secs(1), burst: 2 });
    let limits = MethodLimits { reset_bulk: limited, ..MethodLimits::default() };
    let (work, server) = (Workdir::new(), standing(4_001, 1, |config| config.limits = limits));
    work.write("in.csv", input(4_001, 1));
    run(&work, &server, 4_001).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!(results.count("requested"), 4_001);
    let met = results.records.iter().filter(|record| record.get("rate_limited") != "0");
    assert!(met.clone().count() >= 1_000 && met.clone().all(|record| record.get("attempts") == "1"));
    let counts = server.stats().of(Method::ResetBulk);
    assert!(counts.limited > 0 && counts.inside_pause == 0, "{counts:?}");
}

#[test]
fn a_lost_answer_is_retried_with_the_same_users() {
    let lost = RepeatedReply::first(1, ScriptedReply::Fault(InjectedFault::Reset, Effect::Done));
    let bulk = BulkConfig { by_user: HashMap::from([("U5".to_owned(), lost)]), ..BulkConfig::default() };
    let (work, server) = (Workdir::new(), standing(10, 1, |config| config.bulk = bulk));
    work.write("in.csv", input(10, 1));
    run(&work, &server, 10).exits(0);
    assert_eq!(sizes(&server), [1, 9, 9]);
    let results = work.results("in.results.csv");
    assert_eq!((results.count("requested"), results.line(7).get("attempts")), (10, "2"));
}

#[test]
fn a_killed_run_ends_with_one_record_per_row() {
    let slow = Latency::Fixed(Duration::from_millis(60));
    let (work, server) = (Workdir::new(), standing(3_000, 2, |config| config.latency = slow));
    work.write("in.csv", input(3_000, 2));
    for call in 2..=3 {
        let mut running = run(&work, &server, 3_000).args(["--resume"]).start();
        until(&mut running, || server.bulks().len() >= call && in_flight(&server) == 1);
        running.kill();
    }
    let recorded = work.results("in.results.csv").records.len();
    assert!((2..6_000).contains(&recorded), "{recorded}");
    run(&work, &server, 3_000).args(["--resume"]).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!((results.statuses().len(), results.count("requested")), (6_000, 6_000));
    assert!(server.live_sessions().is_empty());
    assert!(!work.exists("in.results.csv.journal"));
}

#[test]
fn sessions_and_whole_users_can_resume_each_other() {
    let (work, server) = (Workdir::new(), standing(6, 1, |_| {}));
    work.write("in.csv", input(3, 1));
    work.run(&server, "in.csv").exits(0);
    work.write("in.csv", input(5, 1));
    run(&work, &server, 5).args(["--resume"]).exits(0);
    work.write("in.csv", input(6, 1));
    work.run(&server, "in.csv").args(["--resume"]).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!((results.count("revoked"), results.count("requested")), (4, 2));
    let runs = work.json("in.results.csv.manifest.json");
    assert_eq!([0, 1, 2].map(|run| runs["runs"][run]["whole_users"].as_bool().expect("a flag")), [false, true, false]);
}

#[test]
fn a_protected_session_protects_its_user() {
    let (work, server) = (Workdir::new(), standing(4, 2, |_| {}));
    let own = server_user();
    work.write("in.csv", format!("{}{own},5\n{own},6\n", input(4, 2)));
    work.write("keep.txt", "1003 # the second session of U1\nU3\n424242\n");
    let plan = work.program(["plan", "in.csv", "--whole-users", "--json", "--protect", "keep.txt"]).exits(0);
    let facts: serde_json::Value = serde_json::from_str(&plan.stdout()).expect("JSON");
    // What a plan cannot know is whose token it will be.
    assert_eq!((&facts["users"], &facts["users_to_confirm"], &facts["protected"]), (&3.into(), &3.into(), &4.into()));
    assert!(plan.stderr().contains("1 session id of --protect stand"), "{}", plan.stderr());

    run(&work, &server, 3).args(["--protect", "keep.txt"]).exits(0);
    let results = work.results("in.results.csv");
    let rules: Vec<_> = results.statuses().keys().map(|line| results.line(*line).get("error").to_owned()).collect();
    let protected = ["protected_session", "protected_session"];
    let spared = ["protected_user", "protected_user", "own_session", "own_session"];
    assert_eq!(rules, [&["", ""][..], &protected, &["", ""], &spared].concat());
    assert_eq!(results.count("requested"), 4);
    assert_eq!(server.live_sessions(), [1_002, 1_003, 1_006, 1_007]);
    assert!(server.bulks().iter().flat_map(|call| &call.users).all(|user| user == "U0" || user == "U2"));
}

/// The user of the stand-in's token.
fn server_user() -> String {
    slack_revoke::stand_in::TokenIdentity::default().user_id
}

#[test]
fn a_list_of_user_ids_is_enough_and_may_have_duplicates() {
    let (work, server) = (Workdir::new(), standing(3, 2, |config| config.bulk.done_after = 3));
    work.write("in.csv", "name;user_id\nann;U0\nbob;U1\ncy;\nann;U0\nbad;X1\n");
    let said = run(&work, &server, 2).exits(1).stderr();
    assert!(said.contains("slack-revoke verify"), "{said}");
    let results = work.results("in.results.csv");
    assert_eq!(
        results.statuses().values().collect::<Vec<_>>(),
        ["requested", "requested", "invalid", "requested", "invalid"]
    );
    assert_eq!((results.line(4).get("error"), results.line(6).get("error")), ("missing_user_id", "bad_user_id"));
    assert!(results.line(4).get("detail").contains("resolve"));
    assert_eq!(sizes(&server), [1, 1]);

    // `verify` makes two calls. U0's job is done with them, U1's with one more.
    let verify = ["verify", "in.results.csv", "--api-url", &server.url()];
    work.program(verify).token(TOKEN).exits(1);
    work.program(verify).token(TOKEN).exits(0);
    let verified = work.results("in.results.verified.csv");
    let answers: Vec<_> = verified.records.iter().map(|record| record.get("verified")).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == "gone").count(), 3, "{answers:?}");
    assert_eq!(server.live_sessions(), [1_004, 1_005]);
}

#[test]
fn whole_users_need_two_confirmations() {
    let (work, server) = (Workdir::new(), standing(3, 1, |_| {}));
    work.write("in.csv", input(3, 1));
    let whole = |flags: &[&str]| work.run(&server, "in.csv").args(["--whole-users"]).args(flags.iter().copied());
    for (flags, want) in [
        (&[][..], "--confirm-users N"),
        (&["--confirm-users", "2"], "--confirm-users says 2, and in.csv has 3 users"),
        (&["--confirm-users", "3", "--identify-by", "team"], "--identify-by team exclude each other"),
    ] {
        let refused = whole(flags).exits(2).stderr();
        assert!(refused.contains(want), "{refused}");
    }
    let alone = work.run(&server, "in.csv").args(["--confirm-users", "3"]).exits(2).stderr();
    assert!(alone.contains("add --whole-users"), "{alone}");
    let no_yes = ["run", "in.csv", "--whole-users", "--confirm-users", "3", "--api-url", &server.url()];
    assert!(work.program(no_yes).token(TOKEN).exits(2).stderr().contains("--yes"));
    let dry = work.program(["run", "-n", "in.csv", "--whole-users", "--confirm-users", "4"]).exits(2).stderr();
    assert!(dry.contains("has 3 users"), "{dry}");
    work.write("teams.csv", "team_id,session_id\nT1,1000\n");
    let no_user = work.program(["plan", "teams.csv", "--whole-users"]).exits(2).stderr();
    assert!(no_user.contains("no user_id column") && no_user.contains("slack-revoke resolve"), "{no_user}");
    assert!(server.bulks().is_empty() && !work.exists("in.results.csv"));

    let by_variables = work.run(&server, "in.csv").env("SLACK_REVOKE_WHOLE_USERS", "1");
    by_variables.env("SLACK_REVOKE_CONFIRM_USERS", "3").exits(0);
    assert_eq!(sizes(&server), [1, 2]);
}

#[test]
fn the_plan_shows_calls_time_and_number_to_confirm() {
    let work = Workdir::new();
    work.write("in.csv", input(40_002, 1));
    let plan = work.program(["plan", "in.csv", "--whole-users"]).exits(0).stdout();
    assert!(plan.contains("as whole users: 42 calls of admin.users.session.resetBulk"), "{plan}");
    assert!(
        plan.contains("EVERY session of 40,002 users will end") && plan.contains("--confirm-users 40002"),
        "{plan}"
    );
    let plan = work.program(["plan", "in.csv", "--whole-users", "--json", "--no-canary"]).exits(0).stdout();
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(
        (&plan["to_send"], &plan["calls"], &plan["estimated_seconds"]),
        (&40_002.into(), &41.into(), &63.into())
    );
}

#[test]
fn a_rehearsal_of_whole_users_asks_nothing() {
    let work = Workdir::new();
    work.write("in.csv", input(1_500, 1));
    let said = work.program(["run", "--rehearse", "--whole-users", "in.csv"]).exits(0).stderr();
    assert!(said.contains("  requested        1,500\n") && !said.contains("slack-revoke verify"), "{said}");
    let results = work.results("in.rehearsal.csv");
    assert_eq!((results.count("requested"), results.records.len()), (1_500, 1_500));
}

#[test]
fn restricted_action_stops_the_run_after_one_call() {
    let bulk = BulkConfig { by_user: refusing("U0", ErrorCode::from("restricted_action")), ..BulkConfig::default() };
    let (work, server) = (Workdir::new(), standing(8, 1, |config| config.bulk = bulk));
    work.write("in.csv", input(8, 1));
    let said = run(&work, &server, 8).exits(4).stderr();
    assert_eq!(sizes(&server), [1]);
    assert!(said.contains("ask an Org Owner"), "{said}");
}

#[test]
fn only_one_kind_of_session_ends() {
    let (work, server) = (Workdir::new(), standing(20, 2, |_| ()));
    work.write("in.csv", input(20, 2));
    let planned =
        work.program(["plan", "in.csv", "--whole-users"]).env("SLACK_REVOKE_ONLY", "mobile").exits(0).stdout();
    assert!(planned.contains("EVERY mobile session of 20 users will end"), "{planned}");
    run(&work, &server, 20).args(["--only", "mobile"]).exits(0);
    let left = server.live_sessions();
    assert!(!left.is_empty() && left.len() < 40, "{left:?}");
    assert_eq!(work.json("in.results.csv.manifest.json")["runs"][0]["only"], "mobile");

    let verify = ["verify", "in.results.csv", "--api-url", &server.url(), "--rate", "unlimited"];
    let told = work.program(verify).token(TOKEN).exits(1).stderr();
    assert!(told.contains("doesn't say which sessions are mobile"), "{told}");
    let verified = work.results("in.results.verified.csv");
    assert!(verified.records.iter().all(|row| matches!(row.get("verified"), "gone" | "unproven")));

    work.write("in.csv", format!("{}U0,1\n", input(20, 2)));
    let refused = run(&work, &server, 20).args(["--resume", "--only", "web"]).exits(2).stderr();
    assert!(refused.contains("ended mobile sessions") && refused.contains("add --only mobile"), "{refused}");
    let refused = work.program(["plan", "in.csv", "--only", "web"]).exits(2).stderr();
    assert!(refused.contains("--only only applies to --whole-users"), "{refused}");

    run(&work, &server, 20).args(["--only", "web", "-o", "web.csv"]).exits(0);
    assert!(server.live_sessions().is_empty());
}
