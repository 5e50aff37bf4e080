//! Parse, dispatch, exit.

use slack_revoke::cli::{self, Command};
use slack_revoke::commands::plan::Form;
use slack_revoke::commands::{completions, console, man, run};
use slack_revoke::error::RunError;
use slack_revoke::exit::ExitStatus;
use slack_revoke::settings::{Environment, Settings};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let cli = match cli::parse(argv.iter().cloned()) {
        Ok(cli) => cli,
        Err(instead) => return cli::answer(&instead).into(),
    };
    let result = match cli.command {
        Command::Completions(typed) => printed(|out| completions::write(typed.shell, out)),
        Command::Man => printed(man::write),
        Command::Run(typed) => execute(*typed, &cli.global, &argv, Form::Text),
        Command::Plan(typed) => {
            let form = if typed.json { Form::Json } else { Form::Text };
            execute(typed.run, &cli.global, &argv, form)
        }
    };
    result.unwrap_or_else(|error| fail(&error)).into()
}

fn execute(
    typed: cli::RunArgs,
    global: &cli::GlobalArgs,
    argv: &[OsString],
    form: Form,
) -> Result<ExitStatus, RunError> {
    let settings = Settings::resolve(typed, global, &Environment::capture())?;
    let console = console::open(&settings.report.console)?;
    run::run(&settings, argv, &console, form)
}

/// Where standard error is gone, the exit code still tells.
fn fail(error: &RunError) -> ExitStatus {
    let _ = writeln!(io::stderr(), "error: {error}");
    error.exit_status()
}

/// Nobody reading any more, as in `man | head`, is no error.
fn printed(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitStatus, RunError> {
    let out = &mut io::stdout().lock();
    match write(out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(RunError::Internal(format!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(ExitStatus::Success),
    }
}
