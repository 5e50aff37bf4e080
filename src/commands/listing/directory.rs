//! Users by their e-mail addresses, through `admin.users.list`: active accounts first, then deactivated ones.

use super::filter::ListedPeople;
use super::{Incomplete, ListError, Lister};
use crate::error::RunError;
use crate::model::{EmailAddress, TeamId, UserId};
use crate::output::counted;
use crate::slack::{SlackUser, UserQuery};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Maximum number of addresses listed in an error.
const MOST_NAMED: usize = 20;

/// Looks up users by e-mail address. An address shared by several accounts is an error.
#[derive(Debug, Default)]
pub struct Directory {
    users: BTreeMap<EmailAddress, BTreeSet<UserId>>,
    /// The workspaces of the requested users that were found, if Slack lists them.
    workspaces: BTreeMap<UserId, Vec<TeamId>>,
    /// Addresses of accounts whose id can't be read.
    unreadable: BTreeSet<EmailAddress>,
}

impl Directory {
    /// Looks all addresses up. Every page is read, since a later account may have the address of an earlier one.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn look_up(lister: &mut Lister, wanted: &ListedPeople) -> Result<Self, ListError> {
        let mut this = Self::default();
        if wanted.addresses.is_empty() {
            return Ok(this);
        }
        for is_active in [true, false] {
            let (mut query, mut cursors) = (UserQuery { is_active, cursor: None }, HashSet::new());
            loop {
                let page = lister.users(&query).await?;
                page.users.into_iter().for_each(|user| this.take(user, wanted));
                this.unreadable.extend(page.unreadable);
                let Some(cursor) = page.next_cursor else { break };
                if !cursors.insert(cursor.clone()) {
                    return Err(ListError::Incomplete(Incomplete::CursorRepeated));
                }
                query.cursor = Some(cursor);
            }
        }
        Ok(this)
    }

    fn take(&mut self, user: SlackUser, wanted: &ListedPeople) {
        let SlackUser { id, email, workspaces } = user;
        let email = email.filter(|email| wanted.addresses.contains(email));
        if email.is_some() || wanted.ids.contains(&id) {
            self.workspaces.insert(id.clone(), workspaces);
        }
        if let Some(email) = email {
            self.users.entry(email).or_default().insert(id);
        }
    }

    /// The workspaces of a requested user; empty if unknown.
    #[must_use]
    pub fn workspaces(&self, user: &UserId) -> &[TeamId] {
        self.workspaces.get(user).map_or(&[], Vec::as_slice)
    }

    /// # Errors
    /// Why the user can't be determined, as text to follow the address.
    pub fn user(&self, address: &EmailAddress) -> Result<&UserId, String> {
        let users: Vec<&UserId> = self.users.get(address).into_iter().flatten().collect();
        match &*users {
            _ if self.unreadable.contains(address) => Err("has an account whose id can't be read".into()),
            [] => Err("is unknown".into()),
            [only] => Ok(only),
            several => {
                let ids: Vec<&str> = several.iter().map(|user| user.as_str()).collect();
                Err(format!("has several accounts: {}", ids.join(", ")))
            }
        }
    }

    /// The users of all these addresses.
    ///
    /// # Errors
    /// If any address can't be looked up, so that a partial list is never used. `flag` is the option that named them.
    pub fn all_users(&self, flag: &str, addresses: &BTreeSet<EmailAddress>) -> Result<BTreeSet<UserId>, RunError> {
        let found: Vec<_> = addresses.iter().map(|address| (address, self.user(address))).collect();
        let unknown: Vec<String> =
            found.iter().filter_map(|(address, user)| Some(format!("{address} {}", user.as_ref().err()?))).collect();
        if unknown.is_empty() {
            return Ok(found.into_iter().filter_map(|(_, user)| user.ok().cloned()).collect());
        }
        let more = unknown.len().saturating_sub(MOST_NAMED);
        let named = unknown[..unknown.len() - more].join("; ");
        let others = if more == 0 { String::new() } else { format!("; and {more} more") };
        let what = format!(
            "{flag}: {} can't be looked up: {named}{others}",
            counted(unknown.len() as u64, "e-mail address", "e-mail addresses")
        );
        Err(RunError::input(what, "nothing was done; correct the address, or give the user id (U… or W…)"))
    }
}
