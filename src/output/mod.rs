//! What people and machines see of a run: the bar, the lines, the totals, the plan, events and metrics.
//!
//! Nothing here holds the dispatcher up, and no failure to show something stops a run. All that comes from the input or
//! from Slack is cleaned ([`clean`]) before it is shown. Wall-clock time comes in as [`crate::model::Stamp`].
//!
//! A run: [`Look`] from the flags, [`Console::stderr`], [`install_logs`], [`Screen::start`], then each event and
//! snapshot, [`Screen::finish`], and [`Console::totals`].

mod bar;
mod console;
#[cfg(test)]
mod documented;
mod events;
mod files;
mod lines;
mod logs;
pub mod metrics;
mod mode;
pub mod page;
mod plan;
mod question;
mod screen;
mod shell;
mod standing;
pub mod summary;
pub mod summary_json;
mod text;
mod words;

pub use console::{Console, print};
pub use events::{EventLog, RunEnd};
pub use logs::{LogError, WEAKENED, install as install_logs};
pub use mode::{LogFormat, Look, Palette, ScreenMode, Tone, Verbosity};
pub use plan::{InvalidExample, Pace, PlanFacts, Start, WorkspaceRows, plan_json, plan_text};
pub use question::{confirm, confirm_users};
pub use screen::Screen;
pub use shell::{command_line, quoted, resume_command, retry_command};
pub use summary::{FailureGroup, Files, Totals};
pub use text::{clean, counted, human, listed, local, rate, thousands, without_userinfo};
pub use words::{stop_word, why};
