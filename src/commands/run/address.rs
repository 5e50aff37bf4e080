//! Where calls go, and by which way.

use crate::error::RunError;
use crate::slack::{ApiUrl, Proxy};

/// The address that calls go to.
///
/// # Errors
/// Where it is no place that the token may be sent to.
pub fn parse(url: &str, allow_hosts: &[String]) -> Result<ApiUrl, RunError> {
    ApiUrl::parse(url, allow_hosts).map_err(|error| RunError::input(format!("--api-url: {error}"), "nothing was sent"))
}

/// The proxy that the environment asks for.
///
/// # Errors
/// Where a variable does not name one.
pub fn proxy(api: &ApiUrl) -> Result<Option<Proxy>, RunError> {
    Proxy::in_use(api, &|name| std::env::var_os(name))
        .map_err(|error| RunError::input(error.to_string(), "nothing was sent"))
}
