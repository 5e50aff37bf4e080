//! Checks before the question and the first call: the input, the files, and where to start.

use super::bulk::{self, BulkListing, InputHalf};
use super::remote::Remote;
use super::{output_paths, resume_notice};
use crate::cli::{Existing, Mode, Settings};
use crate::commands::outputs::acquire;
use crate::commands::rows;
use crate::commands::waiting::blocking;
use crate::engine::bulk_calls;
use crate::error::RunError;
use crate::input::{
    Content, Covers, EarlierInput, Input, InputError, InputMatch, InputSummary, Protection, Rules, SurveyOptions,
    WholeUsers,
};
use crate::ledger::journal::Lock;
use crate::ledger::manifest::{self, Protections};
use crate::ledger::paths::RunFiles;
use crate::ledger::preflight::{InputFacts, Output, PreflightError, PreviousRun};
use crate::ledger::resume::{NewRunReason, OnExisting, ResumeRequest, Start};
use crate::model::{AUDIT_ENTRIES, Carried, EmailAddress, InputSource, PossiblySent, SessionKind, Timestamp, UserId};
use crate::output;
use std::collections::{BTreeSet, HashSet};
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

    /// Protects what the resumed run did. Returns whether any of it is new.
    fn inherit_protections(&mut self) -> bool {
        let Some(Protections { users, users_of_addresses, sessions, .. }) = &self.output.inherited else {
            return false;
        };
        self.rules.protection.add(users, users_of_addresses, sessions)
    }

    /// Who is ended as a whole.
    fn decide_methods(&mut self, settings: &Settings) -> Result<(), RunError> {
        let input = InputHalf { content: &self.content, survey: &self.survey };
        match &settings.input.bulk {
            _ if settings.input.whole_users => {
                let are_found = protect_users_of_sessions(&mut self.rules, &self.survey);
                return if are_found { self.survey_again() } else { Ok(()) };
            }
            Some(path) => self.bulk = Some(BulkListing::read(path, settings, input)?),
            None => {
                if let Some((listing, rules)) = bulk::offer(settings, input, &self.rules) {
                    let (_, survey) = self.survey_by(rules)?;
                    self.bulk_offer = Some((listing, survey));
                }
                return Ok(());
            }
        }
        self.survey_again()?;
        self.bulk.iter().for_each(|bulk| bulk.warn_of_unknown_users(&self.rules, &self.survey));
        Ok(())
    }

    /// Protects the sessions of the token's own user, unless `--allow-self` was given, and those of token owners in
    /// the resumed run. Rows without a user can't be recognized.
    ///
    /// # Errors
    /// If the input can't be read again, or the listing is of another organization.
    pub fn protect_own_users(&mut self, settings: &Settings, remote: &Remote) -> Result<(), RunError> {
        if settings.mode != Mode::Run {
            return Ok(());
        }
        self.bulk.iter().try_for_each(|bulk| bulk.check_organization(remote.organization()))?;
        let protection = &mut self.rules.protection;
        protection.own_users.extend(self.output.inherited.iter().flat_map(|inherited| &inherited.own_users).cloned());
        // If it is unknown, the introduction has refused the run or explained why it continues.
        let own = remote.user().cloned();
        if settings.safety.allow_self { &mut protection.not_covered } else { &mut protection.own_users }.extend(own);
        let has_rows_of_users = self.survey.without_user < self.survey.sendable;
        if self.bulk.is_some() || (has_rows_of_users && !protection.own_users.is_empty()) {
            self.survey_again()?;
        }
        Ok(())
    }

    /// The e-mail addresses of `--protect`.
    #[must_use]
    pub fn addresses(&self) -> &BTreeSet<EmailAddress> {
        &self.rules.protection.addresses
    }

    /// Protects the users of the addresses.
    ///
    /// # Errors
    /// If the input can't be read again.
    pub fn protect_users(&mut self, settings: &Settings, users: BTreeSet<UserId>) -> Result<(), RunError> {
        self.rules.protection.users_of_addresses.extend(users);
        self.survey_again()?;
        resume_notice::warn_of_idle_protection(
            settings.safety.protect.as_deref(),
            &self.rules.protection,
            &self.survey,
        );
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

    /// Number of rows to send without a user, which may belong to a protected user.
    #[must_use]
    pub fn unowned(&self) -> u64 {
        let Protection { users, addresses, users_of_addresses, .. } = &self.rules.protection;
        if users.is_empty() && addresses.is_empty() && users_of_addresses.is_empty() {
            0
        } else {
            self.survey.without_user
        }
    }

    /// Whether `not_found` counts as a failure. The ids of the audit log are probably those of Slack's listing, but
    /// this is unproven, so for its sessions `not_found` isn't success.
    #[must_use]
    pub fn is_strict(&self, settings: &Settings) -> bool {
        let is_from_audit = self.survey.header.iter().any(|column| column == AUDIT_ENTRIES);
        settings.safety.strict || (is_from_audit && !settings.safety.no_strict)
    }

    /// The protections for this run and those that resume it.
    pub fn protections(&self) -> Protections {
        let Protection { users, sessions, addresses, users_of_addresses, own_users, .. } = &self.rules.protection;
        let inherited = self.output.inherited.iter().flat_map(|inherited| &inherited.addresses);
        Protections {
            users: users.iter().cloned().collect(),
            sessions: sessions.iter().copied().collect(),
            addresses: addresses.iter().chain(inherited).cloned().collect(),
            users_of_addresses: users_of_addresses.iter().cloned().collect(),
            own_users: own_users.iter().cloned().collect(),
        }
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
    let mut protection = Protection::default();
    if let Some(path) = &settings.safety.protect {
        let trouble = |error: String| {
            let what = format!("can't use --protect {}: {error}", path.display());
            RunError::input(what, "give a file of user ids, e-mail addresses and session ids, one a line")
        };
        let content = std::fs::read(path).map_err(|error| trouble(error.to_string()))?;
        protection.protect(&content).map_err(|error| trouble(error.to_string()))?;
    }
    Ok(Rules { identify: settings.input.identify_by, covers, protection, ..Rules::default() })
}

/// A protected session would end with its user's others, so whole users are protected through it. True where there are
/// such users.
fn protect_users_of_sessions(rules: &mut Rules, survey: &InputSummary) -> bool {
    let Some(whole) = &survey.whole else { return false };
    let found: HashSet<_> = whole.protected.iter().map(|(session, _)| session).collect();
    let unseen = rules.protection.sessions.len() - found.len();
    if unseen > 0 {
        tracing::warn!(
            target: output::WEAKENED,
            "{} of --protect stand on no row of the input, so their users are not known and not protected: name the users",
            output::counted(unseen as u64, "session id", "session ids")
        );
    }
    rules.protection.users_of_sessions = whole.protected.iter().map(|(_, user)| user.clone()).collect();
    !rules.protection.users_of_sessions.is_empty()
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
