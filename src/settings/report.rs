//! What is told besides the results, and how it is shown.

use super::{Environment, UsageError};
use crate::cli::{Color, GlobalArgs, LogFormat, Progress, ReportArgs};
use crate::model::without_tokens;
use std::path::PathBuf;

/// What is told besides the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSettings {
    /// Standard error.
    pub console: Console,
    /// NDJSON as it happens.
    pub events: Option<PathBuf>,
    /// The totals at the end.
    pub summary_json: Option<PathBuf>,
    /// Prometheus text.
    pub metrics_file: Option<PathBuf>,
    /// The command after the end.
    pub on_finish: Option<String>,
    /// Why the run is made.
    pub reason: Option<String>,
}

impl ReportSettings {
    pub(super) fn new(typed: ReportArgs, console: Console) -> Self {
        let ReportArgs { events, summary_json, metrics_file, on_finish, reason } = typed;
        let reason = reason.map(|reason| without_tokens(&reason).into_owned());
        Self { console, events, summary_json, metrics_file, on_finish, reason }
    }
}

/// How things look on standard error; every command has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Console {
    /// How progress is shown.
    pub progress: ProgressStyle,
    /// Whether colours are used.
    pub color: bool,
    /// How much is said.
    pub verbosity: Verbosity,
    /// How log lines are written.
    pub log_format: LogFormat,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar with the time to come.
    Bar,
    /// A line now and then.
    Plain,
    /// Not at all.
    Hidden,
}

/// How much is said, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings alone.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// Every retry and pause.
    Verbose,
    /// Every call.
    Debug,
}

impl Console {
    /// How things look here.
    ///
    /// # Errors
    /// [`UsageError::QuietAndVerbose`].
    pub fn resolve(typed: &GlobalArgs, environment: &Environment) -> Result<Self, UsageError> {
        let verbosity = match (typed.quiet, typed.verbose) {
            (true, 0) => Verbosity::Quiet,
            (true, 1..) => return Err(UsageError::QuietAndVerbose),
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, 2..) => Verbosity::Debug,
        };
        let is_lively = environment.stderr_is_terminal && !environment.terminal_is_dumb;
        let color = match typed.color {
            Color::Auto => is_lively && !environment.no_color,
            Color::Always => true,
            Color::Never => false,
        };
        let progress = match typed.progress {
            Progress::Auto if typed.quiet => ProgressStyle::Hidden,
            // Whoever asks for JSON reads standard error by machine, also where a terminal is looking on.
            Progress::Auto if is_lively && typed.log_format == LogFormat::Text => ProgressStyle::Bar,
            // A bar needs a terminal to be redrawn on.
            Progress::Bar if environment.stderr_is_terminal => ProgressStyle::Bar,
            Progress::Auto | Progress::Plain | Progress::Bar => ProgressStyle::Plain,
            Progress::None => ProgressStyle::Hidden,
        };
        Ok(Self { progress, color, verbosity, log_format: typed.log_format })
    }
}
