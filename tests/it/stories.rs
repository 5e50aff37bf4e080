//! The two uses from their first command to their last, in the words of README: what it tells a reader to type is run here.

use crate::harness::{Program, Record, TOKEN, Workdir, accepted, config, start, until};
use slack_revoke::rehearsal::{Device, Devices, Method, Server, Session};
use std::collections::BTreeSet;

const README: &str = include_str!("../../README.md");

/// The commands of the first code block under a heading of README, in their order.
fn story(heading: &str) -> Vec<&'static str> {
    let (_, page) = README.split_once(&format!("\n## {heading}\n")).expect("the page is in README");
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
    let created = Device {
        device_hardware: "MacBookPro18,3".into(),
        os: "macOS".into(),
        os_version: "14.6.1".into(),
        slack_client_version: "4.39.95".into(),
        ip: ip.into(),
    };
    Session { devices: Some(Devices { created, recent: None }), ..Session::new(id, "T1", user) }
}

/// Forty sessions of eight users, every second one at the suspicious addresses; the last two users' are UKEEP's and the
/// responder's own.
fn organisation() -> Vec<Session> {
    let owner = |id: u64| match id % 8 {
        6 => "UKEEP".to_owned(),
        7 => "W0STANDIN".to_owned(),
        other => format!("U{other}"),
    };
    let address =
        |id: u64| if (id / 8).is_multiple_of(2) { format!("203.0.113.{id}") } else { format!("198.51.100.{id}") };
    (1..=40).map(|id| session_at(id, &owner(id), &address(id))).collect()
}

#[test]
fn a_mass_logout_from_the_doctor_to_the_proof() {
    let (work, server) = (Workdir::new(), start(config(organisation())));
    work.write("keep.txt", "UKEEP   # on call\n");
    let lines = story("Mass logout, now");
    let [doctor, list, plan, run, resume, verify] = lines[..] else { panic!("six steps: {lines:?}") };
    let typed = |line| typed(&work, &server, line);

    typed(doctor).exits(0);

    typed(list).exits(0);
    let listed: BTreeSet<u64> = work.results("suspects.csv").records.iter().map(Record::session).collect();
    let suspicious: BTreeSet<u64> = (1..=40_u64).filter(|id| (id / 8).is_multiple_of(2)).collect();
    assert_eq!(listed, suspicious);

    let planned = typed(plan).exits(0);
    assert!(planned.stdout().contains("protected"), "{}", planned.stdout());
    assert_eq!(server.stats().of(Method::Invalidate).calls, 0, "a plan sends nothing");

    // The second call would be due in an hour: so the run is cut off with most rows ahead of it.
    let mut cut = typed(run).env("SLACK_REVOKE_RATE", "1/h").start();
    until(&mut cut, || accepted(&server) > 0);
    cut.kill();
    assert!(server.live_sessions().len() >= 38);

    typed(resume).exits(0);
    let results = work.results("suspects.results.csv");
    let recorded: BTreeSet<u64> = results.records.iter().map(Record::session).collect();
    assert_eq!((results.records.len(), &recorded), (suspicious.len(), &suspicious), "one record a row");
    let spared = |id: &u64| matches!(id % 8, 6 | 7);
    let alive: BTreeSet<u64> = server.live_sessions().into_iter().collect();
    let expected: BTreeSet<u64> = (1..=40).filter(|id| !suspicious.contains(id) || spared(id)).collect();
    assert_eq!(alive, expected, "the suspicious ones are gone, but for the protected and one's own");
    assert_eq!(results.count("protected"), suspicious.iter().filter(|id| spared(id)).count());

    server.set_alive([session_at(901, "U1", "192.0.2.9")]);
    let verified = typed(verify).exits(0);
    assert!(
        verified.stderr().contains("1 session that neither the results nor --before name"),
        "{}",
        verified.stderr()
    );
    let verified = work.results("suspects.results.verified.csv");
    for row in &verified.records {
        let expected = match (spared(&row.session()), row.get("user_id")) {
            (true, _) => ("still_there", "", ""),
            (false, "U1") => ("user_back", "1", "192.0.2.9"),
            (false, _) => ("gone", "", ""),
        };
        assert_eq!((row.get("verified"), row.get("new_sessions"), row.get("new_ips")), expected, "{row:?}");
    }
}
