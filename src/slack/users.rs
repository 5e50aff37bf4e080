//! `admin.users.list`: pages of users. Pure; [`super::Client::list_users`] makes the call.

use super::list::{id, next_cursor};
use super::request::Form;
use crate::model::{EmailAddress, UserId};
use serde::Deserialize;
use serde_json::Value;

/// Users on a page: what Slack gives if nothing is asked for; the most that it takes isn't documented.
const PAGE: &str = "100";

/// What to list (slack.md, "The sibling methods").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserQuery {
    /// Active accounts, or deactivated ones: never both.
    pub is_active: bool,
    /// Where the last page ended; `None` for the first.
    pub cursor: Option<Box<str>>,
}

impl UserQuery {
    pub(super) fn form(&self) -> Form {
        let form = Form::new().with("limit", PAGE).with("is_active", if self.is_active { "true" } else { "false" });
        match &self.cursor {
            Some(cursor) => form.with("cursor", cursor),
            None => form,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPage {
    /// Users with an address; others can't be looked for.
    pub users: Vec<(UserId, EmailAddress)>,
    /// Users with an address whose id can't be read.
    pub unreadable: Vec<EmailAddress>,
    /// What the next query's cursor has to be; `None` after the last page.
    pub next_cursor: Option<Box<str>>,
}

#[derive(Deserialize)]
struct UsersBody {
    users: Vec<Value>,
    #[serde(default)]
    response_metadata: Value,
}

/// Reads the body of a successful answer; `None` if it holds no list of users, or it can't be read whether another page follows.
pub(super) fn read(body: &[u8]) -> Option<UserPage> {
    let body: UsersBody = serde_json::from_slice(body).ok()?;
    let next_cursor = Some(next_cursor(&body.response_metadata)?).filter(|cursor| !cursor.is_empty());
    let mut page = UserPage { next_cursor, ..UserPage::default() };
    for user in &body.users {
        let address = user.get("email").and_then(Value::as_str).and_then(EmailAddress::parse);
        match (id(user, "id", UserId::parse), address) {
            (Some(id), Some(address)) => page.users.push((id, address)),
            (None, Some(address)) => page.unreadable.push(address),
            (_, None) => {}
        }
    }
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_users_with_addresses() {
        let page = read(
            br#"{"ok":true,"users":[{"id":"U1","email":"A@X.com"},{"id":"W2","email":null},{"id":"?","email":"b@x.com"},{"id":"U3"}],
                "response_metadata":{"next_cursor":"n="}}"#,
        )
        .unwrap();
        let texts: Vec<_> = page.users.iter().map(|(id, address)| (id.as_str(), address.as_str())).collect();
        assert_eq!((texts, page.unreadable.len()), (vec![("U1", "a@x.com")], 1));
        assert_eq!(page.next_cursor.as_deref(), Some("n="));
        assert_eq!(read(br#"{"ok":true,"users":{}}"#), None);
        let query = UserQuery { is_active: false, cursor: Some("n=".into()) };
        assert_eq!(query.form().finish(), "limit=100&is_active=false&cursor=n%3D");
    }
}
