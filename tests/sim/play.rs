//! One scenario, played through the whole engine on a paused clock.

use crate::doubles::{Counting, Rows, Undisturbed, team};
use crate::oracle;
use crate::scenario::Scenario;
use crate::server::{Seen, Server};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::policy::{BucketPolicy, MaxFailures, Policy};
use slack_revoke::engine::ports::NoStore;
use slack_revoke::engine::rate_gate::Pace;
use slack_revoke::model::{BucketKind, Counts, Status};
use std::time::Duration;

/// Who paces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// One call every 3 s.
    Steady,
    /// One call at the answer of the last, until a 429.
    Greedy,
    /// `--rate auto`.
    Ours,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Played {
    pub oracle_s: f64,
    pub took_s: f64,
    pub kind: Option<BucketKind>,
    pub seen: Seen,
}

#[expect(clippy::cast_precision_loss, reason = "counts and moments of a run")]
impl Played {
    pub fn ratio(&self) -> f64 {
        self.took_s / self.oracle_s
    }

    pub fn limited(&self) -> f64 {
        self.seen.limited as f64 / self.seen.calls as f64
    }

    pub fn paused(&self) -> f64 {
        self.seen.paused as f64 / 1e6
    }

    /// Both runs, one after the other.
    fn and(mut self, other: Self) -> Self {
        self.oracle_s += other.oracle_s;
        self.took_s += other.took_s;
        self.seen.add(other.seen);
        self
    }
}

/// All seeds of a scenario, added up.
pub fn play_seeds(scenario: &Scenario, rows: usize, client: Client) -> Played {
    let runs = scenario.seeds().map(|scenario| play(&scenario, rows, client));
    runs.reduce(Played::and).expect("there is a seed")
}

pub fn policy(scenario: &Scenario, client: Client, teams_of: &[usize]) -> Policy {
    let (pace, bucket, workers) = match client {
        Client::Steady => (Pace::Every(Duration::from_secs(3)), BucketPolicy::Org, Some(1)),
        Client::Greedy => (Pace::Unlimited, BucketPolicy::Org, Some(1)),
        Client::Ours => (Pace::Auto { start: scenario.start, most: scenario.most }, BucketPolicy::Auto, None),
    };
    let mut left = vec![0_u64; scenario.teams.count];
    for &team in teams_of {
        left[team] += 1;
    }
    Policy {
        pace,
        bucket,
        shares_limit: false,
        workers,
        retries: 5,
        max_failures: MaxFailures::Share(0.2),
        deadline: None,
        max_retry_after: Duration::from_mins(15),
        canary: true,
        strict: false,
        seed: 1,
        workspaces: left
            .into_iter()
            .enumerate()
            .filter(|(_, rows)| *rows > 0)
            .map(|(t, rows)| (team(t), rows))
            .collect(),
        rows: teams_of.len() as u64,
        to_send: teams_of.len() as u64,
        bulk_users: 0,
        is_one_workspace: false,
        earlier: Counts::default(),
        earlier_teams: Vec::new(),
    }
}

/// Plays it; every row must have been revoked, once.
pub fn play(scenario: &Scenario, rows: usize, client: Client) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let (seen, kind) = runtime.expect("a runtime").block_on(engine(scenario, rows, client));
    #[expect(clippy::cast_precision_loss, reason = "moments of a run")]
    let seconds = |micros: u64| micros as f64 / 1e6;
    Played { oracle_s: seconds(oracle::shortest(scenario, rows)), took_s: seconds(seen.took), kind, seen }
}

async fn engine(scenario: &Scenario, rows: usize, client: Client) -> (Seen, Option<BucketKind>) {
    let teams_of = scenario.teams_of(rows);
    let policy = policy(scenario, client, &teams_of);
    let clock = Clock::start();
    let server = Server::new(scenario, clock);
    let mut source = Rows::new(&teams_of, scenario.teams.count);
    let trace = client == Client::Ours && std::env::var_os("SIM_TRACE").is_some();
    let mut observer = Counting { server: server.clone(), ended: Vec::with_capacity(rows), trace };
    let end =
        slack_revoke::engine::run(policy, &server, &mut NoStore, &mut source, &mut observer, &mut Undisturbed, clock)
            .await;
    assert_eq!(end.stop, None, "{}", scenario.name);
    assert_eq!(end.counts.of(Status::Revoked), rows as u64, "{}", scenario.name);
    observer.ended.sort_unstable();
    observer.ended.dedup();
    assert_eq!(observer.ended.len(), rows, "{}: each row once", scenario.name);
    (server.with_seen(|seen| seen.clone()), end.bucket)
}
