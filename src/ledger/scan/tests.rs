use super::*;
use crate::ledger::results::ResultsWriter;
use crate::ledger::testing::{ended, fields, row_of};
use crate::model::{ColumnNames, Status, Timestamp};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const HEADER: &str = "Team_ID,user_id,session_id,line,status,error,detail,http_status,attempts,rate_limited,\
                      first_sent_at,finished_at,request_id\n";
const GOOD: &str = "T1,U1,7,2,revoked,,,200,1,0,2026-11-23T18:42:01.123Z,2026-11-23T18:42:02.000Z,r1\n";

fn columns() -> Fields {
    fields(&["Team_ID", "user_id", "session_id"])
}

fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    fs::write(&path, content).unwrap();
    (folder, path)
}

#[test]
fn a_scan_tells_what_is_done_what_remains_and_the_totals() {
    let (folder, _) = file(b"");
    let path = folder.path().join("new.csv");
    let mut writer = ResultsWriter::create(&path, &columns()).unwrap();
    let mut counted = Recorded::default();
    for (line, status) in (2..).zip(Status::ALL) {
        let (row, mut outcome) = (row_of(line, &["T1", if line % 2 == 0 { "U1" } else { "bad" }, "7"]), ended(status));
        outcome.first_sent_at = (line == 2).then(|| Timestamp::from_millis(5));
        writer.append([(&row, &outcome)]).unwrap();
        assert!(counted.add(&row, ColumnNames::default().find(&columns().iter()).unwrap(), &outcome));
        assert!(
            !counted.add(&row, ColumnNames::default().find(&columns().iter()).unwrap(), &outcome),
            "a line ends once"
        );
    }
    writer.finish().unwrap();

    let scan = scan(&path, Some(&columns()), &ColumnNames::default()).unwrap();
    assert_eq!(scan.recorded, counted, "a run counts as a scan does");
    assert_eq!(scan.valid_len, fs::metadata(&path).unwrap().len());
    assert_eq!(scan.recorded.done().iter().collect::<Vec<_>>(), (2..11).collect::<Vec<_>>());
    for (line, status) in (2..).zip(Status::ALL) {
        for strict in [false, true] {
            assert_eq!(scan.recorded.remains(line, strict), status.remains(strict), "{status:?}");
        }
    }
    assert!(scan.recorded.remains(99, false), "a row that has not ended remains");
    assert_eq!((scan.recorded.remaining(false), scan.recorded.remaining(true)), (3, 4));
    assert_eq!(scan.recorded.tally().teams()[&TeamId::parse("T1").unwrap()].ended(), 9);
    assert_eq!(scan.recorded.tally().of_user(&UserId::parse("U1").unwrap()).ended(), 5);
    let window = Window { from: Timestamp::from_millis(5), to: ended(Status::Revoked).finished_at };
    assert_eq!(scan.recorded.window(), Some(window));
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    for content in [
        "session_id,team_id\n1,T1\n",
        "hello",
        "\"",
        "\n",
        "Team_ID,user_id,session_id,line,status\n",
        "Team_ID;user_id;session_id",
        "Team_ID,user_id,session_id,line,status,error,detail,http_status,attempts,rate_limited,first_sent_at,finished_at,id\n",
        "\0\0\0\0",
        "note,Team_ID\0\0x",
        "note\0\0,Team_ID",
    ] {
        let (_folder, path) = file(content.as_bytes());
        assert!(
            matches!(scan(&path, Some(&columns()), &ColumnNames::default()), Err(ScanError::NotResults(_))),
            "{content:?}"
        );
        assert!(records(&path).is_err(), "{content:?}");
    }
    let (_folder, path) = file(&vec![b'x'; 6 << 20]);
    assert!(
        matches!(scan(&path, None, &ColumnNames::default()), Err(ScanError::NotResults(_))),
        "no header is that long"
    );
}

/// A power loss can leave a length that arrived, and zeros where the data did not.
#[test]
fn a_header_that_ends_in_zeros_is_torn() {
    for content in ["Team_ID,user\0\0\0", "Team_ID,user_id,session_id,li\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
        let (_folder, path) = file([content.as_bytes(), &[0; 300]].concat().as_slice());
        let scan = scan(&path, Some(&columns()), &ColumnNames::default()).unwrap();
        assert_eq!((scan.valid_len, scan.columns()), (0, None));
    }
}

#[test]
fn results_of_another_input_name_both_headers() {
    let (_folder, path) = file(HEADER.as_bytes());
    let text = scan(&path, Some(&fields(&["session_id", "team_id"])), &ColumnNames::default()).unwrap_err().to_string();
    assert!(text.contains("Team_ID,user_id,session_id,") && text.contains("has session_id,team_id;"), "{text}");
    assert_eq!(scan(&path, None, &ColumnNames::default()).unwrap().columns(), Some(&columns()));
}

#[test]
fn damage_in_the_middle_is_told_by_line_and_column() {
    let cases: [(&[u8], &str); 12] = [
        (b"T1,U1,7,2,revoked\n", "5 columns of 13"),
        (b"T1,U1,7,0,revoked,,,200,1,0,,2026-11-23T18:42:02.000Z,\n", "`line`"),
        (b"T1,U1,7,x,revoked,,,200,1,0,,2026-11-23T18:42:02.000Z,\n", "`line`"),
        (b"T1,U1,7,3,Revoked,,,200,1,0,,2026-11-23T18:42:02.000Z,\n", "`status`"),
        (b"T1,U1,7,3,revoked,,,2000000,1,0,,2026-11-23T18:42:02.000Z,\n", "`http_status`"),
        (b"T1,U1,7,3,revoked,,,200,,0,,2026-11-23T18:42:02.000Z,\n", "`attempts`"),
        (b"T1,U1,7,3,revoked,,,200,1,-,,2026-11-23T18:42:02.000Z,\n", "`rate_limited`"),
        (b"T1,U1,7,3,revoked,,,200,1,0,now,2026-11-23T18:42:02.000Z,\n", "`first_sent_at`"),
        (b"T1,U1,7,3,revoked,,,200,1,0,,,\n", "`finished_at`"),
        (b"T1,U1,7,3,revoked,,\xff,200,1,0,,2026-11-23T18:42:02.000Z,\n", "UTF-8"),
        (b"T1,U1,7,3,revoked,,,200,1,0,,2026-11-23T18:42:02.000Z,,\n", "14 columns of 13"),
        (b"T1,U1,7,2,failed,,,200,1,0,,2026-11-23T18:42:02.000Z,\n", "row 2 of the input has a record already"),
    ];
    for (damaged, want) in cases {
        let (_folder, path) = file(&[HEADER.as_bytes(), GOOD.as_bytes(), damaged, b"torn"].concat());
        let text = scan(&path, Some(&columns()), &ColumnNames::default()).unwrap_err().to_string();
        assert!(text.contains(want) && text.contains("line 3"), "{text}");
    }
}

#[test]
fn a_record_that_never_ends_is_not_read_into_memory() {
    let (_folder, path) = file(&[HEADER.as_bytes(), GOOD.as_bytes(), b"\"", &vec![b'\n'; 6 << 20]].concat());
    let error = scan(&path, Some(&columns()), &ColumnNames::default()).unwrap_err();
    assert!(matches!(error, ScanError::Damaged { line: 3, damage: Damage::TooLong, .. }), "{error}");
    let mut records = records(&path).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none(), "an error ends the records");
}

#[test]
fn a_missing_file_and_an_empty_one_differ() {
    let (folder, path) = file(b"");
    let found = scan(&path, Some(&columns()), &ColumnNames::default()).unwrap();
    assert_eq!((found.valid_len, found.columns(), &found.recorded), (0, None, &Recorded::default()));
    assert!(matches!(scan(&folder.path().join("none"), None, &ColumnNames::default()), Err(ScanError::Missing(_))));
}

#[test]
fn zeros_that_a_power_loss_left_are_a_torn_tail() {
    let whole = [HEADER.as_bytes(), GOOD.as_bytes()].concat();
    let (_folder, path) = file(&[whole.as_slice(), &[0; 5000]].concat());
    assert_eq!(scan(&path, Some(&columns()), &ColumnNames::default()).unwrap().valid_len, whole.len() as u64);
}

proptest::proptest! {
    #[test]
    fn any_bytes_end_at_a_whole_record_or_are_refused(
        rows in 0..4_usize,
        edits in proptest::collection::vec((0..400_usize, proptest::prelude::any::<u8>()), 0..4),
        tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
    ) {
        let records = (2..).take(rows).map(|line| GOOD.replace(",2,revoked", &format!(",{line},revoked")));
        let mut bytes = records.fold(HEADER.to_owned(), |text, record| text + &record).into_bytes();
        bytes.extend(tail);
        for (at, byte) in edits {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let (_folder, path) = file(&bytes);
        if let Ok(found) = scan(&path, None, &ColumnNames::default()) {
            let valid = usize::try_from(found.valid_len).unwrap();
            proptest::prop_assert!(valid <= bytes.len() && (valid == 0 || bytes[valid - 1] == b'\n'));
            fs::write(&path, &bytes[..valid]).unwrap();
            let again = scan(&path, None, &ColumnNames::default()).unwrap();
            proptest::prop_assert_eq!((again.valid_len, again.columns()), (found.valid_len, found.columns()));
            proptest::prop_assert_eq!((again.recorded, again.carried), (found.recorded, found.carried));
        }
    }
}
