//! Being rate limited: every form in which a server may say so (slack.md, "Rate limits").

use crate::harness::{Workdir, config, rows, sessions, start};
use serde_json::Value;
use slack_revoke::stand_in::{
    Limit, LimitKind, LimitStatus, Method, MethodLimits, RetryAfter, StandInConfig, WindowStart,
};
use std::time::Duration;

/// One call a minute, counted from the first.
fn once_a_minute(retry_after: RetryAfter, status: LimitStatus) -> MethodLimits {
    let kind = LimitKind::FixedWindow { calls: 1, per: Duration::from_mins(1), starts: WindowStart::FirstCall };
    MethodLimits { invalidate: Limit { retry_after, status, ..Limit::of(kind) }, ..MethodLimits::default() }
}

/// The events of this type.
fn events(work: &Workdir, kind: &str) -> Vec<Value> {
    let text = work.read("events.ndjson");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|event| event["type"] == kind).collect()
}

#[test]
fn every_form_of_retry_after_is_a_pause() {
    use LimitStatus::{Ok, TooManyRequests};
    for (retry_after, status, at_least, at_most, stated) in [
        (RetryAfter::True, TooManyRequests, 50_000, 60_000, true),
        (RetryAfter::Missing, TooManyRequests, 30_000, 30_000, false),
        (RetryAfter::Zero, TooManyRequests, 1_000, 1_000, true),
        (RetryAfter::HttpDate, TooManyRequests, 50_000, 61_000, true),
        (RetryAfter::Fixed(7_200), TooManyRequests, 7_200_000, 7_200_000, true),
        (RetryAfter::True, Ok, 50_000, 60_000, true),
        (RetryAfter::Missing, Ok, 30_000, 30_000, false),
    ] {
        let server = start(StandInConfig { limits: once_a_minute(retry_after, status), ..config(sessions(1_000, 3)) });
        let work = Workdir::new();
        work.write("in.csv", rows(1_000, 3));
        let flags = ["-j", "1", "--rate", "unlimited", "--max-retry-after", "500ms", "--events", "events.ndjson"];
        let said = work.run(&server, "in.csv").args(flags).exits(3).stderr();
        let pauses = events(&work, "rate_limited");
        assert_eq!((pauses.len(), &pauses[0]["line"]), (1, &3.into()), "{retry_after:?}");
        let pause = pauses[0]["pause_ms"].as_u64().expect("a number");
        assert!((at_least..=at_most).contains(&pause), "{retry_after:?} {status:?}: {pause} ms");
        assert_eq!(pauses[0]["stated"], stated, "{retry_after:?} {status:?}");
        assert_eq!(server.stats().of(Method::Invalidate).calls, 2, "{retry_after:?} {status:?}");
        assert_eq!(work.results("in.results.csv").records.len(), 1, "a limit ends no row");
        assert_eq!(work.read("in.results.remaining.csv"), rows(1_001, 2));
        assert!(said.contains("before you continue, until 20") && said.contains("--resume"), "{said}");
    }
}

#[test]
fn a_pause_is_kept_and_does_not_count_as_an_attempt() {
    let kind = LimitKind::SlidingLog { calls: 6, per: Duration::from_millis(900) };
    let limits = MethodLimits { invalidate: Limit::of(kind), ..MethodLimits::default() };
    let server = start(StandInConfig { limits, ..config(sessions(1_000, 12)) });
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 12));
    work.run(&server, "in.csv").args(["--rate", "unlimited", "--retries", "0"]).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!(results.count("revoked"), 12);
    assert!(results.records.iter().all(|record| record.get("attempts") == "1"));
    let met = results.records.iter().map(|record| record.get("rate_limited").parse::<u64>().expect("a number"));
    let counts = server.stats().of(Method::Invalidate);
    assert_eq!(met.sum::<u64>(), counts.limited);
    assert!(counts.limited > 0);
    assert_eq!(counts.inside_pause, 0);
    let run = &work.json("in.results.csv.manifest.json")["runs"][0]["counts"];
    assert_eq!((&run["rate_limited"], &run["calls"]), (&counts.limited.into(), &counts.calls.into()));
}

#[test]
fn a_limiter_that_answers_503_makes_no_row_unknown() {
    let kind = LimitKind::TokenBucket { calls: 30, per: Duration::from_secs(1), burst: 3 };
    let limit = Limit { status: LimitStatus::Unavailable, retry_after: RetryAfter::Missing, ..Limit::of(kind) };
    let limits = MethodLimits { invalidate: limit, ..MethodLimits::default() };
    let server = start(StandInConfig { limits, ..config(sessions(1_000, 50)) });
    let work = Workdir::new();
    work.write("in.csv", rows(1_000, 50));
    work.run(&server, "in.csv").args(["--max-rate", "6000/min", "--start-rate", "1800/min"]).exits(0);
    let results = work.results("in.results.csv");
    assert_eq!(results.count("revoked"), 50);
    assert!(results.records.iter().all(|record| record.get("rate_limited") == "0"), "it is no 429");
    let counts = server.stats().of(Method::Invalidate);
    assert!(counts.limited > 4, "{counts:?}");
    assert!(counts.limited < 60, "the rate falls: {counts:?}");
}

#[test]
fn a_limit_on_auth_test_does_not_end_the_run() {
    let kind = LimitKind::FixedWindow { calls: 1, per: Duration::from_hours(1), starts: WindowStart::FirstCall };
    let limits = MethodLimits { auth_test: Limit::of(kind), ..MethodLimits::default() };
    let server = start(StandInConfig { limits, ..config(sessions(1_000, 2)) });
    let work = Workdir::new();
    work.write("one.csv", rows(1_000, 1));
    work.write("two.csv", rows(1_001, 1));
    work.run(&server, "one.csv").exits(0);
    let said = work.run(&server, "two.csv").exits(0).stderr();
    assert!(said.contains("whose token"), "{said}");
    assert_eq!(work.results("two.results.csv").count("revoked"), 1);
}
