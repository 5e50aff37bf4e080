//! Where the token comes from.

use crate::cli::TokenChoice;
use crate::commands::terminal;
use crate::commands::waiting::blocking;
use crate::error::RunError;
use crate::slack::{self, Token, token};
use secrecy::SecretString;
use std::ffi::OsString;
use std::io;

/// Finds the token where the settings say that it is. A file may be a pipe, a command may hang, and a person takes time: a
/// signal doesn't wait for them.
///
/// # Errors
/// Where there is none, it cannot be read, or it is no token that could do.
pub async fn find(choice: TokenChoice) -> Result<Token, RunError> {
    blocking(move || find_now(&choice)).await
}

fn find_now(choice: &TokenChoice) -> Result<Token, RunError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let (mut named, mut asks) = (slack::TokenChoice::default(), false);
    match choice {
        TokenChoice::File(path) => named.file = Some(path.clone()),
        TokenChoice::Command(command) => named.command = Some(command.clone()),
        TokenChoice::Ask(_) => asks = true,
        TokenChoice::Variable | TokenChoice::Credential(_) => {}
        TokenChoice::NotNeeded | TokenChoice::Absent => return Err(RunError::no_token(slack::unread_variable(&set))),
    }
    slack::resolve(&named, &set, asks.then_some(&ask)).map_err(|error| refused(&error))
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
    slack::resolve(&slack::TokenChoice::default(), &variable, None).map_err(|error| refused(&error))
}

fn refused(error: &slack::TokenError) -> RunError {
    RunError::token(error.to_string(), error.hint())
}
