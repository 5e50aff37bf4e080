//! Whose fault a refusal is, what it stops, and what it leaves: the canary, suspended workspaces, the breaker.

use super::*;

/// A row that is sent by its user; its `team_id` column may be empty.
fn of_user(line: u64, team: Option<&str>) -> Row {
    let user = UserId::parse(&format!("U{line}")).unwrap();
    let target =
        Ok(Target::by_user(SessionId::from(1000 + line), user, team.and_then(|team| TeamId::parse(team).ok())));
    Row { line, fields: Fields::default(), target, may_have_been_sent: false }
}

fn at_once(rows: Vec<Row>) -> Bench {
    at_once_with(rows, |_| {})
}

fn at_once_with(rows: Vec<Row>, adjust: impl FnOnce(&mut Policy)) -> Bench {
    Bench::with(rows, Pace::Every(Duration::from_nanos(1)), |policy| {
        policy.workers = Some(8);
        adjust(policy);
    })
}

/// Answers every call until the run ends, as `answer` says of its line. Gives the lines in the order of their calls.
fn play(bench: &mut Bench, answer: impl Fn(u64) -> Answer) -> Vec<u64> {
    while !bench.machine.is_finished() {
        bench.until_a_call();
        let line = bench.open[0].1;
        bench.answer(answer(line));
        assert!(bench.sent.len() < 2_000, "it does not end");
    }
    close(bench);
    bench.sent.iter().map(|(line, _)| *line).collect()
}

fn close(bench: &mut Bench) {
    bench.machine.close();
    bench.perform();
}

fn code(text: &str) -> Answer {
    Answer::Refused(text.into())
}

fn limited(seconds: u64) -> Answer {
    Answer::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
}

#[test]
fn only_an_answer_about_the_row_ends_the_canary() {
    for no_answer in [limited(30), code("ratelimited"), code("internal_error"), Answer::Fault(Fault::Http(503))] {
        let mut bench = at_once(rows(2..=20));
        for _ in 0..3 {
            bench.until_a_call().answer(no_answer.clone());
            bench.pass(Duration::from_secs(31));
            assert!(bench.open.len() <= 1, "{no_answer:?}: {:?} in call", bench.open);
        }
        bench.until_a_call().answer(Answer::Ok).pass(LATER).pass(LATER);
        assert!(bench.open.len() > 3, "{no_answer:?}");
    }
    let mut bench = at_once(rows(2..=20));
    bench.refused("token_expired").token(Refreshed::Changed).pass(LATER);
    assert_eq!(bench.open.len(), 1, "a fresh token is tried with one call too");
}

#[test]
fn a_users_refusal_suspends_no_more_than_the_workspace_of_its_row() {
    let team_of = |line: u64| ["T1", "T2", "T3", "T4"][usize::try_from(line % 4).unwrap()];
    let mut bench = at_once((2..=101).map(|line| of_user(line, Some(team_of(line)))).collect());
    play(&mut bench, |line| if line == 2 { code("team_access_not_granted") } else { Answer::Ok });
    assert_eq!(
        (bench.machine.stopped(), bench.machine.run_end(bench.at).any_parked, bench.records.len()),
        (None, true, 75)
    );
}

#[test]
fn a_users_refusal_is_its_rows_own_without_a_workspace_or_in_one_that_works() {
    for team in [None, Some("T1")] {
        let mut bench = at_once((2..=201).map(|line| of_user(line, team)).collect());
        play(&mut bench, |line| if line % 20 == 0 { code("team_access_not_granted") } else { Answer::Ok });
        assert_eq!((bench.machine.stopped(), bench.records.len()), (None, 200), "{team:?}");
        let failed = |(_, status, _): &&(u64, Status, String)| *status == Status::Failed;
        assert_eq!(bench.records.iter().filter(failed).count(), 10);
    }
}

#[test]
fn a_workspace_code_for_every_user_trips_the_breaker() {
    let mut bench = at_once((2..=201).map(|line| of_user(line, None)).collect());
    let sent = play(&mut bench, |_| code("team_access_not_granted"));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Breaker { .. })));
    assert!(bench.records.is_empty() && sent.len() < 20, "{sent:?}");
}

#[test]
fn workspaces_that_alternate_between_two_codes_stop_the_run() {
    let mut bench = at_once((2..=41).map(|line| row(line, &format!("T{line}"))).collect());
    let sent = play(&mut bench, |line| code(if line % 2 == 0 { "no_permission" } else { "org_login_required" }));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Workspaces { .. })));
    assert!(sent.len() <= 3 + 8, "{sent:?}");
}

#[test]
fn a_row_in_flight_is_not_sent_again_once_its_workspace_is_suspended() {
    for late in [Answer::Fault(Fault::Http(503)), limited(1), code("token_expired"), code("internal_error")] {
        let mut input = vec![row(2, "T2"), row(3, "T1"), row(4, "T1"), row(5, "T1")];
        input.extend((6..=30).map(|line| row(line, "T2")));
        let mut bench = at_once(input);
        bench.answer(Answer::Ok).pass(LATER).pass(LATER);
        assert!(bench.open.len() >= 3, "{:?}", bench.open);
        bench.refused("no_permission").answer(late.clone()).answer(late.clone());
        if late == code("token_expired") {
            bench.token(Refreshed::Changed);
        }
        let sent = play(&mut bench, |_| Answer::Ok);
        assert_eq!(sent.iter().filter(|line| (3..=5).contains(*line)).count(), 3, "{late:?}: {sent:?}");
        assert_eq!((bench.records.len(), bench.machine.stopped()), (26, None));
    }
}

#[test]
fn a_call_that_did_not_set_out_is_not_made_once_its_workspace_is_suspended() {
    let mut input = vec![row(2, "T2"), row(3, "T1"), row(4, "T1")];
    input.extend((5..=12).map(|line| row(line, "T2")));
    let mut bench = at_once(input);
    bench.answer(Answer::Ok).pass(LATER).pass(LATER);
    let of_row_4 = bench.open.iter().position(|(_, line)| *line == 4).expect("in call");
    let (id, _) = bench.open.remove(of_row_4);
    bench.refused("ekm_access_denied");
    let now = bench.now();
    bench.machine.on_not_sent(id, now);
    bench.step();
    let sent = play(&mut bench, |_| Answer::Ok);
    assert_eq!(sent.iter().filter(|line| **line == 4).count(), 1, "{sent:?}");
    assert_eq!((bench.records.len(), bench.machine.stopped()), (9, None));
}

#[test]
fn rows_in_flight_when_the_breaker_trips_have_not_ended() {
    for others in ["access_denied", "invalid_arguments"] {
        let mut bench = at_once_with(rows(2..=40), |policy| policy.canary = false);
        bench.pass(LATER).pass(LATER).pass(LATER).pass(LATER);
        assert_eq!(bench.open.len(), 8);
        for _ in 0..5 {
            bench.refused("access_denied");
        }
        assert!(matches!(bench.machine.stopped(), Some(StopReason::Breaker { .. })));
        while !bench.open.is_empty() {
            bench.refused(others);
        }
        close(&mut bench);
        assert!(bench.records.is_empty(), "{others}: {:?}", bench.records);
    }
}

#[test]
fn rows_that_the_breaker_holds_have_not_ended_if_the_run_is_stopped() {
    let mut bench = at_once(rows(2..=40));
    bench.refused("access_denied").until_a_call();
    bench.machine.stop(StopReason::Interrupted);
    while !bench.open.is_empty() {
        bench.refused("access_denied");
    }
    assert!(bench.machine.is_finished());
    close(&mut bench);
    assert!(bench.records.is_empty(), "{:?}", bench.records);
}

#[test]
fn a_resumed_run_knows_that_there_were_successes() {
    let mut earlier = Counts::default();
    earlier.add(Status::Revoked);
    let resumed = |policy: &mut Policy| (policy.earlier, policy.rows) = (earlier, policy.rows + 1);
    let mut bench = at_once_with(rows(2..=40), resumed);
    play(&mut bench, |line| if line < 8 { code("access_denied") } else { Answer::Ok });
    assert_eq!((bench.machine.stopped(), bench.records.len()), (None, 39));
}

#[test]
fn a_run_that_has_ended_every_row_is_complete() {
    let limits = |policy: &mut Policy| {
        (policy.max_failures, policy.deadline) = (MaxFailures::Rows(2), Some(Duration::from_secs(40)));
    };
    // The last row is the one failure too many.
    let mut bench = at_once_with(rows(2..=3), limits);
    bench.refused("user_not_found").until_a_call().refused("user_not_found");
    close(&mut bench);
    assert_eq!((bench.machine.stopped(), bench.records.len()), (None, 2));
    // The deadline passes during the last call; a row that needs another call is one too many.
    for (answer, stop) in [(Answer::Ok, None), (Answer::Fault(Fault::Timeout), Some(&StopReason::Deadline))] {
        let mut bench = at_once_with(rows(2..=3), limits);
        bench.answer(Answer::Ok).until_a_call().pass(Duration::from_mins(1)).answer(answer).pass(LATER);
        assert!(bench.machine.is_finished());
        close(&mut bench);
        assert_eq!(bench.machine.stopped(), stop);
    }
    // A signal comes during the last call.
    let mut bench = at_once(rows(2..=2));
    bench.machine.stop(StopReason::Terminated);
    bench.answer(Answer::Ok);
    close(&mut bench);
    assert_eq!((bench.machine.stopped(), bench.records.len()), (None, 1));
}
