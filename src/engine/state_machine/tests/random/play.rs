//! One run: the loop around the state machine, with its workers, its source and its clock.

use super::super::*;
use super::input::{Input, Source};
use super::oracle::Oracle;
use super::slack::{Asked, Slack};
use crate::engine::clock::Now;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::task::{Context, Waker};

/// More than any run needs.
const MOST_TURNS: usize = 100_000;

/// How a run came to its end.
#[derive(Debug)]
pub enum End {
    Over(Option<StopReason>),
    Crashed,
}

#[derive(Debug)]
struct Call {
    permit: Permit,
    asked: Asked,
    lines: Vec<u64>,
    token: usize,
    started: bool,
    answer: Option<Answer>,
    wait: Option<Duration>,
}

#[derive(Debug)]
enum Happening {
    Connected(CallId),
    Arrived(CallId),
    Answered(CallId),
    Delivered(CallId),
    EndsLate(Asked),
    Rows(Want),
    Token,
    Stop,
    Crash,
}

/// What a run is like beside its policy.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    pub stops_at: Option<Duration>,
    pub crashes_at: Option<Duration>,
    pub is_renewable: bool,
    pub shown: bool,
}

pub struct Run<'a, 'b> {
    machine: StateMachine,
    at: Duration,
    input: &'b Input,
    source: Source,
    slack: &'a mut Slack,
    oracle: &'a mut Oracle<'b>,
    dice: &'a mut fastrand::Rng,
    queue: BTreeMap<(Duration, u64), Happening>,
    calls: HashMap<CallId, Call>,
    next: u64,
    rows_at: Duration,
    told: Vec<u64>,
    is_refreshing: bool,
    /// Wake-ups in a row for a moment that is past.
    spins: u32,
    circumstances: Circumstances,
}

impl<'a, 'b> Run<'a, 'b> {
    pub fn new(
        policy: Policy,
        circumstances: Circumstances,
        (input, source): (&'b Input, Source),
        slack: &'a mut Slack,
        oracle: &'a mut Oracle<'b>,
        dice: &'a mut fastrand::Rng,
    ) -> Self {
        let at = Duration::from_millis(1);
        let machine = StateMachine::new(policy, Now { at, wall: Timestamp::from_millis(0) });
        let mut run = Self {
            machine,
            at,
            input,
            source,
            slack,
            oracle,
            dice,
            queue: BTreeMap::new(),
            calls: HashMap::new(),
            next: 0,
            rows_at: Duration::ZERO,
            told: Vec::new(),
            is_refreshing: false,
            spins: 0,
            circumstances,
        };
        if let Some(at) = circumstances.stops_at {
            run.later(at, Happening::Stop);
        }
        if let Some(at) = circumstances.crashes_at {
            run.later(at, Happening::Crash);
        }
        run
    }

    fn now(&self) -> Now {
        let millis = i64::try_from(self.at.as_millis()).unwrap();
        Now { at: self.at, wall: Timestamp::from_millis(millis) }
    }

    fn later(&mut self, at: Duration, happening: Happening) {
        self.next += 1;
        self.queue.insert((at.max(self.at), self.next), happening);
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(1 + self.dice.u64(..most * 1000))
    }

    pub fn finish(mut self) -> End {
        for _ in 0..MOST_TURNS {
            let now = self.now();
            let wake = self.machine.step(now);
            self.perform();
            self.withdraw();
            if self.machine.is_finished() {
                return self.close();
            }
            if !self.happens(wake) {
                return End::Crashed;
            }
        }
        panic!("it does not end: at {:?}, {:?}", self.at, self.machine.run_end(self.at).calls);
    }

    /// Waits for the next thing, or for several that come together. False if that is the end of the process.
    fn happens(&mut self, wake: Option<Duration>) -> bool {
        let next = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (next, wake) {
            (None, None) => panic!("stuck at {:?}: {:?}", self.at, self.machine),
            (next, Some(wake)) if next.is_none_or(|next| wake < next) => {
                self.spins = if wake > self.at { 0 } else { self.spins + 1 };
                assert!(self.spins < 3, "woken again and again at {:?} for {wake:?}", self.at);
                self.at = self.at.max(wake);
                return true;
            }
            (_, _) => {}
        }
        let together = if self.dice.u8(..4) == 0 { Duration::from_millis(5) } else { Duration::ZERO };
        let until = next.unwrap_or_default() + together;
        loop {
            let ((at, _), happening) = self.queue.pop_first().expect("looked at above");
            self.at = at;
            if !self.take_in(happening) {
                return false;
            }
            if self.queue.first_key_value().is_none_or(|((at, _), _)| *at > until) {
                return true;
            }
        }
    }

    fn take_in(&mut self, happening: Happening) -> bool {
        let now = self.now();
        match happening {
            Happening::Connected(id) => self.connected(id),
            Happening::Arrived(id) => self.arrived(id),
            Happening::Answered(id) => self.answered(id),
            Happening::Delivered(id) => self.delivered(id),
            Happening::EndsLate(asked) => self.slack.end_sessions(&asked),
            Happening::Rows(want) if self.machine.awaits_rows() => {
                let most = self.dice.usize(1..20);
                let batch = self.source.batch(want, most);
                self.machine.on_batch(batch, now);
            }
            Happening::Token => {
                self.is_refreshing = false;
                let is_renewed = self.circumstances.is_renewable && self.slack.renew(self.at);
                self.oracle.unproven_tokens += u32::from(is_renewed);
                let refreshed = if is_renewed { Refreshed::Changed } else { Refreshed::Unchanged };
                self.machine.on_token(refreshed, now);
            }
            Happening::Stop => self.machine.stop(StopReason::Interrupted),
            Happening::Rows(_) => {}
            Happening::Crash => return false,
        }
        self.perform();
        self.withdraw();
        true
    }

    fn connected(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !call.permit.start() {
            return self.not_sent(id);
        }
        call.started = true;
        self.oracle.started(id, &call.asked, self.at);
        let (least, most) = self.slack.latency;
        let way = Duration::from_micros(self.dice.u64(least * 500..most * 500));
        self.later(self.at + way, Happening::Arrived(id));
    }

    fn not_sent(&mut self, id: CallId) {
        self.calls.remove(&id);
        self.oracle.over(id);
        let now = self.now();
        self.machine.on_not_sent(id, now);
    }

    /// Permits that were taken back while their calls waited for a connection; the worker notices sooner or later.
    fn withdraw(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut ids: Vec<CallId> = self.calls.iter().filter(|(_, call)| !call.started).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            let is_withdrawn = pin!(self.calls[&id].permit.withdrawn()).poll(&mut context).is_ready();
            if is_withdrawn && self.dice.bool() {
                self.not_sent(id);
            }
        }
    }

    fn arrived(&mut self, id: CallId) {
        let call = self.calls.get_mut(&id).unwrap();
        let taken = self.slack.take(&call.asked, call.token, self.at, self.dice);
        let asked = call.asked.clone();
        let is_timeout = taken.answer == Answer::Fault(Fault::Timeout);
        (call.answer, call.wait) = (Some(taken.answer), taken.wait);
        let (least, most) = self.slack.latency;
        let way = Duration::from_micros(self.dice.u64(least * 500..most * 500));
        let way = if is_timeout { Duration::from_secs(30) } else { way };
        if taken.ends_late {
            let wait = self.millis(3_000);
            self.later(self.at + way + wait, Happening::EndsLate(asked));
        }
        self.later(self.at + way, Happening::Answered(id));
    }

    fn answered(&mut self, id: CallId) {
        let call = &self.calls[&id];
        let answer = call.answer.as_ref().unwrap();
        if matches!(answer, Answer::RateLimited { .. }) || call.wait.is_some() {
            call.permit.announce_pause();
        }
        self.oracle.received(&call.asked, answer, call.wait, self.at);
        let wait = self.millis(20);
        self.later(self.at + wait, Happening::Delivered(id));
    }

    fn delivered(&mut self, id: CallId) {
        let call = self.calls.remove(&id).unwrap();
        let (answer, wait) = (call.answer.unwrap(), call.wait);
        if self.circumstances.shown {
            println!("{:10.3} {:?} -> {answer:?}", self.at.as_secs_f64(), call.lines);
        }
        self.oracle.delivered(id, &call.lines, &call.asked, &answer);
        let http_status = match answer {
            Answer::Ok | Answer::Refused(_) | Answer::Fault(Fault::BadResponse) => Some(200),
            Answer::RateLimited { .. } => Some(429),
            Answer::Fault(Fault::Http(status)) => Some(status),
            Answer::Fault(Fault::NotConnected | Fault::Connection | Fault::Timeout) => None,
        };
        let now = self.now();
        self.machine.on_reply(id, Reply { http_status, wait, ..Reply::bare(answer) }, now);
    }

    fn perform(&mut self) {
        let actions: Vec<_> = self.machine.actions().collect();
        for action in actions {
            match action {
                Action::Send { id, permit, request, line, .. } => self.send(id, permit, &request, line),
                Action::Emit(Event::Sending { line, .. }) => self.told.push(line),
                Action::Emit(event) => self.told(&event),
                Action::RequestRows(want) => {
                    let delay = self.millis(200);
                    self.rows_at = self.rows_at.max(self.at + delay);
                    self.later(self.rows_at, Happening::Rows(want));
                }
                Action::Report { .. } => unreachable!("no limit is shared here"),
                Action::RefreshToken => {
                    assert!(!std::mem::replace(&mut self.is_refreshing, true), "the token is being read already");
                    let wait = self.millis(20_000);
                    self.later(self.at + wait, Happening::Token);
                }
            }
        }
    }

    fn told(&mut self, event: &Event) {
        if self.circumstances.shown {
            println!("{:10.3} {event:?}", self.at.as_secs_f64());
        }
        match event {
            Event::Ended { row, outcome } => self.oracle.ended(row.line, outcome, self.slack),
            Event::BucketKnown(kind) => self.oracle.kind_known(*kind),
            Event::Stopping(StopReason::Breaker { .. }) => self.oracle.tripped(),
            Event::Parked { team, .. } => self.oracle.suspended(team.as_str()),
            _ => {}
        }
    }

    fn send(&mut self, id: CallId, permit: Permit, request: &Request, line: u64) {
        assert!(self.machine.stopped().is_none() && !self.is_refreshing, "a call after a stop or without a token");
        let mut lines = std::mem::take(&mut self.told);
        lines.insert(0, line);
        let asked = match request {
            Request::Session(target) => Asked {
                session: Some(target.session().get()),
                team: target.addressed_team().map(ToString::to_string),
                users: Vec::new(),
            },
            Request::Users(users) => {
                Asked { session: None, team: None, users: users.iter().map(ToString::to_string).collect() }
            }
        };
        if self.circumstances.shown {
            println!("{:10.3} {lines:?} {asked:?}", self.at.as_secs_f64());
        }
        if asked.session.is_none() {
            let users: BTreeSet<_> = lines.iter().filter_map(|line| self.input.line(*line).user.clone()).collect();
            assert_eq!(users, asked.users.iter().cloned().collect(), "each user of the call has a row, and no other");
        }
        self.oracle.sending(&lines, &asked, self.calls.len());
        let token = self.slack.token();
        self.calls.insert(id, Call { permit, asked, lines, token, started: false, answer: None, wait: None });
        let waits = self.dice.u8(..10) < self.slack.connects_slowly;
        let wait = if waits { self.millis(5_000) } else { Duration::ZERO };
        self.later(self.at + wait, Happening::Connected(id));
    }

    fn close(mut self) -> End {
        assert!(self.calls.is_empty(), "calls in call are forgotten");
        self.machine.close();
        self.perform();
        let now = self.now();
        let snapshot = self.machine.snapshot(now);
        let sent = u64::from(snapshot.in_flight);
        assert_eq!((sent, snapshot.counts.ended()), (0, self.oracle.records().count() as u64));
        End::Over(self.machine.stopped().cloned())
    }
}
