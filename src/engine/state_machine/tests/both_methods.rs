//! Users who are ended as a whole and sessions that are ended one by one, in one run.

use super::*;
use crate::engine::user_batch::{UserBatch, bulk_calls};
use crate::model::SessionTarget;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

/// The session that a row names, by its workspace.
fn session(line: u64) -> SessionTarget {
    let Ok(Target::Session(target)) = row(line, "T1").target else { unreachable!("a row of a session") };
    target
}

/// A row that asks for this user, and can be sent by itself.
fn of_user(line: u64, user: &str) -> Row {
    Row { target: Ok(Target::user_of(UserId::parse(user).unwrap(), session(line))), ..row(line, "T1") }
}

fn bench(rows: Vec<Row>, pace: Pace, adjust: impl FnOnce(&mut Policy)) -> Bench {
    let (users, singles): (Vec<_>, Vec<_>) =
        rows.iter().cloned().partition(|row| matches!(row.target, Ok(Target::User(_))));
    Bench::with(rows, pace, |policy| {
        (policy.bulk_users, policy.to_send) = (UserBatch::of(users).users().len() as u64, singles.len() as u64);
        adjust(policy);
    })
}

/// One call that is open.
#[derive(Debug, Clone, PartialEq)]
enum Call {
    Users(Vec<String>),
    Session(u64),
}

fn call(bench: &Bench, index: usize) -> Call {
    let job = &bench.machine.in_flight[&bench.open[index].0].job;
    match job.user_batch() {
        Some(user_batch) => Call::Users(user_batch.users().iter().map(ToString::to_string).collect()),
        None => Call::Session(job.line()),
    }
}

/// Answers every call until the run ends, as `answer` says. Gives the calls in their order.
fn play(bench: &mut Bench, mut answer: impl FnMut(&Call) -> Answer) -> Vec<Call> {
    let mut calls = Vec::new();
    while !bench.machine.is_finished() {
        bench.until_a_call();
        calls.push(call(bench, 0));
        bench.answer(answer(&calls[calls.len() - 1]));
        assert!(calls.len() < 5_000, "it does not end");
    }
    bench.machine.close();
    bench.perform();
    calls
}

fn bulk(calls: &[Call]) -> Vec<usize> {
    calls.iter().filter_map(|call| if let Call::Users(users) = call { Some(users.len()) } else { None }).collect()
}

/// Sessions on lines 2 to 9, and the rows of 1,500 users, two each.
fn mixed() -> Vec<Row> {
    let users = (0..3_000).map(|n| of_user(n + 10, &format!("U{}", n / 2)));
    rows(2..=9).into_iter().chain(users).collect()
}

const FAST: Pace = Pace::Every(Duration::from_millis(1));

#[test]
fn one_user_goes_first_and_then_both_methods_side_by_side() {
    let mut bench = bench(mixed(), FAST, |_| {});
    bench.pass(LATER);
    assert_eq!((bench.open.len(), call(&bench, 0)), (1, Call::Users(vec!["U0".into()])));
    bench.answer(Answer::Ok).pass(LATER).pass(LATER);
    let open: Vec<Call> = (0..bench.open.len()).map(|index| call(&bench, index)).collect();
    let sessions = open.iter().filter(|call| matches!(call, Call::Session(_))).count();
    assert_eq!((bulk(&open), sessions > 0), (vec![1_000], true));
    let calls = play(&mut bench, |_| Answer::Ok);
    assert_eq!(bulk(&calls), [1_000, 499]);
    let requested = bench.records.iter().filter(|record| record.1 == Status::Requested).count();
    assert_eq!((requested, bench.records.len(), bench.machine.stopped()), (3_000, 3_008, None));
}

#[test]
fn a_pause_of_one_method_holds_only_its_own_calls() {
    for limited_is_bulk in [true, false] {
        let mut bench = bench(mixed(), FAST, |policy| policy.workers = Some(1));
        bench.answer(Answer::Ok);
        let is_limited = |call: &Call| matches!(call, Call::Users(_)) == limited_is_bulk;
        let (pause, mut others, mut was_limited) = (Duration::from_mins(1), 0, false);
        while bench.at < pause && !bench.machine.is_finished() {
            bench.until_a_call();
            if bench.at >= pause {
                break;
            }
            if is_limited(&call(&bench, 0)) {
                assert!(!was_limited, "a call left in its method's pause");
                was_limited = true;
                bench.answer(Answer::RateLimited { retry_after: Some(pause) });
            } else {
                others += 1;
                bench.answer(Answer::Ok);
            }
        }
        assert!(was_limited);
        assert_eq!(others, if limited_is_bulk { 8 } else { 2 });
    }
}

#[test]
fn a_user_who_is_refused_is_ended_session_by_session() {
    for code in ["user_not_found", "session_reset_not_allowed", "failed_for_some_users", "admin_unauthorized"] {
        let mut bench = bench(mixed(), FAST, |_| {});
        let calls = play(&mut bench, |call| match call {
            Call::Users(users) if users.contains(&"U700".into()) => Answer::Refused(code.into()),
            Call::Users(_) | Call::Session(_) => Answer::Ok,
        });
        let singles: HashSet<u64> =
            calls.iter().filter_map(|call| if let Call::Session(line) = call { Some(*line) } else { None }).collect();
        assert_eq!(singles, (2..=9).chain([1_410, 1_411]).collect(), "{code}");
        let of = |status| bench.records.iter().filter(|record| record.1 == status).count();
        assert_eq!((of(Status::Requested), of(Status::Revoked), bench.machine.stopped()), (2_998, 10, None), "{code}");
    }
}

#[test]
fn a_bulk_method_that_never_works_ends_in_single_calls() {
    for answer in [
        Answer::Refused("session_reset_not_allowed".into()),
        Answer::Refused("no_permission".into()),
        Answer::Fault(Fault::Http(500)),
        // That single calls are accepted in between doesn't make it the answer of a limiter.
        Answer::Fault(Fault::Http(503)),
    ] {
        for canary in [true, false] {
            let mut bench = bench(mixed(), FAST, |policy| (policy.canary, policy.retries) = (canary, 5));
            let calls = play(&mut bench, |call| match call {
                Call::Users(_) => answer.clone(),
                Call::Session(_) => Answer::Ok,
            });
            assert!(bulk(&calls).len() <= 40, "{answer:?}: {:?}", bulk(&calls));
            assert!(bench.at < Duration::from_mins(1), "{answer:?}: {:?}", bench.at);
            let revoked = bench.records.iter().filter(|record| record.1 == Status::Revoked).count();
            assert_eq!((revoked, bench.records.len(), bench.machine.stopped()), (3_008, 3_008, None), "{answer:?}");
        }
    }
}

/// A code that would stop a run of single calls may be about the bulk method alone; if it isn't, a single call gets it too.
#[test]
fn a_bulk_method_that_may_not_be_used_is_given_up_at_once() {
    for (code, single, stop) in [
        ("unknown_method", Answer::Ok, None),
        ("missing_scope", Answer::Refused("missing_scope".into()), Some("missing_scope")),
        ("token_revoked", Answer::Ok, Some("token_revoked")),
    ] {
        let mut bench = bench(mixed(), FAST, |_| {});
        let calls = play(&mut bench, |call| match call {
            Call::Users(_) => Answer::Refused(code.into()),
            Call::Session(_) => single.clone(),
        });
        let stopped = bench
            .machine
            .stopped()
            .map(|reason| matches!(reason, StopReason::Refused { code, .. } if Some(code.as_str()) == stop));
        assert_eq!((bulk(&calls), stopped), (vec![1], stop.map(|_| true)), "{code}");
        let want = if stop.is_none() { 3_008 } else { 0 };
        assert_eq!(bench.records.iter().filter(|record| record.1 == Status::Revoked).count(), want, "{code}");
        let all = r#"OneByOne { line: 10, users: 1500, error: "unknown_method" }"#;
        assert!(stop.is_some() || bench.has_event(all), "{:?}", bench.events);
    }
}

#[test]
fn a_session_that_a_lost_bulk_call_may_have_ended_is_not_called_unknown_to_slack() {
    let mut bench = bench(vec![of_user(2, "U1")], FAST, |_| {});
    play(&mut bench, |call| match call {
        Call::Users(_) => Answer::Fault(Fault::Timeout),
        Call::Session(_) => Answer::Refused(ErrorCode::SessionNotFound),
    });
    assert_eq!(bench.statuses(), [(2, Status::AlreadyRevoked)]);
}

#[test]
fn the_eta_is_that_of_the_method_that_takes_longer() {
    let mut bench = bench(mixed(), Pace::Every(Duration::from_secs(3)), |policy| policy.canary = true);
    let now = bench.now();
    let eta = bench.machine.snapshot(now).eta;
    // The rate is that of the run, whatever the method: 8 sessions and 3 calls.
    assert_eq!((bulk_calls(1_500, true), eta), (3, Some(Duration::from_secs(33))));
}

/// What became of one session or one user on the stand-in's side.
#[derive(Debug, Default)]
struct Truth {
    ended: HashSet<u64>,
    requested: HashSet<String>,
    doubtful: HashSet<u64>,
}

proptest! {
    #[test]
    fn every_session_is_ended_once_and_no_record_is_false(
        rows in prop::collection::vec((0_u64..6, any::<bool>()), 1..40),
        dice in prop::collection::vec(0_u8..12, 1..40),
        canary: bool,
    ) {
        let covered: HashMap<u64, bool> = rows.iter().copied().collect();
        let rows: Vec<Row> = rows.iter().zip(2..).map(|((user, _), line)| if covered[user] { of_user(line, &format!("U{user}")) } else { row(line, "T1") }).collect();
        let lines: Vec<(u64, Option<String>)> = rows.iter().map(|row| {
            let user = row.target.as_ref().ok().and_then(Target::user).map(ToString::to_string);
            (row.line, user)
        }).collect();
        let of = |users: &[String]| -> Vec<u64> {
            let is_of = |user: &Option<String>| user.as_ref().is_some_and(|user| users.contains(user));
            lines.iter().filter(|(_, user)| is_of(user)).map(|(line, _)| *line).collect()
        };
        let mut bench = bench(rows.clone(), FAST, |policy| (policy.canary, policy.retries) = (canary, 5));
        let (mut truth, mut dice, mut calls) = (Truth::default(), dice.iter().cycle(), 0);
        play(&mut bench, |call| {
            calls += 1;
            let die = if calls < 60 { *dice.next().unwrap() } else { 11 };
            let asked = match call {
                Call::Users(users) => of(users),
                Call::Session(line) => vec![*line],
            };
            match (die, call) {
                (0, _) => Answer::RateLimited { retry_after: Some(Duration::from_secs(1)) },
                (1, _) => {
                    truth.doubtful.extend(&asked);
                    truth.ended.extend(&asked);
                    Answer::Fault(Fault::Timeout)
                }
                (2, _) => {
                    truth.doubtful.extend(&asked);
                    Answer::Fault(Fault::Http(500))
                }
                (_, Call::Users(users)) if users.contains(&"U0".into()) => Answer::Refused(ErrorCode::UserNotFound),
                (_, Call::Users(users)) => {
                    truth.ended.extend(&asked);
                    truth.requested.extend(users.iter().cloned());
                    Answer::Ok
                }
                (_, Call::Session(line)) if truth.ended.contains(line) => Answer::Refused(ErrorCode::SessionNotFound),
                (_, Call::Session(line)) => {
                    truth.ended.insert(*line);
                    Answer::Ok
                }
            }
        });
        prop_assert!(bench.machine.stopped().is_some() || bench.records.len() == rows.len(), "a row was lost");
        let distinct: HashSet<u64> = bench.records.iter().map(|(line, _, _)| *line).collect();
        prop_assert_eq!(distinct.len(), bench.records.len(), "a row ended twice");
        for (line, status, _) in &bench.records {
            let user = lines.iter().find(|(other, _)| other == line).and_then(|(_, user)| user.as_ref());
            match status {
                Status::Requested => prop_assert!(user.is_some_and(|user| truth.requested.contains(user))),
                Status::Revoked => prop_assert!(truth.ended.contains(line)),
                Status::AlreadyRevoked => prop_assert!(truth.ended.contains(line) && truth.doubtful.contains(line)),
                other => prop_assert_eq!((*other, truth.doubtful.contains(line)), (Status::Unknown, true)),
            }
        }
    }
}
