//! A real Redis server for one test, in a folder and on a loopback port of its own, and a wire to it that can be cut or slowed.

use super::report_skipped;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Ports that another process may take between looking for a free one and listening on it.
const TRIES: u32 = 5;

pub struct RedisServer {
    process: Child,
    pub port: u16,
    folder: TempDir,
    options: Vec<String>,
}

impl RedisServer {
    /// `None` if it isn't installed; the test is named as skipped then.
    pub fn start(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        for _ in 0..TRIES {
            let port = free_port();
            match listening(port, &folder, &options) {
                Ok(Some(process)) => return Some(Self { process, port, folder, options }),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    report_skipped("redis-server isn't installed");
                    return None;
                }
                Err(error) => panic!("redis-server: {error}"),
            }
        }
        panic!("redis-server doesn't listen");
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Without saying goodbye; what it had is lost.
    pub fn kill(&mut self) {
        self.process.kill().expect("a child of ours");
        self.process.wait().expect("a child of ours");
    }

    /// On the same port.
    pub fn start_again(&mut self) {
        let process = listening(self.port, &self.folder, &self.options).expect("it was there");
        self.process = process.expect("the port is still free");
    }

    /// One command, as words without spaces. Returns the answer in Redis's protocol.
    pub fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    listener.local_addr().expect("a bound listener").port()
}

/// A server that listens; `None` if it ended, because the port was taken meanwhile.
fn listening(port: u16, folder: &TempDir, options: &[String]) -> std::io::Result<Option<Child>> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""]);
    command.arg("--dir").arg(folder.path()).arg("--port").arg(port.to_string());
    command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn()?;
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    if lines.any(|line| line.contains("Ready to accept connections")) {
        // Whatever it still says is read, so that it never waits for a reader.
        thread::spawn(move || lines.for_each(drop));
        return Ok(Some(process));
    }
    process.wait()?;
    Ok(None)
}

/// A wire to a server: what is sent over it arrives after `delay`, as long as that is switched on.
pub struct SlowWire {
    pub port: u16,
    is_slow: Arc<AtomicBool>,
}

impl SlowWire {
    pub fn to(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let own = listener.local_addr().expect("a bound listener").port();
        let is_slow = Arc::new(AtomicBool::new(false));
        let slow = Arc::clone(&is_slow);
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a server");
                let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                let slow = Arc::clone(&slow);
                let delay = move || if slow.load(Ordering::Relaxed) { delay } else { Duration::ZERO };
                thread::spawn(move || pass(from, to, delay));
                thread::spawn(move || pass(server, client, || Duration::ZERO));
            }
        });
        Self { port: own, is_slow }
    }

    pub fn slow_down(&self) {
        self.is_slow.store(true, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: impl Fn() -> Duration) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        thread::sleep(delay());
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
