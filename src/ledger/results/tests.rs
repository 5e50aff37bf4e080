use super::*;
use crate::ledger::columns::{MOST_TEXT, printable};
use crate::ledger::scan::{ResultRecord, records};
use crate::ledger::testing::{ended, fields, inputs, row_of};
use crate::model::{Status, Timestamp};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn columns() -> Fields {
    fields(&["session_id", "note"])
}

fn header() -> ResultsHeader {
    ResultsHeader::new(&columns())
}

#[test]
fn a_record_is_the_row_and_our_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    let mut writer = ResultsWriter::create(&path, &columns()).unwrap();
    let outcome = Outcome {
        error: Some("http_503".into()),
        detail: "bad\u{1b}[2J \"gate\u{9b}way\"\r\n".into(),
        http_status: Some(503),
        attempts: 6,
        rate_limited: 2,
        first_sent_at: Some(Timestamp::from_millis(1_795_459_320_000)),
        request_id: Some("r\n1".into()),
        ..ended(Status::Unknown)
    };
    writer.append([(&row_of(7, &["1112275520242", "a,\"b\"\n"]), &outcome)]).unwrap();
    let (short, long, invalid) = (row_of(9, &["short"]), row_of(10, &["1", "2", "beyond"]), ended(Status::Invalid));
    writer.append([(&short, &invalid), (&long, &invalid)]).unwrap();
    let before_the_end = fs::read_to_string(&path).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        before_the_end,
        "session_id,note,line,status,error,detail,http_status,attempts,rate_limited,first_sent_at,finished_at,request_id\n\
         1112275520242,\"a,\"\"b\"\"\n\",7,unknown,http_503,\"bad[2J \"\"gateway\"\"\",503,6,2,\
         2026-11-23T18:42:00.000Z,2026-11-23T18:42:01.123Z,r1\n\
         short,,9,invalid,,,,0,0,,2026-11-23T18:42:01.123Z,\n\
         1,2,10,invalid,,,,0,0,,2026-11-23T18:42:01.123Z,\n"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), before_the_end);
}

#[test]
fn a_partial_line_of_another_program_is_joined_to_no_record() {
    for added in ["1,2,3,rev", "a line\n"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let mut writer = ResultsWriter::create(&path, &columns()).unwrap();
        writer.append([(&row_of(2, &["1"]), &ended(Status::Revoked))]).unwrap();
        private().append(true).open(&path).unwrap().write_all(added.as_bytes()).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        let refused = writer.append([(&row_of(3, &["2"]), &ended(Status::Revoked))]).unwrap_err();
        assert!(refused.added == 0 && refused.error.to_string().contains("added to"), "{}", refused.error);
        assert!(writer.check().is_err(), "nothing more is sent");
        assert!(writer.finish().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    let writer = ResultsWriter::create(&path, &columns()).unwrap();
    private().append(true).open(&path).unwrap().write_all(b"1").unwrap();
    assert!(writer.finish().is_err(), "nor is it sealed at the end");
}

#[test]
fn a_second_writer_is_turned_away_by_every_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let [path, hard] = ["r.csv", "hard.csv"].map(|name| folder.path().join(name));
    let writer = ResultsWriter::create(&path, &columns()).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    let seen = || FileSnapshot::of(&File::open(&hard).unwrap()).unwrap();
    assert!(matches!(ResultsWriter::resume(&hard, header(), seen(), 0), Err(CreateError::Held(_))));
    drop(writer);
    assert!(ResultsWriter::resume(&hard, header(), seen(), 0).is_ok());
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    assert_eq!(printable("plain"), "plain");
    assert_eq!(printable(&"é".repeat(5000)).chars().count(), MOST_TEXT);
}

#[test]
fn an_existing_file_is_refused_and_a_new_one_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    ResultsWriter::create(&path, &columns()).unwrap().finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(ResultsWriter::create(&path, &columns()), Err(CreateError::Exists(_))));
    let mut replaced = ResultsWriter::replace(&path, &fields(&["other"])).unwrap();
    replaced.append([(&row_of(2, &["1"]), &ended(Status::Revoked))]).unwrap();
    replaced.finish().unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with("other,line,"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let nowhere = folder.path().join("none/r.csv");
    assert!(matches!(ResultsWriter::create(&nowhere, &columns()), Err(CreateError::Io(_))));
}

#[test]
fn a_file_lost_since_takes_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    let mut writer = ResultsWriter::create(&path, &columns()).unwrap();
    fs::remove_file(&path).unwrap();
    writer.syncer.synced_file().tick();
    assert!(writer.check().is_err());
    let error = writer.append([(&row_of(2, &["1"]), &ended(Status::Revoked))]).unwrap_err().error;
    assert!(error.to_string().contains("r.csv was deleted"), "{error}");
    assert!(writer.finish().is_err());
}

#[test]
fn a_file_that_was_changed_or_replaced_since_its_scan_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    fs::write(&path, "1234").unwrap();
    let seen = FileSnapshot::of(&File::open(&path).unwrap()).unwrap();
    fs::write(&path, "123").unwrap();
    assert!(ResultsWriter::resume(&path, header(), seen, 0).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"123");
    assert!(ResultsWriter::resume(&folder.path().join("none"), header(), seen, 0).is_err());
    fs::write(&path, "1234").unwrap();
    fs::rename(&path, folder.path().join("old")).unwrap();
    fs::write(&path, "4321").unwrap();
    let error = ResultsWriter::resume(&path, header(), seen, 0).unwrap_err().to_string();
    assert!(error.contains("changed or replaced"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"4321");
}

/// A full disk takes a part of a record; so does a limit on the size of files, which any user can set. The limit holds
/// for a process, so the test runs itself again under it.
#[test]
fn a_record_that_does_not_fit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact ledger::results::tests::until_it_is_full"])
        .arg(std::env::current_exe().unwrap())
        .env("RESULTS_UNDER_TEST", &path)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    let records: Vec<ResultRecord> = records(&path).unwrap().map(Result::unwrap).collect();
    assert!(fs::read(&path).unwrap().ends_with(b"\n"), "the part that was written is cut back");
    assert!(!records.is_empty());
    for (line, record) in (1..).zip(records) {
        assert_eq!(record.line, line);
    }
}

/// Does nothing by itself: `a_record_that_does_not_fit_leaves_nothing` runs it under a limit on file sizes.
#[test]
fn until_it_is_full() {
    let Some(path) = std::env::var_os("RESULTS_UNDER_TEST") else { return };
    let path = Path::new(&path);
    let mut writer = ResultsWriter::create(path, &columns()).unwrap();
    let rows: Vec<Row> = (1..1000).map(|line| row_of(line, &["1", "2"])).collect();
    let outcome = ended(Status::Revoked);
    let mut added = 0;
    let refused = rows.chunks(7).find_map(|together| {
        let refused = writer.append(together.iter().map(|row| (row, &outcome))).err();
        added += refused.as_ref().map_or(together.len(), |refused| refused.added);
        refused
    });
    let error = refused.expect("the limit is below a thousand records").error.to_string();
    assert!(error.starts_with("can't write ") && error.contains("r.csv"), "{error}");
    assert_eq!(records(path).unwrap().count(), added, "of records written together, those that fit stay");
    let len = fs::metadata(path).unwrap().len();
    assert!(writer.append([(&row_of(1, &["again"]), &outcome)]).is_err(), "there is no room for another");
    assert_eq!(fs::metadata(path).unwrap().len(), len, "however often it is tried");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back((columns, rows) in inputs(12)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let mut writer = ResultsWriter::create(&path, &columns).unwrap();
        for together in rows.chunks(3) {
            writer.append(together.iter().map(|(row, outcome)| (row, outcome))).unwrap();
        }
        drop(writer);
        let found = records(&path).unwrap();
        prop_assert_eq!(found.columns(), &columns);
        let found: Vec<ResultRecord> = found.map(Result::unwrap).collect();
        let want = rows.into_iter().map(|(row, outcome)| ResultRecord { fields: row.fields, line: row.line, outcome });
        prop_assert_eq!(found, want.collect::<Vec<_>>());
    }
}
