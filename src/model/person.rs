//! People in lists: user ids or e-mail addresses.

use super::UserId;
use std::fmt;

/// In lower case, because Slack ignores case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(Box<str>);

impl EmailAddress {
    /// `None` unless the text is one address: no blanks, and one `@` between two parts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, host) = text.split_once('@')?;
        let is_plain =
            |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '@' | ',' | ';' | '<' | '>' | '"');
        let is_address = !name.is_empty() && !host.is_empty() && name.chars().chain(host.chars()).all(is_plain);
        is_address.then(|| Self(text.to_lowercase().into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Person {
    Id(UserId),
    Email(EmailAddress),
}

impl Person {
    /// # Errors
    /// What to give instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let id = UserId::parse(text).map(Self::Id).ok();
        id.or_else(|| EmailAddress::parse(text).map(Self::Email))
            .ok_or("must be a user id (U… or W…) or an e-mail address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_an_id_or_an_address() {
        for (text, want) in [
            ("U1", Some("U1")),
            (" Jane.Doe@Example.COM ", Some("jane.doe@example.com")),
            ("jane", None),
            ("@example.com", None),
            ("jane@", None),
            ("a@b@c", None),
            ("Jane <jane@example.com>", None),
            ("a@x.com,b@x.com", None),
            ("", None),
        ] {
            let text_of = |person| match person {
                Person::Id(id) => id.to_string(),
                Person::Email(address) => address.to_string(),
            };
            assert_eq!(Person::parse(text).ok().map(text_of).as_deref(), want, "{text:?}");
        }
    }
}
