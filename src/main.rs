//! Parse, dispatch, exit.

use slack_revoke::cli::{self, Command, LogFormat};
use slack_revoke::commands::plan::Form;
use slack_revoke::commands::{completions, console, man, run};
use slack_revoke::error::RunError;
use slack_revoke::exit::ExitStatus;
use slack_revoke::settings::{self, Environment, Settings};
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
    result.unwrap_or_else(|error| console::fail(&error, LogFormat::Text)).into()
}

fn execute(
    typed: cli::RunArgs,
    global: &cli::GlobalArgs,
    argv: &[OsString],
    form: Form,
) -> Result<ExitStatus, RunError> {
    let environment = Environment::capture();
    let console = console::open(&settings::Console::resolve(global, &environment)?)?;
    let done = Settings::resolve(typed, global, &environment)
        .map_err(RunError::from)
        .and_then(|settings| run::run(&settings, argv, &console, form));
    Ok(done.unwrap_or_else(|error| console::fail(&error, global.log_format)))
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
