//! The methods that are called, by the names under which Slack counts calls.

pub const INVALIDATE: &str = "admin.users.session.invalidate";
pub const RESET_BULK: &str = "admin.users.session.resetBulk";
pub const LIST: &str = "admin.users.session.list";
pub const LIST_USERS: &str = "admin.users.list";
