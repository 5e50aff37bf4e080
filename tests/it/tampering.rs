//! What somebody who can write the folder of a run can change, and which check shows it: `report --check`.

use crate::harness::{Finished, Program, TOKEN, Workdir, accepted, config, rows, sessions, start, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    RepeatedReply, ReplyScript, ScriptedReply, Server, StandInConfig, StandInToken, TokenEnd,
};
use std::fs;

const RESULTS: &str = "s.results.csv";
const MANIFEST: &str = "s.results.csv.manifest.json";
const REPORTS: [&str; 6] = ["--rate", "unlimited", "--events", "events.ndjson", "--summary-json", "summary.json"];

fn sha256(text: &[u8]) -> String {
    Sha256::digest(text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The digest of a manifest, as `sha256sum` prints it.
fn digest(work: &Workdir) -> String {
    sha256(&fs::read(work.path(MANIFEST)).expect("a manifest"))
}

fn run(work: &Workdir, server: &Server) -> Program {
    work.run(server, "s.csv").args(REPORTS)
}

/// Ten rows, the last three of which nobody has; a complete run with every report.
fn complete() -> (Workdir, Server) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 7))));
    work.write("s.csv", rows(1_000, 10));
    run(&work, &server).args(["--strict"]).exits(1);
    (work, server)
}

#[track_caller]
fn check(work: &Workdir, flags: &[&str], code: i32) -> String {
    let finished = work.program(["report", RESULTS, "--check"]).args(flags.iter().copied()).exits(code);
    finished.stdout() + &finished.stderr()
}

/// Checks against the digest of a manifest from elsewhere.
#[track_caller]
fn check_given(work: &Workdir, given: &str, code: i32) -> String {
    check(work, &["--manifest-sha256", given], code)
}

/// Edits a file, and returns what undoes it.
fn edit(work: &Workdir, name: &str, edit: impl FnOnce(String) -> String) -> impl FnOnce() {
    let before = work.read(name);
    work.write(name, edit(before.clone()));
    let path = work.path(name);
    move || fs::write(path, before).expect("a file")
}

/// Makes the manifest fit the results as they are now: what a careful forger does.
fn forge_manifest(work: &Workdir, totals: &[(&str, u64)]) {
    let (results, mut manifest) = (work.read(RESULTS), work.json(MANIFEST));
    let (hash, bytes) = (sha256(results.as_bytes()), results.len());
    manifest["results"]["sha256"] = json!(hash);
    manifest["results"]["bytes"] = json!(bytes);
    manifest["subjects"][0]["digest"]["sha256"] = json!(hash);
    manifest["subjects"][0]["bytes"] = json!(bytes);
    for (status, rows) in totals {
        manifest["totals"][*status] = json!(rows);
        manifest["per_workspace"]["T1"][*status] = json!(rows);
    }
    work.write(MANIFEST, serde_json::to_string_pretty(&manifest).expect("JSON"));
}

#[test]
fn the_manifest_digest_is_in_output_events_summary_and_hook() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 7))));
    work.write("s.csv", rows(1_000, 10));
    let hook = "echo $SLACK_REVOKE_MANIFEST_SHA256 $SLACK_REVOKE_MANIFEST > hook";
    let said = run(&work, &server).args(["--on-finish", hook]).exits(0).stderr();
    let digest = digest(&work);
    assert!(said.contains(&format!("SHA-256 {digest}\n")), "{said}");
    let last: Value = serde_json::from_str(work.read("events.ndjson").lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["type"], &last["manifest_sha256"]), (&json!("run_ended"), &json!(digest)));
    assert_eq!(work.json("summary.json")["manifest_sha256"], json!(digest));
    let path = work.root().canonicalize().expect("a folder").join(MANIFEST);
    assert_eq!(work.read("hook"), format!("{digest} {}\n", path.display()));
    // Everything that a run leaves is named, with its content.
    let manifest = work.json(MANIFEST);
    let subjects = manifest["subjects"].as_array().expect("subjects");
    let roles: Vec<_> = subjects.iter().map(|subject| subject["role"].as_str().expect("a word")).collect();
    assert_eq!(roles, ["results", "events", "summary"]);
    for subject in subjects {
        let text = work.read(subject["name"].as_str().expect("a name"));
        let bytes = usize::try_from(subject["bytes"].as_u64().expect("a length")).expect("a length");
        assert_eq!(subject["digest"]["sha256"], json!(sha256(&text.as_bytes()[..bytes])));
        let rest = &text[bytes..];
        assert_eq!(rest.is_empty(), subject["role"] == "results");
        assert_eq!(rest.matches(&digest).count(), usize::from(!rest.is_empty()), "{rest}");
    }
}

#[test]
fn each_step_records_the_previous_manifest_digest() {
    let (work, server) = complete();
    let mut digests = vec![digest(&work)];
    let step = |line: &[&str], digests: &mut Vec<String>| {
        let program = work.program(line.iter().copied()).token(TOKEN).env("SLACK_REVOKE_API_URL", &server.url());
        let said = program.finish().stderr();
        digests.push(digest(&work));
        assert!(said.contains(&format!("SHA-256 {}\n", digests.last().expect("one"))), "{said}");
        check_given(&work, digests.last().expect("one"), 0);
    };
    step(&["verify", RESULTS], &mut digests);
    step(&["report", RESULTS, "--events", "events.ndjson"], &mut digests);
    work.write("s.csv", rows(1_000, 12));
    step(&[&["run", "s.csv", "--yes", "--resume", "--strict"], &REPORTS[..]].concat(), &mut digests);
    step(&["report", RESULTS, "-o", "page.html"], &mut digests);
    let history = work.json(MANIFEST)["history"].clone();
    let steps: Vec<_> = history.as_array().expect("steps").iter().map(|step| step["step"].clone()).collect();
    assert_eq!(steps, ["run", "verify", "report", "resume", "report"]);
    assert_eq!(history[0]["previous_sha256"], Value::Null);
    for (index, earlier) in digests[..4].iter().enumerate() {
        assert_eq!(history[index + 1]["previous_sha256"], json!(earlier));
        let said = check_given(&work, earlier, 1);
        assert!(
            said.contains(&format!(
                "that of an earlier state, which {} at",
                steps[index + 1].as_str().expect("a word")
            )),
            "{said}"
        );
    }
    assert!(check(&work, &[], 0).contains("not compared: give the one that you have"));
}

#[test]
fn a_changed_record_is_detected_even_if_the_manifest_was_adjusted() {
    let (work, _server) = complete();
    let honest = digest(&work);
    check_given(&work, &honest, 0);
    let _forged = edit(&work, RESULTS, |text| text.replacen(",not_found,", ",revoked,", 1));
    let said = check(&work, &[], 1);
    assert!(said.contains("results    s.results.csv: differs"), "{said}");
    assert!(said.contains("8 records are revoked, and 7 are recorded"), "{said}");
    forge_manifest(&work, &[("revoked", 8), ("not_found", 2)]);
    // What the run said of the manifest elsewhere in the folder contradicts it.
    let said = check(&work, &[], 1);
    assert!(
        said.contains("results    s.results.csv: as recorded") && said.contains("10 records: as recorded"),
        "{said}"
    );
    for file in [
        "events     events.ndjson: differs: run_ended names",
        "summary    summary.json: differs: manifest_sha256 names",
    ] {
        assert!(said.contains(file), "{said}");
    }
    let manifest = work.read(MANIFEST);
    work.program(["report", RESULTS, "-o", "page.html", "--manifest-sha256", &honest]).exits(0);
    let page = work.read("page.html");
    for (file, found) in [("Manifest", "differs"), ("Events", "differs"), ("Remaining rows", "matches")] {
        assert!(page.contains(&format!("data-hash=\"{file}\" data-check=\"{found}\"")), "{file}: {found}");
    }
    work.write(MANIFEST, manifest);
    // And where that is forged too, what was kept outside of it does.
    let forged = digest(&work);
    for file in ["events.ndjson", "summary.json"] {
        drop(edit(&work, file, |text| text.replace(&honest, &forged)));
    }
    check(&work, &[], 0);
    let said = check_given(&work, &honest, 1);
    assert!(said.contains("isn't in its history"), "{said}");
}

#[test]
fn removed_and_added_records_are_detected() {
    let (work, _server) = complete();
    let honest = digest(&work);
    let last = work.read(RESULTS).lines().last().expect("a record").to_owned();
    let removed = |text: String| text.replacen(&format!("{last}\n"), "", 1);
    let added =
        |text: String| text + "T1,1010,12,revoked,,,200,1,0,2026-11-27T12:00:00.000Z,2026-11-27T12:00:00.000Z,\n";
    for (forge, records, totals) in
        [(&removed as &dyn Fn(String) -> String, 9, ("not_found", 2)), (&added, 11, ("revoked", 8))]
    {
        let manifest = work.read(MANIFEST);
        let undo = edit(&work, RESULTS, forge);
        assert_eq!(work.read(RESULTS).lines().count(), records + 1);
        for said in [check(&work, &[], 1), check_given(&work, &honest, 1)] {
            assert!(said.contains("s.results.csv: differs"), "{said}");
            assert!(said.contains(&format!("records are {}, and", totals.0)), "{said}");
        }
        forge_manifest(&work, &[totals]);
        check_given(&work, &honest, 1);
        undo();
        work.write(MANIFEST, manifest);
        check_given(&work, &honest, 0);
    }
}

#[test]
fn every_changed_or_removed_file_is_reported() {
    let (work, server) = complete();
    work.program(["verify", RESULTS, "--api-url", &server.url()]).token(TOKEN).exits(0);
    work.program(["report", RESULTS]).exits(0);
    let honest = digest(&work);
    let row = r#"{"v":1,"at":"2026-11-27T12:00:00.000Z","type":"row_ended","line":12}"#;
    for name in
        ["s.results.remaining.csv", "events.ndjson", "summary.json", "s.results.verified.csv", "s.results.report.html"]
    {
        let first_half = |text: String| text[..text.len() / 2].to_owned();
        let edits: [&dyn Fn(String) -> String; 4] =
            [&first_half, &|text| text.replacen('1', "2", 1), &|text| text + row + "\n", &|text| text + "x"];
        for change in edits {
            let undo = edit(&work, name, change);
            for said in [check(&work, &[], 1), check_given(&work, &honest, 1)] {
                assert!(said.contains(&format!("{name}: differs: ")) && said.contains("1 of "), "{said}");
            }
            undo();
        }
        fs::rename(work.path(name), work.path("away")).expect("a rename");
        assert!(check(&work, &[], 1).contains(&format!("{name}: missing")));
        fs::rename(work.path("away"), work.path(name)).expect("a rename");
    }
    check_given(&work, &honest, 0);
    for (flags, code) in [(&["--manifest-sha256", "abc"][..], 2), (&["-o", "page.html"], 2)] {
        check(&work, flags, code);
    }
    fs::rename(work.path(MANIFEST), work.path("away")).expect("a rename");
    assert!(check_given(&work, &honest, 1).contains("manifest.json does not exist"));
}

#[test]
fn a_restored_older_manifest_is_detected() {
    let (work, server) = stopped_by(4);
    let old: Vec<_> = work.names().into_iter().map(|name| (work.read(&name), name)).collect();
    let older = digest(&work);
    server.accept_token(TOKEN);
    run(&work, &server).args(["--resume"]).exits(0);
    let newer = digest(&work);
    check_given(&work, &newer, 0);
    assert!(check_given(&work, &older, 1).contains("which resume at"));
    let restore = |name: &str| {
        let (text, _) = old.iter().find(|(_, known)| known == name).expect("it was there");
        work.write(name, text);
    };
    restore(MANIFEST);
    let said = check(&work, &[], 1);
    assert!(said.contains("s.results.csv: differs: there is more in it"), "{said}");
    // All of the earlier state fits together: only what was kept elsewhere shows that there is a later one.
    for (_, name) in &old {
        restore(name);
    }
    check(&work, &[], 0);
    assert!(check_given(&work, &newer, 1).contains("isn't in its history"));
}

fn sealed(program: Program) -> Program {
    program.env("SLACK_REVOKE_SEAL_COMMAND", "echo $SLACK_REVOKE_MANIFEST_SHA256")
}

/// What the command above made of the manifest as it is.
#[track_caller]
fn assert_sealed(work: &Workdir) {
    let digest = digest(work);
    assert_eq!(work.read(&format!("{MANIFEST}.{digest}.seal")), digest + "\n");
    assert!(check(work, &[], 0).contains(".seal: of the manifest as it is"));
}

/// A run of ten rows that ends with this exit code after some of them.
fn stopped_by(code: i32) -> (Workdir, Server) {
    let every = |error: &str| ReplyScript {
        every: Some(RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from(error)))),
        ..ReplyScript::default()
    };
    let well = config(sessions(1_000, 10));
    let (trouble, flags): (_, &[&str]) = match code {
        3 => (StandInConfig { script: every("user_not_found"), ..well }, &["--max-failures", "2"]),
        4 => {
            let tokens = vec![StandInToken { ends: Some((5, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
            (StandInConfig { tokens, ..well }, &[])
        }
        5 => (
            StandInConfig { script: every("service_unavailable"), ..well },
            &["--retries", "9", "--max-retry-after", "10ms"],
        ),
        _ => (well, &["--rate", "1/h"]),
    };
    let (work, server) = (Workdir::new(), start(trouble));
    work.write("s.csv", rows(1_000, 10));
    let program = sealed(run(&work, &server).args(["-j", "1"]).args(flags.iter().copied()));
    if code != 130 {
        program.exits(code);
        return (work, server);
    }
    let mut running = program.start();
    until(&mut running, || accepted(&server) > 0);
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(130));
    (work, server)
}

/// With a limit on the size of each file, which is as good as a full disk.
fn on_a_full_disk() -> (Workdir, Finished) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 400))));
    work.write("s.csv", rows(1_000, 400));
    let run = format!("slack-revoke run s.csv --yes --rate 1000/s --api-url {}", server.url());
    let line = format!("sh -c \"trap '' XFSZ; ulimit -f 16; exec {run} --summary-json summary.json\"");
    let finished = sealed(work.shell(&line).token(TOKEN)).exits(7);
    (work, finished)
}

#[test]
fn a_stopped_run_is_sealed_and_can_be_checked() {
    for code in [3, 4, 5, 130] {
        let (work, _server) = stopped_by(code);
        assert_sealed(&work);
        let honest = digest(&work);
        let said = check_given(&work, &honest, 0);
        assert!(said.contains("remaining  s.results.remaining.csv: as recorded"), "{code}: {said}");
        let _forged = edit(&work, RESULTS, |text| {
            text + "T1,1009,11,revoked,,,200,1,0,2026-11-27T12:00:00.000Z,2026-11-27T12:00:00.000Z,\n"
        });
        check(&work, &[], 1);
        forge_manifest(&work, &[("revoked", 1)]);
        check_given(&work, &honest, 1);
    }
    let (work, finished) = on_a_full_disk();
    assert_sealed(&work);
    let honest = digest(&work);
    assert!(finished.stderr().contains(&honest), "{}", finished.stderr());
    check_given(&work, &honest, 0);
    let _forged = edit(&work, RESULTS, |text| text.replacen(",revoked,", ",unknown,", 1));
    check(&work, &[], 1);
}

/// Of a run that was killed, what an earlier run sealed is compared, and what the manifest has counted.
#[test]
fn a_killed_run_is_checked_and_its_missing_end_reported() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    work.write("s.csv", rows(1_000, 5));
    run(&work, &server).exits(0);
    work.write("s.csv", rows(1_000, 10));
    let sealed = work.read(RESULTS);
    let mut running = run(&work, &server).args(["--resume", "--rate", "1/h"]).start();
    until(&mut running, || accepted(&server) > 5);
    let going_on = check(&work, &[], 1);
    assert!(going_on.contains("is still going on"), "{going_on}");
    running.kill();
    let said = check(&work, &[], 1);
    assert!(said.contains("has no end") && said.contains("1 of "), "{said}");
    assert!(said.contains("results    s.results.csv: as recorded"), "{said}");
    for forge in [&(|text: String| text.replacen(",revoked,", ",unknown,", 1)) as &dyn Fn(String) -> String, &|text| {
        text.replacen(sealed.lines().nth(1).expect("a record"), "", 1)
    }] {
        let undo = edit(&work, RESULTS, forge);
        let said = check(&work, &[], 1);
        assert!(said.contains("results    s.results.csv: differs"), "{said}");
        undo();
    }
    run(&work, &server).args(["--resume"]).exits(0);
    check_given(&work, &digest(&work), 0);
}
