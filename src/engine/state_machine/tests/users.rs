//! Whole users: who goes into a call, and what becomes of the others where one of them spoils it.

use super::*;
use crate::engine::user_batch::UserBatch;
use proptest::prelude::*;
use std::collections::HashMap;

fn asking(line: u64, user: &str) -> Row {
    let target = Ok(Target::whole_user(UserId::parse(user).unwrap(), None, None));
    Row { line, fields: Fields::default(), target, may_have_been_sent: false }
}

/// Users `U0`, `U1` and so on, a row each, from line 2 on.
fn users(count: u64) -> Vec<Row> {
    (0..count).map(|n| asking(n + 2, &format!("U{n}"))).collect()
}

fn of(rows: Vec<Row>) -> Bench {
    bench_with(rows, |_| {})
}

fn bench_with(rows: Vec<Row>, adjust: impl FnOnce(&mut Policy)) -> Bench {
    let users = UserBatch::of(rows.clone()).users().len() as u64;
    Bench::with(rows, Pace::Every(Duration::from_millis(1)), |policy| {
        (policy.bulk_users, policy.to_send) = (users, 0);
        adjust(policy);
    })
}

/// The users of the one open call.
fn open(bench: &Bench) -> Vec<String> {
    let (id, _) = bench.open[0];
    let user_batch = bench.machine.in_flight[&id].job.user_batch().expect("whole users");
    user_batch.users().iter().map(ToString::to_string).collect()
}

/// Answers every call until the run ends, as `answer` says of its users. Gives the sizes of the calls.
fn play(bench: &mut Bench, answer: impl Fn(&[String]) -> Answer) -> Vec<usize> {
    let mut sizes = Vec::new();
    while !bench.machine.is_finished() {
        bench.until_a_call();
        assert_eq!(bench.open.len(), 1, "one call at a time");
        let users = open(bench);
        sizes.push(users.len());
        bench.answer(answer(&users));
        assert!(sizes.len() < 5_000, "it does not end");
    }
    sizes
}

fn spoiled_by(bad: &'static [&str], code: &'static str) -> impl Fn(&[String]) -> Answer {
    move |users| {
        let spoiled = users.iter().any(|user| bad.contains(&user.as_str()));
        if spoiled { Answer::Refused(code.into()) } else { Answer::Ok }
    }
}

fn lines_of(bench: &Bench, status: Status) -> Vec<u64> {
    bench.statuses().into_iter().filter(|(_, of)| *of == status).map(|(line, _)| line).collect()
}

#[test]
fn the_first_user_goes_alone_then_a_thousand_at_a_time() {
    let mut bench = of(users(2_500));
    assert_eq!(play(&mut bench, |_| Answer::Ok), [1, 1000, 1000, 499]);
    assert_eq!(lines_of(&bench, Status::Requested).len(), 2_500);
    assert_eq!((bench.machine.run_end(bench.at).calls.counts.calls, bench.machine.stopped()), (4, None));

    let mut bench = bench_with(users(2_500), |policy| policy.canary = false);
    assert_eq!(play(&mut bench, |_| Answer::Ok), [1000, 1000, 500]);
}

#[test]
fn every_row_of_a_user_ends_with_the_one_answer() {
    let rows = ["U1", "U1", "U2", "U1", "U3", "U2"].iter().zip(2..).map(|(user, line)| asking(line, user)).collect();
    let mut bench = of(rows);
    assert_eq!(play(&mut bench, spoiled_by(&["U2"], "user_not_found")), [1, 2, 1, 1]);
    assert_eq!(lines_of(&bench, Status::Requested), [2, 3, 5, 6]);
    assert_eq!(lines_of(&bench, Status::Failed), [4, 7]);
}

#[test]
fn one_refused_user_of_a_thousand_does_not_fail_the_others() {
    for code in ["user_not_found", "cannot_reset_bot", "failed_for_some_users", "invalid_arguments", "never_heard_of"] {
        let mut bench = of(users(1_001));
        let sizes = play(&mut bench, spoiled_by(&["U700"], code));
        assert!(sizes.len() <= 2 + 2 * 10, "{} calls for one bad user", sizes.len());
        assert_eq!(lines_of(&bench, Status::Requested).len(), 1_000);
        assert_eq!(bench.records.iter().find(|record| record.0 == 702).unwrap().1, Status::Failed, "{code}");
        assert_eq!(bench.machine.stopped(), None, "the breaker is not for the split");
    }
}

#[test]
fn a_code_that_refuses_every_user_trips_the_breaker_within_the_first_calls() {
    let mut bench = of(users(5_000));
    let sizes = play(&mut bench, |_| Answer::Refused("admin_unauthorized".into()));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Breaker { code: ErrorCode::AdminUnauthorized })));
    assert!(sizes.len() <= 20, "{sizes:?}");
    assert!(bench.records.is_empty(), "no row has ended");
}

#[test]
fn a_session_code_for_users_is_a_refusal() {
    for code in ["session_not_found", "session_expired"] {
        let mut bench = of(users(3));
        play(&mut bench, spoiled_by(&["U2"], code));
        assert_eq!((lines_of(&bench, Status::Requested), lines_of(&bench, Status::Failed)), (vec![2, 3], vec![4]));
    }
}

#[test]
fn a_pause_holds_the_whole_call_and_is_no_attempt() {
    let mut bench = of(users(11));
    bench.answer(Answer::Ok).until_a_call();
    bench.answer(Answer::RateLimited { retry_after: Some(Duration::from_secs(30)) });
    bench.pass(Duration::from_secs(29));
    assert!(bench.open.is_empty());
    bench.until_a_call();
    assert_eq!(open(&bench).len(), 10);
    bench.answer(Answer::Ok);
    assert_eq!(lines_of(&bench, Status::Requested).len(), 11);
}

#[test]
fn an_expired_token_is_read_again_and_the_call_made_again() {
    let mut bench = of(users(3));
    bench.answer(Answer::Ok).until_a_call().refused("token_expired");
    assert_eq!(bench.refreshes, 1);
    bench.token(Refreshed::Changed);
    bench.until_a_call().answer(Answer::Ok);
    assert_eq!(lines_of(&bench, Status::Requested), [2, 3, 4]);
}

#[test]
fn the_user_of_a_fresh_token_is_taken_out_of_the_call() {
    let mut bench = of(users(4));
    bench.answer(Answer::Ok).until_a_call().refused("token_expired");
    bench.token(other_owner("U3", true)).until_a_call().answer(Answer::Ok);
    assert_eq!((lines_of(&bench, Status::Requested), lines_of(&bench, Status::Protected)), (vec![2, 3, 4], vec![5]));
    assert!(bench.machine.is_finished());
}

#[test]
fn a_user_who_causes_server_errors_is_isolated_and_unknown() {
    for fault in [Answer::Fault(Fault::Http(500)), Answer::Refused(ErrorCode::InternalError)] {
        let mut bench = of(users(41));
        let stumbles = |asked: &[String]| if asked.contains(&"U17".to_owned()) { fault.clone() } else { Answer::Ok };
        play(&mut bench, stumbles);
        assert_eq!((bench.machine.stopped(), lines_of(&bench, Status::Unknown)), (None, vec![19]));
        assert_eq!(lines_of(&bench, Status::Requested).len(), 40);
    }
}

#[test]
fn a_user_who_always_causes_server_errors_blocks_no_other_user() {
    for fault in
        [Answer::Fault(Fault::Http(503)), Answer::Fault(Fault::Timeout), Answer::Refused(ErrorCode::InternalError)]
    {
        for (canary, count, bad) in
            [(true, 41, "U0"), (false, 41, "U0"), (false, 41, "U40"), (true, 2, "U0"), (false, 2, "U1")]
        {
            let mut bench = bench_with(users(count), |policy| policy.canary = canary);
            let stumbles = |asked: &[String]| if asked.contains(&bad.to_owned()) { fault.clone() } else { Answer::Ok };
            play(&mut bench, stumbles);
            let case = format!("{fault:?} for {bad} of {count}, canary {canary}");
            let ended = (lines_of(&bench, Status::Requested).len() as u64, lines_of(&bench, Status::Unknown).len());
            assert_eq!((bench.machine.stopped(), ended), (None, (count - 1, 1)), "{case}");
        }
    }
}

#[test]
fn an_outage_is_waited_for_and_ends_no_row() {
    let mut bench = bench_with(users(1_001), |policy| policy.retries = 5);
    bench.answer(Answer::Ok);
    while bench.at < Duration::from_mins(5) {
        bench.until_a_call().answer(Answer::Fault(Fault::Timeout));
    }
    assert!(bench.has_event("OutageBegan"));
    assert_eq!((bench.records.len(), bench.machine.stopped()), (1, None));
    let sizes = play(&mut bench, |_| Answer::Ok);
    assert_eq!(sizes.iter().sum::<usize>(), 1_000);
    assert!((2..=8).contains(&sizes.len()), "it is was_split now and then, to tell an outage from a user: {sizes:?}");
    assert_eq!(lines_of(&bench, Status::Requested).len(), 1_001);
}

#[test]
fn a_slack_that_never_answered_ends_the_run_with_no_row_ended() {
    let mut bench = bench_with(users(1_000), |policy| (policy.canary, policy.retries) = (false, 5));
    play(&mut bench, |_| Answer::Fault(Fault::NotConnected));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Unavailable { .. })));
    assert!(bench.records.is_empty());
}

#[test]
fn what_may_have_taken_effect_is_never_failed() {
    let rows = vec![asking(2, "U0"), Row { may_have_been_sent: true, ..asking(3, "U1") }, asking(4, "U2")];
    let mut bench = of(rows);
    play(&mut bench, spoiled_by(&["U1", "U2"], "user_not_found"));
    assert_eq!((lines_of(&bench, Status::Unknown), lines_of(&bench, Status::Failed)), (vec![3], vec![4]));

    // Some of these users were taken, nobody knows which; then no connection comes about for the second one.
    let mut bench = of(users(3));
    bench.answer(Answer::Ok).until_a_call().refused("failed_for_some_users").until_a_call().answer(Answer::Ok);
    while !bench.machine.is_finished() {
        bench.until_a_call().answer(Answer::Fault(Fault::NotConnected));
    }
    assert_eq!(lines_of(&bench, Status::Unknown), [4]);
}

#[test]
fn failed_rows_stop_the_run() {
    let mut bench = bench_with(users(101), |policy| policy.max_failures = MaxFailures::Rows(2));
    play(&mut bench, spoiled_by(&["U5", "U9", "U50"], "user_not_found"));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::MaxFailures { failed: 2, .. })));
    assert!(bench.records.len() < 101);
}

#[test]
fn a_workspace_code_is_the_users_own() {
    let mut bench = of(users(41));
    play(&mut bench, spoiled_by(&["U5", "U9"], "no_permission"));
    assert_eq!((bench.machine.stopped(), lines_of(&bench, Status::Failed)), (None, vec![7, 11]));
    let mut bench = of(users(41));
    play(&mut bench, |_| Answer::Refused(ErrorCode::NoPermission));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Breaker { code: ErrorCode::NoPermission })));
}

#[test]
fn the_eta_counts_calls() {
    let per_minute = Pace::Every(Duration::from_secs(3));
    let mut bench = Bench::with(users(2_501), per_minute, |policy| {
        (policy.bulk_users, policy.to_send) = (2_501, 0);
    });
    let eta = |bench: &mut Bench| {
        let now = bench.now();
        bench.machine.snapshot(now).eta
    };
    assert_eq!(eta(&mut bench), Some(Duration::from_secs(12)));
    bench.answer(Answer::Ok);
    assert_eq!(eta(&mut bench), Some(Duration::from_secs(9)));
    let total =
        bench.until_a_call().answer(Answer::Ok).machine.snapshot(Now { at: LATER, wall: Timestamp::from_millis(0) });
    assert_eq!((total.counts.ended(), total.total), (1_001, 2_501));
}

#[test]
fn all_rows_of_a_call_are_reported_before_it() {
    let mut bench = of(users(4));
    bench.answer(Answer::Ok).until_a_call();
    let lines: Vec<u64> = bench.machine.lines_in_flight().collect();
    assert_eq!(lines, [3, 4, 5]);
    let told: Vec<_> = bench.events.iter().filter(|event| event.starts_with("Sending")).collect();
    assert_eq!(told.len(), 2, "the first one's is the loop's to tell: {told:?}");
}

/// An answer drawn for a call, which may depend on whom it names: user `U0` is refused, `U1` makes Slack stumble, and the
/// dice bring limits and lost answers.
fn drawn(dice: u8, users: &[String]) -> Answer {
    let names = |user: &str| users.iter().any(|other| other == user);
    match dice {
        0 => Answer::RateLimited { retry_after: Some(Duration::from_secs(1)) },
        1 => Answer::Fault(Fault::Timeout),
        2 => Answer::Fault(Fault::NotConnected),
        3 if users.len() > 1 => Answer::Refused(ErrorCode::FailedForSomeUsers),
        _ if names("U0") => Answer::Refused(ErrorCode::UserNotFound),
        _ if names("U1") => Answer::Fault(Fault::Http(500)),
        _ => Answer::Ok,
    }
}

/// What calls have done to a user.
#[derive(Debug, Default, Clone, Copy)]
struct Past {
    taken: bool,
    in_doubt: bool,
}

proptest! {
    #[test]
    fn every_row_has_one_true_record_whatever_the_answers(
        rows in prop::collection::vec(0_u8..9, 1..40),
        dice in prop::collection::vec(0_u8..20, 1..30),
        canary: bool,
    ) {
        let rows: Vec<Row> = rows.iter().zip(2..).map(|(user, line)| asking(line, &format!("U{user}"))).collect();
        let of_line: HashMap<u64, String> =
            rows.iter().map(|row| (row.line, row.target.as_ref().unwrap().user().unwrap().to_string())).collect();
        let mut bench = bench_with(rows, |policy| (policy.canary, policy.retries) = (canary, 5));
        let (mut past, mut dice): (HashMap<String, Past>, _) = (HashMap::new(), dice.iter().cycle());
        for call in 0.. {
            if bench.machine.is_finished() {
                break;
            }
            prop_assert!(call < 2_000, "it does not end");
            bench.until_a_call();
            let users = open(&bench);
            let answer = drawn(if call < 60 { *dice.next().unwrap() } else { 19 }, &users);
            for user in users {
                let past = past.entry(user).or_default();
                past.taken |= answer == Answer::Ok;
                past.in_doubt |= matches!(answer, Answer::Fault(Fault::Timeout | Fault::Http(_)));
            }
            bench.answer(answer);
        }
        let mut lines: Vec<u64> = bench.records.iter().map(|(line, _, _)| *line).collect();
        lines.sort_unstable();
        lines.dedup();
        prop_assert_eq!(lines.len(), bench.records.len(), "a row ended twice");
        prop_assert!(bench.machine.stopped().is_some() || lines.len() == of_line.len(), "a row was lost");
        for (line, status, _) in &bench.records {
            let past = past[&of_line[line]];
            match status {
                Status::Requested => prop_assert!(past.taken),
                Status::Failed => prop_assert!(!past.taken && !past.in_doubt),
                other => prop_assert_eq!(*other, Status::Unknown),
            }
        }
    }
}
