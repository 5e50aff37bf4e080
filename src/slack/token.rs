//! The token: where it comes from, whether it can be the right one, and how it stays unseen.
//!
//! No flag takes the token itself, since every user of the machine can read the arguments of a process. A variable is
//! better and still not safe: `SLACK_TOKEN` stays readable in `/proc/PID/environ` to the same user and to root for as
//! long as the process lives, because nothing can take it out of there again. A file of mode 0600, a command, or
//! systemd's credential has no such trace.

mod check;
mod error;
mod read;

pub use crate::model::TokenSource;
pub use error::TokenError;
pub use read::kill_command;

use read::{Permissions, from_command, from_file};
use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::time::Duration;

/// The first time, a command may have to ask somebody.
const LONGEST_COMMAND: Duration = Duration::from_mins(2);

/// Variables with which other programs are given a token of Slack's. This one doesn't read them.
const OTHER_VARIABLES: [&str; 4] = ["SLACK_API_TOKEN", "SLACK_REVOKE_TOKEN", "SLACK_USER_TOKEN", "SLACK_BOT_TOKEN"];

/// What may hold a token or tell how to get one: no command that the program starts finds these.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    ["SLACK_TOKEN", "SLACK_REVOKE_TOKEN_COMMAND"].into_iter().chain(OTHER_VARIABLES)
}

/// A token that has the form of a user token, and its source. Shown without the token.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    source: TokenSource,
}

impl Token {
    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &TokenSource {
        &self.source
    }

    /// Which kind of user token it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let is_rotating = self.secret.expose_secret().starts_with("xoxe.");
        if is_rotating { "a user token that rotates (xoxe.xoxp-…)" } else { "a user token (xoxp-…)" }
    }

    /// The value of the one header that carries the token; marked so that nothing shows it.
    pub(super) fn bearer(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.secret.expose_secret()));
        let mut value = HeaderValue::from_str(&text).expect("a token is printable ASCII: check::token saw to that");
        value.set_sensitive(true);
        value
    }

    /// Reads the token from its source. `env` looks up an environment variable; `ask` asks the person at the terminal.
    ///
    /// # Errors
    /// If the source can't be read, or holds no Slack user token.
    pub fn read(
        source: &TokenSource,
        env: &dyn Fn(&str) -> Option<OsString>,
        ask: Ask<'_>,
    ) -> Result<Self, TokenError> {
        let text = match source {
            TokenSource::File(path) => from_file(path, Permissions::OwnerOnly),
            // systemd alone decides who may read its credentials.
            TokenSource::Credential(path) => from_file(path, Permissions::Any),
            TokenSource::Command(command) => from_command(command, LONGEST_COMMAND),
            TokenSource::Env => Ok(read::from_os(env("SLACK_TOKEN").unwrap_or_default())),
            TokenSource::Prompt => {
                ask().map(|answer| read::from_os(answer.expose_secret().into())).map_err(read::Trouble::Prompt)
            }
        };
        check::token(&text.map_err(|trouble| trouble.at(source))?, source)
    }

    /// Reads the token once more from its source; none where the source cannot be asked again. A command gets `limit`.
    ///
    /// # Errors
    /// As [`Self::read`], for a file or a command.
    pub(super) fn read_again(source: &TokenSource, limit: Duration) -> Result<Option<Self>, TokenError> {
        let text = match source {
            TokenSource::File(path) => from_file(path, Permissions::OwnerOnly),
            TokenSource::Command(command) => from_command(command, limit),
            TokenSource::Env | TokenSource::Credential(_) | TokenSource::Prompt => return Ok(None),
        };
        check::token(&text.map_err(|trouble| trouble.at(source))?, source).map(Some)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Asks the person at the terminal.
pub type Ask<'a> = &'a dyn Fn() -> io::Result<SecretString>;

/// A variable that is set and read by other programs alone, for whoever finds no token.
#[must_use]
pub fn unread_variable(env: &dyn Fn(&str) -> Option<OsString>) -> Option<&'static str> {
    OTHER_VARIABLES.into_iter().find(|name| env(name).is_some_and(|value| !value.is_empty()))
}

/// Asks on the controlling terminal, without echo; standard input stays free for the rows.
///
/// # Errors
/// Where there is no terminal, or it cannot be read.
pub fn ask_on_terminal() -> io::Result<SecretString> {
    rpassword::prompt_password("Slack user token (xoxp-…; it is not shown): ").map(SecretString::from)
}

#[cfg(test)]
mod tests;
