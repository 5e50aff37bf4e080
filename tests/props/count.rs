//! What was played, to be printed at the end.

use crate::weather::Meaning;
use slack_revoke::model::{Answer, ErrorCode};
use std::collections::BTreeMap;
use std::sync::Mutex;

static COUNTS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

pub fn add(what: &str, many: u64) {
    *COUNTS.lock().expect("no panic while it is held").entry(what.into()).or_default() += many;
}

pub fn answer(answer: &Answer) {
    add(&format!("answer: {:?}", Meaning::of(answer)), 1);
    if let Answer::Refused(ErrorCode::Other(_)) = answer {
        add("answer: a code that is not listed", 1);
    }
}

pub fn of(what: &str) -> u64 {
    COUNTS.lock().expect("no panic while it is held").get(what).copied().unwrap_or(0)
}

pub fn print() {
    for (what, many) in &*COUNTS.lock().expect("no panic while it is held") {
        println!("{many:>9}  {what}");
    }
}
