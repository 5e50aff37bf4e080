//! `admin.users.list`: pages of users. Pure; [`super::Client::list_users`] makes the call.

use super::list::{id, next_cursor};
use super::request::Form;
use crate::model::{EmailAddress, TeamId, UserId};
use serde::Deserialize;
use serde_json::Value;

/// Users per page: Slack's default. The maximum isn't documented.
const PAGE: &str = "100";

/// What to list (slack.md, "The sibling methods").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserQuery {
    /// Active or deactivated accounts, never both.
    pub is_active: bool,
    /// From the previous page; `None` for the first.
    pub cursor: Option<Box<str>>,
}

impl UserQuery {
    pub(super) fn form(&self) -> Form {
        let form = Form::new().with("limit", PAGE).with("is_active", if self.is_active { "true" } else { "false" });
        let form = if self.is_active { form } else { form.with("include_deactivated_user_workspaces", "true") };
        match &self.cursor {
            Some(cursor) => form.with("cursor", cursor),
            None => form,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackUser {
    pub id: UserId,
    pub email: Option<EmailAddress>,
    /// Empty if Slack doesn't report them, or if one can't be read.
    pub workspaces: Vec<TeamId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPage {
    pub users: Vec<SlackUser>,
    /// Addresses of users whose id can't be read.
    pub unreadable: Vec<EmailAddress>,
    /// The cursor of the next page; `None` after the last one.
    pub next_cursor: Option<Box<str>>,
}

#[derive(Deserialize)]
struct UsersBody {
    users: Vec<Value>,
    #[serde(default)]
    response_metadata: Value,
}

/// Reads the body of a successful answer. `None` if it has no list of users, or if the cursor can't be read.
pub(super) fn read(body: &[u8]) -> Option<UserPage> {
    let body: UsersBody = serde_json::from_slice(body).ok()?;
    let next_cursor = Some(next_cursor(&body.response_metadata)?).filter(|cursor| !cursor.is_empty());
    let mut page = UserPage { next_cursor, ..UserPage::default() };
    for user in &body.users {
        let address = user.get("email").and_then(Value::as_str).and_then(EmailAddress::parse);
        match (id(user, "id", UserId::parse), address) {
            (Some(id), email) => page.users.push(SlackUser { id, email, workspaces: workspaces(user) }),
            (None, Some(address)) => page.unreadable.push(address),
            (None, None) => {}
        }
    }
    Some(page)
}

fn workspaces(user: &Value) -> Vec<TeamId> {
    let ids = user.get("workspaces").and_then(Value::as_array).into_iter().flatten();
    ids.map(|id| id.as_str().and_then(|id| TeamId::parse(id).ok())).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_users_with_addresses() {
        let page = read(
            br#"{"ok":true,"users":[{"id":"U1","email":"A@X.com","workspaces":["T1","T2"]},{"id":"W2","email":null},{"id":"?","email":"b@x.com"},{"id":"U3"}],
                "response_metadata":{"next_cursor":"n="}}"#,
        )
        .unwrap();
        let texts = page.users.iter().map(|user| (user.id.as_str(), user.email.as_ref().map(EmailAddress::as_str)));
        let want = [("U1", Some("a@x.com")), ("W2", None), ("U3", None)];
        assert_eq!((texts.collect::<Vec<_>>(), page.unreadable.len()), (want.to_vec(), 1));
        assert_eq!([page.users[0].workspaces.len(), page.users[1].workspaces.len()], [2, 0]);
        assert_eq!(page.next_cursor.as_deref(), Some("n="));
        assert_eq!(read(br#"{"ok":true,"users":{}}"#), None);
        let query = UserQuery { is_active: false, cursor: Some("n=".into()) };
        assert_eq!(
            query.form().finish(),
            "limit=100&is_active=false&include_deactivated_user_workspaces=true&cursor=n%3D"
        );
    }
}
