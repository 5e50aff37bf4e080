//! Every class of answer of slack.md, and what becomes of the row and of the run.

use crate::harness::{Canned, Results, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{
    Effect, InjectedFault, RepeatedReply, ReplyScript, ScriptedReply, Server, Session, StandInConfig,
};
use std::time::Duration;

/// Longer than any call may take here.
const NEVER: Duration = Duration::from_mins(1);

/// What breaks or spoils an answer: the answer, and the `error` and `http_status` of a row that it ends.
fn trouble() -> [(ScriptedReply, &'static str, &'static str); 13] {
    let fault = |fault| ScriptedReply::Fault(fault, Effect::None);
    [
        (fault(InjectedFault::InternalError), "http_500", "500"),
        (fault(InjectedFault::FatalError), "fatal_error", "200"),
        (fault(InjectedFault::RequestTimeoutCode), "request_timeout", "200"),
        (refused("service_unavailable"), "service_unavailable", "200"),
        (refused("session_invalidation_failed"), "session_invalidation_failed", "200"),
        (fault(InjectedFault::Unavailable), "http_503", "503"),
        (fault(InjectedFault::RequestTimeout), "http_408", "408"),
        (fault(InjectedFault::Garbage), "bad_response", "200"),
        (fault(InjectedFault::ProxyPage), "bad_response", "200"),
        (fault(InjectedFault::Torn), "connection", ""),
        (fault(InjectedFault::Reset), "connection", ""),
        (ScriptedReply::Fault(InjectedFault::Reset, Effect::Done), "connection", ""),
        (fault(InjectedFault::Slow(NEVER)), "timeout", ""),
    ]
}

fn refused(code: &str) -> ScriptedReply {
    ScriptedReply::Refused(ErrorCode::from(code))
}

fn scripted(script: ReplyScript) -> StandInConfig {
    StandInConfig { script, log: 100, ..config(sessions(1_000, 40)) }
}

fn everywhere(answer: ScriptedReply) -> StandInConfig {
    scripted(ReplyScript { every: Some(RepeatedReply::always(answer)), ..ReplyScript::default() })
}

/// Each of these sessions gets its answer, the first `times` times; the others get the truth.
fn by_session(answers: impl IntoIterator<Item = (u64, ScriptedReply)>, times: u32) -> StandInConfig {
    let by_session = answers.into_iter().map(|(session, answer)| (session, RepeatedReply::first(times, answer)));
    scripted(ReplyScript { by_session: by_session.collect(), ..ReplyScript::default() })
}

/// Runs `input` row by row; gives the results and what was said.
fn run(server: &Server, input: &str, flags: &[&str], code: i32) -> (Workdir, Results, String) {
    let work = Workdir::new();
    work.write("in.csv", input);
    let said = work.run(server, "in.csv").args(["--rate", "unlimited", "-j", "1"]).args(flags.iter().copied());
    let said = said.exits(code).stderr();
    let results = work.results("in.results.csv");
    (work, results, said)
}

#[test]
fn a_clear_answer_ends_the_row() {
    for (answer, status, error, code) in [
        (None, "revoked", "", 0),
        (Some("session_expired"), "already_revoked", "session_expired", 0),
        (Some("session_not_found"), "not_found", "session_not_found", 0),
        (Some("user_not_found"), "failed", "user_not_found", 1),
        (Some("cannot_invalidate_primary_owner"), "failed", "cannot_invalidate_primary_owner", 1),
        (Some("invalid_arguments"), "failed", "invalid_arguments", 1),
        (Some("admin_unauthorized"), "failed", "admin_unauthorized", 1),
        (Some("access_denied"), "failed", "access_denied", 1),
        (Some("brand_new_code"), "failed", "brand_new_code", 1),
    ] {
        let server = start(by_session(answer.map(|code| (1_000, refused(code))), 1));
        let (work, results, _) = run(&server, &rows(1_000, 1), &[], code);
        let record = results.line(2);
        assert_eq!((record.status(), record.get("error")), (status, error));
        let numbers = ["http_status", "attempts", "rate_limited"].map(|column| record.get(column));
        assert_eq!(numbers, ["200", "1", "0"], "{status} {error}");
        assert_eq!(record.get("request_id").len(), 32, "{status} {error}");
        assert!(record.get("first_sent_at") <= record.get("finished_at"), "{status} {error}");
        assert_eq!(record.get("finished_at").len(), "2026-01-01T00:00:00.000Z".len());
        assert_eq!(work.exists("in.results.remaining.csv"), code == 1, "{status} {error}");
    }
}

#[test]
fn rows_are_retried_after_temporary_faults_and_their_effect_is_detected() {
    // Good rows between them: five rows in trouble one after the other would be an outage.
    let effects = [Effect::None, Effect::Done];
    let kinds = trouble().into_iter().flat_map(|(answer, ..)| match answer {
        ScriptedReply::Fault(fault, _) => effects.map(|effect| ScriptedReply::Fault(fault, effect)).to_vec(),
        refused @ ScriptedReply::Refused(_) => vec![refused],
    });
    let answers: Vec<(u64, ScriptedReply)> = (1_000..).step_by(2).zip(kinds).collect();
    let sessions = sessions(1_000, 2 * answers.len() as u64);
    let server = start(StandInConfig {
        store: slack_revoke::stand_in::SessionStore::listed(sessions),
        ..by_session(answers.clone(), 1)
    });
    let (_, results, _) = run(&server, &rows(1_000, 2 * answers.len() as u64), &["-j", "8", "--timeout", "1s"], 0);
    for (session, answer) in answers {
        let record = results.line(session - 998);
        let done = matches!(answer, ScriptedReply::Fault(_, Effect::Done));
        let want = if done { ("already_revoked", "session_not_found") } else { ("revoked", "") };
        assert_eq!((record.status(), record.get("error")), want, "{answer:?}");
        assert_eq!(record.get("attempts"), "2", "{answer:?}");
    }
    assert!(server.live_sessions().is_empty());
    assert_eq!(server.stats().after_ok, 0);
}

#[test]
fn permanent_faults_leave_the_row_unknown() {
    let answers = (1_000..).step_by(2).zip(trouble().map(|(answer, ..)| answer));
    let server = start(by_session(answers, 9));
    let (work, results, _) = run(&server, &rows(1_000, 26), &["--retries", "0", "--timeout", "1s"], 1);
    let mut remaining = "team_id,session_id\n".to_owned();
    for (session, (answer, error, http_status)) in (1_000..).step_by(2).zip(trouble()) {
        let record = results.line(session - 998);
        assert_eq!((record.status(), record.get("error")), ("unknown", error), "{answer:?}");
        assert_eq!((record.get("http_status"), record.get("attempts")), (http_status, "1"), "{answer:?}");
        remaining.extend(["T1,", &session.to_string(), "\n"]);
    }
    assert_eq!((results.count("revoked"), work.read("in.results.remaining.csv")), (13, remaining));
}

#[test]
fn a_run_that_slack_never_answered_ends_no_row() {
    let server = start(config(Vec::new()));
    let (work, nobody) = (Workdir::new(), server.url());
    drop(server);
    work.write("in.csv", rows(1_000, 1));
    let program = work.program(["run", "in.csv", "--yes", "--retries", "1", "--api-url", &nobody]).token(TOKEN);
    program.exits(5);
    assert!(work.results("in.results.csv").records.is_empty());
    assert_eq!(work.read("in.results.remaining.csv"), rows(1_000, 1));
}

#[test]
fn five_suspect_codes_in_a_row_stop_the_run() {
    for code in ["invalid_arguments", "admin_unauthorized", "access_denied", "brand_new_code"] {
        let server = start(everywhere(refused(code)));
        let (work, results, said) = run(&server, &rows(1_000, 8), &[], 3);
        assert_eq!((server.calls().len(), results.records.len()), (5, 0), "{code}");
        assert_eq!(work.read("in.results.remaining.csv"), rows(1_000, 8), "{code}");
        assert!(said.contains(code), "{said}");
        assert_eq!(said.contains("--identify-by"), code == "invalid_arguments", "{said}");

        let server = start(by_session((1_001..1_008).map(|session| (session, refused(code))), 1));
        let (_, results, _) = run(&server, &rows(1_000, 8), &[], 1);
        assert_eq!((results.count("revoked"), results.count("failed")), (1, 7), "{code} after a success");
    }
}

#[test]
fn a_run_level_code_stops_the_run_at_the_first_row() {
    for code in [
        "not_authed",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "not_allowed_token_type",
        "is_bot",
        "not_an_admin",
        "feature_not_enabled",
        "enterprise_is_restricted",
        "two_factor_setup_required",
        "accesslimited",
        "unknown_method",
        "method_deprecated",
        "deprecated_endpoint",
        "invalid_arg_name",
        "invalid_array_arg",
        "invalid_charset",
        "invalid_form_data",
        "invalid_post_type",
        "missing_post_type",
    ] {
        let (server, work) = (start(everywhere(refused(code))), Workdir::new());
        work.write("in.csv", rows(1_000, 20));
        let said = work.run(&server, "in.csv").args(["--rate", "unlimited"]).exits(4).stderr();
        assert_eq!(server.calls().len(), 1, "{code}");
        assert_eq!(work.results("in.results.csv").records.len(), 0, "{code}");
        assert_eq!(work.read("in.results.remaining.csv"), rows(1_000, 20), "{code}");
        assert!(said.contains(code) && said.contains("--resume"), "{said}");
    }
}

#[test]
fn a_run_level_code_stops_the_run_in_the_middle() {
    let server = start(by_session([(1_004, refused("not_an_admin"))], 1));
    let (work, results, _) = run(&server, &rows(1_000, 20), &[], 4);
    assert_eq!((server.calls().len(), results.count("revoked"), results.records.len()), (5, 4, 4));
    assert_eq!(work.read("in.results.remaining.csv"), rows(1_004, 16));
}

#[test]
fn a_workspace_level_code_suspends_the_workspace_or_stops_the_run() {
    const THREE: &str = "team_id,session_id\nT1,1000\nT1,1001\nT2,1002\nT2,1003\nT3,1004\nT3,1005\n";
    const ONE: &str = "team_id,session_id\nT1,1000\nT1,1001\n";
    let codes = ["org_login_required", "team_added_to_org", "ekm_access_denied", "no_permission"];
    for code in codes.into_iter().chain(["team_access_not_granted"]) {
        for (input, refusing, calls, revoked, remaining) in [
            (THREE, &["T1"][..], 5, 4, &["T1,1000", "T1,1001"][..]),
            (THREE, &["T1", "T2"], 2, 0, &["T1,1000", "T1,1001", "T2,1002", "T2,1003", "T3,1004", "T3,1005"]),
            (ONE, &["T1"], 1, 0, &["T1,1000", "T1,1001"]),
        ] {
            let by_team = refusing.iter().map(|team| ((*team).to_owned(), RepeatedReply::always(refused(code))));
            let store = slack_revoke::stand_in::SessionStore::everything();
            let script = ReplyScript { by_team: by_team.collect(), ..ReplyScript::default() };
            let server = start(StandInConfig { store, ..scripted(script) });
            let (work, results, said) = run(&server, input, &[], 4);
            assert_eq!((server.calls().len(), results.count("revoked")), (calls, revoked), "{code} {refusing:?}");
            assert_eq!(results.records.len(), revoked, "{code} {refusing:?}");
            let text = work.read("in.results.remaining.csv");
            assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), remaining, "{code} {refusing:?}");
            assert!(said.contains(code) && said.contains("--resume"), "{said}");
        }
    }
}

#[test]
fn only_one_of_the_two_ids_is_sent() {
    const BOTH: &str = "team_id,session_id,user_id\n";
    for (row, by, status) in [
        ("T9,1000,U1", "auto", "revoked"),
        ("T9,1000,U1", "user", "revoked"),
        ("T9,1000,U1", "team", "not_found"),
        ("T1,1000,U9", "auto", "not_found"),
        ("T1,1000,U9", "user", "not_found"),
        ("T1,1000,U9", "team", "revoked"),
        ("T1,1000,", "auto", "revoked"),
        ("T1,1000,", "user", "invalid"),
        (",1000,U1", "auto", "revoked"),
        (",1000,U1", "team", "invalid"),
    ] {
        let server = start(config(vec![Session::new(1_000, "T1", "U1")]));
        let code = i32::from(status == "invalid");
        let (_, results, _) = run(&server, &format!("{BOTH}{row}\n"), &["--identify-by", by], code);
        assert_eq!(results.line(2).status(), status, "{row} by {by}");
    }
}

#[test]
fn a_warning_is_reported_once_and_fails_no_row() {
    let (slack, work) = (Canned::json(r#"{"ok":true,"warning":"superfluous_charset"}"#), Workdir::new());
    work.write("in.csv", rows(1_000, 5));
    let program = work.program(["run", "in.csv", "--yes", "--rate", "unlimited", "--api-url", &slack.url()]);
    let said = program.token(TOKEN).exits(0).stderr();
    assert_eq!(said.matches("superfluous_charset").count(), 1, "{said}");
    assert_eq!(work.results("in.results.csv").count("revoked"), 5);
}

#[test]
fn only_status_200_with_ok_true_is_success() {
    for (status, body, is_success) in [
        ("200 OK", r#"{"ok":true}"#, true),
        ("200 OK", r#"{"ok":"true"}"#, false),
        ("200 OK", r#"{"ok":1}"#, false),
        ("200 OK", "[true]", false),
        ("200 OK", "{}", false),
        ("200 OK", "", false),
        ("201 Created", r#"{"ok":true}"#, false),
        ("202 Accepted", r#"{"ok":true}"#, false),
        ("302 Found", r#"{"ok":true}"#, false),
        ("500 Internal Server Error", r#"{"ok":true}"#, false),
    ] {
        let (slack, work) = (Canned::answer(status, body), Workdir::new());
        work.write("in.csv", rows(1_000, 1));
        let program = work.program(["run", "in.csv", "--yes", "--retries", "0", "--api-url", &slack.url()]);
        program.token(TOKEN).exits(if is_success { 0 } else { 5 });
        assert_eq!(work.results("in.results.csv").count("revoked"), usize::from(is_success), "{status} {body}");
    }
}
