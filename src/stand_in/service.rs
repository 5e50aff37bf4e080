//! Handles requests.

use super::answers::{self, TORN_BYTES};
use super::arguments::{self, Arguments, Method};
use super::config::{Latency, RetryAfter};
use super::faults::{Effect, InjectedFault, ScriptedReply, StandInReply, mix};
use super::faulty_stream::StreamHandle;
use super::sessions::SessionOwner;
use super::state::{Admission, BucketId, ServerState};
use crate::model::ErrorCode;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method as HttpMethod};
use axum::response::Response;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-slack-req-id");
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");

/// The server's clock, separate from the client's, as on another machine.
#[derive(Debug, Clone, Copy)]
struct ServerClock {
    started: Instant,
    started_at: SystemTime,
}

impl ServerClock {
    #[expect(clippy::disallowed_methods, reason = "the server is the other side of the wire; this is its one clock")]
    fn start() -> Self {
        Self { started: Instant::now(), started_at: SystemTime::now() }
    }

    /// Monotonic time since the start.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The date at `time` after the start.
    fn date(&self, time: Duration) -> SystemTime {
        self.started_at + time
    }
}

/// The state shared by the handlers and the [`super::Server`].
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<ServerState>,
    clock: ServerClock,
    latency: Latency,
    answers: AtomicU64,
}

impl Shared {
    pub(super) fn new(state: ServerState, latency: Latency) -> Self {
        Self { state: Mutex::new(state), clock: ServerClock::start(), latency, answers: AtomicU64::new(0) }
    }

    /// Ignores poisoning: a handler that panicked leaves consistent counts.
    pub(super) fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A unique request id.
    fn request_id(&self) -> HeaderValue {
        let count = self.answers.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{:016x}", mix(count), mix(!count));
        HeaderValue::try_from(id).expect("hexadecimal digits")
    }
}

/// A call in flight, which ends when this is dropped: after the answer, or when the client disconnects.
struct InFlight {
    shared: Arc<Shared>,
    bucket: BucketId,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.state().leave(self.bucket);
    }
}

/// A call that reached its bucket.
struct AdmittedCall {
    shared: Arc<Shared>,
    handle: StreamHandle,
    arrived: Duration,
    arguments: Result<Arguments, ErrorCode>,
    warning: Option<&'static str>,
}

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(handle): ConnectInfo<StreamHandle>,
    request: Request,
) -> Response {
    let request_id = shared.request_id();
    let mut response = match Method::of_path(request.uri().path()) {
        Some(method) => dispatch(shared, handle, method, request).await,
        None => answers::refused(&ErrorCode::UnknownMethod, None, None),
    };
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

async fn dispatch(shared: Arc<Shared>, handle: StreamHandle, method: Method, request: Request) -> Response {
    let token = arguments::bearer(request.headers()).map(str::to_owned);
    let posted = request.method() == HttpMethod::POST;
    let (mut arguments, warning) = arguments::read(request).await;
    if method.writes() && !posted {
        arguments = Err(ErrorCode::InvalidPostType);
    }
    let team = arguments.as_ref().ok().and_then(|arguments| arguments.team_id.as_deref());
    let arrived = shared.clock.now();
    let admitted = shared.state().admit(method, token.as_deref(), team, arrived);
    let Admission { bucket, scopes, verdict } = match admitted {
        Ok(admission) => admission,
        Err(denial) => return answers::denied(&denial),
    };
    let _in_flight = InFlight { shared: Arc::clone(&shared), bucket };
    let call = AdmittedCall { shared, handle, arrived, arguments, warning };
    let mut response = match (verdict, method) {
        (Err(wait), _) => call.limited(method, bucket, wait).await,
        (Ok(()), Method::Invalidate) => call.invalidate().await,
        (Ok(()), Method::ResetBulk) => call.reset_bulk().await,
        (Ok(()), Method::List) => call.list().await,
        (Ok(()), Method::ListUsers) => call.list_users().await,
        (Ok(()), Method::AuthTest) => call.auth_test(token.as_deref()).await,
    };
    response.headers_mut().insert(SCOPES, scopes);
    response
}

impl AdmittedCall {
    /// Refuses a call. The pause starts when the answer is sent, because the client can't know it earlier.
    async fn limited(&self, method: Method, bucket: BucketId, wait: Duration) -> Response {
        let session = self.session();
        match method {
            Method::Invalidate => self.shared.state().record(self.arrived, session, &StandInReply::Limited),
            Method::ResetBulk => {
                let users = self.arguments.as_ref().ok().and_then(|arguments| arguments.users().ok());
                self.shared.state().bulk.record(&users.unwrap_or_default(), &StandInReply::Limited);
            }
            Method::List | Method::ListUsers | Method::AuthTest => {}
        }
        self.delay(session).await;
        let now = self.shared.clock.now();
        let limit = self.shared.state().limit(method);
        let stated = retry_after_header(limit.retry_after, &self.shared.clock, self.arrived + wait, now);
        if let Some((_, pause)) = stated {
            self.shared.state().pause(bucket, now, pause);
        }
        answers::limited(limit.status, stated.map(|(header, _)| header))
    }

    async fn invalidate(&self) -> Response {
        let (session, owner) = match self.arguments.as_ref().map(Arguments::target) {
            Ok(Ok(target)) => target,
            Ok(Err(words)) => return self.refuse_arguments(&ErrorCode::InvalidArguments, Some(words)),
            Err(code) => return self.refuse_arguments(code, None),
        };
        let scripted = self.shared.state().scripted_reply(session, owner);
        let (reply, late) = match scripted {
            None => (self.end(session, owner), Duration::ZERO),
            Some(ScriptedReply::Refused(code)) => (StandInReply::Refused(code), Duration::ZERO),
            Some(ScriptedReply::Fault(fault, effect)) => self.with_fault(fault, effect, session, owner).await,
        };
        self.shared.state().record(self.arrived, Some(session), &reply);
        pause(late + self.shared.latency.of(Some(session))).await;
        self.respond_for(session, reply)
    }

    /// The answer without a fault.
    fn end(&self, session: u64, owner: SessionOwner<'_>) -> StandInReply {
        self.shared.state().store.end(session, owner).map_or_else(StandInReply::Refused, |()| StandInReply::Ok)
    }

    /// The answer of a call with a fault, and its delay.
    async fn with_fault(
        &self,
        fault: InjectedFault,
        effect: Effect,
        session: u64,
        owner: SessionOwner<'_>,
    ) -> (StandInReply, Duration) {
        match effect {
            Effect::None => {
                if let InjectedFault::Slow(delay) = fault {
                    pause(delay).await;
                    return (self.end(session, owner), Duration::ZERO);
                }
            }
            Effect::Done => {
                let reply = self.end(session, owner);
                if let InjectedFault::Slow(delay) = fault {
                    return (reply, delay);
                }
            }
        }
        (StandInReply::Fault(fault), Duration::ZERO)
    }

    async fn reset_bulk(&self) -> Response {
        let named = self.arguments.as_ref().map(|arguments| Ok((arguments.users()?, arguments.only()?)));
        let (users, reply, words) = match named {
            Ok(Ok((users, only))) => {
                let state = &mut *self.shared.state();
                let reply = state.bulk.answer(&users, only, &mut state.store);
                (users, reply, None)
            }
            Ok(Err(words)) => (Vec::new(), StandInReply::Refused(ErrorCode::InvalidArguments), Some(words)),
            Err(code) => (Vec::new(), StandInReply::Refused(code.clone()), None),
        };
        self.shared.state().bulk.record(&users, &reply);
        self.delay(None).await;
        match (reply, words) {
            (StandInReply::Refused(code), Some(words)) => answers::refused(&code, Some(words), self.warning),
            (reply, _) => self.respond(reply),
        }
    }

    fn respond_for(&self, session: u64, reply: StandInReply) -> Response {
        if reply == StandInReply::Ok {
            self.shared.state().store.mark_confirmed(session);
        }
        self.respond(reply)
    }

    fn respond(&self, reply: StandInReply) -> Response {
        match reply {
            StandInReply::Ok => answers::ok(self.warning),
            StandInReply::Refused(code) => answers::refused(&code, None, self.warning),
            StandInReply::Limited => answers::refused(&ErrorCode::Ratelimited, None, self.warning),
            StandInReply::Fault(fault) => {
                match fault {
                    InjectedFault::Reset => self.handle.reset(),
                    InjectedFault::Torn => self.handle.truncate(TORN_BYTES),
                    InjectedFault::InternalError
                    | InjectedFault::FatalError
                    | InjectedFault::Unavailable
                    | InjectedFault::RequestTimeout
                    | InjectedFault::RequestTimeoutCode
                    | InjectedFault::Garbage
                    | InjectedFault::ProxyPage
                    | InjectedFault::Slow(_) => {}
                }
                answers::fault(fault)
            }
        }
    }

    fn refuse_arguments(&self, code: &ErrorCode, words: Option<&str>) -> Response {
        self.shared.state().record(self.arrived, None, &StandInReply::Refused(code.clone()));
        answers::refused(code, words, self.warning)
    }

    async fn list(&self) -> Response {
        self.delay(None).await;
        let refused = |code: &ErrorCode| answers::refused(code, None, self.warning);
        let arguments = match &self.arguments {
            Ok(arguments) => arguments,
            Err(code) => return refused(code),
        };
        let of = match (&arguments.team_id, &arguments.user_id) {
            (Some(team), Some(user)) => Some((team.as_str(), user.as_str())),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return refused(&ErrorCode::InvalidArguments),
        };
        let Some(limit) = limit(arguments.limit.as_deref()) else { return refused(&ErrorCode::InvalidArguments) };
        let after = match arguments.cursor.as_deref().map(read_cursor) {
            None => None,
            Some(Some(after)) => Some(after),
            Some(None) => return refused(&ErrorCode::InvalidCursor),
        };
        let (page, more) = self.shared.state().store.page(after, limit, of);
        if page.is_empty() && after.is_none() {
            return refused(&ErrorCode::NoActiveSessions);
        }
        let cursor = page.last().filter(|_| more).map(|last| cursor(last.id)).unwrap_or_default();
        answers::sessions(page, cursor)
    }

    async fn list_users(&self) -> Response {
        self.delay(None).await;
        let refused = |code: &ErrorCode| answers::refused(code, None, self.warning);
        let arguments = match &self.arguments {
            Ok(arguments) => arguments,
            Err(code) => return refused(code),
        };
        let Some(limit) = limit(arguments.limit.as_deref()) else { return refused(&ErrorCode::InvalidArguments) };
        let from = match arguments.cursor.as_deref().map(read_cursor) {
            None => 0,
            Some(Some(from)) => usize::try_from(from).unwrap_or(usize::MAX),
            Some(None) => return refused(&ErrorCode::InvalidCursor),
        };
        let is_active = !matches!(arguments.is_active.as_deref(), Some("false" | "0"));
        let mut users = self.shared.state().all_users();
        users.retain(|user| user.is_active == is_active);
        let next = users.len().min(from.saturating_add(limit));
        let cursor = if next < users.len() { cursor(next as u64) } else { String::new() };
        let state = self.shared.state();
        let page = users.drain(from.min(next)..next).map(|user| (state.store.teams_of(&user.id), user));
        answers::users(page, cursor)
    }

    async fn auth_test(&self, token: Option<&str>) -> Response {
        self.delay(None).await;
        let identity = token.and_then(|token| self.shared.state().identity(token));
        match identity {
            Some(identity) => answers::identity(identity, self.warning),
            None => answers::refused(&ErrorCode::InvalidAuth, None, self.warning),
        }
    }

    fn session(&self) -> Option<u64> {
        let target = self.arguments.as_ref().ok()?.target();
        target.ok().map(|(session, _)| session)
    }

    async fn delay(&self, session: Option<u64>) {
        pause(self.shared.latency.of(session)).await;
    }
}

/// Doesn't sleep if the delay is zero, because an empty sleep still takes a timer tick of a millisecond.
async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// The `Retry-After` of a refusal at `now` whose true wait ends at `until`, and the pause that it asks for.
fn retry_after_header(
    policy: RetryAfter,
    clock: &ServerClock,
    until: Duration,
    now: Duration,
) -> Option<(HeaderValue, Duration)> {
    let seconds = |seconds: u64| Some((HeaderValue::from(seconds), Duration::from_secs(seconds)));
    match policy {
        RetryAfter::True => seconds(whole_seconds(until.saturating_sub(now)).max(1)),
        RetryAfter::Missing => None,
        RetryAfter::Zero => seconds(0),
        RetryAfter::Fixed(stated) => seconds(stated),
        RetryAfter::HttpDate => {
            let since_epoch = |time| clock.date(time).duration_since(UNIX_EPOCH).unwrap_or_default();
            let end = Duration::from_secs(whole_seconds(since_epoch(until)));
            let text = httpdate::fmt_http_date(UNIX_EPOCH + end);
            let header = HeaderValue::try_from(text).expect("an HTTP date is ASCII");
            Some((header, end.saturating_sub(since_epoch(now))))
        }
    }
}

/// Rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// 1 to 1,000 (slack.md, "The sibling methods"); 100 by default.
fn limit(text: Option<&str>) -> Option<usize> {
    text.map_or(Some(100), |text| text.parse().ok()).filter(|limit| (1..=1000).contains(limit))
}

/// The end of the page, in an opaque form.
fn cursor(last: u64) -> String {
    format!("after:{last:x}=")
}

fn read_cursor(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("after:")?.strip_suffix('=')?, 16).ok()
}
