//! The end of a run: totals, failures, files, and the next command. Pure except for `show`.

use super::console::Console;
use super::style::{NOTICE, Palette};
use super::text::{calls_words, clean, counted, format_duration, rate, thousands, wrapped};
use crate::model::{
    Approval, CallCounts, Counts, LogFormat, Pacing, Status, StopReason, Timestamp, Tone, UserId, Verbosity,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A common SIEM rule raises a critical alert at this many revocations of one user in 24 hours (slack.md, "The
/// people").
const SIEM_ALERT: u64 = 60;

/// In calls a minute.
const TIER_2: f64 = 20.0;

#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub is_rehearsal: bool,
    /// Rows by status, including those of earlier runs with the same results.
    pub counts: Counts,
    pub total: u64,
    /// Of this run.
    pub calls: CallCounts,
    /// Time spent in pauses in this run.
    pub paused: Duration,
    /// Since the first call.
    pub elapsed: Duration,
    /// The final estimate in calls a minute; `None` without a limit.
    pub per_minute: Option<f64>,
    /// What was observed of the rate limit.
    pub pacing: Pacing,
    /// `None` if the run wasn't stopped.
    pub stop: Option<StopReason>,
    /// What to do after a stop.
    pub advice: Option<String>,
    pub files: SummaryFiles,
    pub run_id: String,
    /// From the first call to the last answer; `None` if nothing was sent.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The owner of the token, from `auth.test`.
    pub actor: Option<String>,
    pub approval: Option<Approval>,
    /// The users with the most revocations.
    pub heaviest_users: Vec<(UserId, u64)>,
    /// The command that resumes the run, if it isn't complete ([`super::resume_command`]).
    pub resume_command: Option<String>,
    /// The command that verifies requested logouts, if there are any.
    pub verify_command: Option<String>,
    /// Failed rows by error, the most frequent first.
    pub failures: Vec<FailureGroup>,
    /// The command for a new run of the remaining rows, if there are any and the run is complete.
    pub retry_command: Option<String>,
    pub notes: Vec<String>,
    /// SHA-256 of the manifest.
    pub manifest_sha256: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    pub status: Status,
    /// The `error` column.
    pub error: String,
    pub rows: u64,
    /// Meaning and what to do.
    pub hint: String,
}

impl FailureGroup {
    /// `2 rows failed with user_not_found: what it means: what to do`.
    fn sentence(&self) -> String {
        let Self { status, error, rows, hint } = self;
        format!("{} {} with {}: {hint}", counted(*rows, "row", "rows"), status.as_str(), clean(error))
    }
}

/// Maximum number of errors printed; the summary has all.
const NAMED_ERRORS: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryFiles {
    pub results: PathBuf,
    /// `None` if nothing remains.
    pub remaining: Option<PathBuf>,
    pub manifest: PathBuf,
}

impl SummaryFiles {
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let remaining = self.remaining.as_deref().map(|path| ("remaining", path));
        [Some(("results", &*self.results)), remaining, Some(("manifest", &*self.manifest))].into_iter().flatten()
    }
}

impl Summary {
    /// Rows of the input without a record.
    #[must_use]
    pub fn not_reached(&self) -> u64 {
        self.total.saturating_sub(self.counts.ended())
    }

    /// Rows of the input, at least those that have ended.
    pub(super) fn rows(&self) -> u64 {
        self.counts.ended() + self.not_reached()
    }

    /// One sentence per error.
    #[must_use]
    pub fn failure_sentences(&self) -> Vec<String> {
        let mut sentences: Vec<_> = self.failures.iter().take(NAMED_ERRORS).map(FailureGroup::sentence).collect();
        if let Some(more) = self.failures.get(NAMED_ERRORS..).filter(|more| !more.is_empty()) {
            let rows = counted(more.iter().map(|group| group.rows).sum(), "row", "rows");
            sentences.push(format!("{rows} with {} other errors: see the error column of the results", more.len()));
        }
        sentences
    }

    /// One sentence each, including what to do after a stop.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let advice = self.advice.as_deref().map(|advice| clean(advice).into_owned());
        self.attention().into_iter().chain(advice).collect()
    }

    fn attention(&self) -> Vec<String> {
        let not_found = self.counts.of(Status::NotFound);
        let many = not_found.saturating_mul(2) > self.counts.ended();
        let ids = many.then(|| {
            format!(
                "{} of {} were not found: gone before, or the ids don't belong together. Nothing was revoked for \
                 these rows; check a few of them before you rely on it",
                thousands(not_found),
                counted(self.counts.ended(), "row", "rows")
            )
        });
        let alerts = self.heaviest_users.iter().filter(|(_, rows)| *rows >= SIEM_ALERT).map(|alert| self.alert(alert));
        ids.into_iter().chain(alerts).chain(self.notes.iter().map(|note| clean(note).into_owned())).collect()
    }

    fn alert(&self, (user, rows): &(UserId, u64)) -> String {
        format!(
            "{} for user {user}: a SIEM may raise a critical alert (60 in 24 h). For the SOC: {}, {user}, {}",
            counted(*rows, "revocation", "revocations"),
            self.identity(),
            counted(*rows, "revocation", "revocations")
        )
    }

    /// Run id, actor and time, to match an alert with the run.
    fn identity(&self) -> String {
        let actor = self.actor.as_deref().map_or("unknown".into(), clean);
        let window = match self.window {
            Some((from, to)) => format!("{} to {}", from.rfc3339_seconds(), to.rfc3339_seconds()),
            None => "nothing sent".to_owned(),
        };
        format!("run {}, actor {actor}, window {window}", clean(&self.run_id))
    }
}

/// Shows the end of a run as text, or as one tracing event with `--log-format json`; nothing with `-q`.
pub fn show(console: &Console, summary: &Summary) {
    let style = console.style();
    match (style.verbosity, style.log_format) {
        (Verbosity::Quiet, _) => {}
        (_, LogFormat::Json) => trace(summary),
        (_, LogFormat::Text) => console.line(text(summary, Palette::new(style.color), console.width())),
    }
}

/// The manifest and its digest, to be kept elsewhere.
#[must_use]
pub fn manifest_line(manifest: &Path, sha256: &str) -> String {
    format!("manifest   {}\n           SHA-256 {sha256}", clean(&manifest.to_string_lossy()))
}

/// As text, wrapped to `width` columns.
#[must_use]
pub fn text(summary: &Summary, palette: Palette, width: Option<usize>) -> String {
    let mut text = String::new();
    let sentence = |tone, sentence: &str| palette.paint(tone, &wrapped(sentence, width, 2));
    push(&mut text, &wrapped(&headline(summary), width, 2));
    if let Some(advice) = &summary.advice {
        push(&mut text, &wrapped(&format!("  {}", clean(advice)), width, 2));
    }
    table(&mut text, summary, palette);
    push(&mut text, &wrapped(&calls(summary), width, 2));
    for failure in summary.failure_sentences() {
        push(&mut text, &sentence(Tone::Bad, &failure));
    }
    for warning in summary.attention() {
        push(&mut text, &sentence(Tone::Warning, &format!("warning: {warning}")));
    }
    if summary.verify_command.is_some() {
        push(&mut text, &wrapped(&queued(summary), width, 2));
    }
    for (name, path) in summary.files.named() {
        push(&mut text, &format!("{name:<10} {}", clean(&path.to_string_lossy())));
    }
    if let Some(sha256) = &summary.manifest_sha256 {
        push(&mut text, &format!("{:<10} SHA-256 {sha256}", ""));
    }
    push(&mut text, &wrapped(&summary.identity(), width, 2));
    if let Some(approval) = &summary.approval {
        push(&mut text, &wrapped(&clean(&approval.sentence()), width, 2));
    }
    for (purpose, command) in [
        ("to prove it, after some minutes", &summary.verify_command),
        ("to run the remaining rows again", &summary.retry_command),
        ("to continue", &summary.resume_command),
    ] {
        if let Some(command) = command {
            push(&mut text, &format!("{purpose}:\n  {}", clean(command)));
        }
    }
    if summary.is_rehearsal {
        push(&mut text, &palette.paint(Tone::Warning, "REHEARSAL: nothing was revoked"));
    }
    text
}

fn queued(summary: &Summary) -> String {
    let rows = summary.counts.of(Status::Requested);
    format!(
        "{} requested: Slack has queued the logouts, and doesn't say when they are done",
        counted(rows, "row", "rows")
    )
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn headline(summary: &Summary) -> String {
    let how = match &summary.stop {
        Some(reason) => format!("Stopped: {}", reason.entry().why),
        None => format!("Done: {} in {}", counted(summary.rows(), "row", "rows"), format_duration(summary.elapsed)),
    };
    if summary.is_rehearsal { format!("REHEARSAL, nothing was revoked. {how}") } else { how }
}

/// Statuses without rows are omitted, except for the most important two.
fn is_shown(status: Status, rows: u64) -> bool {
    rows > 0 || matches!(status, Status::Revoked | Status::Failed)
}

fn table(text: &mut String, summary: &Summary, palette: Palette) {
    let width = thousands(summary.rows()).len();
    for (status, rows) in summary.counts.iter().filter(|(status, rows)| is_shown(*status, *rows)) {
        let tone = if rows > 0 { status.tone() } else { Tone::Plain };
        let line = format!("  {:<16} {:>width$}", status.as_str(), thousands(rows));
        push(text, &palette.paint(tone, &line));
    }
    if summary.not_reached() > 0 {
        let line = format!("  {:<16} {:>width$}", "not reached", thousands(summary.not_reached()));
        push(text, &palette.paint(Tone::Warning, &line));
    }
}

/// Calls, time spent in pauses, and the learned limit.
fn calls(summary: &Summary) -> String {
    let calls = format!("{} in {}", calls_words(summary.calls), format_duration(summary.elapsed));
    let limited = Some(summary.calls.rate_limited).filter(|calls| *calls > 0);
    let paused = Some(summary.paused).filter(|paused| !paused.is_zero());
    let learnt = summary.pacing.learnt_per_minute.map(f64::floor).filter(|learnt| *learnt > TIER_2);
    [
        Some(calls),
        limited.map(|calls| format!(", {} rate limited", thousands(calls))),
        paused.map(|paused| format!(", {} spent waiting", format_duration(paused))),
        learnt.map(|learnt| {
            format!("; Slack accepted about {}/min, and --start-rate {learnt}/min starts at that", rate(learnt))
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// As one tracing event, for `--log-format json`.
fn trace(summary: &Summary) {
    for sentence in summary.failure_sentences() {
        tracing::error!(target: NOTICE, "{sentence}");
    }
    for warning in summary.warnings() {
        tracing::warn!(target: NOTICE, "{warning}");
    }
    let rows = |status| summary.counts.of(status);
    tracing::info!(
        target: NOTICE,
        rehearsal = summary.is_rehearsal,
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
        calls = summary.calls.calls,
        bulk_calls = summary.calls.bulk_calls,
        stop = summary.stop.as_ref().map(|reason| reason.entry().word),
        results = &*clean(&summary.files.results.to_string_lossy()),
        manifest_sha256 = summary.manifest_sha256.as_deref(),
        plan_id = summary.approval.as_ref().map(|approval| &*approval.plan_id),
        verify = summary.verify_command.as_deref().map(clean).as_deref(),
        retry = summary.retry_command.as_deref().map(clean).as_deref(),
        resume = summary.resume_command.as_deref().map(clean).as_deref(),
        "{}",
        headline(summary)
    );
}

#[cfg(test)]
pub(super) mod tests;
