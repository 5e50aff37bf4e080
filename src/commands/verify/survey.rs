//! Which listing answers the results, and the asking.

use super::sightings::{Concerned, Sightings};
use crate::commands::listing::{Halt, Lister, PAGE, Progress};
use crate::domain::{ErrorCode, StopReason, TeamId, UserId};
use crate::slack::ListQuery;
use std::collections::BTreeSet;

/// The users concerned, each with a workspace; none where a record does not name both.
pub type Owners = Option<BTreeSet<(TeamId, UserId)>>;

/// How the sessions were listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of the whole organisation.
    Organisation,
    /// Those of the users concerned, in the workspaces concerned.
    Users,
}

impl Scope {
    /// The word in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Users => "users",
        }
    }
}

/// Lists as few times as can be.
///
/// How many pages the organisation has is not known before the last one. So it is listed for as many pages as there are
/// users to ask for, and if that was not all, they are asked for one by one: never more than twice the fewest calls.
///
/// # Errors
/// Where the listing cannot go on.
pub async fn list(
    lister: &mut Lister,
    concerned: &Concerned,
    owners: &Owners,
    progress: &mut Progress<'_>,
) -> Result<(Sightings, Scope), Halt> {
    if concerned.sessions.is_empty() && concerned.users.is_empty() {
        return Ok((Sightings::default(), Scope::Users));
    }
    let budget = owners.as_ref().map(|owners| owners.len() as u64);
    // One query is never more than one page and its next.
    if budget != Some(1)
        && let Some(seen) = organisation(lister, concerned, budget, progress).await?
    {
        return Ok((seen, Scope::Organisation));
    }
    if let Some(owners) = owners
        && let Some(seen) = users(lister, concerned, owners, progress).await?
    {
        return Ok((seen, Scope::Users));
    }
    let all = organisation(lister, concerned, None, progress).await?;
    Ok((all.unwrap_or_default(), Scope::Organisation))
}

/// The whole listing; none where it has more than `budget` pages.
async fn organisation(
    lister: &mut Lister,
    concerned: &Concerned,
    budget: Option<u64>,
    progress: &mut Progress<'_>,
) -> Result<Option<Sightings>, Halt> {
    let (mut seen, mut count) = (Sightings::default(), Count::default());
    let mut query = ListQuery { owner: None, cursor: None, limit: PAGE };
    loop {
        if budget.is_some_and(|budget| count.pages >= budget) {
            return Ok(None);
        }
        let page = lister.page(&query).await?;
        query.cursor.clone_from(&page.next_cursor);
        count.tell(page.sessions.len(), progress);
        seen.take(page, concerned);
        if query.cursor.is_none() {
            return Ok(Some(seen));
        }
    }
}

/// User by user; none where Slack does not know one of them, of whom then only the whole listing tells.
async fn users(
    lister: &mut Lister,
    concerned: &Concerned,
    owners: &BTreeSet<(TeamId, UserId)>,
    progress: &mut Progress<'_>,
) -> Result<Option<Sightings>, Halt> {
    let (mut seen, mut count) = (Sightings::default(), Count::default());
    for owner in owners {
        let mut query = ListQuery { owner: Some(owner.clone()), cursor: None, limit: PAGE };
        loop {
            let page = match lister.page(&query).await {
                Ok(page) => page,
                Err(Halt::Stop(StopReason::Refused { code, .. })) if is_about_the_owner(&code) => return Ok(None),
                Err(halt) => return Err(halt),
            };
            query.cursor.clone_from(&page.next_cursor);
            count.tell(page.sessions.len(), progress);
            seen.take(page, concerned);
            if query.cursor.is_none() {
                break;
            }
        }
    }
    Ok(Some(seen))
}

/// Refusals that say nothing of the token, only of whom it was asked for.
fn is_about_the_owner(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UserNotFound
            | ErrorCode::InvalidArguments
            | ErrorCode::TeamNotFound
            | ErrorCode::MissingTeam
            | ErrorCode::MissingUser
    )
}

#[derive(Default)]
struct Count {
    pages: u64,
    seen: u64,
}

impl Count {
    fn tell(&mut self, sessions: usize, progress: &mut Progress<'_>) {
        self.pages += 1;
        self.seen += sessions as u64;
        progress.tell(self.pages, self.seen);
    }
}
