//! One session, named by its user on one line and by its workspace on another.

use super::*;

/// A row of session 7 that is sent by its user where it has one, and its other name's line.
fn naming(line: u64, user: Option<&str>, also_on: u64) -> Row {
    let (session, team) = (SessionId::from(7), TeamId::parse("T1").unwrap());
    let mut target = match user {
        Some(user) => Target::by_user(session, UserId::parse(user).unwrap(), None),
        None => Target::by_team(session, team, None),
    };
    if let Target::Session(session) = &mut target {
        session.set_also_on([also_on].into());
    }
    Row { line, fields: Fields::default(), target: Ok(target), may_have_been_sent: false }
}

fn bench(canary: bool) -> Bench {
    let rows = vec![naming(2, Some("U1"), 3), naming(3, None, 2)];
    let mut bench = Bench::with(rows, Pace::Every(Duration::from_nanos(1)), |policy| policy.canary = canary);
    if !canary {
        bench.pass(LATER);
        assert_eq!(bench.open.len(), 2);
    }
    bench
}

const NOT_FOUND: Answer = Answer::Refused(ErrorCode::SessionNotFound);

#[test]
fn a_session_that_the_other_row_ended_is_gone() {
    for (first, status) in [
        (Answer::Ok, Status::AlreadyRevoked),
        (Answer::Refused(ErrorCode::SessionExpired), Status::AlreadyRevoked),
        (Answer::Refused(ErrorCode::UserNotFound), Status::NotFound),
        (NOT_FOUND, Status::NotFound),
    ] {
        let mut bench = bench(true);
        bench.answer(first.clone()).until_a_call().answer(NOT_FOUND);
        assert_eq!(bench.statuses()[1], (3, status), "{first:?}");
        assert!(bench.machine.is_finished());
    }
}

#[test]
fn an_attempt_in_doubt_is_one_for_both_rows() {
    for (second, status) in [
        (NOT_FOUND, Status::AlreadyRevoked),
        (Answer::Refused(ErrorCode::UserNotFound), Status::Unknown),
        (Answer::Ok, Status::Revoked),
    ] {
        let mut bench = bench(false);
        bench.answer(Answer::Fault(Fault::Timeout)).answer(second.clone());
        assert_eq!(bench.statuses(), [(3, status)], "{second:?}");
        bench.until_a_call().answer(NOT_FOUND);
        assert_eq!(bench.statuses()[0], (2, Status::AlreadyRevoked));
    }
}

#[test]
fn an_answer_on_its_way_for_the_other_row_decides() {
    for (late, statuses) in [
        (Answer::Ok, [Status::Revoked, Status::AlreadyRevoked]),
        (NOT_FOUND, [Status::NotFound, Status::NotFound]),
        (Answer::Refused(ErrorCode::UserNotFound), [Status::Failed, Status::NotFound]),
    ] {
        let mut bench = bench(false);
        bench.open.reverse();
        bench.answer(NOT_FOUND);
        assert!(bench.records.is_empty() && !bench.machine.is_finished());
        assert_eq!(bench.machine.lines_in_flight().collect::<BTreeSet<_>>(), [2, 3].into());
        bench.answer(late.clone());
        assert_eq!(bench.statuses(), [(2, statuses[0]), (3, statuses[1])], "{late:?}");
        assert!(bench.machine.is_finished());
    }
    // The other call fails, or is not made at all: its row is sent again, and this one ends.
    let mut bench = bench(false);
    bench.open.reverse();
    bench.answer(NOT_FOUND).answer(Answer::RateLimited { retry_after: Some(LATER) });
    assert_eq!(bench.statuses(), [(3, Status::NotFound)]);
    let mut bench = self::bench(false);
    bench.open.reverse();
    bench.answer(NOT_FOUND);
    bench.machine.stop(StopReason::Interrupted);
    let (id, _) = bench.open.remove(0);
    let now = bench.now();
    bench.machine.on_not_sent(id, now);
    bench.step();
    assert_eq!(bench.statuses(), [(3, Status::NotFound)]);
    assert!(bench.machine.is_finished());
}
