//! Several engines on one limit, with the state of it in one store: joining, leaving, dying, and an incident in between.

use crate::doubles::{Counting, Rows, Undisturbed};
use crate::limiter::{Limiter, SECOND};
use crate::play::{Client, policy};
use crate::scenario::Scenario;
use crate::server::{Seen, Server};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::policy::Policy;
use slack_revoke::engine::ports::{Control, LimitNews, LimitReport, QuotaStore, Signal};
use slack_revoke::model::{Priority, Status, StopReason, Timestamp};
use slack_revoke::quota::record::{BucketRecord, Member};
use slack_revoke::quota::{Backend, SharedLimits};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// A store in memory; its clock is the paused one.
#[derive(Debug, Clone)]
struct Store {
    records: Rc<RefCell<HashMap<String, BucketRecord>>>,
    clock: Clock,
}

impl Backend for Store {
    async fn step<T>(&mut self, key: &str, change: impl Fn(&mut BucketRecord, Timestamp) -> T) -> Result<T, Box<str>> {
        let millis = i64::try_from(self.clock.elapsed().as_millis()).expect("a short run");
        Ok(change(self.records.borrow_mut().entry(key.to_owned()).or_default(), Timestamp::from_millis(millis)))
    }
}

/// One of the runs.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rows: usize,
    from_s: u64,
    priority: Priority,
    /// It's killed then, without a word to the others.
    dies_s: Option<u64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls")]
impl Played {
    fn took(&self) -> f64 {
        self.ended.iter().flatten().copied().fold(0.0, f64::max)
    }

    fn limited(&self) -> f64 {
        100.0 * self.seen.limited as f64 / self.seen.calls as f64
    }
}

impl Plan {
    fn of(rows: usize) -> Self {
        Self { rows, from_s: 0, priority: Priority::Normal, dies_s: None }
    }
}

/// What came of them: what the server saw, and when each run ended, in seconds; `None` if it died.
struct Played {
    seen: Seen,
    ended: Vec<Option<f64>>,
}

#[expect(clippy::cast_precision_loss, reason = "seconds")]
fn play(scenario: &Scenario, plans: &[Plan]) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), async {
        let clock = Clock::start_at(Duration::from_secs(PAST));
        let server = Server::new(scenario, clock);
        let store = Store { records: Rc::default(), clock };
        let mut runs = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            let (server, store, scenario, plan) = (server.clone(), store.clone(), scenario.clone(), *plan);
            runs.push(tokio::task::spawn_local(async move {
                clock.sleep_until(Duration::from_secs(PAST + plan.from_s)).await;
                let death = async {
                    match plan.dies_s {
                        Some(at) => clock.sleep_until(Duration::from_secs(PAST + at)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = death => None,
                    () = engine(&scenario, &plan, number, server, store, clock) => Some(clock.elapsed().as_secs_f64() - PAST as f64),
                }
            }));
        }
        let mut ended = Vec::new();
        for run in runs {
            ended.push(run.await.expect("no panic"));
        }
        Played { seen: server.with_seen(|seen| seen.clone()), ended }
    })
}

/// What was before the first run has a time too.
const PAST: u64 = 120;

async fn engine(scenario: &Scenario, plan: &Plan, number: usize, server: Server, store: Store, clock: Clock) {
    let teams_of = scenario.teams_of(plan.rows);
    let policy = Policy { shares_limit: true, ..policy(scenario, Client::Ours, &teams_of) };
    let mut source = Rows::new(&teams_of, 1);
    let me = Member { id: format!("run {number}"), host: "here".into(), priority: plan.priority };
    let mut quota = SharedLimits::new(store, || clock.elapsed(), me, "slack.com E1 invalidate".into());
    let trace = std::env::var("SIM_TRACE").is_ok_and(|run| run == number.to_string());
    let mut observer = Counting { server: server.clone(), ended: Vec::new(), trace };
    let end =
        slack_revoke::engine::run(policy, &server, &mut quota, &mut source, &mut observer, &mut Undisturbed, clock)
            .await;
    assert_eq!((end.stop, end.counts.of(Status::Revoked)), (None, plan.rows as u64));
}

/// When each run would end if every call left at its moment, and always for the run that is furthest behind its part.
fn fair(scenario: &Scenario, plans: &[Plan], latency: u64) -> Vec<f64> {
    let mut limiter = Limiter::new(scenario.limiter, scenario.window_s, &scenario.limits);
    let mut left: Vec<usize> = plans.iter().map(|plan| plan.rows).collect();
    let (mut credit, mut ended) = (vec![0.0; plans.len()], vec![0.0; plans.len()]);
    let mut at = 0;
    while left.iter().any(|rows| *rows > 0) {
        let is_there = |run: &usize| plans[*run].from_s * SECOND <= at && left[*run] > 0;
        let there: Vec<usize> = (0..plans.len()).filter(is_there).collect();
        if there.is_empty() {
            at = plans.iter().map(|plan| plan.from_s * SECOND).filter(|from| *from > at).min().expect("one to come");
            continue;
        }
        if let Err(wait) = limiter.arrive(at) {
            let next = plans.iter().map(|plan| plan.from_s * SECOND).filter(|from| *from > at).min();
            at = next.map_or(at + wait, |next| next.min(at + wait));
            continue;
        }
        let all: usize = there.iter().map(|run| left[*run]).sum();
        for run in &there {
            #[expect(clippy::cast_precision_loss, reason = "rows")]
            let part = left[*run] as f64 / all as f64;
            credit[*run] += part;
        }
        let next = *there.iter().max_by(|one, other| credit[**one].total_cmp(&credit[**other])).expect("one");
        credit[next] -= 1.0;
        left[next] -= 1;
        #[expect(clippy::cast_precision_loss, reason = "moments")]
        let now = (at + latency) as f64 / 1e6;
        ended[next] = now;
    }
    ended
}

fn scenario(name: &str) -> Scenario {
    Scenario::all().into_iter().find(|scenario| scenario.name == name).expect("it is there")
}

/// A store that never answers.
struct Silent;

impl QuotaStore for Silent {
    async fn exchange(&mut self, _: LimitReport) -> Result<LimitNews, Box<str>> {
        std::future::pending().await
    }
}

/// Asks the run to stop after ten seconds.
struct StopSoon(Clock);

impl Control for StopSoon {
    async fn next(&mut self) -> Signal {
        self.0.sleep_until(Duration::from_secs(PAST + 10)).await;
        Signal::Drain(StopReason::Interrupted)
    }
}

/// The loop goes on while the store doesn't: a signal is heard, and the end isn't waited for long.
fn check_silence() {
    let scenario = scenario("sliding-20");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let clock = Clock::start_at(Duration::from_secs(PAST));
        let server = Server::new(&scenario, clock);
        let teams_of = scenario.teams_of(100);
        let policy = Policy { shares_limit: true, ..policy(&scenario, Client::Ours, &teams_of) };
        let mut source = Rows::new(&teams_of, 1);
        let mut observer = Counting { server: server.clone(), ended: Vec::new(), trace: false };
        let mut stop = StopSoon(clock);
        let end =
            slack_revoke::engine::run(policy, &server, &mut Silent, &mut source, &mut observer, &mut stop, clock).await;
        assert_eq!((end.stop, end.aborted), (Some(StopReason::Interrupted), false));
        assert!(clock.elapsed() <= Duration::from_secs(PAST + 12), "{:?}", clock.elapsed());
    });
}

pub fn print_and_check() {
    check_silence();
    check_deaths();
    check_incident();
    check_resume();
    println!(
        "\n{:<18} {:<22} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "server", "runs", "took", "alone", "oracle", "ratio", "429s %", "inside", "worst"
    );
    let mut is_well = true;
    for server in ["sliding-20", "sliding-60", "bucket-20-burst-5"] {
        let server = scenario(server);
        for rows in [&[100, 100][..], &[1000, 1000], &[100; 3], &[100; 8], &[2000, 500, 100]] {
            is_well &= check(&server, &rows.iter().map(|rows| Plan::of(*rows)).collect::<Vec<_>>());
        }
        let joining = [Plan::of(1000), Plan { from_s: 300, ..Plan::of(500) }, Plan { from_s: 900, ..Plan::of(1000) }];
        is_well &= check(&server, &joining);
    }
    is_well &= check(&scenario("sliding-60"), &[Plan::of(5000), Plan::of(100)]);
    assert!(is_well, "see the table");
}

/// As one run with all the rows would, and each in its time.
#[expect(clippy::cast_precision_loss, reason = "seconds")]
#[must_use]
fn check(scenario: &Scenario, plans: &[Plan]) -> bool {
    let played = play(scenario, plans);
    let latency = scenario.latency.ms.0 * 1000;
    let fair = fair(scenario, plans, latency);
    let oracle = fair.iter().copied().fold(0.0, f64::max);
    let all = Plan::of(plans.iter().map(|plan| plan.rows).sum());
    let joined = plans.iter().any(|plan| plan.from_s > 0);
    let alone = if joined { oracle } else { play(scenario, &[all]).took() };
    let own = |run: usize| {
        let from = plans[run].from_s as f64;
        (played.ended[run].expect("it ends") - from) / (fair[run] - from)
    };
    let worst = (0..plans.len()).map(own).fold(0.0, f64::max);
    let limited = played.limited();
    let names: Vec<_> = plans.iter().map(|plan| plan.rows.to_string()).collect();
    let names = if plans.len() > 4 { format!("{} x {}", plans.len(), names[0]) } else { names.join("+") };
    let (took, ratio, inside) = (played.took(), played.took() / oracle, played.seen.inside);
    println!(
        "{:<18} {names:<22} {took:>6.0} {alone:>6.0} {oracle:>6.0} {ratio:>6.3} {limited:>6.2} {inside:>6} {worst:>6.3}",
        scenario.name
    );
    // What one run loses to finding out the limit isn't the others' doing.
    let most = f64::max(1.1, 1.08 * alone / oracle);
    let is_well = ratio <= most && worst <= f64::max(1.2, most) && limited <= 1.1 && inside == 0;
    if !is_well {
        println!("{:<18} {names:<22} at most {most:.3}", "NOT AS REQUIRED");
    }
    is_well
}

/// A run that is killed gives its share back when its lease ends.
fn check_deaths() {
    let scenario = scenario("sliding-60");
    let dying = Plan { dies_s: Some(600), ..Plan::of(2000) };
    let played = play(&scenario, &[Plan::of(1000), dying]);
    // 60 a minute until then, half of them the survivor's, and all afterwards.
    let done = 600.0 / 3.0;
    let fair = 600.0 + (1000.0 - done);
    println!("killed after 600 s: the other ended after {:.0} s, at best {fair:.0} s", played.took());
    assert_eq!((played.ended[1], played.seen.inside), (None, 0));
    assert!(played.took() < fair * 1.05 + 15.0, "{}", played.took());
}

/// An incident that begins during a nightly run has the limit almost to itself.
fn check_incident() {
    for server in ["sliding-20", "sliding-60", "bucket-20-burst-5"] {
        let scenario = scenario(server);
        let incident = Plan { from_s: 1800, priority: Priority::Incident, ..Plan::of(100) };
        let took = |played: &Played| played.ended[1].expect("it ends") - 1800.0;
        let alone = took(&play(&scenario, &[Plan { dies_s: Some(1780), ..Plan::of(5000) }, incident]));
        let played = play(&scenario, &[Plan::of(5000), incident]);
        let nightly = played.ended[0].expect("it completes");
        println!(
            "{server}: an incident of 100 rows took {:.0} s during a nightly run of 5,000 ({nightly:.0} s), {alone:.0} s without it",
            took(&played)
        );
        assert!(took(&played) <= 1.15 * alone && played.seen.inside == 0, "{server}");
    }
}

/// A run that goes on after a death inside a pause waits for its end, and knows the limit.
fn check_resume() {
    let scenario = scenario("sliding-20");
    let plans = [Plan { dies_s: Some(20), ..Plan::of(1000) }, Plan { from_s: 21, ..Plan::of(1000) }];
    let played = play(&scenario, &plans);
    println!("resumed inside a pause: {:.2} % 429s, {} calls inside it", played.limited(), played.seen.inside);
    assert!(played.seen.inside == 0 && played.limited() < 1.0);
}
