//! The whole engine in virtual time, against limits that it cannot see (pacing.md, "How it is judged").
//!
//! `cargo test --test sim -- --nocapture table` prints the table; `SIM_ONLY=part-of-a-name` plays some of it and
//! `SIM_TRACE=1` tells what happens.

mod doubles;
mod limiter;
mod oracle;
mod play;
mod scenario;
mod server;
mod table;

#[test]
fn table() {
    table::print_and_check();
}
