//! A case: an organization, its listing, an input, and what follows from them.

use crate::dice::Dice;
use slack_revoke::input::{Protection, Rules};
use slack_revoke::model::{SessionId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub(super) fn user_id(number: usize) -> String {
    format!("U{number:05}")
}

pub(super) fn team_id(number: usize) -> String {
    format!("T{number}")
}

/// A session's user and workspace.
pub(super) type Owner = (usize, usize);

/// A row of the input: the session, and the user and the workspace if it names them.
pub(super) type NamedSession = (u64, Option<usize>, Option<usize>);

/// What Slack answers besides `ok`.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    /// Users whose sessions Slack never ends.
    pub(super) primary_owners: BTreeSet<usize>,
    /// Users whom `resetBulk` refuses.
    pub(super) not_in_bulk: BTreeSet<usize>,
    /// Whether it refuses everybody.
    pub(super) bulk_fails: bool,
    /// Calls that end without a clear answer, with or without an effect.
    pub(super) faults: u32,
    /// Calls a minute of each method.
    pub(super) per_minute: Option<usize>,
}

impl Trouble {
    /// Whether every covered user is ended in bulk.
    pub(super) fn is_calm(&self) -> bool {
        self.primary_owners.is_empty() && self.not_in_bulk.is_empty() && !self.bulk_fails && self.faults == 0
    }
}

#[derive(Debug, Clone)]
pub(super) struct Play {
    /// All sessions, those included that began after the listing.
    pub(super) sessions: BTreeMap<u64, Owner>,
    pub(super) alive: BTreeSet<u64>,
    pub(super) listed: BTreeSet<u64>,
    pub(super) rows: Vec<NamedSession>,
    pub(super) protected_users: BTreeSet<usize>,
    pub(super) protected_sessions: BTreeSet<u64>,
    pub(super) not_covered: BTreeSet<usize>,
    pub(super) trouble: Trouble,
}

impl Play {
    pub(super) fn any(dice: &mut Dice) -> Self {
        let (mut sessions, mut alive, mut listed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for user in 0..dice.between(1, 9) {
            for number in 0..dice.between(0, 4) {
                let session = (user * 10 + number + 1) as u64;
                sessions.insert(session, (user, dice.between(1, 3)));
                let (is_listed, has_ended) = (dice.chance(0.85), dice.chance(0.1));
                listed.extend(is_listed.then_some(session));
                alive.extend((!(is_listed && has_ended)).then_some(session));
            }
        }
        let share = dice.pick(&[0.5, 0.9, 1.0, 1.0]);
        let named = |dice: &mut Dice, session: u64, (user, team): Owner| match dice.between(0, 2) {
            0 => (session, Some(user), None),
            1 => (session, None, Some(team)),
            _ => (session, Some(user), Some(team)),
        };
        let mut rows = Vec::new();
        for (session, owner) in &sessions {
            let is_named = if listed.contains(session) { dice.chance(share) } else { dice.chance(0.2) };
            for _ in 0..usize::from(is_named) + usize::from(dice.chance(0.1)) {
                rows.push(named(dice, *session, *owner));
            }
            if dice.chance(0.05) {
                let another = (dice.between(0, 9), dice.between(1, 3));
                rows.push(named(dice, *session, another));
            }
        }
        rows.push((777, Some(0), None));
        let some = |dice: &mut Dice, share: f64| (0..9).filter(|_| dice.chance(share)).collect::<BTreeSet<usize>>();
        let trouble = Trouble {
            primary_owners: some(dice, 0.04),
            not_in_bulk: some(dice, 0.08),
            bulk_fails: dice.chance(0.1),
            faults: dice.pick(&[0, 0, 1, 4]),
            per_minute: dice.pick(&[None, Some(20)]),
        };
        let trouble = if dice.chance(0.4) { Trouble::default() } else { trouble };
        Self {
            protected_sessions: sessions.keys().copied().filter(|_| dice.chance(0.03)).collect(),
            protected_users: some(dice, 0.04),
            not_covered: some(dice, 0.04),
            sessions,
            alive,
            listed,
            rows,
            trouble,
        }
    }

    fn is_sent(&self, (session, user, _): &NamedSession) -> bool {
        !self.protected_sessions.contains(session) && user.is_none_or(|user| !self.protected_users.contains(&user))
    }

    /// Worked out from the facts alone.
    pub(super) fn covered(&self) -> BTreeSet<usize> {
        let is_named = |session: u64, (user, team): Owner| {
            let names = |row: &&NamedSession| {
                row.0 == session && row.1.is_none_or(|of| of == user) && row.2.is_none_or(|of| of == team)
            };
            self.rows.iter().filter(names).any(|row| self.is_sent(row))
        };
        let has_protected_session =
            |user: usize| self.rows.iter().any(|row| row.1 == Some(user) && self.protected_sessions.contains(&row.0));
        let covers = |user: &usize| {
            let mut sessions = self.listed.iter().filter(|session| self.sessions[session].0 == *user).peekable();
            sessions.peek().is_some()
                && !self.protected_users.contains(user)
                && !self.not_covered.contains(user)
                && !has_protected_session(*user)
                && sessions.all(|session| is_named(*session, self.sessions[session]))
        };
        (0..10_000).filter(covers).collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text = "session_id,user_id,team_id\n".to_owned();
        for (session, user, team) in &self.rows {
            let (user, team) = (user.map(user_id).unwrap_or_default(), team.map(team_id).unwrap_or_default());
            writeln!(text, "{session},{user},{team}").expect("a string takes everything");
        }
        text
    }

    pub(super) fn rules(&self) -> Rules {
        let users = |users: &BTreeSet<usize>| users.iter().map(|user| user_of(*user)).collect();
        let protection = Protection {
            users: users(&self.protected_users),
            sessions: self.protected_sessions.iter().map(|session| SessionId::from(*session)).collect(),
            not_covered: users(&self.not_covered),
            ..Protection::default()
        };
        Rules { protection, ..Rules::default() }
    }
}

pub(super) fn user_of(number: usize) -> UserId {
    UserId::parse(&user_id(number)).expect("an id")
}
