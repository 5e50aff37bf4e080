//! Checks before the question and the first call: the input, the files, and where to start.

mod guards;

use super::bulk::{self, BulkListing, InputHalf};
use super::{output_paths, resume_notice};
use crate::cli::{Existing, Mode, Settings};
use crate::commands::outputs::acquire;
use crate::commands::rows;
use crate::commands::waiting::blocking;
use crate::engine::bulk_calls;
use crate::error::RunError;
use crate::input::{
    Content, Covers, EarlierInput, Input, InputError, InputMatch, InputSummary, Rules, SurveyOptions, WholeUsers,
};
use crate::ledger::journal::Lock;
use crate::ledger::manifest;
use crate::ledger::paths::RunFiles;
use crate::ledger::preflight::{InputFacts, Output, PreflightError, PreviousRun};
use crate::ledger::resume::{NewRunReason, OnExisting, ResumeRequest, Start};
use crate::model::{AUDIT_ENTRIES, Carried, InputSource, PossiblySent, SessionKind, Timestamp};
use crate::output;
use std::io;
use std::path::{Path, PathBuf};

/// A surveyed input and its output.
pub struct Preflight {
    pub content: Content,
    pub survey: InputSummary,
    /// `None` for the plan of standard input.
    pub files: Option<RunFiles>,
    /// `None` for a plan.
    pub lock: Option<Lock>,
    /// The existing output, and where the run starts.
    pub output: Output,
    /// `--bulk`
    pub bulk: Option<BulkListing>,
    /// A listing with which `--bulk` could be used, and what it would send then.
    pub bulk_offer: Option<(PathBuf, InputSummary)>,
    rules: Rules,
}

impl Preflight {
    /// Reads and checks everything. Sends nothing, and only writes the lock.
    ///
    /// # Errors
    /// If the input can't be used, the output is locked or can't be resumed, or `--protect` can't be read.
    pub async fn open(settings: &Settings, lists_all_invalid: bool) -> Result<Self, RunError> {
        let owned = settings.clone();
        let named = move || -> Result<_, RunError> {
            Ok((output_paths::of(&owned)?, Rules { lists_all_invalid, ..rules(&owned)? }))
        };
        let (files, rules) = blocking(named).await?;
        // Locked on this thread, so that the lock is released if a signal ends the wait for the other thread.
        let lock = files.as_ref().filter(|_| settings.mode != Mode::Plan).map(acquire).transpose()?;
        let journal = lock.as_ref().map(Lock::listed).transpose();
        let journal = journal.map_err(|error| RunError::unwritable(error.to_string(), "nothing was sent"))?.flatten();
        let owned = settings.clone();
        let mut this = blocking(move || Self::read(&owned, files, rules, journal)).await?;
        this.lock = lock;
        resume_notice::show(&this, settings.safety.allow_self);
        if this.is_strict(settings) && !settings.safety.strict {
            tracing::info!(
                "the sessions come from the audit log, so those that aren't found count as failures, as with --strict; \
                 --no-strict counts them as gone"
            );
        }
        Ok(this)
    }

    fn read(
        settings: &Settings,
        files: Option<RunFiles>,
        rules: Rules,
        journal: Option<PossiblySent>,
    ) -> Result<Self, RunError> {
        rows::check_listing(&settings.input.source, settings.mode == Mode::Run)?;
        let previous = PreviousRun::read(files.as_ref(), resume_request(settings), &settings.columns)
            .map_err(|error| preflight_error(&error))?;
        let done = previous.done();
        let input = Input::open(settings.input.source.clone(), &spool_dir(&settings.input.source, files.as_ref()))
            .map_err(|error| input_error(&error))?;
        let options = SurveyOptions {
            delimiter: settings.input.delimiter,
            columns: settings.columns.clone(),
            most_bytes: Some(settings.input.max_input_size),
            rules: rules.clone(),
            done: done.clone(),
        };
        let earlier = previous.manifest().map(|manifest| EarlierInput {
            content_bytes: manifest.input.content_bytes,
            content_sha256: manifest.input.content_sha256.clone(),
        });
        let (content, survey) = input.survey(options, earlier).map_err(|error| input_error(&error))?;
        let each_row = |take: &mut dyn FnMut(u64, Carried)| {
            content.each_carried(take).map_err(|error| io::Error::other(error.to_string()))
        };
        let facts = InputFacts {
            header: &survey.header,
            columns: survey.columns,
            sha256: &survey.identity.sha256,
            matches: survey.continuation.unwrap_or(InputMatch::Other),
            carried: survey.carried,
            each_row: &each_row,
        };
        let output = previous.prepare(&facts, journal).map_err(|error| preflight_error(&error))?;
        if rules.protection.addresses.is_empty() {
            resume_notice::warn_of_idle_protection(settings.safety.protect.as_deref(), &rules.protection, &survey);
        }
        check_kind(settings, &output)?;
        let mut this = Self { content, survey, files, lock: None, output, bulk: None, bulk_offer: None, rules };
        if this.inherit_protections() {
            this.survey_again()?;
        }
        this.decide_methods(settings)?;
        if let Some(line) = this.survey.first_swallowing {
            tracing::warn!(
                target: output::WEAKENED,
                "line {line}: a quoted cell contains {} that look like input and won't be sent: is a quote (\") left open?",
                output::counted(this.survey.swallowed, "line", "lines")
            );
        }
        // If the earlier run is archived, its lines belong to another input.
        if this.output.start == Start::Fresh(NewRunReason::ArchivesOther) && this.survey.already_done > 0 {
            this.survey_again()?;
        }
        Ok(this)
    }

    /// Counts the rows again by the rules as they are now, which also decide who is covered.
    fn survey_again(&mut self) -> Result<(), RunError> {
        if let Some(bulk) = &self.bulk {
            bulk.cover(&mut self.rules, &self.content)?;
        }
        (self.content, self.survey) = self.survey_by(self.rules.clone())?;
        Ok(())
    }

    fn survey_by(&self, rules: Rules) -> Result<(Content, InputSummary), RunError> {
        let again = self.content.survey_again(rules, self.output.recorded.done().clone());
        again.map_err(|error| input_error(&error))
    }

    /// Who is ended as a whole.
    fn decide_methods(&mut self, settings: &Settings) -> Result<(), RunError> {
        let input = InputHalf { content: &self.content, survey: &self.survey };
        match &settings.input.bulk {
            Some(path) => {
                self.bulk = Some(BulkListing::read(path, settings, input)?);
                self.survey_again()?;
                self.bulk.iter().for_each(|bulk| bulk.warn_of_unknown_users(&self.rules, &self.survey));
            }
            None if settings.input.whole_users => {
                if guards::protect_users_of_sessions(&mut self.rules, &self.survey) {
                    self.survey_again()?;
                }
            }
            None => {
                if let Some((listing, rules)) = bulk::offer(settings, input, &self.rules) {
                    let (_, survey) = self.survey_by(rules)?;
                    self.bulk_offer = Some((listing, survey));
                }
            }
        }
        Ok(())
    }

    /// Checks that the input hasn't changed since it was confirmed, and that the listing of `--bulk` isn't too old meanwhile. Rows
    /// are compared again when they are sent.
    ///
    /// # Errors
    /// If it has changed, or is too old.
    pub async fn check_unchanged(&self) -> Result<(), RunError> {
        self.bulk.iter().try_for_each(BulkListing::check_age)?;
        let content = self.content.clone();
        blocking(move || content.check_unchanged()).await.map_err(|error| input_error(&error))
    }

    /// The calls of the method that has the most of them: each has its own limit.
    #[must_use]
    pub fn most_calls(&self, settings: &Settings) -> u64 {
        let InputSummary { whole, sendable, .. } = &self.survey;
        let bulk_calls = |whole: &WholeUsers| bulk_calls(whole.users, !settings.safety.no_canary);
        whole.as_ref().map_or(*sendable, |whole| bulk_calls(whole).max(sendable - whole.rows))
    }

    /// Whether `not_found` counts as a failure. The ids of the audit log are probably those of Slack's listing, but
    /// this is unproven, so for its sessions `not_found` isn't success.
    #[must_use]
    pub fn is_strict(&self, settings: &Settings) -> bool {
        let is_from_audit = self.survey.header.iter().any(|column| column == AUDIT_ENTRIES);
        settings.safety.strict || (is_from_audit && !settings.safety.no_strict)
    }
}

/// A run that goes on ends the same kind of sessions: its records don't say which.
fn check_kind(settings: &Settings, output: &Output) -> Result<(), RunError> {
    let (Start::Continue { .. }, Some(manifest)) = (&output.start, &output.manifest) else { return Ok(()) };
    let earlier = manifest.runs.iter().rfind(|run| run.whole_users).map(|run| run.only);
    match earlier {
        Some(earlier) if settings.input.whole_users && earlier != settings.input.only => {
            let kind = earlier.map_or("all", SessionKind::as_str);
            let next = earlier.map_or("leave out --only".into(), |kind| format!("add --only {}", kind.as_str()));
            let what = format!("the run that would be continued ended {kind} sessions of its users");
            Err(RunError::input(what, format!("nothing was sent; {next}")))
        }
        Some(_) | None => Ok(()),
    }
}

fn input_error(error: &InputError) -> RunError {
    rows::unusable("nothing was sent; ", error)
}

fn rules(settings: &Settings) -> Result<Rules, RunError> {
    let covers = if settings.input.whole_users { Covers::Everybody } else { Covers::Nobody };
    Ok(Rules { identify: settings.input.identify_by, covers, protection: guards::named(settings)?, ..Rules::default() })
}

/// Where a copy of the input is kept: beside the output if a file is unpacked, else with the temporary files.
fn spool_dir(source: &InputSource, files: Option<&RunFiles>) -> PathBuf {
    let beside = match source {
        InputSource::File(_) => files.and_then(|files| files.results.parent()),
        InputSource::Stdin | InputSource::Stream(_) => None,
    };
    beside.filter(|folder| !folder.as_os_str().is_empty()).map_or_else(std::env::temp_dir, Path::to_path_buf)
}

fn resume_request(settings: &Settings) -> ResumeRequest {
    let rehearsal = settings.mode == Mode::Rehearsal;
    let wants = match (settings.existing, rehearsal) {
        (Existing::Resume, _) => OnExisting::Resume,
        (Existing::ResumeOrStart, _) => OnExisting::ResumeOrStart,
        (Existing::Refuse, true) => OnExisting::Replace,
        (Existing::Refuse, false) => OnExisting::Fresh,
    };
    ResumeRequest { wants, rehearsal }
}

fn preflight_error(error: &PreflightError) -> RunError {
    let what = error.to_string();
    match error {
        PreflightError::Manifest(_)
        | PreflightError::Scan(_)
        | PreflightError::Uncompared(_)
        | PreflightError::Refused { .. } => RunError::input(what, "nothing was sent"),
        PreflightError::Results(_) => RunError::unwritable(what, "nothing was sent"),
        PreflightError::OtherIdColumn { id, header } => {
            RunError::input(what, format!("nothing was sent; add --column {:?}", format!("{id}={header}")))
        }
        PreflightError::Remaining(_) => {
            RunError::unwritable(what, "nothing was sent; name another file with --remaining")
        }
        PreflightError::ForeignRemaining(_) => {
            RunError::input(what, "nothing was sent; move it away, or name another file with --remaining")
        }
    }
}

/// The id of a run that began then.
pub(super) fn run_id(started: Timestamp) -> String {
    manifest::run_id(started, fastrand::u32(..))
}
