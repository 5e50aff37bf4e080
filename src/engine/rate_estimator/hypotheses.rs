//! The probability of every limit and way of counting, from Bayes' rule.

use super::calls::Calls;
use super::counting::{KINDS, Moment, STORES, USUAL_STORES, WINDOWS, can_count, length_s, priors};
use crate::engine::call_window::MINUTE;

/// Large stores are rare: each further token in a store makes a token bucket less likely, by a factor of e for so many.
const STORE: f64 = 15.0;

/// Prior weight of the tier's own limit, relative to that of a limit between it and e times as much.
const PROMISE: f64 = 2.0;

/// Probability of an answer that the hypothesis rules out: clocks and networks are not exact.
const MISTAKE: f64 = 0.03;

/// Share of servers that state the true pause, and the probability of any one pause on the others.
const TRUE_PAUSE: f64 = 0.5;
const ANY_PAUSE: f64 = 0.06;

/// What is believed of one `L`, from `limit` up to the next one.
#[derive(Debug, Clone)]
struct Cell {
    limit: f64,
    width: f64,
    /// The probability of this limit for each way of counting, before anything is known.
    prior: [f64; KINDS],
    /// The probability of each way of counting.
    weights: [f64; KINDS],
    tokens: [f64; STORES],
    stores: [f64; STORES],
}

/// One answer, as evidence.
pub(super) struct Observed {
    pub sent: f64,
    /// `None` if the call was accepted, else the seconds that the server asked to wait.
    pub pause: Option<f64>,
    /// The probability that a call below the limit is refused.
    pub unrelated: f64,
}

/// What an answer was, in the light of what is believed now.
#[derive(Default)]
pub(super) struct Explained {
    /// The probability that it is a refusal unrelated to load.
    pub unrelated: f64,
    /// The probability that the call was below the limit.
    pub below_limit: f64,
}

/// A probability for every pair of a limit and a way of counting.
#[derive(Debug, Clone)]
pub(super) struct Hypotheses {
    /// By ascending limits.
    cells: Vec<Cell>,
    /// When the minute began that begins with a call.
    opened: f64,
    filled_at: f64,
}

impl Hypotheses {
    /// The prior, given the calls that were accepted before the first refusal at `now`.
    #[expect(clippy::cast_precision_loss, reason = "calls of two minutes")]
    pub fn new(start: f64, most: f64, before: &[f64], now: f64) -> Self {
        let mut cells = cells(start, most);
        for cell in &mut cells {
            // The least store with which all these calls could have been accepted.
            let per_second = cell.limit / MINUTE.as_secs_f64();
            let taken = |(place, at): (usize, &f64)| (before.len() - place) as f64 - per_second * (now - at);
            let store = before.iter().enumerate().map(taken).fold(1.0, f64::max);
            cell.stores[0] = store;
            cell.tokens = cell.stores;
            cell.weights[WINDOWS] *= (-(store - 1.0) / STORE).exp();
        }
        Self { cells, opened: f64::NEG_INFINITY, filled_at: before.first().copied().unwrap_or(now) }
    }

    /// Weights each hypothesis with the probability that it gave the answer.
    pub fn observe(&mut self, observed: &Observed, calls: &Calls) -> Explained {
        let Observed { sent, pause, unrelated } = *observed;
        self.fill(sent);
        if sent >= self.opened + MINUTE.as_secs_f64() {
            self.opened = sent;
        }
        let moment = Moment::new(sent, self.opened, calls);
        let (mut all, mut odd, mut below) = (0.0, 0.0, 0.0);
        for cell in &mut self.cells {
            for (kind, weight) in cell.weights.iter_mut().enumerate() {
                let over = moment.share_over(kind, cell.limit, cell.width, &cell.tokens);
                let explained = over * (1.0 - MISTAKE);
                let by_chance = (1.0 - over) * unrelated;
                let refused = explained + by_chance;
                match pause {
                    None => *weight *= 1.0 - refused,
                    Some(stated) => {
                        let due = TRUE_PAUSE * moment.share_due(kind, cell.limit, &cell.tokens, stated);
                        *weight *= explained * (ANY_PAUSE * (1.0 - TRUE_PAUSE) + due) + by_chance * ANY_PAUSE;
                        odd += *weight * by_chance / refused.max(f64::MIN_POSITIVE);
                    }
                }
                all += *weight;
                below += *weight * (1.0 - over);
            }
            if pause.is_none() {
                cell.tokens = cell.tokens.map(|tokens| (tokens - 1.0).max(0.0));
            }
        }
        if all > f64::MIN_POSITIVE {
            self.cells.iter_mut().flat_map(|cell| &mut cell.weights).for_each(|weight| *weight /= all);
            return Explained { unrelated: odd / all, below_limit: below / all };
        }
        // Nothing that is believed explains this: begin again.
        self.cells.iter_mut().for_each(|cell| cell.weights = prior_weights(&cell.prior));
        Explained::default()
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

    /// The probability of each way of counting.
    fn of_kinds(&self) -> [f64; KINDS] {
        let mut of_kind = [0.0; KINDS];
        for cell in &self.cells {
            of_kind.iter_mut().zip(cell.weights).for_each(|(sum, weight)| *sum += weight);
        }
        of_kind
    }

    /// So much of the probability flows back to the prior of the limits; the way of counting stays what it is.
    pub fn fade(&mut self, faded: f64) {
        let of_kind = self.of_kinds();
        for cell in &mut self.cells {
            for ((weight, sum), prior) in cell.weights.iter_mut().zip(of_kind).zip(cell.prior) {
                *weight = (1.0 - faded) * *weight + faded * sum * prior;
            }
        }
    }

    /// With this probability the limit is what another run learned. Nobody says how it counted.
    pub fn expect(&mut self, limit: f64, probability: f64) {
        let apart = |cell: &Cell| (cell.limit / limit).ln().abs();
        let nearest = self.cells.iter().map(apart).fold(f64::INFINITY, f64::min);
        for cell in &mut self.cells {
            let learned = if apart(cell) <= nearest { probability } else { 0.0 };
            for (kind, prior) in priors().into_iter().enumerate().filter(|(kind, _)| can_count(*kind, cell.limit)) {
                cell.weights[kind] = cell.weights[kind] * (1.0 - probability) + learned * prior;
            }
        }
    }

    /// Every limit, ascending, with its probability.
    pub fn limits(&self) -> impl Iterator<Item = (f64, f64)> {
        self.cells.iter().map(|cell| (cell.limit, cell.weights.iter().sum()))
    }

    /// Seconds of the window in which calls are probably counted.
    pub fn window_s(&self) -> f64 {
        let of_kind = self.of_kinds();
        let likely = (0..KINDS).max_by(|one, other| of_kind[*one].total_cmp(&of_kind[*other]));
        length_s(likely.unwrap_or(0))
    }

    /// The probability that calls are counted in windows of a minute.
    pub fn windowed(&self) -> f64 {
        let of_kinds = self.of_kinds();
        let minutes = (0..WINDOWS).filter(|kind| length_s(*kind) >= MINUTE.as_secs_f64());
        minutes.map(|kind| of_kinds[kind]).sum()
    }
}

/// Every whole limit up to 120 a minute, then steps of 2 % and at least 6, and `start` itself.
fn limits(start: f64, most: f64) -> Vec<f64> {
    let mut limits = Vec::new();
    let mut limit = start.min(1.0);
    while limit < most {
        limits.push(limit);
        let next = if limit < 1.0 {
            1.0
        } else if limit < 120.0 {
            limit + 1.0
        } else {
            (limit * 1.02 / 6.0).ceil() * 6.0
        };
        limit = if limit < start { next.min(start) } else { next };
    }
    limits.push(most);
    limits
}

/// The limits with their prior probabilities.
fn cells(start: f64, most: f64) -> Vec<Cell> {
    let limits = limits(start, most);
    let next = |place: usize| limits.get(place + 1).copied();
    // A limit e times as high is as likely, and one below the tier's is rare: another process would have to use the rest.
    let weight = |(place, limit): (usize, &f64)| {
        let width = next(place).map_or(0.1, |next| (next / limit).ln());
        let rare = if *limit < start { 0.5 * (limit / start).powi(2) } else { 1.0 };
        width * rare + if (limit - start).abs() < 0.5 { PROMISE } else { 0.0 }
    };
    let weights: Vec<f64> = limits.iter().enumerate().map(weight).collect();
    let of_kind = |kind: usize, place: usize| if can_count(kind, limits[place]) { weights[place] } else { 0.0 };
    let all: [f64; KINDS] = std::array::from_fn(|kind| (0..limits.len()).map(|place| of_kind(kind, place)).sum());
    let cell = |(place, limit): (usize, &f64)| {
        let prior = std::array::from_fn(|kind| of_kind(kind, place) / all[kind].max(f64::MIN_POSITIVE));
        Cell {
            limit: *limit,
            width: next(place).map_or(1.0, |next| next - limit),
            prior,
            weights: prior_weights(&prior),
            tokens: [0.0; STORES],
            stores: [1.0, USUAL_STORES[0], USUAL_STORES[1], USUAL_STORES[2]],
        }
    };
    limits.iter().enumerate().map(cell).collect()
}

/// The probability of a limit with each way of counting, before anything is known.
fn prior_weights(prior: &[f64; KINDS]) -> [f64; KINDS] {
    let kinds = priors();
    std::array::from_fn(|kind| prior[kind] * kinds[kind])
}
