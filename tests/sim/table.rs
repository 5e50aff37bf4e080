//! The table: every scenario, every number of rows, three clients side by side; and what it must hold.

use crate::play::{Client, Played, play_seeds};
use crate::scenario::{Bounds, Scenario};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// One line.
struct Line {
    scenario: usize,
    rows: usize,
    steady: Option<Played>,
    greedy: Option<Played>,
    ours: Played,
}

/// Prints the table, then fails where a bound is broken.
pub fn print_and_check() {
    let only = std::env::var("SIM_ONLY").unwrap_or_default();
    let mut scenarios = Scenario::all();
    let exact = scenarios.iter().any(|scenario| scenario.name == only);
    scenarios.retain(|scenario| if exact { scenario.name == only } else { scenario.name.contains(&only) });
    let lines = play_all(&scenarios);
    println!(
        "{:32}{:>6}{:>9} | {:^13} | {:^13} | {:>9} {:>6} {:>6} {:>5} {:>4}/{:<4} {:>5} {:>6} {:>6} {:>6}",
        "scenario",
        "rows",
        "oracle s",
        "steady",
        "greedy",
        "ours s",
        "ratio",
        "429",
        "most",
        "in",
        "arr",
        "above",
        "paused",
        "shown",
        "misses"
    );
    let mut broken = Vec::new();
    for line in &lines {
        let scenario = &scenarios[line.scenario];
        let bounds = &scenario.rows[&line.rows];
        println!("{}", shown(&scenario.name, line, bounds));
        broken.extend(
            check(bounds, &line.ours)
                .into_iter()
                .map(|what| format!("{} {}: {what} ({})", scenario.name, line.rows, scenario.why)),
        );
        for (name, other) in [("steady", &line.steady), ("greedy", &line.greedy)] {
            if let Some(inside) = other.as_ref().map(|played| played.seen.inside).filter(|&inside| inside > 0) {
                broken.push(format!("{} {}: {name} sent {inside} calls inside a pause", scenario.name, line.rows));
            }
        }
    }
    print_mean("known", &lines, |line| scenarios[line.scenario].is_known());
    print_mean("all", &lines, |_| true);
    assert!(broken.is_empty(), "{} bounds are broken:\n{}", broken.len(), broken.join("\n"));
}

/// The mean ratio of long runs, if any were played.
#[expect(clippy::cast_precision_loss, reason = "a count of lines")]
fn print_mean(which: &str, lines: &[Line], is_meant: impl Fn(&Line) -> bool) {
    let long = lines.iter().filter(|line| line.rows >= 1000 && is_meant(line));
    let ratios: Vec<f64> = long.map(|line| line.ours.ratio()).collect();
    if ratios.is_empty() {
        return;
    }
    println!("mean of {} {which} runs: {:.4}", ratios.len(), ratios.iter().sum::<f64>() / ratios.len() as f64);
}

fn play_all(scenarios: &[Scenario]) -> Vec<Line> {
    let wanted = std::env::var("SIM_ROWS").ok();
    let jobs: Vec<(usize, usize)> = scenarios
        .iter()
        .enumerate()
        .flat_map(|(index, scenario)| scenario.rows.keys().map(move |&rows| (index, rows)))
        .filter(|(_, rows)| wanted.as_ref().is_none_or(|wanted| *wanted == rows.to_string()))
        .collect();
    let alone = std::env::var_os("SIM_OURS").is_some();
    let (next, (to, from)) = (AtomicUsize::new(0), mpsc::channel());
    std::thread::scope(|scope| {
        for to in [to.clone(), to] {
            let (next, jobs) = (&next, &jobs);
            scope.spawn(move || {
                while let Some(&(scenario, rows)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let of = |client| play_seeds(&scenarios[scenario], rows, client);
                    // The other clients give rows up whose 503s are a limit's.
                    let others = |client| (!alone && !scenarios[scenario].answers_503).then(|| of(client));
                    let (steady, greedy) = (others(Client::Steady), others(Client::Greedy));
                    to.send(Line { scenario, rows, steady, greedy, ours: of(Client::Ours) }).expect("somebody listens");
                }
            });
        }
    });
    let mut lines: Vec<Line> = from.into_iter().collect();
    lines.sort_by_key(|line| (line.scenario, line.rows));
    lines
}

fn shown(name: &str, line: &Line, bounds: &Bounds) -> String {
    let other = |played: &Option<Played>| {
        played.as_ref().map_or_else(String::new, |it| format!("x{:<6.2}{:5.1}%", it.ratio(), 100.0 * it.limited()))
    };
    let Line { rows, ours, .. } = line;
    let seen = &ours.seen;
    let ratio = bounds.required.filter(|required| ours.ratio() > *required).map(|required| required.to_string());
    let limited = bounds.required_limited.filter(|required| ours.limited() > *required);
    let missed = [ratio, limited.map(|required| format!("{:.1}%", 100.0 * required))];
    format!(
        "{name:32}{rows:>6}{:>9.1} | {:13} | {:13} | {:>9.1} {:>6.3} {:>5.2}% {:>5} {:>4}/{:<4} {:>5} {:>5.1}% {:>6.1} {:>6} {}",
        ours.oracle_s,
        other(&line.steady),
        other(&line.greedy),
        ours.took_s,
        ours.ratio(),
        100.0 * ours.limited(),
        seen.most_in_a_minute,
        seen.inside,
        seen.arrived_inside,
        seen.above_estimate,
        100.0 * ours.paused() / ours.took_s,
        seen.last_estimate(),
        missed.into_iter().flatten().collect::<Vec<_>>().join(" "),
        ours.kind.map_or_else(String::new, |kind| format!("{kind:?}")),
    )
}

fn check(bounds: &Bounds, ours: &Played) -> Vec<String> {
    let mut broken = Vec::new();
    if ours.seen.inside > 0 {
        broken.push(format!("{} calls inside a pause", ours.seen.inside));
    }
    if let Some((low, high)) = bounds.ratio.filter(|(low, high)| !(*low..=*high).contains(&ours.ratio())) {
        broken.push(format!("ratio {:.3} is not in {low}..{high}", ours.ratio()));
    }
    if let Some(most) = bounds.limited.filter(|&most| ours.limited() > most) {
        broken.push(format!("{:.2} % of 429s, at most {:.2} %", 100.0 * ours.limited(), 100.0 * most));
    }
    if let Some(late) = bounds.late_s.filter(|&late| ours.took_s - ours.oracle_s > late) {
        broken.push(format!("{:.1} s after the oracle, at most {late} s", ours.took_s - ours.oracle_s));
    }
    broken
}
