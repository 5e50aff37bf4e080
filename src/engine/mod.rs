//! The engine: one dispatcher that owns the rows, the rate and the totals, and workers that make the calls.
//!
//! [`run`] is the event loop. It passes every input to [`state_machine::StateMachine`], which is synchronous and decides
//! everything, and carries out the actions that it returns. Only [`clock::Clock`] reads the time.

mod buckets;
mod call_window;
pub mod clock;
mod exchange;
mod health;
mod job;
mod pauses;
mod permit;
pub mod policy;
pub mod ports;
mod rate_estimator;
pub mod rate_gate;
pub mod retry;
mod retry_queue;
mod run;
pub mod run_limit;
mod shared_limit;
mod shared_pace;
mod shared_sessions;
mod spacing;
pub mod state_machine;
mod tally;
mod throughput;
mod user_batch;
mod workers;

pub use run::{RunEnd, run};
pub use user_batch::bulk_calls;
