//! Errors of calls other than revocations.

use super::wire::clean;
use crate::model::{Answer, CodeClass, ErrorCode, Fault, Reply, format_duration};
use std::error::Error;
use std::time::Duration;

/// Errors of `auth.test` and the listing methods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// HTTP 429, or its code in a body.
    #[error("Slack asks for a pause{}", pause_words(*retry_after))]
    RateLimited {
        /// The pause that Slack asked for; `None` means 30 s (slack.md, "Rate limits").
        retry_after: Option<Duration>,
    },
    /// Slack refused with a code.
    #[error("Slack answered {code}{}", detail_words(detail))]
    Refused { code: ErrorCode, detail: Box<str>, wait: Option<Duration> },
    /// No answer, or one that isn't Slack's.
    #[error("{}", fault_words(*fault, detail))]
    Fault { fault: Fault, detail: Box<str>, wait: Option<Duration> },
}

impl CallError {
    /// `None` if the reply is a success.
    pub(super) fn of(Reply { answer, detail, wait, .. }: Reply) -> Option<Self> {
        match answer {
            Answer::Ok => None,
            Answer::RateLimited { retry_after } => Some(Self::RateLimited { retry_after }),
            Answer::Refused(code) => Some(Self::Refused { code, detail, wait }),
            Answer::Fault(fault) => Some(Self::Fault { fault, detail, wait }),
        }
    }

    /// The inverse of [`Self::of`].
    #[must_use]
    pub fn into_reply(self) -> Reply {
        match self {
            Self::RateLimited { retry_after } => Reply::bare(Answer::RateLimited { retry_after }),
            Self::Refused { code, detail, wait } => Reply { detail, wait, ..Reply::bare(Answer::Refused(code)) },
            Self::Fault { fault, detail, wait } => Reply { detail, wait, ..Reply::bare(Answer::Fault(fault)) },
        }
    }

    /// Whether a retry may succeed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.class() == CodeClass::Transient,
            Self::Fault { fault: Fault::NotConnected, detail, .. } => !lasts(detail),
            Self::RateLimited { .. } | Self::Fault { fault: Fault::Connection | Fault::Timeout, .. } => true,
            Self::Fault { fault: Fault::Http(status), .. } => matches!(status, 408 | 500..),
            Self::Fault { fault: Fault::BadResponse, .. } => false,
        }
    }

    /// What the refusal means for the token; `None` if it says nothing about it.
    #[must_use]
    pub fn objection(&self) -> Option<Objection> {
        match self {
            Self::Refused { code, .. } => objection(code),
            Self::RateLimited { .. } | Self::Fault { .. } => None,
        }
    }

    /// As in the `error` column of the results.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::RateLimited { .. } => ErrorCode::Ratelimited.to_string(),
            Self::Refused { code, .. } => code.to_string(),
            Self::Fault { fault, detail, .. } => name(*fault, detail),
        }
    }

    /// `ok: true` without the documented members.
    pub(super) fn bad_response(detail: &str) -> Self {
        Self::Fault { fault: Fault::BadResponse, detail: detail.into(), wait: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// Every call with this token would be refused.
    Rejected,
    /// The token isn't permitted to make this call.
    NotPermitted,
}

fn objection(code: &ErrorCode) -> Option<Objection> {
    match code.class() {
        CodeClass::Run if is_about_the_call(code) => None,
        CodeClass::Run | CodeClass::TokenExpired => Some(Objection::Rejected),
        CodeClass::Workspace => Some(Objection::NotPermitted),
        CodeClass::SuspectRow if matches!(code, ErrorCode::AccessDenied | ErrorCode::AdminUnauthorized) => {
            Some(Objection::NotPermitted)
        }
        CodeClass::SuspectRow
        | CodeClass::AlreadyGone
        | CodeClass::NotFound
        | CodeClass::RateLimited
        | CodeClass::Transient
        | CodeClass::Row
        | CodeClass::Listing => None,
    }
}

/// Codes that say nothing about the token: another program is at the address, or the call was changed on the way.
fn is_about_the_call(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UnknownMethod
            | ErrorCode::MethodDeprecated
            | ErrorCode::DeprecatedEndpoint
            | ErrorCode::InvalidArgName
            | ErrorCode::InvalidArrayArg
            | ErrorCode::InvalidCharset
            | ErrorCode::InvalidFormData
            | ErrorCode::InvalidPostType
            | ErrorCode::MissingPostType
    )
}

fn pause_words(pause: Option<Duration>) -> String {
    pause.map_or_else(String::new, |pause| format!(" of {}", format_duration(pause)))
}

fn detail_words(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn fault_words(fault: Fault, detail: &str) -> String {
    let with_detail = |words: &str| format!("{words}{}", detail_words(detail));
    match fault {
        Fault::NotConnected => with_detail("Slack can't be reached"),
        Fault::Connection => with_detail("the connection broke"),
        Fault::Timeout => "no answer within --timeout".into(),
        Fault::Http(status) if detail.is_empty() => format!("HTTP {status} instead of an answer of Slack's"),
        Fault::BadResponse if detail.is_empty() => "the answer isn't Slack's".into(),
        Fault::Http(_) | Fault::BadResponse => detail.into(),
    }
}

/// The transport's message for a proxy that answers `CONNECT` with 407.
const TUNNEL_AUTH: &str = "proxy authorization required";

/// Replaces [`TUNNEL_AUTH`].
const PROXY_AUTH: &str = "the proxy asks for a user name and password (HTTP 407)";

/// The start of the transport's message for an untrusted certificate.
const BAD_CERTIFICATE: &str = "invalid peer certificate: ";

/// Replaces [`BAD_CERTIFICATE`].
const CERTIFICATE: &str = "the server's certificate isn't trusted: ";

/// Whether a retry would fail too.
fn lasts(detail: &str) -> bool {
    detail == PROXY_AUTH || detail.starts_with(CERTIFICATE)
}

/// The name by which the hint is found.
fn name(fault: Fault, detail: &str) -> String {
    match fault {
        Fault::NotConnected if detail == PROXY_AUTH => "http_407".into(),
        Fault::NotConnected if detail.starts_with(CERTIFICATE) => "certificate".into(),
        Fault::NotConnected | Fault::Connection | Fault::Timeout | Fault::Http(_) | Fault::BadResponse => fault.name(),
    }
}

/// A call without an answer. The cause contains neither the address nor the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TransportError {
    pub(super) fault: Fault,
    pub(super) detail: Box<str>,
}

impl TransportError {
    /// From the transport's error, before or after the request went out.
    ///
    /// The order of the checks matters: a connect timeout is a connection that was never made.
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        let fault = if error.is_connect() || error.is_builder() {
            Fault::NotConnected
        } else if error.is_timeout() {
            Fault::Timeout
        } else {
            Fault::Connection
        };
        let error = error.without_url();
        Self { fault, detail: clean(&in_our_words(&root_cause(&error))) }
    }

    /// The error that a command sees.
    pub(super) fn into_error(self) -> CallError {
        CallError::Fault { fault: self.fault, detail: self.detail, wait: None }
    }

    /// The reply that the engine sees.
    pub(super) fn into_reply(self) -> Reply {
        Reply { detail: self.detail, ..Reply::bare(Answer::Fault(self.fault)) }
    }
}

/// Rewrites messages that don't show the cause clearly.
fn in_our_words(cause: &str) -> String {
    match (cause.strip_prefix(BAD_CERTIFICATE), cause.contains(TUNNEL_AUTH)) {
        (Some(why), _) => format!("{CERTIFICATE}{why}"),
        (None, true) => PROXY_AUTH.into(),
        (None, false) => cause.into(),
    }
}

/// The message of the innermost error; the outer ones only say that a request failed.
fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[test]
    fn every_error_says_what_happened() {
        let refused = |code: &str, detail: &str| CallError::Refused {
            code: ErrorCode::from(code),
            detail: detail.into(),
            wait: None,
        };
        let fault = |fault, detail: &str| CallError::Fault { fault, detail: detail.into(), wait: None };
        for (error, words) in [
            (CallError::RateLimited { retry_after: None }, "Slack asks for a pause"),
            (CallError::RateLimited { retry_after: Some(Duration::from_secs(30)) }, "Slack asks for a pause of 30s"),
            (refused("invalid_auth", ""), "Slack answered invalid_auth"),
            (refused("missing_scope", "needed: x"), "Slack answered missing_scope: needed: x"),
            (fault(Fault::NotConnected, "refused"), "Slack can't be reached: refused"),
            (fault(Fault::Timeout, "operation timed out"), "no answer within --timeout"),
            (fault(Fault::Http(404), ""), "HTTP 404 instead of an answer of Slack's"),
            (fault(Fault::Http(302), "HTTP 302: a redirect to /x"), "HTTP 302: a redirect to /x"),
        ] {
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_lasts() {
        let fault = |fault, detail: &str| CallError::Fault { fault, detail: detail.into(), wait: None };
        for (fault, may_pass) in [
            (fault(Fault::NotConnected, "Connection refused"), true),
            (fault(Fault::NotConnected, PROXY_AUTH), false),
            (fault(Fault::NotConnected, "the server's certificate isn't trusted: expired"), false),
            (fault(Fault::Connection, ""), true),
            (fault(Fault::Timeout, ""), true),
            (fault(Fault::Http(408), ""), true),
            (fault(Fault::Http(502), ""), true),
            (fault(Fault::Http(302), ""), false),
            (fault(Fault::Http(204), ""), false),
            (fault(Fault::Http(411), ""), false),
            (fault(Fault::BadResponse, ""), false),
        ] {
            assert_eq!((fault.may_pass(), fault.objection()), (may_pass, None), "{fault:?}");
        }
    }

    #[test]
    fn a_refusal_passes_or_is_about_the_token_or_says_nothing() {
        use Objection::{NotPermitted, Rejected};
        for (code, may_pass, objection) in [
            ("internal_error", true, None),
            ("service_unavailable", true, None),
            ("fatal_error", true, None),
            ("request_timeout", true, None),
            ("invalid_auth", false, Some(Rejected)),
            ("token_expired", false, Some(Rejected)),
            ("missing_scope", false, Some(Rejected)),
            ("enterprise_is_restricted", false, Some(Rejected)),
            ("access_denied", false, Some(NotPermitted)),
            ("no_permission", false, Some(NotPermitted)),
            ("org_login_required", false, Some(NotPermitted)),
            ("unknown_method", false, None),
            ("invalid_form_data", false, None),
            ("invalid_arguments", false, None),
            ("brand_new", false, None),
        ] {
            let error = CallError::Refused { code: ErrorCode::from(code), detail: "".into(), wait: None };
            assert_eq!((error.may_pass(), error.objection()), (may_pass, objection), "{code}");
        }
    }

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as &(dyn Error + 'static))
        }
    }

    #[test]
    fn the_innermost_words_are_told() {
        let refused = Layer("Connection refused", None);
        let request =
            Layer("error sending request", Some(Box::new(Layer("tcp connect error", Some(Box::new(refused))))));
        assert_eq!(root_cause(&request), "Connection refused");
        assert_eq!(root_cause(&Layer("alone", None)), "alone");
    }
}
