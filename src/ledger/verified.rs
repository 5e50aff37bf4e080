//! `….verified.csv`: the results with the verification of each record.

use super::columns::{ResultsHeader, cell, printable};
use super::record::ResultRecord;
use super::table::Table;
use crate::files::atomic::open_regular;
use crate::files::during;
use crate::model::{Fields, RESULT_COLUMNS};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The columns after those of the results. The last one, the answer to the call for the single session, is only in files of
/// `run --then-verify`.
const ANSWER: [&str; 4] = ["verified", "new_sessions", "new_ips", "single_call"];

/// `sessions.results.csv` becomes `sessions.results.verified.csv`.
#[must_use]
pub fn beside(results: &Path) -> PathBuf {
    let is_csv = results.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let mut name = OsString::from(if is_csv { results.with_extension("") } else { results.to_owned() });
    name.push(".verified.csv");
    name.into()
}

/// A longer header isn't one.
const MOST_HEADER: u64 = 1024 * 1024;

/// Whether the file is from an earlier verification, is empty, or doesn't exist.
///
/// # Errors
/// If it can't be read.
pub fn is_at(path: &Path) -> io::Result<bool> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(during("read", path)(error)),
    };
    let mut header = csv::ByteRecord::new();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file.take(MOST_HEADER));
    let found = reader.read_byte_record(&mut header).map_err(io::Error::other)?;
    let names: Vec<_> = header.iter().map(|name| str::from_utf8(name).unwrap_or_default()).collect();
    let is_ours = |results: &[&str]| ResultsHeader::parse(results).is_some_and(|header| !header.input.is_empty());
    let results = names.strip_suffix(&ANSWER).or_else(|| names.strip_suffix(&ANSWER[..3]));
    Ok(!found || results.is_some_and(is_ours))
}

/// The file is created by [`Self::finish`].
pub struct VerifiedWriter {
    table: Table,
    /// Number of columns after those of the results.
    answers: usize,
}

impl VerifiedWriter {
    /// Starts with the header; `columns` are the input's. `has_singles` adds the column `single_call`.
    ///
    /// # Errors
    /// If no file can be created.
    pub fn start(path: &Path, columns: &Fields, has_singles: bool) -> io::Result<Self> {
        let mut table = Table::replace(path)?;
        let answers = if has_singles { ANSWER.len() } else { ANSWER.len() - 1 };
        table.row(ResultsHeader::new(columns).names().chain(ANSWER[..answers].iter().copied()));
        Ok(Self { table, answers })
    }

    /// # Errors
    /// If it can't be written.
    pub fn append(&mut self, record: &ResultRecord, answer: [&str; ANSWER.len()]) -> io::Result<()> {
        let text = |column| cell(column, record.line, &record.outcome, &mut String::new()).into_owned();
        let ours: Vec<_> = RESULT_COLUMNS.iter().map(text).collect();
        let answer = answer.map(printable);
        let answer = answer[..self.answers].iter().map(|text| &**text);
        self.table.row(record.fields.iter().chain(ours.iter().map(String::as_str)).chain(answer));
        self.table.flush_beyond(64 * 1024)
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(self) -> io::Result<()> {
        self.table.finish()
    }
}
