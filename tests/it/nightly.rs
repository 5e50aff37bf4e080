//! A job on a timer: the same command line every night, whatever the night before left.

use crate::harness::{Finished, Program, TOKEN, Workdir, accepted, config, rows, sessions, start, until};
use slack_revoke::stand_in::{Latency, Server, StandInConfig, StandInToken, TokenEnd};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const LATENCY: Latency = Latency::Fixed(Duration::from_millis(15));

fn nightly(work: &Workdir, server: &Server) -> Program {
    work.run(server, "in.csv").args(["--resume-or-start", "--rate", "1000/s", "-j", "4"])
}

/// The files put aside: those with a run's id in their names.
fn aside(work: &Workdir) -> Vec<String> {
    let names = work.names().into_iter();
    names.filter(|name| name.starts_with("in.results.2")).collect()
}

fn run_id(work: &Workdir, manifest: &str) -> String {
    let manifest = work.json(manifest);
    manifest["runs"].as_array().and_then(|runs| runs.last()).expect("a run")["run_id"].as_str().expect("an id").into()
}

/// Cuts a run of `count` rows off by SIGKILL, somewhere in the middle.
fn cut_off(work: &Workdir, server: &Server, count: u64) {
    let mut running = nightly(work, server).start();
    until(&mut running, || accepted(server) >= count / 2);
    running.kill();
    assert!((work.read("in.results.csv").lines().count() as u64) < count);
}

#[test]
fn a_run_interrupted_by_a_reboot_is_resumed_by_the_same_command() {
    let (work, server) = (Workdir::new(), start(StandInConfig { latency: LATENCY, ..config(sessions(1_000, 300)) }));
    work.write("in.csv", rows(1_000, 300));
    cut_off(&work, &server, 300);
    nightly(&work, &server).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!((results.statuses().len(), results.count("not_found")), (300, 0));
    assert_eq!(work.json("in.results.csv.manifest.json")["runs"].as_array().map(Vec::len), Some(2));
    assert!(aside(&work).is_empty());
}

#[test]
fn only_appended_rows_are_sent_after_a_complete_run() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 5))));
    work.write("in.csv", rows(1_000, 3));
    nightly(&work, &server).exits(0);
    let before = work.read("in.results.csv");
    let said = nightly(&work, &server).exits(0).stderr();
    assert!(said.contains("nothing to do: every row of this input has ended"), "{said}");
    assert_eq!((work.read("in.results.csv"), accepted(&server)), (before.clone(), 3));
    assert_eq!(nightly(&work, &server).args(["-q"]).exits(0).stderr(), "");
    work.write("in.csv", rows(1_000, 5));
    nightly(&work, &server).exits(0);
    assert!(work.read("in.results.csv").starts_with(&before));
    assert_eq!((work.results("in.results.csv").records.len(), accepted(&server)), (5, 5));
    assert!(aside(&work).is_empty());
}

#[test]
fn another_input_starts_a_new_run_and_archives_the_old_one() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 6))));
    work.write("in.csv", rows(1_000, 3));
    nightly(&work, &server).args(["--on-finish", "true"]).exits(0);
    let (results, manifest) = (work.read("in.results.csv"), work.read("in.results.csv.manifest.json"));
    let id = run_id(&work, "in.results.csv.manifest.json");
    // Other columns, and lines that have other rows: nothing of the old results is taken for the new input's.
    work.write("in.csv", "session_id,team_id,note\n1003,T1,x\n1004,T1,y\n");
    let plan = work.program(["plan", "in.csv", "--resume-or-start"]).exits(0);
    assert!(plan.stdout().contains("to send     2 rows"), "{}", plan.stdout());
    assert_eq!(work.read("in.results.csv"), results, "a plan moves nothing");
    let said = nightly(&work, &server).exits(0).stderr();
    assert!(said.contains(&format!("in.results.{id}.csv")), "{said}");
    assert_eq!(work.results("in.results.csv").statuses().into_values().collect::<Vec<_>>(), ["revoked"; 2]);
    assert_eq!(work.read(&format!("in.results.{id}.csv")), results);
    assert_eq!(work.read(&format!("in.results.{id}.csv.manifest.json")), manifest);
    assert_eq!(aside(&work), ["", ".manifest.json", ".summary.json"].map(|end| format!("in.results.{id}.csv{end}")));
    // A third night puts the second aside too.
    work.write("in.csv", rows(1_005, 1));
    nightly(&work, &server).args(["-q"]).exits(0);
    assert_eq!((aside(&work).len(), accepted(&server)), (5, 6));
}

#[test]
fn unfinished_rows_of_an_archived_run_are_reported_and_can_be_sent() {
    let (work, server) = (Workdir::new(), start(StandInConfig { latency: LATENCY, ..config(sessions(1_000, 301)) }));
    work.write("in.csv", rows(1_000, 300));
    cut_off(&work, &server, 300);
    let ended = work.read("in.results.csv").lines().count() - 1;
    std::fs::rename(work.path("in.csv"), work.path("yesterday.csv")).expect("a rename");
    work.write("in.csv", rows(1_300, 1));
    let said = nightly(&work, &server).args(["-q"]).exits(0).stderr();
    for want in ["didn't finish", &format!("{} rows of it have no record", 300 - ended), "--resume"] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert_eq!(work.results("in.results.csv").records.len(), 1);
    let results = aside(&work).into_iter().find(|name| !name.contains(".csv."));
    let results = results.expect("results put aside");
    let flags = ["-o", &results, "--resume", "--rate", "1000/s", "-j", "4"];
    work.run(&server, "yesterday.csv").args(flags).exits(0);
    let results = work.results(&results);
    assert_eq!((results.statuses().len(), results.count("not_found")), (300, 0), "the journal went with them");
}

#[test]
fn a_death_during_archiving_is_recovered() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 4))));
    work.write("in.csv", rows(1_000, 3));
    nightly(&work, &server).exits(0);
    let id = run_id(&work, "in.results.csv.manifest.json");
    std::fs::rename(work.path("in.results.csv"), work.path(&format!("in.results.{id}.csv"))).expect("a rename");
    work.write("in.csv", rows(1_003, 1));
    let said = nightly(&work, &server).args(["-q"]).exits(0).stderr();
    assert_eq!(said, "", "it did end");
    assert_eq!(aside(&work), ["", ".manifest.json"].map(|end| format!("in.results.{id}.csv{end}")));
    assert_eq!(work.results("in.results.csv").records.len(), 1);
}

/// A folder on another filesystem; `None` if this machine has none.
fn elsewhere() -> Option<TempDir> {
    let folder = tempfile::tempdir_in("/dev/shm").ok()?;
    let device = |path: &Path| std::fs::metadata(path).expect("a folder").dev();
    (device(folder.path()) != device(&std::env::temp_dir())).then_some(folder)
}

#[test]
fn a_remaining_file_on_another_disk_is_archived_after_any_interruption() {
    let Some(other_disk) = elsewhere() else {
        println!("left out: no other filesystem here");
        return;
    };
    let remaining = other_disk.path().join("r.csv");
    let flags = ["--remaining", remaining.to_str().expect("text")];
    for left in ["", "copy", "part"] {
        let tokens = vec![StandInToken { ends: Some((2, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
        let (work, server) = (Workdir::new(), start(StandInConfig { tokens, ..config(sessions(1_000, 6)) }));
        work.write("in.csv", rows(1_000, 5));
        nightly(&work, &server).args(flags).exits(4);
        server.accept_token(TOKEN);
        let content = std::fs::read_to_string(&remaining).expect("rows that remain");
        let id = run_id(&work, "in.results.csv.manifest.json");
        let target = format!("in.results.{id}.remaining.csv");
        match left {
            "copy" => drop(work.write(&target, &content)),
            "part" => drop(work.write(&format!("{target}.part"), &content[..20])),
            _ => {}
        }
        work.write("in.csv", rows(1_005, 1));
        nightly(&work, &server).args(flags).exits(0);
        assert_eq!(work.read(&target), content, "{left}");
        let moved = ["", ".journal", ".manifest.json"].map(|end| format!("in.results.{id}.csv{end}"));
        assert_eq!(aside(&work), [&moved[..], &[target]].concat(), "{left}");
        assert!(!remaining.exists(), "{left}: nothing remains of the new input");
    }
}

#[test]
fn a_foreign_remaining_file_is_not_archived() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 4))));
    work.write("in.csv", rows(1_000, 3));
    nightly(&work, &server).exits(0);
    work.write("payroll.csv", "name,salary\nAda,1\n");
    work.write("in.csv", rows(1_003, 1));
    let names = work.names();
    let refused = nightly(&work, &server).args(["--remaining", "payroll.csv"]).exits(2);
    assert!(refused.stderr().contains("payroll.csv"), "{}", refused.stderr());
    assert_eq!((work.read("payroll.csv").as_str(), work.names()), ("name,salary\nAda,1\n", names));
}

/// Another night, another `--remaining`: the file of the first name must not stay in the way of it.
#[test]
fn a_remaining_file_of_any_name_is_archived() {
    let tokens = vec![StandInToken { ends: Some((2, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let (work, server) = (Workdir::new(), start(StandInConfig { tokens, ..config(sessions(1_000, 7)) }));
    work.write("in.csv", rows(1_000, 5));
    nightly(&work, &server).exits(4);
    server.accept_token(TOKEN);
    work.write("in.csv", rows(1_005, 1));
    nightly(&work, &server).args(["--remaining", "r.csv"]).exits(0);
    assert!(!work.exists("in.results.remaining.csv"), "{:?}", work.names());
    work.write("in.csv", rows(1_006, 1));
    nightly(&work, &server).exits(0);
}

#[test]
fn foreign_files_are_refused_with_resume_or_start() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 4))));
    work.write("in.csv", rows(1_000, 3));
    work.write("in.results.csv", "somebody,elses\n1,2\n");
    nightly(&work, &server).exits(2);
    assert_eq!((work.names(), accepted(&server)), (vec!["in.csv".into(), "in.results.csv".into()], 0));
    work.program(["run", "in.csv", "--rehearse"]).exits(0);
    nightly(&work, &server).args(["-o", "in.rehearsal.csv"]).exits(2);
    work.program(["run", "in.csv", "--rehearse", "--resume-or-start"]).exits(2);
}

/// Gives the input the time of its listing.
fn listed(work: &Workdir, ago: Duration) {
    let file = File::options().write(true).open(work.path("in.csv")).expect("the input");
    #[expect(clippy::disallowed_methods, reason = "the program compares it with the real clock")]
    file.set_modified(SystemTime::now() - ago).expect("its time");
}

#[test]
fn an_old_input_causes_a_warning_at_the_start() {
    const HOUR: u64 = 3_600;
    let warns = |finished: Finished| finished.stderr().contains("sessions that began since are not in it");
    for (hours, want) in [(23, false), (25, true)] {
        let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
        work.write("in.csv", rows(1_000, 3));
        listed(&work, Duration::from_secs(hours * HOUR));
        let plan: serde_json::Value =
            serde_json::from_str(&work.program(["plan", "in.csv", "--json"]).exits(0).stdout()).expect("JSON");
        assert_eq!(plan["input_age_seconds"].as_u64().map(|age| age / HOUR), Some(hours));
        assert!(!warns(work.program(["run", "in.csv", "--rehearse"]).exits(0)), "a rehearsal takes any list");
        let said = work.run(&server, "in.csv").exits(0);
        assert!(!want || said.stderr().contains("slack-revoke list -o"), "{}", said.stderr());
        assert_eq!(warns(said), want, "{hours} h");
        assert!(!warns(work.run(&server, "in.csv").args(["--resume"]).exits(0)), "it is too late for another list");
        let piped = work.run(&server, "-").args(["-o", "piped.csv"]).stdin(rows(1_000, 3));
        assert!(!warns(piped.exits(0)), "standard input has no age");
    }
}
