//! How likely it is that every workspace has a limit of its own, rather than one for all.
//!
//! Both assumptions make predictions. Each has the same hypotheses: a limit, a way of counting (any 60 s or less, a fixed minute, or
//! a token bucket), and a share of refusals that have nothing to do with the number of calls. Under the one assumption all calls
//! draw on one limit, under the other those of each workspace on its own, of the same size. Every answer is weighed by how
//! probable it was under each (Bayes' rule), and the quotient of the two probabilities is what it shows about the buckets. So
//! nothing has to be defined as evidence: a row of another workspace that is accepted in a pause shows as much as a full
//! limit would have refused it, the workspace that is refused shows something if it had the most calls, and refusals by
//! chance show nothing once they are known to occur.
//!
//! Pure: the time goes in with every call.

use super::load::{Due, Load, PHASES, SLIDING_KINDS, STORES, WINDOWS};
use crate::model::TeamId;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Ways of counting.
const KINDS: usize = WINDOWS + STORES.len();

/// Shares of calls that are refused whatever the load, and how likely each is.
const UNRELATED: [(f64, f64); 3] = [(0.0005, 0.9), (0.005, 0.06), (0.02, 0.04)];

/// Prior probability of counting any 60 s, any shorter time, and a fixed minute; the rest is token buckets.
const SLIDING: f64 = 0.30;
const SHORTER: f64 = 0.05;
const FIXED: f64 = 0.15;

/// Prior probability of the tier's own limit.
const PROMISE: f64 = 0.25;

/// Probability of an answer that a hypothesis rules out: clocks and networks are not exact.
const MISTAKE: f64 = 0.03;

/// Probability that the call after a refusal unrelated to load is refused for the same reason.
const SAME_INCIDENT: f64 = 0.5;

/// How much more likely a stated pause is if it ends when the hypothesis expects a free place, and if it doesn't.
const TRUE_PAUSE: f64 = 8.0;
const OTHER_PAUSE: f64 = 0.05;

/// Pauses in seconds that servers use regardless of their limit: as likely with any hypothesis.
const FIXED_PAUSES: [f64; 4] = [1.0, 10.0, 30.0, 60.0];
const FIXED_PAUSE: f64 = 0.5;

/// So much of the belief in a limit flows back to the prior with every answer: limits change.
const FADES: f64 = 0.001;

/// The odds are kept within this factor, so that what was believed for hours can be revised in minutes.
const CERTAIN: f64 = 1_000.0;

/// What an answer shows of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Accepted,
    /// `stated`: the pause that the server named.
    Refused {
        stated: Option<Duration>,
    },
    Nothing,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObservedAnswer {
    pub sent: f64,
    pub is_refused: bool,
    /// The pause that was stated with a refusal.
    pub stated: Option<f64>,
}

/// The odds, and the two assumptions.
#[derive(Debug)]
pub(super) struct Belief {
    ln_odds: f64,
    org: Assumption,
    team: Assumption,
    all: Load,
    of_team: HashMap<Option<TeamId>, Load>,
    /// The workspaces that were refused since a call was accepted last.
    incident: HashSet<Option<TeamId>>,
    last_pause: Option<Duration>,
    tidied_at: f64,
}

impl Belief {
    pub fn new(start: f64, most: f64) -> Self {
        let org = Assumption::new(start.min(most), most);
        Self {
            ln_odds: 0.0,
            team: org.clone(),
            all: Load::new(org.limits.len()),
            org,
            of_team: HashMap::new(),
            incident: HashSet::new(),
            last_pause: None,
            tidied_at: 0.0,
        }
    }

    /// How much more likely a bucket per workspace is than one for all.
    pub fn odds(&self) -> f64 {
        self.ln_odds.exp()
    }

    pub fn on_sent(&mut self, team: Option<&TeamId>, now: Duration) {
        self.all.sent(now);
        let limits = self.org.limits.len();
        self.of_team.entry(team.cloned()).or_insert_with(|| Load::new(limits)).sent(now);
    }

    pub fn on_answer(&mut self, team: Option<&TeamId>, sent_at: Duration, now: Duration, shown: Shown) {
        let Some(load) = self.of_team.get_mut(&team.cloned()) else { return };
        let sent = sent_at.as_secs_f64();
        let answered = match shown {
            Shown::Accepted => ObservedAnswer { sent, is_refused: false, stated: None },
            // A server that states the same pause every time says nothing with it.
            Shown::Refused { stated: pause } => {
                let is_another = pause != self.last_pause;
                self.last_pause = pause;
                let stated = pause.filter(|_| is_another).map(|pause| pause.as_secs_f64());
                ObservedAnswer { sent, is_refused: true, stated }
            }
            Shown::Nothing => {
                self.all.take_back(sent_at);
                return load.take_back(sent_at);
            }
        };
        self.all.advance(answered.sent, &self.org.limits);
        load.advance(answered.sent, &self.org.limits);
        let is_repeat = !self.incident.is_empty();
        let own = self.team.observe(load, &answered, is_repeat);
        let common = self.org.observe(&self.all, &answered, is_repeat);
        let ratio = (own / common).ln();
        let evidence = if !answered.is_refused || !is_repeat {
            ratio
        } else if self.incident.contains(&team.cloned()) {
            // It is refused again.
            0.0
        } else {
            // Workspaces that are refused together are no sign of separate limits.
            ratio.min(0.0)
        };
        self.ln_odds = (self.ln_odds + evidence).clamp(-CERTAIN.ln(), CERTAIN.ln());
        self.all.answered(sent_at, now, answered.is_refused);
        load.answered(sent_at, now, answered.is_refused);
        if answered.is_refused {
            self.incident.insert(team.cloned());
        } else {
            self.incident.clear();
        }
        self.tidy(answered.sent);
    }

    /// By how much a call of this workspace would raise the odds if it were accepted now, and how likely that is with a bucket
    /// per workspace.
    pub fn expected(&self, team: &TeamId, now: Duration) -> (f64, f64) {
        let now = now.as_secs_f64();
        let empty;
        let load = if let Some(load) = self.of_team.get(&Some(team.clone())) {
            load
        } else {
            empty = Load::new(self.org.limits.len());
            &empty
        };
        let accepted = ObservedAnswer { sent: now, is_refused: false, stated: None };
        let is_repeat = !self.incident.is_empty();
        let of_own = self.team.probability(load, &accepted, is_repeat);
        (of_own / self.org.probability(&self.all, &accepted, is_repeat), of_own)
    }

    /// Calls of the last minute that named this workspace, refused ones excluded.
    pub fn recent(&self, team: &TeamId) -> impl Iterator<Item = Duration> {
        self.of_team.get(&Some(team.clone())).into_iter().flat_map(Load::moments)
    }

    /// The same for all workspaces together.
    pub fn recent_of_all(&self) -> impl Iterator<Item = Duration> {
        self.all.moments()
    }

    /// Workspaces without a call for a while are as if they had had none.
    fn tidy(&mut self, now: f64) {
        if now > self.tidied_at + 30.0 {
            self.tidied_at = now;
            self.of_team.retain(|_, load| !load.is_idle(now));
        }
    }
}

/// The hypotheses of one assumption.
#[derive(Debug, Clone)]
struct Assumption {
    /// Each limit with the distance to the next one.
    limits: Vec<(f64, f64)>,
    /// By limit, way of counting and share of unrelated refusals.
    weights: Vec<f64>,
    prior: Vec<f64>,
    /// The probability that the last refusal had nothing to do with load.
    odd: f64,
}

impl Assumption {
    fn new(start: f64, most: f64) -> Self {
        let limits = limits(start, most);
        let ln: f64 = limits.iter().map(|(limit, width)| (width / limit).ln_1p()).sum();
        let mut prior = Vec::with_capacity(limits.len() * KINDS * UNRELATED.len());
        for (limit, width) in &limits {
            let promised = if (limit - start).abs() < 0.5 { PROMISE } else { 0.0 };
            let probability = promised + (1.0 - PROMISE) * (width / limit).ln_1p() / ln;
            for kind in 0..KINDS {
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                let of_kind = match kind {
                    0 => SLIDING,
                    1..SLIDING_KINDS => SHORTER / (SLIDING_KINDS - 1) as f64,
                    SLIDING_KINDS..WINDOWS => FIXED / PHASES as f64,
                    _ => (1.0 - SLIDING - SHORTER - FIXED) / STORES.len() as f64,
                };
                prior.extend(UNRELATED.iter().map(|(_, share)| probability * of_kind * share));
            }
        }
        Self { limits, weights: prior.clone(), prior, odd: 0.0 }
    }

    /// Calls `each` with every hypothesis' probability of the answer: in all, and by chance.
    fn weigh(&self, load: &Load, answered: &ObservedAnswer, is_repeat: bool, mut each: impl FnMut(usize, f64, f64)) {
        let again = if is_repeat { self.odd * SAME_INCIDENT } else { 0.0 };
        let seen = load.seen(answered.sent);
        let mut place = 0;
        for (index, (limit, width)) in self.limits.iter().enumerate() {
            for kind in 0..KINDS {
                let (over, due) = match kind.checked_sub(WINDOWS) {
                    None => seen.window(kind, *limit, *width),
                    Some(store) => load.bucket(index * STORES.len() + store, *limit, &seen),
                };
                let explained = over * (1.0 - MISTAKE);
                for (unrelated, _) in UNRELATED {
                    let by_chance = (1.0 - over) * (unrelated + again);
                    if answered.is_refused {
                        let weight = |due| answered.stated.map_or(1.0, |stated| pause_weight(stated, due));
                        let by_chance = by_chance * weight(None);
                        each(place, explained * weight(due) + by_chance, by_chance);
                    } else {
                        each(place, 1.0 - explained - by_chance, 0.0);
                    }
                    place += 1;
                }
            }
        }
    }

    fn probability(&self, load: &Load, answered: &ObservedAnswer, is_repeat: bool) -> f64 {
        let mut all = 0.0;
        self.weigh(load, answered, is_repeat, |place, probability, _| all += self.weights[place] * probability);
        all
    }

    /// Bayes' rule. Returns how probable the answer was.
    fn observe(&mut self, load: &Load, answered: &ObservedAnswer, is_repeat: bool) -> f64 {
        // Refusals with nothing accepted in between are one incident: they say little of the limit.
        if is_repeat && answered.is_refused {
            return self.probability(load, answered, is_repeat);
        }
        let mut weights = std::mem::take(&mut self.weights);
        let (mut all, mut odd) = (0.0, 0.0);
        self.weigh(load, answered, is_repeat, |place, probability, by_chance| {
            odd += weights[place] * by_chance;
            weights[place] *= probability;
            all += weights[place];
        });
        for (weight, prior) in weights.iter_mut().zip(&self.prior) {
            *weight = (1.0 - FADES) * *weight / all + FADES * prior;
        }
        self.weights = weights;
        if answered.is_refused {
            self.odd = odd / all;
        }
        all
    }
}

fn pause_weight(stated: f64, due: Due) -> f64 {
    // Whole seconds, rounded up.
    let is_true = |(due, unsure): &(f64, f64)| (due - unsure - 0.5..=due + unsure + 1.2).contains(&stated);
    let other = if FIXED_PAUSES.contains(&stated) { FIXED_PAUSE } else { OTHER_PAUSE };
    due.filter(is_true).map_or(other, |(_, unsure)| other + TRUE_PAUSE / (1.0 + unsure))
}

/// Every whole limit up to 40 a minute, then steps of 5 %, to one that is never met.
fn limits(start: f64, most: f64) -> Vec<(f64, f64)> {
    let most = 2.0 * most;
    let mut limits = vec![start.min(1.0)];
    while let Some(limit) = limits.last().copied().filter(|limit| *limit < most) {
        let next = if limit < 40.0 { limit.floor() + 1.0 } else { (limit * 1.05).round().max(limit + 1.0) };
        limits.push(if limit < start { next.min(start) } else { next }.min(most));
    }
    let nexts: Vec<f64> = limits.iter().skip(1).copied().chain([most * 1.05 + 1.0]).collect();
    limits.iter().zip(nexts).map(|(limit, next)| (*limit, next - limit)).collect()
}
