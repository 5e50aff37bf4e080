//! Rows without a clear answer: whether they or Slack are at fault, and what that costs.

use super::*;

const FAULTS: [Answer; 6] = [
    Answer::Fault(Fault::Timeout),
    Answer::Fault(Fault::Connection),
    Answer::Fault(Fault::Http(503)),
    Answer::Fault(Fault::BadResponse),
    Answer::Refused(ErrorCode::InternalError),
    Answer::Refused(ErrorCode::SessionInvalidationFailed),
];

fn bench_of(rows: Vec<Row>, workers: u32, retries: u32) -> Bench {
    Bench::with(rows, Pace::Every(Duration::from_millis(1)), |policy| {
        (policy.workers, policy.retries) = (Some(workers), retries);
    })
}

/// Answers every call until the run ends, as `answer` says of its line and the time. An answer comes after 100 ms.
fn play(bench: &mut Bench, answer: impl Fn(u64, Duration) -> Answer) {
    while !bench.machine.is_finished() {
        bench.until_a_call().pass(Duration::from_millis(100));
        let line = bench.open[0].1;
        bench.answer(answer(line, bench.at));
        assert!(bench.sent.len() < 5_000, "it does not end: {:?}", bench.records);
    }
    bench.machine.close();
    bench.perform();
}

fn calls_for(bench: &Bench, line: u64) -> usize {
    bench.sent.iter().filter(|(of, _)| *of == line).count()
}

fn lines_of(bench: &Bench, status: Status) -> Vec<u64> {
    bench.statuses().into_iter().filter(|(_, of)| *of == status).map(|(line, _)| line).collect()
}

#[test]
fn adjacent_rows_that_always_fail_block_no_other_row() {
    for fault in FAULTS {
        for (workers, first, last) in
            [(1, 7, 11), (8, 7, 11), (1, 2, 6), (8, 2, 6), (4, 2, 9), (1, 12, 31), (8, 12, 31)]
        {
            let mut bench = bench_of(rows(2..=100), workers, 2);
            let poison = first..=last;
            play(&mut bench, |line, _| if poison.contains(&line) { fault.clone() } else { Answer::Ok });
            let case = format!("{fault:?}, {workers} workers, rows {poison:?}");
            assert_eq!(bench.machine.stopped(), None, "{case}");
            assert_eq!(lines_of(&bench, Status::Unknown), poison.clone().collect::<Vec<_>>(), "{case}");
            assert_eq!(bench.records.len(), 99, "{case}");
            let most = poison.map(|line| calls_for(&bench, line)).max();
            assert!(most <= Some(3 + 2), "{most:?} calls for one row: {case}");
        }
    }
}

#[test]
fn rows_that_failed_while_others_were_answered_are_not_waited_for_at_the_end() {
    let mut bench = bench_of(rows(2..=21), 4, 5);
    play(&mut bench, |line, _| if (7..=11).contains(&line) { Answer::Fault(Fault::Timeout) } else { Answer::Ok });
    assert_eq!(lines_of(&bench, Status::Unknown), [7, 8, 9, 10, 11]);
    assert!(bench.at < Duration::from_secs(75), "{:?}", bench.at);
}

#[test]
fn used_up_attempts_are_unknown_unless_nothing_was_ever_sent() {
    for (fault, status) in [(Fault::Timeout, Status::Unknown), (Fault::NotConnected, Status::Failed)] {
        for retries in [0, 1, 5] {
            let mut bench = bench_of(rows(2..=2000), 4, retries);
            play(&mut bench, |line, _| if line == 9 { Answer::Fault(fault) } else { Answer::Ok });
            assert_eq!(lines_of(&bench, status), [9]);
            assert_eq!(calls_for(&bench, 9), 1 + retries as usize, "one attempt and {retries} retries");
            assert_eq!(bench.machine.stopped(), None);
        }
    }
}

#[test]
fn a_run_that_never_reached_slack_ends_no_row_whatever_its_length() {
    for (fault, at_least, at_most) in [
        (Answer::Fault(Fault::NotConnected), 0, 40),
        (Answer::Fault(Fault::BadResponse), 0, 40),
        (Answer::Fault(Fault::Http(407)), 0, 40),
        (Answer::Fault(Fault::Http(503)), 120, 300),
        (Answer::Fault(Fault::Timeout), 120, 300),
    ] {
        for count in [1, 3, 5, 6, 200] {
            for retries in [0, 2, 5] {
                let mut bench = bench_of(rows(2..=1 + count), 4, retries);
                play(&mut bench, |_, _| fault.clone());
                let case = format!("{fault:?}, {count} rows, {retries} retries, {:?}", bench.at);
                assert!(matches!(bench.machine.stopped(), Some(StopReason::Unavailable { .. })), "{case}");
                assert!(bench.records.is_empty(), "{case}: {:?}", bench.records);
                let least = if retries == 0 { 0 } else { at_least };
                assert!((least..=at_most).contains(&bench.at.as_secs()), "{case}");
                assert!(bench.sent.len() < 60, "{case}: {} calls", bench.sent.len());
            }
        }
    }
}

#[test]
fn no_fan_out_before_the_first_answer() {
    let mut bench = bench_of(rows(2..=50), 8, 2);
    while bench.machine.stopped().is_none() {
        bench.until_a_call();
        assert_eq!(bench.open.len(), 1);
        bench.answer(Answer::Fault(Fault::NotConnected));
    }
}

#[test]
fn a_first_row_that_always_fails_does_not_end_the_run() {
    let mut bench = bench_of(rows(2..=4), 4, 0);
    bench.answer(Answer::Fault(Fault::Timeout));
    bench.until_a_call().answer(Answer::Ok).until_a_call().answer(Answer::Ok);
    assert_eq!(bench.statuses(), [(2, Status::Unknown), (3, Status::Revoked), (4, Status::Revoked)]);
    assert!(bench.machine.is_finished() && bench.machine.stopped().is_none());
}

#[test]
fn rows_that_slack_itself_never_answers_clearly_end_unknown_and_block_no_resumed_run() {
    let code = Answer::Refused(ErrorCode::SessionInvalidationFailed);
    for count in [1, 3, 5, 9] {
        let mut bench = bench_of(rows(2..=1 + count), 4, 2);
        play(&mut bench, |_, _| code.clone());
        assert_eq!((bench.machine.stopped(), lines_of(&bench, Status::Unknown).len() as u64), (None, count));
    }
}

#[test]
fn an_outage_over_the_last_rows_uses_none_of_them_up() {
    for seconds in [20, 60, 110] {
        for (count, answered) in [(1, 0), (3, 0), (4, 0), (5, 1), (5, 4), (40, 36), (40, 39), (40, 20)] {
            for fault in FAULTS.iter().filter(|fault| **fault != Answer::Fault(Fault::BadResponse)) {
                let mut bench = bench_of(rows(2..=1 + count), 4, 5);
                for _ in 0..answered {
                    bench.until_a_call().answer(Answer::Ok);
                }
                let until = bench.at + Duration::from_secs(seconds);
                play(&mut bench, |_, at| if at < until { fault.clone() } else { Answer::Ok });
                let case = format!("{fault:?} for {seconds} s over the last of {count} rows after {answered}");
                assert_eq!((bench.machine.stopped(), bench.records.len() as u64), (None, count), "{case}");
                assert_eq!(lines_of(&bench, Status::Revoked).len() as u64, count, "{case}");
            }
        }
    }
}

#[test]
fn an_outage_uses_up_no_attempts_and_ends_with_the_first_answer() {
    for (count, retries) in [(13, 2), (13, 0), (500, 0), (500, 5)] {
        let mut bench = bench_of(rows(2..=1 + count), 4, retries);
        bench.answer(Answer::Ok);
        while bench.at < Duration::from_mins(5) {
            bench.until_a_call().answer(Answer::Fault(Fault::NotConnected));
        }
        assert!(bench.has_event("OutageBegan"));
        assert_eq!(bench.records.len(), 1, "{:?}", bench.records);
        assert!(bench.sent.len() < 60, "{} calls into an outage of 5 minutes", bench.sent.len());
        play(&mut bench, |_, _| Answer::Ok);
        assert!(bench.has_event("OutageEnded"));
        assert_eq!(lines_of(&bench, Status::Revoked).len() as u64, count);
    }
}

#[test]
fn each_probe_of_an_outage_is_another_row() {
    let mut bench = bench_of(rows(2..=200), 4, 5);
    bench.answer(Answer::Ok);
    while bench.at < Duration::from_mins(10) {
        bench.until_a_call().answer(Answer::Fault(Fault::Http(503)));
    }
    let probes: Vec<u64> = bench.sent.iter().skip(9).map(|(line, _)| *line).collect();
    let distinct: BTreeSet<_> = probes.iter().collect();
    assert!(probes.len() > 10 && distinct.len() == probes.len(), "{probes:?}");
}

#[test]
fn an_outage_longer_than_the_longest_wait_stops_the_run() {
    for count in [13, 400] {
        let mut bench = bench_of(rows(2..=1 + count), 4, 2);
        bench.answer(Answer::Ok);
        while bench.machine.stopped().is_none() {
            bench.until_a_call().answer(Answer::Fault(Fault::Timeout));
        }
        assert!(matches!(bench.machine.stopped(), Some(StopReason::Unavailable { .. })));
        assert_eq!(bench.records.len(), 1);
    }
}

#[test]
fn a_limit_neither_ends_an_outage_nor_counts_as_one() {
    let mut bench = bench_of(rows(2..=200), 4, 2);
    bench.answer(Answer::Ok);
    for call in 0..30 {
        let limited = Answer::RateLimited { retry_after: Some(Duration::from_secs(1)) };
        let answer = if call % 2 == 0 { Answer::Fault(Fault::Http(503)) } else { limited };
        bench.until_a_call().answer(answer);
    }
    assert!(bench.has_event("OutageBegan") && !bench.has_event("OutageEnded"));
    assert_eq!(bench.records.len(), 1);
}

#[test]
fn an_outage_uses_up_no_row_at_any_pace() {
    for (pace, retries) in [(1, 1), (3, 1), (3, 2), (3, 5), (10, 1), (10, 5)] {
        for seconds in [10, 20, 40, 75, 110] {
            let mut bench = Bench::with(rows(2..=61), Pace::Every(Duration::from_secs(pace)), |policy| {
                (policy.workers, policy.retries) = (Some(4), retries);
            });
            let (from, until) = (Duration::from_secs(31), Duration::from_secs(31 + seconds));
            let outage = from..until;
            play(&mut bench, |_, at| if outage.contains(&at) { Answer::Fault(Fault::Http(503)) } else { Answer::Ok });
            let case = format!("{seconds} s, a call every {pace} s, {retries} retries");
            assert_eq!((bench.machine.stopped(), lines_of(&bench, Status::Revoked).len()), (None, 60), "{case}");
        }
    }
}

#[test]
fn answers_that_are_only_late_show_nothing_of_an_outage() {
    let mut bench = Bench::with(rows(2..=9), Pace::Every(Duration::from_millis(1)), |policy| {
        (policy.workers, policy.retries, policy.canary) = (Some(8), 1, false);
    });
    for _ in 0..8 {
        bench.pass(Duration::from_millis(1));
    }
    assert_eq!(bench.open.len(), 8);
    for attempt in 1..=2 {
        // The last row's call fails, and an answer follows that was on its way before.
        let last = bench.open.iter().position(|(_, line)| *line == 9).expect("it is sent again");
        bench.open.swap(0, last);
        bench.answer(Answer::Fault(Fault::Http(503))).answer(Answer::Ok);
        while attempt == 1 && !bench.open.iter().any(|(_, line)| *line == 9) {
            bench.at = bench.wake.expect("something is due");
            bench.step();
        }
    }
    while !bench.open.is_empty() {
        bench.answer(Answer::Ok);
    }
    assert!(lines_of(&bench, Status::Unknown).is_empty());
    play(&mut bench, |_, _| Answer::Ok);
    assert_eq!((bench.machine.stopped(), lines_of(&bench, Status::Revoked).len()), (None, 8));
}

#[test]
fn a_row_that_was_in_one_outage_is_not_to_blame_for_the_next() {
    let mut bench = bench_of(rows(2..=8), 1, 1);
    let outage = |bench: &mut Bench, calls| {
        for _ in 0..calls {
            bench.until_a_call().answer(Answer::Fault(Fault::Http(500)));
        }
    };
    outage(&mut bench, 6);
    assert!(bench.has_event("OutageBegan"));
    for _ in 0..5 {
        bench.until_a_call().answer(Answer::Ok);
    }
    outage(&mut bench, 4);
    play(&mut bench, |_, _| Answer::Ok);
    assert_eq!((bench.machine.stopped(), lines_of(&bench, Status::Revoked).len()), (None, 7));
}
