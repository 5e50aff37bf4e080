//! A token on a command line is there for everyone on the machine to read, and stays in the shell's history.

use crate::model::begins_as_token;
use std::ffi::OsString;

/// What is said to somebody who typed one. The token itself is not repeated.
pub(super) const REFUSAL: &str = "a token was typed on the command line, where every user of this machine can see it

  It is in the shell's history now: revoke it, and issue a new one. Then give it by one of
    SLACK_TOKEN=…            an environment variable
    --token-file FILE        a file that only you can read
    --token-command CMD      a command that prints it, such as a password manager's
    slack-token              a credential of systemd (LoadCredential=slack-token:…)
  or none of them: a terminal is asked for it, without echo.";

/// Whether the command line has `--token`, or a value that looks like a token of Slack's.
pub(super) fn is_typed(argv: &[OsString]) -> bool {
    let mut flags_may_follow = true;
    argv.iter().skip(1).any(|argument| {
        let text = argument.to_string_lossy();
        flags_may_follow &= text != "--";
        let is_flag = flags_may_follow && (text == "--token" || text.starts_with("--token="));
        let value = text.split_once('=').map_or("", |(_, value)| value);
        is_flag || begins_as_token(text.trim_start()) || begins_as_token(value.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_flag_or_its_looks() {
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
            assert_eq!(is_typed(&argv), want, "{line}");
        }
    }
}
