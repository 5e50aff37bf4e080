//! Archives the files of an earlier run when `--resume-or-start` gets another input. The archived run can still be
//! resumed with its input and `--resume -o`.

use super::journal::Lock;
use super::manifest::Manifest;
use super::paths::{RunFiles, appended, is_there, put_aside, report_beside};
use super::{remaining, seal_files, verified};
use crate::files::{during, fingerprint, private, sync_folder_of};
use crate::model::Remaining;
use std::fs::File;
use std::path::Path;
use std::{fs, io};

/// A previous run whose files are renamed before a new run starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedRun {
    pub files: RunFiles,
    /// Of its last run.
    pub run_id: String,
    /// Its input as given.
    pub input: String,
    /// Rows of its input without a record.
    pub not_reached: u64,
    pub remaining: Option<Remaining>,
}

impl ArchivedRun {
    /// The run whose results are at `results`; `None` if the manifest has no run.
    #[must_use]
    pub fn of(manifest: &Manifest, results: &Path) -> Option<Self> {
        let run_id = manifest.runs.last()?.run_id.clone();
        let files = RunFiles::beside(put_aside(results, &run_id));
        let (input, remaining) = (manifest.input.path.clone(), manifest.remaining.clone());
        Some(Self { files, run_id, input, not_reached: manifest.totals.not_reached, remaining })
    }

    /// Corrects the number of missing records, because the manifest of a killed run is older than its last records.
    pub fn count_ended(&mut self, rows: u64, ended: u64) {
        self.not_reached = self.not_reached.min(rows.saturating_sub(ended));
    }

    /// Moves the files of the earlier run from `here`, whose journal is locked by `lock`. The manifest is moved last:
    /// if the process dies before that, the next start finds it, computes the same names, and moves the rest.
    ///
    /// # Errors
    /// If a file can't be moved, or the target exists.
    pub fn make_room(&self, here: &RunFiles, lock: &Lock) -> io::Result<()> {
        let there = &self.files;
        lock.copy_list(&there.journal)?;
        move_over(&verified::beside(&here.results), &verified::beside(&there.results))?;
        move_over(&report_beside(&here.results), &report_beside(&there.results))?;
        move_over(&here.summary, &there.summary)?;
        seal_files::each_moved(&here.manifest, &there.manifest, move_over)?;
        for path in self.remaining.iter().map(|known| Path::new(&known.path)).chain([&*here.remaining]) {
            if remaining::is_known(path, self.remaining.as_ref())? {
                move_over(path, &there.remaining)?;
            }
        }
        move_over(&here.results, &there.results)?;
        move_over(&here.manifest, &there.manifest)?;
        sync_folder_of(&here.results);
        Ok(())
    }
}

/// Moves a file if it exists, and never replaces another one. A file that can't be examined is an error, because the
/// new run would overwrite it. If the target has the same content, an earlier move was interrupted.
fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    let context = during("archive", from);
    if !is_there(from)? {
        return Ok(());
    }
    if is_there(to)? {
        if fingerprint(from)? != fingerprint(to)? {
            let taken = format!("{} is there already", to.display());
            return Err(context(io::Error::new(io::ErrorKind::AlreadyExists, taken)));
        }
        return fs::remove_file(from).map_err(context);
    }
    match fs::rename(from, to) {
        // The remaining file may be on another disk.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_whole(from, to).and_then(|()| fs::remove_file(from)).map_err(context)
        }
        moved => moved.map_err(context),
    }
}

/// Copies a file atomically and syncs it. A partial copy left by a dead process is overwritten by the next attempt,
/// which uses the same names.
fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let part = appended(to, ".part");
    let copied = copy_synced(from, &part).and_then(|()| fs::rename(&part, to));
    if copied.is_err() {
        let _ = fs::remove_file(&part);
    }
    sync_folder_of(to);
    copied
}

fn copy_synced(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = private().write(true).create(true).truncate(true).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::paths::remaining_beside;
    use super::*;
    use crate::files::Fingerprint;
    use std::path::PathBuf;

    #[test]
    fn a_death_in_between_is_made_up_for_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let here = RunFiles::beside(folder.path().join("s.results.csv"));
        let files = RunFiles::beside(put_aside(&here.results, "one"));
        let remaining = remaining_beside(&here.results);
        fs::write(&remaining, "c").unwrap();
        let seal = seal_files::write(&here.manifest, &"1a".repeat(32), b"s").unwrap();
        let Fingerprint { sha256, bytes } = fingerprint(&remaining).unwrap();
        let path = remaining.to_string_lossy().into();
        let remaining = Some(Remaining { path, rows: 1, sha256, bytes });
        let aside = ArchivedRun { files, run_id: "one".into(), input: "s.csv".into(), not_reached: 1, remaining };
        let lock = Lock::acquire(&here.journal, 1).unwrap();
        // Killed after the results were moved; the manifest isn't moved yet.
        fs::write(&aside.files.results, "old").unwrap();
        fs::write(&here.manifest, "m").unwrap();
        let companions: [fn(&Path) -> PathBuf; 3] = [verified::beside, report_beside, remaining_beside];
        for beside in companions {
            fs::write(beside(&here.results), "c").unwrap();
        }
        aside.make_room(&here, &lock).unwrap();
        assert_eq!(fs::read_to_string(&aside.files.manifest).unwrap(), "m");
        let seals = seal_files::beside(&aside.files.manifest).unwrap();
        assert_eq!((seals.len(), fs::read(&seals[0].1).unwrap(), seal.exists()), (1, b"s".to_vec(), false));
        assert!(!here.manifest.exists() && !aside.files.journal.exists(), "no list was left, none is made");
        for beside in companions {
            assert!(!beside(&here.results).exists() && beside(&aside.files.results).exists());
        }
        fs::write(&here.results, "new").unwrap();
        let refused = aside.make_room(&here, &lock).unwrap_err().to_string();
        assert!(refused.contains("s.results.one.csv is there already"), "{refused}");
        assert_eq!(fs::read_to_string(&aside.files.results).unwrap(), "old");
    }
    #[test]
    fn a_move_that_was_cut_off_is_made_up_for_and_another_file_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to, part] = ["from", "to", "to.part"].map(|name| folder.path().join(name));
        fs::write(&from, "rows").unwrap();
        fs::write(&part, "ro, and more of an older try").unwrap();
        copy_whole(&from, &to).unwrap();
        assert_eq!((fs::read_to_string(&to).unwrap().as_str(), part.exists()), ("rows", false));
        move_over(&from, &to).unwrap();
        assert!(!from.exists(), "the copy was whole");
        fs::write(&from, "other").unwrap();
        assert_eq!(move_over(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(
            (fs::read_to_string(&from).unwrap(), fs::read_to_string(&to).unwrap()),
            ("other".into(), "rows".into())
        );
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_missing() {
        let folder = tempfile::tempdir().unwrap();
        let [file, to] = ["file", "to"].map(|name| folder.path().join(name));
        fs::write(&file, "").unwrap();
        assert!(move_over(&file.join("below"), &to).is_err());
        assert!(move_over(&file, &file.join("below")).is_err() && file.exists());
    }
}
