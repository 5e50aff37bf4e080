//! The samples for timers: their command lines and exit codes are the program's, and a night's work is what they say. What
//! systemd, cron, Kubernetes and Docker make of them, `samples/check` asks these themselves.

use crate::harness::{Results, TOKEN, Workdir, config, sessions, start};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use slack_revoke::cli;
use slack_revoke::model::ExitStatus;
use slack_revoke::stand_in::{Latency, Server, StandInConfig};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const SERVICE: &str = include_str!("../../samples/systemd/slack-revoke.service");
const CRON: &str = include_str!("../../samples/cron/slack-revoke.cron");
const CRONJOB: &str = include_str!("../../samples/kubernetes/cronjob.yaml");
const DOCKERFILE: &str = include_str!("../../samples/Dockerfile");
const README: &str = include_str!("../../samples/README.md");

/// A command line as words; quotes hold words together, and a backslash at the end of a line joins it with the next.
fn words(text: &str) -> Vec<String> {
    let (text, mut words, mut word, mut is_quoted) = (text.replace("\\\n", " "), Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    assert!(!is_quoted, "a quote is left open: {text}");
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// The value of a unit's setting, with the lines that continue it.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let (_, rest) = unit.split_once(&format!("\n{name}=")).unwrap_or_else(|| panic!("no {name}="));
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        end += line.len();
        if !line.ends_with("\\\n") {
            break;
        }
    }
    rest[..end].trim_end()
}

/// The commands of the cron table, each with what comes before it on its line.
fn cron_lines() -> Vec<&'static str> {
    let is_entry = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit() || first == '@' || first == '*');
    CRON.lines().filter(is_entry).collect()
}

/// The items of the list under `key:`, each on a line of its own.
fn yaml_list(key: &str) -> Vec<String> {
    let mut lines = CRONJOB.lines().skip_while(|line| line.trim() != format!("{key}:")).skip(1);
    let items = lines.by_ref().map_while(|line| line.trim().strip_prefix("- "));
    items.map(|item| item.trim_matches('"').to_owned()).collect()
}

/// What an instruction of the Dockerfile has between its brackets.
fn instruction(name: &str) -> Vec<String> {
    let line = DOCKERFILE.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The program's own part of a command line: its name as `slack-revoke`, then its arguments.
fn own_part(line: &[String]) -> Vec<String> {
    // The folder of the job and the user have the same name, and stand before it.
    let is_name = |word: &String| Path::new(word).file_name().is_some_and(|name| name == "slack-revoke");
    let at = line.iter().rposition(is_name).unwrap_or_else(|| panic!("the program is not called in {line:?}"));
    line[at..].to_vec()
}

/// A line that a timer of the samples starts, and the variables that it is started with.
struct Night {
    place: &'static str,
    line: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

/// Every way in which the samples run every night; systemd's is the first.
fn nightly() -> Vec<Night> {
    let night = |place, line: &[String], variables| Night { place, line: own_part(line), variables };
    let of_table: Vec<_> =
        CRON.lines().filter(|line| line.starts_with("SLACK")).filter_map(|line| line.split_once('=')).collect();
    // What `LoadCredential=` comes to.
    let of_systemd = vec![("CREDENTIALS_DIRECTORY", "/run/secrets/slack-revoke/")];
    let mut nights = vec![night("systemd", &words(setting(SERVICE, "ExecStart")), of_systemd)];
    nights.extend(cron_lines().into_iter().map(|line| night("cron", &words(line), of_table.clone())));
    nights.push(night("Kubernetes", &yaml_list("args"), Vec::new()));
    nights
}

/// The commands in README's blocks of code.
fn shown() -> Vec<Vec<String>> {
    let blocks = README.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).filter(|line| line.trim_start().starts_with("slack-revoke "));
    lines.map(|line| words(line.split("  #").next().unwrap_or_default())).collect()
}

#[test]
fn every_command_line_in_the_samples_parses() {
    let docker = [instruction("ENTRYPOINT "), instruction("CMD ")].concat();
    let mut lines: Vec<_> = nightly().into_iter().map(|night| (night.place, night.line)).collect();
    lines.extend(shown().into_iter().map(|line| ("README", line)));
    assert!(lines.len() >= 5, "a sample is not read any more");
    for (place, line) in lines {
        if let Err(error) = cli::parse(line.iter().map(OsString::from)) {
            panic!("{place}: {}: {error}", line.join(" "));
        }
    }
    let help = cli::parse(docker.iter().map(OsString::from)).expect_err("the image's default is the help");
    assert_eq!(help.exit_code(), 0, "{help}");
}

#[test]
fn the_nightly_sample_runs_without_a_terminal() {
    for Night { place, line, .. } in nightly() {
        for flag in ["--resume-or-start", "--yes"] {
            assert!(line.iter().any(|word| word == flag), "{place} without {flag}");
        }
    }
    // A token in a variable of the file would be there for everybody to read.
    for sample in [SERVICE, CRON, CRONJOB, DOCKERFILE] {
        assert!(!sample.contains("xoxp") && !sample.contains("SLACK_TOKEN="));
    }
}

fn numbers(text: &str) -> Vec<u8> {
    let digits = text.split(|character: char| !character.is_ascii_digit()).filter(|word| !word.is_empty());
    digits.map(|word| word.parse().expect("an exit code")).collect()
}

/// `values: [1, 2]` after the line `- action: NAME`.
fn pod_failure_codes(action: &str) -> Vec<u8> {
    let (_, rest) = CRONJOB.split_once(&format!("- action: {action}\n")).expect("a rule");
    let line = rest.lines().find_map(|line| line.trim().strip_prefix("values: ")).expect("values");
    numbers(line)
}

#[test]
fn the_samples_handle_every_exit_code() {
    let table: BTreeSet<u8> = ExitStatus::TABLE.iter().map(|(_, code, _)| *code).collect();
    let not_again = numbers(setting(SERVICE, "RestartPreventExitStatus"));
    let no_failure = numbers(setting(SERVICE, "SuccessExitStatus"));
    let named: BTreeSet<u8> = not_again.iter().chain(&no_failure).copied().collect();
    // What is left is tried again: Slack out of reach.
    let left: Vec<u8> = table.difference(&named).copied().collect();
    assert!(named.is_subset(&table) && left == [0, 5], "{named:?} leaves {left:?}");

    let (fail, count) = (pod_failure_codes("FailJob"), pod_failure_codes("Count"));
    let mut pods: Vec<u8> = fail.iter().chain(&count).copied().collect();
    pods.sort_unstable();
    let failures: Vec<u8> = table.iter().copied().filter(|code| *code != 0).collect();
    assert_eq!(pods, failures, "the CronJob's rules");

    let rows = README.lines().filter_map(|line| line.strip_prefix("| ")).filter_map(|row| row.split(" | ").next());
    let told: Vec<u8> = rows.filter_map(|cell| cell.parse().ok()).collect();
    assert_eq!(told, ExitStatus::TABLE.map(|(_, code, _)| code), "the table in samples/README.md");
}

/// Where the samples have things, and where this test has them.
fn here(work: &Workdir, text: &str) -> String {
    let folder = work.root().display().to_string();
    let places = [
        "%S/slack-revoke",
        "%C/slack-revoke",
        "/var/lib/slack-revoke",
        "/etc/slack-revoke",
        "/run/secrets/slack-revoke",
        "/data",
    ];
    let moved = |text: String, place: &str| text.replace(&format!("{place}/"), &format!("{folder}/"));
    places.into_iter().fold(text.to_owned(), moved)
}

impl Night {
    /// The line by way of `next-list`, as its timer starts it.
    fn command(&self, work: &Workdir, server: &Server) -> Command {
        let next_list = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/next-list");
        let mut command = Command::new(next_list);
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command.env("SLACK_REVOKE_API_URL", server.url()).env("SLACK_REVOKE_RATE", "1000/s");
        command.envs(self.variables.iter().map(|(name, value)| (name, here(work, value))));
        command.arg(work.root()).arg(env!("CARGO_BIN_EXE_slack-revoke"));
        command.args(self.line.iter().skip(1).map(|word| here(work, word)));
        command
    }

    /// One night that ends well; gives what was said.
    #[track_caller]
    fn passes(&self, work: &Workdir, server: &Server) -> String {
        self.ends(work, server, 0)
    }

    #[track_caller]
    fn ends(&self, work: &Workdir, server: &Server, code: i32) -> String {
        let output = self.command(work, server).output().expect("a shell");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{}: {told}", self.place);
        told
    }
}

/// The folder of a job with its queue; the token where each sample looks for it, with the mode that it has there; and the
/// protected.
fn folder() -> Workdir {
    let work = Workdir::new();
    for (name, mode) in [("slack-token", 0o440), ("token-of-cron", 0o600)] {
        fs::set_permissions(work.write(name, TOKEN), fs::Permissions::from_mode(mode)).expect("chmod");
    }
    work.sample("protect.txt");
    fs::create_dir(work.path("incoming")).expect("a folder");
    work
}

/// Lists in the queue, the first one the oldest.
fn queue(work: &Workdir, lists: &[(&str, String)]) {
    for (hours, (name, text)) in lists.iter().rev().enumerate() {
        let path = work.write(&format!("incoming/{name}"), text);
        let file = File::options().write(true).open(path).expect("a list");
        #[expect(clippy::disallowed_methods, reason = "the program compares it with the real clock")]
        file.set_modified(SystemTime::now() - Duration::from_mins(60 * hours as u64)).expect("its time");
    }
}

/// With the owners: a protect list of users can't protect rows without one, and that is a warning.
fn owned(first: u64, count: u64) -> String {
    let mut text = String::from("user_id,session_id\n");
    (first..first + count).for_each(|session| writeln!(text, "U1,{session}").expect("a string takes everything"));
    text
}

/// How many rows have a record; none has two.
fn records(work: &Workdir) -> usize {
    work.results("sessions.results.csv").statuses().len()
}

/// What is in `done` or `bad`, oldest first.
fn put_away(work: &Workdir, place: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(work.path(place)) else { return Vec::new() };
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

fn waiting(work: &Workdir) -> Vec<String> {
    let entries = fs::read_dir(work.path("incoming")).expect("the queue");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_night_without_a_list_succeeds_and_a_finished_list_is_not_sent_again() {
    let server = start(config(sessions(1_000, 8)));
    for night in nightly() {
        let (work, place) = (folder(), night.place);
        assert_eq!(night.passes(&work, &server), "", "{place}: nothing is there to do");
        // A protect list that protects nobody in the list would be a mail.
        queue(&work, &[("leavers.csv", format!("{}U0BREAKGLS,1112275520242\n", owned(1_000, 3)))]);
        let told = night.passes(&work, &server);
        assert!(told.is_empty() || place != "cron", "cron would send a mail about a good run: {told}");
        assert_eq!(records(&work), 4, "{place}");
        assert_eq!(night.passes(&work, &server), "", "{place}: the list is finished");
        assert!(put_away(&work, "done").is_empty() && waiting(&work).is_empty(), "{place}");
    }
}

#[test]
fn queued_lists_are_processed_oldest_first() {
    let server = start(config(sessions(1_000, 12)));
    let night = nightly().remove(0);
    let work = folder();
    // By age and not by name; what is still being written is left alone.
    let lists = [("b.csv", owned(1_000, 3)), ("c.csv", owned(1_003, 4)), ("a.csv", owned(1_007, 5))];
    queue(&work, &lists);
    work.write("incoming/d.csv.tmp", owned(1_000, 1));
    work.write("incoming/.e.csv", owned(1_000, 1));
    night.passes(&work, &server);
    assert_eq!((records(&work), server.stats().revoked), (5, 12));
    assert_eq!(waiting(&work), [".e.csv", "d.csv.tmp"]);
    let away = put_away(&work, "done");
    assert_eq!(away.len(), 2, "one folder a list: {away:?}");
    for (away, (_, list)) in away.iter().zip(&lists) {
        for file in ["sessions.results.csv", "sessions.results.csv.manifest.json"] {
            assert!(away.join(file).exists(), "{file} was not put away");
        }
        assert_eq!(&fs::read_to_string(away.join("sessions.csv")).expect("the list"), list);
    }
    assert!(work.read("metrics.prom").contains("slack_revoke"), "metrics stay where they are looked for");
}

/// Three nights: the first one's list is cut off, and the other two lists arrive by the same name.
#[test]
fn an_interrupted_queue_run_is_resumed_and_loses_no_list() {
    let slow = StandInConfig { latency: Latency::Fixed(Duration::from_millis(20)), ..config(sessions(1_000, 70)) };
    let server = start(slow);
    let night = nightly().remove(0);
    let work = folder();
    queue(&work, &[("list.csv", owned(1_000, 40))]);
    let mut cut = night.command(&work, &server).process_group(0).stderr(Stdio::null()).spawn().expect("a shell");
    while fs::read_to_string(work.path("sessions.results.csv")).unwrap_or_default().lines().count() < 5 {
        assert!(cut.try_wait().expect("a child of ours").is_none(), "it ended before it could be cut off");
        std::thread::yield_now();
    }
    kill_process_group(Pid::from_child(&cut), Signal::KILL).expect("a group of ours");
    cut.wait().expect("a child of ours");
    assert!(work.exists("sessions.results.csv.journal"));

    queue(&work, &[("2.csv", owned(1_040, 20)), ("3.csv", owned(1_060, 10))]);
    night.passes(&work, &server);
    let away = put_away(&work, "done").into_iter().map(|away| away.join("sessions.results.csv"));
    let mut rows: Vec<_> = away.map(|results| Results::read(&results).statuses().len()).collect();
    rows.push(records(&work));
    assert_eq!(rows, [40, 20, 10], "exactly one record a row");
    assert!(waiting(&work).is_empty() && server.live_sessions().is_empty());
}

#[test]
fn a_bad_or_empty_list_is_reported_and_does_not_block_others() {
    let server = start(config(sessions(1_000, 3)));
    for night in nightly() {
        let (work, place) = (folder(), night.place);
        let bad = [
            ("empty.csv", String::new()),
            ("header.csv", owned(1_000, 0)),
            ("page.csv", "<html>\n".into()),
            ("zip.csv", "PK\u{3}\u{4}".into()),
        ];
        let lists = [&bad[..], &[("good.csv", owned(1_000, 3))]].concat();
        queue(&work, &lists);
        let told = night.ends(&work, &server, 2);
        assert_eq!(records(&work), 3, "{place}: {told}");
        assert!(waiting(&work).is_empty(), "{place}");
        let away = put_away(&work, "bad");
        assert_eq!(away.len(), bad.len(), "{place}: {told}");
        for (away, (name, list)) in away.iter().zip(&bad) {
            assert_eq!(&fs::read_to_string(away.join("sessions.csv")).expect("the list"), list, "{place}");
            assert!(told.contains(&format!("next-list: {name} ")), "{place}: {told}");
            assert!(told.contains(&away.display().to_string()), "{place}: {told}");
        }
        assert_eq!(night.passes(&work, &server), "", "{place}: it is reported once");
    }
}

/// The fault of the command line is no list's.
#[test]
fn lists_stay_in_the_queue_if_every_run_is_refused() {
    let server = start(config(sessions(1_000, 3)));
    for flags in [&["--protect", "missing"][..], &["--unknown"], &["--identify-by", "neither"]] {
        let (work, mut night) = (folder(), nightly().remove(0));
        night.line.extend(flags.iter().map(|flag| (*flag).to_owned()));
        queue(&work, &[("1.csv", owned(1_000, 1)), ("2.csv", owned(1_001, 1))]);
        let told = night.ends(&work, &server, 2);
        assert!(told.contains(flags[0]) && put_away(&work, "bad").is_empty(), "{told}");
        let night = nightly().remove(0);
        night.passes(&work, &server);
        assert_eq!((put_away(&work, "done").len(), waiting(&work).len()), (1, 0), "{flags:?}");
    }
}

/// The list that it leaves unfinished blocks the others, and is the one that the next start continues.
#[test]
fn a_stopped_run_leaves_the_other_lists_in_the_queue() {
    let server = start(StandInConfig { tokens: Vec::new(), ..config(sessions(1_000, 3)) });
    let (work, night) = (folder(), nightly().remove(0));
    queue(&work, &[("1.csv", owned(1_000, 1)), ("2.csv", owned(1_001, 1))]);
    night.ends(&work, &server, 4);
    assert_eq!(waiting(&work), ["2.csv"]);
    server.accept_token(TOKEN);
    night.passes(&work, &server);
    assert!(waiting(&work).is_empty());
}

#[test]
fn failed_rows_of_any_list_are_exit_1() {
    let server = start(config(sessions(1_000, 3)));
    let (work, night) = (folder(), nightly().remove(0));
    queue(&work, &[("1.csv", owned(1_000, 1) + "U1,bad\n"), ("2.csv", owned(1_001, 1))]);
    night.ends(&work, &server, 1);
    assert_eq!((records(&work), put_away(&work, "done").len()), (1, 1));
}

#[test]
fn a_missing_folder_is_exit_2() {
    let server = start(config(sessions(1_000, 3)));
    for night in nightly() {
        let work = folder();
        fs::remove_dir(work.path("incoming")).expect("an empty folder");
        let told = night.ends(&work, &server, 2);
        assert!(told.contains("incoming"), "{told}");
    }
}

/// The shell passes it on once, and the first one lets calls in flight finish.
#[test]
fn sigterm_is_passed_to_the_run() {
    let slow = StandInConfig { latency: Latency::Fixed(Duration::from_millis(20)), ..config(sessions(1_000, 40)) };
    let server = start(slow);
    let (work, night) = (folder(), nightly().remove(0));
    queue(&work, &[("1.csv", owned(1_000, 40)), ("2.csv", owned(1_000, 1))]);
    let mut stopped = night.command(&work, &server).stderr(Stdio::piped()).spawn().expect("a shell");
    while fs::read_to_string(work.path("sessions.results.csv")).unwrap_or_default().lines().count() < 5 {
        assert!(stopped.try_wait().expect("a child of ours").is_none(), "it ended before it could be stopped");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&stopped), Signal::TERM).expect("a child of ours");
    let output = stopped.wait_with_output().expect("a child of ours");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), waiting(&work)), (Some(143), vec!["2.csv".to_owned()]), "{told}");
    assert!(told.contains("to continue"), "{told}");
}
