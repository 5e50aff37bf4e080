//! Which rows are sent, and as what. Pure; both readings ask here, so they can't disagree.

use super::coverage::Covers;
use super::header::{Header, HeaderNeeds};
use super::protection::Protection;
use super::records::Record;
use crate::model::{IdError, Rejection, SessionId, Target, TeamId, UserId};

pub use crate::model::Identify;

/// Which rows are sent, and by which id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    pub identify: Identify,
    pub protection: Protection,
    /// Who is ended as a whole.
    pub covers: Covers,
    /// Whether an `email` column makes a header too: `resolve` finds the users of its addresses.
    pub takes_emails: bool,
    /// Whether a survey describes every invalid row instead of the first ten.
    pub lists_all_invalid: bool,
}

impl Rules {
    pub(super) fn of_header(&self) -> HeaderNeeds {
        HeaderNeeds { is_of_users: self.covers == Covers::Everybody, takes_emails: self.takes_emails }
    }

    /// Whether rows may ask for whole users.
    pub(super) fn ends_whole_users(&self) -> bool {
        self.covers != Covers::Nobody
    }

    /// Whom a record names, or why it is not sent. Whether it is a duplicate is decided elsewhere.
    pub(super) fn validate(&self, header: &Header, record: &Record<'_>) -> Result<Target, Rejection> {
        if !header.fits(record) {
            return Err(Rejection::Columns { found: record.len(), expected: header.fields().len() });
        }
        let columns = header.columns();
        let session = columns.session.map_or("", |index| record.field(index));
        let session = SessionId::parse(session).map_err(|error| bad("session_id", session, error));
        // Of whole users, the session doesn't matter, good or bad, unless it is protected.
        let session = if self.covers == Covers::Everybody { session.ok() } else { Some(session?) };
        // An id that is malformed rejects the row even where the other would serve: columns have probably shifted.
        let team = optional(record, columns.team, "team_id", TeamId::parse)?;
        let user = optional(record, columns.user, "user_id", UserId::parse)?;
        self.protection.check(session, user.as_ref())?;
        let listed = session.and_then(|session| self.covers.listed_owner(session, team.as_ref()));
        self.protection.check(None, listed.as_ref())?;
        self.target(session, team, user, listed).ok_or_else(|| match self.covers {
            Covers::Everybody => Rejection::NoUser,
            Covers::Nobody | Covers::Listed(_) => Rejection::NoOwner { wanted: self.identify.wanted(header) },
        })
    }

    fn target(
        &self,
        session: Option<SessionId>,
        team: Option<TeamId>,
        user: Option<UserId>,
        listed: Option<UserId>,
    ) -> Option<Target> {
        let coverage = match &self.covers {
            Covers::Everybody => return Some(Target::whole_user(user?, team, session)),
            Covers::Listed(coverage) => Some(coverage),
            Covers::Nobody => None,
        };
        let target = self.identify.target(session?, team, user, listed)?;
        let owner = target.named_session().and_then(|session| coverage?.owner(session));
        Some(match (owner, target) {
            (Some(owner), Target::Session(session)) => Target::user_of(owner, session),
            (_, target) => target,
        })
    }

    /// The protected session that a record names, with its user, who must not be ended as a whole. Whether the row could be
    /// sent does not matter.
    pub(super) fn protected_session(&self, header: &Header, record: &Record<'_>) -> Option<(SessionId, UserId)> {
        if self.protection.sessions.is_empty() || !header.fits(record) {
            return None;
        }
        let session = session_of(header, record).filter(|session| self.protection.sessions.contains(session))?;
        let user = optional(record, header.columns().user, "user_id", UserId::parse).ok()??;
        Some((session, user))
    }
}

fn bad(column: &'static str, value: &str, error: IdError) -> Rejection {
    Rejection::Id { column, error, value: value.trim().into() }
}

/// The session that a record names, if it can be read.
fn session_of(header: &Header, record: &Record<'_>) -> Option<SessionId> {
    SessionId::parse(record.field(header.columns().session?)).ok()
}

impl Identify {
    /// `listed` is the user in the listing of `--bulk`.
    fn target(
        self,
        session: SessionId,
        team: Option<TeamId>,
        user: Option<UserId>,
        listed: Option<UserId>,
    ) -> Option<Target> {
        match (self, team, user) {
            (Self::Auto | Self::User, team, Some(user)) => Some(Target::by_user(session, user, team)),
            (Self::Auto, Some(team), None) => Some(Target::by_team(session, team, listed)),
            (Self::Team, Some(team), user) => Some(Target::by_team(session, team, user.or(listed))),
            (Self::Auto, None, None) | (Self::User, _, None) | (Self::Team, None, _) => None,
        }
    }

    fn wanted(self, header: &Header) -> &'static str {
        let columns = header.columns();
        match self {
            Self::User => "user_id",
            Self::Team => "team_id",
            Self::Auto if columns.team.is_none() => "user_id",
            Self::Auto if columns.user.is_none() => "team_id",
            Self::Auto => "user_id or team_id",
        }
    }
}

/// An id that may be left empty.
fn optional<T>(
    record: &Record<'_>,
    column: Option<usize>,
    name: &'static str,
    parse: fn(&str) -> Result<T, IdError>,
) -> Result<Option<T>, Rejection> {
    let text = column.map_or("", |index| record.field(index));
    match parse(text) {
        Ok(id) => Ok(Some(id)),
        Err(IdError::Missing) => Ok(None),
        Err(error) => Err(bad(name, text, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::RecordReader;
    use super::*;
    use std::collections::HashSet;

    /// The verdict on one row under a header, as `who:session` or as the rule it broke.
    fn verdict(rules: &Rules, text: &str) -> String {
        let mut records = RecordReader::at_start(text.as_bytes(), 64).unwrap();
        let header =
            Header::read(&mut records, None, &crate::model::ColumnNames::default(), rules.of_header()).unwrap();
        let record = records.next().unwrap().unwrap();
        match rules.validate(&header, &record) {
            Ok(Target::Session(target)) => format!("{}:{}", target.identifier().1, target.session()),
            Ok(Target::User(target)) => target.user().to_string(),
            Err(rejection) => format!("{}: {rejection}", rejection.rule()),
        }
    }

    #[test]
    fn rows_are_named_by_one_id_or_rejected_by_the_first_rule_broken() {
        use Identify::{Auto, Team, User};
        const THREE: &str = "team_id,session_id,user_id\n";
        for (identify, header, row, want) in [
            (Auto, THREE, "T1,12,U1", "U1:12"),
            (Auto, THREE, "T1, 12 ,", "T1:12"),
            (Auto, THREE, ",12,W1", "W1:12"),
            (Team, THREE, "T1,12,U1", "T1:12"),
            (Team, THREE, "E1,12,", "E1:12"),
            (User, THREE, "T1,12,U1", "U1:12"),
            (User, THREE, "T1,12,", "missing_owner_id: user_id is empty"),
            (Team, THREE, ",12,U1", "missing_owner_id: team_id is empty"),
            (Auto, THREE, ",12,", "missing_owner_id: user_id or team_id is empty"),
            (Auto, "team_id,session_id\n", ",12", "missing_owner_id: team_id is empty"),
            (Auto, THREE, "T1,,U1", "missing_session_id: session_id is empty"),
            (Auto, THREE, "T1,U1,12", "bad_session_id: session_id \"U1\" is not an integer"),
            (Auto, THREE, "U1,12,U1", "bad_team_id: team_id \"U1\" is not a workspace (T…) or organization (E…) id"),
            (Team, THREE, "T1,12,T1", "bad_user_id: user_id \"T1\" is not a user id (U… or W…)"),
            (Auto, THREE, "T1,12", "too_few_columns: the row has 2 columns, the header has 3"),
            (Auto, THREE, "T1,12,U1,", "U1:12"),
            (Auto, THREE, "T1,12,U1,x", "too_many_columns: the row has 4 columns, the header has 3"),
        ] {
            let rules = Rules { identify, ..Rules::default() };
            assert_eq!(verdict(&rules, &format!("{header}{row}\n")), want, "{identify:?} {row:?}");
        }
    }

    #[test]
    fn whole_users_are_named_by_their_id_whatever_the_session_is() {
        const THREE: &str = "team_id,session_id,user_id\n";
        let protection = Protection {
            users: HashSet::from([UserId::parse("U7").unwrap()]),
            sessions: HashSet::from([SessionId::from(9)]),
            users_of_sessions: HashSet::from([UserId::parse("U8").unwrap()]),
            own_users: HashSet::from([UserId::parse("W9").unwrap()]),
            ..Protection::default()
        };
        for (header, row, want) in [
            (THREE, "T1,12,U1", "U1"),
            (THREE, ",1.11E+12,U1", "U1"),
            (THREE, "T1,,W1", "W1"),
            ("user_id\n", "U1", "U1"),
            (THREE, "T1,12,", "missing_user_id: user_id is empty: `slack-revoke resolve` adds it"),
            (THREE, "T1,12,12", "bad_user_id: user_id \"12\" is not a user id (U… or W…)"),
            (THREE, "U1,12,U1", "bad_team_id: team_id \"U1\" is not a workspace (T…) or organization (E…) id"),
            (THREE, "T1,12", "too_few_columns: the row has 2 columns, the header has 3"),
            (THREE, "T1,12,U7", "protected_user: the user is protected"),
            (THREE, "T1,9,U1", "protected_session: the session is protected"),
            (THREE, "T1,12,U8", "protected_session: another session of the user is protected, and would end too"),
            ("user_id\n", "W9", "own_session: a session of the token's own user; --allow-self would send it"),
        ] {
            let rules = Rules { covers: Covers::Everybody, protection: protection.clone(), ..Rules::default() };
            assert_eq!(verdict(&rules, &format!("{header}{row}\n")), want, "{row:?}");
        }
    }

    #[test]
    fn the_protected_are_never_named() {
        let user = |id| UserId::parse(id).unwrap();
        let protection = Protection {
            users: HashSet::from([user("U1")]),
            sessions: HashSet::from([SessionId::from(7)]),
            own_users: HashSet::from([user("U2")]),
            ..Protection::default()
        };
        for (row, want) in [
            ("T1,12,U1", "protected_user"),
            ("T1,7,U9", "protected_session"),
            ("T1,7,", "protected_session"),
            ("T1,12,U2", "own_session"),
            ("T1,12,U3", "T1"),
            ("T1,12,", "T1"),
        ] {
            let rules = Rules { identify: Identify::Team, protection: protection.clone(), ..Rules::default() };
            let verdict = verdict(&rules, &format!("team_id,session_id,user_id\n{row}\n"));
            assert_eq!(verdict.split(':').next(), Some(want), "{row:?}");
        }
    }
}
