//! An index of row positions, so that the second reading can seek.

use super::duplicates::FirstLines;
use super::error::InputProblem;
use super::header::Header;
use super::reader::FirstReading;
use super::records::{Position, Record, RecordReader};
use super::stored::{CHUNK, RangeReader};
use super::validation::Rules;
use crate::model::{PossiblySent, Rejection, Row, Target, TeamId};
use roaring::RoaringTreemap;
use std::collections::HashMap;

/// Bytes read at a time for lookups: about 64 typical rows, which is the distance of indexed positions.
const LOOKUP_CHUNK: usize = 4 * 1024;

/// Every 64th position is kept, which takes a quarter of a byte per row.
pub(super) const STRIDE: u64 = 64;

/// Records are counted from 0, after the header.
#[derive(Debug, Default)]
pub(super) struct Index {
    positions: Vec<Position>,
    rows: u64,
    /// Rows to send, by the workspace that their request names.
    pub(super) teams: HashMap<TeamId, RoaringTreemap>,
    /// Rows to send that ask for whole users.
    pub(super) of_users: RoaringTreemap,
}

impl Index {
    /// Adds the next record and returns its ordinal.
    pub(super) fn push(&mut self, position: Position) -> u64 {
        let ordinal = self.rows;
        if ordinal.is_multiple_of(STRIDE) {
            self.positions.push(position);
        }
        self.rows += 1;
        ordinal
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows without a workspace that ask for no whole user, including those that aren't sent.
    pub(super) fn of_no_team(&self) -> RoaringTreemap {
        let mut rest = RoaringTreemap::new();
        rest.insert_range(0..self.rows);
        self.teams.values().chain([&self.of_users]).for_each(|ordinals| rest -= ordinals);
        rest
    }

    /// The nearest indexed position at or before a record, and the ordinal of the record there.
    pub(super) fn nearest(&self, ordinal: u64) -> Option<(u64, Position)> {
        let position = usize::try_from(ordinal / STRIDE).ok()?;
        self.positions.get(position).map(|&position| (ordinal - ordinal % STRIDE, position))
    }

    /// Fails if a record has moved: a row must not be sent with the line number of another.
    pub(super) fn check(&self, ordinal: u64, position: Position) -> Result<(), InputProblem> {
        let known = self.nearest(ordinal).filter(|_| ordinal < self.rows);
        let Some((at, there)) = known else { return Err(InputProblem::Changed) };
        if at == ordinal && there != position { Err(InputProblem::Changed) } else { Ok(()) }
    }
}

/// What the second reading needs from the survey. Less than 1 MB for a million rows.
#[derive(Debug)]
pub(super) struct IndexedInput {
    pub(super) reading: FirstReading,
    pub(super) header: Header,
    pub(super) rows_at: Position,
    pub(super) index: Index,
    pub(super) done: RoaringTreemap,
    pub(super) rules: Rules,
    pub(super) first_lines: FirstLines,
}

impl IndexedInput {
    /// A record, converted for the engine.
    pub(super) fn row(&self, record: &Record<'_>, maybe_sent: &PossiblySent) -> Row {
        let line = record.position.line;
        let fields = record.to_fields(self.header.fields().len());
        let mut target = self.validate(record);
        let mut may_have_been_sent = maybe_sent.contains(line);
        if let Some(session) = target.as_mut().ok().and_then(Target::named_session_mut) {
            session.set_also_on(self.first_lines.other_names_of(session));
            may_have_been_sent |= session.also_on().iter().any(|line| maybe_sent.contains(*line));
        }
        Row { line, fields, target, may_have_been_sent }
    }

    pub(super) fn validate(&self, record: &Record<'_>) -> Result<Target, Rejection> {
        let target = self.rules.validate(&self.header, record)?;
        let session = target.named_session();
        match session.and_then(|session| self.first_lines.earlier_line(session, record.position.line)) {
            Some(first) => Err(Rejection::Duplicate { first_line: Some(first) }),
            None => Ok(target),
        }
    }

    /// All rows, in order.
    pub(super) fn records(&self) -> RecordReader<RangeReader> {
        self.reading.stored.records(self.rows_at, self.header.dialect(), CHUNK)
    }

    /// A reader for single rows; [`Self::look_up`] moves it.
    pub(super) fn lookup(&self) -> RecordReader<RangeReader> {
        self.reading.stored.records(self.rows_at, self.header.dialect(), LOOKUP_CHUNK)
    }

    pub(super) fn look_up(&self, position: Position, lookup: &mut RecordReader<RangeReader>) {
        lookup.move_to(position, self.reading.stored.range(position.offset, LOOKUP_CHUNK));
    }

    /// Fails if the rows come from a copy and the original file has changed.
    pub(super) fn check_original(&self) -> Result<(), InputProblem> {
        if self.reading.stored.is_original() { Ok(()) } else { self.compare_original() }
    }

    pub(super) fn compare_original(&self) -> Result<(), InputProblem> {
        let Some(original) = &self.reading.original else { return Ok(()) };
        original.check(&self.reading.identity.sha256, self.reading.identity.bytes)
    }
}
