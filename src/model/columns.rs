//! Finds the id columns in a header. Only this module recognizes column names.

use super::invisible::is_invisible;
use std::fmt;

/// The column that only `from-audit` writes. It shows that sessions come from the audit log and weren't listed by
/// Slack.
pub const AUDIT_ENTRIES: &str = "audit_entries";

/// A column that has an id, or from which one can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdColumn {
    /// `session_id`
    Session,
    /// `user_id`
    User,
    /// `team_id`
    Team,
    /// `email`, which `resolve` replaces by a `user_id`.
    Email,
}

impl IdColumn {
    pub const ALL: [Self; 4] = [Self::Session, Self::User, Self::Team, Self::Email];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session_id",
            Self::User => "user_id",
            Self::Team => "team_id",
            Self::Email => "email",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.as_str() == name)
    }

    /// Words that occur in other systems' names for this column.
    fn stems(self) -> &'static [&'static str] {
        match self {
            Self::Session => &["session", "sid"],
            Self::User => &["userid", "uid", "member", "owner", "user"],
            Self::Team => &["teamid", "workspace", "team"],
            Self::Email => &["mail", "address"],
        }
    }

    /// The only header that probably means this column; `None` if there are none or several.
    #[must_use]
    pub fn likely<'a>(self, headers: &(impl Iterator<Item = &'a str> + Clone)) -> Option<&'a str> {
        self.stems().iter().find_map(|stem| {
            let mut having = headers.clone().filter(|header| folded(header).contains(stem));
            having.next().filter(|_| having.next().is_none())
        })
    }
}

/// Indices of the id columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdColumns {
    /// `session_id`; only absent for whole users or addresses.
    pub session: Option<usize>,
    /// `user_id`
    pub user: Option<usize>,
    /// `team_id`
    pub team: Option<usize>,
    /// `email`
    pub email: Option<usize>,
}

impl IdColumns {
    #[must_use]
    pub fn of(self, column: IdColumn) -> Option<usize> {
        match column {
            IdColumn::Session => self.session,
            IdColumn::User => self.user,
            IdColumn::Team => self.team,
            IdColumn::Email => self.email,
        }
    }
}

/// The headers given with `--column`; other columns are found by their own names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnNames {
    session: Option<Box<str>>,
    user: Option<Box<str>>,
    team: Option<Box<str>>,
    email: Option<Box<str>>,
}

/// Why a column can't be identified. `Display` includes what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnError {
    /// Two headers match the same id.
    Ambiguous { column: IdColumn, headers: [Box<str>; 2] },
    /// One header is given for two ids.
    Shared { columns: [IdColumn; 2], header: Box<str> },
    /// The header that `--column` names doesn't exist.
    Absent { column: IdColumn, header: Box<str> },
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous { column, headers: [one, other] } => {
                let name = column.as_str();
                write!(f, "two columns that can be {name}, {one:?} and {other:?}; ")?;
                write!(f, "rename or remove one of them, or use --column {name}=HEADER")
            }
            Self::Shared { columns: [one, other], header } => {
                let (one, other) = (one.as_str(), other.as_str());
                write!(f, "{header:?} can't be both {one} and {other}; use --column for each, or for neither")
            }
            Self::Absent { column, header } => {
                write!(f, "no column {header:?}, which --column {} asks for", column.as_str())
            }
        }
    }
}

impl ColumnNames {
    /// Sets the header of a column. Returns the previous one.
    pub fn set(&mut self, column: IdColumn, header: &str) -> Option<Box<str>> {
        self.slot(column).replace(header.into())
    }

    fn slot(&mut self, column: IdColumn) -> &mut Option<Box<str>> {
        match column {
            IdColumn::Session => &mut self.session,
            IdColumn::User => &mut self.user,
            IdColumn::Team => &mut self.team,
            IdColumn::Email => &mut self.email,
        }
    }

    fn given(&self, column: IdColumn) -> Option<&str> {
        match column {
            IdColumn::Session => self.session.as_deref(),
            IdColumn::User => self.user.as_deref(),
            IdColumn::Team => self.team.as_deref(),
            IdColumn::Email => self.email.as_deref(),
        }
    }

    /// Finds the columns by the given names, or by their own names regardless of case, blanks, dashes, underscores
    /// and invisible characters.
    ///
    /// # Errors
    /// If two headers match one id, one matches two, or a given name doesn't exist. A guess could lead to a protected
    /// user's row being sent.
    pub fn find<'a>(&self, headers: &(impl Iterator<Item = &'a str> + Clone)) -> Result<IdColumns, ColumnError> {
        let mut columns = [None; IdColumn::ALL.len()];
        for (place, column) in columns.iter_mut().zip(IdColumn::ALL) {
            *place = self.place(column, headers.clone())?;
        }
        let [session, user, team, email] = columns;
        let found = IdColumns { session, user, team, email };
        for (at, one) in IdColumn::ALL.into_iter().enumerate() {
            let others = &IdColumn::ALL[at + 1..];
            let Some(index) = found.of(one) else { continue };
            if let Some(other) = others.iter().find(|other| found.of(**other) == Some(index)) {
                let header = headers.clone().nth(index).unwrap_or_default().into();
                return Err(ColumnError::Shared { columns: [one, *other], header });
            }
        }
        Ok(found)
    }

    /// Finds only the columns that were given.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_given<'a>(&self, headers: &(impl Iterator<Item = &'a str> + Clone)) -> Result<IdColumns, ColumnError> {
        let place = |column| match self.given(column) {
            Some(_) => self.place(column, headers.clone()),
            None => Ok(None),
        };
        let [session, user, team, email] = IdColumn::ALL.map(place);
        Ok(IdColumns { session: session?, user: user?, team: team?, email: email? })
    }

    fn place<'a>(
        &self,
        column: IdColumn,
        headers: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Option<usize>, ColumnError> {
        let given = self.given(column);
        let name = given.unwrap_or(column.as_str());
        if let Some(given) = given
            && let Ok(Some((index, _))) = only(headers.clone(), |header| header == given)
        {
            return Ok(Some(index));
        }
        let wanted = folded(name);
        match (only(headers, |header| folded(header) == wanted), given) {
            (Err(headers), _) => Err(ColumnError::Ambiguous { column, headers: headers.map(Into::into) }),
            (Ok(None), Some(given)) => Err(ColumnError::Absent { column, header: given.into() }),
            (Ok(found), _) => Ok(found.map(|(index, _)| index)),
        }
    }
}

/// The only matching header, with its index.
///
/// # Errors
/// The first two, if there are several.
fn only<'a>(
    headers: impl Iterator<Item = &'a str>,
    fits: impl Fn(&str) -> bool,
) -> Result<Option<(usize, &'a str)>, [&'a str; 2]> {
    let mut fitting = headers.enumerate().filter(|(_, header)| fits(header));
    match (fitting.next(), fitting.next()) {
        (Some((_, one)), Some((_, other))) => Err([one, other]),
        (found, _) => Ok(found),
    }
}

/// Normalizes a header for comparison: lower case, full-width letters as ASCII, without word separators.
#[must_use]
pub fn folded(header: &str) -> String {
    let plain = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    header.chars().map(plain).filter(|c| !separates(*c)).flat_map(char::to_lowercase).collect()
}

fn separates(c: char) -> bool {
    c.is_whitespace()
        || is_invisible(c)
        || matches!(c, '_' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(headers: &[&str], given: &[(IdColumn, &str)]) -> Result<IdColumns, ColumnError> {
        let mut names = ColumnNames::default();
        for (column, header) in given {
            names.set(*column, header);
        }
        names.find(&headers.iter().copied())
    }

    #[test]
    fn a_name_is_known_however_it_is_written() {
        for header in [
            "user_id",
            "USER_ID",
            "User ID",
            "user-id",
            "userId",
            "UserID",
            "userid",
            " user_id\t",
            "\u{feff}user_id",
            "user\u{200b}_id",
            "user\u{a0}id",
            "user\u{2011}id",
            "ｕｓｅｒ＿ｉｄ",
        ] {
            assert_eq!(find(&["x", header], &[]).unwrap().user, Some(1), "{header:?}");
        }
        for header in ["user", "users_id", "user_id2", "user.id", "id_user", "user/id", "username", ""] {
            assert_eq!(find(&[header], &[]).unwrap(), IdColumns::default(), "{header:?}");
        }
    }

    #[test]
    fn two_candidates_are_an_error_that_names_both() {
        for second in ["user_id", "User ID", "userId"] {
            let error = find(&["user_id", "session_id", second], &[]).unwrap_err();
            let headers = ["user_id".into(), second.into()];
            assert_eq!(error, ColumnError::Ambiguous { column: IdColumn::User, headers });
        }
    }

    #[test]
    fn a_header_that_is_given_goes_before_the_columns_own_name() {
        use IdColumn::{Session, Team, User};
        let headers = ["user_id", "User ID", "Sitzung", "team_id"];
        let found = find(&headers, &[(Session, "sitzung"), (User, "User ID")]).unwrap();
        assert_eq!(found, IdColumns { session: Some(2), user: Some(1), team: Some(3), email: None });
        let absent = ColumnError::Absent { column: User, header: "Besitzer".into() };
        assert_eq!(find(&headers, &[(User, "Besitzer")]), Err(absent));
        let shared = ColumnError::Shared { columns: [User, Team], header: "team_id".into() };
        assert_eq!(find(&headers, &[(User, "team_id")]), Err(shared));
        let twice = ColumnError::Ambiguous { column: User, headers: ["a b".into(), "A-B".into()] };
        assert_eq!(find(&["a b", "A-B"], &[(User, "ab")]), Err(twice));
    }

    #[test]
    fn a_likely_header_is_the_only_one_of_its_kind() {
        for (headers, want) in [
            (["Name", "Slack session", "x"], Some("Slack session")),
            (["SID", "name", "x"], Some("SID")),
            (["session", "old session", "x"], None),
            (["a", "b", "c"], None),
        ] {
            assert_eq!(IdColumn::Session.likely(&headers.iter().copied()), want, "{headers:?}");
        }
        assert_eq!(IdColumn::User.likely(&["Username", "User-ID (Slack)"].into_iter()), Some("User-ID (Slack)"));
    }
}
