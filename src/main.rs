//! Parse, dispatch, exit.

use slack_revoke::cli::{self, Command, Environment, Settings};
use slack_revoke::commands::run::OutputFormat;
use slack_revoke::commands::{
    completions, console, doctor, from_audit, list, man, report as page, resolve, run, verify,
};
use slack_revoke::error::RunError;
use slack_revoke::model::{ExitStatus, LogFormat, OutputStyle};
use slack_revoke::output;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The panic has already printed its message.
    std::panic::catch_unwind(program).unwrap_or(ExitStatus::Internal).into()
}

fn program() -> ExitStatus {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let cli = match cli::parse(argv.iter().cloned()) {
        Ok(cli) => cli,
        Err(instead) => {
            let answered = cli::answer(&instead).map_err(|error| console::unprintable(&error));
            return answered.unwrap_or_else(|error| console::fail(&error, LogFormat::Text));
        }
    };
    let (global, argv) = (&cli.global, argv.as_slice());
    let result = match cli.command {
        Command::Completions(typed) => console::print(|out| completions::write(typed.shell, out)),
        Command::Doctor(typed) => with_console(global, |_| doctor::doctor(*typed)),
        Command::FromAudit(typed) => with_console(global, |console| from_audit::from_audit(*typed, console)),
        Command::Help(typed) => {
            let text = typed.topic.as_deref().and_then(cli::help_text::topic).unwrap_or_default();
            console::print(|out| out.write_all(text.as_bytes()))
        }
        Command::List(typed) => with_console(global, |console| list::list(*typed, argv, console)),
        Command::Man(typed) => console::print(|out| man::write(typed.command.as_deref(), out)),
        Command::Plan(typed) => {
            let format = if typed.json { OutputFormat::Json } else { OutputFormat::Text };
            with_console(global, |console| execute(typed.run, global, argv, format, console))
        }
        Command::Report(typed) => with_console(global, |console| page::report(*typed, console)),
        Command::Resolve(typed) => with_console(global, |console| resolve::resolve(*typed, console)),
        Command::Run(typed) => {
            with_console(global, |console| execute(*typed, global, argv, OutputFormat::Text, console))
        }
        Command::Verify(typed) => with_console(global, |console| verify::verify(*typed, argv, console)),
    };
    result.unwrap_or_else(|error| console::fail(&error, LogFormat::Text))
}

/// Runs a command with a console as the flags specify, and prints its errors there.
fn with_console(
    global: &cli::GlobalArgs,
    command: impl FnOnce(&output::Console) -> Result<ExitStatus, RunError>,
) -> Result<ExitStatus, RunError> {
    let console = console::open(OutputStyle::resolve(global, &Environment::capture())?)?;
    Ok(command(&console).unwrap_or_else(|error| console::fail(&error, global.log_format)))
}

fn execute(
    typed: cli::RunArgs,
    global: &cli::GlobalArgs,
    argv: &[OsString],
    format: OutputFormat,
    console: &output::Console,
) -> Result<ExitStatus, RunError> {
    let refused = run::write_metrics_of_usage(&typed);
    let settings = Settings::resolve(typed, global, &Environment::capture()).map_err(RunError::from);
    let settings = settings.inspect_err(refused)?;
    run::run(&settings, argv, console, format)
}
