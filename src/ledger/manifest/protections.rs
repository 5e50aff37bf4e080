//! The protections of the runs on one results file. A resumed run keeps them, whether it is given them again or not.

use crate::files::sha256_hex;
use crate::model::{SessionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

/// Ids that no run on the results may send, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredProtections", into = "StoredProtections")]
pub struct Protections {
    users: BTreeSet<UserId>,
    sessions: BTreeSet<SessionId>,
    own_users: BTreeSet<UserId>,
}

/// As it is written. The counts and the hash make an edit visible.
#[derive(Clone, Serialize, Deserialize)]
struct StoredProtections {
    user_ids: Vec<String>,
    session_ids: Vec<u64>,
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
    /// What `--protect` named, and the users of the tokens.
    #[must_use]
    pub fn new<'a>(
        users: impl IntoIterator<Item = &'a UserId>,
        sessions: impl IntoIterator<Item = &'a SessionId>,
        own_users: impl IntoIterator<Item = &'a UserId>,
    ) -> Self {
        Self {
            users: users.into_iter().cloned().collect(),
            sessions: sessions.into_iter().copied().collect(),
            own_users: own_users.into_iter().cloned().collect(),
        }
    }

    /// The users that `--protect` named.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.iter()
    }

    /// The sessions that `--protect` named.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionId> {
        self.sessions.iter()
    }

    /// The users of the tokens whose sessions were protected.
    pub fn own_users(&self) -> impl Iterator<Item = &UserId> {
        self.own_users.iter()
    }

    /// Adds the user of a fresh token.
    pub fn add_own_user(&mut self, user: UserId) {
        self.own_users.insert(user);
    }

    /// User ids and session ids that were named.
    #[must_use]
    pub fn named(&self) -> (usize, usize) {
        (self.users.len(), self.sessions.len())
    }

    /// Over one id a line, in the order in which they are written.
    fn sha256(&self) -> String {
        let mut text = String::new();
        let ids: [&mut dyn Iterator<Item = &dyn fmt::Display>; 3] = [
            &mut self.users.iter().map(|id| id as &dyn fmt::Display),
            &mut self.sessions.iter().map(|id| id as &dyn fmt::Display),
            &mut self.own_users.iter().map(|id| id as &dyn fmt::Display),
        ];
        for id in ids.into_iter().flatten() {
            let _ = writeln!(text, "{id}");
        }
        sha256_hex(text.as_bytes())
    }

    fn counts(&self) -> ProtectionCounts {
        let (users, sessions) = self.named();
        ProtectionCounts { users, sessions, own_users: self.own_users.len() }
    }
}

impl From<Protections> for StoredProtections {
    fn from(known: Protections) -> Self {
        let texts = |ids: &BTreeSet<UserId>| ids.iter().map(UserId::to_string).collect();
        Self {
            user_ids: texts(&known.users),
            session_ids: known.sessions.iter().map(|id| id.get()).collect(),
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
        let known = Self {
            users: users(&stored.user_ids)?,
            sessions: stored.session_ids.into_iter().map(SessionId::from).collect(),
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
        Protections::new(&[user("U2"), user("W1")], &[SessionId::from(7)], &[user("W9")])
    }

    #[test]
    fn what_is_written_reads_back() {
        for protections in [protections(), Protections::default()] {
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
        let text = serde_json::to_string(&protections()).unwrap();
        for (from, to) in [
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
