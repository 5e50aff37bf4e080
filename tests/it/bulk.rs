//! `run --bulk LISTING`: users all of whose listed sessions are in the input end in bulk, everyone else session by session.

use crate::harness::{Program, TOKEN, Workdir, config, start};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    BulkConfig, ListedDevice, Method, RepeatedReply, ScriptedReply, Server, Session, SessionDevices, StandInConfig,
    TokenIdentity,
};
use std::collections::{BTreeSet, HashMap};

/// Session `number` of user `user`, numbered from 0.
fn session(user: u64, number: u64) -> u64 {
    1_000_000 + user * 100 + number
}

/// A stand-in with `each` sessions of the users `U0` to `U{users - 1}`: those with an even number were created outside.
fn standing(users: u64, each: u64, adjust: impl FnOnce(&mut StandInConfig)) -> Server {
    standing_with(users, each, Vec::new(), adjust)
}

fn standing_with(users: u64, each: u64, more: Vec<Session>, adjust: impl FnOnce(&mut StandInConfig)) -> Server {
    let on = |user: u64, number: u64| {
        let place = if number.is_multiple_of(2) { "203.0.113.7" } else { "192.0.2.7" };
        let text = String::new;
        let created = ListedDevice {
            device_hardware: text(),
            os: text(),
            os_version: text(),
            slack_client_version: text(),
            ip: place.into(),
        };
        let devices = Some(SessionDevices { created, recent: None });
        Session { devices, ..Session::new(session(user, number), "T1", &format!("U{user}")) }
    };
    let sessions = (0..users).flat_map(|user| (0..each).map(move |number| on(user, number)));
    let mut config = StandInConfig { log: 99_999, ..config(more.into_iter().chain(sessions).collect()) };
    adjust(&mut config);
    start(config)
}

fn list(work: &Workdir, server: &Server, flags: &[&str]) {
    let list = work.program(["list", "--rate", "unlimited", "--api-url", &server.url()]).token(TOKEN);
    list.args(flags.iter().copied()).exits(0);
}

fn run(work: &Workdir, server: &Server) -> Program {
    work.run(server, "in.csv").args(["--bulk", "all.csv", "--rate", "unlimited"])
}

/// Rows without users, of these sessions of each user.
fn rows(sessions: impl Iterator<Item = u64>) -> String {
    sessions.fold("team_id,session_id\n".to_owned(), |text, session| format!("{text}T1,{session}\n"))
}

/// The number of users in each call.
fn sizes(server: &Server) -> Vec<usize> {
    server.bulks().iter().map(|call| call.users.len()).collect()
}

fn users_in_bulk(server: &Server) -> BTreeSet<String> {
    server.bulks().iter().flat_map(|call| call.users.clone()).collect()
}

fn singles(server: &Server) -> u64 {
    server.stats().of(Method::Invalidate).calls
}

#[test]
fn covered_users_end_in_bulk_and_everyone_else_row_by_row() {
    let (work, server) = (Workdir::new(), standing(2_100, 2, |_| ()));
    list(&work, &server, &["-o", "all.csv"]);
    let is_listed = |user: u64, number: u64| user < 2_090 || number == 0;
    let all = || (0..2_100).flat_map(|user| (0..2).map(move |number| (user, number)));
    work.write(
        "in.csv",
        rows(all().filter(|(user, number)| is_listed(*user, *number)).map(|(user, number)| session(user, number))),
    );
    let reports = ["--summary-json", "sum.json", "--metrics-file", "run.prom", "--events", "events"];
    let said = run(&work, &server).args(reports).exits(0).stderr();
    assert_eq!((sizes(&server), singles(&server)), (vec![1, 1000, 1000, 89], 10));
    assert!(said.contains("14 calls (4 bulk) in "), "{said}");
    for told in [work.json("sum.json"), work.json("in.results.csv.manifest.json")["runs"][0]["counts"].clone()] {
        assert_eq!((&told["calls"], &told["bulk_calls"]), (&14.into(), &4.into()), "{told}");
    }
    assert!(work.read("run.prom").contains("\nslack_revoke_bulk_calls 4\n"));
    let events = work.read("events");
    assert_eq!(events.lines().filter(|line| line.contains(r#""call":1,"bulk":true"#)).count(), 4_180);
    assert!(events.lines().last().is_some_and(|end| end.contains(r#""calls":14,"bulk_calls":4"#)), "{events}");
    work.program(["report", "in.results.csv"]).exits(0);
    let page = work.read("in.results.report.html");
    for fact in ["<dt>Calls</dt><dd>14 (4 bulk)</dd>", "<dt>Listing (--bulk)</dt><dd>all.csv</dd>"] {
        assert!(page.contains(fact), "{fact}");
    }
    let results = work.results("in.results.csv");
    assert_eq!((results.count("requested"), results.count("revoked")), (4_180, 10));
    let left: Vec<u64> = (2_090..2_100).map(|user| session(user, 1)).collect();
    assert_eq!(server.live_sessions(), left, "no session ended that isn't in the input");
    assert!(!work.exists("in.results.remaining.csv"));
}

/// The numbers of an incident: 10,000 sessions of 4,000 users, 3,800 of whom have no other session; the others have 212 of them.
#[test]
fn ten_thousand_sessions_end_in_five_bulk_calls_and_212_single_ones_with_proof() {
    let has = |user: u64| if user < 2_188 || (3_800..3_812).contains(&user) { 3 } else { 2 };
    let ids = |user: u64| (0..has(user)).map(move |number| session(user, number));
    let owned = |user: u64| ids(user).map(move |id| Session::new(id, "T1", &format!("U{user}")));
    let (work, server) = (Workdir::new(), standing_with(0, 0, (0..4_000).flat_map(owned).collect(), |_| ()));
    list(&work, &server, &["-o", "all.csv"]);
    let others: Vec<u64> = (3_800..4_000).map(|user| session(user, has(user) - 1)).collect();
    work.write("in.csv", rows((0..4_000).flat_map(ids).filter(|id| !others.contains(id))));
    run(&work, &server).args(["--then-verify", "10s"]).exits(0);
    assert_eq!((sizes(&server), singles(&server)), (vec![1, 1_000, 1_000, 1_000, 799], 212));
    assert_eq!(server.live_sessions(), others, "no session ended that was alive before and isn't in the input");
    let verified = work.results("in.results.verified.csv");
    assert!(verified.records.len() == 10_000 && verified.records.iter().all(|row| row.get("verified") == "gone"));
}

#[test]
fn the_others_of_a_listing_complete_it() {
    let (work, server) = (Workdir::new(), standing(3, 2, |_| ()));
    list(&work, &server, &["--ip", "203.0.113.0/24", "-o", "in.csv", "--others", "all.csv"]);
    run(&work, &server).exits(0);
    assert_eq!((sizes(&server), singles(&server)), (vec![], 3), "every user has a session inside");
    assert_eq!(server.live_sessions(), (0..3).map(|user| session(user, 1)).collect::<Vec<_>>());

    let (work, server) = (Workdir::new(), standing(3, 1, |_| ()));
    list(&work, &server, &["--ip", "203.0.113.0/24", "-o", "in.csv", "--others", "all.csv"]);
    run(&work, &server).exits(0);
    assert_eq!((users_in_bulk(&server).len(), singles(&server)), (3, 0));
}

/// A listing of some people has all of their sessions, so it covers them.
#[test]
fn a_listing_of_people_covers_them_by_itself() {
    let (work, server) = (Workdir::new(), standing(4, 3, |_| ()));
    work.write("leavers.txt", "U1\nU3\n");
    list(&work, &server, &["--users", "leavers.txt", "-o", "in.csv"]);
    run(&work, &server).args(["--bulk", "in.csv"]).exits(0);
    assert_eq!((sizes(&server), singles(&server)), (vec![1, 1], 0));
    assert_eq!(users_in_bulk(&server), BTreeSet::from(["U1".to_owned(), "U3".to_owned()]));
    assert_eq!(server.live_sessions().len(), 6);
}

#[test]
fn guarded_users_are_never_in_a_bulk_call() {
    let own = TokenIdentity::default().user_id;
    let own_sessions = [5, 6].map(|id| Session::new(id, "T1", &own));
    let (work, server) = (Workdir::new(), standing_with(6, 2, own_sessions.into(), |_| ()));
    list(&work, &server, &["-o", "all.csv"]);
    work.write("keep.txt", format!("U1\n{}\n424242\n", session(2, 1)));
    work.write("in.csv", work.read("all.csv"));
    for (flags, singly, left) in [
        (&["--protect", "keep.txt"][..], 1, vec![5, 6, session(1, 0), session(1, 1), session(2, 1)]),
        (
            &["--protect", "keep.txt", "--allow-self", "-o", "own.csv"],
            3,
            vec![session(1, 0), session(1, 1), session(2, 1)],
        ),
    ] {
        let before = singles(&server);
        let said = run(&work, &server).args(flags.iter().copied()).exits(0).stderr();
        assert!(said.contains("1 session id of --protect is neither in the input nor in all.csv"), "{said}");
        let guarded = ["U1", "U2", &own];
        assert!(users_in_bulk(&server).iter().all(|user| !guarded.contains(&&**user)), "{:?}", users_in_bulk(&server));
        assert_eq!((server.live_sessions(), singles(&server) - before), (left, singly), "{flags:?}");
    }
}

/// Whatever made the input: only that the listing is in the folder, and is good, counts.
#[test]
fn a_plan_offers_any_listing_in_the_folder_of_the_input() {
    let (work, server) = (Workdir::new(), standing(100, 2, |_| ()));
    list(&work, &server, &["--ip", "203.0.113.0/24", "-o", "outside.csv", "--others", "inside.csv"]);
    list(&work, &server, &["-o", "all.csv"]);
    work.write("in.csv", rows((0..100).flat_map(|user| (0..2).map(move |number| session(user, number)))));
    let plan = || work.program(["plan", "in.csv", "--api-url", &server.url()]).exits(0).stdout();
    assert!(
        plan().contains("With --bulk all.csv the same sessions end sooner: 100 users in 2 bulk calls"),
        "{}",
        plan()
    );
    let from_outside = format!("plan {}/in.csv --api-url {}", work.root().display(), server.url());
    let text = work.program(from_outside.split(' ')).exits(0).stdout();
    assert!(text.contains(&format!("--bulk {}/all.csv", work.root().display())), "{text}");
    work.write("all.csv", work.read("all.csv").replace("U9,", "U8,"));
    assert!(!plan().contains("--bulk"), "{}", plan());
}

/// Rows without a user have that of the listing, so the guards know them.
#[test]
fn guards_know_the_users_of_listed_rows() {
    let own = TokenIdentity::default().user_id;
    let own_sessions = [5, 6].map(|id| Session::new(id, "T1", &own));
    let (work, server) = (Workdir::new(), standing_with(4, 2, own_sessions.into(), |_| ()));
    list(&work, &server, &["-o", "all.csv"]);
    work.write("keep.txt", "U1\n");
    // U3 isn't covered.
    let named = (0..4).flat_map(|user| (0..2).map(move |number| session(user, number)));
    let named = || [5, 6].into_iter().chain(named.clone()).filter(|named| *named != session(3, 1));
    work.write("in.csv", rows(named().chain([42])));
    let guarded = |work: &Workdir| run(work, &server).args(["--protect", "keep.txt"]);
    let said = guarded(&work).exits(2).stderr();
    assert!(said.contains("1 row to send names no user"), "{said}");
    work.write("in.csv", rows(named()));
    guarded(&work).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!((results.count("protected"), results.count("requested"), results.count("revoked")), (4, 4, 1));
    let left = [5, 6, session(1, 0), session(1, 1), session(3, 1)];
    assert_eq!(server.live_sessions(), left);

    // The row names somebody else, and would be sent by its workspace.
    work.write("in.csv", format!("user_id,team_id,session_id\nU3,T1,{}\n", session(1, 0)));
    guarded(&work).args(["--identify-by", "team", "-o", "other.csv"]).exits(0);
    assert_eq!((work.results("other.csv").count("protected"), server.live_sessions()), (1, left.to_vec()));
}

#[test]
fn a_listing_that_may_lack_sessions_is_refused() {
    let (work, server) = (Workdir::new(), standing(3, 2, |_| ()));
    list(&work, &server, &["-o", "all.csv"]);
    list(&work, &server, &["--ip", "203.0.113.0/24", "-o", "outside.csv"]);
    work.write("in.csv", work.read("all.csv"));
    let (text, described) = (work.read("all.csv"), work.json("all.csv.listing.json"));
    let with = |field: &str, value: serde_json::Value| {
        let mut described = described.clone();
        described[field] = value;
        work.write("all.csv.listing.json", described.to_string());
    };
    let refused = |flags: &[&str], want: &str| {
        let said = run(&work, &server).args(flags.iter().copied()).exits(2).stderr();
        assert!(said.contains(want) && said.contains("nothing was sent") && said.contains("--bulk"), "{want}: {said}");
    };
    refused(&["--bulk", "absent.csv"], "absent.csv: no such file");
    refused(&["--bulk", "outside.csv"], "it was listed with --ip, so it lacks sessions");
    work.write("copy.csv", &text);
    refused(&["--bulk", "copy.csv"], "there is no copy.csv.listing.json");
    work.write("all.csv", text.replace("U2", "U1"));
    refused(&[], "it was changed since it was listed");
    work.write("all.csv", &text);
    with("finished_at", serde_json::Value::Null);
    refused(&[], "it isn't finished");
    with("complete", false.into());
    refused(&[], "it lacks");
    with("api_host", "slack.com".into());
    refused(&[], "it was listed on slack.com");
    with("organization", "E0OTHER".into());
    refused(&[], "it is of the organization E0OTHER");
    let plan = ["plan", "in.csv", "--bulk", "all.csv", "--api-url", &server.url()];
    let said = work.program(plan).token(TOKEN).exits(2).stderr();
    assert!(said.contains("it is of the organization E0OTHER"), "a plan with a token knows it too: {said}");
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis();
    let began = i64::try_from(now).expect("a time") - 90 * 60_000;
    with("began_at", slack_revoke::model::Timestamp::from_millis(began).rfc3339().into());
    refused(&[], "old, and sessions that began since would end without being listed");
    refused(&["--max-listing-age", "89m"], "allow its age with --max-listing-age");
    assert!(server.bulks().is_empty() && singles(&server) == 0 && !work.exists("in.results.csv"));
    let by_variables = work.run(&server, "in.csv").args(["--rate", "unlimited"]);
    let by_variables = by_variables.env("SLACK_REVOKE_BULK", "all.csv").env("SLACK_REVOKE_MAX_LISTING_AGE", "2h");
    by_variables.exits(0);
    assert_eq!(sizes(&server), [1, 2]);
    assert!(server.live_sessions().is_empty());
    // A timer that finds everything done needs no younger listing.
    let said = run(&work, &server).args(["--resume"]).exits(0).stderr();
    assert!(said.contains("nothing to do") && !said.contains("0 users in"), "{said}");
}

#[test]
fn a_user_whom_slack_refuses_ends_session_by_session() {
    let refusal = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::CannotResetPrimaryOwner));
    let (work, server) = (
        Workdir::new(),
        standing(100, 2, |config| {
            config.bulk = BulkConfig { by_user: HashMap::from([("U7".to_owned(), refusal)]), ..BulkConfig::default() };
        }),
    );
    list(&work, &server, &["-o", "all.csv"]);
    work.write("in.csv", work.read("all.csv"));
    run(&work, &server).args(["--events", "events"]).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!((results.count("requested"), results.count("revoked")), (198, 2));
    assert!(server.live_sessions().is_empty());
    let event = r#""type":"one_by_one","line":16,"users":1,"error":"cannot_reset_primary_owner""#;
    assert!(work.read("events").contains(event), "{}", work.read("events"));
}

#[test]
fn a_bulk_queue_that_always_fails_ends_in_single_calls() {
    let failure = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from("user_session_reset_failed")));
    let (work, server) = (
        Workdir::new(),
        standing(30, 2, |config| {
            config.bulk = BulkConfig { every: Some(failure), ..BulkConfig::default() };
        }),
    );
    list(&work, &server, &["-o", "all.csv"]);
    work.write("in.csv", work.read("all.csv"));
    run(&work, &server).args(["--retries", "0"]).exits(0);
    assert_eq!((work.results("in.results.csv").count("revoked"), singles(&server)), (60, 60));
    assert!(server.bulks().len() <= 13, "{:?}", sizes(&server));
}

#[test]
fn a_killed_run_goes_on_with_the_same_decision() {
    let slow = slack_revoke::stand_in::Latency::Fixed(std::time::Duration::from_millis(40));
    let (work, server) = (Workdir::new(), standing(1_200, 2, |config| config.latency = slow));
    list(&work, &server, &["-o", "all.csv"]);
    let rest: Vec<u64> = (0..1_200)
        .flat_map(|user| (0..2).map(move |number| (user, number)))
        .filter(|(user, number)| user % 100 != 0 || *number == 0)
        .map(|(user, number)| session(user, number))
        .collect();
    work.write("in.csv", rows(rest.into_iter()));
    for bulks in 1..=2 {
        let mut running = run(&work, &server).args(["--resume"]).start();
        crate::harness::until(&mut running, || server.bulks().len() >= bulks && singles(&server) > 0);
        running.kill();
    }
    run(&work, &server).args(["--resume", "--confirm-users", "1188"]).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!(results.statuses().len(), 2_388);
    assert_eq!((results.count("requested"), results.count("failed"), results.count("unknown")), (2_376, 0, 0));
    assert_eq!(server.live_sessions(), (0..12).map(|user| session(user * 100, 1)).collect::<Vec<_>>());
}

/// At the first call, between the methods, in the search for a user who is refused, and among that user's single calls.
#[test]
fn a_run_killed_at_any_call_ends_with_one_true_record_per_row() {
    let unlisted = session(9, 1);
    for calls in [1, 2, 4, 9] {
        let refusal = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::CannotResetPrimaryOwner));
        let (work, server) = (
            Workdir::new(),
            standing(60, 2, |config| {
                config.bulk.by_user = HashMap::from([("U7".to_owned(), refusal)]);
                config.latency = slack_revoke::stand_in::Latency::Fixed(std::time::Duration::from_millis(10));
            }),
        );
        list(&work, &server, &["-o", "all.csv"]);
        let all = || (0..60).flat_map(|user| (0..2).map(move |number| session(user, number)));
        work.write("in.csv", rows(all().filter(|id| *id != unlisted)));
        let mut running = run(&work, &server).start();
        crate::harness::until(&mut running, || server.bulks().len() as u64 + singles(&server) >= calls);
        running.kill();
        run(&work, &server).args(["--resume"]).exits(0);
        let results = work.results("in.results.csv");
        assert_eq!(results.statuses().len(), 119);
        let ended = ["requested", "revoked", "already_revoked"].map(|status| results.count(status));
        assert_eq!((results.records.len(), ended.iter().sum::<usize>()), (119, 119), "{calls}: {ended:?}");
        assert_eq!(server.live_sessions(), [unlisted], "{calls}");
    }
}

#[test]
fn a_plan_offers_the_listing_beside_the_input_and_a_run_never_uses_it_unasked() {
    let (work, server) = (Workdir::new(), standing(200, 1, |_| ()));
    list(&work, &server, &["--ip", "203.0.113.0/24", "-o", "in.csv", "--others", "others.csv"]);
    let plan =
        |flags: &[&str]| work.program(["plan", "in.csv", "--api-url", &server.url()]).args(flags.iter().copied());
    let text = plan(&[]).exits(0).stdout();
    let offer =
        "others.csv the same sessions end sooner: 200 users in 2 bulk calls, about a few seconds instead of about 9m.";
    assert!(text.contains(offer), "{text}");
    let json = |flags: &[&str]| -> serde_json::Value {
        serde_json::from_str(&plan(flags).args(["--json"]).exits(0).stdout()).expect("JSON")
    };
    let (single, bulk) = (json(&[]), json(&["--bulk", "others.csv"]));
    assert_eq!((&single["bulk_offer"]["users"], &single["bulk"]), (&200.into(), &serde_json::Value::Null));
    assert_eq!((&bulk["bulk"]["users"], &bulk["users_to_confirm"]), (&200.into(), &200.into()));
    assert_ne!(single["plan_id"], bulk["plan_id"]);
    assert_eq!(bulk["listing_sha256"], work.json("others.csv.listing.json")["output"]["sha256"]);

    let id = bulk["plan_id"].as_str().expect("an id");
    let unlike = work.run(&server, "in.csv").args(["--plan-id", id]).exits(2).stderr();
    assert!(unlike.contains("its --bulk listing"), "{unlike}");
    let refused = run(&work, &server).args(["--bulk", "others.csv", "--confirm-users", "199"]).exits(2).stderr();
    assert!(refused.contains("--confirm-users says 199, and in.csv has 200 users"), "{refused}");
    work.run(&server, "in.csv").args(["--rate", "unlimited", "-o", "plain.csv"]).exits(0);
    assert_eq!((sizes(&server), singles(&server)), (vec![], 200));
    run(&work, &server).args(["--bulk", "others.csv", "--plan-id", id, "--confirm-users", "200"]).exits(0);
    assert_eq!((sizes(&server), singles(&server)), (vec![1, 199], 200));

    work.write("others.csv", "");
    assert!(!plan(&["-o", "again.csv"]).exits(0).stdout().contains("--bulk"), "a changed listing isn't offered");
}
