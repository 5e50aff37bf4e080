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
    let mut gate = RateGate::new(Pace::Auto { start: 20.0, most: MOST }, Duration::ZERO);
    let (mut now, mut paused_until, mut sent) = (Duration::ZERO, Duration::ZERO, Vec::new());
    for (index, (latency, pause)) in answers.iter().enumerate() {
        let left = (answers.len() - index) as u64;
        while let Err(closed) = gate.try_acquire(now, left, 0) {
            let NotUntil::Until(at) = closed else { panic!("nothing is in call") };
            prop_assert!(at > now, "a refusal names a moment to come");
            now = at;
        }
        prop_assert!(now >= paused_until, "inside a pause");
        let estimate = gate.per_minute().expect("there is a limit");
        prop_assert!((LEAST..=MOST).contains(&estimate), "{estimate}");
        sent.push((now, estimate));
        let sent_at = now;
        now += Duration::from_millis(*latency);
        match pause {
            None => gate.accepted(sent_at),
            Some(pause) => {
                let kept = gate.refused(sent_at, now, Duration::from_secs(*pause));
                prop_assert!(kept >= Duration::from_secs(*pause));
                paused_until = paused_until.max(now + kept);
            }
        }
    }
    Ok(sent)
}

proptest! {
    /// Whatever the answers: no call inside a pause, the estimate within its bounds, and no more calls in any 60 s than
    /// the highest estimate in them.
    #[test]
    fn no_call_in_a_pause_and_no_more_than_the_estimate_in_any_minute(answers in answers()) {
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

    /// The same answers give the same decisions.
    #[test]
    fn the_same_answers_give_the_same_decisions(answers in answers()) {
        prop_assert_eq!(played(&answers)?, played(&answers)?);
    }
}

/// The calls of a server that takes everything.
fn unlimited(calls: usize) -> Vec<(Duration, f64)> {
    played(&vec![(200, None); calls]).expect("all is well")
}

#[test]
fn the_initial_burst_sends_the_tiers_minute_one_call_at_a_time() {
    let sent = unlimited(21);
    let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
    assert!(gaps[..19].iter().all(|gap| *gap == Duration::from_millis(200)), "{gaps:?}");
    assert!(gaps[19] >= Duration::from_secs(2), "{gaps:?}");
}

#[test]
fn without_refusals_the_rate_climbs_to_its_maximum() {
    let (at, estimate) = *unlimited(1_000).last().expect("calls were made");
    assert!((estimate - MOST).abs() < f64::EPSILON, "{estimate}");
    assert!(at < Duration::from_mins(6), "{at:?}");
}

#[test]
fn an_estimate_below_one_a_minute_stays_within_its_bounds() {
    for (start, most) in [(0.1, 0.1), (0.1, 0.5), (20.0, 0.2)] {
        let mut estimator = RateEstimator::new(start, most, Duration::ZERO);
        for call in 0..40 {
            let now = Duration::from_mins(10) * call;
            estimator.on_time(now, 100);
            estimator.on_sent(now);
            if call % 5 == 4 {
                estimator.on_refused(true, now, STEP);
            } else {
                estimator.on_accepted(now);
            }
            assert!(
                estimator.estimate() > 0.0 && estimator.estimate() <= most,
                "{} {start} {most}",
                estimator.estimate()
            );
        }
    }
}

#[test]
fn a_refusal_in_the_initial_burst_keeps_the_tiers_rate() {
    let mut estimator = RateEstimator::new(20.0, MOST, Duration::ZERO);
    estimator.on_sent(Duration::ZERO);
    estimator.on_refused(true, Duration::from_millis(200), Duration::from_secs(3));
    assert!((estimator.estimate() - 20.0 * MARGIN).abs() < 1e-9, "{}", estimator.estimate());
    assert!(!estimator.is_in_burst());
}

#[test]
fn a_refusal_after_a_steady_minute_holds_the_accepted_rate() {
    let mut estimator = RateEstimator::new(20.0, MOST, Duration::ZERO);
    estimator.phase = Phase::Holding { probe_at: Duration::MAX };
    estimator.estimate = 40.0;
    for call in 0..30 {
        estimator.on_accepted(Duration::from_secs(60 + 2 * call));
    }
    estimator.on_refused(true, Duration::from_secs(119), Duration::from_secs(1));
    assert!((estimator.estimate() - 30.0 * MARGIN).abs() < 1e-9, "{}", estimator.estimate());
}
