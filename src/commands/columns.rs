//! Where an input, or the results of one, hold the ids.

use crate::domain::Fields;

/// The places of the columns with the ids; none where there is no such column. The first of each name counts.
pub(super) struct Ids {
    pub(super) session: Option<usize>,
    pub(super) team: Option<usize>,
    pub(super) user: Option<usize>,
}

impl Ids {
    /// Finds them by name, whatever their case.
    pub(super) fn find(columns: &Fields) -> Self {
        let named = |name: &str| columns.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        Self { session: named("session_id"), team: named("team_id"), user: named("user_id") }
    }
}
