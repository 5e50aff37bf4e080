//! One entry of Slack's audit log, and the session of its actor.

use crate::model::{EmailAddress, SessionId, TeamId, Timestamp, UserId};
use serde_json::Value;

/// The parts of an entry, unchanged; empty if missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditEntry {
    pub id: String,
    pub action: String,
    pub at: Option<Timestamp>,
    pub actor_type: String,
    pub user_id: String,
    pub email: Option<EmailAddress>,
    /// The user that was acted on; empty if it was something else.
    pub acted_on: String,
    pub team_id: String,
    pub ip: String,
    pub user_agent: String,
    pub session_id: String,
    pub has_app: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSession {
    pub session: SessionId,
    pub user: UserId,
    pub team: Option<TeamId>,
}

/// Why an entry shows no session that can be revoked (slack.md, "What people hold").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeftOut {
    NotAnEntry,
    NoPath,
    ByApp,
    NotAUser,
    ChannelJoin,
    OnAnother,
    BadUser,
    NoSession,
    BadSession,
    BadTeam,
    /// Only with `--ip` or `--not-ip`.
    UnknownAddress,
    /// Only with `--since` or `--until`.
    UnknownTime,
    SeveralUsers,
}

impl LeftOut {
    /// The word for the reason, and its meaning.
    #[must_use]
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::NotAnEntry => ("not_an_entry", "not an audit log entry"),
            Self::NoPath => ("no_path", "nothing at --path"),
            Self::ByApp => ("by_app", "made by an app, with its token and no session"),
            Self::NotAUser => ("not_a_user", "the actor isn't a user"),
            Self::ChannelJoin => ("channel_join", "user_channel_join, whose context is the inviter's"),
            Self::OnAnother => ("on_another", "an action on another user, such as an administrator's"),
            Self::BadUser => ("bad_user_id", "no user id, or one that isn't Slack's"),
            Self::NoSession => ("no_session_id", "no session id"),
            Self::BadSession => ("bad_session_id", "a session id that isn't an integer"),
            Self::BadTeam => ("bad_team_id", "a location that isn't a workspace or an organization"),
            Self::UnknownAddress => ("unknown_address", "an address that can't be read, and may be in any range"),
            Self::UnknownTime => ("unknown_time", "a time that can't be read"),
            Self::SeveralUsers => ("several_users", "a session id that several users have"),
        }
    }

    /// Whether something couldn't be read, so that a session may be missing.
    #[must_use]
    pub fn is_unreadable(self) -> bool {
        match self {
            Self::NotAnEntry
            | Self::NoPath
            | Self::BadUser
            | Self::BadSession
            | Self::BadTeam
            | Self::UnknownAddress
            | Self::UnknownTime
            | Self::SeveralUsers => true,
            Self::ByApp | Self::NotAUser | Self::ChannelJoin | Self::OnAnother | Self::NoSession => false,
        }
    }
}

/// Slack's name for the actor of its own actions.
const NOBODY: &str = "USLACKUSER";

impl AuditEntry {
    /// Reads an entry that is nested or has flat keys such as `context.session_id`. Returns `None` for anything else.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let text = |path| find(value, path).map(text).unwrap_or_default();
        let action = text("action");
        let is_entry = !action.is_empty() && ["actor", "context"].iter().any(|part| has(value, part));
        is_entry.then(|| Self {
            id: text("id"),
            action,
            at: time(&text("date_create")),
            actor_type: text("actor.type"),
            user_id: text("actor.user.id"),
            email: EmailAddress::parse(&text("actor.user.email")),
            acted_on: text("entity.user.id"),
            team_id: text("context.location.id"),
            ip: text("context.ip_address"),
            user_agent: text("context.ua"),
            session_id: text("context.session_id"),
            has_app: find(value, "context.app").is_some_and(|app| !is_nothing(app)),
        })
    }

    /// The actor.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        UserId::parse(&self.user_id).ok().filter(|user| user.as_str() != NOBODY)
    }

    /// The session that the actor used.
    ///
    /// # Errors
    /// Why it is unknown.
    pub fn session(&self) -> Result<SeenSession, LeftOut> {
        if self.has_app {
            return Err(LeftOut::ByApp);
        }
        if !matches!(&*self.actor_type, "" | "user") {
            return Err(LeftOut::NotAUser);
        }
        if self.action == "user_channel_join" {
            return Err(LeftOut::ChannelJoin);
        }
        if !self.acted_on.is_empty() && self.acted_on != self.user_id {
            return Err(LeftOut::OnAnother);
        }
        let user = self.user().ok_or(LeftOut::BadUser)?;
        if self.session_id.is_empty() {
            return Err(LeftOut::NoSession);
        }
        let session = SessionId::parse(&self.session_id).map_err(|_| LeftOut::BadSession)?;
        let team = Some(&*self.team_id).filter(|team| !team.is_empty()).map(TeamId::parse).transpose();
        Ok(SeenSession { session, user, team: team.map_err(|_| LeftOut::BadTeam)? })
    }
}

/// The value at a dotted path, through nested objects or keys with dots.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(path).or_else(|| {
        let mut ends = path.match_indices('.').map(|(at, _)| at);
        ends.find_map(|at| find(object.get(&path[..at])?, &path[at + 1..]))
    })
}

fn has(value: &Value, part: &str) -> bool {
    let is_below = |key: &String| key.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    value.as_object().is_some_and(|object| object.keys().any(is_below))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().into(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Reads RFC 3339, or seconds, milliseconds or microseconds since 1970. `None` for a time without a zone.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return match text.len() {
            9..=10 => Some(Timestamp::from_millis(number * 1000)),
            12..=13 => Some(Timestamp::from_millis(number)),
            15..=16 => Some(Timestamp::from_millis(number / 1000)),
            _ => None,
        };
    }
    let zoned = text.strip_suffix("UTC").map(|time| format!("{}Z", time.trim_end()));
    Timestamp::parse(zoned.as_deref().unwrap_or(text))
}

/// The `--path` of an audit entry that is nested in something else.
pub(super) fn likely_path(value: &Value) -> Option<String> {
    value.as_object()?.iter().find_map(|(key, inner)| {
        let parsed = inner.as_str().and_then(|text| serde_json::from_str(text).ok());
        let inner: &Value = parsed.as_ref().unwrap_or(inner);
        if AuditEntry::of(inner).is_some() {
            return Some(key.clone());
        }
        likely_path(inner).map(|path| format!("{key}.{path}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> Value {
        json!({
            "id": "0123a45b-6c7d-8900-e12f-3456789gh0i1",
            "date_create": 1_521_214_343,
            "action": "user_login",
            "actor": {"type": "user", "user": {"id": "W123AB456", "name": "Charlie", "email": "Bird@slack.com", "team": "T1"}},
            "entity": {"type": "user", "user": {"id": "W123AB456"}},
            "context": {
                "location": {"type": "enterprise", "id": "E1701NCCA", "name": "Birdland", "domain": "birdland"},
                "ua": "Mozilla/5.0", "session_id": "847288190092", "ip_address": "1.23.45.678"
            }
        })
    }

    /// The reason for an entry in which this pointer has this value.
    fn reason(pointer: &str, value: Value) -> &'static str {
        let mut changed = entry();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[key] = value;
        match AuditEntry::of(&changed).map(|entry| entry.session()) {
            Some(Ok(_)) => "",
            Some(Err(reason)) => reason.describe().0,
            None => "not_an_entry",
        }
    }

    #[test]
    fn an_entry_shows_its_actors_session() {
        let read = AuditEntry::of(&entry()).unwrap();
        let seen = read.session().unwrap();
        assert_eq!((seen.session.get(), seen.user.as_str()), (847_288_190_092, "W123AB456"));
        assert_eq!(seen.team.unwrap().as_str(), "E1701NCCA");
        assert_eq!(read.at.unwrap().rfc3339_seconds(), "2018-03-16T15:32:23Z");
        assert_eq!(read.email.unwrap().as_str(), "bird@slack.com");
        let flat =
            json!({"action": "file_downloaded", "actor.user.id": "U1", "context.session_id": 7, "context.app": {}});
        assert_eq!(AuditEntry::of(&flat).unwrap().session().unwrap().session.get(), 7);
    }

    #[test]
    fn every_reason_has_its_word() {
        for (pointer, value, want) in [
            ("/context/session_id", json!(847_288_190_092_u64), ""),
            ("/entity", json!({"type": "channel", "channel": {"id": "C1"}}), ""),
            ("/context/app", json!(null), ""),
            ("/context/location", json!(null), ""),
            ("/context/app", json!({"id": "A1"}), "by_app"),
            ("/actor/type", json!("bot"), "not_a_user"),
            ("/action", json!("user_channel_join"), "channel_join"),
            ("/entity/user/id", json!("U9"), "on_another"),
            ("/actor/user", json!({"id": "USLACKUSER"}), "on_another"),
            ("/actor/user", json!(null), "on_another"),
            ("/context/session_id", json!(null), "no_session_id"),
            ("/context/session_id", json!(""), "no_session_id"),
            ("/context/session_id", json!("abc"), "bad_session_id"),
            ("/context/session_id", json!(-5), "bad_session_id"),
            ("/context/session_id", json!(1.5e12), ""),
            ("/context/session_id", json!(8.5), "bad_session_id"),
            ("/context/location/id", json!("nowhere"), "bad_team_id"),
            ("/action", json!(null), "not_an_entry"),
        ] {
            assert_eq!(reason(pointer, value.clone()), want, "{pointer} {value}");
        }
        let nobody = |id: &str| AuditEntry { user_id: id.into(), ..AuditEntry::default() }.session();
        assert_eq!(nobody("USLACKUSER"), Err(LeftOut::BadUser));
        assert_eq!(nobody(""), Err(LeftOut::BadUser));
        assert_eq!(nobody("U1"), Err(LeftOut::NoSession));
    }

    #[test]
    fn times_need_a_zone() {
        for (text, want) in [
            ("1521214343", Some("2018-03-16T15:32:23Z")),
            ("1521214343000", Some("2018-03-16T15:32:23Z")),
            ("1521214343000000", Some("2018-03-16T15:32:23Z")),
            ("2018-03-16T16:32:23+01:00", Some("2018-03-16T15:32:23Z")),
            ("2018-03-16 15:32:23 UTC", Some("2018-03-16T15:32:23Z")),
            ("2018-03-16 15:32:23", None),
            ("20180316", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(time(text).map(Timestamp::rfc3339_seconds).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_nested_entry_is_found() {
        assert_eq!(
            likely_path(&json!({"event": {"kind": "x", "original": entry().to_string()}})).as_deref(),
            Some("event.original")
        );
        assert_eq!(likely_path(&json!({"_source": entry()})).as_deref(), Some("_source"));
        assert_eq!(likely_path(&json!({"a": {"b": 1}})), None);
    }
}
