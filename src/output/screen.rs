//! The screen: a thread of its own, so that the dispatcher never waits for a terminal.
//!
//! The newest snapshot is in a slot, lines come through a bounded queue ([`Console`]). The thread sleeps until a line
//! comes or something is due: at most 8 draws a second, and one a second for the countdowns while nothing new comes. A
//! snapshot wakes it only if it would be shown at once; for plain lines most stay there until the next line is due.

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

/// Lines that may wait for the terminal; some 100 kB of them.
const QUEUE: usize = 1024;

/// Lines written in one go, so that a flood of them redraws the bar once and not each time.
const BATCH: usize = 256;

/// How long the end waits for a blocked terminal. The exit code is worth more than the last picture.
const PATIENCE: Duration = Duration::from_secs(5);

/// The newest snapshot on its way from the run to the thread.
#[derive(Clone, Default)]
struct SnapshotSlot(Arc<Mutex<SlotState>>);

#[derive(Default)]
struct SlotState {
    /// The newest snapshot that the thread has not seen.
    newest: Option<TimedSnapshot>,
    /// Whether the thread sleeps and wants to be woken by the next one.
    is_wanted: bool,
}

struct TimedSnapshot {
    snapshot: Snapshot,
    taken_at: Instant,
}

impl SnapshotSlot {
    /// Returns whether the thread has to be woken: once for each that it waits for, however many newer ones replace it
    /// before the thread looks.
    fn put(&self, latest: TimedSnapshot) -> bool {
        let mut state = self.locked();
        state.newest = Some(latest);
        std::mem::take(&mut state.is_wanted)
    }

    fn take(&self) -> Option<TimedSnapshot> {
        self.locked().newest.take()
    }

    /// Called before the thread sleeps. Returns false if a snapshot that it wants is already there.
    fn may_sleep(&self, wants: bool) -> bool {
        let mut state = self.locked();
        state.is_wanted = wants && state.newest.is_none();
        !wants || state.is_wanted
    }

    fn locked(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows a run while it goes on. Dropped without [`Screen::finish`], it still takes the bar away.
pub struct Screen {
    console: Console,
    slot: SnapshotSlot,
    is_rehearsal: bool,
    /// Answers when the thread has ended; taken by the first who asks.
    ended: Option<Receiver<()>>,
}

impl Screen {
    /// Begins to show a run on `console`, in the mode that its style says. If no thread can be started, notices are
    /// written straight and there is no progress.
    #[must_use]
    pub fn start(console: &Console, is_rehearsal: bool) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let slot = SnapshotSlot::default();
        let screen = ScreenThread::new(console.clone(), slot.clone(), messages, is_rehearsal);
        // The thread's own messages use the subscriber of the thread that starts it.
        let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
        let body = move || tracing::dispatcher::with_default(&dispatch, || screen.run(&end));
        console.attach(queue);
        if thread::Builder::new().name("screen".to_owned()).spawn(body).is_err() {
            console.detach();
        }
        Self { console: console.clone(), slot, is_rehearsal, ended: Some(ended) }
    }

    /// Takes in how the run stands. Never waits.
    pub fn snapshot(&self, snapshot: &Snapshot) {
        if self.console.style().progress == ScreenMode::None {
            return;
        }
        if self.slot.put(TimedSnapshot { snapshot: snapshot.clone(), taken_at: monotonic() }) {
            self.console.wake();
        }
    }

    /// Takes in what happened. Never waits; costs next to nothing for what is not shown.
    pub fn event(&self, event: &Event) {
        if matches!(event, Event::Stopping(StopReason::Interrupted)) {
            self.console.end_echo();
        }
        with_entry(event, |entry| entry.log());
    }

    /// Takes the bar away, ends the thread, and on plain lines says how the run stood at its end. A terminal that
    /// stands still is waited for 5 s at most; after that nothing is written any more.
    pub fn finish(mut self, end: &Snapshot) {
        if self.close(PATIENCE) && self.console.style().progress == ScreenMode::Plain {
            emit_progress(&ProgressView::new(end.clone(), Duration::ZERO, self.is_rehearsal));
        }
    }

    /// Whether the thread ended within `patience`, for the first who asks.
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

    /// Until the console lets go of the queue, and all that is in it is written.
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

    /// The next message; `None` if something is due before one comes.
    fn next(&self) -> Result<Option<ScreenMessage>, RecvError> {
        let now = monotonic();
        if !self.slot.may_sleep(self.latest.is_none() || self.timer.wants_news(now)) {
            return Ok(None);
        }
        // Without a snapshot there is nothing to show again.
        let wait = self.latest.as_ref().and_then(|_| self.timer.sleep(now));
        let Some(wait) = wait else { return self.messages.recv().map(Some) };
        match self.messages.recv_timeout(wait) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    /// Writes `first` and the lines behind it in one go, above the bar.
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

/// When to show the progress again. Pure: the moments come in.
#[derive(Debug)]
struct RedrawTimer {
    mode: ScreenMode,
    last: Option<Instant>,
    /// Whether there is something to show that was not shown yet.
    news: bool,
}

impl RedrawTimer {
    /// The bar appears at once, the first line with its first pause: a short run needs none beside its totals.
    fn new(mode: ScreenMode, now: Instant) -> Self {
        let last = match mode {
            ScreenMode::Bar => None,
            ScreenMode::Plain | ScreenMode::None => Some(now),
        };
        Self { mode, last, news: false }
    }

    /// A newer snapshot came. A bar shows each of them; a line is worth writing if rows have ended.
    fn note(&mut self, rows_ended: bool) {
        self.news |= rows_ended || self.mode == ScreenMode::Bar;
    }

    fn shown(&mut self, now: Instant) {
        (self.last, self.news) = (Some(now), false);
    }

    /// From one picture to the next. A bar without news still counts down; a line without news says that it lives.
    fn gap(&self, news: bool) -> Option<Duration> {
        match (self.mode, news) {
            (ScreenMode::Bar, true) => Some(Duration::from_millis(125)),
            (ScreenMode::Bar, false) => Some(Duration::from_secs(1)),
            (ScreenMode::Plain, true) => Some(Duration::from_secs(10)),
            (ScreenMode::Plain, false) => Some(Duration::from_mins(1)),
            (ScreenMode::None, _) => None,
        }
    }

    /// Until the next picture is due; zero if it is due, `None` if there never is one.
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.wait_with(self.news, now)
    }

    fn wait_with(&self, news: bool, now: Instant) -> Option<Duration> {
        let gap = self.gap(news)?;
        Some(self.last.map_or(Duration::ZERO, |last| gap.saturating_sub(now.saturating_duration_since(last))))
    }

    /// Whether a newer snapshot is worth waking for. A line that is not due yet is written from the snapshot of that moment.
    fn wants_news(&self, now: Instant) -> bool {
        match self.mode {
            ScreenMode::Bar => true,
            ScreenMode::Plain => self.wait_with(true, now) == Some(Duration::ZERO),
            ScreenMode::None => false,
        }
    }

    /// How long to sleep at most: until a picture is due, or would be if there were news by then; `None` for ever.
    fn sleep(&self, now: Instant) -> Option<Duration> {
        if self.wants_news(now) { self.wait(now) } else { self.wait_with(true, now) }
    }
}

/// The one clock of this room: how long ago something was drawn decides nothing but when it is drawn again.
#[expect(clippy::disallowed_methods, reason = "paces the picture and counts it down, never the run")]
fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
