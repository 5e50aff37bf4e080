//! `auth.test`: the owner of the token. Pure; [`super::Client::auth_test`] makes the call.

use super::retry_after;
use super::wire::{Headers, Lenient, clean};
use crate::model::{TeamId, Timestamp, UserId};
use serde::Deserialize;
use std::time::Duration;

/// The owner and the scopes of a token (slack.md, "The sibling methods").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthTest {
    /// The address of the workspace or the organization.
    pub url: Option<Box<str>>,
    /// The name of the workspace or the organization.
    pub team: Option<Box<str>>,
    pub user: Option<Box<str>>,
    /// The id of the workspace, or of the organization for an organization's token.
    pub team_id: Option<TeamId>,
    /// An answer without it isn't valid.
    pub user_id: UserId,
    /// The organization's id; `None` outside Enterprise Grid.
    pub enterprise_id: Option<TeamId>,
    /// Whether the app is installed on the organization as a whole.
    pub is_enterprise_install: Option<bool>,
    /// Until the token expires; `None` if it doesn't.
    pub expires_in: Option<Duration>,
    /// The scopes of `x-oauth-scopes`; `None` if the header is missing, which isn't the same as no scope.
    pub scopes: Option<Vec<Box<str>>>,
    /// The `Date` header, in whole seconds.
    pub server_date: Option<Timestamp>,
}

impl AuthTest {
    /// `None` if Slack didn't report the scopes.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> Option<bool> {
        self.scopes.as_ref().map(|scopes| scopes.iter().any(|held| &**held == scope))
    }

    /// The organization, otherwise the workspace.
    #[must_use]
    pub fn organization(&self) -> Option<&TeamId> {
        self.enterprise_id.as_ref().or(self.team_id.as_ref())
    }
}

#[derive(Deserialize)]
struct AuthTestBody {
    url: Option<Lenient<String>>,
    team: Option<Lenient<String>>,
    user: Option<Lenient<String>>,
    team_id: Option<Lenient<String>>,
    user_id: String,
    enterprise_id: Option<Lenient<String>>,
    is_enterprise_install: Option<Lenient<bool>>,
    expires_in: Option<Lenient<u64>>,
}

/// Reads the body of a successful answer. `None` without a user id; other invalid members count as absent.
pub(super) fn read(headers: &Headers<'_>, body: &[u8]) -> Option<AuthTest> {
    let body: AuthTestBody = serde_json::from_slice(body).ok()?;
    let text = |text: Option<Lenient<String>>| text.and_then(Lenient::into_value);
    let shown = |member| text(member).map(|text| clean(&text)).filter(|text| !text.is_empty());
    let team = |member| text(member).and_then(|id| TeamId::parse(&id).ok());
    Some(AuthTest {
        url: shown(body.url),
        team: shown(body.team),
        user: shown(body.user),
        team_id: team(body.team_id),
        user_id: UserId::parse(&body.user_id).ok()?,
        enterprise_id: team(body.enterprise_id),
        is_enterprise_install: body.is_enterprise_install.and_then(Lenient::into_value),
        expires_in: body.expires_in.and_then(Lenient::into_value).map(Duration::from_secs),
        scopes: headers.scopes.map(scopes),
        server_date: headers.date.and_then(retry_after::http_date),
    })
}

fn scopes(header: &str) -> Vec<Box<str>> {
    header.split(',').map(|scope| clean(scope.trim())).filter(|scope| !scope.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_the_scopes_and_the_clock_are_read() {
        let headers = Headers {
            scopes: Some("admin.users:read,admin.users:write, identify,"),
            date: Some("Wed, 21 Oct 2015 07:28:00 GMT"),
            ..Headers::default()
        };
        let body = br#"{"ok":true,"url":"https://acme.enterprise.slack.com/","team":"Acme\u001b[1m","user":"ada",
            "team_id":"E1","user_id":"W1","enterprise_id":"E1","is_enterprise_install":true,"expires_in":43200,"x":1}"#;
        let auth = read(&headers, body).unwrap();
        assert_eq!(auth.url.as_deref(), Some("https://acme.enterprise.slack.com/"));
        assert_eq!((auth.team.as_deref(), auth.user.as_deref()), (Some("Acme[1m"), Some("ada")));
        assert_eq!(auth.team_id.as_ref().map(TeamId::as_str), Some("E1"));
        assert_eq!(auth.user_id.as_str(), "W1");
        assert_eq!(auth.enterprise_id.as_ref().map(TeamId::as_str), Some("E1"));
        assert_eq!((auth.is_enterprise_install, auth.expires_in), (Some(true), Some(Duration::from_hours(12))));
        assert_eq!(auth.has_scope("admin.users:write"), Some(true));
        assert_eq!(auth.has_scope("admin"), Some(false));
        assert_eq!(auth.server_date, Some(Timestamp::from_millis(1_445_412_480_000)));
    }

    #[test]
    fn the_user_is_all_that_has_to_be_there() {
        let odd = br#"{"ok":true,"user_id":"U1","team_id":["T1"],"user":7,"enterprise_id":null,"expires_in":"soon"}"#;
        for body in [&br#"{"user_id":"U1"}"#[..], odd] {
            let auth = read(&Headers::default(), body).unwrap();
            assert_eq!((auth.user_id.as_str(), auth.user, auth.team_id, auth.enterprise_id), ("U1", None, None, None));
            assert_eq!((auth.scopes, auth.server_date, auth.expires_in), (None, None, None));
        }
        for body in [r#"{"ok":true}"#, r#"{"user_id":5}"#, r#"{"user_id":null}"#, r#"{"user_id":"nobody"}"#, "[]"] {
            assert_eq!(read(&Headers::default(), body.as_bytes()), None, "{body}");
        }
    }
}
