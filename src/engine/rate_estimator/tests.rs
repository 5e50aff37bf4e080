use super::*;
use crate::engine::rate_gate::{NotUntil, Pace, RateGate};
use proptest::prelude::*;
use std::collections::VecDeque;

const MOST: f64 = 300.0;

/// What a server does with a call: how long it takes, and the pause in seconds where it refuses.
type Answer = (u64, Option<u64>);

/// Answers of every kind; long runs of accepted ones are likely, so that the pace gets to climb.
fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let refused = prop_oneof![12 => Just(None), 1 => (0_u64..70).prop_map(Some)];
    prop::collection::vec((1_u64..2_500, refused), 1..400)
}

/// One call at a time through the gate: the moments of the calls, with the estimates at them.
fn played(answers: &[Answer]) -> Result<Vec<(Duration, f64)>, TestCaseError> {
    let mut gate = RateGate::new(Pace::Auto { start: 20.0, most: MOST });
    let (mut now, mut closed_until, mut sent) = (Duration::ZERO, Duration::ZERO, Vec::new());
    for (index, (latency, pause)) in answers.iter().enumerate() {
        let left = (answers.len() - index) as u64;
        while let Err(closed) = gate.try_acquire(now, left, 0) {
            let NotUntil::Until(at) = closed else { panic!("nothing is in flight") };
            prop_assert!(at > now, "a refusal names a moment to come");
            now = at;
        }
        prop_assert!(now >= closed_until, "inside a pause");
        let estimate = gate.per_minute().expect("there is a limit");
        prop_assert!(estimate > 0.0 && estimate <= MOST, "{estimate}");
        sent.push((now, estimate));
        let sent_at = now;
        now += Duration::from_millis(*latency);
        match pause {
            None => gate.accepted(sent_at, now),
            Some(pause) => {
                let kept = gate.refused(sent_at, now, Duration::from_secs(*pause));
                prop_assert!(kept >= Duration::from_secs(*pause));
                closed_until = closed_until.max(now + kept);
            }
        }
    }
    Ok(sent)
}

proptest! {
    // Each case is a run of up to 400 calls.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the answers: no call inside a pause, the estimate within its bounds, and no more calls in any 60 s than
    /// the highest estimate in them.
    #[test]
    fn whatever_the_answers(answers in answers()) {
        let sent = played(&answers)?;
        let mut minute: VecDeque<(Duration, f64)> = VecDeque::new();
        for call in sent {
            minute.push_back(call);
            while minute.front().is_some_and(|(at, _)| *at + MINUTE <= call.0) {
                minute.pop_front();
            }
            let highest = minute.iter().map(|(_, estimate)| *estimate).fold(0.0, f64::max);
            prop_assert!(minute.len() <= whole(highest), "{} calls at {highest}", minute.len());
        }
    }

    #[test]
    fn the_same_answers_give_the_same_decisions(answers in answers()) {
        prop_assert_eq!(played(&answers)?, played(&answers)?);
    }
}

/// A client that sends as the estimate says, to a server that answers a call at a moment; each call takes 200 ms.
/// Returns the estimator and when the last call left.
fn driven(rows: u64, mut server: impl FnMut(Duration) -> Option<Duration>) -> (RateEstimator, Duration) {
    let latency = Duration::from_millis(200);
    let (mut estimator, mut now, mut left) = (RateEstimator::new(20.0, MOST), Duration::ZERO, rows);
    while left > 0 {
        estimator.on_time(now, left);
        estimator.on_sent(now);
        match server(now) {
            None => {
                estimator.on_accepted(now, now + latency);
                left -= 1;
                now += latency.max(MINUTE.div_f64(estimator.estimate()));
            }
            Some(pause) => {
                estimator.on_refused(true, now, now + latency, pause);
                estimator.on_pause(pause, now + latency);
                now += latency + pause;
            }
        }
    }
    (estimator, now)
}

/// Accepts so many calls in any 60 s and states when the next one is accepted.
fn window(limit: usize) -> impl FnMut(Duration) -> Option<Duration> {
    let mut log: VecDeque<Duration> = VecDeque::new();
    move |now| {
        log.retain(|at| *at + MINUTE > now);
        if log.len() < limit {
            log.push_back(now);
            return None;
        }
        let wait = (log[0] + MINUTE).saturating_sub(now);
        Some(Duration::from_secs(wait.as_secs() + 1))
    }
}

#[test]
fn before_the_first_refusal_calls_leave_as_fast_as_allowed() {
    let (estimator, took) = driven(1_000, |_| None);
    assert!((estimator.estimate() - MOST).abs() < 1e-9, "{}", estimator.estimate());
    assert!(took <= Duration::from_secs(201), "{took:?}");
}

#[test]
fn one_refusal_shows_the_limit_of_a_window() {
    for limit in [8, 20, 33, 60, 90, 120] {
        let (mut refusals, rows) = (0, 10 * limit as u64);
        let mut server = window(limit);
        let (_, took) = driven(rows, |now| server(now).inspect(|_| refusals += 1));
        let ratio = took.as_secs_f64() / (9.0 * MINUTE.as_secs_f64());
        assert!((1.0..=1.15).contains(&ratio), "{limit}: {ratio}");
        assert!(refusals <= 2, "{limit}: {refusals}");
    }
}

/// A run that is killed during the pause leaves the estimate to the next one.
#[test]
fn a_limit_is_known_before_the_pause_is_over() {
    let mut gate = RateGate::new(Pace::Auto { start: 20.0, most: MOST });
    let (mut server, mut now) = (window(20), Duration::ZERO);
    let pause = loop {
        let _permit = gate.try_acquire(now, 1_000, 0).expect("nothing holds it");
        match server(now) {
            None => gate.accepted(now, now),
            Some(pause) => break pause,
        }
        now += Duration::from_millis(200);
    };
    gate.refused(now, now, pause);
    let learnt = gate.learnt().expect("it was refused");
    assert!((19.0..=20.0).contains(&learnt), "{learnt}");
}

#[test]
fn refusals_unrelated_to_load_do_not_lower_the_estimate() {
    let (mut server, mut calls) = (window(20), 0_u64);
    let (estimator, _) = driven(2_000, |now| {
        calls += 1;
        // Every 50th call, whatever the load.
        if calls.is_multiple_of(50) { Some(Duration::from_secs(1)) } else { server(now) }
    });
    assert!(estimator.estimate() > 18.0, "{}", estimator.estimate());
}

#[test]
fn a_storm_of_refusals_is_one_incident() {
    let mut server = window(60);
    let storm = Duration::from_mins(10)..Duration::from_mins(15);
    let mut refusals = 0;
    let (estimator, took) = driven(1_500, |now| {
        let stated = if storm.contains(&now) { Some(Duration::from_secs(10)) } else { server(now) };
        stated.inspect(|_| refusals += 1)
    });
    assert!(estimator.estimate() > 55.0, "{}", estimator.estimate());
    assert!(took < Duration::from_mins(32), "{took:?}");
    assert!(refusals < 60, "{refusals}");
}

#[test]
fn rates_below_one_a_minute_are_kept() {
    for (start, most) in [(0.1, 0.1), (0.1, 0.5), (20.0, 0.2)] {
        let mut estimator = RateEstimator::new(start, most);
        for call in 0..40 {
            let now = Duration::from_mins(10) * call;
            estimator.on_time(now, 100);
            estimator.on_sent(now);
            if call % 5 == 4 {
                estimator.on_refused(true, now, now, Duration::from_secs(20));
            } else {
                estimator.on_accepted(now, now);
            }
            assert!(
                estimator.estimate() > 0.0 && estimator.estimate() <= most,
                "{} {start} {most}",
                estimator.estimate()
            );
        }
    }
}

/// 20 a second, and not 40 at once in every minute that has room for them.
#[test]
fn the_last_rows_are_not_sent_at_once_into_a_window_of_two_seconds() {
    let mut estimator = RateEstimator::new(1_200.0, 6_000.0);
    let (mut now, answer) = (Duration::ZERO, Duration::from_millis(2));
    for call in 0..140 {
        let sent_at = now;
        estimator.on_sent(sent_at);
        if call == 40 {
            let pause = Duration::from_secs(2);
            estimator.on_refused(true, sent_at, now + answer, pause);
            estimator.on_pause(pause, now + answer);
            now += pause;
        } else {
            estimator.on_accepted(sent_at, now + answer);
        }
        estimator.on_time(now + answer, 100);
        now += MINUTE.div_f64(estimator.estimate());
    }
    assert!((1_150.0..=1_200.0).contains(&estimator.estimate()), "{}", estimator.estimate());
    assert!(estimator.spread(100, 1_000) <= estimator.estimate());
}
