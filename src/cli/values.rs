//! Parses the values of flags. Each error says what to type instead.

use crate::model::{
    Delimiter, IdColumn, InputSource, MaxFailures, QuotaChoice, Rate, RateChoice, RateError, StoreUrl, Timestamp,
};
use clap::builder::{PathBufValueParser, TypedValueParser};
use ipnet::IpNet;
use redis::IntoConnectionInfo as _;
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

/// A longer time is a typing error.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A longer timeout of one call is a typing error too.
const LONGEST_CALL: Duration = Duration::from_hours(1);

/// `INPUT`. Paths need not be UTF-8.
pub(super) fn input_source() -> impl TypedValueParser<Value = InputSource> {
    PathBufValueParser::new().map(source_of)
}

/// What a path on the command line names. What isn't there is a file that is missing.
fn source_of(path: PathBuf) -> InputSource {
    const STDIN: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    let is_descriptor = ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"].iter().any(|place| path.starts_with(place));
    if STDIN.iter().any(|name| path.as_os_str() == *name) {
        InputSource::Stdin
    } else if is_descriptor || path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        InputSource::Stream(path)
    } else {
        InputSource::File(path)
    }
}

/// A file's path. `-` is refused, for it would make a file of that name.
pub(super) fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let is_dash = path.as_os_str() == "-";
        if is_dash { Err("must be a file; for a file of that name write ./-") } else { Ok(path) }
    })
}

pub(super) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text.into()) }
}

/// A SHA-256 as `sha256sum` prints it, or in upper case.
pub(super) fn sha256(text: &str) -> Result<String, &'static str> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("must be 64 hexadecimal digits") }
}

/// `--rate`. Where `auto` starts and ends is decided with `--start-rate` and `--max-rate`.
pub(super) fn rate(text: &str) -> Result<RateChoice, RateError> {
    match text.trim() {
        "auto" => Ok(RateChoice::Auto { start: Rate::TIER_2, max: Rate::AUTO_MAX }),
        "unlimited" => Ok(RateChoice::Unlimited),
        rate => rate.parse().map(RateChoice::Fixed),
    }
}

/// `--quota`. The text isn't repeated: it may have a password.
pub(super) fn quota(text: &str) -> Result<QuotaChoice, &'static str> {
    const SERVER: &str = "isn't the address of a Redis server, redis://[NAME[:PASSWORD]@]HOST[:PORT][/DATABASE]; encode special \
                          characters with %, or use SLACK_REVOKE_QUOTA_PASSWORD";
    match text.trim() {
        "auto" => Ok(QuotaChoice::Auto),
        "none" => Ok(QuotaChoice::None),
        url if is_redis(url) => {
            let is_plain = !url.contains(['?', '#']) && url.into_connection_info().is_ok();
            if is_plain { Ok(QuotaChoice::Redis(StoreUrl::new(url))) } else { Err(SERVER) }
        }
        _ => Err("must be auto, none, redis://HOST or, with TLS, rediss://HOST"),
    }
}

/// Whether a text is an address of a Redis server, as far as its scheme goes.
pub(super) fn is_redis(text: &str) -> bool {
    text.starts_with("redis://") || text.starts_with("rediss://")
}

/// A range of addresses; an address alone is a range of one.
pub(super) fn address_range(text: &str) -> Result<IpNet, &'static str> {
    const ADDRESS: &str = "it is an address or a range, as in 192.0.2.7, 203.0.113.0/24 or 2001:db8::/32";
    const PREFIX: &str = "a prefix has 0 to 32 bits of an IPv4 address, 0 to 128 of an IPv6 address";
    let (address, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, prefix)| (a, Some(prefix)));
    // The address is parsed by std, which takes no leading zeros: some programs read these as octal.
    let address: IpAddr = address.parse().map_err(|_| ADDRESS)?;
    let range = match prefix {
        None => IpNet::from(address),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().and_then(|bits| IpNet::new(address, bits).ok()).ok_or(PREFIX)?
        }
        Some(_) => return Err(PREFIX),
    };
    Ok(match range.addr().to_canonical() {
        // Sessions have their IPv4 addresses as such, so a range of mapped ones (`::ffff:192.0.2.0/120`) is one of those.
        mapped @ IpAddr::V4(_) if range.addr().is_ipv6() && range.prefix_len() >= 96 => {
            IpNet::new(mapped, range.prefix_len() - 96).map_err(|_| PREFIX)?
        }
        IpAddr::V4(_) | IpAddr::V6(_) => range,
    })
}

/// Any length of time, including zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("a time needs a unit: {text}s, {text}m or {text}h"));
    }
    let time = jiff::fmt::friendly::SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_| "not a time; use hours, minutes and seconds: 48h, 15m, 30s, 1h 30m")?;
    if time > LONGEST { Err("longer than a year".into()) } else { Ok(time) }
}

pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("must be longer than zero, or nothing would be sent".into()) } else { Ok(time) }
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() {
        return Err("must be longer than zero; 30s is the default".into());
    }
    if time > LONGEST_CALL { Err("must be at most an hour; 30s is the default".into()) } else { Ok(time) }
}

pub(super) fn max_failures(text: &str) -> Result<MaxFailures, String> {
    const ZERO: &str = "1 stops at the first failed row, 100% only if every row fails";
    let text = text.trim();
    let (number, is_share) = text.strip_suffix('%').map_or((text, false), |number| (number.trim_end(), true));
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("must be a number of rows, e.g. 50, or a percentage, e.g. 20%".into());
    }
    if !is_share {
        let rows: u64 = number.parse().map_err(|_| "too large")?;
        return NonZeroU64::new(rows).map(|rows| MaxFailures::Rows(rows.get())).ok_or_else(|| ZERO.into());
    }
    match number.parse::<NonZeroU8>() {
        Ok(share) if share.get() <= 100 => Ok(MaxFailures::Share(f64::from(share.get()) / 100.0)),
        Err(_) if number.bytes().all(|byte| byte == b'0') => Err(ZERO.into()),
        Ok(_) | Err(_) => Err("must be at most 100%".into()),
    }
}

/// A moment: RFC 3339, or a day, which begins at midnight UTC.
pub(super) fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let text = text.trim();
    let is_day = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let day = is_day.then(|| format!("{text}T00:00:00Z"));
    Timestamp::parse(day.as_deref().unwrap_or(text))
        .ok_or("must be a day or a time with its zone, e.g. 2026-11-27 or 2026-11-27T18:30:00Z")
}

/// One ASCII character that can't be part of a column name, or its name.
pub(super) fn delimiter(text: &str) -> Result<Delimiter, String> {
    let character = match text {
        "comma" => ",",
        "semicolon" => ";",
        "tab" | "\\t" => "\t",
        "pipe" => "|",
        "," | ";" | "\t" | "|" | ":" | "^" | "~" | "!" | "#" | "&" => text,
        _ => return Err("must be comma, semicolon, tab, pipe, or one such character".into()),
    };
    Delimiter::parse(character).map_err(str::to_owned)
}

/// Bytes, or a number of KiB, MiB or GiB; K and KB mean KiB.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err("must be a number of bytes, KiB, MiB or GiB, e.g. 512MiB".into()),
    };
    let number: u64 = number.parse().map_err(|_| "must be a whole number, e.g. 512MiB")?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err("must be larger than zero; 8GiB is the default".into()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".into()),
    }
}

/// `--column`: an id's name, and the header of another system.
pub(super) fn column(text: &str) -> Result<(IdColumn, String), String> {
    let known = || IdColumn::ALL.map(IdColumn::as_str).join(", ");
    let (name, header) = text.split_once('=').ok_or("must be NAME=HEADER, e.g. session_id=Session")?;
    let column = IdColumn::parse(name.trim()).ok_or_else(|| format!("{name:?} isn't one of {}", known()))?;
    if header.trim().is_empty() { Err(format!("the header of {name} is empty")) } else { Ok((column, header.into())) }
}

/// A host name, in lower case.
pub(super) fn host(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    if text.is_empty() || !text.bytes().all(is_name) || text.contains("//") {
        return Err("must be a host name, e.g. proxy.example.com".into());
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> MaxFailures {
        MaxFailures::Rows(count)
    }

    fn percent(share: u8) -> MaxFailures {
        MaxFailures::Share(f64::from(share) / 100.0)
    }

    #[test]
    fn a_lone_dash_is_standard_input() {
        for (path, want) in [("-", InputSource::Stdin), ("./-", InputSource::File("./-".into()))] {
            assert_eq!(source_of(path.into()), want);
        }
    }

    #[test]
    fn times_are_read() {
        for (text, want) in [
            ("30s", Duration::from_secs(30)),
            (" 30s ", Duration::from_secs(30)),
            ("15m", Duration::from_mins(15)),
            ("1h 30m", Duration::from_mins(90)),
            ("1h30m", Duration::from_mins(90)),
            ("90 minutes", Duration::from_mins(90)),
            ("250ms", Duration::from_millis(250)),
            ("1.5h", Duration::from_mins(90)),
            ("48h", Duration::from_hours(48)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(duration(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn other_times_are_refused_with_a_hint() {
        for (text, hint) in [
            ("30", "30s"),
            ("1.5", "1.5h"),
            ("0", "0s"),
            ("", "15m"),
            ("-5s", "15m"),
            ("5s ago", "15m"),
            ("soon", "15m"),
            ("NaN", "15m"),
            ("2d", "48h"),
            ("9000h", "year"),
            ("99999999999999999999h", "15m"),
        ] {
            let message = duration(text).expect_err(text);
            assert!(message.contains(hint), "{text:?}: {message}");
        }
        assert!(deadline("0s").is_err() && deadline("1s").is_ok());
        assert!(timeout("0s").is_err() && timeout("61m").is_err() && timeout("60m").is_ok());
    }

    #[test]
    fn a_moment_is_a_day_or_has_a_zone() {
        for (text, want) in [
            ("2026-11-27", Some("2026-11-27T00:00:00Z")),
            ("2026-11-27T18:30:00Z", Some("2026-11-27T18:30:00Z")),
            ("2026-11-27 18:30:00+01:00", Some("2026-11-27T17:30:00Z")),
            ("2026-11-27T18:30:00", None),
            ("2026-11", None),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text).ok().map(Timestamp::rfc3339_seconds).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn failures_are_rows_or_a_share() {
        for (text, want) in [
            ("50", Some(rows(50))),
            (" 1 ", Some(rows(1))),
            ("18446744073709551615", Some(rows(u64::MAX))),
            ("18446744073709551616", None),
            ("20%", Some(percent(20))),
            ("20 %", Some(percent(20))),
            ("100%", Some(percent(100))),
            ("101%", None),
            ("999%", None),
            ("0", None),
            ("0%", None),
            ("000%", None),
            ("-1", None),
            ("+1", None),
            ("1.5%", None),
            ("%", None),
            ("", None),
            ("many", None),
        ] {
            assert_eq!(max_failures(text).ok(), want, "{text:?}");
        }
        assert!(max_failures("0").unwrap_err().contains("1 stops"));
        assert!(max_failures("00%").unwrap_err().contains("1 stops"));
    }

    #[test]
    fn rates_are_auto_unlimited_or_a_number() {
        assert!(matches!(rate("auto"), Ok(RateChoice::Auto { .. })));
        assert_eq!(rate(" unlimited "), Ok(RateChoice::Unlimited));
        assert_eq!(rate("20/min"), Ok(RateChoice::Fixed(Rate::TIER_2)));
        assert_eq!(rate("20"), Err(RateError::NoPeriod));
        assert_eq!(rate("Fast"), Err(RateError::NotANumber));
    }

    #[test]
    fn delimiters_have_names() {
        for (text, want) in [
            (",", Some(b',')),
            ("comma", Some(b',')),
            (";", Some(b';')),
            ("semicolon", Some(b';')),
            ("\t", Some(b'\t')),
            ("\\t", Some(b'\t')),
            ("tab", Some(b'\t')),
            ("|", Some(b'|')),
            ("pipe", Some(b'|')),
            (" ", None),
            ("_", None),
            (" ", None),
            ("a", None),
            ("\"", None),
            ("\n", None),
            (",,", None),
            ("→", None),
            ("", None),
        ] {
            assert_eq!(delimiter(text).ok().map(Delimiter::byte), want, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, want) in [
            ("1", Some(1)),
            ("4K", Some(4096)),
            (" 2 MiB ", Some(2 << 20)),
            ("8GiB", Some(8 << 30)),
            ("1gb", Some(1 << 30)),
            ("0", None),
            ("", None),
            ("GiB", None),
            ("1.5G", None),
            ("-1", None),
            ("5T", None),
            ("18446744073709551615G", None),
        ] {
            assert_eq!(size(text).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn columns_are_a_name_and_a_header() {
        assert_eq!(column("session_id=Session Nr"), Ok((IdColumn::Session, "Session Nr".into())));
        assert_eq!(column("user_id=a=b"), Ok((IdColumn::User, "a=b".into())));
        for text in ["", "session_id", "session_id=", "team_id= ", "=x", "mail=x", "Session=x"] {
            assert!(column(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_names_alone() {
        assert_eq!(host(" Proxy.Example.com "), Ok("proxy.example.com".into()));
        assert_eq!(host("[::1]"), Ok("[::1]".into()));
        for text in ["", "https://example.com", "example.com/api", "user@example.com", "a b", "*.example.com"] {
            assert!(host(text).is_err(), "{text:?}");
        }
    }

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
            let range = address_range(range).unwrap();
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(range.contains(&address.to_canonical()), want, "{range} {address}");
        }
    }

    #[test]
    fn texts_that_are_no_range_are_refused() {
        for (text, want) in [
            ("", "it is an address or a range"),
            ("office", "it is an address or a range"),
            ("203.0.113/24", "it is an address or a range"),
            ("/24", "it is an address or a range"),
            ("203.0.113.0/33", "a prefix has 0 to 32 bits"),
            ("2001:db8::/129", "a prefix has 0 to 32 bits"),
            ("203.0.113.0/", "a prefix has 0 to 32 bits"),
            ("203.0.113.0/+8", "a prefix has 0 to 32 bits"),
            ("203.0.113.0/-1", "a prefix has 0 to 32 bits"),
            ("203.0.113.0/255.255.255.0", "a prefix has 0 to 32 bits"),
        ] {
            assert!(address_range(text).unwrap_err().starts_with(want), "{text:?}");
        }
    }
}
