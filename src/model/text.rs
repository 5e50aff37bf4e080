//! Text for display.

use super::is_unsafe_to_print;
use std::borrow::Cow;

/// Replaces characters that could move the cursor, change colors, or make a line misleading.
///
/// Tabs and line breaks become blanks, other such characters U+FFFD, so that they stay noticeable. Everything from
/// the input or from Slack must pass through here before it is displayed.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    // Fast path: nearly all characters are in this range.
    if text.chars().any(|c| !matches!(c, ' '..='~') && is_unsafe_to_print(c)) {
        Cow::Owned(text.chars().map(harmless).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn harmless(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        c if is_unsafe_to_print(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`, `1,000 rows`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clean_replaces_deceptive_characters() {
        for (text, want) in [
            ("Zoë, 東京 🚀", "Zoë, 東京 🚀"),
            ("a\tb\r\nc", "a b  c"),
            ("\u{1b}[2Jgone", "\u{fffd}[2Jgone"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("bell\u{7}\u{7f}", "bell\u{fffd}\u{fffd}"),
            ("U1\u{202e}2U", "U1\u{fffd}2U"),
            ("a\u{200b}b\u{feff}", "a\u{fffd}b\u{fffd}"),
            ("x\u{e0041}", "x\u{fffd}"),
        ] {
            assert_eq!(clean(text), want);
        }
        assert!(matches!(clean("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn cleaned_text_is_safe_keeps_its_length_and_stays_as_it_is(text in ".*") {
            let cleaned = clean(&text).into_owned();
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_unsafe_to_print(c)));
            prop_assert_eq!(cleaned.chars().count(), text.chars().count());
            prop_assert!(matches!(clean(&cleaned), Cow::Borrowed(_)));
        }

        #[test]
        fn any_bytes_come_out_without_controls(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            prop_assert!(!clean(&text).chars().any(char::is_control));
        }

        #[test]
        fn thousands_only_adds_commas(number: u64) {
            let text = thousands(number);
            prop_assert_eq!(text.replace(',', ""), number.to_string());
            prop_assert!(text.rsplit(',').skip(1).count() == 0 || text.split(',').skip(1).all(|part| part.len() == 3));
        }
    }

    #[test]
    fn numbers_are_grouped_and_counted() {
        for (number, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), want);
        }
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(2000, "row", "rows"), "2,000 rows");
    }
}
