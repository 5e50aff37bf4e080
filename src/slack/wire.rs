//! Parses answers. Pure: no network and no clock.

use super::retry_after;
use crate::model::{
    Answer, CodeClass, ErrorCode, Fault, Reply, Timestamp, UNSTATED_PAUSE, is_unsafe_to_print, without_possible_tokens,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::time::Duration;

/// The relevant headers of an answer, unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    /// `retry-after`; several values are joined by commas.
    pub retry_after: Option<Cow<'a, str>>,
    pub request_id: Option<&'a str>,
    pub scopes: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub date: Option<&'a str>,
    pub location: Option<&'a str>,
}

/// A value of the expected type, or any other value, which counts as absent. An unexpected type of a member that is
/// only displayed must not make the whole answer invalid.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    As(T),
    Other(IgnoredAny),
}

impl<T> Lenient<T> {
    fn get(&self) -> Option<&T> {
        match self {
            Self::As(value) => Some(value),
            Self::Other(IgnoredAny) => None,
        }
    }

    pub(super) fn into_value(self) -> Option<T> {
        match self {
            Self::As(value) => Some(value),
            Self::Other(IgnoredAny) => None,
        }
    }
}

/// Borrowed from the body unless it has escapes.
#[derive(Deserialize)]
struct LenientText<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct ReplyBody<'a> {
    ok: Option<Lenient<bool>>,
    #[serde(borrow)]
    error: Option<Lenient<LenientText<'a>>>,
    #[serde(borrow)]
    needed: Option<Lenient<LenientText<'a>>>,
    #[serde(borrow)]
    provided: Option<Lenient<LenientText<'a>>>,
    #[serde(borrow)]
    warning: Option<Lenient<LenientText<'a>>>,
    #[serde(borrow)]
    response_metadata: Option<Lenient<ResponseMetadata<'a>>>,
}

#[derive(Deserialize)]
struct ResponseMetadata<'a> {
    #[serde(borrow)]
    messages: Option<Lenient<Vec<Lenient<LenientText<'a>>>>>,
}

/// `None` if the member is missing or isn't a string.
fn text<'b>(member: Option<&'b Lenient<LenientText<'_>>>) -> Option<&'b str> {
    member.and_then(Lenient::get).map(|text| &*text.0)
}

impl<'a> ReplyBody<'a> {
    /// `None` unless the body is a single JSON object. serde would also accept an array as a struct.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        if !text.trim_ascii_start().starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }

    fn ok(&self) -> Option<bool> {
        self.ok.as_ref().and_then(Lenient::get).copied()
    }

    /// Slack's code; `None` if nothing is left of it after cleaning.
    fn code(&self) -> Option<ErrorCode> {
        let code = clean(text(self.error.as_ref())?);
        if code.is_empty() { None } else { Some(ErrorCode::from(&*code)) }
    }

    /// `needed`, `provided` and Slack's messages in one line.
    fn detail(&self) -> Box<str> {
        let mut parts = Vec::new();
        if let Some(needed) = text(self.needed.as_ref()) {
            parts.push(format!("needed: {needed}"));
        }
        if let Some(provided) = text(self.provided.as_ref()) {
            parts.push(format!("provided: {provided}"));
        }
        let metadata = self.response_metadata.as_ref().and_then(Lenient::get);
        let messages = metadata.and_then(|metadata| metadata.messages.as_ref()).and_then(Lenient::get);
        // A body of 64 KiB may have thousands of messages; more than this many can't be kept anyway.
        let messages = messages.into_iter().flatten().take(MOST_CHARS);
        parts.extend(messages.filter_map(|message| message.get()).map(|message| message.0.to_string()));
        if parts.is_empty() { Box::default() } else { clean(&parts.join("; ")) }
    }
}

/// Parses an answer.
///
/// Only HTTP 200 with a JSON object whose `ok` is exactly `true` is success (slack.md, "The call"). `now` is used for
/// a date in `Retry-After` if the answer has no `Date`.
#[must_use]
pub fn reply(status: u16, headers: &Headers<'_>, body: &[u8], now: Timestamp) -> Reply {
    let parsed = ReplyBody::read(body);
    let answer = answer(status, headers, parsed.as_ref(), now);
    let detail = match &answer {
        Answer::Fault(_) => {
            fault_detail(status, headers, body.len(), parsed.as_ref().and_then(ReplyBody::code).as_ref())
        }
        Answer::Ok | Answer::Refused(_) | Answer::RateLimited { .. } => {
            parsed.as_ref().map_or_else(Box::default, ReplyBody::detail)
        }
    };
    let warning = parsed.as_ref().and_then(|body| text(body.warning.as_ref())).map(clean);
    Reply {
        wait: wait(&answer, headers, now),
        answer,
        http_status: Some(status),
        request_id: headers.request_id.map(clean).filter(|id| !id.is_empty()),
        detail,
        warning: warning.filter(|warning| !warning.is_empty()),
    }
}

/// Checks for a rate limit first, because no call may ever be made during a pause.
fn answer(status: u16, headers: &Headers<'_>, body: Option<&ReplyBody<'_>>, now: Timestamp) -> Answer {
    let code = body.and_then(ReplyBody::code);
    let limited = matches!(code, Some(ErrorCode::Ratelimited | ErrorCode::RateLimited));
    if status == 429 || limited {
        return Answer::RateLimited { retry_after: pause(headers, now) };
    }
    match (body.and_then(ReplyBody::ok), code) {
        // Slack never redirects its API. After an overload or a crash, the body proves nothing, and the call may have
        // taken effect.
        _ if matches!(status, 300..400 | 408 | 500..) => Answer::Fault(Fault::Http(status)),
        (Some(true), _) if status == 200 => Answer::Ok,
        (Some(false), Some(code)) => Answer::Refused(code),
        _ if status == 200 => Answer::Fault(Fault::BadResponse),
        _ => Answer::Fault(Fault::Http(status)),
    }
}

/// `None` if `Retry-After` is missing or unreadable.
fn pause(headers: &Headers<'_>, now: Timestamp) -> Option<Duration> {
    retry_after::pause(headers.retry_after.as_deref()?, headers.date, now)
}

/// The pause that a transient answer other than a rate limit asks for; [`UNSTATED_PAUSE`] if it can't be read.
fn wait(answer: &Answer, headers: &Headers<'_>, now: Timestamp) -> Option<Duration> {
    let may_be_tried_again = match answer {
        Answer::Fault(_) => true,
        Answer::Refused(code) => code.class() == CodeClass::Transient,
        Answer::Ok | Answer::RateLimited { .. } => false,
    };
    (may_be_tried_again && headers.retry_after.is_some()).then(|| pause(headers, now).unwrap_or(UNSTATED_PAUSE))
}

/// Details that help to find out what answered instead of Slack.
fn fault_detail(status: u16, headers: &Headers<'_>, length: usize, code: Option<&ErrorCode>) -> Box<str> {
    if let Some(code) = code {
        return clean(&format!("HTTP {status}: {code}"));
    }
    let content_type = headers.content_type.unwrap_or("no content type");
    clean(&match status {
        200 if content_type.contains("html") => format!("an HTML page, not an answer of Slack's ({length} bytes)"),
        200 => format!("not an answer of Slack's: {length} bytes, {content_type}"),
        300..400 => {
            let target =
                headers.location.map_or_else(String::new, |location| format!(" to {}", without_query(location)));
            format!("HTTP {status}: a redirect{target}, not followed; a proxy or a portal may stand before Slack")
        }
        _ => format!("HTTP {status}: {length} bytes, {content_type}"),
    })
}

/// Removes the parts of an address that may contain personal data.
fn without_query(location: &str) -> &str {
    location.split(['?', '#', ';']).next().unwrap_or_default()
}

/// Maximum length of a text of an answer, in characters.
const MOST_CHARS: usize = 500;

/// Removes unsafe characters and tokens, and cuts the text to [`MOST_CHARS`]. A server may repeat the request in its
/// answer.
#[must_use]
pub(super) fn clean(text: &str) -> Box<str> {
    if text.len() <= MOST_CHARS && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return without_possible_tokens(text).into();
    }
    let safe: String = text.chars().filter(|char| !is_unsafe_to_print(*char)).collect();
    without_possible_tokens(&safe).chars().take(MOST_CHARS).collect::<String>().into()
}

#[cfg(test)]
mod tests;
