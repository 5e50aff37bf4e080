//! `--plan-id`: what was approved is what is sent, or nothing is.

use crate::harness::{Program, TOKEN, Workdir, accepted, config, start};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slack_revoke::stand_in::{Server, Session, StandInConfig, StandInToken, TokenEnd, TokenIdentity};
use std::fs;

const MANIFEST: &str = "s.results.csv.manifest.json";
/// The stand-in's organization.
const ORGANIZATION: &str = "E0STANDIN";

/// Twelve sessions of twelve users. The token ends after `answers`.
fn prepared(answers: Option<u64>) -> (Workdir, Server) {
    let sessions = (0..12).map(|row| Session::new(1_000 + row, "T1", &format!("U{row}"))).collect();
    let ends = answers.map(|answers| (answers, TokenEnd::Revoked));
    let tokens = vec![StandInToken { ends, ..StandInToken::named(TOKEN) }];
    let server = start(StandInConfig { tokens, ..config(sessions) });
    let work = Workdir::new();
    let rows: Vec<_> = (0..12).map(|row| format!("U{row},{},T1\n", 1_000 + row)).collect();
    work.write("s.csv", format!("user_id,session_id,team_id\n{}", rows.concat()));
    work.write("keep.txt", "U10\n1011 # a session\n");
    (work, server)
}

fn plan(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.program(["plan", "s.csv", "--api-url", &server.url()]).args(flags.iter().copied())
}

fn planned(program: Program) -> Value {
    serde_json::from_str(&program.args(["--json"]).exits(0).stdout()).expect("one JSON object")
}

fn id(plan: &Value) -> String {
    plan["plan_id"].as_str().expect("an id").to_owned()
}

fn run(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.run(server, "s.csv").args(["--rate", "unlimited", "-j", "1"]).args(flags.iter().copied())
}

/// Neither a call nor a file.
#[track_caller]
fn refused(work: &Workdir, server: &Server, program: Program) -> String {
    let before = (work.names(), accepted(server));
    let said = program.exits(2).stderr();
    assert_eq!(before, (work.names(), accepted(server)));
    assert!(said.contains("nothing was sent"), "{said}");
    said
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[test]
fn the_plan_that_was_approved_is_sent_and_recorded() {
    let (work, server) = prepared(None);
    let protect = ["--protect", "keep.txt"];
    let approved = planned(plan(&work, &server, &protect).token(TOKEN));
    assert_eq!((&approved["organization"], &approved["protect_ids"]), (&json!(ORGANIZATION), &json!(2)));
    assert_eq!(approved["content_sha256"], json!(sha256(&work.read("s.csv"))));
    assert_eq!(accepted(&server), 0);
    let id = id(&approved);
    let text = plan(&work, &server, &protect).token(TOKEN).exits(0).stdout();
    let printed = format!("plan id     {id}\n            in {ORGANIZATION}, with 2 ids in --protect\n");
    assert!(text.contains(&printed), "{text}");
    plan(&work, &server, &protect).token(TOKEN).args(["--plan-id", &id]).exits(0);

    let flags = ["--plan-id", &id, "--approved-by", "Dana (CISO)\u{1b}", "--summary-json", "summary.json"];
    let said = run(&work, &server, &protect).args(flags).exits(0).stderr();
    assert!(said.contains(&format!("plan id     {id}\n")), "{said}");
    assert!(said.contains(&format!("plan {id}, approved by Dana (CISO)")) && !said.contains('\u{1b}'), "{said}");
    assert_eq!(server.live_sessions(), [1_010, 1_011]);
    let recorded = &work.json(MANIFEST)["runs"][0];
    assert_eq!((&recorded["plan_id"], &recorded["approved_by"]), (&json!(id), &json!("Dana (CISO)\u{1b}")));
    let summary = work.json("summary.json");
    assert_eq!((&summary["plan_id"], &summary["approved_by"]), (&json!(id), &json!("Dana (CISO)\u{fffd}")));
    work.program(["report", "s.results.csv", "-o", "page.html"]).exits(0);
    let page = work.read("page.html");
    assert!(page.contains("data-subject=\"Approval\"") && page.contains(&format!("plan {id}, approved by Dana")));
}

/// `docs/evidence.md` says how: here it is done by hand.
#[test]
fn the_id_is_the_sha256_of_the_documented_lines() {
    let (work, server) = prepared(None);
    work.write("keep.txt", "1011\nU10\nJane@example.com\n");
    let plan = planned(plan(&work, &server, &["--protect", "keep.txt", "--allow-self"]));
    let input = work.read("s.csv");
    let protect = sha256("U10\n1011\njane@example.com\n");
    let text = format!(
        "slack-revoke plan 1\ninput {} {}\ncolumns session_id=2 user_id=1 team_id=3 delimiter=0x2c\n\
         --protect users=1 sessions=1 addresses=1 {protect}\n--allow-self yes\n--allow-unowned no\nmode sessions by auto\n\
         host 127.0.0.1\n",
        sha256(&input),
        input.len()
    );
    assert_eq!(id(&plan), sha256(&text), "{text}");
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence.md")).expect("a page");
    for line in text.lines() {
        let name = line.split(' ').next().expect("a name");
        assert!(docs.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} isn't in docs/evidence.md");
    }
}

#[test]
fn a_plan_without_a_token_holds_in_any_organization() {
    let (work, server) = prepared(None);
    let open = planned(plan(&work, &server, &[]));
    assert_eq!(open["organization"], Value::Null);
    let text = plan(&work, &server, &[]).exits(0).stdout();
    assert!(text.contains("in any organization, because none is known"), "{text}");
    let bound = planned(plan(&work, &server, &[]).token(TOKEN));
    assert_ne!(id(&open), id(&bound));
    // A token that isn't anybody's changes nothing about the plan, and is reported.
    let unknown = plan(&work, &server, &["--json", "-q"]).token("xoxp-nobody").exits(0);
    assert!(unknown.stderr().contains("holds for any organization"), "{}", unknown.stderr());
    let unknown: Value = serde_json::from_str(&unknown.stdout()).expect("JSON");
    assert_eq!(id(&unknown), id(&open));

    let identity = TokenIdentity { enterprise_id: Some("E0OTHER".into()), ..TokenIdentity::default() };
    let other = StandInToken { identity, ..StandInToken::named(TOKEN) };
    let elsewhere = start(StandInConfig { tokens: vec![other], ..config(Vec::new()) });
    let said = refused(&work, &elsewhere, run(&work, &elsewhere, &["--plan-id", &id(&bound)]));
    assert!(said.contains("or its organization differ") && said.contains("the organization is E0OTHER"), "{said}");
    let said = run(&work, &server, &["--plan-id", &id(&open)]).exits(0).stderr();
    assert!(said.contains(&format!("plan id     {}\n", id(&open))), "{said}");
}

#[test]
fn a_changed_input_a_changed_protect_list_and_other_flags_are_refused() {
    let (work, server) = prepared(None);
    let protect = ["--protect", "keep.txt"];
    let approved = id(&planned(plan(&work, &server, &protect).token(TOKEN)));
    let with = |flags: &[&str]| run(&work, &server, flags).args(["--plan-id", &approved]);

    let input = work.read("s.csv");
    for changed in
        [input.replacen("U3,", "U4,", 1), format!("{input}U12,1012,T1\n"), input.replacen("U3,1003,T1\n", "", 1)]
    {
        work.write("s.csv", &changed);
        let said = refused(&work, &server, with(&protect));
        assert!(said.contains(&format!("Here the input has SHA-256 {}", sha256(&changed))), "{said}");
    }
    work.write("s.csv", &input);
    for changed in ["U10\n1011\nU3\n", "U10\n", "U10\n1010\n", "1011\njane@example.com\n"] {
        work.write("keep.txt", changed);
        let said = refused(&work, &server, with(&protect));
        assert!(
            said.contains("its input, its columns, its --protect, its --bulk listing or its organization differ"),
            "{said}"
        );
        assert!(said.contains(&format!("--protect names {} id", changed.lines().count())), "{said}");
    }
    // The order and the comments of the list are no part of it.
    work.write("keep.txt", "# board\n1011\nU10 # chair\nU10\n");

    let open = id(&planned(plan(&work, &server, &[]).token(TOKEN)));
    let said = refused(&work, &server, run(&work, &server, &protect).args(["--plan-id", &open]));
    assert!(said.contains("--protect was none in the plan and is users=1 sessions=1"), "{said}");
    for (flags, want) in [
        (&["--protect", "keep.txt", "--allow-self"][..], "--allow-self was no in the plan and is yes here"),
        (
            &["--protect", "keep.txt", "--identify-by", "team"],
            "mode was sessions by auto in the plan and is sessions by team here",
        ),
        (&["--protect", "keep.txt", "--whole-users"], "mode was sessions by auto in the plan and is whole users here"),
        (&["--protect", "keep.txt", "--column", "session_id=team_id", "--column", "team_id=session_id"], "its columns"),
        (&[], "its input, its columns, its --protect, its --bulk listing or its organization differ"),
    ] {
        let said = refused(&work, &server, with(flags));
        assert!(said.contains(want) && said.contains(&approved[..12]), "{said}");
        let said = plan(&work, &server, flags).token(TOKEN).args(["--plan-id", &approved]).exits(2).stderr();
        assert!(said.contains(want), "{said}");
    }
    with(&protect).exits(0);
}

#[test]
fn with_an_id_yes_is_enough_for_whole_users() {
    let (work, server) = prepared(None);
    let whole = ["--whole-users", "--only", "web"];
    run(&work, &server, &whole).exits(2);
    let approved = id(&planned(plan(&work, &server, &whole).token(TOKEN)));
    let said = refused(&work, &server, run(&work, &server, &["--whole-users", "--plan-id", &approved]));
    assert!(said.contains("mode was whole users, only web in the plan and is whole users here"), "{said}");
    refused(&work, &server, run(&work, &server, &whole).args(["--plan-id", &approved, "--confirm-users", "3"]));
    run(&work, &server, &whole).args(["--plan-id", &approved]).exits(0);
    assert_eq!(work.results("s.results.csv").count("requested"), 12);
}

/// Whether rows are sent that `--protect` may be about is part of the plan, so it is approved like the rest.
#[test]
fn rows_without_a_user_are_sent_only_if_the_plan_says_so() {
    let (work, server) = prepared(None);
    work.write("s.csv", "user_id,session_id,team_id\nU1,1001,T1\n,1002,T1\n");
    let protect = ["--protect", "keep.txt"];
    let careful = id(&planned(plan(&work, &server, &protect).token(TOKEN)));
    let said = refused(&work, &server, run(&work, &server, &protect).args(["--plan-id", &careful]));
    assert!(said.contains("--allow-unowned"), "{said}");
    let unowned = ["--protect", "keep.txt", "--allow-unowned"];
    let said = refused(&work, &server, run(&work, &server, &unowned).args(["--plan-id", &careful]));
    assert!(said.contains("--allow-unowned was no in the plan and is yes here"), "{said}");
    let agreed = id(&planned(plan(&work, &server, &unowned).token(TOKEN)));
    run(&work, &server, &unowned).args(["--plan-id", &agreed]).exits(0);
}

#[test]
fn a_machine_can_require_approved_plans() {
    let (work, server) = prepared(None);
    let require = |program: Program| program.env("SLACK_REVOKE_REQUIRE_PLAN_ID", "1");
    let said = require(run(&work, &server, &[])).exits(2).stderr();
    assert!(said.contains("no --plan-id") && said.contains("SLACK_REVOKE_REQUIRE_PLAN_ID"), "{said}");
    run(&work, &server, &["--require-plan-id"]).exits(2);
    run(&work, &server, &["--approved-by", "Dana"]).exits(2);
    run(&work, &server, &["--plan-id", "1a2b"]).exits(2);
    assert_eq!((accepted(&server), work.names().len()), (0, 2));
    // A plan makes the id, and a rehearsal sends nothing.
    let approved = id(&planned(require(plan(&work, &server, &[]))));
    work.program(["run", "s.csv", "--rehearse", "--plan-id", &approved]).exits(2);
    let rehearsal = require(work.program(["run", "s.csv", "--rehearse"])).env("SLACK_REVOKE_PLAN_ID", &approved);
    let said = rehearsal.env("SLACK_REVOKE_APPROVED_BY", "Dana").exits(0).stderr();
    assert!(!said.contains("plan id"), "{said}");
    let approved_by_variables = run(&work, &server, &[]).env("SLACK_REVOKE_PLAN_ID", &approved);
    require(approved_by_variables).env("SLACK_REVOKE_APPROVED_BY", "Dana").exits(0);
    assert_eq!(work.json(MANIFEST)["runs"][0]["approved_by"], json!("Dana"));
}

/// What is protected by address is looked up with a token; the id doesn't depend on who it was.
#[test]
fn a_stopped_run_continues_with_the_same_id() {
    for protect in ["U10\n1011\n", "u10@example.com\n"] {
        let (work, server) = prepared(Some(4));
        work.write("keep.txt", protect);
        let approved = id(&planned(plan(&work, &server, &["--protect", "keep.txt"]).token(TOKEN)));
        let flags = ["--plan-id", &approved, "--approved-by", "Dana"];
        let said = run(&work, &server, &["--protect", "keep.txt"]).args(flags).exits(4).stderr();
        assert!(said.contains(&format!("--plan-id {approved}")), "the command that continues: {said}");
        server.accept_token(TOKEN);
        let said = refused(&work, &server, run(&work, &server, &["--resume", "--plan-id", &"0a".repeat(32)]));
        assert!(
            said.contains("its input, its columns, its --protect, its --bulk listing or its organization differ"),
            "{said}"
        );
        // The protections of the first run stay, whether they are given again or not.
        let resumed = planned(plan(&work, &server, &["--resume"]).token(TOKEN));
        assert_eq!(id(&resumed), approved, "{protect}");
        let resumed = planned(plan(&work, &server, &["--resume", "--protect", "keep.txt"]).token(TOKEN));
        assert_eq!(id(&resumed), approved, "{protect}");
        work.write("more.txt", "U9\n");
        let said = refused(&work, &server, run(&work, &server, &["--resume", "--protect", "more.txt"]).args(flags));
        assert!(said.contains("its --protect, its"), "{said}");
        run(&work, &server, &["--resume"]).args(flags).exits(0);
        let runs = work.json(MANIFEST)["runs"].clone();
        let recorded = runs.as_array().expect("runs").iter().filter(|run| run["plan_id"] == json!(approved)).count();
        assert_eq!(recorded, 2, "{runs}");
    }
}
