//! Stamps as the store writes them: RFC 3339, UTC, milliseconds.

use crate::domain::Stamp;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// `2026-11-23T18:42:01.123Z`. The zeros stay, so that the texts sort as the stamps do.
static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Adds `stamp` to `text`. One before year -9999 or after 9999 is written as the first or last moment that has a text.
pub(super) fn push(stamp: Stamp, text: &mut String) {
    let beyond = if stamp.as_millis() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let moment = Timestamp::from_millisecond(stamp.as_millis()).unwrap_or(beyond);
    PRINTER.print_timestamp(&moment, text).expect("a String takes whatever is written to it");
}

/// The text of `stamp`.
pub(super) fn text(stamp: Stamp) -> String {
    let mut text = String::with_capacity(24);
    push(stamp, &mut text);
    text
}

/// Reads a text that [`push`] wrote; none where it is no timestamp.
pub(super) fn parse(text: &str) -> Option<Stamp> {
    text.parse::<Timestamp>().ok().map(|moment| Stamp::from_millis(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_milliseconds_and_read_back() {
        for (millis, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_459_321_123, "2026-11-23T18:42:01.123Z"),
            (1_795_459_321_000, "2026-11-23T18:42:01.000Z"),
            (1_795_459_321_120, "2026-11-23T18:42:01.120Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let stamp = Stamp::from_millis(millis);
            assert_eq!(text(stamp), want);
            assert_eq!(parse(want), Some(stamp));
        }
        assert_eq!(parse("yesterday"), None);
        assert_eq!(parse(""), None);
        assert!(text(Stamp::from_millis(i64::MAX)).starts_with("9999-"));
        assert!(text(Stamp::from_millis(i64::MIN)).starts_with("-009999-"));
    }
}
