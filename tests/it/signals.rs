//! Signals: what is in flight is finished and recorded, and the way on is told.

use crate::harness::{
    Program, Running, TOKEN, Terminal, Workdir, accepted, config, in_flight, rows, sessions, start, totals, until,
};
use rustix::process::Signal;
use slack_revoke::stand_in::{
    Effect, InjectedFault, Latency, RepeatedReply, ReplyScript, ScriptedReply, Server, StandInConfig,
};
use std::fs;
use std::process::Command;
use std::time::Duration;

const RESULTS: &str = "my list.results.csv";

/// Long enough for four calls to be under way at once, and for a signal to come in between.
const LATENCY: Duration = Duration::from_millis(200);

/// Four calls in flight from the first moment; a name that a shell would take apart.
fn four_at_once(work: &Workdir, server: &Server, count: u64) -> Program {
    work.write("my list.csv", rows(1_000, count));
    let flags = ["--rate", "1000/s", "-j", "4", "--no-canary", "--events", "events"];
    work.run(server, "my list.csv").args(flags)
}

fn has_event(work: &Workdir, kind: &str) -> bool {
    let events = fs::read_to_string(work.path("events")).unwrap_or_default();
    events.contains(&format!(r#""type":"{kind}""#))
}

/// What stands behind `to continue:`.
fn continuation(stderr: &str) -> &str {
    let (_, command) = stderr.split_once("to continue:\n").unwrap_or_else(|| panic!("no way on: {stderr}"));
    command.lines().next().expect("a command").trim()
}

/// Runs the printed command in a shell, as a user pastes it.
#[track_caller]
fn paste(work: &Workdir, command: &str) {
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", command]).current_dir(work.root()).env("SLACK_TOKEN", TOKEN);
    let output = shell.output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether this process, and with it every child, is told to ignore SIGHUP: under `nohup`.
fn ignores_hangups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1)
}

#[test]
fn the_first_signal_finishes_calls_in_flight_and_prints_the_resume_command() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        if signal == Signal::HUP && ignores_hangups() {
            println!("left out: SIGHUP is ignored here");
            continue;
        }
        let slow = StandInConfig { latency: Latency::Fixed(LATENCY), ..config(sessions(1_000, 40)) };
        let (work, server) = (Workdir::new(), start(slow));
        let mut running = four_at_once(&work, &server, 40).start();
        until(&mut running, || accepted(&server) > 8 && in_flight(&server) == 4);
        running.signal(signal);
        let finished = running.wait();
        let text = finished.stderr();
        assert_eq!(finished.code(), Some(code), "{text}");
        assert!(text.contains("Stopped: "), "{text}");

        let recorded = work.results(RESULTS).count("revoked");
        assert_eq!(recorded as u64, accepted(&server), "what was in flight is recorded");
        let want = [("revoked", recorded as u64), ("failed", 0), ("not reached", 40 - recorded as u64)];
        assert_eq!(totals(&text), want.into(), "{text}");
        let remaining = work.read("my list.results.remaining.csv").lines().count() - 1;
        assert_eq!(recorded + remaining, 40);
        assert_eq!(work.json("my list.results.csv.manifest.json")["runs"][0]["exit_code"], code);

        paste(&work, continuation(&text));
        assert_eq!(work.results(RESULTS).count("revoked"), 40);
        assert!(server.live_sessions().is_empty() && server.stats().repeats == 0);
    }
}

/// Starts a run whose calls take minutes, and lets it take in a first signal.
fn draining_for_minutes(work: &Workdir, server: &Server) -> Running {
    let mut running = four_at_once(work, server, 40).args(["--timeout", "5m"]).start();
    until(&mut running, || in_flight(server) == 4);
    running.signal(Signal::INT);
    until(&mut running, || has_event(work, "stopping"));
    running
}

#[test]
fn the_second_signal_stops_immediately_and_reports_unrecorded_rows() {
    let late = ScriptedReply::Fault(InjectedFault::Slow(Duration::from_mins(4)), Effect::Done);
    for signal in [Signal::INT, Signal::TERM] {
        let script = ReplyScript { every: Some(RepeatedReply::always(late.clone())), ..ReplyScript::default() };
        let (work, server) = (Workdir::new(), start(StandInConfig { script, ..config(sessions(1_000, 40)) }));
        let running = draining_for_minutes(&work, &server);
        running.signal(signal);
        let finished = running.wait();
        let text = finished.stderr();
        assert_eq!(finished.code(), Some(130), "{text}");
        assert!(text.contains("sent and not recorded: 4 rows (line 2, 3, 4, 5)"), "{text}");
        let want = [("revoked", 0), ("failed", 0), ("not reached", 40)];
        assert_eq!(totals(&text), want.into(), "{text}");
        assert_eq!(work.results(RESULTS).records.len(), 0);
        assert_eq!(server.live_sessions().len(), 36, "the four calls had taken effect");

        server.set_script(ReplyScript::default());
        paste(&work, continuation(&text));
        let results = work.results(RESULTS);
        assert_eq!((results.count("already_revoked"), results.count("revoked")), (4, 36));
    }
}

/// The terminal echoes `^C` wherever the cursor is.
#[test]
fn a_message_starts_on_a_new_line_after_an_echoed_interrupt() {
    for progress in ["plain", "bar"] {
        let slow = StandInConfig { latency: Latency::Fixed(LATENCY), ..config(sessions(1_000, 40)) };
        let (work, server) = (Workdir::new(), start(slow));
        let mut terminal = Terminal::open();
        let flags = ["--progress", progress, "--color", "never"];
        let mut running = four_at_once(&work, &server, 40).args(flags).start_on(&terminal);
        until(&mut running, || accepted(&server) > 8);
        terminal.types("^C");
        running.signal(Signal::INT);
        assert_eq!(running.wait().code(), Some(130), "{}", terminal.text());
        terminal.has_shown("Stopped: interrupted");
        let text = terminal.text();
        let (before, _) = text.split_once("slack-revoke: warning: stopping: interrupted").expect("the notice");
        assert!(before.ends_with('\n') || before.ends_with("\u{1b}[2K") || before.ends_with('\r'), "{before:?}");
    }
}
