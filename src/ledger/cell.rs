//! Foreign text in a column of ours: what Slack, a device or whoever answers in Slack's place says.

use std::borrow::Cow;

/// More than this says no more to a reader, and would let a server decide how large a record gets. In characters.
pub const MOST_TEXT: usize = 4096;

/// `text` without control characters, as it came from outside and people look at results in terminals; and cut at
/// [`MOST_TEXT`]. A spreadsheet must not run it either, so what would begin a formula gets an apostrophe before it. Every column of
/// ours that holds foreign text passes through here; the input's stay as they are.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.len() <= MOST_TEXT && !text.contains(char::is_control) && !begins_formula(text) {
        return text.into();
    }
    let plain: String = text.chars().filter(|character| !character.is_control()).take(MOST_TEXT).collect();
    if begins_formula(&plain) { format!("'{plain}").into() } else { plain.into() }
}

/// Whether a spreadsheet would take the cell for a formula. Blanks before it are skipped there too.
fn begins_formula(text: &str) -> bool {
    text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}
