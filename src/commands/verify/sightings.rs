//! What a listing shows of the sessions and the users of a run. Pure; memory is bounded by the results.

use crate::model::{SessionId, UserId};
use crate::output::counted;
use crate::slack::{ActiveSession, SessionPage};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Addresses kept for one user: enough to see where somebody is back from.
const MOST_IPS: usize = 20;

/// Users that are named in the totals.
const MOST_NAMED: usize = 20;

/// What is asked for: the sessions of the results, and their users.
#[derive(Debug, Default)]
pub struct Concerned {
    /// Every session that the results name.
    pub sessions: HashSet<SessionId>,
    pub users: HashSet<UserId>,
    /// Other sessions of theirs that were there before the run, as far as `--before` tells.
    pub before: HashSet<SessionId>,
}

/// A user's sessions that the results don't name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Back {
    /// Those that `--before` doesn't name either.
    pub sessions: HashSet<SessionId>,
    /// From which addresses: those last seen, else those of the sign-in.
    pub ips: BTreeSet<Box<str>>,
}

#[derive(Debug, Default)]
pub struct ListingSnapshot {
    alive: HashSet<SessionId>,
    /// Users with a session that the results or `--before` name.
    alive_users: HashSet<UserId>,
    back: HashMap<UserId, Back>,
    unreadable: Unread,
    /// Whether there are pages that weren't read.
    pub is_incomplete: bool,
    /// Whether `--before` says which sessions aren't new.
    pub is_compared: bool,
}

/// Sessions that could be those of a record, for all that can be read of them.
#[derive(Debug, Default)]
struct Unread {
    /// All of them, those of strangers included.
    all: u64,
    neither: u64,
    /// The user can't be read.
    userless: u64,
    /// The session's id can't be read.
    nameless: u64,
    /// Of whom there is such a one.
    users: HashSet<UserId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The session is not listed, and its user has no other.
    Gone,
    /// The session is listed, in whatever workspace; of a `requested` record, any session of its user that isn't new.
    StillThere,
    /// The session is not listed, and its user has others that neither the results nor `--before` name.
    UserBack,
    /// The session isn't listed, but it may be one that couldn't be read or is on a page that wasn't. Of a `requested` record:
    /// its user has sessions, and without `--before` they may be old or new.
    Unproven,
    /// The record names no session.
    NotAsked,
}

impl Verdict {
    /// Every verdict, in the order of the totals.
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

    /// Whether the session is proved to be gone.
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

    /// The answer for a session of this user.
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

    /// The answer for a whole user, whether or not the record names one of the sessions.
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

    /// Whether a session of this user, or of whoever owns it, may be there without having been read. Another user's
    /// session is none of theirs.
    fn may_be_unread(&self, user: Option<&UserId>) -> bool {
        let of_theirs = user.map_or(self.unreadable.nameless > 0, |user| self.unreadable.users.contains(user));
        self.is_incomplete || self.unreadable.neither > 0 || of_theirs
    }

    /// The sessions with which a user is back.
    #[must_use]
    pub fn back(&self, user: &UserId) -> Option<&Back> {
        self.back.get(user)
    }

    /// Who has signed in again, with the addresses: the first users by their ids.
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

    /// New sessions of all users, each once.
    #[must_use]
    pub fn new_sessions(&self) -> u64 {
        self.back.values().map(|back| back.sessions.len() as u64).sum()
    }

    /// Sessions that couldn't be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.all
    }
}

#[cfg(test)]
mod tests;
