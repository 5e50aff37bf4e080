//! The question before the first row.

use super::Prepared;
use crate::error::RunError;
use crate::report;
use crate::settings::{Confirmation, Settings, Terminal};
use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Asks, where somebody is there to answer and has not answered by `--yes`. With nothing to send there is nothing to ask.
///
/// # Errors
/// [`RunError::Declined`], also where the terminal cannot be read.
pub fn ask(settings: &Settings, prepared: &Prepared) -> Result<(), RunError> {
    let Confirmation::Ask(terminal) = settings.safety.confirmation else { return Ok(()) };
    if prepared.survey.sendable == 0 {
        return Ok(());
    }
    let question = format!("Revoke {}?", report::counted(prepared.survey.sendable, "session", "sessions"));
    let mut answers: Box<dyn BufRead> = match terminal {
        Terminal::StandardInput => Box::new(io::stdin().lock()),
        Terminal::Controlling => Box::new(BufReader::new(File::open("/dev/tty").map_err(|_| RunError::Declined)?)),
    };
    if report::confirm(&question, &mut answers, &mut io::stderr()) { Ok(()) } else { Err(RunError::Declined) }
}
