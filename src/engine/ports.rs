//! The interfaces that the engine needs. The edges implement them, so the engine doesn't depend on any edge.

use crate::model::{Event, Reply, Row, SessionTarget, Snapshot, StopReason, TeamId, TokenOwner, UserId};
use std::future::Future;
use std::sync::Arc;

pub use super::permit::Permit;
pub use super::shared_limit::{AnsweredCall, LimitNews, LimitReport, NoStore, OtherRuns, QuotaStore};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `admin.users.session.invalidate`: end one session.
    Session(SessionTarget),
    /// `admin.users.session.resetBulk`: end every session of these users, 1 to 1,000 distinct ones. `ok` means that Slack has
    /// queued the job.
    Users(Arc<[UserId]>),
}

/// Slack, as the engine uses it.
pub trait SessionApi: 'static {
    /// Makes one call. Nothing is sent before a worker polls the future.
    ///
    /// The future never fails, because an error is a reply too, and it ends within the call's timeout. It calls
    /// [`Permit::start`] right before the first byte, and [`Permit::announce_pause`] as soon as an answer asks for a pause.
    /// Returns `None` if the permit was withdrawn before anything was sent.
    fn call(&self, permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static;

    /// Reads the token again from its source, after Slack reported it as expired. Retries problems that may be temporary (a
    /// command that fails or hangs, a file that is being replaced), and ends within a bounded time.
    fn refresh_token(&self) -> impl Future<Output = Refreshed>;
}

/// The result of reading the token again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// Another token, which the next call uses. Its user is one whose token the run had before, or doesn't matter.
    Changed,
    /// Another token, of another user.
    OtherOwner {
        owner: Box<TokenOwner>,
        /// Whether the user's rows must not be sent.
        is_spared: bool,
    },
    /// Another token whose user is unknown. The run ends with this reason.
    Unidentified(StopReason),
    /// The same token as before, or a source that can't be read twice.
    Unchanged,
    /// No token could be read, and why.
    Failed(Box<str>),
}

/// Records and shows what happens. Never called concurrently.
pub trait Observer {
    /// Records the events of one turn of the dispatcher, in order; there is at least one. When this returns, every
    /// [`Event::Ended`] and the line of every [`Event::Sending`] must survive the death of the process, because the calls are
    /// sent next. One call per turn instead of one per event saves writes.
    ///
    /// # Errors
    /// If something couldn't be recorded. The run stops, and none of the turn's calls is made.
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable>;

    /// Called several times a second at most.
    fn on_snapshot(&mut self, snapshot: &Snapshot);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// For the last line of the run's output.
    pub why: Box<str>,
    /// Lines of the rows that ended and have no record.
    pub unrecorded: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Want {
    /// The next rows in the input's order.
    Any,
    /// The next rows whose request names this workspace ([`Target::addressed_team`]).
    Of(TeamId),
    /// The next rows whose request names no workspace, or that are not to be sent.
    OfNoTeam,
    /// The next rows that ask for whole users. Requested before any others, and then no other want gives them.
    OfUsers,
}

/// An answer to one [`Want`].
#[derive(Debug)]
pub struct Batch {
    pub want: Want,
    /// Rows that weren't returned before, including rejected ones, without those that an earlier run recorded.
    pub rows: Vec<Row>,
    /// Whether no such rows are left.
    pub exhausted: bool,
}

/// The rows of the input. Each is returned once.
pub trait RowSource {
    /// Requests rows without waiting. Each request is answered by one batch, in order.
    fn request(&mut self, want: Want);

    /// Waits for the next batch. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the input can't be read or was changed.
    fn next(&mut self) -> impl Future<Output = Result<Batch, StopReason>>;
}

/// A request to end the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Send nothing more, and wait for the calls in flight.
    Drain(StopReason),
    /// Abandon the calls in flight.
    Abort,
}

/// The source of signals. The first one is a drain, every later one an abort.
pub trait Control {
    /// Waits for the next signal, if necessary forever. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Signal>;
}
