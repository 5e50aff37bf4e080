//! Characters that nothing shows: they can make two texts that look alike differ.

/// Whether a character takes no room of its own, or moves or reorders what is around it: controls, zero width, marks of
/// direction, variation selectors, fillers, tags. A blank, however wide, isn't one.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_width_is_invisible_and_blanks_are_not() {
        for c in ['\u{feff}', '\u{200b}', '\u{200e}', '\u{202e}', '\u{2060}', '\u{ad}', '\0', '\u{1b}', '\u{e0041}'] {
            assert!(is_invisible(c), "{c:?}");
        }
        for c in ['a', '1', '_', 'é', ' ', '\t', '\n', '\u{a0}', '\u{2009}', '\u{3000}', '１', '“'] {
            assert!(!is_invisible(c), "{c:?}");
        }
    }
}
