//! `OUTPUT.listing.json`: what is known of a list, for whoever uses it, and how far it is, so that it can go on after an
//! interruption.
//!
//! It is there before the output and says that the list isn't finished until all of it is on the disk: a list that was cut off at
//! whatever moment isn't taken for a whole one.

use crate::files::atomic::{self, read_regular};
use crate::files::{Fingerprint, PRIVATE, during, fingerprint};
use crate::model::Stamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The version that this program writes and reads.
const FORMAT_VERSION: u64 = 1;

/// The API host of a listing that was made in a rehearsal: no run on Slack may use such a list.
pub const REHEARSAL_HOST: &str = "rehearsal";

/// Values by the name of their flag, without dashes in front.
pub type Filters = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    format_version: u64,
    tool_version: String,
    /// When it began: a session that began later may be missing from it.
    pub began_at: Stamp,
    /// When the last page was written; `None` before.
    pub finished_at: Option<Stamp>,
    /// Whether it is finished and holds every session that passes the filters.
    pub complete: bool,
    pub api_host: String,
    /// The organization that the token belongs to; `None` if Slack didn't say.
    pub organization: Option<String>,
    pub filters: Filters,
    pub pages: u64,
    pub seen: u64,
    pub rows: u64,
    /// Sessions that couldn't be read, and are in neither file.
    pub unreadable: u64,
    /// Sessions that `--ip` or `--not-ip` left out because their address can't be read.
    #[serde(default)]
    pub unknown_addresses: u64,
    /// Whether the file beside it is the `--others` of a listing: it holds what the filters leave out.
    #[serde(default)]
    pub is_others: bool,
    pub output: Written,
    /// The file for the sessions that the filters leave out.
    pub others: Option<OthersFile>,
    /// What the next query's cursor has to be; `None` before the first page and after the last.
    pub cursor: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Written {
    /// How long it is, or how many bytes of it hold whole pages.
    pub bytes: u64,
    /// Its SHA-256, once the list is finished.
    pub sha256: Option<String>,
}

/// `--others`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OthersFile {
    /// As it was typed.
    pub path: String,
    pub rows: u64,
    #[serde(flatten)]
    pub written: Written,
}

impl Listing {
    #[must_use]
    pub fn new(began_at: Stamp, api_host: String, organization: Option<String>, filters: Filters) -> Self {
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
        name.push(".listing.json");
        name.into()
    }

    /// What is said of the file at `list`, whichever of its names was given; `None` if nothing is.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of(list: &Path) -> io::Result<Option<Self>> {
        Self::load(&Self::beside(&list.canonicalize().unwrap_or_else(|_| list.to_owned())))
    }

    /// Reads one; `None` if there is none.
    ///
    /// # Errors
    /// If it can't be read, or isn't one of ours.
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

    /// Whether the file of this length can be the one that is spoken of.
    #[must_use]
    pub fn describes(&self, bytes: u64) -> bool {
        self.is_finished() && self.output.bytes == bytes
    }

    /// What is noted beside the file of `--others`: it is as unfinished as the list itself.
    #[must_use]
    pub fn of_others(&self) -> Option<Self> {
        let OthersFile { rows, written, .. } = self.others.clone()?;
        Some(Self { is_others: true, rows, output: written, others: None, cursor: None, ..self.clone() })
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Says that all pages are in the files.
    ///
    /// # Errors
    /// If they can't be read again.
    pub fn finish(&mut self, at: Stamp, output: &Path, others: Option<&Path>) -> io::Result<()> {
        self.output = Written::whole(fingerprint(output)?);
        if let Some((others, path)) = self.others.as_mut().zip(others) {
            others.written = Written::whole(fingerprint(path)?);
        }
        self.cursor = None;
        self.complete = self.unreadable == 0;
        self.finished_at = Some(at);
        Ok(())
    }

    /// Replaces the file, readable by its owner alone.
    ///
    /// # Errors
    /// If it can't be written; then the old one stays.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let context = during("write", path);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| context(error.into()))?;
        text.push(b'\n');
        atomic::replace(path, PRIVATE, |file| file.write_all(&text)).map_err(context)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// If it is there and stays.
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
    use crate::model::Stamp;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_listing_reads_back_as_it_was_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.csv");
        let path = Listing::beside(&list);
        assert!(path.ends_with("list.csv.listing.json"));
        assert_eq!(Listing::load(&path).unwrap(), None);
        let filters = Filters::from([("ip".into(), vec!["192.0.2.0/24".into()])]);
        let mut listing = Listing::new(Stamp::from_millis(7), "slack.com".into(), Some("E1".into()), filters);
        listing.cursor = Some("abc=".into());
        listing.save(&path).unwrap();
        assert_eq!(Listing::load(&path).unwrap(), Some(listing.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&list, "abc").unwrap();
        listing.finish(Stamp::from_millis(9), &list, None).unwrap();
        assert!(listing.complete && listing.is_finished() && listing.cursor.is_none());
        assert_eq!((listing.output.bytes, listing.output.sha256.as_deref().map(str::len)), (3, Some(64)));
        listing.unreadable = 1;
        listing.finish(Stamp::from_millis(9), &list, None).unwrap();
        assert!(!listing.complete && listing.is_finished());

        fs::write(&path, "{}").unwrap();
        assert!(Listing::of(&list).unwrap_err().to_string().contains("list.csv.listing.json"));
        Listing::remove(&path).unwrap();
        Listing::remove(&path).unwrap();
    }
}
