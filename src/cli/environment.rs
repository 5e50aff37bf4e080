//! Everything ambient that settings depend on, read once.

use super::settings::Terminal;
use crate::model::InputSource;
use std::ffi::OsStr;
use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each as it was found")]
pub struct Environment {
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Whether `/dev/tty` can be opened.
    pub has_controlling_terminal: bool,
    /// Whether `TERM` is `dumb`: no cursor movement, no colours.
    pub terminal_is_dumb: bool,
    /// Whether `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// Whether `SLACK_TOKEN` is set and not empty. The token itself isn't read here.
    pub has_slack_token: bool,
    /// The file of systemd's credential `slack-token`, if there is one.
    pub token_credential: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment.
    #[must_use]
    pub fn capture() -> Self {
        Self {
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            has_controlling_terminal: File::open("/dev/tty").is_ok(),
            terminal_is_dumb: std::env::var_os("TERM").as_deref() == Some(OsStr::new("dumb")),
            no_color: is_set("NO_COLOR"),
            has_slack_token: is_set("SLACK_TOKEN"),
            token_credential: token_credential(),
        }
    }

    /// Where a person can be asked, if the question is seen and the answer isn't taken for a row.
    pub(super) fn terminal_beside(&self, input: &InputSource) -> Option<Terminal> {
        match input {
            _ if !self.stderr_is_terminal => None,
            InputSource::File(_) => self.stdin_is_terminal.then_some(Terminal::StandardInput),
            InputSource::Stream(_) if self.stdin_is_terminal => Some(Terminal::StandardInput),
            InputSource::Stdin | InputSource::Stream(_) => {
                self.has_controlling_terminal.then_some(Terminal::Controlling)
            }
        }
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// `LoadCredential=slack-token:…` makes a file of that name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
fn token_credential() -> Option<PathBuf> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty())?;
    let file = PathBuf::from(directory).join("slack-token");
    // One that can't be looked at is reported when it is read.
    file.try_exists().unwrap_or(true).then_some(file)
}
