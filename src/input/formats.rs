//! File formats that are mistaken for CSV, or that a failed download contains, detected by their first bytes.

pub(super) const HEAD: usize = 512;

/// The format with its article, and how to convert it to CSV; `None` if it may be CSV.
pub(super) fn other_than_csv(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let known = BINARY.iter().find(|(magic, ..)| head.starts_with(magic));
    known.map(|(_, kind, advice)| (*kind, *advice)).or_else(|| tar(head)).or_else(|| text(head))
}

const SHEET: &str = "open it in a spreadsheet and save it as CSV UTF-8";

const BINARY: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV UTF-8"),
    (b"PK\x05\x06", "an empty zip archive", "give the CSV file that should be in it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls), or one with a password", SHEET),
    (b"\x1f\x8b", "gzip data inside compressed data", "unpack it once: gzip -dc FILE | slack-revoke \u{2026} -"),
    (
        b"\x28\xb5\x2f\xfd",
        "zstd data inside compressed data",
        "unpack it once: zstd -dc FILE | slack-revoke \u{2026} -",
    ),
    (b"\xfd7zXZ\0", "xz data", "unpack it first: xz -dc FILE | slack-revoke \u{2026} -"),
    (b"BZh", "bzip2 data", "unpack it first: bzip2 -dc FILE | slack-revoke \u{2026} -"),
    (b"\x04\x22\x4d\x18", "lz4 data", "unpack it first: lz4 -dc FILE | slack-revoke \u{2026} -"),
    (b"\x1f\x9d", "compress data (.Z)", "unpack it first: gzip -dc FILE | slack-revoke \u{2026} -"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"%PDF", "a PDF document", "export it as CSV from its source"),
    (b"{\\rtf", "an RTF document", "export it as CSV from its source"),
    (b"PAR1", "a Parquet file", "convert it to CSV"),
    (b"SQLite format 3\0", "an SQLite database", "export the table: sqlite3 -header -csv FILE 'select \u{2026}'"),
    (b"\x89PNG", "a PNG picture", "export it as CSV from its source"),
    (b"\xff\xd8\xff", "a JPEG picture", "export it as CSV from its source"),
];

fn tar(head: &[u8]) -> Option<(&'static str, &'static str)> {
    (head.get(257..262) == Some(b"ustar")).then_some(("a tar archive", "unpack it first: tar -xf FILE"))
}

/// JSON, HTML or XML. A CSV header may begin with a bracket too, so more than the first character is checked.
fn text(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = head.trim_ascii_start();
    let (first, rest) = head.split_first()?;
    let next = rest.trim_ascii_start().first();
    match (first, next) {
        (b'{', Some(b'"' | b'}') | None) => Some((
            "JSON or JSON Lines",
            "if it is from the audit log, convert it with slack-revoke from-audit FILE -o sessions.csv; otherwise: jq -r '[.session_id, .user_id, .team_id] | @csv', below a line session_id,user_id,team_id",
        )),
        (b'[', Some(b'{' | b'[') | None) => Some((
            "JSON",
            "if it is from the audit log, convert it with slack-revoke from-audit FILE -o sessions.csv; otherwise: jq -r '.[] | [.session_id, .user_id, .team_id] | @csv', below a line session_id,user_id,team_id",
        )),
        (b'<', _) => markup(head),
        _ => None,
    }
}

fn markup(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let starts = |word: &str| head.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    let html = ["<!doctype html", "<html", "<head", "<body", "<table", "<meta", "<script"];
    if html.into_iter().any(starts) {
        return Some((
            "an HTML page",
            "if it was downloaded, it may be a sign-in page: sign in and download the file again; if a spreadsheet opens it, \
             save it as CSV UTF-8",
        ));
    }
    ["<?xml", "<!--", "<workbook", "<rows"].into_iter().any(starts).then_some(("XML", SHEET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_formats_are_reported_by_name() {
        for (head, want) in [
            (&b"PK\x03\x04\x14"[..], "Excel workbook"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", ".xls"),
            (b"\x1f\x8b\x08\0", "gzip data inside"),
            (b"%PDF-1.7", "PDF"),
            (b"BZh91AY", "bzip2"),
            (b"{\"session_id\":1}\n{\"session_id\":2}\n", "JSON Lines"),
            (b"\n { \"a\": 1", "JSON"),
            (b"[\n  {\"a\":1}\n]", "JSON"),
            (b"[]", ""),
            (b"<!DOCTYPE html><html>", "HTML"),
            (b"  <HTML><head>", "HTML"),
            (b"<?xml version=\"1.0\"?><Workbook>", "XML"),
        ] {
            let kind = other_than_csv(head).map_or("", |(kind, _)| kind);
            assert!(kind.contains(want) && (want.is_empty() == kind.is_empty()), "{head:?}: {kind}");
        }
        let mut archive = vec![0; 300];
        archive[257..262].copy_from_slice(b"ustar");
        assert!(other_than_csv(&archive).is_some());
    }

    #[test]
    fn a_header_may_begin_with_a_bracket() {
        for head in
            ["session_id,user_id", "[session_id],[user_id]", "{id},session_id", "<id>,session_id", "", "\"{\",x"]
        {
            assert_eq!(other_than_csv(head.as_bytes()), None, "{head}");
        }
    }
}
