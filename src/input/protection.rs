//! The `--protect` file: one id per line that must never be revoked.

use crate::model::{EmailAddress, IdColumn, Person, Rejection, SessionId, UserId};
use std::collections::{BTreeSet, HashSet};

/// Why a `--protect` file can't be used. It stops the run, because ids that can't be read wouldn't be protected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectError {
    /// UTF-16, or another text with NUL characters.
    #[error("the file is in UTF-16 or contains NUL characters; save it as UTF-8")]
    Utf16,
    #[error("line {line}: the text is not UTF-8; save the file as UTF-8")]
    NotUtf8 { line: usize },
    /// A line that isn't an id.
    #[error(
        "line {line}: {text:?} is neither a user id (U… or W…), an e-mail address nor a session id; give one a line, with # for comments"
    )]
    NotAnId {
        line: usize,
        /// The line, without its comment.
        text: String,
    },
}

/// Everything that some program treats as a line end, so that a comment never hides an id on the next line.
const LINE_ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Users and sessions that a run must never touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protection {
    pub users: HashSet<UserId>,
    pub sessions: HashSet<SessionId>,
    /// Addresses to be looked up before they protect anybody.
    pub addresses: BTreeSet<EmailAddress>,
    /// Users of these addresses once they are looked up, including those of a resumed run.
    pub users_of_addresses: HashSet<UserId>,
    /// For whole users: users of protected sessions, because those would end with the user's other sessions.
    pub users_of_sessions: HashSet<UserId>,
    /// Users of the tokens of this run and earlier ones, unless `--allow-self` was given.
    pub own_users: HashSet<UserId>,
    /// Users of the tokens with `--allow-self`: their sessions are sent, but not as those of covered users.
    pub not_covered: HashSet<UserId>,
}

impl Protection {
    /// Fails if the session or the user is protected.
    pub(super) fn check(&self, session: Option<SessionId>, user: Option<&UserId>) -> Result<(), Rejection> {
        if session.is_some_and(|session| self.sessions.contains(&session)) {
            return Err(Rejection::ProtectedSession);
        }
        let Some(user) = user else { return Ok(()) };
        if self.users.contains(user) || self.users_of_addresses.contains(user) {
            return Err(Rejection::ProtectedUser);
        }
        if self.users_of_sessions.contains(user) {
            return Err(Rejection::ProtectedThroughSession);
        }
        if self.own_users.contains(user) { Err(Rejection::OwnSession) } else { Ok(()) }
    }

    /// Whether the user isn't ended as a whole, even if all their listed sessions are in the input.
    pub(super) fn is_never_covered(&self, user: &UserId) -> bool {
        self.check(None, Some(user)).is_err() || self.not_covered.contains(user)
    }

    /// Adds the ids of a `--protect` file. Blank lines, comments after `#`, and a header `user_id` are skipped.
    ///
    /// # Errors
    /// If the file isn't UTF-8, or at the first line that isn't an id or an address.
    pub fn protect(&mut self, content: impl AsRef<[u8]>) -> Result<(), ProtectError> {
        let text = text_of(content.as_ref())?.replace("\r\n", "\n");
        for (index, line) in text.split(LINE_ENDS).enumerate() {
            let id = line.split('#').next().unwrap_or_default().trim();
            if id.is_empty() || (index == 0 && id == IdColumn::User.as_str()) {
                continue;
            }
            match (Person::parse(id), SessionId::parse(id)) {
                (Ok(Person::Id(user)), _) => drop(self.users.insert(user)),
                (Ok(Person::Email(address)), _) => drop(self.addresses.insert(address)),
                (Err(_), Ok(session)) => drop(self.sessions.insert(session)),
                (Err(_), Err(_)) => return Err(ProtectError::NotAnId { line: index + 1, text: id.to_owned() }),
            }
        }
        Ok(())
    }

    /// Adds what `--protect` named in an earlier run. Returns whether any of it is new.
    pub fn add<'a>(
        &mut self,
        users: impl IntoIterator<Item = &'a UserId>,
        users_of_addresses: impl IntoIterator<Item = &'a UserId>,
        sessions: impl IntoIterator<Item = &'a SessionId>,
    ) -> bool {
        let before = self.ids();
        self.users.extend(users.into_iter().cloned());
        self.users_of_addresses.extend(users_of_addresses.into_iter().cloned());
        self.sessions.extend(sessions);
        self.ids() > before
    }

    /// Number of users and sessions that `--protect` names.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.users.len() + self.users_of_addresses.len() + self.sessions.len()
    }
}

/// UTF-16, with or without a BOM, is detected by its NULs, because ids are ASCII.
fn text_of(content: &[u8]) -> Result<&str, ProtectError> {
    let has_bom = [b"\xff\xfe", b"\xfe\xff"].iter().any(|bom| content.starts_with(*bom));
    if has_bom || content.contains(&0) {
        return Err(ProtectError::Utf16);
    }
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = String::from_utf8_lossy(&content[..error.valid_up_to()]).replace("\r\n", "\n");
        ProtectError::NotUtf8 { line: before.split(LINE_ENDS).count() }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[test]
    fn users_and_sessions_stand_one_a_line() {
        let mut protection = Protection::default();
        protection.protect("user_id\nU1\n").unwrap();
        assert!(Protection::default().protect("U1\nuser_id\n").is_err());
        protection.protect("\u{feff}# the board\r\nU1 # chair\r\n\r\n 1112275520242\nW2\nU1").unwrap();
        assert_eq!((protection.users.len(), protection.sessions.len()), (2, 1));
        assert!(protection.users.contains(&UserId::parse("W2").unwrap()));
        assert!(protection.sessions.contains(&SessionId::from(1_112_275_520_242)));
    }

    #[test]
    fn only_what_is_new_is_reported_as_new() {
        let user = |id| UserId::parse(id).unwrap();
        let (users, sessions) = ([user("U2"), user("W1")], [SessionId::from(7)]);
        let mut protection = Protection { users: [user("U5")].into(), ..Protection::default() };
        assert!(protection.add(&users, [], &sessions));
        assert_eq!((protection.users.len(), protection.sessions.len(), protection.own_users.len()), (3, 1, 0));
        assert!(!protection.add(&users, [], &sessions));
        assert!(protection.add([], &users, []));
        assert_eq!(protection.check(None, Some(&user("W1"))), Err(Rejection::ProtectedUser));
    }

    #[test]
    fn a_line_that_names_nobody_is_an_error_with_its_number() {
        for text in ["T1", "u1", "U1,U2", "1.1E+12", "@jane", "jane@"] {
            let error = Protection::default().protect(format!("U1\n\n{text} # x\n")).unwrap_err();
            assert_eq!(error, ProtectError::NotAnId { line: 3, text: text.into() });
        }
        let mut protection = Protection::default();
        protection.protect("U1\r\n\r\nJane@example.com # x\n").unwrap();
        assert_eq!(protection.addresses, BTreeSet::from([EmailAddress::parse("jane@example.com").unwrap()]));
    }

    #[test]
    fn an_encoding_that_hides_ids_is_named() {
        for text in ["U1\n", "# Jürgen\u{2028}U1", "#\n", "U"] {
            for (bom, to_bytes) in [
                ("\u{feff}", u16::to_le_bytes as fn(u16) -> [u8; 2]),
                ("\u{feff}", u16::to_be_bytes),
                ("", u16::to_le_bytes),
                ("", u16::to_be_bytes),
            ] {
                let content: Vec<u8> = format!("{bom}{text}").encode_utf16().flat_map(to_bytes).collect();
                assert_eq!(Protection::default().protect(content), Err(ProtectError::Utf16), "{bom:?} {text:?}");
            }
        }
        assert_eq!(Protection::default().protect(b"\xff\xfe"), Err(ProtectError::Utf16));
        assert_eq!(Protection::default().protect(b"U1\r\n# J\xfcrgen\r\nU2"), Err(ProtectError::NotUtf8 { line: 2 }));
    }

    const ENDS: [&str; 8] = ["\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"];

    const IDS: [Option<&str>; 7] =
        [Some("U1"), Some("W2"), Some("3"), Some("U"), Some("4,5"), Some("jane@example.com"), None];

    #[test]
    fn no_kind_of_line_end_hides_what_follows_a_comment() {
        for end in ENDS {
            let mut protection = Protection::default();
            protection.protect(format!("# the board{end}U1 # chair{end}{end}2{end}U3")).unwrap();
            assert_eq!((protection.users.len(), protection.sessions.len()), (2, 1), "{end:?}");
            let error = Protection::default().protect(format!("U1{end}# x{end}nobody{end}")).unwrap_err();
            assert_eq!(error, ProtectError::NotAnId { line: 3, text: "nobody".into() }, "{end:?}");
        }
    }

    /// Builds lines from their parts, so that the expected ids are known without parsing.
    fn line() -> impl Strategy<Value = (Option<&'static str>, String)> {
        let parts = (select(&IDS[..]), select(&[" ", "\t", ""][..]), select(&["", "#", "# U9", "# 9 # U8"][..]));
        (parts, select(&ENDS[..])).prop_map(|((id, blank, comment), end)| {
            (id, format!("{blank}{}{blank}{comment}{end}", id.unwrap_or_default()))
        })
    }

    proptest! {
        #[test]
        fn any_text_guards_or_is_refused(lines in vec(line(), 0..8), mark in select(&["", "\u{feff}"][..])) {
            let text: String = lines.iter().map(|(_, text)| text.as_str()).collect();
            let is_good = |id: &&str| Person::parse(id).is_ok() || SessionId::parse(id).is_ok();
            let named: Vec<&str> = lines.iter().filter_map(|(id, _)| *id).collect();
            let mut protection = Protection::default();
            match protection.protect(format!("{mark}{text}")) {
                Ok(()) => {
                    let guarded = protection.users.iter().map(UserId::to_string);
                    let guarded = guarded.chain(protection.addresses.iter().map(EmailAddress::to_string));
                    let guarded: BTreeSet<_> = guarded.chain(protection.sessions.iter().map(SessionId::to_string)).collect();
                    prop_assert_eq!(guarded, named.into_iter().map(str::to_owned).collect());
                }
                Err(ProtectError::Utf16 | ProtectError::NotUtf8 { .. }) => prop_assert!(false, "it is text"),
                Err(ProtectError::NotAnId { text, .. }) => {
                    let first = named.into_iter().find(|id| !is_good(id));
                    prop_assert_eq!(Some(text.as_str()), first);
                }
            }
        }
    }
}
