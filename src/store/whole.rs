//! A file that takes whole records only.

use super::files::during;
use super::sync::Watched;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Gathers what is written and gives it to the file in one piece when flushed. A piece that did not fit leaves nothing.
#[derive(Debug)]
pub(super) struct Whole {
    file: File,
    path: PathBuf,
    /// The length of the whole records.
    len: u64,
    /// What the next flush writes.
    pending: Vec<u8>,
    /// Whether a part of a record may stand behind `len`, because cutting it off failed.
    torn: bool,
    watched: Arc<Watched>,
}

impl Whole {
    /// Over a file that is open for appending, and holds `len` bytes of whole records and nothing else.
    pub(super) fn new(file: File, path: &Path, len: u64, watched: Arc<Watched>) -> Self {
        Self { file, path: path.to_owned(), len, pending: Vec::new(), torn: false, watched }
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if self.torn {
            self.cut_back()?;
        }
        self.watched.holds()?;
        if let Err(error) = self.file.write_all(&self.pending).map_err(during("write", &self.path)) {
            // The first error is the one to tell. Where the cut fails too, no record is written before it succeeds.
            self.torn = true;
            let _ = self.cut_back();
            return Err(error);
        }
        self.len += self.pending.len() as u64;
        self.watched.grew_to(self.len);
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

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.write_pending();
        self.pending.clear();
        written
    }
}
