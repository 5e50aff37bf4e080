//! The environment: every flag has a variable, and what is typed goes first (contract.md, "`run`").

use crate::harness::{Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::cli;
use slack_revoke::stand_in::{ListedDevice, Server, Session, SessionDevices};
use std::collections::BTreeSet;

fn slack() -> Server {
    start(config(sessions(1_000, 10)))
}

#[test]
fn every_flag_has_a_variable_that_works() {
    let (work, server) = (Workdir::new(), slack());
    work.write("in.csv", "team_id|session_id|user_id\nT1|1000|W0STANDIN\nT9|1001|U1\nT1|1002|U2\n");
    work.write("keep.txt", "U2\n");
    let token = work.write("token", TOKEN);
    std::fs::set_permissions(token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    let url = server.url();
    let variables = [
        ("DELIMITER", "pipe"),
        ("COLUMN", "user_id=user_id"),
        ("MAX_INPUT_SIZE", "1GiB"),
        ("IDENTIFY_BY", "team"),
        ("OUTPUT", "out.csv"),
        ("REMAINING", "left.csv"),
        ("RATE", "6000/min"),
        ("BUCKET", "team"),
        ("QUOTA", "none"),
        ("PRIORITY", "incident"),
        ("WORKERS", "3"),
        ("RETRIES", "2"),
        ("TIMEOUT", "9s"),
        ("MAX_RETRY_AFTER", "1m"),
        ("YES", "true"),
        ("MAX_FAILURES", "3"),
        ("DEADLINE", "1h"),
        ("THEN_VERIFY", "1s"),
        ("PROTECT", "keep.txt"),
        ("ALLOW_SELF", "1"),
        ("ALLOW_UNOWNED", "1"),
        ("NO_CANARY", "yes"),
        ("STRICT", "on"),
        ("TOKEN_FILE", "token"),
        ("API_URL", &url),
        ("ALLOW_HOST", "a.example,b.example"),
        ("EVENTS", "events"),
        ("SUMMARY_JSON", "summary"),
        ("METRICS_FILE", "metrics"),
        ("ON_FINISH", "env > finished"),
        ("SEAL_COMMAND", "tee sealed <\"$SLACK_REVOKE_MANIFEST\""),
        ("REASON", "a drill"),
        ("PROGRESS", "none"),
        ("COLOR", "never"),
        ("QUIET", "true"),
        ("LOG_FORMAT", "json"),
    ];
    // They exclude some of the others, or have a test of their own.
    let apart =
        ["RESUME", "RESUME_OR_START", "DRY_RUN", "REHEARSE", "START_RATE", "MAX_RATE", "TOKEN_COMMAND", "VERBOSE"];
    let apart = apart.into_iter().chain([
        "BULK",
        "MAX_LISTING_AGE",
        "WHOLE_USERS",
        "CONFIRM_USERS",
        "ONLY",
        "NO_STRICT",
        "PLAN_ID",
        "APPROVED_BY",
        "REQUIRE_PLAN_ID",
    ]);
    let known: BTreeSet<String> = variables.iter().map(|(name, _)| *name).chain(apart).map(str::to_owned).collect();
    assert_eq!(flags_of_run(), known, "a flag of `run` has no place in this test");

    let set = |program: Program, (name, value): &(&str, &str)| program.env(&format!("SLACK_REVOKE_{name}"), value);
    let finished = variables.iter().fold(work.program(["run", "in.csv"]), set).exits(1);
    let said = finished.stderr();
    assert!(said.lines().count() == 3 && said.contains("some rows are failed"), "quiet: {said}");
    let results = work.results("out.csv");
    let statuses: Vec<_> = results.statuses().into_values().collect();
    assert_eq!(statuses, ["revoked", "not_found", "protected"]);
    for file in ["left.csv", "events", "summary", "metrics", "finished", "sealed"] {
        assert!(work.exists(file), "{file}");
    }
    let run = &work.json("out.csv.manifest.json")["runs"][0];
    assert_eq!((&run["rate"], &run["workers"]), (&"6000/min".into(), &3.into()));
    assert_eq!((&run["identify_by"], &run["reason"]), (&"team".into(), &"a drill".into()));
}

#[test]
fn repeatable_flags_accept_several_values_from_their_variables() {
    let people = [("iOS", "4.1", "iPhone"), ("macOS", "4.2", "Mac"), ("Windows", "4.3", "PC")];
    let people = (1..).zip(people).map(|(id, (os, client, device))| Session {
        devices: Some(SessionDevices {
            created: ListedDevice {
                device_hardware: device.into(),
                os: os.into(),
                os_version: "1".into(),
                slack_client_version: client.into(),
                ip: format!("192.0.2.{id}"),
            },
            recent: None,
        }),
        ..Session::new(id, "T1", "U1")
    });
    let (work, server) = (Workdir::new(), start(config(people.collect())));
    let list = |name: &str, value: &str| {
        let program = work.program(["list", "-q", "--rate", "unlimited", "--api-url", &server.url()]).token(TOKEN);
        program.env(&format!("SLACK_REVOKE_{name}"), value)
    };
    for (name, value) in [
        ("IP", "192.0.2.1,192.0.2.2"),
        ("OS", "ios,macos"),
        ("CLIENT", "4.1,4.2"),
        ("DEVICE", "iphone,mac"),
        ("NOT_IP", "192.0.2.3"),
    ] {
        assert_eq!(list(name, value).exits(0).stdout().lines().count(), 3, "{name}");
    }
    let typed = list("OS", "ios,macos").args(["--os", "windows", "--device", "p,c"]).exits(0).stdout();
    assert_eq!(typed.lines().count(), 1, "a comma that was typed belongs to the value: {typed}");
    assert_eq!(list("OS", "ios,macos").args(["--os", "windows"]).exits(0).stdout().lines().count(), 2);
}

#[test]
fn other_variables_work_and_flags_override_variables() {
    let (work, server) = (Workdir::new(), slack());
    work.write("in.csv", rows(1_000, 2));
    let plan = |name: &str, value: &str| work.program(["run", "in.csv", "--yes"]).env(name, value);
    assert!(plan("SLACK_REVOKE_DRY_RUN", "true").exits(0).stdout().contains("to send"));
    assert_eq!(work.names(), ["in.csv"]);
    plan("SLACK_REVOKE_REHEARSE", "1").exits(0);
    assert!(work.exists("in.rehearsal.csv"));
    let said = plan("SLACK_REVOKE_START_RATE", "9/min").env("SLACK_REVOKE_MAX_RATE", "8/min").exits(2).stderr();
    assert!(said.contains("--start-rate 9/min"), "{said}");
    let said = plan("SLACK_REVOKE_WORKERS", "many").exits(2).stderr();
    assert!(said.contains("SLACK_REVOKE_WORKERS"), "{said}");
    // Also where the two exclude each other.
    plan("SLACK_REVOKE_STRICT", "1").args(["--no-strict", "-n"]).exits(0);
    let typed = work.run(&server, "in.csv").args(["--rate", "50/s", "-v", "-v"]).env("SLACK_REVOKE_RATE", "1/h");
    let said = typed.env("SLACK_REVOKE_QUIET", "true").env("SLACK_REVOKE_STRICT", "").exits(0).stderr();
    assert!(said.contains("2 rows"), "typed -v goes before the variable: {said}");
    assert_eq!(work.json("in.results.csv.manifest.json")["runs"][0]["rate"], "50/s");
    let again = work.program(["run", "in.csv", "--yes", "--api-url", &server.url()]);
    let again = again.env("SLACK_REVOKE_RESUME", "true").env("SLACK_REVOKE_TOKEN_COMMAND", &format!("echo {TOKEN}"));
    again.env("SLACK_REVOKE_VERBOSE", "2").exits(0);
}

/// `SLACK_REVOKE_PROTCET` protects nobody, and its author believes it does.
#[test]
fn a_misspelled_variable_is_refused_before_anything_is_sent() {
    let (work, server) = (Workdir::new(), slack());
    work.write("in.csv", rows(1_000, 2));
    work.write("keep.txt", "1000\n");
    for (name, meant) in [
        ("SLACK_REVOKE_PROTCET", "SLACK_REVOKE_PROTECT"),
        ("slack_revoke_protect", "SLACK_REVOKE_PROTECT"),
        ("SLACKREVOKE_PROTECT", "SLACK_REVOKE_PROTECT"),
        ("SLACK_REVOKE_ALLOWSELF", "SLACK_REVOKE_ALLOW_SELF"),
        ("SLACK_REVOKE_MAX_FAILURE", "SLACK_REVOKE_MAX_FAILURES"),
    ] {
        let said = work.run(&server, "in.csv").env(name, "keep.txt").exits(2).stderr();
        assert!(said.contains(name) && said.contains(&format!("{meant}:")), "{said}");
    }
    for command in [&["plan", "in.csv"][..], &["list"], &["doctor"], &["verify", "in.csv"], &["report", "in.csv"]] {
        let said = work.program(command).token(TOKEN).env("SLACK_REVOKE_PROTCET", "keep.txt").exits(2).stderr();
        assert!(said.contains("looks like SLACK_REVOKE_PROTECT:"), "{command:?}: {said}");
    }
    assert_eq!((server.calls().len(), work.names()), (0, vec!["in.csv".to_owned(), "keep.txt".to_owned()]));
    let kubernetes = [
        ("SLACK_REVOKE_PORT", "tcp://10.0.0.1:443"),
        ("SLACK_REVOKE_PORT_443_TCP_ADDR", "10.0.0.1"),
        ("SLACK_REVOKE_SERVICE_HOST", "10.0.0.1"),
        ("SLACK_REVOKE_SERVICE_PORT_HTTPS", "443"),
    ];
    let set = |program: Program, (name, value): &(&str, &str)| program.env(name, value);
    kubernetes.iter().fold(work.run(&server, "in.csv"), set).exits(0);
}

/// A job's environment holds the names of its run; its `verify` finds the results there, and is not told to overwrite them.
#[test]
fn output_variables_of_run_do_not_apply_to_other_commands() {
    let (work, server) = (Workdir::new(), slack());
    work.write("in.csv", rows(1_000, 2));
    let job = |program: Program| {
        let job = program.token(TOKEN).env("SLACK_REVOKE_OUTPUT", "out.csv").env("SLACK_REVOKE_RESUME", "true");
        job.env("SLACK_REVOKE_API_URL", &server.url())
    };
    job(work.program(["run", "in.csv", "--yes"])).exits(0);
    let before = work.read("out.csv");
    job(work.program(["verify", "out.csv"])).exits(0);
    assert_eq!(work.read("out.csv"), before);
    assert!(work.exists("out.verified.csv"));
    job(work.program(["list"])).exits(0);
    let own = job(work.program(["verify", "out.csv"])).env("SLACK_REVOKE_VERIFY_OUTPUT", "proof.csv");
    own.exits(0);
    assert!(work.exists("proof.csv"));
    let said = job(work.program(["list"])).env("SLACK_REVOKE_LIST_RESUME", "perhaps").exits(2).stderr();
    assert!(said.contains("SLACK_REVOKE_LIST_RESUME"), "{said}");
}

fn flags_of_run() -> BTreeSet<String> {
    let mut command = cli::command();
    command.build();
    let run = command.find_subcommand("run").expect("a command");
    let flags = run.get_arguments().filter_map(|argument| argument.get_long());
    let flags = flags.filter(|flag| !["help", "version"].contains(flag));
    flags.map(|flag| cli::variable_of(flag).replace("SLACK_REVOKE_", "")).collect()
}
