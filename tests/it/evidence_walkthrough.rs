//! `docs/evidence.md`, followed by two people with its own commands.

use crate::harness::{Finished, TOKEN, Workdir, accepted, config, start};
use slack_revoke::stand_in::{Server, Session};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../docs/evidence.md");

/// The blocks of commands of the first section, in their order, as they are written.
fn blocks() -> [&'static str; 5] {
    let (_, section) = PAGE.split_once("\n## From plan to sealed report\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let blocks: Vec<_> =
        section.split("```sh\n").skip(1).map(|rest| rest.split_once("```").expect("it is closed").0).collect();
    blocks.try_into().expect("five blocks")
}

/// Whether what the page needs is there; if not, says what isn't tested.
fn has_tools() -> bool {
    ["jq", "ssh-keygen"].into_iter().all(|tool| {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        let is_there = found.is_ok_and(|found| found.success());
        if !is_there {
            println!("left out: no {tool} here");
        }
        is_there
    })
}

struct Story {
    work: Workdir,
    server: Server,
}

impl Story {
    fn new() -> Self {
        let sessions = (0..12).map(|row| Session::new(1_000 + row, "T1", &format!("U{row}"))).collect();
        let (work, server) = (Workdir::new(), start(config(sessions)));
        let rows: Vec<_> = (0..12).map(|row| format!("U{row},{},T1\n", 1_000 + row)).collect();
        work.write("sessions.csv", format!("user_id,session_id,team_id\n{}", rows.concat()));
        work.write("keep.txt", "U10\n");
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
        symlink(samples, work.path("samples")).expect("a link");
        Self { work, server }
    }

    /// Dana's shell has no token.
    fn dana(&self, block: &str) -> Finished {
        self.work.write("block.sh", block);
        self.work.shell("sh -eu block.sh").env("SLACK_REVOKE_API_URL", &self.server.url()).finish()
    }

    fn sam(&self, block: &str) -> Finished {
        self.work.write("block.sh", block);
        let shell = self.work.shell("sh -eu block.sh").token(TOKEN).env("SLACK_REVOKE_RATE", "unlimited");
        shell.env("SLACK_REVOKE_API_URL", &self.server.url()).finish()
    }

    /// Up to the digest in the ticket.
    fn told(&self) {
        let [keys, plan, run, digest, _] = blocks();
        for finished in [self.sam(keys), self.dana(plan), self.sam(run), self.sam(digest)] {
            assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        }
    }

    fn checked(&self) -> Finished {
        self.dana(blocks()[4])
    }
}

#[test]
fn two_people_get_from_the_plan_to_the_sealed_report() {
    if !has_tools() {
        return;
    }
    let story = Story::new();
    story.told();
    assert_eq!(story.server.live_sessions(), [1_010]);
    let checked = story.checked();
    let said = checked.stdout() + &checked.stderr();
    assert_eq!(checked.code(), Some(0), "{said}");
    let digest = story.work.read("digest");
    for want in [
        "results    sessions.results.csv: as recorded",
        "events     events.ndjson: as recorded",
        "verified   sessions.results.verified.csv: as recorded",
        "report     sessions.results.report.html: as recorded",
        &format!("SHA-256 {}, as given", digest.trim()),
        ".seal: of the manifest as it is",
        "Good \"slack-revoke\" signature for sam@example.com",
        "true\n",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
    let seals = story.work.names().into_iter().filter(|name| name.contains(".manifest.json.")).count();
    assert_eq!(seals, 3, "of the run, of verify and of report");
    let page = story.work.read("sessions.results.report.html");
    assert!(page.contains("approved by dana@example.com"));
}

#[test]
fn what_changes_between_the_steps_stops_the_run_or_fails_the_check() {
    if !has_tools() {
        return;
    }
    let [keys, plan, run, ..] = blocks();
    for (file, change) in [("sessions.csv", "U12,1012,T1\n"), ("keep.txt", "U3\n")] {
        let story = Story::new();
        story.sam(keys);
        story.dana(plan);
        story.work.write(file, story.work.read(file) + change);
        let stopped = story.sam(run);
        assert_eq!((stopped.code(), accepted(&story.server)), (Some(2), 0), "{}", stopped.stderr());
    }
    let story = Story::new();
    story.told();
    for file in [
        "sessions.results.csv",
        "sessions.results.csv.manifest.json",
        "events.ndjson",
        "sessions.results.report.html",
        "digest",
    ] {
        let before = story.work.read(file);
        let digit = before.rfind(|character: char| character.is_ascii_digit()).expect("a digit");
        let other = if &before[digit..=digit] == "0" { "1" } else { "0" };
        story.work.write(file, format!("{}{other}{}", &before[..digit], &before[digit + 1..]));
        assert_ne!(story.checked().code(), Some(0), "{file}");
        fs::write(story.work.path(file), before).expect("a file");
    }
    assert_eq!(story.checked().code(), Some(0));
}
