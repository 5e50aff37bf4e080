//! The sessions of the stand-in, at about 50 bytes each.

use super::devices::SessionDevices;
use super::interner::{Interner, NameId};
use crate::model::{ErrorCode, SessionKind};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A session. An owner that is `None` isn't checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: u64,
    /// The workspace, `T…` or `E…`.
    pub team: Option<String>,
    /// The owner, `U…` or `W…`.
    pub user: Option<String>,
    /// Whether calls are answered `session_expired`.
    pub expired: bool,
    /// For `admin.users.session.list`; made up from the id if `None`.
    pub devices: Option<SessionDevices>,
}

impl Session {
    /// A session that is alive, on a made-up device.
    #[must_use]
    pub fn new(id: u64, team: &str, user: &str) -> Self {
        Self { id, team: Some(team.into()), user: Some(user.into()), expired: false, devices: None }
    }
}

/// The id by which a request identifies the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionOwner<'a> {
    Team(&'a str),
    User(&'a str),
}

/// Whether a session is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    Alive,
    Expired,
    /// Never existed.
    Absent,
    /// Ended by a call.
    Revoked,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    team: Option<NameId>,
    user: Option<NameId>,
    /// Number of calls for this session, including those with faults.
    seen: u16,
    state: SessionState,
    /// Whether `ok: true` was sent for it.
    confirmed: bool,
}

/// The state of a session before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EarlierCalls {
    pub calls: u32,
    /// Whether a call has ended it.
    pub revoked: bool,
    /// Whether a call was answered `ok: true`.
    pub confirmed: bool,
}

#[derive(Debug)]
pub struct SessionStore {
    entries: HashMap<u64, Entry>,
    teams: Interner,
    users: Interner,
    devices: HashMap<u64, SessionDevices>,
    /// The state of sessions that weren't named before.
    unnamed: SessionState,
    /// The sorted ids, computed for the first listing.
    order: Vec<u64>,
    revoked: u64,
}

impl SessionStore {
    /// Every session with any owner is alive until it is revoked. Only sessions that were called use memory.
    #[must_use]
    pub fn everything() -> Self {
        Self::empty(SessionState::Alive, 0)
    }

    /// Only these sessions. Of two with the same id, the first counts.
    pub fn listed(sessions: impl IntoIterator<Item = Session>) -> Self {
        let sessions = sessions.into_iter();
        let mut store = Self::empty(SessionState::Absent, sessions.size_hint().0);
        sessions.for_each(|session| store.put_first(session));
        store
    }

    /// Adds a session unless its id exists.
    pub(super) fn put_first(&mut self, session: Session) {
        if !self.entries.contains_key(&session.id) {
            self.put(session);
        }
    }

    /// Adds a user, who may have no session.
    pub(super) fn add_user(&mut self, user: &str) {
        self.users.intern(user);
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.users.names()
    }

    /// The workspaces in which a user has or had sessions.
    pub(super) fn teams_of(&self, user: &str) -> BTreeSet<String> {
        let Some(user) = self.users.get(user) else { return BTreeSet::new() };
        let entries = self.entries.values().filter(|entry| entry.user == Some(user));
        entries.filter_map(|entry| Some(self.teams.text(entry.team?).to_owned())).collect()
    }

    pub(super) fn has_user(&self, user: &str) -> bool {
        self.unnamed == SessionState::Alive || self.users.get(user).is_some()
    }

    /// Ends the sessions of these users that are alive, all or of one kind.
    pub(super) fn end_all_of(&mut self, users: &[String], only: Option<SessionKind>) {
        let users: HashSet<NameId> = users.iter().filter_map(|user| self.users.get(user)).collect();
        let devices = &self.devices;
        for (id, entry) in &mut self.entries {
            let is_meant = only.is_none_or(|only| {
                let kind = devices.get(id).map_or_else(|| SessionDevices::made_up(*id).kind(), SessionDevices::kind);
                kind == only
            });
            if entry.state == SessionState::Alive && entry.user.is_some_and(|user| users.contains(&user)) && is_meant {
                entry.state = SessionState::Revoked;
                self.revoked += 1;
            }
        }
    }

    fn empty(unnamed: SessionState, capacity: usize) -> Self {
        Self {
            entries: HashMap::with_capacity(capacity),
            teams: Interner::default(),
            users: Interner::default(),
            devices: HashMap::new(),
            unnamed,
            order: Vec::new(),
            revoked: 0,
        }
    }

    /// Adds a session, or makes it alive again with this owner.
    pub(super) fn put(&mut self, session: Session) {
        let state = if session.expired { SessionState::Expired } else { SessionState::Alive };
        let team = session.team.map(|team| self.teams.intern(&team));
        let user = session.user.map(|user| self.users.intern(&user));
        let seen = self.entries.get(&session.id).map_or(0, |entry| entry.seen);
        self.entries.insert(session.id, Entry { team, user, seen, state, confirmed: false });
        if let Some(devices) = session.devices {
            self.devices.insert(session.id, devices);
        }
    }

    /// Counts a call for `id` and returns the state before it.
    pub(super) fn count_call(&mut self, id: u64) -> EarlierCalls {
        let entry = self.entry(id);
        let revoked = entry.state == SessionState::Revoked;
        let seen = EarlierCalls { calls: entry.seen.into(), revoked, confirmed: entry.confirmed };
        entry.seen = entry.seen.saturating_add(1);
        seen
    }

    pub(super) fn mark_confirmed(&mut self, id: u64) {
        self.entry(id).confirmed = true;
    }

    /// Ends `id`.
    ///
    /// # Errors
    /// `session_expired`, or `session_not_found` if there is no such session with this owner.
    pub(super) fn end(&mut self, id: u64, owner: SessionOwner<'_>) -> Result<(), ErrorCode> {
        let named = match owner {
            SessionOwner::Team(team) => self.teams.get(team),
            SessionOwner::User(user) => self.users.get(user),
        };
        let entry = self.entry(id);
        let known = match owner {
            SessionOwner::Team(_) => entry.team,
            SessionOwner::User(_) => entry.user,
        };
        if known.is_some() && known != named {
            return Err(ErrorCode::SessionNotFound);
        }
        match entry.state {
            SessionState::Alive => entry.state = SessionState::Revoked,
            SessionState::Expired => return Err(ErrorCode::SessionExpired),
            SessionState::Absent | SessionState::Revoked => return Err(ErrorCode::SessionNotFound),
        }
        self.revoked += 1;
        Ok(())
    }

    fn entry(&mut self, id: u64) -> &mut Entry {
        let unnamed = Entry { team: None, user: None, seen: 0, state: self.unnamed, confirmed: false };
        self.entries.entry(id).or_insert(unnamed)
    }

    pub(super) fn is_alive(&self, id: u64) -> bool {
        self.state(id) == SessionState::Alive
    }

    fn state(&self, id: u64) -> SessionState {
        self.entries.get(&id).map_or(self.unnamed, |entry| entry.state)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every known session in order, with whether it is alive.
    pub(super) fn all(&mut self) -> Vec<(Session, bool)> {
        self.sort();
        let sessions =
            self.order.iter().map(|id| (Session { devices: None, ..self.describe(*id) }, self.is_alive(*id)));
        sessions.collect()
    }

    /// Number of sessions ended by calls.
    pub(super) fn revoked(&self) -> u64 {
        self.revoked
    }

    /// The ids of known sessions that are alive, in order.
    pub(super) fn live(&mut self) -> Vec<u64> {
        self.sort();
        self.order.iter().copied().filter(|&id| self.is_alive(id)).collect()
    }

    /// Up to `limit` sessions that are alive with an id above `after`, optionally only those of one user in one
    /// workspace, and whether there are more.
    pub(super) fn page(&mut self, after: Option<u64>, limit: usize, of: Option<(&str, &str)>) -> (Vec<Session>, bool) {
        self.sort();
        let wanted = of.map(|(team, user)| (self.teams.get(team), self.users.get(user)));
        let from = after.map_or(0, |after| self.order.partition_point(|&id| id <= after));
        let mut matching = self.order[from..].iter().copied().filter(|id| self.is_listed(*id, wanted));
        let page = matching.by_ref().take(limit).map(|id| self.describe(id)).collect();
        (page, matching.next().is_some())
    }

    fn is_listed(&self, id: u64, wanted: Option<(Option<NameId>, Option<NameId>)>) -> bool {
        let entry = &self.entries[&id];
        let matches = |(team, user): (Option<_>, Option<_>)| {
            team == entry.team && team.is_some() && user == entry.user && user.is_some()
        };
        entry.state == SessionState::Alive && wanted.is_none_or(matches)
    }

    fn describe(&self, id: u64) -> Session {
        let entry = &self.entries[&id];
        Session {
            id,
            team: entry.team.map(|team| self.teams.text(team).into()),
            user: entry.user.map(|user| self.users.text(user).into()),
            expired: entry.state == SessionState::Expired,
            devices: Some(self.devices.get(&id).cloned().unwrap_or_else(|| SessionDevices::made_up(id))),
        }
    }

    /// Entries are never removed, so the ids are unchanged if their number is.
    fn sort(&mut self) {
        if self.order.len() != self.entries.len() {
            self.order = self.entries.keys().copied().collect();
            self.order.sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> SessionStore {
        let expired = Session { expired: true, ..Session::new(3, "T2", "U2") };
        let ownerless = Session { user: None, ..Session::new(4, "T2", "") };
        SessionStore::listed([
            Session::new(2, "T1", "U1"),
            Session::new(1, "T1", "U1"),
            expired,
            ownerless,
            Session::new(1, "T9", "U9"),
        ])
    }

    #[test]
    fn a_session_ends_once_and_only_under_its_owner() {
        let mut store = small();
        let mut end = |id, owner| store.end(id, owner);
        assert_eq!(end(1, SessionOwner::Team("T9")), Err(ErrorCode::SessionNotFound), "the first of two counts");
        assert_eq!(end(1, SessionOwner::Team("T8")), Err(ErrorCode::SessionNotFound), "a name never heard of");
        assert_eq!(end(1, SessionOwner::Team("T1")), Ok(()));
        assert_eq!(end(1, SessionOwner::Team("T1")), Err(ErrorCode::SessionNotFound));
        assert_eq!(end(2, SessionOwner::User("U1")), Ok(()));
        assert_eq!(end(3, SessionOwner::User("U2")), Err(ErrorCode::SessionExpired));
        assert_eq!(end(3, SessionOwner::User("U1")), Err(ErrorCode::SessionNotFound));
        assert_eq!(end(4, SessionOwner::User("U5")), Ok(()), "an owner left out is not checked");
        assert_eq!(end(5, SessionOwner::Team("T1")), Err(ErrorCode::SessionNotFound));
        assert_eq!(store.revoked(), 3);
        store.mark_confirmed(1);
        assert_eq!(store.count_call(1), EarlierCalls { calls: 0, revoked: true, confirmed: true });
        assert_eq!(store.count_call(2), EarlierCalls { calls: 0, revoked: true, confirmed: false });
        assert_eq!(store.count_call(2), EarlierCalls { calls: 1, revoked: true, confirmed: false });
        store.put(Session::new(1, "T9", "U9"));
        assert_eq!(store.end(1, SessionOwner::Team("T9")), Ok(()), "signed in again, elsewhere");
        assert_eq!(store.count_call(1), EarlierCalls { calls: 1, revoked: true, confirmed: false });
    }

    #[test]
    fn everything_is_alive_until_it_is_revoked() {
        let mut store = SessionStore::everything();
        assert!(store.is_alive(77));
        assert_eq!(store.end(77, SessionOwner::Team("T1")), Ok(()));
        assert_eq!(store.end(77, SessionOwner::Team("T1")), Err(ErrorCode::SessionNotFound));
        assert!(!store.is_alive(77) && store.is_alive(78));
    }

    #[test]
    fn pages_go_through_the_live_sessions_once() {
        let of = |(page, more): (Vec<Session>, bool)| (page.iter().map(|session| session.id).collect::<Vec<_>>(), more);
        let mut store = small();
        assert_eq!(of(store.page(None, 2, None)), (vec![1, 2], true));
        assert_eq!(of(store.page(Some(2), 2, None)), (vec![4], false));
        assert_eq!(of(store.page(None, 9, Some(("T1", "U1")))), (vec![1, 2], false));
        assert_eq!(of(store.page(None, 9, Some(("T1", "U2")))), (vec![], false));
        store.end(1, SessionOwner::Team("T1")).unwrap();
        store.put(Session::new(9, "T1", "U1"));
        assert_eq!(store.live(), [2, 4, 9]);
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<(u64, Entry)>() <= 24);
    }
}
