//! A Slack that is nothing but its limits: answers `ok` or 429, after a while.

use crate::limiter::{Limiter, SECOND, micros};
use crate::scenario::{Latency, RetryAfter, Scenario};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::ports::{Permit, Refreshed, Request, SessionApi};
use slack_revoke::model::{Answer, Fault, Reply};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was seen of a run from the server's side.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Calls.
    pub calls: u64,
    /// 429s.
    pub limited: u64,
    /// Calls sent when the client knew of a pause of that limit that was not over.
    pub inside: u64,
    /// Beside these, rows that named another workspace than the one that was paused, all such rows before having been
    /// taken: what tells one limit from many.
    pub tests: u64,
    /// Calls that arrived during a pause, those already under way when it was announced included.
    pub arrived_inside: u64,
    /// The most calls in any 60 s.
    pub most_in_a_minute: usize,
    /// Moments at which the client sent more in 60 s than the highest estimate that it named in them.
    pub above_estimate: u64,
    /// From the first call to the last answer.
    pub took: u64,
    /// Time in which every pause is counted once.
    pub paused: u64,
    began: Option<u64>,
    paused_until: u64,
    sent: VecDeque<u64>,
    estimates: VecDeque<(u64, f64)>,
}

impl Seen {
    /// The client named an estimate.
    pub fn estimate(&mut self, at: u64, per_minute: f64) {
        self.estimates.push_back((at, per_minute));
    }

    /// The estimate that was named last.
    pub fn last_estimate(&self) -> f64 {
        self.estimates.back().map_or(0.0, |(_, per_minute)| *per_minute)
    }

    /// Adds what was seen of another run.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.limited += other.limited;
        self.inside += other.inside;
        self.tests += other.tests;
        self.arrived_inside += other.arrived_inside;
        self.most_in_a_minute = self.most_in_a_minute.max(other.most_in_a_minute);
        self.above_estimate += other.above_estimate;
        self.paused += other.paused;
        self.estimates = other.estimates;
    }

    fn sent(&mut self, at: u64) {
        self.calls += 1;
        self.began.get_or_insert(at);
        self.sent.push_back(at);
        while self.sent.front().is_some_and(|&first| first + 60 * SECOND <= at) {
            self.sent.pop_front();
        }
        while self.estimates.get(1).is_some_and(|(next, _)| next + 60 * SECOND <= at) {
            self.estimates.pop_front();
        }
        self.most_in_a_minute = self.most_in_a_minute.max(self.sent.len());
        let highest = self.estimates.iter().map(|(_, rate)| rate.ceil()).fold(0.0, f64::max);
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        let above = highest > 0.0 && self.sent.len() as f64 > highest;
        self.above_estimate += u64::from(above);
    }

    fn answered(&mut self, at: u64, pause: Option<u64>) {
        self.took = at - self.began.unwrap_or(at);
        if let Some(pause) = pause {
            let from = self.paused_until.max(at);
            self.paused_until = self.paused_until.max(at + pause);
            self.paused += self.paused_until - from;
        }
    }
}

/// One limit, the pauses that it asked for, and who else uses it.
#[derive(Debug)]
struct Limit {
    limiter: Limiter,
    told_until: u64,
    told_to: String,
    asked_until: u64,
    /// When each other process calls next.
    others_next: Vec<u64>,
    penalty_until: u64,
}

impl Limit {
    fn new(scenario: &Scenario) -> Self {
        let limiter = Limiter::new(scenario.limiter, scenario.window_s, &scenario.limits);
        let others_next = scenario.others.iter().map(|other| micros(other.from_s)).collect();
        Self { limiter, told_until: 0, told_to: String::new(), asked_until: 0, others_next, penalty_until: 0 }
    }

    /// The calls of the other processes up to now, in the order of their times.
    fn others_until(&mut self, at: u64, scenario: &Scenario) {
        loop {
            let calls = self.others_next.iter().zip(&scenario.others).enumerate();
            let due = calls.filter(|(_, (next, other))| **next <= at && **next < micros(other.until_s));
            let Some((index, (&next, other))) = due.min_by_key(|(_, (next, _))| **next) else { return };
            let _ = self.limiter.arrive(next);
            self.others_next[index] = next + micros(60.0 / other.per_minute);
        }
    }

    /// A call arrives: taken, or how long until one would be.
    fn arrive(&mut self, at: u64, scenario: &Scenario, shared: Option<&mut Limiter>) -> Result<(), u64> {
        self.others_until(at, scenario);
        let penalty = micros(scenario.penalty_s);
        if at < self.penalty_until {
            self.penalty_until = at + penalty;
            return Err(penalty);
        }
        // A call that the shared limit refuses uses nothing of this one.
        let before = shared.is_some().then(|| self.limiter.clone());
        let taken = self.limiter.arrive(at).and_then(|()| shared.map_or(Ok(()), |shared| shared.arrive(at)));
        if taken.is_err() {
            if let Some(before) = before {
                self.limiter = before;
            }
            self.penalty_until = at + penalty;
        }
        taken
    }
}

/// What the limit says to a call.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Taken,
    /// With the pause in seconds, where one is named.
    Limited(Option<u64>),
}

impl Verdict {
    /// The pause that a client has to keep: 30 s where none is named (slack.md, "Rate limits").
    fn pause(self) -> Option<u64> {
        match self {
            Self::Taken => None,
            Self::Limited(seconds) => Some(seconds.unwrap_or(30) * SECOND),
        }
    }
}

#[derive(Debug)]
struct State {
    scenario: Arc<Scenario>,
    limits: HashMap<String, Limit>,
    shared: Option<Limiter>,
    under_way: usize,
    random: fastrand::Rng,
    seen: Seen,
    test_refused: bool,
}

/// The server. Copies are the same one.
#[derive(Debug, Clone)]
pub struct Server {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn new(scenario: &Scenario, clock: Clock) -> Self {
        let random = fastrand::Rng::with_seed(scenario.seed);
        let state = State {
            scenario: Arc::new(scenario.clone()),
            limits: HashMap::new(),
            shared: scenario
                .shared_limit
                .as_ref()
                .map(|shared| Limiter::new(shared.limiter, shared.window_s, &vec![(0.0, shared.limit)])),
            under_way: 0,
            random,
            seen: Seen::default(),
            test_refused: false,
        };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    pub fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).expect("a short run")
    }

    pub fn with_seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.state.lock().expect("no panic before").seen)
    }
}

impl State {
    fn limit(&mut self, team: &str) -> &mut Limit {
        let key = if self.scenario.teams.own_limits { team } else { "" };
        if !self.limits.contains_key(key) {
            self.limits.insert(key.to_owned(), Limit::new(&self.scenario));
        }
        self.limits.get_mut(key).expect("put there just now")
    }

    fn sent(&mut self, at: u64, team: &str) -> (Duration, bool) {
        let limit = self.limit(team);
        let inside = at < limit.told_until;
        let another = limit.told_to != team;
        let test = inside && another && !self.test_refused;
        self.seen.sent(at);
        self.under_way += 1;
        self.seen.tests += u64::from(test);
        self.seen.inside += u64::from(inside && !test);
        let Latency { ms, tail, tail_ms } = self.scenario.latency;
        let ms = if self.random.f64() < tail { tail_ms } else { self.random.u64(ms.0..=ms.1) };
        (Duration::from_millis(ms), test)
    }

    fn arrived(&mut self, at: u64, team: &str, test: bool) -> Verdict {
        let scenario = Arc::clone(&self.scenario);
        let storm = scenario.storms.iter().find(|it| (micros(it.from_s)..micros(it.until_s)).contains(&at));
        let by_chance = scenario.random.filter(|by_chance| self.random.f64() < by_chance.share);
        let too_many = scenario.at_once.is_some_and(|most| self.under_way > most);
        let mut shared = self.shared.take();
        let limit = self.limit(team);
        let inside = at < limit.asked_until;
        let (refused, retry_after) = match (storm, by_chance) {
            (Some(storm), _) => (Err(10 * SECOND), storm.retry_after),
            (None, Some(by_chance)) => (Err(SECOND), by_chance.retry_after),
            (None, None) if too_many => (Err(SECOND), scenario.retry_after),
            (None, None) => (limit.arrive(at, &scenario, shared.as_mut()), scenario.retry_after),
        };
        let verdict = match (refused, retry_after) {
            (Ok(()), _) => Verdict::Taken,
            (Err(wait), RetryAfter::Exact) => Verdict::Limited(Some(wait.div_ceil(SECOND))),
            (Err(_), RetryAfter::Missing) => Verdict::Limited(None),
            (Err(_), RetryAfter::Always(seconds)) => Verdict::Limited(Some(seconds)),
        };
        let pause = verdict.pause().filter(|_| !scenario.answers_503);
        let refused = pause.inspect(|pause| limit.asked_until = limit.asked_until.max(at + pause)).is_some();
        self.seen.arrived_inside += u64::from(inside);
        self.shared = shared;
        self.seen.limited += u64::from(verdict.pause().is_some());
        self.test_refused |= test && refused;
        verdict
    }

    fn answered(&mut self, at: u64, team: &str, verdict: Verdict) {
        self.under_way -= 1;
        let stated = verdict.pause().filter(|_| !self.scenario.answers_503);
        if let Some(pause) = stated {
            let limit = self.limit(team);
            limit.told_until = limit.told_until.max(at + pause);
            team.clone_into(&mut limit.told_to);
        }
        self.seen.answered(at, stated);
    }
}

impl SessionApi for Server {
    fn call(&self, _permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        let team = match request {
            Request::Session(target) => target.identifier().1.to_owned(),
            Request::Users(_) => "the organization".to_owned(),
        };
        let (latency, test) = self.state.lock().expect("no panic before").sent(self.now(), &team);
        self.clone().carry_out(team, latency, test)
    }

    async fn refresh_token(&self) -> Refreshed {
        Refreshed::Unchanged
    }
}

impl Server {
    async fn carry_out(self, team: String, latency: Duration, test: bool) -> Option<Reply> {
        let there = latency / 2;
        tokio::time::sleep(there).await;
        let verdict = self.state.lock().expect("no panic before").arrived(self.now(), &team, test);
        tokio::time::sleep(latency.saturating_sub(there)).await;
        let mut state = self.state.lock().expect("no panic before");
        state.answered(self.now(), &team, verdict);
        let answers_503 = state.scenario.answers_503;
        drop(state);
        Some(match verdict {
            Verdict::Taken => Reply { http_status: Some(200), ..Reply::bare(Answer::Ok) },
            Verdict::Limited(_) if answers_503 => {
                Reply { http_status: Some(503), ..Reply::bare(Answer::Fault(Fault::Http(503))) }
            }
            Verdict::Limited(seconds) => {
                let retry_after = seconds.map(Duration::from_secs);
                Reply { http_status: Some(429), ..Reply::bare(Answer::RateLimited { retry_after }) }
            }
        })
    }
}
