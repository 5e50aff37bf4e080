//! Random histories of whole runs and of the runs that continue them, in virtual time: the state machine as it is, a Slack that
//! misbehaves in every way that is known, and an oracle that knows which sessions are alive and what was answered.
//!
//! `RANDOM_RUNS=24000 cargo test --lib random` plays more of them, and `RANDOM_SEED=7 RANDOM_RUNS=1` one again, with what
//! happens in it.

mod history;
mod input;
mod oracle;
mod play;
mod slack;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Histories in a plain `cargo test`: a few seconds of it.
const HISTORIES: u64 = 2_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn histories_end_with_one_true_record_for_each_row() {
    let (first, count) = (number("RANDOM_SEED").unwrap_or(1), number("RANDOM_RUNS").unwrap_or(HISTORIES));
    let is_shown = number("RANDOM_SEED").is_some() && count == 1;
    let mut total = history::Played::default();
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| history::play(seed, is_shown))) {
            Ok(played) => total.add(&played),
            Err(panic) => {
                eprintln!("to play it again: RANDOM_SEED={seed} RANDOM_RUNS=1");
                resume_unwind(panic);
            }
        }
    }
    println!("{count} histories: {total:?}");
    assert!(count < HISTORIES || total.is_varied(), "{total:?}");
}
