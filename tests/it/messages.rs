//! What is printed says what happened, where, and what to do, whatever the names in it hold.

use crate::harness::{TOKEN, Workdir};

/// Everything that could be taken for a border inside of a message.
const NAMES: [&str; 4] = ["a; b.csv", "a: b; c.csv", "a\n  b.csv", "a\u{1b}[2J.csv"];

#[test]
fn file_names_are_escaped_in_messages() {
    for name in NAMES {
        let (work, shown) = (Workdir::new(), name.replace('\n', " ").replace('\u{1b}', "\u{fffd}"));
        let check = |arguments: &[&str], code: i32, what: &str, hint: &str| {
            let text = work.program(arguments.iter().copied()).token(TOKEN).exits(code).stderr();
            assert_eq!(text, format!("error: {}\n  {hint}\n", what.replace("NAME", &shown)), "{arguments:?}");
            let json = work.program(arguments.iter().copied()).args(["--log-format", "json"]).token(TOKEN);
            let json: serde_json::Value = serde_json::from_str(&json.exits(code).stderr()).expect("one JSON object");
            assert_eq!(json["message"], what.replace("NAME", name), "{arguments:?}");
            assert_eq!(json["hint"], hint, "{arguments:?}");
        };
        let absent = "check the path, or use - to read standard input";
        for command in ["plan", "resolve", "run"] {
            let yes = if command == "run" { &["--yes"][..] } else { &[] };
            check(&[&[command, name], yes].concat(), 2, "NAME: no such file", absent);
        }
        check(&["doctor", name], 2, "NAME: no such file", absent);
        work.write(name, "");
        check(&["plan", name], 2, "NAME: is empty", "it needs a header line with session_id and user_id or team_id");
        work.write("in.csv", "team_id,session_id\nT1,1\n");
        let what = "--token-file NAME can be read by others (mode 0644)";
        std::fs::set_permissions(work.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
        check(&["list", "--token-file", name], 4, what, "run chmod 600 on it");
        check(&["run", "in.csv", "--yes", "--token-file", name], 4, what, "run chmod 600 on it");
    }
}
