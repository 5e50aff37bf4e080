//! `--metrics-file`: Prometheus text for `node_exporter`'s textfile collector.
//!
//! Everything is a gauge: the file describes the last run, and the next one starts again from nothing. A new one has mode 0644,
//! since `node_exporter` reads it as another user, and an existing one keeps its mode; it holds numbers alone, no ids. The collector wants a name in `.prom`.

use super::files::{begins_as, replace};
use super::summary::Summary;
use crate::model::{CallCounts, Timestamp};
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

const READABLE: u32 = 0o644;

const LAST_SUCCESS: &str = "slack_revoke_last_success_timestamp_seconds";

/// How a run ended, or was refused.
#[derive(Debug, Clone, Copy)]
pub struct ExitInfo {
    pub at: Timestamp,
    pub exit_code: u8,
    /// A drill revokes nothing, so it is no success.
    pub is_rehearsal: bool,
    /// How old the input was; `None` if it has no age.
    pub input_age: Option<Duration>,
}

/// Puts the metrics of a run in the place of `path`; a run that was refused has no totals. The time of the last success is
/// carried over from the old file, so that it outlives runs that fail, and drills.
///
/// # Errors
/// If the file can't be written.
pub fn write(path: &Path, end: &ExitInfo, summary: Option<&Summary>) -> io::Result<()> {
    // Read a regular file alone: a pipe would never end.
    let there = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
    let before = there.as_ref().and_then(|_| std::fs::read_to_string(path).ok());
    let success =
        if end.exit_code == 0 && !end.is_rehearsal { Some(end.at) } else { before.as_deref().and_then(last_success) };
    let mode = there.map_or(READABLE, |there| there.permissions().mode() & 0o777);
    replace(path, &render(summary, end, success), mode)
}

/// Whether the file at `path` holds metrics of ours, or could take them.
///
/// # Errors
/// If it can't be read.
pub fn is_at(path: &Path) -> io::Result<bool> {
    begins_as(path, "# HELP slack_revoke_")
}

/// The time of the last success in metrics written before.
fn last_success(text: &str) -> Option<Timestamp> {
    let value = text.lines().find_map(|line| line.strip_prefix(LAST_SUCCESS)?.strip_prefix(' '))?;
    let (seconds, millis) = value.trim().split_once('.')?;
    let millis: i64 = if millis.len() == 3 { millis.parse().ok()? } else { return None };
    Some(Timestamp::from_millis(seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(millis)?))
}

/// The text, in Prometheus' exposition format. `success` is when a run last ended with 0, this one included. Its series is
/// there from the first run on, 0 before the first success: an alert on its age can't fire on a series that is absent.
#[must_use]
pub fn render(summary: Option<&Summary>, end: &ExitInfo, success: Option<Timestamp>) -> String {
    let mut text = String::new();
    if let Some(summary) = summary {
        of_rows(&mut text, summary);
    }
    if let Some(age) = end.input_age {
        gauge(&mut text, "slack_revoke_input_age_seconds", "Age of the input when the last run ended.", seconds(age));
    }
    gauge(
        &mut text,
        "slack_revoke_last_run_timestamp_seconds",
        "When the last run ended, or was refused.",
        unix(end.at),
    );
    let success = unix(success.unwrap_or(Timestamp::from_millis(0)));
    gauge(&mut text, LAST_SUCCESS, "When a run last ended with exit code 0; 0 if none did.", success);
    gauge(&mut text, "slack_revoke_exit_code", "Exit code of the last run.", end.exit_code);
    text
}

fn of_rows(text: &mut String, summary: &Summary) {
    head(text, "slack_revoke_rows", "Rows of the input that have ended, by status.");
    for (status, rows) in summary.counts.iter() {
        sample(text, &format!("slack_revoke_rows{{status=\"{}\"}}", status.as_str()), rows);
    }
    gauge(text, "slack_revoke_input_rows", "Rows of the input.", summary.rows());
    gauge(text, "slack_revoke_rows_not_reached", "Rows without a record.", summary.not_reached());
    let CallCounts { calls, bulk_calls, rate_limited } = summary.calls;
    gauge(text, "slack_revoke_calls", "Calls of the last run.", calls);
    gauge(text, "slack_revoke_bulk_calls", "Calls of the last run for whole users.", bulk_calls);
    gauge(text, "slack_revoke_rate_limited", "Calls of the last run answered 429.", rate_limited);
    gauge(text, "slack_revoke_paused_seconds", "Time that the last run lost to pauses.", seconds(summary.paused));
    let duration = "From the last run's first call to its end.";
    gauge(text, "slack_revoke_duration_seconds", duration, seconds(summary.elapsed));
    if let Some(per_minute) = summary.per_minute {
        let estimate = "The limit as the last run came to know it.";
        gauge(text, "slack_revoke_estimated_calls_per_minute", estimate, per_minute);
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:03}", duration.as_secs(), duration.subsec_millis())
}

/// Seconds since the epoch.
fn unix(timestamp: Timestamp) -> String {
    let millis = timestamp.as_millis();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    head(text, name, help);
    sample(text, name, value);
}

fn head(text: &mut String, name: &str, help: &str) {
    append(text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
}

fn sample(text: &mut String, series: &str, value: impl std::fmt::Display) {
    append(text, format_args!("{series} {value}\n"));
}

fn append(text: &mut String, line: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(line);
    debug_assert!(written.is_ok(), "a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::summary;
    use super::*;
    use std::collections::BTreeSet;

    fn of(exit_code: u8, finished_at: i64) -> String {
        let end = end(exit_code, finished_at);
        render(Some(&numbers()), &end, (exit_code == 0).then_some(end.at))
    }

    fn end(exit_code: u8, at: i64) -> ExitInfo {
        let input_age = Some(Duration::from_secs(90));
        ExitInfo { at: Timestamp::from_millis(at), exit_code, is_rehearsal: false, input_age }
    }

    fn numbers() -> Summary {
        Summary {
            calls: CallCounts { calls: 14, bulk_calls: 2, rate_limited: 1 },
            paused: Duration::from_millis(30_250),
            elapsed: Duration::from_secs(90),
            per_minute: Some(37.5),
            ..summary([10, 2, 1, 0], 15)
        }
    }

    fn ended(path: &Path, exit_code: u8, finished_at: i64) {
        write(path, &end(exit_code, finished_at), Some(&numbers())).unwrap();
    }

    fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
    }

    #[test]
    fn every_number_has_its_series() {
        let text = of(0, 1_700_000_000_042);
        for (series, want) in [
            ("slack_revoke_rows{status=\"revoked\"}", Some("10")),
            ("slack_revoke_rows{status=\"unknown\"}", Some("0")),
            ("slack_revoke_input_rows", Some("15")),
            ("slack_revoke_rows_not_reached", Some("2")),
            ("slack_revoke_calls", Some("14")),
            ("slack_revoke_rate_limited", Some("1")),
            ("slack_revoke_paused_seconds", Some("30.250")),
            ("slack_revoke_duration_seconds", Some("90.000")),
            ("slack_revoke_estimated_calls_per_minute", Some("37.5")),
            ("slack_revoke_last_run_timestamp_seconds", Some("1700000000.042")),
            (LAST_SUCCESS, Some("1700000000.042")),
            ("slack_revoke_exit_code", Some("0")),
            ("slack_revoke_input_age_seconds", Some("90.000")),
        ] {
            assert_eq!(value(&text, series), want, "{series}");
        }
        let failed = render(Some(&Summary { per_minute: None, ..numbers() }), &end(1, 5), None);
        assert_eq!(value(&failed, LAST_SUCCESS), Some("0.000"));
        assert_eq!(value(&failed, "slack_revoke_estimated_calls_per_minute"), None);
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let text = of(0, 1);
        let mut typed = BTreeSet::new();
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(rest) => {
                    let (name, kind) = rest.split_once(' ').unwrap();
                    assert!(typed.insert(name) && kind == "gauge", "{line}");
                }
                None if line.starts_with("# HELP ") => {}
                None => {
                    let (series, number) = line.rsplit_once(' ').unwrap();
                    assert!(typed.contains(series.split('{').next().unwrap()), "{line} before its type");
                    assert!(number.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn the_last_success_outlives_a_run_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slack.prom");
        let read = || std::fs::read_to_string(&path).unwrap();
        ended(&path, 0, 1_700_000_000_042);
        ended(&path, 5, 1_700_000_500_000);
        assert_eq!(value(&read(), LAST_SUCCESS), Some("1700000000.042"));
        assert_eq!(value(&read(), "slack_revoke_last_run_timestamp_seconds"), Some("1700000500.000"));
        ended(&path, 0, 1_700_000_900_000);
        assert_eq!(value(&read(), LAST_SUCCESS), Some("1700000900.000"));
        std::fs::write(&path, format!("{LAST_SUCCESS} spoilt\n")).unwrap();
        ended(&path, 1, 7);
        assert_eq!(value(&read(), LAST_SUCCESS), Some("0.000"));
        ended(&path, 0, 9_000);
        write(&path, &ExitInfo { input_age: None, ..end(2, 10_000) }, None).unwrap();
        assert_eq!(value(&read(), LAST_SUCCESS), Some("9.000"), "refused");
        assert_eq!(
            [value(&read(), "slack_revoke_input_rows"), value(&read(), "slack_revoke_input_age_seconds")],
            [None; 2]
        );
        write(&path, &ExitInfo { is_rehearsal: true, ..end(0, 20_000) }, Some(&numbers())).unwrap();
        assert_eq!(value(&read(), LAST_SUCCESS), Some("9.000"), "a drill");
    }

    #[test]
    fn other_users_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slack.prom");
        ended(&path, 0, 1);
        // A umask takes from the mode at most what its owner set it to take.
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o755, 0o644);
    }
}
