//! Slack's identifiers, validated when they are read.

mod plain;
mod text;

use std::fmt;
use text::IdText;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    Missing,
    NotAnInteger,
    /// `1.11228E+12`: a spreadsheet rounded the id, and digits are lost.
    SpreadsheetDamage,
    /// A number of more than 64 bits.
    TooLarge,
    /// Doesn't start with `T` or `E`, or has other characters than capitals and digits.
    NotATeam,
    /// Doesn't start with `U` or `W`, or has other characters than capitals and digits.
    NotAUser,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is empty",
            Self::NotAnInteger => "is not an integer",
            Self::SpreadsheetDamage => "may have been rounded by a spreadsheet; export the column again as text",
            Self::TooLarge => "is larger than any session id",
            Self::NotATeam => "is not a workspace (T…) or organization (E…) id",
            Self::NotAUser => "is not a user id (U… or W…)",
        })
    }
}

impl std::error::Error for IdError {}

/// 13 decimal digits in Slack's samples, so above 2^32 (slack.md, "The call").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// Reads an id from a field. Blanks and spreadsheet decoration around it are ignored, unless digits may have been
    /// lost.
    ///
    /// # Errors
    /// [`IdError::Missing`], [`IdError::NotAnInteger`], [`IdError::SpreadsheetDamage`] or [`IdError::TooLarge`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let number = |digits: &str| digits.parse().map(Self).map_err(|_| IdError::TooLarge);
        if is_number(text) {
            return number(text);
        }
        let text = plain::undecorated(text);
        if text.is_empty() {
            return Err(IdError::Missing);
        }
        if is_number(&text) {
            return number(&text);
        }
        if let Some(digits) = plain::whole_number(&text) {
            return number(&digits);
        }
        let damaged = text.contains(['e', 'E', '.']) && text.replace(',', ".").parse::<f64>().is_ok();
        Err(if damaged { IdError::SpreadsheetDamage } else { IdError::NotAnInteger })
    }

    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl From<u64> for SessionId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Slack's ids have capitals and digits. The longest known one has 12 characters; up to 64 are accepted.
fn is_slack_id(text: &str, first: [char; 2]) -> bool {
    text.starts_with(first)
        && (2..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $first:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(IdText);

        impl $name {
            /// Reads an id from a field. Blanks and text marks around it are ignored.
            ///
            /// # Errors
            /// [`IdError::Missing`], or the error for an invalid id of this kind.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if is_slack_id(text, $first) {
                    return Ok(Self(IdText::new(text)));
                }
                match plain::undecorated(text) {
                    text if text.is_empty() => Err(IdError::Missing),
                    text if is_slack_id(&text, $first) => Ok(Self(IdText::new(&text))),
                    _ => Err($error),
                }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.as_str()).finish()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_id!(
    /// A workspace (`T…`) or the organization (`E…`).
    TeamId,
    ['T', 'E'],
    IdError::NotATeam
);
text_id!(
    /// The owner of a session, `U…` or `W…`.
    UserId,
    ['U', 'W'],
    IdError::NotAUser
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_integers_or_say_why_not() {
        for (text, want) in [
            ("1112275520242", Ok(1_112_275_520_242)),
            (" 12345 ", Ok(12_345)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", Err(IdError::TooLarge)),
            ("1.11228E+12", Err(IdError::SpreadsheetDamage)),
            ("1,11228E+12", Err(IdError::SpreadsheetDamage)),
            ("1112275520242.0", Ok(1_112_275_520_242)),
            ("1112275520242.5", Err(IdError::SpreadsheetDamage)),
            ("1234567890123456.0", Err(IdError::SpreadsheetDamage)),
            ("=\"1112275520242\"", Ok(1_112_275_520_242)),
            ("'1112275520242", Ok(1_112_275_520_242)),
            ("1,112,275,520,242", Ok(1_112_275_520_242)),
            ("１１１２２７５５２０２４２", Ok(1_112_275_520_242)),
            ("=\"\"", Err(IdError::Missing)),
            ("\u{200b}1112275520242", Err(IdError::NotAnInteger)),
            ("\u{201c}1112275520242\u{201d}", Err(IdError::NotAnInteger)),
            ("-5", Err(IdError::NotAnInteger)),
            ("+5", Err(IdError::NotAnInteger)),
            ("0x1f", Err(IdError::NotAnInteger)),
            ("session", Err(IdError::NotAnInteger)),
            ("١٢٣", Err(IdError::NotAnInteger)),
            ("", Err(IdError::Missing)),
            ("  ", Err(IdError::Missing)),
        ] {
            assert_eq!(SessionId::parse(text).map(SessionId::get), want, "{text:?}");
        }
    }

    #[test]
    fn text_ids_know_their_first_letter() {
        assert_eq!(TeamId::parse(" T0123ABC ").unwrap().as_str(), "T0123ABC");
        assert_eq!(TeamId::parse("E1").unwrap().as_str(), "E1");
        assert_eq!(TeamId::parse("U1"), Err(IdError::NotATeam));
        assert_eq!(TeamId::parse("t1"), Err(IdError::NotATeam));
        assert_eq!(TeamId::parse("T"), Err(IdError::NotATeam));
        assert_eq!(TeamId::parse("T1\u{1b}[2J"), Err(IdError::NotATeam));
        assert_eq!(TeamId::parse(""), Err(IdError::Missing));
        assert_eq!(UserId::parse("W9").unwrap().as_str(), "W9");
        assert_eq!(UserId::parse("=\"U0BOSS001\"").unwrap(), UserId::parse("U0BOSS001").unwrap());
        assert_eq!(UserId::parse("'U1").unwrap().as_str(), "U1");
        assert_eq!(UserId::parse("U1\u{200b}"), Err(IdError::NotAUser));
        assert_eq!(UserId::parse("T9"), Err(IdError::NotAUser));
    }
}
