use super::*;
use crate::ledger::resume::{Prior, Seal};
use crate::ledger::testing::{ended, row_of};
use crate::model::{
    Approval, BucketKind, CallCounts, IdColumns, Identity, InputMatch, ListingUsed, Pacing, RunCounts, Status,
};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn input(rows: u64) -> InputRecord {
    let (sha256, content_sha256) = ("0a".repeat(32), "1b".repeat(32));
    InputRecord {
        path: "s.csv".into(),
        sha256,
        bytes: 10,
        content_sha256,
        content_bytes: 20,
        rows,
        ..InputRecord::default()
    }
}

fn run(run_id: &str) -> Run {
    Run {
        run_id: run_id.into(),
        started_at: Timestamp::from_millis(1_795_459_321_123),
        ended_at: None,
        host: "jump-1".into(),
        pid: 42,
        exit_code: None,
        stop_reason: None,
        api_host: "slack.com".into(),
        rate: "auto".into(),
        max_rate: Some(300.0),
        workers: None,
        identify_by: "auto".into(),
        whole_users: false,
        only: None,
        bulk: None,
        reason: Some("INC-7".into()),
        approval: Some(Approval { plan_id: "1a".repeat(32), approved_by: Some("Dana".into()) }),
        rehearsal: false,
        identity: Some(Identity { user_id: "U1".into(), url: "https://a.slack.com/".into(), ..Identity::default() }),
        later_identities: Vec::new(),
        checks: Vec::new(),
        recorded_before: 0,
        counts: RunCounts::default(),
        pacing: Pacing { bucket: Some(BucketKind::Org), ..Pacing::default() },
        extra: Extra::new(),
    }
}

#[test]
fn sessions_of_listed_users_that_are_on_no_row_are_new() {
    let listing = Some(ListingUsed { path: "all.csv".into(), sha256: "0a".repeat(32) });
    let bulk = |id| Run { bulk: listing.clone(), ..run(id) };
    let whole = |id, only| Run { whole_users: true, only, ..run(id) };
    for (runs, are_listed, only) in [
        (vec![run("a")], false, None),
        (vec![run("a"), bulk("b")], true, None),
        (vec![bulk("a"), run("b")], true, None),
        (vec![bulk("a"), whole("b", None)], false, None),
        (vec![whole("a", Some(SessionKind::Web)), bulk("b")], false, Some(SessionKind::Web)),
    ] {
        let manifest = Manifest { runs, ..Manifest::new("1.2.3", input(3), Path::new("r.csv")) };
        assert_eq!((manifest.ended_listed_users(), manifest.only()), (are_listed, only), "{:?}", manifest.runs);
    }
}

fn recorded() -> Recorded {
    let mut recorded = Recorded::default();
    let owners = IdColumns { session: None, team: Some(0), user: Some(1), email: None };
    recorded.add(&row_of(2, &["T1", "U1"]), owners, &ended(Status::Revoked));
    recorded.add(&row_of(3, &["T1", ""]), owners, &ended(Status::NotFound));
    recorded
}

fn begun() -> Manifest {
    let mut manifest = Manifest::new("0.1.0", input(3), Path::new("s.results.csv"));
    manifest.begin("0.1.0", run("a"), input(3), &recorded());
    manifest
}

fn begun_as_json() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    begun().save_counted(&recorded(), &path).unwrap();
    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
}

#[test]
fn a_manifest_reads_back_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    let mut manifest = begun();
    manifest.current().unwrap().pacing.note_estimate(Timestamp::from_millis(1), None, 42.5);
    manifest.current().unwrap().pacing.note_rate_limit(
        Timestamp::from_millis(2),
        None,
        Duration::from_millis(1500),
        Some(Duration::from_secs(1)),
    );
    fs::write(&path, "old, and open to all").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let bytes = manifest.save_counted(&recorded(), &path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
    let mut loaded = Manifest::load(&path).unwrap();
    assert_eq!(loaded.per_user["U1"].of(Status::Revoked), 1);
    assert_eq!(Manifest { per_user: BTreeMap::new(), ..loaded.clone() }, manifest);
    loaded.save(&path).unwrap();
    assert_eq!(Manifest::load(&path).unwrap(), loaded, "`verify` keeps the users");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");

    let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(json["totals"]["revoked"], 1);
    assert_eq!(json["totals"]["unknown"], 0, "every status is named");
    assert_eq!(json["totals"]["not_reached"], 1);
    assert_eq!(json["per_workspace"], json!({"T1": {"revoked": 1, "not_found": 1}}));
    assert_eq!(json["per_user"], json!({"U1": {"revoked": 1}}));
    assert_eq!(json["window"]["to"], "2026-11-23T18:42:01.123Z");
    assert_eq!(
        (&json["runs"][0]["plan_id"], &json["runs"][0]["approved_by"]),
        (&json!("1a".repeat(32)), &json!("Dana"))
    );
    assert_eq!(json["runs"][0]["rate_limits"]["entries"][0]["pause_seconds"], 1.5);
    assert_eq!(json["runs"][0]["rate_limits"]["entries"][0]["stated_seconds"], 1.0);
}

#[test]
fn what_others_added_survives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    let mut json = begun_as_json();
    json["verification"] = json!({"gone": 3, "big": u64::MAX});
    json["runs"][0]["shift"] = json!("night");
    json["input"]["ticket"] = json!([1, 2]);
    json["results"]["copied_to"] = json!(null);
    fs::write(&path, json.to_string()).unwrap();
    let mut manifest = Manifest::load(&path).unwrap();
    manifest.save_counted(&recorded(), &path).unwrap();
    let saved: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(saved, json);
}

#[test]
fn every_manifest_that_cannot_be_used_says_why() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 14] = [
        ("format_version", |json| drop(json.as_object_mut().unwrap().remove("format_version"))),
        ("format version 2", |json| json["format_version"] = json!(2)),
        ("no `run_id`", |json| json["runs"][0]["run_id"] = json!("")),
        ("two have the same", |json| json["runs"] = json!([json["runs"][0], json["runs"][0]])),
        ("are mixed", |json| {
            let mut second = json["runs"][0].clone();
            (second["run_id"], second["rehearsal"]) = (json!("b"), json!(true));
            json["runs"].as_array_mut().unwrap().push(second);
        }),
        ("SHA-256", |json| json["input"]["sha256"] = json!("abc")),
        ("SHA-256", |json| json["input"]["content_sha256"] = json!("0A".repeat(32))),
        ("SHA-256", |json| json["results"]["sha256"] = json!("")),
        ("add up to 4 rows, and the input has 3", |json| json["totals"]["failed"] = json!(1)),
        ("the input has 3", |json| json["totals"]["failed"] = json!(u64::MAX)),
        ("\"gone\" isn't a status", |json| json["per_user"]["U1"]["gone"] = json!(1)),
        ("`not_reached`", |json| json["complete"] = json!(true)),
        ("isn't a timestamp", |json| json["runs"][0]["started_at"] = json!("today")),
        ("missing field `input`", |json| drop(json.as_object_mut().unwrap().remove("input"))),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    for (want, edit) in edits {
        let mut json = begun_as_json();
        edit(&mut json);
        fs::write(&path, json.to_string()).unwrap();
        let text = Manifest::load(&path).unwrap_err().to_string();
        assert!(text.contains(want) && text.contains("m.json"), "{want}: {text}");
    }
    assert!(matches!(Manifest::load(&folder.path().join("none")), Err(ManifestError::Missing(_))));
    fs::write(&path, "{\"format_version\": 1,").unwrap();
    assert!(matches!(Manifest::load(&path), Err(ManifestError::NotJson { .. })));
}

#[test]
fn a_new_run_makes_the_old_end_void() {
    let mut manifest = begun();
    manifest.complete = true;
    manifest.results.sha256 = Some("0".repeat(64));
    let (same, seal) = (InputMatch::Same, Seal::Intact);
    let prior = Prior::of(&manifest, same, "given", seal);
    let (recorded_sha256, given_sha256) = (manifest.input.sha256.as_str().into(), "given".into());
    let want = Prior {
        rehearsal: false,
        complete: true,
        rows: 3,
        ended_before: 2,
        input: same,
        recorded_sha256,
        given_sha256,
        seal,
    };
    assert_eq!(prior, want);
    manifest.begin("0.2.0", run("b"), input(5), &recorded());
    assert_eq!((manifest.complete, &manifest.results.sha256), (false, &None));
    assert_eq!((manifest.runs.len(), manifest.totals.not_reached), (2, 3));
    assert_eq!(manifest.sense(), Ok(()));
}

#[test]
fn histories_stop_growing() {
    let mut run = run("a");
    for index in 0..1200 {
        run.pacing.note_estimate(Timestamp::from_millis(index), None, 20.0);
    }
    assert_eq!((run.pacing.estimate_history.entries.len(), run.pacing.estimate_history.left_out), (1000, 200));
}

#[test]
fn run_ids_sort_by_time() {
    assert_eq!(run_id(Timestamp::from_millis(1_795_459_321_123), 0xc0_ffee), "20261123T184201Z-00c0ffee");
    assert!(
        run_id(Timestamp::from_millis(1_795_459_321_123), 9) < run_id(Timestamp::from_millis(1_795_459_322_000), 1)
    );
}

#[test]
fn the_last_run_of_the_same_host_and_organization_tells_where_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, ended: i64, host: &str, organization: &str, learnt: Option<f64>| {
        let mut manifest = Manifest::new("0.1.0", input(0), Path::new("r.csv"));
        let identity = Identity { enterprise_id: Some(organization.into()), ..Identity::default() };
        let ended_at = Some(Timestamp::from_millis(ended));
        let run = Run {
            ended_at,
            api_host: host.into(),
            identity: Some(identity),
            pacing: Pacing { learnt_per_minute: learnt, ..Pacing::default() },
            ..run(&format!("{name}-{ended}"))
        };
        manifest.begin("0.1.0", run, input(0), &Recorded::default());
        manifest.save(&folder.path().join(format!("{name}.csv.manifest.json"))).unwrap();
    };
    write("older", 1_000, "slack.com", "E1", Some(40.0));
    write("newer", 2_000, "slack.com", "E1", Some(58.0));
    write("unlimited", 3_000, "slack.com", "E1", None);
    write("elsewhere", 4_000, "slack-gov.com", "E1", Some(100.0));
    write("others", 5_000, "slack.com", "E2", Some(30.0));
    std::fs::write(folder.path().join("broken.manifest.json"), "{").unwrap();
    let learnt = |host, organization| last_learnt(folder.path(), host, organization).map(|learnt| learnt.per_minute);
    assert_eq!(learnt("slack.com", Some("E1")), Some(58.0));
    assert_eq!(learnt("slack.com", None), Some(30.0));
    assert_eq!(learnt("slack.com", Some("E3")), None);
    assert_eq!(last_learnt(&folder.path().join("none"), "slack.com", None), None);
}

/// A timer resumes a finished run every night.
#[test]
fn a_manifest_does_not_grow_with_the_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let mut manifest = begun();
    let mut bytes = Vec::new();
    for number in 0..200 {
        let counts = RunCounts { calls: CallCounts { calls: 2, ..CallCounts::default() }, ..RunCounts::default() };
        manifest.begin("0.1.0", Run { counts, ..run(&format!("run-{number:03}")) }, input(3), &recorded());
        bytes.push(manifest.save_counted(&recorded(), &path).unwrap());
    }
    let manifest = Manifest::load(&path).unwrap();
    assert_eq!(manifest.runs.len(), FIRST_RUNS + LAST_RUNS);
    assert_eq!(manifest.runs_left_out.runs, 201 - manifest.runs.len() as u64);
    assert_eq!((&*manifest.runs[0].run_id, &*manifest.runs.last().unwrap().run_id), ("a", "run-199"));
    let kept: u64 = manifest.runs.iter().map(|run| run.counts.calls.calls).sum();
    assert_eq!(kept + manifest.runs_left_out.counts.calls.calls, 400);
    assert!(bytes[199] < bytes[60] + 100, "{bytes:?}");
}
