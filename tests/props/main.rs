//! The whole run under torture, in virtual time: random inputs, answers, stops, deaths, power losses and resumptions, and
//! after each of them an oracle that knows which sessions live.
//!
//! `cargo test --test props -- --nocapture` prints what was played. `PROPS_SEED=n` plays one case, `PROPS_FROM=n` other
//! ones than CI's, `PROPS_CASES=n` more or fewer. A seed that ever failed goes into `seeds.txt`, which is played first.

mod bulk;
mod case;
mod count;
mod dice;
mod neighbours;
mod oracle;
mod round;
mod slack;
mod weather;

use case::Case;
use dice::Dice;
use oracle::Oracle;
use round::{Ended, Fortune, Place};
use slack::Slack;
use slack_revoke::ledger::manifest::Manifest;
use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use weather::Weather;

const CASES: u64 = 10_000;

/// Where there is one, a file system in memory: nothing here depends on a disk, and a sync of one costs more than a case.
fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() && tempfile::tempdir_in(memory).is_ok() { memory.into() } else { std::env::temp_dir() }
}

/// Cuts the results at any byte, and the journal at any entry, as a power loss may.
fn lose_power(place: &Place, slack: &Slack, dice: &mut Dice) {
    count::add("power losses", 1);
    if let Ok(results) = fs::read(&place.files.results)
        && dice.chance(0.8)
    {
        let mut left = results[..dice.between(0, results.len())].to_vec();
        let is_sealed = Manifest::load(&place.files.manifest).is_ok_and(|manifest| manifest.results.bytes.is_some());
        if dice.chance(0.2) && !left.is_empty() && !is_sealed {
            // Where the length arrived and the data did not; sealed results were synced.
            left.resize(left.len() + dice.between(1, 40), 0);
        }
        fs::write(&place.files.results, left).expect("it can be cut");
    }
    if let Ok(journal) = fs::read(&place.files.journal)
        && journal.len() >= 64
        && dice.chance(0.5)
    {
        let cut = dice.between(64, journal.len());
        let mut left = journal[..cut].to_vec();
        if dice.chance(0.3) {
            left.resize(journal.len(), 0);
        }
        let (before, after) = (entries(&journal), entries(&left));
        for line in before.difference(&after) {
            slack.state().past.entry(*line).or_default().mark_lost = true;
        }
        fs::write(&place.files.journal, left).expect("it can be cut");
    }
}

fn entries(journal: &[u8]) -> BTreeSet<u64> {
    journal[64..].chunks_exact(8).map(|entry| u64::from_le_bytes(entry.try_into().expect("eight bytes"))).collect()
}

/// Plays one case to its end; gives what was wrong.
fn play(seed: u64, folder: &Path) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let case = Case::new(&mut dice.fork());
    let slack = Slack::new(&case, dice.fork());
    let place = Place::new(folder);
    let mut rows = case.at_first;
    fs::write(&place.input, case.text(rows)).expect("room for the input");
    let kept = std::collections::BTreeMap::new();
    let mut oracle = Oracle { case: &case, place: &place, slack: &slack, rows, kept, faults: Vec::new() };
    let rough = dice.between(0, 4);
    let mut calm_runs = 0;
    for number in 0..=rough + 3 {
        let mut dice = dice.fork();
        let calm = number >= rough;
        let weather = if calm { Weather::calm() } else { Weather::any(&mut dice) };
        let fortune = if calm || dice.chance(0.3) { Fortune::default() } else { Fortune::any(&mut dice) };
        let settings = round::settings(&mut dice, calm);
        if number > 0 && rows < case.lines.len() && (calm || dice.chance(0.5)) {
            rows = case.lines.len();
            fs::write(&place.input, case.text(rows)).expect("room for the input");
        }
        oracle.rows = rows;
        if std::env::var_os("PROPS_SEED").is_some() {
            eprintln!("--- run {number}: {weather:?}\n{fortune:?}\n{settings:?}");
        }
        let round = round::play(&case, &place, &slack, number, (weather, &fortune, settings));
        oracle.look(&round);
        count_round(&round, &slack);
        if std::env::var_os("PROPS_SEED").is_some() {
            eprintln!("{:#?}\n{:?}", slack.state().seen.answered, fs::read_to_string(&place.files.results));
        }
        if !oracle.faults.is_empty() {
            return oracle.faults.iter().map(|fault| format!("run {number}: {fault}")).collect();
        }
        let complete = matches!(&round.ended, Ended::Alive { concluded: Some(end), .. } if end.complete);
        let dead = !matches!(&round.ended, Ended::Alive { concluded: Some(_), .. });
        if complete {
            oracle.is_complete();
        }
        if (dead || complete) && number < rough + 2 && dice.chance(if dead { 0.4 } else { 0.1 }) {
            lose_power(&place, &slack, &mut dice);
        } else if calm && calm_runs == 0 && !complete {
            oracle.faults.push("nothing hindered the run, and it is not complete".into());
        }
        calm_runs += usize::from(calm);
        oracle.take_in(&round);
        if complete && calm && oracle.kept.len() == rows {
            break;
        }
    }
    oracle.is_complete();
    oracle.faults
}

fn count_round(round: &round::Round, slack: &Slack) {
    count::add("runs", 1);
    count::add("calls", slack.state().seen.calls);
    if Oracle::doubts_all(round) {
        count::add("runs that doubt every row", 1);
    }
    match &round.ended {
        Ended::Dead => count::add("end: dead before its end", 1),
        Ended::Alive { concluded: None, .. } => count::add("end: dead while it concluded", 1),
        Ended::Alive { end, .. } if end.aborted => count::add("end: aborted", 1),
        Ended::Alive { end, .. } => {
            let stop = end.stop.as_ref().map_or("none".into(), |stop| format!("{stop:?}"));
            let stop: String = stop.chars().take_while(char::is_ascii_alphanumeric).collect();
            count::add(&format!("end: stop {stop}"), 1);
        }
    }
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default()
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("PROPS_SEED") {
        return vec![seed];
    }
    let failed = include_str!("seeds.txt").lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let from: u64 = number("PROPS_FROM").unwrap_or(0);
    failed.chain(from..from + number("PROPS_CASES").unwrap_or(CASES)).collect()
}

#[test]
fn no_interruption_and_no_answer_loses_or_misreports_a_row() {
    let seeds = seeds();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let root = scratch();
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let folder = tempfile::tempdir_in(&root).expect("a folder");
            let faults = catch_unwind(|| play(seed, folder.path())).unwrap_or_else(|died| vec![said(&*died)]);
            count::add("cases", 1);
            if !faults.is_empty() {
                failed.lock().expect("no panic while it is held").push((seed, faults));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    count::print();
    let mut failed = failed.into_inner().expect("no panic while it is held");
    failed.sort();
    let shown: Vec<String> =
        failed.iter().take(12).map(|(seed, faults)| format!("seed {seed}: {}", faults.join("\n    "))).collect();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), count::of("cases"), shown.join("\n"));
}
