//! The data types of a run: ids, rows, replies, outcomes, events, totals.
//!
//! Uses only the standard library and serde, except for the calendar of [`Timestamp`] and the set of lines in
//! [`PossiblySent`]. Every other module may import this one; it imports nothing of the crate.

mod carried;
mod code;
mod columns;
mod duration;
mod event;
mod exit;
mod failures;
mod hint;
mod ids;
mod invisible;
mod limit_use;
mod manifest;
mod options;
mod outcome;
mod owner;
mod person;
mod possibly_sent;
mod rate;
mod reply;
mod result_columns;
mod row;
mod run_record;
pub(crate) mod stop_reason;
mod subject;
mod tally;
mod text;
mod timestamp;
mod token_text;

pub use carried::Carried;
pub use code::{CodeClass, ErrorCode};
pub use columns::{AUDIT_ENTRIES, ColumnError, ColumnNames, IdColumn, IdColumns, folded};
pub use duration::{format_duration, whole_minutes};
pub use event::{BucketKind, Event, Snapshot, WaitReason};
pub use exit::ExitStatus;
pub use failures::Failures;
pub use hint::error_hint;
pub use ids::{IdError, SessionId, TeamId, UserId};
pub use invisible::{is_blank, is_invisible, is_unsafe_to_print, name_of};
pub use limit_use::{LimitUse, RunOnLimit};
pub use manifest::{Columns, InputRecord, Remaining, Results, StatusRows, StatusTotals, Verified, Window};
pub use options::{
    API_URL, BucketPolicy, Delimiter, Identify, InputMatch, InputSource, LogFormat, MaxFailures, OutputStyle, Priority,
    QuotaChoice, RateChoice, ScreenMode, SessionKind, StoreUrl, TokenSource, Verbosity, is_loopback_host,
};
pub use outcome::{Outcome, Status, StatusGroup, Tone};
pub use owner::TokenOwner;
pub use person::{EmailAddress, Person};
pub use possibly_sent::PossiblySent;
pub use rate::{Per, Rate, RateError};
pub use reply::{Answer, Fault, Reply, UNSTATED_PAUSE};
pub use result_columns::{ColumnValue, RESULT_COLUMNS, ResultColumn};
pub use row::{Fields, IdentifyBy, InvalidRow, Rejection, Row, SessionTarget, Target, USERS_PER_CALL, UserTarget};
pub use run_record::{
    Approval, CheckMark, Checked, Estimate, Extra, FIRST_RUNS, History, Identity, LAST_RUNS, LeftOutRuns, ListingUsed,
    Pacing, Pause, Run, RunCounts,
};
pub use stop_reason::{StopEntry, StopReason};
pub use subject::{Change, ChangedBy, Digest, FileCheck, FileRole, FileState, Subject};
pub use tally::{CallCounts, Counts, Tally};
pub use text::{clean, counted, thousands};
pub use timestamp::Timestamp;
pub use token_text::{begins_as_token, without_possible_tokens, without_tokens};
