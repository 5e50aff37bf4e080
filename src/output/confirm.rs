//! Questions for confirmation.

use super::text::{counted, thousands};
use std::io::{BufRead, Read, Write};

/// Bounds the reading of an endless input.
const LONGEST_ANSWER: u64 = 1024;

/// Asks once. Returns true for `yes` or `y` in any case. Anything else, an end of input and an error mean no.
pub fn confirm(prompt: &str, reader: &mut dyn BufRead, writer: &mut impl Write) -> bool {
    let answer = asked(&format!("{prompt} [y/N] "), reader, writer);
    answer.is_some_and(|answer| ["yes", "y"].iter().any(|yes| answer.eq_ignore_ascii_case(yes)))
}

/// Asks for the number of users before whole users are logged out, because `y` may be typed out of habit.
pub fn confirm_users(users: u64, reader: &mut dyn BufRead, writer: &mut impl Write) -> bool {
    let prompt = format!(
        "EVERY session of {} ends, including those that aren't listed, on all devices.\nType the number of users to continue: ",
        counted(users, "user", "users")
    );
    let answer = asked(&prompt, reader, writer);
    answer.is_some_and(|answer| answer == users.to_string() || answer == thousands(users))
}

/// The trimmed answer; `None` if the question couldn't be asked.
fn asked(prompt: &str, reader: &mut dyn BufRead, writer: &mut impl Write) -> Option<String> {
    write!(writer, "{prompt}").and_then(|()| writer.flush()).ok()?;
    let mut answer = String::new();
    Read::take(&mut *reader, LONGEST_ANSWER).read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_in_any_case_is_a_yes() {
        for (typed, want) in [
            ("yes\n", true),
            ("y\n", true),
            ("y\r\n", true),
            ("y", true),
            ("\n", false),
            ("", false),
            ("no\n", false),
            ("yes please\n", false),
            (" y\n", true),
            ("Y\n", true),
            ("YES\n", true),
            (" yes \n", true),
            ("yess\n", false),
            ("y y\n", false),
            ("n\ny\n", false),
        ] {
            let mut asked = Vec::new();
            assert_eq!(confirm("Revoke 3 sessions?", &mut typed.as_bytes(), &mut asked), want, "{typed:?}");
            assert_eq!(asked, b"Revoke 3 sessions? [y/N] ");
        }
        let mut endless = std::io::BufReader::new(std::io::repeat(b'y'));
        assert!(!confirm("?", &mut endless, &mut Vec::new()));
        assert!(!confirm("?", &mut &b"\xff\n"[..], &mut Vec::new()));
    }

    #[test]
    fn only_the_number_of_users_confirms_them() {
        for (answer, want) in [
            ("2500\n", true),
            ("2,500\r\n", true),
            ("y\n", false),
            ("yes\n", false),
            ("2499\n", false),
            (" 2500 \n", true),
            ("\n", false),
            ("", false),
        ] {
            let mut shown = Vec::new();
            assert_eq!(confirm_users(2_500, &mut answer.as_bytes(), &mut shown), want, "{answer:?}");
            let shown = String::from_utf8(shown).unwrap();
            assert!(shown.contains("EVERY session of 2,500 users ends") && shown.contains("on all devices"), "{shown}");
        }
    }
}
