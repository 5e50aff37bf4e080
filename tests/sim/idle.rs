//! What waiting costs the dispatcher: an hour at 20 calls a minute, counted, not timed.

use crate::doubles::Rows;
use crate::play::{Client, policy};
use crate::scenario::Scenario;
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::policy::Policy;
use slack_revoke::engine::ports::{
    Batch, Control, NoStore, Observer, Permit, Refreshed, Request, RowSource, SessionApi, Signal, Unwritable, Want,
};
use slack_revoke::engine::rate_gate::Pace;
use slack_revoke::model::{Answer, Event, Reply, Snapshot, Status, StopReason};
use std::time::Duration;

/// 20 calls a minute for an hour.
const CALLS: u64 = 1200;

/// A call wakes the dispatcher when it may be sent and when it is answered; each of the two is shown in the same turn.
const TURNS_A_CALL: u64 = 2;

/// How soon an answer comes: before a snapshot's time is over, and after it.
const LATENCIES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(200)];

/// Answers after so long.
struct Unhurried(Duration);

impl SessionApi for Unhurried {
    fn call(&self, _permit: Permit, _request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        let latency = self.0;
        async move {
            tokio::time::sleep(latency).await;
            Some(Reply { http_status: Some(200), ..Reply::bare(Answer::Ok) })
        }
    }

    async fn refresh_token(&self) -> Refreshed {
        Refreshed::Unchanged
    }
}

/// Counts the pictures.
#[derive(Default)]
struct Pictures(u64);

impl Observer for Pictures {
    fn on_events(&mut self, _events: &[Event]) -> Result<(), Unwritable> {
        Ok(())
    }

    fn on_snapshot(&mut self, _snapshot: &Snapshot) {
        self.0 += 1;
    }
}

/// Never interrupts, and counts how often the dispatcher sits down to wait: it asks for signals each time.
#[derive(Default)]
struct Turns(u64);

impl Control for Turns {
    async fn next(&mut self) -> Signal {
        self.0 += 1;
        std::future::pending().await
    }
}

/// An hour, and what the dispatcher did in it.
pub fn print_and_check() {
    LATENCIES.into_iter().for_each(check);
    check_a_source_that_failed();
}

/// Gives some rows, then an error as often as it is asked.
struct Failing(Rows, u64);

impl RowSource for Failing {
    fn request(&mut self, want: Want) {
        self.0.request(want);
    }

    async fn next(&mut self) -> Result<Batch, StopReason> {
        if self.0.batches == 0 {
            return self.0.next().await;
        }
        self.1 += 1;
        assert!(self.1 < 1_000, "the dispatcher asks a broken source again and again");
        Err(StopReason::Unreadable("the disk is broken".into()))
    }
}

/// An input that can't be read on ends the run after the calls in flight, with nothing done meanwhile.
fn check_a_source_that_failed() {
    let plain = Scenario::all().into_iter().find(|scenario| scenario.name == "fixed-20").expect("it is there");
    let teams_of = plain.teams_of(1_000);
    let policy = Policy { pace: Pace::Unlimited, canary: false, ..policy(&plain, Client::Steady, &teams_of) };
    let mut source = Failing(Rows::new(&teams_of, 1), 0);
    let (mut pictures, mut turns) = (Pictures::default(), Turns::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let api = Unhurried(Duration::from_secs(20));
    let run = async {
        slack_revoke::engine::run(policy, &api, &mut NoStore, &mut source, &mut pictures, &mut turns, Clock::start())
            .await
    };
    let end = runtime.expect("a runtime").block_on(run);
    assert!(matches!(end.stop, Some(StopReason::Unreadable(_))), "{:?}", end.stop);
    assert_eq!(source.1, 1, "a broken source is asked once");
    assert!(end.counts.of(Status::Revoked) > 0, "calls in flight are waited for");
}

fn check(latency: Duration) {
    let plain = Scenario::all().into_iter().find(|scenario| scenario.name == "fixed-20").expect("it is there");
    let teams_of = plain.teams_of(usize::try_from(CALLS).expect("a small number"));
    let policy = policy(&plain, Client::Steady, &teams_of);
    let mut source = Rows::new(&teams_of, 1);
    let (mut pictures, mut turns) = (Pictures::default(), Turns::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let run = async {
        slack_revoke::engine::run(
            policy,
            &Unhurried(latency),
            &mut NoStore,
            &mut source,
            &mut pictures,
            &mut turns,
            Clock::start(),
        )
        .await
    };
    let end = runtime.expect("a runtime").block_on(run);
    assert_eq!((end.counts.of(Status::Revoked), end.calls.counts.calls), (CALLS, CALLS));
    let minutes = end.elapsed.as_secs() / 60;
    assert_eq!(minutes, 59, "the last of them needs no time behind it");
    println!(
        "{minutes} minutes, {CALLS} calls of {latency:?}: {} turns of the dispatcher, {} pictures",
        turns.0, pictures.0
    );
    assert!(turns.0 <= TURNS_A_CALL * CALLS + source.batches + 1, "the dispatcher woke for nothing");
    // One before the first call, and the last.
    assert!(pictures.0 <= TURNS_A_CALL * CALLS + 2, "a picture without news");
}
