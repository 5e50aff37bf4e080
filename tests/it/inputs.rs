//! Every shape that an input may have, and every one that is refused (contract.md, "Input").

use crate::harness::{Finished, Results, TOKEN, Workdir, config, sessions, start};
use slack_revoke::stand_in::{Method, Server, StandInConfig};
use std::io::Write as _;

/// The columns that a run adds behind the input's.
const ADDED: [&str; 10] = [
    "line",
    "status",
    "error",
    "detail",
    "http_status",
    "attempts",
    "rate_limited",
    "first_sent_at",
    "finished_at",
    "request_id",
];

fn slack() -> Server {
    start(StandInConfig { log: 100, ..config(sessions(1_000, 10)) })
}

/// `run INPUT` as fast as it goes, with more flags behind.
fn run(work: &Workdir, server: &Server, input: &str, flags: &[&str], code: i32) -> Finished {
    work.run(server, input).args(["--rate", "unlimited"]).args(flags.iter().copied()).exits(code)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("memory takes everything")
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

#[test]
fn three_rows_are_read_from_every_format() {
    const PLAIN: &[u8] = b"team_id,session_id\nT1,1000\nT1,1001\nT1,1002\n";
    let halves = [gzip(&PLAIN[..25]), gzip(&PLAIN[25..])].concat();
    for (name, content, flags) in [
        ("plain.csv", PLAIN.to_vec(), &[][..]),
        ("no-last-line-break.csv", PLAIN.trim_ascii_end().to_vec(), &[]),
        ("bom.csv", [b"\xEF\xBB\xBF", PLAIN].concat(), &[]),
        ("crlf.csv", b"team_id,session_id\r\nT1,1000\r\nT1,1001\r\nT1,1002\r\n".to_vec(), &[]),
        ("semicolons.csv", b"team_id;session_id\nT1;1000\nT1;1001\nT1;1002\n".to_vec(), &[]),
        ("tabs.tsv", b"team_id\tsession_id\nT1\t1000\nT1\t1001\nT1\t1002\n".to_vec(), &[]),
        ("pipes.txt", b"team_id|session_id\nT1|1000\nT1|1001\nT1|1002\n".to_vec(), &["--delimiter", "pipe"]),
        ("forced.csv", b"a;x,team_id,session_id\n,T1,1000\n,T1,1001\n,T1,1002\n".to_vec(), &["--delimiter", ","]),
        ("order.csv", b"Session_ID, TEAM_ID \n1000,T1\n 1001 ,T1\n1002, T1\n".to_vec(), &[]),
        ("blank.csv", b"\n  \nteam_id,session_id\n\nT1,1000\n\nT1,1001\n\n\nT1,1002\n\n".to_vec(), &[]),
        ("quotes.csv", b"\"team_id\",\"session_id\"\n\"T1\",\"1000\"\nT1,\"1001\"\n\"T1\",1002\n".to_vec(), &[]),
        ("deflated.csv.gz", gzip(PLAIN), &[]),
        ("members.csv.gz", halves, &[]),
        ("no-such-ending.csv", gzip(PLAIN), &[]),
        ("deflated.csv.zst", zstd(PLAIN), &[]),
        ("frames.csv", [zstd(&PLAIN[..25]), zstd(&PLAIN[25..])].concat(), &[]),
    ] {
        let (work, server) = (Workdir::new(), slack());
        work.write(name, content);
        let said = run(&work, &server, name, &[&["-o", "out.csv"], flags].concat(), 0);
        assert_eq!(work.results("out.csv").count("revoked"), 3, "{name}: {}", said.stderr());
        assert_eq!(server.live_sessions().len(), 7, "{name}");
    }
}

#[test]
fn standard_input_may_be_compressed() {
    const PLAIN: &[u8] = b"session_id,user_id\n1000,U1\n1001,U1\n";
    for content in [PLAIN.to_vec(), gzip(PLAIN), zstd(PLAIN)] {
        let (work, server) = (Workdir::new(), slack());
        work.run(&server, "-").args(["-o", "out.csv"]).stdin(content).exits(0);
        assert_eq!(work.results("out.csv").count("revoked"), 2);
        assert_eq!(server.live_sessions().len(), 8);
    }
}

#[test]
fn other_columns_are_copied_unchanged_and_first() {
    const ROWS: [[&str; 5]; 4] = [
        ["T1", "Ana, \"the\" first", " 1000 ", "U1", "two\nlines"],
        ["T1", "", "1001", "", "=SUM(A1)"],
        ["T1", " blanks ", "1002", "U1", "tab\there"],
        ["bad", "é\u{1F512}", "001003", "U1", "\r\n"],
    ];
    const HEADER: [&str; 5] = ["team_id", "Who,ever", "SESSION_id", "user_id", "note"];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).expect("memory takes everything");
    for row in ROWS {
        writer.write_record(row).expect("memory takes everything");
    }
    let (work, server) = (Workdir::new(), slack());
    work.write("sessions.csv", writer.into_inner().expect("memory takes everything"));
    run(&work, &server, "sessions.csv", &[], 1);
    let results = work.results("sessions.results.csv");
    assert_eq!(results.header, [HEADER.as_slice(), &ADDED].concat());
    for (line, row) in [2, 4, 5, 6].into_iter().zip(ROWS) {
        let record = results.line(line);
        assert_eq!(HEADER.map(|column| record.get(column)), row, "line {line}");
    }
    assert_eq!((results.count("revoked"), results.line(6).get("error")), (3, "bad_team_id"));
}

#[test]
fn an_invalid_row_names_column_and_reason() {
    let rows = [
        ("T1,,U1", "missing_session_id", "session_id"),
        ("T1,abc,U1", "bad_session_id", "session_id \"abc\" is not an integer"),
        ("T1,-1,U1", "bad_session_id", "session_id"),
        ("T1,1.11228E+12,U1", "bad_session_id", "spreadsheet"),
        ("T1,18446744073709551616,U1", "bad_session_id", "larger"),
        ("acme,1000,U1", "bad_team_id", "team_id"),
        ("U1,1000,", "bad_team_id", "team_id"),
        ("T1,1000,jane", "bad_user_id", "user_id"),
        (",1000,", "missing_owner_id", "user_id or team_id"),
        ("T1,1000", "too_few_columns", "2 columns"),
        ("T1,1000,U1,x", "too_many_columns", "4 columns"),
    ];
    let (work, server) = (Workdir::new(), slack());
    let text: String = rows.iter().flat_map(|(row, ..)| [*row, "\n"]).collect();
    work.write("sessions.csv", format!("team_id,session_id,user_id\n{text}T1,1009,U1\n"));
    run(&work, &server, "sessions.csv", &[], 1);
    let results = work.results("sessions.results.csv");
    for (line, (row, error, detail)) in (2..).zip(rows) {
        let record = results.line(line);
        assert_eq!((record.status(), record.get("error")), ("invalid", error), "{row}");
        assert!(record.get("detail").contains(detail), "{row}: {}", record.get("detail"));
        assert_eq!((record.get("attempts"), record.get("first_sent_at")), ("0", ""), "{row}");
    }
    assert_eq!((results.line(13).status(), server.stats().revoked), ("revoked", 1));
    let remaining = work.read("sessions.results.remaining.csv");
    assert_eq!(remaining, format!("team_id,session_id,user_id\n{text}"), "in the input's own shape");
}

#[test]
fn a_repeated_session_is_sent_once() {
    let (work, server) = (Workdir::new(), slack());
    work.write("sessions.csv", "team_id,session_id,n\nT1,1000,a\nT1, 1000,b\nT1,01000,c\nT1,1001,d\n");
    run(&work, &server, "sessions.csv", &[], 0);
    let results = work.results("sessions.results.csv");
    assert_eq!(results.statuses().into_values().collect::<Vec<_>>(), ["revoked", "duplicate", "duplicate", "revoked"]);
    assert_eq!(results.line(3).get("detail"), "the same session as line 2");
    assert_eq!(server.calls().len(), 2);
    assert!(!work.exists("sessions.results.remaining.csv"), "its session is gone");
}

/// What refuses an input: its bytes, flags, and what the message has to hold.
#[test]
fn an_unusable_input_is_refused_before_anything_is_sent() {
    const ROW: &str = "team_id,session_id\nT1,1000\n";
    let (long, open) = ("x".repeat(1 << 20), format!("{ROW}\"T1,1001\nT1,1002\n"));
    let unclosed = format!("{ROW}\"T1,{}\n", "1001\nT1,".repeat(200_000));
    for (content, flags, want) in [
        (Vec::new(), &[][..], "empty"),
        (b"\n\r\n  \n".to_vec(), &[], "empty"),
        (b"T1,1000\nT1,1001\n".to_vec(), &[], "session_id"),
        (b"session_id,ip\n1000,10.0.0.1\n".to_vec(), &[], "user_id"),
        (b"session_id,team_id,Session_ID\n1000,T1,1\n".to_vec(), &[], "two columns"),
        (ROW.into(), &["--identify-by", "user"], "user_id"),
        (ROW.into(), &["--delimiter", "semicolon"], "--delimiter"),
        (utf16(ROW), &[], "UTF-16"),
        (b"team_id,session_id\nT1,1000\nT\xE9,1001\n".to_vec(), &[], "line 3: not UTF-8"),
        (format!("{ROW}T1,{long}\n").into(), &[], "line 3: a record of more than 1 MiB"),
        (unclosed.into(), &[], "line 3: a record of more than 1 MiB"),
        (open.into(), &[], "line 3: a quote"),
        (gzip(ROW.as_bytes())[..30].to_vec(), &[], "gzip"),
        (zstd(ROW.as_bytes())[..20].to_vec(), &[], "zstd"),
        (gzip(ROW.as_bytes()), &["--max-input-size", "20"], "larger than 20 bytes once unpacked"),
        (b"PK\x03\x04 a workbook".to_vec(), &[], "CSV"),
    ] {
        let (work, server) = (Workdir::new(), slack());
        work.write("sessions.csv", content);
        let said = run(&work, &server, "sessions.csv", flags, 2).stderr();
        assert!(said.starts_with("error: sessions.csv: ") && said.contains(want), "{want}: {said}");
        assert_eq!(said.trim_end().lines().count(), 2, "what happened, and what to do next: {said}");
        assert_eq!((server.stats().buckets.len(), server.stats().unauthorized), (0, 0), "{want}");
        assert_eq!(work.names(), ["sessions.csv"], "{want}");
    }
}

#[test]
fn a_path_that_is_not_a_file_is_refused() {
    for (input, flags, want) in [
        ("folder", &["-o", "out.csv"][..], "directory"),
        ("missing.csv", &[], "no such file"),
        ("sessions.csv", &["-o", "sessions.csv"], "overwrite"),
        ("sessions.csv", &["-o", "./sessions.csv", "--resume"], "sessions.csv"),
        ("sessions.csv", &["-o", "link.csv", "--resume"], "input"),
        ("sessions.csv", &["-o", "hard.csv", "--resume"], "input"),
        ("-", &[], "-o"),
    ] {
        let (work, server) = (Workdir::new(), slack());
        let input_path = work.write("sessions.csv", "team_id,session_id\nT1,1000\n");
        std::fs::create_dir(work.path("folder")).expect("a folder");
        std::os::unix::fs::symlink("sessions.csv", work.path("link.csv")).expect("a link");
        std::fs::hard_link(input_path, work.path("hard.csv")).expect("a link");
        let before = work.names();
        let said = run(&work, &server, input, flags, 2).stderr();
        assert!(said.contains(want), "{input} {flags:?}: {said}");
        assert_eq!(work.read("sessions.csv"), "team_id,session_id\nT1,1000\n");
        assert_eq!((work.names(), server.stats().buckets.len()), (before, 0), "{input} {flags:?}");
    }
}

#[test]
fn a_header_without_rows_is_an_empty_run() {
    let (work, server) = (Workdir::new(), slack());
    work.write("sessions.csv", "team_id,session_id\n");
    run(&work, &server, "sessions.csv", &[], 0);
    let Results { header, records } = work.results("sessions.results.csv");
    assert_eq!((header.len(), records.len()), (2 + ADDED.len(), 0));
    assert_eq!(server.stats().of(Method::Invalidate).accepted, 0);
    assert!(!work.exists("sessions.results.remaining.csv"));
}

#[test]
fn the_messy_sample_is_read_completely() {
    let (work, server) = (Workdir::new(), start(StandInConfig::default()));
    work.sample("messy.csv");
    work.program(["run", "messy.csv", "--yes", "--api-url", &server.url()]).token(TOKEN).exits(1);
    let results = work.results("messy.results.csv");
    let want = [
        (2, "revoked", ""),
        (4, "revoked", ""),
        (5, "revoked", ""),
        (6, "revoked", ""),
        (9, "invalid", "bad_session_id"),
        (10, "revoked", ""),
        (11, "invalid", "missing_session_id"),
        (12, "invalid", "bad_session_id"),
        (13, "invalid", "bad_session_id"),
        (14, "invalid", "bad_session_id"),
        (15, "invalid", "bad_team_id"),
        (16, "invalid", "bad_team_id"),
        (17, "invalid", "bad_user_id"),
        (18, "invalid", "missing_owner_id"),
        (19, "invalid", "too_few_columns"),
        (20, "invalid", "too_many_columns"),
        (21, "duplicate", "duplicate_session"),
    ];
    assert_eq!(results.records.len(), want.len());
    for (line, status, error) in want {
        let record = results.line(line);
        assert_eq!((record.status(), record.get("error")), (status, error), "line {line}");
    }
    assert_eq!(results.line(5).get("Session_ID"), " 7014623685183 ");
    assert_eq!(results.line(6).get("Note"), "good, and the note\r\nruns over two lines, with \"quotes\"");
}
