//! The room as a whole: what a survey counts, which inputs it takes and refuses, what is copied back.

use super::testing::{content, survey};
use super::*;
use crate::engine::ports::Want;
use crate::model::{SessionId, TeamId, UserId};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::fs;
use std::io::Write;

const SMALL: &str = "team_id,session_id\nT1,1\nT2,2\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// What `sha256sum` prints for these bytes.
fn sha256(bytes: &[u8]) -> String {
    let mut hasher = identity::ContentHasher::new(None);
    hasher.update(bytes);
    hasher.finish().0
}

fn copied(content: &Content, mut keep: impl FnMut(u64) -> bool) -> (u64, String) {
    let mut out = Vec::new();
    let rows = content.copy_rows(|line, _| keep(line), &mut out).unwrap();
    (rows, String::from_utf8(out).unwrap())
}

#[test]
fn a_survey_counts_every_row_once() {
    let text = "\
team_id,session_id,user_id,ip
T1,1,U1,a
T1,1,U2,first was by U1
T1,2,,b
T1,2,,again
T2,x,U1,bad id

T2,3,W9,protected
T2,3,U3,not a duplicate: the protected one is no first
,4,,nobody
T2,5,U3
T2,6,U3,done
T2,6,U3,a duplicate of a done one
T3,7,U3,done already
";
    let mut rules = Rules::default();
    rules.protection.protect("W9").unwrap();
    let options = SurveyOptions { rules, done: [12, 14].into_iter().collect(), ..SurveyOptions::default() };
    let (_, survey) = content(text, options);
    let counts = (survey.rows, survey.sendable, survey.invalid, survey.duplicates, survey.protected);
    assert_eq!((counts, survey.already_done), ((12, 4, 3, 2, 1), 2));
    let team = |id| TeamId::parse(id).unwrap();
    assert_eq!(survey.workspaces, [(team("T1"), 3), (team("T2"), 1)].into());
    assert_eq!(survey.addressed, [(team("T1"), 1)].into());
    assert_eq!((survey.users, survey.without_user, survey.named_by_user), (3, 1, 3));
    let told: Vec<_> = survey.examples.iter().map(|row| (row.line, row.rule)).collect();
    assert_eq!(told, [(6, "bad_session_id"), (10, "missing_owner_id"), (11, "too_few_columns")]);
    assert_eq!(survey.examples[0].text, "session_id \"x\" is not an integer");
}

#[test]
fn a_survey_can_be_made_again_under_other_rules() {
    let (content, first) = content("user_id,session_id\nU1,1\nU2,2\nU2,2\n", SurveyOptions::default());
    let mut rules = Rules::default();
    rules.protection.own_users.extend(UserId::parse("U1"));
    let (again, second) = content.survey_again(rules.clone(), [3].into_iter().collect()).unwrap();
    assert_eq!((first.sendable, first.duplicates), (2, 1));
    assert_eq!((second.protected, second.already_done, second.duplicates), (1, 1, 1));
    assert_eq!(first.identity, second.identity);
    rules.identify = Identify::Team;
    assert!(matches!(
        again.survey_again(rules, RoaringTreemap::new()).unwrap_err().problem,
        InputProblem::MissingColumn { .. }
    ));
}

#[test]
fn compressed_inputs_are_read_as_what_they_hold() {
    let plain = survey(SMALL.as_bytes(), SurveyOptions::default(), None).unwrap().1;
    assert_eq!(plain.identity.sha256, plain.identity.content_sha256);
    let two_members = [gzip(&SMALL.as_bytes()[..25]), gzip(&SMALL.as_bytes()[25..])].concat();
    for packed in [gzip(SMALL.as_bytes()), two_members, zstd(SMALL.as_bytes())] {
        let (content, found) = survey(&packed, SurveyOptions::default(), None).unwrap();
        assert_eq!((found.rows, found.sendable), (2, 2));
        assert_eq!(found.identity.content_sha256, plain.identity.sha256);
        assert_eq!((found.identity.bytes, found.identity.content_bytes), (packed.len() as u64, SMALL.len() as u64));
        assert_eq!(found.identity.sha256, sha256(&packed));
        assert_eq!(copied(&content, |_| true).1, SMALL);
    }
}

#[test]
fn compressed_inputs_are_whole_or_refused() {
    for whole in [gzip(SMALL.as_bytes()), zstd(SMALL.as_bytes())] {
        let garbage = [whole.as_slice(), b"garbage"].concat();
        for bytes in (6..whole.len()).map(|cut| &whole[..cut]).chain([garbage.as_slice()]) {
            let problem = survey(bytes, SurveyOptions::default(), None).map(drop).unwrap_err();
            assert!(matches!(problem, InputProblem::Damaged { .. }), "{} of {}: {problem}", bytes.len(), whole.len());
        }
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused_with_what_it_needs() {
    // 24 MiB in some kilobytes.
    let row = format!("T1,1,{}\n", "x".repeat((24 << 10) - 6));
    let large = format!("team_id,session_id,note\n{}", row.repeat(1 << 10));
    let packed = gzip(large.as_bytes());
    assert!(packed.len() < large.len() / 100);
    let read = |most, look| {
        let raw = Raw::Stream(Box::new(io::Cursor::new(packed.clone())));
        let reader = InputReader::begin(raw, &std::env::temp_dir(), None, InputLimits { most, free_space: look })?;
        Content::survey(InputSource::Stdin, reader, SurveyOptions::default()).map(|(_, survey)| survey.rows)
    };
    assert_eq!(read(Some(large.len() as u64), stored::free_bytes).unwrap(), 1 << 10);
    let problem = read(Some(16 << 20), stored::free_bytes).unwrap_err().to_string();
    assert!(problem.contains("larger than 16 MiB once unpacked"), "{problem}");
    let problem = read(None, |_| Some(1 << 20)).unwrap_err().to_string();
    assert!(problem.contains("needs 25 MiB, but only 2 MiB are free"), "{problem}");
    let problem = read(Some(20 << 20), |_| Some(1 << 20)).unwrap_err().to_string();
    assert!(problem.contains("larger than 20 MiB"), "{problem}");
}

#[test]
fn other_formats_are_refused_with_a_way_out() {
    for (bytes, want) in [
        (b"PK\x03\x04xxxx".as_slice(), "is a zip archive or an Excel workbook, not CSV"),
        (b"\xfd7zXZ\0xx", "is xz data, not CSV"),
        (b"BZh91AY", "is bzip2 data, not CSV"),
        (b"s\0e\0s\0s\0", "is in UTF-16"),
        (b"", "is empty"),
        (b"hello\n", "no session_id column"),
    ] {
        let problem = survey(bytes, SurveyOptions::default(), None).unwrap_err().to_string();
        assert!(problem.starts_with(want) || problem.contains(want), "{problem}");
    }
}

#[test]
fn files_are_opened_or_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| Input::open(InputSource::File(dir.path().join(name)), dir.path()).map(drop);
    fs::create_dir(dir.path().join("folder")).unwrap();
    assert!(matches!(open("none.csv").unwrap_err().problem, InputProblem::NotFound));
    assert!(matches!(open("folder").unwrap_err().problem, InputProblem::Directory));
    assert!(open("none.csv").unwrap_err().to_string().ends_with("none.csv: no such file"));
}

#[test]
fn a_fifo_is_copied_and_read_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let fifo = path.clone();
    let writer = std::thread::spawn(move || fs::write(fifo, SMALL).unwrap());
    let input = Input::open(InputSource::File(path), dir.path()).unwrap();
    let (content, survey) = input.survey(SurveyOptions::default(), None).unwrap();
    writer.join().unwrap();
    assert_eq!(survey.rows, 2);
    assert_eq!(copied(&content, |_| true), (2, SMALL.into()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the copy has no name");
}

#[test]
fn a_copy_that_cannot_be_made_is_told_with_its_folder() {
    let survey_of = |rows: usize| {
        let text = format!("team_id,session_id,note\n{}", format!("T1,1,{}\n", "x".repeat(100)).repeat(rows));
        let raw = Raw::Stream(Box::new(io::Cursor::new(text)));
        let reader = InputReader::begin(
            raw,
            Path::new("/nonexistent/folder"),
            None,
            InputLimits { most: None, free_space: stored::free_bytes },
        )?;
        Content::survey(InputSource::Stdin, reader, SurveyOptions::default())
    };
    assert_eq!(survey_of(1000).unwrap().1.rows, 1000, "a small copy is in memory");
    let problem = survey_of(20_000).map(drop).unwrap_err();
    assert!(problem.to_string().contains("its temporary copy in /nonexistent/folder can't be written"), "{problem}");
}

#[test]
fn a_file_stays_the_one_that_was_surveyed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, SMALL).unwrap();
    let input = Input::open(InputSource::File(path.clone()), Path::new("/nonexistent")).unwrap();
    let (content, survey) = input.survey(SurveyOptions::default(), None).unwrap();
    assert_eq!(survey.identity.bytes, SMALL.len() as u64);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"T3,3\n").unwrap();
    assert_eq!(copied(&content, |_| true), (2, SMALL.into()));
    fs::rename(&path, dir.path().join("b.csv")).unwrap();
    fs::write(&path, "other").unwrap();
    assert_eq!(copied(&content, |_| true), (2, SMALL.into()));
}

/// The lines that a second reading gives out, and how it ends if it isn't at its end.
fn dealt(content: &Content) -> (Vec<u64>, Option<InputProblem>) {
    let (mut batches, mut lines) = (content.batches(PossiblySent::default()), Vec::new());
    for want in [Want::Of(TeamId::parse("T1").unwrap()), Want::Any] {
        loop {
            match batches.next_batch(want.clone()) {
                Ok(batch) => {
                    assert!(batch.rows.iter().all(|row| row.fields.get(2) == Some("surveyed")), "{:?}", batch.rows);
                    lines.extend(batch.rows.iter().map(|row| row.line));
                    if batch.exhausted {
                        break;
                    }
                }
                Err(problem) => return (lines, Some(problem)),
            }
        }
    }
    lines.sort_unstable();
    (lines, None)
}

#[test]
fn a_file_changed_in_place_gives_no_row_that_was_not_surveyed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let rows = |count: usize, note: &str| {
        let row = |index: usize| format!("T{},{},{note},{:100}\n", index % 2 + 1, 1000 + index, "");
        format!("team_id,session_id,note,padding\n{}", (0..count).map(row).collect::<String>())
    };
    for count in [300, 12_000] {
        let whole = rows(count, "surveyed");
        assert_eq!(whole.len() > reader::MOST_IN_MEMORY, count > 300);
        let half = whole.len() / 2;
        let other_end = format!("{}{}", &whole[..half], whole[half..].replace("surveyed", "stranger"));
        for changed in [rows(count, "stranger"), rows(2 * count, "longer, stranger"), other_end, whole[..half].into()] {
            for pack in [None, Some(gzip as fn(&[u8]) -> Vec<u8>)] {
                let packed = |text: &str| pack.map_or_else(|| text.as_bytes().to_vec(), |pack| pack(text.as_bytes()));
                fs::write(&path, packed(&whole)).unwrap();
                let input = Input::open(InputSource::File(path.clone()), dir.path()).unwrap();
                let (content, _) = input.survey(SurveyOptions::default(), None).unwrap();
                content.check_unchanged().unwrap();
                fs::write(&path, packed(&changed)).unwrap();
                assert!(matches!(content.check_unchanged().unwrap_err().problem, InputProblem::Changed));
                let (_, end) = dealt(&content);
                assert!(matches!(end, Some(InputProblem::Changed)), "{end:?}");
                let mut copy = Vec::new();
                match content.copy_rows(|_, _| true, &mut copy) {
                    Ok(_) => assert!(copy == whole.as_bytes(), "a private copy is what was surveyed"),
                    Err(error) => assert!(count > 300 && pack.is_none(), "{error}"),
                }
                fs::write(&path, packed(&whole)).unwrap();
                assert_eq!(dealt(&content).0, (2..2 + count as u64).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn an_earlier_input_is_recognised_under_rows_added_to_it() {
    let options = SurveyOptions::default;
    let first = survey(SMALL.as_bytes(), options(), None).unwrap().1.identity;
    let earlier = EarlierInput { content_bytes: first.content_bytes, content_sha256: first.content_sha256 };
    let longer = format!("{SMALL}T3,3\n");
    for (bytes, want) in [
        (SMALL.as_bytes().to_vec(), InputMatch::Same),
        (gzip(SMALL.as_bytes()), InputMatch::Same),
        (longer.clone().into_bytes(), InputMatch::Appended),
        (zstd(longer.as_bytes()), InputMatch::Appended),
        (longer.replace("T1,1", "T1,9").into_bytes(), InputMatch::Other),
    ] {
        let found = survey(&bytes, options(), Some(earlier.clone())).unwrap().1;
        assert_eq!(found.continuation, Some(want));
    }
    assert_eq!(survey(SMALL.as_bytes(), options(), None).unwrap().1.continuation, None);
}

#[test]
fn kept_rows_are_copied_as_they_stand() {
    let text = "\u{feff}Session_ID; team_id\r\n\r\n\"1\";T1\r\n2;\"T\"\"2\"\r\n 3 ;T3";
    let (content, _) = content(text, SurveyOptions::default());
    assert_eq!(copied(&content, |_| false), (0, String::new()));
    assert_eq!(copied(&content, |line| line != 4), (2, "\u{feff}Session_ID; team_id\r\n\"1\";T1\r\n 3 ;T3\r\n".into()));
}

#[test]
fn a_copy_that_cannot_be_written_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (content, _) = content(SMALL, SurveyOptions::default());
    assert!(matches!(content.copy_rows(|_, _| true, &mut Full), Err(CopyError::Output(_))));
}

fn any_row() -> impl Strategy<Value = String> {
    let id = prop::sample::select(vec!["T1", "T2", "U1", "U2", "W3", "", "?", "1", "2", "3", "4", "9E+9"]);
    let end = prop::sample::select(vec!["\n", "\r\n", "\n\n", "\n  \n"]);
    (prop::collection::vec(id, 2..5), end).prop_map(|(fields, end)| fields.join(",") + end)
}

proptest! {
    #[test]
    fn counts_add_up_to_the_rows(
        rows in prop::collection::vec(any_row(), 0..60),
        done in prop::collection::hash_set(2_u64..80, 0..20),
        protected in any::<bool>(),
        all in any::<bool>(),
    ) {
        let mut rules = Rules { lists_all_invalid: all, ..Rules::default() };
        if protected {
            rules.protection.sessions.insert(SessionId::from(2));
        }
        let options = SurveyOptions { rules, done: done.into_iter().collect(), ..SurveyOptions::default() };
        let text = format!("team_id,session_id,user_id\n{}", rows.concat());
        let (_, found) = content(&text, options);
        let sum = found.sendable + found.invalid + found.duplicates + found.protected + found.already_done;
        prop_assert_eq!(sum, found.rows);
        prop_assert!(found.workspaces.values().sum::<u64>() <= found.sendable);
        prop_assert_eq!(found.addressed.values().sum::<u64>() + found.named_by_user, found.sendable);
        prop_assert!(found.users <= found.sendable - found.without_user);
        prop_assert_eq!(found.examples.len() as u64, if all { found.invalid } else { found.invalid.min(10) });
    }

    #[test]
    fn a_copy_of_all_rows_is_the_content_without_blank_lines(rows in prop::collection::vec(any_row(), 1..40)) {
        let text = format!("team_id,session_id,user_id\n{}", rows.concat());
        let (content, found) = content(text.trim_end(), SurveyOptions::default());
        let (copied, copy) = copied(&content, |_| true);
        let lines = text.split_inclusive('\n').filter(|line| line.contains(|c: char| c.is_ascii_graphic() && c != ','));
        let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned() + "\n").collect();
        // Nothing is written if no row is kept, not even the header.
        let want = if lines.len() > 1 { lines.concat() } else { String::new() };
        prop_assert_eq!(copied, found.rows);
        prop_assert_eq!(copy.replace("\r\n", "\n"), want);
    }
}

#[test]
fn whole_users_are_counted_once_over_all_runs_of_an_input() {
    let text = "user_id,session_id,team_id\nU1,1,T1\nU1,1,T1\nU2,x,\n,3,T1\nU3,4,T1\nU3,5,T1\n";
    let protection = Protection { sessions: [SessionId::from(5), SessionId::from(99)].into(), ..Protection::default() };
    let rules = Rules { covers: Covers::Everybody, protection, ..Rules::default() };
    let (content, survey) = content(text, SurveyOptions { rules: rules.clone(), ..SurveyOptions::default() });
    assert_eq!((survey.rows, survey.sendable, survey.invalid, survey.protected, survey.duplicates), (6, 4, 1, 1, 0));
    assert_eq!((survey.users, survey.named_by_user, survey.addressed.len()), (3, 4, 0));
    let whole = survey.whole.unwrap();
    let user = |id| UserId::parse(id).unwrap();
    assert_eq!((whole.all, whole.protected), (3, [(SessionId::from(5), user("U3"))].into()));

    // The user of the protected session is protected too; a row that is done still counts for the number to confirm.
    let protection = Protection { users_of_sessions: [user("U3")].into(), ..rules.protection };
    let done = [2, 3].into_iter().collect();
    let (_, survey) = content.survey_again(Rules { protection, ..rules }, done).unwrap();
    assert_eq!((survey.sendable, survey.protected, survey.already_done, survey.users), (1, 2, 2, 1));
    assert_eq!(survey.whole.unwrap().all, 2);
}
