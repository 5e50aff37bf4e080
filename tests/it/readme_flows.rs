//! The two uses from their first command to their last, in the words of README: what it tells a reader to type is run here.

use crate::harness::{Program, Record, TOKEN, Workdir, accepted, config, rows, sessions, start, until};
use slack_revoke::stand_in::{ListedDevice, Method, Server, Session, SessionDevices};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

const README: &str = include_str!("../../README.md");

/// The commands of the first code block under a heading of README, in their order.
fn story(heading: &str) -> Vec<&'static str> {
    let (_, page) = README.split_once(&format!("\n### {heading}\n")).expect("the page is in README");
    let (_, block) = page.split_once("```sh\n").expect("the page has commands");
    let (block, _) = block.split_once("\n```").expect("the block is closed");
    block.lines().collect()
}

/// The command as a shell runs it, against `server`, as fast as it goes and without its question.
fn typed(work: &Workdir, server: &Server, line: &str) -> Program {
    work.shell(line)
        .token(TOKEN)
        .env("SLACK_REVOKE_API_URL", &server.url())
        .env("SLACK_REVOKE_RATE", "unlimited")
        .env("SLACK_REVOKE_YES", "1")
}

fn session_at(id: u64, user: &str, ip: &str) -> Session {
    let created = ListedDevice {
        device_hardware: "MacBookPro18,3".into(),
        os: "macOS".into(),
        os_version: "14.6.1".into(),
        slack_client_version: "4.39.95".into(),
        ip: ip.into(),
    };
    Session { devices: Some(SessionDevices { created, recent: None }), ..Session::new(id, "T1", user) }
}

/// Forty sessions of eight users, every second one at the suspicious addresses; the last two users' are UKEEP's and the
/// responder's own. And twelve of UALL and UBOTH, all of them at these addresses.
fn organization() -> Vec<Session> {
    let owner = |id: u64| match id % 8 {
        _ if id > 40 => if id.is_multiple_of(2) { "UALL" } else { "UBOTH" }.to_owned(),
        6 => "UKEEP".to_owned(),
        7 => "W0STANDIN".to_owned(),
        other => format!("U{other}"),
    };
    let address = |id: u64| if is_suspicious(id) { format!("203.0.113.{id}") } else { format!("198.51.100.{id}") };
    (1..=52).map(|id| session_at(id, &owner(id), &address(id))).collect()
}

fn is_suspicious(id: u64) -> bool {
    id > 40 || (id / 8).is_multiple_of(2)
}

#[test]
fn a_mass_logout_from_the_doctor_to_the_report() {
    let (work, server) = (Workdir::new(), start(config(organization())));
    work.write("keep.txt", "UKEEP   # on call\n");
    let lines = story("Mass logout");
    let [doctor, list, plan, run, resume, verify, report] = lines[..] else { panic!("seven steps: {lines:?}") };
    let typed = |line| typed(&work, &server, line);

    typed(doctor).exits(0);

    typed(list).exits(0);
    let listed: BTreeSet<u64> = work.results("suspects.csv").records.iter().map(Record::session).collect();
    let suspicious: BTreeSet<u64> = (1..=52_u64).filter(|id| is_suspicious(*id)).collect();
    assert_eq!(listed, suspicious);

    let planned = typed(plan).exits(0);
    assert!(planned.stdout().contains("protected"), "{}", planned.stdout());
    assert!(planned.stdout().contains("2 users in 2 bulk calls and 20 sessions one by one"), "{}", planned.stdout());
    assert_eq!(server.stats().of(Method::Invalidate).calls, 0, "a plan sends nothing");

    // The second call would be due in an hour: so the run is cut off with most rows ahead of it.
    let mut cut = typed(run).env("SLACK_REVOKE_RATE", "1/h").start();
    until(&mut cut, || server.stats().of(Method::ResetBulk).accepted > 0);
    cut.kill();
    assert!(server.live_sessions().len() >= 46, "one user's");

    typed(resume).exits(0);
    let results = work.results("suspects.results.csv");
    let recorded: BTreeSet<u64> = results.records.iter().map(Record::session).collect();
    assert_eq!((results.records.len(), &recorded), (suspicious.len(), &suspicious), "one record a row");
    assert_eq!(results.count("requested"), 12);
    let spared = |id: &u64| *id <= 40 && matches!(id % 8, 6 | 7);
    let alive: BTreeSet<u64> = server.live_sessions().into_iter().collect();
    let expected: BTreeSet<u64> = (1..=52).filter(|id| !suspicious.contains(id) || spared(id)).collect();
    assert_eq!(alive, expected, "the suspicious ones are gone, but for the protected and one's own");
    assert_eq!(results.count("protected"), suspicious.iter().filter(|id| spared(id)).count());

    server.set_alive([session_at(901, "U1", "192.0.2.9")]);
    let verified = typed(verify).exits(0);
    assert!(verified.stderr().contains("1 new session: U1 (1 session from "), "{}", verified.stderr());
    let verified = work.results("suspects.results.verified.csv");
    for row in &verified.records {
        let expected = match (spared(&row.session()), row.get("user_id")) {
            (true, _) => ("still_there", "", ""),
            (false, "U1") => ("user_back", "1", "192.0.2.9"),
            (false, _) => ("gone", "", ""),
        };
        assert_eq!((row.get("verified"), row.get("new_sessions"), row.get("new_ips")), expected, "{row:?}");
    }

    typed(report).exits(0);
    let page = work.read("suspects.results.report.html");
    for (status, rows) in [("revoked", results.count("revoked")), ("protected", results.count("protected"))] {
        assert!(page.contains(&format!("data-status=\"{status}\" data-count=\"{rows}\"")), "{status}: {rows}");
    }
    assert!(page.contains("INC-1234") && page.contains("suspects.results.verified.csv"));
    // A row that was in flight when the run was killed may be answered twice.
    let gone = results.count("revoked") + results.count("already_revoked") + results.count("requested");
    let kept = results.count("protected");
    let headline = format!("<h1>{gone} of {gone} verified gone, {kept} kept intentionally</h1>");
    assert!(page.contains(&headline), "{headline}");
}

#[test]
fn a_mass_logout_is_rehearsed_from_the_doctor_to_the_report() {
    let work = Workdir::new();
    work.write("keep.txt", "U0SAMPLE03   # on call\n");
    let lines = story("Rehearsing a mass logout");
    let [doctor, list, plan, run, verify, report] = lines[..] else { panic!("six steps: {lines:?}") };
    let typed = |line: &str| work.shell(line).env("SLACK_REVOKE_RATE", "unlimited");

    typed(doctor).exits(0);
    assert_eq!(work.names(), ["keep.txt"], "doctor leaves nothing behind");
    typed(list).exits(0);
    let listed: BTreeSet<u64> = work.results("suspects.csv").records.iter().map(Record::session).collect();
    let others = work.results("others.csv").records.len();
    assert!(listed.len() > 10 && others > 5, "{} and {others}", listed.len());
    work.shell(plan).exits(0);

    // A list of sessions that don't exist isn't sent to Slack.
    let refused = work.shell("slack-revoke run suspects.csv --yes").token(TOKEN).exits(2).stderr();
    assert!(refused.contains("listed in a rehearsal"), "{refused}");

    work.shell(run).exits(0);
    let results = work.results("suspects.rehearsal.csv");
    assert_eq!(results.records.len(), listed.len());
    let protected = results.count("protected");
    let ended = results.count("revoked") + results.count("requested");
    assert!(ended > 10 && results.count("requested") > 0 && protected > 0, "{:?}", results.statuses());
    typed(verify).exits(0);
    for row in &work.results("suspects.rehearsal.verified.csv").records {
        let want = if row.get("status") == "protected" { "still_there" } else { "gone" };
        assert_eq!(row.get("verified"), want, "{row:?}");
    }
    work.shell(report).exits(0);
    assert!(work.read("suspects.rehearsal.report.html").contains("DRILL"));

    // What was ended stays ended for the next listing.
    work.shell("slack-revoke list --rehearse -o again.csv --rate unlimited").exits(0);
    let again: BTreeSet<u64> = work.results("again.csv").records.iter().map(Record::session).collect();
    assert_eq!(again.intersection(&listed).count(), protected);
    let real = work.shell("slack-revoke verify suspects.rehearsal.csv").token(TOKEN).exits(2).stderr();
    assert!(real.contains("--rehearse"), "{real}");
}

/// What the metrics file says of a series, labels included.
fn metric(work: &Workdir, series: &str) -> f64 {
    let text = work.read("slack_revoke.prom");
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a number")
}

#[test]
fn the_same_command_works_every_night() {
    let lines = story("Nightly offboarding");
    let [night] = lines[..] else { panic!("one line: {lines:?}") };
    let (work, server) = (Workdir::new(), start(config(sessions(1, 5))));
    fs::set_permissions(work.write("token", TOKEN), Permissions::from_mode(0o600)).unwrap();
    let tonight = || {
        let program = work.shell(night).env("SLACK_REVOKE_API_URL", &server.url());
        program.env("SLACK_REVOKE_RATE", "unlimited")
    };

    let says = |series: &str, number: f64| (metric(&work, series) - number).abs() < 0.5;

    // The accounts were deactivated during the day: most sessions are gone.
    work.write("leavers.csv", rows(1, 60));
    let first = tonight().exits(0);
    assert_eq!((first.stdout(), first.stderr()), (String::new(), String::new()), "a good night sends no mail");
    let results = work.results("leavers.results.csv");
    assert_eq!((results.count("revoked"), results.count("not_found")), (5, 55));
    assert!(says("slack_revoke_rows{status=\"not_found\"}", 55.0));
    assert!(says("slack_revoke_rows{status=\"revoked\"}", 5.0));
    assert!(says("slack_revoke_exit_code", 0.0));
    let succeeded = metric(&work, "slack_revoke_last_success_timestamp_seconds");

    // Nobody has left since.
    let calls = server.stats().of(Method::Invalidate).calls;
    tonight().exits(0);
    assert_eq!(server.stats().of(Method::Invalidate).calls, calls, "nothing was left to send");

    // Another list, and a reboot in the middle of it.
    server.set_alive(sessions(101, 30));
    work.write("leavers.csv", rows(101, 30));
    let accepted_before = accepted(&server);
    let mut cut = tonight().env("SLACK_REVOKE_RATE", "1/h").start();
    until(&mut cut, || accepted(&server) > accepted_before);
    cut.kill();
    assert!(says("slack_revoke_rows{status=\"revoked\"}", 5.0), "still of the last good night");
    tonight().exits(0);
    let results = work.results("leavers.results.csv");
    assert_eq!(results.statuses().len(), 30);
    assert_eq!(results.count("revoked") + results.count("already_revoked"), 30);
    assert!(server.live_sessions().is_empty());
    assert!(metric(&work, "slack_revoke_last_success_timestamp_seconds") >= succeeded);

    // The evidence of the first night is still there.
    let kept = work.names().into_iter().filter(|name| {
        let id = name.strip_prefix("leavers.results.").and_then(|rest| rest.strip_suffix(".csv"));
        id.is_some_and(|id| !id.contains('.') && id != "remaining")
    });
    let kept: Vec<_> = kept.collect();
    let [first_night] = &kept[..] else { panic!("one set of results was moved aside: {kept:?}") };
    assert_eq!(work.results(first_night).records.len(), 60);
}
