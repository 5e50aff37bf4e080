//! `….verified.csv`: the results again, and beside each record what a later listing says of its session.

use super::cell::printable;
use super::page_file;
use super::record::Record;
use super::results::COLUMNS;
use super::table::Table;
use crate::model::Fields;
use crate::model::Stamp;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The columns behind those of the results.
pub const ANSWER: [&str; 3] = ["verified", "new_sessions", "new_ips"];

/// The file beside results: `sessions.results.csv` gives `sessions.results.verified.csv`.
#[must_use]
pub fn beside(results: &Path) -> PathBuf {
    let is_csv = results.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let mut name = OsString::from(if is_csv { results.with_extension("") } else { results.to_owned() });
    name.push(".verified.csv");
    name.into()
}

/// A header has some dozens of columns; one of this length is none.
const MOST_HEADER: u64 = 1024 * 1024;

/// Whether the file at `path` holds answers of an earlier verification, or nothing.
///
/// # Errors
/// If it can't be read.
pub fn is_at(path: &Path) -> io::Result<bool> {
    let beginning = page_file::beginning(path, MOST_HEADER)?.unwrap_or_default();
    let mut header = csv::ByteRecord::new();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&*beginning);
    let found = reader.read_byte_record(&mut header).map_err(io::Error::other)?;
    let ours = COLUMNS.iter().chain(&ANSWER).rev().map(|name| name.as_bytes());
    let last = header.iter().collect::<Vec<_>>();
    Ok(!found
        || (last.len() > ANSWER.len() + COLUMNS.len()
            && ours.eq(last.into_iter().rev().take(COLUMNS.len() + ANSWER.len()))))
}

/// Writes results with answers; nothing is there before [`Self::finish`].
pub struct VerifiedWriter(Table);

impl VerifiedWriter {
    /// Begins with the header. `columns` are the input's.
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn start(path: &Path, columns: &Fields) -> io::Result<Self> {
        let mut table = Table::replace(path)?;
        table.row(columns.iter().chain(COLUMNS).chain(ANSWER));
        Ok(Self(table))
    }

    /// Adds one record and its answer.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append(&mut self, record: &Record, answer: [&str; 3]) -> io::Result<()> {
        let outcome = texts(record);
        let answer = answer.map(printable);
        let ours = outcome.iter().map(String::as_str).chain(answer.iter().map(|answer| &**answer));
        self.0.row(record.fields.iter().chain(ours));
        self.0.flush_beyond(64 * 1024)
    }

    /// Puts the file into its place.
    ///
    /// # Errors
    /// Where it cannot be written to its end.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish()
    }
}

/// Our columns of a record, as the results have them.
fn texts(record: &Record) -> [String; COLUMNS.len()] {
    let outcome = &record.outcome;
    let given = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    [
        record.line.to_string(),
        outcome.status.as_str().to_owned(),
        given(&outcome.error),
        outcome.detail.to_string(),
        outcome.http_status.map(|status| status.to_string()).unwrap_or_default(),
        outcome.attempts.to_string(),
        outcome.rate_limited.to_string(),
        outcome.first_sent_at.map(Stamp::rfc3339).unwrap_or_default(),
        outcome.finished_at.rfc3339(),
        given(&outcome.request_id),
    ]
}
