//! Reads a results file record by record.

use super::columns::ResultsHeader;
use crate::files::atomic::open_regular;
use crate::files::{FileSnapshot, during};
use crate::model::{Carried, ColumnNames, Fields, IdColumns, Outcome, Status, Timestamp};
use csv::{ReaderBuilder, StringRecord, Terminator};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

/// Maximum length of a record in bytes: the input's limit of 1 MiB with doubled quotes, and the result columns.
/// Bounds the memory for an unclosed quote.
const MOST_RECORD: u64 = 4 << 20;

/// Why a results file can't be used. `Display` includes what to do.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Without the result columns in its header: another program's file.
    #[error("{} isn't a results file of slack-revoke; it wasn't changed: name another file with -o", .0.display())]
    NotResults(PathBuf),
    /// Results of an input with other columns.
    #[error(
        "{} has the results of an input with the columns {found}, but this input has {expected}; use the input that \
         it belongs to, or another file with -o", .path.display()
    )]
    OtherColumns {
        path: PathBuf,
        expected: String,
        /// The input's columns in the results.
        found: String,
    },
    /// The id columns are ambiguous.
    #[error("{}: {why}", .path.display())]
    Columns { path: PathBuf, why: Box<str> },
    /// A record was changed.
    #[error(
        "{}, line {line}: {damage}; the file was changed after it was written: restore it, or correct that line, or name \
         another file with -o", .path.display()
    )]
    Damaged {
        path: PathBuf,
        /// The line of the record in the results.
        line: u64,
        damage: Damage,
    },
    /// A record of another row than the input's.
    #[error(
        "{} has a record for line {line}, but the input has another row there or none; the results belong to another input, or \
         were edited: restore them, or name another file with -o", .path.display()
    )]
    OtherRow {
        path: PathBuf,
        /// The first such line of the input.
        line: u64,
    },
    /// Two records for one row.
    #[error(
        "{}, line {line}: row {row} of the input has a record already; two runs wrote here, or lines were copied: remove \
         one of the two, or name another file with -o", .path.display()
    )]
    Twice {
        path: PathBuf,
        /// The line of the second record in the results.
        line: u64,
        /// The line of the row in the input.
        row: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Another number of columns than the header.
    Columns {
        found: usize,
        expected: usize,
    },
    /// An invalid value in this result column.
    Column(&'static str),
    NotUtf8,
    /// Longer than any valid record, probably because of an unclosed quote.
    TooLong,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns { found, expected } => write!(f, "the record has {found} columns of {expected}"),
            Self::Column(name) => write!(f, "the column `{name}` has a value that is never written there"),
            Self::NotUtf8 => f.write_str("the record is not UTF-8"),
            Self::TooLong => f.write_str("the record never ends (an unclosed quote?)"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRecord {
    /// The input's columns.
    pub fields: Fields,
    /// Line of the row in the input.
    pub line: u64,
    pub outcome: Outcome,
}

/// The records of a results file, without an incomplete last one. Ends after an error.
#[derive(Debug)]
pub struct Records {
    reader: Reader,
    columns: Fields,
    failed: bool,
}

/// Opens a results file. Memory doesn't grow with its size.
///
/// # Errors
/// If the file can't be read or doesn't begin with a complete header.
pub fn records(path: &Path) -> Result<Records, ScanError> {
    let mut reader = Reader::open(path)?;
    let header = reader.header()?.ok_or_else(|| ScanError::NotResults(path.to_owned()))?;
    Ok(Records { reader, columns: header.input, failed: false })
}

impl Records {
    #[must_use]
    pub fn columns(&self) -> &Fields {
        &self.columns
    }

    /// Finds the id columns.
    ///
    /// # Errors
    /// If they are ambiguous.
    pub fn id_columns(&self, names: &ColumnNames) -> Result<IdColumns, ScanError> {
        names
            .find(&self.columns.iter())
            .map_err(|error| ScanError::Columns { path: self.reader.path.clone(), why: error.to_string().into() })
    }

    /// Whether anything follows the last record returned. After all records, that is an incomplete one.
    ///
    /// # Errors
    /// If the file can't be examined.
    pub fn is_torn(&self) -> io::Result<bool> {
        let file = &self.reader.csv.get_ref().inner;
        let length = file.metadata().map_err(during("look at", &self.reader.path))?.len();
        Ok(length > self.reader.valid_len)
    }
}

impl Iterator for Records {
    type Item = Result<ResultRecord, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.reader.next().transpose()?;
        self.failed = record.is_err();
        Some(record)
    }
}

/// Reads whole records, and keeps track of the end of the last one.
#[derive(Debug)]
pub(super) struct Reader {
    csv: csv::Reader<Tail<File>>,
    path: PathBuf,
    text: StringRecord,
    /// Empty before it is read.
    header: ResultsHeader,
    /// The line of the last record.
    line: u64,
    /// Length up to the end of the last whole record.
    valid_len: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, ScanError> {
        let file = open_regular(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ScanError::Missing(path.to_owned()),
            _ => during("read", path)(error).into(),
        })?;
        let csv = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(64 * 1024)
            .from_reader(Tail { inner: file, read: 0, record_start: 0, ended: false, too_long: false });
        let text = StringRecord::new();
        let header = ResultsHeader { input: Fields::default(), ours: Vec::new() };
        Ok(Self { csv, path: path.to_owned(), text, header, line: 1, valid_len: 0 })
    }

    /// The line of the last record.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn seen(&self) -> io::Result<FileSnapshot> {
        FileSnapshot::of(&self.csv.get_ref().inner).map_err(during("look at", &self.path))
    }

    /// Length up to the end of the last whole record.
    pub(super) fn valid_len(&self) -> u64 {
        self.valid_len
    }

    /// `None` if the header is incomplete.
    pub(super) fn header(&mut self) -> Result<Option<ResultsHeader>, ScanError> {
        let not_ours = |path: &Path| ScanError::NotResults(path.to_owned());
        match self.read() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(ScanError::Damaged { .. }) => return Err(not_ours(&self.path)),
            Err(error) => return Err(error),
        }
        let names: Vec<_> = self.text.iter().collect();
        self.header = ResultsHeader::parse(&names).ok_or_else(|| not_ours(&self.path))?;
        Ok(Some(self.header.clone()))
    }

    /// The next whole record; `None` at the end of the file or before an incomplete record.
    pub(super) fn next_view(&mut self) -> Result<Option<View<'_>>, ScanError> {
        if !self.read()? {
            return Ok(None);
        }
        let parsed = View::parse(&self.text, &self.header);
        parsed.map(Some).map_err(|damage| ScanError::Damaged { path: self.path.clone(), line: self.line, damage })
    }

    fn next(&mut self) -> Result<Option<ResultRecord>, ScanError> {
        Ok(self.next_view()?.map(View::into_record))
    }

    /// Reads a whole record into `text`. Returns false if there is none.
    fn read(&mut self) -> Result<bool, ScanError> {
        let start = self.csv.position().clone();
        self.csv.get_mut().record_start = start.byte();
        self.line = start.line();
        let mut bytes = mem::take(&mut self.text).into_byte_record();
        let found = self.csv.read_byte_record(&mut bytes).map_err(|error| self.trouble(error))?;
        // The reader returns a record as soon as it sees `\n`. If it saw the end of the file first, the record is
        // incomplete.
        if !found || self.csv.get_ref().ended {
            return Ok(false);
        }
        self.text = StringRecord::from_byte_record(bytes).map_err(|_| self.damaged(Damage::NotUtf8))?;
        self.valid_len = self.csv.position().byte();
        Ok(true)
    }

    fn trouble(&self, error: csv::Error) -> ScanError {
        if self.csv.get_ref().too_long {
            self.damaged(Damage::TooLong)
        } else {
            during("read", &self.path)(error.into()).into()
        }
    }

    fn damaged(&self, damage: Damage) -> ScanError {
        ScanError::Damaged { path: self.path.clone(), line: self.line, damage }
    }
}

/// Detects what the CSV reader doesn't report: the end of the file, and a record that is too long.
#[derive(Debug)]
struct Tail<R> {
    inner: R,
    read: u64,
    record_start: u64,
    ended: bool,
    too_long: bool,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read - self.record_start > MOST_RECORD {
            self.too_long = true;
            return Err(io::Error::other("record too long"));
        }
        let count = self.inner.read(buffer)?;
        self.ended = count == 0;
        self.read += count as u64;
        Ok(count)
    }
}

/// A validated record in the reader's buffer.
#[derive(Debug)]
pub(super) struct View<'a> {
    text: &'a StringRecord,
    carried: usize,
    pub(super) line: u64,
    pub(super) outcome: Outcome,
}

impl<'a> View<'a> {
    fn parse(text: &'a StringRecord, header: &ResultsHeader) -> Result<Self, Damage> {
        let (carried, expected) = (header.input.len(), header.names().count());
        if text.len() != expected {
            return Err(Damage::Columns { found: text.len(), expected });
        }
        // Columns that the file doesn't have keep their default.
        let mut line = 0;
        let mut outcome = Outcome::bare(Status::Unknown, Timestamp::from_millis(0));
        for (column, text) in header.ours.iter().zip(text.iter().skip(carried)) {
            (column.read)(text, &mut line, &mut outcome).ok_or(Damage::Column(column.name))?;
        }
        Ok(Self { text, carried, line, outcome })
    }

    /// The row in the form of [`Carried`].
    pub(super) fn row(&self) -> Carried {
        Carried::row(self.line, self.text.iter().take(self.carried))
    }

    pub(super) fn carried(&self, index: usize) -> &'a str {
        &self.text[index]
    }

    fn into_record(self) -> ResultRecord {
        ResultRecord { fields: self.text.iter().take(self.carried).collect(), line: self.line, outcome: self.outcome }
    }
}
