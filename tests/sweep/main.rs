//! Kills the real program at every state-changing system call, and makes each of them fail, one at a time; then runs it again
//! undisturbed and checks what is there against what the stand-in knows. Needs `strace`; without it, nothing is tested and the
//! output says so.
//!
//! `cargo test` takes a sample of the points, spread over all scenarios. `tests/sweep/run` takes all of them.

mod fault;
mod place;
mod scenario;

use fault::{Fault, Point};
use place::Place;
use scenario::{SCENARIOS, Scenario};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Points of each scenario that a plain `cargo test` takes.
const SAMPLE: usize = 24;

/// Points are worked on side by side; each has a folder and a server of its own.
const WORKERS: usize = 3;

#[test]
fn no_record_is_lost_if_any_system_call_fails_or_is_the_last() {
    if !fault::available() {
        println!("strace is not usable here: the sweep was skipped");
        return;
    }
    let everything = std::env::var_os("SWEEP_ALL").is_some();
    let only = std::env::var("SWEEP_ONLY").ok();
    let (mut report, mut bad) = (String::new(), Vec::new());
    for scenario in SCENARIOS.iter().filter(|scenario| only.as_deref().is_none_or(|only| only == scenario.name)) {
        let points = points(scenario);
        let taken = if everything { points } else { sample(points) };
        let counts = count(&taken);
        let failed = sweep(scenario, &taken);
        writeln!(report, "{:<28} {counts} bad {}", scenario.name, failed.len()).expect("a string takes everything");
        bad.extend(failed);
    }
    println!("{report}");
    assert!(bad.is_empty(), "{} bad points", bad.len());
}

/// Every point of a scenario: what an undisturbed run calls decides how many there are.
fn points(scenario: &Scenario) -> Vec<Point> {
    let place = Place::new();
    (scenario.before)(&place);
    let calls = fault::observe(&place, &(scenario.command)(&place));
    let mut points = fault::points(&calls);
    let written = place.largest_file();
    points.extend(fault::sizes(written));
    points
}

/// Points from all over the run. Drawn, for a fixed step could meet the same kind of fault at every call.
fn sample(mut points: Vec<Point>) -> Vec<Point> {
    fastrand::Rng::with_seed(1).shuffle(&mut points);
    points.truncate(SAMPLE);
    points
}

fn sweep(scenario: &Scenario, points: &[Point]) -> Vec<String> {
    let (next, bad) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = one(scenario, point) {
                        let why = format!("{}: {point}: {why}", scenario.name);
                        println!("{why}");
                        bad.lock().expect("no panic while it is held").push(why);
                    }
                }
            });
        }
    });
    bad.into_inner().expect("no panic while it was held")
}

/// One fault, then the check, which runs the program again undisturbed.
fn one(scenario: &Scenario, point: &Point) -> Result<(), String> {
    let place = Place::new();
    (scenario.before)(&place);
    let ended = fault::run(&place, &(scenario.command)(&place), point);
    // A panic is never an answer to a fault of a file. The runtime's own wake-up is no file: it has no way to go on.
    if ended.panicked() && !ended.hit_the_runtime() {
        return Err(format!("it panicked: {}", ended.stderr));
    }
    let sent = place.sent();
    (scenario.check)(&place, &ended, &sent).map_err(|why| format!("{why}\n  exit {:?}: {}", ended.code, ended.stderr))
}

fn count(points: &[Point]) -> String {
    let mut kinds = BTreeMap::new();
    for point in points {
        let kind = match point.fault {
            Fault::Kill => "kills",
            Fault::Error(_) => "errors",
            Fault::Size => "short writes",
        };
        *kinds.entry(kind).or_insert(0_usize) += 1;
    }
    kinds.iter().map(|(kind, count)| format!("{kind} {count:>4}")).collect::<Vec<_>>().join(" ")
}
