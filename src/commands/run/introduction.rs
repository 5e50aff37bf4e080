//! `auth.test` before the first row: whose sessions must be spared. Without a clear answer, nothing is sent that may be theirs.

use super::Prepared;
use crate::advice;
use crate::commands::identify::{Identified, Patience, identify};
use crate::domain::Status;
use crate::error::{RunError, Trouble};
use crate::report::{self, human};
use crate::settings::Settings;
use crate::slack::{CallError, Client, Objection};

/// What the first call is made for.
pub(super) struct Introduction<'a> {
    pub settings: &'a Settings,
    pub prepared: &'a Prepared,
    pub client: &'a Client,
}

impl Introduction<'_> {
    /// Whose token it is; or why that isn't known, if the run can continue without.
    ///
    /// # Errors
    /// If Slack rejects the token, or rows to be sent may belong to its unknown user.
    pub async fn make(&self) -> Result<Result<Identified, CallError>, RunError> {
        let calls = &self.settings.calls;
        let patience = Patience { retries: calls.retries, longest_pause: self.settings.safety.max_retry_after };
        let error = match identify(self.client, patience).await {
            Ok(identified) => return Ok(Ok(identified)),
            Err(error) => error,
        };
        match (error.objection(), self.must_know()) {
            (Some(Objection::Rejected), _) | (Some(Objection::NotPermitted), true) => Err(rejected(&error)),
            (None, true) => Err(unclear(&error)),
            (None | Some(Objection::NotPermitted), false) => {
                self.warn(&error);
                Ok(Err(error))
            }
        }
    }

    /// Whether a row could belong to the token's own user and must not be sent then.
    fn must_know(&self) -> bool {
        let survey = &self.prepared.survey;
        !self.settings.safety.allow_self && survey.without_user < survey.sendable
    }

    fn warn(&self, error: &CallError) {
        let why = if self.settings.safety.allow_self {
            "--allow-self is given, so the run continues; its manifest won't say whose token it was"
        } else {
            "no row names a user, so none can be protected; the run continues, and its manifest won't say whose token it was"
        };
        tracing::warn!(target: report::WEAKENED, "it isn't known whose token this is: {error}; {why}");
    }
}

fn rejected(error: &CallError) -> RunError {
    RunError::Token(Trouble::new(format!("Slack refuses the token: {error}"), remedy(error)))
}

fn unclear(error: &CallError) -> RunError {
    let what = format!("can't find out whose token this is, so that user's sessions can't be protected: {error}");
    RunError::Unreachable(Trouble::new(what, format!("nothing was sent; {}", remedy(error))))
}

fn remedy(error: &CallError) -> String {
    match error {
        CallError::RateLimited { retry_after: Some(pause) } => {
            format!("run the same command again in {}, not before", human(*pause))
        }
        CallError::RateLimited { retry_after: None } | CallError::Refused { .. } | CallError::Fault { .. } => {
            advice::of_error(Status::Unknown, &error.name()).into()
        }
    }
}
