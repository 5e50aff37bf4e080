//! One bucket or many, against a limiter that counts by workspace or for all.

use super::*;
use std::collections::HashMap;

const MINUTE: Duration = Duration::from_mins(1);
const LATENCY: Duration = Duration::from_millis(200);

/// So many calls in any minute, of each workspace or of all.
struct Limits {
    calls: usize,
    is_of_team: bool,
    accepted: HashMap<u64, VecDeque<Duration>>,
    open_at: HashMap<u64, Duration>,
    /// Calls while the limit was known to be used up.
    inside: u64,
}

impl Limits {
    fn new(calls: usize, is_of_team: bool) -> Self {
        Self { calls, is_of_team, accepted: HashMap::new(), open_at: HashMap::new(), inside: 0 }
    }

    fn answer(&mut self, team: u64, sent_at: Duration, now: Duration) -> Answer {
        let key = if self.is_of_team { team } else { 0 };
        self.inside += u64::from(self.open_at.get(&key).is_some_and(|at| sent_at < *at));
        let log = self.accepted.entry(key).or_default();
        log.retain(|at| *at + MINUTE > now);
        if log.len() < self.calls {
            log.push_back(now);
            return Answer::Ok;
        }
        let pause = Duration::from_secs((log[0] + MINUTE).saturating_sub(now).as_secs() + 1);
        self.open_at.insert(key, now + pause);
        Answer::RateLimited { retry_after: Some(pause) }
    }
}

/// So many rows of each workspace, in this order.
fn of_teams(rows: u64, teams: u64, is_sorted: bool) -> Vec<Row> {
    let team = |row| if is_sorted { row * teams / rows } else { row % teams };
    (0..rows).map(|number| row(number + 2, &format!("T{}", team(number)))).collect()
}

/// Plays until the run ends or the time is over, one answer after the other.
fn play(bench: &mut Bench, limits: &mut Limits, end: Duration) {
    while !bench.machine.is_finished() && bench.at < end {
        if bench.open.is_empty() {
            bench.at = bench.wake.expect("something is due").max(bench.at);
            bench.step();
            continue;
        }
        let sent_at = bench.at;
        bench.pass(LATENCY);
        let job = &bench.machine.in_flight[&bench.open[0].0].job;
        let team = job.addressed_team().unwrap().as_str()[1..].parse().unwrap();
        let answer = limits.answer(team, sent_at.min(bench.machine.in_flight[&bench.open[0].0].sent_at), bench.at);
        bench.answer(answer);
    }
}

#[test]
fn what_workspaces_do_in_the_pauses_of_others_shows_the_kind_of_bucket() {
    let auto = Pace::Auto { start: 20.0, most: 300.0 };
    for is_sorted in [true, false] {
        for (is_of_team, kind) in [(true, BucketKind::Team), (false, BucketKind::Org)] {
            let mut bench = Bench::with(of_teams(600, 6, is_sorted), auto, |policy| policy.workers = Some(1));
            let mut limits = Limits::new(20, is_of_team);
            play(&mut bench, &mut limits, 4 * MINUTE);
            let what = format!("{kind:?}, sorted {is_sorted}");
            assert_eq!(bench.machine.run_end(bench.at).bucket, Some(kind), "{what}");
            assert!(limits.inside <= u64::from(!is_of_team), "{what}: {} calls inside a pause", limits.inside);
            let ended = bench.records.len();
            assert_eq!(is_of_team, ended > 150, "{what}: {ended} rows in four minutes");
        }
    }
}

#[test]
fn a_conclusion_is_given_up_if_workspaces_are_refused_together() {
    let auto = Pace::Auto { start: 20.0, most: 300.0 };
    let mut bench = Bench::with(of_teams(3_000, 6, true), auto, |policy| policy.workers = Some(1));
    play(&mut bench, &mut Limits::new(20, true), 4 * MINUTE);
    assert_eq!(bench.machine.run_end(bench.at).bucket, Some(BucketKind::Team));
    let mut shared = Limits::new(20, false);
    play(&mut bench, &mut shared, 10 * MINUTE);
    assert_eq!(bench.machine.run_end(bench.at).bucket, Some(BucketKind::Org));
    let inside = shared.inside;
    assert!(inside < 30, "{inside} calls inside a pause");
    play(&mut bench, &mut shared, 25 * MINUTE);
    assert_eq!(shared.inside, inside, "the buckets are joined again");
    assert_eq!(bench.machine.buckets.len(), 1);
}

#[test]
fn a_fixed_rate_stays_the_runs_when_the_buckets_are_split() {
    let interval = Duration::from_secs(1);
    let every = Pace::Every(interval);
    let mut bench = Bench::with(of_teams(600, 6, true), every, |policy| policy.workers = Some(64));
    play(&mut bench, &mut Limits::new(20, true), Duration::from_hours(1));
    assert_eq!(bench.machine.run_end(bench.at).bucket, Some(BucketKind::Team));
    assert!(bench.sent.windows(2).all(|pair| pair[1].1 >= pair[0].1 + interval), "{:?}", bench.sent);
    assert_eq!(bench.records.len(), 600);
}
