//! Slack over HTTP: what is sent, what comes back, and the token it is sent with.
//!
//! [`wire`] and its neighbours are pure: bytes in, values out. [`http`] alone speaks to the network.

pub mod auth_test;
pub mod endpoint;
pub mod http;
pub mod list;
pub mod permitted_body;
mod proxy;
pub mod token;
pub mod wire;

mod call_error;
mod form;
mod retry_after;
mod text;

pub use auth_test::AuthTest;
pub use call_error::{CallError, Objection};
pub use endpoint::{ApiUrl, EndpointError};
pub use http::{Client, ClientError, Config};
pub use list::{ActiveSession, Device, ListQuery, ListReply, Page, Unreadable};
pub use proxy::Proxy;
pub use token::{Token, TokenError, TokenSource, secret_variables, unread_variable};
