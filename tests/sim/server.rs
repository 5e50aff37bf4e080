//! A Slack that is nothing but its limits: answers `ok` or 429, after a while.

use crate::limiter::{Limiter, SECOND, micros};
use crate::scenario::{Latency, Other, RetryAfter, Scenario};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::ports::{Permit, Refreshed, Request, SessionApi};
use slack_revoke::model::{Answer, Reply};
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
    other: Option<Other>,
    other_next: u64,
}

impl Limit {
    fn new(scenario: &Scenario) -> Self {
        let limiter = Limiter::new(scenario.limiter, scenario.window_s, &scenario.limits);
        let other_next = scenario.other.map_or(0, |other| micros(other.from_s));
        let told_to = String::new();
        Self { limiter, told_until: 0, told_to, asked_until: 0, other: scenario.other, other_next }
    }

    /// The calls of the other process up to now.
    fn others_until(&mut self, at: u64) {
        let Some(other) = self.other else { return };
        while self.other_next <= at && self.other_next < micros(other.until_s) {
            let _ = self.limiter.arrive(self.other_next);
            self.other_next += micros(60.0 / other.per_minute);
        }
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
    scenario: Scenario,
    limits: HashMap<String, Limit>,
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
            scenario: scenario.clone(),
            limits: HashMap::new(),
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
        self.seen.tests += u64::from(test);
        self.seen.inside += u64::from(inside && !test);
        let Latency { ms, tail, tail_ms } = self.scenario.latency;
        let ms = if self.random.f64() < tail { tail_ms } else { self.random.u64(ms.0..=ms.1) };
        (Duration::from_millis(ms), test)
    }

    fn arrived(&mut self, at: u64, team: &str, test: bool) -> Verdict {
        let retry_after = self.scenario.retry_after;
        let limit = self.limit(team);
        limit.others_until(at);
        let inside = at < limit.asked_until;
        let verdict = match (limit.limiter.arrive(at), retry_after) {
            (Ok(()), _) => Verdict::Taken,
            (Err(wait), RetryAfter::Exact) => Verdict::Limited(Some(wait.div_ceil(SECOND))),
            (Err(_), RetryAfter::Missing) => Verdict::Limited(None),
            (Err(_), RetryAfter::Always(seconds)) => Verdict::Limited(Some(seconds)),
        };
        let refused = verdict.pause().inspect(|pause| limit.asked_until = limit.asked_until.max(at + pause)).is_some();
        self.seen.arrived_inside += u64::from(inside);
        self.seen.limited += u64::from(refused);
        self.test_refused |= test && refused;
        verdict
    }

    fn answered(&mut self, at: u64, team: &str, verdict: Verdict) {
        if let Some(pause) = verdict.pause() {
            let limit = self.limit(team);
            limit.told_until = limit.told_until.max(at + pause);
            team.clone_into(&mut limit.told_to);
        }
        self.seen.answered(at, verdict.pause());
    }
}

impl SessionApi for Server {
    fn call(&self, _permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        let team = match request {
            Request::Session(target) => target.identifier().1.to_owned(),
            Request::Users(_) => "the organisation".to_owned(),
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
        self.state.lock().expect("no panic before").answered(self.now(), &team, verdict);
        Some(match verdict {
            Verdict::Taken => Reply { http_status: Some(200), ..Reply::bare(Answer::Ok) },
            Verdict::Limited(seconds) => {
                let retry_after = seconds.map(Duration::from_secs);
                Reply { http_status: Some(429), ..Reply::bare(Answer::RateLimited { retry_after }) }
            }
        })
    }
}
