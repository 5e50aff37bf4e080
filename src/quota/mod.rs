//! The state of the rate limits outside the process, shared by runs: who is using a limit, the calls of the last
//! minute, and until when it is closed. An optimization, never a dependency.

mod file;
mod limits;
pub mod record;
mod redis_store;
pub mod share;

pub use file::{FileStore, folder};
pub use limits::{Backend, SharedLimits};
pub use redis_store::RedisStore;
