//! The file of `report`.

use crate::files::atomic::{self, open_regular};
use crate::files::{PRIVATE, during};
use std::io::{self, Read, Write};
use std::path::Path;

/// Replaces the file at `path` atomically, with mode 0600.
///
/// # Errors
/// If it can't be written. The old file stays then.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    atomic::replace(path, PRIVATE, |file| file.write_all(text.as_bytes())).map_err(during("write", path))
}

/// At most `most` bytes from the start of a file; `None` if it doesn't exist.
///
/// # Errors
/// If it exists and can't be read.
pub fn beginning(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(during("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(during("read", path))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_page_takes_its_place_as_a_whole_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.html");
        assert_eq!(beginning(&path, 3).unwrap(), None);
        fs::write(&path, "older and longer").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(beginning(&path, 2).unwrap().unwrap(), b"ne");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("no/r.html"), "").unwrap_err().to_string().contains("r.html"));
    }
}
