//! How commands other than `run` call Slack.

use super::{API_URL, CallSettings, Environment, Mode, RateChoice, TokenChoice, UsageError, address, rules};
use crate::cli::{InputSource, RateArg, RemoteArgs};
use std::time::Duration;

/// How commands other than `run` call Slack.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteSettings {
    /// The rate of the one bucket.
    pub rate: RateChoice,
    /// One call.
    pub calls: CallSettings,
    /// The longest pause that is waited for.
    pub max_retry_after: Duration,
    /// Whose token.
    pub token: TokenChoice,
}

impl RemoteSettings {
    /// What was typed means in this environment. `input` is what the command reads, where that is standard input nobody
    /// can be asked there.
    ///
    /// # Errors
    /// Where flags exclude each other.
    pub fn resolve(typed: RemoteArgs, input: &InputSource, environment: &Environment) -> Result<Self, UsageError> {
        if typed.token.token_file.is_some() && typed.token.token_command.is_some() {
            return Err(UsageError::TwoTokens);
        }
        let is_local = typed.token.api_url.as_deref().is_some_and(address::is_loopback);
        if typed.rates.rate == RateArg::Unlimited && !is_local {
            return Err(UsageError::UnlimitedAbroad);
        }
        let token = rules::token(Mode::Run, &typed.token, environment, environment.terminal_beside(input));
        Ok(Self {
            rate: rules::rate(&typed.rates.as_pace())?,
            calls: CallSettings {
                retries: typed.call.retries,
                timeout: typed.call.timeout,
                api_url: typed.token.api_url.unwrap_or_else(|| API_URL.into()),
                allow_hosts: typed.token.allow_host,
            },
            max_retry_after: typed.call.max_retry_after,
            token,
        })
    }
}
