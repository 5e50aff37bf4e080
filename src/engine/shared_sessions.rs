//! Sessions that the input names twice, by their user on one line and by their workspace on another. Ended for the one row, the
//! session is not found for the other: which then isn't a wrong pair of ids, but gone through us.

use super::job::Job;
use super::retry::Class;
use crate::model::Reply;
use std::collections::HashSet;

/// Sessions that are named once take no memory here.
#[derive(Debug, Default)]
pub struct SharedSessions {
    /// Lines whose call has ended the session, or may have.
    maybe_ended: HashSet<u64>,
    /// Rows whose session was not found while a call for the other row was in flight: that call's answer decides.
    held: Vec<(Job, Reply)>,
}

impl SharedSessions {
    /// A call for a row was answered.
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

    /// Gives back the rows whose answer is known now.
    pub fn release(&mut self, is_decided: impl Fn(&Job) -> bool) -> Vec<(Job, Reply)> {
        self.held.extract_if(.., |(job, _)| is_decided(job)).collect()
    }
}
