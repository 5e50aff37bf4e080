//! A file that takes whole records only.

use super::sync::SyncedFile;
use crate::files::during;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, open for appending, that is added to record by record. A record that did not fit leaves nothing.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    path: PathBuf,
    /// The length of the whole records.
    len: u64,
    /// Whether a part of a record may stand behind `len`, because cutting it off failed.
    torn: bool,
    synced_file: Arc<SyncedFile>,
}

/// Why records were not added, and how many of those before them were.
#[derive(Debug)]
pub struct NotAdded {
    /// How many of the records, the first ones, are in the file.
    pub added: usize,
    /// What kept the next one out.
    pub error: io::Error,
}

impl From<io::Error> for NotAdded {
    fn from(error: io::Error) -> Self {
        Self { added: 0, error }
    }
}

impl AppendFile {
    /// Over a file that is open for appending, and holds `len` bytes of whole records and nothing else.
    pub(super) fn new(file: File, path: &Path, len: u64, synced_file: Arc<SyncedFile>) -> Self {
        Self { file, path: path.to_owned(), len, torn: false, synced_file }
    }

    /// Adds records in one write; `ends` says where in `bytes` each of them ends.
    ///
    /// # Errors
    /// Where not all of them could be written. Those that fit stay, and nothing of the next one does.
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
            // The first error is the one to tell. Where the cut fails too, no record is written before it succeeds.
            self.torn = true;
            let _ = self.cut_back();
            self.synced_file.grew_to(self.len);
            return Err(NotAdded { added, error: during("write", &self.path)(error) });
        }
        self.synced_file.grew_to(self.len);
        Ok(())
    }

    /// Cuts off what stands behind the whole records; never makes the file longer.
    fn cut_back(&mut self) -> io::Result<()> {
        let context = during("cut", &self.path);
        if self.file.metadata().map_err(context)?.len() > self.len {
            self.file.set_len(self.len).map_err(context)?;
        }
        self.torn = false;
        Ok(())
    }
}

/// `write_all` that tells how many bytes went before an error.
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
