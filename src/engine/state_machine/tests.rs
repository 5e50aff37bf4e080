//! The state machine by itself: scripts of answers against a clock that the test moves.

mod both_methods;
mod buckets;
mod faults;
mod modes;
mod pauses;
mod random;
mod rates;
mod recovery;
mod shared;
mod users;

use super::*;
use crate::engine::policy::{BucketPolicy, MaxFailures};
use crate::engine::rate_gate::Pace;
use crate::model::{
    Answer, BucketKind, Counts, Fault, Fields, IdError, Rejection, Row, SessionId, Status, TeamId, Timestamp,
    TokenOwner, UserId,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A core with its input and everything that it said.
struct Bench {
    machine: StateMachine,
    at: Duration,
    input: VecDeque<Row>,
    sent: Vec<(u64, Duration)>,
    open: Vec<(CallId, u64)>,
    records: Vec<(u64, Status, String)>,
    events: Vec<String>,
    refreshes: usize,
    reports: Vec<(usize, LimitReport)>,
    wake: Option<Duration>,
}

fn row(line: u64, team: &str) -> Row {
    let team = TeamId::parse(team).unwrap();
    let target = Ok(Target::by_team(SessionId::from(1000 + line), team, None));
    Row { line, fields: Fields::default(), target, may_have_been_sent: false }
}

fn policy(rows: &[Row], pace: Pace) -> Policy {
    let mut teams: BTreeMap<TeamId, u64> = BTreeMap::new();
    for team in rows.iter().filter_map(|row| row.target.as_ref().ok()?.addressed_team().cloned()) {
        *teams.entry(team).or_default() += 1;
    }
    let column = |row: &Row| row.target.as_ref().ok().and_then(Target::team).cloned();
    let by_column: BTreeSet<TeamId> = rows.iter().filter_map(column).collect();
    Policy {
        pace,
        bucket: BucketPolicy::Auto,
        shares_limit: false,
        workers: Some(4),
        retries: 2,
        max_failures: MaxFailures::Rows(1_000),
        deadline: None,
        max_retry_after: Duration::from_mins(15),
        canary: true,
        strict: false,
        seed: 1,
        workspaces: teams.into_iter().collect(),
        rows: rows.len() as u64,
        to_send: rows.len() as u64,
        bulk_users: 0,
        is_one_workspace: by_column.len() == 1,
        earlier: Counts::default(),
        earlier_teams: Vec::new(),
    }
}

impl Bench {
    fn new(rows: Vec<Row>) -> Self {
        Self::with(rows, Pace::Every(Duration::from_millis(1)), |_| {})
    }

    fn with(rows: Vec<Row>, pace: Pace, adjust: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = policy(&rows, pace);
        adjust(&mut policy);
        let mut bench = Self {
            machine: StateMachine::new(policy, Now { at: Duration::ZERO, wall: Timestamp::from_millis(0) }),
            at: Duration::ZERO,
            input: rows.into(),
            sent: Vec::new(),
            open: Vec::new(),
            records: Vec::new(),
            events: Vec::new(),
            refreshes: 0,
            reports: Vec::new(),
            wake: None,
        };
        bench.step();
        bench
    }

    fn now(&self) -> Now {
        Now { at: self.at, wall: Timestamp::from_millis(0) }
    }

    fn step(&mut self) {
        loop {
            self.wake = self.machine.step(self.now());
            if !self.perform() {
                return;
            }
        }
    }

    /// Carries out what the core said. True if it said anything.
    fn perform(&mut self) -> bool {
        let actions: Vec<_> = self.machine.actions().collect();
        let any = !actions.is_empty();
        for action in actions {
            match action {
                Action::Send { id, line, .. } => {
                    self.sent.push((line, self.at));
                    self.open.push((id, line));
                }
                Action::Emit(Event::Ended { row, outcome }) => {
                    let error = outcome.error.as_deref().unwrap_or_default().to_owned();
                    self.records.push((row.line, outcome.status, error));
                }
                Action::Emit(event) => self.events.push(format!("{event:?}")),
                Action::RequestRows(want) => self.give(want),
                Action::RefreshToken => self.refreshes += 1,
                Action::Report { bucket, report } => self.reports.push((bucket, report)),
            }
        }
        any
    }

    fn give(&mut self, want: Want) {
        let wanted = |row: &Row| match &want {
            Want::Any => !matches!(row.target, Ok(Target::User(_))),
            Want::OfUsers => matches!(row.target, Ok(Target::User(_))),
            Want::OfNoTeam => row.target.as_ref().ok().and_then(Target::addressed_team).is_none(),
            Want::Of(team) => row.target.as_ref().ok().and_then(Target::addressed_team) == Some(team),
        };
        let (rows, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.input).into_iter().partition(wanted);
        self.input = rest.into();
        let now = self.now();
        self.machine.on_batch(Batch { want, rows, exhausted: true }, now);
        self.perform();
    }

    /// Answers the oldest open call, and lets everything happen that follows at once.
    fn answer(&mut self, answer: Answer) -> &mut Self {
        let http_status = if matches!(answer, Answer::Fault(_)) { None } else { Some(200) };
        self.reply(Reply { http_status, ..Reply::bare(answer) })
    }

    /// The same, with all that a reply may hold.
    fn reply(&mut self, reply: Reply) -> &mut Self {
        let (id, _) = self.open.remove(0);
        let now = self.now();
        self.machine.on_reply(id, reply, now);
        self.perform();
        self.step();
        self
    }

    /// The reading of the token ends.
    fn token(&mut self, refreshed: Refreshed) -> &mut Self {
        let now = self.now();
        self.machine.on_token(refreshed, now);
        self.perform();
        self.step();
        self
    }

    fn refused(&mut self, code: &str) -> &mut Self {
        self.answer(Answer::Refused(code.into()))
    }

    fn pass(&mut self, time: Duration) -> &mut Self {
        self.at += time;
        self.step();
        self
    }

    /// Lets time pass until a call leaves; panics where none ever would.
    fn until_a_call(&mut self) -> &mut Self {
        for _ in 0..100 {
            if !self.open.is_empty() {
                return self;
            }
            self.at = self.wake.expect("something is due");
            self.step();
        }
        panic!("no call in a hundred wake-ups");
    }

    fn has_event(&self, name: &str) -> bool {
        self.events.iter().any(|event| event.starts_with(name))
    }

    fn statuses(&self) -> Vec<(u64, Status)> {
        let mut statuses: Vec<_> = self.records.iter().map(|(line, status, _)| (*line, *status)).collect();
        statuses.sort_unstable();
        statuses
    }
}

fn rows(lines: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    lines.map(|line| row(line, "T1")).collect()
}

const LATER: Duration = Duration::from_secs(5);

#[test]
fn the_canary_goes_alone_and_fan_out_starts_at_its_answer() {
    let mut bench = Bench::with(rows(2..=9), Pace::Every(Duration::from_nanos(1)), |_| {});
    bench.pass(LATER);
    assert_eq!(bench.sent.len(), 1);
    bench.answer(Answer::Ok).pass(LATER).pass(LATER);
    assert!(bench.open.len() > 1, "{:?}", bench.sent);

    let mut bench = Bench::with(rows(2..=9), Pace::Every(Duration::from_nanos(1)), |policy| policy.canary = false);
    bench.pass(LATER).pass(LATER);
    assert!(bench.open.len() > 1, "{:?}", bench.sent);
}

#[test]
fn a_pause_holds_every_row_and_is_no_attempt() {
    let mut bench = Bench::new(rows(2..=3));
    bench.answer(Answer::RateLimited { retry_after: Some(Duration::from_secs(30)) });
    bench.pass(Duration::from_secs(29));
    assert_eq!(bench.sent.len(), 1);
    bench.pass(Duration::from_secs(1)).answer(Answer::Ok);
    bench.until_a_call().answer(Answer::Ok);
    assert_eq!(bench.statuses(), [(2, Status::Revoked), (3, Status::Revoked)]);
    assert!(bench.machine.is_finished());
}

#[test]
fn an_ambiguous_attempt_turns_not_found_into_already_revoked() {
    for (first, status) in [
        (Answer::Fault(Fault::Connection), Status::AlreadyRevoked),
        (Answer::Refused(ErrorCode::FatalError), Status::AlreadyRevoked),
        (Answer::Fault(Fault::NotConnected), Status::NotFound),
    ] {
        let mut bench = Bench::new(rows(2..=2));
        bench.answer(first).until_a_call().refused("session_not_found");
        assert_eq!(bench.statuses(), [(2, status)]);
    }
    let mut resumed = row(2, "T1");
    resumed.may_have_been_sent = true;
    let mut bench = Bench::new(vec![resumed]);
    bench.refused("session_not_found");
    assert_eq!(bench.statuses(), [(2, Status::AlreadyRevoked)]);
}

#[test]
fn a_refusal_after_an_ambiguous_attempt_does_not_claim_that_the_session_lives() {
    let mut bench = Bench::new(rows(2..=2));
    bench.answer(Answer::Fault(Fault::Timeout)).until_a_call().refused("user_not_found");
    assert_eq!(bench.records, [(2, Status::Unknown, "user_not_found".to_owned())]);
}

#[test]
fn a_refusal_that_rules_out_any_effect_is_clear_whatever_came_before() {
    for resumed in [false, true] {
        let mut rows = rows(2..=2);
        rows[0].may_have_been_sent = resumed;
        let mut bench = Bench::new(rows);
        bench.answer(Answer::Fault(Fault::Timeout)).until_a_call().refused("cannot_invalidate_primary_owner");
        assert_eq!(bench.records, [(2, Status::Failed, "cannot_invalidate_primary_owner".to_owned())]);
    }
}

#[test]
fn a_run_wide_refusal_stops_at_the_first_row_and_leaves_no_record() {
    let mut bench = Bench::new(rows(2..=9));
    bench.refused("token_revoked").pass(LATER);
    assert_eq!(bench.sent.len(), 1);
    assert!(bench.records.is_empty());
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Refused { code: ErrorCode::TokenRevoked, .. })));
    assert!(bench.machine.is_finished());
}

#[test]
fn an_expired_token_is_read_again_and_the_row_sent_with_the_fresh_one() {
    let mut bench = Bench::new(rows(2..=3));
    bench.refused("token_expired").pass(LATER);
    assert_eq!((bench.refreshes, bench.sent.len()), (1, 1));
    bench.token(Refreshed::Changed).pass(LATER).answer(Answer::Ok);
    bench.until_a_call().answer(Answer::Ok);
    assert_eq!(bench.statuses(), [(2, Status::Revoked), (3, Status::Revoked)]);
}

fn row_of(line: u64, user: &str) -> Row {
    let user = UserId::parse(user).unwrap();
    Row { target: Ok(Target::by_user(SessionId::from(1000 + line), user, None)), ..row(line, "T1") }
}

/// Another token, of this user.
fn other_owner(user: &str, is_spared: bool) -> Refreshed {
    let owner = TokenOwner {
        id: UserId::parse(user).unwrap(),
        name: Box::default(),
        team_id: None,
        team: Box::default(),
        enterprise_id: None,
        url: Box::default(),
    };
    Refreshed::OtherOwner { owner: Box::new(owner), is_spared }
}

#[test]
fn rows_of_the_user_of_a_fresh_token_are_left_alone_wherever_they_wait() {
    for is_spared in [true, false] {
        let all = [(2, "U2"), (3, "W2"), (4, "U2"), (5, "W2")].map(|(line, user)| row_of(line, user));
        let mut bench = Bench::with(all.into(), Pace::Every(Duration::from_millis(1)), |policy| {
            (policy.canary, policy.workers) = (false, Some(1));
        });
        bench.answer(Answer::Ok).pass(LATER);
        // Line 3 is tried and waits, as its session may be gone; then the token expires.
        bench.answer(Answer::Fault(Fault::Timeout)).until_a_call().refused("token_expired");
        bench.token(other_owner("W2", is_spared));
        for _ in 0..8 {
            bench.pass(LATER);
            while !bench.open.is_empty() {
                bench.answer(Answer::Ok);
            }
        }
        assert!(bench.machine.is_finished());
        let spared = if is_spared { [Status::Unknown, Status::Protected] } else { [Status::Revoked; 2] };
        let want = [(2, Status::Revoked), (3, spared[0]), (4, Status::Revoked), (5, spared[1])];
        assert_eq!(bench.statuses(), want, "{is_spared}");
    }
}

#[test]
fn a_fresh_token_of_an_unknown_user_stops_the_run() {
    let mut bench = Bench::new(rows(2..=3));
    let reason = StopReason::Unavailable { error: "http_404".into(), detail: "".into() };
    bench.refused("token_expired").token(Refreshed::Unidentified(reason.clone())).pass(LATER);
    assert_eq!((bench.machine.stopped(), bench.sent.len()), (Some(&reason), 1));
}

#[test]
fn an_expired_token_without_a_fresh_one_stops_the_run_and_says_why() {
    for (refreshed, why) in [(Refreshed::Unchanged, ""), (Refreshed::Failed("exit code 3".into()), "exit code 3")] {
        let mut bench = Bench::new(rows(2..=3));
        bench.refused("token_expired").token(refreshed);
        let expected = StopReason::Refused { code: ErrorCode::TokenExpired, detail: why.into() };
        assert_eq!(bench.machine.stopped(), Some(&expected));
        assert!(bench.machine.is_finished());
    }
}

#[test]
fn a_late_token_expired_of_a_call_made_before_the_refresh_starts_no_second_refresh() {
    let mut bench = Bench::new(rows(2..=9));
    bench.answer(Answer::Ok);
    bench.pass(LATER).pass(LATER).pass(LATER);
    assert!(bench.open.len() >= 3, "{:?}", bench.open);
    bench.refused("token_expired").token(Refreshed::Changed);
    bench.answer(Answer::Ok).pass(LATER).refused("token_expired");
    assert_eq!((bench.refreshes, bench.machine.stopped()), (1, None));
    while !bench.machine.is_finished() {
        bench.until_a_call().answer(Answer::Ok);
    }
    assert_eq!(bench.records.len(), 8);
}

#[test]
fn every_expiry_is_refreshed_whatever_was_answered_in_between() {
    for between in ["session_not_found", "session_expired", "user_not_found", "access_denied", "no_permission"] {
        let mut bench = Bench::new((2..=40).map(|line| row(line, &format!("T{}", line % 9))).collect());
        bench.answer(Answer::Ok);
        for expiry in 1..=5 {
            bench.until_a_call().refused("token_expired").token(Refreshed::Changed);
            assert_eq!((bench.refreshes, bench.machine.stopped()), (expiry, None), "{between}");
            bench.until_a_call().refused(if expiry > 1 && between == "no_permission" {
                "user_not_found"
            } else {
                between
            });
        }
        assert_eq!(bench.machine.stopped(), None, "{between}");
    }
}

#[test]
fn fresh_tokens_that_are_all_expired_stop_the_run() {
    let mut bench = Bench::new(rows(2..=9));
    while bench.machine.stopped().is_none() {
        bench.until_a_call().refused("token_expired");
        if bench.machine.stopped().is_none() {
            bench.token(Refreshed::Changed);
        }
    }
    assert!((2..6).contains(&bench.refreshes), "{}", bench.refreshes);
}

#[test]
fn the_breaker_stops_the_run_and_its_rows_have_not_ended() {
    let mut bench = Bench::new(rows(2..=20));
    for _ in 0..5 {
        bench.until_a_call().refused("invalid_arguments");
    }
    bench.machine.close();
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Breaker { code: ErrorCode::InvalidArguments })));
    assert!(bench.records.is_empty() && bench.machine.actions().next().is_none());
}

#[test]
fn rows_held_by_the_breaker_fail_where_the_input_ends_first() {
    let mut bench = Bench::new(rows(2..=4));
    for _ in 0..3 {
        bench.until_a_call().refused("admin_unauthorized");
    }
    assert!(bench.machine.is_finished());
    bench.machine.close();
    bench.perform();
    assert_eq!(bench.statuses(), [(2, Status::Failed), (3, Status::Failed), (4, Status::Failed)]);
}

#[test]
fn a_workspace_that_refuses_is_suspended_and_a_second_one_stops_the_run() {
    let input = vec![row(2, "T1"), row(3, "T1"), row(4, "T2"), row(5, "T3")];
    let mut bench = Bench::new(input.clone());
    bench.refused("org_login_required");
    assert!(bench.has_event("Parked"));
    bench.until_a_call().answer(Answer::Ok);
    bench.until_a_call().answer(Answer::Ok);
    assert_eq!(bench.statuses(), [(4, Status::Revoked), (5, Status::Revoked)]);
    assert!(bench.machine.is_finished() && bench.machine.run_end(bench.at).any_parked);

    let mut bench = Bench::new(input);
    bench.refused("org_login_required").until_a_call().refused("org_login_required");
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Workspaces { .. })));
}

#[test]
fn the_only_workspace_that_refuses_stops_the_run() {
    let mut bench = Bench::new(rows(2..=4));
    bench.refused("no_permission");
    assert!(matches!(bench.machine.stopped(), Some(StopReason::Workspaces { code: ErrorCode::NoPermission })));
}

#[test]
fn limits_of_its_own_stop_the_run() {
    let mut bench = Bench::with(rows(2..=9), Pace::Every(LATER), |policy| policy.deadline = Some(LATER));
    bench.answer(Answer::Ok).pass(LATER);
    assert_eq!(bench.machine.stopped(), Some(&StopReason::Deadline));

    let mut bench = Bench::new(rows(2..=9));
    bench.answer(Answer::RateLimited { retry_after: Some(Duration::from_hours(1)) });
    assert_eq!(bench.machine.stopped(), Some(&StopReason::RetryAfter { pause: Duration::from_hours(1) }));

    let few = |policy: &mut Policy| policy.max_failures = MaxFailures::Rows(2);
    let mut bench = Bench::with(rows(2..=9), Pace::Every(Duration::from_millis(1)), few);
    bench.refused("user_not_found").until_a_call().refused("user_not_found");
    assert_eq!(bench.machine.stopped(), Some(&StopReason::MaxFailures { failed: 2, of: 2 }));
    assert_eq!(bench.records.len(), 2);
}

#[test]
fn a_drain_waits_for_what_is_in_flight_and_records_it() {
    let mut bench = Bench::new(rows(2..=9));
    bench.machine.stop(StopReason::Interrupted);
    bench.pass(LATER);
    assert!(!bench.machine.is_finished());
    bench.answer(Answer::Ok);
    assert!(bench.machine.is_finished());
    assert_eq!(bench.statuses(), [(2, Status::Revoked)]);
}

#[test]
fn rejected_rows_are_recorded_and_never_sent() {
    let reject = |line, rejection| Row { target: Err(rejection), ..row(line, "T1") };
    let bench = Bench::new(vec![
        reject(2, Rejection::Id { column: "session_id", error: IdError::NotAnInteger, value: "x".into() }),
        reject(3, Rejection::Duplicate { first_line: Some(2) }),
        reject(4, Rejection::OwnSession),
    ]);
    assert!(bench.sent.is_empty() && bench.machine.is_finished());
    assert_eq!(bench.statuses(), [(2, Status::Invalid), (3, Status::Duplicate), (4, Status::Protected)]);
}

#[test]
fn rows_that_name_a_user_share_one_bucket() {
    let by_user = |line: u64| {
        let user = UserId::parse(&format!("U{line}")).unwrap();
        let target = Ok(Target::by_user(SessionId::from(line), user, TeamId::parse("T1").ok()));
        Row { line, fields: Fields::default(), target, may_have_been_sent: false }
    };
    let bench = Bench::new((2..=5).map(by_user).collect());
    assert_eq!(bench.machine.run_end(bench.at).bucket, Some(BucketKind::Org));
}
