//! A flag that is typed overrides the variable of a flag that it excludes.
//!
//! A job's environment may hold `SLACK_REVOKE_TOKEN_FILE`; without this, `--rehearse` typed in the same shell would be refused
//! because of a flag that nobody typed.

use crate::model::RateChoice;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// What decides which variables are ignored.
struct Given<'a> {
    source: &'a dyn Fn(&str) -> Option<ValueSource>,
    command: &'a str,
    rehearse: bool,
    has_fixed_rate: bool,
}

/// The ids of flags whose variables are ignored, because something typed excludes them.
pub(super) fn overridden(matches: &ArgMatches) -> Vec<&'static str> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let is_known = |id: &str| matches.try_contains_id(id).is_ok();
    Given {
        source: &|id| is_known(id).then(|| matches.value_source(id)).flatten(),
        command: name,
        rehearse: matches.try_get_one::<bool>("rehearse").is_ok_and(|given| given == Some(&true)),
        has_fixed_rate: matches
            .try_get_one::<RateChoice>("rate")
            .is_ok_and(|rate| matches!(rate, Some(RateChoice::Fixed(_) | RateChoice::Unlimited))),
    }
    .overridden()
}

impl Given<'_> {
    fn is_typed(&self, id: &str) -> bool {
        (self.source)(id) == Some(ValueSource::CommandLine)
    }

    fn is_variable(&self, id: &str) -> bool {
        (self.source)(id) == Some(ValueSource::EnvVariable)
    }

    fn overridden(&self) -> Vec<&'static str> {
        let rules = self.rules();
        let excluded = rules.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, ids)| ids);
        excluded.copied().filter(|id| self.is_variable(id)).collect()
    }

    /// When variables are ignored, and which.
    fn rules(&self) -> [(bool, &'static [&'static str]); 15] {
        let plans = self.command == "plan" || self.is_typed("dry_run");
        let rehearses = self.rehearse && !(plans && self.is_variable("rehearse"));
        [
            (self.is_typed("quiet"), &["verbose"]),
            (self.is_typed("verbose"), &["quiet"]),
            (self.is_typed("rehearse"), &["dry_run"]),
            (plans, &["rehearse"]),
            // A rehearsal has no token, and calls nothing but itself.
            (
                rehearses,
                &["token_file", "token_command", "api_url", "resume", "resume_or_start", "plan_id", "approved_by"],
            ),
            (self.is_typed("bulk"), &["whole_users", "only"]),
            (self.is_typed("whole_users"), &["bulk"]),
            (self.is_typed("strict"), &["no_strict"]),
            (self.is_typed("no_strict"), &["strict"]),
            (self.is_typed("token_file"), &["token_command"]),
            (self.is_typed("token_command"), &["token_file"]),
            (self.command == "report" && self.is_typed("check"), &["output", "rehearse", "seal_command"]),
            (self.is_typed("resume"), &["resume_or_start"]),
            (self.is_typed("resume_or_start"), &["resume"]),
            (self.is_typed("rate") && self.has_fixed_rate, &["start_rate", "max_rate"]),
        ]
    }
}

/// The command with these variables left unread.
pub(super) fn without_variables(command: clap::Command, ids: &[&str]) -> clap::Command {
    let unset = |arg: clap::Arg| if ids.contains(&arg.get_id().as_str()) { arg.env(None::<&str>) } else { arg };
    command.mut_args(unset).mut_subcommands(|subcommand| subcommand.mut_args(unset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// The variables that a line ignores of which some flags are taken to have come from variables.
    fn ignored(line: &str, variables: &[&str]) -> Vec<&'static str> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_given = |id: &str| words.iter().any(|word| *word == format!("--{}", id.replace('_', "-")));
        let given = Given {
            source: &|id| {
                let source = if variables.contains(&id) { ValueSource::EnvVariable } else { ValueSource::CommandLine };
                is_given(id).then_some(source)
            },
            command: words[0],
            rehearse: is_given("rehearse"),
            has_fixed_rate: is_given("rate"),
        };
        given.overridden()
    }

    #[test]
    fn a_rehearsal_ignores_the_variables_of_a_token() {
        let line = "run a.csv --rehearse --dry-run --token-file t --api-url u --resume --plan-id i";
        let variables = ["token_file", "api_url", "resume", "dry_run", "plan_id"];
        assert_eq!(ignored(line, &variables), ["dry_run", "token_file", "api_url", "resume", "plan_id"]);
        assert_eq!(ignored(line, &["dry_run"]), ["dry_run"]);
    }

    #[test]
    fn a_run_keeps_its_variables() {
        let variables = ["token_file", "api_url", "resume", "yes", "max_rate"];
        assert_eq!(ignored("run a.csv --yes --token-file t --api-url u --resume --max-rate 5/s", &variables), [""; 0]);
    }

    #[test]
    fn of_two_that_exclude_each_other_the_typed_one_holds() {
        let line =
            "run a.csv --token-file t --token-command c --rate 5/s --start-rate 1/s --max-rate 9/s --quiet --verbose";
        assert_eq!(ignored(line, &["token_file", "max_rate", "quiet"]), ["quiet", "token_file", "max_rate"]);
        let other = ignored(line, &["token_command", "start_rate", "verbose"]);
        assert_eq!(other, ["verbose", "token_command", "start_rate"]);
        assert_eq!(ignored("run a.csv --resume --resume-or-start", &["resume_or_start"]), ["resume_or_start"]);
        assert_eq!(ignored("run a.csv --resume --resume-or-start", &["resume"]), ["resume"]);
    }

    #[test]
    fn a_typed_dry_run_ends_a_rehearsal_by_variable_and_the_other_way_round() {
        assert_eq!(ignored("run a.csv --dry-run --rehearse", &["rehearse"]), ["rehearse"]);
        assert_eq!(ignored("plan a.csv --rehearse", &["rehearse"]), ["rehearse"]);
        assert_eq!(ignored("run a.csv --dry-run --rehearse", &["dry_run"]), ["dry_run"]);
    }

    #[test]
    fn a_check_of_a_report_ignores_what_only_a_page_needs() {
        let variables = ["output", "rehearse", "seal_command"];
        let flags = "--check --output o --rehearse --seal-command c";
        assert_eq!(ignored(&format!("report r.csv {flags}"), &variables), variables);
        assert_eq!(ignored("resolve r.csv --check --output o --rehearse", &variables), [""; 0]);
    }

    #[test]
    fn every_id_of_the_rules_is_a_flag_of_run_or_report() {
        let mut command = super::super::command();
        command.build();
        let flags =
            ["run", "report"].into_iter().flat_map(|name| command.find_subcommand(name).unwrap().get_arguments());
        let flags: Vec<_> = flags.map(clap::Arg::get_id).collect();
        let asked = RefCell::new(Vec::new());
        let source = |id: &str| {
            asked.borrow_mut().push(id.to_owned());
            None
        };
        let given = Given { source: &source, command: "report", rehearse: true, has_fixed_rate: true };
        let excluded: Vec<String> =
            given.rules().into_iter().flat_map(|(_, ids)| ids).map(|id| (*id).to_owned()).collect();
        for id in asked.borrow().iter().chain(&excluded).map(String::as_str).chain(["rehearse", "rate"]) {
            assert!(flags.iter().any(|known| *known == id), "{id}");
        }
    }
}
