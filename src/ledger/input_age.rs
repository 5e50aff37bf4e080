//! When an input was listed: as its `.listing.json` says, or the time of its last change, which every file has, whatever tool wrote
//! it.
//!
//! `list` sets that to the moment when the listing began, for a session that began later may be missing from it; `cp -p` and
//! `mv` keep it. A filter in between makes the list look younger than it is, never older.

use super::listing::Listing;
use crate::files::during;
use crate::model::Stamp;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// When the list at `path` was made; none for what is no regular file.
#[must_use]
pub fn at(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    if let Ok(Some(listing)) = Listing::of(path)
        && listing.describes(found.len())
    {
        return Some(listing.began_at);
    }
    let changed = found.modified().ok()?;
    let millis = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(millis).ok().map(Stamp::from_millis)
}

/// Says that the list at `path` was made at `began`.
///
/// # Errors
/// Where the file cannot be opened, or its time not be set.
pub fn set(path: &Path, began: Stamp) -> io::Result<()> {
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
        set(&path, Stamp::from_millis(1_700_000_000_042)).unwrap();
        assert_eq!(at(&path), Some(Stamp::from_millis(1_700_000_000_042)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        assert_eq!(at(folder.path()), None, "a folder is no list");
    }
}
