//! Seals: signatures and timestamps of manifests, as `--seal-command` printed them. Their content isn't examined; the
//! name `OUTPUT.manifest.json.SHA256.seal` identifies the manifest. Seals of earlier manifests are kept, because a
//! timestamp of that moment can't be made again.

use super::paths::appended;
use crate::files::atomic;
use crate::files::{PRIVATE, during};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The path of the seal of a manifest with this digest.
fn path_of(manifest: &Path, sha256: &str) -> PathBuf {
    appended(manifest, &format!(".{sha256}.seal"))
}

/// Writes a seal with mode 0600.
///
/// # Errors
/// If it can't be written.
pub fn write(manifest: &Path, sha256: &str, seal: &[u8]) -> io::Result<PathBuf> {
    let path = path_of(manifest, sha256);
    atomic::replace(&path, PRIVATE, |file| file.write_all(seal)).map_err(during("write", &path))?;
    Ok(path)
}

/// The seals next to a manifest, each with the digest of its manifest.
///
/// # Errors
/// If the directory can't be read.
pub fn beside(manifest: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names =
        fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(during("read", folder))?;
    let digests = names.iter().filter_map(|entry| digest_in(&entry.file_name(), manifest.file_name()?));
    let mut found: Vec<_> = digests.map(|sha256| (sha256.clone(), path_of(manifest, &sha256))).collect();
    found.sort();
    Ok(found)
}

fn digest_in(name: &OsStr, manifest: &OsStr) -> Option<String> {
    let rest = name.as_bytes().strip_prefix(manifest.as_bytes())?.strip_prefix(b".")?.strip_suffix(b".seal")?;
    let is_digest = rest.len() == 64 && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then(|| String::from_utf8_lossy(rest).into_owned())
}

/// Calls `each` with the path of each seal and its path next to another manifest.
///
/// # Errors
/// Errors of `each`, or if the directory can't be read.
pub(super) fn each_moved(
    from: &Path,
    to: &Path,
    mut each: impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    beside(from)?.iter().try_for_each(|(sha256, path)| each(path, &path_of(to, sha256)))
}

/// Removes the seals of a replaced rehearsal.
///
/// # Errors
/// If one can't be removed.
pub(super) fn remove(manifest: &Path) -> io::Result<()> {
    beside(manifest)?.iter().try_for_each(|(_, path)| fs::remove_file(path).map_err(during("remove", path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_are_found_by_the_name_of_their_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("r.csv.manifest.json");
        let (one, two) = ("1a".repeat(32), "2b".repeat(32));
        for sha256 in [&two, &one] {
            write(&manifest, sha256, b"signed").unwrap();
        }
        for other in [
            "r.csv.manifest.json",
            "x.csv.manifest.json.{}.seal",
            "r.csv.manifest.json.2b.seal",
            "r.csv.manifest.json.{}.sig",
        ] {
            fs::write(folder.path().join(other.replace("{}", &one)), "").unwrap();
        }
        let digests: Vec<_> = beside(&manifest).unwrap().into_iter().map(|(sha256, _)| sha256).collect();
        assert_eq!(digests, [one, two]);
        remove(&manifest).unwrap();
        assert_eq!((beside(&manifest).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (Vec::new(), 4));
        assert!(beside(&folder.path().join("none/m.json")).is_err());
    }
}
