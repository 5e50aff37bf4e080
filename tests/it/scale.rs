//! Many rows: each recorded once, in memory that hardly grows with them.

use crate::harness::{Peak, TOKEN, Workdir, start};
use slack_revoke::stand_in::{Method, SessionStore, StandInConfig, StandInToken};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

const MILLION: &str = "SLACK_REVOKE_TEST_MILLION";

/// What a million rows may take more than ten thousand, in KiB.
const MOST_GROWTH: u64 = 64 * 1024;

/// Rows of ten workspaces, as many of each.
fn write_rows(path: &Path, rows: u64) {
    let mut file = BufWriter::new(File::create(path).expect("a file in the test's folder"));
    writeln!(file, "team_id,session_id,note").expect("room on the disk");
    for row in 0..rows {
        writeln!(file, "T{},{},seen in the audit log", row % 10, 1_112_275_520_242 + row).expect("room on the disk");
    }
}

/// Each line of the results counts once. The columns are plain, so that no reader of CSV is needed, nor its memory.
fn assert_each_is_revoked(path: &Path, rows: u64) {
    let last = usize::try_from(rows).expect("rows fit into memory as bits") + 1;
    let mut seen = vec![false; last + 1];
    for record in BufReader::new(File::open(path).expect("results")).lines().skip(1) {
        let record = record.expect("text");
        let mut fields = record.split(',').skip(3);
        let line: usize = fields.next().and_then(|line| line.parse().ok()).expect("a line number");
        assert_eq!(fields.next(), Some("revoked"), "{record}");
        assert!(!std::mem::replace(&mut seen[line], true), "line {line} is recorded twice");
    }
    assert!(seen[2..].iter().all(|seen| *seen), "a row has no record");
}

/// Revokes so many sessions and sees to their records; gives what the program used.
fn revoke(rows: u64) -> Peak {
    let tokens = vec![StandInToken::named(TOKEN)];
    let server = start(StandInConfig { store: SessionStore::everything(), tokens, ..StandInConfig::default() });
    let work = Workdir::new();
    write_rows(&work.path("sessions.csv"), rows);
    let program = work.run(&server, "sessions.csv").args(["--rate", "unlimited", "-j", "16"]);
    let (finished, peak) = program.start().wait_watched();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    assert_each_is_revoked(&work.path("sessions.results.csv"), rows);
    let calls = server.stats().of(Method::Invalidate);
    assert_eq!((calls.accepted, server.stats().revoked, server.stats().repeats), (rows, rows, 0));
    assert!(calls.most_in_flight <= 16, "{} calls in flight", calls.most_in_flight);
    println!("{rows} rows: {} KiB, {} ticks\n{}", peak.resident, peak.ticks, finished.stderr());
    peak
}

#[test]
fn a_hundred_thousand_rows_are_recorded_once_each_in_bounded_memory() {
    let (few, many) = (revoke(10_000), revoke(100_000));
    let grown = many.resident.saturating_sub(few.resident);
    assert!(few.resident > 0 && grown < MOST_GROWTH / 4, "{grown} KiB more for ten times the rows");
}

#[test]
fn a_million_rows_take_little_more_memory_than_ten_thousand() {
    if std::env::var_os(MILLION).is_none() {
        println!("left out: takes minutes; {MILLION}=1 runs it");
        return;
    }
    let few = revoke(10_000);
    for rows in [100_000, 300_000, 1_000_000] {
        let grown = revoke(rows).resident.saturating_sub(few.resident);
        assert!(grown < MOST_GROWTH, "{grown} KiB more for {rows} rows");
    }
}
