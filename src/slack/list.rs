//! `admin.users.session.list`: pages of sessions. Pure; [`super::Client::list_sessions`] makes the call.

use super::CallError;
use super::form::Form;
use super::text::clean;
use crate::domain::{SessionId, TeamId, UserId};
use serde::Deserialize;

/// What to list (slack.md, "The sibling methods").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The sessions of one user in one workspace; the method takes both ids or neither.
    pub owner: Option<(TeamId, UserId)>,
    /// Where the last page ended; none for the first.
    pub cursor: Option<Box<str>>,
    /// Sessions on a page, 1 to 1000.
    pub limit: u16,
}

impl ListQuery {
    /// The arguments as a form.
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
pub type ListReply = Result<Page, CallError>;

/// One page of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The sessions, in Slack's order.
    pub sessions: Vec<ActiveSession>,
    /// Sessions that lack an id or have one of another form: they exist, but nothing can be said of them. A listing
    /// with such is not complete, and proves nothing gone.
    pub unreadable: usize,
    /// What the next query's cursor has to be; none after the last page.
    pub next_cursor: Option<Box<str>>,
}

/// One session that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveSession {
    /// Its owner.
    pub user_id: UserId,
    /// Its workspace.
    pub team_id: TeamId,
    /// The session.
    pub session_id: SessionId,
    /// The device that signed in.
    pub created: Option<Device>,
    /// The device last seen, where it changed.
    pub recent: Option<Device>,
}

/// What Slack knows of a device. Each text is free of control characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// `device_hardware`
    pub device_hardware: Option<Box<str>>,
    /// `os`
    pub os: Option<Box<str>>,
    /// `os_version`
    pub os_version: Option<Box<str>>,
    /// `slack_client_version`
    pub slack_client_version: Option<Box<str>>,
    /// `ip`
    pub ip: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Body {
    active_sessions: Vec<serde_json::Value>,
    response_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Session {
    user_id: String,
    team_id: String,
    #[serde(rename = "session_id")]
    id: Number,
    created: Option<RawDevice>,
    recent: Option<RawDevice>,
}

/// An integer, or the same in quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Integer(u64),
    Text(String),
}

#[derive(Deserialize)]
struct RawDevice {
    device_hardware: Option<String>,
    os: Option<String>,
    os_version: Option<String>,
    slack_client_version: Option<String>,
    ip: Option<String>,
}

/// Reads the body of a successful answer; none where it holds no list of sessions.
pub(super) fn read(body: &[u8]) -> Option<Page> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let all = body.active_sessions.len();
    let sessions: Vec<_> = body.active_sessions.into_iter().filter_map(session).collect();
    let next_cursor = body.response_metadata.and_then(|metadata| metadata.next_cursor);
    Some(Page {
        unreadable: all - sessions.len(),
        sessions,
        next_cursor: next_cursor.filter(|cursor| !cursor.is_empty()).map(Into::into),
    })
}

fn session(value: serde_json::Value) -> Option<ActiveSession> {
    let session: Session = serde_json::from_value(value).ok()?;
    let session_id = match session.id {
        Number::Integer(id) => SessionId::from(id),
        Number::Text(text) => SessionId::parse(&text).ok()?,
    };
    Some(ActiveSession {
        user_id: UserId::parse(&session.user_id).ok()?,
        team_id: TeamId::parse(&session.team_id).ok()?,
        session_id,
        created: session.created.map(device),
        recent: session.recent.map(device),
    })
}

fn device(raw: RawDevice) -> Device {
    let shown = |text: Option<String>| text.map(|text| clean(&text)).filter(|text| !text.is_empty());
    Device {
        device_hardware: shown(raw.device_hardware),
        os: shown(raw.os),
        os_version: shown(raw.os_version),
        slack_client_version: shown(raw.slack_client_version),
        ip: shown(raw.ip),
    }
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
                 "created":{"device_hardware":"Mac\u001b","os":"macOS","os_version":"14.1","slack_client_version":"4","ip":"192.0.2.1"},
                 "recent":{"ip":"192.0.2.2","os":null}},
                {"user_id":"W2","team_id":"E1","session_id":"7"},
                {"user_id":"U3","session_id":8},
                {"user_id":"U4","team_id":"T1","session_id":-1},
                "odd"],
              "response_metadata":{"next_cursor":"abc="}}"#,
        )
        .unwrap();
        assert_eq!((page.sessions.len(), page.unreadable), (2, 3));
        assert_eq!(page.next_cursor.as_deref(), Some("abc="));
        let first = &page.sessions[0];
        assert_eq!(
            (first.user_id.as_str(), first.team_id.as_str(), first.session_id.get()),
            ("U1", "T1", 1_112_275_520_242)
        );
        let created = first.created.as_ref().unwrap();
        assert_eq!((created.device_hardware.as_deref(), created.ip.as_deref()), (Some("Mac"), Some("192.0.2.1")));
        assert_eq!(first.recent.as_ref().unwrap().ip.as_deref(), Some("192.0.2.2"));
        assert_eq!((page.sessions[1].session_id.get(), page.sessions[1].created.as_ref()), (7, None));
    }

    #[test]
    fn the_last_page_has_no_cursor_and_a_body_without_sessions_is_no_page() {
        for body in [
            r#"{"ok":true,"active_sessions":[]}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":{"next_cursor":""}}"#,
            r#"{"ok":true,"active_sessions":[],"response_metadata":{}}"#,
        ] {
            assert_eq!(read(body.as_bytes()), Some(Page::default()), "{body}");
        }
        for body in [r#"{"ok":true}"#, r#"{"ok":true,"active_sessions":{}}"#, r#"{"ok":true,"active_sessions":null}"#] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
