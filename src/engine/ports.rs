//! What the engine needs of the world. The edges implement these; the engine never sees an edge.

use crate::model::{Event, Reply, Row, SessionTarget, Snapshot, StopReason, TeamId, TokenOwner, UserId};
use std::future::Future;
use std::sync::Arc;

pub use super::permit::Permit;
pub use super::shared_limit::{AnsweredCall, LimitNews, LimitReport, NoStore, OtherRuns, QuotaStore};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `admin.users.session.invalidate`: end one session.
    Session(SessionTarget),
    /// `admin.users.session.resetBulk`: end every session of these users, one to a thousand, each named once. `ok` means
    /// that Slack has queued it.
    Users(Arc<[UserId]>),
}

/// The methods of Slack that the engine calls.
pub trait SessionApi: 'static {
    /// Makes one call. The dispatcher counts it as in flight from here on; nothing is sent before a worker polls the future.
    ///
    /// The future never fails, because an error is a reply too, and it ends within the call's timeout. It asks
    /// [`Permit::start`] right before the first byte, and announces an answer that asks for a pause to the permit as soon as
    /// it is known. It gives `None` if the permit was withdrawn before anything was sent.
    fn call(&self, permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static;

    /// Reads the token again from its source, after Slack called it expired. The future ends within a bounded time: what may
    /// pass (a command that fails or hangs, a file that is being replaced) is retried in here.
    fn refresh_token(&self) -> impl Future<Output = Refreshed>;
}

/// The result of reading the token again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// Another token, which the next call carries. It belongs to a user whose token the run had before, or to one who
    /// needn't be known.
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
    /// There is no token; the reason in words.
    Failed(Box<str>),
}

/// Keeps and shows what happens. Called by the dispatcher, in order, and never concurrently.
pub trait Observer {
    /// Takes in what happened in one turn of the dispatcher, in its order; at least one event. When this returns, every
    /// [`Event::Ended`] among them must be durable against the death of the process, and so must the line of each
    /// [`Event::Sending`]: its call leaves next. Together, so that a turn costs one write to each file and not one a row.
    ///
    /// # Errors
    /// Where something could not be kept. The run stops, and none of the turn's calls is made: nothing is sent that could
    /// not be recorded.
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable>;

    /// Takes in how the run stands; several times a second at most.
    fn on_snapshot(&mut self, snapshot: &Snapshot);
}

/// Something could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// Why, in words, for the person who reads the last line of the run.
    pub why: Box<str>,
    /// The lines of the rows that ended and have no record now.
    pub unrecorded: Vec<u64>,
}

/// Which rows the engine asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Want {
    /// The next rows in the input's order.
    Any,
    /// The next rows whose request names this workspace ([`Target::addressed_team`]).
    Of(TeamId),
    /// The next rows whose request names no workspace, or that are not to be sent.
    OfNoTeam,
}

/// An answer to one [`Want`].
#[derive(Debug)]
pub struct Batch {
    /// What had been asked for.
    pub want: Want,
    /// Rows not given out before, rejected ones included; those already recorded by an earlier run are left out.
    pub rows: Vec<Row>,
    /// Whether there is nothing more of that kind.
    pub exhausted: bool,
}

/// Gives each row of the input once, in the order in which it is asked for.
pub trait RowSource {
    /// Asks for rows; does not wait. Each request is answered by one batch, in order.
    fn request(&mut self, want: Want);

    /// The next batch. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the input can't be read on, or was changed: why the run stops.
    fn next(&mut self) -> impl Future<Output = Result<Batch, StopReason>>;
}

/// A wish from outside the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Send nothing more, and finish what is in flight.
    Drain(StopReason),
    /// Stop at once.
    Abort,
}

/// Brings the wishes. The first is a drain; whatever follows is an abort.
pub trait Control {
    /// The next one. Dropping the future loses nothing; it never ends where none comes.
    fn next(&mut self) -> impl Future<Output = Signal>;
}
