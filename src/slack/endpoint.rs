//! The API's address: Slack, GovSlack, a host allowed by name, or a loopback address.

use crate::model::{API_URL, is_loopback_host};
use reqwest::Url;

/// Slack and GovSlack (slack.md, "The call"), without subdomains: those of workspaces don't serve this API.
pub const SLACK_HOSTS: [&str; 3] = ["slack.com", "www.slack.com", "slack-gov.com"];

/// The base URL of the methods, with a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl {
    url: Url,
    loopback: bool,
}

/// Why a value of `--api-url` or `--allow-host` is invalid. The value isn't shown, because it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("--api-url is not an address ({0}); it looks like {default}", default = ApiUrl::DEFAULT)]
    Unreadable(String),
    #[error("--api-url must start with https://, not {0}://")]
    Scheme(String),
    /// Plain http would expose the token.
    #[error("--api-url must be https for {0}; http is accepted for loopback addresses only")]
    NotEncrypted(String),
    /// The token would be sent to a host other than Slack's.
    #[error("--api-url names {0}, which is not Slack's; if the token may go there, add --allow-host {0}")]
    HostNotAllowed(String),
    #[error("--api-url must not hold a user name or a password")]
    Credentials,
    #[error("--api-url must not hold a query (?…)")]
    Query,
    #[error("--api-url must not hold a fragment (#…)")]
    Fragment,
    #[error("--allow-host takes a host name alone, without a scheme, a port or a path")]
    AllowHost,
}

impl ApiUrl {
    pub const DEFAULT: &'static str = API_URL;

    /// `allow_hosts` are hosts other than Slack's that may get the token.
    ///
    /// # Errors
    /// If it isn't an https URL of an allowed host, or has other parts than scheme, host, port and path.
    pub fn parse(text: &str, allow_hosts: &[String]) -> Result<Self, EndpointError> {
        let allowed = allow_hosts.iter().map(|host| plain_host(host)).collect::<Result<Vec<_>, _>>()?;
        let mut url = Url::parse(text.trim()).map_err(|error| EndpointError::Unreadable(error.to_string()))?;
        only_a_place(&url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let loopback = is_loopback_host(host.trim_start_matches('[').trim_end_matches(']'));
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(EndpointError::NotEncrypted(host)),
            other => return Err(EndpointError::Scheme(other.to_owned())),
        }
        if !(loopback || SLACK_HOSTS.contains(&host.as_str()) || allowed.contains(&host)) {
            return Err(EndpointError::HostNotAllowed(host));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { url, loopback })
    }

    /// Host and port as in the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// False is only possible for loopback addresses.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// In lower case; an IPv6 address has brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    #[must_use]
    pub(super) fn method(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{name}", self.url.path()));
        url
    }
}

impl std::fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Fails if the URL has other parts than scheme, host, port and path.
fn only_a_place(url: &Url) -> Result<(), EndpointError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::Credentials);
    }
    if url.query().is_some() {
        return Err(EndpointError::Query);
    }
    if url.fragment().is_some() {
        return Err(EndpointError::Fragment);
    }
    Ok(())
}

/// Normalizes a host: lower case, punycode, no port.
fn plain_host(text: &str) -> Result<String, EndpointError> {
    let url = Url::parse(&format!("https://{}/", text.trim())).map_err(|_| EndpointError::AllowHost)?;
    let host = url.host_str().ok_or(EndpointError::AllowHost)?;
    // Any other part of the text would be in the URL.
    if url.as_str() == format!("https://{host}/") { Ok(host.to_owned()) } else { Err(EndpointError::AllowHost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ApiUrl, EndpointError> {
        ApiUrl::parse(text, &["Proxy.Example".into(), "10.0.0.7".into()])
    }

    #[test]
    fn good_addresses_end_in_a_slash_and_know_whether_they_leave_the_machine() {
        for (text, url, host, loopback) in [
            (ApiUrl::DEFAULT, "https://slack.com/api/", "slack.com", false),
            (" https://SLACK.com/api ", "https://slack.com/api/", "slack.com", false),
            ("https://www.slack.com/api/", "https://www.slack.com/api/", "www.slack.com", false),
            ("https://slack-gov.com/api", "https://slack-gov.com/api/", "slack-gov.com", false),
            ("https://slack.com:8443/api/", "https://slack.com:8443/api/", "slack.com", false),
            ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api/", "127.0.0.1", true),
            ("http://127.8.9.10/", "http://127.8.9.10/", "127.8.9.10", true),
            ("http://127.1:80", "http://127.0.0.1/", "127.0.0.1", true),
            ("http://[::1]:9/api/", "http://[::1]:9/api/", "[::1]", true),
            ("http://LocalHost:9", "http://localhost:9/", "localhost", true),
            ("https://localhost/api/", "https://localhost/api/", "localhost", true),
            ("https://proxy.example/slack", "https://proxy.example/slack/", "proxy.example", false),
            ("https://10.0.0.7/api", "https://10.0.0.7/api/", "10.0.0.7", false),
        ] {
            let api = parse(text).unwrap();
            assert_eq!((api.as_str(), api.host(), api.is_loopback()), (url, host, loopback), "{text}");
            assert_eq!(api.method("auth.test").as_str(), format!("{url}auth.test"));
        }
    }

    #[test]
    fn bad_addresses_say_why() {
        use EndpointError as E;
        for (text, want) in [
            ("http://slack.com/api/", E::NotEncrypted("slack.com".into())),
            ("http://proxy.example/", E::NotEncrypted("proxy.example".into())),
            ("http://10.0.0.7/", E::NotEncrypted("10.0.0.7".into())),
            ("http://0.0.0.0/", E::NotEncrypted("0.0.0.0".into())),
            ("http://localhost.example/", E::NotEncrypted("localhost.example".into())),
            ("ftp://slack.com/", E::Scheme("ftp".into())),
            ("slack.com:443/api", E::Scheme("slack.com".into())),
            ("https://evil.example/api/", E::HostNotAllowed("evil.example".into())),
            ("https://acme.slack.com/api/", E::HostNotAllowed("acme.slack.com".into())),
            ("https://slack.com.evil.example/", E::HostNotAllowed("slack.com.evil.example".into())),
            ("https://notslack.com/", E::HostNotAllowed("notslack.com".into())),
            ("https://127.0.0.1.evil.example/", E::HostNotAllowed("127.0.0.1.evil.example".into())),
            ("https://[::ffff:127.0.0.1]/", E::HostNotAllowed("[::ffff:7f00:1]".into())),
            ("https://slack.com@evil.example/", E::Credentials),
            ("https://me:secret@slack.com/", E::Credentials),
            ("https://slack.com/api/?token=x", E::Query),
            ("https://slack.com/api/#x", E::Fragment),
        ] {
            assert_eq!(parse(text), Err(want), "{text}");
        }
        for text in ["", "slack.com", "https://", "https://:443/", "https://a b/"] {
            assert!(matches!(parse(text), Err(E::Unreadable(_))), "{text:?}: {:?}", parse(text));
        }
    }

    #[test]
    fn allowed_hosts_are_names_alone() {
        for host in ["", "https://a.example", "a.example:443", "a.example:8443", "a.example/x", "u@a.example", "a b"] {
            let parsed = ApiUrl::parse("https://a.example/", &[host.into()]);
            let refused = matches!(parsed, Err(EndpointError::AllowHost));
            // The default port is accepted too.
            assert!(refused || host == "a.example:443", "{host:?}: {parsed:?}");
        }
    }
}
