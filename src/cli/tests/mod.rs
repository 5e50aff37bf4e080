//! The command line as a whole. `SLACK_REVOKE_` variables must not be set where these run.

mod resolve;

use super::*;
use crate::model::{API_URL, Delimiter, InputSource, MaxFailures, Rate, RateChoice};
use clap::ArgAction;
use std::time::Duration;

fn read(line: &str) -> Result<Cli, clap::Error> {
    parse(std::iter::once("slack-revoke").chain(line.split_whitespace()).map(OsString::from))
}

fn run(line: &str) -> RunArgs {
    match read(line).expect(line).command {
        Command::Run(run) => *run,
        Command::Plan(plan) => plan.run,
        _ => panic!("{line} is neither run nor plan"),
    }
}

fn refusal(line: &str) -> String {
    let error = read(line).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string()
}

#[test]
fn clap_accepts_the_definition() {
    command().debug_assert();
}

#[test]
fn every_long_flag_has_the_variable_of_its_name() {
    let mut command = command();
    command.build();
    for name in ["run", "plan"] {
        let subcommand = command.find_subcommand(name).unwrap();
        let flags = subcommand.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| long != "help"));
        for flag in flags {
            let variable = variable_of(flag.get_long().unwrap());
            assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(variable.as_str()));
            let topic = help_text::topic("environment").unwrap();
            assert!(topic.lines().any(|line| line.trim() == variable), "{variable} is not in `help environment`");
            let help =
                [flag.get_help(), flag.get_long_help()].map(|text| text.map(ToString::to_string).unwrap_or_default());
            assert!(!help.concat().contains("[env"), "{variable} is in the help of its flag");
        }
    }
    assert_eq!(variable_of("max-failures"), "SLACK_REVOKE_MAX_FAILURES");
}

#[test]
fn a_variable_sets_a_flag_by_any_usual_word() {
    let mut command = command();
    command.build();
    let run = command.find_subcommand("run").unwrap();
    let switches: Vec<_> = run.get_arguments().filter(|arg| matches!(arg.get_action(), ArgAction::SetTrue)).collect();
    assert_eq!(
        switches.len(),
        13,
        "whole-users, require-plan-id, resume, resume-or-start, dry-run, yes, rehearse, allow-unowned, allow-self, no-canary, strict, no-strict, quiet"
    );
    for switch in switches {
        let words: Vec<_> = switch.get_value_parser().possible_values().unwrap().collect();
        for word in ["1", "true", "yes", "0", "false", "no"] {
            assert!(words.iter().any(|known| known.matches(word, true)), "{} does not know {word}", switch.get_id());
        }
    }
}

#[test]
fn the_contracts_flags_are_all_there() {
    let contract = "output resume remaining dry-run yes rate max-rate bucket workers identify-by retries timeout \
        max-retry-after max-failures deadline then-verify protect allow-unowned allow-self no-canary strict no-strict token-file token-command api-url \
        allow-host events summary-json metrics-file reason progress color quiet verbose log-format \
        rehearse delimiter column max-input-size start-rate resume-or-start on-finish seal-command bulk max-listing-age whole-users only confirm-users plan-id approved-by require-plan-id \
        quota priority help";
    let mut command = command();
    command.build();
    let run = command.find_subcommand("run").unwrap();
    let mut flags: Vec<&str> = run.get_arguments().filter_map(clap::Arg::get_long).collect();
    let mut wanted: Vec<&str> = contract.split_whitespace().collect();
    flags.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(flags, wanted);
    let short: String = run.get_arguments().filter_map(clap::Arg::get_short).collect();
    for flag in "onyjqv".chars() {
        assert!(short.contains(flag), "-{flag}");
    }
}

#[test]
fn defaults_are_the_contracts() {
    let run = run("run a.csv");
    assert_eq!(run.input.source, InputSource::File("a.csv".into()));
    assert!(matches!(run.pace.rate, RateChoice::Auto { .. }));
    assert_eq!((run.pace.max_rate, run.pace.start_rate), (None, None));
    assert_eq!(run.call.retries, 5);
    assert_eq!(run.call.timeout, Duration::from_secs(30));
    assert_eq!(run.call.max_retry_after, Duration::from_mins(15));
    assert_eq!(run.safety.max_failures, MaxFailures::Share(0.2));
    assert!(!run.safety.dry_run && !run.safety.yes && !run.output.resume);
}

#[test]
fn help_shows_the_defaults_that_settings_hold() {
    let mut command = command();
    let help = command.find_subcommand_mut("run").unwrap().render_long_help().to_string();
    for default in ["20/min", "300/min", "https://slack.com/api/", "auto", "30s", "15m", "20%", "5"] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}");
    }
    assert_eq!(Rate::TIER_2.to_string(), "20/min");
    assert_eq!(Rate::AUTO_MAX.to_string(), "300/min");
    assert_eq!(API_URL, "https://slack.com/api/");
}

#[test]
fn a_topic_has_the_table_of_exit_codes_and_every_help_names_it() {
    let mut command = command();
    let long_help = command.find_subcommand_mut("run").unwrap().render_long_help().to_string();
    assert!(help_text::TOPICS.iter().all(|topic| long_help.contains(&format!("help {topic}"))));
    let help = help_text::topic("exit-codes").unwrap();
    for (_, code, meaning) in ExitStatus::TABLE {
        assert!(help.contains(&format!("{code:>5}  {meaning}")), "{code}");
    }
}

/// The program's part of an example's shell line.
fn of_shell(line: &str) -> Vec<OsString> {
    let line = &line[line.find("slack-revoke").expect(line)..];
    let line = line.split(['|', '>']).next().unwrap_or_default();
    let parts = line.split('"').enumerate();
    let words = parts.flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() });
    words.map(OsString::from).collect()
}

#[test]
fn every_command_ends_its_help_with_examples_and_exit_codes() {
    let mut program = command();
    program.build();
    let names: Vec<String> = program.get_subcommands().map(|known| known.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        let guide = help_text::of_command(name).unwrap_or_else(|| panic!("{name} has no guide"));
        let command = program.find_subcommand_mut(name).unwrap();
        let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
        assert!(short.trim_end().ends_with(&guide.short()) && long.trim_end().ends_with(&guide.long()), "{name}");
        let about = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
        assert!(
            about(command.get_long_about()).len() > about(command.get_about()).len(),
            "{name}: --help says no more"
        );
    }
}

#[test]
fn short_help_fits_on_a_screen_and_long_help_has_every_flag() {
    let mut program = command();
    program.build();
    for command in program.get_subcommands_mut() {
        let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
        assert!(short.lines().count() <= 60, "{}:\n{short}", command.get_name());
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(clap::Arg::get_long) {
            assert!(long.contains(&format!("--{flag}")), "{}: --{flag}", command.get_name());
        }
    }
    assert!(program.render_help().to_string().lines().count() <= 60);
    let run = program.find_subcommand_mut("run").unwrap().render_help().to_string();
    let places = ["--output", "--resume", "--dry-run", "--yes", "--rehearse", "--protect"].map(|flag| run.find(flag));
    assert!(places.is_sorted() && places[0].is_some(), "{run}");
}

#[test]
fn help_explains_commands_and_topics() {
    for (line, want) in
        [("help run", "run [OPTIONS]"), ("help", "slack-revoke [OPTIONS]"), ("-q help plan", "plan [OPTIONS]")]
    {
        assert!(read(line).expect_err(line).to_string().contains(want), "{line}");
    }
    for name in help_text::TOPICS {
        let Command::Help(help) = read(&format!("help {name}")).unwrap().command else { panic!("{name}") };
        assert_eq!(help.topic.as_deref(), Some(name));
    }
}

#[test]
fn only_files_complete_as_files() {
    for command in command().get_subcommands() {
        for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
            let is_file = arg.get_value_hint() == ValueHint::FilePath;
            let name = arg.get_value_names().unwrap_or_default()[0].as_str();
            assert_eq!(is_file, ["FILE", "INPUT", "RESULTS"].contains(&name), "{}: {name}", command.get_name());
        }
    }
}

#[test]
fn every_example_parses() {
    let mut program = command();
    program.build();
    let names = program.get_subcommands().filter_map(|known| help_text::of_command(known.get_name()));
    let examples: Vec<_> = names.chain([help_text::of_program()]).flat_map(|guide| guide.examples).collect();
    assert!(examples.len() > 20);
    for (task, line) in examples {
        assert!(parse(of_shell(line)).is_ok(), "{task}: {line}");
        assert!(line.len() <= 98, "wider than the help: {line}");
    }
}

#[test]
fn exit_codes_of_every_command_are_in_the_table() {
    for command in command().get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        let guide = help_text::of_command(name).unwrap_or_else(|| panic!("{name} has no exit codes"));
        let codes: Vec<u8> = guide.exits.iter().map(|(code, _)| *code).collect();
        assert!(codes.is_sorted() && codes.contains(&0) && codes.contains(&2), "{name}: {codes:?}");
        assert!(codes.iter().all(|code| ExitStatus::TABLE.iter().any(|(_, known, _)| known == code)), "{name}");
    }
}

#[test]
fn a_command_that_prints_lists_no_flags_of_progress_and_takes_them() {
    for name in ["completions", "man"] {
        let help = command().find_subcommand_mut(name).unwrap().render_help().to_string();
        assert!(!help.contains("--progress"), "{help}");
    }
    assert!(read("man run -q").unwrap().global.quiet && read("-q completions zsh").unwrap().global.quiet);
    assert!(refusal("man frobnicate").contains("verify"));
}

#[test]
fn every_flag_of_run_parses() {
    let line = "run - -o r.csv --resume --remaining left.csv --delimiter ; --column user_id=Owner --column team_id=a,b --identify-by user --rate 20/min --bucket team \
        -j 256 --retries 0 --timeout 5s --max-retry-after 1h30m --max-failures 50 --deadline 8h --protect keep.txt \
        --allow-self --allow-unowned --no-canary --strict --token-file t --api-url http://127.0.0.1:1/ --allow-host A.example,b.example \
        --events e.ndjson --summary-json s.json --metrics-file m.prom --reason INC-1 -y -vv --progress plain --color never \
        --log-format json";
    let run = run(line);
    assert_eq!(run.input.source, InputSource::Stdin);
    assert_eq!(run.input.delimiter.map(Delimiter::byte), Some(b';'));
    let columns: Vec<_> = run.input.column.iter().map(|(id, header)| (id.as_str(), &**header)).collect();
    assert_eq!(columns, [("user_id", "Owner"), ("team_id", "a,b")]);
    assert_eq!(run.pace.workers, Some(256));
    assert_eq!(run.call.max_retry_after, Duration::from_mins(90));
    assert_eq!(run.token.allow_host, ["a.example", "b.example"]);
    assert!(run.safety.yes && run.safety.strict && run.safety.no_canary && run.safety.allow_self && run.output.resume);
    let global = read(line).unwrap().global;
    assert_eq!((global.verbose, global.progress, global.color), (2, Progress::Plain, Color::Never));
    assert_eq!(read(&format!("-q --log-format json {}", "run a.csv")).unwrap().global.log_format, LogFormat::Json);
}

#[test]
fn the_last_of_two_values_is_used() {
    let run = run("run a.csv --yes --yes --rate 5/s --rate 20/min");
    assert_eq!(run.pace.rate, RateChoice::Fixed("20/min".parse().unwrap()));
}

#[test]
fn plan_is_a_dry_run_with_all_of_its_flags() {
    assert!(run("plan a.csv --yes --no-canary --events e --reason x").safety.dry_run);
    assert!(run("run -n a.csv").safety.dry_run);
    let Command::Plan(plan) = read("plan a.csv --json").unwrap().command else { panic!("not a plan") };
    assert!(plan.json);
    assert!(refusal("run a.csv --json").contains("--json"));
}

#[test]
fn plan_lists_no_flag_that_only_matters_to_sending_and_takes_them_all() {
    let mut command = command();
    command.build();
    let plan = command.find_subcommand("plan").unwrap();
    let hidden: Vec<&str> =
        plan.get_arguments().filter(|arg| arg.is_hide_set()).map(|arg| arg.get_id().as_str()).collect();
    for id in ONLY_TO_SEND {
        assert!(hidden.contains(&id), "{id} is no flag of plan");
    }
    assert_eq!(hidden.len(), ONLY_TO_SEND.len(), "{hidden:?}");
}

#[test]
fn out_of_range_is_refused() {
    for line in [
        "run",
        "run a.csv b.csv",
        "run a.csv -j 0",
        "run a.csv -j 257",
        "run a.csv --retries 101",
        "run a.csv --retries -1",
        "run a.csv --rate 20",
        "run a.csv --rate NaN/min",
        "run a.csv --max-rate auto",
        "run a.csv --start-rate unlimited",
        "run a.csv --bucket both",
        "run a.csv -o -",
        "run a.csv --summary-json -",
        "run a.csv --frobnicate",
        "completions tcsh",
        "lists",
    ] {
        assert!(refusal(line).starts_with("error: "), "{line}");
    }
    assert!(refusal("run a.csv --rate 20").contains("20/min"));
    assert!(refusal("run a.csv --timeout 30").contains("30s"));
}

#[test]
fn a_typed_token_is_refused_and_not_repeated() {
    for line in ["run a.csv --token xoxp-s3cret", "run --token=s3cret a.csv", "run xoxb-s3cret", "--token s3cret man"] {
        let message = refusal(line);
        assert!(!message.contains("s3cret"), "{message}");
        for way in ["SLACK_TOKEN", "--token-file", "--token-command", "slack-token", "without echo"] {
            assert!(message.contains(way), "{way} is missing");
        }
    }
}

#[test]
fn an_address_of_a_store_is_refused_without_repeating_it() {
    for line in ["run a.csv --quota redis://:s3cret@h", "list --quota=rediss://s3cret@h:1/2"] {
        let message = refusal(line);
        assert!(!message.contains("s3cret") && message.contains("SLACK_REVOKE_QUOTA_PASSWORD"), "{message}");
    }
    for wrong in
        ["s3cret", "http://:s3cret@h", "redis://s3cret:port", "redis://s3cret/db", "rediss://s3cret?x", "redis://"]
    {
        let message = refusal(&format!("run a.csv --quota {wrong}"));
        assert!(!message.contains("s3cret") && message.contains("redis://"), "{message}");
    }
    for right in ["auto", "none", "redis://h", "rediss://h.example:6380/2", "redis://[::1]:1"] {
        assert!(read(&format!("run a.csv --quota {right}")).is_ok(), "{right}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["--help", "-h", "--version", "run --help", "run -h", "plan -h", "help run", "completions -h", "man -h"]
    {
        assert_eq!(read(line).expect_err(line).exit_code(), 0, "{line}");
    }
}
