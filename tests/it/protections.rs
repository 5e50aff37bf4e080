//! Protections outlive the run that was given them: a resumed run keeps them, and the remaining file never names the protected.

use crate::harness::{Program, TOKEN, Workdir, config, start};
use slack_revoke::stand_in::{Server, Session, StandInConfig, StandInToken, TokenEnd};
use std::fmt::Write as _;

const REMAINING: &str = "s.results.remaining.csv";
const MANIFEST: &str = "s.results.csv.manifest.json";
/// The user of the stand-in's token.
const OWNER: &str = "W0STANDIN";

/// The user of each row: `U0` and so on, but for one row of the token's owner.
fn user(row: u64) -> String {
    if row == 395 { OWNER.into() } else { format!("U{row}") }
}

/// More rows than are read ahead, so that a run that stops early hasn't come to the protected ones.
const ROWS: u64 = 400;

/// One user a row; the token ends after ten revocations.
fn prepared() -> (Workdir, Server) {
    let sessions = (0..ROWS).map(|row| Session::new(1_000 + row, "T1", &user(row))).collect();
    let tokens = vec![StandInToken { ends: Some((10, TokenEnd::Revoked)), ..StandInToken::named(TOKEN) }];
    let server = start(StandInConfig { tokens, ..config(sessions) });
    let work = Workdir::new();
    let mut text = String::from("user_id,session_id\n");
    (0..ROWS).for_each(|row| writeln!(text, "{},{}", user(row), 1_000 + row).expect("a string takes everything"));
    work.write("s.csv", text);
    work.write("keep.txt", "U390 # a user\n1380 # a session\n");
    (work, server)
}

fn run(work: &Workdir, server: &Server, flags: &[&str]) -> Program {
    work.run(server, "s.csv").args(["--rate", "unlimited"]).args(flags.iter().copied())
}

#[test]
fn a_resumed_run_keeps_the_protections_of_the_run_it_continues() {
    for resume in [&["--resume"][..], &["--resume-or-start"], &["--resume", "--allow-self", "-q"]] {
        let (work, server) = prepared();
        run(&work, &server, &["--protect", "keep.txt"]).exits(4);
        server.accept_token(TOKEN);
        let resumed = run(&work, &server, resume).exits(0);
        assert_eq!(server.live_sessions(), [1_380, 1_390, 1_395], "{resume:?}");
        assert_eq!(work.results("s.results.csv").count("protected"), 3);
        let said = resumed.stderr();
        if resume.contains(&"-q") {
            assert!(said.contains("--allow-self") && said.contains(OWNER), "{said}");
        } else {
            assert!(
                said.contains("1 user id, 1 session id and the token's own user W0STANDIN stay protected"),
                "{said}"
            );
        }
        let kept = &work.json(MANIFEST)["protections"];
        assert_eq!(kept["user_ids"], serde_json::json!(["U390"]));
        assert_eq!(kept["session_ids"], serde_json::json!([1_380]));
        assert_eq!(kept["own_user_ids"], serde_json::json!([OWNER]));
    }
}

#[test]
fn protections_given_later_are_added_to_those_of_the_first_run() {
    let (work, server) = prepared();
    run(&work, &server, &["--protect", "keep.txt", "--allow-self"]).exits(4);
    server.accept_token(TOKEN);
    work.write("more.txt", "U385\n1386\n");
    let plan = work.program(["plan", "s.csv", "--resume", "--protect", "more.txt", "--json"]).exits(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout()).expect("JSON");
    assert_eq!((&plan["protected"], &plan["already_done"]), (&4.into(), &10.into()));
    run(&work, &server, &["--resume", "--protect", "more.txt", "--allow-self"]).exits(0);
    assert_eq!(server.live_sessions(), [1_380, 1_385, 1_386, 1_390], "--allow-self was given each time");
}

#[test]
fn the_remaining_file_never_names_the_protected() {
    let (work, server) = prepared();
    run(&work, &server, &["--protect", "keep.txt"]).exits(4);
    let remaining = work.read(REMAINING);
    assert_eq!(remaining.lines().count(), 1 + 387, "{remaining}");
    for protected in ["1380", "U390", OWNER] {
        assert!(!remaining.contains(protected), "{remaining}");
    }
    server.accept_token(TOKEN);
    let finished = run(&work, &server, &["--resume"]).exits(0);
    assert!(!work.exists(REMAINING), "only protected rows are left: {}", finished.stderr());
    assert!(!finished.stderr().contains("remaining"), "{}", finished.stderr());
}

#[test]
fn whole_users_stay_protected_through_their_sessions() {
    let (work, server) = prepared();
    run(&work, &server, &["--protect", "keep.txt"]).exits(4);
    server.accept_token(TOKEN);
    // The plan doesn't know whose token it will be: 400 users without U380, through session 1380, and U390.
    run(&work, &server, &["--resume", "--whole-users", "--confirm-users", "398"]).exits(0);
    assert_eq!(server.live_sessions(), [1_380, 1_390, 1_395]);
    assert_eq!(work.results("s.results.csv").count("requested"), 387);
}

#[test]
fn protections_changed_by_hand_are_refused() {
    let (work, server) = prepared();
    run(&work, &server, &["--protect", "keep.txt"]).exits(4);
    server.accept_token(TOKEN);
    work.write(MANIFEST, work.read(MANIFEST).replace("\"U390\"", "\"U391\""));
    let refused = run(&work, &server, &["--resume"]).exits(2);
    assert!(refused.stderr().contains("protections"), "{}", refused.stderr());
    assert_eq!(server.live_sessions().len(), 390);
}

/// What a list says that nobody can match, and what can't be read, is told while nothing was sent.
#[test]
fn an_idle_protect_list_causes_a_warning_even_with_quiet() {
    for (list, why) in [
        ("", "has no ids"),
        ("# nobody yet\n\n", "has no ids"),
        ("U999\n", "its id isn't in any row"),
        ("U999\n77\n", "none of its 2 ids is in any row"),
    ] {
        let (work, server) = prepared();
        work.write("keep.txt", list);
        for command in ["plan", "run"] {
            let line = [command, "s.csv", "--yes", "-q", "--protect", "keep.txt", "--api-url", &server.url()];
            let exit = if command == "plan" { 0 } else { 4 };
            let said = work.program(line).token(TOKEN).exits(exit).stderr();
            assert!(said.contains("keep.txt protects nobody in this input") && said.contains(why), "{list:?}: {said}");
        }
    }
    let (work, server) = prepared();
    let said = run(&work, &server, &["--protect", "keep.txt", "-q"]).exits(4).stderr();
    assert!(!said.contains("protects nobody"), "{said}");
}

#[test]
fn an_invalid_protect_list_is_refused() {
    let utf16 = |to_bytes: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    let (work, server) = prepared();
    for (list, why) in [
        (utf16(u16::to_le_bytes, "\u{feff}U390\n"), "UTF-16"),
        (utf16(u16::to_be_bytes, "\u{feff}U390\n"), "UTF-16"),
        (utf16(u16::to_le_bytes, "U390\n"), "UTF-16"),
        (utf16(u16::to_be_bytes, "# J\u{fc}rgen\nU390\n"), "UTF-16"),
        (b"U390\n# J\xfcrgen\n".to_vec(), "line 2: the text is not UTF-8"),
        (b"U390\njane@example.com\n".to_vec(), "1 e-mail address can't be looked up: jane@example.com is unknown"),
        (b"U390\njane\n".to_vec(), "line 2: \"jane\" is neither"),
    ] {
        work.write("keep.txt", &list);
        let said = run(&work, &server, &["--protect", "keep.txt", "-q"]).exits(2).stderr();
        assert!(said.contains(why), "{said}");
    }
    assert!(server.calls().is_empty());
}
