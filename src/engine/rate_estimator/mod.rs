//! How many calls a minute a bucket takes, estimated from the answers.
//!
//! # What it believes
//!
//! A bucket accepts `L` calls a minute. Nobody outside Slack knows `L`, how the calls are counted, or whether it stays. So
//! the estimator keeps a probability for every pair of an `L` and a way of counting:
//!
//! * so many in any 60 s, in a minute that begins at a fixed moment (six phases), or in one that begins with the first call
//!   after the last one;
//! * a token bucket that fills with `L` a minute and stores a few tokens, or one.
//!
//! Each hypothesis says of every call whether it is over the limit. An answer that contradicts it makes it unlikely, and an
//! answer that it foresaw makes it likely (Bayes' rule). Three more things are part of the model:
//!
//! * **Refusals unrelated to load.** A call below the limit is refused with a probability that is learned from refusals
//!   which no likely hypothesis explains. Refusals that follow one another with nothing accepted in between are one incident:
//!   a storm or a pause that was too short says almost nothing about `L`.
//! * **Change.** The longer ago something was seen, the less it says: probability flows back to the prior, at a rate that
//!   is itself learned from how often the likely `L` has changed.
//! * **`Retry-After`.** A pause that ends when the hypothesis expects the next free place speaks for it. Many servers state the
//!   same pause whatever happens, so it weighs little.
//!
//! # What it decides
//!
//! The rate with the least expected time for the rows that are left: every rate up to `L` is sustained, and any rate above
//! costs a refusal ([`REFUSAL`]) and its pause, after which `L` is known. Probes follow from that: they become worthwhile as
//! belief in a known limit fades, the sooner the more rows there are. Until the first refusal nothing is at stake but that
//! one refusal, and calls leave as fast as allowed.
//!
//! Pure: the time goes in with every call, there is no randomness, and the same answers give the same decisions.

#[cfg(test)]
mod tests;

use super::call_window::MINUTE;
use std::collections::VecDeque;
use std::time::Duration;

/// Phases of the minute in which fixed windows may begin. With 12 the simulated runs are no faster.
const PHASES: usize = 6;

/// Token buckets with another store: what the calls before the first refusal suggest, and three usual ones. Without these a first
/// refusal that is unrelated to load would fix the store for good.
const STORES: usize = 4;
const USUAL_STORES: [f64; STORES - 1] = [1.0, 5.0, 15.0];

/// Windows: any 60 s, the phases, and a minute that begins with the first call after the last one.
const WINDOWS: usize = 1 + PHASES + 1;

/// Ways of counting.
const KINDS: usize = WINDOWS + STORES;

/// Prior probability of counting any 60 s, of fixed windows, and of token buckets.
const SLIDING: f64 = 0.35;
const FIXED: f64 = 0.1;
const FROM_FIRST: f64 = 0.05;
const BUCKETS: f64 = 0.5;

/// Large stores are rare: each further token in a store makes a token bucket less likely, by a factor of e for so many.
const STORE: f64 = 15.0;

/// Prior weight of the tier's own limit, relative to that of a limit between it and e times as much.
const PROMISE: f64 = 2.0;

/// Probability of an answer that the hypothesis rules out: clocks and networks are not exact.
const MISTAKE: f64 = 0.03;

/// Refusals unrelated to load, expected before any was seen: one in a thousand calls, with the weight of fifty calls.
const UNRELATED: f64 = 0.05;
const CALLS: f64 = 50.0;

/// What was learned of them fades: so much of it is left after one more call.
const MEMORY: f64 = 0.998;

/// Probability that the call after a refusal is refused for the same reason, unrelated to load.
const SAME_INCIDENT: f64 = 0.5;

/// Share of servers that state the true pause, and the probability of any one pause on the others.
const TRUE_PAUSE: f64 = 0.5;
const ANY_PAUSE: f64 = 0.06;

/// Minutes in which one change of the limit is expected before any was seen.
const UNCHANGED_MINUTES: f64 = 30.0;

/// The likely limit has changed if it moves by more than this (natural logarithm) and stays there for two minutes.
const CHANGED: f64 = 0.2;

/// Minutes for which a rate that was found is expected to be useful.
const HORIZON_MINUTES: f64 = 30.0;

/// Price of a refusal, in calls.
const REFUSAL: f64 = 12.0;

/// Shares of calls refused and of time lost to pauses at which a refusal costs twice as much.
const REFUSED_SHARE: f64 = 0.01;
const LOST_SHARE: f64 = 0.03;

/// Below this limit a refusal is no cheaper, in calls a minute: otherwise a starved bucket would hardly be probed.
const CHEAPEST: f64 = 5.0;

/// After a refusal the rate at most doubles what was accepted in a minute before, so that a store isn't taken for a rate.
const CLIMB: f64 = 2.0;

/// Seconds for which calls are remembered: two windows and a little.
const REMEMBERED: f64 = 130.0;

/// Weight of the newest pause in the expected one.
const NEWEST_PAUSE: f64 = 0.7;

/// Weight of the newest latency in the running mean and deviation.
const NEWEST: f64 = 0.05;

/// What is believed of one `L`, from `limit` up to the next one.
#[derive(Debug, Clone)]
struct Cell {
    limit: f64,
    width: f64,
    prior: f64,
    /// The probability of each way of counting.
    weights: [f64; KINDS],
    tokens: [f64; STORES],
    stores: [f64; STORES],
}

/// Least and most calls that a window may have counted, given when answers came and how much latencies differ.
type Counted = (f64, f64);

/// One answer, as evidence.
struct Observed {
    sent: f64,
    /// `None` if the call was accepted, else the seconds that the server asked to wait.
    pause: Option<f64>,
    /// Calls sent earlier whose answers are still to come.
    unanswered: f64,
    /// Nothing was accepted since the last refusal.
    is_repeat: bool,
}

/// The estimate of one bucket's limit.
#[derive(Debug, Clone)]
pub struct RateEstimator {
    start: f64,
    most: f64,
    estimate: f64,
    /// Empty until the first refusal: until then nothing has to be known, and most buckets never meet one.
    cells: Vec<Cell>,
    accepted: VecDeque<f64>,
    unanswered: Vec<f64>,
    latency: Option<f64>,
    deviation: f64,
    was_refused: bool,
    accepted_since: u64,
    expected_pause: f64,
    /// Refusals after the first one and seconds lost to them, fading.
    refusals: f64,
    lost: f64,
    unrelated: f64,
    below_limit: f64,
    /// The most that was accepted in a minute, fading as the belief does.
    proven: f64,
    /// The limit that is more likely than all others together, and since when; and the last one that stayed.
    likely: Option<(f64, f64)>,
    settled: Option<f64>,
    changes: f64,
    is_windowed: bool,
    /// When the minute began that begins with a call.
    opened: f64,
    filled_at: f64,
    faded_at: f64,
    is_decided: bool,
}

impl RateEstimator {
    /// An estimator that expects a limit of `start` calls a minute above all others, and never goes above `most`; both above zero.
    pub fn new(start: f64, most: f64) -> Self {
        Self {
            start: start.min(most),
            most,
            estimate: most,
            cells: Vec::new(),
            accepted: VecDeque::new(),
            unanswered: Vec::new(),
            latency: None,
            deviation: 0.0,
            was_refused: false,
            accepted_since: 0,
            expected_pause: 10.0,
            refusals: 0.0,
            lost: 0.0,
            unrelated: 0.0,
            below_limit: 0.0,
            proven: 0.0,
            likely: None,
            settled: None,
            changes: 0.0,
            is_windowed: false,
            opened: f64::NEG_INFINITY,
            filled_at: 0.0,
            faded_at: 0.0,
            is_decided: true,
        }
    }

    /// Calls a minute at which the bucket is used now.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Calls a minute at which the last rows may leave, if so many more fit into the minute: windows don't mind how calls
    /// are spread, and a run needn't wait for the end of one.
    pub fn spread(&self, rows_left: u64, room: usize) -> f64 {
        if self.is_windowed && rows_left <= room as u64 { self.most } else { self.estimate }
    }

    /// Calls that may be in flight: as many as rate and latency require, once as many were accepted that a refusal of all of
    /// them would not be most of the calls.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of calls")]
    pub fn places(&self) -> u64 {
        match (self.was_refused, self.accepted_since) {
            (true, 0) => 1,
            (true, accepted) => {
                2 + accepted / 4 + (self.estimate * self.latency.unwrap_or(0.0) / MINUTE.as_secs_f64()) as u64
            }
            (false, accepted) => 1 + accepted / 3,
        }
    }

    /// A call leaves.
    pub fn on_sent(&mut self, now: Duration) {
        let now = now.as_secs_f64();
        self.unanswered.retain(|sent| sent + REMEMBERED > now);
        self.unanswered.push(now);
    }

    /// A call sent at `sent_at` was answered at `now`, and not with a limit.
    pub fn on_accepted(&mut self, sent_at: Duration, now: Duration) {
        let sent = sent_at.as_secs_f64();
        let unanswered = self.answered(sent, now.as_secs_f64());
        let is_repeat = self.accepted_since == 0;
        self.refusals *= MEMORY;
        self.accepted_since += 1;
        if !self.cells.is_empty() {
            self.observe(&Observed { sent, pause: None, unanswered, is_repeat });
        }
        self.remember(sent_at);
    }

    /// Counts a call that was accepted, also one made before this bucket was known to be one.
    pub fn remember(&mut self, sent_at: Duration) {
        let sent = sent_at.as_secs_f64();
        while self.accepted.front().is_some_and(|at| at + REMEMBERED < sent) {
            self.accepted.pop_front();
        }
        let place = self.accepted.iter().rposition(|at| *at <= sent).map_or(0, |place| place + 1);
        self.accepted.insert(place, sent);
        self.proven = self.proven.max(self.count(sent - MINUTE.as_secs_f64(), sent));
    }

    /// A call sent at `sent_at` was refused at `now`, and the bucket is closed for `pause`. It is new unless the call left before
    /// the refusal that was known last.
    pub fn on_refused(&mut self, is_new: bool, sent_at: Duration, now: Duration, pause: Duration) {
        let (sent, now, pause) = (sent_at.as_secs_f64(), now.as_secs_f64(), pause.as_secs_f64());
        let unanswered = self.answered(sent, now);
        if !is_new {
            return;
        }
        let is_repeat = self.was_refused && self.accepted_since == 0;
        if self.cells.is_empty() {
            self.begin(sent);
        }
        self.observe(&Observed { sent, pause: Some(pause), unanswered, is_repeat });
        if !is_repeat {
            if self.was_refused {
                self.refusals += 1.0;
            }
            self.lost += pause;
            self.expected_pause += NEWEST_PAUSE * (pause - self.expected_pause);
        }
        self.was_refused = true;
        self.accepted_since = 0;
    }

    /// Time passes, and `rows_left` rows still want this bucket: decides on the rate.
    pub fn on_time(&mut self, now: Duration, rows_left: u64) {
        let now = now.as_secs_f64();
        // Belief fades slowly: between answers there is nothing to decide for a while.
        if !self.cells.is_empty() && (!self.is_decided || now > self.faded_at + 5.0) {
            self.fade(now);
            self.decide(now, rows_left);
            self.is_decided = true;
        }
    }

    /// Learns the latency of a call; returns how many calls sent before it are still unanswered.
    #[expect(clippy::cast_precision_loss, reason = "calls in flight")]
    fn answered(&mut self, sent: f64, now: f64) -> f64 {
        let took = now - sent;
        let mean = *self.latency.get_or_insert(took);
        self.deviation += NEWEST * ((took - mean).abs() - self.deviation);
        self.latency = Some(mean + NEWEST * (took - mean));
        #[expect(clippy::float_cmp, reason = "the same moment, not a computed one")]
        if let Some(place) = self.unanswered.iter().position(|at| *at == sent) {
            self.unanswered.remove(place);
        }
        self.unanswered.iter().filter(|at| **at < sent).count() as f64
    }

    /// Accepted calls after `from`, up to `until`.
    #[expect(clippy::cast_precision_loss, reason = "calls of two minutes")]
    fn count(&self, from: f64, until: f64) -> f64 {
        let (first, last) =
            (self.accepted.partition_point(|at| *at <= from), self.accepted.partition_point(|at| *at <= until));
        last.saturating_sub(first) as f64
    }

    /// The prior, and what the calls before the first refusal say.
    #[expect(clippy::cast_precision_loss, reason = "calls of two minutes")]
    fn begin(&mut self, now: f64) {
        let before = std::mem::take(&mut self.accepted);
        let first = before.front().copied().unwrap_or(now);
        (self.filled_at, self.faded_at) = (first, first);
        self.cells = cells(self.start, self.most);
        for cell in &mut self.cells {
            // The least store with which all these calls could have been accepted.
            let per_second = cell.limit / MINUTE.as_secs_f64();
            let taken = |(place, at): (usize, &f64)| (before.len() - place) as f64 - per_second * (now - at);
            let store = before.iter().enumerate().map(taken).fold(1.0, f64::max);
            cell.stores[0] = store;
            cell.tokens = cell.stores;
            cell.weights[WINDOWS] *= (-(store - 1.0) / STORE).exp();
        }
        for sent in before {
            self.observe(&Observed { sent, pause: None, unanswered: 0.0, is_repeat: false });
            self.remember(Duration::from_secs_f64(sent));
        }
    }

    /// Bayes' rule: each hypothesis is weighted with the probability that it gave the answer.
    fn observe(&mut self, observed: &Observed) {
        let Observed { sent, pause, unanswered, is_repeat } = *observed;
        self.fill(sent);
        self.fade(sent);
        if sent >= self.opened + MINUTE.as_secs_f64() {
            self.opened = sent;
        }
        let jitter = 2.0 * self.deviation + 0.02;
        let counted = self.counted(sent, unanswered, jitter);
        let unrelated = if is_repeat {
            SAME_INCIDENT
        } else {
            (UNRELATED + self.unrelated) / (UNRELATED + CALLS + self.below_limit)
        };
        let minute = MINUTE.as_secs_f64();
        let within: Vec<f64> = self.accepted.iter().copied().filter(|at| *at > sent - minute).collect();
        let (mut all, mut odd, mut below) = (0.0, 0.0, 0.0);
        for cell in &mut self.cells {
            let (limit, tokens) = (cell.limit, cell.tokens);
            for (kind, weight) in cell.weights.iter_mut().enumerate() {
                let over = match kind.checked_sub(WINDOWS) {
                    None => share_over(counted[kind], limit, cell.width),
                    Some(store) => share_empty(tokens[store], unanswered, jitter * limit / minute),
                };
                let explained = over * (1.0 - MISTAKE);
                let by_chance = (1.0 - over) * unrelated;
                let refused = explained + by_chance;
                match pause {
                    None => *weight *= 1.0 - refused,
                    Some(stated) => {
                        let due = cell_due(limit, tokens, kind, sent, self.opened, &within);
                        let slack = if (1..=PHASES).contains(&kind) { half_phase() } else { 0.0 };
                        let is_due = due.is_some_and(|due| {
                            // Whole seconds, rounded up.
                            (due - 0.5 - jitter - slack..=due + 1.2 + jitter + slack).contains(&stated)
                        });
                        let due = if is_due { TRUE_PAUSE / (1.0 + 2.0 * slack) } else { 0.0 };
                        *weight *= explained * (ANY_PAUSE * (1.0 - TRUE_PAUSE) + due) + by_chance * ANY_PAUSE;
                        odd += *weight * by_chance / refused.max(f64::MIN_POSITIVE);
                    }
                }
                all += *weight;
                below += *weight * (1.0 - over);
            }
            for tokens in &mut cell.tokens {
                *tokens = if pause.is_none() { (*tokens - 1.0).max(0.0) } else { *tokens };
            }
        }
        if all > f64::MIN_POSITIVE {
            self.cells.iter_mut().flat_map(|cell| &mut cell.weights).for_each(|weight| *weight /= all);
        } else {
            // Nothing that is believed explains this: begin again.
            self.cells.iter_mut().for_each(|cell| cell.weights = weights(cell.prior));
            (odd, below, all) = (0.0, 0.0, 1.0);
        }
        if !is_repeat {
            self.unrelated = self.unrelated * MEMORY + odd / all;
            self.below_limit = self.below_limit * MEMORY + if pause.is_some() { odd } else { below } / all;
        }
        self.is_decided = false;
    }

    /// What each kind of window may have counted before a call.
    fn counted(&self, sent: f64, unanswered: f64, jitter: f64) -> [Counted; WINDOWS] {
        let minute = MINUTE.as_secs_f64();
        let since = |early: f64, late: f64| (self.count(late, sent), self.count(early, sent) + unanswered);
        let mut counted = [since(sent - minute - jitter, sent - minute + jitter); WINDOWS];
        for (phase, counted) in counted[1..=PHASES].iter_mut().enumerate() {
            let border = phase_begins(phase) + ((sent - phase_begins(phase)) / minute).floor() * minute;
            let into = sent - border;
            *counted = if into < half_phase() {
                (0.0, self.count(border - minute - half_phase(), sent) + unanswered)
            } else if into > minute - half_phase() {
                (0.0, self.count(border - half_phase(), sent) + unanswered)
            } else {
                since(border - half_phase(), border + half_phase())
            };
        }
        counted[1 + PHASES] = since(self.opened - jitter, self.opened - f64::EPSILON);
        counted
    }

    /// Token buckets fill.
    fn fill(&mut self, now: f64) {
        let passed = (now - self.filled_at).max(0.0) / MINUTE.as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        for cell in &mut self.cells {
            for (tokens, store) in cell.tokens.iter_mut().zip(cell.stores) {
                *tokens = (*tokens + passed * cell.limit).min(store);
            }
        }
    }

    /// Probability flows back to the prior of the limits; the way of counting stays what it is.
    fn fade(&mut self, now: f64) {
        let passed = (now - self.faded_at) / MINUTE.as_secs_f64();
        if passed * 60.0 < 1.0 {
            return;
        }
        self.faded_at = now;
        let changes = (1.0 + self.changes) / (UNCHANGED_MINUTES + now / MINUTE.as_secs_f64());
        let faded = 1.0 - (-passed * changes).exp();
        self.proven *= 1.0 - faded;
        let mut of_kind = [0.0; KINDS];
        for cell in &self.cells {
            of_kind.iter_mut().zip(cell.weights).for_each(|(sum, weight)| *sum += weight);
        }
        for cell in &mut self.cells {
            for (weight, sum) in cell.weights.iter_mut().zip(of_kind) {
                *weight = (1.0 - faded) * *weight + faded * sum * cell.prior;
            }
        }
    }

    /// The rate with the least expected time for the rows that are left.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows and calls")]
    fn decide(&mut self, now: f64, rows_left: u64) {
        self.note_change(now);
        let windows: f64 = self.cells.iter().flat_map(|cell| &cell.weights[..WINDOWS]).sum();
        self.is_windowed = windows > 0.95;
        let rows = (rows_left as f64).min(HORIZON_MINUTES * self.estimate);
        let highest = (CLIMB * self.proven).max(self.start);
        let in_flight = self.latency.unwrap_or(0.0) / MINUTE.as_secs_f64();
        let most_in_flight = self.places().saturating_sub(1) as f64;
        let refused = self.refusals * (1.0 - MEMORY);
        let lost = self.lost / (HORIZON_MINUTES * MINUTE.as_secs_f64() + now);
        let dearer = 1.0 + refused / REFUSED_SHARE + lost / LOST_SHARE;
        let (mut below, mut time_below, mut refusals) = (0.0, 0.0, 0.0);
        let mut best = (f64::INFINITY, self.cells[0].limit);
        for cell in self.cells.iter().take_while(|cell| cell.limit <= highest) {
            let probability: f64 = cell.weights.iter().sum();
            let time = (1.0 - below) * rows / cell.limit + time_below;
            // Whatever is in flight when a call is refused is refused with it.
            let refused = 1.0 + (in_flight * cell.limit).min(most_in_flight);
            let cost = refusals * refused + below * self.expected_pause / MINUTE.as_secs_f64();
            if time + dearer * cost < best.0 {
                best = (time + dearer * cost, cell.limit);
            }
            below += probability;
            time_below += probability * rows / cell.limit;
            refusals += probability * REFUSAL / cell.limit.max(CHEAPEST);
        }
        // Two calls a window apart may each take longer or shorter: so much of the window is not used.
        let margin = (2.0 * self.deviation / MINUTE.as_secs_f64()).min(0.05);
        let margin = (margin * 1_000.0).round() / 1_000.0 + 0.0005;
        self.estimate = (best.1 * (1.0 - margin)).min(self.most);
    }

    /// Counts how often the limit that is more likely than all others together has changed.
    fn note_change(&mut self, now: f64) {
        let Some(likely) = self.cells.iter().find(|cell| cell.weights.iter().sum::<f64>() > 0.5) else { return };
        let is_another = |limit: f64| (likely.limit / limit).ln().abs() > CHANGED;
        match self.likely {
            Some((limit, since)) if !is_another(limit) => {
                if now - since > 2.0 * MINUTE.as_secs_f64() {
                    self.changes += f64::from(self.settled.is_some_and(is_another));
                    self.settled = Some(limit);
                }
            }
            _ => self.likely = Some((likely.limit, now)),
        }
    }
}

/// Every whole limit up to 120 a minute, then steps of 2 %, and `start` itself.
fn cells(start: f64, most: f64) -> Vec<Cell> {
    let mut limits = Vec::new();
    let mut limit = start.min(1.0);
    while limit < most {
        limits.push(limit);
        let next = if limit < 1.0 {
            1.0
        } else if limit < 120.0 {
            limit + 1.0
        } else {
            (limit * 1.02).round()
        };
        limit = if limit < start { next.min(start) } else { next };
    }
    limits.push(most);
    let next = |place: usize| limits.get(place + 1).copied();
    // A limit e times as high is as likely, and one below the tier's is rare: another process would have to use the rest.
    let prior = |(place, limit): (usize, &f64)| {
        let width = next(place).map_or(0.1, |next| (next / limit).ln());
        let rare = if *limit < start { 0.5 * (limit / start).powi(2) } else { 1.0 };
        width * rare + if (limit - start).abs() < 0.5 { PROMISE } else { 0.0 }
    };
    let priors: Vec<f64> = limits.iter().enumerate().map(prior).collect();
    let all: f64 = priors.iter().sum();
    let cell = |(place, (limit, prior)): (usize, (&f64, f64))| Cell {
        limit: *limit,
        width: next(place).map_or(1.0, |next| next - limit),
        prior: prior / all,
        weights: weights(prior / all),
        tokens: [0.0; STORES],
        stores: [1.0, USUAL_STORES[0], USUAL_STORES[1], USUAL_STORES[2]],
    };
    limits.iter().zip(priors).enumerate().map(cell).collect()
}

/// The prior probability of each way of counting.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn weights(prior: f64) -> [f64; KINDS] {
    let mut weights = [prior * BUCKETS / STORES as f64; KINDS];
    weights[0] = prior * SLIDING;
    weights[1..=PHASES].fill(prior * FIXED / PHASES as f64);
    weights[1 + PHASES] = prior * FROM_FIRST;
    weights
}

/// The middle of a phase, in seconds of the minute.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn phase_begins(phase: usize) -> f64 {
    (2 * phase + 1) as f64 * half_phase()
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn half_phase() -> f64 {
    MINUTE.as_secs_f64() / (2 * PHASES) as f64
}

/// The probability that one more call is over a limit between `limit` and `limit + width`.
fn share_over((least, most): Counted, limit: f64, width: f64) -> f64 {
    ((most + 1.0 - limit) / (most - least + width)).clamp(0.0, 1.0)
}

/// The probability that a token bucket has no token for one more call.
fn share_empty(tokens: f64, unanswered: f64, jitter: f64) -> f64 {
    let unsure = 0.02 + jitter + unanswered / 2.0;
    ((1.0 - tokens + unanswered / 2.0) / (2.0 * unsure)).clamp(0.0, 1.0)
}

/// Seconds until the hypothesis expects a free place, or `None` if it expects one now.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit is a small number of calls")]
fn cell_due(limit: f64, tokens: [f64; STORES], kind: usize, sent: f64, opened: f64, within: &[f64]) -> Option<f64> {
    let minute = MINUTE.as_secs_f64();
    match kind {
        0 => {
            let leaves = within.len().checked_sub((limit as usize).max(1))?;
            Some(within[leaves] + minute - sent)
        }
        phase if phase <= PHASES => Some((phase_begins(phase - 1) - sent).rem_euclid(minute)),
        kind if kind < WINDOWS => Some(opened + minute - sent),
        store => Some((1.0 - tokens[store - WINDOWS]).clamp(0.0, 1.0) * minute / limit),
    }
}

/// The calls that an estimate allows in one minute: whole ones, and a margin below 20 still means 20 in 60.6 s.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate is above zero")]
pub fn whole(estimate: f64) -> usize {
    estimate.ceil() as usize
}
