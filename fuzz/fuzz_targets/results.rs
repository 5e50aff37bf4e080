//! The results scan: any bytes are refused, or end at a whole record, and what is before that end scans to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slack_revoke::model::ColumnNames;
use slack_revoke::ledger::scan::{records, scan};
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.csv");
    fs::write(&path, bytes).unwrap();
    let Ok(found) = scan(&path, None, &ColumnNames::default()) else { return };
    let valid = usize::try_from(found.valid_len).unwrap();
    assert!(valid <= bytes.len());
    assert!(valid == 0 || bytes[valid - 1] == b'\n');
    assert_eq!(found.recorded.done().is_empty(), found.recorded.window().is_none());
    if let Ok(records) = records(&path) {
        assert_eq!(records.map(Result::unwrap).count() as u64, found.recorded.done().len());
    }
    fs::write(&path, &bytes[..valid]).unwrap();
    assert_eq!(scan(&path, None, &ColumnNames::default()).unwrap(), found);
});
