//! A server that gives every request the same answer: what the stand-in for Slack, which is honest, never says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// The server. Its thread ends with the test's process.
pub struct Canned(SocketAddr);

impl Canned {
    /// HTTP 200 with this JSON.
    pub fn json(body: &str) -> Self {
        Self::answer("200 OK", body)
    }

    /// This status, as in `404 Not Found`, and this body.
    pub fn answer(status: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound port");
        let head = "Content-Type: application/json; charset=utf-8\r\nConnection: close\r\nLocation: /elsewhere";
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that hung up wants no answer.
                let _ = serve(&stream, &answer);
            }
        });
        Self(address)
    }

    pub fn url(&self) -> String {
        format!("http://{}/api/", self.0)
    }
}

/// Reads one request to the end of its body, then answers.
fn serve(mut stream: &TcpStream, answer: &str) -> std::io::Result<()> {
    let (mut reader, mut length, mut line) = (BufReader::new(stream), 0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    stream.write_all(answer.as_bytes())
}
