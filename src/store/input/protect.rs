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

impl Guards {
    /// Adds the ids of a `--protect` file. Blank lines are skipped, and whatever follows a `#`.
    ///
    /// # Errors
    /// At the first line that is neither a user id nor a session id.
    pub fn protect(&mut self, text: &str) -> Result<(), ProtectError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
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

    proptest::proptest! {
        #[test]
        fn any_text_guards_or_is_refused(text in "([UW]?[0-9A-Z]{0,3}[ \t]?(#.{0,3})?\r?\n?){0,6}") {
            let mut guards = Guards::default();
            let named = |line: &&str| !line.split('#').next().unwrap_or_default().trim().is_empty();
            match guards.protect(&text) {
                Ok(()) => {
                    let nobody = guards.users.is_empty() && guards.sessions.is_empty();
                    proptest::prop_assert_eq!(nobody, text.lines().filter(named).count() == 0);
                }
                Err(error) => proptest::prop_assert!(error.line <= text.lines().count()),
            }
        }
    }
}
