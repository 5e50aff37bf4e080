//! Reads the token, on a thread that a signal doesn't wait for.

use crate::commands::terminal;
use crate::commands::waiting::blocking;
use crate::error::RunError;
use crate::slack::{self, Token, TokenSource, token};
use secrecy::SecretString;
use std::ffi::OsString;
use std::io;

/// Reads the token from its source. A file may be a pipe, a command may hang, and a person takes time: a signal doesn't wait for
/// them.
///
/// # Errors
/// If there is none, it can't be read, or it isn't a user token.
pub async fn find(source: Option<TokenSource>) -> Result<Token, RunError> {
    blocking(move || {
        let source = source.ok_or_else(|| RunError::no_token(slack::unread_variable(&set)))?;
        Token::read(&source, &set, &ask).map_err(|error| refused(&error))
    })
    .await
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn ask() -> io::Result<SecretString> {
    if let Ok(terminal) = terminal::controlling() {
        terminal::discard_typed(terminal);
    }
    token::ask_on_terminal()
}

/// The token that the stand-in takes.
///
/// # Errors
/// Never in practice: it has the form of a user token.
pub fn rehearsal(text: &str) -> Result<Token, RunError> {
    let variable = |name: &str| (name == "SLACK_TOKEN").then(|| OsString::from(text));
    Token::read(&TokenSource::Env, &variable, &ask).map_err(|error| refused(&error))
}

fn refused(error: &slack::TokenError) -> RunError {
    RunError::token(error.to_string(), error.hint())
}
