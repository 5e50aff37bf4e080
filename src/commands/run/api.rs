//! Slack for the engine: the client, and the owner of the token after a refresh.

use super::Preflight;
use super::introduction::{must_know, owner};
use crate::cli::Settings;
use crate::commands::token::{Patience, identify};
use crate::engine::ports::{Permit, Refreshed, Request, SessionApi};
use crate::model::{ErrorCode, Reply, StopReason, UserId};
use crate::output;
use crate::slack::{AuthTest, CallError, Client, Objection};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Maximum number of fresh tokens in a row that are already expired.
const MOST_EXPIRED: usize = 3;

pub struct RunApi {
    client: Client,
    patience: Patience,
    /// Whether nothing may be sent if the owner of the token is unknown.
    must_know: bool,
    /// Whether the tokens' own sessions are protected.
    spares_owners: bool,
    /// The users of the tokens so far.
    owners: RefCell<BTreeSet<UserId>>,
}

impl RunApi {
    /// `owner` is the owner of the client's token; `None` if unknown.
    pub fn new(settings: &Settings, prepared: &Preflight, client: Client, owner: Option<&UserId>) -> Self {
        Self {
            client,
            patience: Patience::of(settings),
            must_know: must_know(settings, prepared),
            spares_owners: !settings.safety.allow_self,
            owners: RefCell::new(owner.cloned().into_iter().collect()),
        }
    }

    /// The client, for calls before the first row.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn identified(&self, auth: &AuthTest) -> Refreshed {
        if !self.owners.borrow_mut().insert(auth.user_id.clone()) {
            return Refreshed::Changed;
        }
        Refreshed::OtherOwner { owner: Box::new(owner(auth)), is_spared: self.spares_owners }
    }

    fn unidentified(&self, error: &CallError) -> Refreshed {
        let stop = match (error, error.objection()) {
            (CallError::Refused { code, detail, .. }, Some(objection))
                if self.must_know || objection == Objection::Rejected =>
            {
                StopReason::Refused { code: code.clone(), detail: detail.clone() }
            }
            _ if self.must_know => StopReason::Unavailable { error: error.name().into(), detail: "".into() },
            _ => {
                tracing::warn!(target: output::WEAKENED, "the token was renewed, and it isn't known whose it is now: {error}");
                return Refreshed::Changed;
            }
        };
        tracing::warn!(
            target: output::WEAKENED,
            "the token was renewed, but without knowing whose it is now, that user's sessions can't be protected: {error}"
        );
        Refreshed::Unidentified(stop)
    }
}

impl SessionApi for RunApi {
    fn call(&self, permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        self.client.call(permit, request)
    }

    async fn refresh_token(&self) -> Refreshed {
        for _ in 0..MOST_EXPIRED {
            let refreshed = self.client.refresh_token().await;
            if refreshed != Refreshed::Changed {
                return refreshed;
            }
            match identify(&self.client, self.patience).await {
                Ok(identified) => return self.identified(&identified.auth),
                Err(CallError::Refused { code: ErrorCode::TokenExpired, .. }) => {}
                Err(error) => return self.unidentified(&error),
            }
        }
        Refreshed::Unchanged
    }
}
