//! Workspaces that refuse all calls: their remaining rows aren't sent, and the other workspaces continue.

use super::Scope;
use crate::engine::job::Job;
use crate::model::{ErrorCode, StopReason, TeamId};
use std::collections::{BTreeSet, HashSet};

/// The rows of suspended workspaces have no record and stay in `--remaining`; a resumed run sends them again.
#[derive(Debug)]
pub struct SuspendedWorkspaces {
    suspended: HashSet<TeamId>,
    /// The codes that suspended them.
    codes: HashSet<ErrorCode>,
    /// Workspaces in which a session was ended by a request that named the user.
    ended_in: BTreeSet<TeamId>,
    is_only_one: bool,
}

impl SuspendedWorkspaces {
    /// `is_only_one`: whether all rows of the input belong to one workspace. `ended_in`: workspaces in which earlier runs have
    /// ended sessions.
    pub fn new(is_only_one: bool, ended_in: impl IntoIterator<Item = TeamId>) -> Self {
        let ended_in = ended_in.into_iter().collect();
        Self { suspended: HashSet::new(), codes: HashSet::new(), ended_in, is_only_one }
    }

    /// Handles a refusal of the workspace class. If it is the only workspace, or a second one with the same code, every other
    /// row would be refused too. If the request named a user, and nothing shows that the user's workspace is meant, only the
    /// row is concerned.
    pub fn refused(&mut self, job: &Job, code: &ErrorCode) -> Scope {
        let Some(team) = self.refusing(job) else { return Scope::Row };
        if self.suspended.contains(team) {
            return Scope::SuspendedWorkspace;
        }
        if self.is_only_one || self.codes.contains(code) {
            return Scope::Run(StopReason::Workspaces { code: code.clone() });
        }
        self.codes.insert(code.clone());
        self.suspended.insert(team.clone());
        Scope::Workspace(team.clone())
    }

    /// The workspace that a refusal of this row is attributed to. A request by user doesn't name a workspace, so the row's
    /// `team_id` column is used, unless sessions of that workspace have been ended: then the user is the cause.
    fn refusing<'a>(&self, job: &'a Job) -> Option<&'a TeamId> {
        let unproven = |team: &&TeamId| !self.ended_in.contains(*team);
        job.addressed_team().or_else(|| job.team().filter(unproven))
    }

    pub fn ended(&mut self, job: &Job) {
        if let (Some(team), None) = (job.team(), job.addressed_team())
            && !self.ended_in.contains(team)
        {
            self.ended_in.insert(team.clone());
        }
    }

    pub fn holds(&self, job: &Job) -> bool {
        !self.suspended.is_empty() && job.team().is_some_and(|team| self.suspended.contains(team))
    }

    pub fn any(&self) -> bool {
        !self.suspended.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fields, Row, SessionId, Target, UserId};

    fn job(target: Target) -> Job {
        Job::new(Row { line: 2, fields: Fields::default(), target: Ok(target), may_have_been_sent: false }).unwrap()
    }

    fn team(name: &str) -> TeamId {
        TeamId::parse(name).unwrap()
    }

    fn by_team(name: &str) -> Job {
        job(Target::by_team(SessionId::from(1), team(name), None))
    }

    fn by_user(name: Option<&str>) -> Job {
        job(Target::by_user(SessionId::from(1), UserId::parse("U1").unwrap(), name.map(team)))
    }

    fn everywhere(code: &str) -> Scope {
        Scope::Run(StopReason::Workspaces { code: ErrorCode::from(code) })
    }

    fn refused(workspaces: &mut SuspendedWorkspaces, job: &Job, code: &str) -> Scope {
        workspaces.refused(job, &ErrorCode::from(code))
    }

    #[test]
    fn every_code_that_suspended_a_workspace_is_remembered() {
        let mut workspaces = SuspendedWorkspaces::new(false, []);
        assert_eq!(refused(&mut workspaces, &by_team("T1"), "no_permission"), Scope::Workspace(team("T1")));
        assert_eq!(refused(&mut workspaces, &by_team("T2"), "ekm_access_denied"), Scope::Workspace(team("T2")));
        assert_eq!(refused(&mut workspaces, &by_team("T1"), "ekm_access_denied"), Scope::SuspendedWorkspace);
        assert_eq!(refused(&mut workspaces, &by_team("T3"), "no_permission"), everywhere("no_permission"));
    }

    #[test]
    fn a_refusal_by_the_only_workspace_concerns_every_row() {
        let mut workspaces = SuspendedWorkspaces::new(true, []);
        assert_eq!(refused(&mut workspaces, &by_team("T1"), "no_permission"), everywhere("no_permission"));
        assert_eq!(refused(&mut workspaces, &by_user(Some("T1")), "no_permission"), everywhere("no_permission"));
    }

    #[test]
    fn a_row_that_names_its_user_belongs_to_its_column_or_to_itself() {
        let mut workspaces = SuspendedWorkspaces::new(false, [team("T9")]);
        assert_eq!(refused(&mut workspaces, &by_user(Some("T1")), "no_permission"), Scope::Workspace(team("T1")));
        assert!(workspaces.holds(&by_user(Some("T1"))) && !workspaces.holds(&by_user(None)));
        assert_eq!(refused(&mut workspaces, &by_user(None), "no_permission"), Scope::Row);
        workspaces.ended(&by_user(Some("T2")));
        for ended_in in ["T2", "T9"] {
            assert_eq!(refused(&mut workspaces, &by_user(Some(ended_in)), "no_permission"), Scope::Row);
        }
        assert_eq!(refused(&mut workspaces, &by_team("T9"), "ekm_access_denied"), Scope::Workspace(team("T9")));
    }
}
