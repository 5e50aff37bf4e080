//! Standard error, dressed as the settings say.

use crate::cli::LogFormat;
use crate::error::RunError;
use crate::report::{self, Look, Palette, ScreenMode};
use crate::settings::{Console, ProgressStyle, UsageError, Verbosity};

/// Opens the console and sends every message of the program there.
///
/// # Errors
/// Where `SLACK_REVOKE_LOG` is no filter.
pub fn open(settings: &Console) -> Result<report::Console, RunError> {
    let console = report::Console::stderr(look(*settings));
    let filter = std::env::var("SLACK_REVOKE_LOG").ok();
    report::install_logs(&console, filter.as_deref()).map_err(|error| UsageError::LogFilter(error.to_string()))?;
    Ok(console)
}

fn look(settings: Console) -> Look {
    Look {
        mode: match settings.progress {
            ProgressStyle::Bar => ScreenMode::Bar,
            ProgressStyle::Plain => ScreenMode::Plain,
            ProgressStyle::Hidden => ScreenMode::None,
        },
        verbosity: match settings.verbosity {
            Verbosity::Quiet => report::Verbosity::Quiet,
            Verbosity::Normal => report::Verbosity::Normal,
            Verbosity::Verbose => report::Verbosity::Rows,
            Verbosity::Debug => report::Verbosity::Calls,
        },
        format: match settings.log_format {
            LogFormat::Text => report::LogFormat::Text,
            LogFormat::Json => report::LogFormat::Json,
        },
        palette: Palette::new(settings.color),
    }
}
