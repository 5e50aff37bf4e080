//! `doctor`: fit for a run, or not.

use crate::harness::{Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::{Method, Server, StandInConfig, StandInToken, TokenIdentity};
use std::collections::BTreeMap;

fn doctor(work: &Workdir, server: &Server) -> Program {
    work.program(["doctor", "--api-url", &server.url()]).token(TOKEN)
}

fn with_token(token: StandInToken) -> Server {
    start(StandInConfig { tokens: vec![token], ..config(sessions(1, 1)) })
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    found.unwrap_or_else(|| panic!("no check {name} in\n{text}"))
}

#[test]
fn a_good_token_passes_every_check() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 1))));
    let text = doctor(&work, &server).exits(0).stdout();
    assert!(text.lines().all(|line| line.starts_with("✓ ")), "{text}");
    assert!(line(&text, "token").contains("SLACK_TOKEN") && !text.contains(TOKEN), "{text}");
    assert!(line(&text, "identity").contains("org-admin (W0STANDIN)"), "{text}");
    assert!(line(&text, "organization").contains("E0STANDIN"), "{text}");
    let names: Vec<_> = text.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    let all = ["token", "proxy", "connection", "identity", "organization", "scopes", "expiry", "clock", "round"];
    assert_eq!(names, all);
    assert_eq!(server.stats().of(Method::AuthTest).calls, 1);
    assert_eq!(server.stats().of(Method::Invalidate).calls, 0);
}

#[test]
fn scopes_are_compared_with_what_the_commands_need() {
    let work = Workdir::new();
    for (scopes, mark, code) in [
        ("admin.users:read,admin.users:write", "✓", 0),
        ("admin.users:write", "!", 0),
        ("admin.users:read", "✗", 4),
        ("identify", "✗", 4),
    ] {
        let server = with_token(StandInToken { scopes: scopes.into(), ..StandInToken::named(TOKEN) });
        let text = doctor(&work, &server).exits(code).stdout();
        assert!(line(&text, "scopes").starts_with(mark), "{scopes}: {text}");
    }
}

#[test]
fn doctor_checks_that_the_token_outlives_the_run() {
    let work = Workdir::new();
    let identity = TokenIdentity { expires_in: Some(3_600), ..TokenIdentity::default() };
    let server = with_token(StandInToken { identity, ..StandInToken::named(TOKEN) });
    work.write("short.csv", rows(1, 100));
    work.write("long.csv", rows(1, 2_000));
    for (input, mark) in [("short.csv", "✓"), ("long.csv", "!")] {
        let text = doctor(&work, &server).args([input]).exits(0).stdout();
        assert!(line(&text, "expiry").starts_with(mark), "{input}: {text}");
    }
    let text = doctor(&work, &server).args(["long.csv", "--rate", "5/s"]).exits(0).stdout();
    assert!(line(&text, "expiry").starts_with('✓'), "{text}");
    doctor(&work, &server).args(["none.csv"]).exits(2);
}

/// The checks of a run, by name, with what it said.
fn checked(work: &Workdir, server: &Server, code: i32) -> (BTreeMap<String, (String, String)>, String) {
    work.write("in.csv", rows(1, 30));
    let said = work.run(server, "in.csv").args(["--rate", "1000/s"]).exits(code).stderr();
    let run = &work.json("in.results.csv.manifest.json")["runs"][0];
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let checks = run["checks"].as_array().expect("checks").iter();
    let checks = checks.map(|check| (text(&check["name"]), (text(&check["mark"]), text(&check["what"]))));
    (checks.collect(), said)
}

#[test]
fn a_run_makes_the_same_checks_and_records_them() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 30))));
    let (checks, said) = checked(&work, &server, 0);
    let mut names: Vec<_> = checks.keys().map(String::as_str).collect();
    let mut all =
        ["token", "proxy", "connection", "identity", "organization", "scopes", "expiry", "clock", "round trip"];
    names.sort_unstable();
    all.sort_unstable();
    assert_eq!(names, all);
    assert!(checks.values().all(|(mark, what)| mark == "ok" && !what.contains(TOKEN)), "{checks:?}");
    assert!(checks["token"].1.contains("SLACK_TOKEN") && !said.contains("warning"), "{said}");
    assert_eq!(server.stats().of(Method::AuthTest).calls, 1, "no call more than a run makes anyway");

    let work = Workdir::new();
    work.write("in.csv", rows(1, 3));
    work.program(["run", "in.csv", "--rehearse"]).exits(0);
    let run = &work.json("in.rehearsal.csv.manifest.json")["runs"][0];
    assert_eq!(
        (run["checks"].as_array().map(Vec::len), &run["checks"][0]["what"]),
        (Some(9), &"the stand-in's own".into())
    );
}

#[test]
fn a_run_warns_once_about_each_failed_check() {
    let identity = TokenIdentity { expires_in: Some(0), enterprise_id: None, ..TokenIdentity::default() };
    let server = |token: StandInToken| start(StandInConfig { tokens: vec![token], ..config(sessions(1, 30)) });
    let weak = server(StandInToken { scopes: "admin.users:read".into(), identity, ..StandInToken::named(TOKEN) });
    let work = Workdir::new();
    let (checks, said) = checked(&work, &weak, 4);
    for (name, mark) in [("scopes", "failed"), ("organization", "warning"), ("expiry", "warning")] {
        assert_eq!(checks[name].0, mark, "{name}");
        assert_eq!(said.matches(&format!("warning: {name}: ")).count(), 1, "{name}: {said}");
    }
    // What run does not need is nothing to warn it of.
    let (work, narrow) =
        (Workdir::new(), server(StandInToken { scopes: "admin.users:write".into(), ..StandInToken::named(TOKEN) }));
    let (checks, said) = checked(&work, &narrow, 0);
    assert!(checks["scopes"].0 == "ok" && !said.contains("scopes"), "{said}");
}

#[test]
fn invalid_tokens_are_exit_4_and_no_connection_is_exit_5() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 1))));
    let text = doctor(&work, &server).token("xoxp-unknown").exits(4).stdout();
    assert!(line(&text, "identity").starts_with("✗") && text.contains("invalid_auth"), "{text}");
    assert!(line(&doctor(&work, &server).token("xoxb-1-2").exits(4).stdout(), "token").starts_with("✗"));
    let none = work.program(["doctor", "--api-url", &server.url()]).exits(4).stdout();
    assert!(line(&none, "token").contains("no token"), "{none}");
    server.expire_token(TOKEN);
    assert!(doctor(&work, &server).exits(4).stdout().contains("token_expired"));
    let url = server.url();
    drop(server);
    let text = work.program(["doctor", "--api-url", &url]).token(TOKEN).exits(5).stdout();
    assert!(line(&text, "connection").starts_with("✗"), "{text}");
}

#[test]
fn json_output_is_one_object() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 1))));
    let object: serde_json::Value =
        serde_json::from_str(&doctor(&work, &server).args(["--json"]).exits(0).stdout()).unwrap();
    assert_eq!(object["exit_code"], 0);
    assert!(object["checks"].as_array().unwrap().iter().all(|check| check["mark"] == "ok"), "{object}");
    server.revoke_token(TOKEN);
    let object: serde_json::Value =
        serde_json::from_str(&doctor(&work, &server).args(["--json"]).exits(4).stdout()).unwrap();
    assert_eq!(object["exit_code"], 4);
}

#[test]
fn a_rate_limit_is_not_reported_as_a_network_problem() {
    let server = crate::harness::Canned::answer("429 Too Many Requests", r#"{"ok":false,"error":"ratelimited"}"#);
    let said = Workdir::new().program(["doctor", "--api-url", &server.url()]).token(TOKEN).exits(5).stdout();
    assert!(said.contains("asks for a pause") && !said.contains("certificates"), "{said}");
}
