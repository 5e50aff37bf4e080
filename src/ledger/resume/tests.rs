use super::*;
use crate::ledger::results::ResultsWriter;
use crate::ledger::scan::{ResultRecord, Scan, ScanError, records, scan};
use crate::ledger::testing::{ended, fields, inputs, row_of};
use crate::model::{ColumnNames, Fields, Outcome, Row, Status, Timestamp};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const SAME: InputMatch = InputMatch::Same;

#[expect(clippy::unnecessary_wraps, reason = "reads in the tables as what it stands for")]
fn prior(rehearsal: bool, complete: bool, input: InputMatch) -> Option<Prior> {
    let (recorded_sha256, given_sha256) = ("aa".into(), "bb".into());
    Some(Prior {
        rehearsal,
        complete,
        rows: 3,
        ended_before: 0,
        input,
        recorded_sha256,
        given_sha256,
        seal: Seal::Intact,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "reads in the tables as what it stands for")]
fn found(valid_len: u64, done: &[u64]) -> Option<ExistingResults> {
    Some(ExistingResults { valid_len, done: done.iter().copied().collect() })
}

fn lines(lines: &[u64]) -> PossiblySent {
    PossiblySent::Lines(lines.iter().copied().collect())
}

#[expect(clippy::unnecessary_wraps, reason = "reads in the tables as what it stands for")]
fn goes_on(valid_len: u64, done: &[u64], maybe_sent: PossiblySent) -> Result<Start, Refusal> {
    Ok(Start::Continue { valid_len, done: done.iter().copied().collect(), maybe_sent })
}

#[test]
fn without_resume_nothing_may_be_there() {
    let ask = ResumeRequest { wants: OnExisting::Fresh, rehearsal: false };
    let there = Some(ExistingResults::default());
    assert_eq!(decide(ask, None, None, None), Ok(Start::Fresh(NewRunReason::FirstRun)));
    assert_eq!(decide(ask, None, None, Some(lines(&[2]))), Ok(Start::Fresh(NewRunReason::FirstRun)));
    assert_eq!(decide(ask, None, there.clone(), None), Err(Refusal::Exists));
    assert_eq!(decide(ask, prior(false, true, SAME), None, None), Err(Refusal::Exists));
    assert_eq!(decide(ask, prior(true, true, SAME), there, None), Err(Refusal::Exists));
}

#[test]
fn a_resumption_goes_by_the_manifest() {
    let ask = ResumeRequest { wants: OnExisting::Resume, rehearsal: false };
    let other = InputMatch::Other;
    let table = [
        (None, None, None, Ok(Start::Fresh(NewRunReason::NothingToResume))),
        (None, found(0, &[]), None, Ok(Start::Fresh(NewRunReason::NothingWritten))),
        // Killed between its header and its manifest.
        (None, found(90, &[]), None, Ok(Start::Fresh(NewRunReason::NothingWritten))),
        (None, found(90, &[2]), Some(lines(&[2])), Err(Refusal::NoManifest)),
        (prior(false, false, SAME), found(120, &[2]), Some(lines(&[2, 3])), goes_on(120, &[2], lines(&[2, 3]))),
        (prior(false, false, InputMatch::Appended), found(120, &[2]), Some(lines(&[])), goes_on(120, &[2], lines(&[]))),
        (prior(false, false, SAME), None, Some(lines(&[2])), goes_on(0, &[], lines(&[2]))),
        (prior(false, false, SAME), found(0, &[]), Some(lines(&[2])), goes_on(0, &[], lines(&[2]))),
        (prior(false, false, SAME), found(120, &[2]), None, goes_on(120, &[2], PossiblySent::All)),
        (prior(false, false, SAME), None, Some(PossiblySent::All), goes_on(0, &[], PossiblySent::All)),
        // Complete, and all there: no row was in flight, so rows added since are in no doubt.
        (prior(false, true, InputMatch::Appended), found(200, &[2, 3, 4]), None, goes_on(200, &[2, 3, 4], lines(&[]))),
        // Complete, and cut since: whatever list there is, it is not about the rows that were cut off.
        (prior(false, true, SAME), found(120, &[2]), None, goes_on(120, &[2], PossiblySent::All)),
        (prior(false, true, SAME), found(120, &[2]), Some(lines(&[])), goes_on(120, &[2], PossiblySent::All)),
        (prior(true, false, SAME), found(120, &[2]), None, Err(Refusal::IsRehearsal)),
        (
            prior(false, false, other),
            found(120, &[2]),
            None,
            Err(Refusal::OtherInput { recorded: "aa".into(), given: "bb".into() }),
        ),
    ];
    for (index, (prior, found, journal, want)) in table.into_iter().enumerate() {
        assert_eq!(decide(ask, prior, found, journal), want, "case {index}");
    }
}

#[test]
fn a_timer_goes_on_begins_or_puts_aside() {
    let ask = ResumeRequest { wants: OnExisting::ResumeOrStart, rehearsal: false };
    let other = || InputMatch::Other;
    let table = [
        (None, None, None, Ok(Start::Fresh(NewRunReason::FirstRun))),
        (None, found(0, &[]), None, Ok(Start::Fresh(NewRunReason::NothingWritten))),
        (None, found(90, &[]), None, Ok(Start::Fresh(NewRunReason::NothingWritten))),
        (None, found(90, &[2]), None, Err(Refusal::NoManifest)),
        (prior(false, false, SAME), found(120, &[2]), Some(lines(&[2, 3])), goes_on(120, &[2], lines(&[2, 3]))),
        (prior(false, false, SAME), None, None, goes_on(0, &[], PossiblySent::All)),
        (prior(false, true, SAME), found(200, &[2, 3, 4]), None, goes_on(200, &[2, 3, 4], lines(&[]))),
        (prior(false, true, InputMatch::Appended), found(200, &[2, 3, 4]), None, goes_on(200, &[2, 3, 4], lines(&[]))),
        (prior(false, true, other()), found(200, &[2, 3, 4]), None, Ok(Start::Fresh(NewRunReason::ArchivesOther))),
        (
            prior(false, false, other()),
            found(120, &[2]),
            Some(lines(&[3])),
            Ok(Start::Fresh(NewRunReason::ArchivesOther)),
        ),
        // A death in the middle of putting aside: the manifest goes last.
        (prior(false, false, other()), None, None, Ok(Start::Fresh(NewRunReason::ArchivesOther))),
        (prior(true, true, other()), found(120, &[2]), None, Err(Refusal::IsRehearsal)),
    ];
    for (index, (prior, found, journal, want)) in table.into_iter().enumerate() {
        assert_eq!(decide(ask, prior, found, journal), want, "case {index}");
    }
}

#[test]
fn what_was_changed_is_refused_and_what_was_lost_is_sent_again() {
    for (seal, complete, want) in [
        (Seal::Edited, false, Err(Refusal::Edited)),
        (Seal::Edited, true, Err(Refusal::Edited)),
        (Seal::Missing, true, Err(Refusal::Missing)),
        (Seal::Missing, false, goes_on(0, &[], PossiblySent::All)),
        (Seal::Cut, true, goes_on(0, &[], PossiblySent::All)),
    ] {
        for wants in [OnExisting::Resume, OnExisting::ResumeOrStart] {
            let sealed = |input| prior(false, complete, input).map(|prior| Prior { seal, ..prior });
            assert_eq!(decide(ResumeRequest { wants, rehearsal: false }, sealed(SAME), None, None), want);
            let other = InputMatch::Other;
            let decided = decide(ResumeRequest { wants, rehearsal: false }, sealed(other), None, None);
            let makes_room = wants == OnExisting::ResumeOrStart;
            assert_eq!(
                decided == Ok(Start::Fresh(NewRunReason::ArchivesOther)),
                makes_room,
                "another input's are left alone"
            );
        }
    }
}

/// A run on a complete one lists only what it sends itself: of records cut off below its beginning, the list says nothing.
#[test]
fn a_list_that_was_begun_on_records_says_nothing_of_them() {
    let ask = ResumeRequest { wants: OnExisting::Resume, rehearsal: false };
    for (done, want) in [(vec![2, 3, 4], lines(&[5])), (vec![2, 3], PossiblySent::All)] {
        let prior =
            prior(false, false, SAME).map(|prior| Prior { rows: 4, ended_before: 3, seal: Seal::Unsealed, ..prior });
        let start = decide(ask, prior, found(99, &done), Some(lines(&[5])));
        assert_eq!(start, goes_on(99, &done, want));
    }
}

#[test]
fn a_rehearsal_replaces_rehearsals_only() {
    let ask = ResumeRequest { wants: OnExisting::Replace, rehearsal: true };
    let table = [
        (None, None, Ok(NewRunReason::FirstRun)),
        (None, found(0, &[]), Ok(NewRunReason::NothingWritten)),
        (None, found(90, &[]), Ok(NewRunReason::NothingWritten)),
        (None, found(90, &[2]), Err(Refusal::NoManifest)),
        (prior(true, true, SAME), found(90, &[2]), Ok(NewRunReason::ReplacesRehearsal)),
        (prior(true, false, SAME), None, Ok(NewRunReason::ReplacesRehearsal)),
        (prior(false, true, SAME), found(90, &[2]), Err(Refusal::IsReal)),
        (prior(false, true, SAME), None, Err(Refusal::IsReal)),
    ];
    for (prior, found, want) in table {
        assert_eq!(decide(ask, prior, found, None), want.map(Start::Fresh));
    }
    let resumed = ResumeRequest { wants: OnExisting::Resume, rehearsal: true };
    assert_eq!(decide(resumed, prior(false, false, SAME), None, None), Err(Refusal::IsReal));
    assert_eq!(decide(resumed, prior(true, false, SAME), None, None), goes_on(0, &[], PossiblySent::All));
}

/// Writes the whole file and returns, for the header and each record, the length of the file after it.
fn write_whole(path: &Path, columns: &Fields, rows: &[(Row, Outcome)]) -> Vec<u64> {
    let mut writer = ResultsWriter::create(path, columns).unwrap();
    let len = || fs::metadata(path).unwrap().len();
    let mut ends = vec![len()];
    for (row, outcome) in rows {
        writer.append([(row, outcome)]).unwrap();
        ends.push(len());
    }
    ends
}

fn start_of(scan: &Scan, manifest: bool, rows: u64) -> Result<Start, Refusal> {
    let prior = prior(false, false, SAME).map(|prior| Prior { rows, seal: Seal::Unsealed, ..prior });
    let prior = prior.filter(|_| manifest);
    let found = ExistingResults { valid_len: scan.valid_len, done: scan.recorded.done().clone() };
    let ask = ResumeRequest { wants: OnExisting::Resume, rehearsal: false };
    decide(ask, prior, Some(found), Some(PossiblySent::All))
}

fn finish_rows(path: &Path, columns: &Fields, rows: &[(Row, Outcome)], start: &Start) -> Vec<ResultRecord> {
    let done = match start {
        Start::Continue { done, .. } => done.clone(),
        Start::Fresh(_) => RoaringTreemap::new(),
    };
    let found = scan(path, Some(columns), &ColumnNames::default()).unwrap().found;
    let mut writer = ResultsWriter::start(path, columns, start, Some(found)).unwrap();
    for (row, _) in rows.iter().filter(|(row, _)| !done.contains(row.line)) {
        writer.append([(row, &again())]).unwrap();
    }
    drop(writer);
    records(path).unwrap().map(Result::unwrap).collect()
}

/// A version that had fewer columns, and had them in another order.
#[test]
fn a_run_goes_on_in_results_with_other_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("older.csv");
    let older = "line,session_id,line,finished_at,error,status\n\
                 x,7,2,2026-11-23T18:42:02.000Z,user_not_found,failed\n";
    fs::write(&path, older).unwrap();
    let columns = fields(&["line", "session_id"]);
    let found = scan(&path, Some(&columns), &ColumnNames::default()).unwrap();
    assert_eq!(found.recorded.done().iter().collect::<Vec<_>>(), [2]);
    assert_eq!(found.recorded.failures().most_first(false), [(Status::Failed, "user_not_found", 1)]);

    let rows = [(2, "x", "7"), (3, "y", "8")].map(|(line, own, id)| (row_of(line, &[own, id]), ended(Status::Revoked)));
    let records = finish_rows(&path, &columns, &rows, &start_of(&found, true, 2).unwrap());
    let texts = format!("{older}y,8,3,2026-11-23T18:42:01.123Z,,already_revoked\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), texts, "each record has the columns of its file");
    let finished_at = Timestamp::parse("2026-11-23T18:42:02.000Z").unwrap();
    let first = Outcome { error: Some("user_not_found".into()), finished_at, ..ended(Status::Failed) };
    assert_eq!(
        records.iter().map(|record| &record.outcome).collect::<Vec<_>>(),
        [&first, &ended(Status::AlreadyRevoked)]
    );
}

#[test]
fn columns_of_others_or_too_few_are_no_results() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv");
    for header in
        ["a,line,status", "a,line,status,finished_at,note", "a,line,status,status,finished_at", "a,status,finished_at"]
    {
        fs::write(&path, format!("{header}\n")).unwrap();
        assert!(matches!(scan(&path, None, &ColumnNames::default()), Err(ScanError::NotResults(_))), "{header}");
    }
}

fn again() -> Outcome {
    Outcome { detail: "second run".into(), ..ended(Status::AlreadyRevoked) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// contract.md: for every prefix of a results file, `--resume` ends with exactly one record per row. The oracle knows
    /// where each record ended when it was written; it reads nothing.
    #[test]
    fn every_cut_ends_with_one_record_per_row((columns, rows) in inputs(5)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whole.csv");
        let ends = write_whole(&path, &columns, &rows);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            let path = folder.path().join(format!("{cut}.csv"));
            fs::write(&path, &whole[..cut]).unwrap();
            let kept = ends.iter().filter(|end| **end <= cut as u64).count();
            let scan = scan(&path, Some(&columns), &ColumnNames::default()).unwrap();
            prop_assert_eq!(scan.valid_len, if kept == 0 { 0 } else { ends[kept - 1] }, "cut at {}", cut);
            let unnamed = start_of(&scan, false, rows.len() as u64);
            prop_assert_eq!(unnamed, if kept <= 1 { Ok(Start::Fresh(NewRunReason::NothingWritten)) } else { Err(Refusal::NoManifest) });

            let start = start_of(&scan, true, rows.len() as u64).unwrap();
            let records = finish_rows(&path, &columns, &rows, &start);
            let want: Vec<ResultRecord> = rows.iter().enumerate().map(|(index, (row, outcome))| ResultRecord {
                fields: row.fields.clone(),
                line: row.line,
                outcome: if index + 1 < kept { outcome.clone() } else { again() },
            }).collect();
            prop_assert_eq!(records, want, "cut at {}", cut);
        }
    }
}
