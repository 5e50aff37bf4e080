//! Trouble as a client meets it, and what it leaves behind.

use super::*;
use crate::model::ErrorCode;
use std::io::ErrorKind;
use std::time::Duration;

fn troubled(fault: InjectedFault, effect: Effect) -> StandInConfig {
    let script = ReplyScript {
        every: Some(RepeatedReply::first(1, ScriptedReply::Fault(fault, effect))),
        ..ReplyScript::default()
    };
    StandInConfig { store: three(), script, log: 9, ..StandInConfig::default() }
}

#[test]
fn each_fault_looks_like_its_own_and_is_followed_by_the_truth() {
    for (fault, status, body) in [
        (InjectedFault::InternalError, 500, r#"{"ok":false,"error":"internal_error"}"#),
        (InjectedFault::FatalError, 200, r#"{"ok":false,"error":"fatal_error"}"#),
        (InjectedFault::RequestTimeoutCode, 200, r#"{"ok":false,"error":"request_timeout"}"#),
        (InjectedFault::RequestTimeout, 408, ""),
        (InjectedFault::Unavailable, 503, "<!DOCTYPE html>"),
        (InjectedFault::ProxyPage, 200, "<html>"),
        (InjectedFault::Garbage, 200, r#"{"ok":tr"#),
    ] {
        for effect in [Effect::None, Effect::Done] {
            let (server, mut client) = start(troubled(fault, effect));
            let answer = client.invalidate(1, "T1").unwrap();
            assert_eq!(answer.status, status, "{fault:?}");
            assert!(answer.body.starts_with(body) && !answer.ok(), "{answer:?}");
            assert_eq!(server.is_alive(1), effect == Effect::None);
            let then = client.invalidate(1, "T1").unwrap();
            assert_eq!(then.error(), (effect == Effect::Done).then_some("session_not_found"), "{fault:?}");
            let stats = server.stats();
            assert_eq!((stats.revoked, stats.repeats, stats.after_ok), (1, u64::from(effect == Effect::Done), 0));
        }
    }
}

#[test]
fn a_reset_is_a_reset_before_and_after_the_effect() {
    for effect in [Effect::None, Effect::Done] {
        let (server, mut client) = start(troubled(InjectedFault::Reset, effect));
        assert_eq!(client.invalidate(1, "T1").unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.is_alive(1), effect == Effect::None);
        assert_eq!(server.calls()[0].reply, StandInReply::Fault(InjectedFault::Reset));
        assert!(client.invalidate(2, "T1").unwrap().ok(), "the next connection is whole");
    }
}

#[test]
fn a_torn_answer_ends_before_its_length() {
    let (server, mut client) = start(troubled(InjectedFault::Torn, Effect::Done));
    let answer = client.invalidate(1, "T1").unwrap();
    assert!(answer.torn && answer.body == r#"{"ok":"# && answer.header("content-length") == Some("11"), "{answer:?}");
    assert!(!server.is_alive(1));
    assert!(client.invalidate(2, "T1").unwrap().ok());
}

#[test]
fn a_kept_connection_breaks_only_at_its_own_call() {
    let mut script = ReplyScript::default();
    script.by_session.insert(3, RepeatedReply::first(1, ScriptedReply::Fault(InjectedFault::Reset, Effect::None)));
    let (_server, mut client) = start(StandInConfig { script, ..StandInConfig::default() });
    assert!(client.invalidate(1, "T1").unwrap().ok() && client.invalidate(2, "T1").unwrap().ok());
    assert_eq!(client.invalidate(3, "T1").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(client.invalidate(3, "T1").unwrap().ok());
}

#[test]
fn a_slow_answer_is_the_truth_all_the_same() {
    for effect in [Effect::None, Effect::Done] {
        let (server, mut client) = start(troubled(InjectedFault::Slow(Duration::from_millis(5)), effect));
        assert!(client.invalidate(1, "T1").unwrap().ok());
        assert!(!server.is_alive(1));
    }
}

/// Makes other calls, each of them a turn of the server's, until `done`.
fn until(client: &mut Client, done: impl Fn() -> bool) {
    let turns = (0..100_000).take_while(|_| !done()).map(|_| client.form("auth.test", "").unwrap()).count();
    assert!(turns < 100_000, "it never came about");
}

#[test]
fn who_hangs_up_on_a_slow_answer_may_or_may_not_have_ended_the_session() {
    for effect in [Effect::None, Effect::Done] {
        let (server, mut client) = start(troubled(InjectedFault::Slow(Duration::from_hours(1)), effect));
        let waiting = client.send_alone(1, "T1").unwrap();
        until(&mut client, || server.stats().of(Method::Invalidate).in_flight == 1);
        drop(waiting);
        until(&mut client, || server.stats().of(Method::Invalidate).in_flight == 0);
        assert_eq!(server.is_alive(1), effect == Effect::None);
    }
}

#[test]
fn codes_can_be_laid_down_for_a_session_a_workspace_or_all() {
    let mut script = ReplyScript::default();
    let refused = |code: &str| ScriptedReply::Refused(ErrorCode::from(code));
    script.by_session.insert(1, RepeatedReply::always(refused("cannot_invalidate_primary_owner")));
    script.by_team.insert("T2".into(), RepeatedReply::always(refused("org_login_required")));
    let (server, mut client) = start(StandInConfig { script, ..StandInConfig::default() });
    for _ in 0..2 {
        assert_eq!(client.invalidate(1, "T1").unwrap().error(), Some("cannot_invalidate_primary_owner"));
        assert_eq!(client.invalidate(3, "T2").unwrap().error(), Some("org_login_required"));
    }
    assert!(client.invalidate(2, "T1").unwrap().ok());
    server.set_script(ReplyScript { every: Some(RepeatedReply::always(refused("made_up"))), ..ReplyScript::default() });
    assert_eq!(client.invalidate(7, "T1").unwrap().error(), Some("made_up"));
    server.set_script(ReplyScript::default());
    assert!(client.invalidate(7, "T1").unwrap().ok());
}

/// The answers to each session's calls, in whatever order the sessions come.
fn answers(order: &[u64]) -> Vec<Vec<u16>> {
    let faults = FaultRates::seeded(42)
        .with(InjectedFault::Unavailable, Effect::None, 300)
        .with(InjectedFault::InternalError, Effect::Done, 300)
        .on_first_calls(2);
    let (_server, mut client) = start(StandInConfig { faults, ..StandInConfig::default() });
    let mut answers = vec![Vec::new(); order.len()];
    for _ in 0..3 {
        for &session in order {
            answers[usize::try_from(session).unwrap()].push(client.invalidate(session, "T1").unwrap().status);
        }
    }
    answers
}

#[test]
fn drawn_trouble_repeats_whatever_the_order() {
    let forwards: Vec<_> = (0..40).collect();
    let backwards: Vec<_> = forwards.iter().rev().copied().collect();
    let first = answers(&forwards);
    assert_eq!(first, answers(&backwards));
    let count = |status| first.iter().flatten().filter(|&&other| other == status).count();
    assert!(count(503) > 0 && count(500) > 0);
    assert!(first.iter().all(|calls| calls[2] == 200), "the third call is served");
}

#[test]
fn a_refusal_by_the_limit_draws_nothing() {
    let faults = FaultRates::seeded(1).with(InjectedFault::Unavailable, Effect::None, 1000).on_first_calls(1);
    let invalidate = Limit::of(LimitKind::SlidingLog { calls: 1, per: Duration::from_hours(1) });
    let limits = MethodLimits { invalidate, ..MethodLimits::default() };
    let (server, mut client) = start(StandInConfig { limits, faults, ..StandInConfig::default() });
    assert_eq!(client.invalidate(1, "T1").unwrap().status, 503);
    assert_eq!(client.invalidate(2, "T1").unwrap().status, 429);
    server.accept_token("xoxp-second");
    client.authorization = Some("Bearer xoxp-second".into());
    assert_eq!(client.invalidate(2, "T1").unwrap().status, 503, "its first draw is still to come");
}
