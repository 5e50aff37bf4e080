//! `--summary-json`: the totals of a run as a JSON object. `docs/summary.md` documents the members; a test compares
//! them.

use super::events::Rows;
use super::files::{PRIVATE, begins_as, json_text, replace};
use super::summary::{FailureGroup, Summary};
use super::text::clean;
use crate::model::{BucketKind, CallCounts, Estimate, Pause};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

#[derive(Serialize)]
struct SummaryJson<'a> {
    v: u8,
    run_id: Cow<'a, str>,
    rehearsal: bool,
    exit_code: u8,
    stop: Option<Value>,
    rows: Rows<'a>,
    total: u64,
    not_reached: u64,
    #[serde(flatten)]
    calls: CallCounts,
    paused_seconds: f64,
    elapsed_seconds: f64,
    per_minute: Option<f64>,
    learnt_per_minute: Option<f64>,
    bucket: Option<BucketKind>,
    estimates: Vec<Value>,
    pauses: Vec<Value>,
    window: Option<Value>,
    actor: Option<Cow<'a, str>>,
    plan_id: Option<&'a str>,
    approved_by: Option<Cow<'a, str>>,
    files: BTreeMap<&'static str, String>,
    heaviest_users: Vec<Value>,
    failures: Vec<Value>,
    verify_command: Option<&'a str>,
    resume_command: Option<&'a str>,
    retry_command: Option<&'a str>,
    warnings: Vec<String>,
    manifest_sha256: Option<&'a str>,
}

/// Replaces the file at `path`, with mode 0600, because it names users.
///
/// # Errors
/// If the file can't be written.
pub fn write(path: &Path, summary: &Summary, exit_code: u8) -> io::Result<()> {
    replace(path, &render(summary, exit_code), PRIVATE)
}

/// The text before the last member, which is the manifest's digest. The manifest has the digest of this part.
#[must_use]
pub fn before_digest(summary: &Summary, exit_code: u8) -> String {
    let mut text = render(&Summary { manifest_sha256: None, ..summary.clone() }, exit_code);
    text.truncate(text.rfind(",\n").unwrap_or_default());
    text
}

/// Whether the file is a summary, is empty, or doesn't exist.
///
/// # Errors
/// If it can't be read.
pub fn is_at(path: &Path) -> io::Result<bool> {
    begins_as(path, "{\n  \"v\": 1,\n  \"run_id\": \"")
}

/// Indented, with a line break at the end.
#[must_use]
pub fn render(summary: &Summary, exit_code: u8) -> String {
    let window = summary.window.map(|(from, to)| json!({"from": from.rfc3339(), "to": to.rfc3339()}));
    let stop = summary.stop.as_ref().map(|reason| json!({"reason": reason.entry().word, "text": reason.entry().why}));
    let user = |(user, rows): &(crate::model::UserId, u64)| json!({"user_id": user.as_str(), "revocations": rows});
    let estimate = |estimate: &Estimate| json!({"at": estimate.at, "per_minute": estimate.per_minute});
    let pause = |pause: &Pause| json!({"at": pause.at, "seconds": pause.pause_seconds.max(0.0)});
    let failure = |FailureGroup { status, error, rows, hint }: &FailureGroup| json!({"status": status.as_str(), "error": clean(error), "rows": rows, "hint": hint});
    let approval = summary.approval.as_ref();
    let object = SummaryJson {
        v: 1,
        run_id: clean(&summary.run_id),
        rehearsal: summary.is_rehearsal,
        exit_code,
        stop,
        rows: Rows(&summary.counts),
        total: summary.rows(),
        not_reached: summary.not_reached(),
        calls: summary.calls,
        paused_seconds: summary.paused.as_secs_f64(),
        elapsed_seconds: summary.elapsed.as_secs_f64(),
        per_minute: summary.per_minute,
        learnt_per_minute: summary.pacing.learnt_per_minute,
        bucket: summary.pacing.bucket,
        estimates: summary.pacing.estimate_history.entries.iter().map(estimate).collect(),
        pauses: summary.pacing.rate_limits.entries.iter().map(pause).collect(),
        window,
        actor: summary.actor.as_deref().map(clean),
        plan_id: approval.map(|approval| &*approval.plan_id),
        approved_by: approval.and_then(|approval| approval.approved_by.as_deref()).map(clean),
        files: summary.files.named().map(|(name, path)| (name, path.to_string_lossy().into_owned())).collect(),
        heaviest_users: summary.heaviest_users.iter().map(user).collect(),
        failures: summary.failures.iter().map(failure).collect(),
        verify_command: summary.verify_command.as_deref(),
        resume_command: summary.resume_command.as_deref(),
        retry_command: summary.retry_command.as_deref(),
        warnings: summary.warnings(),
        manifest_sha256: summary.manifest_sha256.as_deref(),
    };
    json_text(&object)
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::summary;
    use super::*;
    use crate::model::{Pacing, StopReason, UserId};
    use crate::output::documented::Documented;

    fn object(summary: &Summary, exit_code: u8) -> Value {
        serde_json::from_str(&render(summary, exit_code)).unwrap()
    }

    #[test]
    fn the_json_adds_up_like_the_totals() {
        let object = object(&summary([10, 3, 2, 1], 20), 1);
        let rows: u64 = object["rows"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!((rows + 4, &object["not_reached"], &object["total"]), (20, &json!(4), &json!(20)));
        assert_eq!((&object["exit_code"], &object["stop"]), (&json!(1), &Value::Null));
        assert_eq!(object["window"]["from"], "2023-11-14T22:13:20.000Z");
        assert_eq!(object["files"], json!({"results": "s.results.csv", "manifest": "s.results.csv.manifest.json"}));
        assert_eq!(object["paused_seconds"], 62.0);
    }

    #[test]
    fn the_json_and_its_example_match_the_documentation() {
        let page = Documented::of(include_str!("../../docs/summary.md"));
        page.describes(&object(&summary([10, 3, 2, 1], 20), 1), &[]);
        let stopped = Summary {
            stop: Some(StopReason::Deadline),
            resume_command: Some("slack-revoke run s.csv --resume".to_owned()),
            pacing: Pacing { learnt_per_minute: Some(21.5), bucket: Some(BucketKind::Org), ..Pacing::default() },
            ..summary([40, 0, 10, 0], 80)
        };
        page.describes(&object(&stopped, 3), &[]);
        page.describes(&page.example, &[]);
    }

    #[test]
    fn a_stop_and_its_resume_command_are_in_the_json() {
        let stopped = Summary {
            stop: Some(StopReason::MaxFailures { failed: 10, of: 50 }),
            resume_command: Some("slack-revoke run s.csv --resume".to_owned()),
            heaviest_users: vec![(UserId::parse("U1").unwrap(), 61)],
            ..summary([40, 0, 10, 0], 80)
        };
        let object = object(&stopped, 3);
        assert_eq!(object["stop"]["reason"], "max_failures");
        assert_eq!(object["resume_command"], "slack-revoke run s.csv --resume");
        assert_eq!(object["heaviest_users"], json!([{"user_id": "U1", "revocations": 61}]));
        assert_eq!(object["warnings"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        write(&path, &summary([1, 0, 0, 0], 1), 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), render(&summary([1, 0, 0, 0], 1), 0));
    }
}
