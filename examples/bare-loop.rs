//! A bare loop over reqwest, set up as the program sets it up: what its transport costs, and the ceiling of what it can do on
//! one thread. Reads rows, has `IN_FLIGHT` calls in flight, writes a line for each answer. No plan, no pace, no second attempt,
//! nothing synced.
//!
//! `bare-loop INPUT OUTPUT URL IN_FLIGHT`, with the token in `SLACK_TOKEN`; `benches/peers/run --only oha,reqwest` runs it.

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use std::cell::RefCell;
use std::error::Error;
use std::fs::File;
use std::io::{LineWriter, Write as _};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;

#[derive(Deserialize)]
struct Row {
    team_id: String,
    session_id: u64,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
}

/// What all workers share; they take turns on one thread.
struct Loop {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    rows: RefCell<csv::DeserializeRecordsIntoIter<File, Row>>,
    results: RefCell<LineWriter<File>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, url, in_flight] = &words[..] else { return Err("INPUT OUTPUT URL IN_FLIGHT".into()) };
    let in_flight: usize = in_flight.parse()?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(AUTHORIZATION, format!("Bearer {}", std::env::var("SLACK_TOKEN")?).parse()?);
    let this = Rc::new(Loop {
        client: client()?,
        url: Url::parse(url)?.join("admin.users.session.invalidate")?,
        headers,
        rows: RefCell::new(csv::Reader::from_path(input)?.into_deserialize()),
        results: RefCell::new(LineWriter::new(File::create(output)?)),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let workers = LocalSet::new();
    let ended: Vec<_> = (0..in_flight).map(|_| workers.spawn_local(work(Rc::clone(&this)))).collect();
    runtime.block_on(workers.run_until(async {
        for worker in ended {
            worker.await??;
        }
        Ok(())
    }))
}

/// As `src/slack/http.rs` has it.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .tls_certs_only([])
        .build()
}

async fn work(this: Rc<Loop>) -> Result<(), Box<dyn Error>> {
    loop {
        let Some(row) = this.rows.borrow_mut().next() else { return Ok(()) };
        let Row { team_id, session_id } = row?;
        let mut request = Request::new(Method::POST, this.url.clone());
        request.headers_mut().clone_from(&this.headers);
        *request.body_mut() = Some(format!("session_id={session_id}&team_id={team_id}").into());
        let body = this.client.execute(request).await?.bytes().await?;
        let told = if serde_json::from_slice::<Answer>(&body)?.ok { "revoked" } else { "failed" };
        writeln!(this.results.borrow_mut(), "{team_id},{session_id},{told}")?;
    }
}
