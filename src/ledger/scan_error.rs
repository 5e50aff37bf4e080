//! Why a results file cannot be read.

use std::path::PathBuf;
use std::{fmt, io};

/// Why a results file cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is no such file.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header does not end in our columns: another program's file.
    #[error("{} is no results file of slack-revoke; it is left as it is: name another file with -o", .0.display())]
    NotResults(PathBuf),
    /// Results, but of an input with other columns.
    #[error(
        "{} holds the results of an input with the columns {found}, and this input has {expected}; name the input that \
         it belongs to, or another file with -o", .path.display()
    )]
    OtherColumns {
        /// The results file.
        path: PathBuf,
        /// The input's columns.
        expected: String,
        /// The columns that the results carry.
        found: String,
    },
    /// Which of the input's columns hold the ids isn't clear.
    #[error("{}: {why}", .path.display())]
    Columns {
        /// The results file.
        path: PathBuf,
        /// What isn't clear.
        why: Box<str>,
    },
    /// A record in the middle is not as it was written.
    #[error(
        "{}, line {line}: {damage}; the file was changed after it was written: restore it, or correct that line, or name \
         another file with -o", .path.display()
    )]
    Damaged {
        /// The results file.
        path: PathBuf,
        /// The line on which the record starts, in the results.
        line: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A record of a row that isn't the input's.
    #[error(
        "{} has a record for line {line}, and the input has another row there or none; the results are another input's, or \
         were edited: restore them, or name another file with -o", .path.display()
    )]
    OtherRow {
        /// The results file.
        path: PathBuf,
        /// The line in the input; the first such one.
        line: u64,
    },
    /// Two records for one row of the input.
    #[error(
        "{}, line {line}: row {row} of the input has a record already; two runs wrote here, or lines were copied: remove \
         one of the two, or name another file with -o", .path.display()
    )]
    Twice {
        /// The results file.
        path: PathBuf,
        /// The line on which the second record starts, in the results.
        line: u64,
        /// The line in the input that both are about.
        row: u64,
    },
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Not as many columns as the header has.
    Columns {
        /// In this record.
        found: usize,
        /// In the header.
        expected: usize,
    },
    /// A column of ours that does not read back.
    Column(&'static str),
    /// Not UTF-8.
    NotUtf8,
    /// Longer than any record that is written: most likely an unclosed quote.
    TooLong,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns { found, expected } => write!(f, "the record has {found} columns of {expected}"),
            Self::Column(name) => write!(f, "the column `{name}` holds what is never written there"),
            Self::NotUtf8 => f.write_str("the record is not UTF-8"),
            Self::TooLong => f.write_str("the record never ends (an unclosed quote?)"),
        }
    }
}
