//! The members of a manifest about input, results and rows, as they are written.

use super::{ColumnNames, Counts, Extra, Fields, IdColumn, IdColumns, Status, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The input file, and its decompressed content, which a resumed run compares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputRecord {
    /// As given; `-` for standard input.
    pub path: String,
    /// In lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
    pub bytes: u64,
    pub content_sha256: String,
    pub content_bytes: u64,
    /// Without the header.
    pub rows: u64,
    /// Which columns were read as which id; empty in manifests of versions that didn't record it.
    #[serde(default)]
    pub columns: Columns,
    /// Members that this version doesn't know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Headers by id name: `session_id`, `user_id`, `team_id`, `email`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<String, String>);

impl Columns {
    #[must_use]
    pub fn of(found: IdColumns, header: &Fields) -> Self {
        let header = |column: IdColumn| found.of(column).and_then(|index| header.get(index));
        Self(IdColumn::ALL.into_iter().filter_map(|id| Some((id.as_str().into(), header(id)?.into()))).collect())
    }

    /// As `--column` names, to find the columns in the results.
    #[must_use]
    pub fn names(&self) -> ColumnNames {
        let mut names = ColumnNames::default();
        for (id, header) in &self.0 {
            if let Some(column) = IdColumn::parse(id) {
                names.set(column, header);
            }
        }
        names
    }

    /// The first id that was read from another column than now, with the header of that column.
    #[must_use]
    pub fn first_other(&self, now: &Self) -> Option<(&str, &str)> {
        self.0.iter().find(|(id, header)| now.0.get(*id) != Some(header)).map(|(id, header)| (&**id, &**header))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Results {
    pub path: String,
    /// `None` while a run is writing them.
    pub sha256: Option<String>,
    /// `None` while a run is writing them.
    pub bytes: Option<u64>,
    /// Members that this version doesn't know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The remaining file. It is only replaced or removed if it is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    pub path: String,
    pub rows: u64,
    pub sha256: String,
    pub bytes: u64,
}

/// From the first call to the last record, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Rows by status, over all runs. With `not_reached`, they add up to the rows of the input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusTotals {
    #[serde(flatten)]
    pub by_status: StatusRows,
    /// Rows without a record.
    pub not_reached: u64,
}

impl StatusTotals {
    /// For an input of `rows` rows.
    #[must_use]
    pub fn of(ended: &Counts, rows: u64) -> Self {
        let not_reached = rows.saturating_sub(ended.ended());
        Self { by_status: ended.iter().collect(), not_reached }
    }

    /// All rows; `None` if the sum overflows.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.by_status.0.iter().try_fold(self.not_reached, |sum, (_, rows)| sum.checked_add(*rows))
    }
}

/// Rows by status. A list instead of a map, because most of up to 100,000 users have one entry, and a map needs eight
/// times the memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusRows(Box<[(Status, u64)]>);

impl StatusRows {
    /// Without statuses that have no rows.
    #[must_use]
    pub fn some(counts: &Counts) -> Self {
        counts.iter().filter(|(_, rows)| *rows > 0).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> {
        self.0.iter().copied()
    }

    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        self.0.iter().find(|(named, _)| *named == status).map_or(0, |(_, rows)| *rows)
    }
}

impl FromIterator<(Status, u64)> for StatusRows {
    fn from_iter<I: IntoIterator<Item = (Status, u64)>>(rows: I) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable();
        Self(rows.into())
    }
}

impl Serialize for StatusRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(status, rows)| (status.as_str(), rows)))
    }
}

impl<'de> Deserialize<'de> for StatusRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |(word, rows): (String, u64)| match Status::parse(&word) {
            Some(status) => Ok((status, rows)),
            None => Err(D::Error::custom(format!("{word:?} isn't a status"))),
        };
        BTreeMap::<String, u64>::deserialize(deserializer)?.into_iter().map(read).collect()
    }
}

/// The totals of `verify`, in the member `verified`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verified {
    pub at: Timestamp,
    /// The verified file.
    pub file: String,
    /// Records whose session is gone and whose user has no other session.
    pub gone: u64,
    /// Records whose session is gone and whose user has another session.
    pub user_back: u64,
    /// Records whose session is still listed.
    pub still_there: u64,
    /// Records that couldn't be verified.
    pub unproven: u64,
    /// Records without a session id.
    pub not_asked: u64,
    /// Revoked records whose session isn't verified as gone.
    pub revoked_but_not_gone: u64,
    /// `requested` records that aren't verified as gone; `None` in manifests of versions that didn't record it.
    #[serde(default)]
    pub requested_but_not_gone: Option<u64>,
    /// Sessions of these users that aren't in the results.
    pub new_sessions: u64,
}
