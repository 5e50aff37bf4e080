//! Whether an address stays on this machine, as far as `--rate unlimited` needs to know.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether the URL's host is `localhost`, 127.0.0.0/8 or `[::1]`. Where a URL could be read in two ways it is not: what is
/// asked here is only ever a leave to go faster.
pub(super) fn is_loopback(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains(['@', '\\', '%']) {
        return false;
    }
    if let Some(bracketed) = authority.strip_prefix('[') {
        let address = bracketed.split(']').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, want) in [
            ("http://127.0.0.1:8080/api/", true),
            ("http://127.9.9.9/", true),
            ("https://localhost/api/", true),
            ("http://LocalHost:1", true),
            ("http://[::1]:8080/api/", true),
            ("https://slack.com/api/", false),
            ("https://localhost.example.com/", false),
            ("https://127.0.0.1.example.com/", false),
            ("https://example.com/127.0.0.1", false),
            ("http://127.0.0.1@example.com/", false),
            ("http://127.0.0.1:80@example.com/", false),
            ("http://127.0.0.1\\@example.com/", false),
            ("http://[::2]/", false),
            ("http://0.0.0.0/", false),
            ("127.0.0.1:8080", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), want, "{url}");
        }
    }
}
