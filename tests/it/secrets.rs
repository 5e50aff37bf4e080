//! A token with a mark, through every command and every way to end, at the highest verbosity: it is found nowhere.

use crate::harness::{Act, Finished, Program, Proxy, Running, Workdir, config, rows, sessions, start};
use rustix::process::Signal;
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    Effect, InjectedFault, Latency, Method, RepeatedReply, ReplyScript, ScriptedReply, Server, StandInConfig,
    StandInToken,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MARK: &str = "MARKED7f3a91";
const MARKED: &str = "xoxp-1-MARKED7f3a91-secret";

fn marked(config: StandInConfig) -> Server {
    start(StandInConfig { tokens: vec![StandInToken::named(MARKED)], ..config })
}

fn folder(count: u64) -> Workdir {
    let work = Workdir::new();
    work.write("sessions.csv", rows(1_000, count));
    work
}

/// A run that writes every file it can and says everything.
fn loud(work: &Workdir, url: &str) -> Program {
    work.program(["run", "sessions.csv", "--yes", "-vvv", "--api-url", url])
        .args(["--events", "events.ndjson", "--summary-json", "summary.json", "--metrics-file", "metrics.prom"])
        .args(["--reason", "a drill", "--retries", "0"])
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LOG", "trace")
        .env("SLACK_REVOKE_LOG", "trace")
        .token(MARKED)
}

/// The mark is in no output and in no file under the folder.
#[track_caller]
fn assert_unseen(work: &Workdir, finished: &Finished) {
    assert!(!finished.stdout().contains(MARK), "{}", finished.stdout());
    assert!(!finished.stderr().contains(MARK), "{}", finished.stderr());
    for file in files_under(work.root()) {
        let content = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!content.contains(MARK), "{}: {content}", file.display());
    }
}

fn files_under(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn ends(work: &Workdir, program: Program, code: i32) -> Finished {
    let finished = program.exits(code);
    assert_unseen(work, &finished);
    finished
}

fn every(answer: ScriptedReply) -> ReplyScript {
    ReplyScript { every: Some(RepeatedReply::always(answer)), ..ReplyScript::default() }
}

#[test]
fn successful_runs_in_text_and_json() {
    for format in ["text", "json"] {
        let (work, server) = (folder(3), marked(config(sessions(1_000, 3))));
        let finished = ends(&work, loud(&work, &server.url()).args(["--log-format", format]), 0);
        assert!(!finished.stderr().is_empty());
        ends(&work, loud(&work, &server.url()), 2);
        ends(&work, loud(&work, &server.url()).args(["--resume"]), 0);
    }
}

#[test]
fn failed_rows_and_stopping_limits() {
    let refused = |code: ErrorCode| every(ScriptedReply::Refused(code));
    let fault = |fault| every(ScriptedReply::Fault(fault, Effect::None));
    for (script, code, flags) in [
        (refused(ErrorCode::UserNotFound), 1, &["--max-failures", "100%"][..]),
        (refused(ErrorCode::UserNotFound), 3, &["--max-failures", "1"]),
        (refused(ErrorCode::from("a_code_never_heard_of")), 3, &[]),
        (refused(ErrorCode::InvalidAuth), 4, &[]),
        (refused(ErrorCode::MissingScope), 4, &[]),
        (refused(ErrorCode::TokenExpired), 4, &[]),
        (fault(InjectedFault::Reset), 5, &[]),
        (fault(InjectedFault::Torn), 5, &[]),
        (fault(InjectedFault::Unavailable), 5, &[]),
        (fault(InjectedFault::ProxyPage), 5, &[]),
    ] {
        let (work, server) = (folder(6), marked(StandInConfig { script, ..config(sessions(1_000, 6)) }));
        ends(&work, loud(&work, &server.url()).args(flags), code);
    }
}

#[test]
fn invalid_tokens_are_not_printed() {
    let (work, server) = (folder(1), marked(config(Vec::new())));
    server.revoke_token(MARKED);
    ends(&work, loud(&work, &server.url()), 4);
    for token in ["xoxb-1-MARKED7f3a91", "MARKED7f3a91", "xoxp-MARKED7f3a91\u{e9}", "xoxp-MARKED7f3a91 two words"] {
        ends(&work, loud(&work, &server.url()).token(token), 4);
    }
    ends(&work, work.program(["run", "sessions.csv", "--yes", "--token", MARKED]), 2);
    ends(&work, work.program(["run", MARKED, "--yes"]), 2);
    ends(&work, work.program(["plan", "sessions.csv", &format!("--tokn={MARKED}")]), 2);
}

#[test]
fn token_files_and_commands() {
    let (work, server) = (folder(3), marked(config(sessions(1_000, 3))));
    let vault = tempfile::tempdir().unwrap();
    let file = vault.path().join("token");
    fs::write(&file, format!("{MARKED}\n")).unwrap();
    let command = format!("cat {}", file.display());
    for (mode, code) in [(0o644, 4), (0o600, 0)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let program = loud(&work, &server.url()).token("").args(["--token-file", file.to_str().unwrap()]);
        ends(&work, program, code);
    }
    let expired = StandInConfig {
        tokens: vec![StandInToken {
            ends: Some((1, slack_revoke::stand_in::TokenEnd::Expired)),
            ..StandInToken::named(MARKED)
        }],
        ..config(sessions(1_000, 3))
    };
    let server = start(expired);
    ends(&work, loud(&work, &server.url()).args(["-o", "again.csv", "--token-command", &command]), 4);
    fs::write(&file, format!("{MARKED} {MARKED}\n{MARKED}")).unwrap();
    ends(&work, loud(&work, &server.url()).args(["-o", "bad.csv", "--token-command", &command]), 4);
}

#[test]
fn unreachable_locked_and_unwritable_runs() {
    let work = folder(1);
    ends(&work, loud(&work, "http://127.0.0.1:1/api/"), 5);
    let server = marked(config(sessions(1_000, 1)));
    ends(&work, loud(&work, &server.url()).args(["-o", "none/results.csv"]), 7);
    ends(&work, loud(&work, "http://example.com/api/"), 2);
    ends(&work, loud(&work, &format!("https://{MARKED}@localhost/")), 2);
    ends(
        &work,
        loud(&work, "https://localhost:1/")
            .args(["-o", "local.csv"])
            .env("HTTPS_PROXY", &format!("http://{MARK}:{MARK}@proxy:port")),
        5,
    );
    let foreign = loud(&work, "https://slack.invalid/").args(["--allow-host", "slack.invalid"]);
    ends(&work, foreign.env("HTTPS_PROXY", &format!("http://{MARK}:{MARK}@proxy:port")), 2);
}

/// A run that is in the middle of a call that takes long.
fn under_way(work: &Workdir) -> (Server, Running) {
    let server =
        marked(StandInConfig { latency: Latency::Fixed(Duration::from_secs(1)), ..config(sessions(1_000, 20)) });
    let running = loud(work, &server.url()).args(["--workers", "1"]).start();
    while server.stats().of(Method::Invalidate).calls == 0 {
        std::thread::yield_now();
    }
    (server, running)
}

#[test]
fn command_lines_locks_and_signals() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        // Twice the first burst: the run still has a minute to go, however slow the machine is.
        let work = folder(40);
        let (server, running) = under_way(&work);
        assert!(running.command_line().contains("sessions.csv"));
        assert!(!running.command_line().contains(MARK));
        ends(&work, loud(&work, &server.url()), 6);
        running.signal(signal);
        let finished = running.wait();
        assert_eq!(finished.code(), Some(code), "{}", finished.stderr());
        assert_unseen(&work, &finished);
    }
}

#[test]
fn a_token_in_an_answer_is_not_printed() {
    let (work, server) = (folder(2), marked(config(sessions(1_000, 2))));
    let body = format!(
        r#"{{"ok":false,"error":"{MARKED}","needed":"{MARKED}","warning":"{MARKED}",
        "response_metadata":{{"messages":["Authorization: Bearer {MARKED}"]}}}}"#
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\nx-slack-req-id: {MARKED}\r\ncontent-type: {MARKED}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let echo = Proxy::before(server.address(), move |_| Act::Answer(answer.clone().into_bytes()));
    ends(&work, loud(&work, &echo.url()).args(["--max-failures", "100%"]), 1);
    assert!(work.read("sessions.results.csv").contains("xoxp-…"));
}

#[test]
fn every_command_that_does_not_call_slack() {
    let work = folder(1);
    let server = marked(config(Vec::new()));
    ends(&work, work.program(["plan", "sessions.csv", "-vvv", "--api-url", &server.url()]).token(MARKED), 0);
    for arguments in [
        &["plan", "sessions.csv"][..],
        &["plan", "sessions.csv", "--json"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
    ] {
        ends(&work, work.program(arguments.iter().copied()).args(["-vvv"]).token(MARKED), 0);
    }
    ends(&work, work.program(["run", "--rehearse", "sessions.csv", "-vvv"]).token(MARKED), 0);
    ends(&work, work.program(["report", "sessions.rehearsal.csv", "-vvv"]).token(MARKED), 0);
    ends(&work, work.program(["run", "none.csv", "-vvv", "--yes"]).token(MARKED), 2);
}

/// With umask 000, so that nothing but the program itself narrows what it makes.
fn run_open(work: &Workdir, url: &str, flags: &[&str]) {
    let script = "umask 000; exec \"$0\" \"$@\"";
    let status = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_slack-revoke"), "run", "sessions.csv", "--yes", "--api-url", url])
        .args(["--events", "events.ndjson", "--summary-json", "summary.json", "--metrics-file", "metrics.prom"])
        .args(flags)
        .env("SLACK_TOKEN", MARKED)
        .current_dir(work.root())
        .output()
        .unwrap();
    assert!(matches!(status.status.code(), Some(0 | 1 | 3 | 5)), "{}", String::from_utf8_lossy(&status.stderr));
}

#[track_caller]
fn assert_private(work: &Workdir) -> Vec<String> {
    let mut names = Vec::new();
    for file in files_under(work.root()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        match name.as_str() {
            "sessions.csv" => continue,
            "metrics.prom" => assert_eq!(mode, 0o644),
            _ => assert_eq!(mode, 0o600, "{name}: {mode:o}"),
        }
        names.push(name);
    }
    names.sort();
    names
}

#[test]
fn written_files_are_only_readable_by_their_owner() {
    let (work, server) = (folder(3), marked(config(sessions(1_000, 2))));
    run_open(&work, &server.url(), &["--strict"]);
    let names = assert_private(&work);
    let kept = ["events.ndjson", "metrics.prom", "sessions.results.csv", "sessions.results.csv.manifest.json"];
    assert_eq!(names[..4], kept, "and no temporary file is left: {names:?}");
    assert_eq!(names[4..], ["sessions.results.remaining.csv", "summary.json"]);
}

#[test]
fn files_of_stopped_and_killed_runs_are_only_readable_by_their_owner() {
    let script = every(ScriptedReply::Fault(InjectedFault::Unavailable, Effect::None));
    let (work, server) = (folder(9), marked(StandInConfig { script, ..config(sessions(1_000, 9)) }));
    run_open(&work, &server.url(), &["--retries", "0"]);
    assert!(
        assert_private(&work)
            .iter()
            .any(|name| name.contains("sent") || name.contains("lock") || name.contains("journal"))
    );
    let work = folder(20);
    let (_server, running) = under_way(&work);
    running.kill();
    assert_private(&work);
}

#[test]
fn a_token_on_the_command_line_is_in_no_output() {
    for (flag, word) in [
        ("--reason", "see xoxp-1-SECRET"),
        ("--reason", "rotated xoxe.xoxp-1-SECRET, xapp-1-SECRET and xoxd-a%2BSECRET"),
        ("--on-finish", "true 'Authorization: Bearer xoxb-1-SECRET'"),
        ("--seal-command", "true 'Authorization: Bearer xoxb-1-SECRET'; echo seal"),
        ("--approved-by", "Dana, see xoxp-1-SECRET"),
    ] {
        let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
        work.write("in.csv", rows(1_000, 4));
        let outputs =
            ["--events", "e.ndjson", "--summary-json", "s.json", "--rate", "1000/s", "--strict", "--max-failures", "1"];
        let plan = work.program(["plan", "in.csv", "--json", "--api-url", &server.url()]).exits(0).stdout();
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        let approved = ["--plan-id", plan["plan_id"].as_str().expect("an id")];
        let finished = work.run(&server, "in.csv").args(outputs).args(approved).args([flag, word]).exits(1);
        assert!(!(finished.stderr() + &finished.stdout()).contains("SECRET"), "{word}: {}", finished.stderr());
        for name in work.names() {
            assert!(!work.read(&name).contains("SECRET"), "{word}: {name}");
        }
    }
}
