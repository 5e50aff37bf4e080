//! Everything that is settled before anybody is asked and anything is sent: the input, its files, and where to begin.

use super::{earlier, places};
use crate::cli::{Existing, Mode, Settings};
use crate::commands::rows;
use crate::commands::waiting::blocking;
use crate::error::RunError;
use crate::input::{
    Content, Continuation, Earlier, Guards, Identify, Input, InputError, MaybeSent, Rules, Survey, SurveyOptions,
};
use crate::ledger::aside::Aside;
use crate::ledger::journal::{Lock, LockError};
use crate::ledger::manifest::{Columns, Manifest, ManifestError, Protections, Remaining};
use crate::ledger::paths::{self, RunFiles};
use crate::ledger::remaining;
use crate::ledger::resume::{self, Ask, Continuity, Found, Fresh, Start, Wants};
use crate::ledger::scan::{Recorded, Scan, ScanError, Seen, check_rows, scan};
use crate::ledger::seal::Seal;
use crate::model::{Fields, InputSource, Stamp, UserId};
use crate::output;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// An input that was read to its end, and the place where its results go.
pub struct Prepared {
    /// The input.
    pub content: Content,
    /// What it holds.
    pub survey: Survey,
    /// Where everything goes; none for the plan of standard input.
    pub files: Option<RunFiles>,
    /// The lock on the results; none for a plan.
    pub lock: Option<Lock>,
    /// What earlier runs left in the manifest.
    pub manifest: Option<Manifest>,
    /// The rows that have ended in them.
    pub recorded: Recorded,
    /// The results as they were read: what is there by the time they are written to is the same, or the run is refused.
    pub seen: Option<Seen>,
    /// Whether they are what the run that is continued left.
    pub(super) seal: Option<Seal>,
    /// Where this run begins.
    pub start: Start,
    /// The earlier run whose files make room first.
    pub aside: Option<Aside>,
    rules: Rules,
    /// The protections of the run that is continued.
    pub(super) inherited: Option<Protections>,
    /// The remaining file that earlier runs left.
    pub remaining: Option<Remaining>,
}

impl Prepared {
    /// Reads and checks everything; sends nothing and writes nothing but the lock.
    ///
    /// # Errors
    /// Where the input cannot be used, the output is held or cannot be continued, or `--protect` cannot be read.
    pub async fn open(settings: &Settings) -> Result<Self, RunError> {
        let owned = settings.clone();
        let named = move || -> Result<_, RunError> { Ok((places::of(&owned)?, rules(&owned)?)) };
        let (files, rules) = blocking(named).await?;
        // Not on the other thread: if a signal ends the wait for it, the lock is still given back.
        let lock = files.as_ref().filter(|_| settings.mode != Mode::Plan).map(acquire).transpose()?;
        let journal = lock.as_ref().map(Lock::listed).transpose();
        let journal = journal.map_err(|error| RunError::unwritable(error.to_string(), "nothing was sent"))?.flatten();
        let owned = settings.clone();
        let mut this = blocking(move || Self::read(&owned, files, rules, journal)).await?;
        this.lock = lock;
        earlier::tell(&this, settings.safety.allow_self);
        Ok(this)
    }

    fn read(
        settings: &Settings,
        files: Option<RunFiles>,
        mut rules: Rules,
        journal: Option<MaybeSent>,
    ) -> Result<Self, RunError> {
        rows::check_listing(&settings.input.source)?;
        let before = Before::read(settings, files.as_ref())?;
        let done = || before.scan.as_ref().map(|scan| scan.recorded.done().clone()).unwrap_or_default();
        let input = Input::open(settings.input.source.clone(), &spool_dir(&settings.input.source, files.as_ref()))
            .map_err(|error| input_error(&error))?;
        let options = SurveyOptions {
            delimiter: settings.input.delimiter,
            columns: settings.columns.clone(),
            most_bytes: Some(settings.input.max_input_size),
            rules: rules.clone(),
            done: done(),
        };
        let (mut content, mut survey) = input.survey(options, before.earlier()).map_err(|error| input_error(&error))?;
        let start = before.decide(settings, &survey, files.as_ref(), journal)?;
        before.check_rows(&start, &content, &survey, files.as_ref())?;
        before.check_columns(&start, &survey)?;
        earlier::tell_idle_guards(settings.safety.protect.as_deref(), &rules.guards, &survey);
        let inherited = before.protections(&start);
        let mut survey_again = |rules: &Rules, survey: &mut Survey| -> Result<(), RunError> {
            let again = content.survey_again(rules.clone(), done());
            (content, *survey) = again.map_err(|error| input_error(&error))?;
            Ok(())
        };
        if inherited.as_ref().is_some_and(|inherited| inherited.add_named_to(&mut rules.guards)) {
            survey_again(&rules, &mut survey)?;
        }
        if protect_users_of_sessions(&mut rules, &survey) {
            survey_again(&rules, &mut survey)?;
        }
        if let Some(line) = survey.first_swallowing {
            tracing::warn!(
                target: output::WEAKENED,
                "line {line}: a quoted cell holds {} that could be sent, and that are not: is a quote (\") left open?",
                output::counted(survey.swallowed, "line", "lines")
            );
        }
        let remaining = before.remaining(files.as_ref())?;
        let aside = before.aside(&start, files.as_ref(), settings)?;
        let (seen, seal) = (before.scan.as_ref().map(|scan| scan.seen), before.seal);
        let (manifest, recorded) = before.into_parts(&start);
        let lock = None;
        let mut this = Self {
            content,
            survey,
            files,
            lock,
            manifest,
            recorded,
            seen,
            seal,
            start,
            aside,
            rules,
            inherited,
            remaining,
        };
        this.forget_other_rows()?;
        Ok(this)
    }

    /// The lines that an earlier run ended are another input's where it is put aside.
    fn forget_other_rows(&mut self) -> Result<(), RunError> {
        if self.start == Start::Fresh(Fresh::PutsAside) && self.survey.already_done > 0 {
            let again = self.content.survey_again(self.rules.clone(), self.recorded.done().clone());
            (self.content, self.survey) = again.map_err(|error| input_error(&error))?;
        }
        Ok(())
    }

    /// Protects the sessions of the token's own user, unless `--allow-self`, and of the users whose tokens the continued run
    /// was given. Rows that name no user can't be told apart.
    ///
    /// # Errors
    /// If the input can't be read again.
    pub fn protect_own_users(&mut self, settings: &Settings, own: Option<&UserId>) -> Result<(), RunError> {
        if settings.mode != Mode::Run {
            return Ok(());
        }
        let guards = &mut self.rules.guards;
        guards.own_users.extend(self.inherited.iter().flat_map(Protections::own_users).cloned());
        match own {
            _ if settings.safety.allow_self => {}
            Some(own) => drop(guards.own_users.insert(own.clone())),
            // The introduction has refused the run, or told why it may continue.
            None => {}
        }
        if guards.own_users.is_empty() {
            return Ok(());
        }
        if self.survey.without_user < self.survey.sendable {
            let again = self.content.survey_again(self.rules.clone(), self.recorded.done().clone());
            (self.content, self.survey) = again.map_err(|error| input_error(&error))?;
        }
        Ok(())
    }

    /// Sees to it that what was agreed to is still what the input holds. While rows are sent they are compared again.
    ///
    /// # Errors
    /// If it was changed.
    pub async fn check_unchanged(&self) -> Result<(), RunError> {
        let content = self.content.clone();
        blocking(move || content.check_unchanged()).await.map_err(|error| input_error(&error))
    }

    /// Rows to send that may belong to a protected user, because they name none.
    #[must_use]
    pub fn unowned(&self) -> u64 {
        if self.rules.guards.users.is_empty() { 0 } else { self.survey.without_user }
    }

    /// What this run and those after it on the same results go by.
    pub fn protections(&self) -> Protections {
        Protections::of(&self.rules.guards)
    }

    /// The rows whose sessions an earlier run may have ended.
    #[must_use]
    pub fn maybe_sent(&self) -> MaybeSent {
        match &self.start {
            Start::Fresh(_) => MaybeSent::default(),
            Start::Continue { maybe_sent, .. } => maybe_sent.clone().and(self.recorded.may_be_gone()),
        }
    }
}

fn input_error(error: &InputError) -> RunError {
    rows::unusable("nothing was sent; ", error)
}

fn rules(settings: &Settings) -> Result<Rules, RunError> {
    let identify = if settings.input.whole_users { Identify::WholeUsers } else { settings.input.identify_by };
    let mut guards = Guards::default();
    if let Some(path) = &settings.safety.protect {
        let trouble = |error: String| {
            let what = format!("cannot use --protect {}: {error}", path.display());
            RunError::input(what, "give a file of user ids and session ids, one a line")
        };
        let content = std::fs::read(path).map_err(|error| trouble(error.to_string()))?;
        guards.protect(&content).map_err(|error| trouble(error.to_string()))?;
    }
    Ok(Rules { identify, guards })
}

/// A protected session would end with its user's others, so whole users are protected through it. True where there are
/// such users.
fn protect_users_of_sessions(rules: &mut Rules, survey: &Survey) -> bool {
    let Some(whole) = &survey.whole else { return false };
    let found: HashSet<_> = whole.protected.iter().map(|(session, _)| session).collect();
    let unseen = rules.guards.sessions.len() - found.len();
    if unseen > 0 {
        tracing::warn!(
            target: output::WEAKENED,
            "{} of --protect stand on no row of the input, so their users are not known and not protected: name the users",
            output::counted(unseen as u64, "session id", "session ids")
        );
    }
    rules.guards.users_of_sessions = whole.protected.iter().map(|(_, user)| user.clone()).collect();
    !rules.guards.users_of_sessions.is_empty()
}

/// Locks the results, so that no other run works on them.
///
/// # Errors
/// Where one does, or the lock cannot be written.
pub fn acquire(files: &RunFiles) -> Result<Lock, RunError> {
    Lock::acquire(&files.journal, std::process::id()).map_err(|error| match error {
        LockError::Held { .. } => {
            RunError::locked(error.to_string(), "nothing was sent, and that run goes on undisturbed")
        }
        LockError::NotAJournal(_) | LockError::OtherVersion { .. } => {
            RunError::input(error.to_string(), "nothing was sent")
        }
        LockError::NoLocks { .. } => {
            let next = "nothing was sent; name a file on a filesystem with locks, such as a local disk, with -o";
            RunError::unwritable(error.to_string(), next)
        }
        LockError::Io(error) => {
            RunError::unwritable(error.to_string(), "nothing was sent; make room or name another file with -o")
        }
    })
}

/// Where a copy of the input is kept: beside the output if a file is unpacked, else with the temporary files.
fn spool_dir(source: &InputSource, files: Option<&RunFiles>) -> PathBuf {
    let beside = match source {
        InputSource::File(_) => files.and_then(|files| files.results.parent()),
        InputSource::Stdin | InputSource::Stream(_) => None,
    };
    beside.filter(|folder| !folder.as_os_str().is_empty()).map_or_else(std::env::temp_dir, Path::to_path_buf)
}

/// What earlier runs left behind.
struct Before {
    manifest: Option<Manifest>,
    scan: Option<Scan>,
    /// How the two fit together; `None` without a manifest.
    seal: Option<Seal>,
}

impl Before {
    fn read(settings: &Settings, files: Option<&RunFiles>) -> Result<Self, RunError> {
        let Some(files) = files else { return Ok(Self { manifest: None, scan: None, seal: None }) };
        let manifest = match Manifest::load(&files.manifest) {
            Ok(mut manifest) => {
                // The results are counted again, and they are right where the two differ.
                manifest.per_user.clear();
                Some(manifest)
            }
            Err(ManifestError::Missing(_)) => None,
            Err(error) => return Err(RunError::input(error.to_string(), "nothing was sent")),
        };
        let is_read = match settings.existing {
            Existing::Resume | Existing::ResumeOrStart => true,
            // Without a manifest, a rehearsal replaces results only if they have no record.
            Existing::Refuse => settings.mode == Mode::Rehearsal && manifest.is_none(),
        };
        let scan = if is_read { read_results(&files.results, None, settings)? } else { None };
        let seal = manifest.as_ref().map(|manifest| Seal::of(manifest, scan.as_ref(), &files.results)).transpose();
        let seal = seal.map_err(|error| RunError::input(error.to_string(), "nothing was sent"))?;
        Ok(Self { manifest, scan, seal })
    }

    fn earlier(&self) -> Option<Earlier> {
        let input = &self.manifest.as_ref()?.input;
        Some(Earlier { content_bytes: input.content_bytes, content_sha256: input.content_sha256.clone() })
    }

    fn decide(
        &self,
        settings: &Settings,
        survey: &Survey,
        files: Option<&RunFiles>,
        journal: Option<MaybeSent>,
    ) -> Result<Start, RunError> {
        let Some(files) = files else { return Ok(Start::Fresh(Fresh::FirstRun)) };
        let rehearsal = settings.mode == Mode::Rehearsal;
        let wants = match (settings.existing, rehearsal) {
            (Existing::Resume, _) => Wants::Resume,
            (Existing::ResumeOrStart, _) => Wants::ResumeOrStart,
            (Existing::Refuse, true) => Wants::Replace,
            (Existing::Refuse, false) => Wants::Fresh,
        };
        let prior = self
            .manifest
            .as_ref()
            .zip(self.seal)
            .map(|(manifest, seal)| manifest.prior(continuity(manifest, survey), seal));
        // Another input may have other columns; its results aren't written to. Nor are those that a run left which died
        // before its manifest: they are begun again, or refused.
        let may_differ = match &prior {
            Some(prior) => wants == Wants::ResumeOrStart && prior.is_of_other_input(),
            None => self.scan.as_ref().is_some_and(|scan| scan.columns.is_some()),
        };
        let found = match &self.scan {
            Some(scan) => {
                let valid_len = if may_differ { scan.valid_len } else { whole_header(scan, survey, files, settings)? };
                Some(Found { valid_len, done: scan.recorded.done().clone() })
            }
            None => paths::is_there(&files.results)
                .map_err(|error| RunError::unwritable(error.to_string(), "nothing was sent"))?
                .then(Found::default)
                .filter(|_| wants == Wants::Fresh),
        };
        resume::decide(Ask { wants, rehearsal }, prior, found, journal).map_err(|refusal| {
            let what = format!("{}: {refusal}", files.results.display());
            RunError::input(what, "nothing was sent")
        })
    }

    /// A manifest can come to lie beside another input's results.
    fn check_rows(
        &self,
        start: &Start,
        content: &Content,
        survey: &Survey,
        files: Option<&RunFiles>,
    ) -> Result<(), RunError> {
        match (start, &self.scan, files) {
            (Start::Continue { .. }, Some(scan), Some(files)) => {
                check_rows(scan, &files.results, content, survey).map_err(|error| unusable(&error))
            }
            (Start::Continue { .. } | Start::Fresh(_), _, _) => Ok(()),
        }
    }

    /// Refuses to read the ids from other columns than the run that is continued did: its rows would become other ones.
    fn check_columns(&self, start: &Start, survey: &Survey) -> Result<(), RunError> {
        let (Start::Continue { .. }, Some(manifest)) = (start, &self.manifest) else { return Ok(()) };
        let now = Columns::of(survey.columns, &survey.header);
        let Some((id, header)) = manifest.input.columns.first_other(&now) else { return Ok(()) };
        let what = format!("the run that is continued read {id} from the column {header:?}, and this one doesn't");
        let next = format!("nothing was sent; add --column {:?}", format!("{id}={header}"));
        Err(RunError::input(what, next))
    }

    /// What makes room for a run that begins where another input's results are.
    fn aside(&self, start: &Start, files: Option<&RunFiles>, settings: &Settings) -> Result<Option<Aside>, RunError> {
        let (Start::Fresh(Fresh::PutsAside), Some(manifest), Some(files)) = (start, &self.manifest, files) else {
            return Ok(None);
        };
        let Some(mut aside) = Aside::of(manifest, &files.results) else { return Ok(None) };
        // Where a run died while it made room, the results are there already.
        let moved = if self.scan.is_none() { read_results(&aside.files.results, None, settings)? } else { None };
        let ended = self.scan.as_ref().or(moved.as_ref()).map_or(0, |scan| scan.recorded.done().len());
        aside.count_ended(manifest.input.rows, ended);
        Ok(Some(aside))
    }

    /// The protections to keep; `None` if no run is continued or its manifest doesn't have them.
    fn protections(&self, start: &Start) -> Option<Protections> {
        match start {
            Start::Fresh(_) => None,
            Start::Continue { .. } => self.manifest.as_ref()?.protections.clone(),
        }
    }

    /// What earlier runs left as `--remaining`.
    ///
    /// # Errors
    /// If something else is there: it isn't replaced.
    fn remaining(&self, files: Option<&RunFiles>) -> Result<Option<Remaining>, RunError> {
        let Some(files) = files else { return Ok(None) };
        let known = self.manifest.as_ref().and_then(|manifest| manifest.remaining.clone());
        let ours = remaining::is_free_or_ours(files, known.as_ref());
        if ours.map_err(|error| {
            RunError::unwritable(error.to_string(), "nothing was sent; name another file with --remaining")
        })? {
            return Ok(known);
        }
        let what = format!(
            "--remaining {}: the file is there already, and it isn't what an earlier run on these results wrote",
            files.remaining.display()
        );
        Err(RunError::input(what, "nothing was sent; move it away, or name another file with --remaining"))
    }

    /// Manifest and records to go on from; a fresh run has none.
    fn into_parts(self, start: &Start) -> (Option<Manifest>, Recorded) {
        match start {
            Start::Fresh(_) => (None, Recorded::default()),
            Start::Continue { .. } => (self.manifest, self.scan.map(|scan| scan.recorded).unwrap_or_default()),
        }
    }
}

/// The results as far as they are whole; none where there are none.
fn read_results(path: &Path, columns: Option<&Fields>, settings: &Settings) -> Result<Option<Scan>, RunError> {
    match scan(path, columns, &settings.columns) {
        Ok(scan) => Ok(Some(scan)),
        Err(ScanError::Missing(_)) => Ok(None),
        Err(error) => Err(unusable(&error)),
    }
}

fn unusable(error: &ScanError) -> RunError {
    RunError::input(error.to_string(), "nothing was sent")
}

/// Sees to it that the results are this input's: their header, or as much of it as was written.
fn whole_header(scan: &Scan, survey: &Survey, files: &RunFiles, settings: &Settings) -> Result<u64, RunError> {
    if scan.columns.as_ref() != Some(&survey.header) {
        read_results(&files.results, Some(&survey.header), settings)?;
    }
    Ok(scan.valid_len)
}

fn continuity(manifest: &Manifest, survey: &Survey) -> Continuity {
    match survey.continuation {
        Some(Continuation::Same) => Continuity::Same,
        Some(Continuation::Appended) => Continuity::Appended,
        Some(Continuation::Other) | None => Continuity::Other {
            recorded: manifest.input.sha256.as_str().into(),
            given: survey.identity.sha256.as_str().into(),
        },
    }
}

/// The id of a run that began then.
pub(super) fn run_id(started: Stamp) -> String {
    crate::ledger::manifest::run_id(started, fastrand::u32(..))
}
