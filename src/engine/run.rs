//! The loop: waits for the next thing to happen, tells the core, and does what the core says.

use super::clock::Clock;
use super::policy::Policy;
use super::ports::{Control, LimitReport, Observer, QuotaStore, Refreshed, RowSource, SessionApi, Signal, Unwritable};
use super::state_machine::{Action, CallId, CallTotals, StateMachine};
use super::workers::Workers;
use crate::model::{BucketKind, Counts, Event, Reply, StopReason};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinError;

/// Between two snapshots: often enough for a person, rare enough to cost nothing. After a quiet time of this length two
/// may follow each other at once, so that a call and its prompt answer need no timer for the second.
const BETWEEN_SNAPSHOTS: Duration = Duration::from_millis(125);

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Why it stopped early; none where it came to its end.
    pub stop: Option<StopReason>,
    /// Whether a second signal cut off what was in flight.
    pub aborted: bool,
    /// Rows by status, those of earlier runs included.
    pub counts: Counts,
    /// Totals of this run's calls.
    pub calls: CallTotals,
    /// Whether a workspace was set aside.
    pub any_parked: bool,
    /// Lines of rows that were sent, and whose record could not be kept or whose answer was not waited for.
    pub unrecorded: Vec<u64>,
    /// Lines of rows that have not ended, and that an attempt of this run may have revoked; beside the unrecorded ones.
    pub in_doubt: Vec<u64>,
    /// Calls a minute at the end; none without a limit.
    pub estimate: Option<f64>,
    /// Calls a minute that one bucket was found to take; none where no limit was met.
    pub learnt: Option<f64>,
    /// The kind of bucket, once known.
    pub bucket: Option<BucketKind>,
    /// How long it took, from the first call.
    pub elapsed: Duration,
    /// A task of ours that panicked: what it said.
    pub fault: Option<String>,
}

struct Loop<'a, A: SessionApi, O, R, Q> {
    api: &'a A,
    quota: &'a mut Q,
    observer: &'a mut O,
    source: &'a mut R,
    clock: Clock,
    machine: StateMachine,
    workers: Workers,
    results: Vec<(CallId, Option<Reply>)>,
    refresh: Option<Pin<Box<dyn Future<Output = Refreshed> + 'a>>>,
    events: Vec<Event>,
    reports: Vec<(usize, LimitReport)>,
    unrecorded: Vec<u64>,
    fault: Option<String>,
    /// When all snapshots so far would have been due, one by one.
    shown_until: Duration,
    stale: bool,
}

/// What the loop waited for.
enum TurnInput {
    Signal(Signal),
    /// Calls were answered, or the task of one panicked.
    Answered(Result<(), JoinError>),
    Rows(Result<super::ports::Batch, StopReason>),
    TokenRead(Refreshed),
    Time,
}

/// Runs every row of `source` against `api`, telling `observer`, until all have ended or something stops the run.
/// `clock` is where the deadline counts from.
pub async fn run<A: SessionApi, O: Observer, R: RowSource>(
    policy: Policy,
    api: &A,
    quota: &mut impl QuotaStore,
    source: &mut R,
    observer: &mut O,
    control: &mut impl Control,
    clock: Clock,
) -> RunEnd {
    let machine = StateMachine::new(policy, clock.now());
    let mut this = Loop {
        api,
        quota,
        observer,
        source,
        clock,
        machine,
        workers: Workers::new(),
        results: Vec::new(),
        refresh: None,
        events: Vec::new(),
        reports: Vec::new(),
        unrecorded: Vec::new(),
        fault: None,
        shown_until: Duration::ZERO,
        stale: true,
    };
    let aborted = this.turn_until_the_end(control).await;
    this.take_leave().await;
    this.close(aborted)
}

impl<A: SessionApi, O: Observer, R: RowSource, Q: QuotaStore> Loop<'_, A, O, R, Q> {
    /// True if a second signal ended it.
    async fn turn_until_the_end(&mut self, control: &mut impl Control) -> bool {
        loop {
            let wake = self.machine.step(self.clock.now());
            if self.perform() {
                // The calls leave before the next thing is heard: one that was decided on before a pause or a stop must not
                // set out in it.
                tokio::task::yield_now().await;
            }
            if self.machine.is_finished() {
                return false;
            }
            if self.report().await {
                continue;
            }
            let wake = self.show(wake);
            match self.next(control, wake).await {
                TurnInput::Signal(Signal::Abort) => return true,
                TurnInput::Answered(Err(error)) => {
                    self.fault = Some(error.to_string());
                    return true;
                }
                input => self.take_in(input),
            }
        }
    }

    /// Exchanges news with the other runs on the limits. True if there was something to report: the machine may decide anew.
    async fn report(&mut self) -> bool {
        let reports = std::mem::take(&mut self.reports);
        let any = !reports.is_empty();
        for (bucket, report) in reports {
            let news = self.quota.exchange(report).await;
            self.machine.on_news(bucket, news, self.clock.now());
        }
        any
    }

    /// The other runs needn't wait for this one's lease to end.
    async fn take_leave(&mut self) {
        self.machine.take_leave(self.clock.now());
        self.perform();
        self.report().await;
    }

    async fn next(&mut self, control: &mut impl Control, wake: Option<Duration>) -> TurnInput {
        let clock = self.clock;
        tokio::select! {
            biased;
            signal = control.next() => TurnInput::Signal(signal),
            answered = self.workers.results(&mut self.results) => TurnInput::Answered(answered),
            refreshed = wait_for(&mut self.refresh), if self.refresh.is_some() => TurnInput::TokenRead(refreshed),
            batch = self.source.next(), if self.machine.awaits_rows() => TurnInput::Rows(batch),
            () = clock.sleep_until(wake.unwrap_or_default()), if wake.is_some() => TurnInput::Time,
        }
    }

    fn take_in(&mut self, input: TurnInput) {
        let now = self.clock.now();
        match input {
            TurnInput::Answered(_) => {
                for (id, reply) in self.results.drain(..) {
                    match reply {
                        Some(reply) => self.machine.on_reply(id, reply, now),
                        None => self.machine.on_not_sent(id, now),
                    }
                }
            }
            TurnInput::Rows(Ok(batch)) => self.machine.on_batch(batch, now),
            TurnInput::Signal(Signal::Drain(reason)) | TurnInput::Rows(Err(reason)) => self.machine.stop(reason),
            TurnInput::TokenRead(refreshed) => {
                self.refresh = None;
                self.machine.on_token(refreshed, now);
            }
            TurnInput::Signal(Signal::Abort) | TurnInput::Time => {}
        }
    }

    /// Carries out the machine's actions: records the events first, then gives the calls to the workers. True if there
    /// were calls.
    fn perform(&mut self) -> bool {
        let mut calls = Vec::new();
        for action in self.machine.actions() {
            self.stale = true;
            match action {
                Action::Send { id, line, call, permit, request } => {
                    self.events.push(Event::Sending { line, call });
                    calls.push((id, permit, request));
                }
                Action::Emit(event) => self.events.push(event),
                Action::Report { bucket, report } => self.reports.push((bucket, report)),
                Action::RequestRows(want) => self.source.request(want),
                Action::RefreshToken => self.refresh = Some(Box::pin(self.api.refresh_token())),
            }
        }
        let any = !calls.is_empty();
        if self.record_events() {
            for (id, permit, request) in calls {
                self.workers.start(id, self.api.call(permit, request));
            }
            return any;
        }
        let now = self.clock.now();
        for (id, ..) in calls {
            self.machine.on_not_sent(id, now);
        }
        // That the run stops is told at once; nothing but that is left to do.
        self.perform()
    }

    /// False if the events could not be recorded, which stops the run.
    fn record_events(&mut self) -> bool {
        if self.events.is_empty() {
            return true;
        }
        let kept = self.observer.on_events(&self.events);
        self.events.clear();
        let Err(Unwritable { why, unrecorded }) = kept else { return true };
        self.unrecorded.extend(unrecorded);
        self.machine.stop(StopReason::Unwritable(why));
        false
    }

    /// Shows a snapshot, not too often. Returns when to wake, which is sooner if a snapshot is still due.
    fn show(&mut self, wake: Option<Duration>) -> Option<Duration> {
        if !self.stale {
            return wake;
        }
        let now = self.clock.now();
        let due = self.shown_until.saturating_sub(BETWEEN_SNAPSHOTS);
        if now.at < due {
            return Some(wake.map_or(due, |wake| wake.min(due)));
        }
        self.observer.on_snapshot(&self.machine.snapshot(now));
        self.shown_until = self.shown_until.max(now.at) + BETWEEN_SNAPSHOTS;
        self.stale = false;
        wake
    }

    fn close(mut self, aborted: bool) -> RunEnd {
        self.machine.close();
        self.perform();
        let now = self.clock.now();
        self.observer.on_snapshot(&self.machine.snapshot(now));
        if aborted {
            self.unrecorded.extend(self.machine.lines_in_flight());
        }
        self.unrecorded.sort_unstable();
        RunEnd { aborted, unrecorded: self.unrecorded, fault: self.fault, ..self.machine.run_end(now.at) }
    }
}

/// Waits for the token, where it is being read.
async fn wait_for(refresh: &mut Option<Pin<Box<dyn Future<Output = Refreshed> + '_>>>) -> Refreshed {
    match refresh {
        Some(reading) => reading.as_mut().await,
        None => std::future::pending().await,
    }
}
