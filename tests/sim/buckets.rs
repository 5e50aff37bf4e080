//! One bucket or ten: whether it is recognized, and what that gains.
//!
//! `SIM_BUCKETS=all` plays every case, `SIM_BUCKETS=part-of-a-name` those with that name, and prints each.

use crate::limiter::Kind;
use crate::play::{Client, Played, play};
use crate::scenario::{Bounds, Latency, Order, Random, RetryAfter, Scenario, Storm, Teams};
use slack_revoke::model::BucketKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

const ROWS: usize = 3_000;
const WORKSPACES: usize = 10;
const MOST: f64 = 300.0;

/// `cargo test` plays one case in so many.
const SAMPLE: usize = 29;

const LIMITS: [f64; 4] = [20.0, 40.0, 60.0, 120.0];
const ORDERS: [Order; 2] = [Order::Sorted, Order::Shuffled];

fn pauses() -> [RetryAfter; 6] {
    let always = RetryAfter::Always;
    [always(1), always(2), RetryAfter::Exact, always(30), always(60), RetryAfter::Missing]
}

fn countings() -> [Kind; 3] {
    [Kind::Sliding, Kind::Bucket { burst: 5.0 }, Kind::Fixed { phase_s: 25.0 }]
}

fn case(own_limits: bool, order: Order, limit: f64, retry_after: RetryAfter, limiter: Kind) -> Scenario {
    let kind = if own_limits { "separate" } else { "shared" };
    Scenario {
        name: format!("{kind} {limit} {limiter:?} {retry_after:?} {order:?}"),
        why: String::new(),
        limiter,
        limits: vec![(0.0, limit)],
        window_s: 60.0,
        retry_after,
        latency: Latency::default(),
        others: Vec::new(),
        storms: Vec::new(),
        random: None,
        penalty_s: 0.0,
        at_once: None,
        shared_limit: None,
        answers_503: false,
        teams: Teams { count: WORKSPACES, order, first: None, own_limits },
        start: 20.0,
        most: MOST,
        rows: std::iter::once((ROWS, Bounds::default())).collect(),
        seed: 3,
    }
}

fn cases() -> Vec<Scenario> {
    let mut cases = Vec::new();
    for own_limits in [true, false] {
        for order in ORDERS {
            for limit in LIMITS {
                for pause in pauses() {
                    cases.extend(countings().map(|counting| case(own_limits, order, limit, pause, counting)));
                }
            }
        }
    }
    for order in ORDERS {
        for (limit, counting) in [(20.0, Kind::Sliding), (60.0, Kind::Bucket { burst: 5.0 }), (900.0, Kind::Sliding)] {
            for share in [0.005, 0.02] {
                for seconds in [1, 30] {
                    for seed in 11..14 {
                        let retry_after = RetryAfter::Always(seconds);
                        let plain = case(false, order, limit, RetryAfter::Exact, counting);
                        let name = format!("{}, {share} by chance, {seconds} s, {seed}", plain.name);
                        cases.push(Scenario { name, random: Some(Random { share, retry_after }), seed, ..plain });
                    }
                }
            }
            for (from_s, retry_after) in
                [(0.0, RetryAfter::Always(10)), (300.0, RetryAfter::Always(1)), (300.0, RetryAfter::Missing)]
            {
                let plain = case(false, order, limit, RetryAfter::Exact, counting);
                let storm = Storm { from_s, until_s: from_s + 240.0, retry_after };
                cases.push(Scenario {
                    name: format!("{}, storm {retry_after:?}", plain.name),
                    storms: vec![storm],
                    ..plain
                });
            }
        }
    }
    cases
}

/// The ratio to an oracle that keeps to the highest rate of the run too.
#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
fn ratio(played: &Played) -> f64 {
    played.took_s / played.oracle_s.max(ROWS as f64 * 60.0 / MOST)
}

pub fn print_and_check() {
    let wanted = std::env::var("SIM_BUCKETS").unwrap_or_default();
    let mut cases = cases();
    let mut place = 0;
    cases.retain(|case| {
        place += 1;
        wanted == "all" || if wanted.is_empty() { place % SAMPLE == 0 } else { case.name.contains(&wanted) }
    });
    let played = play_all(&cases);
    let (mut inside, mut mistaken) = (0, 0);
    let (mut separate, mut recognized, mut ratios, mut tests, mut shared) = (0, 0, 0.0, 0, 0);
    for (case, played) in cases.iter().zip(&played) {
        if !wanted.is_empty() {
            println!(
                "{:60} {:6.3} {:5.2} % 429, {} tests, {} inside, {:?}",
                case.name,
                ratio(played),
                100.0 * played.limited(),
                played.seen.tests,
                played.seen.inside,
                played.kind
            );
        }
        inside += usize::from(played.seen.inside > 0);
        if case.teams.own_limits {
            separate += 1;
            // Without a 429 there is nothing to recognize, nor to gain.
            recognized += usize::from(played.kind == Some(BucketKind::Team) || played.seen.limited == 0);
            ratios += ratio(played);
        } else {
            mistaken += usize::from(played.kind == Some(BucketKind::Team));
            shared += 1;
            tests += played.seen.tests;
        }
    }
    let mean = ratios / f64::from(u32::try_from(separate).expect("few"));
    println!(
        "{separate} with separate buckets: {recognized} recognized, mean ratio {mean:.3}; {shared} with a shared one: {tests} probes, \
         {mistaken} mistaken, {inside} with more calls inside a pause than a probe"
    );
    assert!(10 * recognized >= 9 * separate && mean <= 1.3, "{recognized} of {separate}, {mean:.3}");
    assert!(100 * mistaken <= shared, "{mistaken} of {shared}");
}

fn play_all(cases: &[Scenario]) -> Vec<Played> {
    let (next, (to, from)) = (AtomicUsize::new(0), mpsc::channel());
    std::thread::scope(|scope| {
        for to in [to.clone(), to] {
            let next = &next;
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(place) else { return };
                    to.send((place, play(case, ROWS, Client::Ours))).expect("somebody listens");
                }
            });
        }
    });
    let mut all: Vec<(usize, Played)> = from.into_iter().collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, played)| played).collect()
}
