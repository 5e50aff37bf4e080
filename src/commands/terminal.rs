//! The terminal before it is asked: what was typed before a question is no answer to it.

use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use std::fs::File;
use std::os::fd::AsFd;

/// The terminal of the session, whatever standard input is.
const CONTROLLING: &str = "/dev/tty";

/// Discards what was typed and not yet read. What isn't a terminal keeps its content.
pub fn discard_typed(terminal: impl AsFd) {
    // Fails if it is none.
    let _ = tcflush(terminal, QueueSelector::IFlush);
}

/// Opens the terminal of the session, if there is one.
pub fn controlling() -> std::io::Result<File> {
    File::open(CONTROLLING)
}

/// The modes of the session's terminal, which are restored at the end: a signal may come while what is typed isn't shown.
#[derive(Debug)]
pub struct SavedModes(Option<(File, Termios)>);

impl SavedModes {
    /// Saves them.
    pub fn save() -> Self {
        Self(controlling().ok().and_then(|terminal| tcgetattr(&terminal).ok().map(|modes| (terminal, modes))))
    }
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        if let Some((terminal, modes)) = &self.0 {
            // The terminal may be gone by now.
            let _ = tcsetattr(terminal, OptionalActions::Now, modes);
        }
    }
}
