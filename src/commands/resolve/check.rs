//! `--check`: whether the sessions of the rows are listed, and with which user.

use crate::model::{SessionId, UserId};
use crate::slack::ActiveSession;
use std::collections::HashMap;

/// The added column.
pub const LISTED: &str = "listed";

/// The sessions of the rows with the users that Slack lists. Memory grows with the input.
#[derive(Debug, Default)]
pub struct ListedSessions {
    users: HashMap<SessionId, Option<UserId>>,
    open: usize,
}

impl ListedSessions {
    pub fn note(&mut self, session: SessionId) {
        if self.users.insert(session, None).is_none() {
            self.open += 1;
        }
    }

    pub fn take(&mut self, session: &ActiveSession) {
        if let Some(user @ None) = self.users.get_mut(&session.session_id) {
            *user = Some(session.user_id.clone());
            self.open -= 1;
        }
    }

    /// Whether another page may be useful.
    pub fn is_open(&self) -> bool {
        self.open > 0
    }

    /// The value for a row; empty if it has no session.
    pub fn verdict(&self, session: Option<SessionId>, user: Option<&UserId>) -> &'static str {
        let Some(session) = session else { return "" };
        match (self.users.get(&session), user) {
            (None | Some(None), _) => "no",
            (Some(Some(listed)), Some(user)) if listed != user => "other_user",
            (Some(Some(_)), _) => "yes",
        }
    }
}
