//! Writes to standard error: directly, or through the queue of the screen's thread while a run is shown.
//!
//! The dispatcher prints notices here, and a terminal may block for hours (Ctrl-S, a full pipe). So while a screen is
//! attached, nothing waits: a line that doesn't fit into the queue is left out, counted, and reported later. Write
//! errors are ignored, because the results are the evidence and the run continues.

use super::style::Palette;
use crate::model::{LogFormat, OutputStyle, ScreenMode, Verbosity};
use anstream::AutoStream;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// A message to the screen's thread.
#[derive(Debug)]
pub(super) enum ScreenMessage {
    /// A line with its line break.
    Line(String),
    /// The slot has a newer snapshot.
    Snapshot,
}

impl ScreenMessage {
    pub(super) fn into_line(self) -> Option<String> {
        match self {
            Self::Line(line) => Some(line),
            Self::Snapshot => None,
        }
    }
}

enum Route {
    /// Written by the caller.
    Straight,
    /// Passed to the screen's thread.
    Queue(SyncSender<ScreenMessage>),
    /// Dropped, because the screen's thread is finishing or blocked.
    Shut,
}

struct ConsoleState {
    style: OutputStyle,
    route: Mutex<Route>,
    /// The screen's thread, which writes directly: it can't wait for its own queue.
    owner: Mutex<Option<ThreadId>>,
    sink: Mutex<Box<dyn Write + Send>>,
    is_terminal: bool,
    left_out: AtomicU64,
}

/// Standard error. Clones share the stream.
#[derive(Clone)]
pub struct Console(Arc<ConsoleState>);

/// Ignores poisoning: a panic elsewhere must not silence the console, and the state is always consistent.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Console {
    #[must_use]
    pub fn stderr(style: OutputStyle) -> Self {
        let stderr = io::stderr();
        let is_terminal = stderr.is_terminal();
        Self::new(Box::new(AutoStream::new(stderr, Palette::new(style.color).choice())), style, is_terminal)
    }

    #[must_use]
    pub fn on(sink: Box<dyn Write + Send>, style: OutputStyle) -> Self {
        Self::new(sink, style, false)
    }

    fn new(sink: Box<dyn Write + Send>, style: OutputStyle, is_terminal: bool) -> Self {
        let (route, sink, left_out) = (Mutex::new(Route::Straight), Mutex::new(sink), AtomicU64::new(0));
        Self(Arc::new(ConsoleState { style, route, owner: Mutex::default(), sink, is_terminal, left_out }))
    }

    /// The width of the terminal in columns; `None` if it isn't a terminal.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.0.is_terminal.then(stderr_width)
    }

    /// Starts a new line after an echoed `^C`. Not needed for a bar, which is cleared together with it.
    pub(super) fn end_echo(&self) {
        if self.0.is_terminal && self.style().progress != ScreenMode::Bar {
            self.line("\n".to_owned());
        }
    }

    #[must_use]
    pub fn style(&self) -> OutputStyle {
        self.0.style
    }

    /// Shows the plan of a run, except with `-q` and with JSON logs. `text` is only called if it is shown, because it
    /// looks up the time zone in hundreds of files.
    pub fn plan(&self, text: impl FnOnce(Option<usize>) -> String) {
        if self.style().verbosity > Verbosity::Quiet && self.style().log_format == LogFormat::Text {
            self.line(text(self.width()));
        }
    }

    /// Prints what a command does or did, except with `-q`.
    pub fn note(&self, text: &str) {
        match (self.style().verbosity, self.style().log_format) {
            (Verbosity::Quiet, _) => {}
            (_, LogFormat::Json) => tracing::info!("{text}"),
            (_, LogFormat::Text) => self.line(format!("{text}\n")),
        }
    }

    /// `text` ends with a line break. Only waits if no screen is attached.
    pub(super) fn line(&self, text: String) {
        if *locked(&self.0.owner) == Some(thread::current().id()) {
            return self.write(&text);
        }
        match &*locked(&self.0.route) {
            Route::Straight => self.write(&text),
            Route::Queue(queue) => self.offer(queue, ScreenMessage::Line(text)),
            Route::Shut => self.leave_out(),
        }
    }

    /// Wakes the screen's thread. If the queue is full, the thread is awake anyway.
    pub(super) fn wake(&self) {
        if let Route::Queue(queue) = &*locked(&self.0.route) {
            let _ = queue.try_send(ScreenMessage::Snapshot);
        }
    }

    fn offer(&self, queue: &SyncSender<ScreenMessage>, message: ScreenMessage) {
        match queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.leave_out(),
        }
    }

    fn leave_out(&self) {
        self.0.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of lines left out since the last call.
    pub(super) fn take_left_out(&self) -> u64 {
        self.0.left_out.swap(0, Ordering::Relaxed)
    }

    /// Writes directly; for the screen's thread.
    pub(super) fn write(&self, text: &str) {
        let mut sink = locked(&self.0.sink);
        let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
    }

    /// Makes the calling thread the screen's thread.
    pub(super) fn own(&self) {
        *locked(&self.0.owner) = Some(thread::current().id());
    }

    /// Sends lines to `queue` from now on.
    pub(super) fn attach(&self, queue: SyncSender<ScreenMessage>) {
        *locked(&self.0.route) = Route::Queue(queue);
    }

    /// Drops the queue, so that its thread writes the rest and ends.
    pub(super) fn shut(&self) {
        *locked(&self.0.route) = Route::Shut;
    }

    /// Writes directly from now on.
    pub(super) fn detach(&self) {
        *locked(&self.0.route) = Route::Straight;
    }
}

/// Width of standard error in columns; 80 if unknown.
pub(super) fn stderr_width() -> usize {
    width_of(&console::Term::stderr())
}

/// Width of standard output in columns; `None` if it isn't a terminal.
#[must_use]
pub fn stdout_columns() -> Option<usize> {
    io::stdout().is_terminal().then(|| width_of(&console::Term::stdout()))
}

/// Width of standard error in columns; `None` if it isn't a terminal.
#[must_use]
pub fn stderr_columns() -> Option<usize> {
    io::stderr().is_terminal().then(stderr_width)
}

fn width_of(terminal: &console::Term) -> usize {
    terminal.size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

/// Writes the output of a command to standard output. A closed pipe, as in `man | head`, isn't an error.
///
/// # Errors
/// If it can't be written.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    match write(out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A stream whose content can be read.
    #[derive(Clone, Default)]
    pub(in crate::output) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(in crate::output) fn text(&self) -> String {
            String::from_utf8(locked(&self.0).clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            locked(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::output) fn style(mode: ScreenMode, verbosity: Verbosity, format: LogFormat) -> OutputStyle {
        OutputStyle { progress: mode, color: false, verbosity, log_format: format }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_closed_stream_is_no_error() {
        let console = Console::on(Box::new(Broken), style(ScreenMode::Plain, Verbosity::Normal, LogFormat::Text));
        console.line("lost\n".to_owned());
        assert_eq!(console.take_left_out(), 0);
    }

    #[test]
    fn a_full_queue_leaves_lines_out_and_counts_them() {
        let page = Page::default();
        let style = style(ScreenMode::Plain, Verbosity::Normal, LogFormat::Text);
        let console = Console::on(Box::new(page.clone()), style);
        let (sender, queue) = std::sync::mpsc::sync_channel(2);
        console.attach(sender);
        (0..5).for_each(|n| console.line(format!("{n}\n")));
        console.wake();
        assert_eq!((console.take_left_out(), console.take_left_out()), (3, 0));
        assert_eq!(queue.try_iter().count(), 2);
        drop(queue);
        console.line("lost\n".to_owned());
        console.shut();
        console.line("lost too\n".to_owned());
        assert_eq!((console.take_left_out(), page.text()), (2, String::new()));
        console.detach();
        console.line("straight\n".to_owned());
        assert_eq!(page.text(), "straight\n");
    }
}
