//! From a request to its answer.

use super::answers::{self, TORN_OFF};
use super::arguments::{self, Arguments, Method};
use super::clock::Clock;
use super::config::{Latency, RetryAfter};
use super::faults::{Effect, Fault, Prescribed, StandInReply, mix};
use super::line::Line;
use super::sessions::Owner;
use super::world::{Admission, BucketId, World};
use crate::model::ErrorCode;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method as HttpMethod};
use axum::response::Response;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-slack-req-id");
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");

/// What the handlers and the [`super::Server`] share.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    clock: Clock,
    latency: Latency,
    answers: AtomicU64,
}

impl Shared {
    pub(super) fn new(world: World, latency: Latency) -> Self {
        Self { world: Mutex::new(world), clock: Clock::start(), latency, answers: AtomicU64::new(0) }
    }

    /// The state. A handler that panicked has left whole counts behind, so a poisoned lock is still good.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another id for every answer.
    fn request_id(&self) -> HeaderValue {
        let count = self.answers.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{:016x}", mix(count), mix(!count));
        HeaderValue::try_from(id).expect("hexadecimal digits")
    }
}

/// A call's place among those in flight, given back where the answer is ready and where the client hangs up before.
struct InFlight {
    shared: Arc<Shared>,
    bucket: BucketId,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.world().leave(self.bucket);
    }
}

/// A call that reached its bucket.
struct Call {
    shared: Arc<Shared>,
    line: Line,
    arrived: Duration,
    arguments: Result<Arguments, ErrorCode>,
    warning: Option<&'static str>,
}

/// Answers one request.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let request_id = shared.request_id();
    let mut response = match Method::of_path(request.uri().path()) {
        Some(method) => dispatch(shared, line, method, request).await,
        None => answers::refused(&ErrorCode::UnknownMethod, None, None),
    };
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

async fn dispatch(shared: Arc<Shared>, line: Line, method: Method, request: Request) -> Response {
    let token = arguments::bearer(request.headers()).map(str::to_owned);
    let posted = request.method() == HttpMethod::POST;
    let (mut arguments, warning) = arguments::read(request).await;
    if method.writes() && !posted {
        arguments = Err(ErrorCode::InvalidPostType);
    }
    let team = arguments.as_ref().ok().and_then(|arguments| arguments.team_id.as_deref());
    let arrived = shared.clock.now();
    let admitted = shared.world().admit(method, token.as_deref(), team, arrived);
    let Admission { bucket, scopes, verdict } = match admitted {
        Ok(admission) => admission,
        Err(denial) => return answers::denied(&denial),
    };
    let _in_flight = InFlight { shared: Arc::clone(&shared), bucket };
    let call = Call { shared, line, arrived, arguments, warning };
    let mut response = match (verdict, method) {
        (Err(wait), _) => call.limited(method, bucket, wait).await,
        (Ok(()), Method::Invalidate) => call.invalidate().await,
        (Ok(()), Method::ResetBulk) => call.reset_bulk().await,
        (Ok(()), Method::List) => call.list().await,
        (Ok(()), Method::AuthTest) => call.auth_test(token.as_deref()).await,
    };
    response.headers_mut().insert(SCOPES, scopes);
    response
}

impl Call {
    /// Refuses. The pause begins when the answer goes out: nobody can honour what it has not been told.
    async fn limited(&self, method: Method, bucket: BucketId, wait: Duration) -> Response {
        let session = self.session();
        match method {
            Method::Invalidate => self.shared.world().record(self.arrived, session, &StandInReply::Limited),
            Method::ResetBulk => {
                let users = self.arguments.as_ref().ok().and_then(|arguments| arguments.users().ok());
                self.shared.world().bulk.record(&users.unwrap_or_default(), &StandInReply::Limited);
            }
            Method::List | Method::AuthTest => {}
        }
        self.delay(session).await;
        let now = self.shared.clock.now();
        let limit = self.shared.world().limit(method);
        let stated = state(limit.retry_after, &self.shared.clock, self.arrived + wait, now);
        if let Some((_, pause)) = stated {
            self.shared.world().pause(bucket, now, pause);
        }
        answers::limited(limit.status, stated.map(|(header, _)| header))
    }

    async fn invalidate(&self) -> Response {
        let (session, owner) = match self.arguments.as_ref().map(Arguments::target) {
            Ok(Ok(target)) => target,
            Ok(Err(words)) => return self.misread(&ErrorCode::InvalidArguments, Some(words)),
            Err(code) => return self.misread(code, None),
        };
        let prescribed = self.shared.world().prescribe(session, owner);
        let (told, late) = match prescribed {
            None => (self.end(session, owner), Duration::ZERO),
            Some(Prescribed::Refused(code)) => (StandInReply::Refused(code), Duration::ZERO),
            Some(Prescribed::Fault(fault, effect)) => self.suffer(fault, effect, session, owner).await,
        };
        self.shared.world().record(self.arrived, Some(session), &told);
        pause(late + self.shared.latency.of(Some(session))).await;
        self.tell(session, told)
    }

    /// The true answer.
    fn end(&self, session: u64, owner: Owner<'_>) -> StandInReply {
        self.shared.world().population.end(session, owner).map_or_else(StandInReply::Refused, |()| StandInReply::Ok)
    }

    /// The answer of a call that meets trouble, and how late it goes out.
    async fn suffer(&self, fault: Fault, effect: Effect, session: u64, owner: Owner<'_>) -> (StandInReply, Duration) {
        match effect {
            Effect::None => {
                if let Fault::Slow(delay) = fault {
                    pause(delay).await;
                    return (self.end(session, owner), Duration::ZERO);
                }
            }
            Effect::Done => {
                let told = self.end(session, owner);
                if let Fault::Slow(delay) = fault {
                    return (told, delay);
                }
            }
        }
        (StandInReply::Fault(fault), Duration::ZERO)
    }

    async fn reset_bulk(&self) -> Response {
        let (users, told, words) = match self.arguments.as_ref().map(Arguments::users) {
            Ok(Ok(users)) => {
                let world = &mut *self.shared.world();
                let told = world.bulk.answer(&users, &mut world.population);
                (users, told, None)
            }
            Ok(Err(words)) => (Vec::new(), StandInReply::Refused(ErrorCode::InvalidArguments), Some(words)),
            Err(code) => (Vec::new(), StandInReply::Refused(code.clone()), None),
        };
        self.shared.world().bulk.record(&users, &told);
        self.delay(None).await;
        match (told, words) {
            (StandInReply::Refused(code), Some(words)) => answers::refused(&code, Some(words), self.warning),
            (told, _) => self.say(told),
        }
    }

    fn tell(&self, session: u64, told: StandInReply) -> Response {
        if told == StandInReply::Ok {
            self.shared.world().population.tell(session);
        }
        self.say(told)
    }

    fn say(&self, told: StandInReply) -> Response {
        match told {
            StandInReply::Ok => answers::ok(self.warning),
            StandInReply::Refused(code) => answers::refused(&code, None, self.warning),
            StandInReply::Limited => answers::refused(&ErrorCode::Ratelimited, None, self.warning),
            StandInReply::Fault(fault) => {
                match fault {
                    Fault::Reset => self.line.reset(),
                    Fault::Torn => self.line.tear(TORN_OFF),
                    Fault::InternalError
                    | Fault::FatalError
                    | Fault::Unavailable
                    | Fault::RequestTimeout
                    | Fault::RequestTimeoutCode
                    | Fault::Garbage
                    | Fault::ProxyPage
                    | Fault::Slow(_) => {}
                }
                answers::fault(fault)
            }
        }
    }

    fn misread(&self, code: &ErrorCode, words: Option<&str>) -> Response {
        self.shared.world().record(self.arrived, None, &StandInReply::Refused(code.clone()));
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
        let (page, more) = self.shared.world().population.page(after, limit, of);
        if page.is_empty() && after.is_none() {
            return refused(&ErrorCode::NoActiveSessions);
        }
        let cursor = page.last().filter(|_| more).map(|last| cursor(last.id)).unwrap_or_default();
        answers::sessions(page, cursor)
    }

    async fn auth_test(&self, token: Option<&str>) -> Response {
        self.delay(None).await;
        let identity = token.and_then(|token| self.shared.world().identity(token));
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

/// Waits, where there is anything to wait for: even a sleep of nothing costs a turn of the timer, a millisecond.
async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// The `Retry-After` of a refusal at `now` that will be let through at `until`, and the pause that it asks for.
fn state(policy: RetryAfter, clock: &Clock, until: Duration, now: Duration) -> Option<(HeaderValue, Duration)> {
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

/// Rounded up, as a pause must be.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// 1 to 1000 (slack.md, "The sibling methods"); 100 where none is asked for.
fn limit(text: Option<&str>) -> Option<usize> {
    text.map_or(Some(100), |text| text.parse().ok()).filter(|limit| (1..=1000).contains(limit))
}

/// Opaque to callers: where the page ended.
fn cursor(last: u64) -> String {
    format!("after:{last:x}=")
}

fn read_cursor(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("after:")?.strip_suffix('=')?, 16).ok()
}
