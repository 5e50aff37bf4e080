//! The stand-in for Slack: real HTTP on the loopback address, real limits, and all kinds of faults.
//!
//! `run --rehearse` and the tests use it. It is written from slack.md and shares no code with the client's side of
//! the protocol, so that an error in one isn't repeated in the other.
//!
//! ```text
//! stream ─▶ service ─▶ arguments ─▶ state ─┬ token, bucket ─▶ limiter
//!   ▲          │                           ├ script, faults
//!   └── answers ◀─────────────────────────┴ sessions
//! ```

mod answers;
mod arguments;
mod config;
mod defaults;
mod devices;
mod faults;
mod faulty_stream;
mod interner;
mod limiter;
mod reset_bulk;
mod server;
mod service;
mod sessions;
mod state;

#[cfg(test)]
mod tests;

pub use arguments::Method;
pub use config::{
    BulkConfig, Latency, Limit, LimitScope, LimitStatus, MethodLimits, RetryAfter, StandInConfig, StandInToken,
    StandInUser, TokenEnd, TokenIdentity,
};
pub use defaults::REHEARSAL_TOKEN;
pub use devices::{ListedDevice, SessionDevices};
pub use faults::{Effect, FaultRates, InjectedFault, RepeatedReply, ReplyScript, ScriptedReply, StandInReply};
pub use limiter::{BucketCounts, LimitKind, Limiter, WindowStart};
pub use reset_bulk::BulkCall;
pub use server::Server;
pub use sessions::{Session, SessionStore};
pub use state::{BucketStats, CallRecord, Stats};
