//! What may stand between the program and Slack: it passes calls on, or does to one of them what a network does.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What becomes of a call of the method that is tampered with. Every other call is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Pass,
    /// Answered, and then the connection ends without a word, as an idle one does under the pool.
    PassAndClose,
    /// The connection ends before Slack hears of the call.
    CutBefore,
    /// Slack does what it is asked, and the connection ends before its answer.
    CutAfter,
    /// Slack does what it is asked, and half of its answer arrives.
    Half,
    /// Slack does what it is asked, and its answer comes a byte at a time, more slowly than anybody waits.
    Dribble,
    /// Slack does what it is asked; the answer is these bytes instead of its own, and then the connection ends.
    Answer(Vec<u8>),
    /// Slack does what it is asked; the answer has a body of so many bytes.
    Flood(usize),
}

const REVOCATION: &str = "admin.users.session.invalidate";

type Decide = dyn Fn(usize) -> Act + Send + Sync;

struct Shared {
    upstream: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    method: &'static str,
    decide: Box<Decide>,
    tampered: AtomicUsize,
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// A listener on the loopback address.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// `decide` is asked once for each revocation, with its number, from 0.
    pub fn before(upstream: SocketAddr, decide: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        Self::tampering(REVOCATION, upstream, decide)
    }

    /// The same for the calls of another method.
    pub fn tampering(
        method: &'static str,
        upstream: SocketAddr,
        decide: impl Fn(usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::start(upstream, None, method, Box::new(decide))
    }

    /// Speaks TLS, and passes everything on.
    pub fn encrypted(upstream: SocketAddr, tls: ServerConfig) -> Self {
        Self::start(upstream, Some(Arc::new(tls)), REVOCATION, Box::new(|_| Act::Pass))
    }

    fn start(upstream: SocketAddr, tls: Option<Arc<ServerConfig>>, method: &'static str, decide: Box<Decide>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared {
            upstream,
            tls,
            method,
            decide,
            tampered: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            heads: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&listener, &serving));
        Self { shared, address, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of all requests, as they came.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().expect("no thread panicked").clone()
    }

    /// Connections that were opened, whether or not anything came over them.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Calls of the method that is tampered with.
    pub fn tampered(&self) -> usize {
        self.shared.tampered.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A connection's own thread ends when its client hangs up.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(stream), shared) = (stream, Arc::clone(shared)) else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            let hang_up = stream.try_clone();
            let _ = match &shared.tls {
                None => serve(stream, &shared),
                Some(tls) => ServerConnection::new(Arc::clone(tls))
                    .map_err(io::Error::other)
                    .and_then(|connection| serve(StreamOwned::new(connection, stream), &shared)),
            };
            let _ = hang_up.and_then(|stream| stream.shutdown(Shutdown::Both));
        });
    }
}

/// Calls over one connection, until somebody ends it.
fn serve(mut client: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut upstream = TcpStream::connect(shared.upstream)?;
    while let Some((head, request)) = message(&mut client)? {
        let tampers = head.contains(shared.method);
        shared.heads.lock().expect("no thread panicked").push(head);
        let act = if tampers { (shared.decide)(shared.tampered.fetch_add(1, Ordering::SeqCst)) } else { Act::Pass };
        if act == Act::CutBefore {
            return Ok(());
        }
        upstream.write_all(&request)?;
        let Some((_, answer)) = message(&mut upstream)? else { return Ok(()) };
        match act {
            Act::Pass => client.write_all(&answer)?,
            Act::PassAndClose => return client.write_all(&answer),
            Act::CutBefore | Act::CutAfter => return Ok(()),
            Act::Half => return client.write_all(&answer[..answer.len() / 2]),
            Act::Dribble => return dribble(&mut client, &answer),
            Act::Answer(bytes) => return client.write_all(&bytes),
            Act::Flood(bytes) => return flood(&mut client, bytes),
        }
        client.flush()?;
    }
    Ok(())
}

/// One HTTP message: its head, and all of it. None where the connection ended before one began.
fn message(stream: &mut impl Read) -> io::Result<Option<(String, Vec<u8>)>> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let start = bytes.len();
    bytes.resize(start + length.unwrap_or(0), 0);
    stream.read_exact(&mut bytes[start..])?;
    Ok(Some((head, bytes)))
}

/// The last byte never comes: the client hangs up before.
fn dribble(client: &mut impl Write, answer: &[u8]) -> io::Result<()> {
    let (_held, pause) = std::sync::mpsc::channel::<()>();
    for byte in &answer[..answer.len() - 1] {
        client.write_all(&[*byte])?;
        client.flush()?;
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
    loop {
        client.write_all(b" ")?;
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
}

fn flood(client: &mut impl Write, bytes: usize) -> io::Result<()> {
    write!(client, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n")?;
    client.write_all(b"{\"ok\":true")?;
    let blanks = vec![b' '; 64 * 1024];
    for _ in 0..bytes / blanks.len() {
        client.write_all(&blanks)?;
    }
    client.write_all(b"}")
}
