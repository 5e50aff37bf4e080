//! Text for display. Pure.

use crate::model::{CallCounts, Timestamp};
pub use crate::model::{clean, counted, format_duration, thousands};
use jiff::tz::TimeZone;

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// Wraps `text` to `width` columns, with an indent after the first line. Longer words, such as paths, aren't split.
/// Unchanged if `width` is `None`.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| columns(text) > *width) else { return text.to_owned() };
    let (mut lines, mut column) = (String::with_capacity(text.len() + 8), 0);
    for (index, word) in text.split(' ').enumerate() {
        let length = columns(word);
        if index > 0 && column > indent && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if index > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

fn columns(text: &str) -> usize {
    console::measure_text_width(text)
}

/// `217 calls (5 bulk)`.
#[must_use]
pub fn calls_words(CallCounts { calls, bulk_calls, .. }: CallCounts) -> String {
    let bulk = if bulk_calls > 0 { format!(" ({} bulk)", thousands(bulk_calls)) } else { String::new() };
    format!("{}{bulk}", counted(calls, "call", "calls"))
}

/// `20`, `37.5`; at most one decimal, or three below 1.
#[must_use]
pub fn rate(per_minute: f64) -> String {
    // One call an hour is 0.017 a minute.
    let text = if per_minute < 1.0 { format!("{per_minute:.3}") } else { format!("{per_minute:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// In minutes, in a time zone: `2026-11-24 03:20 CET`.
#[must_use]
pub fn local(timestamp: Timestamp, zone: &TimeZone) -> String {
    timestamp.to_jiff().to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// Removes user and password from a URL.
#[must_use]
pub fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));

    // A password may contain an unencoded `@` or `/`, so everything up to the last `@` is removed.
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { clean(host).into_owned() } else { format!("{}://{}", clean(scheme), clean(host)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_stamp_panics(millis: i64) {
            prop_assert!(Timestamp::from_millis(millis).rfc3339().ends_with('Z'));
        }
    }

    #[test]
    fn rates_are_formatted() {
        for (per_minute, want) in [(20.0, "20"), (37.54, "37.5"), (0.25, "0.25"), (1.0 / 60.0, "0.017"), (0.0, "0")] {
            assert_eq!(rate(per_minute), want);
        }
    }

    #[test]
    fn long_lines_are_wrapped_between_words() {
        let text = "error: can't read /a/rather/long/path: no such file";
        assert_eq!(wrapped(text, None, 2), text);
        assert_eq!(wrapped(text, Some(80), 2), text);
        assert_eq!(wrapped(text, Some(20), 2), "error: can't read\n  /a/rather/long/path:\n  no such file");
        let painted = "\u{1b}[33mwarning: two words\u{1b}[0m";
        assert_eq!(wrapped(painted, Some(18), 2), painted);
    }

    #[test]
    fn stamps_are_written_in_utc_and_on_a_local_clock() {
        let timestamp = Timestamp::from_millis(1_700_000_000_042);
        assert_eq!(timestamp.rfc3339(), "2023-11-14T22:13:20.042Z");
        assert_eq!(timestamp.rfc3339_seconds(), "2023-11-14T22:13:20Z");
        assert_eq!(local(timestamp, &TimeZone::UTC), "2023-11-14 22:13 UTC");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert!(local(timestamp, &zone).starts_with("2023-11-14 23:13"), "{}", local(timestamp, &zone));
    }

    #[test]
    fn credentials_of_a_proxy_are_not_shown() {
        for (url, want) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://me:secret@proxy:3128/", "http://proxy:3128/"),
            ("socks5://me:s@c/ret@proxy", "socks5://proxy"),
            ("me:secret@proxy:80", "proxy:80"),
        ] {
            assert_eq!(without_userinfo(url), want);
        }
    }
}
