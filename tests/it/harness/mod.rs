//! A folder of its own for every test, the program in it, and the stand-in beside it.

mod canned;
pub mod certificate;
mod proxy;
pub mod redis;
mod results;
mod run;
mod terminal;
mod watch;

pub use canned::Canned;
pub use proxy::{Act, Proxy};
pub use results::{Record, Results};
pub use run::{Finished, Program, Running, totals};
pub use terminal::Terminal;
pub use watch::{Peak, accepted, in_flight, until};

use slack_revoke::stand_in::{Server, Session, SessionStore, StandInConfig, StandInToken};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The token that the stand-in takes, unless a test says otherwise.
pub const TOKEN: &str = "xoxp-stand-in-0001";

/// Says that this test can't be done here, past libtest, which shows what a test prints only if it fails; and in the file that
/// `.ci/run` prints.
pub fn report_skipped(why: &str) {
    // One write each, for tests run at the same time.
    let line = format!("{}: {}\n", std::thread::current().name().unwrap_or("a test"), why.trim());
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(list) = std::env::var_os("SKIPPED_TESTS") {
        let list = fs::File::options().append(true).create(true).open(list);
        list.and_then(|mut list| list.write_all(line.as_bytes())).expect("the list of skipped tests");
    }
}

/// A temporary folder with the files of one test.
pub struct Workdir {
    folder: TempDir,
    /// What the program keeps of its own, beside the files of the test.
    state: TempDir,
}

impl Workdir {
    pub fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a temporary folder");
        Self { folder: folder(), state: folder() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the states of limits.
    pub fn state(&self) -> PathBuf {
        self.state.path().join("slack-revoke/limits")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file in the test's folder");
        path
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// What is in the folder, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).expect("the test's folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A sample of the repository, copied here.
    pub fn sample(&self, name: &str) {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
        fs::copy(sample, self.path(name)).expect("a sample");
    }

    /// The program, in this folder, with no variable of the environment that it would listen to.
    pub fn program<I: IntoIterator<Item = S>, S: Into<std::ffi::OsString>>(&self, arguments: I) -> Program {
        Program::new(self.root(), arguments).env_path("XDG_STATE_HOME", self.state.path())
    }

    /// A line as it would be typed into a shell in this folder.
    pub fn shell(&self, line: &str) -> Program {
        Program::shell(self.root(), line).env_path("XDG_STATE_HOME", self.state.path())
    }

    /// `run INPUT` against `server`, with the token, without questions.
    pub fn run(&self, server: &Server, input: &str) -> Program {
        self.program(["run", input, "--yes", "--api-url", &server.url()]).token(TOKEN)
    }

    pub fn results(&self, name: &str) -> Results {
        Results::read(&self.path(name))
    }

    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).expect("JSON")
    }
}

/// `team_id,session_id` for the sessions `first..first + rows`, all of one workspace.
pub fn rows(first: u64, rows: u64) -> String {
    let mut text = String::from("team_id,session_id\n");
    for session in first..first + rows {
        writeln!(text, "T1,{session}").expect("a string takes everything");
    }
    text
}

/// Live sessions `first..first + count` of workspace T1.
pub fn sessions(first: u64, count: u64) -> Vec<Session> {
    (first..first + count).map(|id| Session::new(id, "T1", "U1")).collect()
}

/// A stand-in with these sessions and no trouble of its own.
pub fn config(sessions: Vec<Session>) -> StandInConfig {
    StandInConfig {
        store: SessionStore::listed(sessions),
        tokens: vec![StandInToken::named(TOKEN)],
        ..StandInConfig::default()
    }
}

pub fn start(config: StandInConfig) -> Server {
    Server::start(config).expect("a loopback port")
}
