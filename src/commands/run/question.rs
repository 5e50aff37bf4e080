//! The questions before the first row.

use super::Prepared;
use crate::error::{RunError, Trouble};
use crate::report;
use crate::settings::{Confirmation, Settings, Terminal, UsersConfirmation};
use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Sees to it that the input has as many users as `--confirm-users` says: what is confirmed is this very list.
///
/// # Errors
/// Where it has more or fewer.
pub fn check_users(settings: &Settings, prepared: &Prepared) -> Result<(), RunError> {
    let UsersConfirmation::Given(confirmed) = settings.safety.users_confirmation else { return Ok(()) };
    let users = prepared.survey.whole.as_ref().map_or(0, |whole| whole.all);
    if users == confirmed {
        return Ok(());
    }
    let what = format!(
        "--confirm-users says {confirmed}, and {} has {} to be logged out",
        prepared.content.path(),
        report::counted(users, "user", "users")
    );
    Err(RunError::Input(Trouble::new(what, "nothing was sent; see that it is the right file, then confirm its number")))
}

/// Asks, where somebody is there to answer and has not answered by `--yes`; where whole users are sent, once more for their
/// number. With nothing to send there is nothing to ask.
///
/// # Errors
/// [`RunError::Declined`], also where the terminal cannot be read.
pub fn ask(settings: &Settings, prepared: &Prepared) -> Result<(), RunError> {
    let survey = &prepared.survey;
    if survey.sendable == 0 {
        return Ok(());
    }
    if let Confirmation::Ask(terminal) = settings.safety.confirmation {
        let question = match survey.whole {
            Some(_) => format!("Log out {}?", report::counted(survey.users, "user", "users")),
            None => format!("Revoke {}?", report::counted(survey.sendable, "session", "sessions")),
        };
        agreed(report::confirm(&question, &mut *answers(terminal)?, &mut io::stderr()))?;
    }
    if let UsersConfirmation::Ask(terminal) = settings.safety.users_confirmation {
        agreed(report::confirm_users(survey.users, &mut *answers(terminal)?, &mut io::stderr()))?;
    }
    Ok(())
}

fn answers(terminal: Terminal) -> Result<Box<dyn BufRead>, RunError> {
    Ok(match terminal {
        Terminal::StandardInput => Box::new(io::stdin().lock()),
        Terminal::Controlling => Box::new(BufReader::new(File::open("/dev/tty").map_err(|_| RunError::Declined)?)),
    })
}

fn agreed(yes: bool) -> Result<(), RunError> {
    if yes { Ok(()) } else { Err(RunError::Declined) }
}
