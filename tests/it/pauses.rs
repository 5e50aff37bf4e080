//! No call is sent inside a pause, even if it was decided on before: a server with slow handshakes counts the requests
//! that arrive after its 429.

use crate::harness::{TOKEN, Workdir, certificate, rows};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What the `Retry-After` of the only 429 asks for.
const PAUSE: Duration = Duration::from_secs(2);

/// Handshakes that are under way when the 429 is sent complete this much later, far inside the pause.
const HANDSHAKE_LASTS: Duration = Duration::from_millis(300);

/// A server whose first connection is fast. The others wait in their handshake until the first one has delivered a 429.
struct SlowHandshakes {
    tls: Arc<ServerConfig>,
    /// The status that comes with the pause, in place of a 429.
    status: &'static str,
    /// Whether the 429 ends the first connection, so that no call can be sent on it.
    closes: bool,
    /// Tells the first connection that another one is being made.
    waiting: Sender<()>,
    limited_at: Mutex<Option<Instant>>,
    /// Revocations that arrived, each with the time since the 429.
    arrived: Mutex<Vec<Option<Duration>>>,
}

impl SlowHandshakes {
    fn start(tls: ServerConfig, status: &'static str, closes: bool) -> (Arc<Self>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("a bound port").port();
        let (waiting, others) = mpsc::channel();
        let server = Arc::new(Self {
            tls: Arc::new(tls),
            status,
            closes,
            waiting,
            limited_at: Mutex::default(),
            arrived: Mutex::default(),
        });
        let serving = Arc::clone(&server);
        thread::spawn(move || {
            let mut others = Some(others);
            for stream in listener.incoming().map_while(Result::ok) {
                let (server, others) = (Arc::clone(&serving), others.take());
                // A client that hangs up wants no answer.
                thread::spawn(move || server.serve(stream, others.as_ref()).unwrap_or_default());
            }
        });
        (server, port)
    }

    #[expect(clippy::disallowed_methods, reason = "the server's own clock: it counts what arrives inside its pause")]
    fn serve(&self, stream: TcpStream, others: Option<&Receiver<()>>) -> std::io::Result<()> {
        if others.is_none() {
            let _ = self.waiting.send(());
            while self.limited_at.lock().expect("no panic").is_none_or(|at| at.elapsed() < HANDSHAKE_LASTS) {
                thread::yield_now();
            }
        }
        let connection = ServerConnection::new(Arc::clone(&self.tls)).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while let Some(head) = request(&mut stream)? {
            let answer = self.answer(&head, others);
            stream.write_all(answer.as_bytes())?;
            if answer.contains(self.status) {
                stream.flush()?;
                *self.limited_at.lock().expect("no panic") = Some(Instant::now());
            }
        }
        Ok(())
    }

    fn answer(&self, head: &str, others: Option<&Receiver<()>>) -> String {
        if head.contains("auth.test") {
            return ok(
                r#"{"ok":true,"url":"https://x.slack.com/","team":"T","user":"u","team_id":"T1","user_id":"U9"}"#,
            );
        }
        let since = self.limited_at.lock().expect("no panic").map(|at| at.elapsed());
        let mut arrived = self.arrived.lock().expect("no panic");
        arrived.push(since);
        let is_second = arrived.len() == 2;
        drop(arrived);
        if let (true, Some(others)) = (is_second, others) {
            (0..3).for_each(|_| others.recv().expect("another connection is being made"));
            let close = if self.closes { "Connection: close\r\n" } else { "" };
            return format!(
                "HTTP/1.1 {}\r\n{close}Retry-After: {}\r\nContent-Length: 0\r\n\r\n",
                self.status,
                PAUSE.as_secs()
            );
        }
        ok(r#"{"ok":true}"#)
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// One request, its body read; gives the head, or `None` at the end of the connection.
fn request(stream: &mut impl Read) -> std::io::Result<Option<String>> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)])?;
    Ok(Some(head))
}

#[test]
fn waiting_calls_are_not_sent_on_the_connection_of_a_429() {
    no_call_arrives_inside_the_pause("429 Slow", false);
}

#[test]
fn calls_waiting_for_a_handshake_are_not_sent_during_a_pause() {
    no_call_arrives_inside_the_pause("429 Slow", true);
}

#[test]
fn waiting_calls_are_not_sent_during_the_pause_of_a_503() {
    no_call_arrives_inside_the_pause("503 Busy", false);
}

#[track_caller]
fn no_call_arrives_inside_the_pause(status: &'static str, closes: bool) {
    let (tls, roots) = certificate::trusted("localhost");
    let (server, port) = SlowHandshakes::start(tls, status, closes);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 12));
    let roots = work.write("roots.pem", roots);
    work.program(["run", "in.csv", "--yes", "--rate", "1000/s", "-j", "6"])
        .args(["--api-url", &format!("https://localhost:{port}/api/")])
        .token(TOKEN)
        .env("SSL_CERT_FILE", roots.to_str().expect("UTF-8"))
        .exits(0);
    let arrived = server.arrived.lock().expect("no panic").clone();
    let inside: Vec<_> = arrived.iter().flatten().filter(|since| **since < PAUSE).collect();
    assert!(inside.is_empty(), "{} of {} calls arrived inside the pause: {inside:?}", inside.len(), arrived.len());
    let results = work.results("in.results.csv");
    assert_eq!(results.count("revoked"), 12);
    let attempts: u64 =
        results.records.iter().map(|record| record.get("attempts").parse::<u64>().expect("a number")).sum();
    assert_eq!(attempts, 12 + u64::from(status.starts_with("503")), "a withdrawn call is no attempt, nor is a 429");
    assert_eq!(arrived.len(), 13, "every row once, and the one that was limited again");
}
