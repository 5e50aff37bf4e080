//! The screen: a thread of its own, so that the dispatcher never waits for a terminal.
//!
//! The newest snapshot lies in a slot, lines come through a bounded queue ([`Console`]). The thread sleeps until a line
//! comes or something is due: at most 8 draws a second, and one a second for the countdowns while nothing new comes. A
//! snapshot wakes it only where it would be shown at once; for plain lines most lie there until the next line is due.

mod cadence;

use super::bar::{Bar, terminal_width};
use super::console::{Console, Message};
use super::lines::{tell, tell_left_out, tell_progress};
use super::mode::ScreenMode;
use super::standing::Standing;
use crate::model::{Event, Snapshot};
use cadence::Cadence;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::Dispatch;

/// Lines that may wait for the terminal; some 100 kB of them.
const QUEUE: usize = 1024;

/// Lines written in one go, so that a flood of them redraws the bar once and not each time.
const BATCH: usize = 256;

/// How long the end waits for a terminal that stands still. The exit code is worth more than the last picture.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is between the run and the thread.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Unseen>>);

#[derive(Default)]
struct Unseen {
    /// The newest snapshot that the thread has not seen.
    newest: Option<Latest>,
    /// Whether the thread sleeps and wants to be woken by the next one.
    wanted: bool,
}

impl Slot {
    /// Lays a snapshot down. True where the thread is to be woken: once for each that it waits for, however many newer
    /// ones replace it before it comes.
    fn put(&self, latest: Latest) -> bool {
        let mut unseen = self.locked();
        unseen.newest = Some(latest);
        std::mem::take(&mut unseen.wanted)
    }

    fn take(&self) -> Option<Latest> {
        self.locked().newest.take()
    }

    /// The thread is about to sleep, and may want the next snapshot. False where one lies there that it wants.
    fn may_sleep(&self, wants: bool) -> bool {
        let mut unseen = self.locked();
        unseen.wanted = wants && unseen.newest.is_none();
        !wants || unseen.wanted
    }

    fn locked(&self) -> MutexGuard<'_, Unseen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows a run while it goes on. Dropped without [`Screen::finish`], it still takes the bar away.
pub struct Screen {
    console: Console,
    slot: Slot,
    /// Answers when the thread has ended; taken by the first who asks.
    ended: Option<Receiver<()>>,
}

impl Screen {
    /// Begins to show a run on `console`, in the mode that its look says. Where no thread can be had, notices are
    /// written straight and there is no progress.
    #[must_use]
    pub fn start(console: &Console) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let slot = Slot::default();
        let shown = Shown::new(console.clone(), slot.clone(), messages);
        // The thread's own lines go where those of the thread that starts it go.
        let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
        let body = move || tracing::dispatcher::with_default(&dispatch, || shown.run(&end));
        console.attach(queue);
        if thread::Builder::new().name("screen".to_owned()).spawn(body).is_err() {
            console.detach();
        }
        Self { console: console.clone(), slot, ended: Some(ended) }
    }

    /// Takes in how the run stands. Never waits.
    pub fn snapshot(&self, snapshot: &Snapshot) {
        if self.console.look().mode == ScreenMode::None {
            return;
        }
        if self.slot.put(Latest { snapshot: snapshot.clone(), came: monotonic() }) {
            self.console.wake();
        }
    }

    /// Takes in what happened. Never waits; costs next to nothing for what is not shown.
    pub fn event(&self, event: &Event) {
        tell(event);
    }

    /// Takes the bar away, ends the thread, and on plain lines says how the run stood at its end. A terminal that
    /// stands still is waited for 5 s at most; after that nothing is written any more.
    pub fn finish(mut self, end: &Snapshot) {
        if self.close(PATIENCE) && self.console.look().mode == ScreenMode::Plain {
            tell_progress(&Standing::new(end.clone(), Duration::ZERO));
        }
    }

    /// Whether the thread ended within `patience`, for the first who asks.
    fn close(&mut self, patience: Duration) -> bool {
        let Some(ended) = self.ended.take() else { return false };
        self.console.shut();
        let over = ended.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        if over {
            self.console.detach();
            tell_left_out(self.console.take_left_out());
        }
        over
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close(PATIENCE);
    }
}

/// What the thread owns.
struct Shown {
    console: Console,
    slot: Slot,
    messages: Receiver<Message>,
    latest: Option<Latest>,
    cadence: Cadence,
}

/// The newest snapshot, and when it came.
struct Latest {
    snapshot: Snapshot,
    came: Instant,
}

impl Shown {
    fn new(console: Console, slot: Slot, messages: Receiver<Message>) -> Self {
        let cadence = Cadence::new(console.look().mode, monotonic());
        Self { console, slot, messages, latest: None, cadence }
    }

    /// Until the console lets go of the queue, and all that is in it is written.
    fn run(mut self, end: &SyncSender<()>) {
        self.console.own();
        let look = self.console.look();
        let bar = (look.mode == ScreenMode::Bar).then(|| Bar::stderr(look.palette));
        loop {
            match self.next() {
                Ok(Some(message)) => self.write(message, bar.as_ref()),
                Ok(None) => {}
                Err(RecvError) => break,
            }
            self.look_at_slot();
            self.show_if_due(bar.as_ref());
        }
        if let Some(bar) = bar {
            bar.clear();
        }
        let _ = end.send(());
    }

    /// The next message; none where there is something to look at before one comes.
    fn next(&self) -> Result<Option<Message>, RecvError> {
        let now = monotonic();
        if !self.slot.may_sleep(self.latest.is_none() || self.cadence.wants_news(now)) {
            return Ok(None);
        }
        // Without a snapshot there is nothing to show again.
        let wait = self.latest.as_ref().and_then(|_| self.cadence.sleep(now));
        let Some(wait) = wait else { return self.messages.recv().map(Some) };
        match self.messages.recv_timeout(wait) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    /// Writes `first` and the lines behind it in one go, above the bar.
    fn write(&self, first: Message, bar: Option<&Bar>) {
        let batch: Vec<_> = std::iter::once(first).chain(self.messages.try_iter().take(BATCH - 1)).collect();
        let emptied = batch.len() < BATCH;
        let text: String = batch.into_iter().filter_map(Message::into_line).collect();
        let left_out = if emptied { self.console.take_left_out() } else { 0 };
        if text.is_empty() && left_out == 0 {
            return;
        }
        let write = || {
            self.console.write(&text);
            tell_left_out(left_out);
        };
        match bar {
            Some(bar) => bar.above(write),
            None => write(),
        }
    }

    fn look_at_slot(&mut self) {
        if let Some(latest) = self.slot.take() {
            let before = self.latest.as_ref().map(|latest| latest.snapshot.counts);
            self.cadence.note(before != Some(latest.snapshot.counts));
            self.latest = Some(latest);
        }
    }

    fn show_if_due(&mut self, bar: Option<&Bar>) {
        let now = monotonic();
        let Some(latest) = self.latest.as_ref().filter(|_| self.cadence.wait(now) == Some(Duration::ZERO)) else {
            return;
        };
        let standing = Standing::new(latest.snapshot.clone(), now.saturating_duration_since(latest.came));
        match bar {
            Some(bar) => bar.draw(&standing, terminal_width()),
            None => tell_progress(&standing),
        }
        self.cadence.shown(now);
    }
}

/// The one clock of this room: how long ago something was drawn decides nothing but when it is drawn again.
#[expect(clippy::disallowed_methods, reason = "paces the picture and counts it down, never the run")]
fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
