//! The header: which column is which, and what stands between columns.

use super::error::Trouble;
use super::framing::{Feed, Frames, Record};
use super::rules::Identify;
use crate::domain::Fields;

/// What stands between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    /// `,`
    pub const COMMA: Self = Self(b',');
    /// `;`
    pub const SEMICOLON: Self = Self(b';');
    /// Tab.
    pub const TAB: Self = Self(b'\t');

    /// Reads `--delimiter`: one ASCII punctuation mark, or a tab, which may be written `tab` or `\t`.
    ///
    /// # Errors
    /// Where it is something that may stand inside an id, a quote, or more than one character; in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.as_bytes() {
            b"tab" | b"\\t" | b"\t" => Ok(Self::TAB),
            [b'"' | b'_'] => Err("a quote or an underscore cannot stand between columns"),
            &[byte] if byte.is_ascii_punctuation() => Ok(Self(byte)),
            _ => Err("a delimiter is one punctuation mark, such as , or ; or |, or tab"),
        }
    }

    /// The delimiter as it stands in the input.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }
}

/// Where the columns are that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    /// There, unless whole users are asked for.
    pub(super) session: Option<usize>,
    pub(super) team: Option<usize>,
    pub(super) user: Option<usize>,
}

/// The first record of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    fields: Fields,
    delimiter: Delimiter,
    columns: Columns,
    raw: Box<[u8]>,
    line: u64,
}

impl Header {
    /// Reads the first record, under the delimiter that makes a `session_id` column of it, or a `user_id` column where
    /// whole users are asked for.
    pub(super) fn read<F: Feed>(
        frames: &mut Frames<F>,
        forced: Option<Delimiter>,
        identify: Identify,
    ) -> Result<Self, Trouble> {
        let needed = identify.needed();
        let bom = frames.bom();
        let guesses = [Delimiter::COMMA, Delimiter::SEMICOLON, Delimiter::TAB];
        let candidates = forced.as_ref().map_or(&guesses[..], std::slice::from_ref);
        let mut best: Option<(usize, Trouble)> = None;
        for &delimiter in candidates {
            frames.retry_with(delimiter);
            let (columns, trouble) = match frames.next() {
                Ok(None) => return Err(Trouble::Empty),
                Ok(Some(record)) if find(&record, needed)?.is_some() => {
                    return Self::of(&record, delimiter, bom, identify);
                }
                Ok(Some(record)) => (record.len(), identify.no_header(record.place.line, shown(&record))),
                // Under the wrong delimiter a quote may look open.
                Err(trouble @ (Trouble::OpenQuote { .. } | Trouble::RecordTooLong { .. })) => (0, trouble),
                Err(trouble) => return Err(trouble),
            };
            if best.as_ref().is_none_or(|(most, _)| columns > *most) {
                best = Some((columns, trouble));
            }
        }
        Err(best.map_or(Trouble::Empty, |(_, trouble)| trouble))
    }

    fn of(record: &Record<'_>, delimiter: Delimiter, bom: &[u8], identify: Identify) -> Result<Self, Trouble> {
        let line = record.place.line;
        let session = find(record, "session_id")?;
        let (team, user) = (find(record, "team_id")?, find(record, "user_id")?);
        if find(record, identify.needed())?.is_none() {
            return Err(identify.no_header(line, shown(record)));
        }
        if team.is_none() && user.is_none() {
            return Err(Trouble::NoOwnerColumn { line, seen: shown(record) });
        }
        let columns = Columns { session, team, user };
        Ok(Self {
            fields: record.to_fields(record.len()),
            delimiter,
            columns,
            raw: [bom, record.raw].concat().into(),
            line,
        })
    }

    /// Refuses a header without the column that `--identify-by` names.
    pub(super) fn require(&self, identify: Identify) -> Result<(), Trouble> {
        let (column, found) = match identify {
            Identify::Auto | Identify::WholeUsers => return Ok(()),
            Identify::User => ("user_id", self.columns.user),
            Identify::Team => ("team_id", self.columns.team),
        };
        found.map(drop).ok_or(Trouble::MissingColumn { line: self.line, column })
    }

    /// The columns' names as they stand in the input.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// What stands between the columns.
    #[must_use]
    pub fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    pub(super) fn columns(&self) -> Columns {
        self.columns
    }

    /// The bytes as they came, a BOM included.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// How the input ends its lines.
    pub(super) fn line_end(&self) -> &'static [u8] {
        match *self.raw {
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\r'] => b"\r",
            _ => b"\n",
        }
    }
}

impl Identify {
    /// The column that makes a record a header.
    fn needed(self) -> &'static str {
        match self {
            Self::Auto | Self::User | Self::Team => "session_id",
            Self::WholeUsers => "user_id",
        }
    }

    fn no_header(self, line: u64, seen: String) -> Trouble {
        match self {
            Self::Auto | Self::User | Self::Team => Trouble::NoHeader { line, seen },
            Self::WholeUsers => Trouble::NoUserColumn { line, seen },
        }
    }
}

/// The one column of this name, whatever its case and the blanks around it.
fn find(record: &Record<'_>, column: &'static str) -> Result<Option<usize>, Trouble> {
    let mut found = (0..record.len()).filter(|&index| record.field(index).trim().eq_ignore_ascii_case(column));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Trouble::ColumnTwice { line: record.place.line, column }),
        (first, None) => Ok(first),
    }
}

/// The columns for an error message: whatever the file is, it must not flood or command the terminal.
fn shown(record: &Record<'_>) -> String {
    const COLUMNS: usize = 12;
    const LENGTH: usize = 32;
    let clean = |index: usize| -> String {
        record.field(index).trim().chars().map(|c| if c.is_control() { '?' } else { c }).take(LENGTH).collect()
    };
    let names: Vec<String> = (0..record.len().min(COLUMNS)).map(clean).collect();
    let more = if record.len() > COLUMNS { format!(" and {} more", record.len() - COLUMNS) } else { String::new() };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, forced: Option<Delimiter>) -> Result<Header, Trouble> {
        Header::read(&mut Frames::at_start(text.as_bytes(), 16)?, forced, Identify::Auto)
    }

    fn columns(session: usize, team: Option<usize>, user: Option<usize>) -> Columns {
        Columns { session: Some(session), team, user }
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

    #[test]
    fn a_header_that_cannot_serve_is_refused_in_words() {
        for (text, want) in [
            ("", "is empty"),
            ("\r\n  \n", "is empty"),
            ("\nuser,team\n", "line 2: no session_id column in the header; the columns seen are: user, team;"),
            ("a;b;c\n", "columns seen are: a, b, c;"),
            ("\u{1b}[2J,x\n", "columns seen are: ?[2J, x;"),
            ("session_id,ip\n", "neither user_id nor team_id in the header; the columns seen are: session_id, ip;"),
            ("session_id,team_id,Session_Id\n", "the column session_id stands twice"),
            ("session_id,team_id,TEAM_ID \n", "the column team_id stands twice"),
            ("\"session_id,team_id\n", "line 1: a quote (\") in the record that starts here is never closed"),
        ] {
            let error = read(text, None).unwrap_err().to_string();
            assert!(error.contains(want), "{text:?}: {error}");
        }
        let names: Vec<String> = (0..40).map(|n| format!("column{n}")).collect();
        assert!(read(&names.join(","), None).unwrap_err().to_string().contains("column11 and 28 more;"));
    }

    #[test]
    fn whole_users_need_their_own_column_alone() {
        let read = |text: &str| Header::read(&mut Frames::at_start(text.as_bytes(), 16)?, None, Identify::WholeUsers);
        for (text, want, delimiter) in [
            ("user_id\n", Columns { session: None, team: None, user: Some(0) }, b','),
            ("team_id;User_ID\n", Columns { session: None, team: Some(0), user: Some(1) }, b';'),
            ("session_id\tuser_id\n", Columns { session: Some(0), team: None, user: Some(1) }, b'\t'),
        ] {
            let header = read(text).unwrap();
            assert_eq!((header.columns(), header.delimiter().byte()), (want, delimiter), "{text:?}");
        }
        let error = read("team_id,session_id\n").unwrap_err().to_string();
        assert!(error.contains("no user_id column") && error.contains("slack-revoke resolve"), "{error}");
    }

    #[test]
    fn a_forced_identifier_needs_its_column() {
        let header = read("session_id,team_id", None).unwrap();
        assert!(header.require(Identify::Auto).is_ok());
        assert!(header.require(Identify::Team).is_ok());
        assert!(matches!(header.require(Identify::User), Err(Trouble::MissingColumn { column: "user_id", .. })));
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
