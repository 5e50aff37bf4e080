//! The second reading: [`BatchReader`] selects the rows for each request; [`Source`] runs it on a thread, and reads
//! nothing ahead.

use super::error::InputProblem;
use super::index::IndexedInput;
use super::records::RecordReader;
use super::stored::RangeReader;
use crate::engine::ports::{Batch, RowSource, Want};
use crate::model::{InputSource, PossiblySent, Row, StopReason, Target};
use roaring::RoaringTreemap;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Requests, Sender, channel};
use std::thread;
use tokio::sync::mpsc;

/// Maximum rows in a batch. The first batch has one row, so that the first call isn't delayed. The maximum is large
/// enough that a run without a limit rarely wakes the thread.
const MOST_ROWS: usize = 128;

/// Maximum rows in a batch of one workspace.
const MOST_ROWS_OF_TEAM: usize = 64;

/// A batch ends early at this size, because a row may have up to 1 MiB.
const MOST_BYTES: usize = 64 * 1024;

/// Bounds the rows that wait for all workspaces together; with many workspaces they would use most of the memory.
const MOST_ROWS_OF_TEAMS: usize = 8 * 1024;

/// Batches of a workspace may grow to this size even if there are many workspaces. Otherwise every call would request
/// a batch.
const LEAST_OF_TEAM: usize = 8;

/// Returns every row once, in batches.
#[derive(Debug)]
pub(super) struct BatchReader {
    indexed: Arc<IndexedInput>,
    maybe_sent: PossiblySent,
    /// In input order. All rows before `ordinal` have been returned.
    forward: RecordCursor,
    size: usize,
    /// For the rows of one workspace or of whole users, anywhere in the input.
    lookup: RecordCursor,
    cursors: HashMap<Want, KindCursor>,
    /// Rows without a workspace; `None` before they are requested.
    of_no_team: Option<RoaringTreemap>,
    /// Rows after `forward` that were returned for their workspace.
    taken: RoaringTreemap,
}

#[derive(Debug)]
struct RecordCursor {
    records: RecordReader<RangeReader>,
    /// Of the next record.
    ordinal: u64,
}

/// Read position within the rows of one kind.
#[derive(Debug, Clone, Copy)]
struct KindCursor {
    next: u64,
    size: usize,
}

impl BatchReader {
    pub(super) fn new(indexed: Arc<IndexedInput>, maybe_sent: PossiblySent) -> Self {
        Self {
            forward: RecordCursor { records: indexed.records(), ordinal: 0 },
            lookup: RecordCursor { records: indexed.lookup(), ordinal: 0 },
            indexed,
            maybe_sent,
            size: 1,
            cursors: HashMap::new(),
            of_no_team: None,
            taken: RoaringTreemap::new(),
        }
    }

    pub(super) fn next_batch(&mut self, want: Want) -> Result<Batch, InputProblem> {
        self.indexed.check_original()?;
        let indexed = Arc::clone(&self.indexed);
        let (rows, exhausted) = match &want {
            Want::Any => self.any()?,
            Want::Of(team) => match indexed.index.teams.get(team) {
                Some(ordinals) => self.of(&want, ordinals)?,
                None => (Vec::new(), true),
            },
            Want::OfUsers => self.of(&want, &indexed.index.of_users)?,
            Want::OfNoTeam => {
                let ordinals = self.of_no_team.take().unwrap_or_else(|| indexed.index.of_no_team());
                let dealt = self.of(&want, &ordinals)?;
                self.of_no_team = Some(ordinals);
                dealt
            }
        };
        Ok(Batch { want, rows, exhausted })
    }

    fn any(&mut self) -> Result<(Vec<Row>, bool), InputProblem> {
        let Self { indexed, maybe_sent, forward, taken, cursors, .. } = self;
        let (mut rows, mut bytes) = (Vec::with_capacity(self.size), 0);
        while rows.len() < self.size && bytes < MOST_BYTES && forward.ordinal < indexed.index.rows() {
            let record = forward.records.next()?.ok_or(InputProblem::Changed)?;
            let ordinal = forward.ordinal;
            indexed.index.check(ordinal, record.position)?;
            forward.ordinal += 1;
            let is_users = cursors.contains_key(&Want::OfUsers) && indexed.index.of_users.contains(ordinal);
            let goes_elsewhere = taken.remove(ordinal) || is_users;
            if !goes_elsewhere && !indexed.done.contains(record.position.line) {
                let row = indexed.row(&record, maybe_sent);
                bytes += row.fields.text_len();
                rows.push(row);
            }
        }
        self.size = grown(self.size, MOST_ROWS);
        Ok((rows, forward.ordinal == indexed.index.rows()))
    }

    /// The next rows of one kind. `ordinals` are all such rows. Also returns whether none are left.
    fn of(&mut self, want: &Want, ordinals: &RoaringTreemap) -> Result<(Vec<Row>, bool), InputProblem> {
        let mut cursor = self.cursors.get(want).copied().unwrap_or(KindCursor { next: 0, size: 1 });
        // The forward reading passes over the rows of whole users.
        let passed = if *want == Want::OfUsers { 0 } else { self.forward.ordinal };
        let mut left = ordinals.iter();
        left.advance_to(cursor.next.max(passed));
        let (mut rows, mut bytes) = (Vec::with_capacity(cursor.size), 0);
        while rows.len() < cursor.size && bytes < MOST_BYTES {
            let Some(ordinal) = left.next() else { break };
            let row = self.row_at(ordinal)?;
            cursor.next = ordinal + 1;
            if self.indexed.done.contains(row.line) {
                continue;
            }
            if kind_of(&row) != *want {
                return Err(InputProblem::Changed);
            }
            if *want != Want::OfUsers {
                self.taken.insert(ordinal);
            }
            bytes += row.fields.text_len();
            rows.push(row);
        }
        cursor.size = grown(cursor.size, most_of_team(self.indexed.index.teams.len()));
        self.cursors.insert(want.clone(), cursor);
        Ok((rows, left.next().is_none()))
    }

    /// Reads one record, starting at the cursor or at the nearest indexed position before it.
    fn row_at(&mut self, ordinal: u64) -> Result<Row, InputProblem> {
        let Self { indexed, maybe_sent, lookup, .. } = self;
        let (known, position) = indexed.index.nearest(ordinal).ok_or(InputProblem::Changed)?;
        if lookup.ordinal > ordinal || lookup.ordinal < known {
            indexed.look_up(position, &mut lookup.records);
            lookup.ordinal = known;
        }
        loop {
            let record = lookup.records.next()?.ok_or(InputProblem::Changed)?;
            let at = lookup.ordinal;
            indexed.index.check(at, record.position)?;
            lookup.ordinal += 1;
            if at == ordinal {
                return Ok(indexed.row(&record, maybe_sent));
            }
        }
    }
}

fn grown(size: usize, most: usize) -> usize {
    (2 * size).min(most)
}

/// The want that names the row's kind.
fn kind_of(row: &Row) -> Want {
    match &row.target {
        Ok(Target::User(_)) => Want::OfUsers,
        Ok(target @ Target::Session(_)) => {
            target.addressed_team().map_or(Want::OfNoTeam, |team| Want::Of(team.clone()))
        }
        Err(_) => Want::OfNoTeam,
    }
}

fn most_of_team(teams: usize) -> usize {
    (MOST_ROWS_OF_TEAMS / teams.max(1)).clamp(LEAST_OF_TEAM, MOST_ROWS_OF_TEAM)
}

/// Maximum number of unread batches; the thread waits if there are this many.
const WAITING: usize = 4;

type SourceReply = Result<Batch, StopReason>;

/// The input, for the engine. When this is dropped, the thread ends by itself; it isn't joined.
#[derive(Debug)]
pub struct Source {
    requests: Sender<Want>,
    answers: mpsc::Receiver<SourceReply>,
}

impl Source {
    pub(super) fn start(input: InputSource, batches: BatchReader) -> io::Result<Self> {
        let (requests, wanted) = channel();
        let (answer, answers) = mpsc::channel(WAITING);
        thread::Builder::new().name("input".into()).spawn(move || serve(&input, batches, &wanted, &answer))?;
        Ok(Self { requests, answers })
    }
}

/// Ends after the first error, or when the [`Source`] is dropped.
fn serve(input: &InputSource, mut batches: BatchReader, wanted: &Requests<Want>, answers: &mpsc::Sender<SourceReply>) {
    for want in wanted {
        let answer = batches.next_batch(want).map_err(|problem| stop(problem, input));
        let last = answer.is_err();
        if answers.blocking_send(answer).is_err() || last {
            return;
        }
    }
}

fn stop(problem: InputProblem, input: &InputSource) -> StopReason {
    match problem {
        InputProblem::Changed => StopReason::InputChanged(input.to_string().into()),
        other => StopReason::Unreadable(other.of(input).to_string().into()),
    }
}

impl RowSource for Source {
    fn request(&mut self, want: Want) {
        // If the thread has ended, `next` returns its error.
        drop(self.requests.send(want));
    }

    async fn next(&mut self) -> SourceReply {
        let ended = || Err(StopReason::Unreadable("the thread that reads it has ended".into()));
        self.answers.recv().await.unwrap_or_else(ended)
    }
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
