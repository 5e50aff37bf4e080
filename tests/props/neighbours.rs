//! The engine's neighbours: the real reader, waited for without letting the clock run; signals; and what the recorder of
//! `run` does, on the real files.

use crate::slack::{Moment, Slack};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::ports::{Batch, Control, Observer, RowSource, Signal, Unwritable, Want};
use slack_revoke::input::Source;
use slack_revoke::ledger::journal::Journal;
use slack_revoke::ledger::results::{NotAdded, ResultsWriter};
use slack_revoke::ledger::scan::Recorded;
use slack_revoke::model::{Event, IdColumns, Outcome, Snapshot, StopReason};
use std::collections::BTreeMap;
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

/// What befalls a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The process dies just before it.
    KilledBefore,
    /// The process dies just after it.
    KilledAfter,
    /// The disk refuses it and all that follow.
    Refused,
}

/// Keeps what happens as the recorder of `run` does.
pub struct Keeper {
    pub slack: Slack,
    pub results: ResultsWriter,
    pub journal: Journal,
    pub recorded: Recorded,
    pub owners: IdColumns,
    /// The rows that ended, and whether their records were kept.
    pub ended: BTreeMap<u64, (Outcome, bool)>,
    pub writes: u64,
    pub blow: Option<(u64, Blow)>,
    pub workers: u32,
}

impl Keeper {
    /// One write of the program's, and what befalls it. A disk that refuses keeps none of the records.
    fn write(&mut self, write: impl FnOnce(&mut Self) -> Result<(), NotAdded>) -> Result<(), NotAdded> {
        self.writes += 1;
        let due = self.blow.filter(|(at, blow)| *at == self.writes || (*at < self.writes && *blow == Blow::Refused));
        match due {
            Some((_, Blow::KilledBefore)) => std::panic::resume_unwind(Box::new(Killed)),
            Some((_, Blow::Refused)) => return Err(std::io::Error::other("no space left on device").into()),
            Some((_, Blow::KilledAfter)) | None => {}
        }
        write(self)?;
        if due.is_some() {
            std::panic::resume_unwind(Box::new(Killed));
        }
        Ok(())
    }

    fn record(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let ended: Vec<_> = events.iter().filter_map(Event::ended).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let appended = self.write(|this| this.results.append(ended.iter().copied()));
        let kept = appended.as_ref().map_or_else(|refused| refused.added, |()| ended.len());
        for (number, (row, outcome)) in ended.iter().enumerate() {
            let (line, is_kept) = (row.line, number < kept);
            if is_kept && !self.recorded.add(row, self.owners, outcome) {
                self.slack.state().fault(&format!("line {line} was recorded before"));
            }
            if self.ended.insert(line, ((*outcome).clone(), is_kept)).is_some() {
                self.slack.state().fault(&format!("line {line} ended twice"));
            }
        }
        appended.map_err(|refused| unwritable(&refused, ended[kept..].iter().map(|(row, _)| row.line).collect()))
    }

    fn list(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        let lines: Vec<_> = events.iter().filter_map(Event::first_sent).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let listed = self.write(|this| Ok(this.results.check().and_then(|()| this.journal.mark_sent(lines))?));
        listed.map_err(|refused| unwritable(&refused, Vec::new()))
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

fn unwritable(refused: &NotAdded, unrecorded: Vec<u64>) -> Unwritable {
    Unwritable { why: refused.error.to_string().into(), unrecorded }
}

impl Observer for Keeper {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        for _ in events {
            self.slack.state().tick();
        }
        let kept = self.record(events).and_then(|()| self.list(events));
        for event in events {
            match event {
                Event::Sending { line, call } if kept.is_ok() => self.sending(*line, *call),
                Event::Stopping(_) => self.slack.state().seen.stopped = true,
                Event::BucketKnown(kind) => self.slack.state().seen.kind = Some(*kind),
                Event::Sending { .. }
                | Event::Ended { .. }
                | Event::Retrying { .. }
                | Event::RateLimited { .. }
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
        let (ended, total) = (snapshot.counts.ended(), snapshot.total);
        if ended > total || snapshot.in_flight > self.workers {
            self.slack.state().fault(&format!("shown: {ended} of {total} rows, {} in flight", snapshot.in_flight));
        }
    }
}
