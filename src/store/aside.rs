//! The files of an earlier run, put aside for a new one: `--resume-or-start` with another input. Nothing is lost of them, and
//! with the earlier input `--resume -o` goes on there.

use super::files::{during, sync_folder_of};
use super::journal::Lock;
use super::manifest::Manifest;
use super::paths::{RunFiles, put_aside, report_beside};
use super::verified;
use std::path::Path;
use std::{fs, io};

/// An earlier run whose files make room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where its files go.
    pub files: RunFiles,
    /// The id of its last run.
    pub run_id: String,
    /// Its input, as it was given then.
    pub input: String,
    /// Rows of that input that never ended.
    pub not_reached: u64,
}

impl Aside {
    /// What `manifest` tells of the run whose results are at `results`; none where it names no run. `ended` are the rows with
    /// a record: a manifest that a killed run left behind is older than its last records.
    #[must_use]
    pub fn of(manifest: &Manifest, results: &Path, ended: u64) -> Option<Self> {
        let run_id = manifest.runs.last()?.run_id.clone();
        let files = RunFiles::beside(put_aside(results, &run_id));
        let not_reached = manifest.input.rows.saturating_sub(ended);
        Some(Self { files, run_id, input: manifest.input.path.clone(), not_reached })
    }

    /// Moves the files of the earlier run from `here`, whose journal is locked by `lock`. The manifest goes last: after a death
    /// in between, the next start finds it, comes to the same names, and moves the rest.
    ///
    /// # Errors
    /// Where a file cannot be moved, or another one has its name already.
    pub fn make_room(&self, here: &RunFiles, lock: &Lock) -> io::Result<()> {
        let there = &self.files;
        lock.copy_list(&there.journal)?;
        move_over(&verified::beside(&here.results), &verified::beside(&there.results))?;
        move_over(&report_beside(&here.results), &report_beside(&there.results))?;
        move_over(&here.summary, &there.summary)?;
        move_over(&here.remaining, &there.remaining)?;
        move_over(&here.results, &there.results)?;
        move_over(&here.manifest, &there.manifest)?;
        sync_folder_of(&here.results);
        Ok(())
    }
}

/// Moves a file that is there; never over another one.
fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    let context = during("put aside", from);
    if !from.exists() {
        return Ok(());
    }
    if to.exists() {
        let taken = format!("{} is there already", to.display());
        return Err(context(io::Error::new(io::ErrorKind::AlreadyExists, taken)));
    }
    match fs::rename(from, to) {
        // `--remaining` may lie on another disk; the new run replaces it there.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(from, to).map(drop).map_err(context),
        moved => moved.map_err(context),
    }
}

#[cfg(test)]
mod tests {
    use super::super::paths::remaining_beside;
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_death_in_between_is_made_up_for_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let here = RunFiles::beside(folder.path().join("s.results.csv"));
        let files = RunFiles::beside(put_aside(&here.results, "one"));
        let aside = Aside { files, run_id: "one".into(), input: "s.csv".into(), not_reached: 1 };
        let lock = Lock::acquire(&here.journal, 1).unwrap();
        // Killed after the results were moved: the manifest is still here.
        fs::write(&aside.files.results, "old").unwrap();
        fs::write(&here.manifest, "m").unwrap();
        let companions: [fn(&Path) -> PathBuf; 3] = [verified::beside, report_beside, remaining_beside];
        for beside in companions {
            fs::write(beside(&here.results), "c").unwrap();
        }
        aside.make_room(&here, &lock).unwrap();
        assert_eq!(fs::read_to_string(&aside.files.manifest).unwrap(), "m");
        assert!(!here.manifest.exists() && !aside.files.journal.exists(), "no list was left, none is made");
        for beside in companions {
            assert!(!beside(&here.results).exists() && beside(&aside.files.results).exists());
        }
        fs::write(&here.results, "new").unwrap();
        let refused = aside.make_room(&here, &lock).unwrap_err().to_string();
        assert!(refused.contains("s.results.one.csv is there already"), "{refused}");
        assert_eq!(fs::read_to_string(&aside.files.results).unwrap(), "old");
    }
}
