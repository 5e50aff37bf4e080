//! Colors, and tracing targets with a meaning.

use crate::model::Tone;
use anstream::ColorChoice;
use anstyle::AnsiColor;

/// Target of messages that contain the values of their fields.
pub(super) const NOTICE: &str = "slack_revoke::notice";

/// Target of warnings that protection or evidence is weaker than requested. They are shown with `-q` too:
/// `tracing::warn!(target: output::WEAKENED, "…")`.
pub const WEAKENED: &str = "slack_revoke::weakened";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Palette {
    on: bool,
}

impl Palette {
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// For anstream.
    pub(super) fn choice(self) -> ColorChoice {
        if self.on { ColorChoice::Always } else { ColorChoice::Never }
    }

    /// `text` in the color of `tone`. It must be clean, because the result contains escape sequences.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let color = match tone {
            Tone::Plain => None,
            Tone::Good => Some(AnsiColor::Green),
            Tone::Bad => Some(AnsiColor::Red),
            Tone::Warning => Some(AnsiColor::Yellow),
        };
        match color {
            Some(color) if self.on => {
                let style = anstyle::Style::new().fg_color(Some(color.into()));
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
    fn colours_are_written_only_if_they_are_on() {
        assert_eq!(Palette::new(false).paint(Tone::Bad, "failed"), "failed");
        assert_eq!(Palette::new(true).paint(Tone::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(Palette::new(true).paint(Tone::Plain, "gone"), "gone");
    }
}
