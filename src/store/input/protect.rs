//! The `--protect` file: ids that must never be revoked, one a line.

use super::rules::Guards;
use crate::domain::{SessionId, UserId};

/// A line of a `--protect` file that names nobody. It stops the run: a guard that is not understood guards nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {text:?} is neither a user id (U… or W…) nor a session id; give one id a line, with # for comments"
)]
pub struct ProtectError {
    /// The line, counted from 1.
    pub line: usize,
    /// What stands there, without its comment.
    pub text: String,
}

/// Whatever ends a line for some program: an id behind a comment of another program's must not be taken for a part of it.
const LINE_ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

impl Guards {
    /// Adds the ids of a `--protect` file. Blank lines are skipped, and whatever follows a `#`.
    ///
    /// # Errors
    /// At the first line that is neither a user id nor a session id.
    pub fn protect(&mut self, text: &str) -> Result<(), ProtectError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        for (index, line) in text.split(LINE_ENDS).enumerate() {
            let id = line.split('#').next().unwrap_or_default().trim();
            if id.is_empty() {
                continue;
            }
            match (UserId::parse(id), SessionId::parse(id)) {
                (Ok(user), _) => drop(self.users.insert(user)),
                (Err(_), Ok(session)) => drop(self.sessions.insert(session)),
                (Err(_), Err(_)) => return Err(ProtectError { line: index + 1, text: id.into() }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use std::collections::BTreeSet;

    #[test]
    fn users_and_sessions_stand_one_a_line() {
        let mut guards = Guards::default();
        guards.protect("\u{feff}# the board\r\nU1 # chair\r\n\r\n 1112275520242\nW2\nU1").unwrap();
        assert_eq!((guards.users.len(), guards.sessions.len()), (2, 1));
        assert!(guards.users.contains(&UserId::parse("W2").unwrap()));
        assert!(guards.sessions.contains(&SessionId::from(1_112_275_520_242)));
    }

    #[test]
    fn a_line_that_names_nobody_is_an_error_with_its_number() {
        for text in ["T1", "u1", "U1,U2", "1.1E+12", "jane@example.com"] {
            let error = Guards::default().protect(&format!("U1\n\n{text} # x\n")).unwrap_err();
            assert_eq!(error, ProtectError { line: 3, text: text.into() });
        }
    }

    /// What ends a line somewhere: another program's comment must not hide the ids behind it.
    const ENDS: [&str; 8] = ["\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"];

    const IDS: [Option<&str>; 7] =
        [Some("U1"), Some("W2"), Some("3"), Some("U"), Some("4,5"), Some("jane@example.com"), None];

    #[test]
    fn no_kind_of_line_end_hides_what_follows_a_comment() {
        for end in ENDS {
            let mut guards = Guards::default();
            guards.protect(&format!("# the board{end}U1 # chair{end}{end}2{end}U3")).unwrap();
            assert_eq!((guards.users.len(), guards.sessions.len()), (2, 1), "{end:?}");
            let error = Guards::default().protect(&format!("U1{end}# x{end}nobody{end}")).unwrap_err();
            assert_eq!(error, ProtectError { line: 3, text: "nobody".into() }, "{end:?}");
        }
    }

    /// The lines are put together from what they hold, and nothing here takes them apart again.
    fn line() -> impl Strategy<Value = (Option<&'static str>, String)> {
        let parts = (select(&IDS[..]), select(&[" ", "\t", ""][..]), select(&["", "#", "# U9", "# 9 # U8"][..]));
        (parts, select(&ENDS[..])).prop_map(|((id, blank, comment), end)| {
            (id, format!("{blank}{}{blank}{comment}{end}", id.unwrap_or_default()))
        })
    }

    proptest! {
        #[test]
        fn any_text_guards_or_is_refused(lines in vec(line(), 0..8), mark in select(&["", "\u{feff}"][..])) {
            let text: String = lines.iter().map(|(_, text)| text.as_str()).collect();
            let is_good = |id: &&str| UserId::parse(id).is_ok() || SessionId::parse(id).is_ok();
            let named: Vec<&str> = lines.iter().filter_map(|(id, _)| *id).collect();
            let mut guards = Guards::default();
            match guards.protect(&format!("{mark}{text}")) {
                Ok(()) => {
                    let guarded = guards.users.iter().map(UserId::to_string);
                    let guarded: BTreeSet<_> = guarded.chain(guards.sessions.iter().map(SessionId::to_string)).collect();
                    prop_assert_eq!(guarded, named.into_iter().map(str::to_owned).collect());
                }
                Err(error) => {
                    let first = named.into_iter().find(|id| !is_good(id));
                    prop_assert_eq!(Some(error.text.as_str()), first);
                }
            }
        }
    }
}
