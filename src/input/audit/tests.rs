use super::*;
use flate2::Compression;
use std::io::Write as _;

fn read(bytes: impl Into<Vec<u8>>, format: &AuditFormat) -> Result<Vec<String>, AuditProblem> {
    let mut found = Vec::new();
    let raw = Raw::Stream(Box::new(Cursor::new(bytes.into())));
    read_from(raw, format, &mut |entry| {
        found.push(match entry {
            FoundEntry::Entry(entry) => format!("{}/{}", entry.user_id, entry.session_id),
            FoundEntry::Other(value) => format!("other/{}", value.is_some()),
            FoundEntry::NoPath => "no path".into(),
        });
    })?;
    Ok(found)
}

fn entry(user: &str, session: u64) -> String {
    format!(r#"{{"id":"x","action":"a","actor":{{"user":{{"id":"{user}"}}}},"context":{{"session_id":{session}}}}}"#)
}

fn at(path: &str) -> AuditFormat {
    AuditFormat { path: path.into(), ..AuditFormat::default() }
}

#[test]
fn every_form_of_json_is_read() {
    let (one, two) = (entry("U1", 1), entry("U2", 2));
    let in_string = serde_json::to_string(&one).unwrap();
    for (path, text, want) in [
        ("", format!("{{\"entries\":[{one},{two}],\"response_metadata\":{{}}}}"), "U1/1 U2/2"),
        ("", format!("{{\"ok\":true,\"entries\":[{one}]}}\n{{\"entries\":[{two}]}}"), "U1/1 U2/2"),
        ("", format!("\u{feff}[{one},\n{two}]"), "U1/1 U2/2"),
        ("", format!("{one}\n{two}\n\n"), "U1/1 U2/2"),
        ("", format!("{one}{two}"), "U1/1 U2/2"),
        ("", format!("[{in_string}]"), "U1/1"),
        ("", "[]".into(), ""),
        ("", format!("[{one},5,{{\"a\":1}},null]"), "U1/1 other/false other/true other/false"),
        ("event.original", format!("{{\"x\":[1],\"event\":{{\"original\":{in_string}}},\"y\":2}}"), "U1/1"),
        ("event.original", format!("{{\"event.original\":{one}}}\n{{\"event\":{{}}}}"), "U1/1 no path"),
        (
            "hits.hits._source",
            format!("{{\"hits\":{{\"hits\":[{{\"_source\":{one}}},{{\"_source\":{two}}}]}}}}"),
            "U1/1 U2/2",
        ),
        ("_raw", "{\"_raw\":\"no json\"}".into(), "other/false"),
        ("_raw", format!("{{\"_raw\":{}}}", serde_json::to_string(&one[..20]).unwrap()), "other/false"),
    ] {
        assert_eq!(read(text.clone(), &at(path)).unwrap().join(" "), want, "{path} {text}");
    }
}

#[test]
fn compressed_logs_are_read_and_damaged_ones_refused() {
    let text = entry("U1", 1);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for packed in [&gzip, &zstd] {
        assert_eq!(read(packed.clone(), &at("")).unwrap(), ["U1/1"]);
        let problem = read(&packed[..packed.len() - 9], &at("")).unwrap_err();
        assert!(problem.to_string().contains("damaged or incomplete"), "{problem}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let one = entry("U1", 1);
    for (text, want) in [
        (format!("{one}\n{{\"a\":"), "line 2, column 5: the JSON is cut off"),
        (format!("{one}\n{one}x\n"), "line 2, column"),
        (format!("[{one}"), "the JSON is cut off"),
        (format!("{one}\n{{\"a\":\"{}\"}}", "x".repeat(1 << 20)), "line 1: an entry of more than 1 MiB"),
        (String::new(), "is empty"),
        ("a,b\n1,2\n".into(), "no column holds session_id; the columns seen are: a, b"),
    ] {
        let problem = read(text, &at("")).unwrap_err();
        assert!(problem.to_string().contains(want) && !problem.hint().is_empty(), "{problem}");
    }
    let skipped = format!("{{\"big\":\"{}\",\"e\":{one}}}", "x".repeat(1 << 21));
    assert_eq!(read(skipped, &at("e")).unwrap(), ["U1/1"], "what is skipped isn't an entry");
}

const HEADER: &str = "Date,Actor,Mail,Performed,Where,Session";
const ROW: &str = "1521214343,W123AB456,a@example.com,user_login,192.0.2.1,847288190092";

#[test]
fn columns_of_an_export_are_found_by_name_by_content_or_by_the_flag() {
    let mut columns = ColumnNames::default();
    columns.set(IdColumn::User, "Who");
    let given = AuditFormat { columns, ..AuditFormat::default() };
    for (format, text, want) in [
        (at(""), "id,action,actor.user.id,context.session_id\nx,a,U1,7\n".into(), "U1/7"),
        (at(""), "ID;Action;Actor user ID;Session ID\nx;a;U1;7\n".into(), "U1/7"),
        (at(""), format!("{HEADER}\n{ROW}\n{ROW}\n"), "W123AB456/847288190092 W123AB456/847288190092"),
        (given, "Who,Whom,session\nU1,U2,7\n".into(), "U1/7"),
        (at("_raw"), format!("_time,_raw\n1,\"{}\"\n2,\n", entry("U1", 1).replace('"', "\"\"")), "U1/1 other/false"),
    ] {
        assert_eq!(read(text.clone(), &format).unwrap().join(" "), want, "{text}");
    }
    let two = "a,b,session\nU12345678,U87654321,7\n";
    let problem = read(two, &at("")).unwrap_err();
    assert_eq!(problem.to_string(), "several columns can be user_id: a, b");
    assert_eq!(problem.hint(), "say which one with --column \"user_id=a\"");
    assert!(read(two, &at("_raw")).unwrap_err().to_string().contains("no column is what --path begins with"));
}
