//! What `verify` has left in a manifest.

use super::Manifest;
use super::parts::At;
use serde::Deserialize;

/// The totals of a verification, as `verify` writes them into the member `verified`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verified {
    /// When.
    pub at: At,
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
    /// Sessions of the users concerned that the results do not name.
    pub new_sessions: u64,
}

impl Manifest {
    /// What the last verification found; none where there was none, or another version wrote it otherwise.
    #[must_use]
    pub fn verified(&self) -> Option<Verified> {
        serde_json::from_value(self.extra.get("verified")?.clone()).ok()
    }
}
