//! A server with answers laid down: what the stand-in for Slack, which is honest, never says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The server. Its thread ends with the test's process.
pub struct Canned {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// HTTP 200 with this JSON.
    pub fn json(body: &str) -> Self {
        Self::answer("200 OK", body)
    }

    /// This status, as in `404 Not Found`, and this body: HTML if it begins like that, else JSON.
    pub fn answer(status: &str, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(status, move |_, _| body.clone())
    }

    /// HTTP 200 with the JSON that `body_of` gives for the path and the form of a request.
    pub fn by(body_of: impl Fn(&str, &str) -> String + Send + 'static) -> Self {
        Self::start("200 OK", body_of)
    }

    fn start(status: &str, body_of: impl Fn(&str, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound port");
        let status = status.to_owned();
        let paths = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&paths);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that hung up wants no answer.
                let _ = serve(&stream, |path, form| {
                    seen.lock().expect("no thread panicked").push(path.to_owned());
                    with_head(&status, &body_of(path, form))
                });
            }
        });
        Self { address, paths }
    }

    pub fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The paths of all requests.
    pub fn paths(&self) -> Vec<String> {
        self.paths.lock().expect("no thread panicked").clone()
    }
}

fn with_head(status: &str, body: &str) -> String {
    let kind = if body.starts_with('<') { "text/html" } else { "application/json; charset=utf-8" };
    let head = format!("Content-Type: {kind}\r\nConnection: close\r\nLocation: /elsewhere");
    format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one request to the end of its body, then answers.
fn serve(mut stream: &TcpStream, answer: impl Fn(&str, &str) -> String) -> std::io::Result<()> {
    let (mut reader, mut length, mut line) = (BufReader::new(stream), 0, String::new());
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    line.clear();
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    stream.write_all(answer(&path, &String::from_utf8_lossy(&form)).as_bytes())
}
