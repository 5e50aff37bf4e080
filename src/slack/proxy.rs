//! The proxy from the environment.

use super::ApiUrl;
use ipnet::IpNet;
use reqwest::Url;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

/// `Display` omits user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

/// An unusable proxy variable. It is an error, because without the proxy the token would be sent another way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} does not name a proxy; it looks like http://host:port or socks5h://host:port. Correct or unset it")]
pub struct ProxyError {
    pub variable: &'static str,
}

impl Proxy {
    /// The proxy for calls to `api`: `HTTPS_PROXY`, otherwise `ALL_PROXY`, in upper or lower case, unless `NO_PROXY`
    /// names the host. Never for loopback addresses. `env` looks up an environment variable.
    ///
    /// # Errors
    /// If the first variable that is set isn't a valid proxy.
    pub fn in_use(api: &ApiUrl, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Self>, ProxyError> {
        if api.is_loopback()
            || first_set(env, &["NO_PROXY", "no_proxy"]).is_some_and(|(_, list)| is_exempt(api.host(), &list))
        {
            return Ok(None);
        }
        let Some((variable, text)) = first_set(env, &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) else {
            return Ok(None);
        };
        Self::parse(&text).map(Some).ok_or(ProxyError { variable })
    }

    /// `host:port` without a scheme means http.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) }.ok()?;
        let known = matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h");
        (known && url.host_str().is_some_and(|host| !host.is_empty())).then_some(Self(url))
    }

    /// With its credentials, for the client only.
    pub(super) fn url(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port_or_known_default().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The first variable that is set and not empty, with its value.
fn first_set(env: &dyn Fn(&str) -> Option<OsString>, names: &[&'static str]) -> Option<(&'static str, String)> {
    let text = |name: &str| env(name).map(|value| value.to_string_lossy().into_owned());
    names.iter().find_map(|name| text(name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value)))
}

/// Whether `NO_PROXY` names the host: `*`, a name and everything below it, an address, or a network (`10.0.0.0/8`).
fn is_exempt(host: &str, list: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok();
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| match address {
        _ if entry == "*" => true,
        Some(address) => covers(entry, address),
        None => is_below(host, entry.trim_start_matches('.')),
    })
}

/// Whether the host is the domain or a subdomain.
fn is_below(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether an entry, an address or a network in CIDR form, covers the address.
fn covers(entry: &str, address: IpAddr) -> bool {
    let (network, prefix) = entry.split_once('/').unwrap_or((entry, ""));
    let Ok(network) = network.trim_matches(['[', ']']).parse::<IpAddr>().map(IpNet::from) else { return false };
    let prefix = if prefix.is_empty() { Ok(u32::MAX) } else { prefix.parse::<u32>() };
    // A prefix longer than the address means the single address.
    let prefix = prefix.map(|bits| u8::try_from(bits).unwrap_or(u8::MAX).min(network.max_prefix_len()));
    prefix.is_ok_and(|bits| IpNet::new(network.addr(), bits).is_ok_and(|range| range.contains(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(api: &str, vars: &[(&str, &str)]) -> Result<Option<String>, ProxyError> {
        let api = ApiUrl::parse(api, &["10.1.2.3".into(), "[2001:db8::7]".into()]).unwrap();
        let env = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Proxy::in_use(&api, &env).map(|proxy| proxy.map(|proxy| proxy.to_string()))
    }

    #[test]
    fn the_environment_decides_and_loopback_never_has_a_proxy() {
        let slack = "https://slack.com/api/";
        for (vars, want) in [
            (&[][..], None),
            (&[("HTTPS_PROXY", "http://proxy.corp:3128")][..], Some("http://proxy.corp:3128")),
            (&[("https_proxy", "proxy.corp:3128")], Some("http://proxy.corp:3128")),
            (&[("HTTPS_PROXY", " "), ("ALL_PROXY", "socks5h://s.corp:1080")], Some("socks5h://s.corp:1080")),
            (&[("HTTPS_PROXY", "http://me:secret@proxy.corp")], Some("http://proxy.corp:80")),
            (&[("HTTP_PROXY", "http://proxy.corp:3128")], None),
            (&[("ALL_PROXY", "p:1"), ("NO_PROXY", "example.com, .slack.com")], None),
            (&[("ALL_PROXY", "p:1"), ("no_proxy", "*")], None),
            (&[("ALL_PROXY", "p:1"), ("NO_PROXY", "lack.com,api.slack.com")], Some("http://p:1")),
        ] {
            assert_eq!(shown(slack, vars), Ok(want.map(str::to_owned)), "{vars:?}");
            assert_eq!(shown("http://127.0.0.1:9/api/", vars), Ok(None));
            assert_eq!(shown("https://localhost/api/", vars), Ok(None));
        }
    }

    #[test]
    fn addresses_and_networks_are_exempt_too() {
        for (list, exempt) in [
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("10.0.0.0/8", true),
            ("10.1.2.0/30", true),
            ("10.1.2.4/30", false),
            ("0.0.0.0/0", true),
            ("10.1.2.3/99", true),
            ("10.1.2.3/x", false),
            ("::/0", false),
            ("3", false),
        ] {
            let vars = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
            assert_eq!(shown("https://10.1.2.3/", &vars).unwrap().is_none(), exempt, "{list}");
        }
        for (list, exempt) in [("2001:db8::/32", true), ("[2001:db8::7]", true), ("2001:db8::8", false), ("::/0", true)]
        {
            let vars = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
            assert_eq!(shown("https://[2001:db8::7]/", &vars).unwrap().is_none(), exempt, "{list}");
        }
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error_and_passwords_are_never_shown() {
        for text in ["http://", "ftp://p:1", "http://p:port", "://"] {
            let error = shown("https://slack.com/", &[("ALL_PROXY", text)]).unwrap_err();
            assert_eq!(error.variable, "ALL_PROXY", "{text}");
        }
        let proxy = Proxy::parse("http://me:secret@p:1").unwrap();
        assert!(!format!("{proxy} {proxy:?}").contains("secret"));
        assert!(proxy.url().contains("secret"));
    }
}
