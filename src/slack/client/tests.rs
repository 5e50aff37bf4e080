use super::*;
use crate::engine::rate_gate::{Pace, RateGate};
use crate::model::{Answer, Fault, SessionId, SessionTarget, Target, TeamId, UserId};
use crate::slack::token::TokenSource;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;

const OK: &str = r#"{"ok":true}"#;

/// Far more than any of these tests takes; the one that is about time sets its own.
const PATIENT: Duration = Duration::from_mins(1);

/// What the server does with one request.
enum Act {
    /// Writes this and keeps the connection.
    Say(String),
    /// Writes this and hangs up.
    SayAndClose(String),
    /// Hangs up with the request unread, which makes the kernel send a reset.
    Reset,
    /// Says nothing.
    Silence,
    /// Announces a chunked body and writes blanks until nobody takes them, or 100 MiB.
    Flood,
}

/// A server that plays its script on a thread, one act a request, and tells what it was asked.
struct Server {
    listener_port: u16,
    asked: mpsc::Receiver<String>,
    flooded: mpsc::Receiver<usize>,
}

impl Server {
    fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener_port = listener.local_addr().unwrap().port();
        let (tell, asked) = mpsc::channel();
        let (count, flooded) = mpsc::channel();
        thread::spawn(move || {
            let (mut script, mut kept) = (VecDeque::from(script), Vec::new());
            while !script.is_empty() {
                let (mut stream, _) = listener.accept().unwrap();
                while let Some(act) = script.pop_front() {
                    if !play(&act, &mut stream, &tell, &count) {
                        break;
                    }
                }
                // Kept open while the script goes on: silence is not an end.
                kept.push(stream);
            }
        });
        Self { listener_port, asked, flooded }
    }

    fn client(&self) -> Client {
        client(&format!("http://127.0.0.1:{}/api", self.listener_port), PATIENT)
    }
}

/// True where the connection goes on.
fn play(act: &Act, stream: &mut TcpStream, tell: &mpsc::Sender<String>, count: &mpsc::Sender<usize>) -> bool {
    if matches!(act, Act::Reset) {
        stream.read_exact(&mut [0]).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        return false;
    }
    let Some(request) = read_request(stream) else { return false };
    let _ = tell.send(request);
    match act {
        Act::Say(text) => stream.write_all(text.as_bytes()).is_ok(),
        Act::SayAndClose(text) => {
            let _ = stream.write_all(text.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Both);
            false
        }
        Act::Flood => {
            let _ = count.send(flood(stream));
            false
        }
        Act::Reset | Act::Silence => false,
    }
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .to_ascii_lowercase()
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + std::str::from_utf8(&body).unwrap())
}

fn flood(stream: &mut TcpStream) -> usize {
    let chunk = format!("8000\r\n{:1$}\r\n", "", 0x8000).into_bytes();
    if stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err() {
        return 0;
    }
    (0..3200).take_while(|_| stream.write_all(&chunk).is_ok()).count() * 0x8000
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn token(text: &'static str) -> Token {
    let env = |name: &str| (name == "SLACK_TOKEN").then(|| OsString::from(text));
    Token::read(&TokenSource::Env, &env, &|| Err(std::io::ErrorKind::NotFound.into())).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

fn client(url: &str, timeout: Duration) -> Client {
    let api = ApiUrl::parse(url, &[]).unwrap();
    Client::new(ClientConfig { api, token: token("xoxp-secret"), proxy: None, timeout, now }).unwrap()
}

fn session(target: Target) -> SessionTarget {
    match target {
        Target::Session(target) => target,
        Target::User(_) => panic!("no session"),
    }
}

fn target() -> SessionTarget {
    let (id, team) = (SessionId::from(1_112_275_520_242), TeamId::parse("T1234").unwrap());
    session(Target::by_team(id, team, UserId::parse("U1").ok()))
}

async fn revoke(client: &Client) -> Reply {
    carry_out(client, ports::Request::Session(target())).await
}

async fn carry_out(client: &Client, request: ports::Request) -> Reply {
    let permit = RateGate::new(Pace::Unlimited).try_acquire(Duration::ZERO, 1, 0).expect("nothing holds it");
    client.call(permit, request).await.expect("nobody withdraws it")
}

async fn told(act: Act) -> Reply {
    revoke(&Server::start(vec![act]).client()).await
}

#[tokio::test]
async fn whole_users_are_one_argument_with_commas_between() {
    let server = Server::start(vec![Act::Say(answer("200 OK", "x-slack-req-id: abc\r\n", OK))]);
    let users = ["U1", "W2"].map(|user| UserId::parse(user).unwrap());
    let reply = carry_out(&server.client(), ports::Request::Users(users.into())).await;
    assert_eq!((reply.answer, reply.request_id.as_deref()), (Answer::Ok, Some("abc")));
    let request = server.asked.recv().unwrap();
    assert!(request.starts_with("POST /api/admin.users.session.resetBulk HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nuser_ids=U1%2CW2"), "{request}");
}

#[tokio::test]
async fn a_call_is_one_post_with_a_form_and_the_token_in_its_header_alone() {
    let server = Server::start(vec![
        Act::Say(answer("200 OK", "x-slack-req-id: abc\r\n", OK)),
        Act::Say(answer("200 OK", "", OK)),
    ]);
    let client = server.client();
    let reply = revoke(&client).await;
    assert_eq!((reply.answer, reply.http_status, reply.request_id.as_deref()), (Answer::Ok, Some(200), Some("abc")));

    let request = server.asked.recv().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().skip(1).map(str::to_ascii_lowercase).collect();
    lines.sort();
    assert_eq!(head.lines().next(), Some("POST /api/admin.users.session.invalidate HTTP/1.1"));
    assert_eq!(body, "session_id=1112275520242&team_id=T1234");
    let version = env!("CARGO_PKG_VERSION");
    let want = [
        "accept: application/json".to_owned(),
        "authorization: bearer xoxp-secret".to_owned(),
        "content-length: 38".to_owned(),
        "content-type: application/x-www-form-urlencoded".to_owned(),
        format!("host: 127.0.0.1:{}", server.listener_port),
        format!("user-agent: slack-revoke/{version}"),
    ];
    assert_eq!(lines, want);

    let user = Target::by_user(SessionId::from(7), UserId::parse("W9").unwrap(), TeamId::parse("T1").ok());
    assert_eq!(carry_out(&client, ports::Request::Session(session(user))).await.answer, Answer::Ok);
    assert!(server.asked.recv().unwrap().ends_with("\r\n\r\nsession_id=7&user_id=W9"));
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn answers_are_read_by_their_status_their_headers_and_their_body() {
    let html = "<html>out of order</html>";
    let limited = r#"{"ok":false,"error":"ratelimited"}"#;
    let pause = |seconds| Answer::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
    for (status, headers, body, want) in [
        ("200 OK", "", r#"{"ok":false,"error":"session_not_found"}"#, Answer::Refused(ErrorCode::SessionNotFound)),
        ("200 OK", "Content-Type: text/html\r\n", html, Answer::Fault(Fault::BadResponse)),
        ("503 No", "Content-Type: text/html\r\n", html, Answer::Fault(Fault::Http(503))),
        ("204 No Content", "", "", Answer::Fault(Fault::Http(204))),
        ("429 Slow", "Retry-After: 30\r\n", limited, pause(30)),
        ("429 Slow", "Retry-After: Thu, 01 Jan 1970 00:01:30 GMT\r\n", limited, pause(90)),
        (
            "429 Slow",
            "Retry-After: Thu, 01 Jan 1970 00:01:30 GMT\r\nDate: Thu, 01 Jan 1970 00:01:00 GMT\r\n",
            limited,
            pause(30),
        ),
        ("429 Slow", "Retry-After: \u{e9}\r\n", limited, Answer::RateLimited { retry_after: None }),
        ("429 Slow", "Retry-After: 7\r\nRetry-After: 60\r\n", limited, pause(60)),
        ("429 Slow", "Retry-After: 60\r\nX: y\r\nretry-after: 7\r\n", limited, pause(60)),
        ("429 Slow", "Retry-After: \u{e9}\r\nRetry-After: 7.5\r\n", limited, pause(8)),
    ] {
        assert_eq!(told(Act::Say(answer(status, headers, body))).await.answer, want, "{status} {headers}");
    }
}

#[tokio::test]
async fn whatever_is_to_be_tried_again_may_ask_for_a_pause() {
    let unavailable = r#"{"ok":false,"error":"service_unavailable"}"#;
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (status, headers, body, wait) in [
        ("503 No", "", "", None),
        ("503 No", "Retry-After: 20\r\n", "", seconds(20)),
        ("503 No", "Retry-After: 20\r\nRetry-After: 30\r\n", unavailable, seconds(30)),
        ("503 No", "Retry-After: soon\r\n", "", seconds(30)),
        ("503 No", "Retry-After: \u{e9}\r\n", "", seconds(30)),
        ("500 No", "Retry-After: 0.5\r\n", "", seconds(1)),
        ("408 No", "Retry-After: 20\r\n", "", seconds(20)),
        ("302 No", "Retry-After: 20\r\n", "", seconds(20)),
        ("404 No", "Retry-After: 20\r\n", "<html>", seconds(20)),
        ("200 OK", "Retry-After: 20\r\n", unavailable, seconds(20)),
        ("200 OK", "Retry-After: 20\r\n", "<html>", seconds(20)),
        ("200 OK", "Retry-After: 20\r\n", OK, None),
        ("200 OK", "Retry-After: 20\r\n", r#"{"ok":false,"error":"user_not_found"}"#, None),
        ("429 Slow", "Retry-After: 20\r\n", "", None),
    ] {
        assert_eq!(told(Act::Say(answer(status, headers, body))).await.wait, wait, "{status} {headers} {body}");
    }
    let torn = "HTTP/1.1 503 No\r\nRetry-After: 20\r\nContent-Length: 99\r\n\r\n";
    assert_eq!(told(Act::SayAndClose(torn.into())).await.wait, seconds(20), "the pause outlives its body");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("Location: http://{}/\r\n", elsewhere.local_addr().unwrap());
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let reply = told(Act::Say(answer(status, &location, OK))).await;
        assert_eq!(reply.answer, Answer::Fault(Fault::Http(status[..3].parse().unwrap())));
    }
    assert_eq!(elsewhere.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_connection_that_breaks_is_ambiguous_and_one_never_made_is_not() {
    let torn = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ok\"";
    for act in [
        Act::Reset,
        Act::SayAndClose(String::new()),
        Act::SayAndClose("HTTP/1.1 20".into()),
        Act::SayAndClose(torn.into()),
    ] {
        let reply = told(act).await;
        assert_eq!((reply.answer, reply.http_status), (Answer::Fault(Fault::Connection), None), "{}", reply.detail);
        assert!(!reply.detail.is_empty());
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let reply = revoke(&client(&format!("http://{host}:{free}/"), PATIENT)).await;
        assert_eq!(reply.answer, Answer::Fault(Fault::NotConnected), "{}", reply.detail);
        assert!(reply.detail.to_lowercase().contains("refused"), "{}", reply.detail);
        assert!(!reply.detail.contains("http") && !reply.detail.contains("xoxp"), "{}", reply.detail);
    }
}

#[tokio::test]
async fn the_pause_of_a_429_outlives_its_body() {
    let head = "HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 999999\r\n\r\n";
    for act in [Act::SayAndClose(head.into()), Act::SayAndClose(head.replace("999999", "9"))] {
        let want = Answer::RateLimited { retry_after: Some(Duration::from_secs(30)) };
        assert_eq!(told(act).await.answer, want);
    }
}

#[tokio::test]
async fn a_timeout_after_the_request_is_ambiguous_and_one_before_it_is_not() {
    let brief = Duration::from_millis(500);
    let url = |scheme: &str, port| format!("{scheme}://127.0.0.1:{port}/");
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ok\"".to_owned();
    for act in [Act::Silence, Act::Say(half)] {
        let server = Server::start(vec![act, Act::Silence]);
        let reply = revoke(&client(&url("http", server.listener_port), brief)).await;
        assert_eq!(reply.answer, Answer::Fault(Fault::Timeout), "{}", reply.detail);
    }
    // The TCP connection is there, and TLS never comes about: no byte of the request has left.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let reply = revoke(&client(&url("https", mute.local_addr().unwrap().port()), brief)).await;
    assert_eq!(reply.answer, Answer::Fault(Fault::NotConnected), "{}", reply.detail);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let server = Server::start(vec![Act::Flood]);
    let reply = revoke(&server.client()).await;
    assert_eq!((reply.answer, reply.http_status), (Answer::Fault(Fault::BadResponse), Some(200)));
    assert!(reply.detail.contains("longer than 65536 bytes"), "{}", reply.detail);
    // What the sockets hold between them was written, and no more. The wait leaves the runtime free to hang up.
    let written = tokio::task::spawn_blocking(move || server.flooded.recv()).await.unwrap();
    assert!(written.unwrap() < 50 << 20);

    let long = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 104857600\r\n\r\n{OK}");
    assert_eq!(told(Act::Say(long("200 OK"))).await.answer, Answer::Fault(Fault::BadResponse));
    assert_eq!(told(Act::Say(long("503 No"))).await.answer, Answer::Fault(Fault::Http(503)));
}

#[tokio::test]
async fn what_is_no_tls_and_what_the_proxy_refuses_was_never_connected() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    thread::spawn(move || plain.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad\r\n\r\n"));
    let reply = revoke(&client(&format!("https://127.0.0.1:{port}/"), PATIENT)).await;
    assert_eq!(reply.answer, Answer::Fault(Fault::NotConnected), "{}", reply.detail);

    let proxy = Server::start(vec![Act::SayAndClose("HTTP/1.1 403 No\r\n\r\n".into())]);
    let env = |name: &str| (name == "HTTPS_PROXY").then(|| format!("127.0.0.1:{}", proxy.listener_port).into());
    let api = ApiUrl::parse(ApiUrl::DEFAULT, &[]).unwrap();
    let proxied = Proxy::in_use(&api, &env).unwrap();
    assert!(proxied.is_some());
    let config = ClientConfig { api, token: token("xoxp-secret"), proxy: proxied, timeout: PATIENT, now };
    let reply = revoke(&Client::new(config).unwrap()).await;
    assert_eq!(reply.answer, Answer::Fault(Fault::NotConnected), "{}", reply.detail);
    let request = proxy.asked.recv().unwrap();
    assert!(request.starts_with("CONNECT slack.com:443 ") && !request.contains("xoxp"), "{request}");
}

#[tokio::test]
async fn the_other_methods_share_the_way() {
    let identity = r#"{"ok":true,"user_id":"W1","team_id":"E1"}"#;
    let page = r#"{"ok":true,"active_sessions":[{"user_id":"U1","team_id":"T1","session_id":9}]}"#;
    let none = r#"{"ok":false,"error":"no_active_sessions"}"#;
    let script =
        [identity, "{}", page, none, OK, r#"{"ok":false,"error":"missing_scope","needed":"admin.users:read"}"#];
    let script = script.map(|body| Act::Say(answer("200 OK", "x-oauth-scopes: a,b\r\n", body)));
    let server = Server::start(Vec::from(script));
    let inner = server.client().0;
    let query = ListQuery { owner: None, cursor: None, limit: 10 };

    let auth = inner.auth_test().await.unwrap();
    assert_eq!((auth.user_id, auth.scopes), (UserId::parse("W1").unwrap(), Some(vec!["a".into(), "b".into()])));
    let bad = |result| matches!(result, Some(CallError::Fault { fault: Fault::BadResponse, .. }));
    assert!(bad(inner.auth_test().await.err()));
    assert_eq!(inner.list_sessions(&query).await.unwrap().sessions.len(), 1);
    assert_eq!(inner.list_sessions(&query).await, Ok(SessionPage::default()));
    assert!(bad(inner.list_sessions(&query).await.err()));
    let refused =
        CallError::Refused { code: ErrorCode::MissingScope, detail: "needed: admin.users:read".into(), wait: None };
    assert_eq!(inner.list_sessions(&query).await, Err(refused));

    let asked: Vec<_> = server.asked.iter().take(3).collect();
    assert!(asked[0].starts_with("POST /api/auth.test ") && asked[0].ends_with("\r\n\r\n"), "{}", asked[0]);
    assert!(asked[2].starts_with("POST /api/admin.users.session.list ") && asked[2].ends_with("\r\n\r\nlimit=10"));
}

#[tokio::test]
async fn a_fresh_token_is_taken_from_its_file_and_used_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(&path, "xoxe.xoxp-old");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::start(vec![Act::Say(answer("200 OK", "", OK))]);
    let api = ApiUrl::parse(&format!("http://127.0.0.1:{}/", server.listener_port), &[]).unwrap();
    let source = TokenSource::File(path.clone());
    let token_of_file = Token::read(&source, &|_| None, &|| Err(std::io::ErrorKind::NotFound.into())).unwrap();
    let client = Client::new(ClientConfig { api, token: token_of_file, proxy: None, timeout: PATIENT, now }).unwrap();

    assert_eq!(client.refresh_token().await, Refreshed::Unchanged);
    write(&path, "no token");
    assert!(matches!(client.refresh_token().await, Refreshed::Failed(_)));
    write(&path, "xoxe.xoxp-new");
    assert_eq!(client.refresh_token().await, Refreshed::Changed);
    assert_eq!(client.refresh_token().await, Refreshed::Unchanged);
    assert_eq!(revoke(&client).await.answer, Answer::Ok);
    assert!(server.asked.recv().unwrap().contains("Bearer xoxe.xoxp-new\r\n"));
}
