//! Whose problem an answer shows: the row's, its workspace's, the token's, or the whole run's.

pub mod breaker;
pub mod outage;
pub mod suspended;
pub mod token;
