//! Results cut at any byte, and continued: one record per row, whatever was lost.

use crate::harness::{Results, TOKEN, Workdir, config, start};
use slack_revoke::stand_in::{Server, Session, StandInConfig, StandInToken, TokenEnd};
use std::collections::BTreeMap;
use std::fs;

/// Twelve rows on sixteen lines, with everything in them that a field may hold. What becomes of them is in [`ENDED`].
const INPUT: &str = "Team_ID,note,session_id\n\
    T1,plain,1001\n\
    T1,\"a, \"\"b\"\"\nand, on a line of its own,\r\nc\",1002\n\
    T1,,1003\n\
    T1,unknown,999001\n\
    T1,\"é 日本 \"\"\n\",1004\n\
    T1,expired,1005\n\
    T1,no number,12x\n\
    T1,again,1001\n\
    T1,\" spaces \",1006\n\
    T1,\"\"\"\",1007\n\
    T1,'single',1008\n\
    T1,last,1009\n";

/// The row's line, and its status once the run is over.
const ENDED: [(u64, &str); 12] = [
    (2, "revoked"),
    (3, "revoked"),
    (6, "revoked"),
    (7, "not_found"),
    (8, "revoked"),
    (10, "already_revoked"),
    (11, "invalid"),
    (12, "duplicate"),
    (13, "revoked"),
    (14, "revoked"),
    (15, "revoked"),
    (16, "revoked"),
];

const RESULTS: &str = "s.results.csv";
const MANIFEST: &str = "s.results.csv.manifest.json";
const JOURNAL: &str = "s.results.csv.journal";

fn stand_in(tokens: Vec<StandInToken>) -> Server {
    let expired = Session { expired: true, ..Session::new(1005, "T1", "U1") };
    let living = (1001..=1009).filter(|id| *id != 1005).map(|id| Session::new(id, "T1", "U1"));
    start(StandInConfig { tokens, ..config(living.chain([expired]).collect()) })
}

/// The files that a run left, to be put into another folder with less of the results.
struct Left {
    results: Vec<u8>,
    others: Vec<(&'static str, Vec<u8>)>,
    /// Where each record ends, and the line of the row it is about; the header's line is 1.
    borders: Vec<(usize, u64)>,
}

impl Left {
    fn by(work: &Workdir) -> Self {
        let results = fs::read(work.path(RESULTS)).expect("results");
        let others = ["s.csv", MANIFEST, JOURNAL].into_iter();
        let others = others.filter_map(|name| Some((name, fs::read(work.path(name)).ok()?))).collect();
        let borders = borders(&results, &work.results(RESULTS));
        Self { results, others, borders }
    }

    /// A folder in which the results end after `bytes`.
    fn cut(&self, bytes: usize) -> Workdir {
        let work = Workdir::new();
        for (name, content) in &self.others {
            work.write(name, content);
        }
        work.write(RESULTS, &self.results[..bytes]);
        work
    }

    /// Lines whose records are whole in the first `bytes`.
    fn kept(&self, bytes: usize) -> Vec<u64> {
        self.borders.iter().filter(|(end, line)| *end <= bytes && *line > 1).map(|(_, line)| *line).collect()
    }

    /// One byte before, at, and behind each border.
    fn around_borders(&self) -> impl Iterator<Item = usize> {
        let around = self.borders.iter().flat_map(|(end, _)| [end - 1, *end, end + 1]);
        around.filter(|bytes| *bytes <= self.results.len())
    }
}

/// Found by an even number of quotes: a line break inside of them ends no record.
fn borders(results: &[u8], read: &Results) -> Vec<(usize, u64)> {
    let (mut quotes, mut ends) = (0, Vec::new());
    for (at, byte) in results.iter().enumerate() {
        quotes += usize::from(*byte == b'"');
        if *byte == b'\n' && quotes % 2 == 0 {
            ends.push(at + 1);
        }
    }
    assert_eq!(ends.len(), read.records.len() + 1, "the header and the records");
    let lines = [1].into_iter().chain(read.records.iter().map(crate::harness::Record::line));
    ends.into_iter().zip(lines).collect()
}

/// Continues a cut run. What was kept is not touched, and the rest ends as `want` says.
#[track_caller]
fn assert_continues(left: &Left, bytes: usize, server: &Server, want: &BTreeMap<u64, &str>) {
    let work = left.cut(bytes);
    let finished = work.run(server, "s.csv").args(["--rate", "unlimited", "--resume"]).finish();
    let text = finished.stderr();
    assert_eq!(finished.code(), Some(1), "cut at {bytes}: {text}");
    let (results, kept) = (work.results(RESULTS), left.kept(bytes));
    let statuses = results.statuses();
    let got: BTreeMap<u64, &str> = statuses.iter().map(|(line, status)| (*line, status.as_str())).collect();
    assert_eq!(got, *want, "cut at {bytes}: {text}");
    let whole = left.borders.iter().map(|(end, _)| *end).filter(|end| *end <= bytes).max().unwrap_or(0);
    let now = fs::read(work.path(RESULTS)).expect("results");
    assert!(now.starts_with(&left.results[..whole]), "cut at {bytes}: {} records were changed", kept.len());
    assert_carries_the_input(&results);
    assert_eq!(work.json(MANIFEST)["complete"], true);
    assert!(!work.exists(JOURNAL), "cut at {bytes}");
}

/// Every record begins with its row's own fields and has every column.
fn assert_carries_the_input(results: &Results) {
    let mut input = csv::Reader::from_reader(INPUT.as_bytes());
    assert_eq!(results.header.len(), 13, "{:?}", results.header);
    assert_eq!(results.header[..3], ["Team_ID", "note", "session_id"]);
    for ((line, _), row) in ENDED.iter().zip(input.records()) {
        let (record, row) = (results.line(*line), row.expect("a row"));
        for (column, field) in results.header[..3].iter().zip(row.iter()) {
            assert_eq!(record.get(column), field, "line {line}");
        }
    }
}

/// A run that reached every row, with everything gone behind it.
fn finished() -> (Server, Left) {
    let (work, server) = (Workdir::new(), stand_in(vec![StandInToken::named(TOKEN)]));
    work.write("s.csv", INPUT);
    work.run(&server, "s.csv").args(["--rate", "unlimited"]).exits(1);
    let statuses = work.results(RESULTS).statuses();
    let want: BTreeMap<_, _> = ENDED.iter().map(|(line, status)| (*line, (*status).to_owned())).collect();
    assert_eq!(statuses, want);
    (server, Left::by(&work))
}

/// After a complete run nothing tells which rows were sent, so every one may have been.
fn after_a_finished_run(left: &Left, bytes: usize) -> BTreeMap<u64, &'static str> {
    let kept = left.kept(bytes);
    let lost = |status| match status {
        "revoked" | "not_found" => "already_revoked",
        unsent => unsent,
    };
    ENDED.iter().map(|(line, status)| (*line, if kept.contains(line) { status } else { lost(status) })).collect()
}

#[test]
fn results_cut_at_every_byte_of_a_quoted_record_can_be_resumed() {
    let (server, left) = finished();
    let index = left.borders.iter().position(|(_, line)| *line == 3).expect("the record with line breaks");
    for bytes in left.borders[index - 1].0..=left.borders[index].0 {
        assert_continues(&left, bytes, &server, &after_a_finished_run(&left, bytes));
    }
}

#[test]
fn results_cut_around_every_record_end_and_in_the_header_can_be_resumed() {
    let (server, left) = finished();
    let header = (0..left.borders[0].0).step_by(7);
    for bytes in header.chain(left.around_borders()) {
        assert_continues(&left, bytes, &server, &after_a_finished_run(&left, bytes));
    }
}

/// The token ends at the eighth call, so lines 15 and 16 were never sent, and the journal says so.
#[test]
fn only_rows_sent_by_a_stopped_run_count_as_already_revoked() {
    let new = |ends| {
        let (work, server) = (Workdir::new(), stand_in(vec![StandInToken { ends, ..StandInToken::named(TOKEN) }]));
        // Nobody knows the last two sessions.
        work.write("s.csv", INPUT.replace("1008", "999008").replace("1009", "999009"));
        work.run(&server, "s.csv").args(["--rate", "unlimited", "-j", "1"]).exits(4);
        (work, server)
    };
    let ends = Some((7, TokenEnd::Revoked));
    for bytes in Left::by(&new(ends).0).around_borders() {
        let (work, server) = new(ends);
        let left = Left::by(&work);
        assert_eq!(left.kept(left.results.len()).last(), Some(&13), "{:?}", left.borders);
        server.accept_token(TOKEN);
        let cut = left.cut(bytes.min(left.results.len()));
        cut.run(&server, "s.csv").args(["--rate", "unlimited", "--resume"]).exits(1);
        let statuses = cut.results(RESULTS).statuses();
        let wanted = after_a_finished_run(&left, bytes);
        let never_sent = [(14, "revoked"), (15, "not_found"), (16, "not_found")];
        for (line, status) in wanted.into_iter().filter(|(line, _)| *line < 14).chain(never_sent) {
            assert_eq!(statuses[&line], status, "line {line}, cut at {bytes}");
        }
        assert_eq!(statuses.len(), 12);
    }
}
