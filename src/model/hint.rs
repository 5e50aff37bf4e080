//! Hints for rows that ended with an error. Those of Slack's codes are in the table of codes.

use super::{ErrorCode, Status};

const TRY_AGAIN: &str =
    "nothing answered as it should: check the network and the proxy of this machine, and slack-status.com";
const NOT_SLACK: &str =
    "what answered isn't Slack: check --api-url, and look for a proxy that answers in Slack's place";

/// `meaning: what to do` for an `error` and its status.
#[must_use]
pub fn error_hint(status: Status, error: &str) -> &'static str {
    match status {
        Status::Invalid => {
            return "these rows can't be sent as they are: correct what the detail column of the results names";
        }
        Status::Duplicate => return "an earlier line has the same session: nothing to do",
        Status::Protected => return "kept intentionally: nothing to do",
        Status::AlreadyRevoked => return "the session had already ended: nothing to do",
        Status::Revoked | Status::Requested | Status::NotFound | Status::Failed | Status::Unknown => {}
    }
    let http_status = error.strip_prefix("http_").and_then(|status| status.parse::<u16>().ok());
    match (error, http_status) {
        ("timeout", _) => "no answer came within --timeout: check the network, and slack-status.com",
        ("connection", _) => TRY_AGAIN,
        ("certificate", _) => {
            "the server's certificate isn't trusted: install the CA certificates of this network, or set SSL_CERT_FILE"
        }
        ("bad_response", _) => NOT_SLACK,
        (_, Some(407)) => {
            "the proxy asks for a user name and password: put them into HTTPS_PROXY, as in http://user:password@host:port"
        }
        (_, Some(408 | 500..)) => "a temporary fault at Slack or at a proxy in front of it: see slack-status.com",
        (_, Some(_)) => NOT_SLACK,
        (code, None) => ErrorCode::from(code).hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_row_has_a_meaning_and_a_remedy() {
        for (status, error, want) in [
            (Status::Unknown, "http_407", "HTTPS_PROXY"),
            (Status::Unknown, "http_503", "slack-status.com"),
            (Status::Unknown, "http_404", "--api-url"),
            (Status::Unknown, "timeout", "--timeout"),
            (Status::Failed, "connection", "network"),
            (Status::Unknown, "bad_response", "--api-url"),
            (Status::Failed, "invalid_arguments", "--identify-by"),
            (Status::Failed, "http_x", "Slack's support"),
            (Status::Invalid, "bad_session_id", "detail column"),
            (Status::Duplicate, "duplicate_session", "nothing to do"),
            (Status::Protected, "protected_user", "kept intentionally"),
            (Status::AlreadyRevoked, "session_expired", "nothing to do"),
            (Status::NotFound, "session_not_found", "check"),
        ] {
            let hint = error_hint(status, error);
            assert!(hint.contains(want) && hint.contains(": "), "{error}: {hint}");
        }
    }
}
