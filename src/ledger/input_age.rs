//! The time at which an input was listed: from its `.listing.json`, or otherwise the modification time of the file.
//!
//! `list` sets the modification time to the start of the listing, because sessions that began later may be missing.
//! `cp -p` and `mv` keep it. A filter in between makes the list look younger, never older.

use super::listing::Listing;
use crate::files::during;
use crate::model::Timestamp;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// `None` if it isn't a regular file.
#[must_use]
pub fn at(path: &Path) -> Option<Timestamp> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    if let Ok(Some(listing)) = Listing::of(path)
        && listing.describes(found.len())
    {
        return Some(listing.began_at);
    }
    let changed = found.modified().ok()?;
    let millis = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// Sets the time of the list at `path`.
///
/// # Errors
/// If the file can't be opened or its time can't be set.
pub fn set(path: &Path, began: Timestamp) -> io::Result<()> {
    let since = Duration::from_millis(u64::try_from(began.as_millis()).unwrap_or(0));
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_modified(UNIX_EPOCH + since)).map_err(during("set the time of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_was_set_is_the_time_that_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        assert_eq!(at(&path), None);
        fs::write(&path, "x").unwrap();
        set(&path, Timestamp::from_millis(1_700_000_000_042)).unwrap();
        assert_eq!(at(&path), Some(Timestamp::from_millis(1_700_000_000_042)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        assert_eq!(at(folder.path()), None, "a folder is no list");
    }
}
