//! The people of `--users` and `--exclude-user`: looked up if they are named by addresses, and asked for one by one if they are few.

use crate::commands::listing::filter::{Filter, ListedPeople};
use crate::commands::listing::{Directory, ListError, Lister, Pages, is_about_the_query};
use crate::error::RunError;
use crate::model::{StopReason, TeamId, UserId};
use crate::output::WEAKENED;
use crate::slack::SessionPage;
use std::collections::HashSet;

/// Requests for single users at most: beyond, all pages of an organization aren't many more, and a listing page by page can be resumed.
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

/// The users that are wanted, each with a workspace, if the workspaces of all of them are known and they are few.
pub fn owners(filter: &Filter, directory: &Directory) -> Option<Vec<(TeamId, UserId)>> {
    let users = filter.users.as_ref().filter(|_| filter.owner.is_none())?;
    let are_known = users.iter().all(|user| !directory.workspaces(user).is_empty());
    let of =
        |user: &UserId| directory.workspaces(user).iter().map(|team| (team.clone(), user.clone())).collect::<Vec<_>>();
    let owners: Vec<_> = users.iter().flat_map(of).collect();
    (are_known && owners.len() <= MOST_OWNERS).then_some(owners)
}

/// Their sessions in these workspaces and in the organization itself, each once. `None` if Slack refuses such a request: then the
/// whole organization has to be listed.
///
/// # Errors
/// If the listing can't, or mustn't, go on.
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
