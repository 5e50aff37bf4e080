//! Who may ask for a pause, whose pause it is, and what of it is waited for.

use super::*;
use crate::model::WaitReason;

const PAUSE: Duration = Duration::from_secs(30);

fn limited(seconds: u64) -> Answer {
    Answer::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
}

/// An answer that asks for a pause beside what it says.
fn asking(answer: Answer, pause: Duration) -> Reply {
    Reply { http_status: Some(503), wait: Some(pause), ..Reply::bare(answer) }
}

#[test]
fn any_answer_that_is_to_be_tried_again_may_pause_the_bucket() {
    for answer in
        [Answer::Fault(Fault::Http(503)), Answer::Fault(Fault::BadResponse), Answer::Refused("fatal_error".into())]
    {
        let mut bench = Bench::with(rows(2..=9), Pace::Every(Duration::from_nanos(1)), |policy| policy.canary = false);
        assert_eq!(bench.open.len(), 2);
        let sent = bench.sent.len();
        bench.reply(asking(answer.clone(), PAUSE)).answer(Answer::Ok);
        bench.pass(PAUSE.saturating_sub(Duration::from_nanos(1)));
        assert_eq!(bench.sent.len(), sent, "{answer:?}: inside the pause");
        bench.pass(Duration::from_nanos(1)).until_a_call();
        assert!(bench.sent.len() > sent, "{answer:?}");
        assert_eq!(bench.machine.run_end(bench.at).calls.counts.rate_limited, 0, "it was no 429");
    }
}

#[test]
fn after_a_503_that_asks_for_a_pause_another_row_goes_first() {
    let mut bench = Bench::new(rows(2..=9));
    bench.reply(asking(Answer::Fault(Fault::Http(503)), PAUSE)).until_a_call();
    assert_eq!(bench.sent, [(2, Duration::ZERO), (3, PAUSE)]);
}

#[test]
fn a_503_that_asks_for_too_long_a_pause_stops_the_run() {
    let mut bench = Bench::new(rows(2..=9));
    bench.reply(asking(Answer::Fault(Fault::Http(503)), Duration::from_hours(1)));
    assert_eq!(bench.machine.stopped(), Some(&StopReason::RetryAfter { pause: Duration::from_hours(1) }));
}

#[test]
fn a_503_that_asks_for_a_pause_lowers_no_estimate() {
    let mut bench = Bench::with(rows(2..=99), Pace::Auto { start: 20.0, most: 300.0 }, |_| {});
    for _ in 0..40 {
        bench.answer(Answer::Ok).until_a_call();
    }
    let before = bench.machine.snapshot(bench.now()).per_minute.unwrap();
    bench.reply(asking(Answer::Fault(Fault::Http(503)), PAUSE)).until_a_call();
    assert!(bench.machine.snapshot(bench.now()).per_minute.unwrap() >= before);
}

#[test]
fn no_test_row_is_sent_past_the_pause_of_a_503() {
    let auto = Pace::Auto { start: 20.0, most: 300.0 };
    let input: Vec<_> =
        (2..=40).map(|line| row(line, ["T1", "T2", "T3"][usize::try_from(line % 3).unwrap()])).collect();
    let mut bench = Bench::with(input, auto, |policy| policy.canary = false);
    // A 429 makes a test row due; a 503 that asks for a pause comes before that is sent.
    let (id, _) = bench.open.remove(0);
    let now = bench.now();
    bench.machine.on_reply(id, Reply { http_status: Some(429), ..Reply::bare(limited(20)) }, now);
    bench.perform();
    bench.machine.buckets.answered(&Job::new(row(2, "T1")).unwrap()).hold(Duration::ZERO, PAUSE);
    let sent = bench.sent.len();
    bench.step();
    bench.pass(PAUSE.saturating_sub(Duration::from_nanos(1)));
    assert_eq!(bench.sent.len(), sent);
}

#[test]
fn a_pause_that_we_lengthen_is_not_reported_as_stated_and_does_not_stop_the_run() {
    let mut bench = Bench::with(rows(2..=9), Pace::Unlimited, |policy| policy.max_retry_after = PAUSE);
    for _ in 0..10 {
        bench.until_a_call().answer(limited(1));
    }
    assert_eq!(bench.machine.stopped(), None);
    assert!(bench.events.iter().any(|event| event.contains("pause: 60s, stated: Some(1s)")), "{:?}", bench.events);
    bench.until_a_call().answer(limited(31));
    assert_eq!(bench.machine.stopped(), Some(&StopReason::RetryAfter { pause: Duration::from_secs(31) }));
}

#[test]
fn of_a_pause_only_what_was_waited_for_is_counted() {
    let mut bench = Bench::new(rows(2..=9));
    bench.answer(limited(30)).pass(Duration::from_secs(30)).answer(Answer::Ok).until_a_call();
    let at = bench.at;
    bench.answer(limited(600)).pass(Duration::from_secs(7));
    bench.machine.stop(StopReason::Interrupted);
    assert_eq!(bench.machine.run_end(bench.at).calls.paused, Duration::from_secs(37));
    assert_eq!(bench.machine.run_end(at + Duration::from_hours(1)).calls.paused, Duration::from_secs(630));
}

#[test]
fn a_snapshot_says_what_the_next_call_waits_for() {
    let interval = Duration::from_secs(3);
    let mut bench = Bench::with(rows(2..=99), Pace::Every(interval), |_| {});
    let wait = |bench: &mut Bench| {
        let now = bench.now();
        bench.machine.snapshot(now).wait
    };
    bench.answer(Answer::Ok);
    assert_eq!(wait(&mut bench), Some((WaitReason::Paced, interval)));
    bench.until_a_call().answer(limited(20));
    assert_eq!(wait(&mut bench), Some((WaitReason::RateLimited, Duration::from_secs(20))));
    bench.until_a_call().reply(asking(Answer::Fault(Fault::Http(503)), PAUSE));
    assert_eq!(wait(&mut bench), Some((WaitReason::ServerBusy, PAUSE)));
    for _ in 0..5 {
        bench.until_a_call().answer(Answer::Fault(Fault::Timeout));
    }
    assert!(matches!(wait(&mut bench), Some((WaitReason::Outage, left)) if !left.is_zero()));
    let now = bench.now();
    bench.machine.stop(StopReason::Interrupted);
    bench.machine.step(now);
    assert_eq!(wait(&mut bench), None);
}
