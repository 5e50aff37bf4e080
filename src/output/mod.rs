//! The output of a run: progress bar, lines, summary, plan, events and metrics.
//!
//! Output never blocks the dispatcher, and a failed write never stops a run. Text from the input or from Slack is cleaned
//! ([`clean`]) before it is shown. Wall-clock time is passed in as [`crate::model::Timestamp`].
//!
//! A run: [`Console::stderr`], [`install_logs`], [`Screen::start`], then each event and snapshot, [`Screen::finish`], and
//! [`summary::show`].

mod confirm;
mod console;
#[cfg(test)]
mod documented;
mod event_entry;
mod events;
mod files;
mod log_events;
mod logs;
pub mod metrics;
pub mod page;
mod plan;
mod progress_bar;
mod progress_view;
mod screen;
mod shell;
mod style;
pub mod summary;
pub mod summary_json;
mod text;

pub use confirm::{confirm, confirm_users};
pub use console::{Console, print, stderr_columns, stdout_columns};
pub use events::EventLog;
pub use logs::{LogError, install as install_logs};
pub use plan::{BulkPlan, PlanFacts, PlanIdentity, WorkspaceRows, limit_words, plan_json, plan_text, spaced};
pub use screen::Screen;
pub use shell::{command_line, quoted, resume_command, retry_command};
pub use style::{Palette, WEAKENED};
pub use summary::{FailureGroup, Summary, SummaryFiles, manifest_line};
pub use text::{clean, counted, format_duration, listed, local, rate, thousands, without_userinfo, wrapped};
