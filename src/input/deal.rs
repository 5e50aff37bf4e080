//! The second reading: which rows answer which request. No thread and no channel, so that it can be tested as it is.

use super::error::Trouble;
use super::framing::Frames;
use super::index::IndexedInput;
use super::stored::Span;
use crate::engine::ports::{Batch, Want};
use crate::model::{PossiblySent, Row, TeamId};
use roaring::RoaringTreemap;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows in the largest batch. The first of each kind has one row, so that the first call goes out at once; the largest
/// are so large that a run without limit seldom wakes the thread.
const MOST_ROWS: usize = 128;

/// Rows in the largest batch of one workspace.
const MOST_ROWS_OF_TEAM: usize = 64;

/// Bytes of rows after which a batch ends early: a row may have a megabyte, and memory must not depend on it.
const MOST_BYTES: usize = 64 * 1024;

/// Rows in the largest batches of all workspaces together: where there are many, their waiting rows would weigh more than
/// all else in memory.
const MOST_ROWS_OF_TEAMS: usize = 8 * 1024;

/// Rows in the largest batch of a workspace, however many workspaces there are: each row of a batch is looked up in the
/// input, and a batch of one would be asked for with every call.
const LEAST_OF_TEAM: usize = 8;

/// Hands out every row once.
#[derive(Debug)]
pub(super) struct Dealer {
    surveyed: Arc<IndexedInput>,
    maybe_sent: PossiblySent,
    /// In the input's order: `ordinal` is the next; all before it have been handed out.
    forward: Cursor,
    size: usize,
    /// For rows of one workspace, wherever they are.
    lookup: Cursor,
    teams: HashMap<Option<TeamId>, Ahead>,
    /// The rows of no workspace, once they were asked for.
    of_no_team: Option<RoaringTreemap>,
    /// Handed out to a workspace ahead of `forward`.
    taken: RoaringTreemap,
}

#[derive(Debug)]
struct Cursor {
    frames: Frames<Span>,
    /// Of the record that `frames` gives next.
    ordinal: u64,
}

/// How far a workspace is.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    next: u64,
    size: usize,
}

impl Dealer {
    pub(super) fn new(surveyed: Arc<IndexedInput>, maybe_sent: PossiblySent) -> Self {
        Self {
            forward: Cursor { frames: surveyed.frames(), ordinal: 0 },
            lookup: Cursor { frames: surveyed.lookup(), ordinal: 0 },
            surveyed,
            maybe_sent,
            size: 1,
            teams: HashMap::new(),
            of_no_team: None,
            taken: RoaringTreemap::new(),
        }
    }

    /// Answers one request.
    pub(super) fn deal(&mut self, want: Want) -> Result<Batch, Trouble> {
        self.surveyed.check_original()?;
        let (rows, exhausted) = match &want {
            Want::Any => self.any()?,
            Want::Of(team) => match Arc::clone(&self.surveyed).index.teams.get(team) {
                Some(ordinals) => self.of(Some(team), ordinals)?,
                None => (Vec::new(), true),
            },
            Want::OfNoTeam => {
                let ordinals = self.of_no_team.take().unwrap_or_else(|| self.surveyed.index.of_no_team());
                let dealt = self.of(None, &ordinals)?;
                self.of_no_team = Some(ordinals);
                dealt
            }
        };
        Ok(Batch { want, rows, exhausted })
    }

    fn any(&mut self) -> Result<(Vec<Row>, bool), Trouble> {
        let Self { surveyed, maybe_sent, forward, taken, .. } = self;
        let (mut rows, mut bytes) = (Vec::with_capacity(self.size), 0);
        while rows.len() < self.size && bytes < MOST_BYTES && forward.ordinal < surveyed.index.rows() {
            let record = forward.frames.next()?.ok_or(Trouble::Changed)?;
            let ordinal = forward.ordinal;
            surveyed.index.check(ordinal, record.place)?;
            forward.ordinal += 1;
            if !taken.remove(ordinal) && !surveyed.done.contains(record.place.line) {
                let row = surveyed.row(&record, maybe_sent);
                bytes += row.fields.text_len();
                rows.push(row);
            }
        }
        self.size = grown(self.size, MOST_ROWS);
        Ok((rows, forward.ordinal == surveyed.index.rows()))
    }

    /// The next rows of a workspace, or of none, which are at these ordinals.
    fn of(&mut self, team: Option<&TeamId>, ordinals: &RoaringTreemap) -> Result<(Vec<Row>, bool), Trouble> {
        let mut ahead = self.teams.get(&team.cloned()).copied().unwrap_or(Ahead { next: 0, size: 1 });
        let mut left = ordinals.iter();
        left.advance_to(ahead.next.max(self.forward.ordinal));
        let (mut rows, mut bytes) = (Vec::with_capacity(ahead.size), 0);
        while rows.len() < ahead.size && bytes < MOST_BYTES {
            let Some(ordinal) = left.next() else { break };
            let row = self.row_at(ordinal)?;
            ahead.next = ordinal + 1;
            if self.surveyed.done.contains(row.line) {
                continue;
            }
            let addressed = row.target.as_ref().ok().and_then(|target| target.addressed_team());
            if addressed != team {
                return Err(Trouble::Changed);
            }
            self.taken.insert(ordinal);
            bytes += row.fields.text_len();
            rows.push(row);
        }
        ahead.size = grown(ahead.size, most_of_team(self.surveyed.index.teams.len()));
        self.teams.insert(team.cloned(), ahead);
        Ok((rows, left.next().is_none()))
    }

    /// Reads one record, from where the cursor is or from the last known place ahead of it.
    fn row_at(&mut self, ordinal: u64) -> Result<Row, Trouble> {
        let Self { surveyed, maybe_sent, lookup, .. } = self;
        let (known, place) = surveyed.index.nearest(ordinal).ok_or(Trouble::Changed)?;
        if lookup.ordinal > ordinal || lookup.ordinal < known {
            surveyed.look_up(place, &mut lookup.frames);
            lookup.ordinal = known;
        }
        loop {
            let record = lookup.frames.next()?.ok_or(Trouble::Changed)?;
            let at = lookup.ordinal;
            surveyed.index.check(at, record.place)?;
            lookup.ordinal += 1;
            if at == ordinal {
                return Ok(surveyed.row(&record, maybe_sent));
            }
        }
    }
}

fn grown(size: usize, most: usize) -> usize {
    (2 * size).min(most)
}

/// Rows in the largest batch of one of so many workspaces.
fn most_of_team(teams: usize) -> usize {
    (MOST_ROWS_OF_TEAMS / teams.max(1)).clamp(LEAST_OF_TEAM, MOST_ROWS_OF_TEAM)
}

#[cfg(test)]
#[path = "deal_tests.rs"]
mod tests;
