//! The client of a command: address, proxy and token.

use crate::cli::RemoteSettings;
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::slack::{ApiUrl, Client, ClientConfig, Proxy, Token};
use std::time::Duration;

/// A client that hasn't made a call yet.
pub struct Connection {
    pub client: Client,
    pub api: ApiUrl,
    pub proxy: Option<Proxy>,
}

impl Connection {
    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    /// If the proxy of the environment can't be used.
    pub fn to(api: ApiUrl, token: Token, timeout: Duration) -> Result<Self, RunError> {
        let proxy = proxy(&api)?;
        let config = ClientConfig { api: api.clone(), token, proxy: proxy.clone(), timeout, now: wall };
        let client =
            Client::new(config).map_err(|error| RunError::unreachable(error.to_string(), "nothing was sent"))?;
        Ok(Self { client, api, proxy })
    }

    /// As [`Self::to`], with the address of the settings.
    ///
    /// # Errors
    /// If the address or the proxy can't be used.
    pub fn open(settings: &RemoteSettings, token: Token) -> Result<Self, RunError> {
        Self::to(api(settings)?, token, settings.calls.timeout)
    }
}

/// The API's address from the settings.
///
/// # Errors
/// If the token may not be sent there.
pub fn api(settings: &RemoteSettings) -> Result<ApiUrl, RunError> {
    api_at(&settings.api_url, &settings.allow_hosts)
}

/// As [`api`], for any address.
///
/// # Errors
/// If the token may not be sent there.
pub fn api_at(url: &str, allow_hosts: &[String]) -> Result<ApiUrl, RunError> {
    ApiUrl::parse(url, allow_hosts).map_err(|error| RunError::input(format!("--api-url: {error}"), "nothing was sent"))
}

/// The proxy of the environment.
///
/// # Errors
/// If a variable is invalid.
pub fn proxy(api: &ApiUrl) -> Result<Option<Proxy>, RunError> {
    Proxy::in_use(api, &|name| std::env::var_os(name))
        .map_err(|error| RunError::input(error.to_string(), "nothing was sent"))
}
