//! Every flag has an environment variable, by one rule; names that look like one are refused.

use clap::builder::{BoolishValueParser, StyledStr};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use std::ffi::{OsStr, OsString};

/// The variable of a flag: `max-failures` has `SLACK_REVOKE_MAX_FAILURES`.
#[must_use]
pub fn variable_of(long_flag: &str) -> String {
    format!("SLACK_REVOKE_{}", long_flag.replace('-', "_").to_ascii_uppercase())
}

/// Flags whose plain variable is for `run` alone: with a job's SLACK_REVOKE_OUTPUT, its `verify` would be refused or overwrite
/// what the run left. A run gives SLACK_REVOKE_MANIFEST_SHA256 to its hooks.
const OWN_VARIABLE: [&str; 3] = ["output", "resume", "manifest-sha256"];

/// The commands that read those plain variables.
const RUNS: [&str; 2] = ["run", "plan"];

/// The variable of a command's flag: that of [`variable_of`], but `verify --output` has `SLACK_REVOKE_VERIFY_OUTPUT`.
fn variable_in(command: &str, long_flag: &str) -> String {
    let is_own = OWN_VARIABLE.contains(&long_flag) && !RUNS.contains(&command);
    if is_own { variable_of(&format!("{command}-{long_flag}")) } else { variable_of(long_flag) }
}

/// The variables without a flag.
pub(super) const LOG: &str = "SLACK_REVOKE_LOG";
pub const QUOTA_PASSWORD: &str = "SLACK_REVOKE_QUOTA_PASSWORD";

/// The variables of all flags of the command and its subcommands.
pub(super) fn names_in(command: &Command) -> Vec<String> {
    let of = |command: &Command, name: &str| -> Vec<String> {
        command.get_arguments().filter_map(Arg::get_long).map(|flag| variable_in(name, flag)).collect()
    };
    let mut names = of(command, "");
    names.extend(command.get_subcommands().flat_map(|subcommand| of(subcommand, subcommand.get_name())));
    names.sort_unstable();
    names.dedup();
    names
}

/// Gives each flag of the command and its subcommands its variable.
pub(super) fn add_to(command: Command) -> Command {
    command.mut_args(|arg| add(arg, "")).mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        subcommand.mut_args(|arg| add(arg, &name))
    })
}

fn add(arg: Arg, command: &str) -> Arg {
    let Some(name) = arg.get_long().map(|flag| variable_in(command, flag)) else { return arg };
    // `help environment` lists the variables.
    let arg = arg.hide_env(true);
    let arg =
        if matches!(arg.get_action(), ArgAction::SetTrue) { arg.value_parser(BoolishValueParser::new()) } else { arg };
    // An empty variable, common in service files, counts as unset.
    if std::env::var_os(&name).as_deref() == Some(OsStr::new("")) {
        return arg;
    }
    if let Some(values) = listed(&arg, &name) {
        return arg.default_values(values).hide_default_value(true);
    }
    // clap keeps names for as long as the program runs; the command is built once or twice in that time.
    arg.env(&*name.leak())
}

/// The comma-separated values in the variable of a repeatable flag. On the command line a comma may belong to the value, and
/// clap can only split both or neither.
fn listed(arg: &Arg, name: &str) -> Option<Vec<&'static OsStr>> {
    if !matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some() {
        return None;
    }
    let text: &'static OsStr = std::env::var_os(name)?.leak();
    Some(text.to_str().map_or_else(|| vec![text], |text| text.split(',').map(OsStr::new).collect()))
}

/// Adds the variable's name to clap's error if the invalid value came from a variable: clap only names the flag.
pub(super) fn name_in(mut error: clap::Error, argv: &[OsString]) -> clap::Error {
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(usage)) => usage.split(' ').next().unwrap_or_default().to_owned(),
        _ => return error,
    };
    let command = argv.iter().skip(1).find_map(|word| word.to_str().filter(|word| !word.starts_with('-')));
    let variable_of = |flag| variable_in(command.unwrap_or_default(), flag);
    let variable = flag.strip_prefix("--").map(variable_of).filter(|variable| std::env::var_os(variable).is_some());
    let is_typed = argv.iter().any(|argument| argument.to_string_lossy().starts_with(&flag));
    if let Some(variable) = variable.filter(|_| !is_typed) {
        let tip = StyledStr::from(format!("the value is that of the environment variable {variable}"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// A variable that is set, and the one that was probably meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misspelled {
    set: String,
    meant: String,
}

/// The first variable whose name is not quite a flag's: it would be ignored, and a protection with it. An empty one is ignored
/// under any name.
pub(super) fn first_misspelled(
    command: &Command,
    set: impl Iterator<Item = (OsString, OsString)>,
) -> Option<Misspelled> {
    let mut known = names_in(command);
    known.extend([LOG, QUOTA_PASSWORD].map(str::to_owned));
    let given = set.filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.to_string_lossy().into_owned());
    let found = given.filter_map(|set| meant(&set, &known).map(|meant| Misspelled { meant: meant.to_owned(), set }));
    found.min_by(|one, other| one.set.cmp(&other.set))
}

impl Misspelled {
    pub(super) fn refusal(&self) -> String {
        let Self { set, meant } = self;
        let set = set.escape_debug();
        format!(
            "the environment variable {set} isn't a variable of this program and looks like {meant}: rename or remove it

  It would be ignored, and with it perhaps a protection or a limit. Nothing was sent."
        )
    }
}

/// The variable that a name is a misspelling of, if it is one.
fn meant<'a>(set: &str, known: &'a [String]) -> Option<&'a str> {
    let letters = letters_of(set);
    let is_read = || known.iter().any(|name| name == set);
    if !letters.contains("REVOKE") && !letters.starts_with("SLACK") || is_read() || is_of_kubernetes(set) {
        return None;
    }
    let slips = |name: &&String| {
        let name = letters_of(name);
        Some(strsim::damerau_levenshtein(&letters, &name)).filter(|&slips| slips <= most_slips(&name))
    };
    known.iter().filter_map(|name| Some((slips(&name)?, name))).min().map(|(_, name)| name.as_str())
}

/// In upper case, without separators.
fn letters_of(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// Short names are only a letter or two away from other words.
fn most_slips(letters: &str) -> usize {
    match letters.len().saturating_sub("SLACKREVOKE".len()) {
        0..=2 => 0,
        3..=6 => 1,
        _ => 2,
    }
}

/// Set by Kubernetes in every container if a service's name begins with slack-revoke.
fn is_of_kubernetes(name: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    let is_numbered = |(_, rest): (&str, &str)| rest.starts_with(|first: char| first.is_ascii_digit());
    ends.iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || name.rsplit_once("_PORT_").is_some_and(is_numbered)
        || name.split_once("_PORT_").is_some_and(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_resume_of_other_commands_have_variables_of_their_own() {
        for (command, flag, want) in [
            ("run", "output", "SLACK_REVOKE_OUTPUT"),
            ("plan", "resume", "SLACK_REVOKE_RESUME"),
            ("verify", "output", "SLACK_REVOKE_VERIFY_OUTPUT"),
            ("list", "resume", "SLACK_REVOKE_LIST_RESUME"),
            ("verify", "token-file", "SLACK_REVOKE_TOKEN_FILE"),
            ("", "quiet", "SLACK_REVOKE_QUIET"),
        ] {
            assert_eq!(variable_in(command, flag), want);
        }
    }

    fn found(name: &str, value: &str) -> Option<String> {
        let set = [(OsString::from(name), OsString::from(value))];
        first_misspelled(&super::super::command(), set.into_iter())
            .map(|found| found.meant.replace("SLACK_REVOKE_", ""))
    }

    #[test]
    fn a_misspelled_variable_is_told_from_other_variables() {
        for (name, want) in [
            ("SLACK_REVOKE_PROTCET", Some("PROTECT")),
            ("SLACK_REVOKE_PROTECTS", Some("PROTECT")),
            ("SLACK_REVOKE_PROTEC", Some("PROTECT")),
            ("SLACK_REVOKE_PROTECTED", Some("PROTECT")),
            ("SLACK_REVOKE_PROTECT_", Some("PROTECT")),
            ("SLACK_REVOKE__PROTECT", Some("PROTECT")),
            ("SLACK_REVOKE-PROTECT", Some("PROTECT")),
            ("SLACK_REVOKE.PROTECT", Some("PROTECT")),
            ("slack_revoke_protect", Some("PROTECT")),
            ("Slack_Revoke_Protect", Some("PROTECT")),
            ("SLACKREVOKE_PROTECT", Some("PROTECT")),
            ("SLAKC_REVOKE_PROTECT", Some("PROTECT")),
            ("SLACK_REVOK_PROTECT", Some("PROTECT")),
            ("SLACK_REVOKED_PROTECT", Some("PROTECT")),
            ("SLACK_REVOKE_ALLOWSELF", Some("ALLOW_SELF")),
            ("SLACK_REVOKE_ALLOW_SELFS", Some("ALLOW_SELF")),
            ("SLACK_REVOKE_MAXFAILURES", Some("MAX_FAILURES")),
            ("SLACK_REVOKE_MAX_FAILURE", Some("MAX_FAILURES")),
            ("SLACK_REVOKE_MAX_FIALURES", Some("MAX_FAILURES")),
            ("SLACK_REVOKE_STRCIT", Some("STRICT")),
            ("SLACK_REVOKE_RATES", Some("RATE")),
            ("SLACK_REVOKE_NOTIP", Some("NOT_IP")),
            ("slack_revoke_ip", Some("IP")),
            ("SLACK_REVOKE_PROTECT", None),
            ("SLACK_REVOKE_VERIFY_OUTPUT", None),
            ("SLACK_REVOKE_USERS", None),
            ("SLACK_REVOKE_LOG", None),
            ("SLACK_REVOKE_TOKEN", None),
            ("SLACK_REVOKE_EXIT_CODE", None),
            ("SLACK_REVOKE_STATUS", None),
            ("SLACK_REVOKE_MODE", None),
            ("SLACK_REVOKE_RUN_ID", None),
            ("SLACK_REVOKE_RESULTS", None),
            ("SLACK_REVOKE_SUMMARY", None),
            ("SLACK_REVOKE_VERSION", None),
            ("SLACK_REVOKE_IMAGE", None),
            ("SLACK_REVOKE_CONFIG", None),
            ("SLACK_REVOKE_HOME", None),
            ("SLACK_REVOKE_ID", None),
            ("SLACK_REVOKE", None),
            ("SLACK_TOKEN", None),
            ("PROTECT", None),
            ("SLACK_REVOKE_PORT", None),
            ("SLACK_REVOKE_PORT_443_TCP", None),
            ("SLACK_REVOKE_PORT_443_TCP_ADDR", None),
            ("SLACK_REVOKE_PORT_443_TCP_PORT", None),
            ("SLACK_REVOKE_PORT_443_TCP_PROTO", None),
            ("SLACK_REVOKE_SERVICE_HOST", None),
            ("SLACK_REVOKE_SERVICE_PORT", None),
            ("SLACK_REVOKE_SERVICE_PORT_HTTPS", None),
            ("SLACK_REVOKE_METRICS_PORT_80_TCP", None),
        ] {
            assert_eq!(found(name, "x").as_deref(), want, "{name}");
        }
        assert_eq!(found("SLACK_REVOKE_PROTCET", ""), None);
    }

    #[test]
    fn every_flags_variable_is_known_and_each_swap_of_its_letters_is_not() {
        let command = super::super::command();
        let known = names_in(&command);
        assert!(known.len() > 50, "{known:?}");
        for name in &known {
            assert_eq!(meant(name, &known), None, "{name}");
            let swapped: Vec<char> = name.chars().collect();
            for at in "SLACK_REVOKE_".len()..name.len() - 1 {
                let mut swapped = swapped.clone();
                swapped.swap(at, at + 1);
                let swapped: String = swapped.into_iter().collect();
                let is_short = name.len() < "SLACK_REVOKE_".len() + 3;
                assert!(is_short || known.contains(&swapped) || meant(&swapped, &known).is_some(), "{swapped}");
            }
        }
    }
}
