//! What a listing shows of the sessions and the users of a run. Pure; memory is bounded by the results.

use crate::domain::{SessionId, UserId};
use crate::slack::Page;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Addresses kept for one user: enough to see where somebody is back from.
const MOST_IPS: usize = 20;

/// What is asked for: the sessions of the results, and their users.
#[derive(Debug, Default)]
pub struct Concerned {
    /// Every session that the results name.
    pub sessions: HashSet<SessionId>,
    /// Every user that they name.
    pub users: HashSet<UserId>,
    /// Other sessions of theirs that were there before the run, as far as `--before` tells.
    pub before: HashSet<SessionId>,
}

/// A user's sessions that neither the results nor `--before` name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Back {
    /// How many.
    pub sessions: u64,
    /// From which addresses: those last seen, else those of the sign-in.
    pub ips: BTreeSet<Box<str>>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Sightings {
    alive: HashSet<SessionId>,
    back: HashMap<UserId, Back>,
    /// Sessions that could not be read: with such, nothing is proved gone.
    pub unreadable: u64,
}

/// The answer to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The session is not listed, and its user has no other.
    Gone,
    /// The session is listed.
    StillThere,
    /// The session is not listed, and its user has others that neither the results nor `--before` name.
    UserBack,
    /// The session is not among those that could be read, and there are others. Of a record that names a user alone: the user
    /// has sessions, and nobody can tell whether they are old or new.
    Unproven,
    /// The record names no session.
    NotAsked,
}

impl Verdict {
    /// Every verdict, in the order of the totals.
    pub const ALL: [Self; 5] = [Self::Gone, Self::UserBack, Self::StillThere, Self::Unproven, Self::NotAsked];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::StillThere => "still_there",
            Self::UserBack => "user_back",
            Self::Unproven => "unproven",
            Self::NotAsked => "",
        }
    }

    /// Whether the session is proved to be gone.
    #[must_use]
    pub fn is_gone(self) -> bool {
        match self {
            Self::Gone | Self::UserBack => true,
            Self::StillThere | Self::Unproven | Self::NotAsked => false,
        }
    }
}

impl Sightings {
    /// Takes in a page.
    pub fn take(&mut self, page: Page, concerned: &Concerned) {
        self.unreadable += page.unreadable as u64;
        for session in page.sessions {
            if concerned.sessions.contains(&session.session_id) {
                self.alive.insert(session.session_id);
            } else if concerned.users.contains(&session.user_id) && !concerned.before.contains(&session.session_id) {
                let back = self.back.entry(session.user_id).or_default();
                back.sessions += 1;
                let device = session.recent.filter(|device| device.ip.is_some()).or(session.created);
                if let Some(ip) = device.and_then(|device| device.ip)
                    && back.ips.len() < MOST_IPS
                {
                    back.ips.insert(ip);
                }
            }
        }
    }

    /// The answer for a session of this user.
    #[must_use]
    pub fn verdict(&self, session: Option<SessionId>, user: Option<&UserId>) -> Verdict {
        match session {
            None => Verdict::NotAsked,
            Some(session) if self.alive.contains(&session) => Verdict::StillThere,
            Some(_) if self.unreadable > 0 => Verdict::Unproven,
            Some(_) if user.is_some_and(|user| self.back.contains_key(user)) => Verdict::UserBack,
            Some(_) => Verdict::Gone,
        }
    }

    /// The answer for a whole user whose sessions no record names.
    #[must_use]
    pub fn verdict_of_user(&self, user: &UserId) -> Verdict {
        let is_seen = self.unreadable > 0 || self.back.contains_key(user);
        if is_seen { Verdict::Unproven } else { Verdict::Gone }
    }

    /// The sessions with which a user is back.
    #[must_use]
    pub fn back(&self, user: &UserId) -> Option<&Back> {
        self.back.get(user)
    }

    /// New sessions of all users, each once.
    #[must_use]
    pub fn new_sessions(&self) -> u64 {
        self.back.values().map(|back| back.sessions).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TeamId;
    use crate::slack::{ActiveSession, Device};

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn session(id: u64, owner: &str, ip: &str) -> ActiveSession {
        ActiveSession {
            user_id: user(owner),
            team_id: TeamId::parse("T1").unwrap(),
            session_id: SessionId::from(id),
            created: Some(Device { ip: Some(ip.into()), ..Device::default() }),
            recent: None,
        }
    }

    #[test]
    fn sessions_are_gone_there_or_replaced() {
        let concerned = Concerned {
            sessions: [1, 2, 3].map(SessionId::from).into(),
            users: [user("U1"), user("U2")].into(),
            before: [12].map(SessionId::from).into(),
        };
        let mut seen = Sightings::default();
        let sessions = vec![
            session(2, "U2", "192.0.2.2"),
            session(9, "U1", "192.0.2.9"),
            session(10, "U1", "192.0.2.9"),
            session(11, "U7", "192.0.2.7"),
            session(12, "U2", "192.0.2.12"),
        ];
        seen.take(Page { sessions, ..Page::default() }, &concerned);
        let verdict = |seen: &Sightings, id, owner| seen.verdict(Some(SessionId::from(id)), Some(&user(owner)));
        assert_eq!(verdict(&seen, 1, "U1"), Verdict::UserBack);
        assert_eq!(verdict(&seen, 2, "U2"), Verdict::StillThere);
        assert_eq!(verdict(&seen, 3, "U2"), Verdict::Gone);
        assert_eq!(seen.verdict(Some(SessionId::from(1)), None), Verdict::Gone, "nobody to be back");
        assert_eq!(seen.verdict(None, Some(&user("U1"))), Verdict::NotAsked);
        let back = seen.back(&user("U1")).unwrap();
        assert_eq!((back.sessions, back.ips.len(), seen.new_sessions()), (2, 1, 2));
        seen.take(Page { unreadable: 1, ..Page::default() }, &concerned);
        assert_eq!(verdict(&seen, 1, "U1"), Verdict::Unproven);
        assert_eq!(verdict(&seen, 2, "U2"), Verdict::StillThere);
    }

    #[test]
    fn a_whole_user_is_gone_only_where_no_session_is_seen() {
        let concerned = Concerned { users: [user("U1"), user("U2")].into(), ..Concerned::default() };
        let mut seen = Sightings::default();
        seen.take(Page { sessions: vec![session(9, "U1", "192.0.2.9")], ..Page::default() }, &concerned);
        assert_eq!(seen.verdict_of_user(&user("U1")), Verdict::Unproven);
        assert_eq!(seen.verdict_of_user(&user("U2")), Verdict::Gone);
        seen.unreadable = 1;
        assert_eq!(seen.verdict_of_user(&user("U2")), Verdict::Unproven);
    }
}
