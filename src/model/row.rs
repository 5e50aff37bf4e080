//! One row of the input: where it stood, what it said, and whom it names.

use super::{IdError, SessionId, Status, TeamId, UserId};
use serde::Serialize;
use std::fmt;

/// The fields of a record as they were read, in two allocations whatever their number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Fields {
    /// From the fields' texts one after another, and the end of each in it, in bytes.
    ///
    /// # Panics
    /// Where an end is not a character border of `text`, or is before the one ahead of it.
    #[must_use]
    pub fn new(text: Box<str>, ends: Box<[u32]>) -> Self {
        let mut start = 0;
        for &end in &ends {
            assert!(text.get(start..end as usize).is_some(), "ends must be ascending character borders");
            start = end as usize;
        }
        Self { text, ends }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all fields together.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The text of field `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.text.get(start..end)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> FromIterator<&'a str> for Fields {
    fn from_iter<I: IntoIterator<Item = &'a str>>(fields: I) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for field in fields {
            text.push_str(field);
            ends.push(u32::try_from(text.len()).expect("a record is at most 1 MiB"));
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

/// Which identifier goes beside `session_id`: one of the two, never both (slack.md, "The call").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentifyBy {
    /// `user_id`, which Slack's documentation asks for since August 2024.
    User,
    /// `team_id`, the form of the method's reference.
    Team,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Session(SessionTarget),
    /// The end of every session of a user.
    User(UserTarget),
}

impl Target {
    /// A session named by its workspace; `user` is only carried for the totals.
    #[must_use]
    pub fn by_team(session: SessionId, team: TeamId, user: Option<UserId>) -> Self {
        Self::Session(SessionTarget {
            session,
            team: Some(team),
            user,
            named_by: IdentifyBy::Team,
            also_on: Box::default(),
        })
    }

    /// A session named by its owner; `team` is only carried for the totals.
    #[must_use]
    pub fn by_user(session: SessionId, user: UserId, team: Option<TeamId>) -> Self {
        Self::Session(SessionTarget {
            session,
            team,
            user: Some(user),
            named_by: IdentifyBy::User,
            also_on: Box::default(),
        })
    }

    /// A whole user; `team` and `session` are only carried.
    #[must_use]
    pub fn whole_user(user: UserId, team: Option<TeamId>, session: Option<SessionId>) -> Self {
        Self::User(UserTarget { user, team, session })
    }

    /// The session that the row names; a row that asks for a whole user need not name one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(target) => Some(target.session),
            Self::User(target) => target.session,
        }
    }

    /// The workspace, where the row has it.
    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        match self {
            Self::Session(target) => target.team(),
            Self::User(target) => target.team.as_ref(),
        }
    }

    /// The user, where the row has it.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Session(target) => target.user.as_ref(),
            Self::User(target) => Some(&target.user),
        }
    }

    /// Which of the two ids the request carries.
    #[must_use]
    pub fn named_by(&self) -> IdentifyBy {
        match self {
            Self::Session(target) => target.named_by,
            Self::User(_) => IdentifyBy::User,
        }
    }

    /// The workspace that the request itself names: none where the row is sent by its user.
    #[must_use]
    pub fn addressed_team(&self) -> Option<&TeamId> {
        match self {
            Self::Session(target) => target.addressed_team(),
            Self::User(_) => None,
        }
    }
}

/// One session. `named_by` says which of the two ids is sent; that one is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTarget {
    session: SessionId,
    team: Option<TeamId>,
    user: Option<UserId>,
    named_by: IdentifyBy,
    also_on: Box<[u64]>,
}

impl SessionTarget {
    /// Notes the lines of the rows that name the same session by the other id.
    pub fn set_also_on(&mut self, lines: Box<[u64]>) {
        self.also_on = lines;
    }

    /// The lines of the rows that name the same session by the other id: what becomes of them tells of this one too.
    #[must_use]
    pub fn also_on(&self) -> &[u64] {
        &self.also_on
    }

    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The workspace, if the row has it.
    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        self.team.as_ref()
    }

    /// The request's second argument: its name and its value.
    #[must_use]
    pub fn identifier(&self) -> (&'static str, &str) {
        match self.named_by {
            IdentifyBy::User => ("user_id", self.user.as_ref().map_or("", UserId::as_str)),
            IdentifyBy::Team => ("team_id", self.team.as_ref().map_or("", TeamId::as_str)),
        }
    }

    /// The workspace that the request itself names: none where the row is sent by its user.
    #[must_use]
    pub fn addressed_team(&self) -> Option<&TeamId> {
        match self.named_by {
            IdentifyBy::Team => self.team.as_ref(),
            IdentifyBy::User => None,
        }
    }
}

/// One user with all sessions, listed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTarget {
    user: UserId,
    team: Option<TeamId>,
    session: Option<SessionId>,
}

impl UserTarget {
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }
}

/// Why a row is never sent. It becomes a record all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Fewer or more fields than the header has.
    Columns { found: usize, expected: usize },
    /// A column holds something else than it should.
    Id {
        /// The column's name: `session_id`, `team_id` or `user_id`.
        column: &'static str,
        error: IdError,
        value: Box<str>,
    },
    /// Neither `user_id` nor `team_id` is given, or not the one that `--identify-by` asks for.
    NoOwner {
        /// The column or columns that would have served.
        wanted: &'static str,
    },
    /// A whole user was asked for, and the row names none.
    NoUser,
    /// The same session stands on an earlier line.
    Duplicate {
        /// The line of the first, where it is known.
        first_line: Option<u64>,
    },
    /// `--protect` names this user.
    ProtectedUser,
    /// `--protect` names this session.
    ProtectedSession,
    /// `--protect` names a session of this user, which would end with all the others.
    ProtectedThroughSession,
    /// The row belongs to the user of the token, and `--allow-self` was not given.
    OwnSession,
}

impl Rejection {
    /// The status of a row that isn't sent for this reason.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Duplicate { .. } => Status::Duplicate,
            Self::ProtectedUser | Self::ProtectedSession | Self::ProtectedThroughSession | Self::OwnSession => {
                Status::Protected
            }
            Self::Columns { .. } | Self::Id { .. } | Self::NoOwner { .. } | Self::NoUser => Status::Invalid,
        }
    }

    /// The rule that the row broke: the `error` column of its record.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Columns { found, expected } if found < expected => "too_few_columns",
            Self::Columns { .. } => "too_many_columns",
            Self::Id { column, error: IdError::Missing, .. } if *column == "session_id" => "missing_session_id",
            Self::Id { column, .. } => match *column {
                "session_id" => "bad_session_id",
                "team_id" => "bad_team_id",
                _ => "bad_user_id",
            },
            Self::NoOwner { .. } => "missing_owner_id",
            Self::NoUser => "missing_user_id",
            Self::Duplicate { .. } => "duplicate_session",
            Self::ProtectedUser => "protected_user",
            Self::ProtectedSession | Self::ProtectedThroughSession => "protected_session",
            Self::OwnSession => "own_session",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns { found, expected } => {
                write!(f, "the row has {found} columns, the header has {expected}")
            }
            Self::Id { column, error: IdError::Missing, .. } => write!(f, "{column} {}", IdError::Missing),
            Self::Id { column, error, value } => {
                let shown: String = value.chars().take(LONGEST_SHOWN).collect();
                let more = if shown.len() < value.len() { "…" } else { "" };
                write!(f, "{column} {shown:?}{more} {error}")?;
                unusual(value).map_or(Ok(()), |found| write!(f, ": {found}"))
            }
            Self::NoOwner { wanted } => write!(f, "{wanted} is empty"),
            Self::NoUser => f.write_str("user_id is empty: `slack-revoke resolve` adds it"),
            Self::Duplicate { first_line: Some(line) } => write!(f, "the same session as line {line}"),
            Self::Duplicate { first_line: None } => f.write_str("the same session as an earlier line"),
            Self::ProtectedUser => f.write_str("the user is protected"),
            Self::ProtectedSession => f.write_str("the session is protected"),
            Self::ProtectedThroughSession => f.write_str("another session of the user is protected, and would end too"),
            Self::OwnSession => f.write_str("a session of the token's own user; --allow-self would send it"),
        }
    }
}

/// Characters of a value that are shown.
const LONGEST_SHOWN: usize = 60;

/// Names the first character that no id has and that may not be seen for what it is.
fn unusual(value: &str) -> Option<String> {
    let c = value.chars().find(|c| !matches!(c, ' '..='~'))?;
    let name = super::name_of(c).map(|name| format!(" ({name})")).unwrap_or_default();
    Some(format!("it has the character U+{:04X}{name}", u32::from(c)))
}

/// A row on its way: it is owned by one place at a time and leaves as exactly one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line in the input on which the record starts; the header's is 1 where no blank line is before it.
    pub line: u64,
    /// The record as it was read.
    pub fields: Fields,
    /// Whom it names, or why it is never sent.
    pub target: Result<Target, Rejection>,
    /// Whether an earlier run may have ended the session: it was cut off before it could record an answer to this row, or it
    /// sent a row that names the same session.
    pub may_have_been_sent: bool,
}

/// An invalid row, to be shown in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidRow {
    pub line: u64,
    /// The rule that it broke ([`Rejection::rule`]).
    #[serde(skip)]
    pub rule: &'static str,
    /// What is wrong, in words.
    #[serde(rename = "reason")]
    pub text: String,
}
