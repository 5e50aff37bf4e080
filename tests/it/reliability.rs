//! `docs/reliability.md` names tests, and they exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_named_in_the_docs_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| guarantee"));
    let mut named = 0;
    for row in rows {
        let tests: Vec<_> = row.split('`').filter_map(|quoted| quoted.split_once("::")).collect();
        assert!(!tests.is_empty(), "a guarantee without a test: {row}");
        for (file, name) in tests {
            let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(is_test(&source, name), "{file} has no test {name}");
            named += 1;
        }
    }
    assert!(named > 40, "the table was read: {named}");
}

/// Whether the function is one that `cargo test` runs.
fn is_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else { return false };
    let before = source[..at].trim_end().lines().rev();
    let attributes: Vec<_> = before.take_while(|line| !line.trim().is_empty()).collect();
    let has = |attribute: &str| attributes.iter().any(|line| line.contains(attribute));
    (has("#[test]") || has("::test]") || has("::test(")) && !has("#[ignore")
}
