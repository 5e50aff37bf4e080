//! Characters that are invisible, or that change how others are displayed. They can make two identical-looking texts
//! differ.

/// Whether a character has no width, or moves or reorders others: controls, zero-width characters, direction marks,
/// variation selectors, fillers, tags. Blanks of any width don't count.
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

/// Whether a character could move the cursor, change colors, or make a line misleading: C0, DEL and C1 (including
/// ESC), bidirectional controls, and characters without width. Unlike [`is_invisible`], this excludes joiners and
/// variation selectors, which names may need.
#[must_use]
pub fn is_unsafe_to_print(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'   // zero width, marks of direction
            | '\u{2028}'..='\u{202e}'   // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}'   // word joiner, isolates, deprecated format characters
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' // tags, which spell text that nothing shows
        )
}

/// Whether a text is empty or looks empty.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// The name of a character that is easily overlooked or confused in an id; `None` for others.
#[must_use]
pub fn name_of(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "direction control",
        '\u{202f}' => "narrow no-break space",
        '\u{2060}' => "word joiner",
        '\u{feff}' => "byte order mark",
        '\u{2018}' => "left single quotation mark",
        '\u{2019}' => "right single quotation mark",
        '\u{201a}' => "low single quotation mark",
        '\u{201c}' => "left double quotation mark",
        '\u{201d}' => "right double quotation mark",
        '\u{201e}' => "low double quotation mark",
        '\u{ab}' | '\u{bb}' => "angle quotation mark",
        '\u{2010}' | '\u{2011}' => "hyphen",
        '\u{2013}' => "en dash",
        '\u{2014}' => "em dash",
        '\u{2026}' => "ellipsis",
        '\u{2212}' => "minus sign",
        '\u{fffd}' => "replacement character",
        '\t' => "tab",
        '\n' => "line feed",
        '\r' => "carriage return",
        '\0' => "null character",
        c if c.is_control() => "control character",
        c if c.is_alphabetic() => "letter of another alphabet",
        c if c.is_numeric() => "digit of another script",
        _ => return None,
    })
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
