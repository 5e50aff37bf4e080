//! `auth.test` before the first row: finds the token's own user, whose sessions are protected. Without a clear
//! answer, no row that may belong to that user is sent.

use super::Preflight;
use crate::cli::Settings;
use crate::commands::token::{Identified, Patience, identify};
use crate::error::RunError;
use crate::model::{Status, TokenOwner, error_hint};
use crate::output::{self, format_duration};
use crate::slack::{AuthTest, CallError, Client, Objection};

pub(super) struct Introduction<'a> {
    pub settings: &'a Settings,
    pub prepared: &'a Preflight,
    pub client: &'a Client,
}

impl Introduction<'_> {
    /// The owner of the token, or why it is unknown if the run can continue without it.
    ///
    /// # Errors
    /// If Slack rejects the token, or rows may belong to its unknown user.
    pub async fn make(&self) -> Result<Result<Identified, CallError>, RunError> {
        let error = match identify(self.client, Patience::of(self.settings)).await {
            Ok(identified) => return Ok(Ok(identified)),
            Err(error) => error,
        };
        match (error.objection(), must_know(self.settings, self.prepared)) {
            (Some(Objection::Rejected), _) | (Some(Objection::NotPermitted), true) => Err(rejected(&error)),
            (None, true) => Err(unclear(&error)),
            (None | Some(Objection::NotPermitted), false) => {
                self.warn(&error);
                Ok(Err(error))
            }
        }
    }

    fn warn(&self, error: &CallError) {
        let why = if self.settings.safety.allow_self {
            "--allow-self is given, so the run continues, but its manifest won't say whose token it was"
        } else {
            "no row has a user, so no user can be protected; the run continues, but its manifest won't say whose token it was"
        };
        tracing::warn!(target: output::WEAKENED, "it isn't known whose token this is: auth.test: {error}; {why}");
    }
}

/// Whether a row may belong to the token's own user, who is protected, and never ended by `--bulk`.
pub(super) fn must_know(settings: &Settings, prepared: &Preflight) -> bool {
    prepared.bulk.is_some() || !settings.safety.allow_self && prepared.survey.without_user < prepared.survey.sendable
}

pub(super) fn owner(auth: &AuthTest) -> TokenOwner {
    let text = |text: &Option<Box<str>>| text.clone().unwrap_or_default();
    TokenOwner {
        id: auth.user_id.clone(),
        name: text(&auth.user),
        team_id: auth.team_id.clone(),
        team: text(&auth.team),
        enterprise_id: auth.enterprise_id.clone(),
        url: text(&auth.url),
    }
}

fn rejected(error: &CallError) -> RunError {
    RunError::token(format!("Slack refuses the token: {error}"), remedy(error))
}

fn unclear(error: &CallError) -> RunError {
    let what = format!("can't find out whose token this is, so that user's sessions can't be protected: {error}");
    RunError::unreachable(what, format!("nothing was sent; {}", remedy(error)))
}

fn remedy(error: &CallError) -> String {
    match error {
        CallError::RateLimited { retry_after: Some(pause) } => {
            format!("wait {} before you run the same command again", format_duration(*pause))
        }
        CallError::RateLimited { retry_after: None } | CallError::Refused { .. } | CallError::Fault { .. } => {
            error_hint(Status::Unknown, &error.name()).into()
        }
    }
}
