//! The event loop: waits for the next input, passes it to the state machine, and carries out the resulting actions.

use super::clock::Clock;
use super::exchange::{Exchange, Exchanged};
use super::policy::Policy;
use super::ports::{Control, Observer, QuotaStore, Refreshed, Request, RowSource, SessionApi, Signal, Unwritable};
use super::state_machine::{Action, CallId, CallTotals, StateMachine};
use super::workers::Workers;
use crate::model::{BucketKind, Counts, Event, Reply, StopReason};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinError;

/// Average time between two snapshots. After a quiet period of this length, two may follow each other immediately, so that
/// a call with a quick answer doesn't need a timer for the second one.
const BETWEEN_SNAPSHOTS: Duration = Duration::from_millis(125);

/// How long the end of a run waits for the store of the limits. Without a word, the other runs wait for its lease to end.
const LEAVING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct RunEnd {
    /// Why it stopped early; `None` if every row ended.
    pub stop: Option<StopReason>,
    /// Whether a second signal or a panic abandoned the calls in flight.
    pub aborted: bool,
    /// Includes the rows of earlier runs.
    pub counts: Counts,
    /// Of this run only.
    pub calls: CallTotals,
    /// Whether a workspace was suspended.
    pub any_parked: bool,
    /// Lines of rows that were sent, and whose answer wasn't recorded or wasn't waited for.
    pub unrecorded: Vec<u64>,
    /// Lines of other rows that haven't ended, and whose session an attempt of this run may have revoked.
    pub in_doubt: Vec<u64>,
    /// Calls a minute at the end; `None` without a limit.
    pub estimate: Option<f64>,
    /// Calls a minute that one bucket was found to accept; `None` if no limit was reached.
    pub learnt: Option<f64>,
    /// The kind of bucket, once known.
    pub bucket: Option<BucketKind>,
    /// Since the first call.
    pub elapsed: Duration,
    /// The message of a worker that panicked.
    pub fault: Option<String>,
}

impl RunEnd {
    /// Whether every row ended, and every answer was recorded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stop.is_none() && self.fault.is_none() && !self.aborted && self.unrecorded.is_empty()
    }
}

struct Loop<'a, A: SessionApi, O, R, Q> {
    api: &'a A,
    exchange: Exchange<'a, Q>,
    observer: &'a mut O,
    source: &'a mut R,
    clock: Clock,
    machine: StateMachine,
    workers: Workers,
    results: Vec<(CallId, Option<Reply>)>,
    refresh: Option<Pin<Box<dyn Future<Output = Refreshed> + 'a>>>,
    events: Vec<Event>,
    unrecorded: Vec<u64>,
    fault: Option<String>,
    /// The time up to which the snapshots so far are used up, at one per [`BETWEEN_SNAPSHOTS`].
    shown_until: Duration,
    stale: bool,
}

enum TurnInput {
    Signal(Signal),
    /// Calls were answered, or a worker panicked.
    Answered(Result<(), JoinError>),
    Rows(Result<super::ports::Batch, StopReason>),
    TokenRead(Refreshed),
    News(Exchanged),
    Time,
}

/// Sends every row of `source` to `api` and reports to `observer`, until all rows have ended or something stops the run.
/// The deadline counts from the start of `clock`.
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
        exchange: Exchange::new(quota),
        observer,
        source,
        clock,
        machine,
        workers: Workers::new(),
        results: Vec::new(),
        refresh: None,
        events: Vec::new(),
        unrecorded: Vec::new(),
        fault: None,
        shown_until: Duration::ZERO,
        stale: true,
    };
    let aborted = this.turn_until_the_end(control).await;
    let over = clock.elapsed() + LEAVING;
    tokio::select! {
        biased;
        () = this.take_leave() => {}
        () = clock.sleep_until(over) => {}
    }
    this.close(aborted)
}

impl<A: SessionApi, O: Observer, R: RowSource, Q: QuotaStore> Loop<'_, A, O, R, Q> {
    /// Returns whether the run was aborted by a second signal or a panic.
    async fn turn_until_the_end(&mut self, control: &mut impl Control) -> bool {
        loop {
            let wake = self.machine.step(self.clock.now());
            if self.perform() {
                // Lets the workers send these calls before the next input is read. Otherwise a call that was decided before
                // a pause or a stop could leave during it.
                tokio::task::yield_now().await;
            }
            if self.machine.is_finished() {
                return false;
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

    /// Gives up this run's share of the limits, so that the other runs needn't wait until its lease expires.
    async fn take_leave(&mut self) {
        self.finish_exchanges().await;
        self.machine.take_leave(self.clock.now());
        self.perform();
        self.finish_exchanges().await;
    }

    async fn finish_exchanges(&mut self) {
        while !self.exchange.is_idle() {
            let (bucket, news) = self.exchange.next().await;
            self.machine.on_news(bucket, news, self.clock.now());
        }
    }

    async fn next(&mut self, control: &mut impl Control, wake: Option<Duration>) -> TurnInput {
        let clock = self.clock;
        tokio::select! {
            biased;
            signal = control.next() => TurnInput::Signal(signal),
            news = self.exchange.next() => TurnInput::News(news),
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
            TurnInput::News((bucket, news)) => self.machine.on_news(bucket, news, now),
            TurnInput::Signal(Signal::Abort) | TurnInput::Time => {}
        }
    }

    /// Carries out the actions of the state machine: records the events first, then passes the calls to the workers. Returns
    /// whether there were calls.
    fn perform(&mut self) -> bool {
        let mut calls = Vec::new();
        for action in self.machine.actions() {
            self.stale = true;
            match action {
                Action::Send { id, line, call, permit, request } => {
                    let is_bulk = matches!(request, Request::Users(_));
                    self.events.push(Event::Sending { line, call, is_bulk });
                    calls.push((id, permit, request));
                }
                Action::Emit(event) => self.events.push(event),
                Action::Report { bucket, report } => self.exchange.push(bucket, report),
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
        // Emits the event that the run is stopping; there are no other actions left.
        self.perform()
    }

    /// Returns false if the events couldn't be recorded, which stops the run.
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

    /// Shows a snapshot if one is due. Returns when to wake: earlier than `wake` if a snapshot is due before.
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

/// Waits for the token if it is being read, otherwise forever.
async fn wait_for(refresh: &mut Option<Pin<Box<dyn Future<Output = Refreshed> + '_>>>) -> Refreshed {
    match refresh {
        Some(reading) => reading.as_mut().await,
        None => std::future::pending().await,
    }
}
