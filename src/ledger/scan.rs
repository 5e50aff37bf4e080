//! Reads a results file before a run is resumed. Needs about two bits of memory per row.
//!
//! The file may have been cut at any byte. A record counts if its `\n` exists outside quotes. [`Scan::valid_len`] is
//! the end of the last such record.

use super::columns::ResultsHeader;
use super::record::Reader;
pub use super::record::{Damage, Records, ResultRecord, ScanError, records};
pub use crate::files::FileSnapshot;
use crate::files::atomic::open_regular;
use crate::files::during;
use crate::model::{Carried, ColumnNames, Failures, Fields, IdColumns, Outcome, Row, Tally, TeamId, UserId, Window};
use roaring::RoaringTreemap;
use std::collections::HashMap;
use std::io;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Length up to the end of the last whole record; 0 if the header is incomplete.
    pub valid_len: u64,
    pub recorded: Recorded,
    /// The rows of the records.
    pub carried: Carried,
    /// The file that was read, which a run must continue.
    pub found: FoundResults,
}

/// The results file found by a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundResults {
    pub seen: FileSnapshot,
    /// `None` if the header is incomplete.
    pub header: Option<ResultsHeader>,
}

/// The ended rows, without their records. A run continues to count in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recorded {
    done: RoaringTreemap,
    remains: RoaringTreemap,
    remains_strictly: RoaringTreemap,
    may_be_gone: RoaringTreemap,
    tally: Tally,
    failures: Failures,
    window: Option<Window>,
}

/// Lines that have a record, to detect a second one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeenLines(RoaringTreemap);

impl SeenLines {
    /// Returns false if the line was already noted.
    pub fn note(&mut self, line: u64) -> bool {
        self.0.insert(line)
    }
}

impl Scan {
    /// The input's columns; `None` if the header is incomplete.
    #[must_use]
    pub fn columns(&self) -> Option<&Fields> {
        self.found.header.as_ref().map(|header| &header.input)
    }
}

impl Recorded {
    /// Reserves memory for more users.
    pub fn expect_users(&mut self, more: u64) {
        self.tally.expect_users(more);
    }

    /// Counts an ended row. Returns false, without counting it, if its line has ended before.
    pub fn add(&mut self, row: &Row, columns: IdColumns, outcome: &Outcome) -> bool {
        self.count(row.line, outcome, owners(columns, |index| row.fields.get(index)))
    }

    fn count(&mut self, line: u64, outcome: &Outcome, (team, user): (Option<TeamId>, Option<UserId>)) -> bool {
        if !self.done.insert(line) {
            return false;
        }
        let Outcome { status, error, first_sent_at, finished_at, .. } = outcome;
        match (status.remains(false), status.remains(true)) {
            (true, _) => self.remains.insert(line),
            (false, true) => self.remains_strictly.insert(line),
            (false, false) => false,
        };
        if status.may_be_gone() {
            self.may_be_gone.insert(line);
        }
        self.tally.add(*status, team.as_ref(), user.as_ref());
        self.failures.add(*status, error.as_deref().unwrap_or_default());
        let (from, to) = (first_sent_at.unwrap_or(*finished_at), *finished_at);
        self.window = Some(match self.window {
            Some(window) => Window { from: window.from.min(from), to: window.to.max(to) },
            None => Window { from, to },
        });
        true
    }

    #[must_use]
    pub fn done(&self) -> &RoaringTreemap {
        &self.done
    }

    /// Lines of rows whose session is gone or may be gone, for other rows with the same session.
    #[must_use]
    pub fn may_be_gone(&self) -> &RoaringTreemap {
        &self.may_be_gone
    }

    /// Whether the row belongs in the remaining file: it has no record, or one that needs further processing.
    #[must_use]
    pub fn remains(&self, line: u64, strict: bool) -> bool {
        !self.done.contains(line) || self.remains.contains(line) || (strict && self.remains_strictly.contains(line))
    }

    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    #[must_use]
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Number of rows with a record that remain.
    #[must_use]
    pub fn remaining(&self, strict: bool) -> u64 {
        self.remains.len() + if strict { self.remains_strictly.len() } else { 0 }
    }

    /// `None` without records.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.window
    }
}

/// Workspace and user of a record, for the totals; `None` for invalid ids.
fn owners<'a>(columns: IdColumns, field: impl Fn(usize) -> Option<&'a str>) -> (Option<TeamId>, Option<UserId>) {
    let team = columns.team.and_then(&field).and_then(|text| TeamId::parse(text).ok());
    let user = columns.user.and_then(&field).and_then(|text| UserId::parse(text).ok());
    (team, user)
}

/// Reads a results file of any size, possibly truncated.
///
/// `expected` are the columns of the input; `None` accepts any. `names` are the names of the id columns.
///
/// # Errors
/// [`ScanError`] if the file is missing, is another program's, belongs to an input with other columns, or was
/// changed.
pub fn scan(path: &Path, expected: Option<&Fields>, names: &ColumnNames) -> Result<Scan, ScanError> {
    let mut reader = Reader::open(path)?;
    let seen = reader.seen()?;
    let header = reader.header()?;
    let columns = header.as_ref().map(|header| &header.input);
    if let Some(expected) = expected {
        match columns {
            Some(found) if found != expected => return Err(other_columns(path, expected, found)),
            None if !is_torn_header(path, expected)? => return Err(ScanError::NotResults(path.to_owned())),
            Some(_) | None => {}
        }
    }
    let (recorded, carried) = match columns {
        // An input with such a header is refused; here it only affects totals.
        Some(columns) => record_all(&mut reader, path, names.find(&columns.iter()).unwrap_or_default())?,
        None => Default::default(),
    };
    Ok(Scan { valid_len: reader.valid_len(), recorded, carried, found: FoundResults { seen, header } })
}

/// Calls its argument with the line and content of every row of the input.
pub type EachRow<'a> = &'a dyn Fn(&mut dyn FnMut(u64, Carried)) -> io::Result<()>;

/// Checks that each record has the row of its line. `carried` is the sum over the input's rows on the lines of the
/// scan.
///
/// # Errors
/// [`ScanError::OtherRow`], or if a file can't be read to find it.
pub fn check_rows(scan: &Scan, path: &Path, carried: Carried, each_row: EachRow<'_>) -> Result<(), ScanError> {
    if scan.carried == carried {
        return Ok(());
    }
    let mut carried = HashMap::new();
    for record in records(path)? {
        let ResultRecord { fields, line, .. } = record?;
        carried.insert(line, Carried::row(line, fields.iter()));
    }
    each_row(&mut |line, row| {
        if carried.get(&line) == Some(&row) {
            carried.remove(&line);
        }
    })?;
    let changed = || during("compare", path)(io::Error::other("it changed while it was read")).into();
    Err(carried.into_keys().min().map_or_else(changed, |line| ScanError::OtherRow { path: path.to_owned(), line }))
}

fn record_all(reader: &mut Reader, path: &Path, columns: IdColumns) -> Result<(Recorded, Carried), ScanError> {
    let (mut recorded, mut carried) = (Recorded::default(), Carried::default());
    while let Some(view) = reader.next_view()? {
        carried.add(view.row());
        let owners = owners(columns, |index| Some(view.carried(index)));
        if !recorded.count(view.line, &view.outcome, owners) {
            let row = view.line;
            return Err(ScanError::Twice { path: path.to_owned(), line: reader.line(), row });
        }
    }
    Ok((recorded, carried))
}

fn other_columns(path: &Path, expected: &Fields, found: &Fields) -> ScanError {
    let listed = |columns: &Fields| columns.iter().collect::<Vec<_>>().join(",");
    ScanError::OtherColumns { path: path.to_owned(), expected: listed(expected), found: listed(found) }
}

/// Whether a file with an incomplete header is the beginning of this header, possibly followed by zeros after a power
/// loss. Anything else is another program's file and must not be overwritten.
fn is_torn_header(path: &Path, columns: &Fields) -> io::Result<bool> {
    let header = ResultsHeader::new(columns).encoded();
    let mut file = BufReader::new(open_regular(path)?);
    let mut start = Vec::new();
    file.by_ref().take(header.len() as u64).read_to_end(&mut start)?;
    let arrived = start.iter().zip(&header).take_while(|(found, ours)| found == ours).count();
    let ours = arrived > 0 || start.is_empty();
    if !ours || start[arrived..].iter().any(|byte| *byte != 0) {
        return Ok(false);
    }
    loop {
        let rest = file.fill_buf()?;
        if rest.is_empty() || rest.iter().any(|byte| *byte != 0) {
            return Ok(rest.is_empty());
        }
        let len = rest.len();
        file.consume(len);
    }
}

#[cfg(test)]
mod tests;
