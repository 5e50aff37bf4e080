//! A row of the input and what it identifies.

use super::{IdError, SessionId, Status, TeamId, UserId};
use serde::Serialize;
use std::fmt;

/// The fields of a record, in two allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Fields {
    /// `text` has the fields one after another, `ends` the end of each in bytes.
    ///
    /// # Panics
    /// If an end isn't a character boundary of `text`, or the ends aren't ascending.
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

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Length of all fields in bytes.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Field `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.text.get(start..end)
    }

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

/// Maximum number of users in one `admin.users.session.resetBulk` (slack.md, "The sibling methods").
pub const USERS_PER_CALL: usize = 1000;

/// Which identifier is sent with `session_id`: never both (slack.md, "The call").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentifyBy {
    /// `user_id`, which Slack's documentation requires since August 2024.
    User,
    /// `team_id`, as in the reference of the method.
    Team,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Session(SessionTarget),
    /// Every session of a user.
    User(UserTarget),
}

impl Target {
    /// A session identified by its workspace; `user` is only used for totals.
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

    /// A session identified by its user; `team` is only used for totals.
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

    /// All sessions of a user; `team` and `session` are only used for totals.
    #[must_use]
    pub fn whole_user(user: UserId, team: Option<TeamId>, session: Option<SessionId>) -> Self {
        Self::User(UserTarget { user, team, session, instead: None })
    }

    /// All sessions of the user to whom a session belongs, all of which are in the input: if the user can't be ended as a whole,
    /// the session is sent by itself.
    #[must_use]
    pub fn user_of(user: UserId, target: SessionTarget) -> Self {
        let (team, session) = (target.team.clone(), Some(target.session));
        Self::User(UserTarget { user, team, session, instead: Some(Box::new(target)) })
    }

    /// The session of the row; may be missing for a whole user.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(target) => Some(target.session),
            Self::User(target) => target.session,
        }
    }

    /// The session that the row is sent as, or would be if its user can't be ended as a whole.
    #[must_use]
    pub fn named_session(&self) -> Option<&SessionTarget> {
        match self {
            Self::Session(target) => Some(target),
            Self::User(target) => target.instead(),
        }
    }

    /// The same, to be completed.
    pub fn named_session_mut(&mut self) -> Option<&mut SessionTarget> {
        match self {
            Self::Session(target) => Some(target),
            Self::User(target) => target.instead.as_deref_mut(),
        }
    }

    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        match self {
            Self::Session(target) => target.team(),
            Self::User(target) => target.team.as_ref(),
        }
    }

    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Session(target) => target.user.as_ref(),
            Self::User(target) => Some(&target.user),
        }
    }

    /// Which of the two ids the request has.
    #[must_use]
    pub fn named_by(&self) -> IdentifyBy {
        match self {
            Self::Session(target) => target.named_by,
            Self::User(_) => IdentifyBy::User,
        }
    }

    /// The workspace that the request names; `None` if it is sent by user.
    #[must_use]
    pub fn addressed_team(&self) -> Option<&TeamId> {
        match self {
            Self::Session(target) => target.addressed_team(),
            Self::User(_) => None,
        }
    }
}

/// `named_by` is the id that is sent, which is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTarget {
    session: SessionId,
    team: Option<TeamId>,
    user: Option<UserId>,
    named_by: IdentifyBy,
    also_on: Box<[u64]>,
}

impl SessionTarget {
    /// Sets the lines of other rows that identify the same session by the other id.
    pub fn set_also_on(&mut self, lines: Box<[u64]>) {
        self.also_on = lines;
    }

    /// The lines of other rows that identify the same session by the other id. Their results apply to this row too.
    #[must_use]
    pub fn also_on(&self) -> &[u64] {
        &self.also_on
    }

    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        self.team.as_ref()
    }

    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// Name and value of the second argument of the request.
    #[must_use]
    pub fn identifier(&self) -> (&'static str, &str) {
        match self.named_by {
            IdentifyBy::User => ("user_id", self.user.as_ref().map_or("", UserId::as_str)),
            IdentifyBy::Team => ("team_id", self.team.as_ref().map_or("", TeamId::as_str)),
        }
    }

    /// The workspace that the request names; `None` if it is sent by user.
    #[must_use]
    pub fn addressed_team(&self) -> Option<&TeamId> {
        match self.named_by {
            IdentifyBy::Team => self.team.as_ref(),
            IdentifyBy::User => None,
        }
    }
}

/// All sessions of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTarget {
    user: UserId,
    team: Option<TeamId>,
    session: Option<SessionId>,
    /// What the row is sent as if the user can't be ended as a whole.
    instead: Option<Box<SessionTarget>>,
}

impl UserTarget {
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The session to send if the user can't be ended as a whole.
    #[must_use]
    pub fn instead(&self) -> Option<&SessionTarget> {
        self.instead.as_deref()
    }
}

/// Why a row isn't sent. It gets a record anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Another number of fields than the header.
    Columns { found: usize, expected: usize },
    /// A column has an invalid value.
    Id {
        /// `session_id`, `team_id` or `user_id`.
        column: &'static str,
        error: IdError,
        value: Box<str>,
    },
    /// Neither `user_id` nor `team_id` is given, or not the one that `--identify-by` needs.
    NoOwner {
        /// The columns, one of which is needed.
        wanted: &'static str,
    },
    /// With `--whole-users`, the row has no user.
    NoUser,
    /// The same session is on an earlier line.
    Duplicate {
        /// `None` if unknown.
        first_line: Option<u64>,
    },
    /// `--protect` names this user.
    ProtectedUser,
    /// `--protect` names this session.
    ProtectedSession,
    /// `--protect` names a session of this user, which would end too.
    ProtectedThroughSession,
    /// A session of the token's own user, without `--allow-self`.
    OwnSession,
}

impl Rejection {
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

    /// The `error` column of the record.
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

/// Maximum number of characters of a value that are displayed.
const LONGEST_SHOWN: usize = 60;

/// Describes the first character that can't be in an id and may be invisible.
fn unusual(value: &str) -> Option<String> {
    let c = value.chars().find(|c| !matches!(c, ' '..='~'))?;
    let name = super::name_of(c).map(|name| format!(" ({name})")).unwrap_or_default();
    Some(format!("it has the character U+{:04X}{name}", u32::from(c)))
}

/// A row to be processed. It results in exactly one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which the record starts, counted from 1.
    pub line: u64,
    pub fields: Fields,
    /// What to end, or why the row isn't sent.
    pub target: Result<Target, Rejection>,
    /// Whether an earlier run may have ended the session: it died before it recorded an answer to this row, or sent
    /// another row with the same session.
    pub may_have_been_sent: bool,
}

/// An invalid row in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidRow {
    pub line: u64,
    /// See [`Rejection::rule`].
    #[serde(skip)]
    pub rule: &'static str,
    #[serde(rename = "reason")]
    pub text: String,
}
