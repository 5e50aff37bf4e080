//! A run that didn't end well says why, and what to do: failed rows by code, each with its remedy, and the command that retries.

use crate::harness::{Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::model::ErrorCode;
use slack_revoke::stand_in::{RepeatedReply, ReplyScript, ScriptedReply, Server, StandInConfig};
use std::fmt::Write as _;

/// Ten rows, of which the sessions named are always answered with these codes.
fn answering(codes: &[(u64, &str)]) -> (Workdir, Server) {
    let always = |code: &str| RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from(code)));
    let by_session = codes.iter().map(|(session, code)| (*session, always(code))).collect();
    let script = ReplyScript { by_session, ..ReplyScript::default() };
    let server = start(StandInConfig { script, ..config(sessions(1_000, 10)) });
    let work = Workdir::new();
    work.write("my list.csv", rows(1_000, 10) + "T1,bad\n");
    (work, server)
}

fn run(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.run(server, "my list.csv").args(["--rate", "unlimited", "--retries", "0"]).args(flags.iter().copied())
}

#[test]
fn failures_are_grouped_by_code_with_hint_and_retry_command() {
    let codes = [(1_003, "user_not_found"), (1_005, "user_not_found"), (1_007, "internal_error"), (1_008, "brand_new")];
    for quiet in [false, true] {
        let (work, server) = answering(&codes);
        let flags =
            ["--summary-json", "sum.json", "-o", "out.csv", "--reason", "my list.csv", "--max-failures", "100%"];
        let program = run(&work, &server, &flags).args(quiet.then_some("-q"));
        let said = program.exits(1).stderr();
        for want in [
            "2 rows failed with user_not_found: the ids may belong to another organization",
            "1 row unknown with internal_error: ",
            "1 row failed with brand_new: Slack's reference doesn't list this code",
            "1 row invalid with bad_session_id: ",
        ] {
            assert_eq!(said.matches(want).count(), 1, "{want}: {said}");
        }
        assert!(said.find("user_not_found").unwrap() < said.find("brand_new").unwrap(), "most rows first: {said}");
        let summary = work.json("sum.json");
        let first = &summary["failures"][0];
        assert_eq!(
            (&first["error"], &first["rows"], &first["status"]),
            (&"user_not_found".into(), &2.into(), &"failed".into())
        );
        assert!(first["hint"].as_str().expect("words").contains("list the sessions again"));

        // The command as it is printed, in a shell.
        let retry =
            said.lines().map(str::trim).find(|line| line.contains("out.remaining.csv") && line.contains(" run "));
        let retry = retry.unwrap_or_else(|| panic!("{said}"));
        let retry = &retry[retry.find("slack-revoke run").unwrap_or_else(|| panic!("{retry}"))..];
        assert_eq!(
            summary["retry_command"].as_str().map(|line| line.ends_with(&retry["slack-revoke ".len()..])),
            Some(true)
        );
        server.set_script(ReplyScript::default());
        let again = work.shell(retry).token(TOKEN).finish();
        assert_eq!(again.code(), Some(1), "the invalid row: {}", again.stderr());
        assert_eq!(work.results("out.remaining.results.csv").count("revoked"), 4, "{}", again.stderr());
        assert!(server.live_sessions().is_empty());
    }
}

#[test]
fn a_resumed_run_reports_failures_of_all_runs() {
    let (work, server) = answering(&[(1_003, "user_not_found")]);
    run(&work, &server, &["--max-failures", "1"]).exits(3);
    let said = run(&work, &server, &["--resume", "-q"]).exits(1).stderr();
    assert!(said.contains("1 row failed with user_not_found: "), "{said}");
}

#[test]
fn faults_without_an_answer_have_hints() {
    for (status, want) in [
        ("407 Proxy Authentication Required", "user name and password"),
        ("503 Service Unavailable", "slack-status.com"),
        ("404 Not Found", "--api-url"),
        ("200 OK", "--api-url"),
    ] {
        let canned = crate::harness::Canned::answer(status, "<html>");
        let work = Workdir::new();
        work.write("in.csv", "team_id,session_id\nT1,1000\n");
        let flags = ["--retries", "0", "--max-retry-after", "1ms", "-q"];
        let said =
            work.program(["run", "in.csv", "--yes", "--api-url", &canned.url()]).args(flags).token(TOKEN).finish();
        assert!(said.code().is_some_and(|code| code == 1 || code == 5), "{status}: {}", said.stderr());
        assert!(said.stderr().contains(want), "{status}: {}", said.stderr());
    }
}

#[test]
fn a_suspended_workspace_is_reported_with_a_hint() {
    let always = RepeatedReply::always(ScriptedReply::Refused(ErrorCode::from("team_access_not_granted")));
    let mut all = sessions(1_000, 3);
    all.extend((2_000..2_003).map(|id| slack_revoke::stand_in::Session::new(id, "T2", "U2")));
    let script =
        ReplyScript { by_session: (1_000..1_003).map(|id| (id, always.clone())).collect(), ..ReplyScript::default() };
    let server = start(StandInConfig { script, ..config(all) });
    let work = Workdir::new();
    let mut text = rows(1_000, 3);
    (2_000..2_003).for_each(|id| writeln!(text, "T2,{id}").expect("a string takes everything"));
    work.write("in.csv", text);
    for flags in [&["--rate", "unlimited"][..], &["--rate", "unlimited", "-q", "--resume"]] {
        let said = work.run(&server, "in.csv").args(flags.iter().copied()).exits(4).stderr();
        // With no other workspace left, it isn't one workspace's trouble.
        let workspace = if flags.contains(&"--resume") { "the workspaces" } else { "workspace T1" };
        for want in [workspace, "team_access_not_granted", "the app has no access to the workspace", "--resume"] {
            assert!(said.contains(want), "{want}: {said}");
        }
    }
}
