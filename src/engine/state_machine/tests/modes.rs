//! The rules that other files test for sessions in one bucket, in the other modes: whole users, each kind of bucket, rows
//! sent by their users, and resumed runs.

use super::*;
use crate::engine::user_batch::UserBatch;

const BUCKETS: [BucketPolicy; 3] = [BucketPolicy::Auto, BucketPolicy::Org, BucketPolicy::Team];
const WORKSPACE_CODES: [&str; 5] =
    ["no_permission", "ekm_access_denied", "org_login_required", "team_added_to_org", "team_access_not_granted"];

fn by_user(line: u64, team: Option<&str>) -> Row {
    let user = UserId::parse(&format!("U{line}")).unwrap();
    let team = team.map(|team| TeamId::parse(team).unwrap());
    Row { target: Ok(Target::by_user(SessionId::from(1000 + line), user, team)), ..row(line, "T1") }
}

/// A row for a user of its own, as a whole.
fn whole(line: u64) -> Row {
    Row { target: Ok(Target::whole_user(UserId::parse(&format!("U{line}")).unwrap(), None, None)), ..row(line, "T1") }
}

fn bench(rows: Vec<Row>, adjust: impl FnOnce(&mut Policy)) -> Bench {
    let whole = rows.iter().any(|row| matches!(row.target, Ok(Target::User(_))));
    let users = UserBatch::of(rows.clone()).users().len() as u64;
    Bench::with(rows, Pace::Every(Duration::from_millis(1)), |policy| {
        policy.workers = Some(8);
        if whole {
            (policy.bulk_users, policy.to_send) = (users, 0);
        }
        adjust(policy);
    })
}

/// Answers every call until the run ends, as `answer` says of its lines and the time.
fn play(bench: &mut Bench, answer: impl Fn(&[u64], Duration) -> Answer) {
    while !bench.machine.is_finished() {
        bench.until_a_call().pass(Duration::from_millis(20));
        let lines: Vec<u64> = bench.machine.in_flight[&bench.open[0].0].job.lines().collect();
        bench.answer(answer(&lines, bench.at));
        assert!(bench.sent.len() < 5_000, "it does not end");
    }
    bench.machine.close();
    bench.perform();
}

fn refusing(bad: &[u64], code: &str) -> impl Fn(&[u64], Duration) -> Answer {
    move |lines, _| if lines.iter().any(|line| bad.contains(line)) { Answer::Refused(code.into()) } else { Answer::Ok }
}

fn count(bench: &Bench, status: Status) -> usize {
    bench.records.iter().filter(|(_, of, _)| *of == status).count()
}

fn earlier(status: Status, teams: &[&str]) -> impl FnOnce(&mut Policy) {
    let teams = teams.iter().map(|team| TeamId::parse(team).unwrap()).collect();
    move |policy| {
        policy.earlier.add(status);
        policy.rows += 1;
        policy.earlier_teams = teams;
    }
}

#[test]
fn late_expiries_of_calls_before_two_refreshes_start_no_third() {
    for bucket in BUCKETS {
        let mut bench = bench((2..=30).map(|line| row(line, &format!("T{}", line % 2))).collect(), |policy| {
            policy.bucket = bucket;
        });
        bench.answer(Answer::Ok);
        for _ in 0..8 {
            bench.pass(LATER);
        }
        assert!(bench.open.len() >= 6, "{:?}", bench.open);
        let late: Vec<_> = bench.open.split_off(2);
        bench.refused("token_expired").token(Refreshed::Changed).pass(LATER);
        // The call beside it was made with the first token; the one after that with the second one.
        bench.refused("token_expired");
        assert_eq!(bench.refreshes, 1);
        bench.pass(LATER).refused("token_expired");
        assert_eq!(bench.refreshes, 2, "{bucket:?}");
        bench.token(Refreshed::Changed);
        bench.open.splice(0..0, late);
        bench.refused("token_expired").refused("token_expired").refused("token_expired");
        assert_eq!((bench.refreshes, bench.machine.stopped()), (2, None), "{bucket:?}");
        play(&mut bench, |_, _| Answer::Ok);
        assert_eq!(count(&bench, Status::Revoked), 29);
    }
}

#[test]
fn whole_users_survive_every_expiry_whatever_was_answered_in_between() {
    for between in ["user_not_found", "cannot_reset_bot", "no_permission"] {
        let mut bench = bench((2..=12).map(whole).collect(), |_| {});
        bench.answer(Answer::Ok);
        for expiry in 1..=5 {
            bench.until_a_call().refused("token_expired").token(Refreshed::Changed);
            assert_eq!((bench.refreshes, bench.machine.stopped()), (expiry, None), "{between}");
            bench.until_a_call().refused(between);
        }
        play(&mut bench, |_, _| Answer::Ok);
        assert_eq!((bench.machine.stopped(), bench.records.len()), (None, 11), "{between}");
    }
}

#[test]
fn one_users_refusal_never_stops_a_workspace_that_works_whatever_the_code_and_the_run() {
    for code in WORKSPACE_CODES {
        for bucket in BUCKETS {
            // Row 21 is refused, after rows of its workspace or of an earlier run's were ended.
            let mut first =
                bench((2..=60).map(|line| by_user(line, Some("T1"))).collect(), |policy| policy.bucket = bucket);
            play(&mut first, refusing(&[21, 40], code));
            assert_eq!(
                (first.machine.stopped(), count(&first, Status::Failed), first.records.len()),
                (None, 2, 59),
                "{code}"
            );
            let mut resumed =
                bench((21..=60).map(|line| by_user(line, Some("T1"))).collect(), earlier(Status::Revoked, &["T1"]));
            play(&mut resumed, refusing(&[21, 40], code));
            assert_eq!((resumed.machine.stopped(), resumed.records.len()), (None, 40), "{code}");
        }
    }
}

#[test]
fn workspace_codes_of_rows_sent_by_their_users_are_all_remembered() {
    let mut bench = bench((2..=41).map(|line| by_user(line, Some(&format!("T{line}")))).collect(), |_| {});
    play(&mut bench, |lines, _| {
        let number = usize::try_from(lines[0]).unwrap();
        Answer::Refused(WORKSPACE_CODES[number % 3].into())
    });
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Workspaces { .. })), "{:?}", bench.machine.stopped());
    assert!(bench.sent.len() <= 4 + 8 && bench.records.is_empty(), "{:?}", bench.sent);
}

#[test]
fn an_earlier_request_for_a_user_keeps_the_breaker_from_tripping() {
    for code in ["access_denied", "admin_unauthorized", "never_heard_of"] {
        let mut bench = bench((2..=40).map(whole).collect(), earlier(Status::Requested, &[]));
        play(&mut bench, refusing(&[2, 3, 4, 5, 6, 7], code));
        assert_eq!((bench.machine.stopped(), count(&bench, Status::Failed)), (None, 6), "{code}");
        assert_eq!(count(&bench, Status::Requested), 33);
    }
}

#[test]
fn a_workspace_code_that_trips_the_breaker_ends_no_row_in_flight() {
    for code in WORKSPACE_CODES {
        let mut bench = bench((2..=40).map(|line| by_user(line, None)).collect(), |policy| policy.canary = false);
        for _ in 0..8 {
            bench.pass(LATER);
        }
        assert_eq!(bench.open.len(), 8);
        play(&mut bench, |_, _| Answer::Refused(code.into()));
        assert!(matches!(bench.machine.stopped(), Some(StopReason::Breaker { .. })), "{code}");
        assert!(bench.records.is_empty(), "{code}: {:?}", bench.records);
    }
}

#[test]
fn an_outage_over_the_last_rows_of_several_workspaces_uses_none_up() {
    for bucket in BUCKETS {
        for seconds in [30, 60, 110] {
            let rows = (2..=9).map(|line| row(line, &format!("T{}", line % 4))).collect();
            let mut bench = bench(rows, |policy| (policy.bucket, policy.retries) = (bucket, 3));
            for _ in 0..5 {
                bench.until_a_call().answer(Answer::Ok);
            }
            let until = bench.at + Duration::from_secs(seconds);
            play(&mut bench, |_, at| if at < until { Answer::Fault(Fault::Http(503)) } else { Answer::Ok });
            let ended = (bench.machine.stopped(), count(&bench, Status::Revoked));
            assert_eq!(ended, (None, 8), "{bucket:?}, {seconds} s");
        }
    }
}

#[test]
fn an_outage_over_the_last_users_uses_none_up() {
    for (users, answered) in [(1, 0), (3, 1), (40, 1)] {
        for seconds in [30, 60, 110] {
            let mut bench = bench((2..=1 + users).map(whole).collect(), |policy| policy.retries = 3);
            for _ in 0..answered {
                bench.until_a_call().answer(Answer::Ok);
            }
            let until = bench.at + Duration::from_secs(seconds);
            play(&mut bench, |_, at| if at < until { Answer::Fault(Fault::Http(503)) } else { Answer::Ok });
            let ended = (bench.machine.stopped(), count(&bench, Status::Requested) as u64);
            assert_eq!(ended, (None, users), "{users} users, {seconds} s");
        }
    }
}

#[test]
fn a_call_for_many_that_reaches_a_limit_with_its_last_rows_completes_the_run() {
    let few = |policy: &mut Policy| policy.max_failures = MaxFailures::Rows(2);
    let rows = [2, 3, 3, 3].iter().zip(2..).map(|(user, line)| Row { line, ..whole(*user) }).collect();
    let mut bench = bench(rows, few);
    play(&mut bench, |lines, _| if lines == [2] { Answer::Ok } else { Answer::Refused(ErrorCode::UserNotFound) });
    assert_eq!((bench.machine.stopped(), bench.records.len()), (None, 4));
}

#[test]
fn rows_that_end_without_a_call_stop_the_run_before_the_next_one() {
    let users = [2, 3, 2, 4];
    let rows = users.iter().zip(2..).map(|(user, line)| Row { line, ..whole(*user) }).collect();
    let mut bench = bench(rows, |policy| policy.max_failures = MaxFailures::Rows(2));
    play(&mut bench, |_, _| Answer::Refused(ErrorCode::UserNotFound));
    assert!(matches!(bench.machine.stopped(), Some(StopReason::MaxFailures { failed: 2, .. })));
    assert_eq!((bench.sent.len(), bench.records.len()), (1, 2), "{:?}", bench.sent);
}

#[test]
fn a_limit_does_not_end_the_canary_of_whole_users() {
    let mut bench = bench((2..=40).map(whole).collect(), |_| {});
    for _ in 0..3 {
        bench.until_a_call().answer(Answer::RateLimited { retry_after: Some(LATER) });
        bench.until_a_call();
        assert_eq!(bench.machine.lines_in_flight().count(), 1);
    }
    bench.answer(Answer::Ok).until_a_call();
    assert_eq!(bench.machine.lines_in_flight().count(), 38);
}

#[test]
fn adjacent_rows_that_always_fail_block_no_other_row_in_any_mode() {
    for fault in
        [Answer::Fault(Fault::Http(502)), Answer::Refused(ErrorCode::FatalError), Answer::Fault(Fault::Connection)]
    {
        for bucket in BUCKETS {
            let poison = 12..=18;
            let answer = |lines: &[u64], _| {
                if lines.iter().any(|line| poison.contains(line)) { fault.clone() } else { Answer::Ok }
            };
            // Of one workspace, as one user's sessions are.
            let team =
                |line| if poison.contains(&line) { "T1" } else { ["T2", "T3"][usize::try_from(line % 2).unwrap()] };
            let mut sessions =
                bench((2..=60).map(|line| row(line, team(line))).collect(), |policy| policy.bucket = bucket);
            play(&mut sessions, answer);
            let ended =
                (sessions.machine.stopped(), count(&sessions, Status::Unknown), count(&sessions, Status::Revoked));
            assert_eq!(ended, (None, 7, 52), "{fault:?} {bucket:?}");
            // What an earlier run left is the poison and little else.
            let mut resumed =
                bench((12..=20).map(|line| row(line, team(line))).collect(), earlier(Status::Revoked, &[]));
            play(&mut resumed, answer);
            let ended = (resumed.machine.stopped(), count(&resumed, Status::Unknown), count(&resumed, Status::Revoked));
            assert_eq!(ended, (None, 7, 2), "{fault:?}, resumed");
        }
        let mut users = bench((2..=60).map(whole).collect(), |_| {});
        let poison = 12..=18;
        play(
            &mut users,
            |lines, _| if lines.iter().any(|line| poison.contains(line)) { fault.clone() } else { Answer::Ok },
        );
        let ended = (users.machine.stopped(), count(&users, Status::Unknown), count(&users, Status::Requested));
        assert_eq!(ended, (None, 7, 52), "{fault:?}, whole users");
    }
}

#[test]
fn a_resumed_run_that_never_reaches_slack_ends_no_row() {
    for fault in [Fault::NotConnected, Fault::Http(407), Fault::Http(502), Fault::BadResponse, Fault::Timeout] {
        for rows in [vec![row(2, "T1")], (2..=40).map(|line| row(line, "T1")).collect(), (2..=40).map(whole).collect()]
        {
            let mut bench = bench(rows, earlier(Status::Revoked, &["T1"]));
            play(&mut bench, |_, _| Answer::Fault(fault));
            assert!(matches!(bench.machine.stopped(), Some(StopReason::Unavailable { .. })), "{fault:?}");
            assert!(bench.records.is_empty(), "{fault:?}: {:?}", bench.records);
        }
    }
}

#[test]
fn a_pause_takes_back_the_calls_of_its_bucket_that_wait_for_a_connection() {
    for (bucket, withdrawn) in [(BucketPolicy::Team, [true, false]), (BucketPolicy::Org, [true, true])] {
        let rows = (2..=21).map(|line| row(line, ["T1", "T2"][usize::try_from(line % 2).unwrap()])).collect();
        let mut bench = bench(rows, |policy| (policy.bucket, policy.canary) = (bucket, false));
        for _ in 0..8 {
            bench.pass(LATER);
        }
        assert!(bench.open.len() >= 4, "{:?}", bench.open);
        let limited = bench.open[0].1;
        bench.answer(Answer::RateLimited { retry_after: Some(LATER) });
        let is_waiting = |bench: &Bench, of: u64| {
            let (id, _) = bench.open.iter().find(|(_, line)| line % 2 == of).expect("in call");
            bench.machine.in_flight[id].handle.is_withdrawn()
        };
        let found = [limited % 2, 1 - limited % 2].map(|of| is_waiting(&bench, of));
        assert_eq!(found, withdrawn, "{bucket:?}");
    }
}
