//! The distinct sessions of the entries. Memory grows with the number of sessions, not of entries.

use crate::input::audit::{AuditEntry, SeenSession};
use crate::ledger::table::Table;
use crate::model::{AUDIT_ENTRIES, SessionId, TeamId, Timestamp, UserId};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::rc::Rc;

/// The columns that `run` reads, then the latest entry of the session, the first and last time, and the number of
/// entries, by which `run` recognizes the origin.
const COLUMNS: [&str; 11] = [
    "user_id",
    "team_id",
    "session_id",
    "action",
    "at",
    "ip",
    "user_agent",
    "entry_id",
    "first_at",
    "last_at",
    AUDIT_ENTRIES,
];

/// Bytes of rows written at a time.
const BATCH: usize = 64 * 1024;

struct Occurrences {
    user: UserId,
    team: Option<TeamId>,
    latest: Rc<Latest>,
    at: Option<Timestamp>,
    entry_id: Box<str>,
    first_at: Option<Timestamp>,
    entries: u64,
    /// Whether several users have this session id, so that the owner is unknown.
    is_shared: bool,
}

/// Texts that many sessions have in common.
#[derive(PartialEq, Eq, Hash)]
struct Latest {
    action: Box<str>,
    ip: Box<str>,
    user_agent: Box<str>,
}

#[derive(Default)]
pub struct SessionsSeen {
    sessions: BTreeMap<SessionId, Occurrences>,
    shared_texts: HashSet<Rc<Latest>>,
}

impl SessionsSeen {
    pub fn add(&mut self, seen: SeenSession, entry: &AuditEntry) {
        let latest = self.latest(entry);
        let fresh = Occurrences {
            user: seen.user,
            team: seen.team,
            latest,
            at: entry.at,
            entry_id: (&*entry.id).into(),
            first_at: entry.at,
            entries: 1,
            is_shared: false,
        };
        match self.sessions.get_mut(&seen.session) {
            Some(known) => known.join(fresh),
            None => drop(self.sessions.insert(seen.session, fresh)),
        }
    }

    fn latest(&mut self, entry: &AuditEntry) -> Rc<Latest> {
        let texts = [&entry.action, &entry.ip, &entry.user_agent].map(|text| text.as_str().into());
        let [action, ip, user_agent] = texts;
        let latest = Rc::new(Latest { action, ip, user_agent });
        if let Some(known) = self.shared_texts.get(&latest) {
            return Rc::clone(known);
        }
        self.shared_texts.insert(Rc::clone(&latest));
        latest
    }

    /// Removes sessions of several users, and returns the number of their entries.
    pub fn remove_shared(&mut self) -> u64 {
        let shared = self.sessions.values().filter(|occurrences| occurrences.is_shared);
        let entries = shared.map(|occurrences| occurrences.entries).sum();
        self.sessions.retain(|_, occurrences| !occurrences.is_shared);
        entries
    }

    pub fn len(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// Time of the newest entry.
    pub fn newest(&self) -> Option<Timestamp> {
        self.sessions.values().filter_map(|occurrences| occurrences.at).max()
    }

    pub fn write(&self, table: &mut Table) -> io::Result<()> {
        table.row(COLUMNS);
        for (session, seen) in &self.sessions {
            let text = |at: Option<Timestamp>| at.map(Timestamp::rfc3339_seconds).unwrap_or_default();
            let (at, first_at) = (text(seen.at), text(seen.first_at));
            let (session, entries) = (session.to_string(), seen.entries.to_string());
            let Latest { action, ip, user_agent } = &*seen.latest;
            table.foreign_row([
                seen.user.as_str(),
                seen.team.as_ref().map_or("", TeamId::as_str),
                &session,
                action,
                &at,
                ip,
                user_agent,
                &seen.entry_id,
                &first_at,
                &at,
                &entries,
            ]);
            table.flush_beyond(BATCH)?;
        }
        Ok(())
    }
}

impl Occurrences {
    /// Entries may be in any order, so the latest is found by its time.
    fn join(&mut self, other: Self) {
        self.is_shared |= self.user != other.user;
        self.entries += 1;
        self.first_at = self.first_at.into_iter().chain(other.first_at).min();
        if other.at >= self.at {
            self.at = other.at;
            self.entry_id = other.entry_id;
            self.latest = other.latest;
            self.team = other.team.or(self.team.take());
        }
    }
}
