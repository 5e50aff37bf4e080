//! Content that is out to do harm: to a terminal, a spreadsheet, the memory, or a run that is to be resumed.

use crate::harness::{Act, Finished, Proxy, TOKEN, Workdir, config, rows, sessions, start};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use slack_revoke::stand_in::{Method, Server, StandInConfig};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output};
use std::thread;

/// Clears a screen, sets a title, turns the writing direction, rings, and ends a line where none ends.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}evil\u{0}\u{8}\rover";

#[track_caller]
fn assert_harmless(shown: &str) {
    let bad = shown.chars().find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}'));
    assert_eq!(bad, None, "{shown:?}");
}

#[test]
fn escape_sequences_in_the_input_never_reach_the_terminal() {
    let work = Workdir::new();
    let input = format!(
        "session_id,team_id,\"note {ESCAPES}\"\n1000,T1,\"{ESCAPES}\"\n\"10{ESCAPES}\",T1,a\n1001,\"T{ESCAPES}\",b\n\
         1002,T1,\"two\nlines\"\n"
    );
    work.write("sessions.csv", &input);
    for format in ["text", "json"] {
        let server = start(config(sessions(1_000, 3)));
        let output = format!("{format}.csv");
        let finished = work
            .run(&server, "sessions.csv")
            .args([
                "-vvv",
                "--log-format",
                format,
                "-o",
                &output,
                "--events",
                "events.ndjson",
                "--reason",
                &ESCAPES.replace('\0', ""),
            ])
            .exits(1);
        assert_harmless(&finished.stderr());
        assert_harmless(&finished.stdout());
        assert_harmless(&work.read("events.ndjson"));
        let results = work.results(&output);
        assert_eq!(results.header[2], format!("note {ESCAPES}"));
        assert_eq!(results.line(3).get(&results.header[2]), ESCAPES, "a CR in the header is a line end too");
        assert_eq!(results.count("invalid"), 2);
        assert!(results.records.iter().all(|record| !record.get("detail").contains(char::is_control)));
    }
    let plan = work.program(["plan", "sessions.csv", "-o", "none.csv"]).exits(0);
    assert_harmless(&(plan.stderr() + &plan.stdout()));
}

/// Runs two rows against a Slack that says `body` to each, under a hostile request id.
fn told(body: &str) -> (Workdir, Finished) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 2))));
    work.write("sessions.csv", rows(1_000, 2));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-slack-req-id: @SUM(1)\tx\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let proxy = Proxy::before(server.address(), move |_| Act::Answer(answer.clone().into_bytes()));
    let program = work.program(["run", "sessions.csv", "--yes", "-vvv", "--max-failures", "100%"]);
    let finished = program.args(["--retries", "0", "--api-url", &proxy.url()]).token(TOKEN).finish();
    (work, finished)
}

#[test]
fn escape_sequences_in_an_answer_reach_neither_terminal_nor_results() {
    let text = Value::String(ESCAPES.into());
    let body = json!({"ok": false, "error": text, "warning": text, "needed": text,
        "response_metadata": {"messages": [text, text]}});
    let (work, finished) = told(&body.to_string());
    assert_harmless(&finished.stderr());
    let results = work.read("sessions.results.csv");
    assert!(results.contains("evil"), "what was said is kept: {results}");
    assert_harmless(&results);
}

#[test]
fn no_result_column_starts_a_formula() {
    for formula in ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(1)", " =1", "\t=1", "\u{1b}=1", "＝1"] {
        let body = json!({"ok": false, "error": formula, "response_metadata": {"messages": [formula]}});
        let (work, _) = told(&body.to_string());
        let results = work.results("sessions.results.csv");
        assert!(!results.records.is_empty());
        for (record, column) in
            results.records.iter().flat_map(|record| results.header[2..].iter().map(move |column| (record, column)))
        {
            let cell = record.get(column).trim_start();
            assert!(!cell.starts_with(['=', '+', '-', '@', '＝']), "{column}: {cell}");
        }
    }
}

#[test]
fn formulas_in_copied_columns_are_unchanged() {
    let cells = ["=cmd|'/c calc'!A1", "+1+1", "-2", "@SUM(A1)", "\t=1", "'=quoted", "＝1", "a\"b", " padded "];
    let work = Workdir::new();
    let mut input = String::from("session_id,team_id,=note\n");
    for (session, cell) in (1_000..).zip(cells) {
        let quoted = cell.replace('"', "\"\"");
        writeln!(input, "{session},T1,\"{quoted}\"").expect("a string takes everything");
    }
    work.write("sessions.csv", &input);
    let server = start(config(Vec::new()));
    work.run(&server, "sessions.csv").args(["--strict", "--max-failures", "100%"]).exits(1);
    let results = work.results("sessions.results.csv");
    for (line, cell) in (2..).zip(cells) {
        assert_eq!(results.line(line).get("=note"), cell);
    }
    assert_eq!(work.read("sessions.results.remaining.csv"), input, "and they can be fed back");
    let again = start(config(sessions(1_000, cells.len() as u64)));
    work.run(&again, "sessions.results.remaining.csv").exits(0);
    assert!(again.live_sessions().is_empty());
}

/// Exit 2, a message, nothing called and nothing written.
#[track_caller]
fn is_refused(work: &Workdir, arguments: &[&str], words: &str) {
    let server = start(config(sessions(1_000, 10)));
    let before = everything(work);
    let finished =
        work.program(["run"]).args(arguments).args(["--yes", "--api-url", &server.url()]).token(TOKEN).exits(2);
    let stderr = finished.stderr();
    assert!(stderr.contains("error: ") && stderr.contains(words), "{stderr}");
    assert_harmless(&stderr);
    assert_untouched(work, &server, &before);
}

#[track_caller]
fn assert_untouched(work: &Workdir, server: &Server, before: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(server.stats().of(Method::Invalidate).calls, 0);
    assert_eq!(&everything(work), before);
}

/// Every file of the folder but those that cannot be read to an end.
fn everything(work: &Workdir) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(work.root()).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn invalid_utf8_is_refused_with_its_position() {
    let start = b"session_id,team_id,note\n1000,T1,fine\n1001,T1,".to_vec();
    for bytes in [&b"\xed\xa0\x80"[..], b"\xff", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        let work = Workdir::new();
        work.write("sessions.csv", [&start[..], bytes, b"\n"].concat());
        is_refused(&work, &["sessions.csv"], "line 3: not UTF-8 at byte 45");
    }
}

#[test]
fn nul_characters_are_accepted() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("sessions.csv", "session_id,team_id,note\n1000,T1,a\x00b\n1001\x00,T1,\n1002,T\x001,\n");
    let finished = work.run(&server, "sessions.csv").exits(1);
    assert_harmless(&finished.stderr());
    let results = work.results("sessions.results.csv");
    assert_eq!(results.line(2).get("note"), "a\0b");
    assert_eq!(["revoked", "invalid", "invalid"], [2, 3, 4].map(|line| results.line(line).status().to_owned())[..]);
    assert_eq!(server.live_sessions(), [1_001, 1_002]);
}

#[test]
fn an_unclosed_quote_is_refused_with_its_line() {
    let work = Workdir::new();
    for (name, line) in [("plain.csv", "x".repeat(8 << 20)), ("quoted.csv", format!("\"{}", "x\n".repeat(4 << 20)))] {
        work.write(name, format!("session_id,team_id,note\n1000,T1,\n1001,T1,{line}"));
        is_refused(&work, &[name], "line 3: a record of more than 1 MiB");
    }
    is_refused(&work, &["/dev/zero", "-o", "results.csv"], "");
}

#[test]
fn a_header_with_a_million_columns_is_refused() {
    let work = Workdir::new();
    work.write("wide.csv", format!("session_id,team_id{}\n1000,T1\n", ",c".repeat(1_000_000)));
    is_refused(&work, &["wide.csv"], "line 1: a record of more than 1 MiB");
}

#[test]
fn the_maximum_number_of_columns_is_copied() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 1))));
    let commas = ",".repeat(300_000);
    work.write("wide.csv", format!("session_id,team_id{commas}\n1000,T1{commas}\n"));
    work.run(&server, "wide.csv").exits(0);
    let results = work.read("wide.results.csv");
    assert!(results.lines().nth(1).unwrap().starts_with(&format!("1000,T1{commas},2,revoked,")));
}

#[test]
fn a_fifo_is_read_to_its_end() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    let fifo = work.path("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let writer = thread::spawn(move || fs::write(fifo, rows(1_000, 3)).unwrap());
    work.run(&server, "fifo.csv").args(["-o", "fifo.results.csv"]).exits(0);
    writer.join().unwrap();
    assert!(server.live_sessions().is_empty());
    assert_eq!(work.results("fifo.results.csv").count("revoked"), 3);
}

/// `plan INPUT`, with less memory than what the input unpacks to.
fn plan_in(work: &Workdir, input: &str, kilobytes: u32) -> Output {
    let limited = format!("ulimit -v {kilobytes}; exec \"$0\" plan {input} --json");
    let program = env!("CARGO_BIN_EXE_slack-revoke");
    Command::new("sh").args(["-c", &limited, program]).current_dir(work.root()).output().unwrap()
}

/// The pieces, each as a member of its own, as often as it says: `gzip` joins them again.
fn gzip(pieces: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let member = |piece: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(piece).unwrap();
        encoder.finish().unwrap()
    };
    pieces.iter().flat_map(|(piece, times)| member(piece).repeat(*times)).collect()
}

#[test]
fn a_decompression_bomb_of_one_line_uses_bounded_memory() {
    let work = Workdir::new();
    work.write("bomb.gz", gzip(&[(b"session_id,team_id\n".to_vec(), 1), (vec![b'0'; 1 << 20], 1 << 10)]));
    let output = plan_in(&work, "bomb.gz", 200_000);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("line 2: a record of more than 1 MiB"), "{stderr}");
}

#[test]
fn a_decompression_bomb_of_short_rows_uses_bounded_memory() {
    let work = Workdir::new();
    let header = b"session_id,team_id\n".to_vec();
    let (rows, blank) = (b"1000,T1,0123456789\n".repeat(5_000), vec![b'\n'; 1 << 20]);
    work.write("bomb.gz", gzip(&[(header, 1), (rows, 20), (blank, 50)]));
    let output = plan_in(&work, "bomb.gz", 200_000);
    assert_eq!(output.status.code(), Some(1), "no row can be sent: {}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(plan.to_string().contains("100000"), "{plan}");
}

#[test]
fn a_foreign_output_file_is_not_changed() {
    let work = Workdir::new();
    work.write("sessions.csv", rows(1_000, 10));
    for content in ["", "date,amount\n2026-01-01,7\n", "{\"not\": \"csv\"}\n", "line,status\n1,revoked\n", "\0\0\0"] {
        work.write("sessions.results.csv", content);
        is_refused(&work, &["sessions.csv"], "sessions.results.csv");
        if !content.is_empty() {
            is_refused(&work, &["sessions.csv", "--resume"], "sessions.results.csv");
        }
    }
}

/// A run of ten rows that reached five, as its files are left. Nothing of it is in flight.
fn stopped() -> Workdir {
    let work = Workdir::new();
    work.write("sessions.csv", rows(1_000, 5));
    work.run(&start(config(sessions(1_000, 5))), "sessions.csv").exits(0);
    work.write("sessions.csv", rows(1_000, 10));
    work
}

#[test]
fn foreign_results_next_to_a_manifest_are_not_changed() {
    for content in ["date,amount\n2026-01-01,7\n", "PK\u{3}\u{4}", "team_id,session_id\nT1,1000\n"] {
        let work = stopped();
        work.write("sessions.results.csv", content);
        is_refused(&work, &["sessions.csv", "--resume"], "sessions.results.csv");
    }
}

/// A change to a manifest, and what the refusal names.
type Edit = (&'static str, fn(&mut Value));

const EDITS: [Edit; 17] = [
    ("format version 2", |json| json["format_version"] = json!(2)),
    ("format_version", |json| json["format_version"] = json!("1")),
    ("format_version", |json| drop(json.as_object_mut().unwrap().remove("format_version"))),
    ("manifest.json", |json| drop(json.as_object_mut().unwrap().remove("input"))),
    ("manifest.json", |json| json["runs"] = Value::Null),
    ("rehearsal", |json| json["runs"][0]["rehearsal"] = json!(true)),
    ("run_id", |json| json["runs"][0]["run_id"] = json!("")),
    ("run_id", |json| {
        let run = json["runs"][0].clone();
        json["runs"].as_array_mut().unwrap().push(run);
    }),
    ("timestamp", |json| json["runs"][0]["started_at"] = json!("yesterday")),
    ("SHA-256", |json| json["input"]["sha256"] = json!("abc")),
    ("another input", |json| json["input"]["content_sha256"] = json!("0".repeat(64))),
    ("another input", |json| json["input"]["content_bytes"] = json!(u64::MAX)),
    ("another input", |json| json["input"]["content_bytes"] = json!(1)),
    ("totals", |json| json["input"]["rows"] = json!(6)),
    ("totals", |json| json["totals"]["revoked"] = json!(u64::MAX)),
    ("isn't a status", |json| json["totals"]["gone"] = json!(0)),
    ("complete", |json| {
        json["totals"]["revoked"] = json!(4);
        json["totals"]["not_reached"] = json!(1);
    }),
];

#[test]
fn an_edited_manifest_is_refused() {
    let work = stopped();
    let name = "sessions.results.csv.manifest.json";
    let good = work.read(name);
    for (words, edit) in EDITS {
        let mut json: Value = serde_json::from_str(&good).unwrap();
        edit(&mut json);
        assert_ne!(json, serde_json::from_str::<Value>(&good).unwrap(), "an edit that edits: {words}");
        work.write(name, json.to_string());
        is_refused(&work, &["sessions.csv", "--resume"], words);
    }
    let half = good.split_at(good.len() / 2).0.to_owned();
    for text in [String::new(), half, "[".repeat(100_000), "null".into(), format!("{good}x")] {
        work.write(name, text);
        is_refused(&work, &["sessions.csv", "--resume"], "manifest.json");
    }
    work.write(name, &good);
    let server = start(config(sessions(1_005, 5)));
    work.run(&server, "sessions.csv").args(["--resume"]).exits(0);
    assert_eq!(work.results("sessions.results.csv").statuses().len(), 10);
}

#[test]
fn a_refused_input_leaves_no_files() {
    let work = Workdir::new();
    work.write("sessions.csv", "who,when\n1,2\n");
    let server = start(StandInConfig { log: 10, ..config(Vec::new()) });
    work.run(&server, "sessions.csv").exits(2);
    assert_eq!(everything(&work).keys().collect::<Vec<_>>(), ["sessions.csv"]);
    assert!(server.calls().is_empty());
}
