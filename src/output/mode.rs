//! How much is shown, and in what dress: decided once at the start.

pub use crate::model::{LogFormat, ScreenMode, Verbosity};
use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};

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

    /// What anstream is told for the stream that the text goes to.
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
    fn colours_are_there_only_where_they_are_on() {
        assert_eq!(Palette::new(false).paint(Tone::Bad, "failed"), "failed");
        assert_eq!(Palette::new(true).paint(Tone::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(Palette::new(true).paint(Tone::Plain, "gone"), "gone");
    }
}
