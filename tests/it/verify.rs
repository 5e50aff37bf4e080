//! `verify`: what became of the sessions of a run.

use crate::harness::{Program, TOKEN, Workdir, config, sessions, start, until};
use rustix::process::Signal;
use slack_revoke::stand_in::{BulkConfig, Method, Server, Session, StandInConfig};
use std::fmt::Write as _;

fn verify(work: &Workdir, server: &Server) -> Program {
    let arguments = ["verify", "s.results.csv", "--rate", "unlimited", "--api-url", &server.url()];
    work.program(arguments).token(TOKEN)
}

/// Revokes the sessions with their owners: session N belongs to `UN`.
fn revoked(work: &Workdir, server: &Server, sessions: impl IntoIterator<Item = u64>) {
    let mut text = String::from("user_id,team_id,session_id,note\n");
    for id in sessions {
        writeln!(text, "U{id},T1,{id},\"a, b\"").unwrap();
    }
    work.write("s.csv", text);
    work.run(server, "s.csv").args(["--rate", "unlimited", "--max-failures", "100%"]).finish();
}

fn owned(ids: impl IntoIterator<Item = u64>) -> Vec<Session> {
    ids.into_iter().map(|id| Session::new(id, "T1", &format!("U{id}"))).collect()
}

#[test]
fn ended_sessions_are_verified_as_gone() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=5))));
    revoked(&work, &server, 1..=3);
    let finished = verify(&work, &server).exits(0);
    assert!(finished.stderr().contains("gone  3 records"), "{}", finished.stderr());
    let verified = work.results("s.results.verified.csv");
    let results = work.results("s.results.csv");
    assert_eq!(verified.header[..results.header.len()], results.header[..]);
    assert_eq!(verified.header[results.header.len()..], ["verified", "new_sessions", "new_ips"]);
    for record in &verified.records {
        assert_eq!((record.get("verified"), record.get("new_sessions"), record.get("note")), ("gone", "", "a, b"));
        let of_run = results.line(record.line());
        assert!(results.header.iter().all(|column| record.get(column) == of_run.get(column)));
    }
    let told = &work.json("s.results.csv.manifest.json")["verified"];
    assert_eq!((&told["gone"], &told["still_there"], &told["revoked_but_not_gone"]), (&3.into(), &0.into(), &0.into()));
}

#[test]
fn users_who_signed_in_again_are_reported() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=3))));
    revoked(&work, &server, 1..=2);
    server.set_alive([Session::new(901, "T1", "U1"), Session::new(902, "T1", "U1"), Session::new(903, "T1", "U3")]);
    let finished = verify(&work, &server).exits(0);
    assert!(finished.stderr().contains("2 sessions that the results do not name"), "{}", finished.stderr());
    let verified = work.results("s.results.verified.csv");
    let back = verified.line(2);
    assert_eq!((back.get("verified"), back.get("new_sessions")), ("user_back", "2"));
    assert!(back.get("new_ips").split(' ').all(|ip| ip.parse::<std::net::IpAddr>().is_ok()), "{back:?}");
    assert_eq!(verified.line(3).get("verified"), "gone");
    let told = &work.json("s.results.csv.manifest.json")["verified"];
    assert_eq!((&told["user_back"], &told["gone"], &told["new_sessions"]), (&1.into(), &1.into(), &2.into()));
}

#[test]
fn an_alive_revoked_session_is_exit_1_and_an_alive_failed_one_is_not() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=3))));
    revoked(&work, &server, 1..=2);
    server.set_alive([Session::new(2, "T1", "U2")]);
    let finished = verify(&work, &server).exits(1);
    assert!(finished.stderr().contains("can't be verified as gone"), "{}", finished.stderr());
    let verified = work.results("s.results.verified.csv");
    assert_eq!((verified.line(2).get("verified"), verified.line(3).get("verified")), ("gone", "still_there"));
    assert_eq!(work.json("s.results.csv.manifest.json")["verified"]["revoked_but_not_gone"], 1);

    let (work, server) = (Workdir::new(), start(config(owned(1..=3))));
    revoked(&work, &server, [1, 99]);
    assert_eq!(work.results("s.results.csv").line(3).status(), "not_found");
    server.set_alive([Session::new(99, "T1", "U99")]);
    verify(&work, &server).exits(0);
    assert_eq!(work.results("s.results.verified.csv").line(3).get("verified"), "still_there");
}

/// The sessions of two workspaces: users 1 and 2 are in both.
fn in_two_workspaces() -> Vec<Session> {
    [(1, "T1"), (2, "T1"), (3, "T2"), (4, "T2")]
        .map(|(id, team)| Session::new(id, team, &format!("U{}", 2 - id % 2)))
        .into()
}

#[test]
fn a_session_alive_in_another_workspace_is_alive() {
    let (work, server) = (Workdir::new(), start(config(in_two_workspaces())));
    work.write("s.csv", "user_id,team_id,session_id\nU1,T1,1\nU1,T1,3\n");
    work.run(&server, "s.csv").exits(0);
    server.set_alive([Session::new(3, "T2", "U1")]);
    verify(&work, &server).exits(1);
    let verified = work.results("s.results.verified.csv");
    assert_eq!((verified.line(2).get("verified"), verified.line(3).get("verified")), ("gone", "still_there"));
}

#[test]
fn a_user_who_signed_in_to_another_workspace_is_reported() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=2))));
    revoked(&work, &server, 1..=2);
    server.set_alive([Session::new(77, "T2", "U1")]);
    verify(&work, &server).exits(0);
    let verified = work.results("s.results.verified.csv");
    assert_eq!((verified.line(2).get("verified"), verified.line(2).get("new_sessions")), ("user_back", "1"));
    assert_eq!(verified.line(3).get("verified"), "gone");
}

#[test]
fn whole_users_are_verified_in_every_workspace() {
    let (work, server) = (Workdir::new(), start(config(in_two_workspaces())));
    work.write("s.csv", "user_id,team_id,session_id\nU1,T1,1\nU2,T1,2\n");
    work.run(&server, "s.csv").args(["--whole-users", "--confirm-users", "2"]).exits(0);
    verify(&work, &server).exits(0);
    server.set_alive([Session::new(3, "T2", "U1")]);
    verify(&work, &server).exits(1);
    let verified = work.results("s.results.verified.csv");
    assert_eq!((verified.line(2).get("verified"), verified.line(3).get("verified")), ("unproven", "gone"));
    assert_eq!(verified.line(2).get("new_sessions"), "1");

    // It was there before the run, so it isn't a new one.
    work.write("before.csv", "user_id,team_id,session_id\nU1,T2,3\n");
    verify(&work, &server).args(["--before", "before.csv"]).exits(1);
    assert_eq!(work.results("s.results.verified.csv").line(2).get("verified"), "still_there");
    server.set_alive([Session::new(78, "T2", "U2")]);
    verify(&work, &server).args(["--before", "before.csv"]).exits(1);
    assert_eq!(work.results("s.results.verified.csv").line(3).get("verified"), "user_back");
}

#[test]
fn the_whole_organization_is_listed_once() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=2_500))));
    revoked(&work, &server, 1..=20);
    verify(&work, &server).exits(0);
    assert_eq!(server.stats().of(Method::List).calls, 3);
    let verified = &work.json("s.results.csv.manifest.json")["verified"];
    assert_eq!((&verified["calls"], &verified["complete"]), (&3.into(), &true.into()));
}

#[test]
fn rows_without_a_user_are_verified_with_a_full_listing() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    work.write("s.csv", "team_id,session_id\nT1,1\nT1,x\n");
    work.run(&server, "s.csv").exits(1);
    verify(&work, &server).exits(0);
    let verified = work.results("s.results.verified.csv");
    assert_eq!((verified.line(2).get("verified"), verified.line(3).get("verified")), ("gone", ""));
}

#[test]
fn verifying_again_replaces_the_file_and_resume_keeps_the_totals() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=2))));
    revoked(&work, &server, 1..=2);
    verify(&work, &server).exits(0);
    server.set_alive([Session::new(77, "T1", "U1")]);
    verify(&work, &server).exits(0);
    assert_eq!(work.results("s.results.verified.csv").line(2).get("verified"), "user_back");
    work.run(&server, "s.csv").args(["--resume"]).exits(0);
    assert_eq!(work.json("s.results.csv.manifest.json")["verified"]["user_back"], 1);
}

#[test]
fn every_kind_of_error_has_its_exit_code() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=2))));
    verify(&work, &server).exits(2);
    revoked(&work, &server, 1..=2);
    let before = work.read("s.results.csv.manifest.json");
    verify(&work, &server).args(["-o", "s.results.csv"]).exits(2);
    verify(&work, &server).token("xoxp-unknown").exits(4);
    assert!(!work.exists("s.results.verified.csv"));
    assert_eq!(work.read("s.results.csv.manifest.json"), before);
    work.program(["run", "--rehearse", "s.csv"]).exits(0);
    let rehearsed = ["verify", "s.rehearsal.csv", "--api-url", &server.url()];
    assert!(work.program(rehearsed).token(TOKEN).exits(2).stderr().contains("rehearsal"));
}

#[test]
fn results_of_a_running_run_are_refused() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=3))));
    work.write("s.csv", "user_id,session_id\nU1,1\nU2,2\n");
    let slow = ["run", "s.csv", "--yes", "--rate", "1/h", "--api-url", &server.url()];
    let running = work.program(slow).token(TOKEN).start();
    while !(work.exists("s.results.csv") && work.read("s.results.csv").contains("revoked")) {
        std::thread::yield_now();
    }
    verify(&work, &server).exits(6);
    running.kill();
    verify(&work, &server).exits(0);
}

#[test]
fn only_an_earlier_verified_file_is_replaced() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=2))));
    revoked(&work, &server, 1..=2);
    work.write("token.txt", TOKEN);
    std::fs::set_permissions(work.path("token.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    work.write("notes.txt", "mine");
    work.write("before.csv", "user_id,session_id\nU1,9\n");
    std::fs::hard_link(work.path("notes.txt"), work.path("s.results.verified.csv")).unwrap();
    std::os::unix::fs::symlink("token.txt", work.path("link")).unwrap();
    let calls = server.stats().of(Method::List).calls;
    for (flags, code) in [
        (&[][..], 2),
        (&["-o", "notes.txt"], 2),
        (&["-o", "s.csv"], 2),
        (&["-o", "before.csv", "--before", "before.csv"], 2),
        (&["-o", "token.txt", "--token-file", "token.txt"], 2),
        (&["-o", "link", "--token-file", "token.txt"], 2),
        (&["-o", "s.results.csv"], 2),
        (&["-o", "s.results.csv.manifest.json"], 2),
        (&["-o", "/dev/null"], 7),
        (&["-o", "no/such.csv"], 7),
    ] {
        let kept: Vec<_> = work.names().iter().map(|name| (name.clone(), work.read(name))).collect();
        verify(&work, &server).args(flags.iter().copied()).exits(code);
        assert_eq!(
            kept,
            work.names().iter().map(|name| (name.clone(), work.read(name))).collect::<Vec<_>>(),
            "{flags:?}"
        );
    }
    assert_eq!(server.stats().of(Method::List).calls, calls, "refused before anything is listed");

    for _ in 0..2 {
        verify(&work, &server).args(["-o", "v.csv"]).exits(0);
    }
    work.write("empty.csv", "");
    verify(&work, &server).args(["-o", "empty.csv"]).exits(0);
    // Answers that became the input of a run aren't replaced any more.
    work.run(&server, "v.csv").exits(0);
    let again = ["verify", "v.results.csv", "-o", "v.csv", "--rate", "unlimited", "--api-url", &server.url()];
    let refused = work.program(again).token(TOKEN).exits(2).stderr();
    assert!(refused.contains("would overwrite the input"), "{refused}");
}

#[test]
fn unreadable_ids_of_before_are_counted() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=2))));
    revoked(&work, &server, 1..=2);
    work.write("before.csv", "user_id,session_id\nU1,1.1E+12\nU9,?\n?,77\n");
    server.set_alive([Session::new(77, "T1", "U1")]);
    let said = verify(&work, &server).args(["-q", "--before", "before.csv"]).exits(0).stderr();
    assert!(said.contains("1 row of before.csv with a session id that can't be read"), "{said}");
    assert_eq!(work.results("s.results.verified.csv").line(2).get("verified"), "gone", "77 was there before");
}

#[test]
fn wait_ends_when_everything_is_gone() {
    let config = StandInConfig { bulk: BulkConfig { done_after: 4, ..BulkConfig::default() }, ..config(owned(1..=3)) };
    let (work, server) = (Workdir::new(), start(config));
    work.write("s.csv", "user_id\nU1\nU2\n");
    let flags = ["--whole-users", "--confirm-users", "2", "--rate", "unlimited"];
    work.run(&server, "s.csv").args(flags).exits(0);
    assert!(server.queued_users() > 0);
    let told = verify(&work, &server).args(["--wait", "10m"]).exits(0).stderr();
    assert!(told.contains("2 records are not gone yet; checking again in 1s"), "{told}");
    assert!(server.stats().of(Method::List).calls > 1 && server.live_sessions() == [3]);
    let verified = work.results("s.results.verified.csv");
    assert!(verified.records.iter().all(|record| record.get("verified") == "gone"));
}

#[test]
fn wait_ends_at_its_time_or_a_signal_and_names_users_who_are_back() {
    let (work, server) = (Workdir::new(), start(config(owned(1..=3))));
    revoked(&work, &server, 1..=2);
    server.set_alive([Session::new(1, "T1", "U1"), Session::new(902, "T1", "U2")]);
    let told = verify(&work, &server).args(["--wait", "1s"]).exits(1).stderr();
    assert!(told.contains("1 record is not gone yet; checking again in"), "{told}");
    assert!(told.contains("that the results do not name: U2 (1 session from "), "{told}");
    assert_eq!(work.results("s.results.verified.csv").line(2).get("verified"), "still_there");
    let calls = server.stats().of(Method::List).calls;
    verify(&work, &server).args(["--wait", "0s"]).exits(1);
    assert_eq!(server.stats().of(Method::List).calls, calls + 1);

    let mut waiting = verify(&work, &server).args(["--wait", "10m"]).start();
    until(&mut waiting, || server.stats().of(Method::List).calls > calls + 2);
    waiting.signal(Signal::INT);
    assert_eq!(waiting.wait().code(), Some(130));
}
