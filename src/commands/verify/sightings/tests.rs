use super::*;
use crate::model::TeamId;
use crate::slack::{Device, UnreadableSession};

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn session(id: u64, owner: &str, team: &str, ip: &str) -> ActiveSession {
    ActiveSession {
        user_id: user(owner),
        team_id: TeamId::parse(team).ok(),
        session_id: SessionId::from(id),
        created: Some(Device { ip: Some(ip.into()), ..Device::default() }),
        recent: None,
    }
}

fn concerned() -> Concerned {
    Concerned {
        sessions: [1, 2, 3].map(SessionId::from).into(),
        users: [user("U1"), user("U2")].into(),
        before: [12].map(SessionId::from).into(),
    }
}

fn listed(sessions: Vec<ActiveSession>) -> ListingSnapshot {
    let mut seen = ListingSnapshot::default();
    seen.take(SessionPage { sessions, ..SessionPage::default() }, &concerned());
    seen
}

fn verdict(seen: &ListingSnapshot, id: u64, owner: &str) -> Verdict {
    seen.verdict(Some(SessionId::from(id)), UserId::parse(owner).ok().as_ref())
}

#[test]
fn sessions_are_gone_there_or_replaced() {
    let seen = listed(vec![
        session(2, "U2", "T9", "192.0.2.2"),
        session(9, "U1", "T1", "192.0.2.9"),
        session(10, "U1", "T2", "192.0.2.9"),
        session(10, "U1", "T2", "192.0.2.9"),
        session(11, "U7", "T1", "192.0.2.7"),
        session(12, "U2", "T1", "192.0.2.12"),
    ]);
    assert_eq!(verdict(&seen, 1, "U1"), Verdict::UserBack);
    assert_eq!(verdict(&seen, 2, "U2"), Verdict::StillThere, "in whatever workspace");
    assert_eq!(verdict(&seen, 3, "U2"), Verdict::Gone);
    assert_eq!(verdict(&seen, 1, ""), Verdict::Gone, "nobody to be back");
    assert_eq!(seen.verdict(None, Some(&user("U1"))), Verdict::NotAsked);
    let back = seen.back(&user("U1")).unwrap();
    assert_eq!((back.sessions.len(), back.ips.len()), (2, 1));
    assert_eq!(seen.new_sessions(), 2, "a session on two pages is one");
}

#[test]
fn what_cannot_be_read_leaves_unproven_only_what_it_could_be() {
    let unreadable = |user: &str, session| UnreadableSession {
        user_id: UserId::parse(user).ok(),
        session_id: (session > 0).then(|| SessionId::from(session)),
    };
    let (gone, unproven) = (Verdict::Gone, Verdict::Unproven);
    for (entry, of_u1, of_u2, of_nobody) in [
        (unreadable("U9", 0), gone, gone, unproven),
        (unreadable("U1", 0), unproven, gone, unproven),
        (unreadable("", 0), unproven, unproven, unproven),
        (unreadable("", 7), gone, gone, gone),
        (unreadable("", 1), Verdict::StillThere, gone, gone),
    ] {
        let mut seen = ListingSnapshot::default();
        seen.take(SessionPage { unreadable: vec![entry.clone()], ..SessionPage::default() }, &concerned());
        assert_eq!(verdict(&seen, 1, "U1"), of_u1, "{entry:?}");
        assert_eq!(verdict(&seen, 2, "U2"), of_u2, "{entry:?}");
        assert_eq!(verdict(&seen, 3, ""), of_nobody, "{entry:?}");
        assert_eq!(seen.unreadable(), 1);
        let whole = seen.verdict_of_user(None, &user("U2"));
        assert_eq!(whole, if entry.user_id.is_none() { unproven } else { gone }, "{entry:?}");
    }
}

#[test]
fn nothing_is_gone_if_pages_are_missing() {
    let mut seen = listed(vec![session(2, "U2", "T1", "192.0.2.2")]);
    seen.is_incomplete = true;
    assert_eq!(verdict(&seen, 1, "U1"), Verdict::Unproven);
    assert_eq!(verdict(&seen, 2, "U2"), Verdict::StillThere);
    assert_eq!(seen.verdict_of_user(None, &user("U1")), Verdict::Unproven);
}

#[test]
fn a_whole_user_is_gone_only_if_no_session_is_seen_in_any_workspace() {
    let one = Some(SessionId::from(1));
    for (sessions, named, whole, compared) in [
        (vec![], Verdict::Gone, Verdict::Gone, Verdict::Gone),
        (vec![session(9, "U1", "T2", "192.0.2.9")], Verdict::Unproven, Verdict::Unproven, Verdict::UserBack),
        (vec![session(1, "U1", "T1", "192.0.2.1")], Verdict::StillThere, Verdict::StillThere, Verdict::StillThere),
        (vec![session(2, "U1", "T1", "192.0.2.1")], Verdict::StillThere, Verdict::StillThere, Verdict::StillThere),
        (vec![session(12, "U1", "T2", "192.0.2.1")], Verdict::StillThere, Verdict::StillThere, Verdict::StillThere),
        (vec![session(9, "U2", "T1", "192.0.2.9")], Verdict::Gone, Verdict::Gone, Verdict::Gone),
    ] {
        let mut seen = listed(sessions);
        let verdict = |seen: &ListingSnapshot, session| seen.verdict_of_user(session, &user("U1"));
        assert_eq!((verdict(&seen, one), verdict(&seen, None)), (named, whole));
        seen.is_compared = true;
        assert_eq!(verdict(&seen, one), compared);
    }
}
