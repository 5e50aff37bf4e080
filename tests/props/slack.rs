//! A Slack that knows which sessions live, and remembers what it was asked and what it answered.

use crate::case::{Case, Fate, Session};
use crate::count;
use crate::dice::Dice;
use crate::weather::{Say, Weather, says_it_lives};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::policy::{BucketPolicy, Policy};
use slack_revoke::engine::ports::{Permit, Refreshed, Request, SessionApi};
use slack_revoke::model::{Answer, BucketKind, ErrorCode, Fault, Reply, SessionTarget};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// What is known of a row over all runs.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// One of its calls has ended the session.
    pub gone_through_it: bool,
    /// Calls of any run.
    pub calls: u64,
    /// A call was made whose answer is in no record.
    pub in_doubt: bool,
    /// A power loss took its entry out of the journal.
    pub mark_lost: bool,
}

/// What one call of the present run was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    pub answer: Answer,
    pub http_status: Option<u16>,
    pub request_id: Option<Box<str>>,
    pub detail: Box<str>,
}

/// What can be waited for beside the time.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    At(Duration),
    /// So many calls and events.
    Tick(u64),
}

/// Everything that is seen of the present run.
#[derive(Debug, Default)]
pub struct Seen {
    /// Lines that were told to leave and have not left, the next one first.
    pub sending: VecDeque<u64>,
    pub sent: BTreeMap<u64, u64>,
    pub answered: BTreeMap<u64, Vec<Answered>>,
    pub dropped: BTreeSet<u64>,
    pub calls: u64,
    pub limited: u64,
    pub in_flight: u32,
    /// Those of them that were sent during a pause of another workspace.
    tests: u32,
    pub stopped: bool,
    fatal_at: Option<Duration>,
    paused_until: HashMap<String, Duration>,
    pub kind: Option<BucketKind>,
    workers: u32,
    ticks: u64,
    watched: Vec<(u64, Arc<Notify>)>,
    late: Vec<(Duration, u64, u64)>,
}

/// What lasts, and what is seen of the present run.
#[derive(Debug)]
pub struct State {
    pub clock: Option<Clock>,
    dice: Dice,
    weather: Weather,
    sessions: BTreeMap<u64, Session>,
    fates: BTreeMap<u64, Fate>,
    pub past: BTreeMap<u64, Past>,
    pub seen: Seen,
    requests: u64,
    /// What went wrong.
    pub faults: Vec<String>,
}

/// The server. Copies are the same one.
#[derive(Debug, Clone)]
pub struct Slack(Arc<Mutex<State>>);

/// A call on its way: what it still will do, even where nobody waits for it any more.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Flight {
    slack: Slack,
    line: u64,
    session: u64,
    identifier: String,
    say: Say,
    token_is_dead: bool,
    there: Duration,
    back: Duration,
    test: bool,
    arrived: bool,
    done: bool,
}

impl Slack {
    pub fn new(case: &Case, dice: Dice) -> Self {
        let fates = case.lines.iter().map(|(line, row)| (*line, row.fate.clone())).collect();
        Self(Arc::new(Mutex::new(State {
            clock: None,
            dice,
            weather: Weather::calm(),
            sessions: case.sessions.clone(),
            fates,
            past: BTreeMap::new(),
            seen: Seen::default(),
            requests: 0,
            faults: Vec::new(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is held")
    }

    /// A run is prepared, and has sent nothing.
    pub fn prepare(&self) {
        self.state().seen = Seen::default();
    }

    /// A run begins.
    pub fn begin(&self, weather: Weather, policy: &Policy, clock: Clock) {
        let mut state = self.state();
        let kind = match policy.bucket {
            BucketPolicy::Auto if policy.workspaces.len() > 1 => None,
            BucketPolicy::Auto | BucketPolicy::Org => Some(BucketKind::Org),
            BucketPolicy::Team => Some(BucketKind::Team),
        };
        state.weather = weather;
        state.clock = Some(clock);
        state.seen = Seen { kind, workers: policy.workers.unwrap_or(16), ..Seen::default() };
    }

    /// Comes when the moment has.
    pub async fn wait(&self, moment: Moment, clock: Clock) {
        match moment {
            Moment::At(at) => clock.sleep_until(at).await,
            Moment::Tick(tick) => {
                let notify = self.watch(tick);
                notify.notified().await;
            }
        }
    }

    fn watch(&self, tick: u64) -> Arc<Notify> {
        let mut state = self.state();
        if let Some((_, notify)) = state.seen.watched.iter().find(|(at, _)| *at == tick) {
            return Arc::clone(notify);
        }
        let notify = Arc::new(Notify::new());
        if state.seen.ticks >= tick {
            notify.notify_one();
        }
        state.seen.watched.push((tick, Arc::clone(&notify)));
        notify
    }
}

impl State {
    pub fn now(&self) -> Duration {
        self.clock.map_or(Duration::ZERO, |clock| clock.elapsed())
    }

    pub fn fault(&mut self, what: &str) {
        let now = self.now();
        self.faults.push(format!("{:.3} s: {what}", now.as_secs_f64()));
    }

    pub fn tick(&mut self) {
        self.seen.ticks += 1;
        let ticks = self.seen.ticks;
        self.seen.watched.iter().filter(|(at, _)| *at == ticks).for_each(|(_, notify)| notify.notify_one());
    }

    /// Whether Slack knows a live session under this pair of ids.
    pub fn lives(&self, session: u64, identifier: &str) -> bool {
        self.sessions
            .get(&session)
            .is_some_and(|known| known.alive && (known.team == identifier || known.user == identifier))
    }

    fn end_session(&mut self, session: u64, identifier: &str, line: u64) {
        if self.lives(session, identifier) {
            self.past.entry(line).or_default().gone_through_it = true;
            if let Some(known) = self.sessions.get_mut(&session) {
                known.alive = false;
            }
        }
    }

    fn late_effects(&mut self, until: Option<Duration>) {
        let late = std::mem::take(&mut self.seen.late);
        for (at, session, line) in late {
            if until.is_some_and(|until| until < at) {
                self.seen.late.push((at, session, line));
            } else if let Some(Fate::Sent { identifier, .. }) = self.fates.get(&line).cloned() {
                self.end_session(session, &identifier, line);
            }
        }
    }

    /// The run is over: what was on its way has come to its end.
    pub fn settle(&mut self) {
        self.late_effects(None);
        self.seen.in_flight = 0;
    }

    /// What must hold whenever a call leaves.
    fn watch_the_call(&mut self, line: u64, target: &SessionTarget) -> bool {
        let now = self.now();
        let key = key_of(target);
        let (name, id) = target.identifier();
        let named = Fate::Sent { session: target.session().get(), identifier: id.into() };
        if self.fates.get(&line) != Some(&named) {
            self.fault(&format!("line {line} was sent as {name} {id}, {}", target.session()));
        }
        if self.seen.stopped {
            self.fault(&format!("line {line} was sent after the run had stopped"));
        }
        if self.seen.fatal_at.is_some_and(|at| at < now) {
            self.fault(&format!("line {line} was sent after an answer that every row would get"));
        }
        if self.seen.in_flight >= self.seen.workers {
            self.fault(&format!("line {line} was sent as the {}. call in flight", self.seen.in_flight + 1));
        }
        let paused = |until: Option<&Duration>| until.is_some_and(|until| now < *until);
        let own = paused(self.seen.paused_until.get(&key));
        let any = self.seen.paused_until.values().any(|until| paused(Some(until)));
        if own {
            let left = self.seen.paused_until[&key].saturating_sub(now);
            self.fault(&format!("line {line} was sent {left:?} before the end of the pause of {key:?}"));
        }
        let test = any && !own && self.seen.kind.is_none() && !key.is_empty();
        if any && !own && self.seen.kind != Some(BucketKind::Team) && !test {
            self.fault(&format!("line {line} was sent inside the pause of the one bucket"));
        }
        if test && self.seen.tests > 0 {
            self.fault(&format!("line {line} was sent inside a pause as a second test row"));
        }
        test
    }

    fn answer(&mut self, flight: &Flight) -> Answer {
        let (session, identifier) = (flight.session, flight.identifier.as_str());
        let refused = |code: &str| Answer::Refused(ErrorCode::from(code));
        if flight.token_is_dead {
            return refused("token_expired");
        }
        match &flight.say {
            Say::Service => {
                let right = self
                    .sessions
                    .get(&session)
                    .is_some_and(|known| known.team == identifier || known.user == identifier);
                if self.lives(session, identifier) {
                    self.end_session(session, identifier, flight.line);
                    Answer::Ok
                } else if right && self.dice.chance(0.05) {
                    Answer::Ok
                } else if right && self.dice.chance(0.3) {
                    refused("session_expired")
                } else {
                    refused("session_not_found")
                }
            }
            Say::Limited(pause) => Answer::RateLimited { retry_after: *pause },
            // What can't be ended isn't gone, and no call on its way ends it.
            Say::Row(code)
                if says_it_lives(&Answer::Refused(ErrorCode::from(*code)))
                    && (!self.lives(session, identifier)
                        || self.seen.late.iter().any(|(_, late, _)| *late == session)) =>
            {
                refused("user_not_found")
            }
            Say::LimitedInBody(code) | Say::Row(code) | Say::Suspect(code) | Say::Workspace(code) | Say::Run(code) => {
                refused(code)
            }
            Say::Fault(Fault::NotConnected) => Answer::Fault(Fault::NotConnected),
            Say::Fault(fault) => {
                self.perhaps_end(flight);
                Answer::Fault(*fault)
            }
            Say::Transient(code) => {
                self.perhaps_end(flight);
                refused(code)
            }
        }
    }

    /// The effect of a call that gets no clear answer: none, now, or only after that answer.
    fn perhaps_end(&mut self, flight: &Flight) {
        match self.dice.between(0, 2) {
            0 => self.end_session(flight.session, &flight.identifier, flight.line),
            1 => {
                let at = self.now() + self.dice.millis(60_000);
                self.seen.late.push((at, flight.session, flight.line));
            }
            _ => {}
        }
    }

    fn delivered(&mut self, flight: &Flight, answer: &Answer) -> Answered {
        let now = self.now();
        self.seen.in_flight -= 1;
        self.seen.tests -= u32::from(flight.test);
        let pause = match answer {
            Answer::RateLimited { retry_after } => Some(retry_after.unwrap_or(Duration::from_secs(30))),
            Answer::Refused(ErrorCode::Ratelimited | ErrorCode::RateLimited) => Some(Duration::from_secs(30)),
            Answer::Ok | Answer::Refused(_) | Answer::Fault(_) => None,
        };
        if let Some(pause) = pause {
            self.seen.limited += 1;
            let until = self.seen.paused_until.entry(key(&flight.identifier)).or_default();
            *until = (*until).max(now + pause);
        }
        if matches!((&flight.say, answer), (Say::Run(said), Answer::Refused(code)) if code.as_str() == *said) {
            self.seen.fatal_at.get_or_insert(now);
        }
        count::answer(answer);
        self.requests += 1;
        let http_status = match answer {
            Answer::Fault(Fault::Http(status)) => Some(*status),
            Answer::Fault(Fault::BadResponse) | Answer::Ok | Answer::Refused(_) => Some(200),
            Answer::RateLimited { .. } => Some(429),
            Answer::Fault(Fault::NotConnected | Fault::Connection | Fault::Timeout) => None,
        };
        let request_id = http_status.map(|_| format!("R{}", self.requests).into());
        let detail = if self.requests.is_multiple_of(3) { "in, words" } else { "" }.into();
        let answered = Answered { answer: answer.clone(), http_status, request_id, detail };
        self.seen.answered.entry(flight.line).or_default().push(answered.clone());
        answered
    }
}

/// What a pause is of: the workspace that a request names, or all requests that name none.
fn key(identifier: &str) -> String {
    if identifier.starts_with('T') { identifier.into() } else { String::new() }
}

fn key_of(target: &SessionTarget) -> String {
    target.addressed_team().map_or_else(String::new, ToString::to_string)
}

impl Flight {
    fn set_out(&self) {
        let mut state = self.slack.state();
        if state.seen.stopped {
            state.fault(&format!("line {} set out when the run had stopped", self.line));
        }
    }

    fn arrive(&mut self) -> Answer {
        self.arrived = true;
        let slack = self.slack.clone();
        let mut state = slack.state();
        let now = state.now();
        state.late_effects(Some(now));
        state.answer(self)
    }

    fn deliver(mut self, answer: Answer) -> Reply {
        self.done = true;
        let answered = self.slack.state().delivered(&self, &answer);
        let Answered { http_status, request_id, detail, .. } = answered;
        Reply { answer, http_status, request_id, detail, warning: None, wait: None }
    }
}

impl Drop for Flight {
    /// Nobody waits any more; what had left may still arrive.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let slack = self.slack.clone();
        let mut state = slack.state();
        state.seen.dropped.insert(self.line);
        if !self.arrived && state.dice.chance(0.5) {
            let _ = state.answer(self);
        }
    }
}

impl Flight {
    async fn carry_out(mut self) -> Option<Reply> {
        self.set_out();
        tokio::time::sleep(self.there).await;
        let answer = self.arrive();
        tokio::time::sleep(self.back).await;
        Some(self.deliver(answer))
    }
}

impl SessionApi for Slack {
    fn call(&self, _permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        let Request::Session(target) = request else { unreachable!("no row of these runs asks for a whole user") };
        let mut state = self.state();
        let line = state.seen.sending.pop_front().unwrap_or_default();
        let test = state.watch_the_call(line, &target);
        state.seen.calls += 1;
        state.seen.in_flight += 1;
        state.seen.tests += u32::from(test);
        *state.seen.sent.entry(line).or_default() += 1;
        state.past.entry(line).or_default().calls += 1;
        let (call, id) = (state.seen.calls, target.identifier().1.to_owned());
        let token_is_dead = state.weather.token_dies.is_some_and(|dies| call >= dies);
        let State { dice, weather, .. } = &mut *state;
        let (say, (there, back)) = (weather.say(dice, call, &id), weather.latency(dice));
        let session = target.session().get();
        let slack = self.clone();
        state.tick();
        drop(state);
        let flight = Flight {
            slack,
            line,
            session,
            identifier: id,
            say,
            token_is_dead,
            there,
            back,
            test,
            arrived: false,
            done: false,
        };
        flight.carry_out()
    }

    async fn refresh_token(&self) -> Refreshed {
        let (takes, how) = {
            let mut state = self.state();
            (state.dice.millis(5_000), state.dice.between(0, 9))
        };
        tokio::time::sleep(takes).await;
        let mut state = self.state();
        match how {
            0 => Refreshed::Unchanged,
            // Another one, and dead as well.
            1 => Refreshed::Changed,
            2 => Refreshed::Failed("the command failed".into()),
            _ => {
                state.weather.token_dies = None;
                Refreshed::Changed
            }
        }
    }
}
