//! The token: its source, its check, and its protection from being displayed.
//!
//! No flag takes the token, because every user of the machine can read the arguments of a process. A variable is
//! better but not safe: `SLACK_TOKEN` stays readable in `/proc/PID/environ` for the same user and root as long as the
//! process lives, and can't be removed from there. A file of mode 0600, a command, or systemd's credential leaves no
//! such trace.

mod read;

pub use crate::model::TokenSource;
pub use read::{TokenError, kill_command, secret_variables};

use read::{FileAccess, OTHER_VARIABLES, from_command, from_file};
use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::time::Duration;

/// Maximum time for a command, which may ask the user.
const LONGEST_COMMAND: Duration = Duration::from_mins(2);

/// A token in the form of a user token, with its source. `Debug` omits the token.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    source: TokenSource,
}

impl Token {
    #[must_use]
    pub fn source(&self) -> &TokenSource {
        &self.source
    }

    #[must_use]
    pub fn kind(&self) -> &'static str {
        let is_rotating = self.secret.expose_secret().starts_with("xoxe.");
        if is_rotating { "a user token that rotates (xoxe.xoxp-…)" } else { "a user token (xoxp-…)" }
    }

    /// The value of the `Authorization` header, marked as sensitive.
    pub(super) fn bearer(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.secret.expose_secret()));
        let mut value = HeaderValue::from_str(&text).expect("a token is printable ASCII: `checked` saw to that");
        value.set_sensitive(true);
        value
    }

    /// Reads the token from its source. `env` looks up an environment variable; `ask` asks on the terminal.
    ///
    /// # Errors
    /// If the source can't be read or has no Slack user token.
    pub fn read(
        source: &TokenSource,
        env: &dyn Fn(&str) -> Option<OsString>,
        ask: Ask<'_>,
    ) -> Result<Self, TokenError> {
        let text = match source {
            TokenSource::File(path) => from_file(path, FileAccess::OwnerOnly),
            // systemd restricts the access to its credentials.
            TokenSource::Credential(path) => from_file(path, FileAccess::Any),
            TokenSource::Command(command) => from_command(command, LONGEST_COMMAND),
            TokenSource::Env => Ok(read::from_os(env("SLACK_TOKEN").unwrap_or_default())),
            TokenSource::Prompt => {
                ask().map(|answer| read::from_os(answer.expose_secret().into())).map_err(read::TokenReadError::Prompt)
            }
        };
        checked(&text.map_err(|error| error.at(source))?, source)
    }

    /// Reads the token from its source again; `None` if the source can't be read twice. A command may take `limit`.
    ///
    /// # Errors
    /// As [`Self::read`], for a file or a command.
    pub(super) fn read_again(source: &TokenSource, limit: Duration) -> Result<Option<Self>, TokenError> {
        let text = match source {
            TokenSource::File(path) => from_file(path, FileAccess::OwnerOnly),
            TokenSource::Command(command) => from_command(command, limit),
            TokenSource::Env | TokenSource::Credential(_) | TokenSource::Prompt => return Ok(None),
        };
        checked(&text.map_err(|error| error.at(source))?, source).map(Some)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("source", &self.source).finish_non_exhaustive()
    }
}

pub type Ask<'a> = &'a dyn Fn() -> io::Result<SecretString>;

/// A variable of other programs that is set, to be mentioned if no token is found.
#[must_use]
pub fn unread_variable(env: &dyn Fn(&str) -> Option<OsString>) -> Option<&'static str> {
    OTHER_VARIABLES.into_iter().find(|name| env(name).is_some_and(|value| !value.is_empty()))
}

/// Asks on the controlling terminal without echo, because standard input may be the rows.
///
/// # Errors
/// If there is no terminal, or it can't be read.
pub fn ask_on_terminal() -> io::Result<SecretString> {
    rpassword::prompt_password("Slack user token (xoxp-…; it is not shown): ").map(SecretString::from)
}

/// Prefix and description of tokens that aren't accepted, most specific first.
const REFUSED: [(&str, &str); 9] = [
    ("xoxb-", "a bot token (xoxb-…); a bot can never have the user scope admin.users:write"),
    ("xoxe.xoxb-", "a bot token (xoxe.xoxb-…); a bot can never have the user scope admin.users:write"),
    ("xoxe-", "a refresh token (xoxe-…), which only exchanges for access tokens"),
    ("xapp-", "an app-level token (xapp-…), which doesn't act for a user"),
    ("xoxa-", "a legacy workspace token (xoxa-…), which the admin methods don't accept"),
    ("xoxc-", "the token of a browser session (xoxc-…), which the admin methods don't accept"),
    ("xoxd-", "a browser's cookie (xoxd-…), which isn't an API token"),
    ("xox", "a kind of Slack token that the admin methods don't accept"),
    ("", "something that doesn't look like a Slack user token"),
];

/// Texts that are often copied with a token, in any case, and their description.
const AROUND: [(&str, &str); 8] = [
    ("\"", "it is in quotes"),
    ("'", "it is in quotes"),
    ("\u{201c}", "it is in typographic quotes"),
    ("\u{2018}", "it is in typographic quotes"),
    ("bearer ", "it starts with the word Bearer"),
    ("authorization:", "it is a whole Authorization header"),
    ("slack_token=", "it starts with SLACK_TOKEN="),
    ("export ", "it is a line of a shell script: SLACK_TOKEN=…"),
];

/// Checks that the bytes are a user token.
fn checked(bytes: &[u8], source: &TokenSource) -> Result<Token, TokenError> {
    let origin = || source.clone();
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Err(TokenError::Empty { origin: origin() });
    }
    let malformed = |what| TokenError::Malformed { origin: origin(), what };
    // Compared in place, because a copy wouldn't be wiped.
    let begins =
        |around: &str| bytes.get(..around.len()).is_some_and(|start| start.eq_ignore_ascii_case(around.as_bytes()));
    if let Some((_, what)) = AROUND.iter().find(|(around, _)| begins(around)) {
        return Err(malformed(what));
    }
    if bytes.iter().any(u8::is_ascii_whitespace) {
        return Err(malformed("there are blanks or several lines in it"));
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let text = text.ok_or_else(|| malformed("there are other than ASCII characters in it"))?;
    if ["xoxp-", "xoxe.xoxp-"].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())) {
        return Ok(Token { secret: SecretString::from(text), source: origin() });
    }
    let kind = REFUSED.iter().find(|(prefix, _)| text.starts_with(prefix)).map_or("no token", |(_, kind)| kind);
    Err(TokenError::WrongKind { origin: origin(), kind })
}

#[cfg(test)]
mod tests;
