//! Requests: headers, form (`application/x-www-form-urlencoded` without a charset parameter; slack.md, "The call"),
//! and a body that is only sent while its permit is valid.

use super::{ApiUrl, Token};
use crate::engine::ports::Permit;
use crate::model::{SessionKind, SessionTarget, UserId};
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::Body;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The `User-Agent`.
pub(super) const NAME: &str = concat!("slack-revoke/", env!("CARGO_PKG_VERSION"));

/// The headers of every call; the only place that uses the token. Includes the two headers that the transport would
/// otherwise build for each call.
pub(super) fn headers(api: &ApiUrl, token: &Token) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
    headers.insert(AUTHORIZATION, token.bearer());
    if let Ok(host) = HeaderValue::from_str(api.authority()) {
        headers.insert(HOST, host);
    }
    headers
}

pub(super) fn session_form(target: &SessionTarget) -> Form {
    let (name, value) = target.identifier();
    Form::new().with("session_id", &target.session().to_string()).with(name, value)
}

/// A list is one comma-separated argument, as Slack's SDKs send it.
pub(super) fn users_form(users: &[UserId], only: Option<SessionKind>) -> Form {
    let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let form = Form::new().with("user_ids", &users.join(","));
    match only {
        None => form,
        Some(SessionKind::Web) => form.with("web_only", "true"),
        Some(SessionKind::Mobile) => form.with("mobile_only", "true"),
    }
}

#[derive(Debug, Default)]
pub(super) struct Form(String);

impl Form {
    /// An empty form.
    #[must_use]
    pub(super) fn new() -> Self {
        Self(String::with_capacity(64))
    }

    /// Adds an argument. `name` must not need encoding.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            self.push_encoded(byte);
        }
        self
    }

    #[must_use]
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Encodes everything but RFC 3986's unreserved characters as `%XX`.
    fn push_encoded(&mut self, byte: u8) {
        const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            self.0.push(char::from(byte));
        } else {
            self.0.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a call. If the permit was withdrawn, it ends the connection before anything is sent.
///
/// hyper buffers the head of a request and polls the body for its first frame before it writes to the socket. So the
/// first frame is the last moment before the first byte, and the connection is already established.
pub(super) struct PermittedBody {
    permit: Arc<Permit>,
    inner: Body,
}

impl PermittedBody {
    pub(super) fn new(permit: Arc<Permit>, inner: Body) -> Self {
        Self { permit, inner }
    }
}

impl HttpBody for PermittedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        if !self.permit.start() {
            return Poll::Ready(Some(Err("the permit was withdrawn".into())));
        }
        Pin::new(&mut self.inner).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arguments_are_joined_and_encoded() {
        assert_eq!(Form::new().finish(), "");
        let form = Form::new().with("session_id", "12345").with("team_id", "T1234");
        assert_eq!(form.finish(), "session_id=12345&team_id=T1234");
        assert_eq!(Form::new().with("cursor", "dXNlcj==+/&é").finish(), "cursor=dXNlcj%3D%3D%2B%2F%26%C3%A9");
    }

    proptest! {
        #[test]
        fn any_value_stays_one_value(value in any::<String>()) {
            let form = Form::new().with("a", &value).finish();
            prop_assert!(!form[2..].contains(['&', '=', '+', ' ']));
            let mut url = reqwest::Url::parse("http://localhost/").unwrap();
            url.set_query(Some(&form));
            prop_assert_eq!(url.query_pairs().next().unwrap().1, value);
        }
    }
}
