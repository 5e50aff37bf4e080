//! E-mail addresses in the place of user ids: looked up, never guessed.

use crate::harness::{Program, TOKEN, Workdir, config, start};
use slack_revoke::stand_in::{
    Limit, LimitKind, Method, MethodLimits, Server, Session, StandInConfig, StandInToken, StandInUser,
};
use std::time::Duration;

fn user(id: &str, email: &str, is_active: bool) -> StandInUser {
    StandInUser { id: id.into(), email: email.into(), is_active }
}

/// Two people and a leaver with a session each; two accounts share an address; and many others.
fn people() -> StandInConfig {
    let sessions = [(1, "U1"), (2, "U2"), (3, "W3"), (4, "U4")].map(|(id, user)| Session::new(id, "T1", user));
    let mut users = vec![
        user("U1", "Ana@Example.com", true),
        user("U2", "ben@example.com", true),
        user("W3", "cem@example.com", false),
        user("U4", "twice@example.com", true),
        user("U5", "twice@example.com", false),
    ];
    users.extend(
        (0..250).map(|index| user(&format!("U9{index:03}"), &format!("other{index}@example.com"), index % 2 == 0)),
    );
    StandInConfig { users, ..config(sessions.to_vec()) }
}

fn command(work: &Workdir, server: &Server, arguments: &[&str]) -> Program {
    work.program(arguments.iter().copied()).args(["--rate", "unlimited", "--api-url", &server.url()]).token(TOKEN)
}

#[test]
fn resolve_adds_users_by_address_and_reports_unknown_addresses() {
    let (work, server) = (Workdir::new(), start(people()));
    work.write(
        "leavers.csv",
        "Name,E-Mail\nAna,ana@example.com\nCem, CEM@example.com \nEve,eve@example.com\nTwo,twice@example.com\nNo,none\nEmpty,\n",
    );
    let ended = command(&work, &server, &["resolve", "leavers.csv"]).exits(1);
    let want = "Name,E-Mail,user_id\nAna,ana@example.com,U1\nCem, CEM@example.com ,W3\nEve,eve@example.com,\n\
                Two,twice@example.com,\nNo,none,\nEmpty,,\n";
    assert_eq!(ended.stdout(), want);
    let told = ended.stderr();
    for want in [
        "2 rows resolved",
        "3 rows not resolved",
        "line 4 (eve@example.com is unknown)",
        "line 5 (twice@example.com has several accounts: U4, U5)",
        "line 6 (\"none\" isn't an e-mail address)",
    ] {
        assert!(told.contains(want), "{want}: {told}");
    }
    // Two passes over 130 active and 125 deactivated accounts, 100 on a page; no session is listed.
    assert_eq!((server.stats().of(Method::ListUsers).calls, server.stats().of(Method::List).calls), (4, 0));

    work.write("mail.csv", "Work mail,session_id,team_id\nben@example.com,2,T1\n,1,T1\n");
    let named = ["resolve", "mail.csv", "--column", "email=Work mail", "-o", "ids.csv"];
    command(&work, &server, &named).exits(0);
    assert_eq!(work.read("ids.csv"), "Work mail,session_id,team_id,user_id\nben@example.com,2,T1,U2\n,1,T1,U1\n");
    work.run(&server, "ids.csv").args(["--rate", "unlimited"]).exits(0);
    assert_eq!(server.live_sessions(), [3, 4]);
}

#[test]
fn a_nightly_job_works_with_addresses() {
    let (work, server) = (Workdir::new(), start(people()));
    work.write("leavers.csv", "email\nana@example.com\ncem@example.com\n");
    command(&work, &server, &["resolve", "leavers.csv", "-o", "users.csv"]).exits(0);
    let flags = ["--whole-users", "--confirm-users", "2", "--rate", "unlimited"];
    work.run(&server, "users.csv").args(flags).exits(0);
    assert_eq!(server.live_sessions(), [2, 4]);
    let refused = work.program(["plan", "leavers.csv"]).exits(2).stderr();
    assert!(refused.contains("no session_id column") && refused.contains("slack-revoke list --users"), "{refused}");
    let refused = work.program(["plan", "leavers.csv", "--whole-users"]).exits(2).stderr();
    assert!(refused.contains("or of an e-mail address"), "{refused}");
}

#[test]
fn user_lists_accept_addresses_and_an_unknown_one_stops_the_listing() {
    let (work, server) = (Workdir::new(), start(people()));
    work.write("users.txt", "Ana@example.com\nW3 # left\nben@example.com\n");
    work.write("keep.txt", "BEN@example.com\n");
    let list = ["list", "--users", "users.txt", "--exclude-user", "keep.txt", "-o", "s.csv"];
    command(&work, &server, &list).exits(0);
    let ids: Vec<_> =
        work.read("s.csv").lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(ids, ["U1", "W3"]);
    for (list, flag, want) in [
        (
            "nobody@example.com\n",
            "--users",
            "--users: 1 e-mail address can't be looked up: nobody@example.com is unknown",
        ),
        ("twice@example.com\n", "--exclude-user", "twice@example.com has several accounts: U4, U5"),
    ] {
        work.write("list.txt", list);
        let refused = command(&work, &server, &["list", flag, "list.txt", "-o", "t.csv"]).exits(2).stderr();
        assert!(refused.contains(want), "{refused}");
        assert!(!work.exists("t.csv") && !work.exists("t.csv.listing.json"));
    }
}

#[test]
fn protected_addresses_are_looked_up_and_kept_on_resume() {
    let (work, server) = (Workdir::new(), start(StandInConfig { log: 10, ..people() }));
    work.write("s.csv", "session_id,user_id\n1,U1\n2,U2\n");
    work.write("keep.txt", "ben@example.com\n");
    let planned = work.program(["plan", "s.csv", "--protect", "keep.txt"]).exits(0).stderr();
    assert!(planned.contains("1 e-mail address of --protect is looked up by the run"), "{planned}");
    let run = |flags: &[&str]| work.run(&server, "s.csv").args(["--rate", "unlimited"]).args(flags.iter().copied());
    work.write("bad.txt", "ben@example.com\ntwice@example.com\n");
    let refused = run(&["--protect", "bad.txt"]).exits(2).stderr();
    assert!(refused.contains("twice@example.com has several accounts"), "{refused}");
    assert_eq!((server.calls().len(), work.exists("s.results.csv")), (0, false));
    run(&["--protect", "keep.txt"]).exits(0);
    assert_eq!(server.live_sessions(), [2, 3, 4]);
    assert_eq!(work.results("s.results.csv").count("protected"), 1);
    work.write("s.csv", "session_id,user_id\n1,U1\n2,U2\n2,U2\n");
    run(&["--resume"]).exits(0);
    assert!(server.is_alive(2), "the resumed run keeps the protection without the flag");
    work.write("unowned.csv", "session_id,team_id\n2,T1\n");
    work.run(&server, "unowned.csv").args(["--protect", "keep.txt"]).exits(2);
}

#[test]
fn a_lookup_has_its_own_limit_and_exit_codes() {
    let once = Limit::of(LimitKind::TokenBucket { calls: 1, per: Duration::from_mins(10), burst: 1 });
    let limits = MethodLimits { list_users: once, ..MethodLimits::default() };
    let reader = StandInToken { scopes: "admin.users:write".into(), ..StandInToken::named("xoxp-writer") };
    let server = start(StandInConfig { limits, tokens: vec![StandInToken::named(TOKEN), reader], ..people() });
    let work = Workdir::new();
    work.write("leavers.csv", "email\nana@example.com\n");
    let limited =
        command(&work, &server, &["resolve", "leavers.csv", "-o", "u.csv", "--max-retry-after", "1s"]).exits(3);
    assert!(limited.stderr().contains("nothing was written"), "{}", limited.stderr());
    assert!(!work.exists("u.csv"));
    work.write("s.csv", "session_id,user_id\n1,U1\n");
    work.write("keep.txt", "ben@example.com\n");
    let denied = work.run(&server, "s.csv").args(["--protect", "keep.txt"]).token("xoxp-writer").exits(4).stderr();
    assert!(denied.contains("admin.users:read") && denied.contains("nothing was sent"), "{denied}");
    assert_eq!(server.live_sessions(), [1, 2, 3, 4]);
}

#[test]
fn the_stand_in_has_addresses_made_from_ids() {
    let work = Workdir::new();
    work.write("leavers.csv", "email\nu0sample03@example.com\nnobody@example.com\n");
    let ended = work.program(["resolve", "--rehearse", "leavers.csv"]).exits(1);
    assert_eq!(ended.stdout(), "email,user_id\nu0sample03@example.com,U0SAMPLE03\nnobody@example.com,\n");
    work.write("s.csv", "session_id,user_id\n1112275520242,U1\n1112275520243,U2\n");
    work.write("keep.txt", "u2@example.com\n");
    work.program(["run", "--rehearse", "s.csv", "--protect", "keep.txt"]).exits(0);
    assert_eq!(work.results("s.rehearsal.csv").count("protected"), 1);
}

#[test]
fn only_a_few_people_are_listed_if_their_workspaces_are_known() {
    let others = (1_000..31_000).map(|id| Session::new(id, "T9", &format!("U8{}", id % 500)));
    let people = (0..5).flat_map(|person| {
        let user = format!("U7{person}");
        [Session::new(person * 2, "T1", &user), Session::new(person * 2 + 1, "T2", &user)]
    });
    let server = start(config(people.chain(others).collect()));
    let work = Workdir::new();
    work.write("five.txt", "u70@example.com\nu71@example.com\nU72\nU73\nu74@example.com\n");
    let told = command(&work, &server, &["list", "--users", "five.txt", "-o", "s.csv"]).exits(0).stderr();
    assert!(told.contains("10 listed"), "{told}");
    assert_eq!(work.read("s.csv").lines().count(), 11);
    // In each of two workspaces, and in the organization itself; all pages would be 31.
    assert_eq!(server.stats().of(Method::List).calls, 15);
    assert_eq!(work.json("s.csv.listing.json")["complete"], true);

    // Without addresses the workspaces aren't known, and what the filters leave out is on other pages.
    work.write("ids.txt", "U70\nU71\n");
    command(&work, &server, &["list", "--users", "ids.txt", "-o", "i.csv"]).exits(0);
    assert_eq!((server.stats().of(Method::List).calls, work.read("i.csv").lines().count()), (15 + 31, 5));
    command(&work, &server, &["list", "--users", "five.txt", "-o", "t.csv", "--others", "o.csv"]).exits(0);
    assert_eq!((server.stats().of(Method::List).calls, work.read("o.csv").lines().count()), (15 + 62, 30_001));
}
