//! The names of the methods. Slack counts calls per method.

pub const INVALIDATE: &str = "admin.users.session.invalidate";
pub const RESET_BULK: &str = "admin.users.session.resetBulk";
pub const LIST: &str = "admin.users.session.list";
pub const LIST_USERS: &str = "admin.users.list";
