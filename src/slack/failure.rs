//! Why a call brought no answer: the transport's errors as faults.

use super::CallError;
use super::text::clean;
use crate::model::{Answer, Fault, Reply};
use std::error::Error;

/// The transport's words for a proxy that answers `CONNECT` with 407.
const TUNNEL_AUTH: &str = "proxy authorization required";

/// The same in ours.
pub(super) const PROXY_AUTH: &str = "the proxy asks for a user name and password (HTTP 407)";

/// How the transport's words for a certificate it doesn't trust begin.
const BAD_CERTIFICATE: &str = "invalid peer certificate: ";

/// How ours do.
const CERTIFICATE: &str = "the server's certificate isn't trusted: ";

/// Whether a connection that was never made fails again in a moment.
pub(super) fn lasts(detail: &str) -> bool {
    detail == PROXY_AUTH || detail.starts_with(CERTIFICATE)
}

/// The error's name, by which its remedy is found.
pub(super) fn name(fault: Fault, detail: &str) -> String {
    match fault {
        Fault::NotConnected if detail == PROXY_AUTH => "http_407".into(),
        Fault::NotConnected if detail.starts_with(CERTIFICATE) => "certificate".into(),
        Fault::NotConnected | Fault::Connection | Fault::Timeout | Fault::Http(_) | Fault::BadResponse => fault.name(),
    }
}

/// A call that brought no answer, and the cause in words, without the address and without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) detail: Box<str>,
}

impl Failure {
    /// From the transport's error, before or after the request went out.
    ///
    /// A connect timeout is a connection that was never made; the order of the questions is the rule.
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

/// What a person wouldn't understand, or wouldn't find the cause in.
fn in_our_words(cause: &str) -> String {
    match (cause.strip_prefix(BAD_CERTIFICATE), cause.contains(TUNNEL_AUTH)) {
        (Some(why), _) => format!("{CERTIFICATE}{why}"),
        (None, true) => PROXY_AUTH.into(),
        (None, false) => cause.into(),
    }
}

/// The innermost error's words: the outer ones only say that a request failed.
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
