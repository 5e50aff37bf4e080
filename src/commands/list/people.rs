//! The people of `--users` and `--exclude-user`. Addresses are looked up. If there are only a few people, their
//! sessions are requested one by one.

use crate::commands::listing::filter::{Filter, ListedPeople};
use crate::commands::listing::{Directory, ListError, Lister, Pages, is_about_the_query};
use crate::error::RunError;
use crate::model::{StopReason, TeamId, UserId};
use crate::output::WEAKENED;
use crate::slack::SessionPage;
use std::collections::HashSet;

/// Maximum number of requests for single users. With more, listing the whole organization isn't much slower, and it
/// can be resumed.
const MOST_OWNERS: usize = 100;

/// The files of `--users` and `--exclude-user`.
pub struct PeopleFiles {
    pub users: Option<ListedPeople>,
    pub excluded: Option<ListedPeople>,
}

impl PeopleFiles {
    /// Adds the users of the addresses to the filter.
    ///
    /// # Errors
    /// If an address can't be looked up.
    pub async fn look_up(self, lister: &mut Lister, filter: &mut Filter) -> Result<Directory, RunError> {
        let (users, excluded) = (self.users.unwrap_or_default(), self.excluded.unwrap_or_default());
        let addresses = users.addresses.union(&excluded.addresses).cloned().collect();
        let wanted = ListedPeople { ids: users.ids, addresses };
        let directory = Directory::look_up(lister, &wanted).await;
        let directory = directory.map_err(|error| error.into_error("nothing was listed"))?;
        if let Some(known) = &mut filter.users {
            known.extend(directory.all_users("--users", &users.addresses)?);
        }
        filter.excluded.extend(directory.all_users("--exclude-user", &excluded.addresses)?);
        Ok(directory)
    }
}

/// The wanted users with their workspaces, if there are only a few and all workspaces are known.
pub fn owners(filter: &Filter, directory: &Directory) -> Option<Vec<(TeamId, UserId)>> {
    let users = filter.users.as_ref().filter(|_| filter.owner.is_none())?;
    let are_known = users.iter().all(|user| !directory.workspaces(user).is_empty());
    let of =
        |user: &UserId| directory.workspaces(user).iter().map(|team| (team.clone(), user.clone())).collect::<Vec<_>>();
    let owners: Vec<_> = users.iter().flat_map(of).collect();
    (are_known && owners.len() <= MOST_OWNERS).then_some(owners)
}

/// Their sessions in these workspaces and in the organization, each once. `None` if Slack refuses such a request, so
/// that the whole organization has to be listed.
///
/// # Errors
/// If the listing can't continue.
pub async fn sessions_of(
    lister: &mut Lister,
    mut owners: Vec<(TeamId, UserId)>,
    organization: &TeamId,
) -> Result<Option<SessionPage>, ListError> {
    let users: Vec<UserId> = owners.iter().map(|(_, user)| user.clone()).collect();
    owners.extend(users.into_iter().map(|user| (organization.clone(), user)));
    owners.sort();
    owners.dedup();
    let (mut all, mut seen) = (SessionPage::default(), HashSet::new());
    for owner in owners {
        let mut pages = Pages::new(Some(owner.clone()), None);
        loop {
            match pages.next(lister).await {
                Ok(Some(page)) => {
                    all.sessions.extend(page.sessions.into_iter().filter(|session| seen.insert(session.session_id)));
                    all.unreadable.extend(page.unreadable);
                }
                Ok(None) => break,
                Err(ListError::Stop(StopReason::Refused { code, .. })) if is_about_the_query(&code) => {
                    let (team, user) = owner;
                    tracing::warn!(
                        target: WEAKENED,
                        "Slack refuses to list the sessions of {user} in {team} ({code}): the whole organization is listed instead"
                    );
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Some(all))
}
