//! Lists as spreadsheets, databases and downloads write them: read if no digit can have been lost, otherwise named.

use crate::harness::{Finished, Results, Workdir, config, start};
use slack_revoke::stand_in::{Server, Session, StandInConfig};

/// Five sessions with ids as long as Slack's, one user each.
fn slack() -> Server {
    let session = |row: u64| Session::new(4_471_902_286_613 + row, "T1", &format!("U{row}"));
    start(StandInConfig { log: 100, ..config((0..5).map(session).collect()) })
}

fn run(work: &Workdir, server: &Server, input: &str, flags: &[&str], code: i32) -> Finished {
    let flags = [&["-o", "out.csv", "--rate", "unlimited"], flags].concat();
    work.run(server, input).args(flags).exits(code)
}

fn lines(results: &Results) -> Vec<u64> {
    results.statuses().into_keys().collect()
}

#[test]
fn quotes_in_tab_separated_text_do_not_join_rows() {
    let rows = "U0\t4471902286613\t\"abc\nU1\t4471902286614\tplain\nU2\t4471902286615\t\"x\ty\nU3\t4471902286616\tdef\"\nU4\t4471902286617\t\"\"\n";
    for (flags, text) in
        [(&[][..], rows.replace("\"x\ty", "\"x y")), (&["--delimiter", "tab"], rows.replace("\"x\ty", "\"x y"))]
    {
        let (work, server) = (Workdir::new(), slack());
        work.write("s.tsv", format!("user_id\tsession_id\tnote\n{text}"));
        run(&work, &server, "s.tsv", flags, 0);
        let results = work.results("out.csv");
        assert_eq!((lines(&results), results.count("revoked")), (vec![2, 3, 4, 5, 6], 5));
        assert_eq!((results.line(2).get("note"), results.line(6).get("note")), ("\"abc", "\"\""));
    }
    // A cell too many is a problem of its row alone, and the remaining file has the row as it was.
    let (work, server) = (Workdir::new(), slack());
    work.write("s.tsv", format!("user_id\tsession_id\tnote\n{rows}"));
    run(&work, &server, "s.tsv", &[], 1);
    assert_eq!(work.results("out.csv").line(4).get("error"), "too_many_columns");
    assert_eq!(work.read("out.remaining.csv"), "user_id\tsession_id\tnote\nU2\t4471902286615\t\"x\ty\n");
    run(&work, &server, "out.remaining.csv", &["-o", "again.csv"], 1);
}

#[test]
fn tab_separated_text_with_a_quoted_header_has_quoted_cells() {
    let (work, server) = (Workdir::new(), slack());
    work.write(
        "s.tsv",
        "\"user_id\"\t\"session_id\"\t\"note\"\n\"U0\"\t\"4471902286613\"\t\"a\tb\nc\"\nU1\t4471902286614\t\n",
    );
    run(&work, &server, "s.tsv", &[], 0);
    let results = work.results("out.csv");
    assert_eq!((lines(&results), results.line(2).get("note")), (vec![2, 4], "a\tb\nc"));
}

#[test]
fn rows_inside_a_quoted_cell_cause_a_warning() {
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", "user_id,session_id,note\nU0,4471902286613,\"abc\nU1,4471902286614,x\nU2,4471902286615,y\"\n");
    let said = run(&work, &server, "s.csv", &["-q"], 0).stderr();
    assert!(said.contains("warning: line 2: a quoted cell contains 2 lines that look like input"), "{said}");
    work.write("t.csv", "user_id,session_id,note\nU0,4471902286613,\"two\nlines\"\n");
    let said = run(&work, &server, "t.csv", &["-q", "-o", "t.out.csv"], 0).stderr();
    assert_eq!(said, "");
}

#[test]
fn empty_rows_and_surplus_empty_cells_are_ignored() {
    let (work, server) = (Workdir::new(), slack());
    let text = "session_id;user_id;note;;\n;;;;\n4471902286613;U0;laptop\n\n;;;\n4471902286614;U1;phone;;;;\n \u{a0};;\n4471902286615;U2;;x\n;;;\n";
    work.write("s.csv", text);
    run(&work, &server, "s.csv", &[], 0);
    let results = work.results("out.csv");
    assert_eq!((lines(&results), results.count("revoked")), (vec![3, 6, 8], 3), "lines are those of the file");
    let plan = work.program(["plan", "s.csv", "--json"]).exits(0).stdout();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&plan).expect("JSON")["rows"], 3);

    // Without names for them, cells with something in them are too many.
    work.write("t.csv", "session_id,user_id\n4471902286616,U3,,x\n,,\n4471902286617,U4,,\n");
    run(&work, &server, "t.csv", &["-o", "t.out.csv"], 1);
    let results = work.results("t.out.csv");
    assert_eq!((results.line(2).get("error"), results.line(4).status()), ("too_many_columns", "revoked"));
    assert_eq!(work.read("t.out.remaining.csv"), "session_id,user_id\n4471902286616,U3,,x\n");
}

#[test]
fn the_sep_line_is_skipped() {
    for first in ["sep=;\r\n", "\u{feff}SEP=;\n", "\"sep=;\"\n", "\nsep=;,,,\n"] {
        let (work, server) = (Workdir::new(), slack());
        work.write("s.csv", format!("{first}session_id;user_id;a,b\r\n4471902286613;U0;x\r\n9;U1;y\r\n"));
        run(&work, &server, "s.csv", &["--strict"], 1);
        let results = work.results("out.csv");
        let before = first.matches('\n').count() as u64;
        assert_eq!(lines(&results), [before + 2, before + 3], "{first:?}");
        let start = first.trim_start_matches('\n');
        assert_eq!(work.read("out.remaining.csv"), format!("{start}session_id;user_id;a,b\r\n9;U1;y\r\n"));
        run(&work, &server, "out.remaining.csv", &["-o", "again.csv"], 0);
    }
}

#[test]
fn decorated_ids_are_read_if_no_digit_can_have_been_lost() {
    let rows = [
        "\"=\"\"4471902286613\"\"\",U0",
        "=\"4471902286614\",=\"U1\"",
        "'4471902286615,'U2",
        "4471902286616.0,U3",
        "\"4,471,902,286,617\",U4",
        "４４７１９０２２８６６１３,U0",
    ];
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", format!("session_id,user_id\n{}\n", rows.join("\n")));
    let said = run(&work, &server, "s.csv", &[], 0);
    let results = work.results("out.csv");
    assert_eq!((results.count("revoked"), results.count("duplicate")), (5, 1), "{}", said.stderr());
    assert!(server.live_sessions().is_empty());
    assert_eq!(results.line(4).get("session_id"), "'4471902286615", "copied unchanged");
    assert!(work.program(["report", "out.csv"]).finish().code() == Some(0));
}

#[test]
fn protected_users_are_recognized_by_decorated_ids() {
    let (work, server) = (Workdir::new(), slack());
    work.write(
        "s.csv",
        "session_id,user_id\n4471902286613,'U0\n4471902286614,\"=\"\"U1\"\"\"\n=\"4471902286615\",U2\n",
    );
    work.write("keep.txt", "U0\nU1\n4471902286615\n");
    run(&work, &server, "s.csv", &["--protect", "keep.txt"], 0);
    assert_eq!((work.results("out.csv").count("protected"), server.live_sessions().len()), (3, 5));
}

#[test]
fn a_doubtful_id_is_reported_with_the_reason() {
    let rows = [
        ("\u{200b}4471902286613,U0", "session_id \"\\u{200b}4471902286613\"", "U+200B (zero width space)"),
        ("4471902286613,U0\u{200b}", "user_id \"U0\\u{200b}\"", "U+200B (zero width space)"),
        (
            "\u{201c}4471902286613\u{201d},U0",
            "session_id \"\u{201c}4471902286613\u{201d}\"",
            "U+201C (left double quotation mark)",
        ),
        ("4471902286613,\u{feff}U0", "user_id \"\\u{feff}U0\"", "U+FEFF (byte order mark)"),
        ("4471902286613,U\u{0410}", "user_id", "U+0410 (letter of another alphabet)"),
        ("4.47E+12,U0", "session_id \"4.47E+12\"", "rounded by a spreadsheet"),
        ("12345678901234567.0,U0", "session_id \"12345678901234567.0\"", "rounded by a spreadsheet"),
        ("447190228661x,U0", "session_id \"447190228661x\"", "is not an integer"),
    ];
    let (work, server) = (Workdir::new(), slack());
    let text: Vec<_> = rows.iter().map(|(row, ..)| *row).collect();
    work.write("s.csv", format!("session_id,user_id\n{}\n", text.join("\n")));
    run(&work, &server, "s.csv", &[], 1);
    let results = work.results("out.csv");
    for (line, (row, shown, why)) in (2..).zip(rows) {
        let record = results.line(line);
        assert_eq!(record.status(), "invalid", "{row:?}");
        let detail = record.get("detail");
        assert!(detail.contains(shown) && detail.contains(why), "{row:?}: {detail}");
    }
    assert_eq!(server.live_sessions().len(), 5);
}

#[test]
fn other_file_formats_are_reported_by_name() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).expect("memory takes everything");
        encoder.finish().expect("memory takes everything")
    };
    let list = b"session_id,user_id\n4471902286613,U0\n";
    for (content, want) in [
        (
            b"{\"session_id\":4471902286613,\"user_id\":\"U0\"}\n{\"session_id\":1,\"user_id\":\"U0\"}\n".to_vec(),
            "JSON Lines",
        ),
        (b"[{\"session_id\":1}]".to_vec(), "JSON"),
        (b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>\n".to_vec(), "HTML page"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(), "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0".to_vec(), ".xls"),
        (gzip(&gzip(list)), "gzip data inside"),
        (gzip(b"PK\x03\x04 a workbook"), "Excel workbook"),
        (b"BZh91AY".to_vec(), "bzip2"),
    ] {
        let (work, server) = (Workdir::new(), slack());
        work.write("s.csv", content);
        let said = run(&work, &server, "s.csv", &[], 2).stderr();
        assert!(said.starts_with("error: s.csv: is ") && said.contains(want) && said.contains("not CSV"), "{said}");
        assert_eq!((server.calls().len(), work.names()), (0, vec!["s.csv".into()]));
    }
}

#[test]
fn results_used_as_input_cause_a_warning() {
    let (work, server) = (Workdir::new(), slack());
    work.write("s.csv", "session_id,user_id\n4471902286613,U0\n4471902286614,U1\n");
    run(&work, &server, "s.csv", &[], 0);
    let said = run(&work, &server, "out.csv", &["-o", "twice.csv", "-q"], 0).stderr();
    assert!(said.contains("--resume") && said.contains("remaining file"), "{said}");
    assert_eq!(work.results("twice.csv").records.len(), 2);
    let said = work.program(["plan", "twice.csv", "-q"]).exits(0).stderr();
    assert!(said.contains("--resume"), "{said}");
}
