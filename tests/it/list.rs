//! `list`: pages through the same gate, filters, and going on after an interruption.

use crate::harness::{Program, TOKEN, Workdir, config, sessions, start};
use rustix::process::Signal;
use slack_revoke::rehearsal::{
    Config, Device, Devices, Limit, LimitKind, Limits, Method, Population, RetryAfter, Server, Session, Token,
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

fn device(os: &str, client: &str, hardware: &str, ip: &str) -> Device {
    Device {
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
        devices: Some(Devices { created, recent }),
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
    assert!(!work.exists("sessions.csv.cursor"));
    work.run(&server, "sessions.csv").args(["--rate", "unlimited"]).exits(0);
    assert_eq!(work.results("sessions.results.csv").count("revoked"), 2_500);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn filters_choose_the_sessions() {
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
fn a_limit_is_waited_for_and_no_call_is_made_in_its_pause() {
    let second = Duration::from_secs(1);
    let bucket = LimitKind::TokenBucket { calls: 1, per: second, burst: 1 };
    let limits = Limits { list: Limit::of(bucket), ..Limits::default() };
    let server = start(Config { limits, ..config(sessions(1, 2_001)) });
    let work = Workdir::new();
    assert_eq!(ids(&list(&work, &server).exits(0).stdout()).len(), 2_001);
    let counts = server.stats().of(Method::List);
    assert!(counts.limited >= 1, "{counts:?}");
    assert_eq!((counts.accepted, counts.inside_pause), (3, 0), "{counts:?}");
}

#[test]
fn a_demand_beyond_the_patience_ends_the_listing_to_be_continued() {
    let bucket = LimitKind::TokenBucket { calls: 1, per: Duration::from_hours(1), burst: 1 };
    let limit = Limit { retry_after: RetryAfter::Fixed(3_000), ..Limit::of(bucket) };
    let limits = Limits { list: limit, ..Limits::default() };
    let server = start(Config { limits, ..config(sessions(1, 1_500)) });
    let work = Workdir::new();
    let finished = list(&work, &server).args(["-o", "s.csv"]).exits(3);
    assert!(finished.stderr().contains("-o s.csv --resume"), "{}", finished.stderr());
    assert_eq!(ids(&work.read("s.csv")).len(), 1_000);
    assert!(work.exists("s.csv.cursor"));
}

/// A listing of 2,500 sessions that was interrupted after its first page.
fn interrupted(work: &Workdir, server: &Server) -> String {
    let slow =
        ["list", "-o", "s.csv", "--others", "rest.csv", "--os", "o", "--rate", "1/h", "--api-url", &server.url()];
    let running = work.program(slow).token(TOKEN).start();
    while !(work.exists("s.csv.cursor") && work.read("s.csv.cursor").contains("\"pages\": 1")) {
        std::thread::yield_now();
    }
    running.signal(Signal::INT);
    let finished = running.wait();
    assert_eq!(finished.code(), Some(130), "{}", finished.stderr());
    finished.stderr()
}

#[test]
fn an_interrupted_listing_goes_on_at_its_cursor() {
    let (work, server) = (Workdir::new(), start(config(sessions(1, 2_500))));
    let whole = list(&work, &server).args(["--os", "o"]).exits(0).stdout();
    let calls = server.stats().of(Method::List).calls;
    let told = interrupted(&work, &server);
    assert!(told.contains("--resume"), "{told}");
    assert_eq!(work.path("s.csv.cursor").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let refused = list(&work, &server).args(["-o", "s.csv", "--os", "o"]).exits(2);
    let forgotten = list(&work, &server).args(["-o", "s.csv", "--os", "o", "--resume"]).exits(2);
    assert!(forgotten.stderr().contains("another --others"), "{}", forgotten.stderr());
    assert!(refused.stderr().contains("exists already"), "{}", refused.stderr());
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
    assert!(!work.exists("s.csv.cursor"));
    let complete = list(&work, &server).args(["-o", "s.csv", "--os", "o", "--resume"]).exits(2);
    assert!(complete.stderr().contains("complete"), "{}", complete.stderr());
}

#[test]
fn resume_begins_where_nothing_was_begun() {
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
fn every_kind_of_trouble_has_its_code() {
    let work = Workdir::new();
    let unscoped = Token { scopes: "admin.users:write".into(), ..Token::named(TOKEN) };
    let server = start(Config { tokens: vec![unscoped], ..config(sessions(1, 3)) });
    let scope = list(&work, &server).exits(4).stderr();
    assert!(scope.contains("admin.users:read") && !scope.contains("admin.users:write: add"), "{scope}");
    for _ in 0..2 {
        // Nothing was listed, so nothing is in the way of the same command.
        list(&work, &server).token("xoxp-unknown").args(["-o", "s.csv"]).exits(4);
        assert!(!work.exists("s.csv") && !work.exists("s.csv.cursor"));
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
    assert!(gone.stderr().contains("cannot be reached"), "{}", gone.stderr());
}

#[test]
fn a_token_that_expired_is_read_again() {
    let work = Workdir::new();
    let server = start(Config { population: Population::listed(sessions(1, 3)), ..config(vec![]) });
    server.expire_token(TOKEN);
    server.accept_token("xoxp-fresh");
    let fetch = "if [ -e used ]; then echo xoxp-fresh; else touch used; echo xoxp-stand-in-0001; fi";
    let program = work.program(["list", "--rate", "unlimited", "--api-url", &server.url(), "--token-command", fetch]);
    assert_eq!(ids(&program.exits(0).stdout()), [1, 2, 3]);
}

#[test]
fn sessions_that_cannot_be_read_are_told_of() {
    let nobodys = Session { user: None, ..Session::new(2, "T1", "") };
    let (work, server) = (Workdir::new(), start(config(vec![Session::new(1, "T1", "U1"), nobodys])));
    let finished = list(&work, &server).exits(1);
    assert_eq!(ids(&finished.stdout()), [1]);
    assert!(finished.stderr().contains("1 session could not be read"), "{}", finished.stderr());
}

#[test]
fn what_the_filters_leave_out_goes_into_a_file_of_its_own() {
    let (work, server) = (Workdir::new(), start(config(people())));
    let filtered = ["--ip", "203.0.113.0/24", "-o", "those.csv"];
    list(&work, &server).args(filtered).args(["--others", "others.csv"]).exits(0);
    let (those, others) = (work.read("those.csv"), work.read("others.csv"));
    assert_eq!((ids(&those), ids(&others)), (vec![1, 3], vec![2, 4]));
    assert_eq!(those.lines().next(), others.lines().next());
    for others in ["others.csv", "new.csv", "./new.csv"] {
        let refused = list(&work, &server).args(["-o", "new.csv", "--others", others]).exits(2);
        assert!(refused.stderr().contains("--others"), "{}", refused.stderr());
        assert_eq!(work.names(), ["others.csv", "those.csv"]);
    }
    list(&work, &server).args(["--others", "new.csv"]).exits(2);
}
