//! What a manifest says of the files beside it and of its own earlier states, so that a later edit shows.

use super::Stamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file that a command left, as it was then: a subject of an in-toto statement, with its role and length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub role: FileRole,
    /// A path, relative to the manifest's folder if the file is there.
    pub name: String,
    pub digest: Digest,
    /// The digest is that of the first so many bytes. Only what names the manifest's own digest comes after them.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// In lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
}

/// What a file is to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    Results,
    Remaining,
    /// The lines before the last run's `run_ended`, which has the manifest's digest.
    Events,
    /// The members before `manifest_sha256`.
    Summary,
    Verified,
    Report,
}

impl FileRole {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Remaining => "remaining",
            Self::Events => "events",
            Self::Summary => "summary",
            Self::Verified => "verified",
            Self::Report => "report",
        }
    }

    /// As a heading, for several.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Results => "Results",
            Self::Remaining => "Remaining rows",
            Self::Events => "Events",
            Self::Summary => "Totals",
            Self::Verified => "Verified results",
            Self::Report => "Contents of the report",
        }
    }
}

/// A step that changed a manifest, with the manifest's digest before it: the chain from one published digest to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub step: ChangedBy,
    pub at: Stamp,
    /// Of the run that `run` or `resume` began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// `None` if there was no manifest before.
    pub previous_sha256: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangedBy {
    Run,
    Resume,
    Verify,
    Report,
}

impl ChangedBy {
    /// Whether it began a run, which leaves events and a summary.
    #[must_use]
    pub fn is_run(self) -> bool {
        matches!(self, Self::Run | Self::Resume)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Resume => "resume",
            Self::Verify => "verify",
            Self::Report => "report",
        }
    }
}

/// A file against what the manifest says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    pub role: FileRole,
    /// Where it was looked for.
    pub path: PathBuf,
    pub state: FileState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    AsRecorded,
    Missing,
    /// In words: how.
    Differs(String),
    /// Its content isn't recorded, because the last run has no end.
    NotSealed,
}

impl FileState {
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::AsRecorded => "matches",
            Self::Missing => "missing",
            Self::Differs(_) => "differs",
            Self::NotSealed => "not recorded",
        }
    }
}
