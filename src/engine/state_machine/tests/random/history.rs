//! A run, and the runs that continue it until every row has ended.

use super::super::*;
use super::input::{Input, Source};
use super::oracle::Oracle;
use super::play::{Circumstances, End, Run};
use super::slack::Slack;
use std::collections::BTreeMap;

/// After so many runs the trouble is over, and the next one must end every row.
const RUNS_IN_TROUBLE: u64 = 4;

/// What was seen in histories.
#[derive(Debug, Default)]
pub struct Played {
    runs: u64,
    ends: BTreeMap<String, u64>,
    statuses: BTreeMap<&'static str, u64>,
}

impl Played {
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        other.ends.iter().for_each(|(end, count)| *self.ends.entry(end.clone()).or_default() += count);
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
    }

    /// Whether runs came to every kind of end, and rows too.
    pub fn is_varied(&self) -> bool {
        self.ends.len() >= 10 && self.statuses.len() >= 7
    }
}

fn policy(dice: &mut fastrand::Rng, is_healed: bool) -> Policy {
    let pace = match dice.u8(..4) {
        0 => Pace::Unlimited,
        1 => Pace::Every(Duration::from_millis(dice.u64(1..4_000))),
        2 => Pace::Auto { start: 20.0, most: 300.0 },
        _ => Pace::Auto { start: dice.f64() * 100.0 + 0.5, most: dice.f64() * 500.0 + 0.5 },
    };
    let seldom = |dice: &mut fastrand::Rng, one_in: u8| !is_healed && dice.u8(..one_in) == 0;
    Policy {
        pace,
        bucket: [BucketPolicy::Auto, BucketPolicy::Auto, BucketPolicy::Org, BucketPolicy::Team][dice.usize(..4)],
        shares_limit: false,
        workers: if dice.bool() { None } else { Some(dice.u32(1..9)) },
        retries: dice.u32(..6),
        max_failures: match (seldom(dice, 8), dice.bool()) {
            (true, true) => MaxFailures::Rows(dice.u64(1..5)),
            (true, false) => MaxFailures::Share(0.2),
            (false, _) => MaxFailures::Rows(u64::MAX),
        },
        deadline: seldom(dice, 8).then(|| Duration::from_secs(dice.u64(1..300))),
        max_retry_after: Duration::from_secs(if seldom(dice, 6) { 60 } else { 900 }),
        canary: dice.bool(),
        strict: dice.bool(),
        seed: dice.u64(..),
        workspaces: Vec::new(),
        rows: 0,
        to_send: 0,
        bulk_users: 0,
        is_one_workspace: false,
        earlier: Counts::default(),
        earlier_teams: Vec::new(),
    }
}

/// What the run is told of its input and of the runs before it.
fn informed(policy: &Policy, input: &Input, source: &Source, oracle: &Oracle<'_>) -> Policy {
    let sendable = source.sendable().count() as u64;
    let users: BTreeSet<_> = source.sendable().filter_map(|target| target.user().cloned()).collect();
    let by_column = source.workspaces(Target::team);
    let mut earlier = Counts::default();
    oracle.records().for_each(|(_, status)| earlier.add(status));
    let successful = |(line, status): (u64, Status)| {
        let is_success = matches!(status, Status::Revoked | Status::Requested | Status::AlreadyRevoked);
        input.line(line).team.as_deref().filter(|_| is_success).map(|team| TeamId::parse(team).unwrap())
    };
    Policy {
        workspaces: source.workspaces(Target::addressed_team).into_iter().collect(),
        rows: input.lines.len() as u64,
        to_send: if input.whole_users { 0 } else { sendable },
        bulk_users: if input.whole_users { users.len() as u64 } else { 0 },
        is_one_workspace: by_column.len() == 1 && by_column.values().sum::<u64>() == sendable,
        earlier,
        earlier_teams: oracle.records().filter_map(successful).collect::<BTreeSet<_>>().into_iter().collect(),
        ..policy.clone()
    }
}

/// Plays the history of this number.
pub fn play(seed: u64, shown: bool) -> Played {
    let mut dice = fastrand::Rng::with_seed(seed);
    let input = Input::draw(&mut dice);
    let mut slack = Slack::draw(&input, &mut dice);
    let mut oracle = Oracle::new(&input, &slack);
    let mut played = Played::default();
    if shown {
        println!("{input:#?}\n{slack:#?}");
    }
    while !oracle.have_all_ended() {
        let is_healed = played.runs >= RUNS_IN_TROUBLE;
        if is_healed {
            slack.heal();
        }
        slack.begin();
        let source = Source::new(&input, |line| !oracle.has_ended(line), |line| oracle.may_be_gone(line));
        let policy = informed(&policy(&mut dice, is_healed), &input, &source, &oracle);
        let seldom = |dice: &mut fastrand::Rng| !is_healed && dice.u8(..5) == 0;
        let circumstances = Circumstances {
            stops_at: seldom(&mut dice).then(|| Duration::from_millis(dice.u64(1..120_000))),
            crashes_at: seldom(&mut dice).then(|| Duration::from_millis(dice.u64(1..120_000))),
            is_renewable: dice.u8(..8) > 0,
            shown,
        };
        if shown {
            println!("==== {policy:?}, {circumstances:?}");
        }
        oracle.begin(&policy);
        let before = oracle.records().count();
        let run = Run::new(policy.clone(), circumstances, (&input, source), &mut slack, &mut oracle, &mut dice);
        let end = run.finish();
        oracle.close(matches!(end, End::Crashed));
        played.runs += 1;
        *played.ends.entry(name_of(&end)).or_default() += 1;
        if shown {
            println!("==== {end:?}, {} of {} rows", oracle.records().count(), input.lines.len());
        }
        check(&end, &policy, circumstances, (before, &oracle), &slack);
        assert!(
            !is_healed || oracle.have_all_ended(),
            "nothing is in the way any more, and the run ended with {end:?}"
        );
    }
    oracle.check_twins();
    oracle.records().for_each(|(_, status)| *played.statuses.entry(status.as_str()).or_default() += 1);
    played
}

fn name_of(end: &End) -> String {
    let text = format!("{end:?}");
    text.trim_start_matches("Over(").trim_start_matches("Some(").chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// Whether the run had a reason to end as it did.
fn check(end: &End, policy: &Policy, of: Circumstances, (before, oracle): (usize, &Oracle<'_>), slack: &Slack) {
    let failed = |status: Status| {
        let is_strictly = policy.strict && status == Status::NotFound;
        is_strictly || matches!(status, Status::Failed | Status::Unknown)
    };
    let ended = oracle.records().count();
    let is_right = match end {
        End::Crashed => of.crashes_at.is_some(),
        End::Over(None) => oracle.have_all_ended() || slack.refuses_any(),
        End::Over(Some(_)) if oracle.have_all_ended() => false,
        End::Over(Some(StopReason::Interrupted)) => of.stops_at.is_some(),
        End::Over(Some(StopReason::Deadline)) => policy.deadline.is_some(),
        End::Over(Some(StopReason::MaxFailures { .. })) => oracle.records().any(|(_, status)| failed(status)),
        End::Over(Some(StopReason::RetryAfter { .. })) => oracle.longest_pause > policy.max_retry_after,
        // At its moment the oracle has looked at it.
        End::Over(Some(StopReason::Breaker { .. })) => true,
        End::Over(Some(StopReason::Refused { code: ErrorCode::TokenExpired, .. })) => {
            !of.is_renewable || oracle.unproven_tokens >= 3
        }
        End::Over(Some(StopReason::Refused { code, .. })) => *code == ErrorCode::TokenRevoked,
        End::Over(Some(StopReason::Workspaces { .. })) => slack.refuses_any(),
        End::Over(Some(StopReason::Unavailable { .. })) => oracle.transient_answers > 0,
        End::Over(Some(
            StopReason::Terminated
            | StopReason::Unreadable(_)
            | StopReason::Unwritable(_)
            | StopReason::InputChanged(_),
        )) => false,
    };
    assert!(is_right, "the run ended with {end:?} after {before} and {ended} rows");
}
