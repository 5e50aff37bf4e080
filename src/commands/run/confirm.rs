//! The questions before the first row.

use super::Preflight;
use super::remote::Remote;
use crate::cli::{Confirmation, Settings, Terminal, UsersConfirmation};
use crate::commands::waiting::{self, blocking};
use crate::error::RunError;
use crate::output;
use std::io::{self, BufRead, BufReader};

/// Checks that the input has as many users as `--confirm-users` says, because the number confirms this list.
///
/// # Errors
/// If the numbers differ.
pub fn check_users(settings: &Settings, prepared: &Preflight) -> Result<(), RunError> {
    let UsersConfirmation::Given(confirmed) = settings.users_confirmation else { return Ok(()) };
    let users = prepared.survey.whole.as_ref().map_or(0, |whole| whole.all);
    if users == confirmed {
        return Ok(());
    }
    let what = format!(
        "--confirm-users says {confirmed}, and {} has {} to be logged out",
        prepared.content.path(),
        output::counted(users, "user", "users")
    );
    Err(RunError::input(what, "nothing was sent; see that it is the right file, then confirm its number"))
}

/// Refuses rows that may belong to a protected user, if `--yes` was given without `--allow-unowned`. Otherwise they
/// are in a warning or in the question.
///
/// # Errors
/// If `--yes` was given without `--allow-unowned`.
pub fn check_unowned(settings: &Settings, prepared: &Preflight) -> Result<(), RunError> {
    let Some(unowned) = unowned(prepared) else { return Ok(()) };
    let safety = &settings.safety;
    match settings.confirmation {
        Confirmation::Given if !safety.allow_unowned => Err(RunError::input(
            unowned,
            "nothing was sent; name the column of users by --column user_id=HEADER, add the users by `slack-revoke resolve`, or \
             send these rows all the same by --allow-unowned",
        )),
        Confirmation::Ask(_) => Ok(()),
        Confirmation::Given | Confirmation::NotNeeded => {
            tracing::warn!(target: output::WEAKENED, "{unowned}");
            Ok(())
        }
    }
}

fn unowned(prepared: &Preflight) -> Option<String> {
    let rows = Some(prepared.unowned()).filter(|rows| *rows > 0)?;
    let rows = output::counted(rows, "row to send names no user", "rows to send name no user");
    Some(format!("{rows}, so --protect can't spare its users there"))
}

/// Asks on the terminal unless `--yes` was given or there is nothing to send. For whole users, also asks for their
/// number.
///
/// # Errors
/// [`RunError::declined`], also if the terminal can't be read.
pub async fn ask(settings: &Settings, prepared: &Preflight, remote: &Remote) -> Result<(), RunError> {
    let survey = &prepared.survey;
    if survey.sendable == 0 {
        return Ok(());
    }
    let (users, sessions) = (survey.users, survey.sendable);
    if let Confirmation::Ask(terminal) = settings.confirmation {
        let users = output::counted(users, "user", "users");
        let sessions = output::counted(sessions, "session", "sessions");
        let what = match (&survey.whole, settings.input.only) {
            (Some(_), Some(kind)) => format!("End the {} sessions of {users}", kind.as_str()),
            (Some(_), None) if settings.input.whole_users => format!("Log out {users}"),
            (Some(whole), None) => {
                format!("Revoke {sessions}, those of {} in bulk", output::counted(whole.users, "user", "users"))
            }
            // Rows without user_id may belong to any number of users.
            (None, _) if survey.without_user > 0 => format!("Revoke {sessions}"),
            (None, _) => format!("Revoke {sessions} of {users}"),
        };
        let question = format!("{what}{}?", remote.place_and_actor());
        let question = match unowned(prepared) {
            Some(unowned) => format!("{unowned}.\n{question}"),
            None => question,
        };
        answered(terminal, move |answers| output::confirm(&question, answers, &mut io::stderr())).await?;
    }
    if let UsersConfirmation::Ask(terminal) = settings.users_confirmation {
        answered(terminal, move |answers| output::confirm_users(users, answers, &mut io::stderr())).await?;
    }
    Ok(())
}

/// Asks on its own thread, so that signals aren't blocked.
async fn answered(
    terminal: Terminal,
    question: impl FnOnce(&mut dyn BufRead) -> bool + Send + 'static,
) -> Result<(), RunError> {
    let agreed = blocking(move || answers(terminal).is_ok_and(|mut answers| question(&mut *answers))).await;
    if agreed { Ok(()) } else { Err(RunError::declined()) }
}

fn answers(terminal: Terminal) -> io::Result<Box<dyn BufRead>> {
    Ok(match terminal {
        Terminal::StandardInput => {
            waiting::discard_typed(io::stdin());
            Box::new(io::stdin().lock())
        }
        Terminal::Controlling => {
            let terminal = waiting::controlling_terminal()?;
            waiting::discard_typed(&terminal);
            Box::new(BufReader::new(terminal))
        }
    })
}
