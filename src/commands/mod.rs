//! One file a subcommand.

mod age;
mod checks;
pub mod completions;
pub mod console;
pub mod doctor;
mod identify;
pub mod list;
pub mod listing;
pub mod man;
mod outputs;
pub mod plan;
pub mod report;
pub mod resolve;
mod rows;
pub mod run;
mod terminal;
pub mod token;
pub mod verify;
mod waiting;
