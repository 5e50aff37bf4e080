//! Shows a run on its own thread, so that the dispatcher never waits for a terminal.
//!
//! The newest snapshot is in a slot; lines come through a bounded queue ([`Console`]). The thread sleeps until there
//! is a line or a redraw is due: at most 8 a second, and one a second for countdowns without news. A snapshot only
//! wakes it if it would be shown immediately.

use super::console::{Console, ScreenMessage, stderr_width};
use super::event_entry::with_entry;
use super::log_events::{emit_left_out, emit_progress};
use super::progress_bar::TerminalBar;
use super::progress_view::ProgressView;
use super::style::Palette;
use crate::model::{Event, ScreenMode, Snapshot, StopReason};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::Dispatch;

/// Maximum number of lines that wait for the terminal, about 100 kB.
const QUEUE: usize = 1024;

/// Lines written at once, so that the bar isn't redrawn for each of many lines.
const BATCH: usize = 256;

/// Maximum time to wait for a blocked terminal at the end. The exit code matters more than the display.
const PATIENCE: Duration = Duration::from_secs(5);

/// Passes the newest snapshot from the run to the thread.
#[derive(Clone, Default)]
struct SnapshotSlot(Arc<Mutex<SlotState>>);

#[derive(Default)]
struct SlotState {
    /// `None` if the thread has taken it.
    newest: Option<TimedSnapshot>,
    /// Whether the sleeping thread has to be woken by the next snapshot.
    is_wanted: bool,
}

struct TimedSnapshot {
    snapshot: Snapshot,
    taken_at: Instant,
}

impl SnapshotSlot {
    /// Returns whether the thread has to be woken.
    fn put(&self, latest: TimedSnapshot) -> bool {
        let mut state = self.locked();
        state.newest = Some(latest);
        std::mem::take(&mut state.is_wanted)
    }

    fn take(&self) -> Option<TimedSnapshot> {
        self.locked().newest.take()
    }

    /// To be called before the thread sleeps. Returns false if a wanted snapshot is already there.
    fn may_sleep(&self, wants: bool) -> bool {
        let mut state = self.locked();
        state.is_wanted = wants && state.newest.is_none();
        !wants || state.is_wanted
    }

    fn locked(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows a run. If it is dropped without [`Screen::finish`], it clears the bar.
pub struct Screen {
    console: Console,
    slot: SnapshotSlot,
    is_rehearsal: bool,
    /// Signals that the thread has ended.
    ended: Option<Receiver<()>>,
}

impl Screen {
    /// Starts to show a run on `console` in the mode of its style. If the thread can't be started, notices are
    /// written directly and there is no progress.
    #[must_use]
    pub fn start(console: &Console, is_rehearsal: bool) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let slot = SnapshotSlot::default();
        let screen = ScreenThread::new(console.clone(), slot.clone(), messages, is_rehearsal);
        // The thread uses the subscriber of the thread that starts it.
        let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
        let body = move || tracing::dispatcher::with_default(&dispatch, || screen.run(&end));
        console.attach(queue);
        if thread::Builder::new().name("screen".to_owned()).spawn(body).is_err() {
            console.detach();
        }
        Self { console: console.clone(), slot, is_rehearsal, ended: Some(ended) }
    }

    /// Never waits.
    pub fn snapshot(&self, snapshot: &Snapshot) {
        if self.console.style().progress == ScreenMode::None {
            return;
        }
        if self.slot.put(TimedSnapshot { snapshot: snapshot.clone(), taken_at: monotonic() }) {
            self.console.wake();
        }
    }

    /// Never waits, and is cheap for events that aren't shown.
    pub fn event(&self, event: &Event) {
        if matches!(event, Event::Stopping(StopReason::Interrupted)) {
            self.console.end_echo();
        }
        with_entry(event, |entry| entry.log());
    }

    /// Clears the bar, ends the thread, and in plain mode prints the final progress. Waits at most 5 s for a blocked
    /// terminal; after that nothing more is written.
    pub fn finish(mut self, end: &Snapshot) {
        if self.close(PATIENCE) && self.console.style().progress == ScreenMode::Plain {
            emit_progress(&ProgressView::new(end.clone(), Duration::ZERO, self.is_rehearsal));
        }
    }

    /// Returns whether the thread ended within `patience`; false on later calls.
    fn close(&mut self, patience: Duration) -> bool {
        let Some(ended) = self.ended.take() else { return false };
        self.console.shut();
        let over = ended.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        if over {
            self.console.detach();
            emit_left_out(self.console.take_left_out());
        }
        over
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close(PATIENCE);
    }
}

struct ScreenThread {
    console: Console,
    slot: SnapshotSlot,
    messages: Receiver<ScreenMessage>,
    latest: Option<TimedSnapshot>,
    timer: RedrawTimer,
    is_rehearsal: bool,
}

impl ScreenThread {
    fn new(console: Console, slot: SnapshotSlot, messages: Receiver<ScreenMessage>, is_rehearsal: bool) -> Self {
        let timer = RedrawTimer::new(console.style().progress, monotonic());
        Self { console, slot, messages, latest: None, timer, is_rehearsal }
    }

    /// Runs until the console has dropped the queue and all its lines are written.
    fn run(mut self, end: &SyncSender<()>) {
        self.console.own();
        let style = self.console.style();
        let bar = (style.progress == ScreenMode::Bar).then(|| TerminalBar::stderr(Palette::new(style.color)));
        loop {
            match self.next() {
                Ok(Some(message)) => self.write(message, bar.as_ref()),
                Ok(None) => {}
                Err(RecvError) => break,
            }
            self.take_snapshot();
            self.show_if_due(bar.as_ref());
        }
        if let Some(bar) = bar {
            bar.clear();
        }
        let _ = end.send(());
    }

    /// The next message; `None` if a redraw is due first.
    fn next(&self) -> Result<Option<ScreenMessage>, RecvError> {
        let now = monotonic();
        if !self.slot.may_sleep(self.latest.is_none() || self.timer.wants_news(now)) {
            return Ok(None);
        }
        // Without a snapshot there is nothing to redraw.
        let wait = self.latest.as_ref().and_then(|_| self.timer.sleep(now));
        let Some(wait) = wait else { return self.messages.recv().map(Some) };
        match self.messages.recv_timeout(wait) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    /// Writes `first` and the queued lines at once, above the bar.
    fn write(&self, first: ScreenMessage, bar: Option<&TerminalBar>) {
        let batch: Vec<_> = std::iter::once(first).chain(self.messages.try_iter().take(BATCH - 1)).collect();
        let emptied = batch.len() < BATCH;
        let text: String = batch.into_iter().filter_map(ScreenMessage::into_line).collect();
        let left_out = if emptied { self.console.take_left_out() } else { 0 };
        if text.is_empty() && left_out == 0 {
            return;
        }
        let write = || {
            self.console.write(&text);
            emit_left_out(left_out);
        };
        match bar {
            Some(bar) => bar.above(write),
            None => write(),
        }
    }

    fn take_snapshot(&mut self) {
        if let Some(latest) = self.slot.take() {
            let before = self.latest.as_ref().map(|latest| latest.snapshot.counts);
            self.timer.note(before != Some(latest.snapshot.counts));
            self.latest = Some(latest);
        }
    }

    fn show_if_due(&mut self, bar: Option<&TerminalBar>) {
        let now = monotonic();
        let Some(latest) = self.latest.as_ref().filter(|_| self.timer.wait(now) == Some(Duration::ZERO)) else {
            return;
        };
        let view = ProgressView::new(
            latest.snapshot.clone(),
            now.saturating_duration_since(latest.taken_at),
            self.is_rehearsal,
        );
        match bar {
            Some(bar) => bar.draw(&view, stderr_width()),
            None => emit_progress(&view),
        }
        self.timer.shown(now);
    }
}

/// Decides when to redraw. Pure: times are passed in.
#[derive(Debug)]
struct RedrawTimer {
    mode: ScreenMode,
    last: Option<Instant>,
    /// Whether there is anything new to show.
    news: bool,
}

impl RedrawTimer {
    /// The bar appears immediately, the first plain line after the usual interval: a short run only needs its totals.
    fn new(mode: ScreenMode, now: Instant) -> Self {
        let last = match mode {
            ScreenMode::Bar => None,
            ScreenMode::Plain | ScreenMode::None => Some(now),
        };
        Self { mode, last, news: false }
    }

    /// Notes a newer snapshot. A bar shows all of them, a plain line only if rows have ended.
    fn note(&mut self, rows_ended: bool) {
        self.news |= rows_ended || self.mode == ScreenMode::Bar;
    }

    fn shown(&mut self, now: Instant) {
        (self.last, self.news) = (Some(now), false);
    }

    /// The interval between redraws. Without news, a bar still counts down, and a plain line shows that the run is
    /// alive.
    fn gap(&self, news: bool) -> Option<Duration> {
        match (self.mode, news) {
            (ScreenMode::Bar, true) => Some(Duration::from_millis(125)),
            (ScreenMode::Bar, false) => Some(Duration::from_secs(1)),
            (ScreenMode::Plain, true) => Some(Duration::from_secs(10)),
            (ScreenMode::Plain, false) => Some(Duration::from_mins(1)),
            (ScreenMode::None, _) => None,
        }
    }

    /// Time until the next redraw; zero if it is due, `None` without progress.
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.wait_with(self.news, now)
    }

    fn wait_with(&self, news: bool, now: Instant) -> Option<Duration> {
        let gap = self.gap(news)?;
        Some(self.last.map_or(Duration::ZERO, |last| gap.saturating_sub(now.saturating_duration_since(last))))
    }

    /// Whether to wake for a newer snapshot. Not if a plain line isn't due yet, because it uses the snapshot at that
    /// moment.
    fn wants_news(&self, now: Instant) -> bool {
        match self.mode {
            ScreenMode::Bar => true,
            ScreenMode::Plain => self.wait_with(true, now) == Some(Duration::ZERO),
            ScreenMode::None => false,
        }
    }

    /// Maximum time to sleep; `None` for no limit.
    fn sleep(&self, now: Instant) -> Option<Duration> {
        if self.wants_news(now) { self.wait(now) } else { self.wait_with(true, now) }
    }
}

/// Only for the intervals between redraws.
#[expect(clippy::disallowed_methods, reason = "paces the picture and counts it down, never the run")]
fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
