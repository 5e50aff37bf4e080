//! Where rows are: positions alone, so that the second reading can seek.

use super::error::Trouble;
use super::framing::Place;
use crate::model::TeamId;
use roaring::RoaringTreemap;
use std::collections::HashMap;

/// A place is kept for every so many records: a quarter of a byte a row.
pub(super) const STRIDE: u64 = 64;

/// Where the records are, counted from 0 behind the header.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<Place>,
    rows: u64,
    /// Rows to be sent, by the workspace that their request names.
    pub(super) teams: HashMap<TeamId, RoaringTreemap>,
}

impl Index {
    /// Takes in the next record. Gives its ordinal.
    pub(super) fn push(&mut self, place: Place) -> u64 {
        let ordinal = self.rows;
        if ordinal.is_multiple_of(STRIDE) {
            self.places.push(place);
        }
        self.rows += 1;
        ordinal
    }

    /// How many records there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of no workspace, those that are not to be sent included.
    pub(super) fn of_no_team(&self) -> RoaringTreemap {
        let mut rest = RoaringTreemap::new();
        rest.insert_range(0..self.rows);
        self.teams.values().for_each(|ordinals| rest -= ordinals);
        rest
    }

    /// The last known place at or ahead of a record, and the ordinal of the record there.
    pub(super) fn nearest(&self, ordinal: u64) -> Option<(u64, Place)> {
        let position = usize::try_from(ordinal / STRIDE).ok()?;
        self.places.get(position).map(|&place| (ordinal - ordinal % STRIDE, place))
    }

    /// Refuses a record that is not where it was: a row under another's line must not be sent.
    pub(super) fn check(&self, ordinal: u64, place: Place) -> Result<(), Trouble> {
        let known = self.nearest(ordinal).filter(|_| ordinal < self.rows);
        let Some((at, there)) = known else { return Err(Trouble::Changed) };
        if at == ordinal && there != place { Err(Trouble::Changed) } else { Ok(()) }
    }
}
