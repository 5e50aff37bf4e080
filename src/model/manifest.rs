//! What a manifest says of the input, the results and the rows. As it is written, as in [`super::Run`].

use super::{ColumnNames, Counts, Extra, Fields, IdColumn, IdColumns, Stamp, Status};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The input: the file as it is, and what it unpacks to, which is what a resumption compares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputRecord {
    /// As it was given; `-` for standard input.
    pub path: String,
    /// Of the file, in lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
    /// The file's length.
    pub bytes: u64,
    /// Of the unpacked content.
    pub content_sha256: String,
    /// The unpacked content's length.
    pub content_bytes: u64,
    /// Rows, the header not counted.
    pub rows: u64,
    /// Which of its columns were read as which id; empty in manifests of versions that didn't record it.
    #[serde(default)]
    pub columns: Columns,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Headers by the name of the id: `session_id`, `user_id`, `team_id`, `email`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<String, String>);

impl Columns {
    /// Those that were found in a header.
    #[must_use]
    pub fn of(found: IdColumns, header: &Fields) -> Self {
        let header = |column: IdColumn| found.of(column).and_then(|index| header.get(index));
        Self(IdColumn::ALL.into_iter().filter_map(|id| Some((id.as_str().into(), header(id)?.into()))).collect())
    }

    /// As names to find them by again, in results with the same columns.
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

    /// The first id that was read from another column than now, with its header of then.
    #[must_use]
    pub fn first_other(&self, now: &Self) -> Option<(&str, &str)> {
        self.0.iter().find(|(id, header)| now.0.get(*id) != Some(header)).map(|(id, header)| (&**id, &**header))
    }
}

/// The results.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where they were written.
    pub path: String,
    /// Once the run has ended; none while they change.
    pub sha256: Option<String>,
    /// As for `sha256`.
    pub bytes: Option<u64>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The remaining file: only what is still this is replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// Where it was written.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The file's length.
    pub bytes: u64,
}

/// From the first call to the last record, in UTC: what an alert is matched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first.
    pub from: Stamp,
    /// The last.
    pub to: Stamp,
}

/// Rows by how they ended, over all runs. They add up to the input's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusTotals {
    /// Each status with its rows.
    #[serde(flatten)]
    pub by_status: StatusRows,
    /// Rows that have not ended.
    pub not_reached: u64,
}

impl StatusTotals {
    /// From the rows that have ended, of an input of `rows` rows.
    #[must_use]
    pub fn of(ended: &Counts, rows: u64) -> Self {
        let not_reached = rows.saturating_sub(ended.ended());
        Self { by_status: ended.iter().collect(), not_reached }
    }

    /// All rows; `None` if their sum overflows.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.by_status.0.iter().try_fold(self.not_reached, |sum, (_, rows)| sum.checked_add(*rows))
    }
}

/// Statuses with their rows, in the order of the totals. A list, and not a map: most of the 100,000 users that there can
/// be have one entry, and a map takes eight times its memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusRows(Box<[(Status, u64)]>);

impl StatusRows {
    /// From counts, without the statuses that have none.
    #[must_use]
    pub fn some(counts: &Counts) -> Self {
        counts.iter().filter(|(_, rows)| *rows > 0).collect()
    }

    /// Each status that has rows, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> {
        self.0.iter().copied()
    }

    /// Rows of this status.
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

/// The totals of a verification, as `verify` writes them into the member `verified`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verified {
    /// When.
    pub at: Stamp,
    /// The file with the answers.
    pub file: String,
    /// Records whose session is gone, and whose user has no other.
    pub gone: u64,
    /// Records whose session is gone, and whose user has others.
    pub user_back: u64,
    /// Records whose session is listed.
    pub still_there: u64,
    /// Records of which nothing could be proved.
    pub unproven: u64,
    /// Records that name no session.
    pub not_asked: u64,
    /// Sessions recorded as gone that are not proved gone.
    pub revoked_but_not_gone: u64,
    /// `requested` records that are not proved gone; `None` in manifests of versions that didn't record it.
    #[serde(default)]
    pub requested_but_not_gone: Option<u64>,
    /// Sessions of the users concerned that the results do not name.
    pub new_sessions: u64,
}
