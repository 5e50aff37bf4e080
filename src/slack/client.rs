//! The client: one way to make a call, and the methods that are called.

use super::call_error::TransportError;
use super::request::{Form, NAME, PermittedBody, headers, session_form, users_form};
use super::retry_after;
use super::token::{Token, TokenError, TokenSource};
use super::wire::{self, Headers};
use super::{ApiUrl, AuthTest, CallError, ListQuery, ListReply, Proxy, SessionPage, UserPage, UserQuery};
use super::{auth_test, list, method, users};
use crate::engine::ports::{self, Permit, Refreshed, SessionApi};
use crate::model::{Answer, ErrorCode, Reply, SessionKind, Stamp, format_duration};
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

/// Bytes read of an answer to a revocation or to `auth.test`; Slack's have some hundred.
const SMALL: usize = 64 * 1024;

/// Bytes read of a page of sessions; a thousand of them have half a megabyte.
const LARGE: usize = 8 * 1024 * 1024;

/// Connections idle for longer are closed by us, before a server or a proxy does it under a request.
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
    /// The way there, as [`Proxy::in_use`] found it; `None` is direct.
    pub proxy: Option<Proxy>,
    /// `--timeout`: one call from the first packet to the last byte of its answer. A connection may take half of it.
    pub timeout: Duration,
    /// The wall clock, for a `Retry-After` that is a date in an answer without a `Date`.
    pub now: fn() -> Stamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up; most often the machine has no root certificates.
    #[error(
        "no encrypted connection can be made ({0}); install the system's CA certificates, or point SSL_CERT_FILE at them"
    )]
    Setup(Box<str>),
    /// The transport does not take the proxy.
    #[error("the proxy {0} can't be used; correct or unset HTTPS_PROXY or ALL_PROXY")]
    Proxy(Proxy),
}

/// Slack, as the engine and the commands see it. Clones share the connections and the token.
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
    /// Every call's headers. The token's is marked sensitive, so that `Debug` hides it.
    headers: RwLock<HeaderMap>,
    source: TokenSource,
    /// Of a call, and of reading the token again.
    timeout: Duration,
    now: fn() -> Stamp,
}

/// An HTTP response before it is interpreted.
struct RawResponse {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Why the body is not there, though the status and the headers are.
    body_error: Option<Box<str>>,
}

impl Client {
    /// Builds a client; nothing is sent.
    ///
    /// # Errors
    /// If TLS cannot be set up, or the proxy is of no kind that the transport knows.
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

    /// Has whole users lose only the sessions of this kind.
    #[must_use]
    pub fn only(self, kind: Option<SessionKind>) -> Self {
        Self(self.0, kind)
    }

    /// Asks who the token is. Not limited in practice (hundreds a minute), so it takes no permit.
    ///
    /// # Errors
    /// If Slack refuses, limits, or gives no clear answer.
    pub async fn auth_test(&self) -> Result<AuthTest, CallError> {
        self.0.auth_test().await
    }

    /// Reads the token again from its source, a few times if it can't be read: the command may have no connection just now,
    /// and a file may be about to be replaced. `false` if it is the same token, or a source that can't be read twice.
    ///
    /// # Errors
    /// Why it can't be read, the last time.
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

    /// Reads one page of sessions, with the scope `admin.users:read`. No active session at all is an empty page; none after a
    /// page that promised more is a refusal.
    ///
    /// # Errors
    /// If Slack refuses, limits, or gives no clear answer.
    pub async fn list_sessions(&self, _permit: Permit, query: &ListQuery) -> ListReply {
        self.0.list_sessions(query).await
    }

    /// Reads one page of users, with the scope `admin.users:read`.
    ///
    /// # Errors
    /// If Slack refuses, limits, or gives no clear answer.
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

    /// Makes one call: a form out, a status and at most `cap` bytes back. With a permit, nothing is sent once that is
    /// withdrawn, and a pause is announced to it before the body of the answer is waited for.
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
            // The transport leaves it out of a request without a body, and some servers answer 411 then.
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
            // The pause is in the headers and must be relevant_headers, whatever became of the body.
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

    /// Takes a token for every later call. True where it is another one than before.
    fn renew(&self, token: &Token) -> bool {
        let fresh = token.bearer();
        let mut held = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.insert(AUTHORIZATION, fresh.clone());
        before != Some(fresh)
    }
}

/// The transport. It sends a request once, to the one address, and follows no redirect.
fn transport(api: &ApiUrl, proxy: Option<Proxy>, timeout: Duration) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(NAME)
        .redirect(reqwest::redirect::Policy::none())
        // "Never" is a rule that is asked for each request, with a copy of it at hand; of none at most, no copy is made.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .https_only(api.is_https())
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        // The whole time bounds every read too. A connection gets half, so that its failure is reported as what it is:
        // nothing was sent, and the row is as it was.
        .timeout(timeout)
        .connect_timeout(timeout / 2)
        .no_proxy();
    if let Some(proxy) = proxy {
        let all = reqwest::Proxy::all(proxy.url()).map_err(|_| ClientError::Proxy(proxy))?;
        builder = builder.proxy(all);
    }
    if api.is_loopback() {
        // A hosts file or a resolver may say otherwise; the port comes from the address.
        builder =
            builder.resolve_to_addrs("localhost", &[(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
    }
    if !api.is_https() {
        // Plain http to this machine needs no root certificates, which take a while to load and may not be there.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| ClientError::Setup(TransportError::from_transport(error).detail))
}

/// The headers that are used. One that isn't text counts as missing.
fn relevant_headers(headers: &HeaderMap) -> Headers<'_> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // Any of these may ask for a pause, and one that can't be read asks for one all the same.
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

/// Reads the body chunk by chunk; `None` if it is longer than `cap`, and then the rest stays unread.
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
