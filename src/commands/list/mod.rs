//! `list`: the sessions of the organization as CSV, an input of `run` as it is.

use crate::cli::{Environment, FilterArgs, ListArgs, RemoteSettings};
use crate::commands::listing::filter::{Filter, ListedPeople, users_of};
use crate::commands::listing::{Directory, ListProgress, Lister, Pages, block_on};
use crate::commands::rehearsal::{Rehearsal, folder_of};
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::ledger::listing::Listing;
use crate::model::{ExitStatus, InputSource};
use crate::output::Console;
use std::ffi::OsString;
use std::path::PathBuf;

mod state;

use state::{ListFiles, State};

/// `argv` is the command line as it was typed, for the command that continues the listing.
///
/// # Errors
/// What stops the listing before its first call.
pub fn list(typed: ListArgs, argv: &[OsString], console: &Console) -> Result<ExitStatus, RunError> {
    let ListArgs { filters, output, others, resume, remote } = typed;
    // Nothing is read from standard input, so a person there can be asked for the token.
    let settings = RemoteSettings::resolve(remote, &InputSource::File(PathBuf::new()), &Environment::capture())?;
    let (mut filter, people) = filter(filters)?;
    block_on(async {
        let rehearsal = settings.rehearse.then(|| Rehearsal::open(folder_of(output.as_deref()))).transpose()?;
        let (mut lister, host) = Lister::connect(&settings, rehearsal).await?;
        people.look_up(&mut lister, &mut filter).await?;
        let began_at = wall();
        // Only a listing in a file can be continued with another token.
        let organization = if output.is_some() { lister.organization().await } else { None };
        let fresh = Listing::new(began_at, host, organization, filter.described());
        let mut state = match output {
            Some(output) => State::open(ListFiles::of(output, others), resume, fresh)?,
            None => State::on_stdout(fresh)?,
        };
        let mut progress = ListProgress::new(console, lister.clock());
        let mut pages = Pages::new(filter.owner.clone(), state.at.cursor.clone());
        let end = loop {
            let page = match pages.next(&mut lister).await {
                Ok(Some(page)) => page,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if let Err(error) = state.add_page(&page, &filter, pages.has_next()) {
                break Err(error.into());
            }
            progress.update(state.at.pages, state.at.seen);
        };
        state.conclude(end, argv, console)
    })
}

/// The files of `--users` and `--exclude-user`.
struct PeopleFiles {
    users: Option<ListedPeople>,
    excluded: Option<ListedPeople>,
}

impl PeopleFiles {
    /// Adds the users of the addresses to the filter.
    async fn look_up(self, lister: &mut Lister, filter: &mut Filter) -> Result<(), RunError> {
        let addresses = |people: Option<ListedPeople>| people.map(|people| people.addresses).unwrap_or_default();
        let (users, excluded) = (addresses(self.users), addresses(self.excluded));
        let wanted = users.union(&excluded).cloned().collect();
        let directory = Directory::look_up(lister, &wanted).await;
        let directory = directory.map_err(|error| error.into_error("nothing was listed"))?;
        if let Some(known) = &mut filter.users {
            known.extend(directory.all_users("--users", &users)?);
        }
        filter.excluded.extend(directory.all_users("--exclude-user", &excluded)?);
        Ok(())
    }
}

/// The filter, with the addresses that have to be looked up before it is complete.
fn filter(typed: FilterArgs) -> Result<(Filter, PeopleFiles), RunError> {
    let lower = |texts: Vec<String>| texts.into_iter().map(|text| text.to_lowercase()).collect();
    let people = |flag, path: Option<PathBuf>| path.map(|path| users_of(flag, &path)).transpose();
    let (users, excluded) = (people("--users", typed.users)?, people("--exclude-user", typed.exclude_user)?);
    let filter = Filter {
        owner: typed.team.zip(typed.user),
        ip: typed.ip,
        not_ip: typed.not_ip,
        os: lower(typed.os),
        client: lower(typed.client),
        device: lower(typed.device),
        users: users.as_ref().map(|people| people.ids.clone()),
        excluded: excluded.as_ref().map(|people| people.ids.clone()).unwrap_or_default(),
    };
    Ok((filter, PeopleFiles { users, excluded }))
}
