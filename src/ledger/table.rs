//! CSV output of commands other than `run`: standard output, a growing file, or an atomic replacement.

use super::columns::{encoding, printable};
use super::paths::resolve;
use super::results::{CreateError, create_locked, lock};
use crate::files::atomic::AtomicFile;
use crate::files::{PRIVATE, during, private};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Rows are written when [`Self::flush`] returns.
pub struct Table {
    encoder: csv::Writer<Vec<u8>>,
    sink: Sink,
    len: u64,
}

enum Sink {
    Stdout,
    /// A growing file that is locked for this process.
    File(File, PathBuf),
    /// An atomic replacement.
    Atomic(AtomicFile, PathBuf),
}

impl Table {
    fn on(sink: Sink, len: u64) -> Self {
        let encoder = encoding().from_writer(Vec::new());
        Self { encoder, sink, len }
    }

    #[must_use]
    pub fn stdout() -> Self {
        Self::on(Sink::Stdout, 0)
    }

    /// A new file with mode 0600.
    ///
    /// # Errors
    /// [`CreateError::Exists`] if the file exists, even if it is empty.
    pub fn create(path: &Path) -> Result<Self, CreateError> {
        Ok(Self::on(Sink::File(create_locked(path)?, path.to_owned()), 0))
    }

    /// Continues a file after its first `len` bytes and cuts off the rest. With 0, the file may be missing.
    ///
    /// # Errors
    /// If the file can't be opened, is locked by another process (`WouldBlock`), or is shorter than `len`.
    pub fn resume(path: &Path, len: u64) -> io::Result<Self> {
        let context = during("continue", path);
        // The path was given by the user and may be a link.
        let path = &*resolve(path).map_err(context)?;
        let file = private().append(true).create(len == 0).open(path).map_err(context)?;
        lock(&file, path).map_err(|error| match error {
            CreateError::Io(error) => error,
            CreateError::Exists(_) | CreateError::Held(_) => {
                let what = format!("{} is being written by another run", path.display());
                io::Error::new(io::ErrorKind::WouldBlock, what)
            }
        })?;
        if file.metadata().map_err(context)?.len() < len {
            return Err(context(io::Error::other("it has become shorter since it was written")));
        }
        file.set_len(len).map_err(context)?;
        Ok(Self::on(Sink::File(file, path.to_owned()), len))
    }

    /// Replaces the file at `path` when [`Self::finish`] is called.
    ///
    /// # Errors
    /// If no temporary file can be created next to it.
    pub fn replace(path: &Path) -> io::Result<Self> {
        let file = AtomicFile::create(path, PRIVATE);
        Ok(Self::on(Sink::Atomic(file.map_err(during("write", path))?, path.to_owned()), 0))
    }

    /// Adds a row to be written by the next flush.
    ///
    /// # Panics
    /// Never in practice, because it writes to memory.
    pub fn row<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        self.encoder.write_record(fields).expect("a Vec takes whatever is written to it");
    }

    /// As [`Self::row`], for fields from outside, which must not start a formula.
    pub fn foreign_row<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        let fields: Vec<_> = fields.into_iter().map(printable).collect();
        self.row(fields.iter().map(|field| &**field));
    }

    /// Writes the added rows and syncs a file.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()?;
        let fresh = encoding().from_writer(Vec::new());
        let bytes =
            std::mem::replace(&mut self.encoder, fresh).into_inner().map_err(csv::IntoInnerError::into_error)?;
        match &mut self.sink {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&bytes).and_then(|()| out.flush()).map_err(|error| {
                    io::Error::new(error.kind(), format!("can't write to standard output: {error}"))
                })?;
            }
            Sink::File(file, path) => {
                file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(during("write", path))?;
            }
            Sink::Atomic(file, path) => file.write_all(&bytes).map_err(during("write", path))?,
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Flushes if more than `bytes` are buffered.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn flush_beyond(&mut self, bytes: usize) -> io::Result<()> {
        if self.encoder.get_ref().len() > bytes { self.flush() } else { Ok(()) }
    }

    /// Number of flushed bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, of a file that always has a header")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Writes the rest and completes a replacement.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self.sink {
            Sink::Stdout | Sink::File(..) => Ok(()),
            Sink::Atomic(file, path) => file.commit().map_err(during("write", &path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_table_grows_flush_by_flush_and_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let mut table = Table::create(&path).unwrap();
        table.row(["a", "b"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        table.flush().unwrap();
        let header = table.len();
        table.row(["1", "x,\"y\""]);
        table.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a,b\n1,\"x,\"\"y\"\"\"\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Table::create(&path), Err(CreateError::Exists(_))));
        assert_eq!(Table::resume(&path, header).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(table);
        let mut table = Table::resume(&path, header).unwrap();
        table.row(["2", "z"]);
        table.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a,b\n2,z\n");
        assert!(Table::resume(&path, 1000).is_err());
    }

    #[test]
    fn a_replacement_takes_its_place_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verified.csv");
        fs::write(&path, "old").unwrap();
        let mut table = Table::replace(&path).unwrap();
        table.row(["new"]);
        table.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        table.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }
}
