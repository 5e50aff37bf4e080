//! `list`: exports the sessions of the organization as an input of `run`.

use crate::cli::{Environment, FilterArgs, ListArgs, RemoteSettings};
use crate::commands::listing::filter::{Filter, users_of};
use crate::commands::listing::{ListProgress, Lister, Pages, block_on};
use crate::commands::rehearsal::{Rehearsal, folder_of};
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::ledger::listing::Listing;
use crate::model::{ExitStatus, InputSource, TeamId};
use crate::output::Console;
use std::ffi::OsString;
use std::path::PathBuf;

mod people;
mod state;

use people::PeopleFiles;
use state::{ListFiles, State};

/// `argv` is the typed command line, for the command that resumes the listing.
///
/// # Errors
/// Errors before the first call.
pub fn list(typed: ListArgs, argv: &[OsString], console: &Console) -> Result<ExitStatus, RunError> {
    let ListArgs { filters, output, others, resume, remote } = typed;
    // Standard input isn't the input, so the token can be asked for there.
    let settings = RemoteSettings::resolve(remote, &InputSource::File(PathBuf::new()), &Environment::capture())?;
    let (mut filter, people) = filter(filters)?;
    block_on(async {
        let rehearsal = settings.rehearse.then(|| Rehearsal::open(folder_of(output.as_deref()))).transpose()?;
        let (mut lister, host) = Lister::connect(&settings, rehearsal).await?;
        let directory = people.look_up(&mut lister, &mut filter).await?;
        let began_at = wall();
        // Only a listing to a file can be resumed with another token.
        let of_few = if resume || others.is_some() { None } else { people::owners(&filter, &directory) };
        let organization = if output.is_some() || of_few.is_some() { lister.organization().await } else { None };
        let of_few = match (of_few, organization.as_deref().and_then(|id| TeamId::parse(id).ok())) {
            (Some(owners), Some(organization)) => match people::sessions_of(&mut lister, owners, &organization).await {
                Ok(page) => page,
                Err(error) => return Ok(error.end(Some("nothing was listed; run the same command again"))),
            },
            (Some(_) | None, _) => None,
        };
        let fresh = Listing::new(began_at, host, organization, filter.described());
        let mut state = match output {
            Some(output) => State::open(ListFiles::of(output, others), resume, fresh)?,
            None => State::on_stdout(fresh)?,
        };
        if let Some(page) = of_few {
            lister.close().await;
            let end = state.add_page(&page, &filter, false).map_err(Into::into);
            return state.conclude(end, argv, console);
        }
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
        lister.close().await;
        state.conclude(end, argv, console)
    })
}

/// The filter, and the people whose addresses have to be looked up first.
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
