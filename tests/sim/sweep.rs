//! Servers by chance: whatever they do, no call is sent inside a pause, and nothing leaves above the estimate.

use crate::limiter::{Kind, Limits};
use crate::play::{Client, play};
use crate::scenario::{Bounds, Latency, Order, Other, RetryAfter, Scenario, Teams};
use fastrand::Rng;

/// Servers; all come from this seed.
const SERVERS: u64 = 200;
const SEED: u64 = 20;

/// Plays them, prints how ratio and share are spread, and checks what must always hold.
pub fn print_and_check() {
    let (mut ratios, mut shares) = (Vec::new(), Vec::new());
    for number in 0..SERVERS {
        let (scenario, rows) = by_chance(SEED + number);
        if std::env::var("SIM_SEED").is_ok_and(|only| only != (SEED + number).to_string()) {
            continue;
        }
        let played = play(&scenario, rows, Client::Ours);
        let what = format!("{rows} rows of {scenario:?}");
        assert_eq!(played.seen.inside, 0, "inside a pause: {what}");
        if scenario.teams.count == 1 {
            assert_eq!(played.seen.above_estimate, 0, "above its own estimate: {what}");
        }
        if std::env::var_os("SIM_WORST").is_some() && (played.ratio() > 1.5 || played.limited() > 0.02) {
            println!("{:.3} {:.2} % {what}", played.ratio(), 100.0 * played.limited());
        }
        ratios.push(played.ratio());
        shares.push(100.0 * played.limited());
    }
    println!("{SERVERS} servers: ratio {}; 429s in % {}", spread(ratios), spread(shares));
}

fn spread(mut of: Vec<f64>) -> String {
    of.sort_by(f64::total_cmp);
    let at = |part: usize| of[(of.len() - 1) * part / 100];
    format!("median {:.2}, 90 % {:.2}, 97 % {:.2}, most {:.2}", at(50), at(90), at(97), at(100))
}

fn by_chance(seed: u64) -> (Scenario, usize) {
    let mut random = Rng::with_seed(seed);
    let rows = [100, 300, 1000, 1000, 2000][random.usize(0..5)];
    let (limiter, limits) = (limiter(&mut random), limits(&mut random));
    let always = |seconds| RetryAfter::Always(seconds);
    let pauses =
        [RetryAfter::Exact, RetryAfter::Exact, always(1), always(3), always(30), always(60), RetryAfter::Missing];
    let other = random.bool().then(|| Other {
        per_minute: random.f64() * 8.0 + 1.0,
        from_s: random.f64() * 600.0,
        until_s: 600.0 + random.f64() * 1800.0,
    });
    let scenario = Scenario {
        name: format!("by chance, {seed}"),
        why: "Nothing of it was thought of before.".into(),
        limiter,
        limits,
        window_s: 60.0,
        retry_after: pauses[random.usize(0..pauses.len())],
        latency: Latency { ms: (random.u64(20..300), random.u64(300..1500)), tail: random.f64() * 0.05, tail_ms: 3000 },
        others: other.filter(|_| random.u8(0..3) == 0).into_iter().collect(),
        storms: Vec::new(),
        random: None,
        penalty_s: 0.0,
        at_once: None,
        shared_limit: None,
        answers_503: false,
        teams: teams(&mut random),
        start: 20.0,
        most: 300.0,
        rows: std::iter::once((rows, Bounds::default())).collect(),
        seed,
    };
    (scenario, rows)
}

fn limiter(random: &mut Rng) -> Kind {
    match random.u8(0..4) {
        0 => Kind::Fixed { phase_s: random.f64() * 60.0 },
        1 => Kind::FromFirst,
        2 => Kind::Sliding,
        _ => Kind::Bucket { burst: f64::from(random.u8(1..30)) },
    }
}

fn limits(random: &mut Rng) -> Limits {
    let mut limit = || f64::from([8, 15, 20, 20, 25, 33, 40, 60, 90, 120][random.usize(0..10)]);
    let (first, second, third) = (limit(), limit(), limit());
    match random.u8(0..4) {
        0 => vec![(0.0, first), (300.0 + random.f64() * 900.0, second)],
        1 => vec![(0.0, first), (600.0, second), (600.0 + random.f64() * 1200.0, third)],
        _ => vec![(0.0, first)],
    }
}

fn teams(random: &mut Rng) -> Teams {
    if random.u8(0..4) > 0 {
        return Teams::default();
    }
    let order = if random.bool() { Order::Sorted } else { Order::Shuffled };
    Teams { count: random.usize(2..12), order, first: random.bool().then(|| random.f64()), own_limits: random.bool() }
}
