//! Removes what spreadsheets and exports add to an id, unless digits may have been lost.

use std::borrow::Cow;

/// Spreadsheets keep this many digits of a number, and replace the others by zeros.
const EXACT_DIGITS: usize = 15;

/// An id without text marks (`="123"`, `'123`, `"123"`), and with full-width letters and digits as ASCII.
pub(super) fn undecorated(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let text = between(text, "=\"", "\"").or_else(|| between(text, "\"", "\"")).unwrap_or(text);
    let text = between(text, "'", "'").or_else(|| text.strip_prefix('\'')).unwrap_or(text).trim();
    if text.chars().any(is_full_width) { text.chars().map(narrow).collect() } else { text.into() }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.strip_suffix(end).filter(|inner| !inner.contains('"'))
}

fn is_full_width(c: char) -> bool {
    matches!(c, '\u{ff10}'..='\u{ff19}' | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}')
}

fn narrow(c: char) -> char {
    if is_full_width(c) { char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c) } else { c }
}

/// The digits of a whole number in a spreadsheet's format: `123.0`, `4,471,902,286,613`, or both. `None` if it isn't
/// one, has more digits than a spreadsheet keeps, or is ambiguous, such as `123.456`.
pub(super) fn whole_number(text: &str) -> Option<String> {
    let (whole, zeros) = match text.rsplit_once(['.', ',']) {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => (whole, Some(zeros)),
        Some(_) | None => (text, None),
    };
    let decimal = text.as_bytes().get(whole.len()).copied();
    // `.000` may be a group of three digits.
    let is_fraction = |zeros: &str| zeros.len() != 3 || digits(whole).is_some_and(|digits| digits.len() > 3);
    match (zeros, decimal) {
        (Some(zeros), Some(mark)) if is_fraction(zeros) && !whole.as_bytes().contains(&mark) => {
            digits(whole).map(str::to_owned).or_else(|| grouped(whole, true))
        }
        (Some(_) | None, _) => grouped(text, false),
    }
    .filter(|digits| digits.len() <= EXACT_DIGITS)
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// Groups of three digits with the same separator. A single `.` or `,` may be a decimal mark, unless another one
/// follows (`has_decimal`).
fn grouped(text: &str, has_decimal: bool) -> Option<String> {
    let mark = text.chars().find(|c| !c.is_ascii_digit())?;
    if !matches!(mark, ',' | '.' | '\'' | '\u{2019}' | '_' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}') {
        return None;
    }
    let groups: Vec<&str> = text.split(mark).collect();
    let are_digits = groups.iter().all(|group| digits(group).is_some());
    let are_groups = groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    let may_be_decimal = groups.len() == 2 && matches!(mark, ',' | '.') && !has_decimal;
    (are_digits && are_groups && !may_be_decimal).then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_marks_an_id_as_text_is_taken_off() {
        for (text, want) in [
            ("=\"4471902286613\"", "4471902286613"),
            (" =\" U1 \" ", "U1"),
            ("'4471902286613", "4471902286613"),
            ("'U1'", "U1"),
            ("\"U1\"", "U1"),
            ("４４７１", "4471"),
            ("Ｕ１", "U1"),
            ("=1+2", "=1+2"),
            ("=\"1\"&\"2\"", "=\"1\"&\"2\""),
            ("“123”", "“123”"),
            ("1'2", "1'2"),
            ("", ""),
        ] {
            assert_eq!(undecorated(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_whole_number_is_read_if_no_digit_can_be_lost() {
        for (text, want) in [
            ("4471902286613.0", Some("4471902286613")),
            ("4471902286614.00", Some("4471902286614")),
            ("4471902286614,0", Some("4471902286614")),
            ("4471902286614.000", Some("4471902286614")),
            ("4,471,902,286,613", Some("4471902286613")),
            ("4.471.902.286.613", Some("4471902286613")),
            ("4 471 902 286 613", Some("4471902286613")),
            ("4\u{202f}471\u{202f}902", Some("4471902")),
            ("4'471'902", Some("4471902")),
            ("4,471,902,286,613.00", Some("4471902286613")),
            ("4.471,0", Some("4471")),
            ("471,902.0", Some("471902")),
            ("1,000,000", Some("1000000")),
            ("123456789012345.0", Some("123456789012345")),
            // More digits than a spreadsheet keeps.
            ("1234567890123456.0", None),
            ("1,234,567,890,123,450", None),
            // Ambiguous or not a number.
            ("123.000", None),
            ("123,000", None),
            ("123.456", None),
            ("4471902286613.5", None),
            ("44,71,90", None),
            ("4,471.902,286", None),
            ("4471,902", None),
            ("1.5E+12", None),
            (".0", None),
            ("1..0", None),
            ("", None),
            ("-5.0", None),
        ] {
            assert_eq!(whole_number(text).as_deref(), want, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn grouping_and_zeros_change_no_digit(number in 1_u64..1_000_000_000_000_000, mark in "[,. '_]") {
            let mut text = number.to_string();
            for at in (1..text.len()).rev().filter(|at| (text.len() - at).is_multiple_of(3)).collect::<Vec<_>>() {
                text.insert_str(at, &mark);
            }
            if let Some(read) = whole_number(&text) {
                proptest::prop_assert_eq!(read, number.to_string());
            } else {
                proptest::prop_assert!(number < 1_000_000 , "{}", text);
            }
            proptest::prop_assert_eq!(whole_number(&format!("{number}.0")), Some(number.to_string()));
        }
    }
}
