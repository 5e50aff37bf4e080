//! The answer to a call, before it is classified.

use super::ErrorCode;
use std::time::Duration;

/// The pause if an answer asks for one without a readable length (slack.md, "Rate limits").
pub const UNSTATED_PAUSE: Duration = Duration::from_secs(30);

/// The answer to a call that ends sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub answer: Answer,
    /// `None` without an HTTP answer.
    pub http_status: Option<u16>,
    /// `x-slack-req-id`.
    pub request_id: Option<Box<str>>,
    /// Slack's messages (`response_metadata.messages`, `needed`/`provided`) or that of the transport, without control
    /// characters.
    pub detail: Box<str>,
    /// The `warning` member. It is logged, and isn't a failure.
    pub warning: Option<Box<str>>,
    /// The pause that a transient answer other than a rate limit asks for, such as a 503 with `Retry-After`.
    pub wait: Option<Duration>,
}

impl Reply {
    /// Only with an answer.
    #[must_use]
    pub fn bare(answer: Answer) -> Self {
        Self { answer, http_status: None, request_id: None, detail: Box::default(), warning: None, wait: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// HTTP 200, a JSON body, and `ok` exactly `true`.
    Ok,
    /// `ok: false` and a code other than a rate limit, with any HTTP status.
    Refused(ErrorCode),
    /// HTTP 429, or `ratelimited` in a body of any status.
    RateLimited {
        /// From `Retry-After`: seconds, or an HTTP date minus now. `None` if it is missing or unreadable.
        retry_after: Option<Duration>,
    },
    Fault(Fault),
}

/// Why there is no clear answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No connection was made, so nothing was sent. The only fault that can't have had an effect.
    NotConnected,
    /// The connection broke during the request or the answer.
    Connection,
    Timeout,
    /// An HTTP status without a usable answer.
    Http(u16),
    /// HTTP 200 without the expected JSON.
    BadResponse,
}

impl Fault {
    /// Whether the call may have taken effect.
    #[must_use]
    pub fn is_ambiguous(self) -> bool {
        match self {
            Self::NotConnected => false,
            Self::Connection | Self::Timeout | Self::Http(_) | Self::BadResponse => true,
        }
    }

    /// The `error` column: `http_503`, `timeout`, `connection`, `bad_response`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::NotConnected | Self::Connection => "connection".into(),
            Self::Timeout => "timeout".into(),
            Self::Http(status) => format!("http_{status}"),
            Self::BadResponse => "bad_response".into(),
        }
    }
}
