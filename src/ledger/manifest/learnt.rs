//! The limit that earlier runs in a directory learned, as a suggestion for the next one.

use super::Manifest;
use crate::model::{Run, Timestamp};
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Maximum number of manifests to read, newest first. A directory of nightly runs has hundreds.
const MOST_FILES: usize = 20;

/// Larger manifests, with very many users, aren't read for a single number.
const MOST_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learnt {
    /// In calls a minute, per bucket.
    pub per_minute: f64,
    pub at: Timestamp,
}

/// From the manifests in `folder`: what the last run with `api_host` learned. `organization` is that of the token;
/// `None` accepts any.
#[must_use]
pub fn last_learnt(folder: &Path, api_host: &str, organization: Option<&str>) -> Option<Learnt> {
    let manifests = newest(folder).into_iter().filter_map(|path| Manifest::load(&path).ok());
    let runs = manifests.flat_map(|manifest| manifest.runs);
    let same = runs.filter(|run| !run.rehearsal && run.api_host == api_host && is_of(run, organization));
    let learnt = same.filter_map(|run| Some(Learnt { per_minute: run.pacing.learnt_per_minute?, at: run.ended_at? }));
    learnt.max_by_key(|learnt| learnt.at)
}

fn is_of(run: &Run, organization: Option<&str>) -> bool {
    let recorded = run.identity.as_ref().map(|identity| identity.enterprise_id.as_ref().unwrap_or(&identity.team_id));
    organization.is_none_or(|organization| recorded.is_some_and(|recorded| recorded == organization))
}

fn newest(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_manifest = |name: &OsStr| name.to_string_lossy().ends_with(".manifest.json");
    let small = |metadata: &Metadata| metadata.is_file() && metadata.len() <= MOST_BYTES;
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| is_manifest(&entry.file_name()))
        .filter_map(|entry| Some((entry.metadata().ok().filter(small)?.modified().ok()?, entry.path())))
        .collect();
    found.sort_by_key(|(modified, _)| Reverse(*modified));
    found.into_iter().take(MOST_FILES).map(|(_, path)| path).collect()
}
