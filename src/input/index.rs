//! Where rows are: positions alone, so that the second reading can seek.

use super::duplicates::Firsts;
use super::error::Trouble;
use super::framing::{Frames, Place, Record};
use super::header::Header;
use super::identity::InputIdentity;
use super::original::Original;
use super::rules::Rules;
use super::stored::{CHUNK, Span, Stored};
use crate::model::{InputMatch, PossiblySent, Rejection, Row, Target, TeamId};
use roaring::RoaringTreemap;
use std::collections::HashMap;

/// Bytes read at a time where rows are looked up: some 64 of the usual ones, as far apart as known places are.
const LOOKUP_CHUNK: usize = 4 * 1024;

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

/// What the survey leaves for the second reading. A million rows of it are well under a megabyte.
#[derive(Debug)]
pub(super) struct IndexedInput {
    pub(super) stored: Stored,
    /// `None` if the bytes came from a pipe.
    pub(super) original: Option<Original>,
    pub(super) header: Header,
    pub(super) rows_at: Place,
    pub(super) index: Index,
    pub(super) done: RoaringTreemap,
    pub(super) rules: Rules,
    pub(super) firsts: Firsts,
    pub(super) identity: InputIdentity,
    pub(super) continuation: Option<InputMatch>,
}

impl IndexedInput {
    /// A record as the engine gets it.
    pub(super) fn row(&self, record: &Record<'_>, maybe_sent: &PossiblySent) -> Row {
        let line = record.place.line;
        let fields = record.to_fields(self.header.fields().len());
        let mut target = self.judge(record);
        let mut may_have_been_sent = maybe_sent.contains(line);
        if let Ok(Target::Session(session)) = &mut target {
            session.set_also_on(self.firsts.other_names_of(session));
            may_have_been_sent |= session.also_on().iter().any(|line| maybe_sent.contains(*line));
        }
        Row { line, fields, target, may_have_been_sent }
    }

    pub(super) fn judge(&self, record: &Record<'_>) -> Result<Target, Rejection> {
        let target = self.rules.judge(&self.header, record)?;
        let ahead = match &target {
            Target::Session(session) => self.firsts.ahead_of(session, record.place.line),
            Target::User(_) => None,
        };
        match ahead {
            Some(first) => Err(Rejection::Duplicate { first_line: Some(first) }),
            None => Ok(target),
        }
    }

    /// All rows, in order.
    pub(super) fn frames(&self) -> Frames<Span> {
        self.stored.frames(self.rows_at, self.header.dialect(), CHUNK)
    }

    /// Rows here and there; [`Self::look_up`] goes to them.
    pub(super) fn lookup(&self) -> Frames<Span> {
        self.stored.frames(self.rows_at, self.header.dialect(), LOOKUP_CHUNK)
    }

    pub(super) fn look_up(&self, place: Place, lookup: &mut Frames<Span>) {
        lookup.move_to(place, self.stored.span(place.offset, LOOKUP_CHUNK));
    }

    /// Fails if the rows come from a copy, and the file isn't what was copied any more.
    pub(super) fn check_original(&self) -> Result<(), Trouble> {
        if self.stored.is_original() { Ok(()) } else { self.compare_original() }
    }

    pub(super) fn compare_original(&self) -> Result<(), Trouble> {
        let Some(original) = &self.original else { return Ok(()) };
        original.check(&self.identity.sha256, self.identity.bytes)
    }
}
