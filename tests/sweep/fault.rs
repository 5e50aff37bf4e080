//! Where a fault strikes, and the program under `strace`.

use crate::place::Place;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::{Command, Output, Stdio};

/// Calls that change what is on the disk, with the errors that each is made to return. All others of [`OBSERVED`] are
/// only killed at, or only fail.
const CHANGES: [(&str, &[&str]); 20] = [
    ("openat", &["ENOSPC", "EIO", "EINTR", "EACCES"]),
    ("write", &["ENOSPC", "EIO", "EINTR"]),
    ("writev", &["ENOSPC", "EIO", "EINTR"]),
    ("pwrite64", &["ENOSPC", "EIO", "EINTR"]),
    ("fsync", &["ENOSPC", "EIO", "EINTR", "EINVAL"]),
    ("fdatasync", &["ENOSPC", "EIO", "EINTR"]),
    ("rename", &["ENOSPC", "EIO", "EACCES", "EXDEV"]),
    ("renameat", &["ENOSPC", "EIO", "EACCES", "EXDEV"]),
    ("renameat2", &["ENOSPC", "EIO", "EACCES", "EXDEV"]),
    ("unlink", &["EIO", "EACCES"]),
    ("unlinkat", &["EIO", "EACCES"]),
    ("link", &["EIO"]),
    ("linkat", &["EIO"]),
    ("ftruncate", &["ENOSPC", "EIO", "EINTR"]),
    ("fallocate", &["ENOSPC", "EIO"]),
    ("fchmod", &["EIO", "EPERM"]),
    ("utimensat", &["EIO", "EPERM"]),
    ("flock", &["EINTR", "ENOLCK", "EOPNOTSUPP"]),
    ("copy_file_range", &["EIO", "ENOSPC", "EXDEV"]),
    ("mkdirat", &["EIO", "ENOSPC"]),
];

/// Calls that only look: they fail.
const LOOKS: [(&str, &[&str]); 4] =
    [("statx", &["EIO"]), ("newfstatat", &["EIO"]), ("pread64", &["EIO"]), ("getdents64", &["EIO"])];

/// Calls between which the outside world changes: the program is killed at them.
const WORLD: [&str; 3] = ["sendto", "recvfrom", "close"];

/// A program whose runtime can't wake itself up may wait forever. `timeout` kills it then, with `strace`, and what it did has to be
/// resumable all the same.
const LIMIT: [&str; 3] = ["-s", "KILL", "60"];

/// What is done to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL at its entry, which is also the exit of the call before it.
    Kill,
    /// It isn't carried out and returns this error.
    Error(&'static str),
    /// No file may become longer than `nth` bytes: writes are cut short, then fail with EFBIG.
    Size,
}

/// A call of the program's, and what is done to it.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub call: &'static str,
    /// Counted from 1 within each thread, as strace does.
    pub nth: u64,
    pub fault: Fault,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.call, self.nth, self.fault)
    }
}

/// How the program ended under a fault.
pub struct Ended {
    /// `None` if a signal killed it.
    pub code: Option<i32>,
    pub stderr: String,
    struck: String,
}

impl Ended {
    pub fn panicked(&self) -> bool {
        self.stderr.contains("panicked at") || matches!(self.code, Some(70 | 101))
    }

    /// Whether a call failed that only wakes the runtime up. A call that was resumed names no file: it may have been one.
    pub fn hit_the_runtime(&self) -> bool {
        ["eventfd", "socket", "TCP", "resumed"].iter().any(|name| self.struck.contains(name))
    }
}

/// Whether `strace` is installed and may trace.
pub fn available() -> bool {
    let mut traced = Command::new("timeout");
    traced.args(LIMIT).args(["strace", "--seccomp-bpf", "-f", "-o", "/dev/null", "true"]);
    let traced = traced.stderr(Stdio::null()).status();
    traced.is_ok_and(|status| status.success())
}

/// How often each call is made by the thread that makes it most, in a run without a fault.
pub fn observe(place: &Place, arguments: &[String]) -> BTreeMap<&'static str, u64> {
    let log = place.log();
    let names = CHANGES.iter().chain(&LOOKS).map(|(name, _)| *name).chain(WORLD).collect::<Vec<_>>();
    let trace = format!("trace={}", names.join(","));
    let output = traced(place, &["-e", &trace], arguments);
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    let mut calls: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    for line in fs::read_to_string(log).expect("a log").lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        if let Some(name) = names.iter().find(|name| call.trim_start().starts_with(&format!("{name}("))) {
            *calls.entry((thread.to_owned(), name)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in calls {
        let known = most.entry(name).or_insert(0);
        *known = count.max(*known);
    }
    most
}

/// All faults of the calls that were observed.
pub fn points(calls: &BTreeMap<&'static str, u64>) -> Vec<Point> {
    let errors = |call: &str| {
        let known = CHANGES.iter().chain(&LOOKS).find(|(name, _)| *name == call);
        known.map_or(&[][..], |(_, errors)| *errors)
    };
    let looks = |call: &str| LOOKS.iter().any(|(name, _)| *name == call);
    let mut points = Vec::new();
    for (&call, &count) in calls {
        for nth in 1..=count {
            if !looks(call) {
                points.push(Point { call, nth, fault: Fault::Kill });
            }
            points.extend(errors(call).iter().map(|&error| Point { call, nth, fault: Fault::Error(error) }));
        }
    }
    points
}

/// Limits on the length of a file, up to the longest that was written.
pub fn sizes(longest: u64) -> impl Iterator<Item = Point> {
    let step = usize::try_from(longest / 40).unwrap_or(1).max(1) | 1;
    (1..longest).step_by(step).map(|nth| Point { call: "any write", nth, fault: Fault::Size })
}

/// Runs the program with one fault.
pub fn run(place: &Place, arguments: &[String], point: &Point) -> Ended {
    let Point { call, nth, fault } = *point;
    let trace = format!("trace={call}");
    let output = match fault {
        Fault::Kill => {
            traced(place, &["-e", &trace, "-e", &format!("inject={call}:signal=KILL:when={nth}")], arguments)
        }
        Fault::Error(error) => {
            traced(place, &["-e", &trace, "-e", &format!("inject={call}:error={error}:when={nth}")], arguments)
        }
        Fault::Size => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", "prlimit", &format!("--fsize={nth}")]);
            shell.arg(env!("CARGO_BIN_EXE_slack-revoke")).args(arguments);
            place.prepare(&mut shell);
            shell.output().expect("a shell")
        }
    };
    let log = fs::read_to_string(place.log()).unwrap_or_default();
    let struck = log.lines().filter(|line| line.contains("INJECTED")).collect();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { code: output.status.code(), stderr, struck }
}

fn traced(place: &Place, options: &[&str], arguments: &[String]) -> Output {
    let mut strace = Command::new("timeout");
    strace.args(LIMIT).args(["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o"]).arg(place.log()).args(options);
    strace.arg(env!("CARGO_BIN_EXE_slack-revoke")).args(arguments);
    place.prepare(&mut strace);
    strace.output().expect("strace runs")
}
