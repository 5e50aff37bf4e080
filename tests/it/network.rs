//! A network that cuts, halves, dribbles, floods and redirects. Whatever it does, every row has one record, and no session
//! that is gone is reported as `failed`.

use crate::harness::{Act, Program, Proxy, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::Server;
use std::net::{Ipv4Addr, TcpListener};

const FIRST: u64 = 1_112_275_520_000;

/// A folder with `rows` rows, and a stand-in that has their sessions.
fn scene(count: u64) -> (Workdir, Server) {
    let work = Workdir::new();
    work.write("sessions.csv", rows(FIRST, count));
    (work, start(config(sessions(FIRST, count))))
}

fn through(work: &Workdir, url: &str) -> Program {
    work.program(["run", "sessions.csv", "--yes", "--no-canary", "--api-url", url]).token(TOKEN)
}

/// One record for each row, and none that says what is not so.
fn assert_honest(work: &Workdir, server: &Server, count: u64) {
    let results = work.results("sessions.results.csv");
    assert_eq!(results.statuses().keys().copied().collect::<Vec<_>>(), (2..count + 2).collect::<Vec<_>>());
    for record in &results.records {
        let alive = server.is_alive(record.get("session_id").parse().expect("a session id"));
        match record.status() {
            "revoked" | "already_revoked" => assert!(!alive, "{record:?}"),
            "failed" | "not_found" => assert!(alive, "{record:?}"),
            "unknown" => {}
            other => panic!("{other} cannot come of this input"),
        }
    }
}

/// The first call is answered, so that the run has been answered by Slack; every later one meets `act`.
fn after_an_answer(act: Act) -> impl Fn(usize) -> Act + Send + Sync + 'static {
    move |call| if call == 0 { Act::Pass } else { act.clone() }
}

/// Slack never answered: every row is still to be processed.
#[track_caller]
fn assert_no_row_has_ended(work: &Workdir) {
    assert!(work.results("sessions.results.csv").records.is_empty());
    assert_eq!(work.read("sessions.results.remaining.csv"), work.read("sessions.csv"));
}

/// The first call of every row meets `act`; those after it are passed on.
fn survives(act: Act) -> (Workdir, Server, Proxy) {
    const ROWS: u64 = 8;
    let (work, server) = scene(ROWS);
    let proxy = Proxy::before(server.address(), move |call| if call % 2 == 0 { act.clone() } else { Act::Pass });
    through(&work, &proxy.url()).args(["--retries", "20", "--timeout", "2s"]).exits(0);
    assert_honest(&work, &server, ROWS);
    assert!(server.live_sessions().is_empty());
    (work, server, proxy)
}

#[test]
fn a_connection_cut_before_the_call_costs_an_attempt() {
    let (_, server, proxy) = survives(Act::CutBefore);
    assert!(proxy.tampered() > 8);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn a_row_whose_answer_was_lost_ends_as_already_revoked() {
    let (work, ..) = survives(Act::CutAfter);
    let results = work.results("sessions.results.csv");
    assert!(results.count("already_revoked") > 0);
    assert_eq!(results.count("already_revoked") + results.count("revoked"), 8);
}

#[test]
fn a_truncated_answer_is_not_used() {
    let (work, ..) = survives(Act::Half);
    assert!(work.results("sessions.results.csv").count("already_revoked") > 0);
}

#[test]
fn a_slow_answer_runs_into_the_timeout() {
    let (work, server) = scene(2);
    let proxy = Proxy::before(server.address(), after_an_answer(Act::Dribble));
    through(&work, &proxy.url()).args(["--retries", "0", "--timeout", "1s", "--max-failures", "100%"]).exits(1);
    assert_honest(&work, &server, 2);
    let results = work.results("sessions.results.csv");
    assert_eq!((results.line(3).status(), results.line(3).get("error")), ("unknown", "timeout"));
    assert!(!server.is_alive(FIRST + 1), "the oracle: gone, and not reported as failed");
}

#[test]
fn closed_pooled_connections_lose_no_row() {
    let (_, _, proxy) = survives(Act::PassAndClose);
    assert!(proxy.connections() > 1, "the pool had to connect again");
}

#[test]
fn a_body_of_100_mib_is_not_read() {
    let (work, server) = scene(2);
    let proxy = Proxy::before(server.address(), after_an_answer(Act::Flood(100 << 20)));
    through(&work, &proxy.url()).args(["--retries", "0"]).exits(1);
    assert_honest(&work, &server, 2);
    let results = work.results("sessions.results.csv");
    let record = results.line(3);
    assert_eq!((record.status(), record.get("error")), ("unknown", "bad_response"));
    assert!(record.get("detail").contains("longer than"), "{}", record.get("detail"));
}

#[test]
fn redirects_are_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let (work, server) = scene(2);
        let elsewhere = Proxy::before(server.address(), |_| Act::Pass);
        let location = elsewhere.url();
        let answer = format!(
            "HTTP/1.1 {status}\r\nlocation: {location}admin.users.session.invalidate\r\ncontent-length: 11\r\n\r\n\
             {{\"ok\":true}}"
        );
        let proxy = Proxy::before(server.address(), after_an_answer(Act::Answer(answer.into_bytes())));
        through(&work, &proxy.url()).args(["--retries", "0"]).exits(1);
        assert_eq!(elsewhere.connections(), 0, "{status}");
        assert_honest(&work, &server, 2);
        let results = work.results("sessions.results.csv");
        let record = results.line(3);
        assert_eq!(record.get("error"), format!("http_{}", &status[..3]));
        assert_eq!(record.status(), "unknown", "{status}");
        assert!(record.get("detail").contains("redirect"), "{}", record.get("detail"));
    }
}

#[test]
fn an_unresolvable_name_is_a_failed_connection() {
    let (work, _server) = scene(1);
    let finished = through(&work, "https://no-such-host.invalid/")
        .args(["--allow-host", "no-such-host.invalid", "--retries", "0", "--timeout", "5s"])
        .exits(5);
    assert_no_row_has_ended(&work);
    assert!(finished.stderr().contains("Slack can't be reached"), "{}", finished.stderr());
}

#[test]
fn a_refused_connection_is_a_failed_connection() {
    let (work, _server) = scene(1);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    through(&work, &format!("http://{closed}/api/")).args(["--retries", "0"]).exits(5);
    assert_no_row_has_ended(&work);
}

#[test]
fn a_proxy_is_used_and_never_sees_the_token() {
    let (work, server) = scene(1);
    let proxy = Proxy::before(server.address(), |_| Act::Pass);
    let address = format!("http://me:pass-word@127.0.0.1:{}", proxy.port());
    let finished = through(&work, "https://slack.invalid/api/")
        .args(["--allow-host", "slack.invalid", "--retries", "0", "--timeout", "5s"])
        .env("HTTPS_PROXY", &address)
        .exits(5);
    let heads = proxy.heads();
    assert!(!heads.is_empty());
    for head in heads {
        assert!(head.starts_with("CONNECT slack.invalid:443 "), "{head}");
        assert!(!head.contains(TOKEN));
    }
    assert!(!finished.stderr().contains("pass-word"));
    assert_no_row_has_ended(&work);
    assert!(server.is_alive(FIRST));
}

#[test]
fn a_loopback_address_is_never_reached_through_a_proxy() {
    let (work, server) = scene(1);
    through(&work, &server.url())
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .exits(0);
    assert!(!server.is_alive(FIRST));
}

#[test]
fn an_invalid_proxy_variable_is_refused_before_anything_is_sent() {
    for (name, value) in [("HTTPS_PROXY", "http://proxy:port"), ("ALL_PROXY", "ftp://proxy:21")] {
        let (work, _server) = scene(1);
        let finished = through(&work, "https://slack.invalid/api/")
            .args(["--allow-host", "slack.invalid"])
            .env(name, value)
            .exits(2);
        assert!(finished.stderr().contains(name), "{}", finished.stderr());
        assert!(!work.exists("sessions.results.csv"));
    }
}
