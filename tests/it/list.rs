//! `list`: pages through the same gate, filters, and going on after an interruption.

use crate::harness::{Program, TOKEN, Workdir, config, sessions, start};
use rustix::process::Signal;
use slack_revoke::stand_in::{
    Limit, LimitKind, ListedDevice, Method, MethodLimits, RetryAfter, Server, Session, SessionDevices, SessionStore,
    StandInConfig, StandInToken,
};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

fn list(work: &Workdir, server: &Server) -> Program {
    work.program(["list", "--rate", "unlimited", "--api-url", &server.url()]).token(TOKEN)
}

fn ids(text: &str) -> Vec<u64> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap()[2].parse().unwrap()).collect()
}

fn device(os: &str, client: &str, hardware: &str, ip: &str) -> ListedDevice {
    ListedDevice {
        device_hardware: hardware.into(),
        os: os.into(),
        os_version: "1.0".into(),
        slack_client_version: client.into(),
        ip: ip.into(),
    }
}

/// Four sessions of three users; the third has moved to an IPv6 address.
fn people() -> Vec<Session> {
    let on = |id, user, created, recent| Session {
        devices: Some(SessionDevices { created, recent }),
        ..Session::new(id, "T1", user)
    };
    let moved = device("iOS", "24.08", "iPhone15,2", "2001:db8::7");
    vec![
        on(1, "U1", device("macOS", "4.39", "MacBookPro18,3", "203.0.113.1"), None),
        on(2, "U1", device("Android", "24.09", "Pixel, \"8\"", "198.51.100.2"), None),
        on(3, "U2", device("iOS", "24.08", "iPhone15,2", "203.0.113.3"), Some(moved)),
        on(4, "W3", device("Windows", "4.39", "Windows PC", "192.0.2.4"), None),
    ]
}

#[test]
fn every_page_is_listed_once_and_the_list_is_an_input_of_run() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_112_275_520_000, 2_500))));
    let finished = list(&work, &server).args(["-o", "sessions.csv"]).exits(0);
    assert!(finished.stderr().contains("3 pages read, 2,500 sessions seen, 2,500 listed"), "{}", finished.stderr());
    let text = work.read("sessions.csv");
    assert!(text.starts_with("user_id,team_id,session_id,created_device_hardware,created_os,created_os_version,"));
    assert_eq!(ids(&text), (1_112_275_520_000..1_112_275_522_500).collect::<Vec<_>>());
    assert_eq!(server.stats().of(Method::List).calls, 3);
    assert_eq!(work.path("sessions.csv").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let told = work.json("sessions.csv.listing.json");
    assert_eq!((&told["complete"], &told["rows"], &told["cursor"]), (&true.into(), &2_500.into(), &().into()));
    assert_eq!(
        (&told["output"]["bytes"], told["output"]["sha256"].as_str().map(str::len)),
        (&text.len().into(), Some(64))
    );
    assert!(told["began_at"].as_str() <= told["finished_at"].as_str());
    let changed = work.path("sessions.csv").metadata().and_then(|file| file.modified()).unwrap();
    let changed = slack_revoke::model::Timestamp::from_millis(
        changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap(),
    )
    .rfc3339();
    assert_eq!(told["began_at"], changed.as_str());
    work.run(&server, "sessions.csv").args(["--rate", "unlimited"]).exits(0);
    assert_eq!(work.results("sessions.results.csv").count("revoked"), 2_500);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn filters_select_sessions() {
    let (work, server) = (Workdir::new(), start(config(people())));
    work.write("users.txt", "U1 # both of hers\nW3\n");
    for (flags, want) in [
        (vec![], vec![1, 2, 3, 4]),
        (vec!["--ip", "203.0.113.0/24"], vec![1, 3]),
        (vec!["--ip", "2001:db8::/32", "--ip", "192.0.2.4"], vec![3, 4]),
        (vec!["--not-ip", "2001:db8::/32"], vec![1, 2, 4]),
        (vec!["--ip", "203.0.113.0/24", "--not-ip", "203.0.113.3"], vec![1]),
        (vec!["--os", "IOS"], vec![3]),
        (vec!["--os", "macos", "--os", "windows"], vec![1, 4]),
        (vec!["--client", "24."], vec![2, 3]),
        (vec!["--device", "pixel, \"8"], vec![2]),
        (vec!["--users", "users.txt"], vec![1, 2, 4]),
        (vec!["--exclude-user", "users.txt"], vec![3]),
        (vec!["--users", "users.txt", "--client", "4.39"], vec![1, 4]),
        (vec!["--team", "T1", "--user", "U2"], vec![3]),
        (vec!["--team", "T9", "--user", "U2"], vec![]),
        (vec!["--device", "nothing of the kind"], vec![]),
    ] {
        let listed = list(&work, &server).args(flags.clone()).exits(0).stdout();
        assert_eq!(ids(&listed), want, "{flags:?}");
    }
}

#[test]
fn both_devices_have_their_columns() {
    let (work, server) = (Workdir::new(), start(config(people())));
    let listed = list(&work, &server).exits(0).stdout();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines[1],
        "U1,T1,1,MacBookPro18,3,macOS,1.0,4.39,203.0.113.1,,,,,".replace("MacBookPro18,3", "\"MacBookPro18,3\"")
    );
    assert!(lines[3].ends_with(",203.0.113.3,\"iPhone15,2\",iOS,1.0,24.08,2001:db8::7"), "{}", lines[3]);
}

#[test]
fn no_listing_call_is_made_during_a_pause() {
    let second = Duration::from_secs(1);
    let bucket = LimitKind::TokenBucket { calls: 1, per: second, burst: 1 };
    let limits = MethodLimits { list: Limit::of(bucket), ..MethodLimits::default() };
    let server = start(StandInConfig { limits, ..config(sessions(1, 2_001)) });
    let work = Workdir::new();
    assert_eq!(ids(&list(&work, &server).exits(0).stdout()).len(), 2_001);
    let counts = server.stats().of(Method::List);
    assert!(counts.limited >= 1, "{counts:?}");
    assert_eq!((counts.accepted, counts.inside_pause), (3, 0), "{counts:?}");
}

#[test]
fn a_pause_beyond_max_retry_after_stops_the_listing_resumably() {
    let bucket = LimitKind::TokenBucket { calls: 1, per: Duration::from_hours(1), burst: 1 };
    let limit = Limit { retry_after: RetryAfter::Fixed(3_000), ..Limit::of(bucket) };
    let limits = MethodLimits { list: limit, ..MethodLimits::default() };
    let server = start(StandInConfig { limits, ..config(sessions(1, 1_500)) });
    let work = Workdir::new();
    let finished = list(&work, &server).args(["-o", "s.csv"]).exits(3);
    assert!(finished.stderr().contains("-o s.csv --resume"), "{}", finished.stderr());
    assert_eq!(ids(&work.read("s.csv")).len(), 1_000);
    assert_eq!(work.json("s.csv.listing.json")["complete"], false);
}

/// A listing of 2,500 sessions that was interrupted after its first page.
fn interrupted(work: &Workdir, server: &Server) -> String {
    let slow =
        ["list", "-o", "s.csv", "--others", "rest.csv", "--os", "o", "--rate", "1/h", "--api-url", &server.url()];
    let running = work.program(slow).token(TOKEN).start();
    while !(work.exists("s.csv.listing.json") && work.read("s.csv.listing.json").contains("\"pages\": 1")) {
        std::thread::yield_now();
    }
    running.signal(Signal::INT);
    let finished = running.wait();
    assert_eq!(finished.code(), Some(130), "{}", finished.stderr());
    finished.stderr()
}

#[test]
fn an_interrupted_listing_resumes_at_its_cursor() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 2_500))));
    let whole = list(&work, &server).args(["--os", "o"]).exits(0).stdout();
    let calls = server.stats().of(Method::List).calls;
    let told = interrupted(&work, &server);
    assert!(told.contains("--resume"), "{told}");
    assert_eq!(work.path("s.csv.listing.json").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // What the filters leave out isn't whole either.
    work.program(["plan", "rest.csv"]).exits(2);
    list(&work, &server).args(["-o", "rest.csv", "--os", "o", "--resume"]).exits(2);

    let refused = list(&work, &server).args(["-o", "s.csv", "--os", "o"]).exits(2);
    let forgotten = list(&work, &server).args(["-o", "s.csv", "--os", "o", "--resume"]).exits(2);
    assert!(forgotten.stderr().contains("another --others"), "{}", forgotten.stderr());
    let told = refused.stderr();
    assert!(told.contains("exists already") && told.contains("list --resume continues it"), "{told}");
    let other = list(&work, &server).args(["-o", "s.csv", "--os", "x", "--resume", "--others", "rest.csv"]).exits(2);
    assert!(other.stderr().contains("other filters"), "{}", other.stderr());

    // A page that a crash cut off before its cursor was saved.
    work.write("s.csv", work.read("s.csv") + "U1,T1,77,torn");
    work.write("rest.csv", work.read("rest.csv") + "U1,T1,78,torn");
    let changed = || work.path("s.csv").metadata().and_then(|file| file.modified()).unwrap();
    let crashed_at = changed();
    list(&work, &server).args(["-o", "s.csv", "--os", "o", "--resume", "--others", "rest.csv"]).exits(0);
    assert_eq!(work.read("s.csv"), whole);
    assert!(changed() < crashed_at, "a list is as old as its beginning");
    let everything: BTreeSet<u64> = [whole, work.read("rest.csv")].iter().flat_map(|text| ids(text)).collect();
    assert_eq!(everything, (1..=2_500).collect());
    assert_eq!(server.stats().of(Method::List).calls, calls + 3, "no page was read twice");
    assert_eq!(work.json("s.csv.listing.json")["complete"], true);
    assert_eq!(work.json("rest.csv.listing.json")["complete"], true);
    let complete = list(&work, &server).args(["-o", "s.csv", "--os", "o", "--resume"]).exits(2);
    assert!(complete.stderr().contains("complete"), "{}", complete.stderr());
}

#[test]
fn resume_starts_a_listing_if_there_is_none() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    list(&work, &server).args(["-o", "s.csv", "--resume"]).exits(0);
    assert_eq!(ids(&work.read("s.csv")), [1, 2, 3]);
}

#[test]
fn no_session_at_all_is_an_empty_list() {
    let (work, server) = (Workdir::new(), start(config(vec![])));
    let listed = list(&work, &server).exits(0).stdout();
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn every_kind_of_error_has_its_exit_code() {
    let work = Workdir::new();
    let unscoped = StandInToken { scopes: "admin.users:write".into(), ..StandInToken::named(TOKEN) };
    let server = start(StandInConfig { tokens: vec![unscoped], ..config(sessions(1, 3)) });
    let scope = list(&work, &server).exits(4).stderr();
    assert!(scope.contains("admin.users:read") && !scope.contains("admin.users:write: add"), "{scope}");
    for _ in 0..2 {
        // Nothing was listed, so nothing is in the way of the same command.
        list(&work, &server).token("xoxp-unknown").args(["-o", "s.csv"]).exits(4);
        assert_eq!(work.names(), Vec::<String>::new());
    }
    work.program(["list", "--api-url", &server.url()]).exits(4);
    list(&work, &server).args(["-o", "no/such/folder.csv"]).exits(7);
    list(&work, &server).args(["--team", "T1"]).exits(2);
    list(&work, &server).args(["--ip", "office"]).exits(2);
    list(&work, &server).args(["--resume"]).exits(2);
    work.write("bad.txt", "U1\n1112275520242\n");
    list(&work, &server).args(["--users", "bad.txt"]).exits(2);
    let url = server.url();
    drop(server);
    let gone = work.program(["list", "--api-url", &url, "--retries", "0"]).token(TOKEN).exits(5);
    assert!(gone.stderr().contains("can't be reached"), "{}", gone.stderr());
}

#[test]
fn an_expired_token_is_read_again() {
    let work = Workdir::new();
    let server = start(StandInConfig { store: SessionStore::listed(sessions(1, 3)), ..config(vec![]) });
    server.expire_token(TOKEN);
    server.accept_token("xoxp-fresh");
    let fetch = "if [ -e used ]; then echo xoxp-fresh; else touch used; echo xoxp-stand-in-0001; fi";
    let program = work.program(["list", "--rate", "unlimited", "--api-url", &server.url(), "--token-command", fetch]);
    assert_eq!(ids(&program.exits(0).stdout()), [1, 2, 3]);
}

#[test]
fn unreadable_sessions_are_reported() {
    let nobodys = Session { user: None, ..Session::new(2, "T1", "") };
    let (work, server) = (Workdir::new(), start(config(vec![Session::new(1, "T1", "U1"), nobodys])));
    let finished = list(&work, &server).exits(1);
    assert_eq!(ids(&finished.stdout()), [1]);
    assert!(finished.stderr().contains("1 session could not be read"), "{}", finished.stderr());
}

#[test]
fn others_file_has_the_sessions_left_out() {
    let (work, server) = (Workdir::new(), start(config(people())));
    let filtered = ["--ip", "203.0.113.0/24", "-o", "those.csv"];
    list(&work, &server).args(filtered).args(["--others", "others.csv"]).exits(0);
    let (those, others) = (work.read("those.csv"), work.read("others.csv"));
    assert_eq!((ids(&those), ids(&others)), (vec![1, 3], vec![2, 4]));
    assert_eq!(those.lines().next(), others.lines().next());
    let noted = work.json("others.csv.listing.json");
    assert_eq!((&noted["complete"], &noted["is_others"], &noted["rows"]), (&true.into(), &true.into(), &2.into()));
    let main = work.json("those.csv.listing.json");
    assert_eq!((&main["others"]["sha256"], &main["others"]["rows"]), (&noted["output"]["sha256"], &2.into()));
    work.program(["plan", "others.csv"]).exits(0);
    for others in ["others.csv", "new.csv", "./new.csv"] {
        let refused = list(&work, &server).args(["-o", "new.csv", "--others", others]).exits(2);
        assert!(refused.stderr().contains("--others"), "{}", refused.stderr());
        assert_eq!(work.names(), ["others.csv", "others.csv.listing.json", "those.csv", "those.csv.listing.json"]);
    }
    list(&work, &server).args(["--others", "new.csv"]).exits(2);
}

/// A list of which one page of three was written when it was killed.
fn cut_off(work: &Workdir, server: &Server) {
    let slow = ["list", "-o", "s.csv", "--rate", "1/h", "--api-url", &server.url()];
    let running = work.program(slow).token(TOKEN).start();
    while !(work.exists("s.csv.listing.json") && work.read("s.csv.listing.json").contains("\"pages\": 1")) {
        std::thread::yield_now();
    }
    // While it is written, it is no list either.
    work.program(["plan", "s.csv"]).exits(2);
    running.kill();
}

#[test]
fn an_unfinished_list_is_refused_as_input() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 2_500))));
    work.write("r.csv", "user_id,session_id\nU1,1\n");
    work.run(&server, "r.csv").exits(0);
    cut_off(&work, &server);
    let url = server.url();
    for command in [
        &["run", "s.csv", "--yes", "-q"][..],
        &["run", "s.csv", "--resume-or-start", "--yes", "-q"],
        &["plan", "s.csv"],
        &["resolve", "s.csv"],
        &["verify", "r.results.csv", "--before", "s.csv"],
    ] {
        let refused = work.program(command.iter().copied()).args(["--api-url", &url]).token(TOKEN).exits(2).stderr();
        assert!(refused.contains("only a part of a list") && refused.contains("list --resume -o s.csv"), "{refused}");
    }
    assert_eq!(server.live_sessions().len(), 2_499, "nothing was sent");
    list(&work, &server).args(["-o", "s.csv", "--resume"]).exits(0);
    assert_eq!(ids(&work.read("s.csv")), (2..=2_500).collect::<Vec<_>>());
    work.run(&server, "s.csv").args(["--rate", "unlimited", "-q"]).exits(0);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn a_listing_killed_before_its_first_page_is_resumed() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    list(&work, &server).args(["-o", "whole.csv"]).exits(0);
    let noted = work.read("whole.csv.listing.json");
    let mut unfinished: serde_json::Value = serde_json::from_str(&noted).unwrap();
    for (member, value) in [
        ("finished_at", ().into()),
        ("complete", false.into()),
        ("pages", 0.into()),
        ("rows", 0.into()),
        ("seen", 0.into()),
    ] {
        unfinished[member] = value;
    }
    let header = work.read("whole.csv").lines().next().unwrap().to_owned() + "\n";
    for (bytes, output) in
        [(0, None), (0, Some("")), (0, Some(&header[..9])), (0, Some(&header)), (header.len(), Some(&header))]
    {
        unfinished["output"] = serde_json::json!({"bytes": bytes, "sha256": null});
        work.write("s.csv.listing.json", unfinished.to_string());
        let plain = list(&work, &server).args(["-o", "s.csv"]);
        if let Some(output) = output {
            work.write("s.csv", output);
            work.program(["plan", "s.csv"]).exits(2);
            assert!(plain.exits(2).stderr().contains("--resume continues"));
        }
        list(&work, &server).args(["-o", "s.csv", "--resume"]).exits(0);
        assert_eq!(work.read("s.csv"), work.read("whole.csv"));
        std::fs::remove_file(work.path("s.csv")).unwrap();
    }
    list(&work, &server).args(["-o", "s.csv"]).exits(0);
    assert_eq!(work.read("s.csv"), work.read("whole.csv"), "nothing is in the way once the list is gone");
}

#[test]
fn a_listing_is_resumed_only_with_a_token_of_its_organization() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 2_500))));
    cut_off(&work, &server);
    let organization = work.json("s.csv.listing.json")["organization"].as_str().unwrap().to_owned();
    work.write("s.csv.listing.json", work.read("s.csv.listing.json").replace(&organization, "E0THER"));
    let refused = list(&work, &server).args(["-o", "s.csv", "--resume"]).exits(2).stderr();
    assert!(refused.contains(&format!("a token of E0THER, and this one belongs to {organization}")), "{refused}");
    assert_eq!(ids(&work.read("s.csv")).len(), 1_000);
}

#[test]
fn the_age_of_a_list_counts_from_its_start_even_for_a_copy() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    list(&work, &server).args(["-o", "s.csv"]).exits(0);
    let began = work.json("s.csv.listing.json")["began_at"].as_str().unwrap().to_owned();
    work.write("s.csv.listing.json", work.read("s.csv.listing.json").replace(&began, "2020-01-01T00:00:00.000Z"));
    // As `cp` leaves it.
    work.write("s.csv", work.read("s.csv"));
    let said = work.run(&server, "s.csv").args(["-q"]).exits(0).stderr();
    assert!(said.contains("the input is"), "{said}");
}

#[test]
fn a_foreign_file_is_not_used_as_listing_metadata() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 3))));
    work.write("s.csv.listing.json", "{\"mine\":1}");
    for flags in [&["-o", "s.csv"][..], &["-o", "s.csv", "--resume"]] {
        list(&work, &server).args(flags.iter().copied()).exits(2);
    }
    assert_eq!(work.read("s.csv.listing.json"), "{\"mine\":1}");
    let others = list(&work, &server).args(["-o", "t.csv", "--others", "t.csv.listing.json"]).exits(2).stderr();
    assert!(others.contains("--others"), "{others}");
    list(&work, &server).args(["-o", "t.csv", "--others", "no/such.csv"]).exits(7);
    assert_eq!(work.names(), ["s.csv.listing.json"], "nothing is left in the way of the next start");
}

#[test]
fn an_empty_user_list_causes_a_warning() {
    let (work, server) = (Workdir::new(), start(config(people())));
    work.write("empty.txt", "# nobody yet\n\n");
    work.write("others.txt", "U8\nU9\n");
    work.write("both.txt", "U8\nU1\n");
    for flag in ["--users", "--exclude-user"] {
        let refused = list(&work, &server).args([flag, "empty.txt"]).exits(2).stderr();
        assert!(refused.contains("it has no user ids"), "{refused}");
        let warned = list(&work, &server).args(["-q", flag, "others.txt"]).exits(0).stderr();
        assert!(warned.contains(&format!("none of the users in {flag} has a session")), "{warned}");
        assert_eq!(list(&work, &server).args(["-q", flag, "both.txt"]).exits(0).stderr(), "");
    }
}

#[test]
fn the_hint_names_the_listing() {
    for (code, want) in [("user_not_found", "--team and --user"), ("invalid_arguments", "--team and --user")] {
        let server = crate::harness::Canned::json(&format!(r#"{{"ok":false,"error":"{code}"}}"#));
        let said = Workdir::new().program(["list", "--api-url", &server.url()]).token(TOKEN).exits(4).stderr();
        assert!(said.contains(want) && !said.contains("results") && !said.contains("--identify-by"), "{said}");
    }
    let strange = crate::harness::Canned::json(r#"{"ok":false,"error":"strange"}"#);
    let said = Workdir::new().program(["list", "--api-url", &strange.url()]).token(TOKEN).exits(4).stderr();
    assert!(!said.contains("detail column"), "{said}");
    let said = Workdir::new().program(["list"]).exits(4).stderr();
    assert!(said.contains("admin.users:read"), "{said}");
}
