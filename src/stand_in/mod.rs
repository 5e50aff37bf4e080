//! The stand-in Slack: real HTTP on the loopback address, real limits, and every kind of trouble on demand.
//!
//! `run --rehearse` does a whole run against it, and the project's own tests run against nothing else. It is written from
//! slack.md and shares no code with the client's side of the wire, so that a misreading there is not mirrored here.
//!
//! ```text
//! line ─▶ service ─▶ arguments ─▶ world ─┬ token, bucket ─▶ limiter
//!   ▲        │                           ├ script, faults
//!   └─ answers ◀─────────────────────────┴ sessions
//! ```

mod answers;
mod arguments;
mod bucket;
mod bulk;
mod clock;
mod config;
mod devices;
mod drill;
mod faults;
mod limiter;
mod line;
mod names;
mod server;
mod service;
mod sessions;
mod world;

#[cfg(test)]
mod tests;

pub use arguments::Method;
pub use bucket::Counts;
pub use bulk::BulkCall;
pub use config::{
    Bulk, Config, Identity, Latency, Limit, LimitScope, LimitStatus, Limits, RetryAfter, Token, TokenEnd,
};
pub use devices::{Device, Devices};
pub use drill::REHEARSAL_TOKEN;
pub use faults::{Effect, Fault, Faults, Prescribed, Script, Scripted, StandInReply};
pub use limiter::{LimitKind, Limiter, WindowStart};
pub use server::Server;
pub use sessions::{Population, Session};
pub use world::{BucketStats, Call, Stats};
