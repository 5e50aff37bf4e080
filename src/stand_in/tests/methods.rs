//! What each method answers when nothing is wrong with the server.

use super::*;
use crate::model::ErrorCode;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const INVALIDATE: &str = "admin.users.session.invalidate";
const LIST: &str = "admin.users.session.list";
const BULK: &str = "admin.users.session.resetBulk";

#[test]
fn a_session_is_revoked_once_by_either_identifier() {
    let (server, mut client) = start(StandInConfig { store: three(), log: 9, ..StandInConfig::default() });
    let first = client.invalidate(1, "T1").unwrap();
    assert_eq!((first.status, first.body.as_str()), (200, r#"{"ok":true}"#));
    assert_eq!(client.invalidate(1, "T1").unwrap().error(), Some("session_not_found"));
    assert_eq!(client.invalidate(3, "T1").unwrap().error(), Some("session_not_found"), "another workspace's");
    assert!(client.form(INVALIDATE, "session_id=3&user_id=U1").unwrap().ok());
    assert!(!server.is_alive(1) && !server.is_alive(3));
    assert_eq!(server.live_sessions(), [2]);
    let stats = server.stats();
    assert_eq!((stats.revoked, stats.repeats, stats.after_ok), (2, 1, 1));
    let reply: Vec<_> = server.calls().into_iter().map(|call| (call.session, call.reply)).collect();
    let missing = StandInReply::Refused(ErrorCode::SessionNotFound);
    let want = [(1, StandInReply::Ok), (1, missing.clone()), (3, missing), (3, StandInReply::Ok)];
    assert_eq!(reply, want.map(|(session, reply)| (Some(session), reply)));
}

#[test]
fn a_bulk_is_queued_and_done_some_calls_later() {
    let bulk = BulkConfig { done_after: 2, ..BulkConfig::default() };
    let (server, mut client) = start(StandInConfig { store: three(), bulk, log: 9, ..StandInConfig::default() });
    assert_eq!(client.form(BULK, "user_ids=U1%2CU1").unwrap().body, r#"{"ok":true}"#);
    assert_eq!((server.queued_users(), server.live_sessions().len()), (2, 3));
    assert!(client.form(LIST, "").unwrap().ok());
    assert_eq!(server.live_sessions().len(), 3);
    client.form(LIST, "").unwrap();
    let living = server.live_sessions();
    assert!(living.len() < 3 && server.queued_users() == 0, "{living:?}");
    assert_eq!(server.stats().revoked + living.len() as u64, 3);

    let unknown = client.form(BULK, "user_ids=U1,U404").unwrap();
    assert_eq!((unknown.error(), server.queued_users()), (Some("user_not_found"), 0), "for the whole call");
    for (body, words) in [("", "missing"), ("user_ids=U1,,U2", "invalid value")] {
        let answer = client.form(BULK, body).unwrap();
        assert_eq!(answer.error(), Some("invalid_arguments"));
        assert!(answer.body.contains(words), "{answer:?}");
    }
    let reply: Vec<_> =
        server.bulks().into_iter().map(|call| (call.users.len(), call.reply == StandInReply::Ok)).collect();
    assert_eq!(reply, [(2, true), (2, false), (0, false), (0, false)]);
}

#[test]
fn a_bulk_meets_trouble_a_limit_and_a_missing_scope() {
    let half = |effect| {
        HashMap::from([(
            "U1".into(),
            RepeatedReply::first(1, ScriptedReply::Fault(InjectedFault::InternalError, effect)),
        )])
    };
    for (effect, left) in [(Effect::None, 3), (Effect::Done, 0)] {
        let bulk = BulkConfig { by_user: half(effect), ..BulkConfig::default() };
        let (server, mut client) = start(StandInConfig { store: three(), bulk, ..StandInConfig::default() });
        let answer = client.form(BULK, "user_ids=U2,U1").unwrap();
        assert_eq!((answer.status, answer.error()), (500, Some("internal_error")));
        assert_eq!(server.live_sessions().len(), left, "{effect:?}");
        assert!(client.form(BULK, "user_ids=U2,U1").unwrap().ok());
    }
    let once = Limit::of(LimitKind::TokenBucket { calls: 1, per: Duration::from_mins(1), burst: 1 });
    let reader = StandInToken { scopes: "admin.users:read".into(), ..StandInToken::named("xoxp-reader") };
    let limits = MethodLimits { reset_bulk: once, ..MethodLimits::default() };
    let (server, mut client) =
        start(StandInConfig { limits, tokens: vec![StandInToken::default(), reader], ..StandInConfig::default() });
    assert!(client.form(BULK, "user_ids=U1").unwrap().ok());
    assert_eq!(client.form(BULK, "user_ids=U1").unwrap().status, 429);
    assert!(client.invalidate(1, "T1").unwrap().ok(), "a limit of its own");
    assert_eq!(server.stats().of(Method::ResetBulk).limited, 1);
    client.authorization = Some("Bearer xoxp-reader".into());
    assert_eq!(client.form(BULK, "user_ids=U1").unwrap().error(), Some("missing_scope"));
}

#[test]
fn json_is_taken_as_well_and_a_content_type_may_earn_a_warning() {
    let (_server, mut client) = start(StandInConfig::default());
    let json = r#"{"session_id":1112275520242,"team_id":"T1"}"#;
    assert_eq!(client.post(INVALIDATE, "application/json; charset=utf-8", json).unwrap().body, r#"{"ok":true}"#);
    for (kind, body, warning) in [
        ("application/json", r#"{"session_id":"2","team_id":"T1"}"#, "missing_charset"),
        ("application/x-www-form-urlencoded; charset=utf-8", "session_id=3&team_id=T1", "superfluous_charset"),
    ] {
        let answer = client.post(INVALIDATE, kind, body).unwrap();
        assert!(answer.ok() && answer.body.contains(&format!(r#""warning":"{warning}""#)), "{answer:?}");
    }
}

#[test]
fn arguments_that_will_not_do_are_refused_in_words() {
    let (server, mut client) = start(StandInConfig::default());
    for body in ["session_id=1", "session_id=1&team_id=T1&user_id=U1", "team_id=T1", "session_id=1.1E%2B12&team_id=T1"]
    {
        let answer = client.form(INVALIDATE, body).unwrap();
        assert_eq!(answer.error(), Some("invalid_arguments"), "{body}");
        assert!(answer.body.contains("[ERROR]"), "{answer:?}");
    }
    assert_eq!(client.post(INVALIDATE, "text/plain", "x").unwrap().error(), Some("invalid_post_type"));
    assert_eq!(client.form("admin.users.session.invalidated", "").unwrap().error(), Some("unknown_method"));
    assert!(server.is_alive(1));
}

#[test]
fn each_answer_has_an_id_of_its_own_a_date_and_the_scopes() {
    let (_server, mut client) = start(StandInConfig::default());
    let answers: Vec<_> = (0..50).map(|session| client.invalidate(session, "T1").unwrap()).collect();
    let ids: HashSet<_> = answers.iter().filter_map(|answer| answer.header("x-slack-req-id")).collect();
    assert_eq!(ids.len(), 50);
    for answer in &answers {
        assert_eq!(answer.header("x-oauth-scopes"), Some("admin.users:read,admin.users:write"));
        assert!(httpdate::parse_http_date(answer.header("date").unwrap()).is_ok());
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    }
}

#[test]
fn tokens_are_checked_before_anything_else() {
    let narrow = StandInToken { scopes: "admin.users:read".into(), ..StandInToken::named("xoxp-narrow") };
    let (server, mut client) =
        start(StandInConfig { tokens: vec![StandInToken::default(), narrow], ..StandInConfig::default() });
    let good = client.authorization.clone();
    for (authorization, error) in [
        (None, "not_authed"),
        (Some("Basic abc"), "not_authed"),
        (Some("Bearer xoxp-other"), "invalid_auth"),
        (Some("Bearer xoxb-1"), "not_allowed_token_type"),
        (Some("Bearer xoxp-narrow"), "missing_scope"),
    ] {
        client.authorization = authorization.map(Into::into);
        let answer = client.invalidate(1, "T1").unwrap();
        assert_eq!(answer.error(), Some(error));
        let scopes = r#""needed":"admin.users:write","provided":"admin.users:read""#;
        assert_eq!(answer.body.contains(scopes), error == "missing_scope");
    }
    client.authorization = good;
    let text = StandInToken::default().text;
    server.revoke_token(&text);
    assert_eq!(client.invalidate(1, "T1").unwrap().error(), Some("token_revoked"));
    server.expire_token(&text);
    assert_eq!(client.form("auth.test", "").unwrap().error(), Some("token_expired"));
    server.accept_token(&text);
    assert!(client.invalidate(1, "T1").unwrap().ok());
    assert_eq!(server.stats().unauthorized, 7);
}

#[test]
fn a_token_ends_after_its_number_of_calls() {
    let short = StandInToken { ends: Some((2, TokenEnd::Expired)), ..StandInToken::default() };
    let (server, mut client) = start(StandInConfig { tokens: vec![short], ..StandInConfig::default() });
    assert!(client.form("auth.test", "").unwrap().ok(), "which does not count");
    assert!(client.invalidate(1, "T1").unwrap().ok() && client.invalidate(2, "T1").unwrap().ok());
    assert_eq!(client.invalidate(3, "T1").unwrap().error(), Some("token_expired"));
    server.accept_token("xoxe.xoxp-fresh");
    client.authorization = Some("Bearer xoxe.xoxp-fresh".into());
    assert!(client.invalidate(3, "T1").unwrap().ok());
}

#[test]
fn auth_test_says_who_the_token_is() {
    let identity = TokenIdentity { expires_in: Some(43_200), ..TokenIdentity::default() };
    let token = StandInToken { identity, ..StandInToken::default() };
    let (_server, mut client) = start(StandInConfig { tokens: vec![token], ..StandInConfig::default() });
    let answer = client.form("auth.test", "").unwrap();
    for member in [
        r#""ok":true"#,
        r#""user_id":"W0STANDIN""#,
        r#""enterprise_id":"E0STANDIN""#,
        r#""is_enterprise_install":true"#,
        r#""expires_in":43200"#,
    ] {
        assert!(answer.body.contains(member), "{member} in {}", answer.body);
    }
}

/// The ids of a page, in order, and its cursor.
fn page(body: &str) -> (Vec<u64>, &str) {
    let ids = body.split(r#""session_id":"#).skip(1);
    let ids = ids.map(|rest| rest.split([',', '}']).next().unwrap().parse().unwrap()).collect();
    (ids, body.split_once(r#""next_cursor":""#).unwrap().1.split('"').next().unwrap())
}

#[test]
fn a_list_is_paged_to_its_end_while_sessions_go() {
    let sessions = (1..=25).map(|id| Session::new(id, "T1", if id % 2 == 0 { "U2" } else { "U1" }));
    let (_server, mut client) =
        start(StandInConfig { store: SessionStore::listed(sessions), ..StandInConfig::default() });
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = client.form(LIST, &format!("limit=10&cursor={}", cursor.replace('=', "%3D"))).unwrap();
        let (ids, next) = page(&answer.body);
        client.invalidate(ids[0], "T1").unwrap();
        seen.extend(ids);
        cursor = next.to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    let answer = client.form(LIST, "team_id=T1&user_id=U2&limit=1000").unwrap();
    assert_eq!(page(&answer.body), ((2..=24).step_by(2).collect(), ""));
    assert!(answer.body.contains(r#""created":{"device_hardware":""#) && answer.body.contains(r#""recent":{"#));
}

#[test]
fn a_list_refuses_what_it_cannot_do() {
    let (_server, mut client) = start(StandInConfig { store: three(), ..StandInConfig::default() });
    for (body, error) in [
        ("team_id=T1", "invalid_arguments"),
        ("user_id=U1", "invalid_arguments"),
        ("limit=0", "invalid_arguments"),
        ("limit=1001", "invalid_arguments"),
        ("cursor=17", "invalid_cursor"),
        ("team_id=T2&user_id=U2", "no_active_sessions"),
    ] {
        assert_eq!(client.form(LIST, body).unwrap().error(), Some(error), "{body}");
    }
}
