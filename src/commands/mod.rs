//! One file a subcommand.

pub mod completions;
pub mod console;
pub mod man;
pub mod plan;
pub mod run;
pub mod token;
