//! Totals by status, workspace and user, and of calls.

use super::{Status, TeamId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::HashMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Status::ALL.len()]);

impl Counts {
    pub fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(rows, more)| *rows += more);
    }

    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// Rows of all statuses.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.0.iter().sum()
    }

    /// `failed` and `unknown` rows; with `--strict` also `not_found` ones.
    #[must_use]
    pub fn failures(&self, strict: bool) -> u64 {
        let strictly = if strict { self.of(Status::NotFound) } else { 0 };
        self.of(Status::Failed) + self.of(Status::Unknown) + strictly
    }

    /// `revoked` and `requested` rows.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.of(Status::Revoked) + self.of(Status::Requested) + self.of(Status::AlreadyRevoked)
    }

    /// In the order of the totals.
    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> {
        Status::ALL.into_iter().map(|status| (status, self.of(status)))
    }
}

/// The calls of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallCounts {
    /// Of both methods.
    pub calls: u64,
    /// Of `admin.users.session.resetBulk`.
    #[serde(default)]
    pub bulk_calls: u64,
    /// 429s received.
    pub rate_limited: u64,
}

impl CallCounts {
    pub fn add(&mut self, more: Self) {
        self.calls += more.calls;
        self.bulk_calls += more.bulk_calls;
        self.rate_limited += more.rate_limited;
    }
}

/// Maximum number of users that are counted one by one, so that memory doesn't grow with the input.
const MOST_USERS: usize = 100_000;

/// Totals over all runs with one results file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    counts: Counts,
    teams: BTreeMap<TeamId, Counts>,
    users: HashMap<UserId, UserRows>,
    mixed: Vec<Counts>,
    users_left_out: bool,
}

/// The rows of one user, in 8 bytes, because there may be 100,000 users. Nearly all users have rows of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserRows {
    Alike(Status, u32),
    /// Several statuses, or more rows than 32 bits can count: the index in [`Tally::mixed`].
    Mixed(u32),
}

impl UserRows {
    fn add(&mut self, status: Status, mixed: &mut Vec<Counts>) {
        match self {
            Self::Alike(same, rows) if *same == status && *rows < u32::MAX => *rows += 1,
            Self::Alike(..) => {
                let mut counts = self.counts(mixed);
                counts.add(status);
                // There are at most as many entries as users.
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
    /// Reserves memory for all users at once, because a growing map temporarily needs twice the memory.
    pub fn expect_users(&mut self, more: u64) {
        let room = MOST_USERS - self.users.len();
        self.users.reserve(usize::try_from(more).map_or(room, |more| more.min(room)));
    }

    /// Counts an ended row; workspace and user are those of its columns.
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

    #[must_use]
    pub fn teams(&self) -> &BTreeMap<TeamId, Counts> {
        &self.teams
    }

    /// In no particular order.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, Counts)> {
        self.users.iter().map(|(user, rows)| (user, rows.counts(&self.mixed)))
    }

    #[must_use]
    pub fn of_user(&self, user: &UserId) -> Counts {
        self.users.get(user).map_or_else(Counts::default, |rows| rows.counts(&self.mixed))
    }

    /// Whether there were more than 100,000 users.
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
