//! Workspaces that refuse: their rows are set aside, and the others go on.

use super::pending::Pending;
use crate::domain::{ErrorCode, TeamId};
use std::collections::HashSet;

/// The workspaces set aside. Their rows have no record and stay in `--remaining`: a resumed run sends them again.
#[derive(Debug)]
pub struct Parking {
    parked: HashSet<TeamId>,
    workspaces: usize,
    code: Option<ErrorCode>,
}

/// What a refusal of the workspace class means.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Set aside from now on.
    Parked(TeamId),
    /// It was set aside while this call was under way.
    KnownAlready,
    /// The only workspace, a second one that says the same, or a row that names none: the run's trouble.
    Everywhere,
}

impl Parking {
    /// Nothing set aside, of an input with so many workspaces.
    pub fn new(workspaces: usize) -> Self {
        Self { parked: HashSet::new(), workspaces, code: None }
    }

    /// A row's workspace refused with `code`.
    pub fn refused(&mut self, pending: &Pending, code: &ErrorCode) -> Refusal {
        let Some(team) = pending.addressed_team() else { return Refusal::Everywhere };
        if self.parked.contains(team) {
            return Refusal::KnownAlready;
        }
        let again = self.code.as_ref() == Some(code);
        if self.workspaces < 2 || again {
            return Refusal::Everywhere;
        }
        self.code = Some(code.clone());
        self.parked.insert(team.clone());
        Refusal::Parked(team.clone())
    }

    /// Whether a row is set aside.
    pub fn holds(&self, pending: &Pending) -> bool {
        !self.parked.is_empty() && pending.addressed_team().is_some_and(|team| self.parked.contains(team))
    }

    /// Whether any workspace is.
    pub fn any(&self) -> bool {
        !self.parked.is_empty()
    }
}
