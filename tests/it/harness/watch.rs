//! What a program is doing, seen from outside while it runs.

use super::run::{Finished, Running};
use slack_revoke::stand_in::{Method, Server};
use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Looks at most, half a minute or more: a program that hangs fails its test, and does not hang it.
pub(super) const LOOKS: u64 = 20_000_000;

/// Between two looks at a process's memory. Nothing is waited for by it but the process's end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Calls of the main method that the stand-in has let through.
pub fn accepted(server: &Server) -> u64 {
    server.stats().of(Method::Invalidate).accepted
}

/// Calls of the main method that the stand-in is answering.
pub fn in_flight(server: &Server) -> u32 {
    server.stats().of(Method::Invalidate).in_flight
}

/// Looks until it has happened. Panics where the program ends before.
#[track_caller]
pub fn until(running: &mut Running, mut happened: impl FnMut() -> bool) {
    for look in 0..LOOKS {
        if happened() {
            return;
        }
        assert!(look % 256 != 255 || !running.is_over(), "the program ended before it happened");
        std::thread::yield_now();
    }
    panic!("it did not happen");
}

/// What a process has used, as proc(5) tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peak {
    /// The most resident memory, in KiB (`VmHWM`).
    pub resident: u64,
    /// Processor time in ticks, a hundred a second.
    pub ticks: u64,
}

impl Peak {
    fn look(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: state is the first, utime and stime are the 12th and 13th.
        let times = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
        let ticks = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Some(Self { resident: most.trim().strip_suffix(" kB")?.parse().ok()?, ticks })
    }
}

impl Running {
    /// Waits for the end; gives what was used until shortly before it.
    pub fn wait_watched(self) -> (Finished, Peak) {
        let (pid, mut peak) = (self.id(), Peak::default());
        let (ended, end) = mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let finished = self.wait();
            let _ = ended.send(());
            finished
        });
        while end.recv_timeout(BETWEEN_LOOKS) == Err(RecvTimeoutError::Timeout) {
            peak = Peak::look(pid).unwrap_or(peak);
        }
        (waiting.join().expect("the end of a child"), peak)
    }
}
