//! `admin.users.session.list`: pages of sessions. Pure; [`super::Client::list_sessions`] makes the call.

use super::CallError;
use super::request::Form;
use super::wire::clean;
use crate::model::{IdError, SessionId, TeamId, UserId};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// What to list (slack.md, "The sibling methods").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The sessions of one user in one workspace; the method takes both ids or neither.
    pub owner: Option<(TeamId, UserId)>,
    /// From the previous page; `None` for the first.
    pub cursor: Option<Box<str>>,
    /// Sessions per page, 1 to 1,000.
    pub limit: u16,
}

impl ListQuery {
    pub(super) fn form(&self) -> Form {
        let mut form = Form::new().with("limit", &self.limit.to_string());
        if let Some((team, user)) = &self.owner {
            form = form.with("team_id", team.as_str()).with("user_id", user.as_str());
        }
        match &self.cursor {
            Some(cursor) => form.with("cursor", cursor),
            None => form,
        }
    }
}

/// A page, or why there is none.
pub type ListReply = Result<SessionPage, CallError>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionPage {
    pub sessions: Vec<ActiveSession>,
    /// Sessions that exist, but whose user or id can't be read.
    pub unreadable: Vec<UnreadableSession>,
    /// The cursor of the next page; `None` after the last one.
    pub next_cursor: Option<Box<str>>,
}

/// A session without a readable user or session id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnreadableSession {
    pub user_id: Option<UserId>,
    pub session_id: Option<SessionId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveSession {
    pub user_id: UserId,
    /// `None` if it can't be read; a session can also be identified by its user.
    pub team_id: Option<TeamId>,
    pub session_id: SessionId,
    /// The device that signed in.
    pub created: Option<Device>,
    /// The device seen last, if it is another one.
    pub recent: Option<Device>,
}

/// Texts have no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    pub device_hardware: Option<Box<str>>,
    pub os: Option<Box<str>>,
    pub os_version: Option<Box<str>>,
    pub slack_client_version: Option<Box<str>>,
    pub ip: Option<Box<str>>,
}

#[derive(Deserialize)]
struct ListBody {
    active_sessions: Vec<Value>,
    #[serde(default)]
    response_metadata: Value,
}

/// Reads the body of a successful answer. `None` if it has no list of sessions, or if the cursor can't be read.
pub(super) fn read(body: &[u8]) -> Option<SessionPage> {
    let body: ListBody = serde_json::from_slice(body).ok()?;
    let next_cursor = Some(next_cursor(&body.response_metadata)?).filter(|cursor| !cursor.is_empty());
    let mut page = SessionPage { next_cursor, ..SessionPage::default() };
    for value in &body.active_sessions {
        match session(value) {
            Ok(session) => page.sessions.push(session),
            Err(unreadable) => page.unreadable.push(unreadable),
        }
    }
    Some(page)
}

/// `None` on the last page. PHP writes an empty object as `[]`, which is accepted here and below.
pub(super) fn next_cursor(metadata: &Value) -> Option<Box<str>> {
    match metadata.get("next_cursor").unwrap_or(&Value::Null) {
        Value::Null => (metadata.is_null() || metadata.is_object() || is_empty_list(metadata)).then(Box::default),
        cursor => text(cursor).map(Into::into),
    }
}

/// Only user and session id must be readable, because a session that isn't listed stays alive.
fn session(value: &Value) -> Result<ActiveSession, UnreadableSession> {
    let ids = UnreadableSession {
        user_id: id(value, "user_id", UserId::parse),
        session_id: id(value, "session_id", SessionId::parse),
    };
    match ids {
        UnreadableSession { user_id: Some(user_id), session_id: Some(session_id) } => Ok(ActiveSession {
            user_id,
            team_id: id(value, "team_id", TeamId::parse),
            session_id,
            created: device(value, "created"),
            recent: device(value, "recent"),
        }),
        unreadable => Err(unreadable),
    }
}

pub(super) fn id<T>(object: &Value, name: &str, parse: fn(&str) -> Result<T, IdError>) -> Option<T> {
    parse(&object.get(name).and_then(text)?).ok()
}

/// Anything but an object is an unknown device.
fn device(session: &Value, name: &str) -> Option<Device> {
    let device = session.get(name).filter(|device| !device.is_null() && !is_empty_list(device))?;
    let shown = |name| device.get(name).and_then(text).map(|text| clean(&text)).filter(|text| !text.is_empty());
    Some(Device {
        device_hardware: shown("device_hardware"),
        os: shown("os"),
        os_version: shown("os_version"),
        slack_client_version: shown("slack_client_version"),
        ip: shown("ip"),
    })
}

/// A string, or a number as text.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_team_and_user_together_and_encodes_the_cursor() {
        let mut query = ListQuery { owner: None, cursor: None, limit: 1000 };
        assert_eq!(query.form().finish(), "limit=1000");
        query.owner = Some((TeamId::parse("T1").unwrap(), UserId::parse("U1").unwrap()));
        query.cursor = Some("dXNlcg==".into());
        assert_eq!(query.form().finish(), "limit=1000&team_id=T1&user_id=U1&cursor=dXNlcg%3D%3D");
    }

    #[test]
    fn a_page_is_read_with_its_devices_and_its_cursor() {
        let page = read(
            br#"{"ok":true,"active_sessions":[
                {"user_id":"U1","team_id":"T1","session_id":1112275520242,
                 "created":{"device_hardware":"Mac\u001b","os":"macOS","os_version":14.1,"slack_client_version":"4","ip":"192.0.2.1"},
                 "recent":{"ip":"192.0.2.2","os":null}},
                {"user_id":"W2","team_id":"E1","session_id":"7"}],
              "response_metadata":{"next_cursor":"abc="}}"#,
        )
        .unwrap();
        assert_eq!((page.sessions.len(), page.unreadable.len()), (2, 0));
        assert_eq!(page.next_cursor.as_deref(), Some("abc="));
        let first = &page.sessions[0];
        assert_eq!((first.user_id.as_str(), first.session_id.get()), ("U1", 1_112_275_520_242));
        assert_eq!(first.team_id.as_ref().map(TeamId::as_str), Some("T1"));
        let created = first.created.as_ref().unwrap();
        assert_eq!((created.device_hardware.as_deref(), created.ip.as_deref()), (Some("Mac"), Some("192.0.2.1")));
        assert_eq!(created.os_version.as_deref(), Some("14.1"), "a number in the place of a text");
        assert_eq!(first.recent.as_ref().unwrap().ip.as_deref(), Some("192.0.2.2"));
        assert_eq!((page.sessions[1].session_id.get(), page.sessions[1].created.as_ref()), (7, None));
    }

    #[test]
    fn a_session_with_its_user_and_its_id_is_kept_whatever_else_is_odd() {
        let unknown = Some(Device::default());
        for (odd, team, created) in [
            (r#""created":[]"#, None, None),
            (r#""created":null,"team_id":null"#, None, None),
            (r#""created":{},"team_id":5"#, None, unknown.clone()),
            (r#""created":"Mac","recent":false,"team_id":["T1"]"#, None, unknown.clone()),
            (r#""created":[{"ip":"192.0.2.1"}],"team_id":"x""#, None, unknown.clone()),
            (r#""created":{"ip":["192.0.2.1"],"os":{}},"team_id":" T1 ""#, Some("T1"), unknown),
        ] {
            let page =
                read(format!(r#"{{"active_sessions":[{{"user_id":"U1","session_id":7,{odd}}}]}}"#).as_bytes()).unwrap();
            assert_eq!(page.unreadable, [], "{odd}");
            let session = &page.sessions[0];
            assert_eq!((session.team_id.as_ref().map(TeamId::as_str), &session.created), (team, &created), "{odd}");
        }
    }

    #[test]
    fn of_a_session_without_one_of_its_ids_the_other_is_known() {
        for (entry, user, session) in [
            (r#"{"user_id":"U3","team_id":"T1"}"#, Some("U3"), None),
            (r#"{"user_id":"U3","team_id":"T1","session_id":-1}"#, Some("U3"), None),
            (r#"{"user_id":"U3","team_id":"T1","session_id":1.5}"#, Some("U3"), None),
            (r#"{"user_id":"nobody","session_id":8}"#, None, Some(8)),
            (r#"{"user_id":3,"session_id":" 8 "}"#, None, Some(8)),
            (r#""odd""#, None, None),
            ("[]", None, None),
        ] {
            let page = read(format!(r#"{{"active_sessions":[{entry}]}}"#).as_bytes()).unwrap();
            let ids = UnreadableSession {
                user_id: user.map(|user| UserId::parse(user).unwrap()),
                session_id: session.map(SessionId::from),
            };
            assert_eq!((page.sessions.len(), page.unreadable), (0, vec![ids]), "{entry}");
        }
    }

    #[test]
    fn the_last_page_has_no_cursor_and_a_body_without_sessions_is_no_page() {
        for body in [
            r#"{"ok":true,"active_sessions":[]}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":{"next_cursor":""}}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":{}}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":[]}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":{"next_cursor":null}}"#,
        ] {
            assert_eq!(read(body.as_bytes()), Some(SessionPage::default()), "{body}");
        }
        for body in [
            r#"{"ok":true}"#,
            r#"{"ok":true,"active_sessions":{}}"#,
            r#"{"ok":true,"active_sessions":null}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":{"next_cursor":["abc"]}}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":"abc"}"#,
        ] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
