//! Signals. The first one makes the run finish the calls in flight, the second one stops it immediately.

use crate::engine::ports::{Control, Signal};
use crate::model::StopReason;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind};

/// The signals of this process from now on.
#[derive(Debug)]
pub struct Shutdown {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// `None` under `nohup`.
    hangup: Option<unix::Signal>,
    is_draining: bool,
}

impl Shutdown {
    /// Starts to listen for SIGINT, SIGTERM and SIGHUP. None of them kills the process from now on, even after this
    /// is dropped. A closed terminal (SIGHUP) ends the run like SIGTERM.
    ///
    /// # Errors
    /// If a signal handler can't be installed.
    ///
    /// # Panics
    /// Outside of a tokio runtime that drives I/O.
    pub fn listen() -> io::Result<Self> {
        let hangup = if hangup_is_ignored() { None } else { Some(unix::signal(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup,
            is_draining: false,
        })
    }

    fn poll_reason(&mut self, context: &mut std::task::Context<'_>) -> Poll<StopReason> {
        if self.interrupt.poll_recv(context).is_ready() {
            return Poll::Ready(StopReason::Interrupted);
        }
        let hangup = self.hangup.as_mut().is_some_and(|hangup| hangup.poll_recv(context).is_ready());
        if hangup || self.terminate.poll_recv(context).is_ready() {
            return Poll::Ready(StopReason::Terminated);
        }
        Poll::Pending
    }
}

impl Control for Shutdown {
    async fn next(&mut self) -> Signal {
        let reason = std::future::poll_fn(|context| self.poll_reason(context)).await;
        // No await between the signal and this line, so that a drop can't lose the signal.
        if std::mem::replace(&mut self.is_draining, true) { Signal::Abort } else { Signal::Drain(reason) }
    }
}

/// `nohup` starts a program with SIGHUP ignored, which a handler would undo. This can only be detected on Linux;
/// elsewhere a hangup terminates the run.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SignalKind::hangup()))
}

/// Whether the line `SigIgn` of proc(5) has the signal's bit, counted from 1.
fn ignores(status: &str, signal: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    let bit = signal.as_raw_value() - 1;
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Raw, getpid, kill_process};

    fn raise(signal: Raw) {
        kill_process(getpid(), signal).expect("a process may signal itself");
    }

    /// A single test, because signals reach every listener of the process, including those of other tests.
    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_aborts() {
        for (first, reason) in [
            (Raw::INT, StopReason::Interrupted),
            (Raw::TERM, StopReason::Terminated),
            (Raw::HUP, StopReason::Terminated),
        ] {
            let mut shutdown = Shutdown::listen().unwrap();
            if first == Raw::HUP && shutdown.hangup.is_none() {
                continue; // The tests run under nohup.
            }
            raise(first);
            assert_eq!(shutdown.next().await, Signal::Drain(reason));
            for again in [Raw::INT, Raw::TERM] {
                raise(again);
                assert_eq!(shutdown.next().await, Signal::Abort);
            }
        }
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        for (status, want) in [
            ("Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t0\n", true),
            ("SigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tnone\n", false),
            ("", false),
        ] {
            assert_eq!(ignores(status, SignalKind::hangup()), want, "{status:?}");
        }
    }
}
