//! What is meant by a word that is no command: people bring words from other programs.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// Words, and what is to be typed for them.
const MEANT: &[(&[&str], &str)] = &[
    (&["version", "ver"], "slack-revoke --version"),
    (&["usage", "-h", "--help", "-?", "/?"], "slack-revoke --help"),
    (
        &["revoke", "invalidate", "start", "send", "execute", "logout", "kick", "reset", "delete", "kill", "end"],
        "slack-revoke run INPUT",
    ),
    (&["resume", "continue", "restart"], "slack-revoke run INPUT --resume"),
    (&["retry"], "slack-revoke run OUTPUT.remaining.csv"),
    (&["dry-run", "dryrun", "check", "validate", "preview", "simulate", "test"], "slack-revoke plan INPUT"),
    (&["rehearse", "rehearsal", "demo"], "slack-revoke run INPUT --rehearse"),
    (&["export", "sessions", "ls", "get"], "slack-revoke list -o sessions.csv"),
    (&["status", "summary", "show"], "slack-revoke report RESULTS"),
    (&["ping", "auth", "login", "whoami", "diagnose"], "slack-revoke doctor"),
    (&["completion", "complete"], "slack-revoke completions SHELL"),
    (&["manual", "manpage"], "slack-revoke man"),
];

/// `help -h` is help.
pub(super) fn without_help_of_help(mut argv: Vec<OsString>) -> Vec<OsString> {
    let is_help =
        |word: Option<&OsString>, names: &[&str]| word.is_some_and(|word| names.iter().any(|name| word == name));
    if argv.len() == 3 && is_help(argv.get(1), &["help"]) && is_help(argv.get(2), &["-h", "--help", "help"]) {
        argv.truncate(2);
    }
    argv
}

/// Names what is meant by a word that is no command; clap's own tip goes by the letters alone.
pub(super) fn on_a_wrong_command(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let Some(tip) = tip(word) else { return error };
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

fn tip(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let is_meant = |words: &&[&str]| words.contains(&&*lower);
    if let Some((_, line)) = MEANT.iter().find(|(words, _)| is_meant(words)) {
        return Some(format!("you may mean: {line}"));
    }
    let ends = [".csv", ".tsv", ".txt", ".gz", ".zst"];
    ends.iter().any(|end| lower.ends_with(end)).then(|| format!("to send a list: slack-revoke run {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        let argv = std::iter::once("slack-revoke").chain(line.split_whitespace()).map(OsString::from);
        super::super::parse(argv).expect_err(line).to_string()
    }

    #[test]
    fn a_word_of_another_program_gets_the_line_that_is_meant() {
        for (line, want) in [
            ("version", "slack-revoke --version"),
            ("revoke", "slack-revoke run INPUT"),
            ("Revoke x.csv", "slack-revoke run INPUT"),
            ("resume", "run INPUT --resume"),
            ("sessions.csv", "slack-revoke run sessions.csv"),
            ("help version", "slack-revoke --version"),
            ("dry-run x.csv", "slack-revoke plan INPUT"),
        ] {
            let text = refused(line);
            assert!(text.contains(want) && !text.contains("similar subcommand"), "{line}: {text}");
        }
        assert!(refused("lists").contains("'list'"), "a slip of the pen still gets clap's tip");
    }

    #[test]
    fn help_of_help_is_help() {
        for line in ["help -h", "help --help", "help help"] {
            assert!(refused(line).contains("Usage: slack-revoke"), "{line}");
        }
    }
}
