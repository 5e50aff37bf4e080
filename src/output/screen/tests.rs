use super::super::console::tests::{Page, style};
use super::super::event_entry::tests::hostile_end;
use super::super::logs::{dispatch, targets};
use super::super::progress_view::tests::snapshot;
use super::*;
use crate::model::{LogFormat, Verbosity};
use std::io::{self, Write};
use std::sync::mpsc::Sender;

const MS: Duration = Duration::from_millis(1);

/// Runs `body` with the program's tracing on `console`.
fn with_logs(console: &Console, body: impl FnOnce()) {
    let targets = targets(console.style(), None).unwrap();
    tracing::dispatcher::with_default(&dispatch(console, targets), body);
}

#[test]
fn the_bar_is_drawn_at_most_eight_times_a_second_and_once_when_idle() {
    let start = monotonic();
    let mut timer = RedrawTimer::new(ScreenMode::Bar, start);
    assert_eq!(timer.wait(start), Some(Duration::ZERO));
    timer.shown(start);
    assert_eq!(timer.wait(start), Some(1000 * MS));
    assert_eq!(timer.wait(start + 400 * MS), Some(600 * MS));
    timer.note(false);
    assert_eq!(timer.wait(start + 25 * MS), Some(100 * MS));
    assert_eq!(timer.wait(start + 125 * MS), Some(Duration::ZERO));
}

#[test]
fn a_line_is_due_every_ten_seconds_or_every_minute_if_no_row_ends() {
    let start = monotonic();
    let mut timer = RedrawTimer::new(ScreenMode::Plain, start);
    timer.note(true);
    assert_eq!(timer.wait(start), Some(10_000 * MS));
    timer.shown(start + 10_000 * MS);
    timer.note(false);
    assert_eq!(timer.wait(start + 20_000 * MS), Some(50_000 * MS));
    timer.note(true);
    assert_eq!(timer.wait(start + 20_000 * MS), Some(Duration::ZERO));
    assert_eq!(RedrawTimer::new(ScreenMode::None, start).wait(start + 10_000 * MS), None);
}

#[test]
fn snapshots_do_not_wake_for_a_line_that_is_not_due() {
    let start = monotonic();
    let mut timer = RedrawTimer::new(ScreenMode::Plain, start);
    assert!(!timer.wants_news(start + 9_999 * MS));
    assert_eq!(timer.sleep(start + 4_000 * MS), Some(6_000 * MS));
    // Rows that end after ten quiet seconds are shown at once.
    assert!(timer.wants_news(start + 10_000 * MS));
    assert_eq!(timer.sleep(start + 10_000 * MS), Some(50_000 * MS));
    timer.note(true);
    assert_eq!(timer.sleep(start + 10_000 * MS), Some(Duration::ZERO));
    let none = RedrawTimer::new(ScreenMode::None, start);
    assert_eq!((none.wants_news(start + 10_000 * MS), none.sleep(start)), (false, None));
}

/// How often a screen's thread that has shown a snapshot and gone to sleep is woken by twenty more.
fn wakes(mode: ScreenMode) -> usize {
    let console = Console::on(Box::new(Page::default()), style(mode, Verbosity::Normal, LogFormat::Text));
    let (queue, messages) = sync_channel(QUEUE);
    console.attach(queue);
    let screen = Screen { console: console.clone(), slot: SnapshotSlot::default(), is_rehearsal: false, ended: None };
    let mut thread = ScreenThread::new(console, screen.slot.clone(), messages, false);
    screen.snapshot(&snapshot([1, 0, 0, 0], 30));
    thread.take_snapshot();
    assert!(thread.slot.may_sleep(thread.timer.wants_news(monotonic())));
    (2..22).for_each(|done| screen.snapshot(&snapshot([done, 0, 0, 0], 30)));
    let woken = thread.messages.try_iter().count();
    thread.take_snapshot();
    let seen = thread.latest.map(|latest| latest.snapshot);
    assert_eq!(seen, (mode != ScreenMode::None).then(|| snapshot([21, 0, 0, 0], 30)), "the newest lies there");
    woken
}

#[test]
fn snapshots_wake_only_the_bar_and_only_once() {
    let of_modes = [ScreenMode::Bar, ScreenMode::Plain, ScreenMode::None].map(wakes);
    assert_eq!(of_modes, [1, 0, 0]);
}

#[test]
fn a_snapshot_before_the_sleep_prevents_it() {
    let slot = SnapshotSlot::default();
    let latest = || TimedSnapshot { snapshot: snapshot([1, 0, 0, 0], 9), taken_at: monotonic() };
    assert!(!slot.put(latest()), "nobody sleeps yet");
    assert!(!slot.may_sleep(true) && slot.may_sleep(false));
    assert!(slot.take().is_some() && slot.may_sleep(true));
    assert!(slot.put(latest()) && !slot.put(latest()));
}

#[test]
fn everything_is_written_when_finish_returns() {
    let page = Page::default();
    let console = Console::on(Box::new(page.clone()), style(ScreenMode::Plain, Verbosity::Rows, LogFormat::Text));
    with_logs(&console, || {
        let screen = Screen::start(&console, false);
        (0..100).for_each(|_| screen.event(&hostile_end()));
        screen.snapshot(&snapshot([1, 0, 0, 0], 9));
        screen.finish(&snapshot([8, 1, 0, 0], 9));
        tracing::info!("after the end");
    });
    let text = page.text();
    assert_eq!(text.matches("line 7: failed").count(), 100);
    let last: Vec<_> = text.lines().rev().take(2).collect();
    assert_eq!(last[0], "slack-revoke: after the end");
    assert!(last[1].starts_with("slack-revoke: 9/9 done · revoked 8 · gone 1"), "{}", last[1]);
}

#[test]
fn without_progress_and_notices_nothing_is_written() {
    let page = Page::default();
    let console = Console::on(Box::new(page.clone()), style(ScreenMode::None, Verbosity::Quiet, LogFormat::Text));
    with_logs(&console, || {
        let screen = Screen::start(&console, false);
        screen.event(&hostile_end());
        screen.snapshot(&snapshot([1, 0, 0, 0], 9));
        screen.finish(&snapshot([9, 0, 0, 0], 9));
    });
    assert_eq!(page.text(), "");
}

/// A terminal after Ctrl-S: says when a write has begun, and lets it go on when `gate` opens.
struct Stopped {
    begun: Sender<()>,
    gate: Receiver<()>,
    page: Page,
}

impl Write for Stopped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        // Returns when the test drops the sender.
        let _ = self.gate.recv();
        self.page.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A console on a blocked terminal; a receiver that reports a blocked write; the sender that unblocks it; the output.
fn stopped() -> (Console, Receiver<()>, Sender<()>, Page) {
    let (begun, begins) = std::sync::mpsc::channel();
    let (gate, gated) = std::sync::mpsc::channel();
    let page = Page::default();
    let sink = Stopped { begun, gate: gated, page: page.clone() };
    let console = Console::on(Box::new(sink), style(ScreenMode::Plain, Verbosity::Rows, LogFormat::Text));
    (console, begins, gate, page)
}

#[test]
fn a_blocked_terminal_does_not_block_the_run_and_missed_lines_are_counted() {
    let (console, begins, gate, page) = stopped();
    with_logs(&console, || {
        let screen = Screen::start(&console, false);
        screen.event(&hostile_end());
        begins.recv().unwrap();
        for _ in 0..5_000 {
            screen.event(&hostile_end());
            screen.snapshot(&snapshot([1, 0, 0, 0], 9));
        }
        drop(gate);
        screen.finish(&snapshot([9, 0, 0, 0], 9));
    });
    let text = page.text();
    let shown = text.matches("line 7: failed").count();
    let left_out: usize = text
        .lines()
        .filter_map(|line| line.strip_prefix("slack-revoke: warning: ")?.split_once(" lines were left out"))
        .map(|(number, _)| number.parse::<usize>().unwrap())
        .sum();
    assert!(shown < 5_001 && left_out > 0);
    assert_eq!(shown + left_out, 5_001);
}

#[test]
fn the_end_does_not_wait_for_a_blocked_terminal() {
    let (console, begins, gate, page) = stopped();
    with_logs(&console, || {
        let mut screen = Screen::start(&console, false);
        screen.event(&hostile_end());
        begins.recv().unwrap();
        assert!(!screen.close(Duration::ZERO));
        // Not even the totals wait now.
        console.line("totals\n".to_owned());
        drop(screen);
    });
    assert_eq!((page.text(), console.take_left_out()), (String::new(), 1));
    drop(gate);
}
