//! Who must not be ended: `--protect`, the token's own user, and what the continued run protected.

use super::Preflight;
use crate::cli::{Mode, Settings};
use crate::commands::run::remote::Remote;
use crate::commands::run::resume_notice;
use crate::error::RunError;
use crate::input::{InputSummary, Protection, Rules};
use crate::ledger::manifest::Protections;
use crate::model::{EmailAddress, UserId};
use crate::output;
use std::collections::{BTreeSet, HashSet};

impl Preflight {
    /// Protects what the resumed run did. Returns whether any of it is new.
    pub(super) fn inherit_protections(&mut self) -> bool {
        let Some(Protections { users, users_of_addresses, sessions, .. }) = &self.output.inherited else {
            return false;
        };
        self.rules.protection.add(users, users_of_addresses, sessions)
    }

    /// Protects the sessions of the token's own user, unless `--allow-self` was given, and those of token owners in
    /// the resumed run. Rows without a user can't be recognized, unless the listing of `--bulk` has it.
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

/// What `--protect` names.
///
/// # Errors
/// If the file can't be used.
pub(super) fn named(settings: &Settings) -> Result<Protection, RunError> {
    let mut protection = Protection::default();
    let Some(path) = &settings.safety.protect else { return Ok(protection) };
    let trouble = |error: String| {
        let what = format!("can't use --protect {}: {error}", path.display());
        RunError::input(what, "give a file of user ids, e-mail addresses and session ids, one a line")
    };
    let content = std::fs::read(path).map_err(|error| trouble(error.to_string()))?;
    protection.protect(&content).map_err(|error| trouble(error.to_string()))?;
    Ok(protection)
}

/// A protected session would end with its user's others, so whole users are protected through it. True where there are
/// such users.
pub(super) fn protect_users_of_sessions(rules: &mut Rules, survey: &InputSummary) -> bool {
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
