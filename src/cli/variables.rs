//! Every flag has an environment variable, by one rule instead of forty attributes.

use clap::builder::{BoolishValueParser, StyledStr};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use std::ffi::{OsStr, OsString};

/// The variable of a flag: `max-failures` has `SLACK_REVOKE_MAX_FAILURES`.
#[must_use]
pub fn variable_of(long_flag: &str) -> String {
    format!("SLACK_REVOKE_{}", long_flag.replace('-', "_").to_ascii_uppercase())
}

/// Flags that name what one command writes or goes on with. A job's environment has them for its run; its `verify` would be
/// refused, or worse, write over what the run left.
const OWN: [&str; 2] = ["output", "resume"];

/// The commands that such a variable without a command's name is for.
const RUNS: [&str; 2] = ["run", "plan"];

/// The variable of a command's flag: that of [`variable_of`], but `verify --output` has `SLACK_REVOKE_VERIFY_OUTPUT`.
fn variable_in(command: &str, long_flag: &str) -> String {
    let is_own = OWN.contains(&long_flag) && !RUNS.contains(&command);
    if is_own { variable_of(&format!("{command}-{long_flag}")) } else { variable_of(long_flag) }
}

/// The variable that is no flag's.
pub(super) const LOG: &str = "SLACK_REVOKE_LOG";

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
    // clap would show the variable in the short help too, and its value in both.
    let long_help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let arg = arg.long_help(format!("{long_help}\n\n[env: {name}]")).hide_env(true);
    let arg =
        if matches!(arg.get_action(), ArgAction::SetTrue) { arg.value_parser(BoolishValueParser::new()) } else { arg };
    // An empty variable, as service files are full of, is one that is not set.
    if std::env::var_os(&name).as_deref() == Some(OsStr::new("")) {
        return arg;
    }
    if let Some(values) = listed(&arg, &name) {
        return arg.default_values(values).hide_default_value(true);
    }
    // clap keeps names for as long as the program runs; the command is built once or twice in that time.
    arg.env(&*name.leak())
}

/// The values in the variable of a flag that may be repeated, separated by commas. On the command line a comma may belong to the
/// value, and clap would take a variable's for one value or separate both.
fn listed(arg: &Arg, name: &str) -> Option<Vec<&'static OsStr>> {
    if !matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some() {
        return None;
    }
    // As names are, they are kept for as long as the program runs.
    let text: &'static OsStr = std::env::var_os(name)?.leak();
    Some(text.to_str().map_or_else(|| vec![text], |text| text.split(',').map(OsStr::new).collect()))
}

/// clap names the flag of a value that it cannot take, also where the value is a variable's: then the variable is named.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_writes_is_no_other_commands_to_write() {
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
}
