//! A bare loop over slack-morphism: reads rows, has IN_FLIGHT calls in flight, writes a line for each answer. No plan, no
//! pace, no second attempt, nothing synced.
//!
//! `slack_morphism_peer INPUT OUTPUT URL IN_FLIGHT`, with the token in SLACK_TOKEN.

use futures_util::StreamExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::{Deserialize, Serialize};
use slack_morphism::hyper_tokio::SlackClientHyperConnector;
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient};
use std::error::Error;
use std::io::Write as _;

/// A row, and as it stands the body of its request.
#[derive(Deserialize, Serialize)]
struct Row {
    team_id: String,
    session_id: u64,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, url, in_flight] = &words[..] else { return Err("INPUT OUTPUT URL IN_FLIGHT".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(revoke(input, output, url.trim_end_matches('/'), in_flight.parse()?))
}

async fn revoke(input: &str, output: &str, url: &str, in_flight: usize) -> Result<(), Box<dyn Error>> {
    let connector = SlackClientHyperConnector::with_connector(HttpConnector::new()).with_slack_api_url(url);
    let client = SlackClient::new(connector);
    let token = SlackApiToken::new(SlackApiTokenValue(std::env::var("SLACK_TOKEN")?));
    let session = client.open_session(&token);
    let call = async |row: Result<Row, csv::Error>| -> Result<String, Box<dyn Error>> {
        let row = row?;
        let api = &session.http_session_api;
        let answer = api.http_post::<_, Answer>("admin.users.session.invalidate", &row, None).await;
        let told = match answer {
            Ok(answer) if answer.ok => "revoked".to_owned(),
            Ok(_) => "failed".to_owned(),
            Err(error) => error.to_string(),
        };
        Ok(format!("{},{},{told}", row.team_id, row.session_id))
    };
    let mut rows = csv::Reader::from_path(input)?;
    let mut results = std::io::LineWriter::new(std::fs::File::create(output)?);
    let mut answers =
        std::pin::pin!(futures_util::stream::iter(rows.deserialize()).map(call).buffer_unordered(in_flight));
    while let Some(line) = answers.next().await {
        writeln!(results, "{}", line?)?;
    }
    Ok(())
}
