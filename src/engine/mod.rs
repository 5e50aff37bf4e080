//! The engine: one dispatcher that owns the rows, the pace and the totals; workers only speak HTTP.
//!
//! [`run`] is the loop. It decides nothing: it hands what happens to [`core::Core`], a synchronous state machine, and
//! carries out what that answers. Time enters in one place, [`clock::Clock`].

mod breaker;
mod buckets;
pub mod clock;
pub mod core;
pub mod gate;
mod gathering;
mod group;
mod meter;
mod outage;
pub mod pacer;
mod pending;
mod permit;
pub mod policy;
pub mod ports;
pub mod retry;
mod run;
mod shared;
mod spacing;
mod suspended;
mod token;
pub mod total;
mod trail;
mod workers;

pub use group::MOST_USERS;
pub use run::{RunEnd, run};
