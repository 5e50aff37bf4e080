//! What is looked at before anything is sent: the plan, and the rehearsal.

use crate::harness::{TOKEN, Workdir, config, rows, sessions, start, totals};
use serde_json::Value;

/// A header and one row of every kind.
const MIXED: &str = "team_id,session_id,user_id\nT1,1000,U1\nT2,1001,\n,1002,U2\nT1,1000,U1\nT1,x,U1\nT1,1003,U9\n";

fn plan(work: &Workdir, flags: &[&str]) -> Value {
    let printed = work.program(["plan", "--json"]).args(flags.iter().copied()).exits(0).stdout();
    serde_json::from_str(&printed).expect("one JSON object")
}

#[test]
fn a_plan_adds_up_and_sends_nothing() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    work.write("in.csv", MIXED);
    work.write("keep.txt", "U9\n");
    let plan = plan(&work, &["in.csv", "--protect", "keep.txt", "--api-url", &server.url()]);
    let number = |name: &str| plan[name].as_u64().unwrap_or_else(|| panic!("{name} in {plan}"));
    let parts = ["by_user", "by_team", "invalid", "duplicates", "protected", "already_done"].map(number);
    assert_eq!(parts, [2, 1, 1, 1, 1, 0]);
    assert_eq!((number("rows"), parts.iter().sum::<u64>(), number("to_send")), (6, 6, 3));
    assert_eq!((number("workspaces"), number("users"), number("rows_without_user")), (2, 2, 1));
    assert_eq!((&plan["reset_bulk_calls"], &plan["invalid_examples"][0]["line"]), (&Value::Null, &6.into()));
    assert_eq!((server.stats().buckets.len(), work.names()), (0, vec!["in.csv".into(), "keep.txt".into()]));
}

#[test]
fn a_plan_and_a_dry_run_print_the_same() {
    let work = Workdir::new();
    work.write("in.csv", MIXED);
    let said = |words: &[&str]| {
        let finished = work.program(words.iter().copied()).exits(0);
        assert_eq!(finished.stderr(), "", "{words:?}");
        let text = finished.stdout();
        // The time at which it would end is the one thing that differs.
        text.lines().filter(|line| !line.starts_with("time")).collect::<Vec<_>>().join("\n")
    };
    let plan = said(&["plan", "in.csv"]);
    assert!(plan.contains("line 6: session_id \"x\" is not an integer"), "{plan}");
    assert_eq!(plan, said(&["run", "in.csv", "--dry-run"]));
    assert_eq!(plan, said(&["run", "-n", "in.csv", "--yes"]));
    assert_eq!(work.names(), ["in.csv"]);
}

#[test]
fn a_plan_estimates_the_time_at_tier_2_and_suggests_whole_users() {
    let work = Workdir::new();
    let users: Vec<_> = (0..1_001).map(|n| format!("U{n},{}", 5_000 + n)).collect();
    work.write("in.csv", format!("user_id,session_id\n{}\n", users.join("\n")));
    let plan = plan(&work, &["in.csv"]);
    assert_eq!((&plan["users"], &plan["reset_bulk_calls"]), (&1_001.into(), &2.into()));
    // 20 a minute after the first 20.
    assert_eq!(plan["estimated_seconds"], (1_001 - 20) * 3);
}

#[test]
fn a_plan_reads_standard_input_and_earlier_results() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    let printed = work.program(["plan", "-", "--json"]).stdin(MIXED).exits(0).stdout();
    let plan_of_stdin: Value = serde_json::from_str(&printed).expect("one JSON object");
    assert_eq!((&plan_of_stdin["rows"], work.names().len()), (&6.into(), 0));

    work.write("in.csv", rows(1_000, 4));
    work.run(&server, "in.csv").exits(0);
    work.write("in.csv", rows(1_000, 6));
    let plan = plan(&work, &["in.csv", "--resume"]);
    assert_eq!((&plan["already_done"], &plan["to_send"], &plan["rows"]), (&4.into(), &2.into(), &6.into()));
}

#[test]
fn a_plan_of_an_unusable_input_is_exit_2() {
    let work = Workdir::new();
    work.write("in.csv", "a,b\n");
    let finished = work.program(["plan", "in.csv"]).exits(2);
    assert_eq!(finished.stdout(), "");
    assert!(finished.stderr().contains("session_id"), "{}", finished.stderr());
}

#[test]
fn two_rehearsals_of_the_sample_have_the_same_results() {
    let work = Workdir::new();
    work.sample("sessions.csv");
    let rehearse = || {
        // The commands of the README: no token, no question, no terminal.
        let said = work.program(["run", "--rehearse", "sessions.csv"]).exits(0).stderr();
        assert!(said.starts_with("REHEARSAL: a stand-in answers instead of Slack; nothing is revoked\n"), "{said}");
        assert!(said.contains("\nREHEARSAL, nothing was revoked. Done: 30 rows in "), "{said}");
        assert!(said.ends_with("\nREHEARSAL: nothing was revoked\n") && !said.contains("warning"), "{said}");
        assert_eq!(totals(&said).values().sum::<u64>(), 30, "{said}");
        work.results("sessions.rehearsal.csv").statuses()
    };
    let first = rehearse();
    assert_eq!((first.len(), &first), (30, &rehearse()));
    assert!(first.values().any(|status| status == "revoked") && first.values().any(|status| status == "duplicate"));
    let manifest = work.json("sessions.rehearsal.csv.manifest.json");
    assert_eq!((&manifest["runs"][0]["rehearsal"], manifest["runs"].as_array().map(Vec::len)), (&true.into(), Some(1)));
}

#[test]
fn a_rehearsal_by_variable_causes_a_warning() {
    let work = Workdir::new();
    work.sample("sessions.csv");
    let want = "warning: this is a rehearsal, because SLACK_REVOKE_REHEARSE is set";
    for flags in [&[][..], &["-q"], &["--log-format", "json"]] {
        let run =
            work.program(["run", "sessions.csv"]).args(flags.iter().copied()).env("SLACK_REVOKE_REHEARSE", "true");
        let said = run.exits(0).stderr();
        assert!(said.contains(want.trim_start_matches(if flags.len() == 2 { "warning: " } else { "" })), "{said}");
    }
    let said = work.program(["run", "--rehearse", "sessions.csv", "--log-format", "json"]).exits(0).stderr();
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let message = |line: Option<&serde_json::Value>| line.expect("a line")["message"].as_str().unwrap().to_owned();
    assert!(message(lines.first()).starts_with("REHEARSAL: "), "{said}");
    assert!(message(lines.last()).starts_with("REHEARSAL, nothing was revoked"), "{said}");
    assert_eq!(lines.last().expect("a line")["rehearsal"], true);
}

#[test]
fn a_plan_shows_ten_invalid_rows_or_all() {
    let work = Workdir::new();
    let bad: Vec<_> = (0..12).map(|row| format!("T1,x{row}\n")).collect();
    work.write("in.csv", format!("team_id,session_id\nT1,1\n{}", bad.concat()));
    let plan = |flags: &[&str]| work.program(["plan", "in.csv"]).args(flags.iter().copied()).exits(0).stdout();
    let (short, long) = (plan(&[]), plan(&["-v"]));
    let shown = |text: &str| text.matches("is not an integer").count();
    assert_eq!((shown(&short), shown(&long)), (10, 12), "{short}{long}");
    assert!(short.contains("line 3: session_id \"x0\" is not an integer") && short.contains("and 2 more"), "{short}");
    let json: serde_json::Value = serde_json::from_str(&plan(&["--json"])).expect("JSON");
    assert_eq!(json["invalid_examples"].as_array().map(Vec::len), Some(12));
}

#[test]
fn rehearsals_and_runs_use_separate_results() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 2))));
    work.write("in.csv", rows(1_000, 2));
    work.run(&server, "in.csv").exits(0);
    let evidence = work.read("in.results.csv");
    work.program(["run", "in.csv", "--rehearse", "-o", "in.results.csv"]).exits(2);
    assert_eq!(work.read("in.results.csv"), evidence);

    work.program(["run", "in.csv", "--rehearse"]).exits(0);
    let drill = work.read("in.rehearsal.csv");
    for flags in [&[][..], &["--resume"]] {
        let run = work.run(&server, "in.csv").args(["-o", "in.rehearsal.csv"]).args(flags.iter().copied());
        let said = run.exits(2).stderr();
        assert!(said.contains("in.rehearsal.csv"), "{said}");
        assert_eq!(work.read("in.rehearsal.csv"), drill);
    }
    assert_eq!(server.stats().revoked, 2);
}

#[test]
fn a_rehearsal_contacts_no_server_and_needs_no_token() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 2))));
    work.write("in.csv", rows(1_000, 2));
    let program = work.program(["run", "in.csv", "--rehearse"]).token(TOKEN);
    program.env("SLACK_REVOKE_API_URL", &server.url()).env("HTTP_PROXY", &server.url()).exits(0);
    assert_eq!((server.stats().buckets.len(), server.stats().unauthorized), (0, 0));
}

#[test]
fn a_plan_with_nothing_to_send_says_so_and_exits_with_1() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 2))));
    work.write("in.csv", rows(1_000, 2));
    work.run(&server, "in.csv").exits(0);
    work.write("bad.csv", "team_id,session_id\nT1,x\n");
    for flags in [&["in.csv", "--resume"][..], &["bad.csv"]] {
        let plan = work.program(["plan"]).args(flags.iter().copied()).exits(1).stdout();
        assert!(plan.contains("to send     nothing"), "{plan}");
        let json = work.program(["plan", "--json"]).args(flags.iter().copied()).exits(1).stdout();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["to_send"], 0);
    }
}

#[test]
fn unwritable_standard_output_is_exit_7() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 2))));
    work.write("in.csv", rows(1_000, 2));
    for line in [
        "plan in.csv",
        "plan in.csv --json",
        "doctor",
        "doctor --json",
        "list",
        "resolve in.csv",
        "completions bash",
        "man",
        "-h",
        "--help",
        "--version",
        "help run",
        "run --help",
    ] {
        let program = work.shell(&format!("slack-revoke {line} > /dev/full")).token(TOKEN);
        let said = program.env("SLACK_REVOKE_API_URL", &server.url()).exits(7).stderr();
        assert!(said.contains("standard output") && said.contains("No space left on device"), "{line}: {said}");
    }
}
