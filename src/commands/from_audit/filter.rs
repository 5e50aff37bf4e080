//! The filters of `from-audit`. Pure.

use crate::cli::AuditFilterArgs;
use crate::commands::listing::filter::{Fit, address, fit_of_addresses};
use crate::input::audit::{AuditEntry, LeftOut};
use crate::model::{Person, UserId};

/// An entry has to match every kind of filter that is given. Of several values of one kind, one has to match.
pub struct AuditFilter(AuditFilterArgs);

impl AuditFilter {
    pub fn new(mut typed: AuditFilterArgs) -> Self {
        typed.user_agent.iter_mut().for_each(|text| *text = text.to_lowercase());
        Self(typed)
    }

    /// # Errors
    /// Why it can't be decided, if the other filters match.
    pub fn matches(&self, entry: &AuditEntry) -> Result<bool, LeftOut> {
        let Self(filter) = self;
        let agent = entry.user_agent.to_lowercase();
        let is_other = (!filter.action.is_empty() && !filter.action.contains(&entry.action))
            || (!filter.user.is_empty() && !filter.user.iter().any(|person| is_by(entry, person)))
            || (!filter.user_agent.is_empty() && !filter.user_agent.iter().any(|text| agent.contains(text)));
        if is_other {
            return Ok(false);
        }
        let is_in_time = self.is_in_time(entry);
        match fit_of_addresses(&filter.ip, &filter.not_ip, &[address(&entry.ip)]) {
            Fit::No => Ok(false),
            _ if is_in_time == Some(false) => Ok(false),
            Fit::UnknownAddress => Err(LeftOut::UnknownAddress),
            Fit::Yes => is_in_time.ok_or(LeftOut::UnknownTime),
        }
    }

    /// `None` if it can't be decided.
    fn is_in_time(&self, entry: &AuditEntry) -> Option<bool> {
        let (since, until) = (self.0.since, self.0.until);
        if since.is_none() && until.is_none() {
            return Some(true);
        }
        let at = entry.at?;
        Some(since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until))
    }
}

fn is_by(entry: &AuditEntry, person: &Person) -> bool {
    match person {
        Person::Id(id) => UserId::parse(&entry.user_id).is_ok_and(|user| user == *id),
        Person::Email(address) => entry.email.as_ref() == Some(address),
    }
}
