//! The rate of the whole run, whatever its buckets, and who gets which part of it.

use super::*;
use crate::engine::rate_estimator::whole;

const MINUTE: Duration = Duration::from_mins(1);

/// Rows of so many workspaces in turn.
fn of_teams(teams: u64, rows: u64) -> Vec<Row> {
    (0..rows).map(|number| row(number + 2, &format!("T{}", number % teams))).collect()
}

fn per_team(policy: &mut Policy) {
    (policy.bucket, policy.canary, policy.workers) = (BucketPolicy::Team, false, Some(64));
}

/// Answers every call at once, until the run ends or the time is over.
fn play_until(bench: &mut Bench, end: Duration) {
    loop {
        while !bench.open.is_empty() {
            bench.answer(Answer::Ok);
        }
        let Some(at) = bench.wake.filter(|at| *at <= end && !bench.machine.is_finished()) else { return };
        assert!(at > bench.at, "it wakes for nothing");
        bench.at = at;
        bench.step();
    }
}

/// The most calls in any 60 s.
fn most_in_a_minute(bench: &Bench) -> usize {
    let from = |first: usize| bench.sent[first..].iter().take_while(move |(_, at)| *at < bench.sent[first].1 + MINUTE);
    (0..bench.sent.len()).map(|first| from(first).count()).max().unwrap_or(0)
}

#[test]
fn a_fixed_rate_is_the_runs_whatever_the_buckets() {
    let interval = Duration::from_secs(3);
    let mut bench = Bench::with(of_teams(9, 90), Pace::Every(interval), per_team);
    let snapshot = bench.machine.snapshot(bench.now());
    assert_eq!((snapshot.per_minute, snapshot.eta), (Some(20.0), Some(90 * interval)));
    play_until(&mut bench, Duration::from_hours(1));
    assert!(bench.machine.is_finished());
    for (number, (line, at)) in (0..).zip(&bench.sent) {
        assert_eq!(*at, interval * number, "call {number}, line {line}");
    }
    let first_of_each: BTreeSet<_> = bench.sent[..9].iter().map(|(line, _)| (line - 2) % 9).collect();
    assert_eq!(first_of_each.len(), 9, "every workspace comes first as often as any other: {:?}", bench.sent);
}

#[test]
fn the_highest_rate_is_the_runs_whatever_the_buckets() {
    let auto = Pace::Auto { start: 20.0, most: 30.0 };
    let mut bench = Bench::with(of_teams(10, 600), auto, per_team);
    assert!(bench.machine.snapshot(bench.now()).per_minute.unwrap() <= 30.0);
    assert!(bench.machine.snapshot(bench.now()).eta.unwrap() >= 18 * MINUTE, "600 rows at 30 a minute");
    play_until(&mut bench, Duration::from_hours(1));
    assert!(bench.machine.is_finished());
    assert!(most_in_a_minute(&bench) <= 30, "{}", most_in_a_minute(&bench));
    assert!(bench.at <= 21 * MINUTE, "{:?}", bench.at);
}

#[test]
fn the_estimate_shown_is_what_is_sent_in_a_minute() {
    for (teams, most) in [(1, 60.0), (10, 90.0), (300, 300.0)] {
        let mut bench = Bench::with(of_teams(teams, 3_000), Pace::Auto { start: 20.0, most }, per_team);
        play_until(&mut bench, 5 * MINUTE);
        let shown = bench.machine.snapshot(bench.now()).per_minute.unwrap();
        let sent = bench.sent.iter().filter(|(_, at)| *at + MINUTE > bench.at).count();
        assert!((shown - most).abs() < 1e-9 && most_in_a_minute(&bench) <= whole(most), "{shown}");
        assert!(sent + 1 >= whole(most), "{sent} sent in a minute, {shown} shown, {teams} workspaces");
    }
}

#[test]
fn rates_below_one_a_minute_are_kept() {
    for (start, most, calls) in [(0.1, 0.1, 6), (0.1, 0.5, 30), (1.5, 1.5, 90)] {
        let mut bench = Bench::with(rows(2..=200), Pace::Auto { start, most }, |_| {});
        assert!(bench.machine.snapshot(bench.now()).per_minute.unwrap() <= most);
        play_until(&mut bench, Duration::from_mins(59));
        assert!((3..=calls).contains(&bench.sent.len()), "{} calls in an hour at {most}/min", bench.sent.len());
    }
}

#[test]
fn a_refusal_keeps_a_rate_below_one_a_minute() {
    let mut bench = Bench::with(rows(2..=200), Pace::Auto { start: 0.1, most: 0.1 }, |_| {});
    for _ in 0..5 {
        bench.answer(Answer::RateLimited { retry_after: Some(Duration::from_secs(1)) }).until_a_call();
    }
    assert!(bench.machine.snapshot(bench.now()).per_minute.unwrap() <= 0.1);
    assert!(bench.at >= 40 * MINUTE, "{:?}", bench.at);
}

/// Rows of a user, who may be in any workspace.
fn of_users(lines: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Row> {
    lines.map(|line| {
        let user = UserId::parse(&format!("U{line}")).unwrap();
        let target = Ok(Target::by_user(SessionId::from(1000 + line), user, None));
        Row { line, fields: Fields::default(), target, may_have_been_sent: false }
    })
}

#[test]
fn rows_that_name_a_user_get_their_turn_beside_the_workspaces() {
    let mut input = of_teams(2, 600);
    input.extend(of_users(1_000..=1_299));
    let mut bench = Bench::with(input, Pace::Auto { start: 20.0, most: 300.0 }, per_team);
    let eta = bench.machine.snapshot(bench.now()).eta.unwrap();
    assert!(eta <= 16 * MINUTE, "300 rows of each at 20 a minute: {eta:?}");
    play_until(&mut bench, Duration::from_secs(30));
    let of_users = bench.sent.iter().filter(|(line, _)| *line >= 1_000).count();
    let of_teams = bench.sent.len() - of_users;
    assert!(of_users * 3 >= of_teams && of_users >= 20, "{of_users} beside {of_teams}");
}
