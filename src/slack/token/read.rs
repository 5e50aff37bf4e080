//! Reads the bytes of the token. Errors never contain it, and buffers are wiped when they are dropped.

use crate::model::{TokenSource, format_duration};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use secrecy::zeroize::Zeroizing;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Slack's tokens have a few hundred characters. Bounds the reading of files such as `/dev/zero`.
const MOST_BYTES: usize = 16 * 1024;

/// Variables for Slack tokens of other programs, which this program doesn't read.
pub(super) const OTHER_VARIABLES: [&str; 4] =
    ["SLACK_API_TOKEN", "SLACK_REVOKE_TOKEN", "SLACK_USER_TOKEN", "SLACK_BOT_TOKEN"];

/// Variables that may contain a token, a password, or the source of a token. They are removed from the environment of
/// child processes.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    let own = ["SLACK_TOKEN", "SLACK_REVOKE_TOKEN_COMMAND", "SLACK_REVOKE_QUOTA", "SLACK_REVOKE_QUOTA_PASSWORD"];
    own.into_iter().chain(OTHER_VARIABLES)
}

pub(super) type Bytes = Zeroizing<Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileAccess {
    /// Only the owner may have any right on it.
    OwnerOnly,
    /// The file's permissions aren't checked.
    Any,
}

/// Without the source, which isn't known here.
#[derive(Debug)]
pub(super) enum TokenReadError {
    Io(io::Error),
    Prompt(io::Error),
    Exposed(u32),
    Failed(ExitStatus),
    TooLong,
    TooSlow(Duration),
}

impl TokenReadError {
    pub(super) fn at(self, source: &TokenSource) -> TokenError {
        let origin = source.clone();
        match self {
            Self::Io(error) | Self::Prompt(error) => TokenError::Unreadable { origin, error },
            Self::Exposed(mode) => TokenError::Exposed { origin, mode },
            Self::Failed(status) => TokenError::CommandFailed { origin, status },
            Self::TooSlow(limit) => TokenError::TooSlow { origin, limit },
            Self::TooLong => TokenError::Malformed { origin, what: "it is longer than any token" },
        }
    }
}

/// Reads a file. Permissions of the opened file are checked, and only of regular files: a pipe (`--token-file
/// <(command)`) leaves nothing to be read later.
pub(super) fn from_file(path: &Path, access: FileAccess) -> Result<Bytes, TokenReadError> {
    let file = File::open(path).map_err(TokenReadError::Io)?;
    let metadata = file.metadata().map_err(TokenReadError::Io)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if access == FileAccess::OwnerOnly && metadata.is_file() && mode & 0o077 != 0 {
        return Err(TokenReadError::Exposed(mode));
    }
    read_all(file)
}

/// Runs a command that prints the token; its standard input isn't that of the rows. A command that takes longer than
/// `limit` is killed, together with the processes that it started. If there is a terminal, it stays in this process
/// group, so that it may ask and gets Ctrl-C.
pub(super) fn from_command(command: &str, limit: Duration) -> Result<Bytes, TokenReadError> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    for name in secret_variables() {
        shell.env_remove(name);
    }
    let has_terminal = File::open("/dev/tty").is_ok();
    if !has_terminal {
        shell.process_group(0);
    }
    let child = shell.spawn().map_err(TokenReadError::Io)?;
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw).map(|process| (process, has_terminal));
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = process;
    let (send, ended) = mpsc::channel();
    std::thread::spawn(move || send.send(end_of(child)));
    let end = ended.recv_timeout(limit);
    if let (Err(_), Some(process)) = (&end, process) {
        kill(process);
    }
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    end.unwrap_or(Err(TokenReadError::TooSlow(limit)))
}

/// The running command, and whether it is in this program's process group.
static RUNNING: Mutex<Option<(Pid, bool)>> = Mutex::new(None);

/// Kills the running command, if there is one.
pub fn kill_command() {
    if let Some(process) = *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) {
        kill(process);
    }
}

fn kill((process, shares_group): (Pid, bool)) {
    // Fails if it has just ended.
    let _ = if shares_group { kill_process(process, Signal::KILL) } else { kill_process_group(process, Signal::KILL) };
}

fn end_of(mut child: Child) -> Result<Bytes, TokenReadError> {
    // The pipe is closed before the wait, which ends a command that never stops printing.
    let bytes = child.stdout.take().map_or_else(|| Ok(Bytes::default()), read_all);
    let status = child.wait().map_err(TokenReadError::Io)?;
    match bytes {
        Ok(_) if !status.success() => Err(TokenReadError::Failed(status)),
        bytes => bytes,
    }
}

/// From a variable or an answer.
pub(super) fn from_os(text: OsString) -> Bytes {
    Zeroizing::new(text.into_vec())
}

/// Reads into a buffer of fixed size, because a growing one would leave copies in memory.
fn read_all(source: impl Read) -> Result<Bytes, TokenReadError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    source.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(TokenReadError::Io)?;
    if bytes.len() > MOST_BYTES { Err(TokenReadError::TooLong) } else { Ok(bytes) }
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{origin} can't be read: {error}")]
    Unreadable {
        origin: TokenSource,
        #[source]
        error: io::Error,
    },
    /// Others can read the file.
    #[error("{origin} can be read by others (mode {mode:04o})")]
    Exposed { origin: TokenSource, mode: u32 },
    /// The exit code of the command isn't 0.
    #[error("{origin} failed ({status})")]
    CommandFailed { origin: TokenSource, status: ExitStatus },
    #[error("{origin} printed no token within {}", format_duration(*limit))]
    TooSlow { origin: TokenSource, limit: Duration },
    /// Only whitespace.
    #[error("{origin} is empty")]
    Empty { origin: TokenSource },
    /// Contains characters that no token has.
    #[error("{origin} contains more than a token: {what}")]
    Malformed { origin: TokenSource, what: &'static str },
    /// Another kind of token, or something else.
    #[error("{origin} contains {kind}")]
    WrongKind {
        origin: TokenSource,
        /// What it is and why it isn't accepted.
        kind: &'static str,
    },
}

impl TokenError {
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "nothing was sent; check its name and permissions",
            Self::Exposed { .. } => "run chmod 600 on it",
            Self::CommandFailed { .. } => "see its output on standard error",
            Self::TooSlow { .. } => "run it by hand to see what it waits for",
            Self::Empty { .. } | Self::Malformed { .. } => "it must contain the user token and nothing else",
            Self::WrongKind { .. } => ADVICE,
        }
    }
}

/// The hint for every wrong token.
const ADVICE: &str = "use the user token (xoxp-…, or xoxe.xoxp-… if tokens rotate) of an app that an Org Owner or \
                      Org Admin installed on the organization with the user scope admin.users:write, or admin.users:read to \
                      list only";
