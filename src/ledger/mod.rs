//! Everything that lasts: the input, the results, the manifest and the journal.

pub mod aside;
pub mod carried;
mod cell;
pub mod journal;
pub mod listed;
pub mod listing;
pub mod manifest;
pub mod page;
pub mod paths;
mod record;
pub mod remaining;
pub mod results;
pub mod resume;
pub mod scan;
mod scan_error;
pub mod seal;
mod sync;
pub mod table;
pub mod verified;
mod whole;

#[cfg(test)]
mod testing;
