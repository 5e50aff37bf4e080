//! What goes together on a command line, rule by rule.

use super::{
    Confirmation, Environment, Existing, Mode, RateChoice, Terminal, TokenChoice, UsageError, UsersConfirmation,
    address,
};
use crate::cli::{IdentifyChoice, InputSource, OutputArgs, PaceArgs, RateArg, RunArgs, TokenArgs};
use crate::model::{ColumnNames, IdColumn, Rate};

/// Which of the three a command line asks for.
pub(super) fn mode(typed: &RunArgs) -> Result<Mode, UsageError> {
    match (typed.safety.dry_run, typed.safety.rehearse) {
        (false, false) => Ok(Mode::Run),
        (true, false) => Ok(Mode::Plan),
        (false, true) => Ok(Mode::Rehearsal),
        (true, true) => Err(UsageError::PlanAndRehearsal),
    }
}

/// The rules that only refuse.
pub(super) fn check(mode: Mode, typed: &RunArgs) -> Result<(), UsageError> {
    if typed.token.token_file.is_some() && typed.token.token_command.is_some() {
        return Err(UsageError::TwoTokens);
    }
    match mode {
        Mode::Rehearsal => check_rehearsal(typed)?,
        Mode::Run | Mode::Plan => check_unlimited(typed)?,
    }
    match &typed.input.source {
        InputSource::Stdin | InputSource::Stream(_) if mode != Mode::Plan && typed.output.output.is_none() => {
            return Err(UsageError::NoOutputForStdin);
        }
        InputSource::Stdin | InputSource::Stream(_) | InputSource::File(_) => {}
    }
    check_users(typed)
}

fn check_users(typed: &RunArgs) -> Result<(), UsageError> {
    match (typed.input.whole_users, typed.input.identify_by, typed.safety.confirm_users) {
        (true, IdentifyChoice::Team, _) => Err(UsageError::WholeUsersByTeam),
        (false, _, Some(_)) => Err(UsageError::OnlyWithWholeUsers),
        (true, IdentifyChoice::Auto | IdentifyChoice::User, _) | (false, _, None) => Ok(()),
    }
}

fn check_rehearsal(typed: &RunArgs) -> Result<(), UsageError> {
    let given = [
        (typed.token.token_file.is_some(), "--token-file"),
        (typed.token.token_command.is_some(), "--token-command"),
        (typed.token.api_url.is_some(), "--api-url"),
        (typed.output.resume, "--resume"),
        (typed.output.resume_or_start, "--resume-or-start"),
    ];
    match given.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, flag)) => Err(UsageError::NotInRehearsal { flag }),
        None => Ok(()),
    }
}

/// A run without a limit is for servers on this machine (contract.md, `--rate`).
fn check_unlimited(typed: &RunArgs) -> Result<(), UsageError> {
    let is_local = typed.token.api_url.as_deref().is_some_and(address::is_loopback);
    if typed.pace.rate == RateArg::Unlimited && !is_local { Err(UsageError::UnlimitedAbroad) } else { Ok(()) }
}

/// The headers of another system, one for each id.
///
/// # Errors
/// If two are given for one.
pub fn columns(typed: &[(IdColumn, String)]) -> Result<ColumnNames, UsageError> {
    let mut names = ColumnNames::default();
    for (column, header) in typed {
        if names.set(*column, header).is_some_and(|other| *other != **header) {
            return Err(UsageError::ColumnTwice { column: column.as_str() });
        }
    }
    Ok(names)
}

/// What is done about results that are there.
pub(super) fn existing(typed: &OutputArgs) -> Result<Existing, UsageError> {
    match (typed.resume, typed.resume_or_start) {
        (false, false) => Ok(Existing::Refuse),
        (true, false) => Ok(Existing::Resume),
        (false, true) => Ok(Existing::ResumeOrStart),
        (true, true) => Err(UsageError::ResumeTwice),
    }
}

/// The rate, with the ends of `auto` in their order.
pub(super) fn rate(typed: &PaceArgs) -> Result<RateChoice, UsageError> {
    let only_auto = match (typed.start_rate, typed.max_rate) {
        (Some(_), _) => Some("--start-rate"),
        (None, Some(_)) => Some("--max-rate"),
        (None, None) => None,
    };
    match (typed.rate, only_auto) {
        (RateArg::Auto, _) => auto(typed.start_rate, typed.max_rate),
        (RateArg::Fixed(_) | RateArg::Unlimited, Some(flag)) => Err(UsageError::OnlyWithAuto { flag }),
        (RateArg::Fixed(rate), None) => Ok(RateChoice::Fixed(rate)),
        (RateArg::Unlimited, None) => Ok(RateChoice::Unlimited),
    }
}

/// Whoever lowers the most alone lowers the start with it; whoever names both has to name them in order.
fn auto(start: Option<Rate>, max: Option<Rate>) -> Result<RateChoice, UsageError> {
    let max = max.unwrap_or(Rate::AUTO_MAX);
    let start = start.unwrap_or(Rate::TIER_2.slower_of(max));
    if start.is_faster_than(max) {
        Err(UsageError::StartAboveMax { start, max })
    } else {
        Ok(RateChoice::Auto { start, max })
    }
}

/// Whether to ask before sending.
pub(super) fn confirmation(mode: Mode, yes: bool, terminal: Option<Terminal>) -> Result<Confirmation, UsageError> {
    match (mode, yes, terminal) {
        (Mode::Plan | Mode::Rehearsal, _, _) => Ok(Confirmation::NotNeeded),
        (Mode::Run, true, _) => Ok(Confirmation::Given),
        (Mode::Run, false, Some(terminal)) => Ok(Confirmation::Ask(terminal)),
        (Mode::Run, false, None) => Err(UsageError::NobodyToAsk),
    }
}

/// Whether to ask once more before whole users are sent. A number that was given is looked at whatever the mode.
pub(super) fn users_confirmation(
    mode: Mode,
    typed: &RunArgs,
    terminal: Option<Terminal>,
) -> Result<UsersConfirmation, UsageError> {
    match (typed.safety.confirm_users, mode, terminal) {
        (Some(users), _, _) => Ok(UsersConfirmation::Given(users)),
        (None, Mode::Plan | Mode::Rehearsal, _) => Ok(UsersConfirmation::NotNeeded),
        (None, Mode::Run, _) if !typed.input.whole_users => Ok(UsersConfirmation::NotNeeded),
        (None, Mode::Run, Some(terminal)) => Ok(UsersConfirmation::Ask(terminal)),
        (None, Mode::Run, None) => Err(UsageError::NobodyToConfirmUsers),
    }
}

/// Where the token comes from: flags, then `SLACK_TOKEN`, then systemd, then somebody. A plan asks nobody.
pub(super) fn token(
    mode: Mode,
    typed: &TokenArgs,
    environment: &Environment,
    terminal: Option<Terminal>,
) -> TokenChoice {
    match (&typed.token_file, &typed.token_command, &environment.token_credential) {
        _ if mode == Mode::Rehearsal => TokenChoice::NotNeeded,
        (Some(file), _, _) => TokenChoice::File(file.clone()),
        (None, Some(command), _) => TokenChoice::Command(command.clone()),
        _ if environment.has_slack_token => TokenChoice::Variable,
        (None, None, Some(file)) => TokenChoice::Credential(file.clone()),
        (None, None, None) => match terminal {
            Some(terminal) if mode == Mode::Run => TokenChoice::Ask(terminal),
            Some(_) | None => TokenChoice::Absent,
        },
    }
}
