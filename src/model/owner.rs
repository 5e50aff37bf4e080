//! The owner of a token.

use super::{TeamId, UserId};

/// As `auth.test` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    pub id: UserId,
    /// All names may be empty.
    pub name: Box<str>,
    /// The workspace, or the organization for an organization's token.
    pub team_id: Option<TeamId>,
    pub team: Box<str>,
    pub enterprise_id: Option<TeamId>,
    pub url: Box<str>,
}
