//! The paths of a run's files.

use crate::files::{during, identity};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// All next to the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    /// `--output`.
    pub results: PathBuf,
    /// `OUTPUT.manifest.json`.
    pub manifest: PathBuf,
    /// `OUTPUT.journal`: the lock, and the lines that may have been sent.
    pub journal: PathBuf,
    /// The default of `--remaining`.
    pub remaining: PathBuf,
    /// `OUTPUT.summary.json`: the summary for `--on-finish` without `--summary-json`.
    pub summary: PathBuf,
}

impl RunFiles {
    /// `results` must be a path from [`resolve`], so that all paths of one file have the same lock.
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

/// Archived results: `sessions.results.csv` becomes `sessions.results.RUN-ID.csv`. The id comes from a file that may
/// have been edited, so characters that could lead to another directory are removed.
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

/// Removes extensions of compression and table formats. Others, as in `dump.2026`, are part of the name.
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

/// The limit of Linux for one path.
const MOST_LINKS: usize = 40;

/// The real path of an output that may not exist yet. Links are followed, so that lock, manifest and results are next
/// to the real file for every path of it.
///
/// # Errors
/// If its directory doesn't exist, or it isn't a regular file.
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

/// The real path of a missing file in an existing directory.
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

/// Checks that a file can be created or replaced at `path`, without leaving anything. Doesn't check whether a pipe or
/// device can be written.
///
/// # Errors
/// If no file can be created in its directory, or `path` is a directory.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match found(path)? {
        Some(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Some(there) if !there.is_file() => Ok(()),
        Some(_) | None => tempfile::tempfile_in(folder_of(&resolve(path)?)).map(drop),
    }
}

/// Whether two paths lead to the same regular file, by device and inode, or by real path if neither exists. Pipes and
/// devices may be used several times.
///
/// # Errors
/// If one of them exists and can't be examined.
pub fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    match (found(one)?, found(other)?) {
        (Some(one), Some(other)) => Ok(one.is_file() && identity(&one) == identity(&other)),
        (None, None) => {
            Ok(one == other || matches!((resolve(one), resolve(other)), (Ok(one), Ok(other)) if one == other))
        }
        (Some(_), None) | (None, Some(_)) => Ok(false),
    }
}

/// Whether `path` exists. A path that can't be examined is an error, because it may be evidence that would be
/// overwritten.
///
/// # Errors
/// If it can't be examined.
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
