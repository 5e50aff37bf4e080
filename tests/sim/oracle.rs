//! The shortest time that a client could take which knows the limit and sends every call at its moment.

use crate::limiter::{Limiter, Limits, micros};
use crate::scenario::Scenario;
use std::collections::BTreeMap;

/// Microseconds from the first call to the last answer.
pub fn shortest(scenario: &Scenario, rows: usize) -> u64 {
    let mut of_limit: BTreeMap<usize, usize> = BTreeMap::new();
    for team in scenario.teams_of(rows) {
        *of_limit.entry(if scenario.teams.own_limits { team } else { 0 }).or_default() += 1;
    }
    let latency = scenario.latency.ms.0 * 1000;
    let last = of_limit.values().map(|&calls| last_taken(scenario, calls, latency / 2)).max().unwrap_or(0);
    last + latency - latency / 2
}

/// When the last of `calls` is taken, the first arriving at `start`.
fn last_taken(scenario: &Scenario, calls: usize, start: u64) -> u64 {
    let mut limiter = Limiter::new(scenario.limiter, scenario.window_s, &without_the_other(scenario));
    let mut at = start;
    for _ in 0..calls {
        while let Err(wait) = limiter.arrive(at) {
            let then = at + wait;
            at = limiter.next_change(at).map_or(then, |change| change.min(then));
        }
    }
    at
}

/// The limit less what the other process uses up of it.
fn without_the_other(scenario: &Scenario) -> Limits {
    let Some(other) = scenario.other else { return scenario.limits.clone() };
    let mut moments: Vec<f64> = scenario.limits.iter().map(|(from, _)| *from).collect();
    moments.extend([other.from_s, other.until_s]);
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    let at = |moment: f64| {
        let limit = scenario.limits.iter().rev().find(|(from, _)| *from <= moment).map_or(0.0, |(_, limit)| *limit);
        let there = (other.from_s..other.until_s).contains(&moment);
        let used = if there { other.per_minute * scenario.window_s / 60.0 } else { 0.0 };
        (moment, (limit - used).max(1.0))
    };
    debug_assert!(moments.iter().all(|moment| micros(*moment) < u64::MAX));
    moments.into_iter().map(at).collect()
}
