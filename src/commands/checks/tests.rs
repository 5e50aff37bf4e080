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
fn missing_scopes_are_warnings_or_failures() {
    for (held, mark) in [
        (Some(&[WRITE, listing::SCOPE][..]), CheckMark::Ok),
        (Some(&[WRITE][..]), CheckMark::Warning),
        (Some(&[listing::SCOPE][..]), CheckMark::Failed),
        (Some(&["admin"][..]), CheckMark::Failed),
        (None, CheckMark::Warning),
    ] {
        assert_eq!(scopes(&auth(held)).mark, mark, "{held:?}");
    }
}

#[test]
fn an_app_outside_an_organization_is_a_warning() {
    assert_eq!(organization(&auth(None)).mark, CheckMark::Ok);
    assert_eq!(organization(&AuthTest { is_enterprise_install: Some(false), ..auth(None) }).mark, CheckMark::Warning);
    assert_eq!(organization(&AuthTest { enterprise_id: None, ..auth(None) }).mark, CheckMark::Warning);
}

#[test]
fn a_token_that_expires_during_the_run_and_cannot_be_read_again_is_a_warning() {
    let (hour, day) = (Some(Duration::from_hours(1)), Some(Duration::from_hours(24)));
    for (left, run, renewable, mark) in [
        (None, day, false, CheckMark::Ok),
        (hour, None, false, CheckMark::Ok),
        (day, hour, false, CheckMark::Ok),
        (hour, day, false, CheckMark::Warning),
        (hour, hour, false, CheckMark::Warning),
        (hour, day, true, CheckMark::Ok),
    ] {
        assert_eq!(expiry(left, run, renewable).mark, mark, "{left:?} {run:?} {renewable}");
    }
}

#[test]
fn a_clock_more_than_30_seconds_off_is_a_warning() {
    let asked = Timestamp::from_millis(1_000_000_500);
    let took = Duration::from_millis(200);
    for (server, mark) in [
        (1_000_000_000, CheckMark::Ok),
        (1_000_031_000, CheckMark::Ok),
        (1_000_032_000, CheckMark::Warning),
        (999_969_500, CheckMark::Ok),
        (999_969_000, CheckMark::Warning),
    ] {
        assert_eq!(clock(Some(Timestamp::from_millis(server)), asked, took).mark, mark, "{server}");
    }
    assert!(clock(Some(Timestamp::from_millis(0)), asked, took).text.contains("ahead"));
    assert_eq!(clock(None, asked, took).mark, CheckMark::Warning);
}

#[test]
fn a_check_is_one_line() {
    let mut checks = Checks::default();
    checks.add(Check::failed("token", "there is none\nat all").advise("set SLACK_TOKEN"));
    assert_eq!(checks.to_text(), "✗ token        there is none at all; set SLACK_TOKEN\n");
    let json: serde_json::Value = serde_json::from_str(&checks.to_json(4)).unwrap();
    assert_eq!((&json["exit_code"], &json["checks"][0]["mark"]), (&4.into(), &"failed".into()));
}
