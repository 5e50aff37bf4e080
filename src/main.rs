//! Parse, dispatch, exit.

use slack_revoke::cli::{self, Command};
use slack_revoke::commands::{completions, man};
use slack_revoke::error::RunError;
use slack_revoke::exit::ExitStatus;
use slack_revoke::settings::{Environment, Settings};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(instead) => return cli::answer(&instead).into(),
    };
    let out = &mut io::stdout().lock();
    let result = match cli.command {
        Command::Completions(args) => wrote(completions::write(args.shell, out)),
        Command::Man => wrote(man::write(out)),
        Command::Run(run) => resolved(Settings::resolve(*run, &cli.global, &Environment::capture())),
        Command::Plan(plan) => resolved(Settings::resolve(plan.run, &cli.global, &Environment::capture())),
    };
    match result.and_then(|()| wrote(out.flush())) {
        Ok(()) => ExitStatus::Success.into(),
        Err(error) => {
            // Where standard error is gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "error: {error}");
            error.exit_status().into()
        }
    }
}

/// Nobody reading any more, as in `man | head`, is no error.
fn wrote(written: io::Result<()>) -> Result<(), RunError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(RunError::Internal(format!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The engine is not in this build: a command line is checked, and nothing is sent.
fn resolved(settings: Result<Settings, slack_revoke::settings::UsageError>) -> Result<(), RunError> {
    settings?;
    Err(RunError::Internal("this build checks command lines and sends nothing".into()))
}
