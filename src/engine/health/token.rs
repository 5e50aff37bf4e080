//! The token of a run: when an expired one is read again, and when that is given up.

use std::time::Duration;

/// Fresh tokens in a row that Slack calls expired before any of them has worked. A source that gives a new dead token each
/// time would keep a run calling for ever.
const MOST_DEAD_TOKENS: u32 = 3;

/// Whether the token works, as far as answers have shown.
#[derive(Debug, Default)]
pub struct TokenState {
    /// Being read again; nothing is sent meanwhile.
    refreshing: bool,
    /// When the last fresh token was taken into use.
    fresh_since: Option<Duration>,
    /// Fresh tokens since the last answer that showed a working one.
    unproven: u32,
}

/// What an answer of `token_expired` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The token is to be read again.
    Refresh,
    /// A newer token is there already, or on its way: the call is made again with that one.
    SendAgain,
    /// Fresh tokens have been expired too often.
    GiveUp,
}

impl TokenState {
    /// Whether the token is being read again.
    #[must_use]
    pub fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    /// Slack accepted the token of a call that was sent at `sent_at`.
    pub fn accepted(&mut self, sent_at: Duration) {
        if !self.is_of_older_token(sent_at) {
            self.unproven = 0;
        }
    }

    /// Slack called the token of a call that was sent at `sent_at` expired.
    pub fn expired(&mut self, sent_at: Duration) -> Expiry {
        if self.refreshing || self.is_of_older_token(sent_at) {
            return Expiry::SendAgain;
        }
        if self.unproven >= MOST_DEAD_TOKENS {
            return Expiry::GiveUp;
        }
        self.refreshing = true;
        Expiry::Refresh
    }

    /// Another token was found.
    pub fn changed(&mut self, now: Duration) {
        self.refreshing = false;
        self.fresh_since = Some(now);
        self.unproven += 1;
    }

    /// No other token was found.
    pub fn not_changed(&mut self) {
        self.refreshing = false;
    }

    /// Whether a call left before the token of now was taken into use.
    fn is_of_older_token(&self, sent_at: Duration) -> bool {
        self.fresh_since.is_some_and(|since| sent_at < since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn refreshed(token: &mut TokenState, sent_at: u64, now: u64) {
        assert_eq!(token.expired(at(sent_at)), Expiry::Refresh);
        token.changed(at(now));
    }

    #[test]
    fn late_answers_to_calls_with_the_old_token_start_no_second_refresh() {
        let mut token = TokenState::default();
        assert_eq!(token.expired(at(1)), Expiry::Refresh);
        assert_eq!(token.expired(at(1)), Expiry::SendAgain);
        token.changed(at(5));
        token.accepted(at(6));
        assert_eq!(token.expired(at(2)), Expiry::SendAgain, "this call left before the refresh");
        assert_eq!(token.expired(at(7)), Expiry::Refresh);
    }

    #[test]
    fn fresh_tokens_that_never_work_are_given_up() {
        let mut token = TokenState::default();
        for round in 0..3 {
            refreshed(&mut token, round * 10, round * 10 + 1);
            token.accepted(at(round * 10));
        }
        assert_eq!(token.expired(at(40)), Expiry::GiveUp);
        token.accepted(at(41));
        assert_eq!(token.expired(at(42)), Expiry::Refresh, "one worked after all");
    }
}
