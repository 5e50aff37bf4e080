//! Foreign text, made fit for a terminal, a log line and a CSV field.

use crate::model::{is_unsafe_to_print, without_possible_tokens};

/// The longest text kept of an answer, in characters.
pub(super) const MOST_CHARS: usize = 500;

/// The text without unsafe characters and without tokens, cut to [`MOST_CHARS`]: whoever answers in Slack's place may repeat the
/// request, and what it says is kept.
#[must_use]
pub(super) fn clean(text: &str) -> Box<str> {
    if text.len() <= MOST_CHARS && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return without_possible_tokens(text).into();
    }
    let safe: String = text.chars().filter(|char| !is_unsafe_to_print(*char)).collect();
    without_possible_tokens(&safe).chars().take(MOST_CHARS).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unsafe_characters_are_left_out() {
        for (text, want) in [
            ("plain words", "plain words"),
            ("", ""),
            ("a\u{1b}[31mred\u{1b}[0m", "a[31mred[0m"),
            ("tab\tnewline\r\nend", "tabnewlineend"),
            ("c1\u{9b}31m\u{85}del\u{7f}", "c131mdel"),
            ("a\u{202a}b\u{202e}c\u{2066}d\u{2069}e", "abcde"),
            ("z\u{200b}\u{200d}w\u{feff}\u{2060}", "zw"),
            ("Grüße, 世界 …", "Grüße, 世界 …"),
        ] {
            assert_eq!(&*clean(text), want, "{text:?}");
        }
        assert_eq!(clean(&"x".repeat(501)).len(), 500);
        assert_eq!(clean(&"é".repeat(501)).chars().count(), 500);
    }

    #[test]
    fn a_token_that_is_repeated_to_us_goes_no_further() {
        for (text, want) in [
            ("bad token xoxp-1-2-abc.", "bad token xoxp-…"),
            ("Bearer xoxe.xoxp-1-Mi0y, again xoxb-9", "Bearer xoxe.xoxp-…, again xoxb-…"),
            ("x\u{1b}oxp-1-2", "xoxp-…"),
            ("é xoxp-1 é", "é xoxp-… é"),
            ("xox, xoxp, xoxp- and foxoxp-", "xox, xoxp, xoxp- and foxoxp-"),
        ] {
            assert_eq!(&*clean(text), want, "{text:?}");
        }
        let straddling = format!("{}xoxp-1234567890", "x".repeat(MOST_CHARS - 6));
        assert!(!clean(&straddling).contains("xoxp-1"));
    }

    proptest! {
        #[test]
        fn no_token_passes(before in "[a-z =\"é]{0,8}", token in "xox[a-z][-.][0-9A-Za-z]{1,12}", after in "([ é\"].*)?") {
            let text = format!("{before}{token}{after}");
            prop_assert!(!clean(&text).contains(&token));
        }

        #[test]
        fn whatever_comes_ends_safe_and_short(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(cleaned.chars().count() <= MOST_CHARS);
            prop_assert!(!cleaned.chars().any(is_unsafe_to_print));
            prop_assert_eq!(clean(&cleaned), cleaned);
        }
    }
}
