//! Sessions that the input names twice, by user on one line and by workspace on another. After the call for one row has ended
//! the session, Slack doesn't find it for the other row, whose ids aren't wrong: this run ended its session.

use super::job::Job;
use super::retry::Class;
use crate::model::Reply;
use std::collections::HashSet;

/// Sessions that are named once use no memory here.
#[derive(Debug, Default)]
pub struct SharedSessions {
    /// Lines whose call ended the session, or may have ended it.
    maybe_ended: HashSet<u64>,
    /// Rows whose session wasn't found while a call for the other row was in flight. The answer to that call decides.
    held: Vec<(Job, Reply)>,
}

impl SharedSessions {
    pub fn answered(&mut self, job: &Job, class: Class) {
        let may_be_gone = match class {
            Class::Revoked | Class::AlreadyGone => true,
            Class::Transient { ambiguous } => ambiguous,
            Class::NotFound
            | Class::RateLimited { .. }
            | Class::Row
            | Class::SuspectRow
            | Class::Workspace
            | Class::TokenExpired
            | Class::Run => false,
        };
        if may_be_gone && !job.also_on().is_empty() {
            self.maybe_ended.insert(job.line());
        }
    }

    /// Whether a call for another row may have ended this row's session.
    pub fn may_have_ended(&self, job: &Job) -> bool {
        job.also_on().iter().any(|line| self.maybe_ended.contains(line))
    }

    pub fn hold(&mut self, job: Job, reply: Reply) {
        self.held.push((job, reply));
    }

    pub fn held(&self) -> impl Iterator<Item = &Job> {
        self.held.iter().map(|(job, _)| job)
    }

    /// Removes and returns the decided rows.
    pub fn release(&mut self, is_decided: impl Fn(&Job) -> bool) -> Vec<(Job, Reply)> {
        self.held.extract_if(.., |(job, _)| is_decided(job)).collect()
    }
}
