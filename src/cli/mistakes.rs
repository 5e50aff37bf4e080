//! Mistakes on a command line that clap doesn't know: a typed token, and words of other programs.

use super::help_text::TOPICS;
use super::values;
use crate::model::begins_as_token;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// What the refusal of a typed token says: arguments are visible to every user, and stay in the shell's history. The token itself
/// is not repeated.
pub(super) const TYPED_TOKEN: &str = "there is a token on the command line, where every user of this machine can see it

  It is in your shell history now: revoke it and issue a new one. Then provide it in one of these ways:
    SLACK_TOKEN=…            an environment variable
    --token-file FILE        a file that only you can read
    --token-command CMD      a command that prints it, such as a password manager's
    slack-token              a systemd credential (LoadCredential=slack-token:…)
  If you use none of them, the terminal asks for it without echo.";

/// Whether the command line has `--token`, or a value that looks like a Slack token.
pub(super) fn is_token_typed(argv: &[OsString]) -> bool {
    let mut flags_may_follow = true;
    argv.iter().skip(1).any(|argument| {
        let text = argument.to_string_lossy();
        flags_may_follow &= text != "--";
        let is_flag = flags_may_follow && (text == "--token" || text.starts_with("--token="));
        let value = text.split_once('=').map_or("", |(_, value)| value);
        is_flag || begins_as_token(text.trim_start()) || begins_as_token(value.trim_start())
    })
}

/// What the refusal of a typed login for `--quota` says; the same goes for it.
pub(super) const TYPED_LOGIN: &str = "there is a name or a password in a redis:// address on the command line, where every user of this machine can see it

  Leave out what stands before the @, and provide it in one of these ways:
    SLACK_REVOKE_QUOTA=…            an environment variable with the whole address
    SLACK_REVOKE_QUOTA_PASSWORD=…   an environment variable with the password alone";

/// Whether the command line has the address of a Redis server with a name or a password.
pub(super) fn is_login_typed(argv: &[OsString]) -> bool {
    argv.iter().skip(1).any(|argument| {
        let text = argument.to_string_lossy();
        let value = text.strip_prefix("--quota=").unwrap_or(&text);
        values::is_redis(value.trim_start()) && value.contains('@')
    })
}

/// A wrong value of `--quota` may have a password. The error goes without it.
pub(super) fn without_store(mut error: clap::Error) -> clap::Error {
    let is_store =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(flag)) if flag.starts_with("--quota "));
    if is_store {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".into()));
    }
    error
}

/// Words of other programs, and what to type instead.
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
    (&["audit", "import", "convert"], "slack-revoke from-audit FILE -o sessions.csv"),
    (&["export", "sessions", "ls", "get"], "slack-revoke list -o sessions.csv"),
    (&["status", "summary", "show"], "slack-revoke report RESULTS"),
    (&["ping", "auth", "login", "whoami", "diagnose"], "slack-revoke doctor"),
    (&["completion", "complete"], "slack-revoke completions SHELL"),
    (&["manual", "manpage"], "slack-revoke man"),
];

/// `help run` is `run --help`, and `help` alone or of itself is `--help`. A topic is left to the command `help`.
pub(super) fn help_as_flag(mut argv: Vec<OsString>) -> Vec<OsString> {
    let word = |at: usize| argv.get(at).and_then(|word| word.to_str());
    let command = match (word(1), word(2), argv.len()) {
        (Some("help"), None | Some("-h" | "--help" | "help"), 2 | 3) => None,
        (Some("help"), Some(name), 3) if !TOPICS.contains(&name) => argv.get(2).cloned(),
        _ => return argv,
    };
    let is_short = word(2) == Some("-h");
    argv.truncate(1);
    argv.extend(command);
    argv.push(if is_short { "-h" } else { "--help" }.into());
    argv
}

/// Suggests a command line for a word that isn't a command; clap's own tip goes by the letters alone.
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

    #[test]
    fn a_typed_token_is_detected_by_its_flag_or_its_prefix() {
        for (line, want) in [
            ("run a.csv --token abc", true),
            ("run a.csv --token=abc", true),
            ("--token abc run a.csv", true),
            ("run a.csv --token", true),
            ("run xoxp-1-2-3", true),
            ("run a.csv xoxb-1-2-3", true),
            ("run a.csv --tokn=xoxe.xoxp-1-2", true),
            ("run a.csv --token-file xoxp-1", true),
            ("run a.csv -- xapp-1", true),
            ("run a.csv --token-file token", false),
            ("run a.csv --token-command=pass", false),
            ("run -- --token", false),
            ("run xoxo.csv", false),
            ("run xoxp", false),
        ] {
            let argv: Vec<OsString> = std::iter::once("slack-revoke").chain(line.split(' ')).map(Into::into).collect();
            assert_eq!(is_token_typed(&argv), want, "{line}");
        }
    }

    fn refused(line: &str) -> String {
        let argv = std::iter::once("slack-revoke").chain(line.split_whitespace()).map(OsString::from);
        super::super::parse(argv).expect_err(line).to_string()
    }

    #[test]
    fn a_word_of_another_program_gets_a_suggestion() {
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
