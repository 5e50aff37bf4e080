//! Slack over HTTP: requests, answers, and the token.
//!
//! [`wire`] and the other readers are pure functions from bytes to values. Only [`client`] uses the network.

pub mod method;
pub mod token;
pub mod wire;

mod auth_test;
mod call_error;
mod client;
mod endpoint;
mod list;
mod proxy;
mod request;
mod retry_after;
mod users;

pub use auth_test::AuthTest;
pub use call_error::{CallError, Objection};
pub use client::{Client, ClientConfig, ClientError};
pub use endpoint::{ApiUrl, EndpointError, SLACK_HOSTS};
pub use list::{ActiveSession, Device, ListQuery, ListReply, SessionPage, UnreadableSession};
pub use proxy::Proxy;
pub use token::{Token, TokenError, TokenSource, secret_variables, unread_variable};
pub use users::{SlackUser, UserPage, UserQuery};
