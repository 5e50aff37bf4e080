//! Limits as a client meets them. The spans are so long that no test's speed can let one end.

use super::*;
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_hours(1);

fn limited(calls: u32) -> Limit {
    Limit::of(LimitKind::SlidingLog { calls, per: HOUR })
}

fn with(invalidate: Limit) -> StandInConfig {
    StandInConfig {
        limits: MethodLimits { invalidate, ..MethodLimits::default() },
        log: 99,
        ..StandInConfig::default()
    }
}

#[test]
fn a_refusal_is_a_429_that_leaves_the_session_alone() {
    let (server, mut client) = start(with(limited(2)));
    assert!(client.invalidate(1, "T1").unwrap().ok() && client.invalidate(2, "T1").unwrap().ok());
    for inside in 0..3 {
        let answer = client.invalidate(3, "T1").unwrap();
        assert_eq!((answer.status, answer.error()), (429, Some("ratelimited")));
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&seconds));
        assert_eq!(server.stats().of(Method::Invalidate).inside_pause, inside, "the first asks, the next disobey");
    }
    assert!(server.is_alive(3));
    assert!(client.form("auth.test", "").unwrap().ok(), "every method counts for itself");
    let stats = server.stats();
    let counts = stats.of(Method::Invalidate);
    assert_eq!((counts.calls, counts.accepted, counts.limited), (5, 2, 3));
    assert_eq!((counts.most_in_a_minute, counts.most_in_flight), (5, 1));
    assert_eq!(stats.of(Method::AuthTest).calls, 1);
    assert_eq!(
        server.calls().iter().filter(|call| call.reply == StandInReply::Limited && call.session == Some(3)).count(),
        3
    );
}

#[test]
fn what_a_refusal_says_about_coming_back_can_be_wrong() {
    for (retry_after, status, header, inside_pause) in [
        (RetryAfter::Missing, LimitStatus::TooManyRequests, None, 0),
        (RetryAfter::Zero, LimitStatus::TooManyRequests, Some("0"), 0),
        (RetryAfter::Fixed(7200), LimitStatus::TooManyRequests, Some("7200"), 1),
        (RetryAfter::Fixed(30), LimitStatus::Ok, Some("30"), 1),
    ] {
        let (server, mut client) = start(with(Limit { retry_after, status, ..limited(1) }));
        client.invalidate(1, "T1").unwrap();
        let answer = client.invalidate(2, "T1").unwrap();
        assert_eq!(answer.header("retry-after"), header);
        assert_eq!(answer.status, if status == LimitStatus::Ok { 200 } else { 429 });
        assert_eq!(answer.error(), Some("ratelimited"));
        client.invalidate(2, "T1").unwrap();
        assert_eq!(server.stats().of(Method::Invalidate).inside_pause, inside_pause, "{retry_after:?}");
    }
}

#[test]
fn a_date_can_say_it_too() {
    let (server, mut client) = start(with(Limit { retry_after: RetryAfter::HttpDate, ..limited(1) }));
    client.invalidate(1, "T1").unwrap();
    let answer = client.invalidate(2, "T1").unwrap();
    let date = |name| httpdate::parse_http_date(answer.header(name).unwrap()).unwrap();
    let (answered, until): (SystemTime, SystemTime) = (date("date"), date("retry-after"));
    assert!(until > answered && until <= answered + HOUR + Duration::from_secs(2));
    client.invalidate(2, "T1").unwrap();
    assert_eq!(server.stats().of(Method::Invalidate).inside_pause, 1);
}

#[test]
fn a_bucket_belongs_to_the_token_or_to_the_workspace_that_is_named() {
    for (scope, second_team) in [(LimitScope::Token, 429), (LimitScope::Team, 200)] {
        let (server, mut client) = start(with(Limit { scope, ..limited(1) }));
        server.accept_token("xoxp-second");
        assert_eq!(client.invalidate(1, "T1").unwrap().status, 200);
        assert_eq!(client.invalidate(2, "T1").unwrap().status, 429);
        assert_eq!(client.invalidate(3, "T2").unwrap().status, second_team);
        client.authorization = Some("Bearer xoxp-second".into());
        assert_eq!(client.invalidate(2, "T1").unwrap().status, 200, "another token, another bucket");
        let stats = server.stats();
        let teams: Vec<_> = stats.buckets.iter().map(|bucket| bucket.team.as_deref()).collect();
        match scope {
            LimitScope::Token => assert_eq!(teams, [None, None]),
            LimitScope::Team => assert_eq!(teams, [Some("T1"), Some("T2"), Some("T1")]),
        }
    }
}

#[test]
fn rows_named_by_their_user_share_the_tokens_bucket() {
    let (server, mut client) = start(with(Limit { scope: LimitScope::Team, ..limited(2) }));
    for (user, status) in [("U1", 200), ("U2", 200), ("U3", 429)] {
        let body = format!("session_id=5&user_id={user}");
        assert_eq!(client.form("admin.users.session.invalidate", &body).unwrap().status, status);
    }
    assert_eq!(server.stats().buckets.len(), 1);
}
