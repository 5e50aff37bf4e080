//! The cost of the engine does not grow with the input: counted, not timed.

use crate::doubles::{Rows, Undisturbed};
use crate::play::{Client, policy};
use crate::scenario::Scenario;
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::ports::{NoStore, Observer, Permit, Refreshed, Request, SessionApi, Unwritable};
use slack_revoke::model::{Answer, Event, Reply, Snapshot, Status};
use std::cell::Cell;
use std::rc::Rc;

/// Answers at once.
struct Immediate;

impl SessionApi for Immediate {
    fn call(&self, _permit: Permit, _request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        std::future::ready(Some(Reply { http_status: Some(200), ..Reply::bare(Answer::Ok) }))
    }

    async fn refresh_token(&self) -> Refreshed {
        Refreshed::Unchanged
    }
}

/// Counts what the engine tells.
#[derive(Clone, Default)]
struct Told(Rc<Cell<u64>>);

impl Observer for Told {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        self.0.set(self.0.get() + events.len() as u64);
        Ok(())
    }

    fn on_snapshot(&mut self, _snapshot: &Snapshot) {
        self.0.set(self.0.get() + 1);
    }
}

/// Calls, events and batches of a run without limit.
fn steps(rows: usize) -> f64 {
    let plain = Scenario::all().into_iter().find(|scenario| scenario.name == "fixed-20").expect("it is there");
    let teams_of = plain.teams_of(rows);
    let policy = policy(&plain, Client::Greedy, &teams_of);
    let mut source = Rows::new(&teams_of, 1);
    let mut told = Told::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let run = async {
        slack_revoke::engine::run(
            policy,
            &Immediate,
            &mut NoStore,
            &mut source,
            &mut told,
            &mut Undisturbed,
            Clock::start(),
        )
        .await
    };
    let end = runtime.expect("a runtime").block_on(run);
    assert_eq!(end.counts.of(Status::Revoked), rows as u64);
    assert_eq!(end.calls.counts.calls, rows as u64);
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let steps = (told.0.get() + end.calls.counts.calls + source.batches) as f64;
    steps
}

/// Two sizes and the ratio of their steps a row; `SIM_MILLION=1` adds a third.
pub fn print_and_check() {
    let million = std::env::var_os("SIM_MILLION").map(|_| 1_000_000);
    let mut first = None;
    for rows in [100_000, 300_000].into_iter().chain(million) {
        #[expect(clippy::cast_precision_loss, reason = "counts")]
        let each = steps(rows) / rows as f64;
        let ratio = each / *first.get_or_insert(each);
        println!("{rows:>9} rows: {each:.4} steps a row, {ratio:.4} of the first");
        assert!((0.99..=1.01).contains(&ratio), "steps a row must not depend on the rows");
    }
}
