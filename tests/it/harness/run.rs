//! The program, started and ended.

use super::terminal::Terminal;
use super::watch::LOOKS;
use rustix::process::{Pid, Signal, kill_process};
use slack_revoke::model::Status;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A command line before it runs.
pub struct Program {
    command: Command,
    stdin: Vec<u8>,
}

impl Program {
    pub fn new<I: IntoIterator<Item = S>, S: Into<OsString>>(folder: &Path, arguments: I) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slack-revoke"));
        command.args(arguments.into_iter().map(Into::into));
        Self::within(folder, command)
    }

    /// A line that begins with the program's name, given to a shell that finds it by that name. The shell makes room for
    /// the program, so that a signal reaches it.
    pub fn shell(folder: &Path, line: &str) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_slack-revoke"));
        let mut folders = vec![program.parent().expect("a folder").to_owned()];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]);
        command.env("PATH", std::env::join_paths(folders).expect("folders without colons"));
        Self::within(folder, command)
    }

    fn within(folder: &Path, mut command: Command) -> Self {
        command.current_dir(folder);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let upper = name.to_ascii_uppercase();
            if upper.starts_with("SLACK")
                || upper.ends_with("_PROXY")
                || upper == "CREDENTIALS_DIRECTORY"
                || upper == "STATE_DIRECTORY"
            {
                command.env_remove(&name);
            }
        }
        // Nothing that a test forgets to say may reach anybody: nobody listens on the discard port.
        command.env("SLACK_REVOKE_API_URL", "http://127.0.0.1:9/api/");
        Self { command, stdin: Vec::new() }
    }

    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, arguments: I) -> Self {
        self.command.args(arguments.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn env_path(mut self, name: &str, path: &Path) -> Self {
        self.command.env(name, path);
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.env("SLACK_TOKEN", token)
    }

    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Starts it and does not wait.
    pub fn start(mut self) -> Running {
        let child = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A program that refuses its input may be gone before it has read it.
        let _ = stdin.write_all(&self.stdin);
        drop(stdin);
        Running(child)
    }

    /// Starts it with standard input and standard error on a terminal.
    pub fn start_on(mut self, terminal: &Terminal) -> Running {
        self.command.stdin(terminal.device()).stdout(Stdio::piped()).stderr(terminal.device());
        Running(self.command.spawn().expect("the program starts"))
    }

    /// As [`Self::start_on`], and `/dev/tty` is that terminal.
    pub fn start_on_controlling(self, terminal: &Terminal) -> Running {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(self.command.get_program()).args(self.command.get_args());
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command, stdin: self.stdin }.start_on(terminal)
    }

    /// Runs it to its end.
    pub fn finish(self) -> Finished {
        self.start().wait()
    }

    /// Runs it, and sees to its exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Finished {
        let finished = self.finish();
        assert_eq!(finished.code(), Some(code), "{}", finished.stderr());
        finished
    }
}

/// The program under way.
pub struct Running(Child);

impl Running {
    /// The process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("a child of ours");
    }

    /// Its command line, as every user of the machine can read it.
    pub fn command_line(&self) -> String {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", self.0.id())).expect("a child that is not waited for");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }

    /// Waits for its end, and kills it if that doesn't come.
    #[track_caller]
    pub fn wait_at_most(mut self) -> Finished {
        for _ in 0..LOOKS {
            if self.is_over() {
                return self.wait();
            }
            std::thread::yield_now();
        }
        self.kill();
        panic!("it didn't end");
    }

    pub fn is_over(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_some()
    }

    pub fn wait(self) -> Finished {
        Finished(self.0.wait_with_output().expect("a child of ours"))
    }
}

/// The program after its end.
pub struct Finished(Output);

impl Finished {
    /// None where a signal killed it.
    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

/// The table of totals that a run printed: rows by status, and those not reached.
pub fn totals(stderr: &str) -> BTreeMap<&str, u64> {
    let rows = stderr.lines().filter_map(|line| line.strip_prefix("  ")?.rsplit_once(' '));
    let is_status = |name: &str| name == "not reached" || Status::parse(name).is_some();
    let rows = rows.map(|(name, rows)| (name.trim(), rows.replace(',', "")));
    rows.filter(|(name, _)| is_status(name)).map(|(name, rows)| (name, rows.parse().expect("a number"))).collect()
}
