//! `--on-finish`: somebody else's command, once the run is over. It can change nothing about the run.

use super::finish::FinishedRun;
use crate::cli::Mode;
use crate::engine::ports::Control;
use crate::model::format_duration;
use crate::slack::secret_variables;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, absolute};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;

/// A page and a mail take seconds. What takes longer is put into the background by the command itself.
const LONGEST: Duration = Duration::from_mins(1);

/// What the command must not find. Where it starts this program again, that is no run with the same command at its end.
const TAKEN_AWAY: [&str; 3] = ["CREDENTIALS_DIRECTORY", "SLACK_REVOKE_TOKEN_FILE", "SLACK_REVOKE_ON_FINISH"];

/// What the command finds in its environment. No name is that of a flag's variable.
pub(super) fn variables(mode: Mode, run: &FinishedRun) -> Vec<(&'static str, OsString)> {
    let absolute = |path: &Path| absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    let mode = match mode {
        Mode::Run | Mode::Plan => "run",
        Mode::Rehearsal => "rehearsal",
    };
    let mut variables: Vec<(&str, OsString)> = vec![
        ("SLACK_REVOKE_EXIT_CODE", run.exit.code().to_string().into()),
        ("SLACK_REVOKE_STATUS", run.exit.word().into()),
        ("SLACK_REVOKE_MODE", mode.into()),
        ("SLACK_REVOKE_RUN_ID", run.run_id.clone().into()),
        ("SLACK_REVOKE_RESULTS", absolute(&run.results)),
        ("SLACK_REVOKE_MANIFEST", absolute(&run.manifest)),
    ];
    variables.extend(run.manifest_sha256.as_ref().map(|sha256| ("SLACK_REVOKE_MANIFEST_SHA256", sha256.into())));
    variables.extend(run.summary.as_ref().map(|summary| ("SLACK_REVOKE_SUMMARY", absolute(summary))));
    variables
}

/// Runs `command` and waits for its end, for a minute, or until a signal comes. What goes wrong is told, also under `-q`, and
/// nothing else: the run's exit code is the run's.
pub(super) async fn run(command: &str, variables: &[(&'static str, OsString)], signals: impl Control) {
    if let Some(trouble) = trouble(command, variables, signals, LONGEST).await {
        tracing::error!("--on-finish {trouble}; the exit code stays that of the run");
    }
}

async fn trouble(
    command: &str,
    variables: &[(&'static str, OsString)],
    mut signals: impl Control,
    longest: Duration,
) -> Option<String> {
    let (group, mut ended) = match start(command, variables) {
        Ok(started) => started,
        Err(error) => return Some(format!("could not be started: {error}")),
    };
    let when = tokio::select! {
        biased;
        ended = &mut ended => return failed(ended.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))),
        _ = signals.next() => "by a signal".to_owned(),
        () = tokio::time::sleep(longest) => format!("after {}", format_duration(longest)),
    };
    if let Some(group) = group {
        // Refused where it ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = ended.await;
    Some(format!("did not end and was killed {when}"))
}

fn failed(ended: io::Result<ExitStatus>) -> Option<String> {
    match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("failed ({status})")),
        Err(error) => Some(format!("can't be waited for: {error}")),
    }
}

/// The end of a command, as its own thread waits for it.
type Ended = oneshot::Receiver<io::Result<ExitStatus>>;

/// Starts the command in a process group of its own, so that it can be killed with all that it started.
fn start(command: &str, variables: &[(&'static str, OsString)]) -> io::Result<(Option<Pid>, Ended)> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).process_group(0);
    for name in secret_variables().chain(TAKEN_AWAY) {
        shell.env_remove(name);
    }
    let mut child: Child = shell.envs(variables.iter().map(|(name, value)| (name, value))).spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().name("on-finish".into()).spawn(move || end.send(child.wait()))?;
    Ok((group, ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::engine::ports;
    use crate::model::StopReason;
    use std::collections::BTreeSet;

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

    fn concluded() -> FinishedRun {
        let (exit, run_id) = (crate::model::ExitStatus::Stopped, "one".to_owned());
        let (summary, manifest_sha256) = (Some("s.json".into()), Some("0a".into()));
        FinishedRun { exit, run_id, results: "r.csv".into(), summary, manifest: "m.json".into(), manifest_sha256 }
    }

    #[test]
    fn no_variable_of_it_is_a_flags() {
        let mut command = cli::command();
        command.build();
        let all = command.get_subcommands().flat_map(clap::Command::get_arguments);
        let flags: BTreeSet<_> = all.filter_map(|flag| flag.get_env()?.to_str()).collect();
        assert!(flags.len() > 30 && flags.contains("SLACK_REVOKE_SUMMARY_JSON"), "{flags:?}");
        let variables = variables(Mode::Run, &concluded());
        assert_eq!(variables.len(), 8);
        for (name, _) in &variables {
            assert!(!flags.contains(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_and_a_success_is_not() {
        for (command, want) in [("exit 0", None), ("exit 3", Some("failed (exit status: 3)"))] {
            let told = trouble(command, &[], Never, LONGEST).await;
            assert_eq!(told.as_deref(), want, "{command}");
        }
        let variables = variables(Mode::Rehearsal, &concluded());
        let command = r#"test "$SLACK_REVOKE_MODE-$SLACK_REVOKE_STATUS-$SLACK_REVOKE_EXIT_CODE" = rehearsal-stopped-3"#;
        assert_eq!(trouble(command, &variables, Never, LONGEST).await, None);
    }

    /// The pipe ends when the last process that holds it is gone.
    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let variables = [("FIFO", fifo.clone().into_os_string())];
        let command = r#"sleep 1000 > "$FIFO" & wait"#;
        for signalled in [false, true] {
            let path = fifo.clone();
            let reader = std::thread::spawn(move || std::fs::read_to_string(path).unwrap());
            let told = if signalled {
                trouble(command, &variables, Now, LONGEST).await
            } else {
                trouble(command, &variables, Never, Duration::from_millis(200)).await
            };
            assert!(told.is_some_and(|told| told.contains("was killed")));
            // Where it was killed before it had opened the pipe, nobody else would.
            while !reader.is_finished() {
                drop(std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap());
                std::thread::yield_now();
            }
            assert_eq!(reader.join().unwrap(), "");
        }
    }
}
