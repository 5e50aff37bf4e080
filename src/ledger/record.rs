//! A results file, record by record, as [`super::results`] wrote it.

use super::results::COLUMNS;
use super::scan_error::{Damage, ScanError};
use crate::files::atomic::open_regular;
use crate::files::{Seen, during};
use crate::model::Stamp;
use crate::model::{Carried, ColumnNames, Fields, IdColumns, Outcome, Status};
use csv::{ReaderBuilder, StringRecord, Terminator};
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

/// The longest record that is read, in bytes: the input's limit of 1 MiB with every quote doubled, and our columns. An
/// unclosed quote ends here instead of in memory.
const MOST_RECORD: u64 = 4 << 20;

/// One record of a results file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The input's columns, unchanged.
    pub fields: Fields,
    /// The row's line in the input.
    pub line: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// The records of a results file, in the order of ending, without a torn last one. Ends after an error.
#[derive(Debug)]
pub struct Records {
    reader: Reader,
    columns: Fields,
    failed: bool,
}

/// Opens a results file to be read record by record, in memory that does not grow with it.
///
/// # Errors
/// Where the file cannot be read or does not begin with a whole header of ours.
pub fn records(path: &Path) -> Result<Records, ScanError> {
    let mut reader = Reader::open(path)?;
    let columns = reader.header()?.ok_or_else(|| ScanError::NotResults(path.to_owned()))?;
    Ok(Records { reader, columns, failed: false })
}

impl Records {
    /// The input's columns.
    #[must_use]
    pub fn columns(&self) -> &Fields {
        &self.columns
    }

    /// Where the ids stand among them.
    ///
    /// # Errors
    /// If that isn't clear from the header.
    pub fn id_columns(&self, names: &ColumnNames) -> Result<IdColumns, ScanError> {
        names
            .find(&self.columns.iter())
            .map_err(|error| ScanError::Columns { path: self.reader.path.clone(), why: error.to_string().into() })
    }

    /// Whether something stands behind the last whole record that was given: a torn one, once all were given.
    ///
    /// # Errors
    /// Where the file cannot be looked at.
    pub fn is_torn(&self) -> io::Result<bool> {
        let file = &self.reader.csv.get_ref().inner;
        let length = file.metadata().map_err(during("look at", &self.reader.path))?.len();
        Ok(length > self.reader.valid_len)
    }
}

impl Iterator for Records {
    type Item = Result<Record, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.reader.next().transpose()?;
        self.failed = record.is_err();
        Some(record)
    }
}

/// Reads whole records and knows where the last of them ends.
#[derive(Debug)]
pub(super) struct Reader {
    csv: csv::Reader<Tail<File>>,
    path: PathBuf,
    text: StringRecord,
    /// How many of the columns are the input's.
    carried: usize,
    /// The line on which the last record started.
    line: u64,
    /// The bytes up to the end of the last whole record.
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
        Ok(Self { csv, path: path.to_owned(), text, carried: 0, line: 1, valid_len: 0 })
    }

    /// The line on which the last record started.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The file as it was when it was opened.
    pub(super) fn seen(&self) -> io::Result<Seen> {
        Seen::of(&self.csv.get_ref().inner).map_err(during("look at", &self.path))
    }

    /// The bytes up to the end of the last whole record.
    pub(super) fn valid_len(&self) -> u64 {
        self.valid_len
    }

    /// The input's columns, from a whole header; none where the file ends before it does.
    pub(super) fn header(&mut self) -> Result<Option<Fields>, ScanError> {
        let not_ours = |path: &Path| ScanError::NotResults(path.to_owned());
        match self.read() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(ScanError::Damaged { .. }) => return Err(not_ours(&self.path)),
            Err(error) => return Err(error),
        }
        let carried = self.text.len().checked_sub(COLUMNS.len()).ok_or_else(|| not_ours(&self.path))?;
        if !self.text.iter().skip(carried).eq(COLUMNS) {
            return Err(not_ours(&self.path));
        }
        self.carried = carried;
        Ok(Some(self.text.iter().take(carried).collect()))
    }

    /// The next whole record as it stands in the reader's buffer; none at the end of the file or before a torn tail.
    pub(super) fn next_view(&mut self) -> Result<Option<View<'_>>, ScanError> {
        if !self.read()? {
            return Ok(None);
        }
        let parsed = View::parse(&self.text, self.carried);
        parsed.map(Some).map_err(|damage| ScanError::Damaged { path: self.path.clone(), line: self.line, damage })
    }

    fn next(&mut self) -> Result<Option<Record>, ScanError> {
        Ok(self.next_view()?.map(|view| view.to_record()))
    }

    /// Reads one whole record into `text`; false where there is none left.
    fn read(&mut self) -> Result<bool, ScanError> {
        let start = self.csv.position().clone();
        self.csv.get_mut().record_start = start.byte();
        self.line = start.line();
        let mut bytes = mem::take(&mut self.text).into_byte_record();
        let found = self.csv.read_byte_record(&mut bytes).map_err(|error| self.trouble(error))?;
        // A record is given as soon as its `\n` is seen. If the end of the file had to be seen first, there was none.
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

/// Passes bytes on, and sees what a CSV reader does not tell: whether the end was met, and records without one.
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

/// A record in the reader's buffer, checked to the last column.
#[derive(Debug)]
pub(super) struct View<'a> {
    text: &'a StringRecord,
    carried: usize,
    pub(super) line: u64,
    pub(super) error: &'a str,
    /// Without its texts: those are copied only where they are asked for.
    pub(super) outcome: Outcome,
}

impl<'a> View<'a> {
    fn parse(text: &'a StringRecord, carried: usize) -> Result<Self, Damage> {
        let expected = carried + COLUMNS.len();
        if text.len() != expected {
            return Err(Damage::Columns { found: text.len(), expected });
        }
        let ours: [&str; COLUMNS.len()] = std::array::from_fn(|index| &text[carried + index]);
        let [line, status, error, _detail, http_status, attempts, rate_limited, first_sent_at, finished_at, _request] =
            ours;
        let line = line.parse().ok().filter(|line| *line > 0).ok_or(Damage::Column("line"))?;
        let outcome = Outcome {
            status: Status::parse(status).ok_or(Damage::Column("status"))?,
            error: None,
            detail: Box::default(),
            http_status: optional("http_status", http_status, |text| text.parse().ok())?,
            attempts: attempts.parse().map_err(|_| Damage::Column("attempts"))?,
            rate_limited: rate_limited.parse().map_err(|_| Damage::Column("rate_limited"))?,
            first_sent_at: optional("first_sent_at", first_sent_at, Stamp::parse)?,
            finished_at: Stamp::parse(finished_at).ok_or(Damage::Column("finished_at"))?,
            request_id: None,
        };
        Ok(Self { text, carried, line, error, outcome })
    }

    /// The input's columns with the line, as the input has them.
    pub(super) fn row(&self) -> Carried {
        Carried::row(self.line, self.text.iter().take(self.carried))
    }

    /// The text of one of the input's columns.
    pub(super) fn carried(&self, index: usize) -> &'a str {
        &self.text[index]
    }

    fn to_record(&self) -> Record {
        let [detail, request_id] = [3, 9].map(|index| &self.text[self.carried + index]);
        let given = |text: &str| (!text.is_empty()).then(|| text.into());
        let fields = self.text.iter().take(self.carried).collect();
        let texts = Outcome {
            error: given(self.error),
            detail: detail.into(),
            request_id: given(request_id),
            ..self.outcome.clone()
        };
        Record { fields, line: self.line, outcome: texts }
    }
}

/// An empty column is none, and one that does not parse is damage.
fn optional<T>(name: &'static str, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Damage> {
    if text.is_empty() { Ok(None) } else { parse(text).ok_or(Damage::Column(name)).map(Some) }
}
