//! A file to which only whole records are appended.

use super::sync::SyncedFile;
use crate::files::during;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A record that couldn't be written completely is removed.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    path: PathBuf,
    /// Length of the whole records in bytes.
    len: u64,
    /// Whether part of a record may follow `len`, because it couldn't be cut off.
    torn: bool,
    synced_file: Arc<SyncedFile>,
}

/// An error while records were appended.
#[derive(Debug)]
pub struct NotAdded {
    /// Number of records, from the first, that are in the file.
    pub added: usize,
    /// The error of the next one.
    pub error: io::Error,
}

impl From<io::Error> for NotAdded {
    fn from(error: io::Error) -> Self {
        Self { added: 0, error }
    }
}

impl AppendFile {
    /// `file` is open for appending and has exactly `len` bytes of whole records.
    pub(super) fn new(file: File, path: &Path, len: u64, synced_file: Arc<SyncedFile>) -> Self {
        Self { file, path: path.to_owned(), len, torn: false, synced_file }
    }

    /// Appends records with one write. `ends` are their ends in `bytes`.
    ///
    /// # Errors
    /// If not all of them could be written. The records before the error stay; the rest is cut off.
    pub(super) fn add(&mut self, bytes: &[u8], ends: &[usize]) -> Result<(), NotAdded> {
        if self.torn {
            self.cut_back()?;
        }
        self.synced_file.ends_with_ours()?;
        let (written, result) = write_as_far_as_it_goes(&mut self.file, bytes);
        let added = ends.partition_point(|end| *end <= written);
        let kept = added.checked_sub(1).map_or(0, |last| ends[last]);
        self.len += kept as u64;
        if let Err(error) = result {
            // The first error is reported. If cutting fails too, it is repeated before the next record is written.
            self.torn = true;
            let _ = self.cut_back();
            self.synced_file.grew_to(self.len);
            return Err(NotAdded { added, error: during("write", &self.path)(error) });
        }
        self.synced_file.grew_to(self.len);
        Ok(())
    }

    /// Cuts off everything after the whole records. Never extends the file.
    fn cut_back(&mut self) -> io::Result<()> {
        let context = during("cut", &self.path);
        if self.file.metadata().map_err(context)?.len() > self.len {
            self.file.set_len(self.len).map_err(context)?;
        }
        self.torn = false;
        Ok(())
    }
}

/// Like `write_all`, but also returns the number of bytes written before an error.
fn write_as_far_as_it_goes(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
