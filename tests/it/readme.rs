//! README says what the program is: its commands parse, and its tables are the program's own.

use crate::harness::{Workdir, config, rows, sessions, start};
use slack_revoke::cli;
use slack_revoke::exit::ExitStatus;
use slack_revoke::model::{CodeClass, Counts, ErrorCode, ResultColumn, Status};
use slack_revoke::stand_in::{RepeatedReply, ReplyScript, ScriptedReply, StandInConfig};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// The flags that `run` has promised to have.
const PROMISED: [&str; 41] = [
    "max-input-size",
    "column",
    "allow-unowned",
    "whole-users",
    "confirm-users",
    "output",
    "resume",
    "resume-or-start",
    "remaining",
    "dry-run",
    "yes",
    "rehearse",
    "rate",
    "max-rate",
    "bucket",
    "workers",
    "identify-by",
    "retries",
    "timeout",
    "max-retry-after",
    "max-failures",
    "deadline",
    "protect",
    "allow-self",
    "no-canary",
    "strict",
    "token-file",
    "token-command",
    "api-url",
    "allow-host",
    "events",
    "summary-json",
    "metrics-file",
    "on-finish",
    "reason",
    "progress",
    "color",
    "quiet",
    "verbose",
    "log-format",
    "delimiter",
];

/// The lines of every code block, block by block.
fn code_blocks() -> Vec<Vec<&'static str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut is_open = false;
    for line in README.lines() {
        if line.starts_with("```") {
            is_open = !is_open;
            if is_open {
                blocks.push(Vec::new());
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| is_open) {
            block.push(line);
        }
    }
    assert!(!is_open, "a code block is not closed");
    blocks
}

/// The rows of the tables under a heading of columns, cell by cell.
fn tables(heading: &str) -> Vec<Vec<Vec<&'static str>>> {
    let lines: Vec<&str> = README.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| **line == heading).map(|(at, _)| at + 2);
    let rows =
        |at: usize| lines[at..].iter().take_while(|line| line.starts_with("| ")).map(|line| cells(line)).collect();
    let tables: Vec<_> = starts.map(rows).collect();
    assert!(!tables.is_empty(), "no table with the heading {heading}");
    tables
}

fn cells(line: &'static str) -> Vec<&'static str> {
    line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect()
}

/// A command line without its comment and what a shell does with its output, and as words.
fn words(line: &str) -> Vec<OsString> {
    let line = line.split("  #").next().unwrap_or_default();
    let line = line.split(" > ").next().unwrap_or_default();
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    assert!(!is_quoted, "a quote is left open: {line}");
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words.into_iter().map(OsString::from).collect()
}

/// Every name that follows `prefix` in README, of the characters that names of this kind have.
fn names(prefix: &str, is_name: fn(char) -> bool) -> BTreeSet<&'static str> {
    let ends = |rest: &'static str| rest.find(|character| !is_name(character)).unwrap_or(rest.len());
    README.split(prefix).skip(1).map(|rest| &rest[..ends(rest)]).filter(|name| !name.is_empty()).collect()
}

/// The long flags that the help of a command lists.
fn flags_of(command: &str) -> BTreeSet<String> {
    let mut program = cli::command();
    program.build();
    let command = program.find_subcommand(command).expect("a command");
    let listed = command.get_arguments().filter(|arg| !arg.is_hide_set());
    listed.filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

fn flags() -> BTreeSet<String> {
    cli::command().get_subcommands().flat_map(|command| flags_of(command.get_name())).collect()
}

/// The variables of all flags, and those that `--on-finish` finds.
fn variables() -> BTreeSet<String> {
    let mut program = cli::command();
    program.build();
    let flags = program.get_subcommands().flat_map(|command| command.get_arguments().collect::<Vec<_>>());
    let of_flags = flags.filter_map(|flag| Some(flag.get_env()?.to_string_lossy().into_owned()));
    let run = program.find_subcommand("run").expect("a command");
    let on_finish = run.get_arguments().find(|flag| flag.get_long() == Some("on-finish")).expect("a flag");
    let help = on_finish.get_long_help().expect("a help").to_string();
    let words =
        help.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.starts_with("SLACK_REVOKE_"));
    of_flags.chain(words.map(str::to_owned)).collect()
}

#[test]
fn it_begins_with_what_it_is_and_the_two_commands() {
    let blocks = code_blocks();
    assert_eq!(
        blocks[0],
        ["cargo run --release -- run --rehearse samples/sessions.csv", "cargo test"],
        "the first block is the two commands"
    );
    let first = README.split("\n\n").nth(1).unwrap_or_default();
    assert!(first.starts_with("`slack-revoke` ") && first.matches('.').count() == 1, "one sentence: {first}");
}

#[test]
fn every_command_in_it_parses() {
    let mut seen = 0;
    for line in code_blocks().concat() {
        let command = line.rsplit(" | ").next().unwrap_or_default().replace("cargo run --release --", "slack-revoke");
        if command.starts_with("slack-revoke ") {
            seen += 1;
            let parsed = cli::parse(words(&command));
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }
    assert!(seen >= 12, "only {seen} commands were found");
}

#[test]
fn every_file_that_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [
        "samples/README.md",
        "samples/sessions.csv",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/events.md",
        "docs/summary.md",
        "docs/reliability.md",
    ] {
        assert!(README.contains(path) && root.join(path).is_file(), "{path}");
    }
}

#[test]
fn every_flag_of_it_exists_and_every_promised_flag_is_told() {
    let flags = flags();
    let mentioned = names("--", |character| character.is_ascii_lowercase() || character == '-');
    for flag in mentioned.iter().filter(|flag| !["release", "parallel"].contains(*flag) && !flag.starts_with('-')) {
        assert!(flags.contains(*flag), "README has --{flag}, the program has not");
    }
    let run = flags_of("run");
    for flag in PROMISED {
        assert!(run.contains(flag), "the help of run does not have --{flag}");
    }
}

#[test]
fn every_variable_of_it_exists() {
    let known = variables();
    let mentioned = names("SLACK_REVOKE_", |character| character.is_ascii_uppercase() || character == '_');
    assert!(!mentioned.is_empty());
    for name in mentioned.into_iter().filter(|name| *name != "LOG") {
        assert!(known.contains(&format!("SLACK_REVOKE_{name}")), "SLACK_REVOKE_{name}");
    }
}

#[test]
fn the_exit_codes_are_the_programs() {
    let told = &tables("| code | when |")[0];
    let told: Vec<_> = told.iter().map(|row| (row[0].to_owned(), row[1])).collect();
    assert_eq!(told, ExitStatus::TABLE.map(|(_, code, meaning)| (code.to_string(), meaning)));
}

#[test]
fn the_statuses_are_the_programs_and_lead_where_it_says() {
    let told = &tables("| status | meaning | exit code 1 | in `--remaining` |")[0];
    assert_eq!(told.iter().map(|row| row[0]).collect::<Vec<_>>(), Status::ALL.map(Status::as_str));
    let words = |lenient: bool, strict: bool| match (lenient, strict) {
        (true, _) => "yes",
        (false, true) => "with `--strict",
        (false, false) => "no",
    };
    for (row, status) in told.iter().zip(Status::ALL) {
        let mut counts = Counts::default();
        counts.add(status);
        let fails = |strict| ExitStatus::of_end(&counts, 0, strict, false) == ExitStatus::RowsFailed;
        assert_eq!(row[1], status.meaning(), "the meaning of {}", row[0]);
        assert_eq!(row[2], words(fails(false), fails(true)), "exit code of {}", row[0]);
        assert_eq!(row[3], words(status.remains(false), status.remains(true)), "--remaining of {}", row[0]);
    }
}

#[test]
fn the_columns_of_the_results_are_the_programs() {
    assert!(code_blocks().contains(&vec![ResultColumn::NAMES.join(",").as_str()]), "{:?}", ResultColumn::NAMES);
    let told: Vec<_> = tables("| column | |").concat().iter().flat_map(|row| row[0].split("`, `")).collect();
    for column in ResultColumn::NAMES {
        assert!(told.contains(&column), "{column} is not explained");
    }
}

/// The rows of a table of codes: those with the same remedy stand together, in the order of the list.
fn remedies(codes: &[&ErrorCode]) -> Vec<String> {
    let mut rows: Vec<(Vec<String>, &str)> = Vec::new();
    for code in codes {
        let text = code.hint();
        match rows.iter_mut().find(|(_, other)| *other == text) {
            Some((together, _)) => together.push(format!("`{code}`")),
            None => rows.push((vec![format!("`{code}`")], text)),
        }
    }
    let row = |(codes, text): (Vec<String>, &str)| {
        let (meaning, what_to_do) = text.split_once(": ").unwrap_or_else(|| panic!("no colon in {text}"));
        format!("| {} | {meaning} | {what_to_do} |", codes.join(", "))
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn troubleshooting_has_every_code_with_the_programs_own_advice() {
    let listed = |classes: &[CodeClass]| {
        let codes = ErrorCode::LISTED.iter().map(|(_, code)| code).filter(|code| !code.hint().is_empty());
        let of = |class: &CodeClass| codes.clone().filter(|code| code.class() == *class).collect::<Vec<_>>();
        remedies(&classes.iter().flat_map(of).collect::<Vec<_>>())
    };
    let want = [
        listed(&[CodeClass::Run, CodeClass::TokenExpired]),
        listed(&[CodeClass::Workspace]),
        listed(&[CodeClass::SuspectRow, CodeClass::Row]),
        listed(&[CodeClass::RateLimited, CodeClass::Transient]),
        listed(&[CodeClass::Listing]),
    ];
    let heading = "| code | what it means | what to do |\n|---|---|---|\n";
    let told: Vec<Vec<&str>> = README
        .split(heading)
        .skip(1)
        .map(|rest| rest.lines().take_while(|line| line.starts_with('|')).collect())
        .collect();
    let all = want.iter().map(|table| table.join("\n")).collect::<Vec<_>>().join("\n\n");
    assert!(told == want, "the tables should be\n{all}\n");
}

#[test]
fn quiet_is_quiet_about_a_good_run_and_tells_why_one_stopped() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("sessions.csv", rows(1_000, 3));
    let stopped = work.run(&server, "sessions.csv").args(["-q", "--token-file", "token"]);
    std::fs::set_permissions(work.write("token", "xoxp-another"), Permissions::from_mode(0o600)).expect("chmod");
    assert!(stopped.exits(4).stderr().contains("invalid_auth"));

    let refuses = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::MissingScope));
    let script = ReplyScript { every: Some(refuses), ..ReplyScript::default() };
    let refusing = start(StandInConfig { script, ..config(sessions(1_000, 3)) });
    let stopped = work.run(&refusing, "sessions.csv").args(["-q"]).exits(4).stderr();
    for want in ["missing_scope", "admin.users:write", "--resume"] {
        assert!(stopped.contains(want), "{want} is missing in: {stopped}");
    }
    assert_eq!(work.run(&server, "sessions.csv").args(["-q", "--resume"]).exits(0).stderr(), "");
}

#[test]
fn the_sample_is_what_it_says() {
    let work = Workdir::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/sessions.csv");
    work.write("sessions.csv", std::fs::read(sample).expect("the sample"));
    let plan = work.program(["plan", "sessions.csv", "--json"]).exits(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout()).expect("JSON");
    let facts = ["rows", "to_send", "duplicates", "workspaces", "invalid"].map(|fact| plan[fact].as_u64());
    assert_eq!(facts, [30, 28, 2, 3, 0].map(Some));
    assert!(README.contains("[30 rows](samples/README.md)"));
}
