//! The results: one record for each row that has ended, written whole and at once.
//!
//! Records are encoded in memory, and those that ended together leave in one `write`. `kill -9` can end it between two
//! pages of the file: then whole records stand there and at most one torn tail, none of them shown yet, and [`super::scan`]
//! passes over the tail. A write that the disk cut short is cut back to the last record that is whole.

use super::cell::printable;
use super::resume::{Fresh, Start};
use super::sync::Syncer;
pub use super::whole::NotAdded;
use super::whole::Whole;
pub use crate::files::{Fingerprint, fingerprint};
use crate::files::{Seen, during, private, sync_folder_of};
use crate::model::{Fields, Outcome, Row, Stamp};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Our columns; they follow the input's (contract.md, "Results").
pub const COLUMNS: [&str; 10] = [
    "line",
    "status",
    "error",
    "detail",
    "http_status",
    "attempts",
    "rate_limited",
    "first_sent_at",
    "finished_at",
    "request_id",
];

/// Why the results could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The file is there already.
    #[error("{} exists already; continue it with --resume, or name another file with -o", .0.display())]
    Exists(PathBuf),
    /// Another run writes to it.
    #[error("{} is held by another run, under another name; wait for it to end, or name another file with -o", .0.display())]
    Held(PathBuf),
    /// The file could not be made or opened.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Records that are encoded and not yet written.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where in `bytes` each record ends.
    ends: Vec<usize>,
}

/// Where the encoder writes to: a flush is the end of a record. In a cell, for the encoder lends it only to be read.
#[derive(Debug, Default)]
struct Encoded(RefCell<Batch>);

impl Write for Encoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let batch = self.0.get_mut();
        batch.ends.push(batch.bytes.len());
        Ok(())
    }
}

/// Writes results. Dropped without [`Self::finish`], it leaves the last half second to the operating system.
#[derive(Debug)]
pub struct ResultsWriter {
    file: Whole,
    encoder: csv::Writer<Encoded>,
    /// How many of the columns are the input's.
    carried: usize,
    /// For numbers and stamps on their way into a field.
    scratch: String,
    syncer: Syncer,
}

impl ResultsWriter {
    /// Begins or continues the results, as it was decided from what was `seen` there. `columns` are the input's.
    ///
    /// # Errors
    /// See [`Self::create`] and [`Self::resume`].
    pub fn start(path: &Path, columns: &Fields, start: &Start, seen: Option<Seen>) -> Result<Self, CreateError> {
        let valid_len = match start {
            Start::Fresh(Fresh::FirstRun | Fresh::NothingToResume | Fresh::PutsAside) => None,
            Start::Fresh(Fresh::ReplacesRehearsal) => return Self::replace(path, columns),
            Start::Fresh(Fresh::NothingWritten) => seen.map(|seen| (seen, 0)),
            Start::Continue { valid_len, .. } => seen.map(|seen| (seen, *valid_len)),
        };
        match valid_len {
            Some((seen, valid_len)) => Self::resume(path, columns, seen, valid_len),
            None => Self::create(path, columns),
        }
    }

    /// Makes the file, readable by its owner alone, and writes its header.
    ///
    /// # Errors
    /// [`CreateError::Exists`] where the file is there already, even if it is empty.
    pub fn create(path: &Path, columns: &Fields) -> Result<Self, CreateError> {
        let file = private().append(true).create_new(true).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CreateError::Exists(path.to_owned()),
            _ => CreateError::Io(during("create", path)(error)),
        })?;
        lock(&file, path)?;
        sync_folder_of(path);
        Ok(Self::open(file, path, columns, 0)?)
    }

    /// As [`Self::create`], in the place of what is there. For rehearsals; [`super::resume::decide`] says when.
    ///
    /// # Errors
    /// Where the old file cannot be removed or the new one not made.
    pub fn replace(path: &Path, columns: &Fields) -> Result<Self, CreateError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(during("replace", path)(error).into()),
            Ok(()) | Err(_) => Self::create(path, columns),
        }
    }

    /// Continues the file that a scan has `seen`, whose first `valid_len` bytes are whole records; what follows them is a torn
    /// tail and is cut off. With 0 the file is begun anew.
    ///
    /// # Errors
    /// [`CreateError::Held`]; or if the file can't be opened, cut or written, or isn't what was seen.
    pub fn resume(path: &Path, columns: &Fields, seen: Seen, valid_len: u64) -> Result<Self, CreateError> {
        let context = during("continue", path);
        let file = private().append(true).open(path).map_err(context)?;
        lock(&file, path)?;
        if Seen::of(&file).map_err(context)? != seen {
            return Err(context(io::Error::other("it was changed or replaced since it was read; start again")).into());
        }
        file.set_len(valid_len).map_err(context)?;
        Ok(Self::open(file, path, columns, valid_len)?)
    }

    fn open(file: File, path: &Path, columns: &Fields, len: u64) -> io::Result<Self> {
        let syncer = Syncer::start(&file, path, len)?;
        let mut file = Whole::new(file, path, len, Arc::clone(syncer.watched()));
        if len == 0 {
            let header = encoded_header(columns);
            file.add(&header, &[header.len()]).map_err(|refused| refused.error)?;
        }
        let encoder = encoding().from_writer(Encoded::default());
        Ok(Self { file, encoder, carried: columns.len(), scratch: String::new(), syncer })
    }

    /// Adds the records of rows that have ended, in one write. When this returns, they survive the death of the process.
    ///
    /// A row with fewer fields than the header is filled up, and fields beyond the header's are left out: each record has
    /// every column.
    ///
    /// # Errors
    /// Where a record could not be written (those before it are, and nothing of it stays), or since the last call the file
    /// could not be synced or was found deleted, replaced or truncated.
    pub fn append<'a>(&mut self, records: impl IntoIterator<Item = (&'a Row, &'a Outcome)>) -> Result<(), NotAdded> {
        self.check()?;
        let encoded = self.encode_all(records);
        let mut batch = self.encoder.get_ref().0.borrow_mut();
        let added = encoded.map_err(NotAdded::from).and_then(|()| self.file.add(&batch.bytes, &batch.ends));
        batch.bytes.clear();
        batch.ends.clear();
        added
    }

    fn encode_all<'a>(&mut self, records: impl IntoIterator<Item = (&'a Row, &'a Outcome)>) -> io::Result<()> {
        records.into_iter().try_for_each(|(row, outcome)| {
            self.encode(row, outcome)?;
            self.encoder.flush()
        })
    }

    /// Whether records can still be kept, as far as is known: worth asking before a row is sent.
    ///
    /// # Errors
    /// As [`Self::append`], for what was found since.
    pub fn check(&self) -> io::Result<()> {
        self.syncer.watched().check()
    }

    /// Syncs the last records and closes the file.
    ///
    /// # Errors
    /// Where the file cannot be synced, or is no longer what was written.
    pub fn finish(self) -> io::Result<()> {
        let is_ours = self.syncer.watched().ends_with_ours();
        self.syncer.finish().and(is_ours)
    }

    /// Removes a file without records, of a run that can't begin.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn discard(self) -> io::Result<()> {
        fs::remove_file(self.syncer.watched().path())
    }

    fn encode(&mut self, row: &Row, outcome: &Outcome) -> csv::Result<()> {
        for index in 0..self.carried {
            self.encoder.write_field(row.fields.get(index).unwrap_or(""))?;
        }
        self.number(row.line)?;
        self.encoder.write_field(outcome.status.as_str())?;
        self.encoder.write_field(&*printable(outcome.error.as_deref().unwrap_or("")))?;
        self.encoder.write_field(&*printable(&outcome.detail))?;
        match outcome.http_status {
            Some(status) => self.number(status.into())?,
            None => self.encoder.write_field("")?,
        }
        self.number(outcome.attempts.into())?;
        self.number(outcome.rate_limited.into())?;
        self.stamp(outcome.first_sent_at)?;
        self.stamp(Some(outcome.finished_at))?;
        self.encoder.write_field(&*printable(outcome.request_id.as_deref().unwrap_or("")))?;
        self.encoder.write_record(None::<&[u8]>)
    }

    fn number(&mut self, number: u64) -> csv::Result<()> {
        self.scratch.clear();
        let _ = write!(self.scratch, "{number}");
        self.encoder.write_field(&self.scratch)
    }

    fn stamp(&mut self, stamp: Option<Stamp>) -> csv::Result<()> {
        self.scratch.clear();
        if let Some(stamp) = stamp {
            stamp.push_to(&mut self.scratch);
        }
        self.encoder.write_field(&self.scratch)
    }
}

/// Locks the file itself until it is closed: by another name, a hard link, a second run finds another journal.
fn lock(file: &File, path: &Path) -> Result<(), CreateError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => CreateError::Held(path.to_owned()),
        TryLockError::Error(error) => CreateError::Io(during("lock", path)(error)),
    })
}

/// Comma and `\n` always, whatever the input used.
fn encoding() -> WriterBuilder {
    let mut builder = WriterBuilder::new();
    builder.flexible(true).terminator(Terminator::Any(b'\n'));
    builder
}

/// The header record for an input of these columns.
pub(super) fn encoded_header(columns: &Fields) -> Vec<u8> {
    let mut builder = encoding();
    if columns.get(0).is_some_and(|first| first.starts_with('\u{feff}')) {
        // Unquoted it would be taken for the file's byte order mark, and be gone when it is read.
        builder.quote_style(QuoteStyle::Always);
    }
    let mut writer = builder.from_writer(Vec::new());
    writer.write_record(columns.iter().chain(COLUMNS)).expect("a Vec takes whatever is written to it");
    writer.into_inner().expect("a Vec takes whatever is written to it")
}

#[cfg(test)]
mod tests;
