//! Whether results are still what the last run left: its manifest has their length, their SHA-256 and their totals. What was
//! changed since the last write of ours is not evidence; what was only cut off is sent again.

use super::manifest::Manifest;
use super::resume::Seal;
use super::scan::Scan;
use crate::files::fingerprint;
use std::io;
use std::path::Path;

/// Compares what a scan of `path` found with what `manifest` says.
///
/// # Errors
/// If the results can't be read again.
pub fn check(manifest: &Manifest, scan: Option<&Scan>, path: &Path) -> io::Result<Seal> {
    let Some(scan) = scan else { return Ok(Seal::Missing) };
    let (Some(sha256), Some(bytes)) = (&manifest.results.sha256, manifest.results.bytes) else {
        return Ok(Seal::Unsealed);
    };
    if scan.found.seen.len() < bytes {
        return Ok(if is_cut(manifest, scan) { Seal::Cut } else { Seal::Edited });
    }
    let print = fingerprint(path)?;
    Ok(if print.bytes == bytes && print.sha256 == *sha256 { Seal::Intact } else { Seal::Edited })
}

/// Whether what is left of a file that became shorter can be its beginning: a record less, and of no status more.
fn is_cut(manifest: &Manifest, scan: &Scan) -> bool {
    let (found, sealed) = (scan.recorded.tally().counts(), &manifest.totals.by_status);
    let ended: u64 = sealed.iter().map(|(_, rows)| rows).sum();
    let is_less = scan.columns().is_none() || found.ended() < ended;
    is_less && found.iter().all(|(status, rows)| rows <= sealed.of(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::results::ResultsWriter;
    use crate::ledger::scan::scan;
    use crate::ledger::testing::{ended, fields, row_of};
    use crate::model::InputRecord;
    use crate::model::Status;
    use std::fs;

    #[test]
    fn every_cut_is_one_and_every_edit_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let mut writer = ResultsWriter::create(&path, &fields(&["session_id"])).unwrap();
        for (line, status) in [(2, Status::Revoked), (3, Status::Failed), (4, Status::Revoked)] {
            writer.append([(&row_of(line, &["1"]), &ended(status))]).unwrap();
        }
        writer.finish().unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let mut manifest = Manifest::new(
            "1",
            InputRecord { rows: 3, sha256: "0".repeat(64), content_sha256: "0".repeat(64), ..InputRecord::default() },
            &path,
        );
        let look = |manifest: &Manifest, text: &str| {
            fs::write(&path, text).unwrap();
            check(manifest, Some(&scan(&path, None, &crate::model::ColumnNames::default()).unwrap()), &path).unwrap()
        };
        assert_eq!(look(&manifest, &whole), Seal::Unsealed);
        let print = fingerprint(&path).unwrap();
        (manifest.results.sha256, manifest.results.bytes) = (Some(print.sha256), Some(print.bytes));
        manifest
            .save_counted(
                &scan(&path, None, &crate::model::ColumnNames::default()).unwrap().recorded,
                &folder.path().join("m"),
            )
            .unwrap();
        assert_eq!(look(&manifest, &whole), Seal::Intact);
        assert_eq!(check(&manifest, None, &path).unwrap(), Seal::Missing);
        for bytes in 0..whole.len() {
            assert_eq!(look(&manifest, &whole[..bytes]), Seal::Cut, "cut at {bytes}");
        }
        let edited = whole.replace("failed", "revoked");
        let (added, torn) = (whole.clone() + "1,5,revoked,,,,0,0,,2026-11-23T18:42:01.123Z,\n", whole.clone() + "1,5");
        for text in [&edited, &whole.replace("4,revoked", "4,unknown"), &whole.replace(",0,0,", ",9,0,"), &added, &torn]
        {
            assert_eq!(look(&manifest, text), Seal::Edited, "{text}");
        }
        // Shorter, with every record; and cut, with one that was changed.
        assert_eq!(look(&manifest, &whole.replace("3,failed", "3,invalid").replace(".123Z", "Z")), Seal::Edited);
        let revoked = whole.replace("4,revoked", "4,failed").replace("3,failed", "3,revoked");
        assert_eq!(look(&manifest, &revoked.replace("2,revoked", "2,unknown")[..revoked.len() - 3]), Seal::Edited);
    }
}
