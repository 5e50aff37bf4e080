//! The filters of `list`. Pure.

use crate::error::RunError;
use crate::input::Protection;
use crate::ledger::listing::Filters;
use crate::model::{EmailAddress, TeamId, UserId};
use crate::slack::{ActiveSession, Device};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

/// A session has to pass every kind of filter that is given; of several filters of one kind, one has to match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only the sessions of this user in this workspace: Slack is asked for no others.
    pub owner: Option<(TeamId, UserId)>,
    /// An address has to be in one of these.
    pub ip: Vec<IpNet>,
    /// No address may be in one of these.
    pub not_ip: Vec<IpNet>,
    /// In the operating system's name or version; in lower case, as all texts here.
    pub os: Vec<String>,
    pub client: Vec<String>,
    pub device: Vec<String>,
    pub users: Option<BTreeSet<UserId>>,
    pub excluded: BTreeSet<UserId>,
}

/// Whether the filters let a session pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Yes,
    No,
    /// No, but only because of an address that can't be read.
    UnknownAddress,
}

impl ListedPeople {
    /// People given only by e-mail address.
    #[must_use]
    pub fn at(addresses: BTreeSet<EmailAddress>) -> Self {
        Self { ids: BTreeSet::new(), addresses }
    }
}

impl Filter {
    /// Whether Slack was asked for this session, as far as can be read.
    #[must_use]
    pub fn asks_for(&self, session: &ActiveSession) -> bool {
        self.owner.as_ref().is_none_or(|(team, user)| {
            session.user_id == *user && session.team_id.as_ref().is_none_or(|found| found == team)
        })
    }

    #[must_use]
    pub fn fit(&self, session: &ActiveSession) -> Fit {
        if self.passes_others(session) { self.fit_of_addresses(session) } else { Fit::No }
    }

    fn fit_of_addresses(&self, session: &ActiveSession) -> Fit {
        let devices = session.created.iter().chain(&session.recent);
        let known: Vec<_> = devices.map(|device| address(device.ip.as_deref()?)).collect();
        fit_of_addresses(&self.ip, &self.not_ip, &known)
    }

    /// The lists of users by their flags.
    pub fn lists(&self) -> impl Iterator<Item = (&'static str, &BTreeSet<UserId>)> {
        let excluded = Some(&self.excluded).filter(|excluded| !excluded.is_empty());
        [("--users", self.users.as_ref()), ("--exclude-user", excluded)]
            .into_iter()
            .filter_map(|(flag, users)| Some((flag, users?)))
    }

    fn passes_others(&self, session: &ActiveSession) -> bool {
        let devices = || session.created.iter().chain(&session.recent);
        let named = |texts: &[String], of: fn(&Device) -> String| {
            texts.is_empty() || devices().map(of).any(|name| texts.iter().any(|text| name.contains(text)))
        };
        self.users.as_ref().is_none_or(|users| users.contains(&session.user_id))
            && !self.excluded.contains(&session.user_id)
            && named(&self.os, |device| lower(&[&device.os, &device.os_version]))
            && named(&self.client, |device| lower(&[&device.slack_client_version]))
            && named(&self.device, |device| lower(&[&device.device_hardware]))
    }

    /// The filters by their flags, the same for the same filters whatever their order: what a resumption compares.
    #[must_use]
    pub fn described(&self) -> Filters {
        fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
            values.into_iter().map(|value| value.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
        }
        let kinds = [
            ("team", texts(self.owner.iter().map(|(team, _)| team))),
            ("user", texts(self.owner.iter().map(|(_, user)| user))),
            ("ip", texts(&self.ip)),
            ("not-ip", texts(&self.not_ip)),
            ("os", texts(&self.os)),
            ("client", texts(&self.client)),
            ("device", texts(&self.device)),
            ("users", texts(self.users.iter().flatten())),
            ("exclude-user", texts(&self.excluded)),
        ];
        let given =
            |(flag, values): &(&str, Vec<String>)| !values.is_empty() || (*flag == "users" && self.users.is_some());
        kinds.into_iter().filter(given).map(|(flag, values)| (flag.to_owned(), values)).collect()
    }
}

/// Applies `--ip` and `--not-ip`. A `None` in `known` is an address that can't be parsed.
///
/// Such an address may be in any range, so it passes neither flag: signing out everyone outside the office must not sign out
/// anyone inside it.
#[must_use]
pub fn fit_of_addresses(ip: &[IpNet], not_ip: &[IpNet], known: &[Option<IpAddr>]) -> Fit {
    let is_unknown = known.is_empty() || known.contains(&None);
    let within = |ranges: &[IpNet]| known.iter().flatten().any(|ip| ranges.iter().any(|range| range.contains(ip)));
    let (is_in, is_out) = (within(ip), within(not_ip));
    let asks_in = !ip.is_empty() && !is_in;
    if is_out || (asks_in && !is_unknown) {
        Fit::No
    } else if is_unknown && (asks_in || !not_ip.is_empty()) {
        Fit::UnknownAddress
    } else {
        Fit::Yes
    }
}

/// An address as logs and proxies write it, or `None` if it can't be read.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    // An IPv4 address written as IPv6 (`::ffff:192.0.2.7`) is that IPv4 address.
    parse_address(text).map(|address| address.to_canonical())
}

/// The address in a text as logs and proxies write it: with a zone (`fe80::1%eth0`), a port (`192.0.2.7:51234`) or in brackets
/// (`[2001:db8::7]`, `[2001:db8::7]:443`). `None` if it is anything else, several addresses included.
fn parse_address(text: &str) -> Option<IpAddr> {
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

fn lower(parts: &[&Option<Box<str>>]) -> String {
    let words: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    words.join(" ").to_lowercase()
}

/// People as a file lists them.
#[derive(Debug, Default)]
pub struct ListedPeople {
    pub ids: BTreeSet<UserId>,
    /// Those that have to be looked up.
    pub addresses: BTreeSet<EmailAddress>,
}

/// The user ids and e-mail addresses of a file, one a line, with `#` for comments.
///
/// # Errors
/// If the file can't be read, or a line is something else.
pub fn users_of(flag: &str, path: &Path) -> Result<ListedPeople, RunError> {
    let trouble = |why: String| {
        let what = format!("can't use {flag} {}: {why}", path.display());
        RunError::input(what, "give a file of user ids (U… or W…) or e-mail addresses, one a line")
    };
    let content = std::fs::read(path).map_err(|error| trouble(error.to_string()))?;
    let mut ids = Protection::default();
    ids.protect(&content).map_err(|error| trouble(error.to_string()))?;
    match ids.sessions.iter().next() {
        Some(session) => Err(trouble(format!("{session} is not a user id"))),
        None if ids.users.is_empty() && ids.addresses.is_empty() => Err(trouble("it has no user ids".into())),
        None => Ok(ListedPeople { ids: ids.users.into_iter().collect(), addresses: ids.addresses }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SessionId;

    fn device(os: &str, version: &str, ip: &str) -> Device {
        Device {
            os: Some(os.into()),
            os_version: Some(version.into()),
            ip: (!ip.is_empty()).then(|| ip.into()),
            device_hardware: Some("Pixel 8".into()),
            slack_client_version: Some("24.08.20.0".into()),
        }
    }

    fn session(created: Option<Device>, recent: Option<Device>) -> ActiveSession {
        ActiveSession {
            user_id: UserId::parse("U1").unwrap(),
            team_id: TeamId::parse("T1").ok(),
            session_id: SessionId::from(7),
            created,
            recent,
        }
    }

    #[test]
    fn one_device_must_match_every_kind_of_filter() {
        let moved = session(Some(device("iOS", "17.6", "203.0.113.9")), Some(device("iOS", "18.0", "2001:db8::7")));
        let nameless = session(None, None);
        let range = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let texts = |text: &str| vec![text.to_owned()];
        let user = |id: &str| BTreeSet::from([UserId::parse(id).unwrap()]);
        let all = Filter::default;
        for (filter, want, want_nameless) in [
            (all(), true, true),
            (Filter { ip: range("203.0.113.0/24"), ..all() }, true, false),
            (Filter { ip: range("2001:db8::/32"), ..all() }, true, false),
            (Filter { ip: range("198.51.100.0/24"), ..all() }, false, false),
            (Filter { not_ip: range("203.0.113.0/24"), ..all() }, false, false),
            (Filter { not_ip: range("2001:db8::/32"), ..all() }, false, false),
            (Filter { not_ip: range("198.51.100.0/24"), ..all() }, true, false),
            (Filter { ip: range("203.0.113.0/24"), not_ip: range("2001:db8::/32"), ..all() }, false, false),
            (Filter { os: texts("ios"), ..all() }, true, false),
            (Filter { os: texts("ios 18"), ..all() }, true, false),
            (Filter { os: vec!["android".into(), "ios".into()], ..all() }, true, false),
            (Filter { os: texts("android"), ..all() }, false, false),
            (Filter { client: texts("24.08"), ..all() }, true, false),
            (Filter { client: texts("4.39"), ..all() }, false, false),
            (Filter { device: texts("pixel"), ..all() }, true, false),
            (Filter { device: texts("iphone"), os: texts("ios"), ..all() }, false, false),
            (Filter { users: Some(user("U1")), ..all() }, true, true),
            (Filter { users: Some(user("U2")), ..all() }, false, false),
            (Filter { excluded: user("U1"), ..all() }, false, false),
            (Filter { excluded: user("U2"), ..all() }, true, true),
        ] {
            assert_eq!(filter.fit(&moved) == Fit::Yes, want, "{filter:?}");
            assert_eq!(filter.fit(&nameless) == Fit::Yes, want_nameless, "{filter:?}");
        }
    }

    #[test]
    fn an_unreadable_address_passes_no_address_filter() {
        let range = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let office = || range("203.0.113.0/24");
        let is_in = Filter { ip: office(), ..Filter::default() };
        let is_out = Filter { not_ip: office(), ..Filter::default() };
        let both = Filter { ip: range("0.0.0.0/0"), not_ip: office(), ..Filter::default() };
        let somebody_else = Filter { users: Some(BTreeSet::new()), not_ip: office(), ..Filter::default() };
        let on = |ip: &str| Some(device("iOS", "17.6", ip));
        let unknown = Fit::UnknownAddress;
        for (created, recent, fit_in, fit_out, fit_both) in [
            (None, None, unknown, unknown, unknown),
            (on(""), None, unknown, unknown, unknown),
            (on("203.0.113.9:5123"), None, Fit::Yes, Fit::No, Fit::No),
            (on("198.51.100.9:5123"), None, Fit::No, Fit::Yes, Fit::Yes),
            (on("198.51.100.9"), on("?"), unknown, unknown, unknown),
            (on("203.0.113.9"), on("?"), Fit::Yes, Fit::No, Fit::No),
            (on("198.51.100.9, 203.0.113.9"), None, unknown, unknown, unknown),
        ] {
            let session = session(created, recent);
            let fits = [&is_in, &is_out, &both].map(|filter| filter.fit(&session));
            assert_eq!(fits, [fit_in, fit_out, fit_both], "{session:?}");
            assert_eq!(Filter::default().fit(&session), Fit::Yes);
            assert_eq!(somebody_else.fit(&session), Fit::No, "not for its address");
        }
    }

    #[test]
    fn descriptions_of_filters_differ_by_everything_but_order() {
        let filter = |os: &[&str], client: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            Filter { os: texts(os), client: texts(client), ..Filter::default() }.described()
        };
        assert_eq!(filter(&["a", "b"], &[]), filter(&["b", "a"], &[]));
        assert_ne!(filter(&["a"], &[]), filter(&[], &["a"]));
        assert_ne!(filter(&["a", "b"], &[]), filter(&["a, b"], &[]));
        let nobody = Filter { users: Some(BTreeSet::new()), ..Filter::default() };
        assert_ne!(nobody.described(), Filter::default().described());
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
            assert_eq!(parse_address(text), want.map(|want| want.parse().unwrap()), "{text:?}");
        }
    }
}
