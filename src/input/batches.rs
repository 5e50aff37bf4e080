//! The second reading: which rows answer which request ([`BatchReader`], without a thread, so that it can be tested as it is),
//! and the thread that reads them when they are asked for, and nothing ahead ([`Source`]).

use super::error::InputProblem;
use super::index::IndexedInput;
use super::records::RecordReader;
use super::stored::RangeReader;
use crate::engine::ports::{Batch, RowSource, Want};
use crate::model::{InputSource, PossiblySent, Row, StopReason, TeamId};
use roaring::RoaringTreemap;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Requests, Sender, channel};
use std::thread;
use tokio::sync::mpsc;

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

/// Hands out every row once, in batches.
#[derive(Debug)]
pub(super) struct BatchReader {
    indexed: Arc<IndexedInput>,
    maybe_sent: PossiblySent,
    /// In the input's order: `ordinal` is the next; all before it have been handed out.
    forward: RecordCursor,
    size: usize,
    /// For rows of one workspace, wherever they are.
    lookup: RecordCursor,
    teams: HashMap<Option<TeamId>, TeamCursor>,
    /// The rows of no workspace, once they were asked for.
    of_no_team: Option<RoaringTreemap>,
    /// Handed out to a workspace ahead of `forward`.
    taken: RoaringTreemap,
}

#[derive(Debug)]
struct RecordCursor {
    records: RecordReader<RangeReader>,
    /// Of the record that `frames` gives next.
    ordinal: u64,
}

/// Read position within one workspace's rows.
#[derive(Debug, Clone, Copy)]
struct TeamCursor {
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
            teams: HashMap::new(),
            of_no_team: None,
            taken: RoaringTreemap::new(),
        }
    }

    /// The next rows that `want` asks for.
    pub(super) fn next_batch(&mut self, want: Want) -> Result<Batch, InputProblem> {
        self.indexed.check_original()?;
        let (rows, exhausted) = match &want {
            Want::Any => self.any()?,
            Want::Of(team) => match Arc::clone(&self.indexed).index.teams.get(team) {
                Some(ordinals) => self.of(Some(team), ordinals)?,
                None => (Vec::new(), true),
            },
            Want::OfNoTeam => {
                let ordinals = self.of_no_team.take().unwrap_or_else(|| self.indexed.index.of_no_team());
                let dealt = self.of(None, &ordinals)?;
                self.of_no_team = Some(ordinals);
                dealt
            }
        };
        Ok(Batch { want, rows, exhausted })
    }

    fn any(&mut self) -> Result<(Vec<Row>, bool), InputProblem> {
        let Self { indexed, maybe_sent, forward, taken, .. } = self;
        let (mut rows, mut bytes) = (Vec::with_capacity(self.size), 0);
        while rows.len() < self.size && bytes < MOST_BYTES && forward.ordinal < indexed.index.rows() {
            let record = forward.records.next()?.ok_or(InputProblem::Changed)?;
            let ordinal = forward.ordinal;
            indexed.index.check(ordinal, record.position)?;
            forward.ordinal += 1;
            if !taken.remove(ordinal) && !indexed.done.contains(record.position.line) {
                let row = indexed.row(&record, maybe_sent);
                bytes += row.fields.text_len();
                rows.push(row);
            }
        }
        self.size = grown(self.size, MOST_ROWS);
        Ok((rows, forward.ordinal == indexed.index.rows()))
    }

    /// The next rows of a workspace, or of none, which are at these ordinals.
    fn of(&mut self, team: Option<&TeamId>, ordinals: &RoaringTreemap) -> Result<(Vec<Row>, bool), InputProblem> {
        let mut cursor = self.teams.get(&team.cloned()).copied().unwrap_or(TeamCursor { next: 0, size: 1 });
        let mut left = ordinals.iter();
        left.advance_to(cursor.next.max(self.forward.ordinal));
        let (mut rows, mut bytes) = (Vec::with_capacity(cursor.size), 0);
        while rows.len() < cursor.size && bytes < MOST_BYTES {
            let Some(ordinal) = left.next() else { break };
            let row = self.row_at(ordinal)?;
            cursor.next = ordinal + 1;
            if self.indexed.done.contains(row.line) {
                continue;
            }
            let addressed = row.target.as_ref().ok().and_then(|target| target.addressed_team());
            if addressed != team {
                return Err(InputProblem::Changed);
            }
            self.taken.insert(ordinal);
            bytes += row.fields.text_len();
            rows.push(row);
        }
        cursor.size = grown(cursor.size, most_of_team(self.indexed.index.teams.len()));
        self.teams.insert(team.cloned(), cursor);
        Ok((rows, left.next().is_none()))
    }

    /// Reads one record, from where the cursor is or from the last known place ahead of it.
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

/// Rows in the largest batch of one of so many workspaces.
fn most_of_team(teams: usize) -> usize {
    (MOST_ROWS_OF_TEAMS / teams.max(1)).clamp(LEAST_OF_TEAM, MOST_ROWS_OF_TEAM)
}

/// Answers that wait for the engine; the thread pauses when there are as many.
const WAITING: usize = 4;

type SourceReply = Result<Batch, StopReason>;

/// The input as the engine sees it. When it is dropped, the thread ends by itself; it isn't joined.
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

/// Ends after the first answer that is an error, or when the [`Source`] is dropped.
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
        // A thread that has ended has left its error among the answers, or is missed there.
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
