//! Command lines in an environment, and the settings they give.

use crate::cli::*;
use crate::model::{
    API_URL, BucketPolicy, Delimiter, Identify, MaxFailures, Rate, RateChoice, ScreenMode, TokenSource, Verbosity,
};
use std::ffi::OsString;
use std::time::Duration;

const CRON: Environment = Environment {
    stdin_is_terminal: false,
    stderr_is_terminal: false,
    has_controlling_terminal: false,
    terminal_is_dumb: false,
    no_color: false,
    has_slack_token: false,
    token_credential: None,
};

const DESK: Environment =
    Environment { stdin_is_terminal: true, stderr_is_terminal: true, has_controlling_terminal: true, ..CRON };

/// Rows come through a pipe, and a person watches.
const PIPE: Environment = Environment { stdin_is_terminal: false, ..DESK };

fn resolve(line: &str, environment: &Environment) -> Result<Settings, UsageError> {
    let argv = std::iter::once("slack-revoke").chain(line.split_whitespace()).map(OsString::from);
    let cli = parse(argv).unwrap_or_else(|error| panic!("{line}: {error}"));
    let run = match cli.command {
        Command::Run(run) => *run,
        Command::Plan(plan) => plan.run,
        _ => panic!("{line} has no settings"),
    };
    Settings::resolve(run, &cli.global, environment)
}

/// A SHA-256 that stands for a plan.
fn plan_id() -> String {
    "1a".repeat(32)
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    let not_in_rehearsal = |flag| UsageError::NotInRehearsal { flag };
    for (line, want) in [
        ("run a.csv -y -n --rehearse", UsageError::PlanAndRehearsal),
        ("plan a.csv --rehearse", UsageError::PlanAndRehearsal),
        ("run a.csv --rehearse --token-file t", not_in_rehearsal("--token-file")),
        ("run a.csv --rehearse --token-command t", not_in_rehearsal("--token-command")),
        ("run a.csv --rehearse --api-url http://127.0.0.1/", not_in_rehearsal("--api-url")),
        ("run a.csv --rehearse --resume", not_in_rehearsal("--resume")),
        ("run a.csv --rehearse --resume-or-start", not_in_rehearsal("--resume-or-start")),
        ("run a.csv --rehearse --approved-by Dana", not_in_rehearsal("--approved-by")),
        ("run a.csv -y --approved-by Dana", UsageError::ApprovalOfNothing),
        ("run a.csv -y --require-plan-id", UsageError::PlanIdRequired),
        ("run a.csv -y --resume --resume-or-start", UsageError::ResumeTwice),
        ("run - -y --resume-or-start", UsageError::NoOutputForStdin),
        ("run a.csv -y --token-file t --token-command t", UsageError::TwoTokens),
        ("run a.csv -y --rate unlimited", UsageError::UnlimitedAbroad),
        ("run a.csv -y --rate unlimited --api-url https://slack.com/api/", UsageError::UnlimitedAbroad),
        ("plan a.csv --rate unlimited", UsageError::UnlimitedAbroad),
        ("run a.csv -y --rate 20/min --max-rate 30/min", UsageError::OnlyWithAuto { flag: "--max-rate" }),
        ("run a.csv --rehearse --rate unlimited --start-rate 1/s", UsageError::OnlyWithAuto { flag: "--start-rate" }),
        ("run - -y", UsageError::NoOutputForStdin),
        ("run - -y --resume", UsageError::NoOutputForStdin),
        ("run - --rehearse", UsageError::NoOutputForStdin),
        ("run a.csv", UsageError::NobodyToAsk),
        ("run a.csv -y -q -v", UsageError::QuietAndVerbose),
    ] {
        assert_eq!(resolve(line, &CRON).expect_err(line), want, "{line}");
    }
}

#[test]
fn every_refusal_names_a_flag_to_change() {
    for error in [
        UsageError::PlanAndRehearsal,
        UsageError::NotInRehearsal { flag: "--resume" },
        UsageError::TwoTokens,
        UsageError::ResumeTwice,
        UsageError::UnlimitedAbroad,
        UsageError::OnlyWithAuto { flag: "--max-rate" },
        UsageError::StartAboveMax { start: rate("5/s"), max: rate("1/s") },
        UsageError::NoOutputForStdin,
        UsageError::NobodyToAsk,
        UsageError::WholeUsersByTeam,
        UsageError::NoUsersToConfirm,
        UsageError::WholeUsersInBulk,
        UsageError::OnlyWithWholeUsers,
        UsageError::NobodyToConfirmUsers,
        UsageError::PlanIdRequired,
        UsageError::ApprovalOfNothing,
        UsageError::QuietAndVerbose,
    ] {
        let text = error.to_string();
        assert!(text.contains("-o FILE") || text.contains("--"), "{text}");
    }
    assert!(UsageError::NobodyToAsk.to_string().contains("--yes"));
}

#[test]
fn the_mode_decides_who_is_asked() {
    for (line, environment, mode, confirmation) in [
        ("run a.csv", &DESK, Mode::Run, Confirmation::Ask(Terminal::StandardInput)),
        ("run a.csv -y", &DESK, Mode::Run, Confirmation::Given),
        ("run a.csv -y", &CRON, Mode::Run, Confirmation::Given),
        ("run - -o r.csv", &PIPE, Mode::Run, Confirmation::Ask(Terminal::Controlling)),
        ("run - -o r.csv --resume", &PIPE, Mode::Run, Confirmation::Ask(Terminal::Controlling)),
        ("run a.csv -n", &CRON, Mode::Plan, Confirmation::NotNeeded),
        ("plan -", &CRON, Mode::Plan, Confirmation::NotNeeded),
        ("run a.csv --rehearse", &CRON, Mode::Rehearsal, Confirmation::NotNeeded),
        ("run a.csv --rehearse", &DESK, Mode::Rehearsal, Confirmation::NotNeeded),
    ] {
        let settings = resolve(line, environment).expect(line);
        assert_eq!((settings.mode, settings.confirmation), (mode, confirmation), "{line}");
    }
}

#[test]
fn whole_users_need_a_second_confirmation() {
    use UsersConfirmation::{Ask, Given, NotNeeded};
    for (line, environment, want) in [
        ("run a.csv", &DESK, Ok(NotNeeded)),
        ("run a.csv --whole-users", &DESK, Ok(Ask(Terminal::StandardInput))),
        ("run a.csv --whole-users -y", &DESK, Ok(Ask(Terminal::StandardInput))),
        ("run - -o r.csv --whole-users", &PIPE, Ok(Ask(Terminal::Controlling))),
        ("run a.csv --whole-users -y", &CRON, Err(UsageError::NobodyToConfirmUsers)),
        ("run a.csv --whole-users -y --confirm-users 7", &CRON, Ok(Given(7))),
        ("run a.csv --whole-users --confirm-users 7", &DESK, Ok(Given(7))),
        ("run a.csv --whole-users --confirm-users 7", &CRON, Err(UsageError::NobodyToAsk)),
        ("plan a.csv --whole-users", &CRON, Ok(NotNeeded)),
        ("plan a.csv --whole-users --confirm-users 7", &CRON, Ok(Given(7))),
        ("run a.csv --rehearse --whole-users", &CRON, Ok(NotNeeded)),
        ("run a.csv -y --confirm-users 7", &CRON, Err(UsageError::NoUsersToConfirm)),
        ("run a.csv -y --only web", &CRON, Err(UsageError::OnlyWithWholeUsers)),
        ("run a.csv --whole-users --identify-by team", &DESK, Err(UsageError::WholeUsersByTeam)),
        ("run a.csv --whole-users --identify-by user", &DESK, Ok(Ask(Terminal::StandardInput))),
    ] {
        let resolved = resolve(line, environment).map(|settings| settings.users_confirmation);
        assert_eq!(resolved, want, "{line}");
    }
}

#[test]
fn a_plan_id_confirms_whole_users_if_nobody_is_asked() {
    use UsersConfirmation::{Ask, Given, NotNeeded};
    for (flags, environment, want) in [
        ("-y", &CRON, Ok(NotNeeded)),
        ("-y", &DESK, Ok(NotNeeded)),
        ("", &DESK, Ok(Ask(Terminal::StandardInput))),
        ("", &CRON, Err(UsageError::NobodyToAsk)),
        ("-y --confirm-users 7", &CRON, Ok(Given(7))),
    ] {
        let line = format!("run a.csv --whole-users --plan-id {} {flags}", plan_id());
        let resolved = resolve(&line, environment).map(|settings| settings.users_confirmation);
        assert_eq!(resolved, want, "{line}");
    }
    for line in ["run a.csv --rehearse --require-plan-id", "plan a.csv --require-plan-id --approved-by Dana"] {
        assert_eq!(resolve(line, &CRON).unwrap().approval, None, "{line}");
    }
    let line = format!("run a.csv -y --plan-id {} --approved-by Dana", plan_id().to_uppercase());
    let approval = crate::model::Approval { plan_id: plan_id(), approved_by: Some("Dana".into()) };
    assert_eq!(resolve(&line, &CRON).unwrap().approval, Some(approval));
}

#[test]
fn nobody_is_asked_without_a_visible_question_and_an_input() {
    let log_in_a_file = Environment { stderr_is_terminal: false, ..DESK };
    let no_keyboard = Environment { has_controlling_terminal: false, ..PIPE };
    for (line, environment) in [
        ("run a.csv", &log_in_a_file),
        ("run a.csv", &PIPE),
        ("run - -o r.csv", &no_keyboard),
        ("run - -o r.csv", &CRON),
    ] {
        assert_eq!(resolve(line, environment).expect_err(line), UsageError::NobodyToAsk, "{line} in {environment:?}");
    }
}

#[test]
fn the_first_available_token_source_is_used() {
    let credential = Environment { token_credential: Some("/run/credentials/x/slack-token".into()), ..CRON };
    let both = Environment { has_slack_token: true, ..credential.clone() };
    let credential_at_desk = Environment { token_credential: credential.token_credential.clone(), ..DESK };
    let variable_at_desk = Environment { has_slack_token: true, ..DESK };
    let systemd = || Some(TokenSource::Credential("/run/credentials/x/slack-token".into()));
    for (line, environment, want) in [
        ("run a.csv -y --token-file t", &both, Some(TokenSource::File("t".into()))),
        ("run a.csv -y --token-command t", &both, Some(TokenSource::Command("t".into()))),
        ("run a.csv -y", &both, Some(TokenSource::Env)),
        ("run a.csv -y", &variable_at_desk, Some(TokenSource::Env)),
        ("run a.csv -y", &credential, systemd()),
        ("run a.csv -y", &credential_at_desk, systemd()),
        ("run a.csv -y", &DESK, Some(TokenSource::Prompt)),
        ("run - -y -o r.csv", &PIPE, Some(TokenSource::Prompt)),
        ("run a.csv -y", &CRON, None),
        ("plan a.csv", &DESK, None),
        ("plan a.csv", &both, Some(TokenSource::Env)),
        ("run a.csv --rehearse", &both, None),
    ] {
        assert_eq!(resolve(line, environment).expect(line).remote.token, want, "{line}");
    }
}

#[test]
fn the_ends_of_auto_stay_in_order() {
    let auto = |start, max| Ok(RateChoice::Auto { start: rate(start), max: rate(max) });
    let refused = |start, max| Err(UsageError::StartAboveMax { start: rate(start), max: rate(max) });
    for (flags, want) in [
        ("", auto("20/min", "300/min")),
        ("--max-rate 10/min", auto("10/min", "10/min")),
        ("--max-rate 1000/h", auto("1000/h", "1000/h")),
        ("--max-rate 5/s", auto("20/min", "5/s")),
        ("--start-rate 5/s", auto("5/s", "300/min")),
        ("--start-rate 6/s", refused("6/s", "300/min")),
        ("--start-rate 60/min --max-rate 1/s", auto("60/min", "1/s")),
        ("--start-rate 61/min --max-rate 1/s", refused("61/min", "1/s")),
        ("--rate 0.5/s", Ok(RateChoice::Fixed(rate("0.5/s")))),
        ("--rate unlimited --api-url http://127.0.0.1:9/", Ok(RateChoice::Unlimited)),
    ] {
        let resolved = resolve(&format!("run a.csv -y {flags}"), &CRON).map(|settings| settings.pace.rate);
        assert_eq!(resolved, want, "{flags}");
    }
    assert_eq!(resolve("run a.csv --rehearse --rate unlimited", &CRON).unwrap().pace.rate, RateChoice::Unlimited);
}

#[test]
fn every_flag_reaches_the_settings() {
    let line = "run a.csv -y -o r.csv --remaining left.csv --identify-by team --delimiter tab --bucket org -j 3 --retries 2 \
        --timeout 4s --max-retry-after 5m --deadline 6h --max-failures 7 --protect p --allow-self --no-canary --strict \
        --api-url https://api.example/ --allow-host api.example --events e --summary-json s --metrics-file m --reason INC";
    let settings = resolve(line, &CRON).unwrap();
    assert_eq!(settings.input.identify_by, Identify::Team);
    assert_eq!(settings.input.delimiter.map(Delimiter::byte), Some(b'\t'));
    assert_eq!(settings.output.output.as_deref(), Some("r.csv".as_ref()));
    assert_eq!(settings.output.remaining.as_deref(), Some("left.csv".as_ref()));
    assert_eq!((settings.pace.bucket, settings.pace.workers), (BucketPolicy::Org, Some(3)));
    assert_eq!((settings.remote.calls.retries, settings.remote.calls.timeout), (2, Duration::from_secs(4)));
    assert_eq!(settings.remote.calls.max_retry_after, Duration::from_mins(5));
    assert_eq!(settings.safety.deadline, Some(Duration::from_hours(6)));
    assert_eq!(settings.safety.max_failures, MaxFailures::Rows(7));
    assert!(settings.safety.allow_self && settings.safety.strict && settings.safety.no_canary);
    assert_eq!(settings.remote.api_url, "https://api.example/");
    assert_eq!(settings.remote.allow_hosts, ["api.example"]);
    assert_eq!(settings.report.reason.as_deref(), Some("INC"));
    let plain = resolve("run a.csv -y", &CRON).unwrap();
    assert_eq!(plain.remote.api_url, API_URL);
    assert!(!plain.safety.no_canary && !plain.safety.allow_self && plain.input.identify_by == Identify::Auto);
}

#[test]
fn the_console_follows_flags_and_terminal() {
    use ScreenMode::{Bar, None as Hidden, Plain};
    let dumb = Environment { terminal_is_dumb: true, ..DESK };
    let no_color = Environment { no_color: true, ..DESK };
    for (flags, environment, progress, color, verbosity) in [
        ("", &DESK, Bar, true, Verbosity::Normal),
        ("", &CRON, Plain, false, Verbosity::Normal),
        ("", &dumb, Plain, false, Verbosity::Normal),
        ("", &no_color, Bar, false, Verbosity::Normal),
        ("--color always", &no_color, Bar, true, Verbosity::Normal),
        ("--color always", &CRON, Plain, true, Verbosity::Normal),
        ("--color never", &DESK, Bar, false, Verbosity::Normal),
        ("--progress bar", &DESK, Bar, true, Verbosity::Normal),
        ("--progress bar", &CRON, Plain, false, Verbosity::Normal),
        ("--progress plain", &DESK, Plain, true, Verbosity::Normal),
        ("--progress none", &DESK, Hidden, true, Verbosity::Normal),
        ("--log-format json", &DESK, Plain, true, Verbosity::Normal),
        ("-q", &DESK, Hidden, true, Verbosity::Quiet),
        ("-q --progress plain", &DESK, Plain, true, Verbosity::Quiet),
        ("-v", &DESK, Bar, true, Verbosity::Rows),
        ("-vvv", &DESK, Bar, true, Verbosity::Calls),
    ] {
        let console = resolve(&format!("run a.csv -y {flags}"), environment).unwrap().console;
        assert_eq!((console.progress, console.color, console.verbosity), (progress, color, verbosity), "{flags}");
    }
}
