//! Compares results with the manifest's length, SHA-256 and totals. Changed results aren't evidence; the rows of
//! records that were only cut off are sent again. For a killed run, only the records at its start are known.

use super::manifest::Manifest;
use super::resume::Seal;
use super::scan::Scan;
use crate::files::{fingerprint, fingerprint_of_beginning};
use crate::model::FileRole;
use std::io;
use std::path::Path;

/// Compares a scan of `path` with `manifest`.
///
/// # Errors
/// If the results can't be read again.
pub fn check(manifest: &Manifest, scan: Option<&Scan>, path: &Path) -> io::Result<Seal> {
    let Some(scan) = scan else { return Ok(Seal::Missing) };
    let (Some(sha256), Some(bytes)) = (&manifest.results.sha256, manifest.results.bytes) else {
        return check_beginning(manifest, scan, path);
    };
    if scan.found.seen.len() < bytes {
        return Ok(if is_cut(manifest, scan) { Seal::Cut } else { Seal::Edited });
    }
    let print = fingerprint(path)?;
    Ok(if print.bytes == bytes && print.sha256 == *sha256 { Seal::Intact } else { Seal::Edited })
}

/// Compares the beginning that a run without an end started from.
fn check_beginning(manifest: &Manifest, scan: &Scan, path: &Path) -> io::Result<Seal> {
    let Some(known) = manifest.subjects.iter().find(|subject| subject.role == FileRole::Results) else {
        return Ok(Seal::Unsealed);
    };
    if scan.found.seen.len() < known.bytes {
        return Ok(Seal::Cut);
    }
    let found = fingerprint_of_beginning(path, known.bytes)?;
    Ok(if found.sha256 == known.digest.sha256 { Seal::Unsealed } else { Seal::Edited })
}

/// Whether a shorter file can be the beginning of the original: fewer records, and no status with more.
fn is_cut(manifest: &Manifest, scan: &Scan) -> bool {
    let (found, sealed) = (scan.recorded.tally().counts(), &manifest.totals.by_status);
    let ended: u64 = sealed.iter().map(|(_, rows)| rows).sum();
    let is_less = scan.columns().is_none() || found.ended() < ended;
    is_less && found.iter().all(|(status, rows)| rows <= sealed.of(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::evidence::named;
    use crate::ledger::results::ResultsWriter;
    use crate::ledger::scan::scan;
    use crate::ledger::testing::{ended, fields, row_of};
    use crate::model::{ColumnNames, InputRecord, Status};
    use std::fs;
    use std::path::PathBuf;

    const ADDED: &str = "1,5,revoked,,,,0,0,,2026-11-23T18:42:01.123Z,\n";

    /// Results of three rows with their manifest.
    fn sealed(folder: &Path) -> (PathBuf, String, Manifest) {
        let path = folder.join("r.csv");
        let mut writer = ResultsWriter::create(&path, &fields(&["session_id"])).unwrap();
        for (line, status) in [(2, Status::Revoked), (3, Status::Failed), (4, Status::Revoked)] {
            writer.append([(&row_of(line, &["1"]), &ended(status))]).unwrap();
        }
        writer.finish().unwrap();
        let mut manifest = Manifest::new(
            "1",
            InputRecord { rows: 3, sha256: "0".repeat(64), content_sha256: "0".repeat(64), ..InputRecord::default() },
            &path,
        );
        let print = fingerprint(&path).unwrap();
        (manifest.results.sha256, manifest.results.bytes) = (Some(print.sha256.clone()), Some(print.bytes));
        manifest.set_subject(FileRole::Results, Some(named(FileRole::Results, &path, &path, print)));
        let recorded = scan(&path, None, &ColumnNames::default()).unwrap().recorded;
        manifest.save_counted(&recorded, &folder.join("m")).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        (path, whole, manifest)
    }

    fn look(manifest: &Manifest, path: &Path, text: &str) -> Seal {
        fs::write(path, text).unwrap();
        check(manifest, Some(&scan(path, None, &ColumnNames::default()).unwrap()), path).unwrap()
    }

    #[test]
    fn every_cut_is_one_and_every_edit_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, whole, manifest) = sealed(folder.path());
        let look = |text: &str| look(&manifest, &path, text);
        assert_eq!(look(&whole), Seal::Intact);
        assert_eq!(check(&manifest, None, &path).unwrap(), Seal::Missing);
        for bytes in 0..whole.len() {
            assert_eq!(look(&whole[..bytes]), Seal::Cut, "cut at {bytes}");
        }
        let edited = whole.replace("failed", "revoked");
        let (added, torn) = (whole.clone() + ADDED, whole.clone() + "1,5");
        for text in [&edited, &whole.replace("4,revoked", "4,unknown"), &whole.replace(",0,0,", ",9,0,"), &added, &torn]
        {
            assert_eq!(look(text), Seal::Edited, "{text}");
        }
        // Shorter with every record, and truncated with a changed record.
        assert_eq!(look(&whole.replace("3,failed", "3,invalid").replace(".123Z", "Z")), Seal::Edited);
        let revoked = whole.replace("4,revoked", "4,failed").replace("3,failed", "3,revoked");
        assert_eq!(look(&revoked.replace("2,revoked", "2,unknown")[..revoked.len() - 3]), Seal::Edited);
    }

    #[test]
    fn of_a_run_that_was_killed_the_records_before_it_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let (path, whole, mut manifest) = sealed(folder.path());
        (manifest.results.sha256, manifest.results.bytes) = (None, None);
        let (added, torn) = (whole.clone() + ADDED, whole.clone() + "1,5");
        for (text, want) in [
            (&*whole, Seal::Unsealed),
            (&added, Seal::Unsealed),
            (&torn, Seal::Unsealed),
            (&whole.replace("failed", "revoked"), Seal::Edited),
            (&added.replacen("4,revoked", "4,unknown", 1), Seal::Edited),
            (&whole[..whole.len() - 1], Seal::Cut),
            ("", Seal::Cut),
        ] {
            assert_eq!(look(&manifest, &path, text), want, "{text}");
        }
        manifest.subjects.clear();
        assert_eq!(look(&manifest, &path, &whole.replace("failed", "revoked")), Seal::Unsealed);
    }
}
