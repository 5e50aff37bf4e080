//! `from-audit`: sessions out of Slack's audit log.

use crate::harness::{Program, TOKEN, Workdir, config, start};
use serde_json::{Value, json};
use slack_revoke::input::audit::LeftOut;
use slack_revoke::stand_in::Session;
use std::os::unix::fs::PermissionsExt as _;

const SAMPLE: &str = include_str!("../../samples/audit.json");
const PAGE: &str = include_str!("../../docs/audit-log.md");
const HEADER: &str = "user_id,team_id,session_id,action,at,ip,user_agent,entry_id,first_at,last_at,audit_entries";

fn convert(work: &Workdir, file: &str, flags: &[&str]) -> Program {
    work.program(["from-audit", file]).args(flags.iter().copied())
}

fn entry(user: &str, session: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut entry = json!({
        "id": "e1", "date_create": 1_795_807_800, "action": "user_login",
        "actor": {"type": "user", "user": {"id": user, "email": format!("{}@example.com", user.to_lowercase())}},
        "entity": {"type": "user", "user": {"id": user}},
        "context": {"location": {"type": "workspace", "id": "T1"}, "ua": "Mozilla/5.0", "ip_address": "192.0.2.1",
                    "session_id": session},
    });
    change(&mut entry);
    entry
}

fn lines(entries: impl IntoIterator<Item = Value>) -> String {
    entries.into_iter().fold(String::new(), |text, entry| format!("{text}{entry}\n"))
}

/// The sessions of a list.
fn ids(text: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap()[2].to_owned()).collect()
}

#[test]
fn the_sample_is_converted_and_every_skipped_entry_counted() {
    let work = Workdir::new();
    work.write("audit.json", SAMPLE);
    let ended = convert(&work, "audit.json", &["-o", "sessions.csv", "--users-output", "users.csv"]).exits(0);
    let list = work.read("sessions.csv");
    assert!(list.starts_with(HEADER), "{list}");
    let row = "U02AAAA001,T04LK3P2Q,1112275520242,file_downloaded,2026-11-27T19:31:00Z,203.0.113.17,";
    assert!(list.contains(row) && list.contains(",2026-11-27T19:30:00Z,2026-11-27T19:31:00Z,2\n"), "{list}");
    assert_eq!(ids(&list), ["1112275520242", "1112275520355", "1112275520468"]);
    assert_eq!(work.read("users.csv"), "user_id\nU02AAAA005\n");
    let told = ended.stderr();
    for want in
        ["8 entries read", "3 sessions found", "by_app 1:", "channel_join 1:", "on_another 1:", "no_session_id 1:"]
    {
        assert!(told.contains(want), "{want}: {told}");
    }
    for file in ["sessions.csv", "users.csv"] {
        assert_eq!(work.path(file).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = if file == "users.csv" { "s2.csv" } else { file };
        let refused = convert(&work, "audit.json", &["-o", again, "--users-output", "users.csv"]).exits(2).stderr();
        assert!(refused.contains(&format!("{file} exists already")), "{refused}");
    }
    let newest = work.path("sessions.csv").metadata().and_then(|file| file.modified()).unwrap();
    assert_eq!(newest.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_795_807_800 + 180);
}

#[test]
fn filters_leave_out_entries() {
    let work = Workdir::new();
    work.write("audit.json", SAMPLE);
    let all = ["1112275520242", "1112275520355", "1112275520468"];
    for (flags, want) in [
        (&["--ip", "203.0.113.0/24"][..], &all[..2]),
        (&["--not-ip", "203.0.113.0/24"], &all[2..]),
        (&["--action", "user_login"], &[all[0], all[2]]),
        (&["--action", "file_downloaded,file_uploaded"], &all[..2]),
        (&["--since", "2026-11-27T19:32:00Z"], &all[1..]),
        (&["--until", "2026-11-27T19:32:00Z"], &all[..1]),
        (&["--since", "2026-11-28"], &[]),
        (&["--user", "Ben@Example.com"], &all[1..2]),
        (&["--user", "U02AAAA003", "--user", "ben@example.com"], &all[1..]),
        (&["--user-agent", "windows"], &all[..]),
        (&["--user-agent", "iphone"], &[]),
        (&["--user", "U02AAAA001", "--ip", "198.51.100.0/24"], &[]),
    ] {
        assert_eq!(ids(&convert(&work, "audit.json", flags).exits(0).stdout()), want, "{flags:?}");
    }
    for (flags, want) in [
        (&["--ip", "here"][..], "192.0.2.7"),
        (&["--since", "2026-11-27T19:32:00"], "with its zone"),
        (&["--user", "ben"], "e-mail address"),
    ] {
        let refused = convert(&work, "audit.json", flags).exits(2).stderr();
        assert!(refused.contains(want), "{refused}");
    }
}

#[test]
fn every_reason_to_skip_an_entry_is_counted_and_documented() {
    let session = json!(1_112_275_520_242_u64);
    let with = |pointer: &'static str, value: Value| {
        entry("U1", &session, move |entry| *entry.pointer_mut(pointer).unwrap() = value)
    };
    let app = entry("U1", &session, |entry| entry["context"]["app"] = json!({"id": "A1"}));
    let shared = [entry("U1", &json!(7), |_| ()), entry("U2", &json!("7"), |_| ())];
    let cases: [(LeftOut, Vec<Value>, &[&str], i32); 13] = [
        (LeftOut::ByApp, vec![app], &[], 0),
        (LeftOut::NotAUser, vec![with("/actor/type", json!("system"))], &[], 0),
        (LeftOut::ChannelJoin, vec![with("/action", json!("user_channel_join"))], &[], 0),
        (LeftOut::OnAnother, vec![with("/entity/user/id", json!("U9"))], &[], 0),
        (LeftOut::NoSession, vec![with("/context/session_id", json!(null))], &[], 0),
        (LeftOut::BadUser, vec![entry("USLACKUSER", &session, |_| ())], &[], 1),
        (LeftOut::BadSession, vec![with("/context/session_id", json!("1.1E+12"))], &[], 1),
        (LeftOut::BadTeam, vec![with("/context/location/id", json!("C1"))], &[], 1),
        (LeftOut::SeveralUsers, shared.to_vec(), &[], 1),
        (
            LeftOut::UnknownAddress,
            vec![with("/context/ip_address", json!("1.23.45.678"))],
            &["--not-ip", "192.0.2.1"],
            1,
        ),
        (LeftOut::UnknownTime, vec![with("/date_create", json!("yesterday"))], &["--since", "2026-11-27"], 1),
        (LeftOut::NotAnEntry, vec![json!({"ok": true})], &[], 1),
        (LeftOut::NoPath, vec![], &["--path", "event"], 1),
    ];
    for (reason, aside, flags, code) in cases {
        let work = Workdir::new();
        let good = entry("U5", &json!(5), |entry| entry["context"]["ip_address"] = json!("198.51.100.5"));
        let all: Vec<Value> = match reason {
            LeftOut::NoPath => vec![json!({"event": good}), json!({"other": 1})],
            _ => aside.into_iter().chain([good]).collect(),
        };
        work.write("log", lines(all));
        let ended = convert(&work, "log", flags).exits(code);
        let (name, _) = reason.describe();
        let entries = if reason == LeftOut::SeveralUsers { 2 } else { 1 };
        assert!(ended.stderr().contains(&format!("left out: {name} {entries}: ")), "{name}: {}", ended.stderr());
        assert_eq!(ids(&ended.stdout()), ["5"], "{name}");
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not in docs/audit-log.md");
    }
}

#[test]
fn entries_are_read_from_files_standard_input_and_envelopes() {
    let work = Workdir::new();
    let entry = |user, session: u64| entry(user, &json!(session), |_| ());
    work.write("a.json", json!([entry("U1", 1)]).to_string());
    work.write("b.ndjson", lines([entry("U2", 2), entry("U1", 1)]));
    let both = convert(&work, "a.json", &["b.ndjson", "-"]).stdin(lines([entry("U3", 3)])).exits(0).stdout();
    assert_eq!(ids(&both), ["1", "2", "3"]);
    assert!(both.contains(",2\n"), "{both}");

    let nested = json!({"event": {"original": entry("U4", 4).to_string(), "kind": "event"}});
    work.write("siem.ndjson", lines([nested]));
    let refused = convert(&work, "siem.ndjson", &["-o", "s.csv"]).exits(2).stderr();
    assert!(refused.contains("add --path event.original"), "{refused}");
    assert!(!work.exists("s.csv"));
    assert_eq!(ids(&convert(&work, "siem.ndjson", &["--path", "event.original"]).exits(0).stdout()), ["4"]);

    work.write("export.csv", "Date;Actor;Session\n2026-11-27T19:30:00Z;U02AAAA001;1112275520242\n");
    assert_eq!(ids(&convert(&work, "export.csv", &[]).exits(0).stdout()), ["1112275520242"]);
    work.write("two.csv", "From,To,Session\nU02AAAA001,U02AAAA002,1112275520242\n");
    let refused = convert(&work, "two.csv", &[]).exits(2).stderr();
    assert!(refused.contains("several columns can be user_id: From, To"), "{refused}");
    let named = convert(&work, "two.csv", &["--column", "user_id=From"]).exits(0).stdout();
    assert!(named.contains("U02AAAA001,,1112275520242,"), "{named}");
}

#[test]
fn an_invalid_or_truncated_log_leaves_no_output() {
    let work = Workdir::new();
    for (text, want) in [
        (String::new(), "log: is empty"),
        ("[]".into(), "there is no audit log entry"),
        (lines([json!({"a": 1}), json!(5)]), "none of 2 values is an audit log entry"),
        (SAMPLE[..SAMPLE.len() / 2].to_owned(), "the JSON is cut off"),
        (format!("{}oops\n", lines([entry("U1", &json!(1), |_| ())])), "log: line 2, column 1: not JSON"),
        ("a,b\n1,2\n".into(), "no column holds session_id"),
        ("session_id,user_id\n\"1,U1\n".into(), "is never closed"),
    ] {
        work.write("log", &text);
        let refused = convert(&work, "log", &["-o", "s.csv"]).exits(2).stderr();
        assert!(refused.contains(want), "{want}: {refused}");
        assert!(!work.exists("s.csv"), "{want}");
    }
    convert(&work, "missing", &[]).exits(2);
    convert(&work, "log", &["-o", "log"]).exits(2);
    convert(&work, "log", &["-o", "no/such/s.csv"]).exits(7);
}

#[test]
fn memory_does_not_grow_with_the_number_of_entries() {
    let work = Workdir::new();
    let one = lines([entry("U1", &json!(1), |entry| entry["details"] = json!("x".repeat(4000)))]);
    let peak_of = |entries: usize| {
        work.write("log.ndjson", one.repeat(entries));
        let (ended, peak) = convert(&work, "log.ndjson", &[]).start().wait_watched();
        assert!(ended.stdout().ends_with(&format!(",{entries}\n")), "{}", ended.stderr());
        peak.resident
    };
    // Both take long enough to be looked at.
    let (few, many) = (peak_of(500), peak_of(2_500));
    assert!(few > 0 && many < few + 4_096, "{few} KiB for 2 MB of entries, {many} KiB for 10 MB");
}

#[test]
fn missing_audit_sessions_are_failures_unless_no_strict() {
    for (flags, input, code, says) in [
        (&[][..], "s.csv", 1, true),
        (&["--no-strict"], "s.csv", 0, false),
        (&["--strict"], "s.csv", 1, false),
        (&[], "listed.csv", 0, false),
    ] {
        let (work, server) = (Workdir::new(), start(config(vec![Session::new(1, "T1", "U1")])));
        work.write("log", lines([entry("U1", &json!(1), |_| ()), entry("U2", &json!(2), |_| ())]));
        convert(&work, "log", &["-o", "s.csv"]).exits(0);
        work.write("listed.csv", "user_id,session_id\nU1,1\nU2,2\n");
        let run = work.run(&server, input).args(["--rate", "unlimited"]).args(flags.iter().copied());
        let told = run.exits(code).stderr();
        assert_eq!(told.contains("the sessions come from the audit log"), says, "{flags:?} {input}: {told}");
        let remaining = input.replace(".csv", ".results.remaining.csv");
        assert_eq!(work.exists(&remaining), code == 1);
        if code == 1 {
            let left = work.read(&remaining);
            assert!(left.starts_with(HEADER) && left.contains("U2,T1,2,"), "{left}");
            let planned = work.program(["plan", remaining.as_str()]).exits(0).stderr();
            assert!(planned.contains("the sessions come from the audit log"), "{planned}");
        }
    }
}

#[test]
fn users_output_is_usable_as_input() {
    let (work, server) =
        (Workdir::new(), start(config(vec![Session::new(1, "T1", "U1"), Session::new(2, "T1", "U2")])));
    work.write("log", lines([entry("U1", &json!(null), |_| ())]));
    convert(&work, "log", &["-o", "s.csv", "--users-output", "users.csv"]).exits(0);
    let list = work.program(["list", "--users", "users.csv", "--rate", "unlimited", "--api-url", &server.url()]);
    assert_eq!(ids(&list.token(TOKEN).exits(0).stdout()), ["1"]);
    let run = work.run(&server, "users.csv").args(["--whole-users", "--confirm-users", "1", "--rate", "unlimited"]);
    run.exits(0);
    assert_eq!(server.live_sessions(), [2]);
}

#[test]
fn a_mass_logout_from_an_audit_export_is_verified() {
    let people =
        [(1_112_275_520_242, "U02AAAA001"), (1_112_275_520_355, "U02AAAA002"), (1_112_275_520_468, "U02AAAA003")];
    let sessions = people.map(|(id, user)| Session::new(id, "T04LK3P2Q", user));
    let (work, server) = (Workdir::new(), start(config(sessions.to_vec())));
    work.write("audit.json", SAMPLE);
    work.write("keep.txt", "u02aaaa002@example.com\n");
    convert(&work, "audit.json", &["--ip", "203.0.113.0/24", "-o", "suspects.csv"]).exits(0);
    let remote = ["--rate", "unlimited", "--api-url", &server.url()];
    let check = ["resolve", "suspects.csv", "--check", "-o", "checked.csv"];
    work.program(check).args(remote).token(TOKEN).exits(0);
    work.run(&server, "suspects.csv").args(["--protect", "keep.txt", "--rate", "unlimited"]).exits(0);
    assert_eq!(server.live_sessions(), [1_112_275_520_355, 1_112_275_520_468]);
    let verify = ["verify", "suspects.results.csv", "--wait", "1s"];
    work.program(verify).args(remote).token(TOKEN).finish();
    assert_eq!(work.results("suspects.results.verified.csv").line(2).get("verified"), "gone");
}
