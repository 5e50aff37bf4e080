//! The protections of runs with one results file. A resumed run keeps them even if they aren't given again.

use crate::files::sha256_hex;
use crate::model::{EmailAddress, SessionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredProtections", into = "StoredProtections")]
pub struct Protections {
    /// From `--protect`.
    pub users: BTreeSet<UserId>,
    /// From `--protect`.
    pub sessions: BTreeSet<SessionId>,
    /// From `--protect`; empty in manifests of versions that only recorded the users.
    pub addresses: BTreeSet<EmailAddress>,
    /// Users of these addresses.
    pub users_of_addresses: BTreeSet<UserId>,
    /// Users of the tokens, unless `--allow-self` was given.
    pub own_users: BTreeSet<UserId>,
}

/// As written. Counts and hash reveal edits.
#[derive(Clone, Serialize, Deserialize)]
struct StoredProtections {
    user_ids: Vec<String>,
    session_ids: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    address_user_ids: Vec<String>,
    own_user_ids: Vec<String>,
    counts: ProtectionCounts,
    sha256: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ProtectionCounts {
    users: usize,
    sessions: usize,
    own_users: usize,
}

impl Protections {
    /// The part that is known without a token.
    #[must_use]
    pub fn named(&self) -> Self {
        Self { users_of_addresses: BTreeSet::new(), own_users: BTreeSet::new(), ..self.clone() }
    }

    /// Number of ids and addresses from `--protect`.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.users.len() + self.sessions.len() + self.addresses.len()
    }

    /// Of one id per line, in the written order.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut text = String::new();
        let ids: [&mut dyn Iterator<Item = &dyn fmt::Display>; 5] = [
            &mut self.users.iter().map(|id| id as &dyn fmt::Display),
            &mut self.sessions.iter().map(|id| id as &dyn fmt::Display),
            &mut self.addresses.iter().map(|id| id as &dyn fmt::Display),
            &mut self.users_of_addresses.iter().map(|id| id as &dyn fmt::Display),
            &mut self.own_users.iter().map(|id| id as &dyn fmt::Display),
        ];
        for id in ids.into_iter().flatten() {
            let _ = writeln!(text, "{id}");
        }
        sha256_hex(text.as_bytes())
    }

    fn counts(&self) -> ProtectionCounts {
        ProtectionCounts { users: self.users.len(), sessions: self.sessions.len(), own_users: self.own_users.len() }
    }
}

impl From<Protections> for StoredProtections {
    fn from(known: Protections) -> Self {
        let texts = |ids: &BTreeSet<UserId>| ids.iter().map(UserId::to_string).collect();
        Self {
            user_ids: texts(&known.users),
            session_ids: known.sessions.iter().map(|id| id.get()).collect(),
            addresses: known.addresses.iter().map(EmailAddress::to_string).collect(),
            address_user_ids: texts(&known.users_of_addresses),
            own_user_ids: texts(&known.own_users),
            counts: known.counts(),
            sha256: known.sha256(),
        }
    }
}

impl TryFrom<StoredProtections> for Protections {
    type Error = String;

    fn try_from(stored: StoredProtections) -> Result<Self, String> {
        let users = |ids: &[String]| -> Result<BTreeSet<UserId>, String> {
            let parse =
                |id: &String| UserId::parse(id).map_err(|_| format!("the protections: {id:?} is not a user id"));
            ids.iter().map(parse).collect()
        };
        let address = |text: &String| {
            EmailAddress::parse(text).ok_or_else(|| format!("the protections: {text:?} is not an e-mail address"))
        };
        let known = Self {
            users: users(&stored.user_ids)?,
            sessions: stored.session_ids.into_iter().map(SessionId::from).collect(),
            addresses: stored.addresses.iter().map(address).collect::<Result<_, _>>()?,
            users_of_addresses: users(&stored.address_user_ids)?,
            own_users: users(&stored.own_user_ids)?,
        };
        if known.counts() != stored.counts || known.sha256() != stored.sha256 {
            return Err("the protections don't have the counts and the SHA-256 written next to them".into());
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protections() -> Protections {
        let user = |id| UserId::parse(id).unwrap();
        Protections {
            users: [user("U2"), user("W1")].into(),
            sessions: [SessionId::from(7)].into(),
            own_users: [user("W9")].into(),
            ..Protections::default()
        }
    }

    fn with_addresses() -> Protections {
        Protections {
            addresses: EmailAddress::parse("jane@example.com").into_iter().collect(),
            users_of_addresses: UserId::parse("U5").into_iter().collect(),
            ..protections()
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for protections in [protections(), with_addresses(), Protections::default()] {
            let text = serde_json::to_string(&protections).unwrap();
            assert_eq!(serde_json::from_str::<Protections>(&text).unwrap(), protections);
        }
        let object = serde_json::to_value(protections()).unwrap();
        assert_eq!(object["counts"], serde_json::json!({"users": 2, "sessions": 1, "own_users": 1}));
        // printf 'U2\nW1\n7\nW9\n' | sha256sum
        assert_eq!(object["sha256"], "1ad6a16151cd034162dce308caa6b982f0377d978be0166a6d56ca07de7a67ec");
    }

    #[test]
    fn an_edit_of_any_member_is_an_error() {
        let text = serde_json::to_string(&with_addresses()).unwrap();
        for (from, to) in [
            ("jane@", "joe@"),
            ("[\"U5\"]", "[]"),
            ("\"U2\"", "\"U3\""),
            ("\"U2\",", ""),
            ("[7]", "[]"),
            ("[\"W9\"]", "[]"),
            ("\"own_user_ids\":[\"W9\"],", ""),
            ("\"users\":2", "\"users\":1"),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            assert!(serde_json::from_str::<Protections>(&edited).is_err(), "{edited}");
        }
    }
}
