//! Reading the token's bytes. The buffers are wiped when they go.

use super::{TokenError, TokenSource};
use secrecy::zeroize::Zeroizing;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Slack's tokens have some hundred characters at most; `/dev/zero` has more.
const MOST_BYTES: usize = 16 * 1024;

/// Bytes that may be a token.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

/// Whether a file that others can read will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permissions {
    /// Only the owner may have any right on it.
    OwnerOnly,
    /// Somebody else saw to that.
    Any,
}

/// Why there are no bytes; the source is not known here.
#[derive(Debug)]
pub(super) enum Trouble {
    Io(io::Error),
    Prompt(io::Error),
    Exposed(u32),
    Failed(ExitStatus),
    TooLong,
}

impl Trouble {
    /// The error with its place.
    pub(super) fn at(self, source: &TokenSource) -> TokenError {
        let origin = source.clone();
        match self {
            Self::Io(error) | Self::Prompt(error) => TokenError::Unreadable { origin, error },
            Self::Exposed(mode) => TokenError::Exposed { origin, mode },
            Self::Failed(status) => TokenError::CommandFailed { origin, status },
            Self::TooLong => TokenError::Malformed { origin, what: "it is longer than any token" },
        }
    }
}

/// Reads a file. Permissions are asked of the opened file, not of its name, and of regular files alone: a pipe
/// (`--token-file <(command)`) leaves nothing behind that somebody could read later.
pub(super) fn from_file(path: &Path, permissions: Permissions) -> Result<Bytes, Trouble> {
    let file = File::open(path).map_err(Trouble::Io)?;
    let metadata = file.metadata().map_err(Trouble::Io)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if permissions == Permissions::OwnerOnly && metadata.is_file() && mode & 0o077 != 0 {
        return Err(Trouble::Exposed(mode));
    }
    read_all(file)
}

/// Runs a command; what it prints on standard output is the token. Standard input stays with the rows.
pub(super) fn from_command(command: &str) -> Result<Bytes, Trouble> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(Trouble::Io)?;
    // The pipe is closed before the wait, so a command that prints without end dies of it.
    let bytes = child.stdout.take().map_or_else(|| Ok(Bytes::default()), read_all);
    let status = child.wait().map_err(Trouble::Io)?;
    match bytes {
        Ok(_) if !status.success() => Err(Trouble::Failed(status)),
        bytes => bytes,
    }
}

/// The bytes of a variable or of an answer.
pub(super) fn from_os(text: OsString) -> Bytes {
    Zeroizing::new(text.into_vec())
}

/// Reads to the end, into a buffer that never grows: growing would leave copies behind.
fn read_all(source: impl Read) -> Result<Bytes, Trouble> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    source.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Trouble::Io)?;
    if bytes.len() > MOST_BYTES { Err(Trouble::TooLong) } else { Ok(bytes) }
}
