//! README and docs/ are checked against the program: commands parse, flags, variables and linked files exist, and tables match.

use crate::harness::{TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::cli;
use slack_revoke::model::{CodeClass, Counts, ErrorCode, ExitStatus, ResultColumn, Status};
use slack_revoke::stand_in::{RepeatedReply, ReplyScript, ScriptedReply, StandInConfig, StandInToken};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../../README.md");
const RESULTS: &str = include_str!("../../docs/results.md");
const ERRORS: &str = include_str!("../../docs/errors.md");

/// The flags that `run` has promised to have.
const PROMISED: [&str; 45] = [
    "plan-id",
    "approved-by",
    "require-plan-id",
    "seal-command",
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

/// README and the pages that are for users, with their paths.
fn pages() -> Vec<(String, String)> {
    let mut paths: Vec<_> =
        fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("a page").path()).collect();
    paths.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "samples/README.md", "benches/README.md"]
            .map(|path| root().join(path)),
    );
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("a page of ours").display().to_string();
        (name, fs::read_to_string(path).expect("text"))
    };
    paths.into_iter().map(read).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of every code block of a page, block by block.
fn code_blocks(page: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
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

/// The rows of the tables with these headings, cell by cell.
fn tables(page: &'static str, heading: &str) -> Vec<Vec<Vec<&'static str>>> {
    let lines: Vec<&str> = page.lines().collect();
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

/// A command line without its comment and what a shell does with its output, and as words. What the shell puts in comes from the files
/// of an approved plan.
fn words(line: &str) -> Vec<OsString> {
    let line = line.split("  #").next().unwrap_or_default();
    let digest = "0a".repeat(32);
    let line = &["plan_id", "digest"]
        .iter()
        .fold(line.to_owned(), |line, file| line.replace(&format!("$(cat {file})"), &digest));
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

/// Every name that follows `prefix` on a page, of the characters that names of this kind have.
fn names<'a>(page: &'a str, prefix: &str, is_name: fn(char) -> bool) -> BTreeSet<&'a str> {
    let ends = |rest: &'a str| rest.find(|character| !is_name(character)).unwrap_or(rest.len());
    page.split(prefix).skip(1).map(|rest| &rest[..ends(rest)]).filter(|name| !name.is_empty()).collect()
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
fn the_readme_opens_with_a_summary_and_the_two_commands() {
    let blocks = code_blocks(README);
    assert_eq!(
        blocks[0],
        ["cargo run --release -- run --rehearse samples/sessions.csv", "cargo test"],
        "the first block is the two commands"
    );
    let first = README.split("\n\n").nth(1).unwrap_or_default();
    assert!(first.starts_with("`slack-revoke` ") && first.matches('.').count() == 1, "one sentence: {first}");
}

#[test]
fn every_command_in_every_page_parses() {
    let mut seen = 0;
    for (name, page) in pages() {
        for line in code_blocks(&page).concat() {
            let command = line.trim_start_matches("$ ").rsplit(" | ").next().unwrap_or_default();
            let command = command.replace("cargo run --release --", "slack-revoke");
            if command.starts_with("slack-revoke ") {
                seen += 1;
                let parsed = cli::parse(words(&command));
                let error = parsed.err().map(|error| error.to_string());
                assert!(error.is_none(), "{name}: {line}: {}", error.unwrap_or_default());
            }
        }
    }
    assert!(seen >= 40, "only {seen} commands were found");
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The targets of the Markdown links of a page, those in code blocks left out.
fn links(page: &str) -> Vec<&str> {
    let text = page.split("```").step_by(2);
    text.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn every_local_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    for (name, page) in pages() {
        for link in links(&page).into_iter().filter(|link| !link.starts_with("http")) {
            seen += 1;
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(&name) } else { root().join(&name).with_file_name(path) };
            assert!(target.exists(), "{name}: {link} leads nowhere");
            if !fragment.is_empty() {
                let target = fs::read_to_string(&target).expect("a page");
                let headings = target.lines().filter(|line| line.starts_with('#'));
                let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#').trim()));
                assert!(anchors.any(|anchor| anchor == fragment), "{name}: {link}: no such heading");
            }
        }
    }
    assert!(seen >= 40, "only {seen} links were found");
}

#[test]
fn every_page_of_docs_is_linked_from_the_readme() {
    for (name, _) in pages().into_iter().filter(|(name, _)| name.starts_with("docs/")) {
        assert!(README.contains(&format!("]({name})")), "{name}");
    }
}

/// Lines of output without what differs from run to run: every word with a digit becomes `#`.
fn shape(line: &str) -> String {
    let words =
        line.split_whitespace().map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_readme_capture_matches_a_rehearsal() {
    let work = Workdir::new();
    work.sample("sessions.csv");
    fs::create_dir(work.path("samples")).expect("a folder");
    fs::rename(work.path("sessions.csv"), work.path("samples/sessions.csv")).expect("the sample");
    let printed = work.program(["run", "--rehearse", "samples/sessions.csv"]).exits(0).stderr();
    let printed = printed.replace(&format!("{}/", work.root().display()), "");
    let mut lines = printed.lines().map(shape);
    let blocks = code_blocks(README);
    let capture = blocks.iter().find(|block| block[0].starts_with("$ cargo run")).expect("the capture");
    for line in &capture[1..] {
        assert!(
            lines.any(|printed| printed == shape(line)),
            "README's capture has {line:?}, a rehearsal prints\n{printed}"
        );
    }

    let results = work.read("samples/sessions.rehearsal.csv");
    let sample = blocks.iter().find(|block| block[0].starts_with("team_id,session_id")).expect("the results");
    for line in sample {
        assert!(results.lines().any(|record| record.starts_with(*line)), "README has {line:?}, which no record is");
    }
}

/// The text of every file in a folder.
fn sources_of(path: &Path) -> String {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.map(|path| sources_of(&path)).collect()
    } else {
        fs::read_to_string(path).expect("text")
    }
}

#[test]
fn the_app_manifest_has_the_required_scopes() {
    let manifest = fs::read_to_string(root().join("samples/slack-app/manifest.json")).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest["settings"]["org_deploy_enabled"], true);
    let scopes = manifest["oauth_config"]["scopes"].as_object().expect("scopes");
    assert_eq!(scopes.keys().collect::<Vec<_>>(), ["user"], "no bot can have these scopes");
    let of_app: BTreeSet<_> =
        scopes["user"].as_array().expect("scopes").iter().filter_map(|scope| scope.as_str()).collect();

    let sources = sources_of(&root().join("src/commands"));
    let is_scope = |character: char| character.is_ascii_lowercase() || matches!(character, '.' | ':');
    let needed: BTreeSet<_> = names(&sources, "\"admin", is_scope)
        .into_iter()
        .filter(|name| name.contains(".users:"))
        .map(|scope| format!("admin{scope}"))
        .collect();
    assert_eq!(of_app, needed.iter().map(String::as_str).collect());

    let token = StandInToken { scopes: of_app.into_iter().collect::<Vec<_>>().join(","), ..StandInToken::named(TOKEN) };
    let server = start(StandInConfig { tokens: vec![token], ..config(sessions(1_000, 3)) });
    let work = Workdir::new();
    work.program(["doctor"]).token(TOKEN).env("SLACK_REVOKE_API_URL", &server.url()).exits(0);
}

/// Idioms that have no place in technical English, as words of any page for users.
const IDIOMS: [&str; 16] = [
    "needs a hand",
    "will not do",
    "owned up",
    "puts aside",
    "put aside",
    "moves aside",
    "moved aside",
    "set aside",
    "told",
    "for those who were",
    "to where programs are",
    "typed goes first",
    "so long as",
    "none where",
    "to be had",
    "made up for",
];

#[test]
fn no_page_has_idioms_or_british_spelling() {
    let british = [
        "organis",
        "recognis",
        "optimis",
        "practis",
        "honour",
        "colour",
        "behaviour",
        "neighbour",
        "licence",
        "cancelled",
        "labelled",
    ];
    for (name, page) in pages() {
        // Names of tests are those of the code.
        let text = page.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
        let words = format!(" {} ", text.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join(" "));
        for idiom in IDIOMS {
            assert!(!words.contains(&format!(" {idiom} ")), "{name} has \"{idiom}\"");
        }
        for word in british {
            assert!(!text.contains(word), "{name} has \"{word}\"");
        }
    }
}

#[test]
fn every_documented_error_message_exists() {
    let sources = sources_of(&root().join("src"));
    for row in &tables(ERRORS, "| message | what to do |")[0] {
        assert!(sources.contains(row[0]), "{}", row[0]);
    }
}

/// Pages with commands of cargo, systemd, docker and our own scripts, whose flags aren't the program's.
const OF_OTHER_TOOLS: [&str; 3] = ["samples/README.md", "CONTRIBUTING.md", "benches/README.md"];

/// Flags of other programs in the other pages.
const OTHER_FLAGS: [&str; 10] =
    ["arg", "path", "release", "parallel", "version", "only", "rounds", "timings", "help", "example"];

#[test]
fn every_documented_flag_exists() {
    let flags = flags();
    for (name, page) in pages() {
        let mentioned = names(&page, "--", |character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
        });
        let ours = mentioned.into_iter().filter(|flag| !OTHER_FLAGS.contains(flag) && !flag.starts_with('-'));
        for flag in ours.filter(|_| !OF_OTHER_TOOLS.contains(&name.as_str())) {
            assert!(flags.contains(flag), "{name} has --{flag}, the program doesn't");
        }
    }
    let run = flags_of("run");
    for flag in PROMISED {
        assert!(run.contains(flag), "the help of run does not have --{flag}");
    }
}

#[test]
fn every_documented_variable_exists() {
    let known = variables();
    let mut seen = 0;
    for (page, text) in pages() {
        for name in names(&text, "SLACK_REVOKE_", |character| character.is_ascii_uppercase() || character == '_') {
            seen += 1;
            let is_known =
                known.contains(&format!("SLACK_REVOKE_{name}")) || ["LOG", "PROTCET", "QUOTA_PASSWORD"].contains(&name);
            assert!(is_known, "{page} has SLACK_REVOKE_{name}");
        }
    }
    assert!(seen > 10, "only {seen} variables were found");
}

#[test]
fn documented_exit_codes_match_the_program() {
    let told = &tables(README, "| code | when |")[0];
    let told: Vec<_> = told.iter().map(|row| (row[0].to_owned(), row[1])).collect();
    assert_eq!(told, ExitStatus::TABLE.map(|(_, code, meaning)| (code.to_string(), meaning)));
}

#[test]
fn documented_statuses_match_the_program() {
    let told = &tables(RESULTS, "| status | meaning | exit code 1 | in `--remaining` |")[0];
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
fn documented_result_columns_match_the_program() {
    assert!(code_blocks(RESULTS).contains(&vec![ResultColumn::NAMES.join(",").as_str()]), "{:?}", ResultColumn::NAMES);
    let told: Vec<_> = tables(RESULTS, "| column | |").concat().iter().flat_map(|row| row[0].split("`, `")).collect();
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
fn documented_codes_match_the_program() {
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
    let told: Vec<Vec<&str>> = ERRORS
        .split(heading)
        .skip(1)
        .map(|rest| rest.lines().take_while(|line| line.starts_with('|')).collect())
        .collect();
    let all = want.iter().map(|table| table.join("\n")).collect::<Vec<_>>().join("\n\n");
    assert!(told == want, "the tables should be\n{all}\n");
}

#[test]
fn quiet_prints_only_why_a_run_stopped() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("sessions.csv", rows(1_000, 3));
    let stopped = work.run(&server, "sessions.csv").args(["-q", "--token-file", "token"]);
    fs::set_permissions(work.write("token", "xoxp-another"), Permissions::from_mode(0o600)).expect("chmod");
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
fn the_sample_matches_its_description() {
    let work = Workdir::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/sessions.csv");
    work.write("sessions.csv", fs::read(sample).expect("the sample"));
    let plan = work.program(["plan", "sessions.csv", "--json"]).exits(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout()).expect("JSON");
    let facts = ["rows", "to_send", "duplicates", "workspaces", "invalid"].map(|fact| plan[fact].as_u64());
    assert_eq!(facts, [30, 28, 2, 3, 0].map(Some));
    assert!(README.contains("[30 sample rows](samples/README.md)"));
}
