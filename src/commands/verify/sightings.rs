//! The sessions and users of a run in a listing. Pure; memory is bounded by the results.

use crate::model::{SessionId, UserId};
use crate::output::counted;
use crate::slack::{ActiveSession, SessionPage};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Maximum number of addresses kept per user.
const MOST_IPS: usize = 20;

/// Maximum number of users named in the totals.
const MOST_NAMED: usize = 20;

/// The sessions of the results, and their users.
#[derive(Debug, Default)]
pub struct Concerned {
    /// Every session in the results.
    pub sessions: HashSet<SessionId>,
    pub users: HashSet<UserId>,
    /// Other sessions of these users before the run, from `--before`.
    pub before: HashSet<SessionId>,
}

/// A user's sessions that aren't in the results.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Back {
    /// Without those of `--before`.
    pub sessions: HashSet<SessionId>,
    /// The addresses seen last, otherwise those of the sign-in.
    pub ips: BTreeSet<Box<str>>,
}

#[derive(Debug, Default)]
pub struct ListingSnapshot {
    alive: HashSet<SessionId>,
    /// Users with a session that is in the results or in `--before`.
    alive_users: HashSet<UserId>,
    back: HashMap<UserId, Back>,
    unreadable: Unread,
    /// Whether some pages weren't read.
    pub is_incomplete: bool,
    /// Whether sessions that are neither in the results nor in `--before` are new.
    pub is_compared: bool,
}

/// Sessions that can't be read completely and may be those of a record.
#[derive(Debug, Default)]
struct Unread {
    /// All of them, including those of other users.
    all: u64,
    neither: u64,
    /// Without a readable user.
    userless: u64,
    /// Without a readable session id.
    nameless: u64,
    /// The users of these.
    users: HashSet<UserId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The session isn't listed, and its user has no other.
    Gone,
    /// The session is listed in any workspace. For a `requested` record: any session of the user that isn't new.
    StillThere,
    /// The session isn't listed, and its user has others that are neither in the results nor in `--before`.
    UserBack,
    /// The session isn't listed, but may be an unreadable one or on a page that wasn't read. For a `requested`
    /// record: the user has sessions, and without `--before` they may be old or new.
    Unproven,
    /// The record has no session id.
    NotAsked,
}

impl Verdict {
    /// In the order of the totals.
    pub const ALL: [Self; 5] = [Self::Gone, Self::UserBack, Self::StillThere, Self::Unproven, Self::NotAsked];

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

    #[must_use]
    pub fn is_gone(self) -> bool {
        match self {
            Self::Gone | Self::UserBack => true,
            Self::StillThere | Self::Unproven | Self::NotAsked => false,
        }
    }
}

impl ListingSnapshot {
    #[must_use]
    pub fn new(is_compared: bool) -> Self {
        Self { is_compared, ..Self::default() }
    }

    pub fn take(&mut self, page: SessionPage, concerned: &Concerned) {
        for session in page.sessions {
            self.see(session, concerned);
        }
        for unreadable in page.unreadable {
            self.unreadable.all += 1;
            match (unreadable.user_id, unreadable.session_id) {
                (None, None) => self.unreadable.neither += 1,
                (None, Some(session)) => {
                    self.unreadable.userless += 1;
                    self.alive.extend(concerned.sessions.get(&session));
                }
                (Some(user), _) => {
                    self.unreadable.nameless += 1;
                    self.unreadable.users.extend(concerned.users.get(&user).cloned());
                }
            }
        }
    }

    fn see(&mut self, session: ActiveSession, concerned: &Concerned) {
        let ActiveSession { user_id, session_id, created, recent, .. } = session;
        let is_named = concerned.sessions.contains(&session_id);
        if is_named {
            self.alive.insert(session_id);
        }
        if !concerned.users.contains(&user_id) {
            return;
        }
        if is_named || concerned.before.contains(&session_id) {
            self.alive_users.insert(user_id);
            return;
        }
        let back = self.back.entry(user_id).or_default();
        back.sessions.insert(session_id);
        let ip = recent.and_then(|device| device.ip).or_else(|| created.and_then(|device| device.ip));
        if let Some(ip) = ip
            && back.ips.len() < MOST_IPS
        {
            back.ips.insert(ip);
        }
    }

    /// Whether the session, one of the results, is listed.
    #[must_use]
    pub fn is_alive(&self, session: SessionId) -> bool {
        self.alive.contains(&session)
    }

    #[must_use]
    pub fn verdict(&self, session: Option<SessionId>, user: Option<&UserId>) -> Verdict {
        match session {
            None => Verdict::NotAsked,
            Some(session) if self.alive.contains(&session) => Verdict::StillThere,
            Some(_) if self.may_be_unread(user) => Verdict::Unproven,
            Some(_) if user.is_some_and(|user| self.back.contains_key(user)) => Verdict::UserBack,
            Some(_) => Verdict::Gone,
        }
    }

    /// For a whole user, with or without a session id.
    #[must_use]
    pub fn verdict_of_user(&self, session: Option<SessionId>, user: &UserId) -> Verdict {
        if self.alive_users.contains(user) || session.is_some_and(|session| self.alive.contains(&session)) {
            return Verdict::StillThere;
        }
        if self.may_be_unread(Some(user)) || self.unreadable.userless > 0 {
            return Verdict::Unproven;
        }
        match (self.back.contains_key(user), self.is_compared) {
            (false, _) => Verdict::Gone,
            (true, true) => Verdict::UserBack,
            (true, false) => Verdict::Unproven,
        }
    }

    /// Whether an unreadable session may belong to this user.
    fn may_be_unread(&self, user: Option<&UserId>) -> bool {
        let of_theirs = user.map_or(self.unreadable.nameless > 0, |user| self.unreadable.users.contains(user));
        self.is_incomplete || self.unreadable.neither > 0 || of_theirs
    }

    /// The new sessions of a user.
    #[must_use]
    pub fn back(&self, user: &UserId) -> Option<&Back> {
        self.back.get(user)
    }

    /// Users who signed in again, with their addresses.
    #[must_use]
    pub fn back_again(&self) -> String {
        let mut users: Vec<_> = self.back.iter().collect();
        users.sort_by_key(|(user, _)| *user);
        let named = users.iter().take(MOST_NAMED).map(|(user, back)| {
            let ips: Vec<&str> = back.ips.iter().map(|ip| &**ip).collect();
            let from = if ips.is_empty() { String::new() } else { format!(" from {}", ips.join(" ")) };
            format!("{user} ({}{from})", counted(back.sessions.len() as u64, "session", "sessions"))
        });
        let more = users.len().saturating_sub(MOST_NAMED);
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{}{others}", named.collect::<Vec<_>>().join(", "))
    }

    /// Number of new sessions.
    #[must_use]
    pub fn new_sessions(&self) -> u64 {
        self.back.values().map(|back| back.sessions.len() as u64).sum()
    }

    /// Number of unreadable sessions.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.all
    }
}

#[cfg(test)]
mod tests;
