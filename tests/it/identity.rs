//! Whose token it is. Without a clear answer to `auth.test`, no row is sent that may be its user's own.

use crate::harness::{Act, Canned, Program, Proxy, TOKEN, Workdir, config, rows, start, until};
use rustix::process::Signal;
use slack_revoke::stand_in::{Method, Server, Session, StandInConfig, StandInToken, TokenEnd, TokenIdentity};

const OWNER: &str = "W1ME";

/// Sessions of two users, one of them the token's.
fn server() -> Server {
    let identity = TokenIdentity { user_id: OWNER.into(), ..TokenIdentity::default() };
    let sessions = vec![Session::new(1_000, "T1", OWNER), Session::new(1_001, "T1", "U2")];
    start(StandInConfig { tokens: vec![StandInToken { identity, ..StandInToken::named(TOKEN) }], ..config(sessions) })
}

fn with_users(work: &Workdir) {
    work.write("in.csv", format!("user_id,session_id,team_id\n{OWNER},1000,T1\nU2,1001,T1\n"));
}

/// A silent run of `in.csv`, as a timer starts it.
fn run(work: &Workdir, url: &str) -> Program {
    work.program(["run", "in.csv", "--yes", "-q", "--retries", "1", "--api-url", url]).token(TOKEN)
}

fn http(status: &str, head: &str, body: &str) -> Act {
    Act::Answer(format!("HTTP/1.1 {status}\r\n{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn refusal(code: &str) -> String {
    format!(r#"{{"ok":false,"error":"{code}"}}"#)
}

const OK: &str = "200 OK";

/// Answers that identify nobody: status, body, the exit code, the cause that is named, and the calls that are made.
fn unclear() -> Vec<(&'static str, String, i32, &'static str, usize)> {
    let page = "<html><title>Sign in</title></html>".to_owned();
    let code = |code: &str| refusal(code);
    vec![
        (OK, page.clone(), 5, "HTML page", 1),
        (OK, String::new(), 5, "not an answer of Slack's", 1),
        (OK, r#"{"ok":true}"#.into(), 5, "not who the token is", 1),
        (OK, r#"{"ok":true,"user_id":"nobody"}"#.into(), 5, "not who the token is", 1),
        ("204 No Content", String::new(), 5, "HTTP 204", 1),
        ("302 Found", page.clone(), 5, "redirect to /elsewhere", 1),
        ("401 Unauthorized", page.clone(), 5, "HTTP 401", 1),
        ("403 Forbidden", page.clone(), 5, "HTTP 403", 1),
        ("404 Not Found", page.clone(), 5, "HTTP 404", 1),
        ("405 Method Not Allowed", String::new(), 5, "HTTP 405", 1),
        ("407 Proxy Authentication Required", page.clone(), 5, "HTTP 407", 1),
        ("411 Length Required", String::new(), 5, "HTTP 411", 1),
        ("408 Request Timeout", String::new(), 5, "HTTP 408", 2),
        ("502 Bad Gateway", page, 5, "HTTP 502", 2),
        ("500 Internal Server Error", code("invalid_auth"), 5, "HTTP 500", 2),
        (OK, code("internal_error"), 5, "internal_error", 2),
        (OK, code("service_unavailable"), 5, "service_unavailable", 2),
        (OK, code("fatal_error"), 5, "fatal_error", 2),
        (OK, code("request_timeout"), 5, "request_timeout", 2),
        (OK, code("unknown_method"), 5, "unknown_method", 1),
        (OK, code("brand_new"), 5, "brand_new", 1),
        (OK, code("access_denied"), 4, "access_denied", 1),
        (OK, code("no_permission"), 4, "no_permission", 1),
        (OK, code("invalid_auth"), 4, "invalid_auth", 1),
        ("401 Unauthorized", code("not_authed"), 4, "not_authed", 1),
    ]
}

#[test]
fn no_row_that_names_a_user_is_sent_without_a_clear_answer() {
    for (status, body, exit, cause, calls) in unclear() {
        let (work, server) = (Workdir::new(), Canned::answer(status, &body));
        with_users(&work);
        let said = run(&work, &server.url()).exits(exit).stderr();
        assert!(said.contains(cause) && !said.contains("allow-self"), "{status} {body}: {said}");
        assert_eq!(server.paths(), vec!["/api/auth.test"; calls], "{status} {body}");
        assert_eq!(work.names(), ["in.csv"], "{status} {body}");
    }
}

#[test]
fn whole_users_are_not_sent_without_a_clear_answer() {
    let (work, server) = (Workdir::new(), Canned::answer("404 Not Found", ""));
    work.write("in.csv", format!("user_id\n{OWNER}\nU2\n"));
    let said = run(&work, &server.url()).args(["--whole-users", "--confirm-users", "2"]).exits(5).stderr();
    assert!(said.contains("HTTP 404"), "{said}");
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn rows_without_users_are_sent_with_a_warning_that_names_the_cause() {
    for (answer, cause) in [
        (http("404 Not Found", "", ""), "HTTP 404"),
        (http(OK, "", &refusal("unknown_method")), "unknown_method"),
        (http(OK, "", r#"{"ok":true}"#), "not who the token is"),
        (http(OK, "", &refusal("access_denied")), "access_denied"),
        (Act::CutBefore, "connection"),
    ] {
        let (work, server) = (Workdir::new(), server());
        work.write("in.csv", rows(1_000, 2));
        let proxy = Proxy::tampering("auth.test", server.address(), move |_| answer.clone());
        let said = run(&work, &proxy.url()).exits(0).stderr();
        assert!(said.contains("whose token this is") && said.contains(cause), "{said}");
        assert!(server.live_sessions().is_empty());
    }
}

#[test]
fn a_rejected_token_is_exit_4_whatever_the_rows_name() {
    let (work, server) = (Workdir::new(), Canned::json(&refusal("account_inactive")));
    work.write("in.csv", rows(1_000, 2));
    let said = run(&work, &server.url()).args(["--allow-self"]).exits(4).stderr();
    assert!(said.contains("account_inactive"), "{said}");
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn temporary_auth_test_faults_are_retried_and_the_owner_is_protected() {
    let (work, server) = (Workdir::new(), server());
    with_users(&work);
    let proxy = Proxy::tampering("auth.test", server.address(), |call| match call {
        0 => http("503 Service Unavailable", "", "<html>"),
        1 => Act::CutBefore,
        2 => http("429 Too Many Requests", "retry-after: 1\r\n", &refusal("ratelimited")),
        3 => http(OK, "", &refusal("internal_error")),
        _ => Act::Pass,
    });
    run(&work, &proxy.url()).args(["--retries", "3"]).exits(0);
    assert_eq!((proxy.tampered(), server.live_sessions()), (5, vec![1_000]));
}

#[test]
fn a_pause_beyond_max_retry_after_is_not_waited_for() {
    let (work, server) = (Workdir::new(), server());
    with_users(&work);
    let limited = http("429 Too Many Requests", "retry-after: 301\r\n", &refusal("ratelimited"));
    let proxy = Proxy::tampering("auth.test", server.address(), move |_| limited.clone());
    let said = run(&work, &proxy.url()).args(["--max-retry-after", "5m"]).exits(5).stderr();
    assert!(said.contains("wait 5m 1s") || said.contains("wait 5m"), "{said}");
    assert_eq!((proxy.tampered(), server.stats().of(Method::Invalidate).calls), (1, 0));
}

#[test]
fn an_intermediary_is_reported() {
    let work = Workdir::new();
    with_users(&work);
    let said = run(&work, "http://127.0.0.1:1/api/").exits(5).stderr();
    assert!(said.contains("Connection refused") && !said.contains("allow-self"), "{said}");
    let proxy = Canned::answer("407 Proxy Authentication Required", "");
    let said = run(&work, "https://slack.invalid/api/")
        .args(["--allow-host", "slack.invalid"])
        .env("HTTPS_PROXY", &format!("http://127.0.0.1:{}", proxy.port()))
        .exits(5)
        .stderr();
    assert!(said.contains("407") && said.contains("HTTPS_PROXY"), "{said}");
    assert_eq!(proxy.paths().len(), 1, "a password doesn't come by itself");
}

#[test]
fn auth_test_is_sent_with_an_empty_body() {
    let (work, server) = (Workdir::new(), server());
    with_users(&work);
    let proxy = Proxy::before(server.address(), |_| Act::Pass);
    run(&work, &proxy.url()).exits(0);
    for head in proxy.heads() {
        let lengths = head.to_ascii_lowercase().matches("\r\ncontent-length: ").count();
        assert_eq!(lengths, 1, "{head}");
    }
}

/// A token that expires after two calls, and the one that replaces it, of this user.
fn with_successor(user: &str, sessions: Vec<Session>) -> Server {
    let of = |user: &str| TokenIdentity { user_id: user.into(), ..TokenIdentity::default() };
    let first = StandInToken { identity: of(OWNER), ends: Some((2, TokenEnd::Expired)), ..StandInToken::named(TOKEN) };
    let second = StandInToken { identity: of(user), ..StandInToken::named("xoxp-second") };
    start(StandInConfig { tokens: vec![first, second], ..config(sessions) })
}

const SUCCESSOR: &str = "W2ADMIN";

/// Eight sessions: two of the owner, two of the successor, and four of nobody's that matters.
fn eight(work: &Workdir) -> Vec<Session> {
    let users = ["U1", "U2", SUCCESSOR, OWNER, "U3", SUCCESSOR, "U4", OWNER];
    let numbered = || users.iter().zip(1_000..);
    let rows = numbered().map(|(user, session)| format!("{user},{session},T1\n"));
    work.write("in.csv", format!("user_id,session_id,team_id\n{}", rows.collect::<String>()));
    numbered().map(|(user, session)| Session::new(session, "T1", user)).collect()
}

/// A command that gives the first token once, and then does `later`.
fn token_command(later: &str) -> String {
    format!("if [ -e used ]; then {later}; else touch used; echo {TOKEN}; fi")
}

fn renewing(work: &Workdir, url: &str, later: &str) -> Program {
    let command = token_command(later);
    let flags = ["--rate", "unlimited", "-j", "1", "--timeout", "2s", "--retries", "1"];
    work.program(["run", "in.csv", "--yes", "-q", "--api-url", url, "--token-command", &command]).args(flags)
}

#[test]
fn after_a_refresh_both_owners_are_protected_and_recorded() {
    let work = Workdir::new();
    let server = with_successor(SUCCESSOR, eight(&work));
    renewing(&work, &server.url(), "echo xoxp-second").args(["--events", "events"]).exits(0);
    assert_eq!(server.live_sessions(), [1_002, 1_003, 1_005, 1_007]);
    assert_eq!(work.results("in.results.csv").count("protected"), 4);
    let manifest = work.json("in.results.csv.manifest.json");
    let run = &manifest["runs"][0];
    assert_eq!(
        (&run["identity"]["user_id"], &run["later_identities"][0]["user_id"]),
        (&OWNER.into(), &SUCCESSOR.into())
    );
    assert_eq!(manifest["protections"]["own_user_ids"], serde_json::json!([OWNER, SUCCESSOR]));
    assert_eq!(work.read("events").matches("other_owner").count(), 1);
    assert_eq!(server.stats().of(Method::AuthTest).calls, 2);
}

#[test]
fn with_allow_self_the_second_owner_is_recorded_and_sent() {
    let work = Workdir::new();
    let server = with_successor(SUCCESSOR, eight(&work));
    renewing(&work, &server.url(), "echo xoxp-second").args(["--allow-self"]).exits(0);
    assert!(server.live_sessions().is_empty());
    let run = &work.json("in.results.csv.manifest.json")["runs"][0];
    assert_eq!(run["later_identities"][0]["user_id"], SUCCESSOR);
}

#[test]
fn a_fresh_token_of_the_same_user_is_not_reported() {
    let work = Workdir::new();
    let server = with_successor(OWNER, eight(&work));
    let said = renewing(&work, &server.url(), "echo xoxp-second").exits(0).stderr();
    assert_eq!((said.as_str(), server.live_sessions()), ("", vec![1_003, 1_007]));
    assert!(work.json("in.results.csv.manifest.json")["runs"][0].get("later_identities").is_none());
}

#[test]
fn an_unidentified_fresh_token_stops_the_run_resumably() {
    for (answer, exit, cause) in [
        (http("404 Not Found", "", ""), 5, "HTTP 404"),
        (http(OK, "", r#"{"ok":true}"#), 5, "not who the token is"),
        (http(OK, "", &refusal("access_denied")), 4, "access_denied"),
    ] {
        let work = Workdir::new();
        let server = with_successor(SUCCESSOR, eight(&work));
        let proxy = Proxy::tampering(
            "auth.test",
            server.address(),
            move |call| {
                if call == 0 { Act::Pass } else { answer.clone() }
            },
        );
        let said = renewing(&work, &proxy.url(), "echo xoxp-second").exits(exit).stderr();
        assert!(said.contains(cause) && said.contains("--resume"), "{said}");
        assert_eq!(server.stats().revoked, 2, "{cause}");
        renewing(&work, &server.url(), "echo xoxp-second").args(["--resume"]).exits(0);
        assert_eq!(server.live_sessions(), [1_002, 1_003, 1_005, 1_007]);
    }
}

#[test]
fn a_token_command_that_fails_once_or_hangs_once_does_not_end_the_run() {
    for once in ["echo oops >&2; exit 1", "exec sleep 1000", "echo"] {
        let work = Workdir::new();
        let server = with_successor(OWNER, eight(&work));
        let later = format!("if [ -e again ]; then echo xoxp-second; else touch again; {once}; fi");
        let said = renewing(&work, &server.url(), &later).exits(0).stderr();
        assert_eq!(work.results("in.results.csv").count("revoked"), 6, "{once}: {said}");
    }
}

#[test]
fn a_hanging_token_command_does_not_block_signals() {
    for command in [&["list"][..], &["resolve", "in.csv", "-o", "out.csv"]] {
        for first in ["touch hanging; exec sleep 1000", &token_command("touch hanging; exec sleep 1000")] {
            let work = Workdir::new();
            work.write("in.csv", rows(1_000, 2));
            let server = Canned::json(&refusal("token_expired"));
            let flags = ["--api-url", &server.url(), "--token-command", first, "--timeout", "1h"];
            let mut running = work.program(command.iter().copied()).args(flags).start();
            until(&mut running, || work.exists("hanging"));
            running.signal(Signal::INT);
            assert_eq!(running.wait_at_most().code(), Some(130), "{command:?} {first}");
        }
    }
}

#[test]
fn child_processes_get_neither_the_token_nor_its_source() {
    let (work, server) = (Workdir::new(), server());
    with_users(&work);
    let command = format!("env > token-env; echo {TOKEN}");
    work.program(["run", "in.csv", "--yes", "--api-url", &server.url(), "--on-finish", "env > finish-env"])
        .env("SLACK_REVOKE_TOKEN_COMMAND", &command)
        .env("SLACK_API_TOKEN", "xoxb-other")
        .token("xoxp-unused")
        .exits(0);
    for (file, kept) in [("token-env", "SLACK_REVOKE_API_URL="), ("finish-env", "SLACK_REVOKE_EXIT_CODE=0")] {
        let env = work.read(file);
        assert!(env.contains(kept), "{env}");
        assert!(!env.contains("xox") && !env.contains("TOKEN"), "{file}: {env}");
    }
}
