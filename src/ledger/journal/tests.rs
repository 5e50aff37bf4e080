use super::super::journal_file::{Locked, locked};
use super::*;
use crate::files::private;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv.journal");
    (folder, path)
}

fn listed(lines: &[u64]) -> PossiblySent {
    PossiblySent::Lines(lines.iter().copied().collect())
}

/// The list that the next run would read.
fn next_finds(path: &Path) -> Option<PossiblySent> {
    Lock::acquire(path, 2).unwrap().listed().unwrap()
}

fn list(path: &Path, lines: &[u64]) {
    let mut journal = Lock::acquire(path, 1).unwrap().begin().unwrap();
    for line in lines {
        journal.mark_sent([*line]).unwrap();
    }
}

#[test]
fn the_second_run_is_told_who_holds_the_output() {
    let (_folder, path) = place();
    let journal = Lock::acquire(&path, 4711).unwrap().begin().unwrap();
    let error = Lock::acquire(&path, 1).unwrap_err();
    assert!(matches!(error, LockError::Held { pid: Some(4711), .. }), "{error}");
    assert!(error.to_string().contains("process 4711"), "{error}");
    journal.finish().unwrap();
    assert!(Lock::acquire(&path, 1).is_ok(), "a lock ends with its run");
}

#[test]
fn a_lock_that_began_no_run_leaves_no_trace() {
    let (_folder, path) = place();
    let lock = Lock::acquire(&path, 1).unwrap();
    assert_eq!(lock.listed().unwrap(), None);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(lock);
    assert!(!path.exists());
    list(&path, &[2]);
    drop(Lock::acquire(&path, 1).unwrap());
    assert_eq!(next_finds(&path), Some(listed(&[2])), "but an earlier run's list stays");
}

#[test]
fn lines_are_listed_at_once_and_over_several_runs() {
    let (_folder, path) = place();
    let mut first = Lock::acquire(&path, 1).unwrap().begin().unwrap();
    first.mark_sent([2]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 64 + 8, "without a sync or an end");
    first.mark_sent([u64::MAX]).unwrap();
    drop(first);
    let lock = Lock::acquire(&path, 2).unwrap();
    let found = lock.listed().unwrap().unwrap();
    assert_eq!(found, listed(&[2, u64::MAX]));
    let mut second = lock.resume(&found).unwrap();
    second.mark_sent([3]).unwrap();
    second.finish().unwrap();
    assert_eq!(next_finds(&path), Some(listed(&[2, 3, u64::MAX])));
    list(&path, &[9]);
    assert_eq!(next_finds(&path), Some(listed(&[9])), "a run from the first row begins its own list");
}

#[test]
fn a_list_that_was_lost_stays_lost() {
    let (_folder, path) = place();
    let mut journal = Lock::acquire(&path, 1).unwrap().resume(&PossiblySent::All).unwrap();
    journal.mark_sent([2]).unwrap();
    drop(journal);
    assert_eq!(next_finds(&path), Some(PossiblySent::All));
    let lock = Lock::acquire(&path, 1).unwrap();
    drop(lock.resume(&listed(&[2])).unwrap());
    assert_eq!(next_finds(&path), Some(PossiblySent::All), "no list can be made of one that has gaps");
    drop(Lock::acquire(&path, 1).unwrap().resume(&listed(&[])).unwrap());
    assert_eq!(next_finds(&path), Some(listed(&[])), "only where no row is in doubt");
}

#[test]
fn a_run_that_stops_by_itself_leaves_only_rows_in_doubt_and_those_with_a_record() {
    let (_folder, path) = place();
    let done = |lines: &[u64]| lines.iter().copied().collect::<RoaringTreemap>();
    let mut first = Lock::acquire(&path, 1).unwrap().begin().unwrap();
    first.mark_sent([2, 3, 4, 5, 6]).unwrap();
    first.settle(&done(&[2, 3]), &[5]).unwrap();
    let found = next_finds(&path).unwrap();
    assert_eq!(found, listed(&[2, 3, 5]), "4 and 6 were clearly refused");
    let mut second = Lock::acquire(&path, 1).unwrap().resume(&found).unwrap();
    second.mark_sent([5, 6, 7, 8]).unwrap();
    second.settle(&done(&[2, 3, 8]), &[7]).unwrap();
    assert_eq!(next_finds(&path), Some(listed(&[2, 3, 5, 7, 8])), "5 is still in doubt, whatever its last answer");
    let mut any = Lock::acquire(&path, 1).unwrap().resume(&PossiblySent::All).unwrap();
    any.mark_sent([9]).unwrap();
    any.settle(&done(&[2]), &[]).unwrap();
    assert_eq!(next_finds(&path), Some(PossiblySent::All), "a lost list stays lost");
}

#[test]
fn every_cut_of_a_journal_is_read_on_the_careful_side() {
    let (_folder, path) = place();
    list(&path, &[2, 3, 4]);
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len(), 64 + 3 * 8);
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let entries: Vec<u64> = (2..5).take(cut.saturating_sub(64) / 8).collect();
        let lock = Lock::acquire(&path, 1).unwrap();
        assert_eq!(lock.listed().unwrap(), (cut >= 64).then(|| listed(&entries)), "cut at {cut}");
        if cut > 64 + 8 {
            let mut journal = lock.resume(&listed(&entries)).unwrap();
            journal.mark_sent([99]).unwrap();
            drop(journal);
            assert_eq!(next_finds(&path), Some(listed(&[&entries[..], &[99]].concat())), "cut at {cut}");
        }
    }
}

#[test]
fn zeros_that_a_power_loss_left_are_no_lines() {
    let (_folder, path) = place();
    list(&path, &[2]);
    File::options().append(true).open(&path).unwrap().write_all(&[0; 24]).unwrap();
    assert_eq!(next_finds(&path), Some(listed(&[2])));
}

#[test]
fn files_of_others_are_left_alone() {
    let (_folder, path) = place();
    let next_version = JournalKind::Lines.header(1);
    let next_version = String::from_utf8(next_version.to_vec()).unwrap().replacen("journal 1", "journal 2", 1);
    for content in ["precious", &"precious ".repeat(20), "slack-revoke diary", &next_version] {
        fs::write(&path, content).unwrap();
        let error = Lock::acquire(&path, 1).unwrap_err();
        assert!(matches!(error, LockError::NotAJournal(_) | LockError::OtherVersion { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    assert!(Lock::acquire(Path::new("/dev/null"), 1).is_err());
}

#[test]
fn the_end_of_a_complete_run_removes_its_own_journal_only() {
    let (_folder, path) = place();
    Lock::acquire(&path, 1).unwrap().begin().unwrap().remove().unwrap();
    assert!(!path.exists());
    let journal = Lock::acquire(&path, 1).unwrap().begin().unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "another's").unwrap();
    journal.remove().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
}

#[test]
fn a_run_that_lost_its_journal_may_send_nothing_more() {
    let (_folder, path) = place();
    let mut journal = Lock::acquire(&path, 1).unwrap().begin().unwrap();
    fs::remove_file(&path).unwrap();
    journal.syncer.synced_file().tick();
    assert!(journal.mark_sent([2]).unwrap_err().to_string().contains("was deleted"));
}

#[test]
fn a_lock_on_a_file_that_is_gone_is_none() {
    let (_folder, path) = place();
    let open = || private().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
    let (gone, replaced, there) = (open(), open(), open());
    assert!(matches!(locked(there, &path).unwrap(), Locked::Ours(_)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(locked(gone, &path).unwrap(), Locked::Gone));
    fs::write(&path, "").unwrap();
    assert!(matches!(locked(replaced, &path).unwrap(), Locked::Gone));
}

/// `report` asks whether a run is going on while one is to begin.
#[test]
fn a_look_at_the_lock_keeps_no_run_out() {
    let (_folder, path) = place();
    list(&path, &[2]);
    let look = File::open(&path).unwrap();
    look.try_lock_shared().unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| Lock::acquire(&path, 1));
        // Whether `acquire` sees the shared lock or not, it must succeed.
        (0..100).for_each(|_| std::thread::yield_now());
        drop(look);
        assert!(run.join().unwrap().is_ok());
    });
}

/// Many threads lock and remove the same file: no two ever hold it together.
#[test]
fn locking_and_removing_do_not_race() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let (_folder, path) = place();
    let (holders, held) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for pid in 1..=4 {
            let (path, holders, held) = (&path, &holders, &held);
            scope.spawn(move || {
                for _ in 0..300 {
                    let Ok(lock) = Lock::acquire(path, pid) else { continue };
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold the lock");
                    held.fetch_add(1, Ordering::SeqCst);
                    (0..20).for_each(|_| std::thread::yield_now());
                    holders.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
    assert!(held.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_journal_whose_bytes_never_arrived_blocks_nothing_and_puts_every_row_in_doubt() {
    for len in [1, 10, 64, 64 + 16] {
        let (_folder, path) = place();
        fs::write(&path, vec![0; len]).unwrap();
        assert_eq!(next_finds(&path), Some(PossiblySent::All), "{len}");
        assert_eq!(next_finds(&path), Some(PossiblySent::All), "{len}, by now with a header");
        let journal = Lock::acquire(&path, 1).unwrap().begin().unwrap();
        journal.remove().unwrap();
        assert!(!path.exists());
    }
}

#[test]
fn a_link_in_the_place_of_the_journal_is_not_followed() {
    for content in [None, Some(""), Some("another's")] {
        let (folder, path) = place();
        let other = folder.path().join("other");
        if let Some(content) = content {
            fs::write(&other, content).unwrap();
        }
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let error = Lock::acquire(&path, 1).unwrap_err();
        assert!(matches!(error, LockError::NotAJournal(_)), "{error}");
        assert_eq!(fs::read_to_string(&other).ok().as_deref(), content);
        assert!(
            private().write(true).create(true).truncate(false).open(&path).is_err(),
            "nor by a link that came later"
        );
    }
}

#[test]
fn a_lock_that_is_given_back_leaves_another_runs_journal_alone() {
    let (_folder, path) = place();
    let lock = Lock::acquire(&path, 1).unwrap();
    fs::remove_file(&path).unwrap();
    list(&path, &[2]);
    drop(lock);
    assert_eq!(next_finds(&path), Some(listed(&[2])));
}
