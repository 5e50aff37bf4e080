//! A `--protect` file: every line that is taken guards somebody, and one that is not stops the run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slack_revoke::input::Protection;

fuzz_target!(|text: &str| {
    let mut protection = Protection::default();
    let named = |line: &&str| !line.split('#').next().unwrap_or_default().trim().is_empty();
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    match protection.protect(text) {
        Ok(()) => assert_eq!(protection.users.is_empty() && protection.sessions.is_empty(), lines.filter(named).count() == 0),
        Err(error) => assert!(error.line <= lines.count()),
    }
});
