//! Listings as Slack doesn't promise them: what `list`, `resolve` and `verify` make of odd sessions and of pages that don't
//! come to an end. None of it may be taken for a session that is gone.

use crate::harness::{Canned, Program, Record, TOKEN, Workdir, config, start};
use slack_revoke::stand_in::Session;

const ROW: &str = "user_id,team_id,session_id\n";

/// Pages by the cursor that asks for them: `SESSIONS` as JSON, and the next cursor. Another cursor gets `otherwise`.
fn pages<const N: usize>(pages: [(&'static str, &'static str, &'static str); N], otherwise: &'static str) -> Canned {
    Canned::by(move |path, form| {
        if path.ends_with("auth.test") {
            return r#"{"ok":true,"user_id":"U0","team_id":"E1","enterprise_id":"E1","url":"https://acme.slack.com/"}"#
                .into();
        }
        let cursor = form.split('&').find_map(|pair| pair.strip_prefix("cursor=")).unwrap_or_default();
        let page = pages.iter().find(|page| page.0 == cursor);
        page.map_or(otherwise.to_owned(), |(_, sessions, next)| {
            format!(r#"{{"ok":true,"active_sessions":[{sessions}],"response_metadata":{{"next_cursor":"{next}"}}}}"#)
        })
    })
}

const ONE: &str = r#"{"user_id":"U1","team_id":"T1","session_id":1}"#;
const TWO: &str = r#"{"user_id":"U2","team_id":"T1","session_id":2}"#;
const NONE: &str = r#"{"ok":false,"error":"no_active_sessions"}"#;
const LOST: &str = r#"{"ok":false,"error":"invalid_cursor"}"#;

/// Listings of two pages and no end, with what is said of them.
fn endless() -> [(Canned, &'static str); 4] {
    [
        (pages([("", ONE, "a"), ("a", TWO, "a")], NONE), "cursor of the next page is one that was followed before"),
        (pages([("", ONE, "a"), ("a", TWO, "b"), ("b", TWO, "a")], NONE), "followed before"),
        (pages([("", ONE, "a"), ("a", TWO, "b")], NONE), "no_active_sessions"),
        (pages([("", ONE, "a"), ("a", TWO, "b")], LOST), "invalid_cursor"),
    ]
}

fn command(work: &Workdir, server: &Canned, arguments: &[&str]) -> Program {
    let url = server.url();
    let remote = ["--rate", "unlimited", "--retries", "0", "--api-url", &url];
    work.program(arguments.iter().chain(&remote).copied()).token(TOKEN)
}

/// Results of a run that revoked the sessions of these rows.
fn revoked(work: &Workdir, sessions: &[(&str, &str, u64)]) {
    let people = sessions.iter().map(|(user, team, id)| Session::new(*id, team, user)).collect();
    let rows: Vec<String> = sessions.iter().map(|(user, team, id)| format!("{user},{team},{id}\n")).collect();
    work.write("s.csv", format!("{ROW}{}", rows.concat()));
    work.run(&start(config(people)), "s.csv").args(["--rate", "unlimited"]).exits(0);
}

/// The answers of `verify`, in the order of the lines.
fn answers(work: &Workdir) -> Vec<String> {
    let mut records = work.results("s.results.verified.csv").records;
    records.sort_by_key(Record::line);
    records.iter().map(|record| record.get("verified").to_owned()).collect()
}

#[test]
fn endless_pages_end_a_listing_as_incomplete() {
    for (server, why) in endless() {
        let work = Workdir::new();
        let said = command(&work, &server, &["list", "-q", "-o", "s.csv"]).exits(1).stderr();
        assert!(said.contains(why) && said.contains("not complete"), "{said}");
        assert_eq!(work.json("s.csv.listing.json")["complete"], false);
        work.program(["plan", "s.csv"]).exits(2);
        let text = work.read("s.csv");
        assert!(text.contains("U1,T1,1,") && text.contains("U2,T1,2,"), "{text}");
        command(&work, &server, &["list"]).exits(1);
    }
}

#[test]
fn endless_pages_verify_nothing() {
    for (server, why) in endless() {
        let work = Workdir::new();
        revoked(&work, &[("U2", "T1", 2), ("U3", "T1", 3)]);
        let said = command(&work, &server, &["verify", "-q", "s.results.csv"]).exits(1).stderr();
        assert!(said.contains(why), "{said}");
        assert_eq!(answers(&work), ["still_there", "unproven"]);
        assert_eq!(work.json("s.results.csv.manifest.json")["verified"]["complete"], false);
    }
}

#[test]
fn endless_pages_end_resolve_with_what_was_found() {
    for (server, why) in endless() {
        let work = Workdir::new();
        work.write("in.csv", "team_id,session_id\nT1,2\nT1,3\n");
        let resolved = command(&work, &server, &["resolve", "-q", "in.csv"]).exits(1);
        assert!(resolved.stderr().contains(why), "{}", resolved.stderr());
        assert_eq!(resolved.stdout(), "team_id,session_id,user_id\nT1,2,U2\nT1,3,\n");
    }
}

#[test]
fn an_error_after_the_first_page_verifies_nothing() {
    for error in ["internal_error", "team_not_found", "invalid_auth"] {
        let work = Workdir::new();
        revoked(&work, &[("U3", "T1", 3)]);
        let server = Canned::by(move |_, form| {
            if form.contains("cursor=") {
                format!(r#"{{"ok":false,"error":"{error}"}}"#)
            } else {
                format!(r#"{{"ok":true,"active_sessions":[{ONE}],"response_metadata":{{"next_cursor":"a"}}}}"#)
            }
        });
        let ended = command(&work, &server, &["verify", "s.results.csv"]).finish();
        assert!(matches!(ended.code(), Some(4 | 5)), "{error}: {}", ended.stderr());
        assert!(!work.exists("s.results.verified.csv"), "nothing was verified");
    }
}

#[test]
fn unusual_sessions_are_listed_if_user_and_id_are_readable() {
    let odd = r#"{"user_id":"U1","team_id":"T1","session_id":1,"created":[]},
        {"user_id":"U2","session_id":"2","created":{"os":14,"ip":null},"recent":"none"},
        {"user_id":"U3","team_id":7,"session_id":3,"created":{"os":["x"]}}"#;
    let (work, server) = (Workdir::new(), pages([("", odd, "")], NONE));
    let listed = command(&work, &server, &["list", "-o", "s.csv"]).exits(0);
    assert!(listed.stderr().contains("the list is complete"), "{}", listed.stderr());
    let rows: Vec<String> = work.read("s.csv").lines().skip(1).map(|row| row[..7].to_owned()).collect();
    assert_eq!(rows, ["U1,T1,1", "U2,,2,,", "U3,,3,,"]);
    assert!(work.read("s.csv").contains("U2,,2,,14,"));
}

#[test]
fn an_unreadable_session_makes_the_list_incomplete() {
    for odd in [
        r#"{"user_id":"U9","team_id":"T1"}"#,
        r#"{"user_id":"U9","team_id":"T1","session_id":{}}"#,
        r#"{"team_id":"T1","session_id":9}"#,
        "null",
    ] {
        let body = format!(r#"{{"ok":true,"active_sessions":[{ONE},{odd}]}}"#);
        let (work, server) = (Workdir::new(), Canned::json(&body));
        let said = command(&work, &server, &["list", "-q", "-o", "s.csv"]).exits(1).stderr();
        assert!(said.contains("1 session could not be read") && said.contains("not complete"), "{said}");
        assert!(work.read("s.csv").contains("U1,T1,1,"));
        assert_eq!(work.json("s.csv.listing.json")["complete"], false);
        let planned = work.program(["plan", "s.csv"]).exits(0).stderr();
        assert!(planned.contains("lacks 1 session that couldn't be read"), "{planned}");
        let said = command(&work, &server, &["list"]).exits(1).stderr();
        assert!(!said.contains("the list is complete"), "{said}");
    }
}

#[test]
fn an_unreadable_session_of_another_user_does_not_affect_verification() {
    for (odd, want, code) in [
        (r#"{"user_id":"U9","team_id":"T1","session_id":"?"}"#, ["gone", "gone"], 0),
        (r#"{"team_id":"T1","session_id":9}"#, ["gone", "gone"], 0),
        (r#"{"user_id":"U3","team_id":"T1","session_id":"?"}"#, ["gone", "unproven"], 1),
        (r#"{"team_id":"T1","session_id":3}"#, ["gone", "still_there"], 1),
        ("{}", ["unproven", "unproven"], 1),
    ] {
        let work = Workdir::new();
        revoked(&work, &[("U2", "T1", 2), ("U3", "T1", 3)]);
        let server = Canned::json(&format!(r#"{{"ok":true,"active_sessions":[{ONE},{odd}]}}"#));
        let said = command(&work, &server, &["verify", "-q", "s.results.csv"]).exits(code).stderr();
        assert!(said.contains("1 listed session could not be read"), "{odd}: {said}");
        assert_eq!(answers(&work), want, "{odd}");
    }
}

#[test]
fn sessions_that_were_not_requested_are_left_out() {
    let (work, server) = (Workdir::new(), pages([("", concat_of_two(), "")], NONE));
    let listed = command(&work, &server, &["list", "-q", "--team", "T1", "--user", "U1"]).exits(0);
    assert!(listed.stdout().lines().count() == 2 && listed.stdout().contains("U1,T1,1,"), "{}", listed.stdout());
    assert!(listed.stderr().contains("1 session that --team and --user don't ask for"), "{}", listed.stderr());
}

fn concat_of_two() -> &'static str {
    r#"{"user_id":"U1","team_id":"T1","session_id":1},{"user_id":"U2","team_id":"T1","session_id":2}"#
}

#[test]
fn an_unreadable_ip_address_is_left_out_and_counted() {
    let addresses = [
        r#""203.0.113.7:51234""#,
        r#""[2001:db8::7]:443""#,
        r#""fe80::1%eth0""#,
        r#""198.51.100.1""#,
        "null",
        r#""""#,
        r#"["203.0.113.7"]"#,
        r#""203.0.113.7, 198.51.100.1""#,
    ];
    let sessions: Vec<String> = (1..)
        .zip(addresses)
        .map(|(id, ip)| format!(r#"{{"user_id":"U1","team_id":"T1","session_id":{id},"created":{{"ip":{ip}}}}}"#))
        .collect();
    let server = Canned::json(&format!(r#"{{"ok":true,"active_sessions":[{}]}}"#, sessions.join(",")));
    let work = Workdir::new();
    for (flags, want) in [
        (["--not-ip", "203.0.113.0/24,2001:db8::/32"], &["3", "4"][..]),
        (["--ip", "203.0.113.0/24,2001:db8::/32"], &["1", "2"]),
        (["--ip", "fe80::/10"], &["3"]),
    ] {
        let listed = command(&work, &server, &["list", "-q", flags[0], flags[1]]).exits(0);
        let ids: Vec<String> =
            listed.stdout().lines().skip(1).map(|row| row.split(',').nth(2).unwrap_or_default().to_owned()).collect();
        assert_eq!(ids, want, "{flags:?}");
        assert!(
            listed.stderr().contains("4 sessions have no address, or one that can't be read"),
            "{}",
            listed.stderr()
        );
    }
    let all = command(&work, &server, &["list", "-q"]).exits(0);
    assert_eq!((all.stdout().lines().count(), all.stderr()), (9, String::new()));
}

#[test]
fn device_texts_never_start_a_formula() {
    let formulas = ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(1)", " =1", "＝1"];
    for formula in formulas {
        let device = ["device_hardware", "os", "os_version", "slack_client_version", "ip"]
            .map(|name| format!(r#""{name}":"{formula}""#))
            .join(",");
        let session =
            format!(r#"{{"user_id":"U2","team_id":"T1","session_id":9,"created":{{{device}}},"recent":{{{device}}}}}"#);
        let server = Canned::json(&format!(r#"{{"ok":true,"active_sessions":[{session}]}}"#));
        let work = Workdir::new();
        let listed = command(&work, &server, &["list"]).exits(0).stdout();
        let mut cells = csv::Reader::from_reader(listed.as_bytes());
        let row = cells.records().next().unwrap().unwrap();
        assert!(row.iter().skip(3).all(|cell| cell == format!("'{formula}")), "{row:?}");
        revoked(&work, &[("U2", "T1", 2)]);
        command(&work, &server, &["verify", "s.results.csv"]).exits(0);
        assert_eq!(work.results("s.results.verified.csv").line(2).get("new_ips"), format!("'{formula}"));
    }
}
