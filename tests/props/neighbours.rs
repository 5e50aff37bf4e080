//! The engine's neighbours: the real reader, waited for without letting the clock run; signals; and what the recorder of
//! `run` does, on the real files.

use crate::slack::{Moment, Slack};
use slack_revoke::domain::{Event, Outcome, Snapshot, StopReason};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::ports::{Batch, Control, Observer, RowSource, Signal, Unwritable, Want};
use slack_revoke::store::input::Source;
use slack_revoke::store::journal::Journal;
use slack_revoke::store::results::ResultsWriter;
use slack_revoke::store::scan::{OwnerColumns, Recorded};
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

    async fn next(&mut self) -> Result<Batch, Box<str>> {
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
    pub owners: OwnerColumns,
    /// The rows that ended, and whether their records were kept.
    pub ended: BTreeMap<u64, (Outcome, bool)>,
    pub writes: u64,
    pub blow: Option<(u64, Blow)>,
    pub workers: u32,
}

impl Keeper {
    fn write(&mut self, write: impl FnOnce(&mut Self) -> std::io::Result<()>) -> Result<(), Unwritable> {
        self.writes += 1;
        let due = self.blow.filter(|(at, blow)| *at == self.writes || (*at < self.writes && *blow == Blow::Refused));
        match due {
            Some((_, Blow::KilledBefore)) => std::panic::resume_unwind(Box::new(Killed)),
            Some((_, Blow::Refused)) => return Err(Unwritable("no space left on device".into())),
            Some((_, Blow::KilledAfter)) | None => {}
        }
        write(self).map_err(|error| Unwritable(error.to_string().into()))?;
        if due.is_some() {
            std::panic::resume_unwind(Box::new(Killed));
        }
        Ok(())
    }

    fn sending(&mut self, line: u64, call: u32) -> Result<(), Unwritable> {
        if call == 1 {
            self.write(|this| this.results.check().and_then(|()| this.journal.mark_sent(line)))?;
        }
        let mut state = self.slack.state();
        let before = state.seen.sent.get(&line).copied().unwrap_or(0);
        if u64::from(call) != before + 1 {
            state.fault(&format!("line {line}: call {call} is told after {before} calls"));
        }
        if self.ended.contains_key(&line) {
            state.fault(&format!("line {line} is sent after it ended"));
        }
        state.seen.sending = Some(line);
        Ok(())
    }
}

impl Observer for Keeper {
    fn on_event(&mut self, event: Event) -> Result<(), Unwritable> {
        self.slack.state().tick();
        match event {
            Event::Sending { line, call } => self.sending(line, call)?,
            Event::Ended { row, outcome } => {
                let line = row.line;
                let kept = self.write(|this| this.results.append(&row, &outcome));
                if kept.is_ok() && !self.recorded.add(&row, self.owners, &outcome) {
                    self.slack.state().fault(&format!("line {line} was recorded before"));
                }
                if self.ended.insert(line, (outcome, kept.is_ok())).is_some() {
                    self.slack.state().fault(&format!("line {line} ended twice"));
                }
                kept?;
            }
            Event::Stopping(_) => self.slack.state().seen.stopped = true,
            Event::BucketKnown(kind) => self.slack.state().seen.kind = Some(kind),
            Event::Retrying { .. }
            | Event::RateLimited { .. }
            | Event::Estimate { .. }
            | Event::Parked { .. }
            | Event::OutageBegan { .. }
            | Event::OutageEnded
            | Event::TokenRefreshed
            | Event::Warning(_) => {}
        }
        Ok(())
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) {
        let (ended, total) = (snapshot.counts.ended(), snapshot.total);
        if ended > total || snapshot.in_flight > self.workers {
            self.slack.state().fault(&format!("shown: {ended} of {total} rows, {} in flight", snapshot.in_flight));
        }
    }
}
