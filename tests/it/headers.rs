//! Ids are found by the names of their columns, however these are written; a protected user is never missed because of a header.

use crate::harness::{Program, TOKEN, Terminal, Workdir, config, start, until};
use slack_revoke::stand_in::{Server, Session, StandInConfig};

fn slack() -> Server {
    start(StandInConfig {
        log: 100,
        ..config(vec![Session::new(1_000, "T1", "U1"), Session::new(1_001, "T1", "U0BOSS001")])
    })
}

fn run(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.run(server, "s.csv").args(["--rate", "unlimited"]).args(flags.iter().copied())
}

#[test]
fn a_protected_user_is_protected_with_every_header_spelling() {
    for header in [
        "session_id,user_id,team_id",
        "session_id,User ID,team_id",
        "Session ID,User ID,Team ID",
        "session-id,user-id,team-id",
        "sessionId,userId,teamId",
        "\u{a0}session_id,user_id\u{a0},team_id",
        "session_id,\u{200b}user_id,team_id",
        "session_id,\u{feff}user_id,team_id",
        "SESSIONID,USERID,TEAMID",
    ] {
        let (work, server) = (Workdir::new(), slack());
        work.write("s.csv", format!("{header}\n1000,U1,T1\n1001,U0BOSS001,T1\n"));
        work.write("keep.txt", "U0BOSS001\n");
        run(&work, &server, &["--protect", "keep.txt", "-q"]).exits(0);
        assert_eq!(server.live_sessions(), [1_001], "{header:?}");
        let results = work.results("s.results.csv");
        assert_eq!((results.count("revoked"), results.count("protected")), (1, 1), "{header:?}");
    }
}

#[test]
fn an_ambiguous_header_is_refused() {
    for (header, flags, want) in [
        ("session_id,user_id,User ID", &[][..], "two columns that can be user_id, \"user_id\" and \"User ID\""),
        ("session_id,user_id,User ID", &["--column", "session_id=session_id"], "two columns that can be user_id"),
        ("ID,Owner,x", &[], "rename \"Owner\" to user_id"),
        ("Sitzung,user_id,x", &[], "--column session_id=HEADER"),
        ("My session,user_id,x", &[], "rename \"My session\" to session_id, or use --column \"session_id=My session\""),
        ("session_id,user_id,x", &["--column", "user_id=Owner"], "no column \"Owner\""),
        ("session_id,user_id,x", &["--column", "user_id=session_id"], "can't be both session_id and user_id"),
        ("session_id,user_id,x", &["--column", "user_id=a", "--column", "user_id=b"], "two headers for user_id"),
        (
            "context.session_id,user_id,x",
            &["--column", "session_id=context.sesion_id"],
            "did you mean --column \"session_id=context.session_id\"?",
        ),
        (
            "context.session_id,user_id,x",
            &["--column", "session_id=session_id"],
            "did you mean --column \"session_id=context.session_id\"?",
        ),
        ("session_id,user_id,Work e-mail", &["--column", "email=Mail"], "did you mean --column \"email=Work e-mail\"?"),
        ("session_id,user_id,x", &["--column", "user_id=Besitzer"], "columns seen are: session_id, user_id, x"),
        ("session_id,user_id,x", &["--column", "mail=x"], "session_id, user_id, team_id, email"),
    ] {
        let flags: Vec<_> = flags.to_vec();
        let (work, server) = (Workdir::new(), slack());
        work.write("s.csv", format!("{header}\n1000,U1,T1\n"));
        let flags = if header.starts_with("ID") { vec!["--column", "session_id=ID"] } else { flags };
        let refused = run(&work, &server, &flags).exits(2).stderr();
        assert!(refused.contains(want), "{header} {flags:?}: {refused}");
        assert_eq!((server.calls().len(), work.names()), (0, vec!["s.csv".into()]), "{header}");
    }
}

#[test]
fn column_names_are_kept_for_the_commands_after_the_run() {
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", "Sitzung;Besitzer (alt);team\n1000;U1;T1\n1001;U0BOSS001;T1\nx;U1;T1\n");
    work.write("keep.txt", "U0BOSS001\n");
    let columns = ["--column", "session_id=sitzung", "--column", "user_id=Besitzer (alt)"];
    run(&work, &server, &[&columns[..], &["--protect", "keep.txt"]].concat()).exits(1);
    assert_eq!(server.live_sessions(), [1_001]);
    let found = &work.json("s.results.csv.manifest.json")["input"]["columns"];
    assert_eq!(*found, serde_json::json!({"session_id": "Sitzung", "user_id": "Besitzer (alt)"}));
    assert_eq!(work.read("s.results.remaining.csv"), "Sitzung;Besitzer (alt);team\nx;U1;T1\n");

    // A resumed run reads the ids from the same columns, or is refused.
    let others = ["--resume", "--column", "session_id=Sitzung", "--column", "team_id=team"];
    let refused = run(&work, &server, &others).exits(2).stderr();
    assert!(refused.contains("--column \"user_id=Besitzer (alt)\""), "{refused}");
    run(&work, &server, &[&columns[..], &["--resume"]].concat()).exits(1);

    // `verify` and `report` need no flag: the manifest has the columns.
    let verified = work.program(["verify", "s.results.csv", "--api-url", &server.url()]).token(TOKEN).finish();
    assert!(verified.stderr().contains("gone"), "{}", verified.stderr());
    let answers = work.read("s.results.verified.csv");
    assert!(answers.lines().any(|row| row.starts_with("1000,") && row.contains(",gone,")), "{answers}");
    work.program(["report", "s.results.csv"]).exits(0);
    assert!(work.read("s.results.report.html").contains("U1"));
}

#[test]
fn dotted_headers_work_and_are_in_the_resume_command() {
    let (work, server) = (Workdir::new(), slack());
    work.write(
        "s.csv",
        "context.session_id,actor.user.id,E-Mail\n1000,U1,a@example.com\n1001,U0BOSS001,b@example.com\n",
    );
    let columns = ["--column", "session_id=context.session_id", "--column", "user_id=actor.user.id"];
    let planned = work.program(["plan", "s.csv", "--json"]).args(columns).exits(0).stdout();
    assert!(planned.contains("\"rows\""), "{planned}");
    let stopped =
        run(&work, &server, &[&columns[..], &["--rate", "20/min", "--deadline", "1s"]].concat()).exits(3).stderr();
    assert!(stopped.contains("--column 'session_id=context.session_id' --column 'user_id=actor.user.id'"), "{stopped}");
    let found = &work.json("s.results.csv.manifest.json")["input"]["columns"];
    let want = serde_json::json!({"session_id": "context.session_id", "user_id": "actor.user.id", "email": "E-Mail"});
    assert_eq!(*found, want);
    run(&work, &server, &[&columns[..], &["--resume"]].concat()).exits(0);
    assert_eq!(server.live_sessions(), [0; 0]);
}

const NO_OWNERS: &str = "session_id,team_id,user_id\n1000,T1,\n1001,T1,\n";

#[test]
fn rows_without_a_user_are_refused_if_users_are_protected() {
    for (flags, code, live) in [
        (&["--protect", "keep.txt", "-q"][..], 2, 2),
        (&["--protect", "keep.txt", "--allow-unowned"], 0, 0),
        (&["--protect", "sessions.txt"], 0, 1),
        (&[], 0, 0),
    ] {
        let (work, server) = (Workdir::new(), slack());
        work.write("s.csv", NO_OWNERS);
        work.write("keep.txt", "U0BOSS001\n");
        work.write("sessions.txt", "1001\n");
        let said = run(&work, &server, flags).exits(code).stderr();
        assert_eq!(server.live_sessions().len(), live, "{flags:?}");
        let names_rows = said.contains("2 rows to send name no user");
        assert_eq!(names_rows, flags.contains(&"keep.txt"), "{flags:?}: {said}");
        if code == 2 {
            assert!(said.contains("slack-revoke resolve") && said.contains("--allow-unowned"), "{said}");
            assert_eq!(server.calls().len(), 0, "nothing was sent");
        }
    }
}

#[test]
fn a_resumed_run_refuses_rows_without_a_user_if_protections_were_kept() {
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", "session_id,team_id,user_id\n1000,T1,U1\n");
    work.write("keep.txt", "U0BOSS001\n");
    run(&work, &server, &["--protect", "keep.txt"]).exits(0);
    work.write("s.csv", "session_id,team_id,user_id\n1000,T1,U1\n1001,T1,\n");
    run(&work, &server, &["--resume"]).exits(2);
    assert_eq!(server.live_sessions(), [1_001]);
}

#[test]
fn the_question_mentions_rows_without_a_user() {
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", NO_OWNERS);
    work.write("keep.txt", "U0BOSS001\n");
    let mut terminal = Terminal::open();
    let arguments = ["run", "s.csv", "--api-url", &server.url(), "--protect", "keep.txt", "--progress", "none"];
    let mut running = work.program(arguments).token(TOKEN).start_on(&terminal);
    until(&mut running, || terminal.text().contains("[y/N]"));
    assert!(terminal.text().contains("2 rows to send name no user"), "{}", terminal.text());
    terminal.types("n\n");
    assert_eq!(running.wait().code(), Some(2));
    assert_eq!(server.live_sessions().len(), 2);
}

#[test]
fn plan_warns_about_rows_without_a_user() {
    let work = Workdir::new();
    work.write("s.csv", NO_OWNERS);
    work.write("keep.txt", "U0BOSS001\n");
    let said = work.program(["plan", "s.csv", "--protect", "keep.txt", "-q"]).exits(0).stderr();
    assert!(said.contains("warning: 2 rows to send name no user"), "{said}");
}

#[test]
fn resolve_recognizes_the_same_column_names() {
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", "Session ID,workspace,User ID\n1000,T1,\n");
    let resolve = ["resolve", "s.csv", "--column", "team_id=workspace", "--api-url", &server.url()];
    let resolved = work.program(resolve).token(TOKEN).exits(0).stdout();
    assert_eq!(resolved, "Session ID,workspace,User ID\n1000,T1,U1\n");
}
