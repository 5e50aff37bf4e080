//! The client, and the methods that it calls.

use super::call_error::TransportError;
use super::request::{Form, NAME, PermittedBody, headers, session_form, users_form};
use super::retry_after;
use super::token::{Token, TokenError, TokenSource};
use super::wire::{self, Headers};
use super::{ApiUrl, AuthTest, CallError, ListQuery, ListReply, Proxy, SessionPage, UserPage, UserQuery};
use super::{auth_test, list, method, users};
use crate::engine::ports::{self, Permit, Refreshed, SessionApi};
use crate::model::{Answer, ErrorCode, Reply, SessionKind, Timestamp, format_duration};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Body, Method, Request, Response, Url};
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum size of an answer to a revocation or `auth.test`. Slack's have a few hundred bytes.
const SMALL: usize = 64 * 1024;

/// Maximum size of a page. A thousand sessions have about half a megabyte.
const LARGE: usize = 8 * 1024 * 1024;

/// Idle connections are closed after this time, before a server or proxy closes them during a request.
const IDLE: Duration = Duration::from_secs(15);

/// Waits between the attempts to read an expired token again.
const BETWEEN_READINGS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Extra time for a command that is being killed.
const A_MOMENT: Duration = Duration::from_secs(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-slack-req-id");
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");

#[derive(Debug)]
pub struct ClientConfig {
    pub api: ApiUrl,
    pub token: Token,
    /// From [`Proxy::in_use`]; `None` for a direct connection.
    pub proxy: Option<Proxy>,
    /// `--timeout`: one call, from the first packet to the last byte of the answer. Connecting may take half of it.
    pub timeout: Duration,
    /// The wall clock, for a date in `Retry-After` if the answer has no `Date`.
    pub now: fn() -> Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS can't be set up, usually because the machine has no root certificates.
    #[error(
        "no encrypted connection can be made ({0}); install the system's CA certificates, or point SSL_CERT_FILE at them"
    )]
    Setup(Box<str>),
    /// The transport doesn't support the proxy.
    #[error("the proxy {0} can't be used; correct or unset HTTPS_PROXY or ALL_PROXY")]
    Proxy(Proxy),
}

/// A client for Slack. Clones share the connections and the token.
#[derive(Debug, Clone)]
pub struct Client(Arc<ClientInner>, Option<SessionKind>);

#[derive(Debug)]
struct ClientInner {
    http: reqwest::Client,
    invalidate: Url,
    reset_bulk: Url,
    list: Url,
    list_users: Url,
    auth_test: Url,
    /// The headers of every call. The token is marked as sensitive, so that `Debug` hides it.
    headers: RwLock<HeaderMap>,
    source: TokenSource,
    /// For calls and for reading the token again.
    timeout: Duration,
    now: fn() -> Timestamp,
}

/// An HTTP response before it is interpreted.
struct RawResponse {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Why the body is missing although status and headers were received.
    body_error: Option<Box<str>>,
}

impl Client {
    /// Builds a client; nothing is sent.
    ///
    /// # Errors
    /// If TLS can't be set up, or the transport doesn't support the proxy.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let ClientConfig { api, token, proxy, timeout, now } = config;
        let inner = ClientInner {
            http: transport(&api, proxy, timeout)?,
            invalidate: api.method(method::INVALIDATE),
            reset_bulk: api.method(method::RESET_BULK),
            list: api.method(method::LIST),
            list_users: api.method(method::LIST_USERS),
            auth_test: api.method("auth.test"),
            headers: RwLock::new(headers(&api, &token)),
            source: token.source().clone(),
            timeout,
            now,
        };
        Ok(Self(Arc::new(inner), None))
    }

    /// Restricts calls for whole users to one kind of session.
    #[must_use]
    pub fn only(self, kind: Option<SessionKind>) -> Self {
        Self(self.0, kind)
    }

    /// Calls `auth.test`. Its limit is hundreds of calls a minute, so it needs no permit.
    ///
    /// # Errors
    /// If Slack refuses, limits the rate, or gives no clear answer.
    pub async fn auth_test(&self) -> Result<AuthTest, CallError> {
        self.0.auth_test().await
    }

    /// Reads the token again from its source. Retries a few times, because the command may have no connection, or the
    /// file may be about to be replaced. Returns `false` if it is the same token, or if the source can't be read
    /// twice.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn renew_token(&self) -> Result<bool, TokenError> {
        let mut waits = BETWEEN_READINGS.into_iter();
        loop {
            let error = match self.0.read_token_again().await {
                Ok(token) => return Ok(token.is_some_and(|token| self.0.renew(&token))),
                Err(error) => error,
            };
            let Some(wait) = waits.next() else { return Err(error) };
            tracing::warn!("the token has expired; {error}; reading it again in {}", format_duration(wait));
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads a page of sessions, which needs the scope `admin.users:read`. `no_active_sessions` on the first page is
    /// an empty page, on a later one a refusal.
    ///
    /// # Errors
    /// If Slack refuses, limits the rate, or gives no clear answer.
    pub async fn list_sessions(&self, _permit: Permit, query: &ListQuery) -> ListReply {
        self.0.list_sessions(query).await
    }

    /// Reads a page of users, which needs the scope `admin.users:read`.
    ///
    /// # Errors
    /// If Slack refuses, limits the rate, or gives no clear answer.
    pub async fn list_users(&self, _permit: Permit, query: &UserQuery) -> Result<UserPage, CallError> {
        self.0.list_users(query).await
    }
}

impl SessionApi for Client {
    fn call(&self, permit: Permit, request: ports::Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        let (client, only, permit) = (Arc::clone(&self.0), self.1, Arc::new(permit));
        async move {
            tokio::select! {
                biased;
                () = permit.withdrawn() => None,
                reply = client.end_sessions(&request, only, &permit) => Some(reply),
            }
        }
    }

    async fn refresh_token(&self) -> Refreshed {
        match self.renew_token().await {
            Ok(true) => Refreshed::Changed,
            Ok(false) => Refreshed::Unchanged,
            Err(error) => Refreshed::Failed(error.to_string().into()),
        }
    }
}

impl ClientInner {
    async fn read_token_again(&self) -> Result<Option<Token>, TokenError> {
        let (send, receive) = oneshot::channel();
        let (source, limit) = (self.source.clone(), self.timeout);
        // A plain thread: a pipe without a writer must not block the runtime, or its shutdown.
        thread::spawn(move || send.send(Token::read_again(&source, limit)));
        match tokio::time::timeout(limit + A_MOMENT, receive).await {
            Ok(read) => read.unwrap_or(Ok(None)),
            Err(_) => Err(TokenError::TooSlow { origin: self.source.clone(), limit }),
        }
    }

    async fn end_sessions(&self, request: &ports::Request, only: Option<SessionKind>, permit: &Arc<Permit>) -> Reply {
        let (url, form) = match request {
            ports::Request::Session(target) => (&self.invalidate, session_form(target)),
            ports::Request::Users(users) => (&self.reset_bulk, users_form(users, only)),
        };
        let reply = match self.call(url, form, SMALL, Some(permit)).await {
            Ok(response) => self.reply(&response),
            Err(error) => error.into_reply(),
        };
        if matches!(reply.answer, Answer::RateLimited { .. }) || reply.wait.is_some() {
            permit.announce_pause();
        }
        reply
    }

    async fn auth_test(&self) -> Result<AuthTest, CallError> {
        let response =
            self.call(&self.auth_test, Form::new(), SMALL, None).await.map_err(TransportError::into_error)?;
        match CallError::of(self.reply(&response)) {
            Some(error) => Err(error),
            None => auth_test::read(&relevant_headers(&response.headers), &response.body)
                .ok_or_else(|| CallError::bad_response("auth.test answered ok, but not who the token is")),
        }
    }

    async fn list_sessions(&self, query: &ListQuery) -> ListReply {
        let response = self.call(&self.list, query.form(), LARGE, None).await.map_err(TransportError::into_error)?;
        match CallError::of(self.reply(&response)) {
            Some(CallError::Refused { code: ErrorCode::NoActiveSessions, .. }) if query.cursor.is_none() => {
                Ok(SessionPage::default())
            }
            Some(error) => Err(error),
            None => list::read(&response.body)
                .ok_or_else(|| CallError::bad_response("the answer is ok, but doesn't contain a list of sessions")),
        }
    }

    async fn list_users(&self, query: &UserQuery) -> Result<UserPage, CallError> {
        let response =
            self.call(&self.list_users, query.form(), LARGE, None).await.map_err(TransportError::into_error)?;
        match CallError::of(self.reply(&response)) {
            Some(error) => Err(error),
            None => users::read(&response.body)
                .ok_or_else(|| CallError::bad_response("the answer is ok, but doesn't contain a list of users")),
        }
    }

    /// Posts a form, and returns the response with at most `cap` bytes of its body. Nothing is sent once the permit
    /// is withdrawn. A pause is announced to the permit before the body is read.
    async fn call(
        &self,
        url: &Url,
        form: Form,
        cap: usize,
        permit: Option<&Arc<Permit>>,
    ) -> Result<RawResponse, TransportError> {
        let mut request = Request::new(Method::POST, url.clone());
        request.headers_mut().clone_from(&self.headers.read().unwrap_or_else(PoisonError::into_inner));
        let form = form.finish();
        if form.is_empty() {
            // The transport omits it if there is no body, and some servers answer 411 then.
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let body = Body::from(form);
        *request.body_mut() = Some(match permit {
            Some(permit) => Body::wrap(PermittedBody::new(Arc::clone(permit), body)),
            None => body,
        });
        let mut response = self.http.execute(request).await.map_err(TransportError::from_transport)?;
        let status = response.status().as_u16();
        let asks_for_pause = status == 429 || response.headers().contains_key(RETRY_AFTER);
        if let (true, Some(permit)) = (asks_for_pause, permit) {
            permit.announce_pause();
        }
        let (body, body_error) = match read(&mut response, cap).await {
            Ok(Some(body)) => (body, None),
            Ok(None) => (Vec::new(), Some(format!("the answer is longer than {cap} bytes").into())),
            // The pause is in the headers, and applies even if the body is lost.
            Err(error) if asks_for_pause => (Vec::new(), Some(TransportError::from_transport(error).detail)),
            Err(error) => return Err(TransportError::from_transport(error)),
        };
        Ok(RawResponse { status, headers: std::mem::take(response.headers_mut()), body, body_error })
    }

    fn reply(&self, response: &RawResponse) -> Reply {
        let headers = relevant_headers(&response.headers);
        let reply = wire::reply(response.status, &headers, &response.body, (self.now)());
        if let Some(header) = headers.retry_after.as_deref()
            && let Some(remark) = retry_after::remark(header)
        {
            tracing::warn!("{remark}");
        }
        match &response.body_error {
            Some(why) => Reply { detail: why.clone(), ..reply },
            None => reply,
        }
    }

    /// Sets the token of later calls. Returns whether it is another one.
    fn renew(&self, token: &Token) -> bool {
        let fresh = token.bearer();
        let mut held = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.insert(AUTHORIZATION, fresh.clone());
        before != Some(fresh)
    }
}

/// Sends each request once, only to this address, and doesn't follow redirects.
fn transport(api: &ApiUrl, proxy: Option<Proxy>, timeout: Duration) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(NAME)
        .redirect(reqwest::redirect::Policy::none())
        // With `never()` alone, each request would be copied for the retry policy.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .https_only(api.is_https())
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        // Bounds every read too. Connecting gets half of the time, so that a failure is reported as a connection that
        // was never made.
        .timeout(timeout)
        .connect_timeout(timeout / 2)
        .no_proxy();
    if let Some(proxy) = proxy {
        let all = reqwest::Proxy::all(proxy.url()).map_err(|_| ClientError::Proxy(proxy))?;
        builder = builder.proxy(all);
    }
    if api.is_loopback() {
        // Without this, a hosts file or resolver could redirect it. The port comes from the URL.
        builder =
            builder.resolve_to_addrs("localhost", &[(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
    }
    if !api.is_https() {
        // Plain http doesn't need root certificates, which are slow to load and may be missing.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| ClientError::Setup(TransportError::from_transport(error).detail))
}

/// A header that isn't text counts as missing.
fn relevant_headers(headers: &HeaderMap) -> Headers<'_> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // Every one may ask for a pause, even one that can't be read.
    let pauses = headers.get_all(RETRY_AFTER).iter().map(|value| Cow::from(value.to_str().unwrap_or_default()));
    Headers {
        retry_after: pauses.reduce(|one, other| Cow::from(format!("{one}, {other}"))),
        request_id: text(&REQUEST_ID),
        scopes: text(&SCOPES),
        content_type: text(&CONTENT_TYPE),
        date: text(&DATE),
        location: text(&LOCATION),
    }
}

/// `None` if the body is longer than `cap`; the rest isn't read.
async fn read(response: &mut Response, cap: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let announced = response.content_length().unwrap_or(0);
    if announced > cap as u64 {
        return Ok(None);
    }
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > cap {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests;
