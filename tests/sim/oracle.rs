//! The shortest time that a client could take which knows the limit and sends every call at its moment.

use crate::limiter::{Limiter, Limits, SECOND, micros};
use crate::scenario::{RetryAfter, Scenario};
use std::collections::BTreeMap;

/// Microseconds from the first call to the last answer.
pub fn shortest(scenario: &Scenario, rows: usize) -> u64 {
    let mut of_limit: BTreeMap<usize, usize> = BTreeMap::new();
    for team in scenario.teams_of(rows) {
        *of_limit.entry(if scenario.teams.own_limits { team } else { 0 }).or_default() += 1;
    }
    let latency = scenario.latency.ms.0 * 1000;
    let limiter = || Limiter::new(scenario.limiter, scenario.window_s, &without_the_others(scenario));
    let last = of_limit.values().map(|&calls| last_taken(scenario, limiter(), calls, latency / 2)).max().unwrap_or(0);
    let shared = scenario.shared_limit.as_ref().map_or(0, |shared| {
        let limiter = Limiter::new(shared.limiter, shared.window_s, &vec![(0.0, shared.limit)]);
        last_taken(scenario, limiter, rows, latency / 2)
    });
    last.max(shared) + latency - latency / 2
}

/// When the last of `calls` is taken, the first arriving at `start`. It waits for storms and random pauses.
fn last_taken(scenario: &Scenario, mut limiter: Limiter, calls: usize, start: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(scenario.seed);
    let at_once = scenario.at_once.map_or(0, |calls| scenario.latency.ms.0 * 1000 / calls as u64);
    let mut at = start;
    let mut taken = 0;
    while taken < calls {
        if let Some(storm) = scenario.storms.iter().find(|it| (micros(it.from_s)..micros(it.until_s)).contains(&at)) {
            at = micros(storm.until_s);
            continue;
        }
        if let Some(by_chance) = scenario.random.filter(|by_chance| random.f64() < by_chance.share) {
            at += match by_chance.retry_after {
                RetryAfter::Always(seconds) => seconds * SECOND,
                RetryAfter::Missing | RetryAfter::Exact => 30 * SECOND,
            };
            continue;
        }
        match limiter.arrive(at) {
            Ok(()) => {
                taken += 1;
                at += if taken < calls { at_once } else { 0 };
            }
            Err(wait) => {
                let then = at + wait;
                at = limiter.next_change(at).map_or(then, |change| change.min(then));
            }
        }
    }
    at
}

/// The limit less what the other processes use up of it.
fn without_the_others(scenario: &Scenario) -> Limits {
    if scenario.others.is_empty() {
        return scenario.limits.clone();
    }
    let mut moments: Vec<f64> = scenario.limits.iter().map(|(from, _)| *from).collect();
    moments.extend(scenario.others.iter().flat_map(|other| [other.from_s, other.until_s]));
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    let at = |moment: f64| {
        let limit = scenario.limits.iter().rev().find(|(from, _)| *from <= moment).map_or(0.0, |(_, limit)| *limit);
        let there = scenario.others.iter().filter(|other| (other.from_s..other.until_s).contains(&moment));
        let used: f64 = there.map(|other| other.per_minute * scenario.window_s / 60.0).sum();
        (moment, (limit - used).max(1.0))
    };
    moments.into_iter().map(at).collect()
}
