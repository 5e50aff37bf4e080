//! The HTTP answers.

use super::config::{LimitStatus, StandInUser, TokenIdentity};
use super::devices::SessionDevices;
use super::faults::InjectedFault;
use super::sessions::Session;
use super::state::Denial;
use crate::model::ErrorCode;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeSet;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const OK: &str = r#"{"ok":true}"#;
const OUTAGE_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Server Error | Slack</title></head>\
    <body><h1>Something's not working</h1><p>Slack is having trouble. We're on it.</p></body></html>\n";
const PROXY_PAGE: &str = "<html><head><title>Sign in to continue</title></head>\
    <body><form method=\"post\"><h1>Network access</h1></form></body></html>\n";

/// Number of bytes missing from a truncated answer, which leaves `{"ok":`.
pub(super) const TORN_BYTES: usize = 5;

/// The body of any method; absent members are omitted.
#[derive(Debug, Default, Serialize)]
struct Envelope<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provided: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    identity: Option<TokenIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_sessions: Option<Vec<ListedSession>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<ListedUser>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_metadata: Option<AnswerMetadata<'a>>,
}

#[derive(Debug, Serialize)]
struct ListedUser {
    id: String,
    email: String,
    is_active: bool,
    workspaces: BTreeSet<String>,
}

#[derive(Debug, Default, Serialize)]
struct AnswerMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct ListedSession {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<String>,
    session_id: u64,
    #[serde(flatten)]
    devices: Option<SessionDevices>,
}

pub(super) fn ok(warning: Option<&'static str>) -> Response {
    match warning {
        None => plain(StatusCode::OK, &JSON, OK),
        Some(_) => json(Envelope { ok: true, ..Envelope::default() }, None, warning),
    }
}

/// `ok: false`, optionally with messages.
pub(super) fn refused(code: &ErrorCode, words: Option<&str>, warning: Option<&'static str>) -> Response {
    json(Envelope { error: Some(code.as_str()), ..Envelope::default() }, words, warning)
}

pub(super) fn denied(denial: &Denial) -> Response {
    let needed = denial.scopes.as_ref().map(|(needed, _)| *needed);
    let provided = denial.scopes.as_ref().map(|(_, provided)| provided.as_str());
    json(Envelope { error: Some(denial.code.as_str()), needed, provided, ..Envelope::default() }, None, None)
}

pub(super) fn limited(status: LimitStatus, retry_after: Option<HeaderValue>) -> Response {
    let mut response = match status {
        LimitStatus::TooManyRequests | LimitStatus::Ok => refused(&ErrorCode::Ratelimited, None, None),
        LimitStatus::Unavailable => fault(InjectedFault::Unavailable),
    };
    if status == LimitStatus::TooManyRequests {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after);
    }
    response
}

pub(super) fn identity(identity: TokenIdentity, warning: Option<&'static str>) -> Response {
    json(Envelope { ok: true, identity: Some(identity), ..Envelope::default() }, None, warning)
}

/// A page of sessions; the cursor is empty on the last page.
pub(super) fn sessions(page: Vec<Session>, next_cursor: String) -> Response {
    let active = page.into_iter().map(|session| ListedSession {
        user_id: session.user,
        team_id: session.team,
        session_id: session.id,
        devices: session.devices,
    });
    let metadata = AnswerMetadata { next_cursor: Some(next_cursor), ..AnswerMetadata::default() };
    let active_sessions = Some(active.collect());
    as_slack(Json(Envelope { ok: true, active_sessions, response_metadata: Some(metadata), ..Envelope::default() }))
}

/// A page of users; the cursor is empty on the last page.
pub(super) fn users(page: impl Iterator<Item = (BTreeSet<String>, StandInUser)>, next_cursor: String) -> Response {
    let users = page.map(|(workspaces, user)| {
        let StandInUser { id, email, is_active } = user;
        ListedUser { id, email, is_active, workspaces }
    });
    let metadata = AnswerMetadata { next_cursor: Some(next_cursor), ..AnswerMetadata::default() };
    let users = Some(users.collect());
    as_slack(Json(Envelope { ok: true, users, response_metadata: Some(metadata), ..Envelope::default() }))
}

/// The answer of a fault. For resets and truncated answers, the connection is broken separately.
pub(super) fn fault(fault: InjectedFault) -> Response {
    match fault {
        InjectedFault::InternalError => {
            let mut response = refused(&ErrorCode::InternalError, None, None);
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
        InjectedFault::FatalError => refused(&ErrorCode::FatalError, None, None),
        InjectedFault::RequestTimeoutCode => refused(&ErrorCode::RequestTimeout, None, None),
        InjectedFault::Unavailable => plain(StatusCode::SERVICE_UNAVAILABLE, &HTML, OUTAGE_PAGE),
        InjectedFault::RequestTimeout => plain(StatusCode::REQUEST_TIMEOUT, &HTML, ""),
        InjectedFault::Garbage => plain(StatusCode::OK, &JSON, "{\"ok\":tr\u{0}\u{fffd}e"),
        InjectedFault::ProxyPage => plain(StatusCode::OK, &HTML, PROXY_PAGE),
        InjectedFault::Reset | InjectedFault::Torn | InjectedFault::Slow(_) => ok(None),
    }
}

fn json<'a>(mut envelope: Envelope<'a>, words: Option<&'a str>, warning: Option<&'a str>) -> Response {
    if words.is_some() || warning.is_some() {
        let (messages, warnings) = (words.into_iter().collect(), warning.into_iter().collect());
        envelope.warning = warning;
        envelope.response_metadata = Some(AnswerMetadata { messages, warnings, next_cursor: None });
    }
    as_slack(Json(envelope))
}

/// Adds the charset to the content type, as Slack does.
fn as_slack(json: impl IntoResponse) -> Response {
    let mut response = json.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn plain(status: StatusCode, kind: &HeaderValue, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    response
}
