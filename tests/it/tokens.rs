//! The token: where it comes from, which ones are refused, and that nobody ever sees it; and whom it must not touch.

use crate::harness::{Program, TOKEN, Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::{
    Effect, FaultRates, InjectedFault, Server, Session, StandInConfig, StandInToken, TokenEnd, TokenIdentity,
};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// A command line that needs a token from somewhere.
fn program(work: &Workdir, server: &Server) -> Program {
    work.write("in.csv", rows(1_000, 10));
    work.program(["run", "in.csv", "--yes", "--rate", "unlimited", "-j", "1", "--api-url", &server.url()])
}

/// A file of this mode.
fn file(work: &Workdir, name: &str, text: &str, mode: u32) {
    let path = work.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// How many calls of any kind have arrived.
fn calls(server: &Server) -> u64 {
    let stats = server.stats();
    stats.unauthorized + stats.buckets.iter().map(|bucket| bucket.counts.calls).sum::<u64>()
}

#[test]
fn a_token_is_read_from_every_source() {
    for place in ["variable", "file", "command", "credential", "pipe"] {
        let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
        file(&work, "token", &format!("{TOKEN}\n"), 0o600);
        fs::create_dir(work.path("credentials")).expect("a folder");
        file(&work, "credentials/slack-token", TOKEN, 0o440);
        let program = program(&work, &server);
        let program = match place {
            "variable" => program.token(TOKEN),
            "file" => program.args(["--token-file", "token"]).token("xoxb-not-this-one"),
            "command" => program.args(["--token-command", "cat token"]),
            "pipe" => program.args(["--token-file", "/dev/stdin"]).stdin(TOKEN),
            _ => program.env("CREDENTIALS_DIRECTORY", work.path("credentials").to_str().expect("text")),
        };
        program.exits(0);
        assert_eq!(work.results("in.results.csv").count("revoked"), 10, "{place}");
    }
}

#[test]
fn an_unsuitable_token_is_refused_before_any_call() {
    for (token, want) in [
        ("xoxb-12-34-secret", "bot token"),
        ("xoxe.xoxb-1-secret", "bot token"),
        ("xapp-1-A-secret", "app-level"),
        ("xoxe-1-secret", "refresh token"),
        ("xoxc-1-secret", "browser"),
        ("xoxd-secret", "cookie"),
        ("xoxp-", "user token"),
        ("secret", "doesn't look like"),
        ("xoxp-1 secret", "blanks"),
        ("xoxp-1\nxoxp-secret", "lines"),
        ("   ", "empty"),
    ] {
        let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
        let said = program(&work, &server).token(token).exits(4).stderr();
        assert!(said.contains(want), "{token:?}: {said}");
        assert!(!said.contains("secret"), "{token:?}: {said}");
        assert_eq!((calls(&server), work.names()), (0, vec!["in.csv".to_owned()]), "{token:?}");
    }
}

#[test]
fn an_unreadable_token_is_exit_4_before_any_call() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    file(&work, "open", TOKEN, 0o644);
    file(&work, "group", TOKEN, 0o640);
    for (flags, want) in [
        (&[][..], "SLACK_TOKEN"),
        (&["--token-file", "open"], "chmod 600"),
        (&["--token-file", "group"], "chmod 600"),
        (&["--token-file", "missing"], "missing"),
        (&["--token-command", "echo oops >&2; exit 3"], "--token-command"),
        (&["--token-command", "true"], "empty"),
        (&["--token-command", "no-such-program-here"], "--token-command"),
    ] {
        let said = program(&work, &server).args(flags.iter().copied()).exits(4).stderr();
        assert!(said.contains(want) && !said.contains(TOKEN), "{flags:?}: {said}");
    }
    assert_eq!((calls(&server), work.exists("in.results.csv")), (0, false));
}

#[test]
fn a_token_as_argument_is_refused_and_not_printed() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    for flags in [&["--token", TOKEN][..], &["--token=xoxp-stand-in-0001"], &["--token-file", TOKEN], &[TOKEN]] {
        let said = program(&work, &server).args(flags.iter().copied()).exits(2).stderr();
        assert!(said.contains("--token-file") && !said.contains(TOKEN), "{said}");
    }
    assert_eq!(calls(&server), 0);
}

#[test]
fn a_rejected_token_is_exit_4_before_any_row() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    server.revoke_token(TOKEN);
    let said = program(&work, &server).token(TOKEN).exits(4).stderr();
    assert!(said.contains("token_revoked"), "{said}");
    let said = program(&work, &server).token("xoxp-unknown").exits(4).stderr();
    assert!(said.contains("invalid_auth"), "{said}");
    assert_eq!((server.stats().revoked, work.exists("in.results.csv")), (0, false));

    let scopeless = StandInToken { scopes: "admin.users:read".into(), ..StandInToken::named(TOKEN) };
    let server = start(StandInConfig { tokens: vec![scopeless], ..config(sessions(1_000, 10)) });
    let said = program(&work, &server).token(TOKEN).exits(4).stderr();
    assert!(said.contains("missing_scope") && said.contains("admin.users:write"), "{said}");
    assert_eq!(work.results("in.results.csv").records.len(), 0);
}

#[test]
fn the_token_is_never_visible() {
    let faults = FaultRates::seeded(1).with(InjectedFault::Unavailable, Effect::None, 300).on_first_calls(1);
    let token = StandInToken { ends: Some((8, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) };
    let server = start(StandInConfig { faults, tokens: vec![token], ..config(sessions(1_000, 10)) });
    let work = Workdir::new();
    let flags = ["-vv", "--events", "events", "--summary-json", "summary", "--metrics-file", "metrics"];
    let program = program(&work, &server).args(flags).token(TOKEN).env("SLACK_REVOKE_LOG", "trace");
    let finished = program.exits(4);
    let mut seen = vec![("stdout".to_owned(), finished.stdout()), ("stderr".to_owned(), finished.stderr())];
    for name in work.names() {
        let bytes = fs::read(work.path(&name)).expect("a file of the run");
        seen.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    assert!(seen.len() >= 8, "{:?}", work.names());
    for (name, text) in seen {
        assert!(!text.contains("stand-in-0001") && !text.contains("Bearer"), "{name} shows the token");
    }
}

#[test]
fn a_fresh_token_continues_the_run() {
    let tokens = [("xoxp-old", Some((3, TokenEnd::Expired))), ("xoxe.xoxp-new", None)];
    let tokens = tokens.map(|(text, ends)| StandInToken { ends, ..StandInToken::named(text) });
    let server = start(StandInConfig { tokens: tokens.to_vec(), ..config(sessions(1_000, 10)) });
    let work = Workdir::new();
    let command = "if [ -e used ]; then echo xoxe.xoxp-new; else touch used; echo xoxp-old; fi";
    program(&work, &server).args(["--token-command", command, "--events", "events"]).exits(0);
    assert_eq!(work.results("in.results.csv").count("revoked"), 10);
    assert_eq!(work.read("events").matches("token_refreshed").count(), 1);
    assert_eq!(server.stats().after_ok, 0);
}

#[test]
fn an_expired_token_without_a_fresh_one_is_exit_4() {
    for from_command in [false, true] {
        let token = StandInToken { ends: Some((3, TokenEnd::Expired)), ..StandInToken::named(TOKEN) };
        let server = start(StandInConfig { tokens: vec![token], ..config(sessions(1_000, 10)) });
        let work = Workdir::new();
        let program = program(&work, &server);
        let command = format!("echo {TOKEN}");
        let program = if from_command { program.args(["--token-command", &command]) } else { program.token(TOKEN) };
        let said = program.exits(4).stderr();
        assert!(said.contains("token_expired"), "{said}");
        assert_eq!(work.results("in.results.csv").count("revoked"), 3);
        assert_eq!(work.read("in.results.remaining.csv"), rows(1_003, 7));
    }
}

/// Sessions of three users, and a token of the first one's.
fn of_three_users() -> Server {
    let identity = TokenIdentity { user_id: "W1ME".into(), ..TokenIdentity::default() };
    let sessions = [(1_000, "W1ME"), (1_001, "U2"), (1_002, "U3"), (1_003, "W1ME")];
    let sessions = sessions.map(|(id, user)| Session::new(id, "T1", user)).to_vec();
    start(StandInConfig { tokens: vec![StandInToken { identity, ..StandInToken::named(TOKEN) }], ..config(sessions) })
}

#[test]
fn own_and_protected_sessions_are_not_sent() {
    const ROWS: &str = "user_id,session_id,team_id\nW1ME,1000,T1\nU2,1001,T1\nU3,1002,T1\nW1ME,1003,\n";
    for (flags, protect, alive) in [
        (&[][..], "", &[1_000, 1_003][..]),
        (&["--identify-by", "auto"], "", &[1_000, 1_003]),
        (&["--allow-self"], "", &[]),
        (&["--protect", "keep.txt"], "U2\n", &[1_000, 1_001, 1_003]),
        (&["--protect", "keep.txt", "--allow-self"], "# two\n1002 # a session\nU2\n", &[1_001, 1_002]),
        (&["--protect", "keep.txt", "--allow-self"], "W1ME", &[1_000, 1_003]),
    ] {
        let (work, server) = (Workdir::new(), of_three_users());
        work.write("in.csv", ROWS);
        work.write("keep.txt", protect);
        work.run(&server, "in.csv").args(flags.iter().copied()).exits(0);
        assert_eq!(server.live_sessions(), alive, "{flags:?} {protect:?}");
        let results = work.results("in.results.csv");
        for record in &results.records {
            let session: u64 = record.get("session_id").parse().expect("a number");
            let want = if alive.contains(&session) { ("protected", "0") } else { ("revoked", "1") };
            assert_eq!((record.status(), record.get("attempts")), want, "{session} {flags:?}");
        }
        assert_eq!(results.count("protected"), alive.len(), "{flags:?} {protect:?}");
        assert!(!work.exists("in.results.remaining.csv"), "protected rows need no processing");
    }
}

#[test]
fn the_own_user_is_protected_in_both_id_forms() {
    let (work, server) = (Workdir::new(), of_three_users());
    work.write("in.csv", "user_id,session_id,team_id\nW1ME,1000,T1\nU2,1001,T1\n");
    work.run(&server, "in.csv").args(["--identify-by", "team"]).exits(0);
    assert_eq!(server.live_sessions(), [1_000, 1_002, 1_003]);
    assert_eq!(work.results("in.results.csv").line(2).get("error"), "own_session");
}
