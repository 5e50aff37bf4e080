//! Text for people: cleaned, counted, timed. Pure.

pub use crate::model::format_duration;
use crate::model::{Stamp, is_unsafe_to_print};
use jiff::tz::TimeZone;
use std::borrow::Cow;

/// Takes from `text` whatever could move a cursor, recolour a terminal, or make a line read otherwise than it is.
///
/// Tabs and line breaks become a blank, every other such character U+FFFD: that something was there stays visible.
/// All that comes from the input or from Slack passes through here before it is shown.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe_to_print) {
        Cow::Owned(text.chars().map(harmless).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn harmless(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        c if is_unsafe_to_print(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`, `1,000 rows`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// `text` in lines of at most `width` columns, those after the first indented. A longer word, such as a path, stays whole.
/// Without a width it stays as it is.
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

/// Calls a minute: `20`, `37.5`; at most one decimal.
#[must_use]
pub fn rate(per_minute: f64) -> String {
    // A call an hour is 0.017 a minute.
    let text = if per_minute < 1.0 { format!("{per_minute:.3}") } else { format!("{per_minute:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A moment on the clock of `zone`, to the minute: `2026-11-24 03:20 CET`.
#[must_use]
pub fn local(stamp: Stamp, zone: &TimeZone) -> String {
    stamp.timestamp().to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A URL without the user and the password that may stand in it: proxies are shown, their credentials never.
#[must_use]
pub fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));

    // A password may hold an unencoded `@` or `/`, so all up to the last `@` of the whole is taken for it.
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { clean(host).into_owned() } else { format!("{}://{}", clean(scheme), clean(host)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clean_replaces_deceptive_characters() {
        for (text, want) in [
            ("Zoë, 東京 🚀", "Zoë, 東京 🚀"),
            ("a\tb\r\nc", "a b  c"),
            ("\u{1b}[2Jgone", "\u{fffd}[2Jgone"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("bell\u{7}\u{7f}", "bell\u{fffd}\u{fffd}"),
            ("U1\u{202e}2U", "U1\u{fffd}2U"),
            ("a\u{200b}b\u{feff}", "a\u{fffd}b\u{fffd}"),
            ("x\u{e0041}", "x\u{fffd}"),
        ] {
            assert_eq!(clean(text), want);
        }
        assert!(matches!(clean("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn cleaned_text_is_safe_keeps_its_length_and_stays_as_it_is(text in ".*") {
            let cleaned = clean(&text).into_owned();
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_unsafe_to_print(c)));
            prop_assert_eq!(cleaned.chars().count(), text.chars().count());
            prop_assert!(matches!(clean(&cleaned), Cow::Borrowed(_)));
        }

        #[test]
        fn any_bytes_come_out_without_controls(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            prop_assert!(!clean(&text).chars().any(char::is_control));
        }

        #[test]
        fn thousands_only_adds_commas(number: u64) {
            let text = thousands(number);
            prop_assert_eq!(text.replace(',', ""), number.to_string());
            prop_assert!(text.rsplit(',').skip(1).count() == 0 || text.split(',').skip(1).all(|part| part.len() == 3));
        }

        #[test]
        fn no_stamp_panics(millis: i64) {
            prop_assert!(Stamp::from_millis(millis).rfc3339().ends_with('Z'));
        }
    }

    #[test]
    fn numbers_and_rates_are_formatted() {
        for (number, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), want);
        }
        for (per_minute, want) in [(20.0, "20"), (37.54, "37.5"), (0.25, "0.25"), (1.0 / 60.0, "0.017"), (0.0, "0")] {
            assert_eq!(rate(per_minute), want);
        }
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(2000, "row", "rows"), "2,000 rows");
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
        let stamp = Stamp::from_millis(1_700_000_000_042);
        assert_eq!(stamp.rfc3339(), "2023-11-14T22:13:20.042Z");
        assert_eq!(stamp.rfc3339_seconds(), "2023-11-14T22:13:20Z");
        assert_eq!(local(stamp, &TimeZone::UTC), "2023-11-14 22:13 UTC");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert!(local(stamp, &zone).starts_with("2023-11-14 23:13"), "{}", local(stamp, &zone));
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
