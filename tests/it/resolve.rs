//! `resolve`: owners for rows that name none.

use crate::harness::{Program, TOKEN, Workdir, config, sessions, start};
use slack_revoke::stand_in::{Method, Server, Session};

fn resolve(work: &Workdir, server: &Server, input: &str) -> Program {
    work.program(["resolve", input, "--rate", "unlimited", "--api-url", &server.url()]).token(TOKEN)
}

#[test]
fn owners_are_added_as_the_last_columns_in_input_order() {
    let people = vec![Session::new(1, "T1", "U1"), Session::new(2, "T2", "W2"), Session::new(3, "T1", "U3")];
    let (work, server) = (Workdir::new(), start(config(people)));
    work.write("s.csv", "\u{feff}Session_ID;team_id;note\r\n3;T1;\"x; y\"\r\n99;T1;gone\r\n2;E7;org\r\n1;T2;elsewhere\r\n3;T1;again\r\n");
    let finished = resolve(&work, &server, "s.csv").exits(1);
    let want =
        "Session_ID,team_id,note,user_id\n3,T1,x; y,U3\n99,T1,gone,\n2,E7,org,W2\n1,T2,elsewhere,\n3,T1,again,U3\n";
    assert_eq!(finished.stdout(), want);
    assert!(finished.stderr().contains("3 rows resolved"), "{}", finished.stderr());
    assert!(finished.stderr().contains("2 rows not resolved"), "{}", finished.stderr());
    let quiet = resolve(&work, &server, "s.csv").args(["-q"]).exits(1).stderr();
    assert!(quiet.contains("line 3 (session 99), line 5 (session 1)"), "{quiet}");
}

#[test]
fn empty_users_are_filled_in_and_others_kept() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    work.write("s.csv", "user_id,team_id,session_id\n,T1,1\nU9,T1,2\n,T1,\n");
    resolve(&work, &server, "s.csv").args(["-o", "r.csv"]).exits(0);
    assert_eq!(work.read("r.csv"), "user_id,team_id,session_id\nU1,T1,1\nU9,T1,2\n,T1,\n");
    let listed = |name| work.path(name).metadata().and_then(|file| file.modified()).unwrap();
    let since = listed("s.csv").duration_since(std::time::UNIX_EPOCH).unwrap();
    let kept = listed("r.csv").duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(kept.as_millis(), since.as_millis(), "the list is no younger for it");
    let refused = resolve(&work, &server, "s.csv").args(["-o", "r.csv"]).exits(2);
    let told = refused.stderr();
    assert!(told.contains("exists already") && !told.contains("--resume"), "it has none: {told}");
}

#[test]
fn a_row_with_missing_cells_stays_invalid() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    work.write("s.csv", "team_id,session_id\nT1,1,extra\nT1\nT1,2\n");
    resolve(&work, &server, "s.csv").args(["-o", "r.csv"]).exits(0);
    work.run(&server, "r.csv").exits(1);
    let results = work.results("r.results.csv");
    assert_eq!((results.count("invalid"), results.count("revoked")), (2, 1));
    assert_eq!(server.live_sessions(), [1, 3]);
}

#[test]
fn resolve_lists_only_until_every_row_is_found() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 5_000))));
    work.write("s.csv", "team_id,session_id\nT1,1500\nT1,1\n");
    let finished = resolve(&work, &server, "-").stdin(work.read("s.csv")).exits(0);
    assert_eq!(finished.stdout(), "team_id,session_id,user_id\nT1,1500,U1\nT1,1,U1\n");
    assert_eq!(server.stats().of(Method::List).calls, 2);
    work.write("named.csv", "user_id,session_id\nU1,1\n");
    resolve(&work, &server, "named.csv").exits(0);
    assert_eq!(server.stats().of(Method::List).calls, 2);
}

#[test]
fn every_kind_of_error_has_its_exit_code() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    resolve(&work, &server, "none.csv").exits(2);
    work.write("s.csv", "team_id,session_id\nT1,1\n");
    resolve(&work, &server, "s.csv").token("xoxp-unknown").args(["-o", "r.csv"]).exits(4);
    assert!(!work.exists("r.csv"));
    let calls = server.stats().of(Method::List).calls;
    resolve(&work, &server, "s.csv").args(["-o", "no/such/r.csv"]).exits(7);
    assert_eq!(server.stats().of(Method::List).calls, calls, "refused before anything is listed");
}

#[test]
fn check_reports_for_every_row_whether_slack_lists_it() {
    let people = vec![Session::new(1, "T1", "U1"), Session::new(2, "T1", "U2"), Session::new(3, "T1", "U3")];
    let (work, server) = (Workdir::new(), start(config(people)));
    work.write("s.csv", "session_id,user_id,team_id\n1,U1,\n2,U9,\n3,,T1\n7,U7,\n,U1,\n1,U1,,x\n");
    let ended = resolve(&work, &server, "s.csv").args(["--check"]).exits(1);
    let want = "session_id,user_id,team_id,listed\n1,U1,,yes\n2,U9,,other_user\n3,U3,T1,yes\n7,U7,,no\n,U1,,\n1,U1,,yes,surplus\n";
    assert_eq!(ended.stdout(), want);
    assert!(ended.stderr().contains("3 rows aren't listed by Slack"), "{}", ended.stderr());
    work.write("good.csv", "session_id,user_id\n1,U1\n2,U2\n");
    resolve(&work, &server, "good.csv").args(["--check", "-o", "checked.csv"]).exits(0);
    work.run(&server, "checked.csv").args(["--rate", "unlimited"]).exits(0);
    assert_eq!(server.live_sessions(), [3]);
}
