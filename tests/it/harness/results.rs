//! A results file, read by name.

use std::collections::BTreeMap;
use std::path::Path;

/// The records of a results file.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    pub header: Vec<String>,
    pub records: Vec<Record>,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record(BTreeMap<String, String>);

impl Record {
    pub fn get(&self, column: &str) -> &str {
        self.0.get(column).unwrap_or_else(|| panic!("no column {column} in {:?}", self.0))
    }

    pub fn line(&self) -> u64 {
        self.get("line").parse().expect("a line number")
    }

    pub fn session(&self) -> u64 {
        self.get("session_id").parse().expect("a session id")
    }

    pub fn status(&self) -> &str {
        self.get("status")
    }
}

impl Results {
    pub fn read(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        let record =
            |record: csv::StringRecord| Record(header.iter().cloned().zip(record.iter().map(str::to_owned)).collect());
        let records = reader.records().map(|read| record(read.expect("a whole record"))).collect();
        Self { header, records }
    }

    /// How many records have this status.
    pub fn count(&self, status: &str) -> usize {
        self.records.iter().filter(|record| record.status() == status).count()
    }

    /// Each line with its status, in the order of the input. Panics where a line stands twice.
    pub fn statuses(&self) -> BTreeMap<u64, String> {
        let mut statuses = BTreeMap::new();
        for record in &self.records {
            let twice = statuses.insert(record.line(), record.status().to_owned());
            assert!(twice.is_none(), "line {} is recorded twice", record.line());
        }
        statuses
    }

    /// The record of a line.
    pub fn line(&self, line: u64) -> &Record {
        self.records.iter().find(|record| record.line() == line).unwrap_or_else(|| panic!("no record of line {line}"))
    }
}
