//! The way to standard error: straight while nothing else draws there, through the screen's queue while a run is shown.
//!
//! The dispatcher prints its notices here, and a terminal may block for hours (Ctrl-S, a full pipe). So while a
//! screen is attached nothing waits: a line that finds the queue full is left out, counted, and reported later.
//! A failed write is ignored for good: the results are the evidence, and the run goes on.

use super::style::Palette;
use crate::model::{LogFormat, OutputStyle, ScreenMode, Verbosity};
use anstream::AutoStream;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What the screen's thread is woken by.
#[derive(Debug)]
pub(super) enum ScreenMessage {
    /// A finished line, its line break included.
    Line(String),
    /// A newer snapshot is in the slot.
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
    /// Written by whoever has it.
    Straight,
    /// Handed to the screen's thread.
    Queue(SyncSender<ScreenMessage>),
    /// Nowhere: the screen's thread is finishing, or hangs in a write that does not return.
    Shut,
}

struct ConsoleState {
    style: OutputStyle,
    route: Mutex<Route>,
    /// The screen's own thread writes directly: its lines would wait for itself in the queue.
    owner: Mutex<Option<ThreadId>>,
    sink: Mutex<Box<dyn Write + Send>>,
    is_terminal: bool,
    left_out: AtomicU64,
}

/// A handle to what people read. Clones share the same stream.
#[derive(Clone)]
pub struct Console(Arc<ConsoleState>);

/// A panic elsewhere must not silence the console; what it guards is whole after every step.
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

    /// Columns that text for people has; `None` if it isn't written to a terminal.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.0.is_terminal.then(stderr_width)
    }

    /// Begins a new line below a `^C` that the terminal has echoed. A bar is taken away with what is behind it, so it needs
    /// none.
    pub(super) fn end_echo(&self) {
        if self.0.is_terminal && self.style().progress != ScreenMode::Bar {
            self.line("\n".to_owned());
        }
    }

    /// How much is shown here, and how.
    #[must_use]
    pub fn style(&self) -> OutputStyle {
        self.0.style
    }

    /// Shows the plan of a run before it begins. Nothing under `-q`, and nothing in JSON.
    /// `text` is only called if it is shown: the time zone of its times is looked up in some hundred files.
    pub fn plan(&self, text: impl FnOnce(Option<usize>) -> String) {
        if self.style().verbosity > Verbosity::Quiet && self.style().log_format == LogFormat::Text {
            self.line(text(self.width()));
        }
    }

    /// Prints what a command does or did. Nothing under `-q`.
    pub fn note(&self, text: &str) {
        match (self.style().verbosity, self.style().log_format) {
            (Verbosity::Quiet, _) => {}
            (_, LogFormat::Json) => tracing::info!("{text}"),
            (_, LogFormat::Text) => self.line(format!("{text}\n")),
        }
    }

    /// Takes in text that ends with a line break; waits only while no screen is attached.
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

    /// Wakes the screen's thread, if there is one. A full queue wakes it anyway.
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

    /// Lines left out since this was asked last.
    pub(super) fn take_left_out(&self) -> u64 {
        self.0.left_out.swap(0, Ordering::Relaxed)
    }

    /// Writes now, whatever the route: for the screen's own thread.
    pub(super) fn write(&self, text: &str) {
        let mut sink = locked(&self.0.sink);
        let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
    }

    /// The calling thread is the screen's from here on.
    pub(super) fn own(&self) {
        *locked(&self.0.owner) = Some(thread::current().id());
    }

    /// From here on lines go to `queue`.
    pub(super) fn attach(&self, queue: SyncSender<ScreenMessage>) {
        *locked(&self.0.route) = Route::Queue(queue);
    }

    /// Lets go of the queue: its thread writes what is in it and ends.
    pub(super) fn shut(&self) {
        *locked(&self.0.route) = Route::Shut;
    }

    /// Lines are written straight again.
    pub(super) fn detach(&self) {
        *locked(&self.0.route) = Route::Straight;
    }
}

/// Columns of the terminal behind standard error; 80 if unknown.
pub(super) fn stderr_width() -> usize {
    width_of(&console::Term::stderr())
}

/// Columns of the terminal that is standard output; `None` if it is no terminal.
#[must_use]
pub fn stdout_columns() -> Option<usize> {
    io::stdout().is_terminal().then(|| width_of(&console::Term::stdout()))
}

/// Columns of the terminal that is standard error; `None` if it is no terminal.
#[must_use]
pub fn stderr_columns() -> Option<usize> {
    io::stderr().is_terminal().then(stderr_width)
}

fn width_of(terminal: &console::Term) -> usize {
    terminal.size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

/// Writes to standard output what a command was asked for, such as a plan. A reader that left early, as in `man | head`, is no
/// error.
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

    /// A stream that can be read from outside.
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
