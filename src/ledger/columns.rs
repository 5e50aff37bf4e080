//! The header of a results file, and the encoding of texts from outside.

use crate::model::{ColumnValue, Fields, Outcome, RESULT_COLUMNS, ResultColumn, Timestamp};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The input's columns, then the result columns in the order of the file. A file of an older version has fewer of
/// them, and a run that resumes it keeps its columns.
#[derive(Clone)]
pub struct ResultsHeader {
    pub input: Fields,
    /// The result columns that the file has.
    pub ours: Vec<&'static ResultColumn>,
}

impl ResultsHeader {
    /// For a new file.
    #[must_use]
    pub fn new(input: &Fields) -> Self {
        Self { input: input.clone(), ours: RESULT_COLUMNS.iter().collect() }
    }

    /// `None` if it isn't the header of a results file.
    ///
    /// The result columns begin at the last column with the name of the first one, because an input may have a column
    /// of that name too.
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

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.input.iter().chain(self.ours.iter().map(|column| column.name))
    }

    /// The first line of the file.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut builder = encoding();
        if self.input.get(0).is_some_and(|first| first.starts_with('\u{feff}')) {
            // Unquoted, it would be read as a byte order mark and dropped.
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

/// Always comma and `\n`.
pub(super) fn encoding() -> WriterBuilder {
    let mut builder = WriterBuilder::new();
    builder.flexible(true).terminator(Terminator::Any(b'\n'));
    builder
}

/// The text of a column. `scratch` is used for numbers and times.
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
        ColumnValue::Time(time) => Timestamp::push_to(time, scratch),
        ColumnValue::Text(text) => return printable(text),
    }
    Cow::Borrowed(scratch)
}

/// Maximum length of a text in characters, so that a server can't make records arbitrarily large.
pub const MOST_TEXT: usize = 4096;

/// Text from outside for a result column: without control characters, because results are viewed in terminals, cut to
/// [`MOST_TEXT`], and with an apostrophe before anything that a spreadsheet would run as a formula. The input's
/// columns are copied unchanged.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.len() <= MOST_TEXT && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !begins_formula(text) {
        return text.into();
    }
    let plain: String = text.chars().filter(|character| !character.is_control()).take(MOST_TEXT).collect();
    if begins_formula(&plain) { format!("'{plain}").into() } else { plain.into() }
}

/// Whether a spreadsheet would treat the cell as a formula, after leading blanks.
fn begins_formula(text: &str) -> bool {
    text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}
