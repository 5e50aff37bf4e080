//! The manifest, `OUTPUT.manifest.json`: the input of the results, the runs, and how they ended.
//!
//! It is replaced atomically. It never contains the token. Members of later versions and other commands are kept.

mod learnt;
mod protections;
mod saving;

pub use learnt::{Learnt, last_learnt};
pub use protections::Protections;
pub use saving::between_saves;

use super::scan::Recorded;
use crate::files::atomic::read_regular;
use crate::files::{during, sha256_hex};
use crate::model::{
    Change, ChangedBy, Counts, Extra, FIRST_RUNS, FileRole, InputRecord, LAST_RUNS, LeftOutRuns, Remaining, Results,
    Run, SessionKind, StatusRows, StatusTotals, Subject, Timestamp, Verified, Window,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The version that this program writes and reads.
pub const FORMAT_VERSION: u64 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// `slack-revoke`.
    pub tool: String,
    /// The version that made the last run.
    pub tool_version: String,
    /// Whether every row of the input has a record.
    pub complete: bool,
    /// In order; at most the first [`FIRST_RUNS`] and the last [`LAST_RUNS`].
    pub runs: Vec<Run>,
    #[serde(default, skip_serializing_if = "LeftOutRuns::is_none")]
    pub runs_left_out: LeftOutRuns,
    pub input: InputRecord,
    /// `None` in manifests of versions that didn't record it.
    #[serde(default)]
    pub protections: Option<Protections>,
    /// `None` if nothing remains or the file isn't written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Remaining>,
    pub results: Results,
    /// The files of the steps so far, one per role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The steps so far, in order; at most the first [`FIRST_RUNS`] and the last [`LAST_RUNS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Change>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub history_left_out: u64,
    pub totals: StatusTotals,
    /// Totals by workspace, without statuses that have no rows.
    pub per_workspace: BTreeMap<String, StatusRows>,
    /// Totals by user, as they were loaded. A run writes its own totals instead ([`Self::save_counted`]), so that
    /// 100,000 users aren't in memory twice.
    #[serde(skip_serializing)]
    pub per_user: BTreeMap<String, StatusRows>,
    /// Whether there were more users than are counted separately.
    pub users_left_out: bool,
    /// From the first call to the last record; `None` without records.
    pub window: Option<Window>,
    /// Members that this version doesn't know.
    #[serde(flatten)]
    pub extra: Extra,
    /// SHA-256 of the file as it was last read or written.
    #[serde(skip)]
    pub sha256: Option<String>,
}

/// Why a manifest can't be used. `Display` includes what to do.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{} does not exist; put it back next to the results, or name another file with -o", .0.display())]
    Missing(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{} is not JSON ({source}); it was changed or cut: restore it, or name another file with -o", .path.display())]
    NotJson { path: PathBuf, source: serde_json::Error },
    /// Written by another version of this program.
    #[error("{} has format version {found}, this program knows {FORMAT_VERSION}; go on with the program that wrote it", .path.display())]
    OtherVersion { path: PathBuf, found: u64 },
    /// Valid JSON with inconsistent content.
    #[error("{}: {why}; it was changed by hand: restore it, or name another file with -o", .path.display())]
    Nonsense { path: PathBuf, why: Box<str> },
}

impl Manifest {
    /// Without a run.
    #[must_use]
    pub fn new(tool_version: &str, input: InputRecord, results: &Path) -> Self {
        let totals = StatusTotals::of(&Counts::default(), input.rows);
        Self {
            format_version: FORMAT_VERSION,
            tool: "slack-revoke".into(),
            tool_version: tool_version.into(),
            complete: false,
            runs: Vec::new(),
            runs_left_out: LeftOutRuns::default(),
            input,
            protections: None,
            remaining: None,
            results: Results { path: results.to_string_lossy().into_owned(), ..Results::default() },
            subjects: Vec::new(),
            history: Vec::new(),
            history_left_out: 0,
            totals,
            per_workspace: BTreeMap::new(),
            per_user: BTreeMap::new(),
            users_left_out: false,
            window: None,
            extra: Extra::new(),
            sha256: None,
        }
    }

    /// Adds a run, whose input may have grown. Removes the digest of the results, which will change.
    pub fn begin(&mut self, tool_version: &str, mut run: Run, input: InputRecord, recorded: &Recorded) {
        // The maximum is kept, so that records that were cut off once stay in doubt even if this run dies before its
        // journal is written.
        let before = self.runs.last().map_or(0, |run| run.recorded_before);
        run.recorded_before = before.max(recorded.done().len());
        self.tool_version = tool_version.into();
        self.complete = false;
        self.input = input;
        let step = if self.runs.is_empty() { ChangedBy::Run } else { ChangedBy::Resume };
        self.changed_by(step, run.started_at, Some(run.run_id.clone()));
        self.results.sha256 = None;
        self.results.bytes = None;
        self.runs.push(run);
        while self.runs.len() > FIRST_RUNS + LAST_RUNS {
            self.runs_left_out.add(&self.runs.remove(FIRST_RUNS));
        }
        self.count(recorded);
    }

    /// Updates the totals, except for those by user ([`Self::save_counted`]).
    fn count(&mut self, recorded: &Recorded) {
        let tally = recorded.tally();
        self.totals = StatusTotals::of(tally.counts(), self.input.rows);
        self.per_workspace =
            tally.teams().iter().map(|(team, rows)| (team.to_string(), StatusRows::some(rows))).collect();
        self.per_user.clear();
        self.users_left_out = tally.users_left_out();
        self.window = recorded.window();
    }

    /// Adds a step with the current digest, before the first file of the step is written.
    pub fn changed_by(&mut self, step: ChangedBy, at: Timestamp, run_id: Option<String>) {
        self.history.push(Change { step, at, run_id, previous_sha256: self.sha256.clone() });
        while self.history.len() > FIRST_RUNS + LAST_RUNS {
            self.history.remove(FIRST_RUNS);
            self.history_left_out += 1;
        }
    }

    /// Before a run: digests of files that it appends to become digests of their beginning. The results keep
    /// `valid_len` bytes.
    pub fn keep_beginnings(&mut self, valid_len: u64) {
        self.subjects.retain(|known| match known.role {
            FileRole::Results => known.bytes <= valid_len,
            FileRole::Remaining => false,
            FileRole::Events | FileRole::Summary | FileRole::Verified | FileRole::Report => true,
        });
    }

    /// Replaces the file of a role; `None` removes it.
    pub fn set_subject(&mut self, role: FileRole, subject: Option<Subject>) {
        self.subjects.retain(|known| known.role != role);
        self.subjects.extend(subject);
        self.subjects.sort_by_key(|known| known.role);
    }

    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.runs.iter().any(|run| run.rehearsal)
    }

    /// The kind of sessions that whole users lost, if not all.
    #[must_use]
    pub fn only(&self) -> Option<SessionKind> {
        self.runs.iter().find_map(|run| run.only)
    }

    /// Whether all listed sessions of everybody who was ended as a whole are in the input (`--bulk`), so that others are new.
    #[must_use]
    pub fn ended_listed_users(&self) -> bool {
        let is_known = self.runs_left_out.is_none() && self.runs.iter().all(|run| !run.whole_users);
        is_known && self.runs.iter().any(|run| run.bulk.is_some())
    }

    pub fn current(&mut self) -> Option<&mut Run> {
        self.runs.last_mut()
    }

    /// The result of the last `verify`; `None` if there was none or it can't be read.
    #[must_use]
    pub fn verified(&self) -> Option<Verified> {
        serde_json::from_value(self.extra.get("verified")?.clone()).ok()
    }

    /// Reads a manifest and checks its consistency.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let text = read_regular(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ManifestError::Missing(path.to_owned()),
            _ => during("read", path)(error).into(),
        })?;
        let nonsense = |why: Box<str>| ManifestError::Nonsense { path: path.to_owned(), why };
        match format_version(&text).map_err(|source| ManifestError::NotJson { path: path.to_owned(), source })? {
            Some(FORMAT_VERSION) => {}
            Some(found) => return Err(ManifestError::OtherVersion { path: path.to_owned(), found }),
            None => return Err(nonsense("it has no `format_version`".into())),
        }
        let mut manifest: Self = serde_json::from_slice(&text).map_err(|error| nonsense(error.to_string().into()))?;
        manifest.sense().map_err(|why| nonsense(why.to_string().into()))?;
        manifest.sha256 = Some(sha256_hex(&text));
        Ok(manifest)
    }

    /// Checks what manual edits are most likely to break.
    fn sense(&self) -> Result<(), Nonsense> {
        let mut ids = HashSet::new();
        for run in &self.runs {
            if run.run_id.is_empty() || !ids.insert(&run.run_id) {
                return Err(Nonsense::RunId);
            }
        }
        if self.runs.windows(2).any(|pair| pair[0].rehearsal != pair[1].rehearsal) {
            return Err(Nonsense::Mixed);
        }
        let remaining = self.remaining.as_ref().map(|remaining| &remaining.sha256);
        let hashes = [&self.input.sha256, &self.input.content_sha256].into_iter();
        let subjects = self.subjects.iter().map(|subject| &subject.digest.sha256);
        let history = self.history.iter().filter_map(|change| change.previous_sha256.as_ref());
        for hash in hashes.chain(&self.results.sha256).chain(remaining).chain(subjects).chain(history) {
            if hash.len() != 64 || !hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(Nonsense::Hash);
            }
        }
        match self.totals.rows() {
            Some(rows) if rows != self.input.rows => Err(Nonsense::Totals { rows, of: self.input.rows }),
            None => Err(Nonsense::Totals { rows: u64::MAX, of: self.input.rows }),
            Some(_) if self.complete && self.totals.not_reached > 0 => Err(Nonsense::Complete),
            Some(_) => Ok(()),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference to the field")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The version of a manifest; `None` if it can't be read. The rest isn't parsed, because a tree of values would need
/// many times the memory of the text.
///
/// # Errors
/// If the text isn't JSON.
fn format_version(text: &[u8]) -> serde_json::Result<Option<u64>> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        format_version: Option<Value>,
    }
    match serde_json::from_slice::<Head>(text) {
        Ok(head) => Ok(head.format_version.as_ref().and_then(Value::as_u64)),
        // JSON, but not an object.
        Err(error) if error.is_data() => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nonsense {
    RunId,
    Mixed,
    Hash,
    Totals { rows: u64, of: u64 },
    Complete,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunId => f.write_str("a run has no `run_id`, or two have the same"),
            Self::Mixed => f.write_str("rehearsals and real runs are mixed"),
            Self::Hash => f.write_str("a SHA-256 is not 64 lower-case hexadecimal digits"),
            Self::Totals { rows, of } => write!(f, "the totals add up to {rows} rows, and the input has {of}"),
            Self::Complete => f.write_str("it is `complete`, and rows are `not_reached`"),
        }
    }
}

/// A run id such as `20261123T184201Z-00c0ffee`: sorts by time and is short. `salt` (random, or a hash of host and
/// process) distinguishes two runs in the same second.
#[must_use]
pub fn run_id(started: Timestamp, salt: u32) -> String {
    let text = started.rfc3339();
    let second: String = text.chars().take_while(|char| *char != '.').filter(char::is_ascii_alphanumeric).collect();
    format!("{second}Z-{salt:08x}")
}

#[cfg(test)]
mod tests;
