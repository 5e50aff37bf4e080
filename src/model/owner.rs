//! Whose token it is.

use super::{TeamId, UserId};

/// The owner of a token, as `auth.test` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    pub id: UserId,
    /// The user's name; may be empty, as all names here.
    pub name: Box<str>,
    /// The workspace or, for an organization's token, the organization.
    pub team_id: Option<TeamId>,
    pub team: Box<str>,
    pub enterprise_id: Option<TeamId>,
    pub url: Box<str>,
}
