//! What is run, and what must hold afterwards.

use crate::fault::Ended;
use crate::place::{INPUT, NEVER, OTHER, Place};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::process::Output;

/// A command to disturb, what precedes it, and the check that follows it.
pub struct Scenario {
    pub name: &'static str,
    pub before: fn(&Place),
    pub command: fn(&Place) -> Vec<String>,
    /// Given how the command ended and which sessions had been asked for by then.
    pub check: fn(&Place, &Ended, &[u64]) -> Result<(), String>,
}

pub const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "run", before: inputs, command: run, check: resumed },
    Scenario { name: "resume", before: cut_off, command: resume, check: resumed },
    Scenario { name: "another input", before: last_night, command: night, check: next_night },
    Scenario { name: "another file system", before: last_night_elsewhere, command: night_elsewhere, check: next_night },
    Scenario { name: "list", before: nothing, command: list, check: listed },
    Scenario { name: "verify", before: finished, command: verify, check: verified },
    Scenario { name: "report", before: finished, command: report, check: reported },
    Scenario { name: "rehearsal", before: inputs, command: rehearse, check: rehearsed },
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

const SAFETY: [&str; 7] = ["--yes", "--protect", "keep.txt", "--rate", "1000/s", "-j", "1"];

fn run(_: &Place) -> Vec<String> {
    words(&[&["run", "in.csv"][..], &SAFETY].concat())
}

fn resume(_: &Place) -> Vec<String> {
    words(&[&["run", "in.csv", "--resume"][..], &SAFETY].concat())
}

fn night(_: &Place) -> Vec<String> {
    words(&[&["run", "in.csv", "--resume-or-start"][..], &SAFETY].concat())
}

fn night_elsewhere(place: &Place) -> Vec<String> {
    let remaining = place.elsewhere("remaining.csv").to_string_lossy().into_owned();
    [night(place), words(&["--remaining", &remaining])].concat()
}

fn list(_: &Place) -> Vec<String> {
    words(&["list", "--rate", "unlimited", "-o", "list.csv"])
}

fn verify(_: &Place) -> Vec<String> {
    words(&["verify", "in.results.csv", "--rate", "unlimited", "-o", "verified.csv"])
}

fn report(_: &Place) -> Vec<String> {
    words(&["report", "in.results.csv", "-o", "report.html"])
}

fn rehearse(_: &Place) -> Vec<String> {
    words(&["run", "--rehearse", "in.csv", "-q"])
}

fn nothing(_: &Place) {}

fn inputs(place: &Place) {
    place.write("in.csv", INPUT);
    place.write("keep.txt", "U9\n");
}

/// A run that ended, with nothing left but its bad row.
fn finished(place: &Place) {
    inputs(place);
    exits(&place.undisturbed(&run(place)), &[1]).expect("an undisturbed run");
}

/// A run that stopped after some rows.
fn cut_off(place: &Place) {
    inputs(place);
    place.write("first.csv", &INPUT.lines().take(4).fold(String::new(), |text, line| text + line + "\n"));
    let first = words(&[&["run", "first.csv", "-o", "in.results.csv"][..], &SAFETY].concat());
    exits(&place.undisturbed(&first), &[0]).expect("an undisturbed run");
    std::fs::remove_file(place.path("first.csv")).expect("it was written above");
}

fn last_night(place: &Place) {
    finished(place);
    place.write("in.csv", OTHER);
}

fn last_night_elsewhere(place: &Place) {
    inputs(place);
    exits(&place.undisturbed(&night_elsewhere(place)), &[1]).expect("an undisturbed run");
    place.write("in.csv", OTHER);
}

fn exits(output: &Output, codes: &[i32]) -> Result<(), String> {
    if output.status.code().is_some_and(|code| codes.contains(&code)) {
        return Ok(());
    }
    Err(format!("undisturbed: exit {:?}: {}", output.status.code(), String::from_utf8_lossy(&output.stderr)))
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Line, session and status of each record; an error if a line stands twice.
fn statuses(place: &Place, name: &str) -> Result<BTreeMap<u64, (String, String)>, String> {
    let text = place.read(name)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let column =
        |name: &str| header.iter().position(|column| column == name).ok_or(format!("no column {name}: {text}"));
    let (line, session, status) = (column("line")?, column("session_id")?, column("status")?);
    let mut statuses = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| format!("{error}: {text}"))?;
        let key = record[line].parse().map_err(|_| format!("no line number: {text}"))?;
        let before = statuses.insert(key, (record[session].to_owned(), record[status].to_owned()));
        ensure(before.is_none(), || format!("line {key} stands twice: {text}"))?;
    }
    Ok(statuses)
}

fn resumed(place: &Place, ended: &Ended, sent: &[u64]) -> Result<(), String> {
    if ended.code == Some(1) {
        complete(place, INPUT, sent)?;
    }
    exits(&place.undisturbed(&night(place)), &[1])?;
    complete(place, INPUT, sent)?;
    ensure(place.read("in.results.remaining.csv")?.ends_with("\nabc,T1,U4,x\n"), || "another .remaining".to_owned())?;
    only(place, &["in.results.remaining.csv"])
}

fn next_night(place: &Place, _: &Ended, sent: &[u64]) -> Result<(), String> {
    exits(&place.undisturbed(&night_as_before(place)), &[0])?;
    complete(place, OTHER, sent)?;
    let ours: Vec<_> = place.names().into_iter().filter(|name| name.starts_with("in.results.2")).collect();
    let manifest = ours.iter().find_map(|name| name.strip_suffix(".manifest.json"));
    let results = manifest.ok_or_else(|| format!("last night's manifest: {ours:?}"))?;
    let old = statuses(place, results)?;
    ensure(old.len() == INPUT.lines().count() - 1, || format!("last night's records: {old:?}"))?;
    let extra: Vec<_> = place.names().into_iter().filter(|name| name.ends_with("remaining.csv")).collect();
    ensure(extra.len() == 1 && extra[0].starts_with("in.results.2"), || format!("remaining: {extra:?}"))?;
    let known: Vec<&str> = ours.iter().map(String::as_str).collect();
    only(place, &known)
}

/// The command of the night again, with the flags that the scenario used.
fn night_as_before(place: &Place) -> Vec<String> {
    let manifest = place.read("in.results.csv.manifest.json").unwrap_or_default();
    if manifest.contains("remaining.csv") || place.names().iter().any(|name| name == "remaining.csv") {
        return night_elsewhere(place);
    }
    night(place)
}

/// One record per row, `revoked` only if gone, nothing said of a row that was never sent, and the manifest agrees.
fn complete(place: &Place, input: &str, sent: &[u64]) -> Result<(), String> {
    let statuses = statuses(place, "in.results.csv")?;
    let rows = input.lines().skip(1).zip(2_u64..);
    ensure(statuses.len() == input.lines().count() - 1, || format!("records: {statuses:?}"))?;
    for (row, line) in rows {
        let id = row.split(',').next().expect("a first cell");
        let (recorded, status) = statuses.get(&line).ok_or_else(|| format!("no record of line {line}"))?;
        ensure(recorded == id, || format!("line {line} is {id}, recorded is {recorded}"))?;
        status_is_true(place, id, status, sent)?;
    }
    ensure(place.server.is_alive(50), || "a session that nobody listed is gone".to_owned())?;
    let manifest: serde_json::Value =
        serde_json::from_str(&place.read("in.results.csv.manifest.json")?).map_err(|error| error.to_string())?;
    let hash = Sha256::digest(place.read("in.results.csv")?)
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    ensure(manifest.to_string().contains(&hash), || format!("the manifest names another hash: {manifest}"))?;
    ensure(manifest["complete"] == true, || format!("not complete: {manifest}"))
}

fn status_is_true(place: &Place, id: &str, status: &str, sent: &[u64]) -> Result<(), String> {
    let wrong = || Err(format!("session {id} is called {status}"));
    let Ok(session) = id.parse::<u64>() else {
        return ensure(status == "invalid", || format!("{id} is called {status}"));
    };
    let alive = place.server.is_alive(session);
    match (session, status) {
        (9, "protected") if alive => Ok(()),
        (9, _) => wrong(),
        (_, "revoked" | "already_revoked") if alive => wrong(),
        (NEVER.., "not_found") => Ok(()),
        // It may have been in flight when the program died, or the night before has ended it.
        (NEVER.., "already_revoked") | (4 | 5, "not_found") if sent.contains(&session) => Ok(()),
        (1..=5, "revoked" | "already_revoked") => Ok(()),
        _ => wrong(),
    }
}

/// Nothing is left but what a run leaves, and these.
fn only(place: &Place, others: &[&str]) -> Result<(), String> {
    let usual = ["in.csv", "keep.txt", "in.results.csv", "in.results.csv.manifest.json"];
    let left: Vec<_> =
        place.names().into_iter().filter(|name| !usual.contains(&&**name) && !others.contains(&&**name)).collect();
    ensure(left.is_empty(), || format!("left behind: {left:?}"))
}

fn listed(place: &Place, ended: &Ended, _: &[u64]) -> Result<(), String> {
    if ended.code != Some(0) {
        let output = place.undisturbed(&[list(place), words(&["--resume"])].concat());
        // The last sync may have failed behind a list that is complete; before the first page there is nothing to go on with.
        let is_complete = String::from_utf8_lossy(&output.stderr).contains("list.csv is complete");
        if output.status.code() != Some(0) && !is_complete {
            exits(&place.undisturbed(&list(place)), &[0])?;
        }
    }
    let text = place.read("list.csv")?;
    let mut ids: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').nth(2)).collect();
    ids.sort_unstable();
    ensure(ids == ["1", "2", "3", "4", "5", "50", "9"], || format!("listed: {text}"))?;
    only(place, &["list.csv", "list.csv.listing.json"])
}

fn verified(place: &Place, ended: &Ended, sent: &[u64]) -> Result<(), String> {
    complete(place, INPUT, sent)?;
    let expected = [0, 1];
    if ended.code.is_some_and(|code| expected.contains(&code)) {
        place.read("verified.csv")?;
    }
    exits(&place.undisturbed(&verify(place)), &expected)?;
    let text = place.read("verified.csv")?;
    ensure(text.lines().count() > 1, || format!("verified: {text}"))?;
    only(place, &["in.results.remaining.csv", "verified.csv"])
}

fn reported(place: &Place, ended: &Ended, sent: &[u64]) -> Result<(), String> {
    complete(place, INPUT, sent)?;
    if ended.code == Some(0) {
        place.read("report.html")?;
    }
    exits(&place.undisturbed(&report(place)), &[0])?;
    ensure(place.read("report.html")?.trim_end().ends_with("</html>"), || "half a page".to_owned())?;
    only(place, &["in.results.remaining.csv", "report.html"])
}

fn rehearsed(place: &Place, _: &Ended, _: &[u64]) -> Result<(), String> {
    exits(&place.undisturbed(&rehearse(place)), &[1])?;
    let statuses = statuses(place, "in.rehearsal.csv")?;
    ensure(statuses.len() == INPUT.lines().count() - 1, || format!("records: {statuses:?}"))?;
    ensure(place.sent().is_empty(), || "a rehearsal called the server".to_owned())?;
    let results = ["in.rehearsal.csv", "in.rehearsal.csv.manifest.json", "in.rehearsal.remaining.csv"];
    only(place, &[&results[..], &["rehearsal-organization.csv"]].concat())
}
