//! Wall-clock time for records; pacing never uses it. The only code that reads and writes RFC 3339.

use jiff::fmt::temporal::DateTimePrinter;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// `2026-11-23T18:42:01.123Z`, always with three decimals, so that texts sort chronologically.
static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Appends RFC 3339 with milliseconds. A time outside the years -9999 to 9999 becomes the first or last one.
    pub fn push_to(self, text: &mut String) {
        // Writing to a `String` can't fail.
        let _ = PRINTER.print_timestamp(&self.to_jiff(), text);
    }

    /// RFC 3339 in UTC with milliseconds, for programs.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let mut text = String::with_capacity(24);
        self.push_to(&mut text);
        text
    }

    /// RFC 3339 in UTC with seconds, for people.
    #[must_use]
    pub fn rfc3339_seconds(self) -> String {
        format!("{:.0}", self.to_jiff())
    }

    /// Reads RFC 3339; `None` if it isn't valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|moment| Self(moment.as_millisecond()))
    }

    /// As jiff's type, clamped to its range.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        let farthest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(farthest)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} isn't a timestamp")))
    }
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
            let timestamp = Timestamp::from_millis(millis);
            assert_eq!(timestamp.rfc3339(), want);
            assert_eq!(Timestamp::parse(want), Some(timestamp));
        }
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse(""), None);
        assert!(Timestamp::from_millis(i64::MAX).rfc3339().starts_with("9999-"));
        assert!(Timestamp::from_millis(i64::MIN).rfc3339().starts_with("-009999-"));
    }
}
