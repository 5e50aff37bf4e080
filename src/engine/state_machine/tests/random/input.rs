//! A random input: rows of every kind, and a source that gives them in batches.

use super::super::*;
use std::collections::{BTreeMap, BTreeSet};

/// A row as the oracle knows it.
#[derive(Debug, Clone)]
pub struct Line {
    pub number: u64,
    pub session: u64,
    pub user: Option<String>,
    pub team: Option<String>,
    /// The same session's other row.
    pub twin: Option<u64>,
    pub is_rejected: bool,
}

/// The rows, and whether their users are asked for as a whole.
#[derive(Debug)]
pub struct Input {
    pub lines: Vec<Line>,
    pub whole_users: bool,
}

impl Input {
    pub fn draw(dice: &mut fastrand::Rng) -> Self {
        let whole_users = dice.u8(..4) == 0;
        let count = if dice.u8(..8) == 0 { dice.u64(1..250) } else { dice.u64(1..40) };
        let (teams, users) = (dice.u64(1..6), dice.u64(1..30));
        let (by_user, twins, rejected) = (dice.u8(..3), dice.u8(..8) == 0, dice.u8(..4) == 0);
        let mut lines: Vec<Line> = Vec::new();
        for line in 2..2 + count {
            let user = dice.u64(..users);
            let (user, team) = (format!("U{user}"), format!("T{}", dice.u64(..teams)));
            let names_user = whole_users || by_user == 2 || (by_user == 1 && dice.bool());
            let mut new = Line {
                number: line,
                session: 1000 + line,
                user: names_user.then_some(user),
                team: (!names_user || dice.u8(..3) > 0).then_some(team),
                twin: None,
                is_rejected: rejected && dice.u8(..6) == 0,
            };
            if let Some(last) = lines.last_mut()
                && (twins && !whole_users && is_free(last) && is_free(&new))
                && last.user.is_some() != new.user.is_some()
            {
                new.session = last.session;
                new.team = last.team.clone().or(new.team);
                (new.twin, last.twin) = (Some(last.number), Some(line));
            }
            lines.push(new);
        }
        Self { lines, whole_users }
    }

    pub fn line(&self, line: u64) -> &Line {
        &self.lines[usize::try_from(line - 2).unwrap()]
    }
}

fn is_free(line: &Line) -> bool {
    !line.is_rejected && line.twin.is_none()
}

impl Line {
    fn target(&self, whole: bool) -> Result<Target, Rejection> {
        if self.is_rejected {
            return Err(Rejection::OwnSession);
        }
        let team = self.team.as_deref().map(|team| TeamId::parse(team).unwrap());
        let user = self.user.as_deref().map(|user| UserId::parse(user).unwrap());
        let session = SessionId::from(self.session);
        let mut target = match (user, team) {
            (Some(user), team) if whole => Target::whole_user(user, team, Some(session)),
            (Some(user), team) => Target::by_user(session, user, team),
            (None, team) => Target::by_team(session, team.expect("one of the two"), None),
        };
        if let Target::Session(session) = &mut target {
            session.set_also_on(self.twin.into_iter().collect());
        }
        Ok(target)
    }
}

fn asks_for_user(row: &Row) -> bool {
    matches!(row.target, Ok(Target::User(_)))
}

/// Gives the rows that have not ended.
#[derive(Debug)]
pub struct Source {
    forward: Vec<Row>,
    given: BTreeSet<u64>,
    place: usize,
}

impl Source {
    pub fn new(input: &Input, is_left: impl Fn(u64) -> bool, may_be_gone: impl Fn(u64) -> bool) -> Self {
        let left = input.lines.iter().filter(|line| is_left(line.number));
        let row = |line: &Line| Row {
            line: line.number,
            fields: Fields::default(),
            target: line.target(input.whole_users),
            may_have_been_sent: may_be_gone(line.number),
        };
        Self { forward: left.map(row).collect(), given: BTreeSet::new(), place: 0 }
    }

    /// The rows that a run may send.
    pub fn sendable(&self) -> impl Iterator<Item = &Target> {
        self.forward.iter().filter_map(|row| row.target.as_ref().ok())
    }

    pub fn workspaces(&self, of: impl Fn(&Target) -> Option<&TeamId>) -> BTreeMap<TeamId, u64> {
        let mut teams = BTreeMap::new();
        for team in self.sendable().filter_map(|target| of(target).cloned()) {
            *teams.entry(team).or_default() += 1;
        }
        teams
    }

    pub fn batch(&mut self, want: Want, most: usize) -> Batch {
        let mut rows = Vec::new();
        let exhausted = match &want {
            Want::Any => {
                while rows.len() < most && self.place < self.forward.len() {
                    let row = &self.forward[self.place];
                    self.place += 1;
                    if !asks_for_user(row) && self.given.insert(row.line) {
                        rows.push(row.clone());
                    }
                }
                self.place == self.forward.len()
            }
            Want::OfUsers => {
                let mut users = self.forward.iter().filter(|row| asks_for_user(row) && !self.given.contains(&row.line));
                rows.extend(users.by_ref().take(most).cloned());
                let is_last = users.next().is_none();
                self.given.extend(rows.iter().map(|row| row.line));
                is_last
            }
            Want::Of(_) | Want::OfNoTeam => {
                let team = if let Want::Of(team) = &want { Some(team) } else { None };
                let is_wanted = |row: &&Row| row.target.as_ref().ok().and_then(Target::addressed_team) == team;
                let ahead: Vec<Row> = self.forward[self.place..].iter().filter(is_wanted).cloned().collect();
                let mut ahead = ahead.into_iter().filter(|row| !self.given.contains(&row.line));
                rows.extend(ahead.by_ref().take(most));
                let is_last = ahead.next().is_none();
                self.given.extend(rows.iter().map(|row| row.line));
                is_last
            }
        };
        Batch { want, rows, exhausted }
    }
}
