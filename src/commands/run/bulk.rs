//! `--bulk`: the listing that shows whose sessions are all in the input.

use crate::cli::{Confirmation, Mode, Settings};
use crate::commands::{checks, connection, rows};
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::input::{Content, CoverageListing, Covers, Input, InputError, InputSummary, Rules, SurveyOptions};
use crate::ledger::listing::{Listing, REHEARSAL_HOST};
use crate::ledger::whole_listing::{ListingExtent, ListingFacts, ListingGap};
use crate::model::{InputSource, ListingUsed};
use crate::output::{WEAKENED, counted};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A run that takes no longer needs no other way.
const SHORT: Duration = Duration::from_mins(1);

/// A listing that holds every session of its users.
pub struct BulkListing {
    path: PathBuf,
    described: Listing,
    max_age: Duration,
    /// Of the file as it is now.
    pub sha256: String,
    sessions: Arc<CoverageListing>,
}

/// The input, of which LISTING may be the other half.
#[derive(Clone, Copy)]
pub struct InputHalf<'a> {
    pub content: &'a Content,
    pub survey: &'a InputSummary,
}

impl BulkListing {
    /// Reads LISTING, with the input if it is the other half of it.
    ///
    /// # Errors
    /// If it can't be read, or may lack sessions of its users.
    pub fn read(path: &Path, settings: &Settings, input: InputHalf<'_>) -> Result<Self, RunError> {
        let described = description(path)?;
        // If every row has ended, its age does no harm.
        let max_age = if input.survey.sendable == 0 { Duration::MAX } else { settings.input.max_listing_age };
        let extent = extent(path, &described, max_age, settings, input)?;
        let (content, survey) = surveyed(path, settings)?;
        let sha256 = survey.identity.sha256;
        described.check_content(&sha256).map_err(|gap| refused(path, &gap))?;
        let mut sessions = CoverageListing::default();
        let halves: &[&Content] = match extent {
            ListingExtent::All => &[&content],
            ListingExtent::AllButInput => &[&content, input.content],
        };
        for half in halves {
            let unclear = half.add_to(&mut sessions).map_err(|error| unreadable(&error))?;
            if unclear > 0 {
                return Err(refused(path, &ListingGap::Incomplete(unclear)));
            }
        }
        Ok(Self { path: path.into(), described, max_age, sha256, sessions: sessions.finish() })
    }

    /// For the manifest.
    pub fn used(&self) -> ListingUsed {
        ListingUsed { path: self.path.display().to_string(), sha256: self.sha256.clone() }
    }

    /// Fails if it is too old by now, because a question can wait for an answer for hours.
    ///
    /// # Errors
    /// As it says.
    pub fn check_age(&self) -> Result<(), RunError> {
        self.described.check_age(wall(), self.max_age).map_err(|gap| refused(&self.path, &gap))
    }

    /// Fails if it is a listing of another organization than the token's; `None` if that is unknown.
    ///
    /// # Errors
    /// As it says.
    pub fn check_organization(&self, here: Option<&str>) -> Result<(), RunError> {
        self.described.check_organization(here).map_err(|gap| refused(&self.path, &gap))
    }

    /// Adds to the rules whom this listing shows to be covered by the input.
    ///
    /// # Errors
    /// If the input can't be read again.
    pub fn cover(&self, rules: &mut Rules, content: &Content) -> Result<(), RunError> {
        let coverage = content.coverage(&self.sessions, rules).map_err(|error| unreadable(&error))?;
        rules.covers = Covers::Listed(Arc::new(coverage));
        Ok(())
    }

    /// Warns of protected sessions whose users can't be known: a user who is covered may have begun one since.
    pub fn warn_of_unknown_users(&self, rules: &Rules, survey: &InputSummary) {
        let of_rows = survey.whole.iter().flat_map(|whole| &whole.protected).map(|(session, _)| *session);
        let of_rows: Vec<_> = of_rows.collect();
        let is_unknown = |session: &&_| !of_rows.contains(session) && !self.sessions.has(**session);
        let unknown = rules.protection.sessions.iter().filter(is_unknown).count() as u64;
        if unknown > 0 {
            tracing::warn!(
                target: WEAKENED,
                "{} neither in the input nor in {}: if such a session began since, its user may be ended as a whole; name the users",
                counted(unknown, "session id of --protect is", "session ids of --protect are"),
                self.path.display()
            );
        }
    }
}

/// The listing next to the input that `--bulk` could be used with, and the rules of such a run. It is offered, and never used
/// unless asked for.
pub fn offer(settings: &Settings, input: InputHalf<'_>, rules: &Rules) -> Option<(PathBuf, Rules)> {
    let InputSource::File(path) = input.content.path() else { return None };
    let is_asked = settings.mode == Mode::Plan || matches!(settings.confirmation, Confirmation::Ask(_));
    let is_long = checks::takes(input.survey.sendable, settings.pace.rate) > SHORT;
    if !is_asked || !is_long {
        return None;
    }
    let usable = |listing: PathBuf| Some((BulkListing::read(&listing, settings, input).ok()?, listing));
    let (bulk, listing) = listings_beside(path).into_iter().find_map(usable)?;
    let mut rules = rules.clone();
    bulk.cover(&mut rules, input.content).ok()?;
    Some((listing, rules))
}

/// The listings in the input's folder, the youngest first.
fn listings_beside(input: &Path) -> Vec<PathBuf> {
    let folder = input.parent().unwrap_or(Path::new(""));
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = here.read_dir().into_iter().flatten().flatten();
    let listing = |entry: DirEntry| {
        let name = entry.file_name();
        let listing = folder.join(Listing::described_by(name.to_str()?)?);
        Some((Listing::of(&listing).ok()??.began_at, listing))
    };
    let mut listings: Vec<_> = entries.filter_map(listing).collect();
    listings.sort_by(|one, other| other.cmp(one));
    listings.into_iter().map(|(_, listing)| listing).collect()
}

fn description(path: &Path) -> Result<Listing, RunError> {
    let next = "list everything again: slack-revoke list -o FILE, or leave out --bulk";
    match Listing::of(path) {
        Ok(Some(listing)) => Ok(listing),
        Err(error) => Err(RunError::input(error.to_string(), next)),
        Ok(None) => {
            let what = match path.try_exists() {
                Ok(false) => "no such file".to_owned(),
                Ok(true) | Err(_) => format!(
                    "it isn't known whether it holds every session, because there is no {}",
                    Listing::beside(path).display()
                ),
            };
            Err(RunError::input(what, format!("nothing was sent; {next}")).at(flag(path)))
        }
    }
}

/// What the listing holds, by its description.
fn extent(
    path: &Path,
    described: &Listing,
    max_age: Duration,
    settings: &Settings,
    input: InputHalf<'_>,
) -> Result<ListingExtent, RunError> {
    let (first_half, host) = (first_half(input.content.path()), host(settings, described)?);
    let facts = ListingFacts {
        input: first_half.as_ref().map(|half| (half, &*input.survey.identity.sha256)),
        api_host: host.as_deref(),
        now: wall(),
        max_age,
    };
    described.extent(&facts).map_err(|gap| refused(path, &gap))
}

fn surveyed(path: &Path, settings: &Settings) -> Result<(Content, InputSummary), RunError> {
    let options = SurveyOptions { most_bytes: Some(settings.input.max_input_size), ..SurveyOptions::default() };
    let opened = Input::open(InputSource::File(path.into()), &std::env::temp_dir());
    opened.and_then(|opened| opened.survey(options, None)).map_err(|error| unreadable(&error))
}

/// What is known of the input as a listing. One that can't be read isn't the first half of anything.
fn first_half(input: &InputSource) -> Option<Listing> {
    match input {
        InputSource::File(path) => Listing::of(path).ok().flatten(),
        InputSource::Stdin | InputSource::Stream(_) => None,
    }
}

/// A rehearsal may be one of any organization, and a plan that of a rehearsal.
fn host(settings: &Settings, listing: &Listing) -> Result<Option<String>, RunError> {
    match settings.mode {
        Mode::Plan if listing.api_host == REHEARSAL_HOST => Ok(None),
        Mode::Run | Mode::Plan => Ok(Some(connection::api(&settings.remote)?.host().to_owned())),
        Mode::Rehearsal => Ok(None),
    }
}

fn flag(path: &Path) -> String {
    format!("--bulk {}", path.display())
}

fn unreadable(error: &InputError) -> RunError {
    rows::unusable("nothing was sent; ", error)
}

fn refused(path: &Path, gap: &ListingGap) -> RunError {
    RunError::input(gap.to_string(), format!("nothing was sent; {}", gap.hint())).at(flag(path))
}
