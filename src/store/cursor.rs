//! `OUTPUT.cursor`: how far a listing is, so that it can go on after an interruption. Gone once it is complete.

use super::files::{PRIVATE, during};
use atomic_write_file::AtomicWriteFile;
use atomic_write_file::unix::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The version that this program writes and reads.
const FORMAT_VERSION: u64 = 1;

/// How far a listing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    format_version: u64,
    /// What the next query's cursor has to be; none before the first page.
    pub cursor: Option<Box<str>>,
    /// Bytes of the output that hold whole pages.
    pub bytes: u64,
    /// As much of the file for the sessions that the filters leave out; 0 where there is none.
    #[serde(default)]
    pub others_bytes: u64,
    /// Of the filters, and of where the list comes from.
    pub filters_sha256: String,
    /// Pages read.
    pub pages: u64,
    /// Sessions seen.
    pub seen: u64,
    /// Sessions written.
    pub kept: u64,
    /// Sessions that could not be read.
    pub unreadable: u64,
    /// When the listing began, in milliseconds since 1970; none in files of versions that did not note it.
    #[serde(default)]
    pub began_at_ms: Option<i64>,
}

impl Cursor {
    /// Before the first page. `filters` is a text that is the same for the same filters.
    #[must_use]
    pub fn new(filters: &str) -> Self {
        let filters_sha256 = Sha256::digest(filters).iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let (format_version, cursor) = (FORMAT_VERSION, None);
        Self {
            format_version,
            cursor,
            bytes: 0,
            others_bytes: 0,
            filters_sha256,
            pages: 0,
            seen: 0,
            kept: 0,
            unreadable: 0,
            began_at_ms: None,
        }
    }

    /// The file beside an output.
    #[must_use]
    pub fn beside(output: &Path) -> PathBuf {
        let mut name = OsString::from(output);
        name.push(".cursor");
        name.into()
    }

    /// Reads one; none where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is none of ours.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        let context = during("read", path);
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(context(error)),
        };
        let cursor: Self = serde_json::from_slice(&text).map_err(|error| context(error.into()))?;
        if cursor.format_version == FORMAT_VERSION {
            return Ok(Some(cursor));
        }
        Err(context(io::Error::other(format!("it has format version {}", cursor.format_version))))
    }

    /// Replaces the file, readable by its owner alone.
    ///
    /// # Errors
    /// Where it cannot be written; then the old one stays.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let context = during("write", path);
        let mut file = AtomicWriteFile::options().mode(PRIVATE).preserve_mode(false).open(path).map_err(context)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| context(error.into()))?;
        file.write_all(&text).map_err(context)?;
        file.commit().map_err(context)
    }

    /// Removes the file of a listing that is complete.
    ///
    /// # Errors
    /// Where it is there and stays.
    pub fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(during("remove", path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_cursor_reads_back_as_it_was_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = Cursor::beside(&folder.path().join("list.csv"));
        assert!(path.ends_with("list.csv.cursor"));
        assert_eq!(Cursor::load(&path).unwrap(), None);
        let cursor = Cursor { cursor: Some("abc=".into()), bytes: 77, pages: 2, ..Cursor::new("ip []") };
        cursor.save(&path).unwrap();
        assert_eq!(Cursor::load(&path).unwrap(), Some(cursor));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{}").unwrap();
        assert!(Cursor::load(&path).unwrap_err().to_string().contains("list.csv.cursor"));
        Cursor::remove(&path).unwrap();
        Cursor::remove(&path).unwrap();
        assert_ne!(Cursor::new("a").filters_sha256, Cursor::new("b").filters_sha256);
    }
}
