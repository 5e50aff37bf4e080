//! The engine's neighbours: the real reader, waited for without letting the clock run; signals; and the product's ledger.

use crate::slack::{Moment, Slack};
use slack_revoke::engine::clock::{Clock, wall};
use slack_revoke::engine::ports::{Batch, Control, Observer, RowSource, Signal, Unwritable, Want};
use slack_revoke::input::Source;
use slack_revoke::ledger::ledger::Ledger;
use slack_revoke::ledger::paths::RunFiles;
use slack_revoke::model::{Event, Outcome, Snapshot, StopReason};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// The reading thread, in no time at all: the clock only moves while the runtime has nothing to do.
pub struct Reader {
    pub source: Source,
    pub asked: usize,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // Without this the runtime's budget of one poll would be used up, and never refilled.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

impl RowSource for Reader {
    fn request(&mut self, want: Want) {
        self.asked += 1;
        self.source.request(want);
    }

    async fn next(&mut self) -> Result<Batch, StopReason> {
        if self.asked == 0 {
            return std::future::pending().await;
        }
        self.asked -= 1;
        wait_for(self.source.next())
    }
}

/// A drain, then an abort, where they are due.
pub struct Signals {
    pub slack: Slack,
    pub clock: Clock,
    pub due: Vec<Moment>,
    pub given: usize,
}

impl Control for Signals {
    async fn next(&mut self) -> Signal {
        let Some(moment) = self.due.get(self.given) else { return std::future::pending().await };
        self.slack.wait(*moment, self.clock).await;
        self.given += 1;
        if self.given == 1 { Signal::Drain(StopReason::Interrupted) } else { Signal::Abort }
    }
}

/// What a process that is killed leaves: nothing runs any more.
pub struct Killed;

/// What happens to one call of [`Ledger::record`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CrashPoint {
    /// The process dies just before it.
    Before,
    /// The process dies while the records are written: this share of their bytes is in the file, and no line is listed.
    InRecords(f64),
    /// The process dies just after it.
    After,
    /// The disk refuses it and all that follow.
    Refused,
}

/// Passes what happens on to the product's ledger, and dies when it is due.
pub struct Recorder {
    pub slack: Slack,
    pub ledger: Ledger,
    pub files: RunFiles,
    /// The rows that ended, and whether their records were kept.
    pub ended: BTreeMap<u64, (Outcome, bool)>,
    pub turns: u64,
    pub crash: Option<(u64, CrashPoint)>,
    pub workers: u32,
}

impl Recorder {
    fn record(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        self.turns += 1;
        let refused = |point| point == CrashPoint::Refused;
        let due = self.crash.filter(|(at, point)| *at == self.turns || (*at < self.turns && refused(*point)));
        let before = (length(&self.files.results), length(&self.files.journal));
        let kept = match due {
            Some((_, CrashPoint::Before)) => die(),
            Some((_, CrashPoint::Refused)) => Err(full_disk(events)),
            Some((_, CrashPoint::InRecords(_) | CrashPoint::After)) | None => self.ledger.record(events, wall()),
        };
        self.note_ended(events, &kept);
        match due {
            Some((_, CrashPoint::InRecords(share))) => {
                let (results, journal) = before;
                let written = length(&self.files.results) - results;
                // The records come first, so none of the lines is listed yet.
                cut(&self.files.results, results + share_of(written, share));
                cut(&self.files.journal, journal);
                die()
            }
            Some((_, CrashPoint::After)) => die(),
            Some((_, CrashPoint::Before | CrashPoint::Refused)) | None => kept,
        }
    }

    fn note_ended(&mut self, events: &[Event], kept: &Result<(), Unwritable>) {
        let lost: &[u64] = kept.as_ref().err().map_or(&[], |refused| &refused.unrecorded);
        for (row, outcome) in events.iter().filter_map(Event::ended) {
            let is_kept = !lost.contains(&row.line);
            if self.ended.insert(row.line, (outcome.clone(), is_kept)).is_some() {
                self.slack.state().fault(&format!("line {} ended twice", row.line));
            }
        }
    }

    /// A call that is about to leave.
    fn sending(&mut self, line: u64, call: u32) {
        let mut state = self.slack.state();
        let told = state.seen.sending.iter().filter(|told| **told == line).count() as u64;
        let before = state.seen.sent.get(&line).copied().unwrap_or(0) + told;
        if u64::from(call) != before + 1 {
            state.fault(&format!("line {line}: call {call} is told after {before} calls"));
        }
        if self.ended.contains_key(&line) {
            state.fault(&format!("line {line} is sent after it ended"));
        }
        state.seen.sending.push_back(line);
    }
}

/// A disk that refuses keeps none of the records.
fn full_disk(events: &[Event]) -> Unwritable {
    let unrecorded = events.iter().filter_map(Event::ended).map(|(row, _)| row.line).collect();
    Unwritable { why: "no space left on device".into(), unrecorded }
}

pub fn die() -> ! {
    std::panic::resume_unwind(Box::new(Killed))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

fn cut(path: &Path, len: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
    file.set_len(len).expect("it can be cut");
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some bytes of a few records"
)]
fn share_of(bytes: u64, share: f64) -> u64 {
    (bytes as f64 * share) as u64
}

impl Observer for Recorder {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        for _ in events {
            self.slack.state().tick();
        }
        let kept = self.record(events);
        for event in events {
            match event {
                Event::Sending { line, call, .. } if kept.is_ok() => self.sending(*line, *call),
                Event::Stopping(_) => self.slack.state().seen.stopped = true,
                Event::BucketKnown(kind) => self.slack.state().seen.kind = Some(*kind),
                Event::Sending { .. }
                | Event::Ended { .. }
                | Event::Retrying { .. }
                | Event::RateLimited { .. }
                | Event::OneByOne { .. }
                | Event::PausedByOthers { .. }
                | Event::Shared { .. }
                | Event::NotShared(_)
                | Event::Estimate { .. }
                | Event::Parked { .. }
                | Event::OutageBegan { .. }
                | Event::OutageEnded
                | Event::TokenRefreshed
                | Event::OtherOwner { .. }
                | Event::Warning(_) => {}
            }
        }
        kept
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) {
        self.ledger.save_if_due(snapshot, wall());
        let (ended, total) = (snapshot.counts.ended(), snapshot.total);
        if ended > total || snapshot.in_flight > self.workers {
            self.slack.state().fault(&format!("shown: {ended} of {total} rows, {} in flight", snapshot.in_flight));
        }
    }
}
