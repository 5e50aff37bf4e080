//! The header of a results file, and foreign text in a column of ours: what Slack, a device or whoever answers in Slack's place
//! says.

use crate::model::{ColumnValue, Fields, Outcome, RESULT_COLUMNS, ResultColumn, Stamp};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The header of a results file: the input's columns, then ours in the order in which that file has them. A file of an older
/// version has fewer of them, and a run that continues it goes on with those.
#[derive(Clone)]
pub struct ResultsHeader {
    pub input: Fields,
    /// Ours, without those that the file doesn't have.
    pub ours: Vec<&'static ResultColumn>,
}

impl ResultsHeader {
    /// The header of a new file.
    #[must_use]
    pub fn new(input: &Fields) -> Self {
        Self { input: input.clone(), ours: RESULT_COLUMNS.iter().collect() }
    }

    /// Reads a header; `None` if it isn't one of a results file.
    ///
    /// Our columns begin at the last one with the name of the first, since an input may have a column of that name too.
    #[must_use]
    pub fn parse(names: &[&str]) -> Option<Self> {
        let (input, ours) = names.split_at(names.iter().rposition(|name| *name == RESULT_COLUMNS[0].name)?);
        let known = |name: &&str| RESULT_COLUMNS.iter().find(|column| column.name == *name);
        let ours = ours.iter().map(known).collect::<Option<Vec<_>>>()?;
        let times = |column: &ResultColumn| ours.iter().filter(|other| other.name == column.name).count();
        let is_whole =
            RESULT_COLUMNS.iter().all(|column| times(column) == 1 || (times(column) == 0 && !column.is_required));
        is_whole.then(|| Self { input: input.iter().copied().collect(), ours })
    }

    /// Every column, as the file names it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.input.iter().chain(self.ours.iter().map(|column| column.name))
    }

    /// The first record of the file, with its end.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut builder = encoding();
        if self.input.get(0).is_some_and(|first| first.starts_with('\u{feff}')) {
            // Unquoted it would be taken for the file's byte order mark, and be gone when it is read.
            builder.quote_style(QuoteStyle::Always);
        }
        let mut writer = builder.from_writer(Vec::new());
        writer.write_record(self.names()).expect("a Vec takes whatever is written to it");
        writer.into_inner().expect("a Vec takes whatever is written to it")
    }
}

impl PartialEq for ResultsHeader {
    fn eq(&self, other: &Self) -> bool {
        self.names().eq(other.names())
    }
}

impl fmt::Debug for ResultsHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Comma and `\n` always, whatever the input used.
pub(super) fn encoding() -> WriterBuilder {
    let mut builder = WriterBuilder::new();
    builder.flexible(true).terminator(Terminator::Any(b'\n'));
    builder
}

/// What a column says of a row, as it stands in a file. `scratch` holds it if it isn't a text already.
pub(super) fn cell<'a>(
    column: &ResultColumn,
    line: u64,
    outcome: &'a Outcome,
    scratch: &'a mut String,
) -> Cow<'a, str> {
    scratch.clear();
    match (column.value)(line, outcome) {
        ColumnValue::Empty => {}
        // Writing to a `String` can't fail.
        ColumnValue::Number(number) => drop(write!(scratch, "{number}")),
        ColumnValue::Time(time) => Stamp::push_to(time, scratch),
        ColumnValue::Text(text) => return printable(text),
    }
    Cow::Borrowed(scratch)
}

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
