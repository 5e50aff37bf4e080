//! The digests in a manifest: of other files, and of its own earlier states.

use super::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file as a command left it. Shaped like a subject of an in-toto statement, with role and length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub role: FileRole,
    /// A path, relative to the manifest's directory if the file is in it.
    pub name: String,
    pub digest: Digest,
    /// The digest covers this many bytes. Only the manifest's own digest may follow them.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// In lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    Results,
    Remaining,
    /// Without the last run's `run_ended`, which has the manifest's digest.
    Events,
    /// Without the last member, `manifest_sha256`.
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

    /// As a heading.
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

/// A step that changed the manifest, with the digest before it. The chain connects all published digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub step: ChangedBy,
    pub at: Timestamp,
    /// If the step started a run.
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
    /// Whether the step is a run, which writes events and a summary.
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

/// A file compared with the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    pub role: FileRole,
    /// Where the file was expected.
    pub path: PathBuf,
    pub state: FileState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    AsRecorded,
    Missing,
    /// How, in words.
    Differs(String),
    /// Its digest isn't recorded, because the last run has no end.
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
