//! Tables of what is found, and the mark that it gets.

use super::*;
use crate::model::UserId;

fn auth(scopes: Option<&[&str]>) -> AuthTest {
    AuthTest {
        url: None,
        team: Some("Acme".into()),
        user: Some("ada".into()),
        team_id: TeamId::parse("T1").ok(),
        user_id: UserId::parse("W1").unwrap(),
        enterprise_id: TeamId::parse("E1").ok(),
        is_enterprise_install: Some(true),
        expires_in: None,
        scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).into()).collect()),
        server_date: None,
    }
}

#[test]
fn scopes_decide_what_works() {
    for (held, mark) in [
        (Some(&[WRITE, listing::SCOPE][..]), Mark::Good),
        (Some(&[WRITE][..]), Mark::Care),
        (Some(&[listing::SCOPE][..]), Mark::Bad),
        (Some(&["admin"][..]), Mark::Bad),
        (None, Mark::Care),
    ] {
        assert_eq!(scopes(&auth(held)).mark, mark, "{held:?}");
    }
}

#[test]
fn an_organisation_is_what_the_app_is_installed_on() {
    assert_eq!(organisation(&auth(None)).mark, Mark::Good);
    assert_eq!(organisation(&AuthTest { is_enterprise_install: Some(false), ..auth(None) }).mark, Mark::Care);
    assert_eq!(organisation(&AuthTest { enterprise_id: None, ..auth(None) }).mark, Mark::Care);
}

#[test]
fn a_token_has_to_last_or_to_be_had_again() {
    let (hour, day) = (Some(Duration::from_hours(1)), Some(Duration::from_hours(24)));
    for (left, run, renewable, mark) in [
        (None, day, false, Mark::Good),
        (hour, None, false, Mark::Good),
        (day, hour, false, Mark::Good),
        (hour, day, false, Mark::Care),
        (hour, hour, false, Mark::Care),
        (hour, day, true, Mark::Good),
    ] {
        assert_eq!(expiry(left, run, renewable).mark, mark, "{left:?} {run:?} {renewable}");
    }
}

#[test]
fn a_clock_may_be_half_a_minute_off() {
    let asked = Stamp::from_millis(1_000_000_500);
    let took = Duration::from_millis(200);
    for (server, mark) in [
        (1_000_000_000, Mark::Good),
        (1_000_031_000, Mark::Good),
        (1_000_032_000, Mark::Care),
        (999_969_500, Mark::Good),
        (999_969_000, Mark::Care),
    ] {
        assert_eq!(clock(Some(Stamp::from_millis(server)), asked, took).mark, mark, "{server}");
    }
    assert!(clock(Some(Stamp::from_millis(0)), asked, took).text.contains("ahead"));
    assert_eq!(clock(None, asked, took).mark, Mark::Care);
}

#[test]
fn a_check_is_a_line() {
    let mut checks = Checks::default();
    checks.add(Check::new("token", Mark::Bad, "there is none\nat all").advise("set SLACK_TOKEN"));
    assert_eq!(checks.to_text(), "✗ token        there is none at all; set SLACK_TOKEN\n");
    let json: serde_json::Value = serde_json::from_str(&checks.to_json(4)).unwrap();
    assert_eq!((&json["exit_code"], &json["checks"][0]["mark"]), (&4.into(), &"failed".into()));
}
