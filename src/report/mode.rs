//! How much is shown, and in what dress: decided once at the start.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use std::io::Stderr;

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A bar, where standard error is a terminal.
    Bar,
    /// A line now and then.
    Plain,
    /// Nothing of the progress; notices all the same.
    None,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Sentences.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `-q`, nothing, `-v`, `-vv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors alone: no progress, no notices, no totals.
    Quiet,
    /// Progress and notices.
    #[default]
    Normal,
    /// And a line for each row that ended.
    Rows,
    /// And one for each call and each retry.
    Calls,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorFlag {
    /// As the terminal, `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` say.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the screen does about progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenMode {
    /// A bar, redrawn in place.
    Bar,
    /// A line about every 10 s.
    Plain,
    /// Nothing.
    None,
}

impl ScreenMode {
    /// A bar needs a terminal: where there is none, `--progress bar` gives lines. JSON lines have no bar between them
    /// unless it is asked for by name.
    #[must_use]
    pub fn resolve(progress: Progress, verbosity: Verbosity, format: LogFormat, stderr_is_terminal: bool) -> Self {
        if verbosity == Verbosity::Quiet {
            return Self::None;
        }
        match (progress, format) {
            (Progress::None, _) => Self::None,
            (Progress::Bar, _) | (Progress::Auto, LogFormat::Text) if stderr_is_terminal => Self::Bar,
            (Progress::Auto | Progress::Bar | Progress::Plain, _) => Self::Plain,
        }
    }
}

/// All of it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What is done about progress.
    pub mode: ScreenMode,
    /// How much is told.
    pub verbosity: Verbosity,
    /// Sentences or JSON.
    pub format: LogFormat,
    /// Colours or none.
    pub palette: Palette,
}

/// The few colours there are, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Palette {
    on: bool,
}

/// What a coloured text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Green: revoked.
    Good,
    /// Red: failed.
    Bad,
    /// Yellow: a pause, or something to look at.
    Care,
}

impl Palette {
    /// With colours or without.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// For standard error. Under [`ColorFlag::Auto`] anstream asks the terminal and the environment.
    #[must_use]
    pub fn resolve(flag: ColorFlag, stderr: &Stderr) -> Self {
        Self::new(match flag {
            ColorFlag::Always => true,
            ColorFlag::Never => false,
            ColorFlag::Auto => AutoStream::choice(stderr) != ColorChoice::Never,
        })
    }

    /// The same for the stream that the text goes to.
    pub(super) fn choice(self) -> ColorChoice {
        if self.on { ColorChoice::Always } else { ColorChoice::Never }
    }

    /// `text` in the colour of `tone`. Clean it before: what comes out holds escapes.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let color = match tone {
            Tone::Plain => None,
            Tone::Good => Some(AnsiColor::Green),
            Tone::Bad => Some(AnsiColor::Red),
            Tone::Care => Some(AnsiColor::Yellow),
        };
        match color {
            Some(color) if self.on => {
                let style = Style::new().fg_color(Some(color.into()));
                format!("{style}{text}{style:#}")
            }
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_follows_the_flags_and_the_terminal() {
        use LogFormat::{Json, Text};
        for (progress, verbosity, format, terminal, want) in [
            (Progress::Auto, Verbosity::Normal, Text, true, ScreenMode::Bar),
            (Progress::Auto, Verbosity::Calls, Text, true, ScreenMode::Bar),
            (Progress::Auto, Verbosity::Normal, Text, false, ScreenMode::Plain),
            (Progress::Auto, Verbosity::Normal, Json, true, ScreenMode::Plain),
            (Progress::Bar, Verbosity::Normal, Json, true, ScreenMode::Bar),
            (Progress::Bar, Verbosity::Normal, Text, false, ScreenMode::Plain),
            (Progress::Plain, Verbosity::Normal, Text, true, ScreenMode::Plain),
            (Progress::None, Verbosity::Rows, Text, true, ScreenMode::None),
            (Progress::Bar, Verbosity::Quiet, Text, true, ScreenMode::None),
        ] {
            assert_eq!(ScreenMode::resolve(progress, verbosity, format, terminal), want, "{progress:?} {verbosity:?}");
        }
    }

    #[test]
    fn colours_are_there_only_where_they_are_on() {
        assert_eq!(Palette::new(false).paint(Tone::Bad, "failed"), "failed");
        assert_eq!(Palette::new(true).paint(Tone::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(Palette::new(true).paint(Tone::Plain, "gone"), "gone");
        assert_eq!(Palette::resolve(ColorFlag::Always, &std::io::stderr()), Palette::new(true));
        assert_eq!(Palette::resolve(ColorFlag::Never, &std::io::stderr()), Palette::new(false));
    }
}
