//! Reads Slack's audit log in all usual forms: an API body, an array, a sequence of entries, a CSV export, or nested
//! in the envelope of a SIEM. One pass, one entry in memory.

mod entry;
mod json;
mod table;

pub use entry::{AuditEntry, LeftOut, SeenSession};

use super::error::InputProblem;
use super::reader::{Decompressed, Raw};
use super::records::ByteSource;
use super::{InputSource, open_raw};
use crate::model::{ColumnError, ColumnNames, Delimiter, IdColumn};
use serde_json::Value;
use std::io::{self, BufReader, Cursor, Read};

/// Maximum size of an entry in bytes.
const MOST_OF_ENTRY: usize = 1 << 20;

/// Number of bytes to detect JSON.
const HEAD: usize = 512;

/// A value at the position of an entry.
pub enum FoundEntry<'a> {
    Entry(Box<AuditEntry>),
    /// Something else than an entry; `None` if it isn't an object.
    Other(Option<&'a Value>),
    /// `--path` doesn't exist.
    NoPath,
}

impl<'a> FoundEntry<'a> {
    fn of(value: &'a Value) -> Self {
        AuditEntry::of(value).map_or(Self::Other(Some(value)), |entry| Self::Entry(Box::new(entry)))
    }

    /// The `--path` of an entry nested in the value.
    #[must_use]
    pub fn likely_path(&self) -> Option<String> {
        match self {
            Self::Other(Some(value)) => entry::likely_path(value),
            Self::Other(None) | Self::Entry(_) | Self::NoPath => None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct AuditFormat {
    /// `--path`; empty if entries aren't nested.
    pub path: String,
    /// `--column`, for CSV.
    pub columns: ColumnNames,
    /// `--delimiter`, for CSV.
    pub delimiter: Option<Delimiter>,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditProblem {
    #[error(transparent)]
    Input(#[from] InputProblem),
    #[error("can't be read: {0}")]
    Unreadable(io::Error),
    #[error("is empty")]
    Empty,
    #[error("line {line}, column {column}: {}", if *cut { "the JSON is cut off" } else { "not JSON" })]
    Json { line: usize, column: usize, cut: bool },
    #[error("line {line}: an entry of more than 1 MiB")]
    TooLong { line: u64 },
    #[error("{error}; the columns seen are: {seen}")]
    Columns { error: ColumnError, seen: String },
    #[error("no column holds {}; the columns seen are: {seen}", name(*column))]
    NoColumn { column: Option<IdColumn>, seen: String },
    #[error("several columns can be {}: {}", column.as_str(), headers.join(", "))]
    SeveralColumns { column: IdColumn, headers: Vec<String> },
    #[error("no column is what --path begins with; the columns seen are: {seen}")]
    NoPathColumn { seen: String },
}

fn name(column: Option<IdColumn>) -> &'static str {
    column.map_or("it", IdColumn::as_str)
}

impl AuditProblem {
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Input(problem) => problem.hint().unwrap_or_else(|| "export it again".into()),
            Self::Unreadable(_) | Self::Empty => "check that it is the right file, or export it again".into(),
            Self::Json { cut: true, .. } => "export it again, or remove what is cut off".into(),
            Self::Json { cut: false, .. } => {
                "give JSON, one entry per line, or CSV; correct that line, or remove it".into()
            }
            Self::TooLong { .. } => {
                "if the entries are nested, say where with --path, such as --path event.original".into()
            }
            Self::Columns { .. } => "correct --column".into(),
            Self::NoColumn { column, .. } => format!("say which one with --column {}=HEADER", name(*column)),
            Self::SeveralColumns { column, headers } => {
                let first = headers.first().map_or("HEADER", String::as_str);
                format!("say which one with --column {:?}", format!("{}={first}", column.as_str()))
            }
            Self::NoPathColumn { .. } => "in a CSV, --path begins with the header of the column that holds JSON".into(),
        }
    }
}

/// Calls `take` with everything in a file that may be an entry.
///
/// # Errors
/// If the file can't be read completely; entries before the error were passed to `take`.
pub fn read_audit_log(
    source: &InputSource,
    format: &AuditFormat,
    take: &mut dyn FnMut(FoundEntry<'_>),
) -> Result<(), AuditProblem> {
    read_from(open_raw(source)?, format, take)
}

fn read_from(raw: Raw, format: &AuditFormat, take: &mut dyn FnMut(FoundEntry<'_>)) -> Result<(), AuditProblem> {
    let mut text = Decompressed::of(raw)?;
    let mut head = Vec::new();
    (&mut text).take(HEAD as u64).read_to_end(&mut head).map_err(|error| text.problem(error))?;
    let is_json = is_json(&head);
    if head.starts_with(b"\xef\xbb\xbf") && is_json {
        head.drain(..3);
    }
    let mut text = Cursor::new(head).chain(text);
    if is_json {
        let read = json::read(BufReader::with_capacity(1 << 16, &mut text), &format.path, take);
        return read.map_err(|problem| match problem {
            AuditProblem::Unreadable(error) => text.get_ref().1.problem(error).into(),
            other => other,
        });
    }
    table::read(Text(text), &format.columns, format.delimiter, &format.path, take)
}

/// A CSV header may begin with a bracket too, so more than the first character is checked.
fn is_json(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let Some((first, rest)) = head.split_first() else { return false };
    let next = rest.trim_ascii_start().first();
    matches!((first, next), (b'{', Some(b'"' | b'}') | None) | (b'[', Some(b'{' | b'[' | b'"' | b']') | None))
}

struct Text(io::Chain<Cursor<Vec<u8>>, Decompressed>);

impl ByteSource for Text {
    fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem> {
        loop {
            match self.0.read(into) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.0.get_ref().1.problem(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
