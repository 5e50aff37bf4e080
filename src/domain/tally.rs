//! Totals. They always add up to the rows of the input.

use super::{Status, TeamId, UserId};
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Rows by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Status::ALL.len()]);

impl Counts {
    /// Counts one row.
    pub fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(rows, more)| *rows += more);
    }

    /// Rows of this status.
    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// Rows of any status: those that have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.0.iter().sum()
    }

    /// `failed` and `unknown` rows, and under `--strict` those not found.
    #[must_use]
    pub fn failures(&self, strict: bool) -> u64 {
        let strictly = if strict { self.of(Status::NotFound) } else { 0 };
        self.of(Status::Failed) + self.of(Status::Unknown) + strictly
    }

    /// Each status with its rows, in the order of the totals.
    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> {
        Status::ALL.into_iter().map(|status| (status, self.of(status)))
    }
}

/// A user has to have a place in the manifest to be counted there; beyond this many, memory would grow with the input.
const MOST_USERS: usize = 100_000;

/// Totals per status, per workspace and per user, over all runs on one results file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    counts: Counts,
    teams: BTreeMap<TeamId, Counts>,
    users: HashMap<UserId, Counts>,
    users_left_out: bool,
}

impl Tally {
    /// Counts one ended row. The workspace and the user are those of the row's own columns.
    pub fn add(&mut self, status: Status, team: Option<&TeamId>, user: Option<&UserId>) {
        self.counts.add(status);
        if let Some(team) = team {
            match self.teams.get_mut(team) {
                Some(counts) => counts.add(status),
                None => self.teams.entry(team.clone()).or_default().add(status),
            }
        }
        if let Some(user) = user {
            let room = self.users.len() < MOST_USERS;
            match self.users.get_mut(user) {
                Some(counts) => counts.add(status),
                None if room => self.users.entry(user.clone()).or_default().add(status),
                None => self.users_left_out = true,
            }
        }
    }

    /// Rows by status.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Rows by workspace and status, in the order of the workspaces' ids.
    #[must_use]
    pub fn teams(&self) -> &BTreeMap<TeamId, Counts> {
        &self.teams
    }

    /// Rows by user and status.
    #[must_use]
    pub fn users(&self) -> &HashMap<UserId, Counts> {
        &self.users
    }

    /// Whether there were more users than are counted one by one (100,000).
    #[must_use]
    pub fn users_left_out(&self) -> bool {
        self.users_left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_adds_up_in_every_direction() {
        let (team, user) = (TeamId::parse("T1").unwrap(), UserId::parse("U1").unwrap());
        let mut tally = Tally::default();
        tally.add(Status::Revoked, Some(&team), Some(&user));
        tally.add(Status::NotFound, Some(&team), None);
        tally.add(Status::Invalid, None, None);
        assert_eq!(tally.counts().ended(), 3);
        assert_eq!(tally.counts().failures(false), 0);
        assert_eq!(tally.counts().failures(true), 1);
        assert_eq!(tally.teams()[&team].ended(), 2);
        assert_eq!(tally.users()[&user].of(Status::Revoked), 1);
        assert_eq!(tally.counts().iter().map(|(_, rows)| rows).sum::<u64>(), 3);
        let mut twice = *tally.counts();
        twice.merge(tally.counts());
        assert_eq!((twice.ended(), twice.of(Status::NotFound)), (6, 2));
    }
}
