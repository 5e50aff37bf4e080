//! The token of a run: when an expired one is read again, and when the run gives up.

use super::Scope;
use crate::model::{ErrorCode, StopReason};
use std::time::Duration;

/// The run stops after this many fresh tokens in a row that have never worked. Otherwise a source that returns a new expired
/// token each time would keep it calling forever.
const MOST_DEAD_TOKENS: u32 = 3;

#[derive(Debug, Default)]
pub struct TokenHealth {
    /// Nothing is sent while the token is read again.
    refreshing: bool,
    /// When the current token replaced the previous one.
    fresh_since: Option<Duration>,
    /// Fresh tokens since the last answer that accepted one.
    unproven: u32,
}

impl TokenHealth {
    pub fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    /// Handles an answer that shows that the token of a call sent at `sent_at` works.
    pub fn accepted(&mut self, sent_at: Duration) {
        if !self.is_of_older_token(sent_at) {
            self.unproven = 0;
        }
    }

    /// Handles an answer that calls the token of a call sent at `sent_at` expired.
    pub fn expired(&mut self, sent_at: Duration) -> Scope {
        if self.refreshing || self.is_of_older_token(sent_at) {
            return Scope::OlderToken;
        }
        if self.unproven >= MOST_DEAD_TOKENS {
            return given_up();
        }
        self.refreshing = true;
        Scope::Token
    }

    /// The token was read again. `changed_at` is `None` if it didn't change.
    pub fn read(&mut self, changed_at: Option<Duration>) {
        self.refreshing = false;
        if changed_at.is_some() {
            self.fresh_since = changed_at;
            self.unproven += 1;
        }
    }

    /// Whether a call was sent before the current token was used.
    fn is_of_older_token(&self, sent_at: Duration) -> bool {
        self.fresh_since.is_some_and(|since| sent_at < since)
    }
}

fn given_up() -> Scope {
    Scope::Run(StopReason::Refused { code: ErrorCode::TokenExpired, detail: Box::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn refreshed(token: &mut TokenHealth, sent_at: u64, now: u64) {
        assert_eq!(token.expired(at(sent_at)), Scope::Token);
        token.read(Some(at(now)));
    }

    #[test]
    fn late_answers_to_calls_with_the_old_token_start_no_second_refresh() {
        let mut token = TokenHealth::default();
        assert_eq!(token.expired(at(1)), Scope::Token);
        assert_eq!(token.expired(at(1)), Scope::OlderToken);
        token.read(Some(at(5)));
        token.accepted(at(6));
        assert_eq!(token.expired(at(2)), Scope::OlderToken, "this call left before the refresh");
        assert_eq!(token.expired(at(7)), Scope::Token);
    }

    #[test]
    fn fresh_tokens_that_never_work_are_given_up() {
        let mut token = TokenHealth::default();
        for round in 0..3 {
            refreshed(&mut token, round * 10, round * 10 + 1);
            token.accepted(at(round * 10));
        }
        assert_eq!(token.expired(at(40)), given_up());
        token.accepted(at(41));
        assert_eq!(token.expired(at(42)), Scope::Token, "one worked after all");
    }
}
