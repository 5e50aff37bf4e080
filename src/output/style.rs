//! Colours, and the targets of the messages that are shown in a way of their own.

use crate::model::Status;
use anstream::ColorChoice;
use anstyle::AnsiColor;

/// Target of the messages whose sentence already says all that their fields hold.
pub(super) const NOTICE: &str = "slack_revoke::notice";

/// Target of warnings that protection or evidence is weaker than requested. They are shown under `-q` too:
/// `tracing::warn!(target: output::WEAKENED, "…")`.
pub const WEAKENED: &str = "slack_revoke::weakened";

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Palette {
    on: bool,
}

/// What a coloured text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// Green: revoked.
    Good,
    /// Red: failed.
    Bad,
    /// Yellow: a pause, or something to look at.
    Warning,
}

impl Palette {
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// For anstream, about the stream that the text goes to.
    pub(super) fn choice(self) -> ColorChoice {
        if self.on { ColorChoice::Always } else { ColorChoice::Never }
    }

    /// `text` in the colour of `style`. Clean it before: what comes out holds escapes.
    #[must_use]
    pub fn paint(self, style: Style, text: &str) -> String {
        let color = match style {
            Style::Plain => None,
            Style::Good => Some(AnsiColor::Green),
            Style::Bad => Some(AnsiColor::Red),
            Style::Warning => Some(AnsiColor::Yellow),
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

/// The colour of a row.
pub(super) fn style_of(status: Status) -> Style {
    match status {
        Status::Revoked | Status::Requested => Style::Good,
        Status::Failed | Status::Unknown => Style::Bad,
        Status::AlreadyRevoked | Status::NotFound | Status::Invalid | Status::Duplicate | Status::Protected => {
            Style::Plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_written_only_if_they_are_on() {
        assert_eq!(Palette::new(false).paint(Style::Bad, "failed"), "failed");
        assert_eq!(Palette::new(true).paint(Style::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(Palette::new(true).paint(Style::Plain, "gone"), "gone");
    }
}
