//! The results: one record per ended row.
//!
//! Records are encoded in memory, and those that ended together are written with one `write`. If `kill -9` interrupts
//! it between two pages, the file has whole records and at most one incomplete one, none of them shown yet;
//! [`super::scan`] ignores the incomplete one. If the disk is full, the file is cut to the last whole record.

use super::append_file::AppendFile;
pub use super::append_file::NotAdded;
use super::columns::{ResultsHeader, cell, encoding};
use super::resume::{NewRunReason, Start};
use super::scan::FoundResults;
use super::sync::Syncer;
use crate::files::{FileSnapshot, during, private, sync_folder_of};
pub use crate::files::{Fingerprint, fingerprint};
use crate::model::{Fields, Outcome, Row};
use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("{} exists already; continue it with --resume, or name another file with -o", .0.display())]
    Exists(PathBuf),
    #[error("{} is in use by another run under another name; wait for it to end, or name another file with -o", .0.display())]
    Held(PathBuf),
    /// The file couldn't be created or opened.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Encoded records that aren't written yet.
#[derive(Debug, Default)]
struct EncodedRecords {
    bytes: Vec<u8>,
    /// The end of each record in `bytes`.
    ends: Vec<usize>,
}

/// The target of the encoder, whose flush marks the end of a record. A cell, because the encoder only returns a
/// shared reference.
#[derive(Debug, Default)]
struct Encoded(RefCell<EncodedRecords>);

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

/// If it is dropped without [`Self::finish`], the last half second isn't synced.
#[derive(Debug)]
pub struct ResultsWriter {
    file: AppendFile,
    encoder: csv::Writer<Encoded>,
    header: ResultsHeader,
    /// Buffer for numbers and times.
    scratch: String,
    syncer: Syncer,
}

impl ResultsWriter {
    /// Starts or continues the results, as decided. `columns` are those of the input.
    ///
    /// # Errors
    /// See [`Self::create`] and [`Self::resume`].
    pub fn start(
        path: &Path,
        columns: &Fields,
        start: &Start,
        found: Option<FoundResults>,
    ) -> Result<Self, CreateError> {
        let valid_len = match start {
            Start::Fresh(NewRunReason::FirstRun | NewRunReason::NothingToResume | NewRunReason::ArchivesOther) => {
                return Self::create(path, columns);
            }
            Start::Fresh(NewRunReason::ReplacesRehearsal) => return Self::replace(path, columns),
            Start::Fresh(NewRunReason::NothingWritten) => 0,
            Start::Continue { valid_len, .. } => *valid_len,
        };
        match found {
            Some(FoundResults { seen, header: Some(header) }) if valid_len > 0 => {
                Self::resume(path, header, seen, valid_len)
            }
            Some(FoundResults { seen, .. }) => Self::resume(path, ResultsHeader::new(columns), seen, 0),
            None => Self::create(path, columns),
        }
    }

    /// Creates the file with mode 0600 and writes its header.
    ///
    /// # Errors
    /// [`CreateError::Exists`] if the file exists, even if it is empty.
    pub fn create(path: &Path, columns: &Fields) -> Result<Self, CreateError> {
        let file = create_locked(path)?;
        Ok(Self::open(file, path, ResultsHeader::new(columns), 0)?)
    }

    /// As [`Self::create`], but replaces an existing file. For rehearsals; see [`super::resume::decide`].
    ///
    /// # Errors
    /// If the old file can't be removed or the new one can't be created.
    pub fn replace(path: &Path, columns: &Fields) -> Result<Self, CreateError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(during("replace", path)(error).into()),
            Ok(()) | Err(_) => Self::create(path, columns),
        }
    }

    /// Continues the file that a scan has `seen`. Everything after the first `valid_len` bytes, which are whole
    /// records, is cut off. With 0 the file is started again with `header`.
    ///
    /// # Errors
    /// [`CreateError::Held`], or if the file can't be opened, cut or written, or isn't the one seen.
    pub fn resume(path: &Path, header: ResultsHeader, seen: FileSnapshot, valid_len: u64) -> Result<Self, CreateError> {
        let context = during("continue", path);
        let file = private().append(true).open(path).map_err(context)?;
        lock(&file, path)?;
        if FileSnapshot::of(&file).map_err(context)? != seen {
            return Err(context(io::Error::other("it was changed or replaced since it was read; start again")).into());
        }
        file.set_len(valid_len).map_err(context)?;
        Ok(Self::open(file, path, header, valid_len)?)
    }

    fn open(file: File, path: &Path, header: ResultsHeader, len: u64) -> io::Result<Self> {
        let syncer = Syncer::start(&file, path, len)?;
        let mut file = AppendFile::new(file, path, len, Arc::clone(syncer.synced_file()));
        if len == 0 {
            let header = header.encoded();
            file.add(&header, &[header.len()]).map_err(|refused| refused.error)?;
        }
        let encoder = encoding().from_writer(Encoded::default());
        Ok(Self { file, encoder, header, scratch: String::new(), syncer })
    }

    /// Appends the records of ended rows with one write. When this returns, they survive the death of the process.
    ///
    /// Each record has every column of the header: missing fields are empty, surplus ones are dropped.
    ///
    /// # Errors
    /// If a record couldn't be written (those before it are), or if since the last call a sync failed or the file was
    /// found to be deleted, replaced or truncated.
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

    /// Fails if it is known that records can't be written; to be called before a row is sent.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn check(&self) -> io::Result<()> {
        self.syncer.synced_file().check()
    }

    /// Syncs the last records and closes the file.
    ///
    /// # Errors
    /// If the file can't be synced or was changed.
    pub fn finish(self) -> io::Result<()> {
        let is_ours = self.syncer.synced_file().ends_with_ours();
        self.syncer.finish().and(is_ours)
    }

    /// Removes a file without records, if the run can't start.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn discard(self) -> io::Result<()> {
        fs::remove_file(self.syncer.synced_file().path())
    }

    fn encode(&mut self, row: &Row, outcome: &Outcome) -> csv::Result<()> {
        for index in 0..self.header.input.len() {
            self.encoder.write_field(row.fields.get(index).unwrap_or(""))?;
        }
        for column in &self.header.ours {
            self.encoder.write_field(&*cell(column, row.line, outcome, &mut self.scratch))?;
        }
        self.encoder.write_record(None::<&[u8]>)
    }
}

/// Creates a new file with mode 0600 and locks it.
pub(super) fn create_locked(path: &Path) -> Result<File, CreateError> {
    let file = private().append(true).create_new(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CreateError::Exists(path.to_owned()),
        _ => CreateError::Io(during("create", path)(error)),
    })?;
    lock(&file, path)?;
    sync_folder_of(path);
    Ok(file)
}

/// Locks the results file too, because a second run through a hard link uses another journal.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), CreateError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => CreateError::Held(path.to_owned()),
        TryLockError::Error(error) => CreateError::Io(during("lock", path)(error)),
    })
}

#[cfg(test)]
mod tests;
