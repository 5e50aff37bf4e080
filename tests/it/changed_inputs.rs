//! What was surveyed and confirmed is what is sent, whoever writes to the input meanwhile.

use crate::harness::{TOKEN, Terminal, Workdir, accepted, config, rows, start, until};
use slack_revoke::stand_in::{Latency, Method, Server, Session, StandInConfig};
use std::fmt::Write as _;
use std::time::Duration;

const ROWS: u64 = 1_000;
const FEW: u64 = 100;
const PACKED: &str = "s.csv.gz";

/// Makes an input too large for a copy in memory.
const WIDE: usize = 2_000;
const STRANGERS: u64 = 5_000;

/// Sessions `1000..` are listed by the input, and nobody meant those from `STRANGERS` on.
fn slack(latency: Duration) -> Server {
    let of = |first: u64, user: u64| {
        (first..first + 2 * ROWS).map(move |id| Session::new(id, "T1", &format!("U{}", user + id - first)))
    };
    let sessions = of(1_000, 10_000).chain(of(STRANGERS, 20_000)).collect();
    start(StandInConfig { latency: Latency::Fixed(latency), ..config(sessions) })
}

/// Rows from this session on.
fn list(first: u64, count: u64, padding: usize) -> String {
    let user = if first < STRANGERS { 10_000 } else { 20_000 };
    let mut text = String::from("user_id,session_id,note\n");
    for row in 0..count {
        writeln!(text, "U{},{},{:padding$}", user + row, first + row, "").expect("a string takes everything");
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn packed(name: &str, text: &str) -> Vec<u8> {
    if name == PACKED { gzip(text) } else { text.as_bytes().to_vec() }
}

#[track_caller]
fn assert_no_stranger_was_sent(server: &Server, of: &str) {
    let live = server.live_sessions().into_iter().filter(|id| *id >= STRANGERS).count() as u64;
    assert_eq!(live, 2 * ROWS, "{of}");
}

/// Small ones, large ones and compressed ones: what they hold, and what is written in its place.
fn cases() -> Vec<(&'static str, String, String)> {
    let mut cases = Vec::new();
    for (name, padding) in [("s.csv", 0), ("s.csv", WIDE), (PACKED, WIDE)] {
        let original = list(1_000, ROWS, padding);
        let start: usize = original.split_inclusive('\n').take(100).map(str::len).sum();
        let strangers = list(STRANGERS, ROWS, padding);
        for other in [list(STRANGERS, 2 * ROWS, padding), format!("{}{}", &original[..start], &strangers[start..])] {
            cases.push((name, original.clone(), other));
        }
    }
    cases
}

#[test]
fn an_input_changed_before_the_confirmation_is_not_sent() {
    for (name, original, other) in cases() {
        for flag in [None, Some("--whole-users")] {
            let (work, server) = (Workdir::new(), slack(Duration::ZERO));
            work.write(name, packed(name, &original));
            let mut terminal = Terminal::open();
            let program = work.program(["run", name, "--api-url", &server.url(), "--color", "never"]).token(TOKEN);
            let mut running = program.args(flag).start_on(&terminal);
            until(&mut running, || terminal.text().contains("[y/N]"));
            work.write(name, packed(name, &other));
            terminal.types("y\n");
            if flag.is_some() {
                until(&mut running, || terminal.text().contains("Type the number"));
                terminal.types(&format!("{ROWS}\n"));
            }
            assert_eq!(running.wait().code(), Some(3), "{}", terminal.text());
            terminal.has_shown("was changed");
            terminal.has_shown("nothing was sent");
            assert_eq!((server.stats().revoked, work.names()), (0, vec![name.to_owned()]), "{}", terminal.text());
        }
    }
}

#[test]
fn an_input_changed_during_the_run_stops_it_and_the_original_resumes_it() {
    for (name, original, other) in cases() {
        let (work, server) = (Workdir::new(), slack(Duration::from_millis(5)));
        work.write(name, packed(name, &original));
        let flags = ["-j", "1", "--rate", "unlimited", "-q"];
        let mut running = work.run(&server, name).args(flags).start();
        until(&mut running, || accepted(&server) > 5);
        work.write(name, packed(name, &other));
        let finished = running.wait();
        let text = finished.stderr();
        assert_eq!(finished.code(), Some(3), "{text}");
        assert!(text.contains("s.csv") && text.contains("was changed during the run"), "{text}");
        assert!(text.contains("--resume"), "{text}");
        assert_no_stranger_was_sent(&server, &text);
        let ended = work.results("s.results.csv");
        assert_eq!(ended.count("revoked") as u64, server.stats().revoked, "{text}");
        assert!(server.stats().revoked < ROWS, "{text}");

        let refused = work.run(&server, name).args(["--resume"]).exits(2);
        assert!(refused.stderr().contains("nothing was sent"), "{}", refused.stderr());
        work.write(name, packed(name, &original));
        work.run(&server, name).args(["--resume", "--rate", "unlimited", "-j", "32"]).exits(0);
        assert_eq!(work.results("s.results.csv").count("revoked") as u64, ROWS);
        assert_no_stranger_was_sent(&server, &text);
    }
}

#[test]
fn whole_users_are_those_of_the_survey_even_if_the_input_changes() {
    for padding in [0, WIDE] {
        let (work, server) = (Workdir::new(), slack(Duration::from_millis(20)));
        work.write("s.csv", list(1_000, ROWS, padding));
        let flags = ["--whole-users", "--confirm-users", "1000", "-j", "1", "--rate", "unlimited"];
        let mut running = work.run(&server, "s.csv").args(flags).start();
        until(&mut running, || server.stats().of(Method::ResetBulk).accepted > 0);
        work.write("s.csv", list(STRANGERS, 2 * ROWS, padding));
        let finished = running.wait();
        // The rows may all have been read by then.
        assert!(matches!(finished.code(), Some(0 | 3)), "{}", finished.stderr());
        assert_no_stranger_was_sent(&server, &finished.stderr());
    }
}

#[test]
fn appended_rows_or_a_replaced_file_do_not_stop_the_run() {
    for replace in [false, true] {
        let (work, server) = (Workdir::new(), slack(Duration::from_millis(1)));
        work.write("s.csv", list(1_000, FEW, 0));
        let mut running = work.run(&server, "s.csv").args(["-j", "1", "--rate", "unlimited"]).start();
        until(&mut running, || accepted(&server) > 5);
        if replace {
            work.write("new", rows(STRANGERS, 5));
            std::fs::rename(work.path("new"), work.path("s.csv")).expect("one folder");
        } else {
            let mut file = std::fs::File::options().append(true).open(work.path("s.csv")).expect("the input");
            std::io::Write::write_all(&mut file, b"U10000,1000,\n").expect("room on the disk");
        }
        let finished = running.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        assert_eq!(server.stats().revoked, FEW);
        assert_no_stranger_was_sent(&server, &finished.stderr());
    }
}
