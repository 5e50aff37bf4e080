//! The last lines of a run: what became of the rows, what was written, and how to go on. Pure but for `show`.

use super::console::Console;
use super::messages::{stop_word, why};
use super::style::{NOTICE, Palette, Style, style_of};
use super::text::{clean, counted, format_duration, rate, thousands};
use crate::model::{Counts, LogFormat, Pacing, Stamp, Status, StopReason, UserId, Verbosity};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A vendor's SIEM rule raises a critical alert at this many revocations for one user in 24 hours (slack.md, "The people").
const SIEM_ALERT: u64 = 60;

/// Tier 2 as it is documented, calls a minute.
pub(super) const TIER_2: u64 = 20;
const TIER_2_A_MINUTE: f64 = 20.0;

/// How long `calls` calls take if the first 20 go at once and then 20 a minute.
pub(super) fn at_tier_2(calls: u64) -> Duration {
    Duration::from_secs(calls.saturating_sub(TIER_2).saturating_mul(60 / TIER_2))
}

/// Everything that is said at the end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Rows by how they ended, those of earlier runs on the same results included.
    pub counts: Counts,
    pub total: u64,
    pub calls: u64,
    /// 429s met in this run.
    pub rate_limited: u64,
    /// Time lost to pauses in this run.
    pub paused: Duration,
    /// From the first call to the end.
    pub elapsed: Duration,
    /// Calls a minute that the estimator came to; `None` without a limit.
    pub per_minute: Option<f64>,
    /// How the limit showed itself on the way.
    pub pacing: Pacing,
    /// Why the run stopped before its rows were all ended.
    pub stop: Option<StopReason>,
    pub files: SummaryFiles,
    pub run_id: String,
    /// From the first call to the last answer; `None` if nothing was sent.
    pub window: Option<(Stamp, Stamp)>,
    /// Whose token it was, from `auth.test`: an id, a name, or both.
    pub actor: Option<String>,
    /// Users with their revocations, most first.
    pub heaviest_users: Vec<(UserId, u64)>,
    /// The command that continues the run, if it did not finish ([`super::resume_command`]).
    pub resume_command: Option<String>,
    /// The command that proves what was requested of Slack, if something was.
    pub verify_command: Option<String>,
    /// Why rows didn't end well, most rows first.
    pub failures: Vec<FailureGroup>,
    /// The command that runs the remaining rows again, if that is what is left to do.
    pub retry_command: Option<String>,
    /// What else somebody should know.
    pub notes: Vec<String>,
}

/// Rows that ended with one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    pub status: Status,
    /// The `error` column.
    pub error: String,
    pub rows: u64,
    /// What it means, and what to do about it.
    pub hint: String,
}

impl FailureGroup {
    /// `2 rows failed with user_not_found: what it means: what to do`.
    fn sentence(&self) -> String {
        let Self { status, error, rows, hint } = self;
        format!("{} {} with {}: {hint}", counted(*rows, "row", "rows"), status.as_str(), clean(error))
    }
}

/// Errors that are named at the end; the summary has all.
const NAMED_ERRORS: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryFiles {
    /// One record for each ended row.
    pub results: PathBuf,
    /// The rows that can be run again; `None` if nothing remains.
    pub remaining: Option<PathBuf>,
    /// What ran, when, as whom.
    pub manifest: PathBuf,
}

impl SummaryFiles {
    /// Each file with what it is called.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let remaining = self.remaining.as_deref().map(|path| ("remaining", path));
        [Some(("results", &*self.results)), remaining, Some(("manifest", &*self.manifest))].into_iter().flatten()
    }
}

impl Summary {
    /// Rows that the run did not come to: what is missing from the rows of the input, so that they add up.
    #[must_use]
    pub fn not_reached(&self) -> u64 {
        self.total.saturating_sub(self.counts.ended())
    }

    /// Rows of the input: never fewer than have ended.
    pub(super) fn rows(&self) -> u64 {
        self.counts.ended() + self.not_reached()
    }

    /// Why rows didn't end well, an error a sentence.
    #[must_use]
    pub fn failure_sentences(&self) -> Vec<String> {
        let mut sentences: Vec<_> = self.failures.iter().take(NAMED_ERRORS).map(FailureGroup::sentence).collect();
        if let Some(more) = self.failures.get(NAMED_ERRORS..).filter(|more| !more.is_empty()) {
            let rows = counted(more.iter().map(|group| group.rows).sum(), "row", "rows");
            sentences.push(format!("{rows} with {} other errors: see the error column of the results", more.len()));
        }
        sentences
    }

    /// Each in one sentence.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let not_found = self.counts.of(Status::NotFound);
        let many = not_found.saturating_mul(2) > self.counts.ended();
        let ids = many.then(|| {
            format!(
                "{} of {} were not found: gone before, or the ids do not belong together. Nothing was revoked for \
                 these rows; check a few of them before you count on it",
                thousands(not_found),
                counted(self.counts.ended(), "row", "rows")
            )
        });
        let alerts = self.heaviest_users.iter().filter(|(_, rows)| *rows >= SIEM_ALERT).map(|alert| self.alert(alert));
        ids.into_iter().chain(alerts).chain(self.notes.iter().map(|note| clean(note).into_owned())).collect()
    }

    /// The line for the SOC.
    fn alert(&self, (user, rows): &(UserId, u64)) -> String {
        format!(
            "{} for user {user}: a SIEM may raise a critical alert (60 in 24 h). For the SOC: {}, {user}, {}",
            counted(*rows, "revocation", "revocations"),
            self.identity(),
            counted(*rows, "revocation", "revocations")
        )
    }

    /// The run's id, its actor and its window, by which an alert is matched to it.
    fn identity(&self) -> String {
        let actor = self.actor.as_deref().map_or("unknown".into(), clean);
        let window = match self.window {
            Some((from, to)) => format!("{} to {}", from.rfc3339_seconds(), to.rfc3339_seconds()),
            None => "nothing sent".to_owned(),
        };
        format!("run {}, actor {actor}, window {window}", clean(&self.run_id))
    }
}

/// Shows the end of a run as text, or as one tracing event under `--log-format json`. Nothing under `-q`.
pub fn show(console: &Console, summary: &Summary) {
    let style = console.style();
    match (style.verbosity, style.log_format) {
        (Verbosity::Quiet, _) => {}
        (_, LogFormat::Json) => trace(summary),
        (_, LogFormat::Text) => console.line(text(summary, Palette::new(style.color))),
    }
}

/// The text for a terminal: warnings, totals, files, and the way on, in this order.
#[must_use]
pub fn text(summary: &Summary, palette: Palette) -> String {
    let mut text = String::new();
    for warning in summary.warnings() {
        push(&mut text, &palette.paint(Style::Warning, &format!("warning: {warning}")));
    }
    push(&mut text, &headline(summary));
    table(&mut text, summary, palette);
    push(&mut text, &sum(summary));
    for sentence in summary.failure_sentences() {
        push(&mut text, &palette.paint(Style::Bad, &sentence));
    }
    push(&mut text, &calls(summary));
    push(&mut text, &summary.identity());
    for (name, path) in summary.files.named() {
        push(&mut text, &format!("{name:<10} {}", clean(&path.to_string_lossy())));
    }
    if summary.counts.of(Status::Requested) > 0 {
        push(&mut text, &queued(summary));
    }
    if let Some(command) = &summary.verify_command {
        push(&mut text, &format!("to prove it, after some minutes:\n  {}", clean(command)));
    }
    if let Some(command) = &summary.retry_command {
        push(&mut text, &format!("to run the remaining rows again:\n  {}", clean(command)));
    }
    if let Some(command) = &summary.resume_command {
        push(&mut text, &format!("to continue:\n  {}", clean(command)));
    }
    text
}

fn queued(summary: &Summary) -> String {
    let rows = summary.counts.of(Status::Requested);
    format!("{} requested: Slack has queued it, and does not say when it is done", counted(rows, "row", "rows"))
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn headline(summary: &Summary) -> String {
    match &summary.stop {
        Some(reason) => format!("Stopped: {}", why(reason)),
        None => format!("Done: {} in {}", counted(summary.rows(), "row", "rows"), format_duration(summary.elapsed)),
    }
}

/// Statuses without rows are left out, except for the two that everybody looks for.
fn is_told(status: Status, rows: u64) -> bool {
    rows > 0 || matches!(status, Status::Revoked | Status::Failed)
}

fn table(text: &mut String, summary: &Summary, palette: Palette) {
    let width = thousands(summary.rows()).len();
    for (status, rows) in summary.counts.iter().filter(|(status, rows)| is_told(*status, *rows)) {
        let style = if rows > 0 { style_of(status) } else { Style::Plain };
        let line = format!("  {:<16} {:>width$}", status.as_str(), thousands(rows));
        push(text, &palette.paint(style, &line));
    }
    if summary.not_reached() > 0 {
        let line = format!("  {:<16} {:>width$}", "not reached", thousands(summary.not_reached()));
        push(text, &palette.paint(Style::Warning, &line));
    }
}

/// `1,000 rows = 990 revoked + 8 not_found + 0 failed + 2 not reached`.
#[must_use]
pub fn sum(summary: &Summary) -> String {
    let statuses = summary.counts.iter().filter(|(status, rows)| is_told(*status, *rows));
    let mut parts: Vec<_> = statuses.map(|(status, rows)| format!("{} {}", thousands(rows), status.as_str())).collect();
    if summary.not_reached() > 0 {
        parts.push(format!("{} not reached", thousands(summary.not_reached())));
    }
    format!("  {} = {}", counted(summary.rows(), "row", "rows"), parts.join(" + "))
}

/// Calls, what the limit cost, and what the pace that was learnt was worth.
fn calls(summary: &Summary) -> String {
    let mut line = format!(
        "{} in {}, {} rate limited, paused {}",
        counted(summary.calls, "call", "calls"),
        format_duration(summary.elapsed),
        thousands(summary.rate_limited),
        format_duration(summary.paused)
    );
    let at_tier_2 = at_tier_2(summary.calls);
    if let (Some(pace), true) = (summary.per_minute, at_tier_2 > Duration::ZERO) {
        let compared = format!(
            "; {}/min at the end, at {TIER_2}/min it would have been {}",
            rate(pace),
            format_duration(at_tier_2)
        );
        line.push_str(&compared);
    }
    if let Some(learnt) = summary.pacing.learnt_per_minute.map(f64::floor).filter(|learnt| *learnt > TIER_2_A_MINUTE) {
        let offer = format!("; one limit takes {}/min, and --start-rate {learnt}/min begins there", rate(learnt));
        line.push_str(&offer);
    }
    line
}

/// The same as one tracing event, for `--log-format json`.
fn trace(summary: &Summary) {
    for warning in summary.warnings() {
        tracing::warn!(target: NOTICE, "{warning}");
    }
    for sentence in summary.failure_sentences() {
        tracing::error!(target: NOTICE, "{sentence}");
    }
    let rows = |status| summary.counts.of(status);
    tracing::info!(
        target: NOTICE,
        run_id = &*clean(&summary.run_id),
        total = summary.rows(),
        revoked = rows(Status::Revoked),
        requested = rows(Status::Requested),
        already_revoked = rows(Status::AlreadyRevoked),
        not_found = rows(Status::NotFound),
        failed = rows(Status::Failed),
        unknown = rows(Status::Unknown),
        invalid = rows(Status::Invalid),
        duplicate = rows(Status::Duplicate),
        protected = rows(Status::Protected),
        not_reached = summary.not_reached(),
        calls = summary.calls,
        stop = summary.stop.as_ref().map(stop_word),
        results = &*clean(&summary.files.results.to_string_lossy()),
        verify = summary.verify_command.as_deref().map(clean).as_deref(),
        retry = summary.retry_command.as_deref().map(clean).as_deref(),
        resume = summary.resume_command.as_deref().map(clean).as_deref(),
        "{}: {}",
        headline(summary),
        sum(summary).trim_start()
    );
}

#[cfg(test)]
pub(super) mod tests;
