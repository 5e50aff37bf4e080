//! The engine's other neighbours: rows out of thin air, an observer that counts, and nobody who interrupts.

use crate::server::Server;
use slack_revoke::engine::ports::{Batch, Control, Observer, RowSource, Signal, Unwritable, Want};
use slack_revoke::model::{Event, Fields, Row, SessionId, Snapshot, StopReason, Target, TeamId};
use std::collections::VecDeque;

/// Rows in a batch.
const BATCH: usize = 64;

/// The workspace of that number.
pub fn team(number: usize) -> TeamId {
    TeamId::parse(&format!("T{number:04}")).expect("a sound id")
}

/// Gives the rows of an input that is only the workspaces of its rows.
pub struct Rows {
    teams: Vec<TeamId>,
    numbers: Vec<u16>,
    of_team: Vec<VecDeque<usize>>,
    given: Vec<bool>,
    next: usize,
    wanted: VecDeque<Want>,
    pub batches: u64,
}

impl Rows {
    pub fn new(teams_of: &[usize], count: usize) -> Self {
        let mut of_team = vec![VecDeque::new(); count];
        if count > 1 {
            teams_of.iter().enumerate().for_each(|(row, &team)| of_team[team].push_back(row));
        }
        Self {
            teams: (0..count).map(team).collect(),
            numbers: teams_of.iter().map(|&team| u16::try_from(team).expect("few workspaces")).collect(),
            of_team,
            given: vec![false; teams_of.len()],
            next: 0,
            wanted: VecDeque::new(),
            batches: 0,
        }
    }

    fn row(&mut self, index: usize) -> Row {
        self.given[index] = true;
        let line = index as u64 + 2;
        let team = self.teams[usize::from(self.numbers[index])].clone();
        let target = Ok(Target::by_team(SessionId::from(1_000_000_000_000 + line), team, None));
        Row { line, fields: Fields::default(), target, may_have_been_sent: false }
    }

    fn batch(&mut self, want: Want) -> Batch {
        self.batches += 1;
        let mut rows = Vec::new();
        let exhausted = match &want {
            Want::Any => {
                while self.next < self.given.len() && rows.len() < BATCH {
                    if !self.given[self.next] {
                        rows.push(self.row(self.next));
                    }
                    self.next += 1;
                }
                self.next == self.given.len()
            }
            Want::OfNoTeam | Want::OfUsers => true,
            Want::Of(team) => {
                let number = self.teams.iter().position(|other| other == team).expect("one of ours");
                while let Some(index) = self.of_team[number].pop_front() {
                    if !self.given[index] {
                        rows.push(self.row(index));
                    }
                    if rows.len() == BATCH {
                        break;
                    }
                }
                self.of_team[number].is_empty()
            }
        };
        Batch { want, rows, exhausted }
    }
}

impl RowSource for Rows {
    fn request(&mut self, want: Want) {
        self.wanted.push_back(want);
    }

    async fn next(&mut self) -> Result<Batch, StopReason> {
        match self.wanted.pop_front() {
            Some(want) => Ok(self.batch(want)),
            None => std::future::pending().await,
        }
    }
}

/// Counts rows, and tells the server's notes the estimates.
pub struct Counting {
    pub server: Server,
    pub ended: Vec<u64>,
    pub trace: bool,
}

impl Observer for Counting {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let now = self.server.now();
        for event in events {
            if self.trace && !matches!(event, Event::Sending { .. } | Event::Ended { .. }) {
                #[expect(clippy::cast_precision_loss, reason = "seconds to look at")]
                let at = now as f64 / 1e6;
                eprintln!("{at:9.2} {event:?}");
            }
            match event {
                Event::Ended { row, .. } => self.ended.push(row.line),
                Event::Estimate { per_minute, .. } => self.server.with_seen(|seen| seen.estimate(now, *per_minute)),
                _ => {}
            }
        }
        Ok(())
    }

    fn on_snapshot(&mut self, _snapshot: &Snapshot) {}
}

/// Never interrupts.
pub struct Undisturbed;

impl Control for Undisturbed {
    async fn next(&mut self) -> Signal {
        std::future::pending().await
    }
}
