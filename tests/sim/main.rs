//! The whole engine in virtual time, against limits that it cannot see (pacing.md, "How it is judged").
//!
//! `cargo test --test sim -- --nocapture table` prints the table; `SIM_ONLY=part-of-a-name` plays some of it and
//! `SIM_TRACE=1` tells what happens; `SIM_ROWS=1000` keeps to one number of rows, `SIM_OURS=1` to our pace.
//! A scenario with refusals by chance is played with three seeds, whose runs are added up. "shown" is the estimate displayed last,
//! and "misses" the ratio and the share of 429s that are required and not reached yet.
//! `SIM_WIDER=1` adds more scenarios of the pacing issue's kinds to the table.
//! `SIM_BUCKETS=all` plays every case of one bucket or many, instead of a sample.
//! `SIM_WORST=1` names the worst servers of the sweep and `SIM_MILLION=1` adds a million rows to the linear ones.

mod buckets;
mod doubles;
mod idle;
mod limiter;
mod linear;
mod oracle;
mod play;
mod scenario;
mod server;
mod shared;
mod sweep;
mod table;

#[test]
fn table() {
    table::print_and_check();
}

#[test]
fn sweep() {
    sweep::print_and_check();
}

#[test]
fn buckets() {
    buckets::print_and_check();
}

#[test]
fn linear() {
    linear::print_and_check();
}

#[test]
fn shared() {
    shared::print_and_check();
}

#[test]
fn idle() {
    idle::print_and_check();
}
