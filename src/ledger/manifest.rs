//! The manifest, `OUTPUT.manifest.json`: which input the results belong to, who ran what against it, and how it ended.
//!
//! It is replaced as a whole, so a reader sees the old one or the new one. It never holds the token: there is no field
//! for it. What a later version or another command has added is kept.

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
    Run, Stamp, StatusRows, StatusTotals, Subject, Verified, Window,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The version that this program writes and reads.
pub const FORMAT_VERSION: u64 = 1;

/// What is known of all runs on one results file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// `slack-revoke`.
    pub tool: String,
    /// The program's version, of the last run.
    pub tool_version: String,
    /// Whether every row of the input has ended.
    pub complete: bool,
    /// The runs, the first one first; of many the first [`FIRST_RUNS`] and the last [`LAST_RUNS`].
    pub runs: Vec<Run>,
    #[serde(default, skip_serializing_if = "LeftOutRuns::is_none")]
    pub runs_left_out: LeftOutRuns,
    pub input: InputRecord,
    /// What no run on these results may send; `None` in manifests of versions that didn't record it.
    #[serde(default)]
    pub protections: Option<Protections>,
    /// The remaining file; `None` if nothing remains, or the file isn't written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Remaining>,
    pub results: Results,
    /// The files that the steps so far left, one a role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The steps so far, the first one first; of many the first [`FIRST_RUNS`] and the last [`LAST_RUNS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Change>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub history_left_out: u64,
    pub totals: StatusTotals,
    /// The same by workspace; a status without rows is left out.
    pub per_workspace: BTreeMap<String, StatusRows>,
    /// The same by user; a status without rows is left out. As it was loaded: a run writes its own from the rows that
    /// have ended ([`Self::save_counted`]), and does not hold 100,000 users twice.
    #[serde(skip_serializing)]
    pub per_user: BTreeMap<String, StatusRows>,
    /// Whether there were more users than are counted one by one.
    pub users_left_out: bool,
    /// From the first call to the last record; none where no row has ended.
    pub window: Option<Window>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
    /// The digest of the file, as it was read or last written; `None` before that.
    #[serde(skip)]
    pub sha256: Option<String>,
}

/// Why a manifest cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{} does not exist; put it back next to the results, or name another file with -o", .0.display())]
    Missing(PathBuf),
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{} is not JSON ({source}); it was changed or cut: restore it, or name another file with -o", .path.display())]
    NotJson { path: PathBuf, source: serde_json::Error },
    /// Written by another version of this program.
    #[error("{} has format version {found}, this program knows {FORMAT_VERSION}; go on with the program that wrote it", .path.display())]
    OtherVersion { path: PathBuf, found: u64 },
    /// JSON, but not what is written there.
    #[error("{}: {why}; it was changed by hand: restore it, or name another file with -o", .path.display())]
    Nonsense {
        path: PathBuf,
        /// What does not fit.
        why: Box<str>,
    },
}

impl Manifest {
    /// A manifest before its first run.
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

    /// Adds a run, on an input that may have grown since the last one. The results change from here on, so what was
    /// known of their content goes.
    pub fn begin(&mut self, tool_version: &str, mut run: Run, input: InputRecord, recorded: &Recorded) {
        // A resumption reckons with the most there ever were: what was found cut off once stays in doubt, even where this
        // run dies before its journal says so.
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

    /// Takes in how the rows stand; those that have not ended are the input's less those that have. Users are left to
    /// [`Self::save_counted`].
    fn count(&mut self, recorded: &Recorded) {
        let tally = recorded.tally();
        self.totals = StatusTotals::of(tally.counts(), self.input.rows);
        self.per_workspace =
            tally.teams().iter().map(|(team, rows)| (team.to_string(), StatusRows::some(rows))).collect();
        self.per_user.clear();
        self.users_left_out = tally.users_left_out();
        self.window = recorded.window();
    }

    /// Adds a step, before the first file of it is written. What is published of this manifest until then is its digest.
    pub fn changed_by(&mut self, step: ChangedBy, at: Stamp, run_id: Option<String>) {
        self.history.push(Change { step, at, run_id, previous_sha256: self.sha256.clone() });
        while self.history.len() > FIRST_RUNS + LAST_RUNS {
            self.history.remove(FIRST_RUNS);
            self.history_left_out += 1;
        }
    }

    /// Before a run: what is known of files that it adds to is known of their beginning. The results keep `valid_len` bytes.
    pub fn keep_beginnings(&mut self, valid_len: u64) {
        self.subjects.retain(|known| match known.role {
            FileRole::Results => known.bytes <= valid_len,
            FileRole::Remaining => false,
            FileRole::Events | FileRole::Summary | FileRole::Verified | FileRole::Report => true,
        });
    }

    /// Notes a file as it is now, in place of what was known of its role; `None` if there is none.
    pub fn set_subject(&mut self, role: FileRole, subject: Option<Subject>) {
        self.subjects.retain(|known| known.role != role);
        self.subjects.extend(subject);
        self.subjects.sort_by_key(|known| known.role);
    }

    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.runs.iter().any(|run| run.rehearsal)
    }

    pub fn current(&mut self) -> Option<&mut Run> {
        self.runs.last_mut()
    }

    /// What the last `verify` found; `None` if there was none, or another version wrote it otherwise.
    #[must_use]
    pub fn verified(&self) -> Option<Verified> {
        serde_json::from_value(self.extra.get("verified")?.clone()).ok()
    }

    /// Reads a manifest and sees to it that it makes sense.
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

    /// What an edit by hand breaks most easily, and a resumption would stumble over.
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

/// The version that a manifest names; none where it names none that can be read. The rest is passed over: as a tree of
/// values it would take many times the memory of the manifest.
///
/// # Errors
/// Where the text is not JSON.
fn format_version(text: &[u8]) -> serde_json::Result<Option<u64>> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        format_version: Option<Value>,
    }
    match serde_json::from_slice::<Head>(text) {
        Ok(head) => Ok(head.format_version.as_ref().and_then(Value::as_u64)),
        // JSON, but no object.
        Err(error) if error.is_data() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What does not fit together.
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

/// A run's id: it sorts by time, is short enough to be read out, and `salt` (random, or a hash of host and process) keeps
/// two runs of one second apart. `20261123T184201Z-00c0ffee`.
#[must_use]
pub fn run_id(started: Stamp, salt: u32) -> String {
    let text = started.rfc3339();
    let second: String = text.chars().take_while(|char| *char != '.').filter(char::is_ascii_alphanumeric).collect();
    format!("{second}Z-{salt:08x}")
}

#[cfg(test)]
mod tests;
