//! The rehearsal's mixture, and the samples that are shipped for it.

use super::*;
use crate::model::{SessionId, TeamId, UserId};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

const SESSIONS: &str = include_str!("../../../samples/sessions.csv");
const MESSY: &[u8] = include_bytes!("../../../samples/messy.csv");

type Row = (SessionId, Option<TeamId>, Option<UserId>);

/// The sample's rows. Its two id columns stand ahead of any that is quoted.
fn rows() -> impl Iterator<Item = Row> {
    SESSIONS.lines().skip(1).map(|line| {
        let mut fields = line.split(',');
        let team = TeamId::parse(fields.next().unwrap()).unwrap();
        (SessionId::parse(fields.next().unwrap()).unwrap(), Some(team), None)
    })
}

/// The server of a rehearsal that answers at once, and its client.
fn rehearse(rows: impl IntoIterator<Item = Row>) -> (Server, Client) {
    start(StandInConfig { latency: Latency::None, ..StandInConfig::rehearsal(rows, []) })
}

/// The answers to a session's calls, up to the first clear one.
fn call(client: &mut Client, session: SessionId, team: &TeamId) -> Vec<String> {
    let mut answers = Vec::new();
    loop {
        let answer = client.invalidate(session.get(), team.as_str()).unwrap();
        let word = if answer.ok() { "ok" } else { answer.error().unwrap_or("html") };
        answers.push(format!("{} {word}", answer.status));
        if answer.status == 200 || answers.len() == 9 {
            return answers;
        }
    }
}

#[test]
fn the_sample_meets_every_answer_and_ends_well() {
    // The limit is left out: whoever calls as fast as this test does would meet it.
    let config = StandInConfig {
        latency: Latency::None,
        limits: MethodLimits::default(),
        ..StandInConfig::rehearsal(rows(), [])
    };
    let (server, mut client) = start(config);
    let (mut met, mut seen) = (BTreeMap::new(), HashSet::new());
    for (session, team, _) in rows().filter(|row| seen.insert(row.0)) {
        *met.entry(call(&mut client, session, &team.unwrap()).join(", ")).or_insert(0) += 1;
    }
    let want = [
        ("200 ok", 23),
        ("200 session_expired", 1),
        ("200 session_not_found", 2),
        ("500 internal_error, 200 session_not_found", 1),
        ("503 html, 200 ok", 1),
    ];
    assert_eq!(met, BTreeMap::from(want.map(|(answers, rows)| (answers.to_owned(), rows))));
    assert_eq!((rows().count(), seen.len()), (30, 28), "two rows are there twice");
    let workspaces: HashSet<_> = rows().map(|(_, team, _)| team).collect();
    assert_eq!(workspaces.len(), 3);
    // At Tier 2, with its first 20 at once, 30 calls are over in half a minute: that is how long a newcomer waits.
    assert_eq!(server.stats().of(Method::Invalidate).calls, 30);
    assert!(server.live_sessions().is_empty());
}

#[test]
fn a_rehearsal_has_slacks_limit_and_takes_its_own_token_alone() {
    let (server, mut client) = rehearse([]);
    let refused = (0..200).position(|session| client.invalidate(session, "T1").unwrap().status == 429);
    // A slow machine gains a call every three seconds; it never loses one of the burst.
    assert!(refused.is_some_and(|accepted| accepted >= 25), "{refused:?}");
    assert_eq!(server.stats().of(Method::Invalidate).limited, 1);
    client.authorization = Some(format!("Bearer {}", StandInToken::default().text));
    assert_eq!(client.form("auth.test", "").unwrap().error(), Some("invalid_auth"));
    client.authorization = Some(format!("Bearer {REHEARSAL_TOKEN}"));
    assert!(client.form("auth.test", "").unwrap().ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn no_row_of_a_rehearsal_fails(ids in prop::collection::hash_set(1_000_000_000_000_u64..9_999_999_999_999, 50)) {
        let team = TeamId::parse("T1").unwrap();
        let rows: Vec<Row> = ids.iter().map(|&id| (SessionId::from(id), Some(team.clone()), None)).collect();
        let limits = MethodLimits::default();
        let (_server, mut client) = start(StandInConfig { latency: Latency::None, limits, ..StandInConfig::rehearsal(rows.clone(), []) });
        for (session, _, _) in rows {
            let answers = call(&mut client, session, &team);
            prop_assert!(answers.len() <= 2, "{session}: {answers:?}");
            let clear = ["200 ok", "200 session_not_found", "200 session_expired"];
            prop_assert!(clear.contains(&answers.last().unwrap().as_str()), "{session}: {answers:?}");
        }
    }
}

#[test]
fn a_list_of_any_size_meets_the_mixture() {
    let rows = (0..20_000).map(|n| (SessionId::from(1_112_275_520_242 + n), None, None));
    let config = StandInConfig::rehearsal(rows, []);
    let live = (0..20_000).filter(|n| config.store.is_alive(1_112_275_520_242 + n)).count();
    assert!((18_800..19_400).contains(&live), "{live}");
}

#[test]
fn the_messy_sample_is_still_messy() {
    assert!(MESSY.starts_with(b"\xef\xbb\xbfEmail;Session_ID;"), "a mark, and semicolons");
    let lone = MESSY.windows(2).filter(|pair| pair[1] == b'\n' && pair[0] != b'\r').count();
    assert_eq!(lone, 0, "every line ends with CRLF");
    let text = std::str::from_utf8(MESSY).unwrap();
    for mess in ["\r\n\r\n", ";1.11265E+12;", "\r\nruns over two lines", ";abc123;", ";acme-corp;", ";hiro.tanaka;"] {
        assert!(text.contains(mess), "{mess:?}");
    }
}
