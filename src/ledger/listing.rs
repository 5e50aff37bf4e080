//! `OUTPUT.listing.json`: the description of a list, and its progress, so that an interrupted listing can be resumed.
//!
//! It is written before the output, and marks the list as unfinished until it is completely on the disk, so that a
//! partial list is never taken for a complete one.

use crate::files::atomic::{self, read_regular};
use crate::files::{Fingerprint, PRIVATE, during, fingerprint};
use crate::model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The version that this program writes and reads.
const FORMAT_VERSION: u64 = 1;

/// What the name of a description ends with.
const SUFFIX: &str = ".listing.json";

/// The API host of a listing in a rehearsal, which must not be used for a real run.
pub const REHEARSAL_HOST: &str = "rehearsal";

/// Values by flag name, without dashes.
pub type Filters = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub(super) format_version: u64,
    pub(super) tool_version: String,
    /// Sessions that began later may be missing.
    pub began_at: Timestamp,
    /// `None` before the last page.
    pub finished_at: Option<Timestamp>,
    /// Whether it is finished and has every matching session.
    pub complete: bool,
    pub api_host: String,
    /// The organization of the token; `None` if Slack didn't report it.
    pub organization: Option<String>,
    pub filters: Filters,
    pub pages: u64,
    pub seen: u64,
    pub rows: u64,
    /// Number of unreadable sessions, which are in neither file.
    pub unreadable: u64,
    /// Number of sessions left out by `--ip` or `--not-ip` because their address can't be read.
    #[serde(default)]
    pub unknown_addresses: u64,
    /// Whether it describes the `--others` file of a listing.
    #[serde(default)]
    pub is_others: bool,
    pub output: Written,
    pub others: Option<OthersFile>,
    /// Cursor of the next page; `None` before the first and after the last one.
    pub cursor: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Written {
    /// The length of the file, or of its whole pages.
    pub bytes: u64,
    /// `None` before the list is finished.
    pub sha256: Option<String>,
}

/// `--others`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OthersFile {
    /// As typed.
    pub path: String,
    pub rows: u64,
    #[serde(flatten)]
    pub written: Written,
}

impl Listing {
    #[must_use]
    pub fn new(began_at: Timestamp, api_host: String, organization: Option<String>, filters: Filters) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").into(),
            began_at,
            finished_at: None,
            complete: false,
            api_host,
            organization,
            filters,
            pages: 0,
            seen: 0,
            rows: 0,
            unreadable: 0,
            unknown_addresses: 0,
            is_others: false,
            output: Written::default(),
            others: None,
            cursor: None,
        }
    }

    #[must_use]
    pub fn beside(output: &Path) -> PathBuf {
        let mut name = OsString::from(output);
        name.push(SUFFIX);
        name.into()
    }

    /// The name of the list that a file of this name describes.
    #[must_use]
    pub fn described_by(name: &str) -> Option<&str> {
        name.strip_suffix(SUFFIX)
    }

    /// The description of the list at any of its paths; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of(list: &Path) -> io::Result<Option<Self>> {
        Self::load(&Self::beside(&list.canonicalize().unwrap_or_else(|_| list.to_owned())))
    }

    /// `None` if the file doesn't exist.
    ///
    /// # Errors
    /// If it can't be read or is another program's.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        let context = during("read", path);
        let text = match read_regular(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(context(error)),
        };
        let listing: Self = serde_json::from_slice(&text).map_err(|error| context(error.into()))?;
        if listing.format_version == FORMAT_VERSION {
            return Ok(Some(listing));
        }
        Err(context(io::Error::other(format!("it has format version {}", listing.format_version))))
    }

    /// Whether a file of this length can be the described one.
    #[must_use]
    pub fn describes(&self, bytes: u64) -> bool {
        self.is_finished() && self.output.bytes == bytes
    }

    /// The description of the `--others` file, which is unfinished as long as the list is.
    #[must_use]
    pub fn of_others(&self) -> Option<Self> {
        let OthersFile { rows, written, .. } = self.others.clone()?;
        Some(Self { is_others: true, rows, output: written, others: None, cursor: None, ..self.clone() })
    }

    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Marks the listing as finished.
    ///
    /// # Errors
    /// If the files can't be read.
    pub fn finish(&mut self, at: Timestamp, output: &Path, others: Option<&Path>) -> io::Result<()> {
        self.output = Written::whole(fingerprint(output)?);
        if let Some((others, path)) = self.others.as_mut().zip(others) {
            others.written = Written::whole(fingerprint(path)?);
        }
        self.cursor = None;
        self.complete = self.unreadable == 0;
        self.finished_at = Some(at);
        Ok(())
    }

    /// Replaces the file, with mode 0600.
    ///
    /// # Errors
    /// If it can't be written. The old file stays then.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let context = during("write", path);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| context(error.into()))?;
        text.push(b'\n');
        atomic::replace(path, PRIVATE, |file| file.write_all(&text)).map_err(context)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// If it exists and can't be removed.
    pub fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(during("remove", path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Written {
    fn whole(print: Fingerprint) -> Self {
        Self { bytes: print.bytes, sha256: Some(print.sha256) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_listing_reads_back_as_it_was_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.csv");
        let path = Listing::beside(&list);
        assert!(path.ends_with("list.csv.listing.json"));
        assert_eq!(Listing::load(&path).unwrap(), None);
        let filters = Filters::from([("ip".into(), vec!["192.0.2.0/24".into()])]);
        let mut listing = Listing::new(Timestamp::from_millis(7), "slack.com".into(), Some("E1".into()), filters);
        listing.cursor = Some("abc=".into());
        listing.save(&path).unwrap();
        assert_eq!(Listing::load(&path).unwrap(), Some(listing.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&list, "abc").unwrap();
        listing.finish(Timestamp::from_millis(9), &list, None).unwrap();
        assert!(listing.complete && listing.is_finished() && listing.cursor.is_none());
        assert_eq!((listing.output.bytes, listing.output.sha256.as_deref().map(str::len)), (3, Some(64)));
        listing.unreadable = 1;
        listing.finish(Timestamp::from_millis(9), &list, None).unwrap();
        assert!(!listing.complete && listing.is_finished());

        fs::write(&path, "{}").unwrap();
        assert!(Listing::of(&list).unwrap_err().to_string().contains("list.csv.listing.json"));
        Listing::remove(&path).unwrap();
        Listing::remove(&path).unwrap();
    }
}
