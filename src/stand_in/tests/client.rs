//! A small HTTP/1.1 client on a plain socket: it shows the bytes as they came, torn ones too.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// By name in small letters.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// Whether the connection ended before the announced length.
    pub torn: bool,
}

impl Answer {
    /// The JSON member `error`, in a body that is Slack's.
    pub fn error(&self) -> Option<&str> {
        self.body.split_once(r#""error":""#)?.1.split('"').next()
    }

    pub fn ok(&self) -> bool {
        self.status == 200 && self.body.starts_with(r#"{"ok":true"#)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// One connection, opened again where the last answer ended it.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    pub authorization: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, authorization: Some(format!("Bearer {token}")), stream: None }
    }

    /// `admin.users.session.invalidate` in the reference's form.
    pub fn invalidate(&mut self, session: u64, team: &str) -> io::Result<Answer> {
        self.form("admin.users.session.invalidate", &format!("session_id={session}&team_id={team}"))
    }

    pub fn form(&mut self, method: &str, body: &str) -> io::Result<Answer> {
        self.post(method, "application/x-www-form-urlencoded", body)
    }

    pub fn post(&mut self, method: &str, kind: &str, body: &str) -> io::Result<Answer> {
        let request = self.request(method, kind, body);
        self.exchange(&request)
    }

    fn request(&self, method: &str, kind: &str, body: &str) -> String {
        let authorization = self.authorization.as_ref().map(|value| format!("authorization: {value}\r\n"));
        format!(
            "POST /api/{method} HTTP/1.1\r\nhost: {}\r\n{}content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            authorization.unwrap_or_default(),
            body.len(),
        )
    }

    fn exchange(&mut self, request: &str) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(self.address)?),
        };
        stream.get_mut().write_all(request.as_bytes())?;
        let answer = read(&mut stream)?;
        if !answer.torn && answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    /// Sends a call on a connection of its own and does not wait for its answer; dropping the socket hangs up.
    pub fn send_alone(&self, session: u64, team: &str) -> io::Result<TcpStream> {
        let body = format!("session_id={session}&team_id={team}");
        let request = self.request("admin.users.session.invalidate", "application/x-www-form-urlencoded", &body);
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let mut headers = HashMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    stream.by_ref().take(length).read_to_end(&mut body)?;
    let torn = body.len() as u64 != length;
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), torn })
}
