//! The folder, the second file system and the stand-in of one point.

use slack_revoke::stand_in::{Server, Session, SessionStore, StandInConfig, StandInToken};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const TOKEN: &str = "xoxp-stand-in-0001";

/// Sessions that live at the start. 9 is protected; nobody asks for 50.
const ALIVE: [(u64, &str); 7] = [(1, "U1"), (2, "U1"), (3, "U2"), (4, "U3"), (5, "U4"), (9, "U9"), (50, "U5")];

/// A session that was never there.
pub const NEVER: u64 = 900;

/// The rows of the first input, by line: alive but for the last three, which are unknown to Slack, invalid and protected.
pub const INPUT: &str = "session_id,team_id,user_id,note\n\
    1,T1,U1,\"a,b\"\n2,T1,U1,\n3,T1,U2,x\n4,T1,U3,x\n5,T1,U4,x\n900,T1,U4,x\nabc,T1,U4,x\n9,T1,U9,x\n";

/// The input of the next night.
pub const OTHER: &str = "session_id,team_id,user_id\n4,T1,U3\n5,T1,U4\n901,T1,U4\n";

pub struct Place {
    folder: TempDir,
    /// On another file system, if this machine has one in memory.
    elsewhere: TempDir,
    logs: TempDir,
    pub server: Server,
}

impl Place {
    pub fn new() -> Self {
        let alive = ALIVE.iter().map(|&(id, user)| Session::new(id, "T1", user));
        let config = StandInConfig {
            store: SessionStore::listed(alive.collect::<Vec<_>>()),
            tokens: vec![StandInToken::named(TOKEN)],
            log: 1_000,
            ..StandInConfig::default()
        };
        let memory = Path::new("/dev/shm");
        let folder = || tempfile::tempdir().expect("a temporary folder");
        Self {
            folder: folder(),
            elsewhere: tempfile::tempdir_in(memory).unwrap_or_else(|_| folder()),
            logs: folder(),
            server: Server::start(config).expect("a loopback port"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn elsewhere(&self, name: &str) -> PathBuf {
        self.elsewhere.path().join(name)
    }

    pub fn log(&self) -> PathBuf {
        self.logs.path().join("strace")
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in the point's folder");
    }

    pub fn read(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(self.path(name)).map_err(|error| format!("{name}: {error}"))
    }

    /// Everything in both folders, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let entries = |folder: &TempDir| fs::read_dir(folder.path()).expect("a folder");
        let name =
            |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let mut names: Vec<_> = entries(&self.folder).chain(entries(&self.elsewhere)).map(name).collect();
        names.sort();
        names
    }

    pub fn largest_file(&self) -> u64 {
        let length =
            |entry: std::io::Result<fs::DirEntry>| entry.and_then(|entry| entry.metadata()).map_or(0, |m| m.len());
        fs::read_dir(self.folder.path()).expect("a folder").map(length).max().unwrap_or(0)
    }

    /// The sessions that were asked for so far, and answered or not.
    pub fn sent(&self) -> Vec<u64> {
        self.server.calls().iter().filter_map(|call| call.session).collect()
    }

    /// The program without a fault.
    pub fn undisturbed(&self, arguments: &[String]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_slack-revoke"));
        program.args(arguments);
        self.prepare(&mut program);
        program.output().expect("the program starts")
    }

    /// Gives a command the folder, the token and the server, and no other variable that the program reads.
    pub fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_ascii_uppercase();
            if upper.starts_with("SLACK") || upper.ends_with("_PROXY") || upper == "CREDENTIALS_DIRECTORY" {
                command.env_remove(&name);
            }
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
            .env("SLACK_REVOKE_API_URL", self.server.url())
            .env("SLACK_TOKEN", TOKEN)
            .env("TMPDIR", self.logs.path())
            .env("XDG_STATE_HOME", self.logs.path());
    }
}
