//! Permission to make one call. It can be withdrawn until the first byte is sent, so that a call that still waits for a
//! connection when its bucket is paused or the run stops is never sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallPhase {
    /// Nothing was sent; the call may be waiting for a connection.
    Waiting,
    /// The first byte may have been sent.
    Started,
    /// Nothing was sent, and nothing will be.
    Withdrawn,
    /// The answer asks for a pause, and the dispatcher hasn't processed it yet.
    PauseAnnounced,
}

#[derive(Debug)]
struct CallState {
    phase: Mutex<CallPhase>,
    withdrawn: Notify,
}

impl CallState {
    fn phase(&self) -> MutexGuard<'_, CallPhase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the phase `Waiting`, or stays in another one. Returns the phase.
    fn leave_waiting(&self, next: CallPhase) -> CallPhase {
        let mut phase = self.phase();
        if *phase == CallPhase::Waiting {
            *phase = next;
        }
        if *phase == CallPhase::Withdrawn {
            self.withdrawn.notify_waiters();
        }
        *phase
    }
}

/// Permission to make one call. Only the gate issues it and the call consumes it, so a request that skips the gate doesn't
/// compile.
#[derive(Debug)]
#[must_use = "a permit that is not used has still spent its place in the limit"]
pub struct Permit {
    call: Arc<CallState>,
    /// `None` if no dispatcher waits for the answer.
    announced: Option<AnnouncedPauses>,
}

impl Permit {
    /// For the gate only.
    pub(super) fn issue() -> Self {
        let call = CallState { phase: Mutex::new(CallPhase::Waiting), withdrawn: Notify::new() };
        Self { call: Arc::new(call), announced: None }
    }

    /// Connects the permit to the announced pauses of the run. Returns it with the dispatcher's handle of the call.
    pub(super) fn tracked(self, announced: &AnnouncedPauses) -> (Self, CallHandle) {
        let handle = CallHandle { call: Arc::clone(&self.call), announced: announced.clone() };
        (Self { announced: Some(announced.clone()), ..self }, handle)
    }

    /// To be called right before the first byte is written. If it returns false, nothing may be sent.
    #[must_use]
    pub fn start(&self) -> bool {
        let must_wait = self.announced.as_ref().is_some_and(AnnouncedPauses::any);
        let next = if must_wait { CallPhase::Withdrawn } else { CallPhase::Started };
        self.call.leave_waiting(next) == CallPhase::Started
    }

    /// Reports that the answer to this call asks for a pause. No other call starts until the dispatcher has processed the
    /// answer, not even one that reuses the same connection immediately.
    pub fn announce_pause(&self) {
        let before = std::mem::replace(&mut *self.call.phase(), CallPhase::PauseAnnounced);
        if let Some(announced) = self.announced.as_ref().filter(|_| before != CallPhase::PauseAnnounced) {
            announced.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until the permit is withdrawn; never returns for a call that was sent.
    pub async fn withdrawn(&self) {
        // Made before the phase is read, so that no notification is missed.
        let notified = self.call.withdrawn.notified();
        if *self.call.phase() != CallPhase::Withdrawn {
            notified.await;
        }
    }
}

/// The dispatcher's handle of a call in flight.
#[derive(Debug)]
pub(super) struct CallHandle {
    call: Arc<CallState>,
    announced: AnnouncedPauses,
}

impl CallHandle {
    /// Withdraws the permit if nothing was sent.
    pub(super) fn withdraw(&self) {
        self.call.leave_waiting(CallPhase::Withdrawn);
    }

    #[cfg(test)]
    pub(super) fn is_withdrawn(&self) -> bool {
        *self.call.phase() == CallPhase::Withdrawn
    }

    /// Reports that the dispatcher has processed the answer. A pause that it asked for is in force, so calls may start again.
    pub(super) fn answered(self) {
        if *self.call.phase() == CallPhase::PauseAnnounced {
            self.announced.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The number of answers that ask for a pause and that the dispatcher hasn't processed yet.
#[derive(Debug, Clone, Default)]
pub(super) struct AnnouncedPauses(Arc<AtomicUsize>);

impl AnnouncedPauses {
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_starts_unless_it_was_withdrawn_before() {
        let announced = AnnouncedPauses::default();
        let (permit, handle) = Permit::issue().tracked(&announced);
        assert!(permit.start() && permit.start());
        handle.withdraw();
        assert!(permit.start(), "what was sent can't be taken back");

        let (permit, handle) = Permit::issue().tracked(&announced);
        handle.withdraw();
        assert!(!permit.start());
    }

    #[test]
    fn an_announced_pause_stops_every_call_until_the_dispatcher_has_seen_it() {
        let announced = AnnouncedPauses::default();
        let (limited, answered) = Permit::issue().tracked(&announced);
        let (waiting, _handle) = Permit::issue().tracked(&announced);
        let (late, _late_handle) = Permit::issue().tracked(&announced);
        assert!(limited.start());
        limited.announce_pause();
        limited.announce_pause();
        assert!(announced.any() && !waiting.start());
        answered.answered();
        assert!(!announced.any() && late.start() && !waiting.start());
    }
}
