//! Totals. They always add up to the rows of the input.

use super::{Status, TeamId, UserId};
use std::collections::BTreeMap;
use std::collections::HashMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Status::ALL.len()]);

impl Counts {
    pub fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(rows, more)| *rows += more);
    }

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

    /// Rows whose session Slack has ended, or is about to.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.of(Status::Revoked) + self.of(Status::Requested) + self.of(Status::AlreadyRevoked)
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
    users: HashMap<UserId, UserRows>,
    mixed: Vec<Counts>,
    users_left_out: bool,
}

/// The rows of one user, in eight bytes: there can be 100,000 users, and nearly all have rows that end in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserRows {
    Alike(Status, u32),
    /// Of several statuses, or too many to be counted in 32 bits: where in [`Tally::mixed`] they are.
    Mixed(u32),
}

impl UserRows {
    fn add(&mut self, status: Status, mixed: &mut Vec<Counts>) {
        match self {
            Self::Alike(same, rows) if *same == status && *rows < u32::MAX => *rows += 1,
            Self::Alike(..) => {
                let mut counts = self.counts(mixed);
                counts.add(status);
                // No more than there are users.
                *self = Self::Mixed(u32::try_from(mixed.len()).unwrap_or(u32::MAX));
                mixed.push(counts);
            }
            Self::Mixed(place) => mixed[*place as usize].add(status),
        }
    }

    fn counts(self, mixed: &[Counts]) -> Counts {
        match self {
            Self::Alike(status, rows) => {
                let mut counts = Counts::default();
                counts.0[status as usize] = u64::from(rows);
                counts
            }
            Self::Mixed(place) => mixed[place as usize],
        }
    }
}

impl Tally {
    /// Makes room for so many users more, at once: a map that grows is held twice while it does.
    pub fn expect_users(&mut self, more: u64) {
        let room = MOST_USERS - self.users.len();
        self.users.reserve(usize::try_from(more).map_or(room, |more| more.min(room)));
    }

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
                Some(rows) => rows.add(status, &mut self.mixed),
                None if room => drop(self.users.insert(user.clone(), UserRows::Alike(status, 1))),
                None => self.users_left_out = true,
            }
        }
    }

    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Rows by workspace and status, in the order of the workspaces' ids.
    #[must_use]
    pub fn teams(&self) -> &BTreeMap<TeamId, Counts> {
        &self.teams
    }

    /// Rows by user and status, in no order.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, Counts)> {
        self.users.iter().map(|(user, rows)| (user, rows.counts(&self.mixed)))
    }

    /// The rows of one user by status.
    #[must_use]
    pub fn of_user(&self, user: &UserId) -> Counts {
        self.users.get(user).map_or_else(Counts::default, |rows| rows.counts(&self.mixed))
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
        assert_eq!(tally.of_user(&user).of(Status::Revoked), 1);
        assert_eq!(tally.counts().iter().map(|(_, rows)| rows).sum::<u64>(), 3);
        let mut twice = *tally.counts();
        twice.merge(tally.counts());
        assert_eq!((twice.ended(), twice.of(Status::NotFound)), (6, 2));
    }

    #[test]
    fn a_users_rows_are_told_apart_by_status_whatever_their_order() {
        let user = UserId::parse("U1").unwrap();
        let statuses = [Status::Revoked, Status::Revoked, Status::Failed, Status::Revoked, Status::NotFound];
        let (mut tally, mut oracle) = (Tally::default(), Counts::default());
        for status in statuses {
            tally.add(status, None, Some(&user));
            oracle.add(status);
            assert_eq!(tally.of_user(&user), oracle);
        }
        assert_eq!(tally.users().collect::<Vec<_>>(), [(&user, oracle)]);
        assert_eq!(tally.of_user(&UserId::parse("U2").unwrap()), Counts::default());
    }

    #[test]
    fn a_users_rows_outgrow_their_small_count_without_a_loss() {
        let (mut rows, mut mixed) = (UserRows::Alike(Status::Revoked, u32::MAX - 1), Vec::new());
        for more in 0..4 {
            assert_eq!(rows.counts(&mixed).of(Status::Revoked), u64::from(u32::MAX) - 1 + more);
            rows.add(Status::Revoked, &mut mixed);
        }
    }

    #[test]
    fn a_user_takes_24_bytes() {
        assert_eq!(size_of::<(UserId, UserRows)>(), 24);
    }
}
