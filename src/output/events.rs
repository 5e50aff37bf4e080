//! `--events`: one JSON object per line (NDJSON) for every event, each with one write.
//!
//! `docs/events.md` documents the lines; a test compares them. Every line has `v`, which is 1 until a member changes
//! its meaning or is removed.
//!
//! Lines are appended, so that a resumed run continues the file. A write error is reported once and doesn't stop the
//! run, because the results are the evidence.

use super::event_entry::with_entry;
use super::files::{Closed, LineSink, Taken, begins_as};
use super::style::WEAKENED;
use super::summary::Summary;
use super::text::clean;
use crate::model::{CallCounts, Counts, Event, Timestamp};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::io;
use std::path::Path;

/// The log of events of one run.
#[derive(Debug)]
pub struct EventLog {
    /// `None` after a write error.
    sink: Option<LineSink>,
    left_out: u64,
}

impl EventLog {
    /// Opens or creates the file with mode 0600. A pipe or device is written by its own thread.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { sink: Some(LineSink::append(path)?), left_out: 0 })
    }

    /// Whether the file is an event log, is empty, or doesn't exist.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn is_at(path: &Path) -> io::Result<bool> {
        begins_as(path, r#"{"v":1,"at":""#)
    }

    pub fn started(&mut self, at: Timestamp, run_id: &str, rehearsal: bool, rows: u64) {
        self.write(at, &RunLine::RunStarted { run_id: clean(run_id), rehearsal, rows });
    }

    /// Never waits and never fails.
    pub fn event(&mut self, at: Timestamp, event: &Event) {
        with_entry(event, |entry| self.write(at, &entry));
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sink.is_some()
    }

    /// Writes the end of the run. Waits for the reader of a pipe, at most 5 s.
    pub fn ended(mut self, at: Timestamp, summary: &Summary, exit_code: u8) {
        let Summary { run_id, counts, calls, manifest_sha256, .. } = summary;
        self.write(
            at,
            &RunLine::RunEnded {
                run_id: clean(run_id),
                exit_code,
                rows: Rows(counts),
                not_reached: summary.not_reached(),
                calls: *calls,
                manifest_sha256: manifest_sha256.as_deref(),
            },
        );
        let Some(sink) = self.sink.take() else { return };
        match sink.close() {
            Closed::Whole if self.left_out == 0 => {}
            Closed::Whole | Closed::TooSlow => {
                tracing::warn!(target: WEAKENED, "the reader of --events was too slow; its last lines are lost");
            }
            Closed::Failed(error) => {
                tracing::warn!(target: WEAKENED, "--events can't be written, its last lines are lost: {error}");
            }
        }
    }

    fn write(&mut self, at: Timestamp, body: &impl Serialize) {
        if self.left_out > 0 {
            let lines = std::mem::take(&mut self.left_out);
            // If this line doesn't fit either, it counts as left out.
            if !self.line(at, &RunLine::LeftOut { lines }) {
                self.left_out = lines;
            }
        }
        if !self.line(at, body) {
            self.left_out += 1;
        }
    }

    /// Returns false if the queue is full.
    fn line(&mut self, at: Timestamp, body: &impl Serialize) -> bool {
        let Some(sink) = &mut self.sink else { return true };
        match sink.take(render(at, body)) {
            Taken::Yes => true,
            Taken::LeftOut => false,
            Taken::Failed(error) => {
                tracing::warn!(target: WEAKENED, "--events can't be written any more; the run goes on without it: {error}");
                self.sink = None;
                true
            }
        }
    }
}

fn render(at: Timestamp, body: &impl Serialize) -> String {
    let line = EventLine { v: 1, at: at.rfc3339(), body };
    let mut line = serde_json::to_string(&line).expect("texts, numbers and lists of them");
    line.push('\n');
    line
}

#[derive(Serialize)]
struct EventLine<'a, B> {
    v: u8,
    at: String,
    #[serde(flatten)]
    body: &'a B,
}

/// Lines about the log and the whole run.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum RunLine<'a> {
    RunStarted {
        run_id: Cow<'a, str>,
        rehearsal: bool,
        rows: u64,
    },
    RunEnded {
        run_id: Cow<'a, str>,
        exit_code: u8,
        rows: Rows<'a>,
        not_reached: u64,
        #[serde(flatten)]
        calls: CallCounts,
        manifest_sha256: Option<&'a str>,
    },
    LeftOut {
        lines: u64,
    },
}

/// As an object of numbers by status.
pub(super) struct Rows<'a>(pub(super) &'a Counts);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(status, rows)| (status.as_str(), rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::event_entry::tests::{HOSTILE, every_event};
    use super::super::progress_view::tests::snapshot;
    use super::super::summary::tests::summary;
    use super::*;
    use crate::model::Status;
    use crate::model::stop_reason::tests::every_reason;
    use crate::output::documented::Documented;
    use serde_json::{Value, json};
    use std::collections::{BTreeMap, BTreeSet};

    fn at() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_042)
    }

    fn object(event: &Event) -> Value {
        let line = with_entry(event, |entry| render(at(), &entry));
        assert_eq!(line.matches('\n').count(), 1);
        serde_json::from_str(&line).unwrap()
    }

    const PAGE: &str = include_str!("../../docs/events.md");

    fn every_line() -> Vec<Value> {
        let counts = snapshot([2, 0, 0, 0], 3).counts;
        let own = [
            RunLine::RunStarted { run_id: "one".into(), rehearsal: false, rows: 3 },
            RunLine::RunEnded {
                run_id: "one".into(),
                exit_code: 0,
                rows: Rows(&counts),
                not_reached: 1,
                calls: CallCounts { calls: 2, bulk_calls: 1, rate_limited: 0 },
                manifest_sha256: None,
            },
            RunLine::LeftOut { lines: 1 },
        ];
        let own = own.iter().map(|body| serde_json::from_str(&render(at(), body)).unwrap());
        every_event().iter().map(object).chain(own).collect()
    }

    #[test]
    fn every_line_and_every_example_match_the_documentation() {
        const COMMON: [&str; 3] = ["v", "at", "type"];
        let sections: BTreeMap<&str, Documented> = PAGE
            .split("\n## `")
            .skip(1)
            .map(|section| section.split_once('`').map(|(kind, rest)| (kind, Documented::of(rest))).unwrap())
            .collect();
        let lines = every_line();
        let kinds: BTreeSet<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, sections.keys().copied().collect());
        for line in &lines {
            sections[line["type"].as_str().unwrap()].describes(line, &COMMON);
        }
        for (kind, section) in &sections {
            section.describes(&section.example, &COMMON);
            assert_eq!((&section.example["type"], &section.example["v"]), (&json!(kind), &json!(1)));
        }
    }

    #[test]
    fn every_event_is_one_clean_line() {
        for event in every_event() {
            let object = object(&event);
            assert_eq!((&object["v"], &object["at"]), (&json!(1), &json!("2023-11-14T22:13:20.042Z")));
            for value in object.as_object().unwrap().values() {
                assert!(value.as_str().is_none_or(|text| clean(text) == text), "{object}");
            }
        }
        for reason in every_reason(HOSTILE) {
            let line = object(&Event::Stopping(reason));
            assert!(PAGE.contains(&format!("`{}`", line["reason"].as_str().unwrap())), "{line}");
        }
        for status in Status::ALL {
            assert!(PAGE.contains(&format!("`{}`", status.as_str())), "{status:?}");
        }
    }

    #[test]
    fn lines_have_the_documented_format() {
        let lines: Vec<Value> = every_event().iter().map(object).collect();
        let when = "2023-11-14T22:13:20.042Z";
        assert_eq!(
            lines[3],
            json!({"v": 1, "at": when, "type": "rate_limited", "line": 7, "team_id": "T1", "pause_ms": 30_000, "stated": true, "stated_ms": 1_000})
        );
        assert_eq!(lines[5], json!({"v": 1, "at": when, "type": "estimate", "per_minute": 37.5}));
        let row = &lines[1];
        assert_eq!((&row["session_id"], &row["status"]), (&json!(1_112_275_520_242_u64), &json!("failed")));
        assert_eq!(row["first_sent_at"], "2023-11-14T22:13:20.000Z");
        assert_eq!((&row["team_id"], &row["user_id"]), (&json!("T1"), &json!("U1")));
    }

    #[test]
    fn a_second_run_appends_to_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        for run_id in ["one", "two"] {
            let mut log = EventLog::create(&path).unwrap();
            log.started(at(), run_id, false, 3);
            for event in every_event() {
                log.event(at(), &event);
            }
            let ended = Summary {
                run_id: run_id.into(),
                calls: CallCounts { calls: 2, ..CallCounts::default() },
                ..summary([2, 0, 0, 0], 3)
            };
            log.ended(at(), &ended, 130);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2 * (every_event().len() + 2));
        let last = lines.last().unwrap();
        assert_eq!(
            (&last["type"], &last["run_id"], &last["exit_code"]),
            (&json!("run_ended"), &json!("two"), &json!(130))
        );
        assert_eq!((&last["rows"]["revoked"], &last["not_reached"]), (&json!(2), &json!(1)));
    }

    #[test]
    fn a_full_disk_ends_the_log_and_not_the_run() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = EventLog { sink: Some(LineSink::File(full)), left_out: 0 };
        log.started(at(), "one", false, 3);
        assert!(log.sink.is_none());
        log.event(at(), &Event::OutageEnded);
        assert_eq!(log.left_out, 0);
    }

    #[test]
    fn lines_that_a_pipe_did_not_take_are_counted_in_the_log() {
        let (queue, lines) = std::sync::mpsc::sync_channel(2);
        let (_end, ended) = std::sync::mpsc::sync_channel(1);
        let mut log = EventLog { sink: Some(LineSink::Pipe { queue, ended }), left_out: 0 };
        (0..5).for_each(|_| log.event(at(), &Event::OutageEnded));
        assert_eq!((log.left_out, lines.try_iter().count()), (3, 2));
        log.event(at(), &Event::OutageEnded);
        let text: String = lines.try_iter().collect();
        assert!(text.contains(r#""type":"left_out","lines":3"#) && text.contains("outage_ended"), "{text}");
    }
}
