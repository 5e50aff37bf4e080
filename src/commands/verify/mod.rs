//! `verify`: lists the sessions again, and determines for every record whether its session is gone.

mod sightings;
mod verification;

use crate::cli::{Environment, RemoteSettings, VerifyArgs};
use crate::commands::listing::{Lister, block_on};
use crate::commands::outputs::{self, Named, acquire, unwritable};
use crate::commands::rehearsal::{Rehearsal, folder_of};
use crate::commands::rows::{read_input, read_rows};
use crate::commands::seal::seal_now;
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::input::Rules;
use crate::ledger::evidence;
use crate::ledger::manifest::{Manifest, ManifestError};
use crate::ledger::paths::{self, RunFiles};
use crate::ledger::verified;
use crate::model::{ChangedBy, ColumnNames, ExitStatus, FileRole, InputSource, SessionId, UserId};
use crate::output::{self, Console, counted};
use sightings::Concerned;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
pub use verification::{Verification, VerifyOutcome, concerned, unreadable};

/// `argv` is the typed command line.
///
/// # Errors
/// Errors before the first call, or if the output can't be written.
pub fn verify(typed: VerifyArgs, argv: &[OsString], console: &Console) -> Result<ExitStatus, RunError> {
    let VerifyArgs { results, output, before, wait, seal, remote } = typed;
    let settings = RemoteSettings::resolve(remote, &InputSource::File(results.clone()), &Environment::capture())?;
    let files = VerifyFiles::of(&results, output)?;
    // A running run would overwrite the manifest.
    let is_run = paths::is_there(&files.run.manifest).map_err(|error| unwritable(&error))?;
    let _lock = is_run.then(|| acquire(&files.run)).transpose()?;
    let mut manifest = manifest_of(&files, settings.rehearse)?;
    files.check(&before, &settings, manifest.as_ref())?;
    let names = manifest.as_ref().map(|manifest| manifest.input.columns.names()).unwrap_or_default();
    let only = manifest.as_ref().and_then(Manifest::only);
    let is_compared = !before.is_empty() || manifest.as_ref().is_some_and(Manifest::ended_listed_users);
    let mut concerned = concerned(&files.run.results, &names)?;
    let listed = block_on(async {
        for listing in before {
            remember(&mut concerned, listing, settings.rehearse).await?;
        }
        let rehearsal =
            settings.rehearse.then(|| Rehearsal::reopen(folder_of(Some(&files.run.results)))).transpose()?;
        let (mut lister, _) = Lister::connect(&settings, rehearsal).await?;
        let (results, verified) = (&*files.run.results, &*files.verified);
        let check = Verification { results, verified, names: &names, concerned, is_compared, only, console };
        let answered = check.until_gone(&mut lister, wait.unwrap_or_default(), None).await;
        lister.close().await;
        answered
    })?;
    let outcome = match listed {
        Ok(outcome) => outcome,
        Err(halt) => {
            let again = crate::output::command_line(argv);
            return Ok(halt.end(Some(&format!("nothing was verified; run it again: {again}"))));
        }
    };
    if let Some(manifest) = &mut manifest {
        manifest.extra.insert("verified".into(), outcome.to_json(&files.verified, wall()));
        let (step, file) = ((ChangedBy::Verify, wall()), (FileRole::Verified, &*files.verified));
        evidence::save_step(manifest, step, file, &files.run.manifest).map_err(|error| unwritable(&error))?;
    }
    if let Some(kind) = only.filter(|_| outcome.waiting() > 0) {
        let kind = kind.as_str();
        tracing::warn!(
            target: output::WEAKENED,
            "the run ended only the {kind} sessions of whole users, and a listing doesn't say which sessions are {kind}: users who \
             still have a session are unproven"
        );
    }
    outcome.tell(&files.verified, console);
    let sha256 = manifest.and_then(|manifest| manifest.sha256);
    if let Some(sha256) = &sha256 {
        console.note(&output::manifest_line(&files.run.manifest, sha256));
    }
    seal_now(&seal, &files.run.manifest, sha256.as_deref(), console)?;
    Ok(if outcome.is_proved() { ExitStatus::Success } else { ExitStatus::RowsFailed })
}

struct VerifyFiles {
    run: RunFiles,
    verified: PathBuf,
}

impl VerifyFiles {
    fn of(results: &Path, output: Option<PathBuf>) -> Result<Self, RunError> {
        let refused = |what: String, next: &str| RunError::input(what, next);
        let real = paths::resolve(results).map_err(|error| refused(error.to_string(), "give the results of a run"))?;
        let verified = output.unwrap_or_else(|| verified::beside(results));
        Ok(Self { run: RunFiles::beside(real), verified })
    }
}

impl VerifyFiles {
    /// Refuses an output that isn't from an earlier verification or can't be written.
    fn check(
        &self,
        before: &[PathBuf],
        settings: &RemoteSettings,
        manifest: Option<&Manifest>,
    ) -> Result<(), RunError> {
        paths::resolve(&self.verified).map_err(|error| unwritable(&error))?;
        let inputs = manifest.map(|manifest| outputs::inputs(&manifest.input, &self.run.results)).unwrap_or_default();
        let (page, run) = (paths::report_beside(&self.run.results), &self.run);
        let own = [
            ("the results", &run.results),
            ("the manifest", &run.manifest),
            ("the journal", &run.journal),
            ("the remaining rows", &run.remaining),
            ("the page of `report`", &page),
        ];
        let own = own.into_iter().chain(inputs.iter().map(|input| ("the input", input)));
        let own = own.chain(before.iter().map(|listing| ("a --before listing", listing)));
        let own = own.map(|(name, path)| Named::kept(name, path));
        let token = outputs::token_file(settings.token.as_ref()).map(|path| Named::kept("the token file", path));
        let all: Vec<_> = own.chain(token).chain([Named::written("-o", "-o", &self.verified)]).collect();
        outputs::check_collisions(&all)?;
        outputs::check_foreign("-o", &self.verified, verified::is_at)?;
        outputs::check_writable("-o", &self.verified)
    }
}

/// The manifest next to the results; `None`, with a warning, if it is missing.
fn manifest_of(files: &VerifyFiles, rehearse: bool) -> Result<Option<Manifest>, RunError> {
    let refused = |what: String, next: &str| Err(RunError::input(what, next));
    match Manifest::load(&files.run.manifest) {
        Ok(manifest) if manifest.is_rehearsal() != rehearse => {
            let results = files.run.results.display();
            if rehearse {
                refused(format!("{results} are the results of a real run"), "leave out --rehearse")
            } else {
                refused(format!("{results} are the results of a rehearsal"), "verify them with --rehearse")
            }
        }
        Ok(manifest) => Ok(Some(manifest)),
        Err(ManifestError::Missing(path)) => {
            tracing::warn!(
                target: output::WEAKENED,
                "{} is missing; the totals are printed but not saved",
                path.display()
            );
            Ok(None)
        }
        Err(error) => refused(error.to_string(), "nothing was verified"),
    }
}

/// Adds the sessions of these users from a listing before the run.
async fn remember(concerned: &mut Concerned, listing: PathBuf, rehearse: bool) -> Result<(), RunError> {
    let (name, mut unreadable) = (listing.display().to_string(), 0);
    let content = read_input(&InputSource::File(listing), None, ColumnNames::default(), Rules::default(), rehearse)?;
    let ids = content.header().columns();
    read_rows(&content, |row| {
        let text = |index: Option<usize>| index.and_then(|index| row.fields.get(index)).map_or("", str::trim);
        // A row whose user can't be read may belong to one of them.
        if UserId::parse(text(ids.user)).is_ok_and(|user| !concerned.users.contains(&user)) {
            return;
        }
        match SessionId::parse(text(ids.session)) {
            Ok(session) => drop(concerned.before.insert(session)),
            Err(_) => unreadable += 1,
        }
    })
    .await?;
    if unreadable > 0 {
        let rows = counted(unreadable, "row", "rows");
        tracing::warn!(
            target: output::WEAKENED,
            "{rows} of {name} with a session id that can't be read; such a session counts as new"
        );
    }
    Ok(())
}
