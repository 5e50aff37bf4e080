//! Standard output and standard error of every command.

use crate::cli::UsageError;
use crate::error::RunError;
use crate::model::{ExitStatus, LogFormat, OutputStyle};
use crate::output;
use std::io::{self, Write};

/// Opens the console and sends every message of the program there.
///
/// # Errors
/// If `SLACK_REVOKE_LOG` isn't a filter.
pub fn open(style: OutputStyle) -> Result<output::Console, RunError> {
    let console = output::Console::stderr(style);
    let filter = std::env::var("SLACK_REVOKE_LOG").ok();
    output::install_logs(&console, filter.as_deref()).map_err(|error| UsageError::LogFilter(error.to_string()))?;
    Ok(console)
}

/// Prints on standard output.
///
/// # Errors
/// Exit code 7 if it can't be written.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitStatus, RunError> {
    output::print(write).map(|()| ExitStatus::Success).map_err(|error| unprintable(&error))
}

#[must_use]
pub fn unprintable(error: &io::Error) -> RunError {
    let what = format!("can't write to standard output: {error}");
    RunError::unwritable(what, "free space there, or redirect the output")
}

/// Prints the error that ended the program, and returns its exit status. `format` is only JSON if the console is
/// open.
///
/// The text may contain file and column names, so it is cleaned.
pub fn fail(error: &RunError, format: LogFormat) -> ExitStatus {
    let (what, hint) = (error.what(), error.hint().map(output::clean));
    let is_interrupted = error.exit_status() == ExitStatus::Interrupted;
    let is_error = !(error.is_declined() || is_interrupted || error.exit_status() == ExitStatus::Terminated);
    match (format, is_error) {
        (LogFormat::Json, false) => tracing::info!("{what}"),
        (LogFormat::Json, true) => tracing::error!(hint = hint.as_deref(), "{what}"),
        (LogFormat::Text, _) => {
            let width = output::stderr_columns();
            // After an echoed ^C.
            let fresh_line = if is_interrupted && width.is_some() { "\n" } else { "" };
            let prefix = if is_error { "error: " } else { "" };
            let text = output::wrapped(&format!("{prefix}{}", output::clean(&what)), width, 2);
            let hint = hint.map(|hint| format!("\n{}", output::wrapped(&format!("  {hint}"), width, 2)));
            // If standard error is closed, the exit code remains.
            let _ = writeln!(io::stderr(), "{fresh_line}{text}{}", hint.unwrap_or_default());
        }
    }
    error.exit_status()
}
