//! Why there is no token: what is wrong, where, and what to do next. Never the token.

use super::TokenSource;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// No token, or one that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A file could not be read.
    #[error("{origin} cannot be read: {error}")]
    Unreadable {
        /// Where.
        origin: TokenSource,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("{origin} can be read by others (mode {mode:04o})")]
    Exposed {
        /// Where.
        origin: TokenSource,
        /// The permission bits.
        mode: u32,
    },
    /// The command ended with another code than 0.
    #[error("{origin} failed ({status})")]
    CommandFailed {
        /// Where.
        origin: TokenSource,
        /// How it ended.
        status: ExitStatus,
    },
    /// It didn't end in time.
    #[error("{origin} brought no token within {} s", limit.as_secs_f64())]
    TooSlow {
        /// Where.
        origin: TokenSource,
        /// The time that it had.
        limit: Duration,
    },
    /// Nothing but blanks.
    #[error("{origin} holds no token: it is empty")]
    Empty {
        /// Where.
        origin: TokenSource,
    },
    /// Something that no token is made of.
    #[error("{origin} does not hold a token alone: {what}")]
    Malformed {
        /// Where.
        origin: TokenSource,
        /// What is wrong.
        what: &'static str,
    },
    /// Another kind of token, or no token.
    #[error("{origin} holds {kind}")]
    WrongKind {
        /// Where.
        origin: TokenSource,
        /// What it is, and why it will not do.
        kind: &'static str,
    },
}

impl TokenError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "nothing was sent; check its name and its rights",
            Self::Exposed { .. } => "run chmod 600 on it",
            Self::CommandFailed { .. } => "what it printed on standard error says why",
            Self::TooSlow { .. } => "run it by hand to see what it waits for",
            Self::Empty { .. } | Self::Malformed { .. } => "it has to hold the user token and nothing else",
            Self::WrongKind { .. } => ADVICE,
        }
    }
}

/// What every wrong token is answered with.
const ADVICE: &str = "use the user token (xoxp-…, or xoxe.xoxp-… where tokens rotate) of an app that an Org Owner or \
                      Org Admin installed on the organization with the user scope admin.users:write, or admin.users:read to \
                      list only";
