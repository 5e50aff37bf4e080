//! Why an input can't be used, where the problem is, and what to do next.

use crate::model::{ColumnError, InputSource};
use std::io;
use std::path::PathBuf;

/// An unusable input. `Display` shows the cause, [`Self::hint`] what to do.
#[derive(Debug, thiserror::Error)]
#[error("{input}: {problem}")]
pub struct InputError {
    pub input: InputSource,
    pub problem: InputProblem,
}

impl InputError {
    /// What to do next; `None` if there is no specific hint.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

/// `Display` is meant to follow the input's name.
#[derive(Debug, thiserror::Error)]
pub enum InputProblem {
    #[error("no such file")]
    NotFound,
    #[error("is a directory")]
    Directory,
    /// It can't be opened or read.
    #[error("can't be read: {0}")]
    Unreadable(io::Error),
    /// Compressed data that is truncated or damaged.
    #[error("the {format} data is damaged or incomplete ({cause})")]
    Damaged { format: &'static str, cause: io::Error },
    /// Another file format, detected by its first bytes.
    #[error("is {kind}, not CSV")]
    OtherFormat {
        kind: &'static str,
        /// How to convert it to CSV.
        advice: &'static str,
    },
    /// The copy for the second reading can't be written.
    #[error("its temporary copy in {dir} can't be written ({cause})", dir = dir.display())]
    Spool { dir: PathBuf, cause: io::Error },
    /// Not enough free space for the copy.
    #[error(
        "its temporary copy in {dir} needs {}, but only {} are free there",
        size(*.needed),
        size(*.available),
        dir = dir.display()
    )]
    NoRoom {
        dir: PathBuf,
        needed: u64,
        /// Free bytes, including those that the copy already uses.
        available: u64,
    },
    #[error("is larger than {} once unpacked", size(*.most))]
    TooLarge { most: u64 },
    #[error("is empty")]
    Empty,
    /// UTF-16, which some spreadsheets call "Unicode text".
    #[error("is in UTF-16")]
    Utf16,
    #[error("line {line}: not UTF-8 at byte {offset}")]
    NotUtf8 {
        line: u64,
        /// The first invalid byte, counted from 0 in the uncompressed content.
        offset: u64,
    },
    #[error("line {line}: no session_id column in the header; the columns seen are: {seen}")]
    NoHeader {
        /// The line that was read as header.
        line: u64,
        /// Its columns, shortened and escaped for display.
        seen: String,
        advice: String,
    },
    #[error("line {line}: neither user_id nor team_id in the header; the columns seen are: {seen}")]
    NoOwnerColumn {
        line: u64,
        /// Its columns, shortened and escaped for display.
        seen: String,
        advice: String,
    },
    #[error("line {line}: no user_id column in the header, and --whole-users needs it; the columns seen are: {seen}")]
    NoUserColumn {
        line: u64,
        /// Its columns, shortened and escaped for display.
        seen: String,
        advice: String,
    },
    /// The columns of the ids are ambiguous.
    #[error("line {line}: {error}")]
    Columns { line: u64, error: ColumnError },
    /// `--column` names a header that doesn't exist.
    #[error("line {line}: {error}; the columns seen are: {seen}")]
    AbsentColumn {
        line: u64,
        error: ColumnError,
        /// The columns, shortened and escaped for display.
        seen: Box<str>,
        advice: Box<str>,
    },
    /// `--identify-by` needs a column that doesn't exist.
    #[error("line {line}: no {column} column in the header, which --identify-by asks for")]
    MissingColumn { line: u64, column: &'static str },
    /// A record of more than 1 MiB.
    #[error("line {line}: a record of more than 1 MiB starts here")]
    RecordTooLong {
        /// The line on which the record starts.
        line: u64,
    },
    /// The content ends inside a quoted field.
    #[error("line {line}: a quote (\") in the record that starts here is never closed")]
    OpenQuote {
        /// The line on which the record starts.
        line: u64,
    },
    /// The second reading found other content than the first.
    #[error("was changed after it was read and checked")]
    Changed,
    #[error("can't start a thread to read it: {0}")]
    Thread(io::Error),
}

/// In bytes below 1 MiB, otherwise in MiB, rounded up.
fn size(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{bytes} bytes") } else { format!("{} MiB", bytes.div_ceil(1 << 20)) }
}

impl InputProblem {
    /// Adds the name of the input.
    pub(super) fn of(self, input: &InputSource) -> InputError {
        InputError { input: input.clone(), problem: self }
    }

    /// What to do next; `None` if there is no specific hint.
    pub(super) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound => "check the path, or use - to read standard input".into(),
            Self::Directory => "name the CSV file in it".into(),
            Self::Damaged { .. } => "download or create the file again".into(),
            Self::OtherFormat { advice, .. } => (*advice).into(),
            Self::Spool { .. } => "free space there, or use an uncompressed CSV file".into(),
            Self::NoRoom { .. } => {
                "free space there, set TMPDIR for standard input, or use an uncompressed CSV file".into()
            }
            Self::TooLarge { .. } => "check that it is the right file; --max-input-size raises the limit".into(),
            Self::Empty => "it needs a header line with session_id and user_id or team_id".into(),
            Self::Utf16 | Self::NotUtf8 { .. } => "save the file as CSV UTF-8".into(),
            Self::NoHeader { advice, .. } => format!("{advice}; if these aren't the columns, give --delimiter"),
            Self::NoOwnerColumn { advice, .. } => format!("session_id needs one of them beside it: {advice}"),
            Self::NoUserColumn { advice, .. } => {
                format!(
                    "{advice}; `slack-revoke resolve` adds it to rows of team_id and session_id, or of an e-mail address"
                )
            }
            Self::MissingColumn { .. } => "use --identify-by auto".into(),
            Self::RecordTooLong { .. } => "is a quote (\") left open?".into(),
            Self::OpenQuote { .. } => "close it, or write it twice".into(),
            Self::Changed => "run it again with the changed file, or restore the original".into(),
            Self::AbsentColumn { advice, .. } => advice.to_string(),
            Self::Columns { .. } | Self::Unreadable(_) | Self::Thread(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_next() {
        let error = InputProblem::NotUtf8 { line: 3, offset: 70 }.of(&InputSource::File("a; b.csv".into()));
        assert_eq!(error.to_string(), "a; b.csv: line 3: not UTF-8 at byte 70");
        assert_eq!(error.hint().as_deref(), Some("save the file as CSV UTF-8"));
    }
}
