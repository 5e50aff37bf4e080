//! Runs the user's commands of `--on-finish` and `--seal-command`. They can't change the result of the run.

use crate::engine::ports::Control;
use crate::model::format_duration;
use crate::slack::secret_variables;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, absolute};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum time. A notification or a signature takes seconds; a command can put longer work into the background.
const LONGEST: Duration = Duration::from_mins(1);

/// Maximum output. A signature or a timestamp has a few KiB.
const MOST_OUTPUT: u64 = 1024 * 1024;

/// Variables that no command gets.
const TAKEN_AWAY: [&str; 2] = ["CREDENTIALS_DIRECTORY", "SLACK_REVOKE_TOKEN_FILE"];

/// A shell command and its environment.
#[derive(Debug)]
pub struct Hook<'a> {
    pub command: &'a str,
    /// The variable of its flag, which is removed: if the command starts this program, that run doesn't have the
    /// hook.
    pub flag_variable: &'static str,
    pub variables: Vec<(&'static str, OsString)>,
    pub output: HookOutput,
}

/// Where its standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOutput {
    /// Written to standard error.
    Shown,
    /// Returned.
    Kept,
}

/// The exit status, and the output if it is kept.
type Ended = io::Result<(ExitStatus, Vec<u8>)>;

impl Hook<'_> {
    /// Runs the command. Kills it after a minute or at a signal. Returns its output if it is kept.
    ///
    /// # Errors
    /// The error, to follow the name of the flag.
    pub async fn run(&self, signals: &mut impl Control) -> Result<Vec<u8>, String> {
        self.run_at_most(LONGEST, signals).await
    }

    async fn run_at_most(&self, longest: Duration, signals: &mut impl Control) -> Result<Vec<u8>, String> {
        let (group, mut ended) = self.start().map_err(|error| format!("could not be started: {error}"))?;
        let when = tokio::select! {
            biased;
            ended = &mut ended => return output_of(ended.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))),
            _ = signals.next() => "by a signal".to_owned(),
            () = tokio::time::sleep(longest) => format!("after {}", format_duration(longest)),
        };
        if let Some(group) = group {
            // Fails if it has just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = ended.await;
        Err(format!("did not end and was killed {when}"))
    }

    /// Starts the command in its own process group, so that it can be killed with its child processes. A thread waits
    /// for its end.
    fn start(&self) -> io::Result<(Option<Pid>, oneshot::Receiver<Ended>)> {
        let mut shell = Command::new("sh");
        let stdout = match self.output {
            HookOutput::Shown => Stdio::from(io::stderr()),
            HookOutput::Kept => Stdio::piped(),
        };
        shell.args(["-c", self.command]).stdin(Stdio::null()).stdout(stdout).process_group(0);
        for name in secret_variables().chain(TAKEN_AWAY).chain([self.flag_variable]) {
            shell.env_remove(name);
        }
        let child = shell.envs(self.variables.iter().map(|(name, value)| (name, value))).spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("hook".into()).spawn(move || end.send(wait(child)))?;
        Ok((group, ended))
    }
}

/// Reads the output, up to [`MOST_OUTPUT`].
fn wait(mut child: Child) -> Ended {
    let mut kept = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MOST_OUTPUT + 1).read_to_end(&mut kept)?;
    }
    Ok((child.wait()?, kept))
}

fn output_of(ended: Ended) -> Result<Vec<u8>, String> {
    let (status, kept) = ended.map_err(|error| format!("can't be waited for: {error}"))?;
    match kept.len() as u64 {
        MOST_OUTPUT.. => Err("wrote more than a MiB to standard output".into()),
        _ if !status.success() => Err(format!("failed ({status})")),
        _ => Ok(kept),
    }
}

/// An absolute path.
#[must_use]
pub fn path_variable(path: &Path) -> OsString {
    absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports;
    use crate::model::StopReason;

    struct Never;

    impl Control for Never {
        async fn next(&mut self) -> ports::Signal {
            std::future::pending().await
        }
    }

    struct Now;

    impl Control for Now {
        async fn next(&mut self) -> ports::Signal {
            ports::Signal::Drain(StopReason::Interrupted)
        }
    }

    fn hook(command: &str, output: HookOutput) -> Hook<'_> {
        Hook { command, flag_variable: "PLANT", variables: vec![("ANIMAL", "owl".into())], output }
    }

    #[tokio::test]
    async fn a_failure_is_an_error_and_what_is_kept_is_the_output() {
        for (command, output, want) in [
            ("exit 0", HookOutput::Shown, Ok("")),
            ("exit 3", HookOutput::Shown, Err("failed (exit status: 3)")),
            ("test $ANIMAL = owl", HookOutput::Shown, Ok("")),
            ("printf $ANIMAL", HookOutput::Kept, Ok("owl")),
            ("printf $ANIMAL; exit 3", HookOutput::Kept, Err("failed (exit status: 3)")),
            ("yes", HookOutput::Kept, Err("wrote more than a MiB to standard output")),
            ("head -c 1048577 /dev/zero", HookOutput::Kept, Err("wrote more than a MiB to standard output")),
        ] {
            let ended = hook(command, output).run(&mut Never).await;
            let ended = ended.map(|output| String::from_utf8(output).unwrap());
            assert_eq!(ended.as_deref().map_err(String::as_str), want, "{command}");
        }
    }

    /// The pipe ends when the last process that has it open is dead.
    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for (signalled, output) in [(false, HookOutput::Shown), (true, HookOutput::Shown), (true, HookOutput::Kept)] {
            let variables = vec![("FIFO", fifo.clone().into_os_string())];
            let hook = Hook { variables, ..hook(r#"sleep 1000 > "$FIFO" & wait"#, output) };
            let path = fifo.clone();
            let reader = std::thread::spawn(move || std::fs::read_to_string(path).unwrap());
            let ended = if signalled {
                hook.run(&mut Now).await
            } else {
                hook.run_at_most(Duration::from_millis(200), &mut Never).await
            };
            assert!(ended.is_err_and(|why| why.contains("was killed")));
            // If it was killed before it opened the pipe, this opens it.
            while !reader.is_finished() {
                drop(std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap());
                std::thread::yield_now();
            }
            assert_eq!(reader.join().unwrap(), "");
        }
    }
}
