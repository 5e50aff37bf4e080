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

/// Gives each flag of the command and its subcommands its variable.
pub(super) fn add_to(command: Command) -> Command {
    command.mut_args(add).mut_subcommands(|subcommand| subcommand.mut_args(add))
}

fn add(arg: Arg) -> Arg {
    let Some(name) = arg.get_long().map(variable_of) else { return arg };
    // clap would show the variable in the short help too, and its value in both.
    let long_help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let arg = arg.long_help(format!("{long_help}\n\n[env: {name}]")).hide_env(true);
    let arg =
        if matches!(arg.get_action(), ArgAction::SetTrue) { arg.value_parser(BoolishValueParser::new()) } else { arg };
    // An empty variable, as service files are full of, is one that is not set.
    if std::env::var_os(&name).as_deref() == Some(OsStr::new("")) {
        return arg;
    }
    // clap keeps names for as long as the program runs; the command is built once or twice in that time.
    arg.env(&*name.leak())
}

/// clap names the flag of a value that it cannot take, also where the value is a variable's: then the variable is named.
pub(super) fn name_in(mut error: clap::Error, argv: &[OsString]) -> clap::Error {
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(usage)) => usage.split(' ').next().unwrap_or_default().to_owned(),
        _ => return error,
    };
    let variable = flag.strip_prefix("--").map(variable_of).filter(|variable| std::env::var_os(variable).is_some());
    let is_typed = argv.iter().any(|argument| argument.to_string_lossy().starts_with(&flag));
    if let Some(variable) = variable.filter(|_| !is_typed) {
        let tip = StyledStr::from(format!("the value is that of the environment variable {variable}"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}
