//! Makes settings of a command line and its environment, rule by rule. Pure but for [`Environment::capture`].

use super::settings::{
    Confirmation, Existing, Mode, RemoteSettings, Settings, Terminal, UsageError, UsersConfirmation,
};
use super::value_enums::{Color, Progress};
use super::{CallArgs, GlobalArgs, InputArgs, OutputArgs, RateArgs, RemoteArgs, RunArgs, SafetyArgs, TokenArgs};
use crate::model::{
    API_URL, Approval, ColumnNames, IdColumn, Identify, InputSource, LogFormat, OutputStyle, Rate, RateChoice,
    ScreenMode, TokenSource, Verbosity, is_loopback_host, without_tokens,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Everything ambient that settings depend on, read once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each as it was found")]
pub struct Environment {
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Whether `/dev/tty` can be opened.
    pub has_controlling_terminal: bool,
    /// Whether `TERM` is `dumb`: no cursor movement, no colours.
    pub terminal_is_dumb: bool,
    /// Whether `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// Whether `SLACK_TOKEN` is set and not empty. The token itself isn't read here.
    pub has_slack_token: bool,
    /// The file of systemd's credential `slack-token`, if there is one.
    pub token_credential: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment.
    #[must_use]
    pub fn capture() -> Self {
        Self {
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            has_controlling_terminal: File::open("/dev/tty").is_ok(),
            terminal_is_dumb: std::env::var_os("TERM").as_deref() == Some(OsStr::new("dumb")),
            no_color: is_set("NO_COLOR"),
            has_slack_token: is_set("SLACK_TOKEN"),
            token_credential: token_credential(),
        }
    }

    /// Where a person can be asked, if the question is seen and the answer isn't taken for a row.
    fn terminal_beside(&self, input: &InputSource) -> Option<Terminal> {
        match input {
            _ if !self.stderr_is_terminal => None,
            InputSource::File(_) => self.stdin_is_terminal.then_some(Terminal::StandardInput),
            InputSource::Stream(_) if self.stdin_is_terminal => Some(Terminal::StandardInput),
            InputSource::Stdin | InputSource::Stream(_) => {
                self.has_controlling_terminal.then_some(Terminal::Controlling)
            }
        }
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// `LoadCredential=slack-token:…` makes a file of that name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
fn token_credential() -> Option<PathBuf> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty())?;
    let file = PathBuf::from(directory).join("slack-token");
    // One that can't be looked at is reported when it is read.
    file.try_exists().unwrap_or(true).then_some(file)
}

impl Settings {
    /// What a command line means in this environment.
    ///
    /// # Errors
    /// If flags exclude each other, or something is missing that only the user can say. Nothing has been touched then.
    pub fn resolve(typed: RunArgs, global: &GlobalArgs, environment: &Environment) -> Result<Self, UsageError> {
        let mode = mode(&typed)?;
        let rates =
            RateArgs { rate: typed.pace.rate, start_rate: typed.pace.start_rate, max_rate: typed.pace.max_rate };
        let terminal = environment.terminal_beside(&typed.input.source);
        check_remote(mode, &rates, &typed.token)?;
        check(mode, &typed)?;
        let confirmation = confirmation(mode, typed.safety.yes, terminal)?;
        let users_confirmation = users_confirmation(mode, &typed, terminal)?;
        let console = OutputStyle::resolve(global, environment)?;
        let approval = approval(mode, &typed.safety)?;
        let columns = columns(&typed.input.column)?;
        let existing = existing(&typed.output)?;
        let RunArgs { input, output, mut pace, call, safety, token, mut report } = typed;
        let remote = RemoteSettings::of(mode, &rates, call, token, environment, terminal)?;
        pace.rate = remote.rate;
        report.reason = report.reason.map(|reason| without_tokens(&reason).into_owned());
        Ok(Self {
            mode,
            input,
            columns,
            output,
            existing,
            pace,
            safety,
            confirmation,
            users_confirmation,
            approval,
            remote,
            report,
            console,
        })
    }
}

impl RemoteSettings {
    /// What a command other than `run` goes by. `input` is what it reads: nobody can be asked on standard input that holds rows.
    ///
    /// # Errors
    /// If flags exclude each other.
    pub fn resolve(typed: RemoteArgs, input: &InputSource, environment: &Environment) -> Result<Self, UsageError> {
        let RemoteArgs { rehearse, rates, call, token } = typed;
        let mode = if rehearse { Mode::Rehearsal } else { Mode::Run };
        check_remote(mode, &rates, &token)?;
        Self::of(mode, &rates, call, token, environment, environment.terminal_beside(input))
    }

    fn of(
        mode: Mode,
        rates: &RateArgs,
        calls: CallArgs,
        typed: TokenArgs,
        environment: &Environment,
        terminal: Option<Terminal>,
    ) -> Result<Self, UsageError> {
        let token = token(mode, &typed, environment, terminal);
        let api_url = typed.api_url.unwrap_or_else(|| API_URL.into());
        let rehearse = mode == Mode::Rehearsal;
        Ok(Self { rehearse, rate: rate(rates)?, calls, api_url, allow_hosts: typed.allow_host, token })
    }
}

impl OutputStyle {
    /// How standard error looks here.
    ///
    /// # Errors
    /// [`UsageError::QuietAndVerbose`].
    pub fn resolve(typed: &GlobalArgs, environment: &Environment) -> Result<Self, UsageError> {
        let verbosity = match (typed.quiet, typed.verbose) {
            (true, 0) => Verbosity::Quiet,
            (true, 1..) => return Err(UsageError::QuietAndVerbose),
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Rows,
            (false, 2..) => Verbosity::Calls,
        };
        let is_lively = environment.stderr_is_terminal && !environment.terminal_is_dumb;
        let color = match typed.color {
            Color::Auto => is_lively && !environment.no_color,
            Color::Always => true,
            Color::Never => false,
        };
        let progress = match typed.progress {
            Progress::Auto if typed.quiet => ScreenMode::None,
            // Standard error in JSON is read by a program, even on a terminal.
            Progress::Auto if is_lively && typed.log_format == LogFormat::Text => ScreenMode::Bar,
            // A bar needs a terminal to be redrawn on.
            Progress::Bar if environment.stderr_is_terminal => ScreenMode::Bar,
            Progress::Auto | Progress::Plain | Progress::Bar => ScreenMode::Plain,
            Progress::None => ScreenMode::None,
        };
        Ok(Self { progress, color, verbosity, log_format: typed.log_format })
    }
}

/// What is refused of any command that calls Slack. A run without a limit is for servers on this machine (contract.md, `--rate`).
fn check_remote(mode: Mode, rates: &RateArgs, token: &TokenArgs) -> Result<(), UsageError> {
    if token.token_file.is_some() && token.token_command.is_some() {
        return Err(UsageError::TwoTokens);
    }
    if mode == Mode::Rehearsal {
        not_in_rehearsal(&real_only(token))?;
    }
    let is_local = mode == Mode::Rehearsal || token.api_url.as_deref().is_some_and(is_loopback);
    if rates.rate == RateChoice::Unlimited && !is_local { Err(UsageError::UnlimitedAbroad) } else { Ok(()) }
}

/// Which of the three a command line asks for.
fn mode(typed: &RunArgs) -> Result<Mode, UsageError> {
    match (typed.safety.dry_run, typed.safety.rehearse) {
        (false, false) => Ok(Mode::Run),
        (true, false) => Ok(Mode::Plan),
        (false, true) => Ok(Mode::Rehearsal),
        (true, true) => Err(UsageError::PlanAndRehearsal),
    }
}

/// The rules that only refuse.
fn check(mode: Mode, typed: &RunArgs) -> Result<(), UsageError> {
    if mode == Mode::Rehearsal {
        check_rehearsal(typed)?;
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
    let InputArgs { whole_users, identify_by, bulk, only, .. } = &typed.input;
    let is_confirmed = typed.safety.confirm_users.is_some();
    match (whole_users, identify_by, bulk) {
        (true, _, Some(_)) => Err(UsageError::WholeUsersInBulk),
        (true, Identify::Team, None) => Err(UsageError::WholeUsersByTeam),
        (false, ..) if only.is_some() => Err(UsageError::OnlyWithWholeUsers),
        (false, _, None) if is_confirmed => Err(UsageError::NoUsersToConfirm),
        (true, Identify::Auto | Identify::User, None) | (false, ..) => Ok(()),
    }
}

fn check_rehearsal(typed: &RunArgs) -> Result<(), UsageError> {
    not_in_rehearsal(&real_only(&typed.token))?;
    not_in_rehearsal(&[
        (typed.output.resume, "--resume"),
        (typed.output.resume_or_start, "--resume-or-start"),
        (typed.safety.plan_id.is_some(), "--plan-id"),
        (typed.safety.approved_by.is_some(), "--approved-by"),
    ])
}

/// Flags about Slack and the token, which a rehearsal doesn't need.
fn real_only(token: &TokenArgs) -> [(bool, &'static str); 3] {
    [
        (token.token_file.is_some(), "--token-file"),
        (token.token_command.is_some(), "--token-command"),
        (token.api_url.is_some(), "--api-url"),
    ]
}

fn not_in_rehearsal(given: &[(bool, &'static str)]) -> Result<(), UsageError> {
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, flag)) => Err(UsageError::NotInRehearsal { flag }),
        None => Ok(()),
    }
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
fn existing(typed: &OutputArgs) -> Result<Existing, UsageError> {
    match (typed.resume, typed.resume_or_start) {
        (false, false) => Ok(Existing::Refuse),
        (true, false) => Ok(Existing::Resume),
        (false, true) => Ok(Existing::ResumeOrStart),
        (true, true) => Err(UsageError::ResumeTwice),
    }
}

/// The rate, with the ends of `auto` in their order.
fn rate(typed: &RateArgs) -> Result<RateChoice, UsageError> {
    let only_auto = match (typed.start_rate, typed.max_rate) {
        (Some(_), _) => Some("--start-rate"),
        (None, Some(_)) => Some("--max-rate"),
        (None, None) => None,
    };
    match (typed.rate, only_auto) {
        (RateChoice::Auto { .. }, _) => auto(typed.start_rate, typed.max_rate),
        (RateChoice::Fixed(_) | RateChoice::Unlimited, Some(flag)) => Err(UsageError::OnlyWithAuto { flag }),
        (rate @ (RateChoice::Fixed(_) | RateChoice::Unlimited), None) => Ok(rate),
    }
}

/// `--max-rate` alone lowers the start as well; if both are given, they have to be in order.
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
fn confirmation(mode: Mode, yes: bool, terminal: Option<Terminal>) -> Result<Confirmation, UsageError> {
    match (mode, yes, terminal) {
        (Mode::Plan | Mode::Rehearsal, _, _) => Ok(Confirmation::NotNeeded),
        (Mode::Run, true, _) => Ok(Confirmation::Given),
        (Mode::Run, false, Some(terminal)) => Ok(Confirmation::Ask(terminal)),
        (Mode::Run, false, None) => Err(UsageError::NobodyToAsk),
    }
}

/// The plan that a run must be, and who approved it.
fn approval(mode: Mode, typed: &SafetyArgs) -> Result<Option<Approval>, UsageError> {
    match (&typed.plan_id, &typed.approved_by) {
        (None, Some(_)) if mode == Mode::Run => Err(UsageError::ApprovalOfNothing),
        (None, _) if mode == Mode::Run && typed.require_plan_id => Err(UsageError::PlanIdRequired),
        (None, _) => Ok(None),
        (Some(plan_id), approver) => {
            let approved_by = approver.as_deref().map(|approver| without_tokens(approver).into_owned());
            Ok(Some(Approval { plan_id: plan_id.clone(), approved_by }))
        }
    }
}

/// Whether to ask once more before whole users are sent. A number that was given is checked in every mode.
fn users_confirmation(
    mode: Mode,
    typed: &RunArgs,
    terminal: Option<Terminal>,
) -> Result<UsersConfirmation, UsageError> {
    match (typed.safety.confirm_users, mode, terminal) {
        (Some(users), _, _) => Ok(UsersConfirmation::Given(users)),
        (None, Mode::Plan | Mode::Rehearsal, _) => Ok(UsersConfirmation::NotNeeded),
        (None, Mode::Run, _) if !typed.input.whole_users => Ok(UsersConfirmation::NotNeeded),
        // The id confirms these very users.
        (None, Mode::Run, _) if typed.safety.yes && typed.safety.plan_id.is_some() => Ok(UsersConfirmation::NotNeeded),
        (None, Mode::Run, Some(terminal)) => Ok(UsersConfirmation::Ask(terminal)),
        (None, Mode::Run, None) => Err(UsageError::NobodyToConfirmUsers),
    }
}

/// Where the token comes from: flags, then `SLACK_TOKEN`, then systemd, then a person. A plan asks nobody.
fn token(mode: Mode, typed: &TokenArgs, environment: &Environment, terminal: Option<Terminal>) -> Option<TokenSource> {
    match (&typed.token_file, &typed.token_command, &environment.token_credential) {
        _ if mode == Mode::Rehearsal => None,
        (Some(file), _, _) => Some(TokenSource::File(file.clone())),
        (None, Some(command), _) => Some(TokenSource::Command(command.clone())),
        _ if environment.has_slack_token => Some(TokenSource::Env),
        (None, None, Some(file)) => Some(TokenSource::Credential(file.clone())),
        (None, None, None) => terminal.filter(|_| mode == Mode::Run).map(|_| TokenSource::Prompt),
    }
}

/// Whether the URL's host is this machine. A URL that could be read in two ways isn't: this only ever allows a faster rate.
fn is_loopback(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains(['@', '\\', '%']) {
        return false;
    }
    match authority.strip_prefix('[').and_then(|bracketed| bracketed.split_once(']')) {
        Some((address, _)) => is_loopback_host(address),
        None => is_loopback_host(authority.split(':').next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, want) in [
            ("http://127.0.0.1:8080/api/", true),
            ("http://127.9.9.9/", true),
            ("https://localhost/api/", true),
            ("http://LocalHost:1", true),
            ("http://[::1]:8080/api/", true),
            ("https://slack.com/api/", false),
            ("https://localhost.example.com/", false),
            ("https://127.0.0.1.example.com/", false),
            ("https://example.com/127.0.0.1", false),
            ("http://127.0.0.1@example.com/", false),
            ("http://127.0.0.1:80@example.com/", false),
            ("http://127.0.0.1\\@example.com/", false),
            ("http://[::2]/", false),
            ("http://0.0.0.0/", false),
            ("127.0.0.1:8080", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), want, "{url}");
        }
    }
}
