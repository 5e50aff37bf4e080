//! Ranges of addresses, as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of IPv4 or IPv6 addresses; an address alone is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidrError {
    /// What stands before the slash is no address.
    Address,
    /// What stands behind the slash is no length of a prefix of such an address.
    Prefix,
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "it is an address or a range, as in 192.0.2.7, 203.0.113.0/24 or 2001:db8::/32",
            Self::Prefix => "a prefix has 0 to 32 bits of an IPv4 address, 0 to 128 of an IPv6 address",
        })
    }
}

impl std::error::Error for CidrError {}

impl Cidr {
    /// Whether `address` lies in the range. An IPv4 address written as IPv6 (`::ffff:192.0.2.7`) is that IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                network_v4(range, self.prefix) == network_v4(address, self.prefix)
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                network_v6(range, self.prefix) == network_v6(address, self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The bits of the prefix alone; a shift by the whole width is none.
fn network_v4(address: Ipv4Addr, prefix: u8) -> u32 {
    address.to_bits().checked_shr(32 - u32::from(prefix)).unwrap_or(0)
}

fn network_v6(address: Ipv6Addr, prefix: u8) -> u128 {
    address.to_bits().checked_shr(128 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let text = text.trim();
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= most).ok_or(CidrError::Prefix)?
            }
            Some(_) => return Err(CidrError::Prefix),
        };
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= 96 => {
                Ok(Self { address: IpAddr::V4(mapped), prefix: prefix - 96 })
            }
            _ => Ok(Self { address, prefix }),
        }
    }
}

/// The address in a text as logs and proxies write it: with a zone (`fe80::1%eth0`), a port (`192.0.2.7:51234`) or in brackets
/// (`[2001:db8::7]`, `[2001:db8::7]:443`). `None` if it is anything else, several addresses included.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Some(inside) = text.strip_prefix('[') {
        let (address, behind) = inside.split_once(']')?;
        let is_port = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
        return without_zone(address).filter(|_| is_port).map(IpAddr::V6);
    }
    match text.split_once(':') {
        Some((address, port)) if is_port(port) => address.parse().ok().map(IpAddr::V4),
        Some(_) => without_zone(text).map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn without_zone(text: &str) -> Option<Ipv6Addr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    address.parse().ok().filter(|_| zone != Some(""))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses_and_no_other() {
        for (range, address, want) in [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.77/24", "203.0.113.1", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.0/25", "203.0.113.128", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::1", "2001:db8::1", true),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.3.9", false),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), want, "{range} {address}");
        }
    }

    #[test]
    fn addresses_are_read_as_logs_write_them() {
        for (text, want) in [
            ("192.0.2.7", Some("192.0.2.7")),
            (" 192.0.2.7 ", Some("192.0.2.7")),
            ("192.0.2.7:51234", Some("192.0.2.7")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("::1234", Some("::1234")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("[2001:db8::7]:443", Some("2001:db8::7")),
            ("[fe80::1%3]:443", Some("fe80::1")),
            ("::ffff:192.0.2.7", Some("::ffff:192.0.2.7")),
            ("", None),
            ("unknown", None),
            ("192.0.2.7, 198.51.100.1", None),
            ("192.0.2.7 198.51.100.1", None),
            ("192.0.2.7:65536", None),
            ("192.0.2.7:", None),
            ("192.0.2.7%eth0", None),
            ("[192.0.2.7]", None),
            ("[2001:db8::7", None),
            ("[2001:db8::7]x", None),
            ("fe80::1%", None),
            ("010.0.0.1", None),
        ] {
            assert_eq!(address(text), want.map(|want| want.parse().unwrap()), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, want) in [
            ("", CidrError::Address),
            ("office", CidrError::Address),
            ("203.0.113/24", CidrError::Address),
            ("/24", CidrError::Address),
            ("203.0.113.0/33", CidrError::Prefix),
            ("2001:db8::/129", CidrError::Prefix),
            ("203.0.113.0/", CidrError::Prefix),
            ("203.0.113.0/+8", CidrError::Prefix),
            ("203.0.113.0/-1", CidrError::Prefix),
            ("203.0.113.0/255.255.255.0", CidrError::Prefix),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(want), "{text:?}");
        }
    }
}
