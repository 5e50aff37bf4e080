//! For tests: compares the tables in `docs` with the JSON objects that the program writes.

use serde_json::Value;
use std::collections::BTreeMap;

/// A documented object.
pub(super) struct Documented {
    /// Members and their types.
    members: BTreeMap<String, String>,
    pub(super) example: Value,
}

impl Documented {
    /// Reads a page or a section.
    pub(super) fn of(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| line.split(" | "));
        let members = rows.map(|mut row| {
            let name = row.next().unwrap().trim_end_matches('`').to_owned();
            (name, row.next().unwrap().to_owned())
        });
        let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        Self { members: members.collect(), example: serde_json::from_str(example).expect("JSON") }
    }

    /// Asserts that an object has the documented members and types. `common` members are documented elsewhere.
    #[track_caller]
    pub(super) fn describes(&self, object: &Value, common: &[&str]) {
        let object = object.as_object().expect("an object");
        for (name, value) in object.iter().filter(|(name, _)| !common.contains(&name.as_str())) {
            let kind = self.members.get(name).unwrap_or_else(|| panic!("{name} is not written down"));
            assert!(fits(kind, value), "{name} is written down as {kind:?}, and is {value}");
        }
        for (name, kind) in &self.members {
            assert!(object.contains_key(name) || kind.ends_with(", optional"), "{name} is missing");
        }
        assert!(common.iter().all(|name| object.contains_key(*name)));
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    let (kind, may_be_null) = match kind.strip_suffix(" or null") {
        Some(kind) => (kind, true),
        None => (kind.trim_end_matches(", optional"), false),
    };
    match value {
        Value::Null => may_be_null,
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) if number.is_u64() => kind == "integer",
        Value::Number(_) => kind == "number",
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}
