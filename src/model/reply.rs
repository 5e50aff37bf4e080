//! What came back from one call, before anybody decides what it means.

use super::ErrorCode;
use std::time::Duration;

/// The pause if an answer asks for one and doesn't say how long, or illegibly (slack.md, "Rate limits").
pub const UNSTATED_PAUSE: Duration = Duration::from_secs(30);

/// The answer to one call that ends sessions, reduced to what the engine decides by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub answer: Answer,
    /// The HTTP status, where there was an HTTP answer at all.
    pub http_status: Option<u16>,
    /// `x-slack-req-id`.
    pub request_id: Option<Box<str>>,
    /// Slack's own words (`response_metadata.messages`, `needed`/`provided`), or the transport's; free of control characters.
    pub detail: Box<str>,
    /// The `warning` member: worth one line in the log, never a row's failure.
    pub warning: Option<Box<str>>,
    /// How long the server asks to wait before another call, in an answer that is worth another attempt and no limit:
    /// `Retry-After` on a 503. `None` if it doesn't ask.
    pub wait: Option<Duration>,
}

impl Reply {
    /// A reply that holds nothing but its answer; the others start from here.
    #[must_use]
    pub fn bare(answer: Answer) -> Self {
        Self { answer, http_status: None, request_id: None, detail: Box::default(), warning: None, wait: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// HTTP 200, a JSON body, and `ok` exactly `true`. Nothing else is success.
    Ok,
    /// `ok: false` and a code, whatever the HTTP status, other than a limit.
    Refused(ErrorCode),
    /// HTTP 429, or `ratelimited` in a body of any status; with the pause that was asked for, where it could be read.
    RateLimited {
        /// From `Retry-After`: seconds, or an HTTP date less now. `None` where it is missing or unreadable.
        retry_after: Option<Duration>,
    },
    Fault(Fault),
}

/// Why there is no clear answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection was never made, so nothing was sent: the one fault that cannot have had an effect.
    NotConnected,
    /// The connection broke while the request or its answer was on the way.
    Connection,
    /// `--timeout` passed.
    Timeout,
    /// An HTTP status that is no answer of Slack's.
    Http(u16),
    /// A 200 that is not the JSON it should be.
    BadResponse,
}

impl Fault {
    /// Whether the session may be gone all the same.
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
