//! The header: columns, their meaning, and the delimiter.

use super::error::InputProblem;
use super::records::{ByteSource, Dialect, Record, RecordReader};
pub use crate::model::Delimiter;
use crate::model::Identify;
use crate::model::{ColumnError, ColumnNames, Fields, IdColumn, IdColumns, SessionId, UserId, folded, is_blank};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    fields: Fields,
    /// Number of columns, without unnamed ones at the end.
    named: usize,
    dialect: Dialect,
    columns: IdColumns,
    raw: Box<[u8]>,
    line: u64,
}

/// The columns that a header must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HeaderNeeds {
    /// Whether sessions need no id, because whole users are asked for.
    pub(super) is_of_users: bool,
    /// Whether `email` is enough.
    pub(super) takes_emails: bool,
}

impl Header {
    /// Reads the first record, with the delimiter that results in a `session_id` column (for whole users, a `user_id`
    /// column).
    pub(super) fn read<S: ByteSource>(
        records: &mut RecordReader<S>,
        forced: Option<Delimiter>,
        names: &ColumnNames,
        needed: HeaderNeeds,
    ) -> Result<Self, InputProblem> {
        let (stated, mut ahead) = stated_delimiter(records)?;
        ahead.splice(..0, records.bom().iter().copied());
        let guesses = [Delimiter::COMMA, Delimiter::SEMICOLON, Delimiter::TAB];
        let forced = forced.or(stated);
        let candidates = forced.as_ref().map_or(&guesses[..], std::slice::from_ref);
        let mut best: Option<(usize, InputProblem)> = None;
        for &delimiter in candidates {
            let dialect = dialect(records, delimiter);
            records.retry_with(dialect);
            let (columns, problem) = match records.next() {
                Ok(None) => return Err(InputProblem::Empty),
                Ok(Some(record)) => match id_columns(&record, names, needed) {
                    Ok(columns) => return Self::of(&record, dialect, &ahead, columns, needed),
                    Err(problem) => (record.len(), problem),
                },
                // With the wrong delimiter, a quote may seem to be unclosed.
                Err(problem @ (InputProblem::OpenQuote { .. } | InputProblem::RecordTooLong { .. })) => (1, problem),
                Err(problem) => return Err(problem),
            };
            if best.as_ref().is_none_or(|(most, _)| columns > *most) {
                best = Some((columns, problem));
            }
        }
        Err(best.map_or(InputProblem::Empty, |(_, problem)| problem))
    }

    fn of(
        record: &Record<'_>,
        dialect: Dialect,
        ahead: &[u8],
        columns: IdColumns,
        needed: HeaderNeeds,
    ) -> Result<Self, InputProblem> {
        let line = record.position.line;
        let is_of_people = needed.takes_emails && columns.email.is_some();
        if columns.team.is_none() && columns.user.is_none() && !is_of_people {
            let advice = advice(record, IdColumn::User);
            return Err(InputProblem::NoOwnerColumn { line, seen: shown(record), advice });
        }
        Ok(Self {
            fields: record.to_fields(record.len()),
            named: (0..record.len()).rfind(|&index| !is_blank(record.field(index))).map_or(0, |last| last + 1),
            dialect,
            columns,
            raw: [ahead, record.raw].concat().into(),
            line,
        })
    }

    /// Fails if the column that `--identify-by` needs is missing.
    pub(super) fn require(&self, identify: Identify) -> Result<(), InputProblem> {
        let column = match identify {
            Identify::Auto => return Ok(()),
            Identify::User => IdColumn::User,
            Identify::Team => IdColumn::Team,
        };
        let found = self.columns.of(column).map(drop);
        found.ok_or(InputProblem::MissingColumn { line: self.line, column: column.as_str() })
    }

    /// The column names, unchanged.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    #[must_use]
    pub fn delimiter(&self) -> Delimiter {
        self.dialect.delimiter
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether a record has as many columns as the header. Empty cells at the end of either don't count, because
    /// spreadsheets add them.
    pub(super) fn fits(&self, record: &Record<'_>) -> bool {
        let is_surplus = |index| index >= self.fields.len() && is_blank(record.field(index));
        record.len() >= self.named && (self.fields.len()..record.len()).all(is_surplus)
    }

    /// The number of lines inside a quoted cell that look like rows.
    pub(super) fn rows_within(&self, record: &Record<'_>) -> u64 {
        // Without a quote, no cell has a line end.
        if !record.raw.contains(&b'"') {
            return 0;
        }
        let (delimiter, columns) = (self.dialect.delimiter.byte(), self.fields.len());
        let is_row = |line: &&[u8]| {
            let cells: Vec<_> = line.split(|byte| *byte == delimiter).collect();
            let text = |column: Option<usize>| std::str::from_utf8(cells.get(column?)?).ok();
            let id = text(self.columns.session).map(|text| SessionId::parse(text).is_ok());
            let id = id.or_else(|| text(self.columns.user).map(|text| UserId::parse(text).is_ok()));
            cells.len() == columns && id == Some(true)
        };
        record.further_lines().filter(is_row).count() as u64
    }

    #[must_use]
    pub fn columns(&self) -> IdColumns {
        self.columns
    }

    /// The bytes of the header, including a BOM and a `sep=` line.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn line_end(&self) -> &'static [u8] {
        match *self.raw {
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\r'] => b"\r",
            _ => b"\n",
        }
    }
}

/// Reads a first line `sep=;`, as Excel writes it. Returns the delimiter and the bytes of the line.
fn stated_delimiter<S: ByteSource>(
    records: &mut RecordReader<S>,
) -> Result<(Option<Delimiter>, Vec<u8>), InputProblem> {
    let (before, dialect) = (records.dialect(), Dialect::literal(Delimiter::COMMA));
    records.retry_with(dialect);
    let line = records.next()?.map(|record| record.raw.to_vec()).unwrap_or_default();
    let stated = sep(&line);
    if stated.is_some() {
        records.accept();
    }
    records.retry_with(before);
    Ok((stated, if stated.is_some() { line } else { Vec::new() }))
}

/// Accepts quotes, and the empty cells that a spreadsheet adds when it saves the file again.
fn sep(line: &[u8]) -> Option<Delimiter> {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let stated =
        line.split_at_checked(4).filter(|(word, _)| word.eq_ignore_ascii_case(b"sep=")).map(|(_, stated)| stated)?;
    let (first, rest) = stated.split_first()?;
    let is_padding = |byte: &u8| matches!(byte, b',' | b';' | b'\t' | b'"' | b' ' | b'\r' | b'\n');
    let delimiter = Delimiter::parse(std::str::from_utf8(std::slice::from_ref(first)).ok()?).ok()?;
    rest.iter().all(is_padding).then_some(delimiter)
}

/// Programs that write tab-separated text (psql, mysql, jq) usually don't quote fields, and reading a literal quote
/// as an opening one would join rows. So quotes count only if the header is quoted too.
fn dialect<S: ByteSource>(records: &mut RecordReader<S>, delimiter: Delimiter) -> Dialect {
    if delimiter != Delimiter::TAB {
        return Dialect::quoted(delimiter);
    }
    let literal = Dialect::literal(delimiter);
    records.retry_with(literal);
    let is_quoted = |field: &str| field.len() > 1 && field.starts_with('"') && field.ends_with('"');
    match records.next() {
        Ok(Some(header)) if header.iter().any(is_quoted) => Dialect::quoted(delimiter),
        Ok(_) | Err(_) => literal,
    }
}

/// Finds the id columns in a record that may be the header.
fn id_columns(record: &Record<'_>, names: &ColumnNames, needed: HeaderNeeds) -> Result<IdColumns, InputProblem> {
    let id = if needed.is_of_users { IdColumn::User } else { IdColumn::Session };
    let line = record.position.line;
    let columns = names.find(&record.iter()).map_err(|error| unclear(error, record))?;
    let is_of_people = needed.takes_emails && columns.email.is_some();
    if columns.of(id).is_some() || is_of_people {
        return Ok(columns);
    }
    let (seen, mut advice) = (shown(record), advice(record, id));
    if columns.email.is_some() {
        advice.push_str("; for e-mail addresses, `slack-revoke list --users` lists their sessions");
    }
    Err(if needed.is_of_users {
        InputProblem::NoUserColumn { line, seen, advice }
    } else {
        InputProblem::NoHeader { line, seen, advice }
    })
}

fn unclear(error: ColumnError, record: &Record<'_>) -> InputProblem {
    let line = record.position.line;
    match error {
        ColumnError::Ambiguous { .. } | ColumnError::Shared { .. } => InputProblem::Columns { line, error },
        ColumnError::Absent { column, ref header } => {
            let similar = similar(header, record);
            let advice = match &*similar {
                [] => advice(record, column),
                similar => {
                    let flags =
                        similar.iter().map(|header| format!("--column {:?}", format!("{}={header}", column.as_str())));
                    format!("did you mean {}?", flags.collect::<Vec<_>>().join(" or "))
                }
            };
            InputProblem::AbsentColumn { line, error, seen: shown(record).into(), advice: advice.into() }
        }
    }
}

/// Headers that resemble one that `--column` names: one contains the other, or they differ by a typing mistake.
fn similar<'a>(asked: &str, record: &'a Record<'_>) -> Vec<&'a str> {
    const MOST: usize = 3;
    let asked = folded(asked);
    let is_similar = |header: &&str| {
        let header = folded(header);
        let is_part = header.contains(&asked) || (header.len() > 2 && asked.contains(&header));
        is_part || strsim::damerau_levenshtein(&asked, &header) <= asked.chars().count() / 4
    };
    record.iter().filter(is_similar).take(MOST).collect()
}

/// How to name the missing column.
fn advice(record: &Record<'_>, column: IdColumn) -> String {
    let name = column.as_str();
    match column.likely(&record.iter()) {
        Some(header) => format!("rename {header:?} to {name}, or use --column {:?}", format!("{name}={header}")),
        None => format!("rename the column that holds it to {name}, or use --column {name}=HEADER"),
    }
}

/// The columns for an error message, escaped and limited in number and length.
fn shown(record: &Record<'_>) -> String {
    const COLUMNS: usize = 12;
    const LENGTH: usize = 32;
    let clean = |index: usize| -> String {
        record.field(index).trim().chars().take(LENGTH).flat_map(char::escape_debug).collect()
    };
    let names: Vec<String> = (0..record.len().min(COLUMNS)).map(clean).collect();
    let more = if record.len() > COLUMNS { format!(" and {} more", record.len() - COLUMNS) } else { String::new() };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, forced: Option<Delimiter>) -> Result<Header, InputProblem> {
        Header::read(
            &mut RecordReader::at_start(text.as_bytes(), 16)?,
            forced,
            &ColumnNames::default(),
            HeaderNeeds::default(),
        )
    }

    fn columns(session: usize, team: Option<usize>, user: Option<usize>) -> IdColumns {
        IdColumns { session: Some(session), team, user, email: None }
    }

    #[test]
    fn columns_are_found_by_name_whatever_their_order_and_case() {
        for (text, want, delimiter) in [
            ("team_id,session_id\n", columns(1, Some(0), None), b','),
            ("\u{feff}Session_ID;x;USER_ID", columns(0, None, Some(2)), b';'),
            (" user_id \t session_id\tteam_id\r\n", columns(1, Some(2), Some(0)), b'\t'),
            ("\n \n\"session_id\",\"a,b\",\"team_id\"\n", columns(0, Some(2), None), b','),
            ("\"a\n,b\";session_id;user_id\n", columns(1, None, Some(2)), b';'),
        ] {
            let header = read(text, None).unwrap();
            assert_eq!((header.columns(), header.delimiter().byte()), (want, delimiter), "{text:?}");
        }
        let forced = read("session_id|team_id", Delimiter::parse("|").ok()).unwrap();
        assert_eq!(forced.columns(), columns(0, Some(1), None));
    }

    fn told(problem: &InputProblem) -> String {
        format!("{problem}; {}", problem.hint().unwrap_or_default())
    }

    #[test]
    fn a_header_that_cannot_serve_is_refused_in_words() {
        for (text, want) in [
            ("", "is empty"),
            ("\r\n  \n", "is empty"),
            ("\nuser,team\n", "line 2: no session_id column in the header; the columns seen are: user, team;"),
            ("a;b;c\n", "columns seen are: a, b, c;"),
            ("\u{1b}[2J,\u{feff}x\n", "columns seen are: \\u{1b}[2J, \\u{feff}x;"),
            ("session_id,ip\n", "neither user_id nor team_id in the header; the columns seen are: session_id, ip;"),
            ("sid,team_id\n", "rename \"sid\" to session_id, or use --column \"session_id=sid\""),
            ("session_id,Owner\n", "rename \"Owner\" to user_id, or use --column \"user_id=Owner\""),
            (
                "session_id,team_id,Session_Id\n",
                "two columns that can be session_id, \"session_id\" and \"Session_Id\"",
            ),
            (
                "session_id,team_id,TEAM\u{200b}ID \n",
                "two columns that can be team_id, \"team_id\" and \"TEAM\\u{200b}ID \"",
            ),
            ("\"session_id,team_id\n", "line 1: a quote (\") in the record that starts here is never closed"),
        ] {
            let error = told(&read(text, None).unwrap_err());
            assert!(error.contains(want), "{text:?}: {error}");
        }
        let names: Vec<String> = (0..40).map(|n| format!("column{n}")).collect();
        assert!(told(&read(&names.join(","), None).unwrap_err()).contains("column11 and 28 more;"));
    }

    #[test]
    fn whole_users_need_their_own_column_alone() {
        let read = |text: &str| {
            let mut records = RecordReader::at_start(text.as_bytes(), 16)?;
            let needed = HeaderNeeds { is_of_users: true, takes_emails: false };
            Header::read(&mut records, None, &ColumnNames::default(), needed)
        };
        for (text, want, delimiter) in [
            ("user_id\n", IdColumns { session: None, team: None, user: Some(0), email: None }, b','),
            ("team_id;User_ID\n", IdColumns { session: None, team: Some(0), user: Some(1), email: None }, b';'),
            ("session_id\tuser_id\n", IdColumns { session: Some(0), team: None, user: Some(1), email: None }, b'\t'),
        ] {
            let header = read(text).unwrap();
            assert_eq!((header.columns(), header.delimiter().byte()), (want, delimiter), "{text:?}");
        }
        let error = told(&read("team_id,session_id\n").unwrap_err());
        assert!(error.contains("no user_id column") && error.contains("slack-revoke resolve"), "{error}");
    }

    #[test]
    fn a_forced_identifier_needs_its_column() {
        let header = read("session_id,team_id", None).unwrap();
        assert!(header.require(Identify::Auto).is_ok());
        assert!(header.require(Identify::Team).is_ok());
        assert!(matches!(header.require(Identify::User), Err(InputProblem::MissingColumn { column: "user_id", .. })));
    }

    #[test]
    fn delimiters_are_single_marks() {
        for (text, want) in [(",", Some(b',')), ("tab", Some(b'\t')), ("\\t", Some(b'\t')), ("|", Some(b'|'))] {
            assert_eq!(Delimiter::parse(text).ok().map(Delimiter::byte), want, "{text:?}");
        }
        for text in ["", "a", "\"", "_", ",,", "\n", "é"] {
            assert!(Delimiter::parse(text).is_err(), "{text:?}");
        }
    }
}
