//! Wakes a thread when there is work. Cheap if the thread is awake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One thread listens, others notify it. If it isn't listening, a notification costs one atomic load and no system
/// call.
#[derive(Debug, Default)]
pub(super) struct Wakeup {
    listening: AtomicBool,
    stopped: Mutex<bool>,
    rung: Condvar,
}

impl Wakeup {
    /// Whether the thread is sleeping until it is notified.
    pub(super) fn is_listened_for(&self) -> bool {
        self.listening.load(Ordering::SeqCst)
    }

    /// Wakes the thread if it is listening. The caller must store the work before, with `SeqCst`, so that either this
    /// call sees the thread listening, or the thread sees the work.
    pub(super) fn notify(&self) {
        if self.is_listened_for() && self.listening.swap(false, Ordering::SeqCst) {
            // Locked for a moment, so that the notification isn't lost between the thread's last check and its sleep.
            drop(self.stopped());
            self.rung.notify_one();
        }
    }

    /// Sleeps while there is `nothing_to_do`. Returns false once it is stopped.
    pub(super) fn listen(&self, nothing_to_do: impl Fn() -> bool) -> bool {
        let mut stopped = self.stopped();
        loop {
            self.listening.store(true, Ordering::SeqCst);
            if *stopped || !nothing_to_do() {
                self.listening.store(false, Ordering::SeqCst);
                return !*stopped;
            }
            stopped = self.rung.wait(stopped).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps for `time` regardless of notifications. Returns false once it is stopped.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let waited = self.rung.wait_timeout_while(self.stopped(), time, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*stopped
    }

    /// Ends every sleep, now and later.
    pub(super) fn stop(&self) {
        *self.stopped() = true;
        self.rung.notify_all();
    }

    fn stopped(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    /// The writer waits until each write was handled, so a lost notification would hang the test.
    #[test]
    fn no_ring_is_lost_and_none_is_heard_for_nothing() {
        const WRITES: u64 = 20_000;
        let (wakeup, written, taken) = (Wakeup::default(), AtomicU64::new(0), AtomicU64::new(0));
        let rounds = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut rounds = 0;
                while wakeup.listen(|| written.load(Ordering::SeqCst) == taken.load(Ordering::SeqCst)) {
                    taken.store(written.load(Ordering::SeqCst), Ordering::SeqCst);
                    rounds += 1;
                }
                rounds
            });
            for write in 1..=WRITES {
                written.store(write, Ordering::SeqCst);
                wakeup.notify();
                while taken.load(Ordering::SeqCst) != write {
                    thread::yield_now();
                }
            }
            wakeup.stop();
            worker.join().unwrap()
        });
        assert_eq!(rounds, WRITES, "once for each");
    }

    #[test]
    fn a_stop_ends_every_sleep_and_those_to_come() {
        let wakeup = Wakeup::default();
        thread::scope(|scope| {
            let resting = scope.spawn(|| wakeup.rest(Duration::MAX));
            let listening = scope.spawn(|| wakeup.listen(|| true));
            wakeup.stop();
            assert!(!resting.join().unwrap() && !listening.join().unwrap());
        });
        assert!(!wakeup.rest(Duration::MAX) && !wakeup.listen(|| true));
    }
}
