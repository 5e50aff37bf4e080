//! Reads the file of `--events` for the page: starts and ends of runs, estimates, pauses and outages.
//!
//! See [`crate::output::EventLog`] for the format. Rows are read from the results instead.

use super::timeline::{Spans, Steps};
use crate::model::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::time::Duration;

/// Longer lines aren't events, and aren't read into memory.
const LONGEST_LINE: u64 = 1 << 20;

/// Only the last runs of a file are kept.
const MOST_RUNS: usize = 500;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    /// In the order of the file.
    pub runs: Vec<RunEvents>,
    pub lines: u64,
    pub unreadable: u64,
    /// The number of the first unreadable line.
    pub first_unreadable: Option<u64>,
    /// Whether the last line is incomplete.
    pub is_torn: bool,
    /// Lines that the run couldn't write (`left_out`).
    pub left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunEvents {
    pub run_id: String,
    pub started: Option<Timestamp>,
    /// `None` if no end was recorded.
    pub ended: Option<Timestamp>,
    pub exit_code: Option<u8>,
    /// Estimated limit, in calls per minute.
    pub estimates: Steps,
    /// Pauses after 429s.
    pub pauses: Spans,
    pub rate_limited: u64,
    pub outages: Spans,
    /// Start of the current outage.
    silent_since: Option<Timestamp>,
}

impl RunEvents {
    fn take(&mut self, at: Timestamp, line: &Line<'_>) {
        match &*line.kind {
            "estimate" => line.per_minute.into_iter().for_each(|rate| self.estimates.push(at, rate)),
            "rate_limited" => {
                self.rate_limited += 1;
                self.pauses.add(at, Duration::from_millis(line.pause_ms.unwrap_or(0)));
            }
            "outage_began" => self.silent_since = Some(at),
            "outage_ended" => self.hear(at),
            "run_ended" => {
                self.hear(at);
                (self.ended, self.exit_code) = (Some(at), line.exit_code);
            }
            // Other types, including those of later versions, don't matter for the page.
            _ => {}
        }
    }

    /// Ends the current outage.
    fn hear(&mut self, at: Timestamp) {
        if let Some(since) = self.silent_since.take() {
            let length = at.as_millis().saturating_sub(since.as_millis());
            self.outages.add(since, Duration::from_millis(u64::try_from(length).unwrap_or(0)));
        }
    }
}

/// The used members of all types of lines.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    run_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pause_ms: Option<u64>,
    #[serde(default)]
    per_minute: Option<f64>,
    #[serde(default)]
    exit_code: Option<u8>,
    #[serde(default)]
    lines: Option<u64>,
}

/// Reads a log of any length, possibly truncated.
///
/// # Errors
/// If it can't be read.
pub fn read(mut log: impl BufRead) -> io::Result<Events> {
    let (mut events, mut buffer, mut number) = (Events::default(), Vec::new(), 0);
    loop {
        buffer.clear();
        if log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut buffer)? == 0 {
            return Ok(events);
        }
        number += 1;
        let is_whole = buffer.ends_with(b"\n");
        if !is_whole && buffer.len() as u64 == LONGEST_LINE {
            skip_line(&mut log)?;
            events.note_unreadable(number);
        } else if !events.take(&buffer) {
            if is_whole {
                events.note_unreadable(number);
            } else {
                events.is_torn = true;
            }
        }
    }
}

/// Skips to the end of the line.
fn skip_line(log: &mut impl BufRead) -> io::Result<()> {
    loop {
        let rest = log.fill_buf()?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(rest.len(), |end| end + 1);
        log.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

impl Events {
    /// Returns false if the line isn't an event. Blank lines are ignored.
    fn take(&mut self, text: &[u8]) -> bool {
        if text.iter().all(u8::is_ascii_whitespace) {
            return true;
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(text) else { return false };
        let Some(at) = Timestamp::parse(&line.at) else { return false };
        self.lines += 1;
        if line.kind == "run_started" {
            self.runs.push(RunEvents {
                run_id: line.run_id.as_deref().unwrap_or_default().to_owned(),
                started: Some(at),
                ..RunEvents::default()
            });
            let surplus = self.runs.len().saturating_sub(MOST_RUNS);
            self.runs.drain(..surplus);
        }
        if line.kind == "left_out" {
            self.left_out += line.lines.unwrap_or(0);
        }
        if let Some(run) = self.runs.last_mut() {
            run.take(at, &line);
        }
        true
    }

    fn note_unreadable(&mut self, number: u64) {
        self.unreadable += 1;
        self.first_unreadable.get_or_insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32, rest: &str) -> String {
        format!("{{\"v\":1,\"at\":\"2026-11-23T18:00:{second:02}.000Z\",\"type\":{rest}}}\n")
    }

    fn millis(second: i64) -> i64 {
        1_795_456_800_000 + second * 1_000
    }

    fn two_runs() -> String {
        [
            line(0, r#""run_started","run_id":"one","rows":3"#),
            line(1, r#""sending","line":2,"call":1"#),
            line(2, r#""estimate","per_minute":20.5"#),
            line(3, r#""rate_limited","line":2,"pause_ms":4000,"stated":true"#),
            line(8, r#""outage_began","error":"http_503""#),
            line(9, r#""outage_ended""#),
            line(10, r#""run_ended","run_id":"one","exit_code":130,"rows":{},"not_reached":1,"calls":2"#),
            line(20, r#""run_started","run_id":"two","rows":3"#),
            line(21, r#""outage_began","error":"timeout""#),
            line(22, r#""left_out","lines":5"#),
            line(23, r#""of_a_later_version","x":[]"#),
            line(24, r#""run_ended","run_id":"two","exit_code":5,"rows":{},"not_reached":1,"calls":2"#),
        ]
        .concat()
    }

    fn spans(spans: &Spans) -> Vec<(i64, i64)> {
        spans.iter().map(|(from, to)| (from.as_millis(), to.as_millis())).collect()
    }

    #[test]
    fn runs_are_read_separately() {
        let events = read(two_runs().as_bytes()).unwrap();
        assert_eq!((events.lines, events.unreadable, events.is_torn, events.left_out), (12, 0, false, 5));
        let [one, two] = &events.runs[..] else { panic!("{events:?}") };
        assert_eq!((&*one.run_id, one.exit_code, &*two.run_id, two.exit_code), ("one", Some(130), "two", Some(5)));
        assert_eq!(one.estimates.iter().collect::<Vec<_>>(), [(Timestamp::from_millis(millis(2)), 20.5)]);
        assert_eq!((spans(&one.pauses), one.rate_limited), (vec![(millis(3), millis(7))], 1));
        assert_eq!(spans(&one.outages), [(millis(8), millis(9))]);
        assert_eq!(spans(&two.outages), [(millis(21), millis(24))], "an outage ends with the run");
        assert_eq!(two.ended, Some(Timestamp::from_millis(millis(24))));
    }

    #[test]
    fn a_log_may_be_cut_anywhere() {
        let whole = two_runs();
        for end in 0..whole.len() {
            let events = read(&whole.as_bytes()[..end]).unwrap();
            assert_eq!(events.unreadable, 0, "{end}");
            let last = whole[..end].lines().last().unwrap_or_default();
            assert_eq!(events.is_torn, !last.is_empty() && !last.ends_with('}') || is_open(last), "{end}: {last}");
        }
    }

    fn is_open(line: &str) -> bool {
        line.ends_with('}') && serde_json::from_str::<serde_json::Value>(line).is_err()
    }

    #[test]
    fn lines_that_are_no_events_are_counted_and_named() {
        let too_long = format!("{}\n", "x".repeat(3 << 20));
        let log = [
            &line(0, r#""run_started","run_id":"one""#),
            "nonsense\n",
            "\n",
            "{}\n",
            &too_long,
            "\u{fffd}\n",
            "{\"at\":\"yesterday\",\"type\":\"estimate\"}\n",
            &line(1, r#""estimate","per_minute":9"#),
        ]
        .concat();
        let events = read(log.as_bytes()).unwrap();
        assert_eq!((events.lines, events.unreadable, events.first_unreadable), (2, 5, Some(2)));
        assert_eq!(events.runs[0].estimates.iter().count(), 1);
        assert_eq!(read(&b"\xff\xfe\n"[..]).unwrap().unreadable, 1);
        assert_eq!(read(&b""[..]).unwrap(), Events::default());
    }
}
