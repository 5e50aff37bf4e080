//! What to request from the input for the buckets, and what came.

use super::{BULK, Buckets, COMMON, RateBucket};
use crate::engine::ports::Want;
use std::time::Duration;

/// No more rows are requested while this many wait in the only bucket: two batches, so that the run never waits for
/// the reader.
const AHEAD: usize = 128;

/// The same for each of several buckets, whose limits allow one row every few seconds.
const AHEAD_OF_TEAM: usize = 4;

/// Whether the input has more rows of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// As far as is known.
    More,
    Requested,
    Exhausted,
}

impl Supply {
    fn received(&mut self, exhausted: bool) {
        *self = if exhausted || *self == Self::Exhausted { Self::Exhausted } else { Self::More };
    }
}

impl Buckets {
    /// Whether so many sessions wait that no more are wanted.
    pub fn has_enough(&self) -> bool {
        self.all[COMMON].queue.len() >= AHEAD
    }

    /// What to request from the input. `wants_users`: whether to request rows of whole users.
    pub fn requests(&mut self, wants_users: bool, now: Duration) -> Vec<Want> {
        let mut wants = Vec::new();
        let bulk =
            self.all.get_mut(BULK).filter(|bucket| self.has_bulk && wants_users && bucket.supply == Supply::More);
        if let Some(bucket) = bulk {
            bucket.supply = Supply::Requested;
            wants.push(Want::OfUsers);
        }
        wants.extend(self.detection.request_row(&self.all[COMMON], &self.left_of, now).map(Want::Of));
        let (is_split, bulk) = (!self.of_team.is_empty(), self.has_bulk.then_some(BULK));
        let mut buckets_have_more = false;
        let of_sessions = self.all.iter_mut().enumerate().filter(|(index, _)| Some(*index) != bulk);
        for bucket in
            of_sessions.map(|(_, bucket)| bucket).filter(|bucket| is_split && bucket.supply != Supply::Exhausted)
        {
            buckets_have_more = true;
            if bucket.queue.len() < AHEAD_OF_TEAM && bucket.supply == Supply::More {
                bucket.supply = Supply::Requested;
                wants.push(bucket.team.clone().map_or(Want::OfNoTeam, Want::Of));
            }
        }
        if !self.has_enough() && !buckets_have_more && self.supply == Supply::More {
            self.supply = Supply::Requested;
            wants.push(Want::Any);
        }
        wants
    }

    pub fn received(&mut self, want: &Want, rows: usize, exhausted: bool) {
        match want {
            Want::Any => self.supply.received(exhausted),
            Want::OfUsers => self.all[BULK].supply.received(exhausted),
            Want::OfNoTeam => self.all[COMMON].supply.received(exhausted),
            Want::Of(team) => {
                self.detection.received(team, rows);
                if let Some(&index) = self.of_team.get(team) {
                    self.all[index].supply.received(exhausted);
                }
            }
        }
    }

    /// Whether all rows of the input were read.
    pub fn exhausted(&self) -> bool {
        self.sessions_exhausted() && self.users_exhausted()
    }

    /// The same, of rows that are sent by themselves or not at all.
    pub fn sessions_exhausted(&self) -> bool {
        self.supply == Supply::Exhausted
    }

    /// The same, of rows that ask for whole users.
    pub fn users_exhausted(&self) -> bool {
        self.bulk().is_none_or(|bucket| bucket.supply == Supply::Exhausted)
    }

    /// Whether a batch is outstanding.
    pub fn outstanding(&self) -> bool {
        let is_requested = |bucket: &RateBucket| bucket.supply == Supply::Requested;
        self.supply == Supply::Requested || self.detection.awaits_row() || self.all.iter().any(is_requested)
    }
}
