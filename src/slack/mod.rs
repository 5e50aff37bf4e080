//! Slack over HTTP: what is sent, what comes back, and the token it is sent with.
//!
//! [`wire`] and its neighbours are pure: bytes in, values out. [`client`] alone speaks to the network.

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
