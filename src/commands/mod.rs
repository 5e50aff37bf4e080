//! One file a subcommand.

mod checks;
pub mod completions;
mod connection;
pub mod console;
pub mod doctor;
pub mod from_audit;
mod hook;
pub mod list;
pub mod listing;
pub mod man;
mod outputs;
mod quota;
mod rehearsal;
pub mod report;
pub mod resolve;
mod rows;
pub mod run;
mod seal;
pub mod token;
pub mod verify;
mod waiting;
