//! `verify`: lists the sessions again, and determines for every record whether its session is gone.

mod sightings;

use crate::cli::{Environment, RemoteSettings, VerifyArgs};
use crate::commands::listing::{ListError, ListProgress, Lister, Pages, block_on};
use crate::commands::outputs::{self, Named, unwritable};
use crate::commands::rehearsal::{Rehearsal, folder_of};
use crate::commands::rows::{read_input, read_rows};
use crate::commands::run;
use crate::commands::seal::seal_now;
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::input::Rules;
use crate::ledger::evidence;
use crate::ledger::manifest::{Manifest, ManifestError};
use crate::ledger::paths::{self, RunFiles};
use crate::ledger::scan::{Records, ResultRecord, ScanError, records};
use crate::ledger::verified::{self, VerifiedWriter};
use crate::model::{ChangedBy, ColumnNames, ExitStatus, FileRole, IdColumns, InputSource};
use crate::model::{SessionId, SessionKind, Status, UserId};
use crate::output::{self, Console, counted};
use sightings::{Concerned, ListingSnapshot, Verdict};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    let _lock = is_run.then(|| run::acquire(&files.run)).transpose()?;
    let mut manifest = manifest_of(&files, settings.rehearse)?;
    files.check(&before, &settings, manifest.as_ref())?;
    let names = manifest.as_ref().map(|manifest| manifest.input.columns.names()).unwrap_or_default();
    let only = manifest.iter().flat_map(|manifest| &manifest.runs).find_map(|run| run.only);
    let mut concerned = concerned(&files.run.results, &names)?;
    let listed = block_on(async {
        let is_compared = !before.is_empty();
        for listing in before {
            remember(&mut concerned, listing, settings.rehearse).await?;
        }
        let rehearsal =
            settings.rehearse.then(|| Rehearsal::reopen(folder_of(Some(&files.run.results)))).transpose()?;
        let (mut lister, _) = Lister::connect(&settings, rehearsal).await?;
        let check = Verification { files: &files, names: &names, concerned: &concerned, is_compared, only, console };
        let answered = check.until_gone(&mut lister, wait.unwrap_or_default()).await;
        lister.close().await;
        answered
    })?;
    let (listed, totals) = match listed {
        Ok(answered) => answered,
        Err(halt) => {
            let again = crate::output::command_line(argv);
            return Ok(halt.end(Some(&format!("nothing was verified; run it again: {again}"))));
        }
    };
    if let Some(manifest) = &mut manifest {
        manifest.extra.insert("verified".into(), totals.to_json(&listed, &files));
        let (step, file) = ((ChangedBy::Verify, wall()), (FileRole::Verified, &*files.verified));
        evidence::save_step(manifest, step, file, &files.run.manifest).map_err(|error| unwritable(&error))?;
    }
    if let Some(kind) = only.filter(|_| totals.waiting > 0) {
        let kind = kind.as_str();
        tracing::warn!(
            target: output::WEAKENED,
            "the run ended only the {kind} sessions of whole users, and a listing doesn't say which sessions are {kind}: users who \
             still have a session are unproven"
        );
    }
    totals.tell(&listed, &files, console);
    let sha256 = manifest.and_then(|manifest| manifest.sha256);
    if let Some(sha256) = &sha256 {
        console.note(&output::manifest_line(&files.run.manifest, sha256));
    }
    seal_now(&seal, &files.run.manifest, sha256.as_deref(), console)?;
    Ok(if totals.is_proved(&listed) { ExitStatus::Success } else { ExitStatus::RowsFailed })
}

struct Listed {
    seen: ListingSnapshot,
    calls: u64,
}

/// Maximum time between two checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Repeated verifications of the same results.
struct Verification<'a> {
    files: &'a VerifyFiles,
    names: &'a ColumnNames,
    concerned: &'a Concerned,
    is_compared: bool,
    /// The kind of sessions that the run ended for whole users, if not all.
    only: Option<SessionKind>,
    console: &'a Console,
}

impl Verification<'_> {
    /// Checks until nothing is left alive, or `wait` has passed.
    async fn until_gone(
        &self,
        lister: &mut Lister,
        wait: Duration,
    ) -> Result<Result<(Listed, VerifyTotals), ListError>, RunError> {
        let (clock, mut pause) = (lister.clock(), Duration::from_secs(1));
        let end = clock.elapsed() + wait;
        loop {
            let seen = ListingSnapshot::new(self.is_compared);
            let seen = match survey(lister, seen, self.concerned, &mut ListProgress::new(self.console, clock)).await {
                Ok(seen) => seen,
                Err(halt) => return Ok(Err(halt)),
            };
            let found = Listed { seen, calls: lister.calls() };
            let totals = answer(self.files, self.names, &found.seen, self.only)?;
            let left = end.saturating_sub(clock.elapsed());
            if totals.is_proved(&found) || left.is_zero() {
                return Ok(Ok((found, totals)));
            }
            let now = pause.min(left);
            self.console.note(&format!(
                "{} not gone yet; checking again in {}",
                counted(totals.living + totals.waiting, "record is", "records are"),
                output::format_duration(now)
            ));
            if let Err(halt) = lister.pause(now).await {
                return Ok(Err(halt));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Lists the whole organization, because a user's sessions may be in any workspace.
async fn survey(
    lister: &mut Lister,
    mut seen: ListingSnapshot,
    concerned: &Concerned,
    progress: &mut ListProgress<'_>,
) -> Result<ListingSnapshot, ListError> {
    if concerned.sessions.is_empty() && concerned.users.is_empty() {
        return Ok(seen);
    }
    let mut pages = Pages::new(None, None);
    let (mut read, mut sessions) = (0, 0);
    loop {
        let page = match pages.next(lister).await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(seen),
            Err(halt @ ListError::Incomplete(_)) => {
                halt.print(Some("what wasn't seen is unproven"));
                seen.is_incomplete = true;
                return Ok(seen);
            }
            Err(halt) => return Err(halt),
        };
        read += 1;
        sessions += page.sessions.len() as u64;
        seen.take(page, concerned);
        progress.update(read, sessions);
    }
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

pub(in crate::commands) fn unreadable(error: &ScanError) -> RunError {
    RunError::input(error.to_string(), "give the results of a run, as it wrote them")
}

struct Ids(IdColumns);

impl Ids {
    fn session(&self, record: &ResultRecord) -> Option<SessionId> {
        SessionId::parse(record.fields.get(self.0.session?)?).ok()
    }

    fn user(&self, record: &ResultRecord) -> Option<UserId> {
        UserId::parse(record.fields.get(self.0.user?)?).ok()
    }
}

fn open(results: &Path, names: &ColumnNames) -> Result<(Records, Ids), RunError> {
    let records = records(results).map_err(|error| unreadable(&error))?;
    let ids = records.id_columns(names).map_err(|error| unreadable(&error))?;
    Ok((records, Ids(ids)))
}

/// The first reading: collects what to look for.
fn concerned(results: &Path, names: &ColumnNames) -> Result<Concerned, RunError> {
    let (records, ids) = open(results, names)?;
    let mut concerned = Concerned::default();
    for record in records {
        let record = record.map_err(|error| unreadable(&error))?;
        let (session, user) = (ids.session(&record), ids.user(&record));
        // A requested user is looked for even without a session id.
        if session.is_none() && record.outcome.status != Status::Requested {
            continue;
        }
        concerned.sessions.extend(session);
        concerned.users.extend(user);
    }
    Ok(concerned)
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

/// The second reading: writes every record with its verdict.
fn answer(
    files: &VerifyFiles,
    names: &ColumnNames,
    seen: &ListingSnapshot,
    only: Option<SessionKind>,
) -> Result<VerifyTotals, RunError> {
    let (records, ids) = open(&files.run.results, names)?;
    let mut out = VerifiedWriter::start(&files.verified, records.columns()).map_err(|error| unwritable(&error))?;
    let mut totals = VerifyTotals { new_sessions: seen.new_sessions(), ..VerifyTotals::default() };
    for record in records {
        let record = record.map_err(|error| unreadable(&error))?;
        let user = ids.user(&record);
        let verdict = match (ids.session(&record), record.outcome.status, &user) {
            (session, Status::Requested, Some(user)) => match (seen.verdict_of_user(session, user), only) {
                // The session may be of the other kind.
                (Verdict::StillThere, Some(_)) => Verdict::Unproven,
                (verdict, _) => verdict,
            },
            (session, _, _) => seen.verdict(session, user.as_ref()),
        };
        let back = user.as_ref().and_then(|user| seen.back(user)).filter(|_| verdict != Verdict::NotAsked);
        let count = back.map(|back| back.sessions.len().to_string()).unwrap_or_default();
        let ips = back.map(|back| back.ips.iter().map(|ip| &**ip).collect::<Vec<_>>().join(" ")).unwrap_or_default();
        out.append(&record, [verdict.as_str(), &count, &ips]).map_err(|error| unwritable(&error))?;
        totals.add(record.outcome.status, verdict);
    }
    out.finish().map_err(|error| unwritable(&error))?;
    Ok(totals)
}

#[derive(Debug, Default)]
struct VerifyTotals {
    by_verdict: BTreeMap<Verdict, u64>,
    /// Sessions of `revoked` and `already_revoked` records that aren't verified as gone.
    living: u64,
    /// `requested` records that aren't verified as gone.
    waiting: u64,
    new_sessions: u64,
}

impl VerifyTotals {
    fn add(&mut self, status: Status, verdict: Verdict) {
        *self.by_verdict.entry(verdict).or_default() += 1;
        let claimed = matches!(status, Status::Revoked | Status::AlreadyRevoked);
        self.living += u64::from(claimed && !verdict.is_gone());
        self.waiting += u64::from(status == Status::Requested && !verdict.is_gone());
    }

    fn of(&self, verdict: Verdict) -> u64 {
        self.by_verdict.get(&verdict).copied().unwrap_or(0)
    }

    fn is_proved(&self, listed: &Listed) -> bool {
        self.living + self.waiting == 0 && !listed.seen.is_incomplete
    }

    fn to_json(&self, listed: &Listed, files: &VerifyFiles) -> serde_json::Value {
        serde_json::json!({
            "at": wall().rfc3339(),
            "file": files.verified.to_string_lossy(),
            "calls": listed.calls,
            "complete": !listed.seen.is_incomplete,
            "gone": self.of(Verdict::Gone),
            "user_back": self.of(Verdict::UserBack),
            "still_there": self.of(Verdict::StillThere),
            "unproven": self.of(Verdict::Unproven),
            "not_asked": self.of(Verdict::NotAsked),
            "revoked_but_not_gone": self.living,
            "requested_but_not_gone": self.waiting,
            "new_sessions": self.new_sessions,
            "unreadable_sessions": listed.seen.unreadable(),
            "compared_with_before": listed.seen.is_compared,
        })
    }

    fn tell(&self, listed: &Listed, files: &VerifyFiles, console: &Console) {
        if listed.seen.unreadable() > 0 {
            let sessions = counted(listed.seen.unreadable(), "listed session", "listed sessions");
            tracing::warn!(
                target: output::WEAKENED,
                "{sessions} could not be read, because the user or the session id is missing or malformed; records that may \
                 mean one of them are unproven"
            );
        }
        for verdict in Verdict::ALL {
            let (word, rows) = (verdict.as_str(), self.of(verdict));
            let word = if word.is_empty() { "no session named" } else { word };
            if rows > 0 {
                console.note(&format!("{word:>16}  {}", counted(rows, "record", "records")));
            }
        }
        if self.new_sessions > 0 {
            let sessions = counted(self.new_sessions, "session", "sessions");
            let names = if listed.seen.is_compared {
                "neither the results nor --before name"
            } else {
                "the results do not name"
            };
            console.note(&format!("users of these records have {sessions} that {names}: {}", listed.seen.back_again()));
        }
        console.note(&format!("written: {}", files.verified.display()));
        if self.waiting > 0 {
            tracing::error!(
                "{} requested with --whole-users can't be verified as gone; Slack may still be working on them: verify again in a \
                 few minutes",
                counted(self.waiting, "row", "rows")
            );
        }
        if self.living > 0 {
            let sessions = counted(self.living, "session", "sessions");
            tracing::error!(
                "{sessions} recorded as revoked can't be verified as gone; look at the column verified, and run those \
                 rows again with a new output"
            );
        }
    }
}
