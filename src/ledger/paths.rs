//! Where a run's files are, from the names that the user gave.

use crate::files::{during, identity};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The files of one run, all beside its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    /// `--output`.
    pub results: PathBuf,
    /// `OUTPUT.manifest.json`.
    pub manifest: PathBuf,
    /// `OUTPUT.journal`: the lock, and the lines that may have been sent.
    pub journal: PathBuf,
    /// `--remaining`, where it is not given.
    pub remaining: PathBuf,
    /// `OUTPUT.summary.json`: the totals for `--on-finish`, where `--summary-json` is not given.
    pub summary: PathBuf,
}

impl RunFiles {
    /// The files beside `results`. Give the path that [`resolve`] returned: only then do two names of one file share a lock.
    #[must_use]
    pub fn beside(results: PathBuf) -> Self {
        let (manifest, journal) = (appended(&results, ".manifest.json"), appended(&results, ".journal"));
        let summary = appended(&results, ".summary.json");
        let remaining = remaining_beside(&results);
        Self { results, manifest, journal, remaining, summary }
    }
}

/// The results of an input: `sessions.csv` and `sessions.csv.gz` give `sessions.results.csv`.
#[must_use]
pub fn results_beside(input: &Path) -> PathBuf {
    replaced(input, ".results.csv")
}

/// The results of a rehearsal: `sessions.csv` gives `sessions.rehearsal.csv`.
#[must_use]
pub fn rehearsal_beside(input: &Path) -> PathBuf {
    replaced(input, ".rehearsal.csv")
}

/// The remaining rows: `sessions.results.csv` gives `sessions.results.remaining.csv`.
#[must_use]
pub fn remaining_beside(output: &Path) -> PathBuf {
    appended(&without_extension(output, &["csv"]), ".remaining.csv")
}

/// The archived results of the run `run_id`: `sessions.results.csv` gives `sessions.results.RUN-ID.csv`. The id comes from
/// a file that somebody may have edited, so what could lead out of the folder is left out of it.
#[must_use]
pub fn put_aside(output: &Path, run_id: &str) -> PathBuf {
    let plain = without_extension(output, &["csv"]);
    let extension = output.extension().filter(|_| plain != output).map(OsStr::to_string_lossy).unwrap_or_default();
    let id: String = run_id.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
    let dot = if extension.is_empty() { "" } else { "." };
    appended(&plain, &format!(".{id}{dot}{extension}"))
}

/// The page of `report`: `sessions.results.csv` gives `sessions.results.report.html`.
#[must_use]
pub fn report_beside(results: &Path) -> PathBuf {
    appended(&without_extension(results, &["csv"]), ".report.html")
}

/// Compression and table extensions go; any other stays, as `dump.2026` is more of a name than a kind.
fn replaced(input: &Path, suffix: &str) -> PathBuf {
    let plain = without_extension(input, &["gz", "zst", "zstd"]);
    appended(&without_extension(&plain, &["csv", "tsv", "tab", "txt"]), suffix)
}

fn without_extension(path: &Path, extensions: &[&str]) -> PathBuf {
    let known = |found: &OsStr| extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension));
    if path.extension().is_some_and(known) { path.with_extension("") } else { path.to_owned() }
}

pub(super) fn appended(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// As many links as Linux itself follows in one path.
const MOST_LINKS: usize = 40;

/// The real path of an output that may not exist yet: links are followed, so that lock, manifest and results are all
/// beside the real file, whichever of its names was given.
///
/// # Errors
/// Where its folder does not exist, or it is something else than a regular file (a folder, a device, a pipe).
pub fn resolve(output: &Path) -> io::Result<PathBuf> {
    let context = during("write", output);
    let mut path = output.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::metadata(&path) {
            Ok(there) if there.is_file() => return path.canonicalize().map_err(context),
            Ok(_) => return Err(context(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(context(error)),
        }
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return absent(&path).map_err(context),
        }
    }
    Err(context(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links")))
}

/// The real path of a file that does not exist, in a folder that must.
fn absent(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let folder = folder_of(path);
    let real = folder.canonicalize().map_err(|error| {
        io::Error::new(error.kind(), format!("its folder {} can't be entered: {error}", folder.display()))
    })?;
    Ok(real.join(name))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Checks that a file can be made or replaced at `path` later, and leaves nothing there. Only that a pipe or a device can be
/// written isn't checked.
///
/// # Errors
/// If its folder takes no files, or `path` is a folder.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match found(path)? {
        Some(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Some(there) if !there.is_file() => Ok(()),
        Some(_) | None => tempfile::tempfile_in(folder_of(&resolve(path)?)).map(drop),
    }
}

/// Whether two paths lead to one regular file, by its device and inode, or by its real path if neither exists: an output that
/// is the input would be read while it is overwritten. A pipe or a device can serve for several.
///
/// # Errors
/// Where one of them exists and cannot be looked at.
pub fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    match (found(one)?, found(other)?) {
        (Some(one), Some(other)) => Ok(one.is_file() && identity(&one) == identity(&other)),
        (None, None) => {
            Ok(one == other || matches!((resolve(one), resolve(other)), (Ok(one), Ok(other)) if one == other))
        }
        (Some(_), None) | (None, Some(_)) => Ok(false),
    }
}

/// Whether something is at `path`. What can't be looked at isn't missing: it may be evidence, and would be written over.
///
/// # Errors
/// If it can't be looked at.
pub fn is_there(path: &Path) -> io::Result<bool> {
    path.try_exists().map_err(during("look at", path))
}

fn found(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(during("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_are_named_after_the_input() {
        for (input, results, rehearsal) in [
            ("sessions.csv", "sessions.results.csv", "sessions.rehearsal.csv"),
            ("a/sessions.csv.gz", "a/sessions.results.csv", "a/sessions.rehearsal.csv"),
            ("/x/sessions.CSV.ZST", "/x/sessions.results.csv", "/x/sessions.rehearsal.csv"),
            ("sessions.tsv", "sessions.results.csv", "sessions.rehearsal.csv"),
            ("sessions", "sessions.results.csv", "sessions.rehearsal.csv"),
            ("sessions.gz", "sessions.results.csv", "sessions.rehearsal.csv"),
            ("dump.2026.csv", "dump.2026.results.csv", "dump.2026.rehearsal.csv"),
            ("dump.2026", "dump.2026.results.csv", "dump.2026.rehearsal.csv"),
            (".csv", ".csv.results.csv", ".csv.rehearsal.csv"),
        ] {
            assert_eq!(results_beside(Path::new(input)), Path::new(results));
            assert_eq!(rehearsal_beside(Path::new(input)), Path::new(rehearsal));
        }
    }

    #[test]
    fn files_are_named_after_the_output() {
        for (output, remaining) in [
            ("s.results.csv", "s.results.remaining.csv"),
            ("out", "out.remaining.csv"),
            ("d.d/out.txt", "d.d/out.txt.remaining.csv"),
        ] {
            let files = RunFiles::beside(output.into());
            assert_eq!(files.remaining, Path::new(remaining));
            assert_eq!(files.manifest, PathBuf::from(format!("{output}.manifest.json")));
            assert_eq!(files.journal, PathBuf::from(format!("{output}.journal")));
            let page = remaining.replace(".remaining.csv", ".report.html");
            assert_eq!(report_beside(Path::new(output)), PathBuf::from(page));
        }
    }

    #[test]
    fn what_is_put_aside_stays_in_its_folder_and_is_named_after_its_run() {
        for (output, id, aside) in [
            ("d/s.results.csv", "20261123T184201Z-00c0ffee", "d/s.results.20261123T184201Z-00c0ffee.csv"),
            ("d/out", "20261123T184201Z-00c0ffee", "d/out.20261123T184201Z-00c0ffee"),
            ("d/out.txt", "a", "d/out.txt.a"),
            ("d/out.csv", "../../x", "d/out.x.csv"),
        ] {
            assert_eq!(put_aside(Path::new(output), id), Path::new(aside));
        }
    }

    #[test]
    fn every_name_of_an_output_resolves_to_one_path() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let [there, link, loose, round] = ["there", "link", "loose", "round"].map(|name| real.join(name));
        fs::create_dir(real.join("deep")).unwrap();
        fs::write(&there, "").unwrap();
        symlink("there", &link).unwrap();
        symlink("deep/new", &loose).unwrap();
        symlink("round", &round).unwrap();
        assert_eq!(resolve(&there).unwrap(), there);
        assert_eq!(resolve(&link).unwrap(), there);
        assert_eq!(resolve(&loose).unwrap(), real.join("deep/new"), "a link to a file that is not there yet");
        assert_eq!(resolve(&real.join("deep/../new")).unwrap(), real.join("new"));
        for bad in [real.join("deep"), real.join("none/new"), round, "/dev/null".into(), "/".into()] {
            assert!(resolve(&bad).is_err(), "{}", bad.display());
        }
    }

    #[test]
    fn an_output_that_is_the_input_is_seen_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let [input, hard, soft, other] = ["input", "hard", "soft", "other"].map(|name| folder.path().join(name));
        fs::write(&input, "").unwrap();
        fs::hard_link(&input, &hard).unwrap();
        symlink("input", &soft).unwrap();
        assert!(same_file(&input, &hard).unwrap());
        assert!(same_file(&input, &soft).unwrap());
        assert!(!same_file(&input, &other).unwrap());
        assert!(same_file(&other, &folder.path().join("./other")).unwrap());
        fs::write(&other, "").unwrap();
        assert!(!same_file(&input, &other).unwrap());
    }
}
