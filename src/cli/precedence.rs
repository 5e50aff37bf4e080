//! What is typed goes before a variable, also between two flags that exclude each other.
//!
//! A job's environment may hold `SLACK_REVOKE_TOKEN_FILE`; a drill in the same shell types `--rehearse`. Were the two
//! taken alike, the drill would be refused for something that nobody typed.

use super::{Cli, Command, GlobalArgs, RemoteArgs, RunArgs};
use crate::model::RateChoice;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// Sets aside the variables that something typed excludes.
pub(super) fn settle(cli: &mut Cli, matches: &ArgMatches) {
    let Some((_, matches)) = matches.subcommand() else { return };
    let sources = Sources(&|id| matches.value_source(id));
    settle_global(&mut cli.global, sources);
    match &mut cli.command {
        Command::Run(run) => settle_run(run, false, sources),
        Command::Plan(plan) => settle_run(&mut plan.run, true, sources),
        Command::Doctor(args) => settle_remote(&mut args.remote, sources),
        Command::List(args) => settle_remote(&mut args.remote, sources),
        Command::Resolve(args) => settle_remote(&mut args.remote, sources),
        Command::Verify(args) => settle_remote(&mut args.remote, sources),
        Command::Completions(_) | Command::Man(_) | Command::Report(_) => {}
    }
}

/// Where the value of a flag came from.
#[derive(Clone, Copy)]
struct Sources<'a>(&'a dyn Fn(&str) -> Option<ValueSource>);

impl Sources<'_> {
    fn is_typed(self, id: &str) -> bool {
        (self.0)(id) == Some(ValueSource::CommandLine)
    }

    fn is_variable(self, id: &str) -> bool {
        (self.0)(id) == Some(ValueSource::EnvVariable)
    }
}

fn settle_global(global: &mut GlobalArgs, sources: Sources<'_>) {
    if sources.is_typed("quiet") && sources.is_variable("verbose") {
        global.verbose = 0;
    }
    if sources.is_typed("verbose") && sources.is_variable("quiet") {
        global.quiet = false;
    }
}

fn settle_run(run: &mut RunArgs, is_plan: bool, sources: Sources<'_>) {
    settle_mode(run, is_plan, sources);
    settle_token(run, sources);
    settle_existing(run, sources);
    if sources.is_typed("rate") && !matches!(run.pace.rate, RateChoice::Auto { .. }) {
        forget_variable(&mut run.pace.start_rate, sources, "start_rate");
        forget_variable(&mut run.pace.max_rate, sources, "max_rate");
    }
}

/// As for a run, in the commands around it.
fn settle_remote(remote: &mut RemoteArgs, sources: Sources<'_>) {
    if sources.is_typed("token_command") {
        forget_variable(&mut remote.token.token_file, sources, "token_file");
    }
    if sources.is_typed("token_file") {
        forget_variable(&mut remote.token.token_command, sources, "token_command");
    }
    if sources.is_typed("rate") && !matches!(remote.rates.rate, RateChoice::Auto { .. }) {
        forget_variable(&mut remote.rates.start_rate, sources, "start_rate");
        forget_variable(&mut remote.rates.max_rate, sources, "max_rate");
    }
}

/// `plan` and `run --dry-run` are the same thing.
fn settle_mode(run: &mut RunArgs, is_plan: bool, sources: Sources<'_>) {
    if sources.is_typed("rehearse") && sources.is_variable("dry_run") {
        run.safety.dry_run = false;
    }
    run.safety.dry_run |= is_plan;
    if (is_plan || sources.is_typed("dry_run")) && sources.is_variable("rehearse") {
        run.safety.rehearse = false;
    }
}

/// A rehearsal has no token, and speaks to nobody but itself.
fn settle_token(run: &mut RunArgs, sources: Sources<'_>) {
    let RunArgs { token, output, safety, .. } = run;
    if safety.rehearse || sources.is_typed("token_command") {
        forget_variable(&mut token.token_file, sources, "token_file");
    }
    if safety.rehearse || sources.is_typed("token_file") {
        forget_variable(&mut token.token_command, sources, "token_command");
    }
    if safety.rehearse {
        forget_variable(&mut token.api_url, sources, "api_url");
        output.resume &= !sources.is_variable("resume");
        output.resume_or_start &= !sources.is_variable("resume_or_start");
    }
}

/// `--resume` and `--resume-or-start` exclude each other.
fn settle_existing(run: &mut RunArgs, sources: Sources<'_>) {
    if sources.is_typed("resume") {
        run.output.resume_or_start &= !sources.is_variable("resume_or_start");
    }
    if sources.is_typed("resume_or_start") {
        run.output.resume &= !sources.is_variable("resume");
    }
}

fn forget_variable<T>(value: &mut Option<T>, sources: Sources<'_>, id: &str) {
    if sources.is_variable(id) {
        *value = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of a line of which some flags are taken to have come from variables.
    fn settled(line: &str, variables: &[&str]) -> (RunArgs, GlobalArgs) {
        let argv = std::iter::once("slack-revoke").chain(line.split_whitespace()).map(Into::into);
        let mut cli = super::super::parse(argv).expect(line);
        let sources = Sources(&|id| {
            let is_given = line.split_whitespace().any(|word| word == format!("--{}", id.replace('_', "-")));
            let source = if variables.contains(&id) { ValueSource::EnvVariable } else { ValueSource::CommandLine };
            is_given.then_some(source)
        });
        settle_global(&mut cli.global, sources);
        match cli.command {
            Command::Run(mut run) => {
                settle_run(&mut run, false, sources);
                (*run, cli.global)
            }
            _ => panic!("{line} is not a run"),
        }
    }

    #[test]
    fn a_rehearsal_forgets_a_token_that_nobody_typed() {
        let line = "run a.csv --rehearse --dry-run --token-file t --api-url u --resume";
        let (run, _) = settled(line, &["token_file", "api_url", "resume", "dry_run"]);
        assert!(run.token.token_file.is_none() && run.token.api_url.is_none() && !run.output.resume);
        assert!(run.safety.rehearse);
        let (run, _) = settled(line, &["dry_run"]);
        assert!(run.token.token_file.is_some() && run.token.api_url.is_some() && run.output.resume);
    }

    #[test]
    fn a_run_keeps_its_variables() {
        let variables = ["token_file", "api_url", "resume", "yes", "max_rate"];
        let (run, _) = settled("run a.csv --yes --token-file t --api-url u --resume --max-rate 5/s", &variables);
        assert!(run.safety.yes && run.output.resume && run.pace.max_rate.is_some());
        assert!(run.token.token_file.is_some() && run.token.api_url.is_some());
    }

    #[test]
    fn of_two_that_exclude_each_other_the_typed_one_holds() {
        let line =
            "run a.csv --token-file t --token-command c --rate 5/s --start-rate 1/s --max-rate 9/s --quiet --verbose";
        let (run, global) = settled(line, &["token_file", "max_rate", "quiet"]);
        assert!(run.token.token_file.is_none() && run.token.token_command.is_some());
        assert!(run.pace.max_rate.is_none() && run.pace.start_rate.is_some());
        assert!(!global.quiet && global.verbose == 1);
        let (run, global) = settled(line, &["token_command", "start_rate", "verbose"]);
        assert!(run.token.token_file.is_some() && run.token.token_command.is_none());
        assert!(run.pace.max_rate.is_some() && run.pace.start_rate.is_none());
        assert!(global.quiet && global.verbose == 0);
    }

    #[test]
    fn of_two_ways_to_go_on_the_typed_one_holds() {
        for (variable, resume) in [("resume_or_start", true), ("resume", false)] {
            let (run, _) = settled("run a.csv --resume --resume-or-start", &[variable]);
            assert_eq!((run.output.resume, run.output.resume_or_start), (resume, !resume), "{variable}");
        }
    }

    #[test]
    fn a_dry_run_that_was_typed_is_no_rehearsal_and_the_other_way_round() {
        let (run, _) = settled("run a.csv --dry-run --rehearse", &["rehearse"]);
        assert!(run.safety.dry_run && !run.safety.rehearse);
        let (run, _) = settled("run a.csv --dry-run --rehearse", &["dry_run"]);
        assert!(!run.safety.dry_run && run.safety.rehearse);
    }
}
