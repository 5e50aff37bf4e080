//! Limits shared through a real Redis server, and every way in which that can fail. Skipped, by name, if `redis-server` isn't installed.

use crate::harness::redis::{RedisServer, SlowWire, url};
use crate::harness::{
    Finished, Program, Running, TOKEN, Workdir, accepted, certificate, config, rows, sessions, start, until,
};
use crate::shared_limit::{calls, die_in_a_pause, kill_one_of_two, limited, once_a_minute, run_together};
use slack_revoke::stand_in::{LimitKind, Method, Server};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Above the limit of [`LOW`], so that it is met again and again.
const FAST: [&str; 2] = ["--rate", "600/min"];

const LOW: LimitKind = LimitKind::SlidingLog { calls: 6, per: Duration::from_millis(900) };

/// What the run has to say of a store that it can't use, and how often.
#[track_caller]
fn assert_alone(finished: &Finished, why: &str) {
    let said = finished.stderr();
    assert_eq!(said.matches("the rate limit isn't shared").count(), 1, "{said}");
    assert!(said.contains(why), "{said}");
}

/// Every row ended, and no call was made inside a pause.
#[track_caller]
fn assert_whole(work: &Workdir, server: &Server, rows: usize) {
    assert_eq!(work.results("in.results.csv").count("revoked"), rows);
    assert_eq!(server.stats().of(Method::Invalidate).inside_pause, 0);
}

fn run(work: &Workdir, server: &Server, store: &str) -> Program {
    work.run(server, "in.csv").env("SLACK_REVOKE_QUOTA", store)
}

#[test]
fn a_pause_outlives_the_run_and_no_host_calls_before_its_end() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let server = limited(once_a_minute(), 3);
    let impatient = ["--max-retry-after", "500ms", "--quota", &redis.url()];
    // Another folder of state is another host.
    let (one, other) = (Workdir::new(), Workdir::new());
    one.write("in.csv", rows(1_000, 2));
    other.write("in.csv", rows(1_002, 1));
    one.run(&server, "in.csv").args(impatient).exits(3);
    let so_far = calls(&server);
    one.run(&server, "in.csv").args(impatient).args(["--resume"]).exits(3);
    let said = other.run(&server, "in.csv").args(impatient).exits(3).stderr();
    assert!(said.contains("closed for"), "{said}");
    assert_eq!(calls(&server), so_far);
    assert!(!one.state().exists() && !other.state().exists(), "nothing is kept in files");
    let planned = other.program(["plan", "in.csv", "-o", "n.csv", "--api-url", &server.url(), "--quota", &redis.url()]);
    let said = planned.exits(0).stdout();
    assert!(said.contains("limit       admin.users.session.invalidate: closed for"), "{said}");
    let doctor = other.program(["doctor", "--api-url", &server.url(), "--quota", &redis.url()]).token(TOKEN);
    let said = doctor.exits(0).stdout();
    assert!(said.contains("! limit        admin.users.session.invalidate: closed for"), "{said}");
    // Every key has an end.
    for key in redis.ask("KEYS *").lines().filter(|line| line.starts_with("slack-revoke")) {
        let seconds: i64 = redis.ask(&format!("TTL {key}")).lines().next().unwrap()[1..].parse().unwrap();
        assert!(seconds > 0 && seconds < 2 * 24 * 3600, "{key}: {seconds}");
    }
    assert!(redis.ask("KEYS *").contains("admin.users.session.invalidate"));
}

#[test]
fn a_run_that_dies_in_a_pause_is_resumed_after_it() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    die_in_a_pause(&["--quota", &redis.url()]);
}

#[test]
fn every_listing_keeps_the_pause_too() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let server = limited(once_a_minute(), 3);
    let work = Workdir::new();
    let list = || {
        let list = work.program(["list", "--api-url", &server.url(), "--max-retry-after", "500ms"]).token(TOKEN);
        list.env("SLACK_REVOKE_QUOTA", &redis.url())
    };
    list().exits(0);
    list().exits(3);
    list().exits(3);
    assert_eq!(server.stats().of(Method::List).calls, 2);
}

#[test]
fn runs_at_the_same_time_divide_the_limit_and_keep_each_others_pauses() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    for runs in [2, 4] {
        run_together(runs, &["--quota", &redis.url()]);
        redis.ask("FLUSHALL");
    }
}

#[test]
fn a_run_that_is_killed_gives_its_share_back() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    kill_one_of_two(&["--quota", &redis.url()]);
}

/// A run of 60 rows at a server whose limit is met again and again, with something done to the store when half of them are sent.
fn disturbed(store: &str, disturb: impl FnOnce()) -> (Workdir, Server, Finished) {
    let server = limited(LOW, 60);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 60));
    let mut running: Running = run(&work, &server, store).args(FAST).start();
    until(&mut running, || accepted(&server) >= 20);
    disturb();
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    assert_whole(&work, &server, 60);
    (work, server, finished)
}

#[test]
fn a_server_that_stops_is_reported_once() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let store = redis.url();
    let (_, _, finished) = disturbed(&store, || redis.kill());
    assert_alone(&finished, "127.0.0.1");
}

#[test]
fn a_server_that_restarts_is_used_again_and_its_loss_reported_once() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let store = redis.url();
    let (_, _, finished) = disturbed(&store, || {
        redis.kill();
        redis.start_again();
    });
    let said = finished.stderr();
    let reports = said.matches("was deleted").count() + said.matches("isn't shared").count();
    assert!((1..=2).contains(&reports), "{said}");
}

#[test]
fn a_server_that_is_flushed_is_reported_once_and_learns_the_pause_again() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (_, _, finished) = disturbed(&redis.url(), || drop(redis.ask("FLUSHALL")));
    assert_eq!(finished.stderr().matches("the shared state of the rate limit was deleted").count(), 1);
    assert!(redis.ask("KEYS *").contains("admin.users.session.invalidate"));
}

#[test]
fn a_slow_server_is_given_up_once_and_holds_nothing_up() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let wire = SlowWire::to(redis.port, Duration::from_secs(5));
    let (_, _, finished) = disturbed(&url(wire.port), || wire.slow_down());
    assert_alone(&finished, "doesn't answer within 2s");
}

#[test]
fn a_run_waits_for_no_server_that_is_not_there() {
    // Nobody listens on the discard port; no server is needed for this.
    let server = limited(LOW, 12);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 12));
    let finished = run(&work, &server, "redis://127.0.0.1:9").args(FAST).exits(0);
    assert_alone(&finished, "127.0.0.1:9");
    assert_whole(&work, &server, 12);
    let doctor = work.program(["doctor", "--api-url", &server.url(), "--quota", "redis://127.0.0.1:9"]).token(TOKEN);
    let said = doctor.exits(0).stdout();
    assert!(said.contains("! limit        it isn't shared with other runs: Redis at 127.0.0.1:9"), "{said}");
}

const SECRET: &str = "pa55-MARKED";
const LOGIN: &str = "MARKEDuser";

/// Neither the password nor the user's name is in what a command said, or in a file that it wrote.
#[track_caller]
fn assert_unseen(work: &Workdir, finished: &Finished) {
    let files = work.names().into_iter().filter(|name| name != "in.csv").map(|name| work.read(&name));
    for text in files.chain([finished.stdout(), finished.stderr()]) {
        assert!(!text.contains("MARKED"), "{text}");
    }
}

/// A run that says everything that it can.
fn loud(work: &Workdir, server: &Server, store: &str) -> Program {
    run(work, server, store)
        .args(["-vvv", "--events", "e", "--summary-json", "s.json", "--metrics-file", "m.prom"])
        .env("SLACK_REVOKE_LOG", "trace")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
}

#[test]
fn a_password_opens_the_server_and_is_seen_nowhere() {
    let Some(redis) = RedisServer::start(&["--requirepass", SECRET]) else { return };
    let port = redis.port;
    for (store, password, is_right) in [
        (format!("redis://:{SECRET}@127.0.0.1:{port}"), "", true),
        (format!("redis://127.0.0.1:{port}"), SECRET, true),
        (format!("redis://:MARKEDwrong@127.0.0.1:{port}/0"), SECRET, true),
        (format!("redis://:MARKEDwrong@127.0.0.1:{port}"), "", false),
        (format!("redis://{LOGIN}:MARKEDwrong@127.0.0.1:{port}"), "", false),
        (format!("redis://127.0.0.1:{port}"), "MARKEDwrong", false),
        (format!("redis://127.0.0.1:{port}"), "", false),
    ] {
        let server = limited(once_a_minute(), 2);
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 2));
        let hook = ["--on-finish", "env > hook"];
        let run = loud(&work, &server, &store).env("SLACK_REVOKE_QUOTA_PASSWORD", password).args(hook);
        // It stops, so that it prints how to go on.
        let finished = run.args(["--max-retry-after", "500ms"]).exits(3);
        assert_eq!(!finished.stderr().contains("isn't shared"), is_right, "{store}: {}", finished.stderr());
        assert_unseen(&work, &finished);
        assert!(work.exists("hook") && finished.stderr().contains("--resume"), "{}", finished.stderr());
    }
    let server = start(config(sessions(1_000, 1)));
    for (password, why) in [("x", "it refuses the password"), ("", "it wants a password")] {
        let work = Workdir::new();
        let doctor = work.program(["doctor", "--api-url", &server.url(), "--quota", &redis.url()]);
        let said = doctor.token(TOKEN).env("SLACK_REVOKE_QUOTA_PASSWORD", password).exits(0).stdout();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_and_not_repeated() {
    let server = start(config(sessions(1_000, 1)));
    for bad in [
        "redis://:MARKED@127.0.0.1:notaport",
        "redis://:MARKED@127.0.0.1:99999",
        "rediss://:MARKED@127.0.0.1#insecure",
        "redis://:MARKED@127.0.0.1/zero",
        "rediss://",
        "http://:MARKED@127.0.0.1",
        "MARKED",
    ] {
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 1));
        let finished = run(&work, &server, bad).exits(2);
        assert!(finished.stderr().contains("SLACK_REVOKE_QUOTA"), "{}", finished.stderr());
        assert_unseen(&work, &finished);
    }
    for typed in [&["--quota", "redis://:MARKED@127.0.0.1"][..], &["--quota=rediss://MARKED@127.0.0.1"]] {
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 1));
        let finished = work.run(&server, "in.csv").args(typed.iter().copied()).exits(2);
        assert!(finished.stderr().contains("SLACK_REVOKE_QUOTA_PASSWORD"), "{}", finished.stderr());
        assert_unseen(&work, &finished);
    }
    assert_eq!(calls(&server), 0);
}

#[test]
fn tls_is_spoken_with_the_roots_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let (known, stranger) = (certificate::authority("Known"), certificate::authority("Stranger"));
    let (cert, key) = certificate::pem(&certificate::named("localhost"), &known);
    let place = |name: &str, content: &str| -> String {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    };
    let (cert, key) = (place("cert.pem", &cert), place("key.pem", &key));
    let (known, stranger) = (place("known.pem", &known.pem()), place("stranger.pem", &stranger.pem()));
    let port = crate::harness::redis::free_port().to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let Some(redis) = RedisServer::start(&[&tls[..], &["--requirepass", SECRET]].concat()) else { return };
    for (store, roots, trouble) in [
        (format!("rediss://localhost:{port}"), &known, None),
        (format!("rediss://localhost:{port}"), &stranger, Some("certificate")),
        (format!("rediss://127.0.0.1:{port}"), &known, Some("certificate")),
        (format!("rediss://localhost:{}", redis.port), &known, Some("localhost")),
        (format!("redis://localhost:{port}"), &known, Some("localhost")),
    ] {
        let server = limited(LOW, 2);
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 2));
        let run = loud(&work, &server, &store).env("SLACK_REVOKE_QUOTA_PASSWORD", SECRET);
        let finished = run.env_path("SSL_CERT_FILE", Path::new(roots)).exits(0);
        match trouble {
            None => assert!(!finished.stderr().contains("isn't shared"), "{}", finished.stderr()),
            Some(why) => assert_alone(&finished, why),
        }
        assert_unseen(&work, &finished);
        assert_whole(&work, &server, 2);
    }
}

#[test]
fn what_is_not_a_record_is_reported_and_begins_anew() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let server = limited(LOW, 2);
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 1));
    work.write("two.csv", rows(1_001, 1));
    run(&work, &server, &redis.url()).exits(0);
    let keys = redis.ask("KEYS *invalidate");
    let key = keys.lines().find(|line| line.starts_with("slack-revoke")).expect("a key");
    redis.ask(&format!("SET {key} nothing"));
    let said = work.run(&server, "two.csv").args(["--quota", &redis.url()]).exits(0).stderr();
    assert_eq!(said.matches("it begins anew").count(), 1, "{said}");
}
