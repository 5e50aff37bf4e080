//! Questions on a terminal, and signals before the first row.

use crate::harness::{Program, Running, TOKEN, Terminal, Workdir, config, rows, sessions, start, until};
use rustix::process::Signal;
use slack_revoke::stand_in::Server;
use std::fs;
use std::process::Command;

fn three() -> (Workdir, Server) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", "user_id,session_id\nU1,1000\nU1,1001\nU1,1002\n");
    (work, server)
}

/// A run that asks.
fn asking(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.program(["run", "s.csv", "--api-url", &server.url(), "--color", "never"]).args(flags.iter().copied())
}

/// Waits until something is on the screen.
#[track_caller]
fn shows(running: &mut Running, terminal: &Terminal, text: &str) {
    until(running, || terminal.text().contains(text));
}

#[test]
fn input_typed_before_the_question_is_not_an_answer() {
    let (work, server) = three();
    let mut terminal = Terminal::open();
    terminal.types("y\nyes\ny\n");
    let mut running = asking(&work, &server, &[]).token(TOKEN).start_on(&terminal);
    shows(&mut running, &terminal, "[y/N]");
    terminal.has_shown("Revoke 3 sessions of 1 user in Stand-in (E0STANDIN) as org-admin? [y/N]");
    terminal.types("n\n");
    assert_eq!(running.wait().code(), Some(2), "{}", terminal.text());
    assert_eq!((server.stats().revoked, work.names()), (0, vec!["s.csv".to_owned()]), "{}", terminal.text());
    terminal.has_shown("Canceled. Nothing was sent.");
    assert!(!terminal.text().contains("error"), "{}", terminal.text());

    let mut running = asking(&work, &server, &[]).token(TOKEN).start_on(&terminal);
    until(&mut running, || terminal.text().matches("[y/N]").count() == 2);
    terminal.types(" Yes \n");
    assert_eq!(running.wait().code(), Some(0), "{}", terminal.text());
    assert_eq!(server.stats().revoked, 3);
}

#[test]
fn input_typed_before_is_not_the_number_of_users() {
    let (work, server) = three();
    let mut terminal = Terminal::open();
    let mut running = asking(&work, &server, &["--whole-users"]).token(TOKEN).start_on(&terminal);
    shows(&mut running, &terminal, "[y/N]");
    terminal.types("y\n1\n");
    shows(&mut running, &terminal, "Type the number");
    terminal.types("2\n");
    assert_eq!(running.wait().code(), Some(2), "{}", terminal.text());
    assert_eq!(server.live_sessions().len(), 3);
}

#[test]
fn input_typed_before_is_not_a_token() {
    let (work, server) = three();
    let mut terminal = Terminal::open();
    terminal.types("xoxp-typed-ahead\n");
    let mut running = asking(&work, &server, &["--yes"]).start_on_controlling(&terminal);
    shows(&mut running, &terminal, "Slack user token");
    // The prompt is printed before the echo is off.
    until(&mut running, || !terminal.echoes());
    terminal.types(&format!("{TOKEN}\n"));
    assert_eq!(running.wait().code(), Some(0), "{}", terminal.text());
    assert_eq!(server.stats().revoked, 3);
    assert!(!terminal.text().contains(TOKEN), "it was shown");
}

#[test]
fn with_rows_from_standard_input_the_terminal_is_asked() {
    let (work, server) = three();
    let mut terminal = Terminal::open();
    terminal.types("y\n");
    let line = format!("slack-revoke run - -o out.csv --api-url {} < s.csv", server.url());
    let mut running = work.shell(&line).token(TOKEN).start_on_controlling(&terminal);
    shows(&mut running, &terminal, "[y/N]");
    terminal.types("n\n");
    assert_eq!(running.wait().code(), Some(2), "{}", terminal.text());
    assert_eq!(server.stats().revoked, 0);
}

#[test]
fn ctrl_c_at_a_question_restores_the_terminal() {
    for (flags, token, question) in [(&[][..], Some(TOKEN), "[y/N]"), (&["--yes"], None, "Slack user token")] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let (work, server) = three();
            let terminal = Terminal::open();
            let mut program = asking(&work, &server, flags);
            if let Some(token) = token {
                program = program.token(token);
            }
            let mut running = program.start_on_controlling(&terminal);
            shows(&mut running, &terminal, question);
            // The prompt is printed before the echo is off.
            until(&mut running, || token.is_some() || !terminal.echoes());
            running.signal(signal);
            assert_eq!(running.wait().code(), Some(code), "{}", terminal.text());
            assert_eq!((server.stats().revoked, work.names()), (0, vec!["s.csv".to_owned()]));
            terminal.has_shown("before anything was sent");
            assert!(terminal.echoes(), "{question}");
        }
    }
}

fn catches_interrupts(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (Signal::INT.as_raw() - 1) & 1 == 1)
}

/// Nobody ever opens the other end of the pipe.
#[test]
fn signals_work_while_an_input_pipe_blocks() {
    for flags in [
        &["--events", "pipe"][..],
        &["--protect", "pipe"],
        &["--token-file", "pipe"],
        &["--token-command", "cat pipe"],
        &["-o", "out.csv", "-"],
    ] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
            work.write("s.csv", rows(1_000, 3));
            let made = Command::new("mkfifo").arg(work.path("pipe")).status().expect("mkfifo");
            assert!(made.success());
            let input = if flags.contains(&"-") { "pipe" } else { "s.csv" };
            let rest = flags.iter().copied().filter(|flag| *flag != "-");
            let mut program = work.program(["run", input, "--yes", "--api-url", &server.url()]).args(rest);
            if !flags[0].starts_with("--token") {
                program = program.token(TOKEN);
            }
            let mut running = program.start();
            let process = running.id();
            until(&mut running, || catches_interrupts(process));
            running.signal(signal);
            let finished = running.wait_at_most();
            assert_eq!(finished.code(), Some(code), "{flags:?}: {}", finished.stderr());
            assert!(finished.stderr().contains("before anything was sent"), "{flags:?}: {}", finished.stderr());
            assert_eq!(server.stats().revoked, 0);
        }
    }
}
