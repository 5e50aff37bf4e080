use super::super::testing::SmallPieces;
use super::*;
use proptest::prelude::*;

const COMMA: Dialect = Dialect { delimiter: Delimiter::COMMA, quotes: true };

/// Everything that is known of a record, owned.
#[derive(Debug, Clone, PartialEq)]
struct OwnedRecord {
    position: Position,
    raw: Vec<u8>,
    fields: Vec<String>,
}

/// The records up to the end or the first trouble, read in pieces of `step` bytes.
fn records(bytes: &[u8], step: usize, dialect: Dialect) -> (Vec<OwnedRecord>, Option<String>) {
    let mut seen = Vec::new();
    let mut records = match RecordReader::at_start(SmallPieces { bytes, step }, 8) {
        Ok(records) => records,
        Err(problem) => return (seen, Some(problem.to_string())),
    };
    records.retry_with(dialect);
    loop {
        match records.next() {
            Ok(Some(record)) => seen.push(OwnedRecord {
                position: record.position,
                raw: record.raw.to_vec(),
                fields: (0..record.len()).map(|index| record.field(index).to_owned()).collect(),
            }),
            Ok(None) => return (seen, None),
            Err(problem) => return (seen, Some(problem.to_string())),
        }
    }
}

fn lines(text: &str) -> Vec<u64> {
    let (seen, problem) = records(text.as_bytes(), 3, COMMA);
    assert_eq!(problem, None, "{text:?}");
    seen.iter().map(|record| record.position.line).collect()
}

/// The line of a place, by counting line ends one by one from the start.
fn naive_line(content: &[u8], offset: u64) -> u64 {
    let before = &content[..usize::try_from(offset).unwrap()];
    let (mut line, mut at) = (1, 0);
    while at < before.len() {
        line += u64::from(before[at] == b'\n' || before[at] == b'\r');
        at += if before[at..].starts_with(b"\r\n") { 2 } else { 1 };
    }
    line
}

#[test]
fn lines_are_those_of_an_editor() {
    for (text, want) in [
        ("a,b\nc,d\n", vec![1, 2]),
        ("a,b\r\nc,d\r\ne,f", vec![1, 2, 3]),
        ("a,b\rc,d\re,f\r", vec![1, 2, 3]),
        ("\n\r\n \t\na\n\n\nb", vec![4, 7]),
        ("a,\"x\ny\r\nz\"\nb\n", vec![1, 4]),
        ("\u{feff}a\r\n\r\nb", vec![1, 3]),
        ("a\n   ", vec![1]),
        ("", vec![]),
        ("\u{feff}", vec![]),
    ] {
        assert_eq!(lines(text), want, "{text:?}");
    }
}

#[test]
fn a_line_of_nothing_but_delimiters_is_blank() {
    for (text, want) in [
        ("a,b\n,\n,,,\n\"\",\" \"\n \u{a0},\u{200b}\nc,\n", vec![1, 6]),
        (",,\n\na\n\"\n\"\nb\n", vec![3, 6]),
        ("a\n,x\n\"\"\"\"\n", vec![1, 2, 3]),
    ] {
        assert_eq!(lines(text), want, "{text:?}");
    }
    assert_eq!(records(b"a\tb\n\t\n", 9, Dialect::literal(Delimiter::TAB)).0.len(), 1);
}

#[test]
fn literal_quotes_join_nothing() {
    let text = b"\"a\tb\"\tc\n\"\n\"d\"\te\r\n";
    let fields: Vec<_> =
        records(text, 3, Dialect::literal(Delimiter::TAB)).0.into_iter().map(|record| record.fields).collect();
    assert_eq!(fields, [vec!["\"a", "b\"", "c"], vec!["\""], vec!["\"d\"", "e"]]);
}

#[test]
fn troubles_have_their_line() {
    let long = format!("a,b\n\n\"{}", "x\n".repeat(RECORD_CAP));
    let blanks = format!("a,b\n{}", " ".repeat(RECORD_CAP + 9));
    let at_most = |more: usize| format!("a\n{}\n", "x".repeat(RECORD_CAP - 1 + more));
    for (bytes, want) in [
        (long.as_bytes(), Some("line 3: a record of more than 1 MiB")),
        (blanks.as_bytes(), Some("line 2: a record of more than 1 MiB")),
        (at_most(0).as_bytes(), None),
        (at_most(1).as_bytes(), Some("line 2: a record of more than 1 MiB")),
        (b"a\n\nb,\"c\nd\n", Some("line 3: a quote (\") in the record")),
        (b"a\n\"", Some("line 2: a quote (\") in the record")),
        (b"a\n\"b\"", None),
        (b"a\r\n\"x\r\n\xff\"\r\n", Some("line 3: not UTF-8 at byte 7")),
        (b"\xef\xbb\xbfa\nb\xc3,\xa9\n", Some("line 2: not UTF-8 at byte 6")),
        (b"\xff\xfea\0b\0", Some("is in UTF-16")),
        (b"\xfe\xff\0a\0b", Some("is in UTF-16")),
        (b"s\0e\0s\0s\0", Some("is in UTF-16")),
        (b"\0s\0e\0s\0s", Some("is in UTF-16")),
    ] {
        for step in [5, 4096] {
            let problem = records(bytes, step, COMMA).1;
            let start = &bytes[..bytes.len().min(20)];
            assert_eq!(problem.is_some(), want.is_some(), "{start:?}: {problem:?}");
            assert!(problem.is_none_or(|text| text.starts_with(want.unwrap())), "{start:?}: {want:?}");
        }
    }
}

#[test]
fn an_endless_input_of_nothing_ends_at_the_cap() {
    struct Zero(u64);
    impl ByteSource for Zero {
        fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem> {
            into.fill(0);
            self.0 += into.len() as u64;
            Ok(into.len())
        }
    }
    let mut records = RecordReader::at_start(Zero(0), 4096).unwrap();
    assert!(matches!(records.next(), Err(InputProblem::RecordTooLong { line: 1 })));
    assert!(records.into_source().0 < 4 * RECORD_CAP as u64);
}

#[test]
fn a_bom_in_the_middle_is_text_wherever_reading_starts() {
    let bytes = "a\n\u{feff}b\n".as_bytes();
    let (seen, _) = records(bytes, 64, COMMA);
    assert_eq!(seen[1].fields, ["\u{feff}b"]);
    let mut records = RecordReader::at(seen[1].position, COMMA, &bytes[2..], 64);
    assert_eq!(records.next().unwrap().unwrap().field(0), "\u{feff}b");
}

#[test]
fn fields_keep_the_shape_of_the_header() {
    for (text, columns, want) in [
        ("a,b,c", 2, ["a", "b"].as_slice()),
        ("a,b", 2, &["a", "b"]),
        ("a", 3, &["a", "", ""]),
        ("é,\"x\"\"y\"", 1, &["é"]),
        (",b", 3, &["", "b", ""]),
    ] {
        let mut records = RecordReader::at_start(text.as_bytes(), 64).unwrap();
        records.retry_with(COMMA);
        let fields = records.next().unwrap().unwrap().to_fields(columns);
        assert_eq!(fields.iter().collect::<Vec<_>>(), want, "{text:?}");
    }
}

fn messy_csv() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "bc",
        "é",
        "1",
        ",",
        ",",
        ";",
        "\t",
        " ",
        "\"",
        "\"\"",
        "\"x,y\"",
        "\"p\nq\"",
        "\"p\r\nq\"",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// The fields by `csv::Reader`, without records that hold nothing but blanks.
fn oracle(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .filter(|fields: &Vec<_>| is_not_blank(fields))
        .collect()
}

fn is_not_blank(fields: &[String]) -> bool {
    !fields.iter().all(|field| crate::model::is_blank(field))
}

proptest! {
    #[test]
    fn fields_are_those_of_csv_reader(text in messy_csv(), step in 1_usize..40) {
        let (seen, problem) = records(text.as_bytes(), step, COMMA);
        let ours: Vec<_> = seen.into_iter().map(|record| record.fields).collect();
        let mut theirs = oracle(&text);
        if let Some(problem) = problem {
            prop_assert!(problem.contains("is never closed"), "{}", problem);
            // csv::Reader passes the unclosed record off as whole.
            theirs.truncate(ours.len());
        }
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn places_and_raw_bytes_are_exact(text in messy_csv(), step in 1_usize..40) {
        let (seen, _) = records(text.as_bytes(), step, COMMA);
        let mut end = 0;
        for record in &seen {
            let start = usize::try_from(record.position.offset).unwrap();
            prop_assert!(start >= end);
            end = start + record.raw.len();
            prop_assert_eq!(&text.as_bytes()[start..end], record.raw.as_slice());
            prop_assert_eq!(record.position.line, naive_line(text.as_bytes(), record.position.offset));
        }
    }

    #[test]
    fn any_record_can_be_read_after_a_seek(text in messy_csv()) {
        let bytes = text.as_bytes();
        let (seen, _) = records(bytes, 64, COMMA);
        let mut records = RecordReader::at(Position { offset: 0, line: 1 }, COMMA, &bytes[..0], 8);
        for record in seen.iter().rev() {
            records.move_to(record.position, &bytes[usize::try_from(record.position.offset).unwrap()..]);
            let again = records.next().unwrap().unwrap();
            prop_assert_eq!(again.position, record.position);
            prop_assert_eq!(again.raw, record.raw.as_slice());
            let fields = again.to_fields(record.fields.len());
            prop_assert!(fields.iter().eq(record.fields.iter().map(String::as_str)));
        }
    }
}
